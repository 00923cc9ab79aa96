//! The gateway's settings.

use std::{net::SocketAddr, num::NonZeroU32, str::FromStr, time::Duration};

use chassis::{Sections, Settings, grpc::Targets, settings::duration};
use ipnet::IpNet;

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
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_path() {
        assert_eq!("HTTPS://Chat.Example".parse::<Origin>().expect("an origin").authority(), "chat.example");
        assert_eq!("http://a:8080".parse::<Origin>().expect("an origin").authority(), "a:8080");
        for bad in ["", "null", "chat.example", "ftp://a", "https://a/path", "https://"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
