//! One seat of a chat: who sits there, through which link, and whether they are there.

use std::fmt;

use bytes::Bytes;
use chassis::id::{ChatId, Epoch, Seat};
use stroll_proto::v1::{Mode, Role, Subject};

use super::Moment;

/// The first two seats are strangers', a third one is a spy's.
const STRANGERS: u8 = 2;

/// A seat's way to its client: a handle on a gateway's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Link {
    /// Which stream; never used twice in a relay's life.
    pub(crate) stream: u64,
    /// The gateway's number for the seat on it.
    pub(crate) handle: u64,
}

/// What a good seat token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seating {
    /// Which chat.
    pub(crate) chat: ChatId,
    /// Which seat of it.
    pub(crate) seat: Seat,
    /// How many seats it has.
    pub(crate) seats: u8,
    /// What the seat may do.
    pub(crate) role: Role,
    /// What the chat is for.
    pub(crate) mode: Mode,
    /// Fencing number of the chat's home.
    pub(crate) epoch: Epoch,
}

/// Somebody who comes to take a seat.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// From the seat token.
    pub(crate) seating: Seating,
    /// Who.
    pub(crate) subject: Subject,
    /// What their client has of the stranger's, where their gateway knows.
    pub(crate) received: Option<u64>,
    /// What the stranger's client has of theirs, where their gateway knows.
    pub(crate) confirmed: Option<u64>,
    /// How to reach them.
    pub(crate) link: Link,
    /// Whether the chat has begun before.
    pub(crate) age: Age,
    /// How often their client has come to another gateway.
    pub(crate) turn: u32,
    /// Whether their client is not connected.
    pub(crate) is_away: bool,
}

/// Whether a chat is new to those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It begins when all are there.
    New,
    /// It has begun before, here or at another relay.
    Begun,
}

/// Whether somebody is at a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nobody came yet.
    Vacant,
    /// Nobody will come.
    Declined,
    /// There.
    Here,
    /// The connection was lost; the seat is kept until then.
    Away { until: Moment, gone: Gone },
    /// Left for good.
    Left,
}

/// What was lost of a seat that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// The client's connection, as its gateway says.
    Client,
    /// The way to its gateway, or the client is on its way to another one; or it has never been here since the chat came to this relay.
    Stream,
}

/// The state of one seat.
pub(super) struct SeatState {
    pub(super) seat: Seat,
    pub(super) role: Role,
    pub(super) subject: Subject,
    pub(super) link: Option<Link>,
    pub(super) presence: Presence,
    /// How often its client has come to another gateway.
    pub(super) turn: u32,
    /// `started` was sent to it.
    pub(super) told_started: bool,
    /// Bit per seat that it was told is away.
    pub(super) told_away: u8,
    /// Everything of the other stranger's up to here is at its client. None: not known here.
    pub(super) received: Option<u64>,
    /// The highest number that it has used here.
    pub(super) said: u64,
    /// A message of its was withheld.
    pub(super) withheld: bool,
    /// Ids of its reports.
    pub(super) reports: Vec<Bytes>,
}

impl SeatState {
    pub(super) fn vacant(seat: Seat) -> Self {
        Self {
            seat,
            role: if seat.0 > STRANGERS { Role::Spy } else { Role::Stranger },
            subject: Subject::default(),
            link: None,
            presence: Presence::Vacant,
            turn: 0,
            told_started: false,
            told_away: 0,
            received: Some(0),
            said: 0,
            withheld: false,
            reports: Vec::new(),
        }
    }

    /// Whether who holds the seat has its client later than who comes. A client that got no new token may have come to two gateways
    /// with the same one: then it is where it is connected.
    pub(super) fn is_of_later(&self, arrival: &Arrival) -> bool {
        let is_elsewhere =
            arrival.is_away && self.is_here() && self.link.is_some_and(|link| link != arrival.link);
        arrival.turn < self.turn || arrival.turn == self.turn && is_elsewhere
    }

    pub(super) fn take(&mut self, arrival: &Arrival) {
        self.role = arrival.seating.role;
        self.subject = Subject {
            session: detached(&arrival.subject.session),
            address: detached(&arrival.subject.address),
        };
        self.received = self.received.max(arrival.received);
        self.turn = arrival.turn;
        self.link = Some(arrival.link);
        self.presence = Presence::Here;
    }

    /// It has said something of this number.
    pub(super) fn uses(&mut self, seq: u64) {
        self.said = self.said.max(seq);
    }

    pub(super) fn is_here(&self) -> bool {
        self.presence == Presence::Here
    }

    pub(super) fn is_away(&self) -> bool {
        self.away_until().is_some()
    }

    pub(super) fn away_until(&self) -> Option<Moment> {
        match self.presence {
            Presence::Away { until, .. } => Some(until),
            Presence::Vacant | Presence::Declined | Presence::Here | Presence::Left => None,
        }
    }

    /// Nobody sits there, or ever will again.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.presence, Presence::Declined | Presence::Left)
    }

    pub(super) fn is_taken(&self) -> bool {
        self.is_here() || self.is_away()
    }

    pub(super) fn is_stranger(&self) -> bool {
        self.role == Role::Stranger
    }

    pub(super) fn was_told_away(&self, other: Seat) -> bool {
        self.told_away & bit(other) != 0
    }

    pub(super) fn tell_presence(&mut self, other: Seat, presence: Seen) {
        match presence {
            Seen::Away => self.told_away |= bit(other),
            Seen::Back => self.told_away &= !bit(other),
        }
    }
}

/// How a seat appears to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Away,
    Back,
}

/// A copy of its own. What comes in shares the memory of the whole batch it came with, which must not live as long as a chat.
pub(super) fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn bit(seat: Seat) -> u8 {
    1_u8.checked_shl(u32::from(seat.0)).unwrap_or_default()
}

impl fmt::Debug for SeatState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeatState")
            .field("seat", &self.seat)
            .field("role", &self.role)
            .field("link", &self.link)
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}
