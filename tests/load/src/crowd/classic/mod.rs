//! Strangers of the classic HTTP protocol.

mod calls;
mod line;
mod session;

use std::{ops::Range, sync::Arc, time::Duration};

use self::session::{Call, Session, State};
use super::{Act, Part, Plan};
use crate::{
    net::Ready,
    random::Random,
    schedule::{Share, Timers},
    stats::Count,
    worker::{Crowd, Phase, Tally, Tools},
};

/// How long one who leaves says nothing before, so that the stranger's poll has everything.
const QUIET: Duration = Duration::from_secs(1);

/// What a timer is for, and in which of its stranger's sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Call `/start`.
    Start { place: usize, number: u32 },
    /// Poll again.
    Poll { place: usize, number: u32 },
    /// Make calls again.
    Release { place: usize, number: u32 },
    /// Say nothing more.
    Quiet { place: usize, number: u32 },
    /// Leave.
    Leave { place: usize, number: u32 },
}

/// A worker's strangers.
#[derive(Debug)]
pub struct Classics {
    plan: Arc<Plan>,
    part: Part,
    phase: Phase,
    all: Vec<Session>,
    timers: Timers<Timer>,
    arrivals: Share,
    turns: Share,
    window: Range<Duration>,
    random: Random,
    tally: Tally,
}

impl Classics {
    /// A worker's part of a plan.
    #[must_use]
    pub fn new(plan: Arc<Plan>, part: Part) -> Self {
        let strangers = part.of(plan.strangers);
        Self {
            phase: Phase::Arrive,
            all: std::iter::repeat_with(Session::default).take(strangers).collect(),
            timers: Timers::default(),
            arrivals: Share::none(),
            turns: Share::none(),
            window: Duration::ZERO..Duration::ZERO,
            random: Random::new(part.worker + 1),
            tally: Tally::default(),
            plan,
            part,
        }
    }

    fn enter(&mut self, place: usize, state: State) {
        let old = std::mem::replace(&mut self.all[place].state, state);
        let tally = &mut self.tally;
        for (field, is_in) in [
            (&mut tally.open, (|state| state != State::Out) as fn(State) -> bool),
            (&mut tally.present, |state| matches!(state, State::Waiting | State::Chatting | State::Leaving)),
            (&mut tally.chatting, |state| state == State::Chatting),
            (&mut tally.waiting, |state| state == State::Waiting),
        ] {
            *field = *field + u64::from(is_in(state)) - u64::from(is_in(old));
        }
    }

