//! Events of a chat and their order.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, meet, meet_with, names, roomy},
    cluster::Single,
    stranger::Stranger,
};

/// A classic client and one of `stroll.v1` that have met.
pub async fn meet_web(stroll: &Single) -> (Client, Stranger) {
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find().await;
    let mut classic = Client::start(stroll.gateway, "").await;
    web.expect("matched").await;
    classic.connected().await;
    (classic, web)
}

/// Whether it is four times 32 hex digits.
fn is_digests(event: &Value) -> bool {
    let digests: Vec<_> = event[1].as_str().unwrap_or_default().split(',').collect();
    let is_one = |digest: &&str| {
        digest.len() == 32 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    event[0] == "identDigests" && digests.len() == 4 && digests.iter().all(is_one)
}

#[tokio::test]
async fn two_classic_clients_talk_and_part() {
    let stroll = roomy(&[]).await;
    let mut one = Client::start(stroll.gateway, "").await;
    let mut two = Client::start(stroll.gateway, "").await;
    assert_eq!(names(&one.connected().await), ["connected", "identDigests"]);
    assert_eq!(names(&two.connected().await), ["connected", "identDigests"]);
    two.wins("/typing", &[]).await;
    one.expect(json!(["typing"])).await;
    two.wins("/stoppedtyping", &[]).await;
    one.expect(json!(["stoppedTyping"])).await;
    for text in [
        "é & = + %",
        "<b>bold?</b> \"quoted\" \\ back",
        "多 🚶\u{200d}♀️",
        "two\nlines",
        " blanks  around ",
        "a%26b+c",
    ] {
        two.say(text).await;
        one.hears(text).await;
        one.say(text).await;
        two.hears(text).await;
    }
    two.wins("/disconnect", &[]).await;
    one.is_left().await;
}

#[tokio::test]
async fn connected_comes_first_and_is_one_array_with_its_companions() {
    let stroll = roomy(&[]).await;
    // The one who waits is told by a poll, the other in the answer of /start or by a poll.
    let mut one = Client::start(stroll.gateway, "topics=%5B%22Rust%22%5D&lang=de").await;
    one.is_waiting().await;
    one.open_poll().await;
    let mut two = Client::start(stroll.gateway, "topics=%5B%22rust%22%5D&lang=de").await;
    let Value::Array(array) = one.polled().await else { panic!("no events") };
    let order = ["connected", "commonLikes", "identDigests", "serverMessage"];
    assert_eq!(names(&array), order);
    assert_eq!(array[0], json!(["connected"]), "one element");
    assert_eq!(array[1].as_array().map(Vec::len), Some(2));
    assert_eq!(names(&two.connected().await), order);
    let after_waiting: Vec<_> =
        names(&two.first).into_iter().filter(|name| !["waiting", "statusInfo"].contains(name)).collect();
    assert!(after_waiting.is_empty() || after_waiting == order, "{:?}", two.first);
}

#[tokio::test]
async fn an_event_of_two_elements_follows_connected_always() {
    let stroll = roomy(&[]).await;
    for parameters in ["", "webrtc=1", "topics=%5B%22tea%22%5D", "lang=de", "webrtc=1&topics=tea"] {
        let mut one = Client::start(stroll.gateway, parameters).await;
        let mut two = Client::start(stroll.gateway, parameters).await;
        for client in [&mut one, &mut two] {
            let events = client.connected().await;
            assert_eq!(events[1].as_array().map(Vec::len), Some(2), "{parameters}: {events:?}");
        }
        one.leave().await;
    }
}

#[tokio::test]
async fn digests_are_the_same_for_both_and_new_in_every_chat() {
    let stroll = roomy(&[]).await;
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let mut one = Client::start(stroll.gateway, "").await;
        let mut two = Client::start(stroll.gateway, "").await;
        let (to_one, to_two) = (one.connected().await, two.connected().await);
        assert!(is_digests(&to_one[1]), "{to_one:?}");
        assert_eq!(to_one[1], to_two[1]);
        for digest in to_one[1][1].as_str().expect("a text").split(',') {
            assert!(seen.insert(digest.to_owned()), "{digest} came twice");
        }
        one.leave().await;
    }
}

