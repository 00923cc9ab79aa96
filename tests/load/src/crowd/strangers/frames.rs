//! What gateways say to strangers.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use super::{Act, State, Strangers, Timer, stranger::Seat};
use crate::{
    stats::{Count, Latency},
    wire::json,
    worker::{Phase, Tools},
};

/// How long one waits who was refused and not told how long.
const RETRY: Duration = Duration::from_millis(500);

impl Strangers {
    /// A frame has come.
    pub(super) fn heard(&mut self, place: usize, frame: &[u8], tools: &mut Tools) {
        match json::kind(frame) {
            b"message" => self.message(place, frame, tools),
            b"ack" => self.acknowledged(place, json::number(frame, b"\"seq\"").unwrap_or_default(), tools),
            b"welcome" => self.welcome(place, frame, tools),
            b"waiting" => self.keep_session(place, frame),
            b"matched" => self.matched(place, frame, tools),
            b"ended" => self.ended(place, frame, tools),
            b"resumed" => self.resumed(place, frame, tools),
            b"idle" => self.wish_is_over(place, tools),
            b"error" => self.refused(place, frame, tools),
            b"going_away" => {
                tools.stats.count(Count::Moves);
                let after = json::number(frame, b"\"reconnect_after_ms\"").unwrap_or_default();
                self.vanish(place);
                self.connect_later(place, Duration::from_millis(after), tools);
            }
            b"notice" => tools.stats.count(Count::Notices),
            b"stranger" | b"typing" => {}
            _ => tools.stats.count(Count::Unexpected),
        }
    }

    fn keep_session(&mut self, place: usize, frame: &[u8]) {
        if let Some(token) = json::text(frame, b"\"session\"") {
            self.all[place].session = token.into();
        }
    }

    fn welcome(&mut self, place: usize, frame: &[u8], tools: &mut Tools) {
        if self.all[place].state != State::Greeting {
            return tools.stats.count(Count::Unexpected);
        }
        tools.stats.count(Count::Welcomes);
        self.keep_session(place, frame);
        let now = tools.clock.now();
        let coming = self.all[place].coming.take();
        if let Some(due) = coming {
            tools.stats.took(Latency::Connect, now.saturating_sub(due));
        }
        if self.all[place].seat.is_some() {
            // `resumed` follows, or that it can't be.
            return self.enter(place, State::Resuming);
        }
        self.is_back(place, tools);
        // The wish is as old as the stranger.
        self.be_idle(place, coming.unwrap_or(now), tools);
    }

    /// It is where it was when its socket was dropped.
    fn is_back(&mut self, place: usize, tools: &mut Tools) {
        if let Some(at) = self.all[place].dropped.take() {
            self.tally.away -= 1;
            tools.stats.took(Latency::Resume, tools.clock.now().saturating_sub(at));
        }
    }

    fn matched(&mut self, place: usize, frame: &[u8], tools: &mut Tools) {
        let (Some(chat), Some(resume)) = (json::text(frame, b"\"chat\""), json::text(frame, b"\"resume\""))
        else {
            return tools.stats.count(Count::Unexpected);
        };
        let now = tools.clock.now();
        self.count_seat(now, self.all[place].asked, tools);
        if let Some(seat) = self.all[place].seat.take() {
            tools.stats.count(Count::Unexpected);
            self.settle_seat(&seat, true, tools);
        }
        let mut hasher = DefaultHasher::new();
        chat.hash(&mut hasher);
        let leaves = json::is_true(frame, b"\"initiator\"");
        let seat = Seat::new(hasher.finish(), self.part.number(place), leaves);
        let stranger = &mut self.all[place];
        stranger.resume = resume.into();
        stranger.chats += 1;
        stranger.seat = Some(Box::new(seat));
        let chats = stranger.chats;
        self.enter(place, State::Chatting);
        match self.plan.act {
            _ if leaves && self.phase == Phase::Leave => self.leave(place, tools),
            Act::Match { .. } if leaves => self.leave(place, tools),
            Act::Talk { stay: Some(stay), .. } if leaves && matches!(self.phase, Phase::Steady { .. }) => {
                let due = now + self.random.between(stay / 2, stay + stay / 2);
                self.timers.add(due, Timer::Quiet { place, chats });
            }
            Act::Match { .. } | Act::Talk { .. } | Act::Stay => {}
        }
    }

