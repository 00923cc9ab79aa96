//! The matchmaker: who waits meets whom.
//!
//! Gateways put tickets into the waiting pool ([`pool`]) through any replica. Each shard of the pool is matched by one replica at a
//! time, its owner (`owner`), with an index in memory (`matching`); the pairings go through the store into the gateways'
//! inboxes, which any replica hands out (`watch`). Relays report here that they live (`members`), and are chosen here
//! (`placement`).

mod config;
mod error;
mod explain;
mod grpc;
mod homes;
#[cfg(test)]
mod instructions;
pub mod matching;
mod members;
mod metrics;
mod owner;
mod placement;
pub mod pool;
mod replica;
mod store;
mod watch;

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, anyhow};
use chassis::{Context, net::Listener};
use stroll_proto::v1::matchmaker_service_server::{MatchmakerServiceServer, SERVICE_NAME};
use tonic::service::Routes;
use tracing::info;

pub use crate::{
    config::{Config, Matching},
    error::Error,
};
use crate::{
    grpc::Service,
    pool::{Pool, Redis},
    replica::Replica,
};

/// A matchmaker that listens.
pub struct Matchmaker {
    listener: Listener,
    address: SocketAddr,
    replica: Arc<Replica>,
}

impl Matchmaker {
    /// Listens, with the pool in the Redis that `config` names. That need not be there yet.
    ///
    /// # Errors
    /// If the address can't be had, or `config` names no Redis.
    pub async fn bind(config: Config, context: &Context) -> anyhow::Result<Self> {
        let url = config.redis_url.as_ref().ok_or_else(|| anyhow!("no Redis is named"))?;
        let url = url.reveal().parse().context("reading the URL of Redis")?;
        let pool = Redis::new(url, config.redis_prefix.clone(), config.matching.limits(), context);
        Self::bind_with_pool(config, Arc::new(pool), context).await
    }

    /// Listens, with a pool that is handed in.
    ///
    /// # Errors
    /// If the address can't be had.
    pub async fn bind_with_pool(
        config: Config,
        pool: Arc<dyn Pool>,
        context: &Context,
    ) -> anyhow::Result<Self> {
        let listener = context.net.listen(config.listen).await?;
        let address = listener.address()?;
        let questions = config.matching.questions().context("reading the questions")?;
        let replica = Arc::new(Replica::new(config, questions, pool, context));
        Ok(Self { listener, address, replica })
    }

    /// Where gRPC is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What this replica is called among the others: new with every start.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.replica.id
    }

    /// Serves until the process has drained.
    ///
    /// # Errors
    /// If the store must not be used, or serving fails.
    pub async fn serve(self) -> anyhow::Result<()> {
        let Self { listener, replica, .. } = self;
        let context = replica.context.clone();
        let service = MatchmakerServiceServer::new(Service(Arc::clone(&replica)))
            .max_decoding_message_size(chassis::grpc::MAX_MESSAGE);
        let routes = Routes::new(service);
        let working = async { replica.work().await.context("the waiting pool") };
        tokio::try_join!(chassis::grpc::serve(&context, listener, SERVICE_NAME, routes), working)?;
        Ok(())
    }
}

/// Runs a matchmaker until it has drained.
///
/// # Errors
/// If it can't start, or the store must not be used.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let matchmaker = Matchmaker::bind(config, &context).await?;
    info!(what = "grpc", address = %matchmaker.address(), "listening");
    matchmaker.serve().await
}
