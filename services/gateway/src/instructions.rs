//! Cases for `tests/instructions`: frames of clients and relays, and session tokens.

use std::time::Duration;

use chassis::{
    Context, Random, Secret, Sections,
    id::{Alias, SessionId},
};
use prost::Message as _;
use stroll_proto::v1::{
    ConnectRequest, ConnectResponse, GatewayFrame, Message, RelayFrame, gateway_frame::Body as ToRelay,
    relay_frame::Body as FromRelay,
};

use crate::{
    config::{Wishes, tests::public},
    protocol::{ClientFrame, From, Private, ServerFrame},
    session::{Known, Memory, Met},
    token,
};

/// What is said in all cases: 100 bytes.
pub const TEXT: &str =
    "I spent last spring in Lisbon, and the light there in the evening is like nothing I have seen at all";
/// Frames of a batch, every other one an acknowledgement.
const BATCH: u64 = 32;

fn wishes() -> Wishes {
    public(&[]).wishes
}

fn context() -> Context {
    Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO)
}

/// Somebody who has met a few, and blocked two of them.
fn known(context: &Context) -> Known {
    let ended_ms = context.clock.unix_ms();
    let met = (1..=4).map(|number| Met { stranger: Alias(number), ended_ms });
    let memory = Memory::new(met, [Alias(1), Alias(2)]);
    Known { session: SessionId([7; 16]), consent: true, memory, waited: None }
}

#[test]
fn parse_message() {
    let wishes = wishes();
    let json = |seq| format!(r#"{{"type":"message","seq":{seq},"text":"{TEXT}"}}"#);
    stroll_counted::times(json, |json| {
        let parsed = ClientFrame::parse(&json, &wishes);
        assert!(matches!(parsed, Ok(ClientFrame::Message { .. })));
        parsed
    });
}

#[test]
fn parse_ack() {
    let wishes = wishes();
    let json = |seq| format!(r#"{{"type":"ack","seq":{seq}}}"#);
    stroll_counted::times(json, |json| {
        let parsed = ClientFrame::parse(&json, &wishes);
        assert!(matches!(parsed, Ok(ClientFrame::Ack { .. })));
        parsed
    });
}

#[test]
fn write_message() {
    let frame = |seq| ServerFrame::Message { seq, text: Private(TEXT.to_owned()), from: From::Stranger };
    stroll_counted::times(frame, |frame| {
        let json = frame.to_json();
        assert!(json.len() > TEXT.len());
        json
    });
}

#[test]
fn write_ack() {
    stroll_counted::times(
        |seq| ServerFrame::Ack { seq },
        |frame| {
            let json = frame.to_json();
            assert!(!json.is_empty());
            json
        },
    );
}

#[test]
fn encode_batch_to_relay() {
    let message = |seq| ToRelay::Message(Message { seq, text: TEXT.to_owned(), from: 0 });
    let body = |seq| Some(if seq % 2 == 0 { ToRelay::Ack(seq) } else { message(seq) });
    let frame = |number| GatewayFrame { handle: number, body: body(number) };
    let request = ConnectRequest { gateway: String::new(), frames: (0..BATCH).map(frame).collect() };
    stroll_counted::times(
        |_| (),
        |()| {
            let encoded = request.encode_to_vec();
            assert!(encoded.len() > TEXT.len() * 16);
            encoded
        },
    );
}

#[test]
fn decode_batch_from_relay() {
    let message = |seq| FromRelay::Message(Message { seq, text: TEXT.to_owned(), from: 1 });
    let body = |seq| Some(if seq % 2 == 0 { FromRelay::Ack(seq) } else { message(seq) });
    let frame = |number| RelayFrame { handle: number, body: body(number) };
    let encoded = ConnectResponse { frames: (0..BATCH).map(frame).collect() }.encode_to_vec();
    stroll_counted::times(
        |_| (),
        |()| {
            let decoded = ConnectResponse::decode(encoded.as_slice());
            assert!(decoded.as_ref().is_ok_and(|decoded| decoded.frames.len() == 32));
            decoded
        },
    );
}

#[test]
fn mint_session_token() {
    let context = context();
    let known = known(&context);
    stroll_counted::times(
        |_| (),
        |()| {
            let token = token::for_session(&context, &known);
            assert!(!token.is_empty());
            token
        },
    );
}

#[test]
fn read_session_token() {
    let context = context();
    let sections = Sections::default();
    let known = known(&context);
    let token = |_| token::for_session(&context, &known);
    stroll_counted::times(token, |token| {
        let read = token::read_session(&context, &sections, &token);
        assert!(read.is_some());
        read
    });
}
