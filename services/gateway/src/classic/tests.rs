//! The endpoint of a classic session, event by event.

use bytes::Bytes;
use chassis::{
    Random, Secret,
    id::{ChatId, Epoch, Seat, TicketId},
};
use serde_json::{Value, json};

use super::{
    endpoint::{Endpoint, KEPT_MS, WAITS_MS, Want, digests},
    event::Event,
};
use crate::{
    metrics::Depth,
    protocol::{ClientFrame, Code, From, MAX_UNACKED, Mode, Private, RawJson, Refusal, Role, ServerFrame},
    session::{Activity, Pairing},
};

fn endpoint() -> Endpoint {
    Endpoint::new(Depth::default(), 0)
}

pub(crate) fn pairing() -> Pairing {
    Pairing {
        ticket: TicketId([1; 16]),
        chat: ChatId([7; 16]),
        seat: Seat(1),
        role: Role::Stranger,
        epoch: Epoch(1),
        turn: 0,
        relay: "http://127.0.0.1:1".into(),
        seat_token: Bytes::new(),
        common_interests: Vec::new(),
        language: None,
        question: None,
        mode: Mode::Text,
        initiator: false,
        traceparent: String::new(),
        strangers: Vec::new(),
        again: None,
        partner_college: None,
    }
}

fn chatting(pairing: &Pairing) -> Endpoint {
    let mut endpoint = endpoint();
    endpoint.matched(pairing, "digests".into());
    endpoint.take();
    endpoint
}

fn message(seq: u64, from: From) -> ServerFrame {
    ServerFrame::Message { seq, text: Private(format!("{seq}")), from }
}

/// What a poll gets now.
fn polled(endpoint: &mut Endpoint) -> Value {
    serde_json::to_value(endpoint.take().events).expect("JSON")
}

fn says(frame: Option<ClientFrame>) -> (u64, String) {
    match frame.expect("something to say") {
        ClientFrame::Message { seq, text } => (seq, text.0),
        ClientFrame::Signal { seq, data } => (seq, data.0),
        frame => panic!("{frame:?}"),
    }
}

/// What it wants said now.
fn wants_said(endpoint: &mut Endpoint) -> Vec<(u64, String)> {
    let mut said = Vec::new();
    while let Some(Want::Say(frame)) = endpoint.wants(Activity::Chatting, 0) {
        said.push(says(Some(frame)));
    }
    said
}

#[test]
fn connected_comes_with_its_companions_in_their_order_and_without_a_waiting_that_nobody_heard() {
    let mut endpoint = endpoint();
    endpoint.tell_waiting();
    endpoint.tell_waiting();
    let everything = Pairing {
        common_interests: vec!["Rust".into()],
        language: Some("de".into()),
        mode: Mode::Video,
        initiator: true,
        partner_college: Some("example.edu".into()),
        ..pairing()
    };
    endpoint.matched(&everything, "a,b,c,d".into());
    let expected = json!([
        ["connected"],
        ["commonLikes", ["Rust"]],
        ["identDigests", "a,b,c,d"],
        ["partnerCollege", "example.edu"],
        ["rtccall"],
        ["serverMessage", "You and the stranger share a language."],
    ]);
    assert_eq!(polled(&mut endpoint), expected);

    let question = Some("Is tea a soup?".to_owned());
    let mut discusses = self::endpoint();
    discusses.tell_waiting();
    assert_eq!(polled(&mut discusses), json!([["waiting"]]));
    discusses.matched(
        &Pairing { question: question.clone(), language: Some("en".into()), ..pairing() },
        "x".into(),
    );
    assert_eq!(
        polled(&mut discusses),
        json!([["connected"], ["question", "Is tea a soup?"], ["identDigests", "x"]])
    );
    let mut spy = self::endpoint();
    spy.matched(&Pairing { question, role: Role::Spy, language: Some("de".into()), ..pairing() }, "x".into());
    assert_eq!(polled(&mut spy), json!([["connected"], ["identDigests", "x"]]));
}

#[test]
fn what_a_poll_takes_is_acknowledged_and_after_the_last_event_there_is_none() {
    let mut endpoint = chatting(&pairing());
    endpoint.hear(message(1, From::Stranger));
    endpoint.hear(message(2, From::Stranger));
    endpoint.ended(2);
    endpoint.hear(message(3, From::Stranger));
    let taken = endpoint.take();
    assert_eq!((taken.seq, taken.is_last), (Some(2), true));
    let expected = json!([["gotMessage", "1"], ["gotMessage", "2"], ["strangerDisconnected"]]);
    assert_eq!(serde_json::to_value(taken.events).expect("JSON"), expected);
    assert!(!endpoint.may_talk() && !endpoint.has_events());
}

