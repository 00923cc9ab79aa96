//! The command line.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use chassis::settings::duration;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{machine::Watched, outcome, stats};

/// Plays many strangers against gateways of Stroll, and tells how fast the cluster was and what it cost.
///
/// The loop is open: strangers come, wish and talk on a schedule, whether or not the cluster keeps up, and every latency counts from when
/// something was due. One process plays all strangers, so there is one clock.
#[derive(Debug, Parser)]
#[command(name = "stroll-load", version)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// What holds for all scenarios
    #[command(flatten)]
    pub common: Common,
}

/// What holds for all scenarios.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Common {
    /// A gateway: `ws://host:port/v1/ws`. May be repeated, or be a comma list; strangers take them in turns
    #[arg(
        long,
        global = true,
        value_name = "URL",
        value_delimiter = ',',
        default_value = "ws://127.0.0.1:8080/v1/ws"
    )]
    pub gateway: Vec<Gateway>,
    /// A process whose memory and CPU time to tell, and which is no disturbance: `PID` or `name=PID`. May be repeated
    #[arg(long, global = true, value_name = "NAME=PID", value_delimiter = ',')]
    pub watch: Vec<Watched>,
    /// Also writes the result as JSON for machines, see tests/load/README.md
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Plays the same against a bare WebSocket server that only pairs sockets, before and after, and tells the ratios to it
    #[arg(long, global = true)]
    pub baseline: bool,
    /// Reports even if something else used the CPU, and says so
    #[arg(long, global = true)]
    pub anyway: bool,
    /// How much of one core others may use, in percent, before the result is worth nothing
    #[arg(long, global = true, value_name = "PERCENT", default_value = "10")]
    pub quiet: f64,
    /// The cluster's Redis, whose commands and memory to tell: `redis://[user:password@]host:port`
    #[arg(long, global = true, value_name = "URL", value_parser = redis_client)]
    pub redis: Option<redis::Client>,
    /// Also tells what clients sent to Redis from what scripts called, by MONITOR. Redis has to tell each command then, so latencies and
    /// CPU times are not what they would be
    #[arg(long, global = true)]
    pub redis_monitor: bool,
    /// How long Redis is looked at while nobody is there, for what comes whether or not anybody chats
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub redis_rest: Duration,
    /// Shows a line of progress each second, also where stderr is no terminal
    #[arg(long, global = true)]
    pub progress: bool,
    /// Threads that play strangers
    #[arg(long, global = true, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,
    /// How long to wait before memory is looked at: before all, and after all have left
    #[arg(long, global = true, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    pub settle: Duration,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Connect, say hello, stay and answer pings: what a session costs that does nothing
    Idle(Idle),
    /// Find somebody, talk at a rate, leave after a while, again: how long messages take
    Pairs(Pairs),
    /// Find somebody and leave at once, at a rate: how many pairs a second, and how long finding takes
    Match(Match),
    /// All talk, all sockets are dropped at once and come back with their tokens: how long that takes
    Storm(Storm),
    /// The same as `pairs` in the classic HTTP protocol: /start, /events, /send, /disconnect
    Classic(Classic),
    /// Sum several runs of one scenario up, as Markdown: the median of each value, and from where to where they go
    Summary(Summary),
    /// Draw how cost grows, as SVG: with sessions (of `idle`) and with relays (of `pairs`), each with a straight line
    Chart(Chart),
    /// The server of --baseline
    #[command(hide = true)]
    Pipe,
}

/// Settings of `idle`.
#[derive(Clone, Debug, Args)]
pub struct Idle {
    /// Sockets
    #[arg(long, value_name = "N", default_value = "1000")]
    pub sockets: u64,
    /// New ones a second. Gateways take 2,000 a second each, and newcomers only while half of that is left
    #[arg(long, value_name = "RATE", default_value = "500")]
    pub arrivals: f64,
    /// How long the steady state is, in which CPU time is measured. Pings come every 25 s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub duration: Duration,
}

/// Settings of `pairs`.
#[derive(Clone, Debug, Args)]
pub struct Pairs {
    /// Chats at a time
    #[arg(long, value_name = "N", default_value = "500")]
    pub pairs: u64,
    /// New strangers a second
    #[arg(long, value_name = "RATE", default_value = "500")]
    pub arrivals: f64,
    /// Messages a second, of all together. A gateway allows each session 10 (`STROLL_MESSAGES_PER_SESSION`)
    #[arg(long, value_name = "RATE", default_value = "6000")]
    pub rate: f64,
    /// Plays again and again to find the highest rate, from --rate on, at which p99 is not above this, at least 98 % of the messages come
    /// in time, and none is lost. With --baseline, also that of the bare server
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub highest: Option<Duration>,
    /// Bytes of a message's text, at least 80
    #[arg(long, value_name = "BYTES", default_value = "100")]
    pub size: usize,
    /// How long a chat lasts on average, half as much more or less; without it, for ever
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub stay: Option<Duration>,
    /// Between a chat and the next wish
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub pause: Duration,
    /// How long the steady state is, which is measured
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub duration: Duration,
}

