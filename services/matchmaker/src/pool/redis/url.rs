//! Where Redis is, as the operator says it.

use std::{fmt, str::FromStr};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo};

/// The port of a sentinel where none is named.
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is, and how to log in:
/// - `redis://[user:password@]host:port[/database]`: one server;
/// - `redis+sentinel://[user:password@]host:port[,host:port…]/master-name[/database]`: the master that these sentinels name;
/// - `redis+cluster://[user:password@]host:port[,host:port…]`: the cluster that these nodes are of.
///
/// `valkey` may stand for `redis`.
#[derive(Clone)]
pub struct Url {
    pub(super) place: Place,
    pub(super) login: RedisConnectionInfo,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One server.
    Server(Address),
    /// Sentinels, and what they call the master that is meant.
    Sentinels(Vec<Address>, String),
    /// Some nodes of a cluster.
    Cluster(Vec<Address>),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Text that is not such a URL. It says nothing of the text, which may have a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It has another form.
    #[error(
        "expected `redis://host:port`, `redis+sentinel://host:port,host:port/master-name` or \
         `redis+cluster://host:port,host:port`, with `user:password@` before the first host and `/database` at the end \
         (not for a cluster) where needed"
    )]
    Form,
    /// It asks for TLS.
    #[error(
        "TLS to Redis is not offered yet: expected `redis://`, `redis+sentinel://` or `redis+cluster://`"
    )]
    Tls,
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(BadUrl::Form)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => {
                let (mut servers, login) = servers(authority, path, None)?;
                let server = servers.pop().filter(|_| servers.is_empty()).ok_or(BadUrl::Form)?;
                Ok(Self { place: Place::Server(server), login })
            }
            "redis+sentinel" | "valkey+sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() || !master.chars().all(is_of_a_name) {
                    return Err(BadUrl::Form);
                }
                let (sentinels, login) = servers(authority, database, Some(SENTINEL_PORT))?;
                Ok(Self { place: Place::Sentinels(sentinels, master.to_owned()), login })
            }
            "redis+cluster" | "valkey+cluster" => {
                let (nodes, login) = servers(authority, path, None)?;
                // A cluster has only this one.
                if login.db() != 0 {
                    return Err(BadUrl::Form);
                }
                Ok(Self { place: Place::Cluster(nodes), login })
            }
            "rediss" | "rediss+sentinel" | "rediss+cluster" | "valkeys" | "valkeys+sentinel"
            | "valkeys+cluster" => Err(BadUrl::Tls),
            _ => Err(BadUrl::Form),
        }
    }
}

/// What Sentinel lets a master be called.
fn is_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "._-".contains(character)
}

/// All servers of an authority, each of which has the same login. `port` is for those that name none, where it is not
/// Redis' own.
fn servers(
    authority: &str,
    database: &str,
    port: Option<u16>,
) -> Result<(Vec<Address>, RedisConnectionInfo), BadUrl> {
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut login = None;
    let mut addresses = Vec::new();
    for host in hosts.split(',') {
        let names_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let port = port.filter(|_| !names_port).map(|port| format!(":{port}")).unwrap_or_default();
        let url = format!("redis://{user}@{host}{port}/{database}");
        let info: ConnectionInfo = url.as_str().into_connection_info().map_err(|_| BadUrl::Form)?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err(BadUrl::Form) };
        addresses.push(Address { host: host.clone(), port: *port });
        login = Some(info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2));
    }
    Ok((addresses, login.ok_or(BadUrl::Form)?))
}

// === impl Address ===

impl Address {
    /// As Redis writes it: `host:port`, an IPv6 address with or without brackets. Where the host is missing, `here` is meant.
    pub(super) fn parse(text: &str, here: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Self::of(host.trim_matches(['[', ']']), port.parse().ok()?, here)
    }

