//! All of Stroll in one thread, on a simulated network and clock, from one seed.
//!
//! `stroll-simulation SEED` runs one plan and says what came of it; with `--trace` it tells everything that happens, with what
//! the services log (`RUST_LOG`); with `--plan NAME` it is that of an old find, with `--calm` one in which nothing goes wrong. A process runs one simulation: what it takes for random and for time is made from the seed for the whole
//! process (`mad-turmoil` stands in for the C library's `getrandom` and `clock_gettime`), so that maps, `select!` and
//! libraries with clocks of their own do the same each time.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test program: it fails by panicking, and prints what it found"
)]

mod cluster;
mod ledger;
mod moderation;
mod plan;
mod regressions;
mod run;
mod store;
mod stranger;
mod trace;

use std::process::ExitCode;

use parking_lot::Mutex;
use plan::Plan;
use rand::{SeedableRng as _, rngs::StdRng};

/// Bytes of the simulation's stack.
const STACK: usize = 16 * 1024 * 1024;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().and_then(|seed| seed.parse().ok()).expect("a seed");
    let options: Vec<_> = arguments.collect();
    let mut plan = match options.iter().position(|option| option == "--plan") {
        Some(at) => regressions::named(&options[at + 1], seed).expect("a plan of that name"),
        None => Plan::of(seed),
    };
    if options.iter().any(|option| option == "--calm") {
        plan = plan.calm();
    }
    let traces = options.iter().any(|option| option == "--trace");
    if traces {
        log_everything();
    }
    std::panic::set_hook(Box::new(|panic| PANICS.lock().push(panic.to_string())));
    print!("{plan}");
    // After everything that takes randomness of its own, and in a thread that has taken none.
    mad_turmoil::rand::set_rng(StdRng::seed_from_u64(seed));
    let clocks = mad_turmoil::time::SimClocksGuard::init();
    let simulation = std::thread::Builder::new().name("simulation".to_owned()).stack_size(STACK);
    let simulation = simulation.spawn(move || simulate(&plan, traces)).expect("a thread");
    let ended = simulation.join();
    drop(clocks);
    ended.unwrap_or_else(|_| {
        println!("VIOLATION the simulation panicked: {:?}", PANICS.lock());
        ExitCode::FAILURE
    })
}

fn simulate(plan: &Plan, traces: bool) -> ExitCode {
    if traces {
        trace::print();
    }
    run::run(plan);
    tell(plan)
}

/// What the services log, between the lines of the trace.
fn log_everything() {
    use tracing_subscriber::EnvFilter;
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info,turmoil=warn".to_owned());
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_ansi(false).without_time().init();
}

fn tell(plan: &Plan) -> ExitCode {
    let (summary, mut violations) = ledger::judge(plan);
    violations.extend(PANICS.lock().drain(..).map(|panic| format!("panic: {panic}")));
    let (lines, digest) = trace::digest();
    println!("{summary}");
    println!("trace of {lines} lines: {digest:016x}");
    for violation in &violations {
        println!("VIOLATION {violation}");
    }
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
