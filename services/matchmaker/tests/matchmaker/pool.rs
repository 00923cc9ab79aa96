//! One suite for both stores of the waiting pool: the one in memory is the model of the one in Redis, which is tested on one
//! server of Redis, on Valkey 8, and on a cluster.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chassis::{
    Random,
    id::{ChatId, Epoch, TicketId},
};
use stroll_matchmaker::{
    Error,
    pool::{
        Delivery, Destination, EntryId, EntryKind, Home, Limits, Memory, Outcome, Pair, Pairing, Pool, Redis,
        Shard,
    },
};

use crate::support::{Program, RedisCluster, RedisServer, context, put, until};

const LEASE: Duration = Duration::from_secs(2);
const NO_WAIT: Duration = Duration::ZERO;
const TICKET: TicketId = TicketId([7; 16]);
const WAIT: Duration = Duration::from_secs(5);

/// A store, and how to make it lose everything.
struct Store {
    pool: Arc<dyn Pool>,
    place: Place,
    limits: Limits,
}

/// Where a store is.
enum Place {
    Memory(Arc<Memory>),
    Server(RedisServer),
    /// In a cluster that others use too, with keys that begin like this.
    Cluster(Arc<RedisCluster>, &'static str),
}

impl Store {
    async fn memory(limits: Limits) -> Self {
        let memory = Arc::new(Memory::new(limits, &context()));
        Self { pool: Arc::clone(&memory) as Arc<dyn Pool>, place: Place::Memory(memory), limits }
    }

    async fn redis(limits: Limits) -> Self {
        Self::on(Program::Redis, limits).await
    }

    async fn on(program: Program, limits: Limits) -> Self {
        let server = RedisServer::start_with(program, &[]).await;
        let pool = redis(&server, limits);
        Self { pool, place: Place::Server(server), limits }
    }

    fn in_cluster(cluster: &Arc<RedisCluster>, prefix: &'static str, limits: Limits) -> Self {
        let pool = clustered(cluster, prefix, limits);
        Self { pool, place: Place::Cluster(Arc::clone(cluster), prefix), limits }
    }

    /// The store as another process sees it.
    fn other(&self) -> Arc<dyn Pool> {
        match &self.place {
            Place::Memory(_) => Arc::clone(&self.pool),
            Place::Server(server) => redis(server, self.limits),
            Place::Cluster(cluster, prefix) => clustered(cluster, prefix, self.limits),
        }
    }

    fn lose_everything(&self) {
        match &self.place {
            Place::Memory(memory) => memory.lose_everything(),
            Place::Server(server) => drop(server.command(&["FLUSHALL"])),
            Place::Cluster(cluster, _) => cluster.everywhere(&["FLUSHALL"]),
        }
    }

    /// The only server that it is on.
    fn server(&self) -> &RedisServer {
        match &self.place {
            Place::Server(server) => server,
            _ => panic!("it is on no server of its own"),
        }
    }

    async fn enqueue(&self, ticket: &'static str) -> EntryId {
        put(&*self.pool, &shard(), &[ticket]).await.expect("it is put in")[0]
    }

    async fn own(&self) -> Epoch {
        self.pool.acquire(&shard(), "me", LEASE).await.expect("an answer").expect("the lease")
    }

    async fn commit(&self, epoch: Epoch, pairings: &[Pairing]) -> Vec<Outcome> {
        self.pool.commit(&shard(), epoch, pairings, &[]).await.expect("committed")
    }

    async fn waiting(&self) -> Vec<EntryId> {
        let entries = self.pool.read_tickets(&shard(), EntryId::default(), NO_WAIT).await.expect("entries");
        entries.iter().map(|entry| entry.id).collect()
    }

    async fn take(&self) -> Vec<Pair> {
        self.pool.take_pairs(&shard(), WAIT).await.expect("pairs")
    }

    async fn claim(&self, idle: Duration) -> Vec<Pair> {
        self.pool.claim_pairs(&shard(), idle).await.expect("pairs")
    }

