//! Plays a scenario: directs the workers through its phases, and looks at processes meanwhile.

use std::{
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    crowd::{Act, Part, Plan, classic::Classics, strangers::Strangers},
    machine::{Quiet, Watch, usage},
    outcome::{Observed, Outcome, Wanted},
    redis_count::{Counter, Look, Looks, Spent},
    stats::Stats,
    worker::{Phase, Stage, Tally, work},
};

/// How often the director looks.
const LOOK: Duration = Duration::from_millis(20);
const SECOND: Duration = Duration::from_secs(1);
/// Phases begin a little later than they are announced, so that all workers are there in time.
const AHEAD: Duration = Duration::from_millis(60);
/// How much longer than planned arriving may take, and how long the end of a phase is waited for.
const LATE: Duration = Duration::from_secs(30);
const LEAVING: Duration = Duration::from_secs(15);

/// What is played.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What strangers do. Its gateways are those of the cluster.
    pub plan: Plan,
    /// Whether they speak the classic protocol.
    pub is_classic: bool,
    /// How long the steady state is.
    pub duration: Duration,
    /// How long to wait for all to be back, if their sockets are dropped.
    pub storm: Option<Duration>,
    /// The p99 of messages up to which the highest rate is looked for, if it is.
    pub highest: Option<Duration>,
    /// How long to wait before memory is looked at.
    pub settle: Duration,
    /// How many threads play it.
    pub threads: u16,
}

impl Scenario {
    fn wanted(&self) -> Wanted {
        match self.plan.act {
            Act::Stay => Wanted::default(),
            Act::Talk { rate, .. } => Wanted { messages: Some(rate), pairs: None },
            Act::Match { rate } => Wanted { messages: None, pairs: Some(rate) },
        }
    }

    /// Whether everybody is where they should be when the steady state begins.
    fn is_complete(&self, tally: Tally) -> bool {
        let all = self.plan.strangers;
        match self.plan.act {
            // One may be left over.
            Act::Talk { .. } => tally.chatting >= all - all % 2,
            Act::Stay | Act::Match { .. } => tally.present >= all,
        }
    }
}

/// What it is played against.
#[derive(Debug)]
pub struct Target {
    /// `stroll` or `pipe`.
    pub name: &'static str,
    /// Where it listens.
    pub gateways: Vec<SocketAddr>,
    /// Its processes.
    pub watch: Watch,
    /// Its Redis, if that is to be looked at.
    pub redis: Option<Rest>,
}

/// Redis, and how long it is looked at while nobody is there.
#[derive(Debug)]
pub struct Rest {
    /// Its counters.
    pub counter: Counter,
    /// How long.
    pub time: Duration,
}

/// Plays a scenario.
///
/// # Errors
/// If there is no epoll, or a worker has panicked.
pub fn play(
    scenario: &Scenario,
    target: &mut Target,
    quiet: &mut Quiet,
    shows_progress: bool,
) -> anyhow::Result<Outcome> {
    let Target { name: against, gateways, watch, redis } = target;
    let plan = Arc::new(Plan { gateways: gateways.clone(), ..scenario.plan.clone() });
    let stage = Stage::new(scenario.threads.into());
    let (stats, observed) = thread::scope(|scope| {
        thread::sleep(scenario.settle);
        let looks = redis.as_mut().map(rest).transpose()?;
        let before = watch.usage();
        let workers: Vec<_> = (0..scenario.threads)
            .map(|worker| {
                let part = Part { worker: worker.into(), workers: scenario.threads.into() };
                let (plan, stage) = (Arc::clone(&plan), &stage);
                scope.spawn(move || {
                    if scenario.is_classic {
                        work(Classics::new(plan, part), stage, worker.into())
                    } else {
                        work(Strangers::new(plan, part), stage, worker.into())
                    }
                })
            })
            .collect();
        let mut director = Director {
            scenario,
            against,
            stage: &stage,
            watch,
            redis: redis.as_mut().map(|rest| &mut rest.counter),
            quiet,
            shows_progress,
            what: "arriving",
            next_look: Duration::ZERO,
            last: Tally::default(),
        };
        let observed = director.direct(Observed { before, redis: looks, ..Observed::default() });
        let mut stats = Stats::new()?;
        for worker in workers {
            let seen = worker.join().map_err(|_| anyhow::anyhow!("a worker has panicked"))?;
            stats.merge(seen.context("playing strangers")?)?;
        }
        anyhow::Ok((stats, observed))
    })?;
    if observed.strangers == 0 {
        let refused: Vec<_> = stats.refused.iter().map(|(code, count)| format!("{code} {count}")).collect();
        anyhow::bail!("nobody is at {gateways:?}; refusals: {}", refused.join(", "));
    }
    let mut observed = observed;
    thread::sleep(scenario.settle);
    observed.after = watch.usage();
    if let (Some(looks), Some(rest)) = (&mut observed.redis, redis) {
        looks.after = look(&mut rest.counter, &mut observed.problems);
    }
    Ok(Outcome::new(against, scenario.wanted(), &stats, &observed, watch))
}

/// Looks at Redis while nobody is there.
fn rest(redis: &mut Rest) -> anyhow::Result<Looks> {
    let first = redis.counter.look()?;
    thread::sleep(redis.time);
    let before = redis.counter.look()?;
    Ok(Looks { background: Spent::between(&first, &before), before: Some(before), ..Looks::default() })
}

fn look(counter: &mut Counter, problems: &mut Vec<String>) -> Option<Look> {
    counter.look().inspect_err(|error| problems.push(format!("{error:#}"))).ok()
}

