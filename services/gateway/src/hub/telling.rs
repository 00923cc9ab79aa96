//! What clients are told: by a frame on a socket, or by the endpoint of a classic session.

use chassis::id::ChatId;

use super::{Hub, seconds};
use crate::{
    classic,
    protocol::{By, Limits, Matched, ServerFrame},
    session::Rejoin,
    slot::{Client, Inner},
    token,
};

impl Hub {
    pub(super) fn send(&self, inner: &mut Inner, frame: ServerFrame) {
        if let ServerFrame::Error(refusal) = &frame {
            self.metrics.refusal(refusal.code);
        }
        match &mut inner.client {
            Some(Client::Socket(socket)) => {
                let frame = match frame {
                    ServerFrame::Waiting { interests, patience_ms, estimate_ms, widened, .. } => {
                        let session = Some(token::for_session(&self.context, &inner.session.known()));
                        ServerFrame::Waiting { interests, patience_ms, estimate_ms, widened, session }
                    }
                    frame => frame,
                };
                if matches!(frame, ServerFrame::Message { .. }) {
                    self.metrics.message();
                }
                socket.push(frame.to_json());
            }
            Some(Client::Classic(classic)) => classic.endpoint.hear(frame),
            None => {}
        }
    }

    pub(super) fn welcome(&self, inner: &mut Inner) {
        let welcome = ServerFrame::Welcome {
            session: token::for_session(&self.context, &inner.session.known()),
            online: self.stats.read(self).online,
            limits: Limits::default(),
            sections: self.config.wishes.sections.choice(),
        };
        self.send(inner, welcome);
    }

    pub(super) fn ended(&self, inner: &mut Inner, chat: ChatId, by: By, reason: Option<String>, seat: u32) {
        if let Some(classic) = inner.classic() {
            return classic.endpoint.ended(seat);
        }
        let session = Some(token::for_session(&self.context, &inner.session.known()));
        self.send(inner, ServerFrame::Ended { chat: chat.to_string(), by, reason, session });
    }

    pub(super) fn resumed(&self, inner: &mut Inner, chat: ChatId, received: u64, renewed: Option<&Rejoin>) {
        if let Some(classic) = inner.classic() {
            return classic.endpoint.resumed(received);
        }
        let renew = |rejoin: &Rejoin| token::for_resume(&self.context, inner.session.id(), rejoin);
        let resume = renewed.map(renew);
        self.send(inner, ServerFrame::Resumed { chat: chat.to_string(), received, resume });
    }

    pub(super) fn matched(&self, inner: &mut Inner, rejoin: &Rejoin, since_unix_ms: u64) {
        let pairing = &rejoin.pairing;
        let waited_ms = self.context.clock.unix_ms().saturating_sub(since_unix_ms);
        self.metrics.matched(seconds(waited_ms));
        self.spy_waits.lock().count(pairing.role, pairing.question.is_some(), waited_ms);
        if let Some(classic) = inner.classic() {
            let digests = classic::digests(&self.context.secret, pairing.chat);
            return classic.endpoint.matched(pairing, digests);
        }
        self.send(
            inner,
            ServerFrame::Matched(Box::new(Matched {
                chat: pairing.chat.to_string(),
                role: pairing.role,
                common_interests: pairing.common_interests.clone(),
                language: pairing.language.clone(),
                question: pairing.question.clone(),
                mode: pairing.mode,
                initiator: pairing.initiator,
                resume: token::for_resume(&self.context, inner.session.id(), rejoin),
            })),
        );
    }
}