    fn counts(&self, due: Duration) -> bool {
        self.window.contains(&due)
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Leave | Phase::Over)
    }

    fn on_timer(&mut self, timer: Timer, due: Duration, tools: &mut Tools) {
        let (Timer::Start { place, number }
        | Timer::Poll { place, number }
        | Timer::Release { place, number }
        | Timer::Quiet { place, number }
        | Timer::Leave { place, number }) = timer;
        if self.all[place].number != number {
            return;
        }
        match timer {
            Timer::Start { .. } => self.start(place, tools),
            Timer::Poll { .. } => self.poll(place, tools),
            Timer::Release { .. } => {
                self.all[place].is_held = false;
                self.next_call(place, tools);
            }
            Timer::Quiet { .. } => {
                if let (Phase::Steady { .. }, Some(seat)) = (self.phase, &mut self.all[place].seat) {
                    seat.is_quiet = true;
                    self.timers.add(due + QUIET, Timer::Leave { place, number });
                }
            }
            Timer::Leave { .. } => self.leave(place, tools),
        }
    }

    fn leave(&mut self, place: usize, tools: &mut Tools) {
        if matches!(self.all[place].state, State::Waiting | State::Chatting) {
            self.enter(place, State::Leaving);
            self.next_call(place, tools);
        }
    }

    /// Something is to be said.
    fn say(&mut self, place: usize, due: Duration, tools: &mut Tools) {
        let session = &mut self.all[place];
        let may_talk =
            session.state == State::Chatting && session.seat.as_ref().is_some_and(|seat| !seat.is_quiet);
        if !may_talk {
            return tools.stats.count(Count::Skipped);
        }
        if session.call.is_some() {
            tools.stats.count(Count::Withheld);
        }
        session.queue.push_back(due);
        self.tally.unsettled += 1;
        self.next_call(place, tools);
    }

    /// A session is over, and so is its chat.
    fn end(&mut self, place: usize, ended_by_me: bool, tools: &mut Tools) {
        let now = tools.clock.now();
        let me = self.part.number(place);
        let session = &mut self.all[place];
        session.id.clear();
        session.number += 1;
        session.is_held = false;
        let mut unsettled = u64::try_from(session.queue.len()).unwrap_or_default();
        session.queue.clear();
        if let Some(Call::Send { .. }) = session.call {
            // Its answer belongs to nothing any more.
            session.calls.close();
            unsettled += 1;
        }
        session.call = None;
        let number = session.number;
        if let Some(seat) = session.seat.take() {
            seat.settle(me, now, ended_by_me, &mut tools.stats.ledger);
            let by = if ended_by_me { "you" } else { "stranger" };
            *tools.stats.ended.entry(by.to_owned()).or_default() += 1;
        }
        self.tally.unsettled -= unsettled;
        self.enter(place, State::Out);
        if self.is_over() {
            self.all[place].calls.close();
            self.all[place].polls.close();
        } else if let (Act::Talk { pause, .. }, false) = (self.plan.act, self.phase == Phase::Drain) {
            self.all[place].asked = now + pause;
            self.timers.add(now + pause, Timer::Start { place, number });
        }
    }

    fn quiet_after(&mut self, place: usize, from: Duration, range: Range<Duration>) {
        let number = self.all[place].number;
        let due = from + self.random.between(range.start, range.end);
        self.timers.add(due, Timer::Quiet { place, number });
    }

    fn begin_steady(&mut self, from: Duration, until: Duration) {
        let Act::Talk { rate, stay, .. } = self.plan.act else { return };
        self.window = from..until;
        self.turns = self.part.share(from, until, rate);
        let Some(stay) = stay else { return };
        // As if they had begun at different times.
        for place in 0..self.all.len() {
            if self.all[place].state == State::Chatting {
                self.quiet_after(place, from, Duration::ZERO..stay);
            }
        }
    }
}

impl Crowd for Classics {
    fn begin(&mut self, phase: Phase, tools: &mut Tools) {
        self.phase = phase;
        match phase {
            Phase::Arrive => self.arrivals = self.part.arrivals(tools.clock.now(), &self.plan),
            Phase::Steady { from, until } => {
                tools.stats.begin_steady();
                self.begin_steady(from, until);
            }
            Phase::Storm { .. } | Phase::Drain | Phase::Over => {}
            Phase::Leave => {
                (self.arrivals, self.turns) = (Share::none(), Share::none());
                for place in 0..self.all.len() {
                    match self.all[place].state {
                        State::Waiting | State::Chatting => self.leave(place, tools),
                        State::Starting => self.end(place, true, tools),
                        State::Out | State::Leaving => {}
                    }
                }
            }
        }
    }

    fn ready(&mut self, ready: Ready, tools: &mut Tools) {
        self.on_ready(ready, tools);
    }

    fn next_due(&self) -> Duration {
        [self.timers.next_due(), self.arrivals.next_due(), self.turns.next_due()]
            .into_iter()
            .fold(Duration::MAX, Duration::min)
    }

    fn on_time(&mut self, now: Duration, tools: &mut Tools) {
        while let Some((index, due)) = self.arrivals.take(now) {
            let place = self.part.place(index, self.all.len());
            self.all[place].coming = Some(due);
            self.all[place].asked = due;
            self.start(place, tools);
        }
        while let Some((index, due)) = self.turns.take(now) {
            let place = self.part.place(index, self.all.len());
            self.say(place, due, tools);
        }
        while let Some((due, timer)) = self.timers.take(now) {
            self.on_timer(timer, due, tools);
        }
    }

    fn tally(&self) -> Tally {
        self.tally
    }

    fn settle(&mut self, tools: &mut Tools) {
        for place in 0..self.all.len() {
            if self.all[place].seat.is_some() {
                self.end(place, true, tools);
            }
        }
    }
}
