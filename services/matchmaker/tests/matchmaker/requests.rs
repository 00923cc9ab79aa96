//! Requests that make no sense, and what is answered.

use std::time::Duration;

use bytes::Bytes;
use chassis::{grpc, secret::Purpose};
use prost::Message as _;
use stroll_proto::v1::{
    CancelRequest, ChooseHomesRequest, EnqueueRefusalReason, EnqueueRequest, HeartbeatRequest, HomeQuestion,
    NoHomeReason, SeatClaims, Ticket, TicketPlace, WatchAssignmentsRequest, WatchOpen, enqueue_result,
    home_answer, watch_assignments_request::Kind as Up,
};
use tonic::{Code, Status};

use crate::support::{Gateway, Node, Where, context, ticket, until};

const DEADLINE: Duration = Duration::from_secs(2);

/// Why a call is refused, once it gets through at all.
async fn refused<T>(mut call: impl AsyncFnMut() -> Result<T, Status>) -> Status {
    until(DEADLINE, "the call gets through", async || {
        let status = call().await.err().expect("it is refused");
        (!status.message().contains("no address")).then_some(status)
    })
    .await
}

fn says(status: &Status, code: Code, sentence: &str) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(sentence), "{} does not say {sentence:?}", status.message());
}

#[tokio::test]
async fn a_ticket_that_makes_no_sense_is_refused() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let good = ticket(&context, "gateway-1");
    let table = [
        (Ticket { id: vec![1; 3].into(), ..good.clone() }, "16 bytes"),
        (Ticket { gateway: "a b".to_owned(), ..good.clone() }, "name has 1 to 64"),
        (Ticket { mode: 0, ..good.clone() }, "text or video"),
        (Ticket { section: "elsewhere".to_owned(), ..good.clone() }, "no such section"),
        (Ticket { section: String::new(), ..good.clone() }, "no such section"),
        (Ticket { interests: vec!["x".repeat(65)], ..good.clone() }, "64 characters"),
        (Ticket { languages: vec!["de-AT".to_owned()], ..good.clone() }, "primary subtag"),
        (Ticket { subject: None, ..good }, "has a subject"),
    ];
    // One that is good goes in among all the others.
    let fine = ticket(&context, "gateway-1");
    let tickets = table.iter().map(|(ticket, _)| ticket.clone()).chain([fine]).collect();
    let mut client = node.client(&context);
    let request = EnqueueRequest { tickets };
    let answer = until(DEADLINE, "the call goes through", async || {
        client.enqueue(grpc::request(request.clone(), DEADLINE)).await.ok()
    });
    let mut results = answer.await.into_inner().results;
    let last = results.pop().expect("one per ticket");
    assert!(matches!(last.outcome, Some(enqueue_result::Outcome::Place(_))), "{last:?}");
    assert_eq!(results.len(), table.len());
    for (result, (_, sentence)) in results.into_iter().zip(table) {
        let Some(enqueue_result::Outcome::Refusal(refusal)) = result.outcome else {
            panic!("{sentence}: {result:?}")
        };
        assert_eq!(refusal.reason(), EnqueueRefusalReason::Invalid);
        assert!(refusal.text.contains(sentence), "{} has to contain {sentence}", refusal.text);
    }
    let many = EnqueueRequest { tickets: vec![Ticket::default(); 513] };
    let call = async || client.enqueue(grpc::request(many.clone(), DEADLINE)).await;
    says(&refused(call).await, Code::InvalidArgument, "at most 512");
}

#[tokio::test]
async fn a_place_that_there_is_not_is_refused() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let mut client = node.client(&context);
    let place =
        |shard: &str, entry: &str| Some(TicketPlace { shard: shard.to_owned(), entry: entry.to_owned() });
    let table = [
        (None, "there is a place"),
        (place("text.main", "1-0"), "no such shard"),
        (place("text.main.0", "x"), "two numbers"),
        (place("text.main.0", "1-0 2-0"), "two numbers"),
    ];
    for (place, sentence) in table {
        let call = async || {
            client
                .cancel(grpc::request(
                    CancelRequest { place: place.clone(), ticket: vec![0; 16].into() },
                    DEADLINE,
                ))
                .await
        };
        says(&refused(call).await, Code::InvalidArgument, sentence);
    }
}

