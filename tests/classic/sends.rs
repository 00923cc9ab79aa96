//! `/send` and its bounds.

use serde_json::{Value, json};
use stroll_tests::classic::{Client, Wire, meet, post, roomy};

use crate::chats::meet_web;

#[tokio::test]
async fn a_message_has_1_to_2000_characters() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for (text, wins) in [
        (String::new(), false),
        ("x".into(), true),
        ("é".repeat(2_000), true),
        ("🚶".repeat(2_000), true),
        ("é".repeat(2_001), false),
        ("x".repeat(60_000), false),
    ] {
        let answer = one.call("/send", &[("msg", &text)]).await;
        assert_eq!(answer, if wins { "win" } else { "fail" }, "{} characters", text.chars().count());
        if wins {
            two.hears(&text).await;
        }
    }
    assert_eq!(one.call("/send", &[]).await, "fail", "no message at all");
    one.say("still in the chat").await;
    two.hears("still in the chat").await;
}

#[tokio::test]
async fn outside_a_chat_it_fails() {
    let stroll = roomy(&[]).await;
    let mut one = Client::start(stroll.gateway, "").await;
    one.is_waiting().await;
    one.fails("/send", &[("msg", "hello?")]).await;
    let mut two = Client::start(stroll.gateway, "").await;
    one.connected().await;
    two.connected().await;
    one.leave().await;
    one.fails("/send", &[("msg", "hello?")]).await;
    two.is_left().await;
    two.fails("/send", &[("msg", "hello?")]).await;
}

#[tokio::test]
async fn every_post_that_arrives_counts_and_none_is_taken_for_a_repeat() {
    let stroll = roomy(&[]).await;
    let [one, mut two] = meet([stroll.gateway; 2]).await;
    let send = post("/send", &format!("id={}&msg=hello", one.id));
    let mut wire = Wire::open(stroll.gateway).await;
    for _ in 0..3 {
        assert_eq!(wire.ask(&send).await.body, "win");
    }
    for _ in 0..3 {
        two.hears("hello").await;
    }
}

#[tokio::test]
async fn at_most_64_are_unacknowledged_by_a_classic_stranger() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for number in 0..64 {
        one.say(&format!("word {number}")).await;
    }
    one.fails("/send", &[("msg", "one too many")]).await;
    for number in 0..64 {
        two.hears(&format!("word {number}")).await;
    }
    // What a poll took counts as acknowledged, once word of it is back.
    one.says_eventually("now").await;
    two.hears("now").await;
}

#[tokio::test]
async fn at_most_64_are_unacknowledged_by_a_web_stranger() {
    let stroll = roomy(&[]).await;
    let (mut one, mut web) = meet_web(&stroll).await;
    for number in 1..=64_u64 {
        one.say(&format!("word {number}")).await;
        assert_eq!(web.expect("message").await["seq"], number);
    }
    one.fails("/send", &[("msg", "one too many")]).await;
    web.send(json!({"type": "ack", "seq": 64})).await;
    one.says_eventually("now").await;
    let message = web.expect("message").await;
    assert_eq!((&message["seq"], &message["text"]), (&json!(65), &json!("now")));
}

#[tokio::test]
async fn a_web_stranger_may_have_64_unacknowledged_until_a_poll_takes_them() {
    let stroll = roomy(&[]).await;
    let (mut classic, mut web) = meet_web(&stroll).await;
    for number in 1..=64 {
        web.say(&format!("word {number}")).await;
    }
    web.repeat(65, "one too many").await;
    web.refused("slow_down").await;
    // They may come in more than one array, and word of what a poll took goes back then.
    for number in 1..=64 {
        classic.hears(&format!("word {number}")).await;
    }
    while web.expect("ack").await["seq"] != 64 {}
    web.repeat(65, "now").await;
    classic.hears("now").await;
}

#[tokio::test]
async fn messages_sent_at_the_same_time_over_many_connections_arrive_once_each() {
    let stroll = roomy(&[]).await;
    let [one, mut two] = meet([stroll.gateway; 2]).await;
    let sends = (0..40).map(|number| {
        let form = format!("id={}&msg=word+{number}", one.id);
        async move { Wire::open(stroll.gateway).await.ask(post("/send", &form)).await.body }
    });
    let answers = futures_util::future::join_all(sends).await;
    assert!(answers.iter().all(|answer| answer == "win"), "{answers:?}");
    let mut heard = Vec::new();
    for _ in 0..40 {
        let Value::Array(event) = two.next().await else { panic!("no event") };
        heard.push(event[1].as_str().expect("a text").to_owned());
    }
    heard.sort();
    let mut said: Vec<_> = (0..40).map(|number| format!("word {number}")).collect();
    said.sort();
    assert_eq!(heard, said);
}
