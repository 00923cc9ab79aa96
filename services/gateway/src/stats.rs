//! The cluster's numbers, as the matchmakers tell them.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use stroll_proto::v1::GatewayLoad;
use tokio::time::Instant;

use crate::hub::Hub;

/// Numbers heard longer ago are not told any more; then the gateway tells its own. They are up to two seconds old when they are
/// heard, and none is to be told after five.
const MAX_AGE: Duration = Duration::from_secs(3);

/// The last numbers heard.
#[derive(Debug, Default)]
pub struct Stats(Mutex<Option<(GatewayLoad, Instant)>>);

/// `/v1/stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Numbers {
    /// Sessions that are connected.
    pub online: u64,
    /// Sessions that wait to be paired.
    pub waiting: u64,
    /// Sessions that are in a chat.
    pub chatting: u64,
}

impl Stats {
    /// News from a matchmaker.
    pub fn heard(&self, cluster: GatewayLoad) {
        *self.0.lock() = Some((cluster, Instant::now()));
    }

    /// The cluster's numbers, at most five seconds old; this gateway's own where those aren't to be had. Nobody is told that
    /// fewer are online than are here.
    #[must_use]
    pub fn read(&self, hub: &Hub) -> Numbers {
        let heard = self.0.lock().filter(|(_, at)| at.elapsed() <= MAX_AGE);
        let own = hub.load();
        let GatewayLoad { online, waiting, chatting, .. } = heard.map_or(own, |(cluster, _)| cluster);
        Numbers { online: online.max(own.online), waiting, chatting }
    }

    /// How long those of spy mode had waited who were paired in the cluster in the last minute.
    #[must_use]
    pub fn spy_waits(&self, hub: &Hub) -> GatewayLoad {
        let heard = self.0.lock().filter(|(_, at)| at.elapsed() <= MAX_AGE);
        heard.map_or_else(|| hub.load(), |(cluster, _)| cluster)
    }
}
