//! Connections of strangers: making them, reading and writing, and losing them.

use std::{io, time::Duration};

use super::{State, Strangers, Timer};
use crate::{
    net::{Read, Ready, Socket, source},
    stats::Count,
    wire::{http, ws},
    worker::{Phase, Tools},
};

/// How long one waits who was refused and not told how long.
const RETRY: Duration = Duration::from_secs(1);
/// How the protocol has clients come back: after a restart, and after an overload.
const AFTER_RESTART: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
const AFTER_OVERLOAD: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];
/// Said to one whose connection is gone.
const LOST: u16 = 1006;
const GOODBYE: u16 = 1000;

impl Strangers {
    /// Begins a connection.
    pub(super) fn connect(&mut self, place: usize, tools: &mut Tools) {
        if matches!(self.phase, Phase::Leave | Phase::Over) {
            return;
        }
        tools.stats.count(Count::Attempts);
        let number = self.part.number(place);
        let gateways = &self.plan.gateways;
        let gateway = gateways[usize::try_from(number).unwrap_or_default() % gateways.len()];
        let token = |generation: u32| u64::from(generation) << 32 | u64::try_from(place).unwrap_or_default();
        let stranger = &mut self.all[place];
        stranger.generation = stranger.generation.wrapping_add(1) & 0x7fff_ffff;
        let token = token(stranger.generation);
        let opened = Socket::open(gateway, source(gateway, number))
            .and_then(|socket| tools.poll.add(&socket, token).map(|()| socket));
        match opened {
            Ok(socket) => {
                stranger.socket = Some(socket);
                self.enter(place, State::Connecting);
            }
            Err(error) => self.could_not_connect(place, &error, tools),
        }
    }

    fn could_not_connect(&mut self, place: usize, error: &io::Error, tools: &mut Tools) {
        tools.stats.count(Count::ConnectFailed);
        tools.stats.refuse(&format!("connect: {}", error.kind()));
        self.vanish(place);
        self.connect_later(place, RETRY, tools);
    }

    /// Connects again after so long, and up to as long once more.
    pub(super) fn connect_later(&mut self, place: usize, delay: Duration, tools: &Tools) {
        let due = tools.clock.now() + self.random.between(delay, 2 * delay);
        let generation = self.all[place].generation;
        self.timers.add(due, Timer::Connect { place, generation });
    }

    /// Drops the connection without a word.
    pub(super) fn vanish(&mut self, place: usize) {
        let stranger = &mut self.all[place];
        stranger.socket = None;
        stranger.rest = Vec::new();
        stranger.generation = stranger.generation.wrapping_add(1) & 0x7fff_ffff;
        if let Some(seat) = &mut stranger.seat {
            seat.go_back();
        }
        self.enter(place, State::Out);
    }

    /// All sockets are dropped at once, and come back.
    pub(super) fn drop_all(&mut self, at: Duration) {
        self.tally.storms += 1;
        for place in 0..self.all.len() {
            if !self.all[place].state.is_present() {
                continue;
            }
            self.vanish(place);
            self.all[place].dropped = Some(at);
            self.tally.away += 1;
            let due = at + self.random.between(Duration::ZERO, self.plan.spread);
            let generation = self.all[place].generation;
            self.timers.add(due, Timer::Connect { place, generation });
        }
    }

    pub(super) fn on_ready(&mut self, ready: Ready, tools: &mut Tools) {
        let Ok(place) = usize::try_from(ready.token & 0xffff_ffff) else { return };
        let is_this = |this: &Self| {
            let stranger = &this.all[place];
            u64::from(stranger.generation) == ready.token >> 32 && stranger.socket.is_some()
        };
        if !is_this(self) {
            return;
        }
        if self.all[place].state == State::Connecting {
            let problem = self.all[place].socket.as_ref().and_then(Socket::problem);
            match problem {
                Some(error) => return self.could_not_connect(place, &error, tools),
                None if ready.writable => self.ask_for_upgrade(place, tools),
                None => return,
            }
        } else if ready.writable {
            let flushed = self.all[place].socket.as_mut().map_or(Ok(()), Socket::flush);
            if flushed.is_err() {
                return self.lost(place, LOST, tools);
            }
        }
        while ready.readable && is_this(self) && self.read(place, ready.ended, tools) {}
    }

    fn ask_for_upgrade(&mut self, place: usize, tools: &mut Tools) {
        let gateways = &self.plan.gateways;
        let number = usize::try_from(self.part.number(place)).unwrap_or_default();
        let request = ws::request(&gateways[number % gateways.len()].to_string(), "/v1/ws");
        self.enter(place, State::Upgrading);
        self.write(place, request.as_bytes(), tools);
    }

    /// Reads once. Returns whether there may be more.
    fn read(&mut self, place: usize, has_ended: bool, tools: &mut Tools) -> bool {
        let Some(socket) = &self.all[place].socket else { return false };
        let mut buffer = std::mem::take(&mut tools.buffer);
        let read = socket.read(&mut buffer);
        let more = match read {
            Ok(Read::Bytes(bytes)) => {
                self.take_in(place, &buffer[..bytes], tools);
                bytes == buffer.len() || has_ended
            }
            Ok(Read::Nothing) => false,
            Ok(Read::End) | Err(_) => {
                self.lost(place, LOST, tools);
                false
            }
        };
        tools.buffer = buffer;
        more
    }

