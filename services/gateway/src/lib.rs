//! The gateway: the cluster's edge.
//!
//! Strangers connect here, by WebSocket. The gateway is the judge of its sessions (I1): it puts their tickets into the
//! pool through a matchmaker, takes the assignments that come back, and attaches their seats at relays. It holds no
//! credential of a datastore, and no message: numbering and repeat are the clients', it only checks and counts.
//!
//! `session` is the pure heart; `hub` carries out what it decides; `ws` owns the sockets; `tickets` and `watch` talk with
//! matchmakers, `relays` with relays; `page` is the web client; `classic` serves Omegle's clients.

mod address;
mod admission;
mod classic;
mod close;
mod config;
mod farewell;
#[cfg(fuzzing)]
pub mod fuzzing;
mod homes;
mod hub;
#[cfg(test)]
mod instructions;
mod limits;
mod metrics;
mod outbox;
mod page;
mod permit;
mod protocol;
mod relays;
mod session;
mod slot;
mod stats;
mod tickets;
mod token;
mod watch;
mod ws;

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, routing::get};
use chassis::{Context, Drain, grpc::Channel, net::Listener};
use tracing::info;

use crate::hub::Hub;
pub use crate::{
    classic::Settings as Classic,
    config::{Config, Limits, Origin, Public, Wishes},
};

/// What the kernel keeps of what a client has not read, in bytes: as much as four of the longest frames.
const SEND_BUFFER: u32 = 64 * 1024;

/// The gRPC service's full name.
const SERVICE_NAME: &str = "stroll.v1.GatewayService";

/// A gateway that listens.
pub struct Gateway {
    context: Context,
    listener: Listener,
    address: SocketAddr,
    /// For other gateways, where there is something that they may want to reach.
    peers: Option<Listener>,
    hub: Arc<Hub>,
}

impl Gateway {
    /// Listens for clients and other gateways, and begins to watch for assignments and bans.
    ///
    /// # Errors
    /// If an address can't be had.
    pub async fn bind(config: Config, context: &Context) -> anyhow::Result<Self> {
        let listener = context.net.listen_frugally(config.listen, SEND_BUFFER).await?;
        let address = listener.address()?;
        let (mut peers, mut advertised) = (None, String::new());
        if config.public.classic.is_served {
            let listener = context.net.listen(config.peer_listen).await?;
            let address = listener.address()?;
            info!(what = "grpc", %address, "listening");
            advertised = config.advertised(address);
            peers = Some(listener);
        }
        let matchmaker = Channel::new(context, config.matchmaker);
        let moderation = Channel::new(context, config.moderation);
        let hub = Hub::start(context, config.public, advertised, matchmaker, moderation);
        Ok(Self { context: context.clone(), listener, address, peers, hub })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves clients until the process has drained.
    ///
    /// # Errors
    /// If serving gRPC fails.
    pub async fn serve(self) -> anyhow::Result<()> {
        let Self { context, listener, peers, hub, .. } = self;
        let mut router = Router::new().route("/v1/ws", get(ws::upgrade)).route("/v1/stats", get(ws::stats));
        if peers.is_some() {
            router = router.merge(classic::routes());
        }
        let router = router.fallback(page::serve).with_state(Arc::clone(&hub));
        // Others may ask for sessions that are here as long as there are some.
        let edge = Context { drain: Drain::new(context.drain.remaining()), ..context.clone() };
        // Also while it drains: balancers may still send somebody here, and the page can be had; a new socket can't.
        let public = async {
            chassis::http::serve_until(&context, listener, router, hub.drained()).await;
            edge.drain.begin();
            Ok(())
        };
        let inside = async {
            match peers {
                Some(peers) => {
                    let routes = classic::Grpc::routes(&hub);
                    chassis::grpc::serve(&edge, peers, SERVICE_NAME, routes).await
                }
                None => Ok(()),
            }
        };
        let served = tokio::select! {
            served = async { tokio::try_join!(public, inside) } => served.map(|_| ()),
            () = context.drain.hard() => Ok(()),
        };
        edge.drain.force();
        served
    }
}

/// Runs a gateway until it has drained.
///
/// # Errors
/// If it can't start.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    let gateway = Gateway::bind(config, &context).await?;
    info!(what = "public", address = %gateway.address(), "listening");
    gateway.serve().await
}
