//! The relay's settings.

use std::{net::SocketAddr, time::Duration};

use chassis::{
    Settings,
    grpc::{Target, Targets},
    settings::duration,
};

/// Settings of a relay.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where gateways connect
    #[arg(long, env = "STROLL_LISTEN", default_value = "0.0.0.0:7002", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// How gateways reach this relay: `http://name:port`. Default: the address it listens on, if that is one
    #[arg(long, env = "STROLL_ADVERTISE", value_name = "URL", value_parser = url)]
    pub advertise: Option<String>,
    /// Failure domain: gateways of the same one prefer this relay
    #[arg(long, env = "STROLL_ZONE", default_value = "", value_name = "NAME")]
    pub zone: String,
    /// Matchmakers: `http://name:port`, or a comma list
    #[arg(long, env = "STROLL_MATCHMAKER", value_name = "URL")]
    pub matchmaker: Targets,
    /// Moderation: `http://name:port`, or a comma list
    #[arg(long, env = "STROLL_MODERATION", value_name = "URL")]
    pub moderation: Targets,
    /// What holds for chats
    #[command(flatten)]
    pub chats: Chats,
}

/// Settings that a process of all services has as well.
#[derive(Clone, Debug, clap::Args)]
pub struct Chats {
    /// How long the seat of a stranger whose connection was lost is kept
    #[arg(long, env = "STROLL_GRACE", default_value = "30s", value_name = "DURATION", value_parser = duration)]
    pub grace: Duration,
    /// How long the first of two strangers waits for the other's gateway
    #[arg(
        long,
        env = "STROLL_ATTACH_TIMEOUT",
        default_value = "5s",
        value_name = "DURATION",
        value_parser = duration
    )]
    pub attach_timeout: Duration,
    /// What happens with messages while moderation can't be reached
    #[arg(long, env = "STROLL_UNMODERATED", default_value = "pass", value_name = "WHAT")]
    pub unmoderated: Unmoderated,
    /// Most chats at a time
    #[arg(long, env = "STROLL_MAX_CHATS", default_value = "100000", value_name = "N")]
    pub max_chats: usize,
}

/// What happens with messages while moderation can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Unmoderated {
    /// They are delivered without having been looked at.
    Pass,
    /// They are withheld until moderation is back, and delivered then.
    Hold,
}

impl Settings for Config {
    const ADMIN_LISTEN: &'static str = "0.0.0.0:9082";

    fn problems(&self) -> Vec<String> {
        let mut problems = self.chats.problems();
        if self.listen.ip().is_unspecified() && self.advertise.is_none() {
            let listen = self.listen;
            problems.push(format!(
                "--advertise (STROLL_ADVERTISE) has to say how gateways reach this relay, since --listen {listen} names no address"
            ));
        }
        problems
    }
}

impl Chats {
    /// What is wrong with the values, one sentence each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let times = [("--grace", self.grace), ("--attach-timeout", self.attach_timeout)];
        let zeros = times.into_iter().filter(|(_, time)| time.is_zero());
        let mut problems: Vec<_> =
            zeros.map(|(flag, _)| format!("{flag} has to be more than nothing")).collect();
        if self.max_chats == 0 {
            problems.push("--max-chats has to be at least 1".to_owned());
        }
        problems
    }
}

impl Default for Chats {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            attach_timeout: Duration::from_secs(5),
            unmoderated: Unmoderated::Pass,
            max_chats: 100_000,
        }
    }
}

impl Config {
    /// The address that matchmakers name to gateways, given the one that was bound.
    pub(crate) fn advertised(&self, bound: SocketAddr) -> String {
        self.advertise.clone().unwrap_or_else(|| format!("http://{bound}"))
    }
}

fn url(text: &str) -> Result<String, chassis::grpc::BadTarget> {
    text.parse::<Target>().map(|_| text.trim().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use chassis::settings::{Parsed, Refusal};

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, Vec<String>> {
        let arguments = arguments.iter().map(Into::into);
        match chassis::settings::parse::<Config>("stroll-relay", arguments, |_| None) {
            Ok(Parsed { service, .. }) => Ok(service),
            Err(Refusal::Problems(problems)) => Err(problems),
            Err(other) => panic!("{other:?}"),
        }
    }

    const SECRET: &str = "--secret=b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";
    const NEEDED: [&str; 4] =
        [SECRET, "--matchmaker=http://m:1", "--moderation=http://m:2", "--advertise=http://relay-0:7002"];

    #[test]
    fn what_is_not_set_has_the_documented_value() {
        let config = parse(&NEEDED).expect("good settings");
        let standard = Chats::default();
        assert_eq!(config.listen, "0.0.0.0:7002".parse().expect("an address"));
        assert_eq!(config.chats.grace, standard.grace);
        assert_eq!(config.chats.attach_timeout, standard.attach_timeout);
        assert_eq!(config.chats.unmoderated, standard.unmoderated);
        assert_eq!(config.chats.max_chats, standard.max_chats);
    }

    #[test]
    fn the_advertised_address_is_the_one_set_or_the_one_bound() {
        let mut config = parse(&NEEDED).expect("good settings");
        config.advertise = None;
        let bound = |text: &str| text.parse().expect("an address");
        assert_eq!(config.advertised(bound("192.0.2.1:9")), "http://192.0.2.1:9");
        config.advertise = Some("http://relay-0:7002".to_owned());
        assert_eq!(config.advertised(bound("0.0.0.0:9")), "http://relay-0:7002");
    }

    #[test]
    fn a_relay_that_listens_everywhere_has_to_say_how_it_is_reached() {
        let problems = parse(&NEEDED[..3]).expect_err("nobody could reach it");
        assert!(problems[0].contains("--advertise"), "{problems:?}");
        let listening = ["--listen=192.0.2.1:7002"];
        parse(&[&NEEDED[..3], &listening].concat()).expect("it listens on an address");
    }

    #[test]
    fn every_bad_setting_is_told() {
        let bad = ["--grace=0s", "--attach-timeout=0", "--max-chats=0"];
        let problems = parse(&[NEEDED.as_slice(), &bad].concat()).expect_err("bad settings");
        assert_eq!(problems.len(), 3, "{problems:?}");
        for bad in ["--unmoderated=drop", "--advertise=relay-0:7002", "--grace=soon"] {
            let arguments = [&NEEDED[..3], &["--listen=127.0.0.1:7002", bad]].concat();
            let problems = parse(&arguments).expect_err(bad);
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
        let problems = parse(&[NEEDED.as_slice(), &["--listen=here"]].concat()).expect_err("no address");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(parse(&[SECRET, "--listen=127.0.0.1:7002"]).expect_err("two missing").len(), 2);
    }
}