    async fn inbox(&self, gateway: &str, after: EntryId) -> Vec<Bytes> {
        let letters = self.pool.read_inbox(gateway, after, NO_WAIT).await.expect("letters");
        letters.into_iter().map(|(_, letter)| letter).collect()
    }
}

fn redis(server: &RedisServer, limits: Limits) -> Arc<dyn Pool> {
    let url = server.url().parse().expect("a URL");
    Arc::new(Redis::new(url, "test:".to_owned(), limits, &context()))
}

fn clustered(cluster: &RedisCluster, prefix: &str, limits: Limits) -> Arc<dyn Pool> {
    let url = cluster.url().parse().expect("a URL");
    Arc::new(Redis::new(url, prefix.to_owned(), limits, &context()))
}

fn shard() -> Shard {
    named("text.main.0")
}

fn named(name: &str) -> Shard {
    Shard::named(name).expect("a shard")
}

/// Delivers what a pairing leads to.
async fn deliver(pool: &dyn Pool, deliveries: &[Delivery]) -> Result<(), Error> {
    let id = EntryId { ms: 1, seq: 1 };
    pool.deliver(&shard(), &[Pair { id, deliveries: deliveries.to_vec() }]).await
}

fn delivery(gateway: &str, news: &'static str) -> Delivery {
    Delivery { to: Destination::Inbox(gateway.to_owned()), content: news.into() }
}

fn pairing(tickets: [EntryId; 2]) -> Pairing {
    let deliveries = vec![delivery("gateway-a", "one"), delivery("gateway-a", "two")];
    Pairing { tickets: tickets.into(), deliveries }
}

macro_rules! suite {
    ($($(#[$doc:meta])* $name:ident $(with $limits:expr)?;)*) => {
        mod memory {
            $(#[tokio::test] async fn $name() {
                let limits = [$($limits,)? super::Limits::default()][0];
                super::$name(super::Store::memory(limits).await).await;
            })*
        }
        mod redis {
            $(#[tokio::test] async fn $name() {
                let limits = [$($limits,)? super::Limits::default()][0];
                super::$name(super::Store::redis(limits).await).await;
            })*
        }
        mod valkey_8 {
            use super::{Limits, Program, Store};
            $(#[tokio::test] async fn $name() {
                let limits = [$($limits,)? Limits::default()][0];
                super::$name(Store::on(Program::Valkey, limits).await).await;
            })*
        }
        mod cluster {
            use super::{Arc, Limits, Program, RedisCluster, Store};
            // One after the other, because what one does to a cluster it does to all, and starting one takes long.
            #[tokio::test] async fn all_of_the_suite() {
                let cluster = Arc::new(RedisCluster::start(Program::Redis).await);
                $({
                    let limits = [$($limits,)? Limits::default()][0];
                    super::$name(Store::in_cluster(&cluster, stringify!($name), limits)).await;
                })*
            }
        }
    };
}

suite! {
    entries_are_read_in_order_and_a_read_waits_for_the_next;
    a_full_shard_takes_no_more with super::Limits { tickets: 2, ..super::Limits::default() };
    a_ticket_is_cancelled_or_paired_and_never_both;
    a_ticket_moves_to_another_shard_in_one_step_with_its_claim;
    a_shard_opens_with_its_first_owner_and_is_removed_when_it_holds_nothing;
    shards_are_counted_up_by_anybody_and_down_one_by_one;
    a_batch_commits_what_is_there_and_names_what_is_gone;
    an_older_epoch_commits_nothing_renews_nothing_and_releases_nothing;
    a_lease_has_one_owner_until_it_is_over_or_released;
    epochs_rise_also_when_everything_was_lost;
    pairs_outlive_the_owner_who_took_them;
    pairs_flow_again_after_everything_was_lost;
    an_inbox_repeats_everything_until_it_is_trimmed;
    an_inbox_that_nobody_keeps_is_over with super::Limits {
        inbox_kept: std::time::Duration::from_millis(400), ..super::Limits::default()
    };
    heartbeats_are_read_in_order_and_old_ones_go with super::Limits {
        heartbeats_kept: std::time::Duration::from_millis(1), ..super::Limits::default()
    };
    the_generation_changes_only_when_everything_was_lost;
    all_who_ask_for_a_chats_home_get_the_same;
}

async fn entries_are_read_in_order_and_a_read_waits_for_the_next(store: Store) {
    let (one, two) = (store.enqueue("one").await, store.enqueue("two").await);
    assert!(one < two);
    let entries = store.pool.read_tickets(&shard(), EntryId::default(), WAIT).await.expect("entries");
    let kind = |ticket: &'static str| EntryKind::Ticket(ticket.into());
    assert_eq!(
        entries.iter().map(|entry| entry.kind.clone()).collect::<Vec<_>>(),
        [kind("one"), kind("two")]
    );
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [one, two]);

    let shard = shard();
    assert_eq!(store.pool.read_tickets(&shard, two, Duration::from_millis(20)).await.expect("nothing"), []);
    let read = store.pool.read_tickets(&shard, two, WAIT);
    let other = store.other();
    let (read, three) = tokio::join!(read, put(&*other, &shard, &["three"]));
    let read = read.expect("the third");
    assert_eq!(read[0].id, three.expect("put in")[0]);
    assert_eq!(read[0].kind, kind("three"));
}

