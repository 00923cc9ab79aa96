//! Where a chat's seat is, and how it gets to another relay when that one is lost, or stops.
//!
//! A seat that was lost is first taken again where it was: perhaps only the connection broke. If that fails, a matchmaker is asked for
//! the chat's next home, which is the same for all who ask. Whoever finds the stranger gone asks now and then whether the chat has gone on
//! elsewhere, sooner if they went with their gateway's stream: so however the two are torn apart, they end up in the same place.

use chassis::{
    Section,
    id::{ChatId, Epoch},
};
use stroll_proto::v1::{Away, Leave, Moved, gateway_frame::Body as ToRelay};

use super::{Chatting, Delivery, Effect, Env, Pairing, Session, State};
use crate::protocol::{By, Code, Refusal, ServerFrame};

/// Before it is asked for the first time whether a chat has gone on elsewhere, and the longest pause after that, in milliseconds.
const FIRST_LOOK_MS: u64 = 250;
const LONGEST_LOOK_MS: u64 = 4_000;
/// How long a seat that is to be taken first may stay without an answer before it is asked, in milliseconds.
const SLOW_START_MS: u64 = 1_000;
/// How long a chat is kept without a seat, in milliseconds. Nothing is lost meanwhile, but at some time it is enough.
const UNSEATED_MS: u64 = 60_000;

/// Where a seat is.
#[derive(Debug)]
pub(super) struct Home {
    stand: Stand,
    /// A matchmaker was asked, and has not answered.
    asked: bool,
    /// Homes that a matchmaker named, and that gave no seat.
    fruitless: u32,
    /// The relay stops, or the stranger has gone from it: another is needed.
    leaving: bool,
    /// The stranger is not there, and may be elsewhere.
    stranger_lost: bool,
    /// The relay does not know the chat.
    unknown: bool,
    /// Taking the seat again where it was has been tried.
    retaken: bool,
    /// This gateway carried the seat, or was just told where it is.
    carried: bool,
    /// The client has a token of an older home.
    is_news: bool,
    /// When to ask, or try, next.
    next_ms: Option<u64>,
    pause_ms: u64,
    /// Since when there is no seat.
    unseated_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Asked for at the relay.
    Taking,
    /// At the relay.
    Seated,
    /// Nowhere.
    Lost,
}

/// A seat to be taken again, or elsewhere.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Retake {
    /// The relay.
    pub relay: String,
    /// Opens the seat there.
    pub seat_token: bytes::Bytes,
    /// How often the client has come to another gateway.
    pub turn: u32,
    /// Up to where the client has what the stranger said, where that is known.
    pub received: Option<u64>,
    /// Up to where the stranger's client has what this one said, where that is known.
    pub confirmed: Option<u64>,
    /// Whether the chat has begun.
    pub began: bool,
    /// Whether the relay is to begin the chat if it does not know it.
    pub carried: bool,
    /// Whether the client is not connected.
    pub away: bool,
}

/// A chat that is left while it has no seat: the stranger has to hear of it all the same.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub struct Departure {
    /// The relay that was lost.
    pub relay: String,
    /// Opens the seat there.
    pub seat_token: bytes::Bytes,
    /// How often the client has come to another gateway.
    pub turn: u32,
    /// Whether the one who leaves was banned.
    pub banned: bool,
}

/// What a matchmaker says of a chat's home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    Home {
        /// Its epoch.
        epoch: Epoch,
        /// The relay.
        relay: String,
        /// Opens the seat there.
        seat_token: bytes::Bytes,
    },
    /// Nowhere else.
    Nothing,
    /// No relay is there that could be it, or nobody could say.
    Unanswered,
    /// Nothing that it could ever tell.
    BadToken,
}

/// A chat that a client comes back into with a token.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub struct Rejoin {
    /// As far as the token tells.
    pub pairing: Pairing,
    /// Where the two met.
    pub section: Section,
}

