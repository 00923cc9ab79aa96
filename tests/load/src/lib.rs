//! `stroll-load`: plays many strangers against gateways, and tells how fast the cluster was and what it cost.
//!
//! [`mod@play`] directs workers, each of which is a thread that plays a [`crowd`] with non-blocking sockets ([`net`]) and the wire formats of
//! [`wire`]. [`schedule`] says what is due when, [`delivery`] whether messages arrive once and in order, [`stats`] holds what was seen,
//! and [`machine`] looks at processes. [`outcome`] is what a play came to, [`highest`] how one looks for the highest rate,
//! [`report`] what a run tells. [`pipe`] is the baseline.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a tool of its own, on the host's clock and network"
)]

pub mod baseline;
pub mod cli;
pub mod clock;
pub mod crowd;
pub mod delivery;
pub mod highest;
pub mod machine;
pub mod net;
pub mod outcome;
pub mod pipe;
pub mod play;
pub mod random;
pub mod report;
pub mod saying;
pub mod scenario;
pub mod schedule;
pub mod stats;
pub mod wire;
pub mod worker;

use std::{
    ffi::OsString,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    process::ExitCode,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;

use crate::{
    baseline::Pipe,
    cli::{Cli, Common},
    machine::{Foreign, Machine, Quiet, Watch},
    outcome::Outcome,
    play::{Scenario, play},
    report::{Baseline, Report, SCHEMA, table},
};

/// Something else used the CPU.
const NOT_QUIET: u8 = 3;
/// How long one looks for that before anything is played.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// Runs the program.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    let cli = match cli::parse(arguments.iter().cloned()) {
        Ok(cli) => cli,
        Err(error) => {
            // It goes to stdout or stderr, whichever is right; if that is closed, nobody reads it.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(&cli, &arguments) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "stroll-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let Some(scenario) = scenario::of(cli) else {
        return pipe::run().map(|()| ExitCode::SUCCESS);
    };
    let common = &cli.common;
    check(&scenario)?;
    let mut ours = vec![std::process::id()];
    ours.extend(common.watch.iter().map(|watched| watched.pid));
    let mut report = Report {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        unix_time: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        arguments: arguments.iter().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect(),
        scenario: scenario.name.to_owned(),
        valid: true,
        refusal: None,
        machine: Machine::this(),
        foreign: Foreign::default(),
        outcome: None,
        baseline: None,
    };
    let mut first = Quiet::begin(ours.clone());
    thread::sleep(FIRST_LOOK);
    first.look();
    judge(&mut report, first.foreign(), common);
    if report.valid || common.anyway {
        let mut quiet = Quiet::begin(ours);
        let (outcome, baseline) = measure(&scenario, common, &mut quiet)?;
        quiet.look();
        judge(&mut report, quiet.foreign(), common);
        if report.valid || common.anyway {
            report.outcome = Some(outcome);
            report.baseline = baseline;
        }
    }
    tell(&report, common)
}

/// Says beforehand what can't go well.
fn check(scenario: &Scenario) -> anyhow::Result<()> {
    let files = machine::raise_file_limit();
    let sockets = scenario.plan.strangers * if scenario.is_classic { 2 } else { 1 };
    anyhow::ensure!(
        files > sockets + 64,
        "{sockets} sockets don't fit into this process, which may have {files} files open: see `ulimit -n`"
    );
    let Scenario { plan, .. } = scenario;
    anyhow::ensure!(plan.strangers > 0 && plan.arrivals > 0.0, "somebody has to come");
    Ok(())
}

/// Against the cluster, and against the baseline before and after where that is wanted.
fn measure(
    scenario: &Scenario,
    common: &Common,
    quiet: &mut Quiet,
) -> anyhow::Result<(Outcome, Option<Baseline>)> {
    let shows_progress = common.progress || std::io::stderr().is_terminal();
    let gateways: Vec<SocketAddr> = common.gateway.iter().map(|gateway| gateway.0).collect();
    let has_baseline = common.baseline && scenario::has_baseline(scenario);
    if common.baseline && !has_baseline {
        writeln!(
            std::io::stderr(),
            "stroll-load: there is nothing to compare `{}` with, so it is played without a baseline",
            scenario.name
        )?;
    }
    let pipe = |quiet: &mut Quiet| {
        highest::find(scenario, |scenario| {
            let pipe = Pipe::start()?;
            play(scenario, "pipe", &[pipe.address], &pipe.watch(), quiet, shows_progress)
        })
    };
    let mut baselines = Vec::new();
    if has_baseline {
        baselines.push(pipe(quiet)?);
    }
    let watch = Watch(common.watch.clone());
    let outcome = highest::find(scenario, |scenario| {
        play(scenario, "stroll", &gateways, &watch, quiet, shows_progress)
    })?;
    if has_baseline {
        baselines.push(pipe(quiet)?);
    }
    if shows_progress && std::io::stderr().is_terminal() {
        writeln!(std::io::stderr())?;
    }
    let baseline = has_baseline.then(|| Baseline::new(&outcome, baselines));
    Ok((outcome, baseline))
}

/// Whether others used too much of the CPU.
fn judge(report: &mut Report, foreign: Foreign, common: &Common) {
    report.valid = foreign.percent <= common.quiet;
    report.refusal = None;
    if !report.valid {
        let who: Vec<_> = foreign
            .offenders
            .iter()
            .map(|offender| match offender.pid {
                0 => format!("{} {:.1} s", offender.name, offender.seconds),
                pid => format!("{} (process {pid}) {:.1} s", offender.name, offender.seconds),
            })
            .collect();
        report.refusal = Some(format!(
            "others used {:.0} % of a core over {:.0} s, which is more than {} %: {}. A process that belongs to the cluster is named with --watch",
            foreign.percent,
            foreign.seconds,
            common.quiet,
            who.join(", ")
        ));
    }
    report.foreign = foreign;
}

fn tell(report: &Report, common: &Common) -> anyhow::Result<ExitCode> {
    if let Some(path) = &common.json {
        let json = serde_json::to_string_pretty(report)?;
        std::fs::write(path, json + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    if report.outcome.is_some() {
        write!(std::io::stdout(), "{}", table(report))?;
        return Ok(ExitCode::SUCCESS);
    }
    let refusal = report.refusal.as_deref().unwrap_or_default();
    writeln!(std::io::stderr(), "stroll-load: no report, because {refusal}. --anyway reports all the same")?;
    Ok(ExitCode::from(NOT_QUIET))
}
