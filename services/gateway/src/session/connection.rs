//! Sockets that come and go, and bans.

use chassis::id::ChatId;
use stroll_proto::v1::{Away, Back, Leave, gateway_frame::Body as ToRelay};

use super::{Activity, Effect, Env, Known, Session, State, refuse};
use crate::{
    close::Close,
    protocol::{By, Code, Refusal, ServerFrame},
};

/// What a `hello` wants to come back into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Nothing.
    No,
    /// The chat of a good token.
    Chat(ChatId),
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
        let mut effects = vec![Effect::Welcome];
        match (&mut self.state, resume) {
            (State::Chatting(chatting), Resume::Chat(chat)) if chatting.pairing.chat == chat => {
                chatting.typing = false;
                let received = chatting.delivery.begin_anew();
                effects.push(Effect::Relay(ToRelay::Back(Back { received })));
            }
            (_, resume) => {
                effects.extend(self.abandon(env));
                effects.extend(self.resume_failed(resume));
            }
        }
        effects
    }

    /// The client starts from the beginning: it left whatever it was in.
    fn abandon(&mut self, env: &Env<'_>) -> Vec<Effect> {
        if self.activity() != Activity::Chatting {
            return self.stop_waiting();
        }
        let mut effects = vec![Effect::Relay(ToRelay::Leave(Leave::default()))];
        effects.extend(self.end(By::You, None, env));
        // The client does not know of this chat any more.
        effects.retain(|effect| !matches!(effect, Effect::Ended { .. }));
        effects
    }

    /// Tells how the chat ended, where that is known.
    fn resume_failed(&self, resume: Resume) -> Option<Effect> {
        let chat = match resume {
            Resume::No => return None,
            Resume::Refused => None,
            Resume::Chat(chat) => Some(chat),
        };
        let past = self.past.as_ref().filter(|past| Some(past.chat) == chat);
        let told = past.map(|past| ServerFrame::Ended {
            chat: past.chat.to_string(),
            by: past.by,
            reason: past.reason.clone(),
            // `welcome` has just brought one.
            session: None,
        });
        let refused = || {
            let text = "that chat cannot be gone on with";
            ServerFrame::Error(Refusal::new(Code::ResumeFailed, text))
        };
        Some(Effect::Send(told.unwrap_or_else(refused)))
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
}

/// The refusal for one who may not take part.
#[must_use]
pub fn banned() -> Refusal {
    Refusal::new(Code::Banned, "you may not take part at the moment")
}
