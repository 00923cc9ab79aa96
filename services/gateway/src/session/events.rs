//! What happens to a session without its client's doing.

use chassis::id::{ChatId, TicketId};
use stroll_proto::v1::{
    Away, Back, EndedBy, Leave, RefusedReason, gateway_frame::Body as ToRelay, relay_frame::Body as FromRelay,
};

use super::{
    ATTACH_TIMEOUT_MS, Activity, Attaching, Chatting, Effect, Env, MAX_NO_SHOWS, Pairing, Place,
    REPORT_WINDOW_MS, Session, State, Waiting, ended, refuse,
};
use crate::{
    close::Close,
    protocol::{By, Code, From, Presence, Private, RawJson, Refusal, Role, ServerFrame},
};

impl Session {
    /// A socket said hello, perhaps with a good token of the chat that it wants to come back into. Effects come
    /// after `welcome`.
    pub fn on_connected(&mut self, consent: bool, resume: Option<ChatId>, env: &Env<'_>) -> Vec<Effect> {
        self.connected = true;
        self.consent |= consent;
        match (&mut self.state, resume) {
            (State::Chatting(chatting), Some(chat)) if chatting.pairing.chat == chat => {
                chatting.typing = false;
                let received = chatting.delivery.begin_anew();
                vec![Effect::Relay(ToRelay::Back(Back { received }))]
            }
            (_, resume) => {
                let mut effects = self.abandon(env);
                effects.extend(resume.map(|chat| self.resume_failed(chat)));
                effects
            }
        }
    }

    /// The client starts from the beginning: it left whatever it was in.
    fn abandon(&mut self, env: &Env<'_>) -> Vec<Effect> {
        if self.activity() != Activity::Chatting {
            return self.stop_waiting();
        }
        let mut effects = vec![Effect::Relay(ToRelay::Leave(Leave::default()))];
        effects.extend(self.end(By::You, None, env));
        // The client does not know of this chat any more.
        effects.retain(|effect| !matches!(effect, Effect::Send(_)));
        effects
    }

    /// Tells how the chat ended, where that is known.
    fn resume_failed(&self, chat: ChatId) -> Effect {
        match &self.past {
            Some(past) if past.chat == chat => Effect::Send(ended(chat, past.by, past.reason.clone())),
            _ => Effect::Send(ServerFrame::Error(resume_refused())),
        }
    }

    /// The socket is gone. A wish is taken back; a chat is kept for the grace time, which the relay counts.
    pub fn on_disconnected(&mut self) -> Vec<Effect> {
        self.connected = false;
        match &mut self.state {
            State::Chatting(chatting) => {
                chatting.typing = false;
                vec![Effect::Relay(ToRelay::Away(Away {}))]
            }
            _ => self.stop_waiting(),
        }
    }

    /// The pool took the ticket, or did not.
    pub fn on_enqueued(&mut self, ticket: TicketId, outcome: Result<Place, Refusal>) -> Vec<Effect> {
        let waiting = match &mut self.state {
            State::Waiting(waiting) if waiting.wanted.ticket == ticket => waiting,
            // The pairing overtook this answer: what was put in is out already.
            State::Attaching(attaching) if attaching.pairing.ticket == ticket => return Vec::new(),
            State::Chatting(chatting) if chatting.pairing.ticket == ticket => return Vec::new(),
            _ => return take_back(ticket, outcome),
        };
        match outcome {
            Ok(place) => {
                waiting.place = Some(place);
                waiting.tell()
            }
            Err(refusal) => {
                let told = waiting.wanted.told;
                self.give_up(ticket, told, refusal)
            }
        }
    }