async fn a_full_shard_takes_no_more(store: Store) {
    let entries = put(&*store.pool, &shard(), &["one", "two", "three"]).await.expect("an answer");
    assert_eq!(entries.len(), 2, "the third finds no room");
    assert_eq!(put(&*store.pool, &shard(), &["three"]).await.expect("an answer"), []);
    let epoch = store.own().await;
    store.pool.commit(&shard(), epoch, &[], &entries[..1]).await.expect("deleted");
    store.enqueue("four").await;
    // What comes from another shard was let in there.
    let moved = Delivery { to: Destination::Shard(shard()), content: "five".into() };
    deliver(&*store.pool, &[moved]).await.expect("delivered");
    assert_eq!(store.waiting().await.len(), 3);
}

async fn a_ticket_moves_to_another_shard_in_one_step_with_its_claim(store: Store) {
    let (here, there) = (named("text.main.1"), shard());
    let epoch = store.pool.acquire(&here, "me", LEASE).await.expect("an answer").expect("the lease");
    let entry = put(&*store.pool, &here, &["one"]).await.expect("put in")[0];
    let moved = Delivery { to: Destination::Shard(there), content: "one".into() };
    let moving = Pairing { tickets: vec![entry], deliveries: vec![moved] };
    store.pool.claim_pairs(&here, NO_WAIT).await.expect("nothing");
    let outcomes = store.pool.commit(&here, epoch, &[moving.clone(), moving.clone()], &[]).await;
    assert_eq!(outcomes.expect("committed"), [Outcome::Committed, Outcome::Gone(vec![entry])]);
    let taken = store.pool.take_pairs(&here, WAIT).await.expect("pairs");
    assert_eq!(taken[0].deliveries, moving.deliveries);
    for _ in 0..2 {
        store.pool.deliver(&here, &taken).await.expect("delivered");
    }
    let arrived = store.pool.read_tickets(&shard(), EntryId::default(), WAIT).await.expect("entries");
    assert_eq!(
        arrived.iter().map(|entry| entry.kind.clone()).collect::<Vec<_>>(),
        [EntryKind::Ticket("one".into())],
        "once"
    );
}

async fn a_shard_opens_with_its_first_owner_and_is_removed_when_it_holds_nothing(store: Store) {
    let (shard, ticket) = (named("text.main.3"), [Bytes::from_static(b"one")]);
    assert_eq!(store.pool.enqueue(&shard, &ticket).await.expect("an answer"), None, "it was never owned");
    let epoch = store.pool.acquire(&shard, "me", LEASE).await.expect("an answer").expect("the lease");
    assert_eq!(store.other().owner(&shard).await.expect("an answer").as_deref(), Some("me"));
    let entries = store.pool.enqueue(&shard, &ticket).await.expect("an answer").expect("it is open").entries;
    assert!(!store.pool.close(&shard, epoch).await.expect("an answer"), "it holds a ticket");
    store.pool.commit(&shard, epoch, &[], &entries).await.expect("deleted");
    let fenced = store.pool.close(&shard, Epoch(1)).await;
    assert!(matches!(fenced, Err(Error::Fenced)), "{fenced:?}");
    assert!(store.pool.close(&shard, epoch).await.expect("an answer"));
    assert_eq!(store.pool.enqueue(&shard, &ticket).await.expect("an answer"), None);
    assert_eq!(store.pool.owner(&shard).await.expect("an answer"), None);
    assert!(!store.pool.cancel(&shard, entries[0], TICKET).await.expect("an answer"), "which opens nothing");
    if let Place::Server(server) = &store.place {
        let left = server.command(&["KEYS", "*text.main.3*"]);
        assert_eq!(left, ::redis::Value::Array(Vec::new()), "not even an empty stream");
    }
}