/// Settings of `match`.
#[derive(Clone, Debug, Args)]
pub struct Match {
    /// Sockets that share the wishes. A gateway allows each session 60 wishes a minute (`STROLL_FINDS_PER_SESSION`)
    #[arg(long, value_name = "N", default_value = "2000")]
    pub sockets: u64,
    /// New ones a second
    #[arg(long, value_name = "RATE", default_value = "500")]
    pub arrivals: f64,
    /// Pairs a second
    #[arg(long, value_name = "RATE", default_value = "500")]
    pub rate: f64,
    /// How long the steady state is, which is measured
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub duration: Duration,
}

/// Settings of `storm`.
#[derive(Clone, Debug, Args)]
pub struct Storm {
    /// Sockets, each in a chat
    #[arg(long, value_name = "N", default_value = "1000")]
    pub sockets: u64,
    /// New ones a second
    #[arg(long, value_name = "RATE", default_value = "500")]
    pub arrivals: f64,
    /// Messages a second, of all together, before the storm and after it
    #[arg(long, value_name = "RATE", default_value = "100")]
    pub rate: f64,
    /// How long they talk before, and after
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub talk: Duration,
    /// Over how long they come back, each at a random moment. Who is refused waits for as long as it is told, and up to as long again
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub spread: Duration,
    /// How long to wait for all to be back
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub patience: Duration,
}

/// Settings of `classic`.
#[derive(Clone, Debug, Args)]
pub struct Classic {
    /// Chats at a time
    #[arg(long, value_name = "N", default_value = "100")]
    pub pairs: u64,
    /// New strangers a second
    #[arg(long, value_name = "RATE", default_value = "200")]
    pub arrivals: f64,
    /// Messages a second, of all together
    #[arg(long, value_name = "RATE", default_value = "500")]
    pub rate: f64,
    /// Bytes of a message's text, at least 80
    #[arg(long, value_name = "BYTES", default_value = "100")]
    pub size: usize,
    /// How long a chat lasts on average, half as much more or less; without it, for ever
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub stay: Option<Duration>,
    /// Between a chat and the next /start
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub pause: Duration,
    /// How long the steady state is, which is measured
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub duration: Duration,
}

/// Settings of `summary`.
#[derive(Clone, Debug, Args)]
pub struct Summary {
    /// What --json wrote, of runs with the same settings and processes of the same names
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

/// Settings of `chart`.
#[derive(Clone, Debug, Args)]
pub struct Chart {
    /// Where the chart goes
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// What --json wrote, of `idle` with several numbers of sockets, or of `pairs` with several numbers of relays, or of both
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
}

fn redis_client(text: &str) -> Result<redis::Client, String> {
    redis::Client::open(text).map_err(|error| error.to_string())
}

/// A gateway's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway(pub SocketAddr);

impl FromStr for Gateway {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use std::net::ToSocketAddrs as _;
        let bad = || format!("expected `ws://host:port/v1/ws`, got `{text}` (TLS is not spoken here)");
        let rest =
            ["ws://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme)).ok_or_else(bad)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, "v1/ws"));
        if !matches!(path, "v1/ws" | "") {
            return Err(bad());
        }
        let host = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let mut addresses = host.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
        addresses.next().map(Self).ok_or_else(|| format!("{host} has no address"))
    }
}

/// The arguments, or what clap has to say to them.
///
/// # Errors
/// If they make no sense, or ask for help.
pub fn parse(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let command = Cli::command().after_long_help(figures());
    Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// What each figure means.
fn figures() -> String {
    let line = |(name, meaning): (&str, &str)| format!("  {name}: {meaning}\n");
    let counts: String = stats::Count::ALL.into_iter().map(|count| line(count.words())).collect();
    let latencies: String = stats::Latency::ALL.into_iter().map(|latency| line(latency.words())).collect();
    let figures: String = outcome::FIGURES.into_iter().map(line).collect();
    format!(
        "Figures, of the steady state unless they say otherwise:\n{figures}\nLatencies, each as p50, p90, p99, p99.9 and the most, in \
         milliseconds (HDR histograms with three digits):\n{latencies}\nCounts, of the whole run unless they say otherwise:\n{counts}\n\
         Exit codes: 0 reported; 2 bad arguments; 3 something else used the CPU, so there is no report; 1 it could not be done."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Cli, clap::Error> {
        parse(std::iter::once("stroll-load").chain(arguments.iter().copied()).map(Into::into))
    }

    #[test]
    fn gateways_are_a_list() {
        let cli = parsed(&[
            "idle",
            "--gateway",
            "ws://127.0.0.1:1/v1/ws,ws://127.0.0.1:2",
            "--gateway",
            "http://127.0.0.1:3/",
        ]);
        let ports: Vec<_> =
            cli.expect("good arguments").common.gateway.iter().map(|gateway| gateway.0.port()).collect();
        assert_eq!(ports, [1, 2, 3]);
        for bad in ["wss://127.0.0.1:1/v1/ws", "127.0.0.1:1", "ws://127.0.0.1:1/other"] {
            assert!(parsed(&["idle", "--gateway", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn help_explains_every_figure() {
        let help = parsed(&["--help"]).expect_err("help").to_string();
        let names = stats::Count::ALL.into_iter().map(|count| count.words().0);
        let names = names.chain(stats::Latency::ALL.into_iter().map(|latency| latency.words().0));
        for name in names.chain(outcome::FIGURES.into_iter().map(|(name, _)| name)) {
            assert!(help.contains(&format!("{name}:")), "{name}");
        }
    }
}
