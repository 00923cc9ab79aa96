//! Cases for `tests/instructions`: what is said in a chat, and the batches in which it comes and goes.

use futures_util::FutureExt as _;
use stroll_proto::v1::{ConnectRequest, ConnectResponse, GatewayFrame};

use super::*;

/// 100 bytes.
const TEXT: &str =
    "I spent last spring in Lisbon, and the light there in the evening is like nothing I have seen at all";
/// Frames of a batch, every other one an acknowledgement.
const BATCH: u64 = 32;

fn message(seq: u64) -> Message {
    Message { seq, text: TEXT.to_owned(), from: 0 }
}

/// One that is passed on and given to moderation.
#[tokio::test]
async fn pass_message_on() {
    let mut bench = Bench::new(10, MAX_TRANSCRIPTS);
    bench.hub.moderation_is(Connected::Yes);
    let [(handle, place), _] = bench.chat("hello");
    let (stream, mut batch) = (bench.outbox.stream, bench.hub.batch());
    bench.take();
    stroll_counted::times(
        |number| FromGateway::Message(message(number + 1)),
        |message| {
            let done = bench.hub.frame(&place, Link { stream, handle }, message, &mut batch);
            assert_eq!(done, Ok(Done::Message));
            assert_eq!(bench.take(), (1, 1));
        },
    );
}

#[tokio::test]
async fn pass_ack_on() {
    let mut bench = Bench::new(10, MAX_TRANSCRIPTS);
    let [_, (handle, place)] = bench.chat("hello");
    let (stream, mut batch) = (bench.outbox.stream, bench.hub.batch());
    bench.take();
    stroll_counted::times(FromGateway::Ack, |ack| {
        let done = bench.hub.frame(&place, Link { stream, handle }, ack, &mut batch);
        assert_eq!(done, Ok(Done::Ack));
        assert_eq!(bench.take(), (1, 0));
    });
}

#[test]
fn decode_batch_from_gateway() {
    let body = |seq| if seq % 2 == 0 { FromGateway::Ack(seq) } else { FromGateway::Message(message(seq)) };
    let frame = |number| GatewayFrame { handle: number, body: Some(body(number)) };
    let request = ConnectRequest { gateway: String::new(), frames: (0..BATCH).map(frame).collect() };
    let encoded = Bytes::from(request.encode_to_vec());
    stroll_counted::times(
        |_| encoded.clone(),
        |encoded| {
            let decoded = ConnectRequest::decode(encoded);
            assert!(decoded.as_ref().is_ok_and(|decoded| decoded.frames.len() == 32));
            decoded
        },
    );
}

#[test]
fn encode_batch_to_gateway() {
    let body = |seq| if seq % 2 == 0 { Body::Ack(seq) } else { Body::Message(message(seq)) };
    let frame = |number| RelayFrame { handle: number, body: Some(body(number)) };
    let response = ConnectResponse { frames: (0..BATCH).map(frame).collect() };
    stroll_counted::times(
        |_| (),
        |()| {
            let encoded = response.encode_to_vec();
            assert!(encoded.len() > TEXT.len() * 16);
            encoded
        },
    );
}

impl Bench {
    /// Takes out what waits for the gateway and for moderation, and tells how much that was.
    fn take(&mut self) -> (usize, usize) {
        let response = self.outbox.next_batch().now_or_never();
        let frames = response.and_then(Result::ok).map_or(0, |response| response.frames.len());
        let texts = std::iter::from_fn(|| self.texts.try_recv().ok()).count();
        (frames, texts)
    }
}