#[test]
fn typing_is_told_once_a_change_and_a_message_ends_it_without_a_word() {
    let mut endpoint = chatting(&pairing());
    let typing = |on| ServerFrame::Typing { on, from: From::Stranger };
    for frame in
        [typing(false), typing(true), typing(true), message(1, From::Stranger), typing(true), typing(false)]
    {
        endpoint.hear(frame);
    }
    let expected = json!([["typing"], ["gotMessage", "1"], ["typing"], ["stoppedTyping"]]);
    assert_eq!(polled(&mut endpoint), expected);
    for seq in 2..=101 {
        endpoint.hear(message(seq, From::Stranger));
    }
    endpoint.hear(typing(true));
    assert_eq!(endpoint.take().events.len(), 100, "typing is no longer queued");
}

#[test]
fn a_spy_sees_who_says_types_and_leaves() {
    let mut endpoint = chatting(&Pairing { role: Role::Spy, ..pairing() });
    endpoint.hear(ServerFrame::Typing { on: true, from: From::Stranger2 });
    endpoint.hear(message(1, From::Stranger1));
    endpoint.hear(message(1, From::Stranger2));
    endpoint.hear(ServerFrame::Typing { on: true, from: From::Stranger1 });
    endpoint.hear(ServerFrame::Typing { on: false, from: From::Stranger1 });
    assert!(!endpoint.may_talk());
    let expected = json!([
        ["spyTyping", "Stranger 2"],
        ["spyMessage", "Stranger 1", "1"],
        ["spyMessage", "Stranger 2", "1"],
        ["spyTyping", "Stranger 1"],
        ["spyStoppedTyping", "Stranger 1"],
    ]);
    let taken = endpoint.take();
    assert_eq!(taken.seq, None, "nobody waits for a spy's acknowledgement");
    assert_eq!(serde_json::to_value(taken.events).expect("JSON"), expected);
    endpoint.ended(2);
    assert_eq!(polled(&mut endpoint), json!([["spyDisconnected", "Stranger 2"]]));
}

#[test]
fn what_the_stranger_lacks_is_said_again_and_only_what_was_taken_counts() {
    let mut endpoint = chatting(&pairing());
    let say = |endpoint: &mut Endpoint, text: &str, refused: bool| {
        endpoint.listen();
        let said = says(endpoint.message(Private(text.into())));
        if refused {
            endpoint.hear(ServerFrame::Error(Refusal::new(Code::SlowDown, "too fast")));
        }
        assert_eq!(endpoint.answer(true).is_err(), refused);
        said.0
    };
    assert_eq!(say(&mut endpoint, "a", false), 1);
    assert_eq!(say(&mut endpoint, "too fast", true), 2);
    assert_eq!(say(&mut endpoint, "b", false), 2);
    assert_eq!(say(&mut endpoint, "c", false), 3);
    assert_eq!(wants_said(&mut endpoint), []);
    endpoint.hear(ServerFrame::Ack { seq: 1 });
    endpoint.resumed(1);
    assert_eq!(wants_said(&mut endpoint), [(2, "b".to_owned()), (3, "c".to_owned())]);
    assert_eq!(wants_said(&mut endpoint), [], "once is enough");
    endpoint.resumed(3);
    assert_eq!(wants_said(&mut endpoint), []);
    let window = usize::try_from(MAX_UNACKED).expect("a small number");
    assert!(endpoint.has_room(window) && !endpoint.has_room(window + 1));
}

