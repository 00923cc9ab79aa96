//! One session's state machine: pure, so that every order of events can be tried.
//!
//! It is told what happens (a frame from the client, news of its ticket, a frame from the relay, a ban, a lost
//! socket) and answers with [`Effect`]s for the hub to carry out. It reads no clock and touches no socket.
//!
//! Invariants:
//! - I1: a session is in at most one chat. It takes an assignment only for the ticket that it holds waiting, and declines
//!   every other.
//! - I3: nothing of a chat reaches the client after `ended`, and nothing twice or out of order.

mod delivery;
mod events;
mod frames;

#[cfg(test)]
mod tests;

use chassis::{
    Random,
    id::{ChatId, Epoch, Seat, SessionId, TicketId},
};
use stroll_proto::v1::gateway_frame::Body as ToRelay;

use self::delivery::Delivery;
pub use self::events::{banned, resume_refused};
use crate::{
    close::Close,
    limits::SessionLimits,
    protocol::{By, Find, Mode, Refusal, Role, ServerFrame},
};

/// For how long after its end a chat can be reported, in milliseconds.
pub const REPORT_WINDOW_MS: u64 = 120_000;
/// How long a relay may say nothing about a seat, in milliseconds. Twice what it waits itself for the other one.
const ATTACH_TIMEOUT_MS: u64 = 10_000;
/// How often in a row a ticket is put back because the other side did not show up, before the client is told.
const MAX_NO_SHOWS: u32 = 20;

/// What the hub is to do. In order.
#[derive(PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub enum Effect {
    /// Send the client a frame.
    Send(ServerFrame),
    /// Close the client's socket.
    Close(Close),
    /// Put a ticket into the pool, then tell [`Session::on_enqueued`].
    Enqueue(Wanted),
    /// The ticket is no longer held; take it out of the pool if it is known where it lies.
    Forget(TicketId, Option<Place>),
    /// Take the seat at the relay.
    Attach(Box<Pairing>),
    /// Refuse the seat at the relay.
    Decline(Box<Pairing>),
    /// A frame for the seat that the session has.
    Relay(ToRelay),
    /// A frame for the seat of the chat that is over.
    RelayPast(ToRelay),
    /// The chat is over: keep the seat's handle for a report, and nothing else of it.
    EndSeat,
    /// The chat never began: forget the seat's handle.
    DropSeat,
    /// The chat that is over can no longer be reported: forget its handle.
    DropPast,
    /// The chat began: mint a resume token and send `matched`.
    Matched {
        /// The chat.
        pairing: Box<Pairing>,
        /// When the wait began.
        since_unix_ms: u64,
    },
}

/// A wish that is in, or on its way into, the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// New with each try.
    pub ticket: TicketId,
    /// What is wished for.
    pub find: Find,
    /// When the wait began: the ticket's place.
    pub since_unix_ms: u64,
    /// Whether the client was already told that it waits, so that only a lasting failure may end the wish.
    pub told: bool,
    /// How long to wait before it goes in, in milliseconds: more with each stranger who did not show up, so that a relay that
    /// can't be reached is not tried at full speed.
    pub after_ms: u64,
}

/// Where a ticket lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The shard.
    pub shard: String,
    /// The stream entry.
    pub entry: String,
    /// The store's generation that holds it.
    pub generation: String,
}

/// An assignment, checked. Its fields are documented at the message of the same name in `matchmaker.proto`.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub struct Pairing {
    pub ticket: TicketId,
    pub chat: ChatId,
    pub seat: Seat,
    pub role: Role,
    pub epoch: Epoch,
    pub relay: String,
    pub seat_token: bytes::Bytes,
    pub common_interests: Vec<String>,
    pub language: Option<String>,
    pub question: Option<String>,
    pub mode: Mode,
    pub initiator: bool,
    pub traceparent: String,
}

/// What the world looks like at an event.
#[derive(Debug)]
pub struct Env<'a> {
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// For ticket and report ids.
    pub random: &'a Random,
}

