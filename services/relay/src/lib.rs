//! The relay: carries chats.
//!
//! Gateways attach the seats that matchmakers gave out; the relay passes on what is said between the seats of a chat, has
//! it inspected, and ends the chat when somebody leaves, stays away, or has to go. It holds nothing that it would be a loss
//! to lose, and no credential of a datastore.
//!
//! `chat` is the pure heart, one chat's state machine; `hub` holds all of them; `grpc` and `outbox` are the gateways' streams;
//! `inspector`, `moderation` and `reports` talk with moderation, `heartbeat` with matchmakers.

mod chat;
mod config;
mod error;
mod grpc;
mod heartbeat;
mod hub;
mod inspector;
mod metrics;
mod moderation;
mod outbox;
mod reports;
mod seat_token;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use chassis::{Context, Drain, grpc::Channel, net::Listener};
use stroll_proto::v1::relay_service_server::SERVICE_NAME;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use crate::config::{Chats, Config, Unmoderated};
use crate::{grpc::Grpc, heartbeat::Heart, hub::Hub, metrics::Metrics, reports::Reports};

/// How long a draining relay waits for chats that were paired just before, and how often it looks.
const LINGER: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(50);
/// Within which time chats are handed over, at most.
const HAND_OVER: Duration = Duration::from_secs(5);
/// What is kept of a drain's window to end the gateways' streams.
const FAREWELL: Duration = Duration::from_secs(2);

/// A relay that listens.
pub struct Relay {
    config: Config,
    context: Context,
    listener: Listener,
    address: SocketAddr,
}

impl Relay {
    /// Listens for gateways.
    ///
    /// # Errors
    /// If the address can't be had.
    pub async fn bind(config: Config, context: &Context) -> anyhow::Result<Self> {
        let listener = context.net.listen(config.listen).await?;
        let address = listener.address()?;
        Ok(Self { config, context: context.clone(), listener, address })
    }

    /// Where it listens for gateways.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carries chats until the process has drained: until the last chat has ended or gone elsewhere, or the drain's window is over.
    ///
    /// # Errors
    /// If serving gRPC fails.
    pub async fn serve(self) -> anyhow::Result<()> {
        let Self { config, context, listener, address } = self;
        let stopped = CancellationToken::new();
        let _stop_at_end = stopped.clone().drop_guard();
        // Gateways may still attach while the process drains, so the edge has a drain of its own, which begins later.
        let edge = Context { drain: Drain::new(context.drain.remaining()), ..context.clone() };
        let hub = start(&config, &context, address, &stopped);
        let closing = CancellationToken::new();
        let winding_down = wind_down(context.clone(), Arc::clone(&hub), closing.clone(), edge.drain.clone());
        spawn(&context, &stopped, "drain", winding_down);
        let routes = Grpc::routes(edge.clone(), hub, closing.clone());
        let served = tokio::select! {
            served = chassis::grpc::serve(&edge, listener, SERVICE_NAME, routes) => served,
            () = context.drain.hard() => Ok(()),
        };
        closing.cancel();
        edge.drain.force();
        served
    }
}

/// Everything that runs besides the gateways' streams.
fn start(config: &Config, context: &Context, address: SocketAddr, stopped: &CancellationToken) -> Arc<Hub> {
    let metrics = Metrics::new();
    let moderation = Channel::new(context, config.moderation.clone());
    let reports = Reports::new(context, moderation.clone(), metrics.clone());
    let (hub, texts) = Hub::new(context, config.chats.clone(), reports, metrics);
    let heart = Heart {
        relay: format!("relay-{:032x}", u128::from_be_bytes(context.random.bytes())),
        address: config.advertised(address),
        zone: config.zone.clone(),
        known: context.readiness.condition("matchmaker", "no matchmaker has heard this relay yet"),
    };
    let matchmaker = Channel::new(context, config.matchmaker.clone());
    let inspect = moderation::inspect(context.clone(), Arc::clone(&hub), moderation, texts);
    spawn(context, stopped, "time", Arc::clone(&hub).keep_time());
    spawn(context, stopped, "heartbeat", heart.beat(context.clone(), Arc::clone(&hub), matchmaker));
    spawn(context, stopped, "inspect", inspect);
    hub
}

fn spawn(
    context: &Context,
    stopped: &CancellationToken,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let stopped = stopped.clone();
    context.tasks.spawn(name, async move {
        stopped.run_until_cancelled(task).await;
    });
}

/// Waits for the drain, then for the chats to end or to go to other relays. Then ends the gateways' streams; where a chat found no
/// other home, its gateways go on looking for one.
async fn wind_down(context: Context, hub: Arc<Hub>, closing: CancellationToken, edge: Drain) {
    context.drain.soft().await;
    // The condition stays unmet when it is dropped.
    let _ = context.readiness.condition("drain", "draining");
    let window = context.drain.remaining();
    let patience = window.saturating_sub(FAREWELL.min(window / 2));
    let emptied = async {
        tokio::select! {
            () = hand_over(&hub, window) => {}
            () = last_chat(&hub) => {}
        }
    };
    match tokio::time::timeout(patience, emptied).await {
        Ok(()) => info!("no chats are left"),
        Err(_) => {
            warn!(chats = hub.live(), "no other relay took these chats, leaving them to their gateways");
        }
    }
    closing.cancel();
    edge.begin();
}

/// Asks the gateways to go to other relays with their chats, and again where they have not, or where chats were paired just
/// before the drain was known.
async fn hand_over(hub: &Arc<Hub>, window: Duration) {
    let mut spread = HAND_OVER.min(window / 4);
    loop {
        hub.hand_over(spread).await;
        sleep(LINGER).await;
        spread = Duration::ZERO;
    }
}

/// Waits until there has been no chat, and no report on its way, for a moment: some chats may have been paired before the
/// drain was known, and whoever reported is still to be answered.
async fn last_chat(hub: &Hub) {
    let mut quiet = Duration::ZERO;
    while quiet < LINGER {
        sleep(LOOK).await;
        quiet = if hub.live() == 0 && hub.reports_under_way() == 0 { quiet + LOOK } else { Duration::ZERO };
    }
}

/// Runs a relay until it has drained.
///
/// # Errors
/// If it can't start, or serving fails.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let relay = Relay::bind(config, &context).await?;
    info!(what = "grpc", address = %relay.address(), "listening");
    relay.serve().await
}