    fn take_in(&mut self, place: usize, bytes: &[u8], tools: &mut Tools) {
        let generation = self.all[place].generation;
        let mut rest = std::mem::take(&mut self.all[place].rest);
        if rest.is_empty() {
            let used = self.consume(place, bytes, tools);
            rest.extend_from_slice(&bytes[used..]);
        } else {
            rest.extend_from_slice(bytes);
            let used = self.consume(place, &rest, tools);
            rest.drain(..used);
        }
        if !rest.is_empty() && self.all[place].generation == generation {
            self.all[place].rest = rest;
        }
    }

    /// Takes in what is complete. Returns how many bytes that were.
    fn consume(&mut self, place: usize, bytes: &[u8], tools: &mut Tools) -> usize {
        let generation = self.all[place].generation;
        let mut used = 0;
        if self.all[place].state == State::Upgrading {
            match http::answer(bytes) {
                Ok(Some(answer)) => {
                    used = answer.length;
                    self.upgraded(place, &answer, tools);
                }
                Ok(None) => return 0,
                Err(http::Broken) => self.broken(place, tools),
            }
        }
        while self.all[place].generation == generation {
            match ws::frame(&bytes[used..]) {
                Ok(Some(frame)) => {
                    let payload = &bytes[used..][frame.payload.clone()];
                    used += frame.payload.end;
                    self.frame(place, frame.kind, payload, tools);
                }
                Ok(None) => break,
                Err(ws::Broken) => self.broken(place, tools),
            }
        }
        used
    }

    fn broken(&mut self, place: usize, tools: &mut Tools) {
        tools.stats.count(Count::Unexpected);
        self.lost(place, LOST, tools);
    }

    fn upgraded(&mut self, place: usize, answer: &http::Answer<'_>, tools: &mut Tools) {
        if ws::is_accepted(answer) {
            let mut hello = std::mem::take(&mut self.text);
            hello.clear();
            self.all[place].hello(&mut hello);
            self.enter(place, State::Greeting);
            self.send(place, &hello, tools);
            self.text = hello;
            return;
        }
        tools.stats.refuse(&format!("http_{}", answer.status));
        self.vanish(place);
        self.connect_later(place, answer.retry_after().unwrap_or(RETRY), tools);
    }

    fn frame(&mut self, place: usize, kind: ws::Kind, payload: &[u8], tools: &mut Tools) {
        match kind {
            ws::Kind::Text => self.heard(place, payload, tools),
            ws::Kind::Ping => {
                tools.stats.count(Count::Pings);
                self.send_frame(place, ws::Kind::Pong, payload, tools);
            }
            ws::Kind::Pong => {}
            ws::Kind::Close => self.lost(place, ws::close_code(payload), tools),
        }
    }

    /// Says goodbye.
    pub(super) fn close(&mut self, place: usize, tools: &mut Tools) {
        self.send_frame(place, ws::Kind::Close, &GOODBYE.to_be_bytes(), tools);
        if self.all[place].socket.is_some() {
            self.enter(place, State::Closing);
        }
    }

    /// The connection is over.
    pub(super) fn lost(&mut self, place: usize, code: u16, tools: &mut Tools) {
        let was_asked_for = self.all[place].state == State::Closing;
        self.vanish(place);
        if was_asked_for || matches!(self.phase, Phase::Leave | Phase::Over) && code == GOODBYE {
            return;
        }
        *tools.stats.closed.entry(code).or_default() += 1;
        let is_final = code == 4004 || (4500..5000).contains(&code);
        if is_final || matches!(self.phase, Phase::Leave | Phase::Over) {
            if self.all[place].dropped.take().is_some() {
                self.tally.away -= 1;
            }
            return;
        }
        let [low, high] = match code {
            1012 => AFTER_RESTART,
            1013 => AFTER_OVERLOAD,
            _ => [Duration::ZERO, RETRY],
        };
        let due = tools.clock.now() + self.random.between(low, high);
        let generation = self.all[place].generation;
        self.timers.add(due, Timer::Connect { place, generation });
    }

    /// Sends text.
    pub(super) fn send(&mut self, place: usize, text: &[u8], tools: &mut Tools) {
        self.send_frame(place, ws::Kind::Text, text, tools);
    }

    fn send_frame(&mut self, place: usize, kind: ws::Kind, payload: &[u8], tools: &mut Tools) {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let [mask @ .., _, _, _, _] = self.random.number().to_le_bytes();
        ws::write(kind, mask, payload, &mut frame);
        self.write(place, &frame, tools);
        self.frame = frame;
    }

    fn write(&mut self, place: usize, bytes: &[u8], tools: &mut Tools) {
        let Some(socket) = &mut self.all[place].socket else { return };
        if socket.write(bytes).is_err() {
            self.lost(place, LOST, tools);
        }
    }
}
