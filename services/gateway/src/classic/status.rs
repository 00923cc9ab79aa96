//! `/status` and `/count`.

use std::{collections::VecDeque, time::Duration};

use serde::Serialize;
use stroll_proto::v1::GatewayLoad;
use tokio::time::Instant;

use crate::{
    hub::Hub,
    protocol::{RawJson, Role},
};

/// For how long a pairing counts in the mean waits.
const RECENT: Duration = Duration::from_mins(1);
/// How many pairings of this gateway count at most.
const MOST: usize = 4_096;

/// The object of `/status`, as clients know it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    count: u64,
    antinudeservers: &'a [super::config::AntinudeServer],
    spy_queue_time: f64,
    rtmfp: &'static str,
    antinudepercent: f64,
    spyee_queue_time: f64,
    timestamp: f64,
    servers: &'a [super::config::Server],
}

/// The cluster's numbers, as JSON.
#[must_use]
pub fn status(hub: &Hub) -> Option<RawJson> {
    let waits = hub.stats.spy_waits(hub);
    let status = Status {
        count: hub.stats.read(hub).online,
        antinudeservers: &hub.config.classic.antinude_servers,
        spy_queue_time: mean_seconds(waits.askers_waited_ms, waits.askers_paired),
        rtmfp: "rtmfp://p2p.rtmfp.net",
        antinudepercent: 0.0,
        spyee_queue_time: mean_seconds(waits.discussers_waited_ms, waits.discussers_paired),
        timestamp: seconds(hub.context.clock.unix_ms()),
        servers: &hub.config.classic.servers,
    };
    serde_json::to_string(&status).ok().and_then(RawJson::new)
}

fn mean_seconds(total_ms: u64, count: u64) -> f64 {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count == 0 { 0.0 } else { seconds(total_ms) / f64::from(count) }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

/// How long those of spy mode had waited who were paired at this gateway in the last minute.
#[derive(Debug, Default)]
pub struct SpyWaits(VecDeque<(Instant, Part, u64)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Asks,
    Discusses,
}

impl SpyWaits {
    /// Somebody was paired after this wait, perhaps with a question to discuss. It counts if it is in spy mode.
    pub fn count(&mut self, role: Role, has_question: bool, waited_ms: u64) {
        let part = match role {
            Role::Spy => Part::Asks,
            Role::Stranger if has_question => Part::Discusses,
            Role::Stranger => return,
        };
        self.0.push_back((Instant::now(), part, waited_ms));
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// Adds them to what a gateway tells.
    pub fn add_to(&mut self, load: &mut GatewayLoad) {
        while self.0.front().is_some_and(|(at, ..)| at.elapsed() >= RECENT) {
            self.0.pop_front();
        }
        for (_, part, waited_ms) in &self.0 {
            let (paired, waited) = match part {
                Part::Asks => (&mut load.askers_paired, &mut load.askers_waited_ms),
                Part::Discusses => (&mut load.discussers_paired, &mut load.discussers_waited_ms),
            };
            *paired += 1;
            *waited += waited_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_paired_in_the_last_minute_counts() {
        let mut waits = SpyWaits::default();
        let load = |waits: &mut SpyWaits| {
            let mut load = GatewayLoad::default();
            waits.add_to(&mut load);
            let asked = mean_seconds(load.askers_waited_ms, load.askers_paired);
            (asked, mean_seconds(load.discussers_waited_ms, load.discussers_paired))
        };
        assert_eq!(load(&mut waits), (0.0, 0.0));
        waits.count(Role::Spy, false, 1_000);
        waits.count(Role::Spy, false, 2_000);
        tokio::time::advance(Duration::from_secs(30)).await;
        waits.count(Role::Stranger, true, 500);
        waits.count(Role::Stranger, false, 9_000);
        assert_eq!(load(&mut waits), (1.5, 0.5));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(load(&mut waits), (0.0, 0.5));
    }
}