async fn shards_are_counted_up_by_anybody_and_down_one_by_one(store: Store) {
    let other = store.other();
    let first = shard();
    assert_eq!(store.pool.shards(&first, 2).await.expect("an answer"), 2);
    assert_eq!(other.shards(&first, 4).await.expect("an answer"), 4);
    assert_eq!(store.pool.shards(&first, 1).await.expect("an answer"), 4);
    assert_eq!(
        store.pool.shards(&named("video.main.0"), 1).await.expect("an answer"),
        1,
        "each pool has its own"
    );
    for _ in 0..2 {
        other.shard_closed(&named("text.main.3")).await.expect("an answer");
        assert_eq!(store.pool.shards(&first, 1).await.expect("an answer"), 3, "the same one is closed once");
    }
}

async fn a_ticket_is_cancelled_or_paired_and_never_both(store: Store) {
    let (epoch, shard, other) = (store.own().await, shard(), store.other());
    for round in 0..50 {
        let pair = [store.enqueue("one").await, store.enqueue("two").await];
        let pairings = [pairing(pair)];
        // In turn the one or the other is sent first.
        let (outcomes, cancelled) = if round % 2 == 0 {
            tokio::join!(
                store.pool.commit(&shard, epoch, &pairings, &[]),
                other.cancel(&shard, pair[1], TICKET)
            )
        } else {
            let (cancelled, outcomes) = tokio::join!(
                other.cancel(&shard, pair[1], TICKET),
                store.pool.commit(&shard, epoch, &pairings, &[])
            );
            (outcomes, cancelled)
        };
        let cancelled = cancelled.expect("an answer");
        let expected = if cancelled { Outcome::Gone(vec![pair[1]]) } else { Outcome::Committed };
        assert_eq!(outcomes.expect("an answer"), [expected]);
        assert!(!other.cancel(&shard, pair[1], TICKET).await.expect("an answer"), "it is gone either way");
    }
    let entries = store.pool.read_tickets(&shard, EntryId::default(), NO_WAIT).await.expect("entries");
    let told = entries.iter().filter(|entry| entry.kind == EntryKind::Withdrawn(TICKET)).count();
    assert_eq!(told, 100, "the owner hears of each cancellation");
}

async fn a_batch_commits_what_is_there_and_names_what_is_gone(store: Store) {
    let mut entries = Vec::new();
    for ticket in ["a", "b", "c", "d", "e", "f"] {
        entries.push(store.enqueue(ticket).await);
    }
    let [a, b, c, d, e, f] = entries[..] else { panic!("six") };
    let never = EntryId { ms: 1, seq: 1 };
    store.pool.cancel(&shard(), b, TICKET).await.expect("cancelled");
    let epoch = store.own().await;
    let pairings = [pairing([a, b]), pairing([c, d]), pairing([never, e]), pairing([never, b])];
    let outcomes = store.pool.commit(&shard(), epoch, &pairings, &[f]).await.expect("committed");
    let gone = |entries: &[EntryId]| Outcome::Gone(entries.to_vec());
    assert_eq!(outcomes, [gone(&[b]), Outcome::Committed, gone(&[never]), gone(&[never, b])]);
    let left = store.waiting().await;
    assert_eq!(left[..2], [a, e], "the other halves still wait, and the finished entry is deleted");
    assert_eq!(left.len(), 3, "the third is the cancellation");
    assert_eq!(store.commit(epoch, &pairings[1..2]).await, [gone(&[c, d])], "a repeat does nothing");
    store.claim(NO_WAIT).await;
    let pairs = store.take().await;
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].deliveries, pairings[1].deliveries);
}

async fn an_older_epoch_commits_nothing_renews_nothing_and_releases_nothing(store: Store) {
    let pair = [store.enqueue("one").await, store.enqueue("two").await];
    let old = store.own().await;
    store.pool.release(&shard(), old).await.expect("released");
    let new = store.own().await;
    assert!(new > old);
    let fenced = store.pool.commit(&shard(), old, &[pairing(pair)], &pair).await;
    assert!(matches!(fenced, Err(Error::Fenced)), "{fenced:?}");
    assert_eq!(store.waiting().await, pair);
    let renewed = store.pool.renew(&shard(), "me", old, LEASE).await;
    assert!(matches!(renewed, Err(Error::Fenced)), "{renewed:?}");
    store.pool.release(&shard(), old).await.expect("an answer");
    assert_eq!(store.pool.acquire(&shard(), "other", LEASE).await.expect("an answer"), None);
    assert_eq!(store.commit(new, &[pairing(pair)]).await, [Outcome::Committed]);
}

