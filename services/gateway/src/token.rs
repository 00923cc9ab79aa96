//! What the tokens that clients keep say. Both are sealed: a client can neither read nor make one.

use bytes::Bytes;
use chassis::{
    Context, Redacted, Sections,
    id::{Alias, ChatId, Epoch, Seat, SessionId, TicketId},
    secret::Purpose,
};
use prost::Message as _;

use crate::{
    protocol::{Mode, Role},
    session::{Known, Memory, Met, Pairing, Place, Rejoin, Waited},
};

/// How long a session token is good, in milliseconds: 30 days.
const SESSION_MS: u64 = 30 * 24 * 3_600_000;
/// How long a resume token is good, in milliseconds: 24 hours, as the seat token in it.
const RESUME_MS: u64 = 24 * 3_600_000;

/// In a session token.
#[derive(Clone, PartialEq, prost::Message)]
struct SessionClaims {
    #[prost(bytes = "bytes", tag = "1")]
    session: Bytes,
    #[prost(bool, tag = "2")]
    consent: bool,
    #[prost(uint64, tag = "3")]
    expires_unix_ms: u64,
    #[prost(message, repeated, tag = "4")]
    met: Vec<MetClaims>,
    #[prost(fixed64, repeated, tag = "5")]
    blocked: Vec<u64>,
    #[prost(message, optional, tag = "6")]
    waited: Option<WaitedClaims>,
}

/// In a session token: a ticket that waits.
#[derive(Clone, PartialEq, prost::Message)]
struct WaitedClaims {
    #[prost(uint64, tag = "1")]
    since_unix_ms: u64,
    #[prost(bytes = "bytes", tag = "2")]
    ticket: Bytes,
    #[prost(string, tag = "3")]
    shard: String,
    #[prost(string, tag = "4")]
    entry: String,
    #[prost(string, tag = "5")]
    generation: String,
    #[prost(bool, tag = "6")]
    video: bool,
    #[prost(string, tag = "7")]
    section: String,
}

/// In a session token: a stranger whom the session was in a chat with.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct MetClaims {
    #[prost(fixed64, tag = "1")]
    stranger: u64,
    #[prost(uint64, tag = "2")]
    ended_unix_ms: u64,
}

/// In a resume token: all that another gateway needs to come back into the chat.
#[derive(Clone, PartialEq, prost::Message)]
struct ResumeClaims {
    #[prost(bytes = "bytes", tag = "1")]
    session: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    chat: Bytes,
    #[prost(uint32, tag = "3")]
    seat: u32,
    #[prost(bytes = "bytes", tag = "4")]
    seat_token: Bytes,
    #[prost(string, tag = "5")]
    home: String,
    #[prost(uint64, tag = "6")]
    epoch: u64,
    #[prost(uint64, tag = "7")]
    expires_unix_ms: u64,
    #[prost(bool, tag = "8")]
    spy: bool,
    #[prost(bool, tag = "9")]
    video: bool,
    #[prost(string, tag = "10")]
    section: String,
    #[prost(fixed64, repeated, tag = "11")]
    strangers: Vec<u64>,
    #[prost(bytes = "bytes", tag = "12")]
    again: Bytes,
    #[prost(uint32, tag = "13")]
    turn: u32,
}

/// A token that makes its holder the same session again.
#[must_use]
pub fn for_session(context: &Context, known: &Known) -> String {
    let now_ms = context.clock.unix_ms();
    let met = known.memory.met_lately(now_ms);
    let claims = SessionClaims {
        session: known.session.to_bytes(),
        consent: known.consent,
        expires_unix_ms: now_ms + SESSION_MS,
        met: met.map(|met| MetClaims { stranger: met.stranger.0, ended_unix_ms: met.ended_ms }).collect(),
        blocked: known.memory.blocked().map(|stranger| stranger.0).collect(),
        waited: known.waited.as_ref().map(waited_claims),
    };
    context.secret.seal(Purpose::Session, &claims.encode_to_vec(), &context.random)
}

/// What a session token says; nothing if it is forged, damaged or expired.
#[must_use]
pub fn read_session(context: &Context, sections: &Sections, token: &str) -> Option<Known> {
    let content = context.secret.open(Purpose::Session, token).ok()?;
    let claims = SessionClaims::decode(content.as_slice()).ok()?;
    let good = claims.expires_unix_ms > context.clock.unix_ms();
    let session = SessionId::try_from(&claims.session).ok()?;
    let met = |met: MetClaims| Met { stranger: Alias(met.stranger), ended_ms: met.ended_unix_ms };
    let memory = Memory::new(claims.met.into_iter().map(met), claims.blocked.into_iter().map(Alias));
    let waited = claims.waited.and_then(|waited| read_waited(sections, waited));
    good.then_some(Known { session, consent: claims.consent, memory, waited })
}

