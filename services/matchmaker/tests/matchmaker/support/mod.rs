//! What the tests of the matchmaker stand on.

mod crowd;
mod node;
mod peers;
mod process;
mod proxy;
mod redis;
mod replicas;

use std::time::Duration;

use bytes::Bytes;

use chassis::{Context, Random, Secret};
use stroll_matchmaker::{
    Error,
    pool::{EntryId, Pool, Shard},
};
use tokio::time::{Instant, sleep};

pub(crate) use self::{
    crowd::{Crowd, Losses},
    node::{Node, Where},
    peers::{Gateway, Moderation, Relay, subject, ticket},
    process::Process,
    proxy::Proxy,
    redis::{Program, RedisServer},
    replicas::{RedisCluster, Watched},
};

/// A context whose secret all of a test share.
pub(crate) fn context() -> Context {
    Context::new(Secret::ephemeral(&Random::seeded(7)), Duration::from_secs(5))
}

/// Looks again and again until there is something; panics with `what` when the time is over.
pub(crate) async fn until<T>(within: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The entries of the tickets that were put in.
pub(crate) async fn put(
    pool: &dyn Pool,
    shard: &Shard,
    tickets: &[&'static str],
) -> Result<Vec<EntryId>, Error> {
    let tickets: Vec<_> = tickets.iter().map(|ticket| Bytes::from_static(ticket.as_bytes())).collect();
    Ok(pool.enqueue(shard, &tickets).await?.expect("the shard is open").entries)
}