async fn a_lease_has_one_owner_until_it_is_over_or_released(store: Store) {
    let (shard, short) = (shard(), Duration::from_millis(300));
    let first = store.pool.acquire(&shard, "me", short).await.expect("an answer").expect("the lease");
    assert_eq!(store.other().acquire(&shard, "other", short).await.expect("an answer"), None);
    let elsewhere = named("video.main.0");
    assert!(store.pool.acquire(&elsewhere, "other", short).await.expect("an answer").is_some());
    store.pool.renew(&shard, "me", first, LEASE).await.expect("renewed");
    tokio::time::sleep(short).await;
    assert_eq!(store.pool.acquire(&shard, "other", short).await.expect("an answer"), None, "it was renewed");
    store.pool.renew(&shard, "me", first, short).await.expect("renewed");
    let second = until(LEASE, "the lease is over", async || {
        store.pool.acquire(&shard, "other", LEASE).await.expect("an answer")
    });
    let second = second.await;
    assert!(second > first);
    store.pool.release(&shard, second).await.expect("released");
    assert!(store.own().await > second);
}

async fn epochs_rise_also_when_everything_was_lost(store: Store) {
    let first = store.own().await;
    // Epochs follow the clock, whose next tick has to come before everything is lost.
    until(WAIT, "the clock moves on", async || (context().clock.unix_ms() > first.0 + 5).then_some(())).await;
    store.lose_everything();
    let fenced = store.pool.commit(&shard(), first, &[], &[]).await;
    assert!(matches!(fenced, Err(Error::Fenced)), "{fenced:?}");
    let second = store.own().await;
    assert!(second > first, "{second} is above {first}");
}

async fn pairs_outlive_the_owner_who_took_them(store: Store) {
    store.claim(NO_WAIT).await;
    let epoch = store.own().await;
    for _ in 0..2 {
        let pair = [store.enqueue("one").await, store.enqueue("two").await];
        store.commit(epoch, &[pairing(pair)]).await;
    }
    let taken = store.take().await;
    assert_eq!(taken.len(), 2);
    assert_eq!(store.claim(Duration::from_secs(60)).await, [], "they are not idle for long");
    assert_eq!(store.claim(NO_WAIT).await, taken, "the next owner takes them over");
    let pool = store.other();
    pool.settle(&shard(), &[taken[0].id]).await.expect("settled");
    let idle = until(WAIT, "the other one is idle", async || {
        let claimed = pool.claim_pairs(&shard(), Duration::from_millis(50)).await.expect("pairs");
        (!claimed.is_empty()).then_some(claimed)
    });
    assert_eq!(idle.await, taken[1..]);
    pool.settle(&shard(), &[taken[1].id]).await.expect("settled");
    assert_eq!(store.claim(NO_WAIT).await, []);
    assert_eq!(store.pool.take_pairs(&shard(), NO_WAIT).await.expect("nothing"), []);
}

async fn pairs_flow_again_after_everything_was_lost(store: Store) {
    store.claim(NO_WAIT).await;
    let shard = shard();
    // The read that waits when it happens may fail, but it must not hang.
    let (read, ()) = tokio::join!(store.pool.take_pairs(&shard, Duration::from_millis(300)), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.lose_everything();
    });
    assert_eq!(read.unwrap_or_default(), []);
    let epoch = store.own().await;
    let pair = [store.enqueue("one").await, store.enqueue("two").await];
    store.commit(epoch, &[pairing(pair)]).await;
    assert_eq!(store.claim(NO_WAIT).await, [], "nobody had taken it");
    assert_eq!(store.take().await.len(), 1);
}