#[tokio::test]
async fn a_relay_that_says_nonsense_is_refused() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let mut client = node.client(&context);
    let good = HeartbeatRequest {
        relay: "relay-1".to_owned(),
        address: "http://127.0.0.1:7002".to_owned(),
        ..HeartbeatRequest::default()
    };
    let table = [
        (HeartbeatRequest { relay: String::new(), ..good.clone() }, "name has 1 to 64"),
        (HeartbeatRequest { address: "127.0.0.1:7002".to_owned(), ..good.clone() }, "`http://host:port`"),
        (
            HeartbeatRequest { address: format!("http://{}:1", "a".repeat(255)), ..good.clone() },
            "`http://host:port`",
        ),
        (HeartbeatRequest { zone: "z".repeat(65), ..good }, "64 bytes"),
    ];
    for (beat, sentence) in table {
        let call = async || client.heartbeat(grpc::request(beat.clone(), DEADLINE)).await;
        says(&refused(call).await, Code::InvalidArgument, sentence);
    }
}

#[tokio::test]
async fn a_seat_token_that_is_not_good_finds_no_home_and_without_a_relay_there_is_none() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let mut client = node.client(&context);
    let claims = |chat: &'static [u8], expires_unix_ms| {
        let claims =
            SeatClaims { chat: chat.into(), seat: 1, epoch: 1, expires_unix_ms, ..SeatClaims::default() };
        context.secret.sign(Purpose::Seat, &claims.encode_to_vec())
    };
    let lost = "http://127.0.0.1:7002";
    let table = [
        (vec![0; 80].into(), lost, NoHomeReason::BadToken),
        (claims(&[1; 16], 1), lost, NoHomeReason::BadToken),
        (claims(&[1; 3], u64::MAX), lost, NoHomeReason::BadToken),
        (claims(&[1; 16], u64::MAX), lost, NoHomeReason::NoRelay),
        (claims(&[1; 16], u64::MAX), "", NoHomeReason::NotMoved),
    ];
    let question = |(seat_token, lost, _): &(Bytes, &str, _)| HomeQuestion {
        seat_token: seat_token.clone(),
        lost_relay: (*lost).to_owned(),
        held_at: String::new(),
    };
    let request = ChooseHomesRequest { questions: table.iter().map(question).collect(), zone: String::new() };
    let answered = client.choose_homes(grpc::request(request, DEADLINE)).await.expect("an answer");
    let expected = table.map(|(_, _, reason)| Some(home_answer::Outcome::None(reason.into())));
    assert_eq!(
        answered.into_inner().answers.into_iter().map(|answer| answer.outcome).collect::<Vec<_>>(),
        expected
    );
    let questions = vec![HomeQuestion::default(); 513];
    let call = async || {
        let request = ChooseHomesRequest { questions: questions.clone(), zone: String::new() };
        client.choose_homes(grpc::request(request, DEADLINE)).await
    };
    says(&refused(call).await, Code::InvalidArgument, "512");
}

#[tokio::test]
async fn a_watch_ends_at_the_first_thing_that_makes_no_sense() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let open = |gateway: &str, after: &str| {
        Up::Open(WatchOpen { gateway: gateway.to_owned(), after: after.to_owned(), ..WatchOpen::default() })
    };
    let at_address = |address: &str| {
        let (gateway, address) = ("gateway-1".to_owned(), address.to_owned());
        Up::Open(WatchOpen { gateway, address, ..WatchOpen::default() })
    };
    let mut client = node.client(&context);
    let table = [
        (Up::Acknowledge("1-0@x".to_owned()), "begins with `open`"),
        (open("", ""), "name has 1 to 64"),
        (open("gateway-1", "nonsense"), "a delivery's id"),
        (at_address("gateway-1:7001"), "`http://host:port`"),
        (at_address(&format!("http://{}:1", "a".repeat(255))), "`http://host:port`"),
    ];
    for (first, sentence) in table {
        let call = async || {
            let request = WatchAssignmentsRequest { kind: Some(first.clone()) };
            let mut watch = client.watch_assignments(tokio_stream::iter([request])).await?.into_inner();
            watch.message().await
        };
        says(&refused(call).await, Code::InvalidArgument, sentence);
    }
    let later =
        [(open("gateway-1", ""), "opened once"), (Up::Acknowledge("x".to_owned()), "a delivery's id")];
    for (second, sentence) in later {
        let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
        gateway.say(second).await;
        let status = loop {
            if let Err(status) = gateway.hear().await {
                break status;
            }
        };
        says(&status, Code::InvalidArgument, sentence);
    }
}
