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
use crate::{Error, error::Result};

/// Where the pool is.
pub(super) enum Nodes {
    /// All of it at one server.
    One(Connections),
    /// Each key where its slot is.
    Cluster(Cluster),
}

impl Nodes {
    /// Those that a URL names. Connects when they are first used.
    pub(super) fn new(Url { place, login }: Url, context: Context) -> Self {
        match place {
            Place::Server(address) => Self::One(Connections::fixed(address, login, context)),
            Place::Sentinels(sentinels, master) => {
                let sentinels = Sentinels::new(sentinels, master, login, context);
                Self::One(Connections::master(sentinels))
            }
            Place::Cluster(seeds) => Self::Cluster(Cluster::new(seeds, login, context)),
        }
    }

    /// Changes when what was learned may be over: another server, or another connection.
    pub(super) fn number(&self) -> u64 {
        match self {
            Self::One(server) => server.number(),
            Self::Cluster(cluster) => cluster.number(),
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
        let answers = match self {
            Self::One(server) => {
                server.follow_master().await;
                vec![server.run(Work::Command(question), Holder::Owner).await?]
            }
            Self::Cluster(cluster) => cluster.ask_masters(question).await?,
        };
        answers.into_iter().map(read).collect()
    }

    async fn work(&self, key: &[u8], work: Work<'_>) -> Result<Value> {
        match self {
            Self::One(server) => server.run(work, Holder::Owner).await.map_err(Error::from),
            Self::Cluster(cluster) => cluster.run(key, work).await,
        }
    }
}

fn read<T: FromRedisValue>(answer: Value) -> Result<T> {
    redis::from_redis_value(answer).map_err(|error| away(&RedisError::from(error)))
}
