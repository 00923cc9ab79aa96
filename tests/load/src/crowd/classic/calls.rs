//! Calls to gateways, and what comes of them.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    time::Duration,
};

use super::{
    Act, Classics, Timer,
    line::News,
    session::{Call, Seat, State},
};
use crate::{
    delivery::Arrival,
    net::Ready,
    saying::Saying,
    stats::{Count, Latency},
    wire::{
        events::{self, Event},
        http, json,
    },
    worker::Tools,
};

/// How long one waits who was refused and not told how long, or whose connection was lost.
const RETRY: Duration = Duration::from_millis(750);

impl Classics {
    fn gateway(&self, place: usize) -> SocketAddr {
        let number = usize::try_from(self.part.number(place)).unwrap_or_default();
        self.plan.gateways[number % self.plan.gateways.len()]
    }

    pub(super) fn start(&mut self, place: usize, tools: &mut Tools) {
        if self.is_over() || self.all[place].state != State::Out {
            return;
        }
        tools.stats.count(Count::Attempts);
        self.enter(place, State::Starting);
        self.call(place, Call::Start, "/start?firstevents=1&lang=en", "", tools);
    }

    fn call(&mut self, place: usize, call: Call, target: &str, form: &str, tools: &mut Tools) {
        let gateway = self.gateway(place);
        let request = http::post(&gateway.to_string(), target, form);
        let token = u64::try_from(place).unwrap_or_default() << 1;
        let number = self.part.number(place);
        let session = &mut self.all[place];
        session.call = Some(call);
        if session.calls.ask(request.as_bytes(), (gateway, number), (&tools.poll, token)).is_err() {
            self.call_lost(place, tools);
        }
    }

    /// Makes the next call, if none is under way.
    pub(super) fn next_call(&mut self, place: usize, tools: &mut Tools) {
        let session = &mut self.all[place];
        if session.call.is_some() || session.is_held || session.id.is_empty() {
            return;
        }
        let id = session.id.replace(':', "%3A");
        match (session.queue.pop_front(), &session.seat) {
            (Some(due), Some(seat)) => {
                let seq = seat.next();
                let mut text = Vec::new();
                let micros = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
                Saying { due: micros, sender: self.part.number(place), seq }.write(self.plan.size, &mut text);
                let text = String::from_utf8_lossy(&text).replace(' ', "+");
                let now = tools.clock.now();
                if self.counts(due) {
                    tools.stats.took(Latency::Lag, now.saturating_sub(due));
                }
                if self.counts(now) {
                    tools.stats.count(Count::SentSteady);
                }
                self.call(place, Call::Send { seq, due }, "/send", &format!("id={id}&msg={text}"), tools);
            }
            _ if session.state == State::Leaving => {
                self.call(place, Call::Disconnect, "/disconnect", &format!("id={id}"), tools);
            }
            _ => {}
        }
    }

    /// Opens a poll, if there is none.
    pub(super) fn poll(&mut self, place: usize, tools: &mut Tools) {
        let gateway = self.gateway(place);
        let number = self.part.number(place);
        let token = u64::try_from(place).unwrap_or_default() << 1 | 1;
        let session = &mut self.all[place];
        if session.id.is_empty() || session.poll.is_some() || session.state == State::Leaving {
            return;
        }
        let form = format!("id={}", session.id.replace(':', "%3A"));
        let request = http::post(&gateway.to_string(), "/events", &form);
        session.poll = Some(session.number);
        if session.polls.ask(request.as_bytes(), (gateway, number), (&tools.poll, token)).is_err() {
            self.poll_lost(place, tools);
        }
    }

