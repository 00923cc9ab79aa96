//! What the gateways of those who met are told.

use bytes::Bytes;
use chassis::{
    Context,
    id::{ChatId, Epoch},
};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use prost::Message as _;
use stroll_proto::v1::{Assignment, Role, SeatClaims};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    matching::{Match, Questions, Ticket, Wish},
    placement,
    pool::{Delivery, Destination, Pairing, Shard},
};

/// Epoch of a chat's first home.
const FIRST: Epoch = Epoch(1);
/// The seat that makes the WebRTC offer: the one who came later is there for sure.
const INITIATOR: u32 = 2;

/// A pairing of those who met, on a relay, for a new chat.
pub(super) fn pairing(met: &Match, relay: &str, questions: &Questions, context: &Context) -> Pairing {
    let language = met.shared_language();
    let seats = u32::try_from(met.tickets().count()).unwrap_or(u32::MAX);
    let chat = NewChat {
        id: ChatId::new(&context.random),
        seats,
        again: context.random.bytes::<16>(),
        relay,
        language: language.map_or_else(String::new, |language| language.as_str().to_owned()),
        sealed_question: sealed_question(met),
        question: question(met, questions, context),
    };
    let deliveries = (1..).zip(met.tickets()).map(|(seat, ticket)| Delivery {
        to: Destination::Inbox(ticket.gateway.as_ref().to_owned()),
        content: chat.assignment(seat, ticket, met, context),
    });
    Pairing { tickets: met.tickets().map(|ticket| ticket.entry).collect(), deliveries: deliveries.collect() }
}

/// A ticket that goes to another shard.
pub(super) fn moved(ticket: &Ticket, to: Shard) -> Pairing {
    let content = ticket.to_message().encode_to_vec().into();
    Pairing {
        tickets: vec![ticket.entry],
        deliveries: vec![Delivery { to: Destination::Shard(to), content }],
    }
}

fn sealed_question(met: &Match) -> &str {
    match met.spy.as_deref().map(|spy| &spy.wish) {
        Some(Wish::Ask(question)) => question,
        _ => "",
    }
}

/// One of the operator's, for two who discuss without a spy; else empty.
fn question(met: &Match, questions: &Questions, context: &Context) -> String {
    let chosen = (met.discusses() && met.spy.is_none())
        .then(|| questions.choose(met.language(), &context.random))
        .flatten();
    chosen.unwrap_or_default().to_owned()
}

/// What all seats of a new chat are told.
struct NewChat<'a> {
    id: ChatId,
    seats: u32,
    again: [u8; 16],
    relay: &'a str,
    language: String,
    sealed_question: &'a str,
    question: String,
}

impl NewChat<'_> {
    fn assignment(&self, seat: u32, ticket: &Ticket, met: &Match, context: &Context) -> Bytes {
        let is_spy = matches!(ticket.wish, Wish::Ask(_));
        let strangers = met.strangers.iter().map(AsRef::as_ref);
        let others = || strangers.clone().filter(|other: &&Ticket| other.entry != ticket.entry);
        let traceparent = chassis::grpc::traceparent(&span(ticket, others()));
        let role = if is_spy { Role::Spy } else { Role::Stranger };
        let claims = SeatClaims {
            chat: self.id.to_bytes(),
            seat,
            seats: self.seats,
            role: role.into(),
            mode: ticket.mode.into(),
            epoch: FIRST.0,
            expires_unix_ms: 0,
        };
        let common = others().flat_map(|other| ticket.common_interests(other));
        // Who meets somebody of a college has one.
        let partner = others().find_map(|other| other.college.as_deref());
        let assignment = Assignment {
            ticket: ticket.id.to_bytes(),
            chat: self.id.to_bytes(),
            seat,
            role: role.into(),
            epoch: FIRST.0,
            relay: self.relay.to_owned(),
            seat_token: placement::seat_token(&context.secret, claims, context.clock.unix_ms()),
            common_interests: common.collect(),
            language: self.language.clone(),
            mode: ticket.mode.into(),
            initiator: seat == INITIATOR,
            question: self.question.clone(),
            sealed_question: self.sealed_question.to_owned(),
            traceparent,
            strangers: others().filter_map(|other| other.aliases.first().copied()).collect(),
            again: if is_spy { Bytes::new() } else { Bytes::copy_from_slice(&self.again) },
            partner_college: partner.map_or_else(String::new, |college| college.domain.clone()),
        };
        assignment.encode_to_vec().into()
    }
}

