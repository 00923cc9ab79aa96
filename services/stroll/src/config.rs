//! Settings of the process that is all in one.

use std::net::SocketAddr;

use chassis::{Redacted, Settings};

/// The settings of all services that make sense in one process. Between themselves they listen on free ports of
/// 127.0.0.1, which are logged.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where clients connect
    #[arg(long, env = "STROLL_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Redis that holds the waiting pool: `redis://`, `redis+sentinel://` or `redis+cluster://`, as `stroll-matchmaker` has
    /// it. Without it the pool is in memory
    #[arg(long, env = "STROLL_REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<Redacted<String>>,
    /// What clients may do
    #[command(flatten)]
    pub public: gateway::Public,
    /// Who meets whom
    #[command(flatten)]
    pub matching: matchmaker::Matching,
    /// What holds for chats
    #[command(flatten)]
    pub chats: relay::Chats,
    /// What moderation keeps and does
    #[command(flatten)]
    pub moderation: moderation::Policy,
}

impl Settings for Config {
    const ADMIN_LISTEN: &'static str = "127.0.0.1:9080";
    const SECRET_IS_OPTIONAL: bool = true;

    fn problems(&self) -> Vec<String> {
        let redis = self.redis_url.as_ref().map(|url| url.reveal().parse::<matchmaker::pool::Url>());
        let redis = redis.and_then(Result::err).map(|error| format!("--redis-url: {error}"));
        [self.public.problems(), self.chats.problems(), self.matching.problems(), self.moderation.problems()]
            .into_iter()
            .flatten()
            .chain(redis)
            .collect()
    }
}
