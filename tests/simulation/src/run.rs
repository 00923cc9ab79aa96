//! Runs a plan: starts the machines, lets time pass, and does the harm.

use std::{cell::RefCell, collections::BTreeMap, net::IpAddr, rc::Rc, time::Duration};

use tokio::sync::Notify;
use turmoil::Sim;

use crate::{
    cluster::{self, Cluster},
    ledger,
    plan::{self, Fault, Happening, Host, MATCHMAKERS, Plan},
    store::{self, Blow, Way},
    stranger::Stranger,
    trace,
};

/// How much time passes at once. Half as much takes the host twice as long.
const TICK: Duration = Duration::from_millis(2);
/// How long a drain that nobody hears the end of may take.
const DRAINED_WITHIN: Duration = Duration::from_secs(20);
/// How many packets a connection may have under way.
const CONNECTION: usize = 1_024;
/// How long the machines run before the first stranger comes.
const LEAD: Duration = Duration::from_secs(2);

/// Runs it to its end.
pub fn run(plan: &Plan) {
    let mut run = Run::new(plan);
    let mut faults = plan.faults.iter().peekable();
    loop {
        let now = run.sim.elapsed();
        while let Some(happening) = faults.next_if(|happening| happening.at <= now) {
            run.inflict(happening);
        }
        run.heal(now);
        match run.sim.step() {
            Ok(false) if now < plan.limit => {}
            Ok(true) => break,
            Ok(false) => {
                ledger::violation_at(now, &"the end", format_args!("somebody is not through"));
                break;
            }
            Err(error) => {
                ledger::violation_at(now, &"a machine", format_args!("failed: {error}"));
                break;
            }
        }
    }
}

/// What is undone when a fault is over.
#[derive(Clone, Copy, Debug)]
enum Cure {
    Start(Host),
    /// Starts it as soon as it has ended.
    StartAfterDrain(Host),
    Repair(Host, Host),
    RepairOneWay(Host, Host),
    Release(Host, Host),
    Latency,
    Ways(Option<usize>),
}