impl Home {
    /// A seat that is asked for at this moment.
    pub(super) fn taking(env: &Env<'_>) -> Self {
        Self {
            stand: Stand::Taking,
            asked: false,
            fruitless: 0,
            leaving: false,
            stranger_lost: false,
            unknown: false,
            retaken: false,
            carried: true,
            is_news: false,
            next_ms: Some(env.now_ms + SLOW_START_MS),
            pause_ms: SLOW_START_MS,
            unseated_ms: None,
        }
    }

    /// One that is not asked for before it is known where.
    fn unknown(env: &Env<'_>) -> Self {
        let taking = Self::taking(env);
        Self { stand: Stand::Lost, carried: false, next_ms: None, unseated_ms: Some(env.now_ms), ..taking }
    }

    /// The relay has given the seat. Returns for how long there was none, in milliseconds.
    pub(super) fn seated(&mut self, env: &Env<'_>) -> Option<u64> {
        let interrupted_ms = self.unseated_ms.take().map(|since| env.now_ms.saturating_sub(since));
        let (leaving, stranger_lost) = (self.leaving, self.stranger_lost);
        self.stand = Stand::Seated;
        (self.retaken, self.carried) = (false, true);
        (self.fruitless, self.pause_ms) = (0, FIRST_LOOK_MS);
        if !leaving && !stranger_lost {
            self.next_ms = None;
        }
        interrupted_ms
    }

    /// Whether there is a seat, or one is asked for.
    pub(super) fn has_seat(&self) -> bool {
        self.stand != Stand::Lost
    }

    /// Whether the client is to get a new token, once.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// The stranger went with their gateway's stream: perhaps to another relay.
    pub(super) fn stranger_is_lost(&mut self, env: &Env<'_>) {
        self.miss_stranger(FIRST_LOOK_MS, env);
    }

    /// The stranger's client lost its gateway: it may come to another one, which can't reach this relay.
    pub(super) fn stranger_is_away(&mut self, env: &Env<'_>) {
        self.miss_stranger(LONGEST_LOOK_MS, env);
    }

    fn miss_stranger(&mut self, first_look_ms: u64, env: &Env<'_>) {
        let is_news = !std::mem::replace(&mut self.stranger_lost, true);
        let next = env.now_ms + first_look_ms;
        if is_news || self.next_ms.is_some_and(|known| next < known) {
            self.pause_ms = first_look_ms;
            self.next_ms = Some(next);
        }
    }

    /// The stranger is here.
    pub(super) fn stranger_is_back(&mut self) {
        self.stranger_lost = false;
    }

    /// When [`Session::look_for_home`] has something to do.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let give_up = self.unseated_ms.map(|since| since + UNSEATED_MS);
        self.next_ms.into_iter().chain(give_up).min()
    }

    /// Asks, unless it has been; `lost` where another home is needed.
    fn ask(&mut self, pairing: &Pairing, lost: Lost) -> Option<Effect> {
        self.next_ms = None;
        let lost_relay = if lost == Lost::Relay { pairing.relay.clone() } else { String::new() };
        let held_at = if self.stand == Stand::Seated { pairing.relay.clone() } else { String::new() };
        let (chat, seat_token) = (pairing.chat, pairing.seat_token.clone());
        let ask = Effect::AskHome { chat, seat_token, lost_relay, held_at };
        (!std::mem::replace(&mut self.asked, true)).then_some(ask)
    }

    /// Asks for another home: at once, unless the last one that was named gave no seat either.
    fn ask_for_another(&mut self, pairing: &Pairing, env: &Env<'_>) -> Option<Effect> {
        if self.fruitless == 0 {
            return self.ask(pairing, Lost::Relay);
        }
        self.pause(env);
        None
    }

    fn pause(&mut self, env: &Env<'_>) {
        self.next_ms = Some(env.now_ms + self.pause_ms);
        self.pause_ms = (2 * self.pause_ms).min(LONGEST_LOOK_MS);
    }
}

