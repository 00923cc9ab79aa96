//! The gateway: the cluster's edge.
//!
//! Strangers connect here, by WebSocket. The gateway is the judge of its sessions (I1): it puts their tickets into the
//! pool through a matchmaker, takes the assignments that come back, and attaches their seats at relays. It holds no
//! credential of a datastore, and no message: numbering and repeat are the clients', it only checks and counts.
//!
//! `session` is the pure heart; `hub` carries out what it decides; `ws` owns the sockets; `tickets` and `watch` talk with
//! matchmakers, `relays` with relays; `page` is the web client.

mod address;
mod admission;
mod classic;
mod close;
mod config;
mod farewell;
mod homes;
mod hub;
mod limits;
mod metrics;
mod outbox;
mod page;
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
use chassis::{Context, grpc::Channel, net::Listener};
use tracing::info;

pub use crate::config::{Config, Limits, Origin, Public, Wishes};
use crate::hub::Hub;

/// What the kernel keeps of what a client has not read, in bytes: as much as four of the longest frames.
const SEND_BUFFER: u32 = 64 * 1024;

/// A gateway that listens.
pub struct Gateway {
    context: Context,
    listener: Listener,
    address: SocketAddr,
    hub: Arc<Hub>,
}

impl Gateway {
    /// Listens for clients, and begins to watch for assignments and bans.
    ///
    /// # Errors
    /// If the address can't be had.
    pub async fn bind(config: Config, context: &Context) -> anyhow::Result<Self> {
        let listener = context.net.listen_frugally(config.listen, SEND_BUFFER).await?;
        let address = listener.address()?;
        let matchmaker = Channel::new(context, config.matchmaker);
        let moderation = Channel::new(context, config.moderation);
        let hub = Hub::start(context, config.public, matchmaker, moderation);
        Ok(Self { context: context.clone(), listener, address, hub })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves clients until the process has drained.
    ///
    /// # Errors
    /// None at present.
    pub async fn serve(self) -> anyhow::Result<()> {
        let router = Router::new()
            .route("/v1/ws", get(ws::upgrade))
            .route("/v1/stats", get(ws::stats))
            .fallback(page::serve)
            .with_state(Arc::clone(&self.hub));
        // Also while it drains: balancers may still send somebody here, and the page can be had; a new socket can't.
        chassis::http::serve_until(&self.context, self.listener, router, self.hub.drained()).await;
        Ok(())
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
