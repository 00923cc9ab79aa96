//! Moderation's settings.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use chassis::{Settings, settings::duration};
use sqlx::{any::AnyConnectOptions, postgres::PgConnectOptions};

/// Settings of a moderation replica.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Where relays, gateways and matchmakers connect
    #[arg(long, env = "STROLL_LISTEN", default_value = "0.0.0.0:7003", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// What is kept, and what follows from breaking a rule
    #[command(flatten)]
    pub policy: Policy,
}

/// Settings that a process of all services has as well.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Policy {
    /// Where cases, bans and decisions are kept: `sqlite:path`, or `postgres://user:password@host/database`
    #[arg(
        long,
        env = "STROLL_DATABASE_URL",
        default_value = "sqlite:data/stroll.db",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database_url: DatabaseUrl,
    /// How long those are banned who keep breaking the rules
    #[arg(
        long,
        env = "STROLL_BAN_DURATION",
        default_value = "24h",
        value_name = "DURATION",
        value_parser = duration
    )]
    pub ban_duration: Duration,
}

impl Settings for Config {
    const ADMIN_LISTEN: &'static str = "0.0.0.0:9083";

    fn problems(&self) -> Vec<String> {
        self.policy.problems()
    }
}

impl Policy {
    /// What is wrong with the values, one sentence each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let longest = crate::grpc::LONGEST_BAN;
        let is_good = !self.ban_duration.is_zero() && self.ban_duration <= longest;
        if is_good {
            return Vec::new();
        }
        let days = longest.as_secs() / 86_400;
        vec![format!("--ban-duration has to be more than nothing and at most {days} days")]
    }
}

/// Where a durable store is. Neither its Debug nor any error shows a PostgreSQL URL, which can hold a password.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of SQLite, which is made where it is missing. Processes of one host may share it.
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server, as libpq's URLs name it.
    Postgres(String),
}

/// Text that names no durable store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `sqlite:path`, with the path of a file, or `postgres://user:password@host/database`")]
pub struct BadDatabaseUrl;

impl FromStr for DatabaseUrl {
    type Err = BadDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, BadDatabaseUrl> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            // A database in memory would keep nothing, and options are not the operator's to set.
            let is_file = !path.is_empty() && !path.ends_with('/') && !path.contains([':', '?']);
            return if is_file { Ok(Self::Sqlite(path.into())) } else { Err(BadDatabaseUrl) };
        }
        let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        match text.parse::<PgConnectOptions>() {
            Ok(_) if is_postgres => Ok(Self::Postgres(text.to_owned())),
            _ => Err(BadDatabaseUrl),
        }
    }
}

impl DatabaseUrl {
    /// As the database driver wants it.
    pub(crate) fn connect_options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        match self {
            Self::Sqlite(path) => {
                // The driver decodes these again.
                let path = path.to_string_lossy().replace('%', "%25").replace('#', "%23");
                format!("sqlite:{path}?mode=rwc").parse()
            }
            Self::Postgres(url) => url.parse(),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://REDACTED"),
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::settings::{Parsed, Refusal};

    use super::*;

    const SECRET: &str = "--secret=b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";

    fn parse(arguments: &[&str]) -> Result<Config, Vec<String>> {
        let arguments = [&[SECRET], arguments].concat();
        match chassis::settings::parse::<Config>(
            "stroll-moderation",
            arguments.iter().map(Into::into),
            |_| None,
        ) {
            Ok(Parsed { service, .. }) => Ok(service),
            Err(Refusal::Problems(problems)) => Err(problems),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_set_has_the_documented_value() {
        let config = parse(&[]).expect("good settings");
        assert_eq!(config.listen, "0.0.0.0:7003".parse().expect("an address"));
        assert_eq!(config.policy.database_url, DatabaseUrl::Sqlite("data/stroll.db".into()));
        assert_eq!(config.policy.ban_duration, Duration::from_secs(86_400));
    }

    #[test]
    fn a_database_is_a_file_of_sqlite_or_a_postgresql_server() {
        for (text, path) in
            [("sqlite:a.db", "a.db"), ("sqlite://a/b.db", "a/b.db"), ("sqlite:///a/b c.db", "/a/b c.db")]
        {
            assert_eq!(text.parse(), Ok(DatabaseUrl::Sqlite(path.into())), "{text}");
        }
        for text in ["postgres://me:secret@db:5432/stroll", "postgresql:///stroll?host=/run/postgresql"] {
            assert_eq!(text.parse(), Ok(DatabaseUrl::Postgres(text.into())), "{text}");
        }
    }

    #[test]
    fn every_bad_setting_is_told_and_no_password_with_it() {
        let bad = [
            "--database-url=mysql://me:secret@db/stroll",
            "--database-url=sqlite:",
            "--database-url=sqlite::memory:",
            "--database-url=sqlite:a.db?mode=ro",
            "--database-url=sqlite:folder/",
            "--database-url=a.db",
            "--database-url=postgres://me:secret@db:port/stroll",
            "--ban-duration=0s",
            "--ban-duration=soon",
            "--ban-duration=99999999999999h",
            "--listen=7003",
        ];
        for bad in bad {
            let problems = parse(&[bad]).expect_err(bad);
            assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
            assert!(!problems[0].contains("secret@"), "{problems:?}");
        }
        let url: DatabaseUrl = "postgres://me:secret@db/stroll".parse().expect("a good URL");
        assert_eq!(format!("{url:?}"), "postgres://REDACTED");
    }
}