    fn count_seat(&mut self, now: Duration, asked: Duration, tools: &mut Tools) {
        self.tally.seats += 1;
        tools.stats.count(Count::Seats);
        if self.counts(now) {
            tools.stats.count(Count::SeatsSteady);
        }
        if self.counts(asked) {
            tools.stats.took(Latency::Pair, now.saturating_sub(asked));
        }
    }

    fn ended(&mut self, place: usize, frame: &[u8], tools: &mut Tools) {
        self.keep_session(place, frame);
        let by = json::text(frame, b"\"by\"").unwrap_or_default();
        let by = String::from_utf8_lossy(by).into_owned();
        let Some(seat) = self.all[place].seat.take() else { return tools.stats.count(Count::Unexpected) };
        self.settle_seat(&seat, by == "you", tools);
        *tools.stats.ended.entry(by).or_default() += 1;
        if self.all[place].dropped.take().is_some() {
            self.tally.away -= 1;
            tools.stats.count(Count::ResumeFailed);
        }
        self.be_idle(place, tools.clock.now(), tools);
    }

    fn resumed(&mut self, place: usize, frame: &[u8], tools: &mut Tools) {
        if self.all[place].seat.is_none() {
            return tools.stats.count(Count::Unexpected);
        }
        if let Some(resume) = json::text(frame, b"\"resume\"") {
            self.all[place].resume = resume.into();
        }
        // The other side is told as well, and both when the chat has gone to another relay.
        if self.all[place].state == State::Resuming {
            tools.stats.count(Count::Resumed);
            self.enter(place, State::Chatting);
            self.is_back(place, tools);
        }
        let received = json::number(frame, b"\"received\"").unwrap_or_default();
        if let Some(seat) = &mut self.all[place].seat {
            self.tally.unsettled -= seat.acknowledge(received);
            seat.go_back();
        }
        self.write_messages(place, tools);
    }

    fn wish_is_over(&mut self, place: usize, tools: &Tools) {
        if self.all[place].state == State::Waiting {
            self.enter(place, State::Idle);
            self.find_later(place, RETRY, tools);
        }
    }

    fn find_later(&mut self, place: usize, delay: Duration, tools: &Tools) {
        let chats = self.all[place].chats;
        self.timers.add(tools.clock.now() + delay, Timer::Find { place, chats });
    }

    fn refused(&mut self, place: usize, frame: &[u8], tools: &mut Tools) {
        let code = json::text(frame, b"\"code\"").unwrap_or_default();
        tools.stats.refuse(&String::from_utf8_lossy(code));
        let retry = json::number(frame, b"\"retry_after_ms\"").map_or(RETRY, Duration::from_millis);
        if code == b"resume_failed" {
            return self.resume_failed(place, tools);
        }
        match self.all[place].state {
            State::Waiting => {
                self.enter(place, State::Idle);
                self.find_later(place, retry, tools);
            }
            State::Chatting => {
                let stranger = &mut self.all[place];
                let chats = stranger.chats;
                if let Some(seat) = &mut stranger.seat
                    && !seat.is_held
                {
                    seat.go_back();
                    seat.is_held = true;
                    let due = tools.clock.now() + retry;
                    self.timers.add(due, Timer::Release { place, chats });
                }
            }
            // What follows a refused `hello` is the end of the connection.
            State::Out
            | State::Connecting
            | State::Upgrading
            | State::Greeting
            | State::Resuming
            | State::Idle
            | State::Leaving
            | State::Closing => {}
        }
    }

    fn resume_failed(&mut self, place: usize, tools: &mut Tools) {
        tools.stats.count(Count::ResumeFailed);
        if let Some(seat) = self.all[place].seat.take() {
            self.settle_seat(&seat, false, tools);
        }
        if self.all[place].dropped.take().is_some() {
            self.tally.away -= 1;
        }
        if self.all[place].state == State::Resuming {
            self.be_idle(place, tools.clock.now(), tools);
        }
    }
}
