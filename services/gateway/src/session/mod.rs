//! One session's state machine: pure, so that every order of events can be tried.
//!
//! It is told what happens (a frame from the client, news of its ticket, a frame from the relay, a ban, a lost
//! socket) and answers with [`Effect`]s for the hub to carry out. It reads no clock and touches no socket.
//!
//! Invariants:
//! - I1: a session is in at most one chat. It takes an assignment only for the ticket that it holds waiting, and declines
//!   every other.
//! - I3: nothing of a chat reaches the client after `ended`, and nothing twice or out of order.

mod absence;
mod classic;
mod connection;
mod delivery;
mod frames;
mod home;
mod memory;
mod place;
mod relay;
mod wish;

#[cfg(test)]
mod tests;

use chassis::{
    Random, Redacted, Section,
    id::{Alias, ChatId, Epoch, Seat, SessionId, TicketId},
};
use stroll_proto::v1::{Leave, gateway_frame::Body as ToRelay};

use self::{absence::Absences, delivery::Delivery, home::Home};
pub use self::{
    connection::{Resume, banned},
    home::{Departure, Found, Rejoin, Retake},
    memory::{Known, Memory, Met},
    place::Waited,
    wish::{Enqueued, Place, Told, Wanted},
};
use crate::{
    close::Close,
    limits::SessionLimits,
    protocol::{Aim, By, Find, Mode, Refusal, Role, ServerFrame},
};

/// For how long after its end a chat can be reported, in milliseconds.
pub const REPORT_WINDOW_MS: u64 = 120_000;
/// For how long after its end the stranger of a chat can be met again, in milliseconds.
const AGAIN_WINDOW_MS: u64 = 60_000;
/// For how long after it was said a leave may have been lost with the relay, in milliseconds.
const UNHEARD_MS: u64 = 10_000;
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
    /// Mint a session token of what [`Session::known`] says, and send `welcome`.
    Welcome,
    /// The chat is over: mint a session token, and send `ended`.
    Ended {
        /// The chat.
        chat: ChatId,
        /// Who ended it.
        by: By,
        /// Why, where there is something to tell.
        reason: Option<String>,
        /// The seat of who left, where one did; else 0.
        seat: u32,
    },
    /// Close the client's socket.
    Close(Close),
    /// Put a ticket into the pool, then tell [`Session::on_enqueued`].
    Enqueue(Box<Wanted>),
    /// The ticket is no longer held; take it out of the pool if it is known where it lies.
    Forget(TicketId, Option<Place>),
    /// Take the seat at the relay.
    Attach(Box<Pairing>),
    /// Refuse the seat at the relay.
    Decline(Box<Pairing>),
    /// Take the seat again, where it was or elsewhere.
    Retake(Box<Retake>),
    /// Ask a matchmaker where a chat is, then tell [`Session::on_home`].
    AskHome {
        /// Which chat.
        chat: ChatId,
        /// A token of the seat.
        seat_token: bytes::Bytes,
        /// The relay in place of which another is needed; empty: none.
        lost_relay: String,
        /// The relay that has the seat; empty: none.
        held_at: String,
    },
    /// Leave a chat that has no seat at the moment.
    Depart(Box<Departure>),
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
        rejoin: Box<Rejoin>,
        /// When the wait began.
        since_unix_ms: u64,
    },
    /// The client is in the chat: send `resumed`, with a new resume token where the chat has gone to another relay or the client to
    /// another gateway.
    Resumed {
        /// The chat.
        chat: ChatId,
        /// Up to where the stranger has the client's.
        received: u64,
        /// What a new token is to say.
        renewed: Option<Box<Rejoin>>,
        /// For how long the chat had no seat, if it had none.
        interrupted_ms: Option<u64>,
    },
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
    /// How often the client has come to another gateway with a token.
    pub turn: u32,
    pub relay: String,
    pub seat_token: bytes::Bytes,
    pub common_interests: Vec<String>,
    pub language: Option<String>,
    pub question: Option<String>,
    pub mode: Mode,
    pub initiator: bool,
    pub traceparent: String,
    pub strangers: Vec<Alias>,
    pub again: Option<Redacted<[u8; 16]>>,
    pub partner_college: Option<String>,
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
    /// The client was told to connect elsewhere, and does not wait here any more.
    sent_away: bool,
    limits: SessionLimits,
    memory: Memory,
    /// What it waited for when it was interrupted.
    waited: Option<Waited>,
    /// What a classic client waits for that has not been heard of for a while.
    suspended: Option<Box<Wanted>>,
    /// How much of what is about to be said has been counted for the rate.
    prepaid: u32,
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
    /// Where it lay before it was put in again.
    old_place: Option<Place>,
    /// It was, or may have been, put in twice: the pool may have another entry of it when it is paired.
    twice: bool,
    no_shows: u32,
    /// How long those who meet anybody have waited lately, where it is known.
    anybody_estimate_ms: Option<u64>,
}

/// Paired, but the others have not come yet. To the client it still waits.
#[cfg_attr(test, derive(Debug))]
struct Attaching {
    wanted: Wanted,
    no_shows: u32,
    pairing: Pairing,
    home: Home,
    /// When the seat was asked for.
    asked_ms: u64,
}

#[cfg_attr(test, derive(Debug))]
struct Chatting {
    pairing: Pairing,
    section: Section,
    home: Home,
    delivery: Delivery,
    absences: Absences,
    /// To a spy: the last number of each stranger's that it was shown.
    watched: [u64; 2],
    typing: bool,
    /// The client came with a token, and is not back in the chat yet.
    rejoining: bool,
    /// The client has a new socket, and has not been told who is away.
    is_new_socket: bool,
}

