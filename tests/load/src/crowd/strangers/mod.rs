//! Strangers of `stroll.v1`.

mod chats;
mod frames;
mod sockets;
mod stranger;

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use self::stranger::{State, Stranger};
use super::{Act, Part, Plan};
use crate::{
    net::Ready,
    random::Random,
    schedule::{Share, Timers},
    stats::Count,
    worker::{Crowd, Phase, Tally, Tools},
};

/// What a timer is for. Each names the connection or the chat that it is for, and is for nothing once that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Connect again.
    Connect { place: usize, generation: u32 },
    /// Look for somebody.
    Find { place: usize, chats: u32 },
    /// Say nothing more, and leave once everything is acknowledged.
    Quiet { place: usize, chats: u32 },
    /// Leave.
    Leave { place: usize, chats: u32 },
    /// Write again.
    Release { place: usize, chats: u32 },
}

/// A worker's strangers.
#[derive(Debug)]
pub struct Strangers {
    plan: Arc<Plan>,
    part: Part,
    phase: Phase,
    all: Vec<Stranger>,
    timers: Timers<Timer>,
    arrivals: Share,
    /// Messages, or wishes where strangers only match.
    turns: Share,
    /// The last steady state.
    window: Range<Duration>,
    /// When sockets are dropped.
    storm: Duration,
    /// Wishes that nobody was free for.
    backlog: VecDeque<Duration>,
    /// Those who may have a wish, where strangers only match. Some may be busy by now.
    free: VecDeque<usize>,
    random: Random,
    tally: Tally,
    /// Frames are put together here.
    text: Vec<u8>,
    frame: Vec<u8>,
}

impl Strangers {
    /// A worker's part of a plan.
    #[must_use]
    pub fn new(plan: Arc<Plan>, part: Part) -> Self {
        let strangers = part.of(plan.strangers);
        Self {
            phase: Phase::Arrive,
            all: std::iter::repeat_with(Stranger::default).take(strangers).collect(),
            timers: Timers::default(),
            arrivals: Share::none(),
            turns: Share::none(),
            window: Duration::ZERO..Duration::ZERO,
            storm: Duration::MAX,
            backlog: VecDeque::new(),
            free: VecDeque::new(),
            random: Random::new(part.worker + 1),
            tally: Tally::default(),
            text: Vec::new(),
            frame: Vec::new(),
            plan,
            part,
        }
    }

    /// The same stranger is elsewhere now.
    fn enter(&mut self, place: usize, state: State) {
        let stranger = &mut self.all[place];
        let old = std::mem::replace(&mut stranger.state, state);
        let tally = &mut self.tally;
        for (field, is_in) in [
            (&mut tally.open, State::is_open as fn(State) -> bool),
            (&mut tally.present, State::is_present),
            (&mut tally.chatting, |state| state == State::Chatting),
            (&mut tally.waiting, |state| state == State::Waiting),
        ] {
            *field = *field + u64::from(is_in(state)) - u64::from(is_in(old));
        }
    }

    /// Whether something that was due at this time is part of what is measured.
    fn counts(&self, due: Duration) -> bool {
        self.window.contains(&due)
    }

    fn on_timer(&mut self, timer: Timer, due: Duration, tools: &mut Tools) {
        match timer {
            Timer::Connect { place, generation } => {
                if self.all[place].generation == generation && self.all[place].state == State::Out {
                    self.connect(place, tools);
                }
            }
            Timer::Find { place, chats } => {
                let stranger = &self.all[place];
                if stranger.chats == chats && stranger.state == State::Idle && self.wants_to_meet() {
                    self.find(place, due, tools);
                }
            }
            Timer::Quiet { place, chats } => {
                if self.all[place].chats == chats && matches!(self.phase, Phase::Steady { .. }) {
                    self.become_quiet(place, due, tools);
                }
            }
            Timer::Leave { place, chats } => {
                if self.all[place].chats == chats && self.all[place].state == State::Chatting {
                    self.leave(place, tools);
                }
            }
            Timer::Release { place, chats } => {
                let stranger = &mut self.all[place];
                if stranger.chats == chats
                    && let Some(seat) = &mut stranger.seat
                {
                    seat.is_held = false;
                    self.write_messages(place, tools);
                }
            }
        }
    }

    /// Somebody's turn: to say something, or to wish.
    fn turn(&mut self, index: u64, due: Duration, tools: &mut Tools) {
        match self.plan.act {
            Act::Stay => {}
            Act::Talk { .. } => {
                let place = self.part.place(index, self.all.len());
                self.say(place, due, tools);
            }
            Act::Match { .. } => {
                self.backlog.push_back(due);
                self.grant_wishes(tools);
            }
        }
    }

