//! A process's life: settings, telemetry, signals, the operators' port, the service, drain, flush, exit code.

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow};
use futures_util::FutureExt as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tracing::{error, info, warn};

use crate::{
    Context, Drain, Random, Secret, Settings, Tasks,
    admin::{self, Admin},
    http,
    settings::{self, Common, Parsed},
    telemetry::Telemetry,
};

/// How long what still runs after the drain's window has to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Runs a service's process from settings to exit code. Its `main` is only this.
///
/// SIGTERM or SIGINT begins the drain, a second one ends it. Exit codes: 0 after a drain, also if that had to be cut
/// short; 1 if the service, or what it stands on, failed; 64 if the settings can't be used.
pub fn run<C, F>(service: &'static str, start: impl FnOnce(C, Context) -> F) -> ExitCode
where
    C: Settings,
    F: Future<Output = anyhow::Result<()>>,
{
    let name = program_name(service);
    let arguments = std::env::args_os().skip(1);
    let parsed = match settings::parse::<C>(&name, arguments, |variable| std::env::var_os(variable)) {
        Ok(parsed) => parsed,
        Err(refusal) => return refusal.report(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name(&name).build() {
        Ok(runtime) => runtime,
        Err(error) => return settings::fail(&format!("cannot start the runtime: {error}")),
    };
    let code = runtime.block_on(live(&name, parsed, start));
    // What did not stop in its grace does not hold up the exit.
    runtime.shutdown_background();
    code
}

/// `stroll-NAME`, but for the program that is all in one.
fn program_name(service: &str) -> String {
    if service == "stroll" { service.to_owned() } else { format!("stroll-{service}") }
}

async fn live<C, F>(name: &str, parsed: Parsed<C>, start: impl FnOnce(C, Context) -> F) -> ExitCode
where
    C: Settings,
    F: Future<Output = anyhow::Result<()>>,
{
    let Parsed { common, service } = parsed;
    let telemetry = Telemetry::start(name, common.log.as_deref(), &Random::from_os());
    log_panics();
    info!(program = name, version = env!("CARGO_PKG_VERSION"), "starting");
    let context = Context::new(secret(&common), common.drain);
    // The operators' port and the signals outlive the drain, so they have a drain and tasks of their own.
    let operators = Context { tasks: Tasks::default(), drain: Drain::new(Duration::ZERO), ..context.clone() };
    let prepared = prepare(&common, &context, &operators, &telemetry).await;
    let outcome = match prepared {
        Ok(()) => supervise(&context, async { start(service, context.clone()).await }).await,
        Err(error) => Err(failed(&error)),
    };
    operators.drain.force();
    telemetry.flush().await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

fn secret(common: &Common) -> Secret {
    common.secret.clone().unwrap_or_else(|| {
        info!("no secret is set, made one up: tokens end with this process, and no other can check them");
        Secret::ephemeral(&Random::from_os())
    })
}

async fn prepare(
    common: &Common,
    context: &Context,
    operators: &Context,
    telemetry: &Telemetry,
) -> anyhow::Result<()> {
    let terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    operators.tasks.spawn("signals", obey(context.drain.clone(), terminate, interrupt));
    let listener = context.net.listen(common.admin_listen).await.context("opening the operators' port")?;
    let address = listener.address()?;
    let Context { readiness, drain, .. } = context.clone();
    let router = admin::router(Admin { readiness, drain, registry: telemetry.registry() });
    let operators = operators.clone();
    let tasks = operators.tasks.clone();
    tasks.spawn("operators' port", async move { http::serve(&operators, listener, router).await });
    info!(what = "admin", %address, "listening");
    Ok(())
}

/// The first signal begins the drain, the second ends it.
async fn obey(drain: Drain, mut terminate: Signal, mut interrupt: Signal) {
    loop {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        if drain.is_draining() {
            warn!(signal = name, "stopping at once");
            drain.force();
        } else {
            info!(signal = name, window_seconds = drain.remaining().as_secs(), "draining");
            drain.begin();
        }
    }
}

/// A failure that has been logged.
struct Failed;

fn failed(error: &anyhow::Error) -> Failed {
    error!(error = %format_args!("{error:#}"), "failed");
    Failed
}

/// Runs the service until it ends or drains, within the drain's window, and then stops what it left running: with the
/// service over, that serves nobody any more.
async fn supervise(
    context: &Context,
    service: impl Future<Output = anyhow::Result<()>>,
) -> Result<(), Failed> {
    let mut outcome = Ok(());
    ends_in_time(context, async { outcome = watch(&context.drain, service).await }).await;
    context.drain.force();
    if timeout(GRACE, context.tasks.finished()).await.is_ok() {
        info!("drained");
    } else {
        warn!(tasks = context.tasks.len(), "tasks did not stop, leaving them behind");
    }
    outcome
}

/// The service, of which the end is the drain's beginning.
async fn watch(drain: &Drain, service: impl Future<Output = anyhow::Result<()>>) -> Result<(), Failed> {
    let ended = AssertUnwindSafe(service).catch_unwind().await;
    let ended = ended.unwrap_or_else(|_| Err(anyhow!("the service panicked")));
    let outcome = ended.map_err(|error| failed(&error));
    if !drain.is_draining() {
        info!("the service has ended, draining");
        drain.begin();
    }
    outcome
}

/// Waits for the service: until the drain's window is over, or is ended by a second signal, and then for a moment more.
async fn ends_in_time(context: &Context, service: impl Future<Output = ()>) {
    let drain = &context.drain;
    let mut service = pin!(service);
    let window = async {
        drain.soft().await;
        tokio::time::sleep(drain.remaining()).await;
    };
    tokio::select! {
        () = &mut service => return,
        () = window => {}
        () = drain.hard() => {}
    }
    warn!(tasks = context.tasks.len(), "the drain's time is over, stopping what is left");
    drain.force();
    // A service that stops at the hard end tells how it ended; one that does not is left.
    let _ = timeout(GRACE, service).await;
}

/// Panics are logged, with where they were. What a panic says can hold a piece of what the code worked on, so in a
/// release build only words that stand in the code are told.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let fixed = payload.downcast_ref::<&'static str>().copied();
        let made = payload.downcast_ref::<String>().map(String::as_str).filter(|_| cfg!(debug_assertions));
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace =
            (backtrace.status() == std::backtrace::BacktraceStatus::Captured).then_some(backtrace);
        error!(
            place,
            thread = std::thread::current().name(),
            backtrace = backtrace.as_ref().map(tracing::field::display),
            "panicked: {}",
            fixed.or(made).unwrap_or("REDACTED"),
        );
    }));
}