#[tokio::test]
async fn typing_is_told_once_for_each_change_and_ends_with_a_message() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.wins("/typing", &[]).await;
    one.wins("/typing", &[]).await;
    two.expect(json!(["typing"])).await;
    one.wins("/stoppedtyping", &[]).await;
    one.wins("/stoppedtyping", &[]).await;
    two.expect(json!(["stoppedTyping"])).await;
    // A message ends it without a word, and needs none before.
    one.wins("/typing", &[]).await;
    one.say("first").await;
    one.wins("/stoppedtyping", &[]).await;
    one.say("second").await;
    one.wins("/typing", &[]).await;
    for event in [
        json!(["typing"]),
        json!(["gotMessage", "first"]),
        json!(["gotMessage", "second"]),
        json!(["typing"]),
    ] {
        two.expect(event).await;
    }
}

#[tokio::test]
async fn stopping_to_type_has_three_names() {
    let stroll = roomy(&[]).await;
    for path in ["/stoppedtyping", "/stopTyping", "/stoptyping"] {
        let [mut one, mut two] = meet([stroll.gateway; 2]).await;
        one.wins("/typing", &[]).await;
        one.wins(path, &[]).await;
        two.expect(json!(["typing"])).await;
        two.expect(json!(["stoppedTyping"])).await;
        one.leave().await;
        two.is_left().await;
    }
}

#[tokio::test]
async fn typing_outside_a_chat_fails() {
    let stroll = roomy(&[]).await;
    let mut one = Client::start(stroll.gateway, "").await;
    one.is_waiting().await;
    for path in ["/typing", "/stoppedtyping", "/stopTyping", "/stoptyping"] {
        one.fails(path, &[]).await;
    }
}

#[tokio::test]
async fn a_classic_and_a_web_client_understand_each_other() {
    let stroll = roomy(&[]).await;
    let (mut classic, mut web) = meet_web(&stroll).await;
    classic.wins("/typing", &[]).await;
    let typing = web.expect("typing").await;
    assert_eq!((&typing["on"], &typing["from"]), (&json!(true), &json!("stranger")));
    classic.wins("/stoppedtyping", &[]).await;
    assert_eq!(web.expect("typing").await["on"], false);
    for text in ["é & = + %", "second", "third"] {
        classic.say(text).await;
        web.hears(text).await;
    }
    for on in [true, false] {
        web.send(json!({"type": "typing", "on": on})).await;
        classic.expect(json!([if on { "typing" } else { "stoppedTyping" }])).await;
    }
    web.say("hello <b>you</b>").await;
    web.say("and again").await;
    classic.hears("hello <b>you</b>").await;
    classic.hears("and again").await;
    // What a poll took counts as acknowledged.
    while web.expect("ack").await["seq"] != 2 {}
    web.leave_with(json!({})).await;
    classic.is_left().await;
    // And the other way about.
    let (mut classic, mut web) = meet_web(&stroll).await;
    classic.say("bye").await;
    classic.wins("/disconnect", &[]).await;
    web.hears("bye").await;
    assert_eq!(web.expect("ended").await["by"], "stranger");
}

#[tokio::test]
async fn a_web_client_that_is_away_for_a_moment_is_nothing_to_tell() {
    let stroll = roomy(&[]).await;
    let (mut classic, web) = meet_web(&stroll).await;
    let lost = web.lose();
    classic.say("are you there?").await;
    let mut web = lost.come_back(stroll.gateway).await;
    // The message may be on its way already when the chat is resumed.
    let mut frames = [web.next().await, web.next().await];
    frames.sort_by_key(|frame| frame["type"].as_str().map(str::to_owned));
    assert_eq!(
        (&frames[0]["text"], &frames[1]["received"]),
        (&json!("are you there?"), &json!(0)),
        "{frames:?}"
    );
    web.send(json!({"type": "ack", "seq": 1})).await;
    web.say("yes").await;
    classic.hears("yes").await;
}

#[tokio::test]
async fn a_web_client_that_stays_away_is_a_stranger_who_left() {
    let stroll = roomy(&[("STROLL_GRACE", "1s")]).await;
    let (mut classic, web) = meet_web(&stroll).await;
    drop(web.lose());
    classic.is_left().await;
}

#[tokio::test]
async fn the_status_is_never_in_a_poll_and_no_unknown_event_comes() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] =
        meet_with([stroll.gateway; 2], ["lang=de&topics=tea", "lang=de&topics=tea"]).await;
    one.wins("/typing", &[]).await;
    one.say("hi").await;
    one.wins("/disconnect", &[]).await;
    let events = two.to_the_end().await;
    assert_eq!(names(&events), ["typing", "gotMessage", "strangerDisconnected"]);
    for client in [&one, &two] {
        let status = client.first.iter().filter(|event| event[0] == "statusInfo").count();
        assert_eq!(status, 1);
        assert_eq!(client.first.last().expect("events")[0], "statusInfo");
    }
}
