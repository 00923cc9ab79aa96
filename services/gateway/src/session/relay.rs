//! What comes from the relay that holds the seat.

use stroll_proto::v1::{EndedBy, Peer, Refused, RefusedReason, Resumed, relay_frame::Body as FromRelay};

use super::{Attaching, Chatting, Delivery, Effect, Env, Rejoin, Session, State};
use crate::{
    close::Close,
    protocol::{By, Code, From, Private, RawJson, Refusal, Role, ServerFrame},
};

impl Session {
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
                    self.end(ended_by(ended.by), reason, ended.seat, env)
                }
                FromRelay::Refused(refused) => self.on_refused(refused, env),
                FromRelay::Replaced(_) => self.on_replaced(),
                FromRelay::Moving(_) => self.on_moving(),
                FromRelay::Resumed(resumed) => chatting.on_resumed(&resumed, self.connected, env),
                body => chatting.on_relay(body, env),
            },
            State::Idle | State::Waiting(_) => Vec::new(),
        }
    }

    /// Nobody here has a say in that chat any more.
    fn on_replaced(&mut self) -> Vec<Effect> {
        self.state = State::Idle;
        vec![Effect::DropSeat, Effect::Close(Close::Replaced)]
    }

    fn on_refused(&mut self, refused: Refused, env: &Env<'_>) -> Vec<Effect> {
        match (refused.reason(), refused.ended) {
            (RefusedReason::Gone, Some(ended)) => {
                let reason = (!ended.reason.is_empty()).then_some(ended.reason);
                // The relay keeps no seat for a report.
                let mut effects = vec![Effect::DropSeat];
                effects.extend(self.end(ended_by(ended.by), reason, ended.seat, env));
                effects
            }
            (RefusedReason::Full, _) => self.on_full(env),
            (RefusedReason::Replaced, _) => self.on_replaced(),
            _ => self.on_unknown(env),
        }
    }

    fn while_attaching(&mut self, body: &FromRelay, env: &Env<'_>) -> Vec<Effect> {
        match body {
            FromRelay::Started(_) => self.begin_chat(env),
            FromRelay::Ended(_) => self.put_back(env),
            FromRelay::Moving(_) => self.on_moving(),
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

    fn begin_chat(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let State::Attaching(attaching) = std::mem::replace(&mut self.state, State::Idle) else {
            return Vec::new();
        };
        let Attaching { wanted, pairing, mut home, .. } = *attaching;
        home.seated(env);
        self.waited = None;
        let section = wanted.find.section;
        let rejoin = Box::new(Rejoin { pairing: pairing.clone(), section: section.clone() });
        let chatting = Chatting::new(pairing, section, home, Delivery::default());
        self.state = State::Chatting(Box::new(chatting));
        self.past = None;
        let matched = Effect::Matched { rejoin, since_unix_ms: wanted.since_unix_ms };
        vec![Effect::Forget(wanted.ticket, None), matched]
    }
}

impl Chatting {
    /// The seat is taken (again), or the client is to repeat what the stranger lacks.
    fn on_resumed(&mut self, resumed: &Resumed, connected: bool, env: &Env<'_>) -> Vec<Effect> {
        let interrupted_ms = self.home.seated(env);
        self.rejoining = false;
        let received = self.delivery.ask_for_repeats(resumed.received, resumed.confirmed, resumed.said);
        // One that is not there is told when it comes.
        let renewed = (connected && self.home.take_news())
            .then(|| Box::new(Rejoin { pairing: self.pairing.clone(), section: self.section.clone() }));
        let settled = self.absences.settle().map(Effect::Send);
        let is_new_socket = connected && std::mem::take(&mut self.is_new_socket);
        let away = if is_new_socket { self.absences.tell_again(env).map(Effect::Send) } else { None };
        let resumed = Effect::Resumed { chat: self.pairing.chat, received, renewed, interrupted_ms };
        settled.into_iter().chain([resumed]).chain(away).collect()
    }

    fn on_peer(&mut self, peer: &Peer, env: &Env<'_>) -> Vec<Effect> {
        match (peer.away, peer.lost) {
            (true, true) => self.home.stranger_is_lost(env),
            (true, false) => self.home.stranger_is_away(env),
            (false, _) => self.home.stranger_is_back(),
        }
        self.absences.hear(peer, env).map(Effect::Send).into_iter().collect()
    }

    fn on_relay(&mut self, body: FromRelay, env: &Env<'_>) -> Vec<Effect> {
        let spy = self.pairing.role == Role::Spy;
        match body {
            FromRelay::Message(message) => {
                let is_new = if spy {
                    self.is_new_to_spy(message.from, message.seq)
                } else {
                    self.delivery.incoming(message.seq)
                };
                if !is_new {
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
            FromRelay::Peer(peer) => self.on_peer(&peer, env),
            FromRelay::Confirmed(seq) => {
                self.delivery.confirmed(seq);
                Vec::new()
            }
            FromRelay::Notice(notice) => send(ServerFrame::Notice { code: notice.code, text: notice.text }),
            FromRelay::Reported(reported) => vec![report_answer(reported.case, reported.retry)],
            FromRelay::Started(_)
            | FromRelay::Refused(_)
            | FromRelay::Ended(_)
            | FromRelay::Resumed(_)
            | FromRelay::Replaced(_)
            | FromRelay::Moving(_)
            | FromRelay::Pong(_) => Vec::new(),
        }
    }

    /// A spy sees two senders with a count each, which it need not acknowledge. What it missed stays missing. After it
    /// has come to another gateway, repeats may come twice.
    fn is_new_to_spy(&mut self, from: u32, seq: u64) -> bool {
        let watched = &mut self.watched[usize::from(from > 1)];
        let is_new = seq > *watched;
        *watched = seq.max(*watched);
        is_new
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
        Ok(EndedBy::You) => By::You,
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