/// Whether a home was lost, or is only asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Relay,
    Nothing,
}

impl Session {
    /// A client came with the token of a chat that this gateway has not carried so far.
    pub(super) fn rejoin(&mut self, rejoin: Rejoin, env: &Env<'_>) -> Vec<Effect> {
        let Rejoin { mut pairing, section } = rejoin;
        pairing.turn = pairing.turn.saturating_add(1);
        self.waited = None;
        let mut home = Home::unknown(env);
        // It has a new turn.
        home.is_news = true;
        let ask = home.ask(&pairing, Lost::Nothing);
        let chatting =
            Chatting { rejoining: true, ..Chatting::new(pairing, section, home, Delivery::unknown()) };
        self.state = State::Chatting(Box::new(chatting));
        ask.into_iter().collect()
    }

    /// The stream to the relay is lost, and with it the seats that it held.
    pub fn on_relay_lost(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let Some((pairing, home)) = self.seat() else { return Vec::new() };
        home.stand = Stand::Lost;
        home.unseated_ms.get_or_insert(env.now_ms);
        let mut effects = vec![Effect::DropSeat];
        if home.retaken {
            effects.extend(home.ask_for_another(pairing, env));
        } else {
            effects.extend(self.take_again());
        }
        effects
    }

    /// The relay stops, or the stranger has gone from it.
    pub(super) fn on_moving(&mut self) -> Vec<Effect> {
        let Some((pairing, home)) = self.seat() else { return Vec::new() };
        home.leaving = true;
        home.pause_ms = FIRST_LOOK_MS;
        home.ask(pairing, Lost::Relay).into_iter().collect()
    }

    /// The relay does not know the chat: perhaps another one does.
    pub(super) fn on_unknown(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let Some((pairing, home)) = self.seat() else { return Vec::new() };
        home.stand = Stand::Lost;
        home.unseated_ms.get_or_insert(env.now_ms);
        home.unknown = true;
        let ask = home.ask(pairing, Lost::Nothing);
        [Effect::DropSeat].into_iter().chain(ask).collect()
    }

    /// The relay takes no more chats: another one may.
    pub(super) fn on_full(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let Some((pairing, home)) = self.seat() else { return Vec::new() };
        home.stand = Stand::Lost;
        home.unseated_ms.get_or_insert(env.now_ms);
        let ask = home.ask_for_another(pairing, env);
        [Effect::DropSeat].into_iter().chain(ask).collect()
    }

    /// A matchmaker answered where a chat is.
    pub fn on_home(&mut self, chat: ChatId, found: Found, env: &Env<'_>) -> Vec<Effect> {
        let Some((pairing, home)) = self.seat().filter(|(pairing, _)| pairing.chat == chat) else {
            return Vec::new();
        };
        home.asked = false;
        match found {
            Found::Home { epoch, relay, seat_token }
                if epoch > pairing.epoch || (epoch == pairing.epoch && relay != pairing.relay) =>
            {
                let leaves = home.has_seat().then_some(Effect::Relay(ToRelay::Moved(Moved {})));
                (pairing.epoch, pairing.relay, pairing.seat_token) = (epoch, relay, seat_token);
                (home.is_news, home.carried) = (true, true);
                (home.leaving, home.unknown) = (false, false);
                home.fruitless = home.fruitless.saturating_add(1);
                leaves.into_iter().chain(self.take_again()).collect()
            }
            Found::BadToken => self.fail(env),
            Found::Unanswered if home.unknown => {
                home.pause(env);
                Vec::new()
            }
            _ if home.unknown => self.fail(env),
            // A client has come with a token, and has gone nowhere yet.
            _ if home.stand == Stand::Lost && !home.retaken => self.take_again(),
            _ => {
                let waits = home.stand != Stand::Seated || home.leaving || home.stranger_lost;
                if waits {
                    home.pause(env);
                }
                Vec::new()
            }
        }
    }

