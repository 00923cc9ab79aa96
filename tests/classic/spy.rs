//! Spy mode, of classic clients and together with `stroll.v1`.

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, names, roomy},
    cluster::Single,
    stranger::Stranger,
};

const ASK: &str = "ask=Is%20tea%20a%20soup%3F";
const QUESTION: &str = "Is tea a soup?";

/// The spy and the two.
async fn watch(stroll: &Single) -> (Client, [Client; 2]) {
    let mut spy = Client::start(stroll.gateway, ASK).await;
    let mut one = Client::start(stroll.gateway, "wantsspy=1").await;
    let mut two = Client::start(stroll.gateway, "wantsspy=1").await;
    let to_spy = spy.connected().await;
    assert_eq!(names(&to_spy), ["connected", "identDigests"], "no question to the spy");
    for discusser in [&mut one, &mut two] {
        let events = discusser.connected().await;
        assert_eq!(names(&events), ["connected", "question", "identDigests"]);
        assert_eq!(events[1], json!(["question", QUESTION]));
        assert_eq!(events[2], to_spy[1], "all seats get the same");
    }
    (spy, [one, two])
}

/// How the spy sees someone who just said this.
async fn name_of(spy: &mut Client, text: &str) -> String {
    let event = spy.next().await;
    assert_eq!((event[0].as_str(), event[2].as_str()), (Some("spyMessage"), Some(text)), "{event}");
    let name = event[1].as_str().expect("a name").to_owned();
    assert!(["Stranger 1", "Stranger 2"].contains(&name.as_str()), "{name}");
    name
}

#[tokio::test]
async fn the_spy_sees_what_the_two_do_under_names_that_stay() {
    let stroll = roomy(&[]).await;
    let (mut spy, [mut one, mut two]) = watch(&stroll).await;
    one.say("no").await;
    two.hears("no").await;
    let first = name_of(&mut spy, "no").await;
    two.say("yes").await;
    one.hears("yes").await;
    let second = name_of(&mut spy, "yes").await;
    assert_ne!(first, second);
    for (talker, name) in [(&mut one, &first), (&mut two, &second)] {
        talker.wins("/typing", &[]).await;
        spy.expect(json!(["spyTyping", name])).await;
        talker.wins("/stoppedtyping", &[]).await;
        spy.expect(json!(["spyStoppedTyping", name])).await;
        talker.wins("/typing", &[]).await;
        spy.expect(json!(["spyTyping", name])).await;
        talker.say("because").await;
        spy.expect(json!(["spyMessage", name, "because"])).await;
    }
}

#[tokio::test]
async fn the_spy_can_not_talk() {
    let stroll = roomy(&[]).await;
    let (mut spy, [mut one, mut two]) = watch(&stroll).await;
    spy.fails("/send", &[("msg", "may I?")]).await;
    for path in ["/typing", "/stoppedtyping", "/stopTyping", "/stoptyping"] {
        spy.fails(path, &[]).await;
    }
    spy.fails("/rtcpeerdescription", &[("desc", r#"{"type":"offer","sdp":"v=0"}"#)]).await;
    one.say("undisturbed").await;
    two.hears("undisturbed").await;
}

#[tokio::test]
async fn when_the_spy_leaves_the_two_go_on_and_are_not_told() {
    let stroll = roomy(&[]).await;
    let (mut spy, [mut one, mut two]) = watch(&stroll).await;
    spy.leave().await;
    for text in ["alone?", "still?"] {
        one.say(text).await;
        two.hears(text).await;
        two.say(text).await;
        one.hears(text).await;
    }
    two.wins("/disconnect", &[]).await;
    one.is_left().await;
}

#[tokio::test]
async fn when_one_of_the_two_leaves_all_sessions_are_over() {
    let stroll = roomy(&[]).await;
    let (mut spy, [mut one, mut two]) = watch(&stroll).await;
    one.say("bye").await;
    let name = name_of(&mut spy, "bye").await;
    two.hears("bye").await;
    one.leave().await;
    two.is_left().await;
    spy.expect(json!(["spyDisconnected", name])).await;
    assert_eq!(spy.poll().await, Value::Null);
}

#[tokio::test]
async fn it_is_text_only_and_a_question_waits_for_two() {
    let stroll = roomy(&[]).await;
    let mut spy = Client::start(stroll.gateway, &format!("{ASK}&webrtc=1")).await;
    let mut one = Client::start(stroll.gateway, "wantsspy=1&webrtc=1").await;
    spy.is_waiting().await;
    one.is_waiting().await;
    stroll.waiting(2).await;
    let mut two = Client::start(stroll.gateway, "wantsspy=1").await;
    assert_eq!(names(&spy.connected().await), ["connected", "identDigests"]);
    for discusser in [&mut one, &mut two] {
        assert_eq!(names(&discusser.connected().await), ["connected", "question", "identDigests"]);
    }
}

#[tokio::test]
async fn a_web_client_watches_two_classic_ones() {
    let stroll = roomy(&[]).await;
    let mut spy = Stranger::arrive(stroll.gateway).await;
    spy.find_with(json!({"ask": QUESTION})).await;
    let mut one = Client::start(stroll.gateway, "wantsspy=1").await;
    let mut two = Client::start(stroll.gateway, "wantsspy=1").await;
    assert_eq!(spy.expect("matched").await["role"], "spy");
    for discusser in [&mut one, &mut two] {
        assert_eq!(discusser.connected().await[1], json!(["question", QUESTION]));
    }
    one.say("no").await;
    two.hears("no").await;
    let message = spy.expect("message").await;
    assert_eq!(message["text"], "no");
    let from = message["from"].as_str().expect("a name").to_owned();
    assert!(["stranger_1", "stranger_2"].contains(&from.as_str()), "{from}");
    two.wins("/typing", &[]).await;
    let typing = spy.expect("typing").await;
    assert!(typing["on"] == true && typing["from"] != from.as_str(), "{typing}");
    two.wins("/disconnect", &[]).await;
    one.expect(json!(["typing"])).await;
    one.is_left().await;
    spy.expect("ended").await;
}

#[tokio::test]
async fn a_classic_client_watches_a_web_one_and_a_classic_one() {
    let stroll = roomy(&[]).await;
    let mut spy = Client::start(stroll.gateway, ASK).await;
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find_with(json!({"discuss": true, "patience_ms": 600_000})).await;
    let mut classic = Client::start(stroll.gateway, "wantsspy=1").await;
    let matched = web.expect("matched").await;
    assert_eq!((&matched["role"], &matched["question"]), (&json!("stranger"), &json!(QUESTION)));
    classic.connected().await;
    spy.connected().await;
    web.say("a stew").await;
    classic.hears("a stew").await;
    let name = name_of(&mut spy, "a stew").await;
    web.send(json!({"type": "typing", "on": true})).await;
    spy.expect(json!(["spyTyping", name])).await;
    classic.expect(json!(["typing"])).await;
    classic.say("a drink").await;
    assert_ne!(name_of(&mut spy, "a drink").await, name);
    web.send(json!({"type": "leave"})).await;
    // What acknowledges its words comes at a moment of its own.
    while web.next().await["type"] != "ended" {}
    classic.is_left().await;
    spy.expect(json!(["spyDisconnected", name])).await;
    assert_eq!(spy.poll().await, Value::Null);
}
