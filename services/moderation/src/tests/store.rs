//! One suite, on both databases.

use std::collections::BTreeMap;

use chassis::{
    Random,
    bans::Ban,
    id::{AddressHash, ChatId, Seat, SessionId},
};
use futures_util::future;
use sqlx::Row as _;
use stroll_proto::v1::{Participant, ReportRequest, Subject, TranscriptLine};

use super::{WITHIN, postgres::Postgres, wait_for};
use crate::{
    config::DatabaseUrl,
    error::Error,
    metrics::Metrics,
    report::{CaseNumber, Report, digest},
    store::{Decision, Filing, NewBan, Store},
};

const ANN: SessionId = SessionId([1; 16]);
const BOB: SessionId = SessionId([2; 16]);
const BOBS: AddressHash = AddressHash([9; 16]);

#[tokio::test]
async fn sqlite_keeps_what_it_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("new folder/50% & #1.db");
    suite(&DatabaseUrl::Sqlite(path.clone())).await;
    assert!(path.is_file());
}

#[tokio::test]
async fn postgresql_keeps_what_it_is_given() {
    let mut postgres = Postgres::prepare();
    postgres.start();
    suite(&postgres.url()).await;
}

#[tokio::test]
async fn a_store_that_is_not_prepared_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, "not a folder").expect("a file");
    let store = open(&DatabaseUrl::Sqlite(in_the_way.join("stroll.db")));
    assert!(matches!(store.prepare().await, Err(Error::Database(_))));
    assert!(matches!(store.revision().await, Err(Error::NotReady)));
}

async fn suite(url: &DatabaseUrl) {
    let (one, two) = (open(url), open(url));
    // Both at once, as replicas start.
    future::join(prepare(&one), prepare(&two)).await;
    a_report_is_stored_once(&one, &two).await;
    evidence_is_as_it_was_frozen(&one, &two).await;
    bans_are_stored_all_or_none(&one).await;
    a_lifted_ban_stays_lifted(&one, &two).await;
    changes_are_seen_in_order_and_none_is_missed(&one, &two).await;
    decisions_are_stored_once(&one, &two).await;
    drop((one, two));
    everything_is_there_after_a_restart(url).await;
}

fn open(url: &DatabaseUrl) -> Store {
    Store::new(url, Random::from_os(), Metrics::new()).expect("a store")
}

async fn prepare(store: &Store) {
    wait_for("the database", async || store.prepare().await.is_ok()).await;
}

fn request(id: u8) -> ReportRequest {
    let participant = |seat, session: SessionId, address| Participant {
        seat,
        subject: Some(Subject { session: session.to_bytes(), address }),
        role: 1,
    };
    ReportRequest {
        id: vec![id; 16].into(),
        chat: vec![7; 16].into(),
        reporter_seat: 1,
        reason: "harassment".into(),
        comment: "rude \0 \u{1f620} \"quoted\" 'n \\ more".into(),
        participants: vec![participant(1, ANN, Default::default()), participant(2, BOB, BOBS.to_bytes())],
        transcript: vec![TranscriptLine { seat: 2, seq: 1, at_unix_ms: 5, text: "line\n\0two ✓".into() }],
        began_unix_ms: 4,
        mode: 1,
    }
}

fn report(id: u8) -> Report {
    Report::freeze(request(id), 1_000).expect("a good report")
}

fn ban(id: &str, session: Option<SessionId>, address: Option<AddressHash>, until_unix_ms: u64) -> NewBan {
    let ban = Ban { id: id.into(), session, address, until_unix_ms, reason: "spam".into() };
    NewBan { ban, case: None, created_unix_ms: 10 }
}

async fn a_report_is_stored_once(one: &Store, two: &Store) {
    let (first, second, other) = (report(1), report(1), report(2));
    let (first, second) = future::join(one.file(&first), two.file(&second)).await;
    let ((first, _), (second, _)) = (first.expect("stored"), second.expect("stored"));
    assert_eq!(first, second);
    assert_eq!(one.file(&report(1)).await.expect("stored"), (first.clone(), Filing::Repeated));
    let (other, filing) = two.file(&other).await.expect("stored");
    assert_eq!(filing, Filing::New);
    assert_ne!(other, first);
}

async fn evidence_is_as_it_was_frozen(one: &Store, two: &Store) {
    let report = report(3);
    let (case, _) = one.file(&report).await.expect("stored");
    let row = sqlx::query("SELECT evidence, digest FROM cases WHERE number = $1").bind(case.to_string());
    let row = row.fetch_one(two.pool()).await.expect("a row");
    let (evidence, stored_digest): (String, String) = (row.get(0), row.get(1));
    assert_eq!(evidence, report.evidence);
    assert_eq!(stored_digest, digest(&evidence));
    let json: serde_json::Value = serde_json::from_str(&evidence).expect("JSON");
    assert_eq!(json["comment"], request(3).comment.as_str());
    assert_eq!(json["transcript"][0]["text"], "line\n\0two ✓");
    let reported = two.evidence(&case).await.expect("evidence").reported().expect("ids");
    assert_eq!(reported, [(BOB, Some(BOBS))]);
    let unknown: CaseNumber = "S-0000-0000".parse().expect("a number");
    assert!(matches!(two.evidence(&unknown).await, Err(Error::NoSuchCase)));
}