struct Run<'a> {
    sim: Sim<'a>,
    plan: &'a Plan,
    cluster: Rc<Cluster>,
    terminate: BTreeMap<Host, Rc<Notify>>,
    cuts: Vec<Rc<Notify>>,
    cures: Vec<(Duration, Cure)>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut sim = turmoil::Builder::new()
            .epoch(std::time::UNIX_EPOCH)
            .simulation_duration(plan.limit * 2)
            .tick_duration(TICK)
            .rng_seed(plan.seed)
            .tcp_capacity(CONNECTION)
            .min_message_latency(plan.latency.start)
            .max_message_latency(plan.latency.end)
            .enable_random_order()
            .build();
        let (inside, outside) = store::store(MATCHMAKERS);
        let cluster = Rc::new(Cluster::new(plan, outside));
        let (inside, of_store) = (RefCell::new(Some(inside)), Rc::clone(&cluster));
        sim.host("store", move || {
            let inside = inside.borrow_mut().take().expect("it starts once");
            let cluster = Rc::clone(&of_store);
            async move {
                inside.serve(cluster.context("store", 0)).await;
                Ok(())
            }
        });
        let mut terminate = BTreeMap::new();
        for host in cluster::servers() {
            let signal = Rc::new(Notify::new());
            let process = cluster::process(Rc::clone(&cluster), host, Rc::clone(&signal));
            sim.host(host.to_string(), process);
            terminate.insert(host, signal);
        }
        let cuts: Vec<_> = plan.strangers.iter().map(|_| Rc::new(Notify::new())).collect();
        for home in cluster::homes() {
            sim.client(home.to_string(), at_home(home, plan.clone(), cuts.clone()));
        }
        Self { sim, plan, cluster, terminate, cuts, cures: Vec::new() }
    }

    fn inflict(&mut self, happening: &Happening) {
        let Happening { at, lasts, fault } = *happening;
        let end = at + lasts;
        trace::event_at(self.sim.elapsed(), &"fault", format_args!("{fault:?} for {lasts:?}"));
        let ip = |sim: &Sim<'_>, host: Host| -> IpAddr { sim.lookup(host.to_string()) };
        let cure = match fault {
            Fault::Kill(host) => {
                if !self.sim.is_host_running(host.to_string()) {
                    return;
                }
                self.sim.crash(host.to_string());
                Some(Cure::Start(host))
            }
            Fault::Drain(host) => {
                self.terminate[&host].notify_one();
                Some(Cure::StartAfterDrain(host))
            }
            Fault::Part(one, other) => {
                self.sim.partition(ip(&self.sim, one), ip(&self.sim, other));
                Some(Cure::Repair(one, other))
            }
            Fault::PartOneWay(one, other) => {
                self.sim.partition_oneway(ip(&self.sim, one), ip(&self.sim, other));
                Some(Cure::RepairOneWay(one, other))
            }
            Fault::Stall(one, other) => {
                self.sim.hold(ip(&self.sim, one), ip(&self.sim, other));
                Some(Cure::Release(one, other))
            }
            Fault::Slow(latency) => {
                self.sim.set_max_message_latency(latency);
                Some(Cure::Latency)
            }
            Fault::StoreLoses => {
                self.cluster.store.strike(Blow::LosesEverything);
                None
            }
            Fault::StoreRefuses => self.set_ways(None, Way::Refused),
            Fault::StoreSilent => self.set_ways(None, Way::Silent),
            Fault::StoreLossy(of) => self.set_ways(None, Way::Lossy(of)),
            Fault::CutOff(matchmaker) => self.set_ways(Some(matchmaker), Way::Silent),
            Fault::Disconnect(stranger) => {
                self.cuts[stranger].notify_one();
                None
            }
        };
        self.cures.extend(cure.map(|cure| (end, cure)));
    }

    fn set_ways(&self, matchmaker: Option<usize>, way: Way) -> Option<Cure> {
        let all = matchmaker.map_or(0..MATCHMAKERS, |one| one..one + 1);
        for matchmaker in all {
            self.cluster.store.set_way(matchmaker, way);
        }
        Some(Cure::Ways(matchmaker))
    }

    /// Undoes the faults that are over.
    fn heal(&mut self, now: Duration) {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.cures).into_iter().partition(|(at, _)| *at <= now);
        self.cures = later;
        for (at, cure) in due {
            if self.cure(now, at, cure) {
                trace::event_at(now, &"cure", format_args!("{cure:?}"));
            } else {
                self.cures.push((at, cure));
            }
        }
    }

    /// Whether it could be done.
    fn cure(&mut self, now: Duration, since: Duration, cure: Cure) -> bool {
        let ip = |sim: &Sim<'_>, host: Host| -> IpAddr { sim.lookup(host.to_string()) };
        match cure {
            Cure::Start(host) => {
                if !self.sim.is_host_running(host.to_string()) {
                    self.sim.bounce(host.to_string());
                }
            }
            Cure::StartAfterDrain(host) => {
                if self.sim.is_host_running(host.to_string()) {
                    if now > since + DRAINED_WITHIN {
                        ledger::violation_at(now, &host, format_args!("does not drain"));
                        return true;
                    }
                    return false;
                }
                self.sim.bounce(host.to_string());
            }
            Cure::Repair(one, other) => self.sim.repair(ip(&self.sim, one), ip(&self.sim, other)),
            Cure::RepairOneWay(one, other) => {
                self.sim.repair_oneway(ip(&self.sim, one), ip(&self.sim, other));
            }
            Cure::Release(one, other) => self.sim.release(ip(&self.sim, one), ip(&self.sim, other)),
            Cure::Latency => self.sim.set_max_message_latency(self.plan.latency.end),
            Cure::Ways(matchmaker) => {
                self.set_ways(matchmaker, Way::Open);
            }
        }
        true
    }
}

/// All strangers of a home, until the last is through.
async fn at_home(home: Host, plan: Plan, cuts: Vec<Rc<Notify>>) -> turmoil::Result {
    tokio::time::sleep(LEAD).await;
    let lives = plan.strangers.iter().enumerate().filter(|(number, _)| plan::home(*number) == home);
    let lives = lives
        .map(|(number, turns)| Stranger::new(number, &plan, Rc::clone(&cuts[number])).live(turns.clone()));
    futures_util::future::join_all(lives).await;
    Ok(())
}