/// What a session does, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Neither waits nor chats.
    Idle,
    /// In the pool, or about to be, or with a pairing that has not begun.
    Waiting,
    /// In a chat.
    Chatting,
}

/// One anonymous person.
#[cfg_attr(test, derive(Debug))]
pub struct Session {
    id: SessionId,
    consent: bool,
    connected: bool,
    limits: SessionLimits,
    state: State,
    past: Option<Past>,
}

#[cfg_attr(test, derive(Debug))]
enum State {
    Idle,
    Waiting(Box<Waiting>),
    Attaching(Box<Attaching>),
    Chatting(Box<Chatting>),
}

/// In the pool, or on the way there.
#[cfg_attr(test, derive(Debug))]
struct Waiting {
    wanted: Wanted,
    place: Option<Place>,
    no_shows: u32,
}

/// Paired, but the others have not come yet. To the client it still waits.
#[cfg_attr(test, derive(Debug))]
struct Attaching {
    wanted: Wanted,
    no_shows: u32,
    pairing: Pairing,
    /// When the seat was asked for.
    asked_ms: u64,
}

#[cfg_attr(test, derive(Debug))]
struct Chatting {
    pairing: Pairing,
    delivery: Delivery,
    typing: bool,
}

/// The last chat, which may still be reported.
#[derive(Debug)]
struct Past {
    chat: ChatId,
    by: By,
    reason: Option<String>,
    ended_ms: u64,
}

impl Session {
    /// A session that has just said hello.
    #[must_use]
    pub fn new(id: SessionId, limits: SessionLimits) -> Self {
        Self { id, consent: false, connected: false, limits, state: State::Idle, past: None }
    }

    /// Who it is.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// What it does.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match self.state {
            State::Idle => Activity::Idle,
            State::Waiting(_) | State::Attaching(_) => Activity::Waiting,
            State::Chatting(_) => Activity::Chatting,
        }
    }

    /// Whether nothing is lost if the session is forgotten.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.connected && self.past.is_none() && matches!(self.state, State::Idle)
    }

    /// When [`Session::on_time`] has something to do, if ever.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let past = self.past.as_ref().map(|past| past.ended_ms + REPORT_WINDOW_MS);
        let attaching = match &self.state {
            State::Attaching(attaching) => Some(attaching.asked_ms + ATTACH_TIMEOUT_MS),
            _ => None,
        };
        past.into_iter().chain(attaching).min()
    }

    /// Ends the chat for the client, and keeps what a report needs.
    fn end(&mut self, by: By, reason: Option<String>, env: &Env<'_>) -> Vec<Effect> {
        let State::Chatting(chatting) = std::mem::replace(&mut self.state, State::Idle) else {
            debug_assert!(false, "only a chat can end");
            return Vec::new();
        };
        let chat = chatting.pairing.chat;
        self.past = Some(Past { chat, by, reason: reason.clone(), ended_ms: env.now_ms });
        vec![Effect::Send(ended(chat, by, reason)), Effect::EndSeat]
    }

    /// Puts a wish into the pool under a new ticket.
    fn wait(&mut self, find: Find, since_unix_ms: u64, told: bool, no_shows: u32, env: &Env<'_>) -> Effect {
        let wanted = Wanted {
            ticket: TicketId::new(env.random),
            find,
            since_unix_ms,
            told,
            after_ms: pause_ms(no_shows),
        };
        self.state = State::Waiting(Box::new(Waiting { wanted: wanted.clone(), place: None, no_shows }));
        Effect::Enqueue(wanted)
    }
}

/// None for the first, then 50 ms, doubled up to a second: twenty take a good quarter of a minute.
fn pause_ms(no_shows: u32) -> u64 {
    match no_shows {
        0 | 1 => 0,
        more => 50_u64.saturating_mul(2_u64.saturating_pow(more - 2)).min(1_000),
    }
}

fn ended(chat: ChatId, by: By, reason: Option<String>) -> ServerFrame {
    ServerFrame::Ended { chat: chat.to_string(), by, reason }
}

fn refuse(refusal: Refusal) -> Vec<Effect> {
    vec![Effect::Send(ServerFrame::Error(refusal))]
}