    /// A ticket was paired.
    pub fn on_assignment(&mut self, pairing: Pairing, env: &Env<'_>) -> Vec<Effect> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Waiting(mut waiting) if waiting.wanted.ticket == pairing.ticket => {
                // The news may overtake the answer that the ticket is in the pool.
                let mut effects = waiting.tell();
                let Waiting { wanted, no_shows, .. } = *waiting;
                effects.push(Effect::Attach(Box::new(pairing.clone())));
                self.state =
                    State::Attaching(Box::new(Attaching { wanted, no_shows, pairing, asked_ms: env.now_ms }));
                effects
            }
            other => {
                let known = match &other {
                    State::Attaching(attaching) => attaching.pairing.chat == pairing.chat,
                    State::Chatting(chatting) => chatting.pairing.chat == pairing.chat,
                    _ => false,
                };
                self.state = other;
                if known { Vec::new() } else { vec![Effect::Decline(Box::new(pairing))] }
            }
        }
    }

    /// The generation that the ticket was put into is lost: put it in again. Keeps its id, since it is the same ticket.
    pub fn on_generation(&mut self, is_lost: impl FnOnce(&str) -> bool) -> Vec<Effect> {
        match &mut self.state {
            State::Waiting(waiting)
                if waiting.place.as_ref().is_some_and(|place| is_lost(&place.generation)) =>
            {
                waiting.place = None;
                vec![Effect::Enqueue(waiting.wanted.clone())]
            }
            _ => Vec::new(),
        }
    }

    /// A frame for the seat of the chat that is over. Only the answer to a report still matters.
    pub fn on_past_relay(body: FromRelay) -> Vec<Effect> {
        match body {
            FromRelay::Reported(reported) => vec![report_answer(reported.case, reported.retry)],
            _ => Vec::new(),
        }
    }

    /// A frame for the seat that the session has.
    pub fn on_relay(&mut self, body: FromRelay, env: &Env<'_>) -> Vec<Effect> {
        match &mut self.state {
            State::Attaching(_) => self.while_attaching(&body, env),
            State::Chatting(chatting) => match body {
                FromRelay::Ended(ended) => {
                    let reason = (!ended.reason.is_empty()).then_some(ended.reason);
                    self.end(ended_by(ended.by), reason, env)
                }
                FromRelay::Refused(_) => self.end(By::Error, None, env),
                body => chatting.on_relay(body),
            },
            State::Idle | State::Waiting(_) => Vec::new(),
        }
    }

    fn while_attaching(&mut self, body: &FromRelay, env: &Env<'_>) -> Vec<Effect> {
        match body {
            FromRelay::Started(_) => self.begin_chat(),
            FromRelay::Ended(_) => self.put_back(env),
            FromRelay::Refused(refused) if refused.reason() == RefusedReason::BadToken => {
                let refusal = Refusal::new(Code::Unavailable, "the cluster cannot start chats at the moment");
                let State::Attaching(attaching) = &self.state else { return Vec::new() };
                let (ticket, told) = (attaching.wanted.ticket, attaching.wanted.told);
                let mut effects = vec![Effect::DropSeat];
                effects.extend(self.give_up(ticket, told, refusal));
                effects
            }
            FromRelay::Refused(_) => self.put_back(env),
            _ => Vec::new(),
        }
    }

    fn begin_chat(&mut self) -> Vec<Effect> {
        let State::Attaching(attaching) = std::mem::replace(&mut self.state, State::Idle) else {
            return Vec::new();
        };
        let Attaching { wanted, pairing, .. } = *attaching;
        let chatting =
            Chatting { pairing: pairing.clone(), delivery: super::Delivery::default(), typing: false };
        self.state = State::Chatting(Box::new(chatting));
        self.past = None;
        let matched = Effect::Matched { pairing: Box::new(pairing), since_unix_ms: wanted.since_unix_ms };
        vec![Effect::Forget(wanted.ticket, None), matched]
    }

    /// The relay's connection is lost, and with it the seats that it held. (A chat will move to another relay once chats
    /// can.)
    pub fn on_relay_lost(&mut self, env: &Env<'_>) -> Vec<Effect> {
        match self.state {
            State::Attaching(_) => self.put_back(env),
            State::Chatting(_) => self.end(By::Error, Some("relay_lost".to_owned()), env),
            State::Idle | State::Waiting(_) => Vec::new(),
        }
    }

    /// The others did not come. The wish goes back into the pool with its old place, and the client notices nothing.
    fn put_back(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let State::Attaching(attaching) = std::mem::replace(&mut self.state, State::Idle) else {
            return Vec::new();
        };
        let Attaching { wanted, no_shows, .. } = *attaching;
        let mut effects = vec![Effect::DropSeat];
        if no_shows >= MAX_NO_SHOWS {
            let refusal = Refusal::new(Code::Unavailable, "no stranger could be reached").retry_after(5_000);
            effects.extend(self.give_up(wanted.ticket, wanted.told, refusal));
        } else {
            effects.push(Effect::Forget(wanted.ticket, None));
            effects.push(self.wait(wanted.find, wanted.since_unix_ms, wanted.told, no_shows + 1, env));
        }
        effects
    }

    /// The wish can't be had. A client that believes to wait is told that it does not.
    fn give_up(&mut self, ticket: TicketId, told: bool, refusal: Refusal) -> Vec<Effect> {
        self.state = State::Idle;
        let mut effects = vec![Effect::Forget(ticket, None)];
        effects.extend(refuse(refusal));
        effects.extend(told.then_some(Effect::Send(ServerFrame::Idle)));
        effects
    }

    /// The session may no longer take part.
    pub fn on_ban(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let mut effects = if self.activity() == Activity::Chatting {
            let mut effects = vec![Effect::Relay(ToRelay::Leave(Leave { banned: true }))];
            effects.extend(self.end(By::Moderation, None, env));
            effects
        } else {
            self.stop_waiting()
        };
        effects.extend(refuse(banned()));
        effects.push(Effect::Close(Close::Banned));
        effects
    }

    /// Time passed: forgets a past that can no longer be reported, and gives up on a relay that says nothing.
    pub fn on_time(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.past.as_ref().is_some_and(|past| env.now_ms >= past.ended_ms + REPORT_WINDOW_MS) {
            self.past = None;
            effects.push(Effect::DropPast);
        }
        let asked_ms = match &self.state {
            State::Attaching(attaching) => Some(attaching.asked_ms),
            _ => None,
        };
        if asked_ms.is_some_and(|asked| env.now_ms >= asked + ATTACH_TIMEOUT_MS) {
            effects.push(Effect::Relay(ToRelay::Leave(Leave::default())));
            effects.extend(self.put_back(env));
        }
        effects
    }
}