    /// Time passed.
    pub(super) fn look_for_home(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let Some((pairing, home)) = self.seat() else { return Vec::new() };
        if home.unseated_ms.is_some_and(|since| env.now_ms >= since + UNSEATED_MS) {
            return self.fail(env);
        }
        if home.next_ms.is_none_or(|next| env.now_ms < next) {
            return Vec::new();
        }
        home.next_ms = None;
        match home.stand {
            Stand::Lost if home.unknown => home.ask(pairing, Lost::Nothing).into_iter().collect(),
            // That the last one named gave no seat says nothing of the one before.
            Stand::Lost if home.fruitless > 0 => home.ask(pairing, Lost::Relay).into_iter().collect(),
            Stand::Lost => self.take_again(),
            Stand::Seated if home.leaving => home.ask(pairing, Lost::Relay).into_iter().collect(),
            Stand::Seated if !home.stranger_lost => Vec::new(),
            Stand::Seated | Stand::Taking => home.ask(pairing, Lost::Nothing).into_iter().collect(),
        }
    }

    /// Leaves the chat at the relay that it has, or is about to have.
    pub(super) fn leave_seat(&mut self, leave: Leave) -> Vec<Effect> {
        let Some((pairing, home)) = self.seat() else { return Vec::new() };
        if home.has_seat() {
            return vec![Effect::Relay(ToRelay::Leave(leave))];
        }
        vec![Effect::Depart(Box::new(Departure::from(pairing, leave.banned)))]
    }

    /// Takes the seat where the chat is, as far as it is known.
    fn take_again(&mut self) -> Vec<Effect> {
        let is_away = !self.connected;
        if let State::Chatting(chatting) = &mut self.state {
            chatting.absences.grow_old();
        }
        let (began, (received, confirmed)) = match &self.state {
            State::Chatting(chatting) => (true, chatting.delivery.known()),
            _ => (false, (Some(0), Some(0))),
        };
        let Some((pairing, home)) = self.seat() else { return Vec::new() };
        (home.stand, home.retaken, home.next_ms) = (Stand::Taking, true, None);
        // It is told anew who is away.
        home.stranger_lost = false;
        let (relay, seat_token) = (pairing.relay.clone(), pairing.seat_token.clone());
        let turn = pairing.turn;
        let carried = home.carried;
        let retake =
            Retake { relay, seat_token, turn, received, confirmed, began, carried, away: began && is_away };
        let away =
            (began && is_away).then_some(Effect::Relay(ToRelay::Away(Away { elsewhere: self.sent_away })));
        [Effect::Retake(Box::new(retake))].into_iter().chain(away).collect()
    }

    fn seat(&mut self) -> Option<(&mut Pairing, &mut Home)> {
        match &mut self.state {
            State::Attaching(attaching) => Some((&mut attaching.pairing, &mut attaching.home)),
            State::Chatting(chatting) => Some((&mut chatting.pairing, &mut chatting.home)),
            State::Idle | State::Waiting(_) => None,
        }
    }

    /// The chat is nowhere.
    fn fail(&mut self, env: &Env<'_>) -> Vec<Effect> {
        match &self.state {
            State::Attaching(_) => self.put_back(env),
            State::Chatting(chatting) if chatting.rejoining => {
                self.state = State::Idle;
                let text = "that chat cannot be gone on with";
                vec![
                    Effect::DropSeat,
                    Effect::Send(ServerFrame::Error(Refusal::new(Code::ResumeFailed, text))),
                ]
            }
            State::Chatting(_) => self.end(By::Error, Some("relay_lost".to_owned()), 0, env),
            State::Idle | State::Waiting(_) => Vec::new(),
        }
    }
}

impl Departure {
    /// From a chat that is left.
    pub(super) fn from(pairing: &Pairing, banned: bool) -> Self {
        let (relay, seat_token) = (pairing.relay.clone(), pairing.seat_token.clone());
        Self { relay, seat_token, turn: pairing.turn, banned }
    }
}