/// A span for each ticket whose enqueuing was sampled, in that ticket's own trace, with links to the others'. So one trace
/// leads from each stranger's `find` to their seat.
fn span<'a>(ticket: &Ticket, others: impl Iterator<Item = &'a Ticket>) -> Span {
    if ticket.traceparent.is_empty() {
        return Span::none();
    }
    let span = info_span!(parent: None, "pair");
    chassis::grpc::continue_from(&span, &ticket.traceparent);
    for linked in others.filter_map(|other| span_context(&other.traceparent)) {
        span.add_link(linked);
    }
    span
}

/// What a W3C `traceparent` names: `version-trace-span-flags`, in hexadecimal digits.
fn span_context(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chassis::{Random, Secret};
    use stroll_proto::v1::{self, Mode, Subject};

    use super::*;
    use crate::pool::EntryId;

    fn ticket(number: u8, mode: Mode, change: impl FnOnce(&mut v1::Ticket)) -> Ticket {
        let mut ticket = v1::Ticket {
            id: vec![number; 16].into(),
            gateway: format!("gateway-{number}"),
            subject: Some(Subject { session: vec![number; 16].into(), ..Subject::default() }),
            mode: mode.into(),
            aliases: vec![number.into(), 99],
            ..v1::Ticket::default()
        };
        change(&mut ticket);
        Ticket::parse(EntryId { ms: number.into(), seq: 0 }, ticket).expect("a good ticket")
    }

    fn likes(number: u8, interest: &str, languages: &[&str]) -> Ticket {
        ticket(number, Mode::Video, |ticket| {
            ticket.interests = vec![interest.to_owned()];
            ticket.languages = languages.iter().map(|&language| language.to_owned()).collect();
        })
    }

    fn told(pairing: &Pairing) -> Vec<(&Destination, Assignment)> {
        let told = pairing.deliveries.iter().map(|delivery| {
            (&delivery.to, Assignment::decode(delivery.content.clone()).expect("an assignment"))
        });
        told.collect()
    }

    #[test]
    fn each_gateway_is_told_of_its_own_seat_with_a_token_that_opens_it() {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let met = Match::of(likes(1, "Tea", &["de", "en"]), likes(2, "tea", &["en", "de"]));
        let pairing = pairing(&met, "http://relay:7002", &Questions::default(), &context);
        assert_eq!(pairing.tickets, met.strangers.each_ref().map(|ticket| ticket.entry));
        let told = told(&pairing);
        for (seat, (to, told)) in (1..).zip(&told) {
            assert_eq!(**to, Destination::Inbox(format!("gateway-{seat}")));
            assert_eq!((told.seat, told.initiator, told.language.as_str()), (seat, seat == 2, "de"));
            assert_eq!(told.common_interests, [if seat == 1 { "Tea" } else { "tea" }]);
            assert_eq!(told.strangers, [3 - u64::from(seat)], "the first alias of the other one");
            assert_eq!((told.question.as_str(), told.again.len()), ("", 16));
            assert_eq!(told.partner_college, "");
            let now = context.clock.unix_ms();
            let (chat, claims) =
                placement::claims(&context.secret, &told.seat_token, now).expect("a good token");
            assert_eq!(chat.to_bytes(), told.chat);
            assert_eq!((claims.seat, claims.seats, claims.epoch, claims.mode()), (seat, 2, 1, Mode::Video));
        }
        assert_eq!(told[0].1.again, told[1].1.again);
    }

    #[test]
    fn a_language_is_told_where_both_name_it() {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        for (one, other, language) in
            [(["de"].as_slice(), ["de"].as_slice(), "de"), (&["de"], &[], ""), (&[], &[], "")]
        {
            let met = Match::of(likes(1, "tea", one), likes(2, "tea", other));
            let pairing = pairing(&met, "http://relay:7002", &Questions::default(), &context);
            assert!(told(&pairing).iter().all(|(_, told)| told.language == language), "{one:?} {other:?}");
        }
    }

    #[test]
    fn each_of_two_of_colleges_is_told_of_the_others() {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let of = |number, college: &str| {
            ticket(number, Mode::Text, |ticket| {
                (ticket.college, ticket.any_college) = (college.to_owned(), true);
            })
        };
        let met = Match::of(of(1, "a.edu"), of(2, "b.edu"));
        let pairing = pairing(&met, "http://relay:7002", &Questions::default(), &context);
        let told: Vec<_> = told(&pairing).into_iter().map(|(_, told)| told.partner_college).collect();
        assert_eq!(told, ["b.edu", "a.edu"]);
    }

    #[test]
    fn a_spy_has_the_third_seat_and_all_three_have_its_question() {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let spy = ticket(1, Mode::Text, |ticket| ticket.ask = "Why do cats purr?".to_owned());
        let discuss = |number| ticket(number, Mode::Text, |ticket| ticket.discuss = true);
        let met = Match::watched(spy, discuss(2), discuss(3));
        let pairing = pairing(&met, "http://relay:7002", &Questions::none(), &context);
        let told = told(&pairing);
        let seats: Vec<_> =
            told.iter().map(|(_, told)| (told.seat, told.role(), told.strangers.clone())).collect();
        let expected =
            [(1, Role::Stranger, vec![3]), (2, Role::Stranger, vec![2]), (3, Role::Spy, vec![2, 3])];
        assert_eq!(seats, expected);
        for (_, told) in &told {
            assert_eq!((told.sealed_question.as_str(), told.question.as_str()), ("Why do cats purr?", ""));
            assert_eq!(told.again.is_empty(), told.role() == Role::Spy, "a spy can't meet them again");
            let now = context.clock.unix_ms();
            let (_, claims) =
                placement::claims(&context.secret, &told.seat_token, now).expect("a good token");
            assert_eq!((claims.seats, claims.role()), (3, told.role()));
        }
    }

    #[test]
    fn two_who_discuss_without_a_spy_get_the_same_question_of_the_operators() {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let discuss = |number| ticket(number, Mode::Text, |ticket| ticket.discuss = true);
        let met = Match::of(discuss(1), discuss(2));
        let pairing = pairing(&met, "http://relay:7002", &Questions::default(), &context);
        let told = told(&pairing);
        assert!(!told[0].1.question.is_empty());
        assert_eq!(told[0].1.question, told[1].1.question);
    }

    #[test]
    fn a_ticket_that_moves_is_the_same_when_it_arrives() {
        let full = ticket(1, Mode::Text, |ticket| {
            ticket.interests = vec!["Tea".to_owned()];
            ticket.languages = vec!["de".to_owned()];
            ticket.only_interests = true;
            (ticket.patience_ms, ticket.since_unix_ms) = (7, 8);
            (ticket.blocked, ticket.met_lately) = (vec![5], vec![6]);
            (ticket.college, ticket.any_college) = ("a.edu".to_owned(), true);
            (ticket.zone, ticket.traceparent) = ("a".to_owned(), "00-trace".to_owned());
        });
        let spies = [
            ticket(1, Mode::Text, |ticket| ticket.ask = "Why do cats purr?".to_owned()),
            ticket(1, Mode::Text, |ticket| ticket.discuss = true),
            ticket(1, Mode::Text, |ticket| ticket.again = vec![4; 16].into()),
        ];
        let there = Shard::named("text.main.0").expect("a shard");
        for one in spies.into_iter().chain([full]) {
            let moved = moved(&one, there.clone()).deliveries.remove(0);
            assert_eq!(moved.to, Destination::Shard(there.clone()));
            let arrived = v1::Ticket::decode(moved.content).expect("a ticket");
            assert_eq!(Ticket::parse(one.entry, arrived).expect("a good ticket"), one);
        }
    }

    #[test]
    fn a_trace_context_is_read_as_w3c_writes_it() {
        let context =
            span_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").expect("a good one");
        assert!(context.is_valid() && context.is_sampled() && context.is_remote());
        for bad in ["", "00", "00-x-y-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"] {
            assert!(span_context(bad).is_none(), "{bad}");
        }
    }
}
