//! Something that goes wrong, and how it is made to.

use std::{fmt, time::Duration};

use tokio::time::sleep;

use crate::{
    cluster::{Cluster, Links, Tier},
    process::Signal,
    proxy::Proxy,
};

/// How long a process stands still.
const STOP: Duration = Duration::from_secs(10);
/// How long nothing gets through.
const PARTITION: Duration = Duration::from_secs(2);

/// Something that goes wrong with one process or one link, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL; another process takes its place.
    Kill(Tier, usize),
    /// SIGTERM; another process takes its place when it has ended.
    Terminate(Tier, usize),
    /// SIGSTOP for ten seconds.
    Stop(Tier, usize),
    /// Redis is killed, and comes back empty.
    LoseRedis,
    /// All connections are reset.
    Reset(Link),
    /// Nothing gets through for two seconds.
    Part(Link),
}

/// Between whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Clients and a gateway.
    Gateway(usize),
    /// All gateways and a relay.
    Relay(usize),
    /// One gateway and a relay: only a partition can tell them from others.
    RelayOf {
        /// The relay.
        relay: usize,
        /// The gateway.
        gateway: usize,
    },
    /// Gateways or relays and a matchmaker.
    Matchmaker(usize),
    /// Matchmakers and Redis.
    Redis,
}

impl Fault {
    /// Makes it happen, and waits until it is over. The process in the place of another one may not be ready yet.
    ///
    /// # Panics
    /// If the cluster has no proxies, or a process that is asked to doesn't end well.
    pub async fn inflict(self, cluster: &mut Cluster) {
        match self {
            Self::Kill(tier, number) => cluster.replace(tier, number).await,
            Self::Terminate(tier, number) => cluster.upgrade(tier, number).await,
            Self::Stop(tier, number) => {
                cluster.tier(tier)[number].signal(Signal::Stop).await;
                sleep(STOP).await;
                cluster.tier(tier)[number].signal(Signal::Cont).await;
            }
            Self::LoseRedis => {
                cluster.redis.kill().await;
                cluster.redis.resume(&[]).await;
            }
            Self::Reset(link) => link.proxy(cluster.links()).reset(),
            Self::Part(link) => {
                match link {
                    Link::RelayOf { gateway, .. } => {
                        let gateway = cluster.gateways[gateway].id().expect("it runs");
                        link.proxy(cluster.links()).part_from(gateway);
                    }
                    _ => link.proxy(cluster.links()).part(),
                }
                sleep(PARTITION).await;
                link.proxy(cluster.links()).heal();
            }
        }
    }

    /// What kind it is, whichever process or link it is.
    #[must_use]
    pub fn kind(self) -> String {
        match self {
            Self::Kill(tier, _) => format!("kill {tier}"),
            Self::Terminate(tier, _) => format!("terminate {tier}"),
            Self::Stop(tier, _) => format!("stop {tier} for {STOP:?}"),
            Self::LoseRedis => "lose redis".to_owned(),
            Self::Reset(link) => format!("reset {link}"),
            Self::Part(link) => format!("part {link} for {PARTITION:?}"),
        }
    }
}

impl Link {
    fn proxy(self, links: &Links) -> &Proxy {
        match self {
            Self::Gateway(number) => &links.gateways[number],
            Self::Relay(relay) | Self::RelayOf { relay, .. } => &links.relays[relay],
            Self::Matchmaker(number) => &links.matchmakers[number],
            Self::Redis => &links.redis,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway(_) => "clients–gateway",
            Self::Relay(_) => "gateways–relay",
            Self::RelayOf { .. } => "one gateway–relay",
            Self::Matchmaker(_) => "all–matchmaker",
            Self::Redis => "all–redis",
        })
    }
}
