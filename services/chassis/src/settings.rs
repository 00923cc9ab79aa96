//! Settings: flags and environment variables.
//!
//! Every setting is a flag, and an environment variable of the name that its argument declares. A flag wins over the
//! variable; a variable that is empty counts as unset. What is secret is declared with `hide_env_values`: its value
//! is never printed, and `…_FILE` may name a file that holds it.
//!
//! Invariant: everything that is wrong is told at once, a line each, so that an operator corrects it in one go.

mod collector;

use std::{
    ffi::{OsStr, OsString},
    io::Write as _,
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use clap::{CommandFactory as _, FromArgMatches as _};
use tracing_subscriber::EnvFilter;

use crate::Secret;
use collector::Collector;

/// What a process exits with when its settings can't be used (`EX_USAGE` of BSD's `sysexits.h`).
pub const EXIT_USAGE: u8 = 64;

/// A service's own settings.
pub trait Settings: clap::Args {
    /// Default address of the operators' port.
    const ADMIN_LISTEN: &'static str;
    /// Whether the process may make up a secret of its own where none is set. Only good for a cluster of one process.
    const SECRET_IS_OPTIONAL: bool = false;

    /// What is wrong with the combination of values, one sentence each.
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The settings that every service has.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Common {
    /// Address of the operators' port: /livez, /readyz and /metrics.
    #[arg(long, env = "STROLL_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,

    /// The cluster's secret: at least 32 bytes, in base64. Of a comma list, the first signs and all verify.
    #[arg(long, env = "STROLL_SECRET", hide_env_values = true, value_name = "BASE64")]
    pub secret: Option<Secret>,

    /// How long a drain may take before what still runs is stopped.
    #[arg(long, env = "STROLL_DRAIN", default_value = "60s", value_name = "DURATION", value_parser = duration)]
    pub drain: Duration,

    /// What is logged: a level, or directives such as `info,stroll_relay=debug`. RUST_LOG where this is unset.
    #[arg(long, env = "STROLL_LOG", value_name = "FILTER", value_parser = log_filter)]
    pub log: Option<String>,
}

/// A process's settings.
#[derive(Debug, clap::Parser)]
pub struct Parsed<C: Settings> {
    /// What every service has.
    #[command(flatten)]
    pub common: Common,
    /// What this one has.
    #[command(flatten)]
    pub service: C,
}

/// Why there are no settings to run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Help or the version was asked for; this is it.
    Told(String),
    /// The settings can't be used; a line for each reason.
    Problems(Vec<String>),
}

impl Refusal {
    /// Prints it where it belongs, and says what the process should exit with.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        // Where standard output or error is closed, there is nobody to tell.
        match self {
            Self::Told(text) => {
                let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
                ExitCode::SUCCESS
            }
            Self::Problems(problems) => {
                for problem in problems {
                    let _ = writeln!(std::io::stderr(), "error: {problem}");
                }
                ExitCode::from(EXIT_USAGE)
            }
        }
    }
}

/// Says why a process can't even start, where there is no log yet.
pub(crate) fn fail(problem: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {problem}");
    ExitCode::FAILURE
}

/// The settings of the program called `name`, from its arguments (without the program's own name) and its environment.
///
/// # Errors
/// If help was asked for, or with everything that is wrong.
pub fn parse<C: Settings>(
    name: &str,
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Parsed<C>, Refusal> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let long_help = arguments.iter().any(|argument| argument == OsStr::new("--help"));
    let mut collector = Collector::new(command::<C>(name), arguments, environment);
    let Some(matches) = collector.matches() else {
        let mut command = command::<C>(name);
        return Err(match collector.asked_for() {
            Some(clap::error::ErrorKind::DisplayVersion) => Refusal::Told(command.render_version()),
            Some(_) if long_help => Refusal::Told(command.render_long_help().to_string()),
            Some(_) => Refusal::Told(command.render_help().to_string()),
            None => Refusal::Problems(collector.problems),
        });
    };
    let parsed = Parsed::<C>::from_arg_matches(&matches);
    let mut problems = collector.problems;
    match &parsed {
        Ok(parsed) => problems.extend(parsed.service.problems()),
        // A required value that was wrong is missing now; that has been told.
        Err(error) if problems.is_empty() => problems.push(collector::first_line(error)),
        Err(_) => {}
    }
    parsed.ok().filter(|_| problems.is_empty()).ok_or(Refusal::Problems(problems))
}

fn command<C: Settings>(name: &str) -> clap::Command {
    Parsed::<C>::command()
        .bin_name(name.to_owned())
        .display_name(name.to_owned())
        .version(env!("CARGO_PKG_VERSION"))
        .about("Part of Stroll, anonymous chat between strangers. Every setting is a flag and a variable.")
        .long_about(None)
        .after_help(
            "A value that is secret can be in a file: name it in the variable with _FILE appended.\n\
             OpenTelemetry's own OTEL_* variables say what is pushed, and where to.",
        )
        .mut_arg("admin_listen", |argument| argument.required(false).default_value(C::ADMIN_LISTEN))
        .mut_arg("secret", |argument| argument.required(!C::SECRET_IS_OPTIONAL))
}

/// Text that is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as `500ms`, `5s`, `2m` or `1h`")]
pub struct BadDuration;

/// Reads `500ms`, `5s`, `2m`, `1h`, or a number of seconds. For `#[arg(value_parser = chassis::settings::duration)]`.
///
/// # Errors
/// If it is none of these.
pub fn duration(text: &str) -> Result<Duration, BadDuration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| BadDuration)?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs).ok_or(BadDuration);
    match unit.trim() {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => Err(BadDuration),
    }
}

/// Text that `EnvFilter` can't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a level (error, warn, info, debug, trace, off) or directives such as `info,stroll_relay=debug`"
)]
struct BadFilter;

fn log_filter(text: &str) -> Result<String, BadFilter> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|_| BadFilter)
}

#[cfg(test)]
mod tests;
