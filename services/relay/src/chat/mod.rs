//! One chat from its first seat to its end: a state machine without clock, sockets or locks.
//!
//! Every event comes in as a call with the present moment, and leaves a list of [`Effect`]s, in order. A chat gathers its seats,
//! runs, and is over. It numbers nothing, drops no repeat and keeps no message for delivery: that is between the two clients.
//! What it knows of numbers is how far each stranger acknowledged, to tell the other one after an interruption.
//!
//! Invariants: after [`Effect::Over`] the only frame to any seat is `reported` (I3). A frame counts only through the link that
//! holds its seat at that time. A seat that is not there is sent no message, acknowledgement or typing. What a spy does is
//! seen by nobody.

mod effect;
mod frames;
mod report;
mod seat;
mod transcript;

#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use bytes::Bytes;
use chassis::id::{ChatId, Epoch, Seat};
use stroll_proto::v1::{
    Action, Ended, EndedBy, Mode, Moving, Notice, Peer, Refused, RefusedReason, Reported, Resumed, Started,
    Verdict, relay_frame::Body,
};

pub(crate) use self::{
    effect::{Done, Effect, Ignored, Watch},
    frames::Incoming,
    seat::{Age, Arrival, Link, Seating},
    transcript::Room,
};
use self::{
    seat::{Gone, Presence, SeatState, Seen},
    transcript::Transcript,
};

/// A point in time since the Unix epoch, from a clock that never goes back.
pub(crate) type Moment = Duration;

/// Most seats of a chat: two strangers and a spy.
pub(crate) const MAX_SEATS: u8 = 3;
/// How long an ended chat is remembered, so that it can be reported and not be begun again.
pub(crate) const REMEMBERED: Duration = Duration::from_mins(2);

/// The operator's times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How long an away seat is kept.
    pub(crate) grace: Duration,
    /// How long the first seat waits for the others.
    pub(crate) attach_timeout: Duration,
}

/// One chat.
pub(crate) struct Chat {
    id: ChatId,
    id_bytes: Bytes,
    mode: Mode,
    epoch: Epoch,
    rules: Rules,
    phase: Phase,
    /// When all seats were taken, or it came here from another relay.
    began: Option<Moment>,
    /// How it ended, for those who come back too late.
    ending: Option<Ending>,
    seats: Vec<SeatState>,
    transcript: Transcript,
}

/// How a chat ended.
struct Ending {
    by: EndedBy,
    /// Whose doing it was. Where it is somebody's, the reason is between moderation and them.
    of: Option<Seat>,
    reason: String,
    /// No gateway was left to be told: most likely it goes on at another relay.
    is_left: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not all seats are taken.
    Gathering {
        until: Moment,
    },
    Running,
    /// Remembered until then.
    Over {
        until: Moment,
    },
}

impl Chat {
    /// A chat of which nobody has come yet.
    pub(crate) fn new(now: Moment, seating: &Seating, rules: Rules) -> Self {
        Self {
            id: seating.chat,
            id_bytes: seating.chat.to_bytes(),
            mode: seating.mode,
            epoch: seating.epoch,
            rules,
            phase: Phase::Gathering { until: now + rules.attach_timeout },
            began: None,
            ending: None,
            seats: (1..=seating.seats).map(|number| SeatState::vacant(Seat(number))).collect(),
            transcript: Transcript::default(),
        }
    }

