//! Moderation: looks at what is said, stores reports, and tells everybody who is banned.
//!
//! Replicas share one durable store and nothing else; each answers every call. Texts are held in memory while they are looked
//! at. What a report froze, and every ban and decision, is in the store before anybody is told of it.
//!
//! `rules` is the pure heart: what breaks which rule, and what follows from that. `inspector` applies it to streams of texts,
//! `journal` stores what was decided; `report` checks and freezes reports, `store` keeps everything, `bans` spreads bans;
//! `grpc` is the edge.

mod bans;
mod config;
mod error;
mod grpc;
mod inspector;
#[cfg(test)]
mod instructions;
mod journal;
mod metrics;
mod report;
pub mod rules;
mod store;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use chassis::{Condition, Context, backoff::Backoff, net::Listener};
use stroll_proto::v1::moderation_service_server::SERVICE_NAME;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{bans::Bans, grpc::Grpc, inspector::Inspector, journal::Journal, metrics::Metrics, store::Store};
pub use crate::{
    config::{BadDatabaseUrl, Config, DatabaseUrl, Policy},
    error::Error,
};

/// Shortest and longest pause between attempts to reach the database at the start.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A moderation replica that listens.
pub struct Moderation {
    context: Context,
    listener: Listener,
    address: SocketAddr,
    store: Store,
    metrics: Metrics,
    ban_duration: Duration,
    /// Whether the database has been reached.
    reached: Condition,
}

impl Moderation {
    /// Listens for relays, gateways and matchmakers. The database need not be there yet.
    ///
    /// # Errors
    /// If the address can't be had, or the database's URL can't be used.
    pub async fn bind(config: Config, context: &Context) -> anyhow::Result<Self> {
        let Config { listen, policy } = config;
        let metrics = Metrics::new();
        let store = Store::new(&policy.database_url, context.random.clone(), metrics.clone());
        let store = store.context("using the database's URL")?;
        let listener = context.net.listen(listen).await?;
        let address = listener.address()?;
        let reached = context.readiness.condition("database", "the database has not been reached yet");
        let (context, ban_duration) = (context.clone(), policy.ban_duration);
        Ok(Self { context, listener, address, store, metrics, ban_duration, reached })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process has drained. It is ready when it has reached the database; until then it looks at texts, and
    /// everything else is UNAVAILABLE.
    ///
    /// # Errors
    /// If serving gRPC fails.
    pub async fn serve(self) -> anyhow::Result<()> {
        let Self { context, listener, store, metrics, ban_duration, reached, .. } = self;
        rules::warm_up();
        let stopped = CancellationToken::new();
        let _stop_at_end = stopped.clone().drop_guard();
        let bans = Arc::new(Bans::new(store.clone(), context.clock, metrics.clone()));
        let follow = follow(context.clone(), store.clone(), Arc::clone(&bans), reached, stopped);
        context.tasks.spawn("bans", follow);
        let (journal, writing) = Journal::start(&context, store.clone(), metrics.clone());
        let inspector = Inspector::new(&context, store, bans, journal, metrics, ban_duration);
        chassis::grpc::serve(&context, listener, SERVICE_NAME, Grpc::routes(inspector)).await?;
        // Every call is over, so that no decision comes any more. The process ends hard when this returns, so those that
        // wait for the database get their last attempts first.
        tokio::select! {
            _ = writing => {}
            () = context.drain.hard() => {}
        }
        Ok(())
    }
}

/// Reaches the database, however long that takes, and then keeps the bans current.
async fn follow(
    context: Context,
    store: Store,
    bans: Arc<Bans>,
    reached: Condition,
    stopped: CancellationToken,
) {
    let ready = async {
        reach(&context, &store, &bans, &reached).await;
        reached.met();
    };
    if stopped.run_until_cancelled(ready).await.is_some() {
        bans.keep_current(stopped).await;
    }
}

async fn reach(context: &Context, store: &Store, bans: &Bans, reached: &Condition) {
    let attempt = async || {
        store.prepare().await?;
        bans.refresh().await
    };
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1, context.random.clone());
    let mut told = None;
    while let Err(error) = attempt().await {
        let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        reached.unmet(error.to_string());
        if told.replace(cause.clone()).as_ref() != Some(&cause) {
            warn!(%error, cause, "the database can't be used yet, trying on");
        }
        backoff.pause().await;
    }
    info!("the database is there");
}

/// Runs a moderation replica until it has drained.
///
/// # Errors
/// If it can't start, or serving fails.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let moderation = Moderation::bind(config, &context).await?;
    info!(what = "grpc", address = %moderation.address(), "listening");
    moderation.serve().await
}
