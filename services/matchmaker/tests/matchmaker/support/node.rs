//! A matchmaker in this process that can be killed.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use chassis::{
    Context,
    grpc::{Channel, Targets},
};
use stroll_matchmaker::{
    Config, Matchmaker,
    pool::{Limits, Memory, Redis},
};
use stroll_proto::v1::matchmaker_service_client::MatchmakerServiceClient;
use tokio::{runtime::Runtime, sync::oneshot};

use super::{RedisServer, until};

/// Where a matchmaker's pool is.
#[derive(Clone)]
pub(crate) enum Where {
    /// In this process; clones share it.
    Memory(Arc<Memory>),
    /// In a Redis at this URL.
    Redis(String),
}

impl Where {
    /// A pool in memory.
    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::new(Memory::new(Limits::default(), &super::context())))
    }

    /// A pool in a Redis.
    pub(crate) fn redis(server: &RedisServer) -> Self {
        Self::Redis(server.url())
    }
}

/// A matchmaker with a runtime of its own, so that it can be stopped in the middle of everything.
pub(crate) struct Node {
    /// Its context.
    pub(crate) context: Context,
    /// Where gRPC is served.
    pub(crate) address: std::net::SocketAddr,
    /// What it is called.
    pub(crate) id: String,
    runtime: Option<Runtime>,
    ended: oneshot::Receiver<anyhow::Result<()>>,
}

impl Node {
    /// Starts one, which need not be ready yet.
    pub(crate) async fn start(place: &Where) -> Self {
        Self::start_with(place, Config::default()).await
    }

    /// Starts one with settings of its own.
    pub(crate) async fn start_with(place: &Where, config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let context = super::context();
        let (started, start) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (config, place) = (Config { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..config }, place.clone());
        let own = context.clone();
        runtime.spawn(async move {
            let matchmaker = match place {
                Where::Memory(pool) => Matchmaker::bind_with_pool(config, pool, &own).await,
                Where::Redis(url) => {
                    let limits = config.matching.limits();
                    let pool = Redis::new(url.parse().expect("a URL"), "test:".to_owned(), limits, &own);
                    Matchmaker::bind_with_pool(config, Arc::new(pool), &own).await
                }
            };
            let matchmaker = matchmaker.expect("a port");
            let _ = started.send((matchmaker.address(), matchmaker.id().to_owned()));
            let _ = end.send(matchmaker.serve().await);
        });
        let (address, id) = start.await.expect("it starts");
        Self { context, address, id, runtime: Some(runtime), ended }
    }

    /// Waits until it may be sent work.
    pub(crate) async fn ready(&self) {
        until(Duration::from_secs(10), "the matchmaker is ready", async || {
            self.context.readiness.missing().is_empty().then_some(())
        })
        .await;
    }

    /// A client of this one alone.
    pub(crate) fn client(&self, context: &Context) -> MatchmakerServiceClient<Channel> {
        MatchmakerServiceClient::new(Channel::new(context, Targets::from(self.address)))
    }

    /// Stops it in the middle of everything, as a crash does.
    pub(crate) fn kill(mut self) {
        self.stop();
    }

    /// Lets it drain, and tells how that went.
    pub(crate) async fn drain(mut self) -> anyhow::Result<()> {
        self.context.drain.begin();
        let tasks = self.context.tasks.clone();
        let ended = async {
            let ended = (&mut self.ended).await;
            tasks.finished().await;
            ended
        };
        let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
        ended.expect("it and all its tasks end in time").expect("it ran")
    }

    /// Waits for its end, and tells how that went.
    pub(crate) async fn end(&mut self) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(Duration::from_secs(10), &mut self.ended).await;
        ended.expect("it ends in time").expect("it ran")
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}