async fn an_inbox_repeats_everything_until_it_is_trimmed(store: Store) {
    let start = EntryId::default();
    let news = [delivery("gateway-a", "one"), delivery("gateway-b", "other"), delivery("gateway-a", "two")];
    let other = store.other();
    let (read, ()) = tokio::join!(store.pool.read_inbox("gateway-a", start, WAIT), async {
        deliver(&*other, &news).await.expect("delivered");
    });
    assert_eq!(read.expect("letters")[0].1, "one");
    let letters = store.pool.read_inbox("gateway-a", start, WAIT).await.expect("letters");
    assert_eq!(store.inbox("gateway-a", start).await, ["one", "two"]);
    assert_eq!(store.inbox("gateway-a", letters[0].0).await, ["two"]);
    assert_eq!(store.inbox("gateway-b", start).await, ["other"]);
    store.pool.trim_inbox("gateway-a", letters[0].0).await.expect("trimmed");
    assert_eq!(store.inbox("gateway-a", start).await, ["two"]);
    store.pool.trim_inbox("gateway-a", letters[1].0).await.expect("trimmed");
    assert_eq!(store.inbox("gateway-a", start).await, Vec::<Bytes>::new());
    deliver(&*store.pool, &[delivery("gateway-a", "three")]).await.expect("delivered");
    assert_eq!(store.inbox("gateway-a", letters[1].0).await, ["three"], "ids go on rising");
    store.pool.trim_inbox("nobody", start).await.expect("nothing to do");
    store.pool.keep_inbox("nobody").await.expect("nothing to do");
}

async fn an_inbox_that_nobody_keeps_is_over(store: Store) {
    let start = EntryId::default();
    let news = [delivery("kept", "one"), delivery("forgotten", "one")];
    deliver(&*store.pool, &news).await.expect("delivered");
    until(WAIT, "the inbox is over", async || {
        store.pool.keep_inbox("kept").await.expect("kept");
        let over = store.inbox("forgotten", start).await.is_empty();
        // More news doesn't keep it.
        if !over {
            deliver(&*store.pool, &[delivery("forgotten", "more")]).await.expect("delivered");
        }
        over.then_some(())
    })
    .await;
    assert_eq!(store.inbox("kept", start).await, ["one"]);
    deliver(&*store.pool, &[delivery("forgotten", "two")]).await.expect("delivered");
    assert_eq!(store.inbox("forgotten", start).await, ["two"]);
}

async fn heartbeats_are_read_in_order_and_old_ones_go(store: Store) {
    let mut last = EntryId::default();
    for beat in 0..500_u32 {
        let id = store.pool.heartbeat(beat.to_string().into()).await.expect("stored");
        assert!(id > last);
        last = id;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let other = store.other();
    let (read, id) = tokio::join!(store.pool.read_members(last, WAIT), other.heartbeat("x".into()));
    assert_eq!(read.expect("the new one"), [(id.expect("stored"), Bytes::from("x"))]);
    let kept = store.pool.read_members(EntryId::default(), NO_WAIT).await.expect("heartbeats");
    // Redis drops them by the hundred.
    assert!(kept.len() <= 201, "{} are kept", kept.len());
}

async fn the_generation_changes_only_when_everything_was_lost(store: Store) {
    let other = store.other();
    let first = store.pool.generation().await.expect("a generation");
    assert_eq!(other.generation().await.expect("a generation"), first);
    let told = || async {
        other.enqueue(&shard(), &["one".into()]).await.expect("put in").expect("open").generation
    };
    assert_eq!(told().await, first);
    store.lose_everything();
    let second = store.pool.generation().await.expect("a generation");
    assert_ne!(second, first);
    assert_eq!(other.generation().await.expect("a generation"), second);
    assert_eq!(told().await, second);
}

async fn all_who_ask_for_a_chats_home_get_the_same(store: Store) {
    let chat = ChatId::new(&Random::from_os());
    let other = store.other();
    assert_eq!(store.pool.home(chat).await.expect("an answer"), None);
    let (one, two) = tokio::join!(
        store.pool.choose_home(chat, Epoch(1), "http://a:1"),
        other.choose_home(chat, Epoch(1), "http://b:1")
    );
    let (one, two) = (one.expect("a home"), two.expect("a home"));
    assert_eq!(one, two);
    assert_eq!(one.epoch, Epoch(2));
    assert!(["http://a:1", "http://b:1"].contains(&one.relay.as_str()));
    let next = store.pool.choose_home(chat, Epoch(2), "http://c:1").await.expect("a home");
    assert_eq!(next, Home { epoch: Epoch(3), relay: "http://c:1".to_owned() });
    let late = store.pool.choose_home(chat, Epoch(1), "http://d:1").await.expect("a home");
    assert_eq!(late, next, "who lost an older home is told the newest");
    assert_eq!(store.pool.home(chat).await.expect("an answer"), Some(next));
}

// === only of Redis ===

#[tokio::test]
async fn a_redis_that_drops_keys_is_refused() {
    let server = RedisServer::start().await;
    let pool = redis(&server, Limits::default());
    pool.check().await.expect("good");
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let refused = pool.check().await;
    assert!(matches!(&refused, Err(Error::Refused(why)) if why.contains("noeviction")), "{refused:?}");
}

#[tokio::test]
async fn a_redis_without_memory_is_full_and_its_connection_is_still_good() {
    let server = RedisServer::start().await;
    let pool = redis(&server, Limits::default());
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = put(&*pool, &shard(), &["one"]).await;
    assert!(matches!(full, Err(Error::Full)), "{full:?}");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    put(&*pool, &shard(), &["one"]).await.expect("room");
}

#[tokio::test]
async fn what_frees_memory_is_done_in_whole_also_when_there_is_none() {
    let store = Store::redis(Limits::default()).await;
    let pair = [store.enqueue("one").await, store.enqueue("two").await];
    let third = store.enqueue("three").await;
    let epoch = store.own().await;
    store.claim(NO_WAIT).await;
    let server = store.server();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(store.pool.cancel(&shard(), third, TICKET).await.expect("cancelled"));
    assert_eq!(store.commit(epoch, &[pairing(pair)]).await, [Outcome::Committed]);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(store.take().await.len(), 1);
    assert_eq!(store.waiting().await.len(), 1, "the cancellation is told");
}

#[tokio::test]
async fn a_redis_that_is_away_is_told_at_once_and_used_again_when_it_is_back() {
    let mut server = RedisServer::start().await;
    let pool = redis(&server, Limits::default());
    put(&*pool, &shard(), &["one"]).await.expect("put in");
    let shard = shard();
    let after = EntryId { ms: u64::MAX, seq: 0 };
    let (waited, ()) = tokio::join!(pool.read_tickets(&shard, after, Duration::from_secs(60)), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.kill();
    });
    assert!(matches!(waited, Err(Error::Away(_))), "a read that waits hears of it: {waited:?}");
    let refused = tokio::time::timeout(Duration::from_secs(1), put(&*pool, &shard, &["two"])).await;
    assert!(matches!(refused, Ok(Err(Error::Away(_)))), "{refused:?}");
    server.restart().await;
    until(WAIT, "it is used again", async || put(&*pool, &shard, &["two"]).await.ok()).await;
    let read = until(WAIT, "reads too", async || {
        pool.read_tickets(&shard, EntryId::default(), Duration::from_secs(1)).await.ok()
    });
    assert_eq!(read.await.len(), 1);
}

