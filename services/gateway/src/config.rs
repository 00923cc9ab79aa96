//! The gateway's settings.

use std::{net::SocketAddr, num::NonZeroU32, str::FromStr, time::Duration};

use chassis::{
    Sections, Settings,
    grpc::{Target, Targets},
    settings::duration,
};
use ipnet::IpNet;

use crate::classic;

/// Settings of a gateway.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where clients connect
    #[arg(long, env = "STROLL_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Matchmakers: `http://name:port`, or a comma list
    #[arg(long, env = "STROLL_MATCHMAKER", value_name = "URL")]
    pub matchmaker: Targets,
    /// Moderation: `http://name:port`, or a comma list
    #[arg(long, env = "STROLL_MODERATION", value_name = "URL")]
    pub moderation: Targets,
    /// Where other gateways connect, to reach the sessions of classic clients that are here
    #[arg(long, env = "STROLL_PEER_LISTEN", default_value = "0.0.0.0:7004", value_name = "ADDRESS")]
    pub peer_listen: SocketAddr,
    /// How other gateways reach this one: `http://name:port`. Default: the address it listens on for them, if that is one
    #[arg(long, env = "STROLL_ADVERTISE", value_name = "URL", value_parser = url)]
    pub advertise: Option<String>,
    /// What clients may do
    #[command(flatten)]
    pub public: Public,
}

/// Settings that a process of all services has as well.
#[derive(Clone, Debug, clap::Args)]
pub struct Public {
    /// Failure domain: relays of the same one are preferred
    #[arg(long, env = "STROLL_ZONE", default_value = "", value_name = "NAME")]
    pub zone: String,
    /// Origins that may open a WebSocket, such as `https://chat.example`, comma-separated. Default: the same host
    #[arg(long, env = "STROLL_ORIGINS", value_delimiter = ',', value_name = "ORIGIN")]
    pub origins: Vec<Origin>,
    /// Networks whose `X-Forwarded-For` is believed, comma-separated CIDRs
    #[arg(long, env = "STROLL_TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR")]
    pub trusted_proxies: Vec<IpNet>,
    /// Wishes
    #[command(flatten)]
    pub wishes: Wishes,
    /// Rates and bounds
    #[command(flatten)]
    pub limits: Limits,
    /// What classic clients are offered
    #[command(flatten)]
    pub classic: classic::Settings,
}

/// What wishes may name, and what holds where they name nothing.
#[derive(Clone, Debug, clap::Args)]
pub struct Wishes {
    /// How long a wish with interests looks only for shared ones, where the client names no time
    #[arg(long, env = "STROLL_PATIENCE", default_value = "5s", value_name = "DURATION", value_parser = duration)]
    pub patience: Duration,
    /// How long one who wants to discuss waits for a question before meeting anybody, where the client names no time
    #[arg(
        long,
        env = "STROLL_DISCUSS_PATIENCE",
        default_value = "15s",
        value_name = "DURATION",
        value_parser = duration
    )]
    pub discuss_patience: Duration,
    /// Sections, comma-separated: who waits in one meets nobody of another. The first is for wishes that name none
    #[arg(long, env = "STROLL_SECTIONS", default_value = "main", value_name = "NAMES")]
    pub sections: Sections,
}

/// Rates and bounds of clients.
#[derive(Clone, Debug, clap::Args)]
pub struct Limits {
    /// Open sockets of one address (IPv6: /64)
    #[arg(long, env = "STROLL_CONNECTIONS_PER_ADDRESS", default_value = "32", value_name = "N")]
    pub connections_per_address: NonZeroU32,
    /// New sockets a minute of one address (IPv6: /64)
    #[arg(long, env = "STROLL_HANDSHAKES_PER_ADDRESS", default_value = "120", value_name = "N")]
    pub handshakes_per_address: NonZeroU32,
    /// New sockets a second of the whole gateway
    #[arg(long, env = "STROLL_HANDSHAKES_PER_SECOND", default_value = "2000", value_name = "N")]
    pub handshakes_per_second: NonZeroU32,
    /// Finds a minute of one session
    #[arg(long, env = "STROLL_FINDS_PER_SESSION", default_value = "60", value_name = "N")]
    pub finds_per_session: NonZeroU32,
    /// Messages a second of one session, with a burst of three seconds
    #[arg(long, env = "STROLL_MESSAGES_PER_SESSION", default_value = "10", value_name = "N")]
    pub messages_per_session: NonZeroU32,
}

impl Settings for Config {
    const ADMIN_LISTEN: &'static str = "0.0.0.0:9080";

    fn problems(&self) -> Vec<String> {
        let mut problems = self.public.problems();
        if self.public.classic.is_served && self.peer_listen.ip().is_unspecified() && self.advertise.is_none()
        {
            let listen = self.peer_listen;
            problems.push(format!(
                "--advertise (STROLL_ADVERTISE) has to say how other gateways reach this one, since --peer-listen {listen} names no \
                 address"
            ));
        }
        problems
    }
}

impl Config {
    /// The address that matchmakers name to other gateways, given the one that was bound.
    pub(crate) fn advertised(&self, bound: SocketAddr) -> String {
        self.advertise.clone().unwrap_or_else(|| format!("http://{bound}"))
    }
}

impl Public {
    /// What is wrong with the values together, one sentence each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.classic.problems(&self.wishes.sections)
    }
}

fn url(text: &str) -> Result<String, chassis::grpc::BadTarget> {
    text.parse::<Target>().map(|_| text.trim().trim_end_matches('/').to_owned())
}

/// Scheme, host and port of a page (RFC 6454), in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// Text that is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin such as `https://chat.example`, got `{0}`")]
pub struct BadOrigin(String);

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let origin = text.trim().to_ascii_lowercase();
        let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        match authority.map(str::parse::<http::uri::Authority>) {
            Some(Ok(_)) => Ok(Self(origin)),
            _ => Err(BadOrigin(text.to_owned())),
        }
    }
}

impl Origin {
    /// Host and port, the port only where the origin names it.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, authority)| authority)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The settings that hold where these arguments say nothing else.
    pub fn public(arguments: &[&str]) -> Public {
        let needed =
            ["--matchmaker", "http://a:1", "--moderation", "http://a:1", "--advertise", "http://a:1"];
        let arguments = needed.iter().chain(arguments).map(Into::into);
        let secret = |name: &str| (name == "STROLL_SECRET").then(|| "A".repeat(44).into());
        let parsed = chassis::settings::parse::<Config>("gateway", arguments, secret);
        parsed.expect("good settings").service.public
    }

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_path() {
        assert_eq!("HTTPS://Chat.Example".parse::<Origin>().expect("an origin").authority(), "chat.example");
        assert_eq!("http://a:8080".parse::<Origin>().expect("an origin").authority(), "a:8080");
        for bad in ["", "null", "chat.example", "ftp://a", "https://a/path", "https://"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
