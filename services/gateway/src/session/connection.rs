//! Sockets that come and go, and bans.

use stroll_proto::v1::{Away, Back, Leave, gateway_frame::Body as ToRelay};

use super::{Activity, Effect, Env, Known, Rejoin, Session, State, refuse};
use crate::{
    close::Close,
    protocol::{By, Code, Refusal, ServerFrame},
};

/// What a `hello` wants to come back into.
#[derive(PartialEq)]
#[cfg_attr(test, derive(Clone, Debug))]
pub enum Resume {
    /// Nothing.
    No,
    /// The chat of a good token.
    Chat(Box<Rejoin>),
    /// Something, with a token that is not good.
    Refused,
}

impl Session {
    /// A socket said hello, and its token what is known of it.
    pub fn on_connected(&mut self, known: Known, resume: Resume, env: &Env<'_>) -> Vec<Effect> {
        debug_assert_eq!(known.session, self.id, "a token is its own session's");
        self.connected = true;
        self.sent_away = false;
        self.consent |= known.consent;
        self.memory.merge(known.memory);
        self.waited = self.waited().or(known.waited);
        let mut effects = vec![Effect::Welcome];
        match (&mut self.state, resume) {
            (State::Chatting(chatting), Resume::Chat(rejoin))
                if chatting.pairing.chat == rejoin.pairing.chat =>
            {
                (chatting.typing, chatting.is_new_socket) = (false, true);
                if rejoin.pairing.turn > chatting.pairing.turn {
                    // It was elsewhere meanwhile, and what is known here is out of date.
                    effects.push(Effect::DropSeat);
                    effects.extend(self.rejoin(*rejoin, env));
                    return effects;
                }
                let received = chatting.delivery.begin_anew();
                effects.push(Effect::Relay(ToRelay::Back(Back { received })));
            }
            (_, resume) => {
                effects.extend(self.abandon(env));
                effects.extend(self.resume(resume, env));
            }
        }
        effects
    }

    /// The client starts from the beginning: it left whatever it was in.
    pub(super) fn abandon(&mut self, env: &Env<'_>) -> Vec<Effect> {
        if self.activity() != Activity::Chatting {
            return self.stop_waiting();
        }
        let mut effects = self.leave_seat(Leave::default());
        effects.extend(self.end(By::You, None, 0, env));
        // The client does not know of this chat any more.
        effects.retain(|effect| !matches!(effect, Effect::Ended { .. }));
        effects
    }

    /// Tells how the chat ended, where that is known, and otherwise looks for it.
    fn resume(&mut self, resume: Resume, env: &Env<'_>) -> Vec<Effect> {
        let rejoin = match resume {
            Resume::No => return Vec::new(),
            Resume::Refused => {
                return refuse(Refusal::new(Code::ResumeFailed, "that chat cannot be gone on with"));
            }
            Resume::Chat(rejoin) => *rejoin,
        };
        match self.past.as_ref().filter(|past| past.chat == rejoin.pairing.chat) {
            Some(past) => vec![Effect::Send(ServerFrame::Ended {
                chat: past.chat.to_string(),
                by: past.by,
                reason: past.reason.clone(),
                // `welcome` has just brought one.
                session: None,
            })],
            None => self.rejoin(rejoin, env),
        }
    }

    /// The socket is gone. A wish is taken back; a chat is kept for the grace time, which the relay counts.
    pub fn on_disconnected(&mut self) -> Vec<Effect> {
        self.connected = false;
        match &mut self.state {
            State::Chatting(chatting) => {
                chatting.typing = false;
                vec![Effect::Relay(ToRelay::Away(Away { elsewhere: self.sent_away }))]
            }
            _ => self.stop_waiting(),
        }
    }

    /// This gateway drains, and the client is to connect elsewhere. There it wishes anew, so it must not be paired here (I1).
    /// Who is just taking a seat is told nothing yet: either a chat comes of it, or it waits again.
    pub fn on_going_away(&mut self, reconnect_after_ms: u64) -> Vec<Effect> {
        if matches!(self.state, State::Attaching(_)) {
            return Vec::new();
        }
        self.sent_away = true;
        let mut effects =
            if self.activity() == Activity::Chatting { Vec::new() } else { self.stop_waiting() };
        effects.push(Effect::Send(ServerFrame::GoingAway { reconnect_after_ms }));
        effects
    }

    /// The session may no longer take part.
    pub fn on_ban(&mut self, env: &Env<'_>) -> Vec<Effect> {
        self.suspended = None;
        let mut effects = if self.activity() == Activity::Chatting {
            let mut effects = self.leave_seat(Leave { banned: true });
            effects.extend(self.end(By::Moderation, None, 0, env));
            effects
        } else {
            self.stop_waiting()
        };
        effects.extend(refuse(banned()));
        effects.push(Effect::Close(Close::Banned));
        effects
    }
}

/// The refusal for one who may not take part.
#[must_use]
pub fn banned() -> Refusal {
    Refusal::new(Code::Banned, "you may not take part at the moment")
}
