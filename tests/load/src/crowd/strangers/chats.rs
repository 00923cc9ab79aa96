//! What strangers do: find somebody, talk, leave.

use std::{io::Write as _, time::Duration};

use super::{
    State, Strangers, Timer,
    stranger::{Outgoing, Seat},
};
use crate::{
    delivery::Arrival,
    saying::Saying,
    stats::{Count, Latency},
    wire::json,
    worker::Tools,
};

/// How long one who leaves waits for acknowledgements.
const PATIENCE: Duration = Duration::from_secs(2);

impl Strangers {
    /// Wants to meet somebody, since a time.
    pub(super) fn find(&mut self, place: usize, since: Duration, tools: &mut Tools) {
        self.all[place].asked = since;
        self.enter(place, State::Waiting);
        self.send(place, br#"{"type":"find","mode":"text","interests":[],"languages":[]}"#, tools);
    }

    pub(super) fn leave(&mut self, place: usize, tools: &mut Tools) {
        self.enter(place, State::Leaving);
        self.send(place, br#"{"type":"leave"}"#, tools);
    }

    /// Leaves once everything is acknowledged, so that nothing is cut off.
    pub(super) fn become_quiet(&mut self, place: usize, due: Duration, tools: &mut Tools) {
        let stranger = &mut self.all[place];
        let chats = stranger.chats;
        let Some(seat) = &mut stranger.seat else { return };
        seat.is_quiet = true;
        if seat.unsettled() == 0 && stranger.state == State::Chatting {
            self.leave(place, tools);
        } else {
            self.timers.add(due + PATIENCE, Timer::Leave { place, chats });
        }
    }

    /// Something is to be said.
    pub(super) fn say(&mut self, place: usize, due: Duration, tools: &mut Tools) {
        let stranger = &mut self.all[place];
        let Some(seat) = stranger.seat.as_mut().filter(|seat| !seat.is_quiet) else {
            return tools.stats.count(Count::Skipped);
        };
        if stranger.state == State::Leaving {
            return tools.stats.count(Count::Skipped);
        }
        if !seat.say(u64::try_from(due.as_micros()).unwrap_or(u64::MAX)) {
            tools.stats.count(Count::Withheld);
        }
        self.tally.unsettled += 1;
        self.write_messages(place, tools);
    }

    /// Writes all messages that may be written.
    pub(super) fn write_messages(&mut self, place: usize, tools: &mut Tools) {
        while self.all[place].state == State::Chatting {
            let Some(outgoing) = self.all[place].seat.as_mut().and_then(|seat| seat.next()) else { return };
            self.write_message(place, outgoing, tools);
        }
    }

    fn write_message(&mut self, place: usize, outgoing: Outgoing, tools: &mut Tools) {
        let Outgoing { seq, due, is_again } = outgoing;
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // A vector takes everything.
        let _ = write!(text, r#"{{"type":"message","seq":{seq},"text":""#);
        Saying { due, sender: self.part.number(place), seq }.write(self.plan.size, &mut text);
        text.extend_from_slice(b"\"}");
        if is_again {
            tools.stats.count(Count::Resent);
        } else {
            self.tally.sent += 1;
            let (now, due) = (tools.clock.now(), Duration::from_micros(due));
            if self.counts(due) {
                tools.stats.took(Latency::Lag, now.saturating_sub(due));
            }
            if self.counts(now) {
                tools.stats.count(Count::SentSteady);
            }
        }
        self.send(place, &text, tools);
        self.text = text;
    }

    /// A message has come.
    pub(super) fn message(&mut self, place: usize, frame: &[u8], tools: &mut Tools) {
        let now = tools.clock.now();
        let said = json::text(frame, b"\"text\"").and_then(Saying::read);
        let seq = json::number(frame, b"\"seq\"").unwrap_or_default();
        let Some(seat) = &mut self.all[place].seat else { return tools.stats.count(Count::Strays) };
        let (arrival, complete) = seat.arrived(seq, said.map(|said| said.sender));
        if said.is_none_or(|said| said.seq != seq) {
            tools.stats.count(Count::Unexpected);
        }
        match arrival {
            Arrival::Repeat => {}
            Arrival::New | Arrival::Late => {
                if arrival == Arrival::Late {
                    tools.stats.count(Count::Reordered);
                }
                self.tally.received += 1;
                let due = Duration::from_micros(said.map_or(0, |said| said.due));
                if self.counts(due) {
                    tools.stats.took(Latency::Message, now.saturating_sub(due));
                }
                if self.counts(now) {
                    tools.stats.count(Count::ReceivedSteady);
                }
            }
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let _ = write!(text, r#"{{"type":"ack","seq":{complete}}}"#);
        self.send(place, &text, tools);
        self.text = text;
    }

    pub(super) fn acknowledged(&mut self, place: usize, seq: u64, tools: &mut Tools) {
        let stranger = &mut self.all[place];
        let Some(seat) = &mut stranger.seat else { return tools.stats.count(Count::Unexpected) };
        self.tally.unsettled -= seat.acknowledge(seq);
        let goes = seat.is_quiet && seat.unsettled() == 0 && stranger.state == State::Chatting;
        if goes {
            self.leave(place, tools);
        } else {
            self.write_messages(place, tools);
        }
    }

    /// A chat is over.
    pub(super) fn settle_seat(&mut self, seat: &Seat, ended_by_me: bool, tools: &mut Tools) {
        self.tally.unsettled -= seat.unsettled();
        seat.settle(ended_by_me, &mut tools.stats.ledger);
    }
}
