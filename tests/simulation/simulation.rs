//! The whole cluster in one thread, on a simulated network and clock, with faults: seed after seed.
//!
//! Each seed runs in a process of its own, so that nothing but the seed decides what happens. `STROLL_SIMULATION_SEED=17` runs one
//! and prints everything that happens; `STROLL_SIMULATION_SEEDS=1000` runs so many, and `STROLL_SIMULATION_FIRST` says from which on.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test: it fails by panicking, and prints what it found"
)]

use std::{
    process::{Command, Output},
    sync::atomic::{AtomicU64, Ordering},
};

/// How many seeds are run where nothing else is said.
const SEEDS: u64 = 200;
/// How many run at the same time.
const AT_ONCE: usize = 2;

fn simulation(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stroll-simulation"));
    command.args(arguments);
    command
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

fn output(arguments: &[&str]) -> Output {
    simulation(arguments).output().expect("the simulation runs")
}

/// What a run printed, and whether all was well.
fn run(arguments: &[&str]) -> (String, bool) {
    let output = output(arguments);
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (text, output.status.success())
}

#[test]
fn i1_i2_i3_i4_hold_whatever_goes_wrong() {
    if let Some(seed) = number("STROLL_SIMULATION_SEED") {
        let ended = simulation(&[&seed.to_string(), "--trace"]).status().expect("the simulation runs");
        assert!(ended.success(), "seed {seed} found something");
        return;
    }
    let first = number("STROLL_SIMULATION_FIRST").unwrap_or(0);
    let seeds = number("STROLL_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(first);
    let failed = std::thread::scope(|scope| {
        let workers = (0..AT_ONCE).map(|_| scope.spawn(|| work(&next, first + seeds))).collect::<Vec<_>>();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect::<Vec<_>>()
    });
    assert!(
        failed.is_empty(),
        "{} of {seeds} seeds found something: {failed:?}; STROLL_SIMULATION_SEED={} shows one from the beginning",
        failed.len(),
        failed[0]
    );
}

/// Runs seeds until there are no more. Returns those that found something.
fn work(next: &AtomicU64, end: u64) -> Vec<u64> {
    let mut failed = Vec::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return failed;
        }
        let (text, is_well) = run(&[&seed.to_string()]);
        if !is_well {
            print!("{text}");
            failed.push(seed);
        }
    }
}

#[test]
fn who_has_patience_waits_no_longer_where_the_clocks_are_apart() {
    stays_well("clocks-apart", &[0, 1, 2]);
}

#[test]
fn a_chat_is_whole_again_though_the_store_forgot_where_it_went() {
    stays_well("home-forgotten", &[3285]);
}

#[test]
fn a_stranger_who_came_back_at_another_relay_is_found() {
    stays_well("half-deaf-relay", &[4012]);
}

/// A plan that found something once, with the strangers of these seeds.
fn stays_well(plan: &str, seeds: &[u64]) {
    for seed in seeds {
        let (text, is_well) = run(&[&seed.to_string(), "--plan", plan]);
        assert!(is_well, "{text}");
    }
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in ["1", "7", "23", "42", "99"] {
        let [one, other] = [run(&[seed]), run(&[seed])];
        assert!(one.0.contains("\ntrace of "), "{}", one.0);
        assert_eq!(one, other, "seed {seed}");
        let (traced, _) = run(&[seed, "--trace"]);
        let end = one.0.find("\ntrace of ").expect("a digest");
        assert!(traced.ends_with(&one.0[end..]), "seed {seed} runs another way when it is traced");
    }
}