#[test]
fn signals_are_told_by_their_kind_and_what_is_of_no_kind_is_acknowledged() {
    let mut endpoint = chatting(&Pairing { mode: Mode::Video, ..pairing() });
    assert!(endpoint.may_signal());
    let signal = |seq, json: &str| ServerFrame::Signal {
        seq,
        data: Box::new(RawJson::new(json.to_owned()).expect("JSON")),
    };
    endpoint.hear(signal(1, r#"{"type":"bye"}"#));
    assert!(matches!(endpoint.wants(Activity::Chatting, 0), Some(Want::Say(ClientFrame::Ack { seq: 1 }))));
    endpoint.hear(signal(2, r#"{"type":"offer","sdp":"v=0"}"#));
    endpoint.hear(signal(3, r#"{"type":"bye"}"#));
    assert!(endpoint.wants(Activity::Chatting, 0).is_none(), "not before what comes first was taken");
    assert_eq!(endpoint.take().seq, Some(3));
    endpoint.hear(signal(4, r#"{"candidate":"a"}"#));
    assert_eq!(polled(&mut endpoint), json!([["icecandidate", { "candidate": "a" }]]));
}

#[test]
fn a_ban_is_the_only_event_that_tells_the_end() {
    let mut endpoint = chatting(&pairing());
    endpoint.ended(0);
    endpoint.hear(ServerFrame::Error(Refusal::new(Code::Banned, "you may not take part at the moment")));
    endpoint.stop(Event::Error("You are temporarily banned.".into()));
    assert_eq!(polled(&mut endpoint), json!([["error", "You are temporarily banned."]]));
}

#[test]
fn a_wish_that_cannot_be_had_ends_the_session() {
    let mut endpoint = endpoint();
    endpoint.tell_waiting();
    endpoint.hear(ServerFrame::Error(Refusal::new(Code::Busy, "the pool is full")));
    let taken = endpoint.take();
    assert!(taken.is_last);
    assert_eq!(
        serde_json::to_value(taken.events).expect("JSON"),
        json!([["waiting"], ["error", "the pool is full"]])
    );
}

#[test]
fn without_a_poll_it_waits_ten_seconds_and_lives_ninety() {
    let mut endpoint = endpoint();
    let wants = |endpoint: &mut Endpoint, activity, now_ms| endpoint.wants(activity, now_ms);
    assert!(wants(&mut endpoint, Activity::Waiting, WAITS_MS - 1).is_none());
    assert!(matches!(wants(&mut endpoint, Activity::Waiting, WAITS_MS), Some(Want::Suspend)));
    assert!(wants(&mut endpoint, Activity::Chatting, KEPT_MS - 1).is_none());
    assert!(matches!(wants(&mut endpoint, Activity::Idle, KEPT_MS), Some(Want::End)));
    assert_eq!(endpoint.deadline_ms(Activity::Waiting), Some(WAITS_MS));
    assert_eq!(endpoint.deadline_ms(Activity::Chatting), Some(KEPT_MS));
    let first = endpoint.open_poll(0);
    assert!(wants(&mut endpoint, Activity::Waiting, 10 * KEPT_MS).is_none());
    assert_eq!(endpoint.deadline_ms(Activity::Waiting), None);
    let second = endpoint.open_poll(0);
    assert!(!endpoint.is_open(first) && endpoint.is_open(second));
    endpoint.close_poll(5 * KEPT_MS);
    assert_eq!(endpoint.deadline_ms(Activity::Waiting), Some(5 * KEPT_MS + WAITS_MS));
}

#[test]
fn a_spy_that_does_not_keep_up_is_dropped() {
    let mut endpoint = chatting(&Pairing { role: Role::Spy, ..pairing() });
    endpoint.open_poll(0);
    for seq in 1..=1_024 {
        endpoint.hear(message(seq, From::Stranger1));
    }
    assert!(endpoint.wants(Activity::Chatting, 0).is_none());
    endpoint.hear(message(1, From::Stranger2));
    assert!(matches!(endpoint.wants(Activity::Chatting, 0), Some(Want::End)));
}

#[test]
fn what_a_poll_took_and_did_not_hand_out_comes_first_again() {
    let mut endpoint = chatting(&pairing());
    endpoint.open_poll(7);
    assert!(
        endpoint.is_open_elsewhere(7) && !endpoint.is_open_elsewhere(8) && !endpoint.is_open_elsewhere(0)
    );
    endpoint.hear(message(1, From::Stranger));
    endpoint.ended(2);
    let taken = endpoint.take();
    endpoint.linger(0);
    assert!(endpoint.lingers());
    endpoint.put_back(taken.events);
    assert!(!endpoint.lingers());
    endpoint.hear(message(2, From::Stranger));
    assert_eq!(polled(&mut endpoint), json!([["gotMessage", "1"], ["strangerDisconnected"]]));
    endpoint.linger(10);
    assert_eq!(endpoint.deadline_ms(Activity::Idle), Some(5_010));
    assert!(matches!(endpoint.wants(Activity::Idle, 5_010), Some(Want::End)));
}

#[test]
fn digests_are_those_of_the_chat() {
    let secret = Secret::ephemeral(&Random::seeded(1));
    let of = |chat| digests(&secret, ChatId([chat; 16]));
    let parts: Vec<_> = of(1).split(',').map(str::to_owned).collect();
    assert_eq!(parts.len(), 4);
    let is_digest =
        |part: &String| part.len() == 32 && part.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    assert!(parts.iter().all(is_digest), "{parts:?}");
    assert_eq!(of(1), of(1));
    assert!(of(2).split(',').all(|other| !parts.iter().any(|part| part == other)));
}