    pub(super) fn on_ready(&mut self, ready: Ready, tools: &mut Tools) {
        let Ok(place) = usize::try_from((ready.token & 0x1_ffff_ffff) >> 1) else { return };
        let is_poll = ready.token & 1 == 1;
        let session = &mut self.all[place];
        let line = if is_poll { &mut session.polls } else { &mut session.calls };
        match (line.on_ready(ready, &mut tools.buffer), is_poll) {
            (News::None, _) => {}
            (News::Lost, true) => self.poll_lost(place, tools),
            (News::Lost, false) => self.call_lost(place, tools),
            (News::Answer(status, retry, body), true) => self.polled(place, status, retry, &body, tools),
            (News::Answer(status, retry, body), false) => self.answered(place, status, retry, &body, tools),
        }
    }

    fn poll_lost(&mut self, place: usize, tools: &mut Tools) {
        let session = &mut self.all[place];
        session.polls.close();
        // An idle connection may be closed at any time.
        let Some(number) = session.poll.take() else { return };
        if session.number == number {
            *tools.stats.closed.entry(1006).or_default() += 1;
            self.timers.add(tools.clock.now() + RETRY, Timer::Poll { place, number });
        } else {
            self.poll(place, tools);
        }
    }

    fn call_lost(&mut self, place: usize, tools: &mut Tools) {
        let session = &mut self.all[place];
        session.calls.close();
        let Some(call) = session.call.take() else { return };
        *tools.stats.closed.entry(1006).or_default() += 1;
        match call {
            Call::Start => {
                tools.stats.count(Count::ConnectFailed);
                self.start_later(place, RETRY, tools);
            }
            Call::Send { .. } => {
                // It may have arrived, so it is not sent again.
                if let Some(seat) = &mut session.seat {
                    seat.sent(tools.clock.now());
                }
                self.tally.unsettled -= 1;
                self.hold(place, RETRY, tools);
            }
            Call::Disconnect => self.hold(place, RETRY, tools),
        }
    }

    fn start_later(&mut self, place: usize, delay: Duration, tools: &Tools) {
        self.enter(place, State::Out);
        let due = tools.clock.now() + self.random.between(delay, 2 * delay);
        let number = self.all[place].number;
        self.timers.add(due, Timer::Start { place, number });
    }

    /// Makes no call for so long.
    fn hold(&mut self, place: usize, delay: Duration, tools: &Tools) {
        let session = &mut self.all[place];
        session.is_held = true;
        let number = session.number;
        self.timers.add(tools.clock.now() + delay, Timer::Release { place, number });
    }

    fn answered(
        &mut self,
        place: usize,
        status: u16,
        retry: Option<Duration>,
        body: &[u8],
        tools: &mut Tools,
    ) {
        let Some(call) = self.all[place].call.take() else { return tools.stats.count(Count::Unexpected) };
        let is_good = match call {
            Call::Start => status == 200 && !body.is_empty(),
            Call::Send { .. } | Call::Disconnect => status == 200 && body == b"win",
        };
        if !is_good {
            tools.stats.refuse(&if status == 200 { "fail".to_owned() } else { format!("http_{status}") });
        }
        match call {
            Call::Start if is_good => self.started(place, body, tools),
            Call::Start => self.start_later(place, retry.unwrap_or(RETRY), tools),
            Call::Send { due, .. } if !is_good => {
                // It keeps its number.
                self.all[place].queue.push_front(due);
                self.hold(place, retry.unwrap_or(RETRY), tools);
            }
            Call::Send { .. } => {
                if let Some(seat) = &mut self.all[place].seat {
                    seat.sent(tools.clock.now());
                    self.tally.sent += 1;
                }
                self.tally.unsettled -= 1;
                self.next_call(place, tools);
            }
            Call::Disconnect if is_good => self.end(place, true, tools),
            Call::Disconnect => self.hold(place, retry.unwrap_or(RETRY), tools),
        }
    }

    fn started(&mut self, place: usize, body: &[u8], tools: &mut Tools) {
        let Some(id) = json::text(body, b"\"clientID\"") else {
            tools.stats.count(Count::Unexpected);
            return self.start_later(place, RETRY, tools);
        };
        tools.stats.count(Count::Welcomes);
        if let Some(due) = self.all[place].coming.take() {
            tools.stats.took(Latency::Connect, tools.clock.now().saturating_sub(due));
        }
        self.all[place].id = String::from_utf8_lossy(id).into_owned();
        self.enter(place, State::Waiting);
        self.take_events(place, events::first_events(body), tools);
        self.poll(place, tools);
    }