fn waited_claims(waited: &Waited) -> WaitedClaims {
    let Place { shard, entry, generation } = waited.place.clone();
    WaitedClaims {
        since_unix_ms: waited.since_unix_ms,
        ticket: waited.ticket.to_bytes(),
        shard,
        entry,
        generation,
        video: waited.mode == Mode::Video,
        section: waited.section.name().to_owned(),
    }
}

fn read_waited(sections: &Sections, claims: WaitedClaims) -> Option<Waited> {
    let WaitedClaims { since_unix_ms, ticket, shard, entry, generation, video, section } = claims;
    Some(Waited {
        since_unix_ms,
        ticket: TicketId::try_from(&ticket).ok()?,
        place: Place { shard, entry, generation },
        mode: if video { Mode::Video } else { Mode::Text },
        section: sections.get(&section)?.clone(),
    })
}

/// A token that brings its holder back into the chat.
#[must_use]
pub fn for_resume(context: &Context, session: SessionId, rejoin: &Rejoin) -> String {
    let Rejoin { pairing, section } = rejoin;
    let claims = ResumeClaims {
        session: session.to_bytes(),
        chat: pairing.chat.to_bytes(),
        seat: u32::from(pairing.seat.0),
        seat_token: pairing.seat_token.clone(),
        home: pairing.relay.clone(),
        epoch: pairing.epoch.0,
        expires_unix_ms: context.clock.unix_ms() + RESUME_MS,
        spy: pairing.role == Role::Spy,
        turn: pairing.turn,
        video: pairing.mode == Mode::Video,
        section: section.name().to_owned(),
        strangers: pairing.strangers.iter().map(|stranger| stranger.0).collect(),
        again: pairing.again.map(|again| Bytes::copy_from_slice(again.reveal())).unwrap_or_default(),
    };
    context.secret.seal(Purpose::Resume, &claims.encode_to_vec(), &context.random)
}

