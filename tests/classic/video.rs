//! Signalling of video chats.

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, Wire, encode, meet, names, post, roomy},
    cluster::Single,
    stranger::Stranger,
};

const OFFER: &str = r#"{"type":"offer","sdp":"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\n"}"#;
const ANSWER: &str = r#"{"type":"answer","sdp":"v=0\r\n"}"#;
const CANDIDATE: &str =
    r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}"#;
const SECOND: &str = r#"{"candidate":"candidate:2 1 udp 2 192.0.2.2 9 typ host","sdpMid":"1","sdpMLineIndex":1,"usernameFragment":"abcd"}"#;

fn object(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The one who makes the offer, and the other.
async fn meet_on_video(stroll: &Single) -> [Client; 2] {
    let mut one = Client::start(stroll.gateway, "webrtc=1").await;
    let mut two = Client::start(stroll.gateway, "webrtc=1").await;
    let calls = [names(&one.connected().await).len(), names(&two.connected().await).len()];
    match calls {
        [3, 2] => [one, two],
        [2, 3] => [two, one],
        _ => panic!("exactly one makes the offer: {calls:?}"),
    }
}

#[tokio::test]
async fn exactly_one_of_the_two_is_told_to_call_after_the_digests() {
    let stroll = roomy(&[]).await;
    let mut one = Client::start(stroll.gateway, "webrtc=1&topics=tea").await;
    let mut two = Client::start(stroll.gateway, "webrtc=1&topics=tea").await;
    let events = [one.connected().await, two.connected().await];
    let mut told: Vec<_> = events.iter().map(|events| names(events)).collect();
    told.sort_by_key(Vec::len);
    assert_eq!(told[0], ["connected", "commonLikes", "identDigests"]);
    assert_eq!(told[1], ["connected", "commonLikes", "identDigests", "rtccall"]);
    let call = events.iter().flatten().find(|event| event[0] == "rtccall");
    assert_eq!(call, Some(&json!(["rtccall"])));
}

#[tokio::test]
async fn descriptions_and_candidates_arrive_as_objects_and_text_beside_them() {
    let stroll = roomy(&[]).await;
    let [mut caller, mut called] = meet_on_video(&stroll).await;
    caller.wins("/rtcpeerdescription", &[("desc", OFFER)]).await;
    caller.wins("/icecandidate", &[("candidate", CANDIDATE), ("candidate", SECOND)]).await;
    called.expect(json!(["rtcpeerdescription", object(OFFER)])).await;
    called.expect(json!(["icecandidate", object(CANDIDATE)])).await;
    called.expect(json!(["icecandidate", object(SECOND)])).await;
    called.wins("/rtcpeerdescription", &[("desc", ANSWER)]).await;
    called.wins("/icecandidate", &[("candidate", SECOND)]).await;
    called.say("do you see me?").await;
    caller.expect(json!(["rtcpeerdescription", object(ANSWER)])).await;
    caller.expect(json!(["icecandidate", object(SECOND)])).await;
    caller.hears("do you see me?").await;
    // Hanging up is leaving.
    called.wins("/disconnect", &[]).await;
    caller.is_left().await;
}

#[tokio::test]
async fn video_and_text_do_not_meet() {
    let stroll = roomy(&[]).await;
    let mut text = Client::start(stroll.gateway, "").await;
    let mut video = Client::start(stroll.gateway, "webrtc=1").await;
    text.is_waiting().await;
    video.is_waiting().await;
    stroll.waiting(2).await;
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find_with(json!({"mode": "video"})).await;
    assert_eq!(web.expect("matched").await["mode"], "video");
    video.connected().await;
    stroll.waiting(1).await;
    text.leave().await;
}

#[tokio::test]
async fn signals_fail_outside_a_video_chat_and_when_they_are_no_json() {
    let stroll = roomy(&[]).await;
    let mut waiting = Client::start(stroll.gateway, "webrtc=1").await;
    waiting.is_waiting().await;
    waiting.fails("/rtcpeerdescription", &[("desc", OFFER)]).await;
    waiting.fails("/icecandidate", &[("candidate", CANDIDATE)]).await;
    waiting.leave().await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.fails("/rtcpeerdescription", &[("desc", OFFER)]).await;
    one.fails("/icecandidate", &[("candidate", CANDIDATE)]).await;
    one.say("just text").await;
    two.hears("just text").await;
    let [mut caller, mut called] = meet_on_video(&stroll).await;
    for bad in ["", "offer", "{", "7", "[]", "null"] {
        caller.fails("/rtcpeerdescription", &[("desc", bad)]).await;
        caller.fails("/icecandidate", &[("candidate", bad)]).await;
    }
    caller.fails("/rtcpeerdescription", &[]).await;
    caller.fails("/icecandidate", &[]).await;
    caller.wins("/rtcpeerdescription", &[("desc", OFFER)]).await;
    called.expect(json!(["rtcpeerdescription", object(OFFER)])).await;
}

#[tokio::test]
async fn more_than_12_kib_or_than_64_at_once_is_too_much() {
    let stroll = roomy(&[]).await;
    let [mut caller, mut called] = meet_on_video(&stroll).await;
    let of_length = |length: usize| {
        let (before, after) = (r#"{"type":"offer","sdp":""#, r#""}"#);
        format!("{before}{}{after}", "x".repeat(length - before.len() - after.len()))
    };
    let longest = of_length(12 * 1024);
    caller.fails("/rtcpeerdescription", &[("desc", &of_length(12 * 1024 + 1))]).await;
    caller.wins("/rtcpeerdescription", &[("desc", &longest)]).await;
    called.expect(json!(["rtcpeerdescription", object(&longest)])).await;
    let mut sent = 0;
    let form = format!("id={}&candidate={}", caller.id, encode(CANDIDATE));
    let mut wire = Wire::open(stroll.gateway).await;
    while wire.ask(post("/icecandidate", &form)).await.body == "win" {
        sent += 1;
        assert!(sent <= 64, "more than 64 are unacknowledged");
    }
    // Word that the description was taken may still be on its way.
    assert!(sent >= 63, "only {sent} are allowed");
    for _ in 0..sent {
        called.expect(json!(["icecandidate", object(CANDIDATE)])).await;
    }
}

#[tokio::test]
async fn a_classic_and_a_web_client_have_a_video_chat_whoever_calls() {
    let stroll = roomy(&[]).await;
    let (mut web_called, mut classic_called) = (false, false);
    for round in 0..40 {
        let mut web = Stranger::arrive(stroll.gateway).await;
        let mut classic = if round % 2 == 0 {
            web.find_with(json!({"mode": "video"})).await;
            Client::start(stroll.gateway, "webrtc=1").await
        } else {
            let classic = Client::start(stroll.gateway, "webrtc=1").await;
            web.find_with(json!({"mode": "video"})).await;
            classic
        };
        let initiator = web.expect("matched").await["initiator"].as_bool().expect("a bool");
        let calls = names(&classic.connected().await).contains(&"rtccall");
        assert_ne!(initiator, calls, "one of them makes the offer");
        if calls {
            classic_called = true;
        } else {
            web_called = true;
        }
        let (from_classic, from_web) = if calls { (OFFER, ANSWER) } else { (ANSWER, OFFER) };
        classic.wins("/rtcpeerdescription", &[("desc", from_classic)]).await;
        classic.wins("/icecandidate", &[("candidate", CANDIDATE), ("candidate", SECOND)]).await;
        for (seq, expected) in [(1, from_classic), (2, CANDIDATE), (3, SECOND)] {
            let signal = web.expect("signal").await;
            assert_eq!((&signal["seq"], &signal["data"]), (&json!(seq), &object(expected)));
        }
        web.send(json!({"type": "ack", "seq": 3})).await;
        for (seq, data) in [(1, from_web), (2, CANDIDATE)] {
            web.send(json!({"type": "signal", "seq": seq, "data": object(data)})).await;
        }
        classic.expect(json!(["rtcpeerdescription", object(from_web)])).await;
        classic.expect(json!(["icecandidate", object(CANDIDATE)])).await;
        classic.leave().await;
        if web_called && classic_called {
            return;
        }
        assert!(round < 39, "always the same one calls: web {web_called}, classic {classic_called}");
    }
}