async fn bans_are_stored_all_or_none(store: &Store) {
    let before = store.revision().await.expect("a revision");
    let of_nobody = ban("nobody", None, None, 100);
    let refused = store.ban(&[ban("first", Some(ANN), None, 100), of_nobody]).await;
    assert!(matches!(refused, Err(Error::Database(_))));
    assert_eq!(store.revision().await.expect("a revision"), before);
    assert_eq!(store.changes_since(before).await.expect("changes"), []);
}

async fn a_lifted_ban_stays_lifted(one: &Store, two: &Store) {
    let before = one.revision().await.expect("a revision");
    let (short, long) = (ban("short", Some(ANN), None, 100), ban("long", Some(BOB), Some(BOBS), 200));
    one.ban(&[short, long]).await.expect("stored");
    let in_force = async |now| {
        let (_, bans) = two.in_force(now).await.expect("bans");
        let mut ids: Vec<_> = bans.into_iter().map(|ban| ban.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(in_force(99).await, ["long", "short"]);
    assert_eq!(in_force(100).await, ["long"], "over at its time");
    two.lift("long", 50).await.expect("lifted");
    one.lift("long", 60).await.expect("lifted already");
    assert!(matches!(one.lift("unknown", 60).await, Err(Error::NoSuchBan)));
    assert_eq!(in_force(99).await, ["short"]);
    let changes = two.changes_since(before).await.expect("changes");
    let told: Vec<_> = changes.iter().map(|change| (change.ban.id.as_str(), change.is_lifted)).collect();
    assert_eq!(told, [("short", false), ("long", true)]);
    assert_eq!(changes[1].ban, ban("long", Some(BOB), Some(BOBS), 200).ban, "read as it was stored");
}

/// Two replicas ban at once, each in small and large transactions, while a third reads along as a poll does.
async fn changes_are_seen_in_order_and_none_is_missed(one: &Store, two: &Store) {
    const EACH: usize = 30;
    let begin = one.revision().await.expect("a revision");
    let write = async |store: &Store, name: &str| {
        for number in 0..EACH {
            let bans: Vec<_> = (0..=number % 3)
                .map(|part| ban(&format!("{name}-{number}-{part}"), Some(ANN), None, 100))
                .collect();
            store.ban(&bans).await.expect("stored");
        }
    };
    let total = 2 * (0..EACH).map(|number| number % 3 + 1).sum::<usize>();
    let read = async {
        let (mut seen, mut known) = (BTreeMap::new(), begin);
        while seen.len() < total {
            for change in two.changes_since(known).await.expect("changes") {
                assert!(change.revision > known);
                known = change.revision;
                seen.insert(change.ban.id, change.revision);
            }
            tokio::task::yield_now().await;
        }
        known
    };
    let all = future::join3(write(one, "a"), write(two, "b"), read);
    let (.., last) = tokio::time::timeout(WITHIN, all).await.expect("every change is seen");
    assert_eq!(one.revision().await.expect("a revision"), last);
}

async fn decisions_are_stored_once(one: &Store, two: &Store) {
    let decision = |id: &str| Decision {
        id: id.into(),
        chat: ChatId([7; 16]),
        seat: Seat(2),
        seq: u64::MAX,
        session: BOB,
        rule: "spam_link",
        action: "warn",
        at_unix_ms: 1_000,
    };
    one.record(&[decision("a"), decision("b")]).await.expect("stored");
    two.record(&[decision("b"), decision("c")]).await.expect("stored");
    let rows = sqlx::query("SELECT id, seq, rule FROM decisions WHERE chat = $1 ORDER BY id")
        .bind(ChatId([7; 16]).to_string());
    let rows = rows.fetch_all(one.pool()).await.expect("rows");
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!((rows[0].get::<i64, _>(1), rows[0].get::<String, _>(2)), (i64::MAX, "spam_link".into()));
}

async fn everything_is_there_after_a_restart(url: &DatabaseUrl) {
    let store = open(url);
    prepare(&store).await;
    assert_eq!(store.file(&report(1)).await.expect("stored").1, Filing::Repeated);
    let (revision, bans) = store.in_force(99).await.expect("bans");
    assert!(bans.iter().any(|ban| ban.id == "short"));
    assert_eq!(store.revision().await.expect("a revision"), revision);
    let count = sqlx::query("SELECT COUNT(*) FROM decisions").fetch_one(store.pool()).await.expect("a row");
    assert_eq!(count.get::<i64, _>(0), 3);
}
