//! What the gateways of two who met are told.

use bytes::Bytes;
use chassis::{
    Context,
    id::{ChatId, Epoch},
};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use prost::Message as _;
use stroll_proto::v1::{Assignment, Role};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    matching::{Match, Ticket},
    placement,
    pool::{Delivery, Pairing},
};

/// Epoch of a chat's first home.
const FIRST: Epoch = Epoch(1);
/// The seat that makes the WebRTC offer: the one who came later is there for sure.
const INITIATOR: u32 = 2;

/// A pairing of two who met, on a relay, for a new chat.
pub(super) fn pairing(met: &Match, relay: &str, context: &Context) -> Pairing {
    let chat = ChatId::new(&context.random);
    let Match { first, second } = met;
    let news = [(1, first, second), (2, second, first)].map(|(seat, ticket, other)| Delivery {
        gateway: ticket.gateway.clone(),
        assignment: assignment(chat, seat, ticket, other, relay, context),
    });
    Pairing { tickets: vec![first.entry, second.entry], deliveries: news.into() }
}

fn assignment(
    chat: ChatId,
    seat: u32,
    ticket: &Ticket,
    other: &Ticket,
    relay: &str,
    context: &Context,
) -> Bytes {
    let traceparent = chassis::grpc::traceparent(&span(ticket, other));
    let seat_token =
        placement::seat_token(&context.secret, chat, seat, ticket.mode, FIRST, context.clock.unix_ms());
    let assignment = Assignment {
        ticket: ticket.id.to_bytes(),
        chat: chat.to_bytes(),
        seat,
        role: Role::Stranger.into(),
        epoch: FIRST.0,
        relay: relay.to_owned(),
        seat_token,
        common_interests: ticket.common_interests(other),
        // The first of seat 1's, so that both are told the same.
        language: common_language(seat, ticket, other),
        mode: ticket.mode.into(),
        initiator: seat == INITIATOR,
        question: String::new(),
        traceparent,
        ..Assignment::default()
    };
    assignment.encode_to_vec().into()
}

fn common_language(seat: u32, ticket: &Ticket, other: &Ticket) -> String {
    let shared = if seat == 1 { ticket.common_language(other) } else { other.common_language(ticket) };
    shared.unwrap_or_default().to_owned()
}

/// A span for each ticket whose enqueuing was sampled, in that ticket's own trace, with a link to the other's. So one trace
/// leads from each stranger's `find` to their seat.
fn span(ticket: &Ticket, other: &Ticket) -> Span {
    if ticket.traceparent.is_empty() {
        return Span::none();
    }
    let span = info_span!(parent: None, "pair");
    chassis::grpc::continue_from(&span, &ticket.traceparent);
    if let Some(linked) = span_context(&other.traceparent) {
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

    fn ticket(number: u8, interest: &str, languages: &[&str]) -> Ticket {
        let ticket = v1::Ticket {
            id: vec![number; 16].into(),
            gateway: format!("gateway-{number}"),
            subject: Some(Subject { session: vec![number; 16].into(), ..Subject::default() }),
            mode: Mode::Video.into(),
            interests: vec![interest.to_owned()],
            languages: languages.iter().map(|&language| language.to_owned()).collect(),
            ..v1::Ticket::default()
        };
        Ticket::parse(EntryId { ms: number.into(), seq: 0 }, ticket, String::new()).expect("a good ticket")
    }

    #[test]
    fn each_gateway_is_told_of_its_own_seat_with_a_token_that_opens_it() {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let met = Match::of(ticket(1, "Tea", &["de", "en"]), ticket(2, "tea", &["en", "de"]));
        let pairing = pairing(&met, "http://relay:7002", &context);
        assert_eq!(pairing.tickets, [met.first.entry, met.second.entry]);
        for (seat, delivery) in (1..).zip(&pairing.deliveries) {
            let told = Assignment::decode(delivery.assignment.clone()).expect("an assignment");
            assert_eq!(delivery.gateway, format!("gateway-{seat}"));
            assert_eq!((told.seat, told.initiator, told.language.as_str()), (seat, seat == 2, "de"));
            assert_eq!(told.common_interests, [if seat == 1 { "Tea" } else { "tea" }]);
            let now = context.clock.unix_ms();
            let (chat, claims) =
                placement::claims(&context.secret, &told.seat_token, now).expect("a good token");
            assert_eq!(chat.to_bytes(), told.chat);
            assert_eq!((claims.seat, claims.epoch, claims.mode()), (seat, 1, Mode::Video));
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
