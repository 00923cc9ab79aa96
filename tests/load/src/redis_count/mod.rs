//! What is used of Redis.
//!
//! Redis counts commands itself, and [`Counter`] looks at that (`INFO commandstats`) over a connection of its own. A command counts wherever it comes from: a
//! script is one (`evalsha`), and each command that it calls is one more. Redis' `total_commands_processed` is the sum of the same, so that only `MONITOR` tells
//! what clients sent (`monitor`). `cost` is what came of it, without what comes whether or not anybody chats.

mod cost;
mod monitor;

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use redis::{Client, Connection};

pub(crate) use self::cost::Done;
pub use self::cost::{Looks, Redis, Spent};
use self::monitor::Monitor;
use crate::clock::Clock;

/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How often each command was called, by its name in lower case.
pub type Commands = BTreeMap<String, u64>;

/// Redis' counters at a moment, without what was asked to read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// When, on the counter's clock.
    pub at: Duration,
    /// All commands since Redis' start, by whom ever.
    pub commands: Commands,
    /// Those that clients sent since the counter's start, if that is wanted.
    pub requests: Option<Commands>,
    /// Memory that holds data and buffers, in bytes.
    pub used_memory: u64,
}

/// Looks at a server's counters.
pub struct Counter {
    connection: Connection,
    monitor: Option<Monitor>,
    clock: Clock,
    /// How often it was looked.
    looks: u64,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counter").field("looks", &self.looks).finish_non_exhaustive()
    }
}

impl Counter {
    /// Connects, and where requests are wanted begins to follow them.
    ///
    /// # Errors
    /// If there is no Redis.
    pub fn connect(client: &Client, wants_requests: bool) -> anyhow::Result<Self> {
        let connect = || client.get_connection_with_timeout(ANSWER).context("connecting to Redis");
        let monitor = if wants_requests { Some(Monitor::start(connect()?)?) } else { None };
        let connection = connect()?;
        connection.set_read_timeout(Some(ANSWER))?;
        Ok(Self { connection, monitor, clock: Clock::start(), looks: 0 })
    }

    /// The counters now.
    ///
    /// # Errors
    /// If Redis does not answer.
    pub fn look(&mut self) -> anyhow::Result<Look> {
        let mut both = redis::pipe();
        if let Some(monitor) = &self.monitor {
            both.cmd("ECHO").arg(monitor.mark()).ignore();
        }
        both.cmd("INFO").arg("commandstats").arg("memory");
        let (text,): (String,) = both.query(&mut self.connection).context("asking Redis for its counters")?;
        let at = self.clock.now();
        let requests = self.monitor.as_ref().map(Monitor::seen).transpose()?;
        let (mut commands, used_memory) =
            parse(&text).context("Redis' answer to INFO has no commandstats or no memory")?;
        // Of our own, the marks are counted so far, and all questions but this one.
        for (name, ours) in [("info", self.looks), ("echo", self.looks + 1)] {
            if name == "info" || self.monitor.is_some() {
                commands.entry(name.to_owned()).and_modify(|calls| *calls = calls.saturating_sub(ours));
            }
        }
        self.looks += 1;
        Ok(Look { at, commands, requests, used_memory })
    }
}

/// The calls of each command and `used_memory`, of an answer to INFO.
fn parse(text: &str) -> Option<(Commands, u64)> {
    let mut commands = Commands::new();
    let mut used_memory = None;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("cmdstat_") {
            let (name, fields) = command.split_once(':')?;
            let calls = fields.split(',').find_map(|field| field.strip_prefix("calls="))?;
            commands.insert(name.to_owned(), calls.parse().ok()?);
        } else if let Some(bytes) = line.strip_prefix("used_memory:") {
            used_memory = bytes.parse().ok();
        }
    }
    Some((commands, used_memory?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_calls_and_memory() {
        let text = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\n\r\n# Commandstats\r\n\
                    cmdstat_xadd:calls=12,usec=20,usec_per_call=1.67,rejected_calls=0,failed_calls=0\r\n\
                    cmdstat_config|get:calls=3,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0\r\n";
        let (commands, memory) = parse(text).expect("an answer");
        let expected = [("xadd", 12), ("config|get", 3)].map(|(name, calls)| (name.to_owned(), calls));
        assert_eq!((commands, memory), (Commands::from(expected), 1_048_576));
        assert_eq!(parse("# Commandstats\r\ncmdstat_get:calls=1\r\n"), None);
        assert_eq!(parse("used_memory:1\r\ncmdstat_get:calls=x\r\n"), None);
    }
}