    /// Which one it is.
    pub(crate) fn id(&self) -> ChatId {
        self.id
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Whether it went on elsewhere, or may have, and comes back with this token: what is known of it here is out of date.
    pub(crate) fn is_outdated(&self, seating: &Seating) -> bool {
        // Who did not show up here may have begun it elsewhere.
        let may_live = |ending: &Ending| ending.is_left || ending.by == EndedBy::NoShow;
        self.is_over() && self.ending.as_ref().is_none_or(may_live) && seating.epoch > self.epoch
    }

    /// Whether it can be dropped.
    pub(crate) fn is_forgotten(&self, now: Moment) -> bool {
        matches!(self.phase, Phase::Over { until } if until <= now)
    }

    /// Bytes of transcript that it holds on to.
    pub(crate) fn transcript_size(&self) -> usize {
        self.transcript.size()
    }

    /// Gives its transcript up, to make room for others'.
    pub(crate) fn drop_transcript(&mut self) {
        self.transcript = Transcript::default();
    }

    /// When [`Chat::on_time`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        let of_phase = match self.phase {
            Phase::Gathering { until } | Phase::Over { until } => return Some(until),
            Phase::Running => self.seats.iter().filter_map(SeatState::away_until).min(),
        };
        of_phase.into_iter().chain(self.transcript.expires()).min()
    }

    /// Somebody comes to take a seat, for the first time or again. The link that held it before counts no more; it is returned.
    ///
    /// # Errors
    /// Why the seat is not given.
    pub(crate) fn on_attach(
        &mut self,
        now: Moment,
        arrival: &Arrival,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Link>, Refused> {
        let seating = arrival.seating;
        let index = self.index(seating.seat).ok_or_else(|| refused(RefusedReason::BadToken))?;
        if usize::from(seating.seats) != self.seats.len() || seating.mode != self.mode {
            return Err(refused(RefusedReason::BadToken));
        }
        if self.is_over() || self.seats[index].is_given_up() {
            return Err(Refused { ended: self.ended_for(index), ..refused(RefusedReason::Gone) });
        }
        if seating.epoch < self.epoch {
            return Err(refused(RefusedReason::Gone));
        }
        if self.seats[index].is_of_later(arrival) {
            return Err(refused(RefusedReason::Replaced));
        }
        self.epoch = seating.epoch;
        if self.phase != Phase::Running && arrival.age == Age::Begun {
            self.go_on(now, index, out);
        }
        let before = self.take(index, arrival);
        match self.phase {
            Phase::Running => self.come_back(now, index, out),
            Phase::Gathering { .. } | Phase::Over { .. } => self.gather(now, out),
        }
        Ok(before)
    }

    /// The gateway that a seat was assigned to refuses it.
    ///
    /// # Errors
    /// If the seat is taken, or the chat over.
    pub(crate) fn on_decline(
        &mut self,
        now: Moment,
        seating: &Seating,
        out: &mut Vec<Effect>,
    ) -> Result<Done, Ignored> {
        let index = self.index(seating.seat).ok_or(Ignored::BadDecline)?;
        let is_vacant = self.seats[index].presence == Presence::Vacant;
        if !is_vacant || seating.epoch < self.epoch || self.is_over() {
            return Err(Ignored::BadDecline);
        }
        self.seats[index].presence = Presence::Declined;
        self.gather(now, out);
        Ok(Done::Handled)
    }

    /// The gateway's stream that held the seat is gone. Returns whether it did hold it.
    pub(crate) fn on_lost(&mut self, now: Moment, seat: Seat, link: Link, out: &mut Vec<Effect>) -> bool {
        let Some(index) = self.index(seat).filter(|index| self.seats[*index].link == Some(link)) else {
            return false;
        };
        self.seats[index].link = None;
        match self.phase {
            // Nobody knows that it will ever come back, so it counts as not come yet.
            Phase::Gathering { .. } if self.seats[index].is_taken() => {
                self.seats[index].presence = Presence::Vacant;
            }
            Phase::Running => self.go_away(now, index, Gone::Stream, out),
            Phase::Gathering { .. } | Phase::Over { .. } => {}
        }
        true
    }

    /// Moderation wants something done. Returns whether it was.
    pub(crate) fn on_verdict(&mut self, now: Moment, verdict: Verdict, out: &mut Vec<Effect>) -> bool {
        let seat = Seat::from_number(verdict.seat).ok();
        let Some(index) = seat.and_then(|seat| self.index(seat)).filter(|_| !self.is_over()) else {
            return false;
        };
        let (action, rule) = (verdict.action(), verdict.rule);
        if action == Action::Unspecified {
            return false;
        }
        if !verdict.text.is_empty() {
            self.send(index, Body::Notice(Notice { code: rule.clone(), text: verdict.text }), out);
        }
        if matches!(action, Action::End | Action::Ban) {
            self.end(now, EndedBy::Moderation, Some(index), &rule, out);
        }
        true
    }

    /// Moderation is there again: whose messages were withheld is asked for them.
    pub(crate) fn on_release(&mut self, out: &mut Vec<Effect>) {
        for index in 0..self.seats.len() {
            let withheld = std::mem::take(&mut self.seats[index].withheld);
            if withheld && self.phase == Phase::Running && self.seats[index].is_here() {
                self.ask_for_repeats(index, out);
            }
        }
    }

    /// A report was stored, or not.
    pub(crate) fn on_reported(&self, seat: Seat, answer: Reported, out: &mut Vec<Effect>) {
        if let Some(index) = self.index(seat) {
            self.send(index, Body::Reported(answer), out);
        }
    }

    /// Those who are here are to find another home.
    pub(crate) fn on_hand_over(&mut self, out: &mut Vec<Effect>) {
        if !self.is_over() {
            (0..self.seats.len()).for_each(|index| self.send(index, Body::Moving(Moving {}), out));
        }
    }

    /// Time passed.
    pub(crate) fn on_time(&mut self, now: Moment, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Gathering { until } if until <= now => self.end(now, EndedBy::NoShow, None, "", out),
            Phase::Running => {
                self.transcript.trim(now);
                let over = |seat: &SeatState| seat.away_until().is_some_and(|until| until <= now);
                if let Some(index) = self.seats.iter().position(over) {
                    self.give_up(now, index, EndedBy::Away, out);
                }
            }
            Phase::Gathering { .. } | Phase::Over { .. } => {}
        }
    }

    // === phases ===

    /// Begins once all seats are taken; ends at once if one never will be and somebody waits for it.
    fn gather(&mut self, now: Moment, out: &mut Vec<Effect>) {
        let anybody = self.seats.iter().any(SeatState::is_taken);
        if anybody && self.seats.iter().any(|seat| seat.presence == Presence::Declined) {
            self.end(now, EndedBy::NoShow, None, "", out);
        } else if self.seats.iter().all(SeatState::is_taken) {
            self.begin(now, out);
        }
    }

    fn begin(&mut self, now: Moment, out: &mut Vec<Effect>) {
        self.phase = Phase::Running;
        self.began = Some(now);
        for index in 0..self.seats.len() {
            self.tell_started(index, out);
        }
        for index in 0..self.seats.len() {
            self.tell_presences(now, index, out);
        }
    }

    /// A chat that has begun elsewhere goes on here: who has not come yet, but the one who comes now, is away.
    fn go_on(&mut self, now: Moment, comes: usize, out: &mut Vec<Effect>) {
        (self.phase, self.began) = (Phase::Running, Some(now));
        let until = now + self.rules.grace;
        for index in 0..self.seats.len() {
            if self.seats[index].is_taken() {
                self.tell_started(index, out);
                continue;
            }
            self.seats[index].received = None;
            self.seats[index].presence = Presence::Away { until, gone: Gone::Stream };
        }
        for index in self.others(comes) {
            self.tell_presences(now, index, out);
        }
    }

    /// A seat is given up for good: a stranger's ends the chat, without a spy's it goes on. For the spy it is over, and its
    /// gateway would hold the seat for ever if it weren't told.
    fn give_up(&mut self, now: Moment, index: usize, by: EndedBy, out: &mut Vec<Effect>) {
        if self.seats[index].is_stranger() {
            self.end(now, by, Some(index), "", out);
        } else {
            self.send(index, Body::Ended(Ended { by: by.into(), ..Ended::default() }), out);
            self.seats[index].presence = Presence::Left;
        }
    }

    /// Tells everybody who has not left. `of` is whose doing it was.
    fn end(&mut self, now: Moment, by: EndedBy, of: Option<usize>, reason: &str, out: &mut Vec<Effect>) {
        self.phase = Phase::Over { until: now + REMEMBERED };
        let of = of.map(|index| self.seats[index].seat);
        let is_left = by == EndedBy::Away && self.seats.iter().all(|seat| seat.link.is_none());
        self.ending = Some(Ending { by, of, reason: reason.to_owned(), is_left });
        for index in 0..self.seats.len() {
            if let Some(ended) = self.ended_for(index).filter(|_| !self.seats[index].is_given_up()) {
                self.send(index, Body::Ended(ended), out);
            }
        }
        self.transcript.trim(now);
        self.transcript.shrink();
        out.push(Effect::Over((!is_left).then_some(by)));
    }

    /// How it ended, as a seat is told. A spy's seat can be given up before the chat is over.
    fn ended_for(&self, index: usize) -> Option<Ended> {
        let seat = &self.seats[index];
        let Some(Ending { by, of, reason, .. }) = &self.ending else {
            let by = EndedBy::Away.into();
            return seat.is_given_up().then_some(Ended { by, ..Ended::default() });
        };
        let is_own = *of == Some(seat.seat);
        let by = if is_own && *by == EndedBy::Stranger { EndedBy::You } else { *by };
        let reason = if of.is_none() || is_own { reason.clone() } else { String::new() };
        let seat = of.map_or(0, |seat| u32::from(seat.0));
        Some(Ended { by: by.into(), reason, seat })
    }

    // === presence ===

    /// Keeps the seat for the grace time, and tells the others: again, if now the gateway is lost too.
    fn go_away(&mut self, now: Moment, index: usize, gone: Gone, out: &mut Vec<Effect>) {
        let until = match self.seats[index].presence {
            Presence::Here => now + self.rules.grace,
            Presence::Away { until, gone: Gone::Client } if gone == Gone::Stream => until,
            _ => return,
        };
        self.seats[index].presence = Presence::Away { until, gone };
        if self.phase != Phase::Running || !self.seats[index].is_stranger() {
            return;
        }
        for other in self.others(index) {
            if self.seats[other].is_here() {
                self.tell_presence(now, other, index, Seen::Away, out);
            }
        }
    }

    /// The seat is there (again): both sides learn what the other one has, and repeat the rest.
    fn come_back(&mut self, now: Moment, index: usize, out: &mut Vec<Effect>) {
        self.seats[index].presence = Presence::Here;
        self.seats[index].withheld = false;
        self.tell_started(index, out);
        if self.seats[index].is_stranger() {
            self.tell_return(now, index, out);
        }
        self.tell_presences(now, index, out);
        self.ask_for_repeats(index, out);
    }

    fn tell_return(&mut self, now: Moment, index: usize, out: &mut Vec<Effect>) {
        for other in self.others(index) {
            if self.seats[other].is_here() {
                self.tell_presence(now, other, index, Seen::Back, out);
                if self.seats[other].is_stranger() {
                    self.ask_for_repeats(other, out);
                }
            }
        }
    }

    /// Tells a seat that is there of every stranger whose presence is not what it was last told.
    fn tell_presences(&mut self, now: Moment, index: usize, out: &mut Vec<Effect>) {
        if !self.seats[index].is_here() {
            return;
        }
        for other in self.others(index) {
            if !self.seats[other].is_stranger() {
                continue;
            }
            let known = self.seats[index].was_told_away(self.seats[other].seat);
            match (known, self.seats[other].is_away()) {
                (false, true) => self.tell_presence(now, index, other, Seen::Away, out),
                (true, false) => self.tell_presence(now, index, other, Seen::Back, out),
                _ => {}
            }
        }
    }

    fn tell_presence(&mut self, now: Moment, index: usize, other: usize, seen: Seen, out: &mut Vec<Effect>) {
        let SeatState { seat: other, presence, .. } = self.seats[other];
        self.seats[index].tell_presence(other, seen);
        let peer = Peer { seat: u32::from(other.0), ..Peer::default() };
        let peer = match (seen, presence) {
            (Seen::Away, Presence::Away { until, gone }) => {
                let grace_ms = u64::try_from(until.saturating_sub(now).as_millis()).unwrap_or(u64::MAX);
                Peer { away: true, lost: gone == Gone::Stream, grace_ms, ..peer }
            }
            _ => peer,
        };
        self.send(index, Body::Peer(peer), out);
    }

    fn tell_started(&mut self, index: usize, out: &mut Vec<Effect>) {
        let reachable = self.seats[index].link.is_some();
        if reachable && !std::mem::replace(&mut self.seats[index].told_started, true) {
            self.send(index, Body::Started(Started {}), out);
        }
    }

    /// Tells a seat how far the other stranger acknowledged, and how far it did itself.
    fn ask_for_repeats(&self, index: usize, out: &mut Vec<Effect>) {
        let received = self.stranger_of(index).map_or(Some(0), |other| self.seats[other].received);
        let SeatState { received: confirmed, said, .. } = self.seats[index];
        self.send(index, Body::Resumed(Resumed { received, confirmed, said }), out);
    }

    // === seats ===

    /// Somebody sits down. Nobody knows what went through the link that was there before, which is returned; so a new one is
    /// told again that the chat has begun, and who is away.
    fn take(&mut self, index: usize, arrival: &Arrival) -> Option<Link> {
        let before = self.seats[index].link.filter(|link| *link != arrival.link);
        if self.seats[index].link != Some(arrival.link) {
            self.seats[index].told_started = false;
            let away = self.seats.iter().filter(|other| other.is_away()).map(|other| other.seat);
            for other in away.collect::<Vec<_>>() {
                self.seats[index].tell_presence(other, Seen::Back);
            }
        }
        self.seats[index].take(arrival);
        if let Some(other) = self.stranger_of(index) {
            self.seats[other].received = self.seats[other].received.max(arrival.confirmed);
        }
        before
    }

    fn index(&self, seat: Seat) -> Option<usize> {
        let index = usize::from(seat.0).checked_sub(1)?;
        (index < self.seats.len()).then_some(index)
    }

    /// All seats but one. Borrows nothing, so that they can be changed meanwhile.
    fn others(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.seats.len()).filter(move |other| *other != index)
    }

    /// The other one of two strangers; nobody for a spy.
    fn stranger_of(&self, index: usize) -> Option<usize> {
        if !self.seats[index].is_stranger() {
            return None;
        }
        self.others(index).find(|other| self.seats[*other].is_stranger())
    }

    fn send(&self, index: usize, body: Body, out: &mut Vec<Effect>) {
        let state = &self.seats[index];
        if let Some(link) = state.link {
            out.push(Effect::Send { seat: state.seat, handle: link.handle, body });
        }
    }
}

fn refused(reason: RefusedReason) -> Refused {
    Refused { reason: reason.into(), ended: None }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("id", &self.id)
            .field("epoch", &self.epoch)
            .field("phase", &self.phase)
            .field("seats", &self.seats)
            .finish_non_exhaustive()
    }
}
