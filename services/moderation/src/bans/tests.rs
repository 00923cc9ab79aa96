//! What is told to watchers, on a store of SQLite.

use chassis::{Random, Secret};
use tempfile::TempDir;

use super::*;
use crate::{config::DatabaseUrl, store::NewBan};

fn ban(id: usize, until_unix_ms: u64) -> Ban {
    let session = Some(SessionId([1; 16]));
    Ban { id: id.to_string(), session, address: None, until_unix_ms, reason: "spam".into() }
}

/// Bans on a store of their own, whose folder lives as long as the test.
async fn bans() -> (Bans, Context, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = DatabaseUrl::Sqlite(folder.path().join("stroll.db"));
    let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::from_secs(1));
    let store = Store::new(&url, context.random.clone(), Metrics::new()).expect("a store");
    store.prepare().await.expect("tables");
    (Bans::new(store, context.clock, Metrics::new()), context, folder)
}

async fn store_ban(bans: &Bans, ban: Ban) {
    bans.store.ban(&[NewBan { ban, case: None, created_unix_ms: 1 }]).await.expect("stored");
}

#[test]
fn a_snapshot_is_told_in_pieces_and_its_end_is_marked() {
    for (bans, pieces) in [(0, vec![0]), (1, vec![1]), (1_000, vec![1_000]), (2_500, vec![1_000, 1_000, 500])]
    {
        let told = snapshot(&(0..bans).map(|id| ban(id, 1)).collect::<Vec<_>>());
        assert_eq!(told.iter().map(|told| told.bans.len()).collect::<Vec<_>>(), pieces);
        let synced = told.iter().position(|told| told.synced);
        assert_eq!(synced, Some(told.len() - 1));
    }
}

#[tokio::test]
async fn a_watcher_that_does_not_keep_up_is_told_so() {
    let (bans, context, _folder) = bans().await;
    let mut watch = bans.begin_watch(&context);
    assert!(watch.next().await.expect("a snapshot").expect("no error").synced);
    for id in 0..=WATCHER_BOUND {
        bans.tell(&State::default(), vec![ban(id, 1)], Vec::new());
    }
    assert!(matches!(watch.next().await, Some(Err(Error::Behind))));
}

#[tokio::test]
async fn what_is_over_is_neither_told_nor_remembered() {
    let (bans, context, _folder) = bans().await;
    let now = context.clock.unix_ms();
    bans.refresh().await.expect("read");
    store_ban(&bans, ban(1, now - 1)).await;
    store_ban(&bans, ban(2, now + 60_000)).await;
    bans.refresh().await.expect("read");
    let told = bans.begin_watch(&context).next().await.expect("a snapshot").expect("no error");
    assert_eq!(told.bans, [ban(2, now + 60_000).into()]);
    bans.state.lock().view.insert(ban(3, now - 1));
    bans.sweep();
    assert_eq!(bans.state.lock().view.len(), 1);
}

#[tokio::test]
async fn a_database_that_was_set_back_is_read_anew() {
    let (bans, context, _folder) = bans().await;
    let later = context.clock.unix_ms() + 60_000;
    store_ban(&bans, ban(1, later)).await;
    store_ban(&bans, ban(2, later)).await;
    bans.refresh().await.expect("read");
    let mut watch = bans.begin_watch(&context);
    assert_eq!(watch.next().await.expect("a snapshot").expect("no error").bans.len(), 2);
    for statement in ["DELETE FROM bans WHERE id = '2'", "UPDATE ban_revision SET last = 1"] {
        sqlx::query(statement).execute(bans.store.pool()).await.expect("set back");
    }
    bans.refresh().await.expect("read");
    let told = watch.next().await.expect("news").expect("no error");
    assert_eq!((told.lifted, told.bans.len()), (vec!["2".to_owned()], 0));
}