impl Waiting {
    /// Says once that the ticket is in the pool.
    fn tell(&mut self) -> Vec<Effect> {
        if std::mem::replace(&mut self.wanted.told, true) {
            return Vec::new();
        }
        let find = &self.wanted.find;
        vec![Effect::Send(ServerFrame::Waiting {
            interests: find.interests.clone(),
            patience_ms: find.patience_ms,
        })]
    }
}

impl Chatting {
    fn on_relay(&mut self, body: FromRelay) -> Vec<Effect> {
        let spy = self.pairing.role == Role::Spy;
        match body {
            FromRelay::Message(message) => {
                // A spy sees two senders with a count each, which it need not acknowledge.
                if !spy && !self.delivery.incoming(message.seq) {
                    return Vec::new();
                }
                let from = from(spy, message.from);
                send(ServerFrame::Message { seq: message.seq, text: Private(message.text), from })
            }
            FromRelay::Signal(signal) => self.signal(signal.seq, &signal.data),
            FromRelay::Ack(seq) => match self.delivery.acknowledged_by_stranger(seq) {
                Some(seq) => send(ServerFrame::Ack { seq }),
                None => Vec::new(),
            },
            FromRelay::Typing(typing) => {
                send(ServerFrame::Typing { on: typing.on, from: from(spy, typing.from) })
            }
            FromRelay::Resumed(resumed) => {
                let received = self.delivery.ask_for_repeats(resumed.received);
                send(ServerFrame::Resumed { chat: self.pairing.chat.to_string(), received })
            }
            FromRelay::Peer(peer) => {
                send(ServerFrame::Stranger { state: if peer.away { Presence::Away } else { Presence::Back } })
            }
            FromRelay::Notice(notice) => send(ServerFrame::Notice { code: notice.code, text: notice.text }),
            FromRelay::Reported(reported) => vec![report_answer(reported.case, reported.retry)],
            FromRelay::Started(_) | FromRelay::Refused(_) | FromRelay::Ended(_) => Vec::new(),
        }
    }

    fn signal(&mut self, seq: u64, data: &[u8]) -> Vec<Effect> {
        if !self.delivery.incoming(seq) {
            return Vec::new();
        }
        // The sender's gateway let only JSON through.
        match String::from_utf8(data.to_vec()).ok().and_then(RawJson::new) {
            Some(data) => send(ServerFrame::Signal { seq, data: Box::new(data) }),
            None => Vec::new(),
        }
    }
}

/// What the pool took for a wish that is no longer there comes out again.
fn take_back(ticket: TicketId, outcome: Result<Place, Refusal>) -> Vec<Effect> {
    outcome.map(|place| Effect::Forget(ticket, Some(place))).into_iter().collect()
}

fn send(frame: ServerFrame) -> Vec<Effect> {
    vec![Effect::Send(frame)]
}

fn from(to_spy: bool, seat: u32) -> From {
    match (to_spy, seat) {
        (false, _) => From::Stranger,
        (true, 1) => From::Stranger1,
        (true, _) => From::Stranger2,
    }
}

fn ended_by(by: i32) -> By {
    match EndedBy::try_from(by) {
        Ok(EndedBy::Stranger) => By::Stranger,
        Ok(EndedBy::Away) => By::Away,
        Ok(EndedBy::Moderation) => By::Moderation,
        Ok(EndedBy::Error | EndedBy::NoShow | EndedBy::Unspecified) | Err(_) => By::Error,
    }
}

fn report_answer(case: String, retry: bool) -> Effect {
    Effect::Send(if case.is_empty() {
        let refusal = Refusal::new(Code::Unavailable, "the report could not be stored");
        ServerFrame::Error(if retry { refusal.retry_after(2_000) } else { refusal })
    } else {
        ServerFrame::Reported { case }
    })
}

/// The refusal for one who may not take part.
#[must_use]
pub fn banned() -> Refusal {
    Refusal::new(Code::Banned, "you may not take part at the moment")
}

/// The refusal for a chat that can't be gone on with.
#[must_use]
pub fn resume_refused() -> Refusal {
    Refusal::new(Code::ResumeFailed, "that chat cannot be gone on with")
}