impl Chatting {
    fn new(pairing: Pairing, section: Section, home: Home, delivery: Delivery) -> Self {
        Self {
            pairing,
            section,
            home,
            delivery,
            absences: Absences::default(),
            watched: [0; 2],
            typing: false,
            rejoining: false,
            is_new_socket: false,
        }
    }
}

/// The last chat, which may still be reported, and its strangers blocked.
#[cfg_attr(test, derive(Debug))]
struct Past {
    chat: ChatId,
    by: By,
    reason: Option<String>,
    ended_ms: u64,
    /// How it was left, for as long as it may have to be said again.
    left: Option<Box<Departure>>,
    strangers: Vec<Alias>,
    /// The wish to meet the same stranger again, where that is possible.
    again: Option<Box<Find>>,
}

impl Session {
    /// A session that has just said hello.
    #[must_use]
    pub fn new(id: SessionId, limits: SessionLimits) -> Self {
        Self {
            id,
            consent: false,
            connected: false,
            sent_away: false,
            limits,
            memory: Memory::default(),
            waited: None,
            suspended: None,
            prepaid: 0,
            state: State::Idle,
            past: None,
        }
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

    /// What its token is to say.
    #[must_use]
    pub fn known(&self) -> Known {
        let (consent, memory, waited) = (self.consent, self.memory.clone(), self.waited());
        Known { session: self.id, consent, memory, waited }
    }

    /// When [`Session::on_time`] has something to do, if ever.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let past = self.past.as_ref().map(|past| past.ended_ms + REPORT_WINDOW_MS);
        let of_state = match &self.state {
            State::Waiting(waiting) => waiting.deadline_ms(),
            State::Attaching(attaching) => {
                let timeout = attaching.asked_ms + ATTACH_TIMEOUT_MS;
                Some(attaching.home.deadline_ms().map_or(timeout, |deadline| deadline.min(timeout)))
            }
            State::Chatting(chatting) => {
                let Chatting { home, absences, .. } = &**chatting;
                home.deadline_ms().into_iter().chain(absences.deadline_ms()).min()
            }
            State::Idle => None,
        };
        past.into_iter().chain(of_state).min()
    }

    /// Time passed: forgets a past that can no longer be reported, tells of a search that widened or is over, and gives up
    /// on a relay that says nothing.
    pub fn on_time(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.past.as_ref().is_some_and(|past| env.now_ms >= past.ended_ms + REPORT_WINDOW_MS) {
            self.past = None;
            effects.push(Effect::DropPast);
        }
        match &mut self.state {
            State::Waiting(_) => effects.extend(self.while_waiting(env)),
            State::Attaching(attaching) if env.now_ms >= attaching.asked_ms + ATTACH_TIMEOUT_MS => {
                effects.push(Effect::Relay(ToRelay::Leave(Leave::default())));
                effects.extend(self.put_back(env));
            }
            State::Attaching(_) => effects.extend(self.look_for_home(env)),
            State::Chatting(chatting) => {
                effects.extend(chatting.absences.on_time(env).map(Effect::Send));
                effects.extend(self.look_for_home(env));
            }
            State::Idle => {}
        }
        effects
    }

    /// The stream to the relay of the chat that is over is lost. If the client left at just that time, the relay may not have
    /// heard it.
    pub fn on_past_relay_lost(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let Some(past) = &mut self.past else { return Vec::new() };
        let left = past.left.take().filter(|_| env.now_ms < past.ended_ms + UNHEARD_MS);
        [Effect::DropPast].into_iter().chain(left.map(Effect::Depart)).collect()
    }

    /// Ends the chat for the client, remembers who was in it, and keeps what a report and meeting again need.
    fn end(&mut self, by: By, reason: Option<String>, seat: u32, env: &Env<'_>) -> Vec<Effect> {
        let State::Chatting(chatting) = std::mem::replace(&mut self.state, State::Idle) else {
            debug_assert!(false, "only a chat can end");
            return Vec::new();
        };
        let Chatting { pairing, section, .. } = *chatting;
        let (chat, ended_ms) = (pairing.chat, env.now_ms);
        for stranger in &pairing.strangers {
            self.memory.remember(Met { stranger: *stranger, ended_ms });
        }
        let again = again(&pairing, section, by, ended_ms).map(Box::new);
        let left = (by == By::You).then(|| Box::new(Departure::from(&pairing, false)));
        let strangers = pairing.strangers;
        self.past = Some(Past { chat, by, reason: reason.clone(), ended_ms, left, strangers, again });
        vec![Effect::Ended { chat, by, reason, seat }, Effect::EndSeat]
    }
}

/// The wish to meet the stranger of a chat again; none for a spy, and none after moderation parted them.
fn again(pairing: &Pairing, section: Section, by: By, ended_ms: u64) -> Option<Find> {
    let token = pairing.again.filter(|_| pairing.role == Role::Stranger && by != By::Moderation)?;
    Some(Find {
        mode: pairing.mode,
        section,
        aim: Aim::Again { token, until_ms: ended_ms + AGAIN_WINDOW_MS },
        interests: Vec::new(),
        languages: Vec::new(),
        patience_ms: 0,
        only_interests: false,
        college: None,
    })
}

fn refuse(refusal: Refusal) -> Vec<Effect> {
    vec![Effect::Send(ServerFrame::Error(refusal))]
}
