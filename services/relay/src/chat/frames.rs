//! What a seat's frames do to a chat.

use chassis::id::Seat;
use stroll_proto::v1::{
    EndedBy, Leave, Message, Mode, Said, Signal, Typing, gateway_frame::Body as FromGateway,
    relay_frame::Body,
};

use super::{
    Chat, Done, Effect, Ignored, Link, Moment, Phase, Room, Watch,
    seat::{Gone, Presence, SeatState},
};

/// Longest text, in characters.
const MAX_TEXT_CHARS: usize = 2_000;
/// Longest text, in bytes.
const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Longest signal, in bytes.
const MAX_SIGNAL_BYTES: usize = 12 * 1024;

/// A frame that came through a link, and what holds at that moment.
pub(crate) struct Incoming {
    /// When.
    pub(crate) now: Moment,
    /// From whom.
    pub(crate) seat: Seat,
    /// Through which link.
    pub(crate) link: Link,
    /// What happens to texts now.
    pub(crate) watch: Watch,
    /// Whether the transcript may grow.
    pub(crate) room: Room,
}

impl Chat {
    /// A frame of a seat, other than `attach` and `decline`, which have calls of their own.
    ///
    /// # Errors
    /// Why it changed nothing.
    pub(crate) fn on_frame(
        &mut self,
        incoming: &Incoming,
        body: FromGateway,
        out: &mut Vec<Effect>,
    ) -> Result<Done, Ignored> {
        let index = self.index(incoming.seat).ok_or(Ignored::UnknownHandle)?;
        if self.seats[index].link != Some(incoming.link) {
            return Err(Ignored::Replaced);
        }
        if let FromGateway::Report(report) = body {
            return Ok(self.on_report(incoming.now, index, report, out));
        }
        if self.is_over() || self.seats[index].is_given_up() {
            return Err(Ignored::Over);
        }
        match body {
            FromGateway::Away(away) => {
                let gone = if away.elsewhere { Gone::Stream } else { Gone::Client };
                self.go_away(incoming.now, index, gone, out);
            }
            FromGateway::Back(back) => self.on_back(incoming.now, index, back.received, out),
            FromGateway::Moved(_) => self.on_moved(incoming.now, index, out),
            FromGateway::Leave(leave) => self.on_leave(incoming.now, index, leave, out),
            other => return self.on_said(incoming, index, other, out),
        }
        Ok(Done::Handled)
    }

    fn on_back(&mut self, now: Moment, index: usize, received: u64, out: &mut Vec<Effect>) {
        let seat = &mut self.seats[index];
        seat.received = seat.received.max(Some(received));
        if self.phase == Phase::Running {
            self.come_back(now, index, out);
        } else {
            self.seats[index].presence = Presence::Here;
        }
    }

    /// The seat has gone to the chat's new home, where the others have to go too. The last one to go takes the chat along.
    fn on_moved(&mut self, now: Moment, index: usize, out: &mut Vec<Effect>) {
        self.seats[index].link = None;
        if self.phase == Phase::Running {
            self.go_away(now, index, Gone::Stream, out);
        } else {
            self.seats[index].presence = Presence::Vacant;
        }
        self.on_hand_over(out);
        if self.seats.iter().all(|seat| seat.link.is_none()) {
            self.phase = Phase::Over { until: now };
            out.push(Effect::Over(None));
        }
    }

    /// The one who leaves knows it already. Before the beginning it is as if they had never come.
    fn on_leave(&mut self, now: Moment, index: usize, leave: Leave, out: &mut Vec<Effect>) {
        if self.phase == Phase::Running {
            let is_stranger = self.seats[index].is_stranger();
            self.seats[index].presence = Presence::Left;
            if is_stranger {
                let by = if leave.banned { EndedBy::Moderation } else { EndedBy::Stranger };
                self.end(now, by, Some(index), "", out);
            }
        } else {
            self.seats[index].presence = Presence::Declined;
            self.gather(now, out);
        }
    }

    /// What a running chat passes on to the other seats.
    fn on_said(
        &mut self,
        incoming: &Incoming,
        index: usize,
        body: FromGateway,
        out: &mut Vec<Effect>,
    ) -> Result<Done, Ignored> {
        if self.phase != Phase::Running {
            return Err(Ignored::NotStarted);
        }
        if !self.seats[index].is_stranger() {
            return Err(Ignored::Spy);
        }
        match body {
            FromGateway::Message(message) => self.on_message(incoming, index, message, out),
            FromGateway::Signal(signal) => self.on_signal(index, signal, out),
            FromGateway::Ack(seq) => Ok(self.on_ack(index, seq, out)),
            FromGateway::Typing(on) => self.on_typing(index, on, out),
            FromGateway::Confirmed(seq) => Ok(self.on_confirmed(index, seq, out)),
            FromGateway::Attach(_)
            | FromGateway::Decline(_)
            | FromGateway::Away(_)
            | FromGateway::Back(_)
            | FromGateway::Leave(_)
            | FromGateway::Moved(_)
            | FromGateway::Ping(_)
            | FromGateway::Report(_) => Err(Ignored::HandleInUse),
        }
    }