    /// Whoever is free has the wishes that wait.
    fn grant_wishes(&mut self, tools: &mut Tools) {
        while let Some(due) = self.backlog.front().copied() {
            let Some(place) = self.free.pop_front() else { return };
            if self.all[place].state == State::Idle {
                self.backlog.pop_front();
                self.find(place, due, tools);
            }
        }
    }

    /// What one does who has come in, or come out of a chat.
    fn be_idle(&mut self, place: usize, since: Duration, tools: &mut Tools) {
        self.enter(place, State::Idle);
        if matches!(self.phase, Phase::Leave | Phase::Over) {
            return self.close(place, tools);
        }
        match self.plan.act {
            Act::Stay => {}
            Act::Talk { pause, .. } => {
                if self.all[place].chats == 0 || pause.is_zero() {
                    if self.wants_to_meet() {
                        self.find(place, since, tools);
                    }
                } else {
                    let chats = self.all[place].chats;
                    self.timers.add(since + pause, Timer::Find { place, chats });
                }
            }
            Act::Match { .. } => {
                self.free.push_back(place);
                self.grant_wishes(tools);
            }
        }
    }

    fn wants_to_meet(&self) -> bool {
        !matches!(self.phase, Phase::Drain | Phase::Leave | Phase::Over)
    }

    fn begin_steady(&mut self, from: Duration, until: Duration) {
        let (rate, stay) = match self.plan.act {
            Act::Stay => (0.0, None),
            Act::Talk { rate, stay, .. } => (rate, stay),
            // Two wishes make a pair.
            Act::Match { rate } => (2.0 * rate, None),
        };
        self.window = from..until;
        self.turns = self.part.share(from, until, rate);
        let Some(stay) = stay else { return };
        // As if they had begun at different times.
        for place in 0..self.all.len() {
            let stranger = &self.all[place];
            if stranger.seat.as_ref().is_some_and(|seat| seat.leaves) {
                let chats = stranger.chats;
                let due = from + self.random.between(Duration::ZERO, stay);
                self.timers.add(due, Timer::Quiet { place, chats });
            }
        }
    }

    fn all_leave(&mut self, tools: &mut Tools) {
        self.turns = Share::none();
        self.arrivals = Share::none();
        for _ in self.backlog.drain(..) {
            tools.stats.count(Count::Skipped);
        }
        for place in 0..self.all.len() {
            match self.all[place].state {
                // The others are left.
                State::Chatting if self.all[place].seat.as_ref().is_some_and(|seat| seat.leaves) => {
                    self.leave(place, tools);
                }
                State::Idle | State::Waiting => self.close(place, tools),
                State::Connecting | State::Upgrading | State::Greeting | State::Resuming => {
                    self.vanish(place);
                }
                State::Out | State::Chatting | State::Leaving | State::Closing => {}
            }
        }
    }
}

impl Crowd for Strangers {
    fn begin(&mut self, phase: Phase, tools: &mut Tools) {
        self.phase = phase;
        match phase {
            Phase::Arrive => self.arrivals = self.part.arrivals(tools.clock.now(), &self.plan),
            Phase::Steady { from, until } => {
                tools.stats.begin_steady();
                self.begin_steady(from, until);
            }
            Phase::Storm { at } => {
                self.turns = Share::none();
                self.storm = at;
            }
            // Turns that were due before go on.
            Phase::Drain | Phase::Over => {}
            Phase::Leave => self.all_leave(tools),
        }
    }

    fn ready(&mut self, ready: Ready, tools: &mut Tools) {
        self.on_ready(ready, tools);
    }

    fn next_due(&self) -> Duration {
        [self.timers.next_due(), self.arrivals.next_due(), self.turns.next_due(), self.storm]
            .into_iter()
            .fold(Duration::MAX, Duration::min)
    }

    fn on_time(&mut self, now: Duration, tools: &mut Tools) {
        if self.storm <= now {
            let at = std::mem::replace(&mut self.storm, Duration::MAX);
            self.drop_all(at);
        }
        while let Some((index, due)) = self.arrivals.take(now) {
            let place = self.part.place(index, self.all.len());
            self.all[place].coming = Some(due);
            self.connect(place, tools);
        }
        while let Some((index, due)) = self.turns.take(now) {
            self.turn(index, due, tools);
        }
        while let Some((due, timer)) = self.timers.take(now) {
            self.on_timer(timer, due, tools);
        }
    }

    fn tally(&self) -> Tally {
        self.tally
    }

    fn settle(&mut self, tools: &mut Tools) {
        for stranger in &mut self.all {
            if let Some(seat) = stranger.seat.take() {
                seat.settle(true, &mut tools.stats.ledger);
            }
        }
    }
}
