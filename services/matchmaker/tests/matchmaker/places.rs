//! Where the pool may be: what of sentinels and clusters is no fault.

use std::time::Duration;

use stroll_matchmaker::{
    Error,
    pool::{Delivery, Destination, EntryId, Limits, Outcome, Pairing, Pool, Redis, Shard},
};

use crate::support::{Program, RedisCluster, RedisServer, context, put, until};

const WAIT: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(20);
/// The slot of the text shard, which the second of a cluster's masters has at first.
const SLOT: &str = "6442";

fn pool(url: &str) -> Redis {
    Redis::new(url.parse().expect("a URL"), "test:".to_owned(), Limits::default(), &context())
}

fn shard() -> Shard {
    Shard::named("text.main.0").expect("a shard")
}

#[tokio::test]
async fn what_the_url_takes_for_something_else_is_refused_with_a_sentence() {
    let server = RedisServer::start().await;
    let of_a_cluster = RedisServer::start_with(Program::Redis, &["--cluster-enabled", "yes"]).await;
    for (url, sentence) in [
        (of_a_cluster.url(), "redis+cluster://"),
        (server.url().replace("redis:", "redis+cluster:"), "redis://"),
    ] {
        let refused = pool(&url).check().await;
        assert!(matches!(&refused, Err(Error::Refused(why)) if why.contains(sentence)), "{refused:?}");
    }
    let sentinels = format!("redis+sentinel://127.0.0.1:{}/main", server.port);
    let away = pool(&sentinels).check().await;
    assert!(matches!(away, Err(Error::Away(_))), "{away:?}");
}

#[tokio::test]
async fn a_sentinel_that_wants_a_login_gets_that_of_the_master() {
    let master = RedisServer::start_with(Program::Redis, &["--requirepass", "password"]).await;
    let settings = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel auth-pass main password\nrequirepass password\n",
        master.port
    );
    let sentinel = RedisServer::start_sentinel(Program::Redis, &settings).await;
    let place = format!("127.0.0.1:{}", sentinel.port);
    let knows = pool(&format!("redis+sentinel://:password@{place}/main/3"));
    knows.check().await.expect("good");
    put(&knows, &shard(), &["one"]).await.expect("put in");
    let other = pool(&format!("redis+sentinel://:password@{place}/other")).check().await;
    assert!(matches!(&other, Err(Error::Away(why)) if why.contains("no master other")), "{other:?}");
    let without = pool(&format!("redis+sentinel://{place}/main")).check().await;
    assert!(matches!(&without, Err(Error::Away(why)) if why.contains("NOAUTH")), "{without:?}");
}

#[tokio::test]
async fn a_shard_moves_to_another_master_while_it_is_used() {
    let cluster = RedisCluster::start(Program::Redis).await;
    let (from, to) = (&cluster.servers[1], &cluster.servers[0]);
    let [source, target] = [from, to].map(|server| server.told(&["CLUSTER", "MYID"]));
    let (other, pool, shard) = (pool(&cluster.url()), pool(&cluster.url()), shard());
    let generation = pool.generation().await.expect("a generation");
    pool.claim_pairs(&shard, Duration::ZERO).await.expect("the group is made");
    let epoch = pool.acquire(&shard, "me", LEASE).await.expect("an answer").expect("the lease");
    let first = put(&pool, &shard, &["first"]).await.expect("put in")[0];

    // Nothing of it has moved yet.
    to.command(&["CLUSTER", "SETSLOT", SLOT, "IMPORTING", &source]);
    from.command(&["CLUSTER", "SETSLOT", SLOT, "MIGRATING", &target]);
    let second = put(&pool, &shard, &["second"]).await.expect("put in")[0];
    assert!(second > first);
    other.renew(&shard, "me", epoch, LEASE).await.expect("renewed");

    // All of it has, but the slot itself: who is sent there says so.
    let keys = ["owner", "epoch", "tickets", "pairs"].map(|what| format!("test:{{text.main.0}}:{what}"));
    let port = to.port.to_string();
    let migrate = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
    from.command(&migrate.into_iter().chain(keys.iter().map(String::as_str)).collect::<Vec<_>>());
    let read = pool.read_tickets(&shard, EntryId::default(), WAIT).await.expect("entries");
    assert_eq!(read.iter().map(|entry| entry.id).collect::<Vec<_>>(), [first, second]);
    let third = pool.read_tickets(&shard, second, WAIT);
    let (read, third) = tokio::join!(third, put(&pool, &shard, &["third"]));
    assert_eq!(read.expect("the third")[0].id, third.expect("put in")[0]);
    let news = Delivery { to: Destination::Inbox("gateway-1".to_owned()), content: "news".into() };
    let pairing = Pairing { tickets: vec![first, second], deliveries: vec![news] };
    let outcomes = pool.commit(&shard, epoch, &[pairing], &[]).await.expect("an answer");
    assert_eq!(outcomes, [Outcome::Committed]);

    // The slot has moved too, while a read waits where it was.
    let after = EntryId { ms: u64::MAX, seq: 0 };
    let (moved, ()) = tokio::join!(pool.read_tickets(&shard, after, Duration::from_secs(1)), async {
        for server in [to, from, &cluster.servers[2]] {
            server.command(&["CLUSTER", "SETSLOT", SLOT, "NODE", &target]);
        }
    });
    assert_eq!(moved.unwrap_or_default(), [], "it may fail, but not hang");
    for pool in [&pool, &other] {
        pool.renew(&shard, "me", epoch, LEASE).await.expect("whoever has an old map is told");
    }
    let pairs = pool.take_pairs(&shard, WAIT).await.expect("pairs");
    pool.deliver(&shard, &pairs[..1]).await.expect("delivered");
    pool.settle(&shard, &[pairs[0].id]).await.expect("settled");
    assert_eq!(pool.read_inbox("gateway-1", EntryId::default(), WAIT).await.expect("news").len(), 1);
    assert_eq!(pool.last_known_generation().await.expect("a generation"), generation, "nothing was lost");
}

#[tokio::test]
async fn a_cluster_is_used_by_whichever_of_its_servers_is_there() {
    let mut cluster = RedisCluster::start(Program::Redis).await;
    let url = cluster.url();
    cluster.servers[1].kill();
    let pool = pool(&url);
    until(Duration::from_secs(20), "the other one that is named tells who has the shard", async || {
        pool.enqueue(&shard(), &["one".into()]).await.ok()
    })
    .await;
    let read = pool.read_tickets(&shard(), EntryId::default(), WAIT).await.expect("entries");
    assert!(!read.is_empty());
    let [one, two] = [cluster.servers[3].port, cluster.servers[1].port];
    assert!(cluster.servers[3].leads(), "{one} took over from {two}");
}
