//! The matchmaker's settings.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use chassis::{Redacted, Sections, Settings, grpc::Targets, settings::duration};

use crate::{
    matching::Questions,
    pool::{self, Limits},
};

/// What all keys in Redis begin with.
const PREFIX: &str = "stroll:v1:";
/// Bounds of the lease. A shorter one would be lost to a busy moment, a longer one would leave strangers waiting.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);
const LONGEST_LEASE: Duration = Duration::from_secs(60);
/// Bounds of how long a gateway's tickets are kept. Gateways put theirs in again when they had no watch for 20 s, so that they must
/// not be dropped before; and an inbox lives as long.
const SHORTEST_KEPT: Duration = Duration::from_secs(30);
const LONGEST_KEPT: Duration = Duration::from_secs(3600);
const DEFAULT_POOL_SIZE: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();

/// Settings of a matchmaker.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Where gRPC is served
    #[arg(long, env = "STROLL_LISTEN", default_value = "0.0.0.0:7001", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Redis (7.0 or later, or Valkey): `redis://[user:password@]host:port[/database]`; the master that sentinels name:
    /// `redis+sentinel://[user:password@]host:port[,host:port…]/master-name[/database]`; or a cluster:
    /// `redis+cluster://[user:password@]host:port[,host:port…]`
    #[arg(long, env = "STROLL_REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: Option<Redacted<String>>,

    /// What all keys in Redis begin with
    #[arg(long, env = "STROLL_REDIS_PREFIX", default_value = PREFIX, hide = true, value_name = "TEXT")]
    pub redis_prefix: String,

    /// Moderation, whose bans are followed: `http://name:port`, or a comma list. Where it is unset, no bans are known
    #[arg(long, env = "STROLL_MODERATION", value_name = "URL")]
    pub moderation: Option<Targets>,

    /// How long a shard stays with a matchmaker that is not heard of
    #[arg(long, env = "STROLL_LEASE", default_value = "2s", value_name = "DURATION", value_parser = duration)]
    pub lease: Duration,

    /// The sections, comma-separated: each has waiting pools of its own. The same as the gateways'
    #[arg(long, env = "STROLL_SECTIONS", default_value = "main", value_name = "NAMES")]
    pub sections: Sections,

    /// Who meets whom
    #[command(flatten)]
    pub matching: Matching,
}

/// Settings that a process of all services has as well.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Matching {
    /// Into how many shards each pool is cut. May be changed while the cluster runs, replica by replica
    #[arg(long, env = "STROLL_SHARDS", default_value = "1", value_name = "N")]
    pub shards: NonZeroU32,

    /// Tickets that may wait in a pool; past it a find is answered with `busy`
    #[arg(long, env = "STROLL_POOL_SIZE", default_value = "1000000", value_name = "N")]
    pub pool_size: NonZeroUsize,

    /// How long the tickets of a gateway are kept that is not heard of
    #[arg(long, env = "STROLL_GATEWAY_KEPT", default_value = "60s", value_name = "DURATION", value_parser = duration)]
    pub gateway_kept: Duration,

    /// Questions for two who want to discuss one while nobody asks: a file with one a line, `[de] ` before it for those who
    /// have German in common. Default: a list of some in English
    #[arg(long, env = "STROLL_QUESTIONS", value_name = "FILE")]
    pub questions: Option<PathBuf>,
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            shards: NonZeroU32::MIN,
            pool_size: DEFAULT_POOL_SIZE,
            gateway_kept: Duration::from_secs(60),
            questions: None,
        }
    }
}

impl Matching {
    /// What is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.shards.get() > pool::MAX_SHARDS {
            problems.push(format!("--shards has to be at most {}", pool::MAX_SHARDS));
        }
        if !(SHORTEST_KEPT..=LONGEST_KEPT).contains(&self.gateway_kept) {
            problems.push("--gateway-kept has to be from 30s to 1h".to_owned());
        }
        problems.extend(self.questions().err().map(|error| format!("--questions: {error:#}")));
        problems
    }

    /// The bounds of a store.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { tickets: self.pool_size.get(), inbox_kept: self.gateway_kept, ..Limits::default() }
    }

    /// The operator's questions.
    ///
    /// # Errors
    /// If the file can't be read, or a line of it is bad.
    pub(crate) fn questions(&self) -> anyhow::Result<Questions> {
        self.questions.as_deref().map_or_else(|| Ok(Questions::default()), Questions::read)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7001)),
            redis_url: None,
            redis_prefix: PREFIX.to_owned(),
            moderation: None,
            lease: Duration::from_secs(2),
            sections: Sections::default(),
            matching: Matching::default(),
        }
    }
}

impl Settings for Config {
    const ADMIN_LISTEN: &'static str = "0.0.0.0:9081";

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match &self.redis_url {
            None => problems.push(
                "--redis-url (STROLL_REDIS_URL) has to name the Redis that holds the waiting pool".to_owned(),
            ),
            Some(url) => problems
                .extend(url.reveal().parse::<pool::Url>().err().map(|error| format!("--redis-url: {error}"))),
        }
        if !(SHORTEST_LEASE..=LONGEST_LEASE).contains(&self.lease) {
            problems.push("--lease has to be from 500ms to 60s".to_owned());
        }
        problems.extend(self.matching.problems());
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_at_once_and_no_password_with_it() {
        let good = Config { redis_url: Some("redis://redis:6379".to_owned().into()), ..Config::default() };
        assert_eq!(good.problems(), Vec::<String>::new());
        for form in ["redis+sentinel://a:26379,b:26379/main", "redis+cluster://a:6379,b:6379"] {
            let good = Config { redis_url: Some(form.to_owned().into()), ..Config::default() };
            assert_eq!(good.problems(), Vec::<String>::new(), "{form}");
        }
        let bad = Config {
            redis_url: Some("http://me:secret@redis".to_owned().into()),
            lease: Duration::from_millis(1),
            ..Config::default()
        };
        assert_eq!(bad.problems().len(), 2);
        assert!(!format!("{bad:?} {:?}", bad.problems()).contains("secret"));
        assert_eq!(Config::default().problems().len(), 1);
    }
}
