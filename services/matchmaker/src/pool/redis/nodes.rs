//! The servers that hold the pool: one, the master of some, or a cluster.

use std::time::Duration;

use chassis::Context;
use redis::{Cmd, FromRedisValue, RedisError, Value};

use super::{
    cluster::Cluster,
    connection::away,
    connections::{Connections, Holder, Work},
    script::Call,
    sentinel::Sentinels,
    slots,
    url::{Place, Url},
};
use crate::{Error, error::Result, metrics::Metrics};

/// Where the pool is, and how often it was of no use.
pub(super) struct Nodes {
    servers: Servers,
    metrics: Metrics,
}

/// Where the pool is.
enum Servers {
    /// All of it at one server.
    One(Connections),
    /// Each key where its slot is.
    Cluster(Cluster),
}

impl Nodes {
    /// Those that a URL names. Connects when they are first used.
    pub(super) fn new(Url { place, login }: Url, context: Context) -> Self {
        let servers = match place {
            Place::Server(address) => Servers::One(Connections::fixed(address, login, context)),
            Place::Sentinels(sentinels, master) => {
                let sentinels = Sentinels::new(sentinels, master, login, context);
                Servers::One(Connections::master(sentinels))
            }
            Place::Cluster(seeds) => Servers::Cluster(Cluster::new(seeds, login, context)),
        };
        Self { servers, metrics: Metrics::new() }
    }

    /// Whether a single server holds everything.
    pub(super) fn is_one(&self) -> bool {
        matches!(self.servers, Servers::One(_))
    }

    /// Changes when what was learned may be over: another server, or another connection.
    pub(super) fn number(&self) -> u64 {
        match &self.servers {
            Servers::One(server) => server.number(),
            Servers::Cluster(cluster) => cluster.number(),
        }
    }

    /// Runs a command that touches `key` and doesn't wait.
    pub(super) async fn run<T: FromRedisValue>(&self, key: &str, command: &Cmd) -> Result<T> {
        read(self.work(key.as_bytes(), Work::Command(command)).await?)
    }

    /// Calls a script.
    pub(super) async fn invoke<T: FromRedisValue>(&self, call: &Call<'_>) -> Result<T> {
        let key = call.keys().first().map_or(&[][..], Vec::as_slice);
        debug_assert!(
            call.keys().iter().all(|other| slots::of_key(other) == slots::of_key(key)),
            "a script touches one slot"
        );
        read(self.work(key, Work::Script(call)).await?)
    }

    /// Runs a read of `key` that waits up to `wait`.
    pub(super) async fn wait_for(&self, key: &str, command: &Cmd, wait: Duration) -> Result<Value> {
        self.work(key.as_bytes(), Work::Read(command, wait)).await
    }

    /// Asks every master the same. Those that there are now: a server that was deposed is not asked.
    pub(super) async fn ask_masters(&self, question: &Cmd) -> Result<Vec<String>> {
        let answers = match &self.servers {
            Servers::One(server) => {
                server.follow_master().await;
                vec![server.run(Work::Command(question), Holder::Owner).await?]
            }
            Servers::Cluster(cluster) => cluster.ask_masters(question).await?,
        };
        answers.into_iter().map(read).collect()
    }

    async fn work(&self, key: &[u8], work: Work<'_>) -> Result<Value> {
        let done = match &self.servers {
            Servers::One(server) => server.run(work, Holder::Owner).await.map_err(Error::from),
            Servers::Cluster(cluster) => cluster.run(key, work).await,
        };
        done.inspect_err(|error| self.metrics.store_error(error))
    }
}

fn read<T: FromRedisValue>(answer: Value) -> Result<T> {
    redis::from_redis_value(answer).map_err(|error| away(&RedisError::from(error)))
}