    /// The same of its two parts.
    pub(super) fn of(host: &str, port: u16, here: &Self) -> Option<Self> {
        // `?` is what a node says that doesn't know its own name.
        let host = if host.is_empty() || host == "?" { &here.host } else { host };
        (port != 0).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.to_owned(), port }
    }

    #[test]
    fn a_url_names_a_server_sentinels_or_a_cluster() {
        let table = [
            ("redis://127.0.0.1:6379", Place::Server(address("127.0.0.1", 6379))),
            ("redis://name", Place::Server(address("name", 6379))),
            ("valkey://name:1/", Place::Server(address("name", 1))),
            (" redis://[::1]:6379 ", Place::Server(address("::1", 6379))),
            ("redis+sentinel://a:1/main", Place::Sentinels(vec![address("a", 1)], "main".to_owned())),
            (
                "valkey+sentinel://a,[::1],b:2/my-main.1/3",
                Place::Sentinels(
                    vec![address("a", 26379), address("::1", 26379), address("b", 2)],
                    "my-main.1".to_owned(),
                ),
            ),
            ("redis+cluster://a:1,b", Place::Cluster(vec![address("a", 1), address("b", 6379)])),
            ("REDIS+CLUSTER://a:1/0", Place::Cluster(vec![address("a", 1)])),
        ];
        for (text, place) in table {
            assert_eq!(text.parse::<Url>().map(|url| url.place), Ok(place), "{text}");
        }
    }

    #[test]
    fn the_login_and_the_database_are_read_in_every_form() {
        for text in [
            "redis://me:p%2Fw@name:1/2",
            "redis+sentinel://me:p%2Fw@a:1,b:2/main/2",
            "redis+cluster://me:p%2Fw@a:1,b:2",
        ] {
            let url = text.parse::<Url>().unwrap_or_else(|error| panic!("{text}: {error}"));
            let login = (url.login.username(), url.login.password(), url.login.db());
            let database = if matches!(url.place, Place::Cluster(_)) { 0 } else { 2 };
            assert_eq!(login, (Some("me"), Some("p/w"), database), "{text}");
        }
    }

    #[test]
    fn a_bad_url_is_not_repeated() {
        for (bad, expected) in [
            ("", BadUrl::Form),
            ("name:6379", BadUrl::Form),
            ("http://name:6379", BadUrl::Form),
            ("unix:///tmp/redis.sock", BadUrl::Form),
            ("redis://user:secret@:x/", BadUrl::Form),
            ("redis://user:secret@a:1,b:2", BadUrl::Form),
            ("redis+sentinel://user:secret@a:1", BadUrl::Form),
            ("redis+sentinel://user:secret@a:1/", BadUrl::Form),
            ("redis+sentinel://user:secret@/main", BadUrl::Form),
            ("redis+sentinel://user:secret@a:1,/main", BadUrl::Form),
            ("redis+sentinel://user:secret@a:1/main/x", BadUrl::Form),
            ("redis+sentinel://user:secret@a:1/ma?in", BadUrl::Form),
            ("redis+cluster://user:secret@a:1/2", BadUrl::Form),
            ("redis+cluster://", BadUrl::Form),
            ("rediss://user:secret@a:1", BadUrl::Tls),
            ("rediss+sentinel://user:secret@a:1/main", BadUrl::Tls),
            ("valkeys+cluster://user:secret@a:1", BadUrl::Tls),
        ] {
            let error = bad.parse::<Url>().err().unwrap_or_else(|| panic!("{bad} passes"));
            assert_eq!(error, expected, "{bad}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn an_address_is_read_as_redis_writes_it() {
        let here = address("here", 7000);
        let table = [
            ("10.0.0.1:7001", Some(address("10.0.0.1", 7001))),
            ("::1:7001", Some(address("::1", 7001))),
            ("[::1]:7001", Some(address("::1", 7001))),
            (":7001", Some(address("here", 7001))),
            ("?:7001", Some(address("here", 7001))),
            ("name:0", None),
            ("name", None),
        ];
        for (text, expected) in table {
            assert_eq!(Address::parse(text, &here), expected, "{text}");
        }
        assert_eq!(address("::1", 1).to_string(), "[::1]:1");
    }
}
