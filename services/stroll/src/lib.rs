//! All four services in one process: what `cargo run` starts.
//!
//! They are the same services as in a cluster and talk over the same gRPC, on free ports of 127.0.0.1. Without a Redis the
//! pool is in memory. The order of a drain is the cluster's: first the gateway, then those behind it.

mod config;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use chassis::{Context, Drain};
use gateway::Gateway;
use matchmaker::{Matchmaker, pool::Memory};
use moderation::Moderation;
use relay::Relay;
use tracing::info;

pub use crate::config::Config;

/// A free port of this machine, and of nobody else's.
const INSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Runs everything until it has drained.
///
/// # Errors
/// If a part of it can't start, or fails.
pub async fn run(config: Config, context: Context) -> anyhow::Result<()> {
    // Those behind the gateway go on while it drains.
    let behind = Context { drain: Drain::new(context.drain.remaining()), ..context.clone() };
    let moderation = moderation::Config { listen: INSIDE, policy: config.moderation };
    let moderation = Moderation::bind(moderation, &behind).await.context("starting moderation")?;
    info!(what = "grpc", service = "moderation", address = %moderation.address(), "listening");
    let matchmaker = matchmaker::Config {
        listen: INSIDE,
        redis_url: config.redis_url,
        moderation: Some(moderation.address().into()),
        sections: config.public.wishes.sections.clone(),
        matching: config.matching,
        ..matchmaker::Config::default()
    };
    let matchmaker = bind_matchmaker(matchmaker, &behind).await.context("starting the matchmaker")?;
    info!(what = "grpc", service = "matchmaker", address = %matchmaker.address(), "listening");
    let relay = relay::Config {
        listen: INSIDE,
        advertise: None,
        zone: config.public.zone.clone(),
        matchmaker: matchmaker.address().into(),
        moderation: moderation.address().into(),
        chats: config.chats,
    };
    let relay = Relay::bind(relay, &behind).await.context("starting the relay")?;
    info!(what = "grpc", service = "relay", address = %relay.address(), "listening");
    let gateway = gateway::Config {
        listen: config.listen,
        peer_listen: INSIDE,
        advertise: None,
        matchmaker: matchmaker.address().into(),
        moderation: moderation.address().into(),
        public: config.public,
    };
    let gateway = Gateway::bind(gateway, &context).await.context("starting the gateway")?;
    info!(what = "public", address = %gateway.address(), "listening");
    let front = async {
        let served = gateway.serve().await;
        behind.drain.begin();
        served
    };
    let all = async { tokio::try_join!(front, relay.serve(), matchmaker.serve(), moderation.serve()) };
    let ended = tokio::select! {
        ended = all => ended.map(|_| ()),
        () = context.drain.hard() => Ok(()),
    };
    behind.drain.force();
    ended
}

/// With the pool in Redis where one is named, else in memory.
async fn bind_matchmaker(config: matchmaker::Config, context: &Context) -> anyhow::Result<Matchmaker> {
    if config.redis_url.is_some() {
        Matchmaker::bind(config, context).await
    } else {
        let pool = Memory::new(config.matching.limits(), context);
        Matchmaker::bind_with_pool(config, Arc::new(pool), context).await
    }
}