#[tokio::test]
async fn a_read_that_was_given_up_does_not_disturb_the_next() {
    let server = RedisServer::start().await;
    let pool = redis(&server, Limits::default());
    let shard = shard();
    for _ in 0..3 {
        let given_up = tokio::time::timeout(
            Duration::from_millis(30),
            pool.read_tickets(&shard, EntryId::default(), WAIT),
        )
        .await;
        assert!(given_up.is_err());
    }
    put(&*pool, &shard, &["one"]).await.expect("put in");
    let read = pool.read_tickets(&shard, EntryId::default(), WAIT).await.expect("entries");
    assert_eq!(read.len(), 1);
}

#[tokio::test]
async fn a_read_that_was_given_up_takes_no_pairing_from_the_next_owner() {
    let store = Store::redis(Limits::default()).await;
    let pair = [store.enqueue("one").await, store.enqueue("two").await];
    let epoch = store.own().await;
    store.claim(NO_WAIT).await;
    let shard = shard();
    let given_up = store.pool.take_pairs(&shard, WAIT);
    assert!(tokio::time::timeout(Duration::from_millis(50), given_up).await.is_err());
    let server = store.server();
    until(WAIT, "nobody reads any more", async || (blocked(server) == 0).then_some(())).await;
    let next = store.other();
    let (taken, ()) = tokio::join!(next.take_pairs(&shard, WAIT), async {
        until(WAIT, "the next owner reads", async || (blocked(server) == 1).then_some(())).await;
        assert_eq!(store.commit(epoch, &[pairing(pair)]).await, [Outcome::Committed]);
    });
    assert_eq!(taken.expect("pairs").len(), 1);
}

/// How many connections wait for something at a server.
fn blocked(server: &RedisServer) -> usize {
    let ::redis::Value::BulkString(told) = server.command(&["INFO", "clients"]) else { panic!("no answer") };
    let told = String::from_utf8_lossy(&told).into_owned();
    let blocked = told.lines().find_map(|line| line.strip_prefix("blocked_clients:")).expect("a number");
    blocked.trim().parse().expect("a number")
}