struct Director<'play> {
    scenario: &'play Scenario,
    against: &'play str,
    stage: &'play Stage,
    watch: &'play Watch,
    redis: Option<&'play mut Counter>,
    quiet: &'play mut Quiet,
    shows_progress: bool,
    what: &'static str,
    next_look: Duration,
    last: Tally,
}

impl Director<'_> {
    /// Through all phases.
    fn direct(&mut self, mut observed: Observed) -> Observed {
        let Scenario { plan, duration, .. } = self.scenario;
        let planned = Duration::try_from_secs_f64(crate::outcome::number(plan.strangers) / plan.arrivals);
        let scenario = self.scenario;
        if !self.until(planned.unwrap_or(LATE) + LATE, |tally| scenario.is_complete(tally)) {
            let Tally { present, chatting, .. } = self.stage.tally();
            let all = plan.strangers;
            if present == 0 {
                self.begin("over", Phase::Over);
                return observed;
            }
            observed
                .problems
                .push(format!("of {all} strangers {present} were there and {chatting} in a chat"));
        }
        self.steady(*duration, &mut observed);
        if let Some(patience) = scenario.storm {
            self.storm(patience, &mut observed);
            self.steady(*duration, &mut observed);
        }
        self.begin("draining", Phase::Drain);
        let talks = matches!(plan.act, Act::Talk { .. });
        if !self.until(LEAVING, |tally| {
            if talks { tally.unsettled == 0 } else { tally.chatting == 0 || plan.act == Act::Stay }
        }) {
            observed.problems.push("not everything that was begun came to its end".to_owned());
        }
        if plan.act != Act::Stay {
            // What takes a poll or another frame to arrive.
            self.until(SECOND / 2, |_| false);
        }
        self.begin("leaving", Phase::Leave);
        if !self.until(LEAVING, |tally| tally.open == 0) {
            let open = self.stage.tally().open;
            observed.problems.push(format!("{open} connections did not end"));
        }
        self.begin("over", Phase::Over);
        observed
    }

    fn steady(&mut self, duration: Duration, observed: &mut Observed) {
        // Messages tell when they were due in whole microseconds.
        let from = Duration::from_millis(
            u64::try_from((self.stage.clock.now() + AHEAD).as_millis()).unwrap_or(u64::MAX),
        );
        let until = from + duration;
        self.begin("steady", Phase::Steady { from, until });
        let me = std::process::id();
        self.until(AHEAD, |_| false);
        observed.begin = self.watch.usage();
        self.look(observed, |looks| &mut looks.begin);
        let mine = usage(me).unwrap_or_default().cpu;
        self.until(until.saturating_sub(self.stage.clock.now()), |_| false);
        observed.end = self.watch.usage();
        self.look(observed, |looks| &mut looks.end);
        observed.generator = usage(me).unwrap_or_default().cpu.saturating_sub(mine);
        observed.steady = duration;
        observed.strangers = self.stage.tally().present;
    }

    /// Looks at Redis, if that is wanted.
    fn look(&mut self, observed: &mut Observed, place: fn(&mut Looks) -> &mut Option<Look>) {
        if let (Some(looks), Some(counter)) = (&mut observed.redis, &mut self.redis) {
            *place(looks) = look(counter, &mut observed.problems);
        }
    }

    fn storm(&mut self, patience: Duration, observed: &mut Observed) {
        let dropped = self.stage.tally().present;
        observed.dropped = Some(dropped);
        let at = self.stage.clock.now() + AHEAD;
        self.begin("storm", Phase::Storm { at });
        // It takes a while to close thousands of sockets.
        let workers = u64::from(self.scenario.threads);
        self.until(LATE, |tally| tally.storms == workers);
        if !self.until(patience, |tally| tally.away == 0) {
            let away = self.stage.tally().away;
            observed.problems.push(format!("{away} of {dropped} were not back in time"));
        }
    }

    fn begin(&mut self, what: &'static str, phase: Phase) {
        self.what = what;
        self.stage.begin(phase);
    }

    /// Waits for a condition, at most for so long. Returns whether it came true.
    fn until(&mut self, time: Duration, is_done: impl Fn(Tally) -> bool) -> bool {
        let give_up = self.stage.clock.now() + time;
        loop {
            let now = self.stage.clock.now();
            if is_done(self.stage.tally()) {
                return true;
            }
            if now >= give_up {
                return false;
            }
            if now >= self.next_look {
                self.next_look = now + SECOND;
                self.quiet.look();
                self.show();
            }
            thread::sleep(LOOK.min(give_up - now));
        }
    }

    /// The line of progress.
    fn show(&mut self) {
        let tally = self.stage.tally();
        let last = std::mem::replace(&mut self.last, tally);
        if !self.shows_progress {
            return;
        }
        let Tally { present, chatting, waiting, away, .. } = tally;
        let line = format!(
            "{} {} {} at {:.0} s: {present} present, {chatting} chatting, {waiting} waiting, {away} away; in the last second \
             {} messages sent, {} received, {} seats; {} refused",
            self.scenario.name,
            self.against,
            self.what,
            self.stage.clock.now().as_secs_f64(),
            tally.sent - last.sent,
            tally.received - last.received,
            tally.seats - last.seats,
            tally.refused,
        );
        let mut stderr = std::io::stderr();
        let (begin, end) = if stderr.is_terminal() { ("\r\x1b[K", "") } else { ("", "\n") };
        // Nobody may be looking any more.
        let _ = write!(stderr, "{begin}{line}{end}");
    }
}