/// The chat that a resume token of this session is for; nothing if it is forged, damaged, expired or another's.
#[must_use]
pub fn read_resume(
    context: &Context,
    sections: &Sections,
    session: SessionId,
    token: &str,
) -> Option<Rejoin> {
    let content = context.secret.open(Purpose::Resume, token).ok()?;
    let claims = ResumeClaims::decode(content.as_slice()).ok()?;
    if claims.expires_unix_ms <= context.clock.unix_ms() || claims.session != session.to_bytes() {
        return None;
    }
    let pairing = Pairing {
        // It is no ticket's any more.
        ticket: TicketId([0; 16]),
        chat: ChatId::try_from(&claims.chat).ok()?,
        seat: Seat::from_number(claims.seat).ok()?,
        role: if claims.spy { Role::Spy } else { Role::Stranger },
        epoch: Epoch(claims.epoch),
        turn: claims.turn,
        relay: claims.home,
        seat_token: claims.seat_token,
        common_interests: Vec::new(),
        language: None,
        question: None,
        mode: if claims.video { Mode::Video } else { Mode::Text },
        initiator: false,
        traceparent: String::new(),
        strangers: claims.strangers.into_iter().map(Alias).collect(),
        again: <[u8; 16]>::try_from(&*claims.again).ok().map(Redacted::new),
        partner_college: None,
    };
    // One that the operator has done away with since counts no more.
    let section = sections.get(&claims.section).unwrap_or_else(|| sections.first()).clone();
    Some(Rejoin { pairing, section })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::{Random, Secret};

    use super::*;

    fn context() -> Context {
        Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO)
    }

    fn rejoin() -> Rejoin {
        let pairing = Pairing {
            ticket: TicketId([0; 16]),
            chat: ChatId([2; 16]),
            seat: chassis::id::Seat(1),
            role: crate::protocol::Role::Stranger,
            epoch: chassis::id::Epoch(1),
            turn: 2,
            relay: "http://127.0.0.1:1".into(),
            seat_token: Bytes::from_static(b"token"),
            common_interests: Vec::new(),
            language: None,
            question: None,
            mode: crate::protocol::Mode::Text,
            initiator: false,
            traceparent: String::new(),
            strangers: vec![Alias(5)],
            again: Some(Redacted::new([6; 16])),
            partner_college: None,
        };
        Rejoin { pairing, section: sections().get("night").expect("a section").clone() }
    }

    fn sections() -> Sections {
        "main,night".parse().expect("sections")
    }

    /// With nobody remembered.
    fn known(session: SessionId) -> Known {
        Known { session, consent: true, memory: Memory::default(), waited: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_resume_token_is_good_for_its_session_and_its_time_and_only_whole() {
        let context = context();
        let (own, other) = (SessionId([7; 16]), SessionId([8; 16]));
        let read = |session, token: &str| read_resume(&context, &sections(), session, token);
        let token = for_resume(&context, own, &rejoin());
        assert!(read(own, &token) == Some(rejoin()));
        assert!(read(other, &token).is_none());
        let fewer: Sections = "main".parse().expect("sections");
        let there = read_resume(&context, &fewer, own, &token).expect("good").section;
        assert_eq!(there, *fewer.first(), "its own was done away with");
        let changed = token.replacen(&token[40..41], if &token[40..41] == "A" { "B" } else { "A" }, 1);
        assert!(read(own, &changed).is_none());
        let session = for_session(&context, &known(own));
        assert!(read(own, &session).is_none(), "a token of another kind");
        tokio::time::sleep(Duration::from_millis(RESUME_MS)).await;
        assert!(read(own, &token).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_token_comes_back_until_it_expires_and_a_forged_one_never() {
        let (context, other) =
            (context(), Context::new(Secret::ephemeral(&Random::seeded(2)), Duration::ZERO));
        let known = known(SessionId([7; 16]));
        let token = for_session(&context, &known);
        assert_eq!(read_session(&context, &sections(), &token), Some(known));
        assert_eq!(read_session(&other, &sections(), &token), None);
        assert_eq!(read_session(&context, &sections(), "forged"), None);
        tokio::time::sleep(Duration::from_millis(SESSION_MS)).await;
        assert_eq!(read_session(&context, &sections(), &token), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_token_remembers_whom_the_session_met_lately_and_blocked() {
        let context = context();
        let now_ms = context.clock.unix_ms();
        let met = |stranger, ago_ms| Met { stranger: Alias(stranger), ended_ms: now_ms - ago_ms };
        let (lately, long_ago) = (met(1, 1_000), met(2, 3_600_000));
        let blocked: Vec<_> = (10..138).map(Alias).collect();
        let memory = Memory::new([lately, long_ago], blocked.clone());
        let token = for_session(&context, &Known { memory, ..known(SessionId([7; 16])) });
        assert!(token.len() < 2_048, "{} characters", token.len());
        let read = read_session(&context, &sections(), &token).expect("a good token");
        assert_eq!(read.memory, Memory::new([lately], blocked), "and nobody who does not matter any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_token_of_before_there_was_a_memory_still_opens() {
        #[derive(Clone, PartialEq, prost::Message)]
        struct Before {
            #[prost(bytes = "bytes", tag = "1")]
            session: Bytes,
            #[prost(bool, tag = "2")]
            consent: bool,
            #[prost(uint64, tag = "3")]
            expires_unix_ms: u64,
        }
        let (context, session) = (context(), SessionId([7; 16]));
        let expires_unix_ms = context.clock.unix_ms() + 1_000;
        let claims = Before { session: session.to_bytes(), consent: true, expires_unix_ms };
        let token = context.secret.seal(Purpose::Session, &claims.encode_to_vec(), &context.random);
        assert_eq!(read_session(&context, &sections(), &token), Some(known(session)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_token_keeps_a_place_and_the_token_stays_short() {
        let context = context();
        let place = Place {
            shard: "text.night.63".to_owned(),
            entry: "1700000000000-12345".to_owned(),
            generation: "1f2e3d4c5b6a7988".to_owned(),
        };
        let (ticket, mode) = (TicketId([3; 16]), Mode::Video);
        let section = sections().get("night").expect("a section").clone();
        let waited = Waited { since_unix_ms: 5, ticket, place, mode, section };
        let known = Known { waited: Some(waited), ..known(SessionId([7; 16])) };
        let token = for_session(&context, &known);
        assert!(token.len() < 512, "{} characters", token.len());
        assert_eq!(read_session(&context, &sections(), &token), Some(known));
    }
}