    fn on_message(
        &mut self,
        incoming: &Incoming,
        index: usize,
        mut message: Message,
        out: &mut Vec<Effect>,
    ) -> Result<Done, Ignored> {
        if message.text.is_empty() || is_too_long(&message.text) {
            return Err(Ignored::BadSize);
        }
        if incoming.watch == Watch::Holding {
            self.seats[index].withheld = true;
            return Err(Ignored::Held);
        }
        let last = self.last_listener(index).ok_or(Ignored::NobodyThere)?;
        message.from = u32::from(incoming.seat.0);
        let (now, seat, room) = (incoming.now, incoming.seat, incoming.room);
        let is_new = self.transcript.record(now, seat, message.seq, &message.text, room);
        if is_new && incoming.watch == Watch::Inspecting {
            out.push(Effect::Inspect(self.said(index, &message)));
        }
        for other in self.others(index).filter(|other| *other < last && self.seats[*other].is_here()) {
            self.send(other, Body::Message(message.clone()), out);
        }
        self.send(last, Body::Message(message), out);
        Ok(Done::Message)
    }

    fn said(&self, index: usize, message: &Message) -> Said {
        Said {
            chat: self.id_bytes.clone(),
            seat: message.from,
            seq: message.seq,
            text: message.text.clone(),
            subject: Some(self.seats[index].subject.clone()),
        }
    }

    /// The seat to which a message can be moved, after the others got copies.
    fn last_listener(&self, index: usize) -> Option<usize> {
        self.others(index).filter(|other| self.seats[*other].is_here()).last()
    }

    fn on_signal(&self, index: usize, mut signal: Signal, out: &mut Vec<Effect>) -> Result<Done, Ignored> {
        if self.mode != Mode::Video {
            return Err(Ignored::WrongMode);
        }
        if signal.data.is_empty() || signal.data.len() > MAX_SIGNAL_BYTES {
            return Err(Ignored::BadSize);
        }
        let other = self.stranger_there(index).ok_or(Ignored::NobodyThere)?;
        signal.from = u32::from(self.seats[index].seat.0);
        self.send(other, Body::Signal(signal), out);
        Ok(Done::Signal)
    }

    /// Counts, also while nobody is there to be told: they are told when they come back.
    fn on_ack(&mut self, index: usize, seq: u64, out: &mut Vec<Effect>) -> Done {
        let seat = &mut self.seats[index];
        seat.received = seat.received.max(Some(seq));
        if let Some(other) = self.stranger_there(index) {
            self.send(other, Body::Ack(seq), out);
        }
        Done::Ack
    }

    /// Counts only where nothing better is known.
    fn on_confirmed(&mut self, index: usize, seq: u64, out: &mut Vec<Effect>) -> Done {
        if let Some(other) = self.stranger_of(index)
            && self.seats[other].received.is_none()
        {
            self.seats[other].received = Some(seq);
            self.send(other, Body::Confirmed(seq), out);
        }
        Done::Ack
    }

    fn on_typing(&self, index: usize, on: bool, out: &mut Vec<Effect>) -> Result<Done, Ignored> {
        self.last_listener(index).ok_or(Ignored::NobodyThere)?;
        let from = u32::from(self.seats[index].seat.0);
        for other in self.others(index).filter(|other| self.seats[*other].is_here()) {
            self.send(other, Body::Typing(Typing { on, from }), out);
        }
        Ok(Done::Typing)
    }

    fn stranger_there(&self, index: usize) -> Option<usize> {
        self.stranger_of(index).filter(|other| SeatState::is_here(&self.seats[*other]))
    }
}

fn is_too_long(text: &str) -> bool {
    // Characters are counted only where the bytes leave a doubt.
    text.len() > MAX_TEXT_BYTES || (text.len() > MAX_TEXT_CHARS && text.chars().count() > MAX_TEXT_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_bounded_in_characters_and_not_in_bytes() {
        assert!(!is_too_long(&"x".repeat(2_000)));
        assert!(is_too_long(&"x".repeat(2_001)));
        assert!(!is_too_long(&"😀".repeat(2_000)));
        assert!(is_too_long(&"😀".repeat(2_001)));
    }
}
