//! The public interface against one real process: what a client may do, and what it gets for bad input.

use std::time::Duration;

use serde_json::{Value, json};
use stroll_tests::{
    cluster::Single,
    eventually, http,
    stranger::{Stranger, meet, wish},
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

#[tokio::test]
async fn two_strangers_talk_and_part() {
    let stroll = Single::start(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.send(json!({"type": "typing", "on": true})).await;
    let typing = two.expect("typing").await;
    assert_eq!((&typing["on"], &typing["from"]), (&json!(true), &json!("stranger")));
    one.say("hello <b>you</b> é & 🚶").await;
    two.hears("hello <b>you</b> é & 🚶").await;
    one.is_heard().await;
    two.say("hi").await;
    one.hears("hi").await;
    two.is_heard().await;
    two.send(json!({"type": "leave"})).await;
    assert_eq!(two.expect("ended").await["by"], "you");
    assert_eq!(one.expect("ended").await["by"], "stranger");
    one.find().await;
    two.find().await;
    one.expect("matched").await;
    two.expect("matched").await;
}

#[tokio::test]
async fn shared_interests_and_language_are_told_as_each_typed_them() {
    let stroll = Single::start(&[]).await;
    let (mut one, mut two) = (Stranger::arrive(stroll.gateway).await, Stranger::arrive(stroll.gateway).await);
    one.send(json!({"type": "find", "mode": "text", "interests": ["Rust", " chess ", "RUST"], "languages": ["en-GB"]})).await;
    assert_eq!(one.expect("waiting").await["interests"], json!(["Rust", "chess"]));
    two.send(
        json!({"type": "find", "mode": "text", "interests": ["rust", "tea"], "languages": ["de", "en"]}),
    )
    .await;
    two.expect("waiting").await;
    let (to_one, to_two) = (one.expect("matched").await, two.expect("matched").await);
    assert_eq!(
        (&to_one["common_interests"], &to_two["common_interests"]),
        (&json!(["Rust"]), &json!(["rust"]))
    );
    assert_eq!((&to_one["language"], &to_two["language"]), (&json!("en"), &json!("en")));
    assert_eq!((&to_one["role"], &to_one["mode"]), (&json!("stranger"), &json!("text")));
    assert_ne!(to_one["initiator"], to_two["initiator"]);
}

#[tokio::test]
async fn sections_are_told_where_there_is_a_choice_and_others_are_refused() {
    let stroll = Single::start(&["--sections", "main,night-owls"]).await;
    let mut one = Stranger::connect(stroll.gateway, &[]).await.expect("a handshake");
    one.send(json!({"type": "hello", "adult": true, "terms": true})).await;
    assert_eq!(one.expect("welcome").await["sections"], json!(["main", "night-owls"]));
    one.send(wish(json!({"section": "day"}))).await;
    one.refused("bad_value").await;
    one.find_with(json!({"section": "main"})).await;
    let plain = Single::start(&[]).await;
    let mut two = Stranger::connect(plain.gateway, &[]).await.expect("a handshake");
    two.send(json!({"type": "hello"})).await;
    assert!(two.expect("welcome").await.get("sections").is_none());
}

#[tokio::test]
async fn a_search_that_widens_is_told_when_the_patience_ends() {
    let stroll = Single::start(&["--patience", "700ms"]).await;
    let mut one = Stranger::arrive(stroll.gateway).await;
    for (fields, patience_ms) in
        [(json!({"interests": ["tea"]}), 700), (json!({"interests": ["tea"], "patience_ms": 300}), 300)]
    {
        let asked = tokio::time::Instant::now();
        let waiting = one.find_with(fields).await;
        assert_eq!((&waiting["patience_ms"], waiting.get("widened")), (&json!(patience_ms), None));
        assert_eq!(one.expect("waiting").await["widened"], json!(true));
        let waited = asked.elapsed();
        assert!(waited >= Duration::from_millis(patience_ms), "{waited:?}");
    }
}

#[tokio::test]
async fn in_spy_mode_only_text_and_one_of_the_two_wishes_make_sense() {
    let stroll = Single::start(&[]).await;
    let mut one = Stranger::arrive(stroll.gateway).await;
    for bad in [
        json!({"ask": "why?"}),
        json!({"ask": "Is tea a soup?", "discuss": true}),
        json!({"ask": "Is tea a soup?", "mode": "video"}),
        json!({"discuss": true, "mode": "video"}),
    ] {
        one.send(wish(bad)).await;
        one.refused("bad_value").await;
    }
}

#[tokio::test]
async fn the_end_of_a_chat_brings_a_token_to_come_back_with() {
    let stroll = Single::start(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    let before = one.session.clone();
    assert_eq!(one.leave_with(json!({"block": true})).await["by"], "you");
    assert_ne!(one.session, before);
    assert!(two.expect("ended").await["session"].is_string());
    one.send(json!({"type": "again"})).await;
    one.refused("not_now").await;
    let hello = json!({"type": "hello", "session": one.session});
    let mut back = Stranger::arrive_with(stroll.gateway, hello).await;
    assert_eq!(one.closed().await, Some(4004), "the same session");
    back.find().await;
}

#[tokio::test]
async fn i5_a_block_that_crossed_with_the_strangers_leaving_holds() {
    let stroll = Single::start(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    two.leave_with(json!({})).await;
    assert_eq!(one.expect("ended").await["by"], "stranger");
    let before = one.session.clone();
    assert_eq!(one.leave_with(json!({"block": true})).await["by"], "you");
    assert_ne!(one.session, before);
    // Who was met lately is met again after half a second, unless blocked.
    two.find_with(json!({"interests": ["tea"], "patience_ms": 600})).await;
    assert_eq!(two.expect("waiting").await["widened"], json!(true));
    one.find().await;
    let mut chats = Vec::new();
    for _ in 0..2 {
        let mut other = Stranger::arrive(stroll.gateway).await;
        other.find().await;
        chats.push(other.expect("matched").await["chat"].clone());
        other.leave_with(json!({})).await;
    }
    for stranger in [&mut one, &mut two] {
        assert!(chats.contains(&stranger.expect("matched").await["chat"]));
    }
}

#[tokio::test]
async fn video_chats_carry_signals_in_the_same_numbering_and_text_chats_do_not() {
    let stroll = Single::start(&[]).await;
    let (mut one, mut two) = (Stranger::arrive(stroll.gateway).await, Stranger::arrive(stroll.gateway).await);
    for stranger in [&mut one, &mut two] {
        stranger.send(json!({"type": "find", "mode": "video"})).await;
        stranger.expect("waiting").await;
    }
    one.expect("matched").await;
    two.expect("matched").await;
    one.send(json!({"type": "signal", "seq": 1, "data": {"type": "offer", "sdp": "v=0"}})).await;
    let signal = two.expect("signal").await;
    assert_eq!((&signal["seq"], &signal["data"]), (&json!(1), &json!({"type": "offer", "sdp": "v=0"})));
    one.send(json!({"type": "message", "seq": 2, "text": "see me?"})).await;
    assert_eq!(two.expect("message").await["seq"], 2);
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.send(json!({"type": "signal", "seq": 1, "data": {"type": "offer", "sdp": "v=0"}})).await;
    one.refused("not_now").await;
    one.say("just text").await;
    two.hears("just text").await;
}

#[tokio::test]
async fn malformed_frames_are_answered_and_the_eighth_closes() {
    let stroll = Single::start(&[]).await;
    let mut stranger = Stranger::arrive(stroll.gateway).await;
    stranger.send(json!({"type": "dance"})).await;
    stranger.refused("unknown_type").await;
    for _ in 0..7 {
        stranger.send_raw(Message::text("{nonsense")).await.expect("an open socket");
        stranger.refused("bad_frame").await;
    }
    stranger.find().await;
    stranger.send_raw(Message::text("[]")).await.expect("an open socket");
    stranger.refused("bad_frame").await;
    assert_eq!(stranger.closed().await, Some(1008));
}

#[tokio::test]
async fn frames_that_are_too_big_binary_or_not_utf8_close_the_socket() {
    let stroll = Single::start(&[]).await;
    let text = |length| Message::text("x".repeat(length));
    let not_utf8 = Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true));
    let cases = [
        (text(16 * 1024 + 1), 1009),
        (text(1024 * 1024), 1009),
        (Message::binary(vec![1, 2, 3]), 1003),
        (not_utf8, 1007),
    ];
    for (frame, code) in cases {
        let mut stranger = Stranger::arrive(stroll.gateway).await;
        // The gateway may close before it has read a large frame to its end.
        let _ = stranger.send_raw(frame).await;
        assert_eq!(stranger.closed().await, Some(code));
    }
}

#[tokio::test]
async fn hello_comes_first_once_and_in_time() {
    let stroll = Single::start(&[]).await;
    let mut silent = Stranger::connect(stroll.gateway, &[]).await.expect("a handshake");
    let mut rude = Stranger::connect(stroll.gateway, &[]).await.expect("a handshake");
    rude.send(json!({"type": "find", "mode": "text"})).await;
    rude.refused("not_now").await;
    rude.send(json!({"type": "hello"})).await;
    let welcome = rude.expect("welcome").await;
    assert_eq!(welcome["limits"], json!({"message_chars": 2000, "unacked": 64, "interests": 10}));
    rude.send(json!({"type": "hello"})).await;
    rude.refused("not_now").await;
    rude.send(json!({"type": "find", "mode": "text"})).await;
    rude.refused("consent_required").await;
    assert_eq!(silent.closed().await, Some(4001));
}

#[tokio::test]
async fn frames_out_of_state_are_refused_and_change_nothing() {
    let stroll = Single::start(&[]).await;
    let mut stranger = Stranger::arrive(stroll.gateway).await;
    for frame in [
        json!({"type": "message", "seq": 1, "text": "hi"}),
        json!({"type": "signal", "seq": 1, "data": {}}),
        json!({"type": "leave"}),
        json!({"type": "again"}),
        json!({"type": "report", "reason": "spam"}),
    ] {
        stranger.send(frame).await;
        stranger.refused("not_now").await;
    }
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.send(json!({"type": "find", "mode": "text"})).await;
    one.refused("not_now").await;
    one.send(json!({"type": "cancel"})).await;
    one.refused("not_now").await;
    one.say("still here").await;
    two.hears("still here").await;
}

#[tokio::test]
async fn wrong_numbers_are_refused_and_repeats_are_shown_once() {
    let stroll = Single::start(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for wrong in [0, 2, 9] {
        one.repeat(wrong, "wrong").await;
        one.refused("bad_seq").await;
    }
    one.say("first").await;
    one.repeat(1, "first").await;
    one.say("second").await;
    two.hears("first").await;
    two.hears("second").await;
    assert_eq!(one.expect("ack").await["seq"], 1);
    assert_eq!(one.expect("ack").await["seq"], 2);
    two.send(json!({"type": "ack", "seq": 7})).await;
    two.refused("bad_seq").await;
}

#[tokio::test]
async fn who_is_too_fast_is_slowed_down_and_told_for_how_long() {
    let stroll = Single::start(&["--messages-per-session", "1", "--finds-per-session", "2"]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for text in ["1", "2", "3"] {
        one.say(text).await;
        two.hears(text).await;
        one.is_heard().await;
    }
    one.repeat(4, "4").await;
    let wait = one.refused("slow_down").await["retry_after_ms"].as_u64().expect("a time");
    tokio::time::sleep(Duration::from_millis(wait)).await;
    assert_eq!(one.say("4").await, 4);
    two.hears("4").await;
    let mut flood = Stranger::arrive(stroll.gateway).await;
    for _ in 0..1_000 {
        flood.send(json!({"type": "cancel"})).await;
    }
    while flood.next().await["code"] != "slow_down" {}
    let mut other = Stranger::arrive(stroll.gateway).await;
    for _ in 0..2 {
        other.find().await;
    }
    other.send(json!({"type": "find", "mode": "text"})).await;
    assert!(other.refused("slow_down").await["retry_after_ms"].is_u64());
}

#[tokio::test]
async fn more_than_64_unacknowledged_are_refused_until_the_stranger_acknowledges() {
    let stroll = Single::start(&["--messages-per-session", "100"]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for seq in 1..=64 {
        one.say(&seq.to_string()).await;
        assert_eq!(two.expect("message").await["seq"], seq);
    }
    one.repeat(65, "65").await;
    one.refused("slow_down").await;
    two.send(json!({"type": "ack", "seq": 1})).await;
    assert_eq!(one.expect("ack").await["seq"], 1);
    assert_eq!(one.say("65").await, 65);
    assert_eq!(two.expect("message").await["seq"], 65);
}

#[tokio::test]
async fn forged_tokens_make_a_new_stranger_and_no_chat() {
    let stroll = Single::start(&[]).await;
    let first = Stranger::arrive(stroll.gateway).await;
    let mut forged = first.session.clone();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let hello = json!({"type": "hello", "session": forged, "resume": "forged", "adult": true, "terms": true});
    let mut stranger = Stranger::arrive_with(stroll.gateway, hello).await;
    stranger.refused("resume_failed").await;
    stranger.find().await;
    let mut first = first;
    first.send(json!({"type": "cancel"})).await;
    first.expect("idle").await;
}

#[tokio::test]
async fn another_sessions_resume_token_opens_nothing() {
    let stroll = Single::start(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    let hello = json!({"type": "hello", "resume": one.resume, "adult": true, "terms": true});
    Stranger::arrive_with(stroll.gateway, hello).await.refused("resume_failed").await;
    one.say("undisturbed").await;
    two.hears("undisturbed").await;
}

#[tokio::test]
async fn a_second_socket_of_the_same_session_takes_over() {
    let stroll = Single::start(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    let hello = json!({"type": "hello", "session": one.session, "resume": one.resume});
    let mut newer = Stranger::arrive_with(stroll.gateway, hello).await;
    assert_eq!(newer.expect("resumed").await["received"], 0);
    assert_eq!(one.closed().await, Some(4004));
    // Nobody was away.
    two.expect("resumed").await;
    two.say("who is it?").await;
    newer.hears("who is it?").await;
}

#[tokio::test]
async fn i3_a_dropped_socket_comes_back_and_every_message_is_shown_once() {
    let stroll = Single::start(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.say("before").await;
    two.hears("before").await;
    one.is_heard().await;
    let lost = two;
    // Without a goodbye: the connection is just gone.
    let (session, resume) = (lost.session.clone(), lost.resume.clone());
    drop(lost);
    assert_eq!(one.expect("stranger").await["state"], "away");
    one.say("are you there?").await;
    one.say("hello?").await;
    let hello = json!({"type": "hello", "session": session, "resume": resume});
    let mut two = Stranger::arrive_with(stroll.gateway, hello).await;
    assert_eq!(two.expect("resumed").await["received"], 0);
    assert_eq!(one.expect("stranger").await["state"], "back");
    assert_eq!(one.expect("resumed").await["received"], 1);
    one.repeat(2, "are you there?").await;
    one.repeat(3, "hello?").await;
    for (seq, text) in [(2, "are you there?"), (3, "hello?")] {
        let message = two.expect("message").await;
        assert_eq!((&message["seq"], &message["text"]), (&json!(seq), &json!(text)));
    }
    two.send(json!({"type": "ack", "seq": 3})).await;
    one.is_heard().await;
}

#[tokio::test]
async fn who_stays_away_too_long_ends_the_chat() {
    let stroll = Single::start(&["--grace", "1s"]).await;
    let [mut one, two] = meet([stroll.gateway; 2]).await;
    let (session, resume) = (two.session.clone(), two.resume.clone());
    drop(two);
    assert_eq!(one.expect("stranger").await["state"], "away");
    assert_eq!(one.expect("ended").await["by"], "away");
    let hello = json!({"type": "hello", "session": session, "resume": resume});
    let mut late = Stranger::arrive_with(stroll.gateway, hello).await;
    assert_eq!(late.expect("ended").await["by"], "away");
}

#[tokio::test]
async fn the_page_is_served_under_a_strict_policy_and_the_operators_port_is_not_reachable() {
    let stroll = Single::start(&[]).await;
    let page = http::get(stroll.gateway, "/", &[]).await.expect("an answer");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let etag = page.header("etag").expect("an etag").to_owned();
    let again = http::get(stroll.gateway, "/", &[("if-none-match", &etag)]).await.expect("an answer");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    for hidden in [
        "/metrics",
        "/livez",
        "/readyz",
        "/package.json",
        "/test/session.test.js",
        "/../Cargo.toml",
        "/nothing",
    ] {
        let answer = http::get(stroll.gateway, hidden, &[]).await.expect("an answer");
        assert_eq!(answer.status, 404, "{hidden}");
    }
    let not_a_socket = http::get(stroll.gateway, "/v1/ws", &[]).await.expect("an answer");
    assert_eq!(not_a_socket.status, 400);
}

#[tokio::test]
async fn the_numbers_are_the_clusters_and_open_to_other_origins() {
    let stroll = Single::start(&[]).await;
    let [_one, _two] = meet([stroll.gateway; 2]).await;
    let mut third = Stranger::arrive(stroll.gateway).await;
    third.find().await;
    let expected = json!({"online": 3, "waiting": 1, "chatting": 2});
    let numbers = || async {
        let answer = http::get(stroll.gateway, "/v1/stats", &[]).await.ok()?;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        (serde_json::from_str::<Value>(&answer.body).ok()? == expected).then_some(())
    };
    eventually("the right numbers", numbers).await;
}
