//! How many pairs a second one owner makes through gRPC and Redis, and how long a pair takes at 2,000 arrivals a second.
//!
//! A Redis without persistence and a matchmaker run as processes, and this one plays the gateways and relays. Everybody has three of
//! twenty interests. All share the machine's cores, so that what is measured is what it does with all that belongs to
//! a pair.
//!
//! - Throughput: a closed loop. As many wait as saturate the matchmaker; who is paired comes back at once.
//! - Pair time: an open loop, in which people come at random moments whatever becomes of those before. It counts from
//!   the moment at which one was to come to the assignment's arrival at the gateway.
//! - The ceiling: the script that commits pairings, alone on the same Redis.

#[path = "../report/mod.rs"]
mod report;
#[path = "../tickets/mod.rs"]
mod tickets;

mod ceiling;
mod gateway;
mod processes;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use chassis::{Context, Random, Secret, grpc::Channel};
use tokio::time::{Instant, interval, sleep};

use self::{
    gateway::{Crowd, Gateway},
    processes::Process,
    report::{Bar, Figure},
};

const THROUGHPUT: &str = "end to end, as many pairs as possible";
const PAIR_TIME: &str = "end to end, 2,000 arrivals/s";
const CEILING: &str = "the bare commit script";

const GATEWAYS: u64 = 4;
const RELAYS: u64 = 4;
const RUNS: usize = 3;
/// Who waits or is being paired in the closed loop.
const CROWD: usize = 8_192;
const WARM_UP: Duration = Duration::from_secs(3);
const RUN: Duration = Duration::from_secs(5);
/// What arrives in the open loop, and how long that goes on.
const ARRIVALS_PER_SECOND: f64 = 2_000.0;
const OPEN: Duration = Duration::from_secs(22);
/// How long the first pairing, and the last one, may take. Somebody may be alone until their patience is over.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> anyhow::Result<()> {
    if ![THROUGHPUT, PAIR_TIME, CEILING].into_iter().any(report::is_asked_for) {
        return Ok(());
    }
    // One thread, so that it takes no more of the cores than it has to.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let context = Context::new(Secret::ephemeral(&Random::from_os()), Duration::ZERO);
    let directory = tempfile::tempdir()?;
    let (redis_at, address) = (processes::free_address()?, processes::free_address()?);
    let url = format!("redis://{redis_at}");
    let redis = Process::redis(redis_at.port(), directory.path())?;
    let matchmaker = Process::matchmaker(address, &url)?;
    let all = All { redis: &redis, matchmaker: &matchmaker };
    let crowd = Arc::new(Crowd::default());
    let gateways = start(&context, address.into(), &crowd).await?;
    let mut throughput = None;
    if report::is_asked_for(THROUGHPUT) {
        throughput = Some(saturate(&gateways, &crowd, &all).await?);
        until(PATIENCE, || crowd.waiting() <= 1).await?;
    }
    if report::is_asked_for(PAIR_TIME) {
        pair_times(&context, &gateways, &crowd).await?;
    }
    context.drain.force();
    drop(matchmaker);
    if report::is_asked_for(CEILING) {
        let runs = ceiling::measure(&context, &url, RUNS).await?;
        let ceiling = figure(CEILING, "pairs/s", runs, Bar::None);
        let share = throughput.map(|throughput| throughput / ceiling);
        share.map(|share| figure(THROUGHPUT, "of the bare commit script's rate", vec![share], Bar::None));
    }
    Ok(())
}

/// The processes whose time on the cores is told.
struct All<'a> {
    redis: &'a Process,
    matchmaker: &'a Process,
}

impl All<'_> {
    fn core_times(&self) -> anyhow::Result<[Duration; 3]> {
        Ok([self.matchmaker.core_time()?, self.redis.core_time()?, processes::own_core_time()?])
    }
}