    fn polled(&mut self, place: usize, status: u16, retry: Option<Duration>, body: &[u8], tools: &mut Tools) {
        let session = &mut self.all[place];
        let is_this = session.poll.take() == Some(session.number);
        let number = session.number;
        if !is_this {
            return self.poll(place, tools);
        }
        if status != 200 {
            tools.stats.refuse(&format!("http_{status}"));
            let due = tools.clock.now() + retry.unwrap_or(RETRY);
            return self.timers.add(due, Timer::Poll { place, number });
        }
        if session.state == State::Leaving {
            return;
        }
        if body == b"null" {
            // It ended, and nothing told so.
            tools.stats.count(Count::Unexpected);
            return self.end(place, false, tools);
        }
        self.take_events(place, body, tools);
        self.poll(place, tools);
    }

    fn take_events(&mut self, place: usize, array: &[u8], tools: &mut Tools) {
        let number = self.all[place].number;
        for event in events::events(array) {
            if self.all[place].number == number {
                self.take_event(place, event, tools);
            }
        }
    }

    fn take_event(&mut self, place: usize, event: Event<'_>, tools: &mut Tools) {
        match event.name {
            b"connected" => self.connected(place, tools),
            b"identDigests" => {
                let mut hasher = DefaultHasher::new();
                event.text.hash(&mut hasher);
                if let Some(seat) = &mut self.all[place].seat {
                    seat.chat = hasher.finish();
                }
            }
            b"gotMessage" => self.message(place, event.text, tools),
            b"strangerDisconnected" => self.end(place, false, tools),
            b"error" | b"antinudeBanned" | b"recaptchaRequired" => {
                tools.stats.refuse(&String::from_utf8_lossy(event.name));
                self.end(place, false, tools);
            }
            b"serverMessage" => tools.stats.count(Count::Notices),
            b"waiting" | b"statusInfo" | b"commonLikes" | b"typing" | b"stoppedTyping" => {}
            _ => tools.stats.count(Count::Unexpected),
        }
    }

    fn connected(&mut self, place: usize, tools: &mut Tools) {
        let now = tools.clock.now();
        let asked = self.all[place].asked;
        self.tally.seats += 1;
        tools.stats.count(Count::Seats);
        if self.counts(now) {
            tools.stats.count(Count::SeatsSteady);
        }
        if self.counts(asked) {
            tools.stats.took(Latency::Pair, now.saturating_sub(asked));
        }
        self.all[place].seat = Some(Seat::default());
        if self.all[place].state == State::Leaving {
            return;
        }
        self.enter(place, State::Chatting);
        if let (Act::Talk { stay: Some(stay), .. }, true) = (self.plan.act, self.window.contains(&now)) {
            self.quiet_after(place, now, stay / 2..stay + stay / 2);
        }
    }

    fn message(&mut self, place: usize, text: &[u8], tools: &mut Tools) {
        let now = tools.clock.now();
        let Some(seat) = &mut self.all[place].seat else { return tools.stats.count(Count::Strays) };
        let Some(Saying { due, sender, seq }) = Saying::read(text) else {
            return tools.stats.count(Count::Unexpected);
        };
        let arrival = seat.arrived(seq, sender);
        if arrival == Arrival::Repeat {
            return;
        }
        if arrival == Arrival::Late {
            tools.stats.count(Count::Reordered);
        }
        self.tally.received += 1;
        let due = Duration::from_micros(due);
        if self.counts(due) {
            tools.stats.took(Latency::Message, now.saturating_sub(due));
        }
        if self.counts(now) {
            tools.stats.count(Count::ReceivedSteady);
        }
    }
}
