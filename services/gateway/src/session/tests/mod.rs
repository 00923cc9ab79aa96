//! Every order of events that matters, as a table of what happens and what follows.

mod again;
mod chats;
mod classic;
mod memory;
mod moves;
mod wishes;

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;
use chassis::{
    Random, Redacted,
    id::{Alias, ChatId, Epoch, Seat, SessionId, TicketId},
};
use stroll_proto::v1::{
    Ended, EndedBy, Message, Notice, Peer, Refused, RefusedReason, Reported, Resumed, Started,
    gateway_frame::Body as ToRelay, relay_frame::Body as FromRelay,
};

use super::{
    Activity, Effect, Enqueued, Env, Found, Known, Memory, Pairing, Place, REPORT_WINDOW_MS, Rejoin, Resume,
    Retake, Session, Told, Wanted,
};
use crate::{
    close::Close,
    config::{Limits, Wishes},
    limits::SessionLimits,
    protocol::{By, ClientFrame, Code, From, Mode, Presence, Private, Refusal, Role, ServerFrame},
};

/// A session with its surroundings, told one thing after another.
struct Stage {
    session: Session,
    random: Random,
    now_ms: u64,
}

impl Stage {
    /// Connected, with consent.
    fn new() -> Self {
        let mut stage = Self::without_consent();
        stage.connect(Resume::No);
        stage
    }

    fn without_consent() -> Self {
        let many = NonZeroU32::new(1_000).expect("not zero");
        let limits = SessionLimits::new(&Limits {
            connections_per_address: many,
            handshakes_per_address: many,
            handshakes_per_second: many,
            finds_per_session: NonZeroU32::new(5).expect("not zero"),
            messages_per_session: many,
        });
        Self { session: Session::new(SessionId([1; 16]), limits), random: Random::seeded(1), now_ms: 1_000 }
    }

    fn waiting() -> (Self, Wanted) {
        let mut stage = Self::new();
        let wanted = stage.find();
        let place = place("1");
        assert_eq!(stage.enqueued(&wanted, Ok(place)), [waiting_frame()]);
        (stage, wanted)
    }

    fn attaching() -> (Self, Pairing) {
        let (mut stage, wanted) = Self::waiting();
        let pairing = pairing(&wanted, 7);
        assert_eq!(stage.assign(pairing.clone()), [Effect::Attach(Box::new(pairing.clone()))]);
        (stage, pairing)
    }

    fn chatting() -> (Self, Pairing) {
        let (mut stage, pairing) = Self::attaching();
        let effects = stage.relay(FromRelay::Started(Started {}));
        let matched = Effect::Matched { rejoin: rejoin(&pairing), since_unix_ms: 1_000 };
        assert_eq!(effects, [Effect::Forget(pairing.ticket, None), matched]);
        (stage, pairing)
    }

    fn env(&self) -> Env<'_> {
        Env { now_ms: self.now_ms, random: &self.random }
    }

    /// With consent. What follows `welcome`.
    fn connect(&mut self, resume: Resume) -> Vec<Effect> {
        self.connect_as(Known { consent: true, ..self.session.known() }, resume)
    }

    fn connect_as(&mut self, known: Known, resume: Resume) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        let mut effects = self.session.on_connected(known, resume, &env);
        assert_eq!(effects.remove(0), Effect::Welcome);
        effects
    }

    fn says(&mut self, json: &str) -> Vec<Effect> {
        let frame = ClientFrame::parse(json, &wishes()).expect("a good frame");
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_frame(frame, &env)
    }

    fn assign(&mut self, pairing: Pairing) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_assignment(pairing, &env)
    }

    fn relay(&mut self, body: FromRelay) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_relay(body, &env)
    }

    fn enqueued(&mut self, wanted: &Wanted, outcome: Result<Place, Refusal>) -> Vec<Effect> {
        let enqueued = |place| Enqueued { place, estimate_ms: None, anybody_estimate_ms: None, twice: false };
        self.session.on_enqueued(wanted.ticket, outcome.map(enqueued))
    }

    fn lose_relay(&mut self) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_relay_lost(&env)
    }

    fn home(&mut self, found: Found) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_home(ChatId([7; 16]), found, &env)
    }

    fn time(&mut self) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_time(&env)
    }

    fn find(&mut self) -> Wanted {
        self.wants(r#"{"type":"find","mode":"text"}"#)
    }

    fn wants(&mut self, json: &str) -> Wanted {
        let mut effects = self.says(json);
        let Some(Effect::Enqueue(wanted)) = effects.pop() else { panic!("no ticket: {effects:?}") };
        *wanted
    }

    /// From the wish into a chat.
    fn meets(&mut self, pairing: Pairing) {
        self.assign(pairing);
        self.relay(FromRelay::Started(Started {}));
        assert_eq!(self.session.activity(), Activity::Chatting);
    }

    #[track_caller]
    fn refused(&mut self, json: &str, code: Code) {
        let effects = self.says(json);
        assert!(
            matches!(&effects[..], [Effect::Send(ServerFrame::Error(refusal))] if refusal.code == code),
            "{json}: {effects:?}"
        );
    }
}

fn wishes() -> Wishes {
    Wishes {
        patience: Duration::from_secs(5),
        discuss_patience: Duration::from_secs(15),
        sections: "main,night".parse().expect("sections"),
    }
}

fn place(generation: &str) -> Place {
    Place { shard: "text.main.0".into(), entry: "1-1".into(), generation: generation.into() }
}

fn pairing(wanted: &Wanted, chat: u8) -> Pairing {
    Pairing {
        ticket: wanted.ticket,
        chat: ChatId([chat; 16]),
        seat: Seat(1),
        role: Role::Stranger,
        epoch: Epoch(1),
        turn: 0,
        relay: "http://127.0.0.1:1".into(),
        seat_token: Bytes::from_static(b"token"),
        common_interests: Vec::new(),
        language: None,
        question: None,
        mode: Mode::Text,
        initiator: false,
        traceparent: String::new(),
        strangers: vec![Alias(u64::from(chat))],
        again: Some(Redacted::new([chat; 16])),
        partner_college: None,
    }
}

fn rejoin(pairing: &Pairing) -> Box<Rejoin> {
    Box::new(Rejoin { pairing: pairing.clone(), section: wishes().sections.first().clone() })
}

fn resumed(received: u64) -> FromRelay {
    FromRelay::Resumed(Resumed { received: Some(received), confirmed: Some(0), said: 0 })
}

fn told_resumed(received: u64) -> Effect {
    Effect::Resumed { chat: ChatId([7; 16]), received, renewed: None, interrupted_ms: None }
}

fn waiting_frame() -> Effect {
    Effect::Send(ServerFrame::Waiting {
        interests: Vec::new(),
        patience_ms: 0,
        estimate_ms: None,
        widened: false,
        session: None,
    })
}

fn message(seq: u64) -> FromRelay {
    FromRelay::Message(Message { seq, text: "hi".into(), from: 2 })
}

fn shown(seq: u64) -> Effect {
    Effect::Send(ServerFrame::Message { seq, text: Private("hi".into()), from: From::Stranger })
}

fn ended(by: EndedBy, reason: &str) -> FromRelay {
    FromRelay::Ended(Ended { by: by.into(), reason: reason.into(), seat: 0 })
}

fn told_of_end(by: By) -> Effect {
    Effect::Ended { chat: ChatId([7; 16]), by, reason: None, seat: 0 }
}

fn going_away() -> Effect {
    Effect::Send(ServerFrame::GoingAway { reconnect_after_ms: 7 })
}