/// Relays, and gateways with a first pair each.
async fn start(
    context: &Context,
    matchmaker: chassis::grpc::Targets,
    crowd: &Arc<Crowd>,
) -> anyhow::Result<Vec<Gateway>> {
    // A channel of its own each, as separate processes have.
    let connect = || Channel::new(context, matchmaker.clone());
    for number in 0..RELAYS {
        gateway::relay(context, &connect(), number).await?;
    }
    let mut gateways = Vec::new();
    for number in 0..GATEWAYS {
        gateways.push(Gateway::start(context, &connect(), number, crowd).await?);
    }
    for gateway in &gateways {
        gateway.arrive(Instant::now());
    }
    until(PATIENCE, || crowd.waiting() == 0).await?;
    Ok(gateways)
}

async fn saturate(gateways: &[Gateway], crowd: &Crowd, all: &All<'_>) -> anyhow::Result<f64> {
    crowd.comes_back.store(true, Ordering::Relaxed);
    for gateway in gateways.iter().cycle().take(CROWD) {
        gateway.arrive(Instant::now());
    }
    sleep(WARM_UP).await;
    let (before, began) = (all.core_times()?, Instant::now());
    let mut rates = Vec::new();
    let mut pairs = 0;
    for _ in 0..RUNS {
        let (assigned, began) = (crowd.assigned.load(Ordering::Relaxed), Instant::now());
        sleep(RUN).await;
        let paired = (crowd.assigned.load(Ordering::Relaxed) - assigned) / 2;
        rates.push(report::per_second(paired, began.elapsed()));
        pairs += paired;
    }
    let (after, took) = (all.core_times()?, began.elapsed());
    crowd.comes_back.store(false, Ordering::Relaxed);
    ensure!(pairs > 0, "nobody is paired");
    let rate = figure(THROUGHPUT, "pairs/s, one owner", rates, Bar::AtLeast(10_000.0));
    let names = ["matchmaker, cores", "Redis, cores", "gateways and relays, cores"];
    for ((what, before), after) in names.into_iter().zip(before).zip(after) {
        figure(THROUGHPUT, what, vec![(after - before).as_secs_f64() / took.as_secs_f64()], Bar::None);
    }
    Ok(rate)
}

async fn pair_times(context: &Context, gateways: &[Gateway], crowd: &Crowd) -> anyhow::Result<()> {
    crowd.waits.lock().clear();
    let (began, mut next) = (Instant::now(), Instant::now());
    let mut turns = gateways.iter().cycle();
    let mut interval = interval(Duration::from_millis(1));
    while began.elapsed() < OPEN {
        interval.tick().await;
        while next <= Instant::now() {
            turns.next().context("a gateway")?.arrive(next);
            next += gap(&context.random);
        }
    }
    until(PATIENCE, || crowd.waiting() <= 1).await?;
    let counted = |(came, _): &&(Instant, Duration)| *came >= began + (OPEN - Duration::from_secs(20));
    let mut waits: Vec<_> =
        crowd.waits.lock().iter().filter(counted).map(|(_, wait)| wait.as_secs_f64() * 1e3).collect();
    waits.sort_by(f64::total_cmp);
    let at = |hundredths: usize| waits.get(waits.len() * hundredths / 100).copied().unwrap_or_default();
    figure(PAIR_TIME, "pair time p50, ms", vec![at(50)], Bar::None);
    figure(PAIR_TIME, "pair time p99, ms", vec![at(99)], Bar::AtMost(50.0));
    Ok(())
}

/// To the next arrival, where they come independently of each other.
fn gap(random: &Random) -> Duration {
    let drawn = u32::try_from(random.below(1 << 32)).unwrap_or(u32::MAX);
    let uniform = (f64::from(drawn) + 1.0) / (f64::from(u32::MAX) + 1.0);
    Duration::from_secs_f64(-uniform.ln() / ARRIVALS_PER_SECOND)
}

fn figure(case: &str, what: &'static str, runs: Vec<f64>, bar: Bar) -> f64 {
    let figure = Figure { case: case.to_owned(), what, runs, bar };
    figure.print();
    figure.median()
}

async fn until(within: Duration, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let end = Instant::now() + within;
    while !is_so() {
        ensure!(Instant::now() < end, "something is not so within {within:?}");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
