//! `/events`: what a poll gets, and what becomes of a session that does not poll.

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, Wire, encode, get, meet, meet_with, names, post, roomy},
    cluster::Single,
    eventually, http,
    stranger::Stranger,
};
use tokio::time::{Duration, Instant};

async fn numbers(stroll: &Single) -> Value {
    let answer = http::get(stroll.gateway, "/v1/stats", &[]).await.expect("an answer");
    serde_json::from_str(&answer.body).expect("JSON")
}

#[tokio::test]
async fn all_that_is_queued_comes_in_one_array_in_order() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.wins("/typing", &[]).await;
    one.say("hi").await;
    one.wins("/typing", &[]).await;
    one.say("asl").await;
    // The last of them is known to be queued once the stranger's side has it.
    stroll_settles(&mut one, &mut two).await;
    let expected = json!([
        ["typing"],
        ["gotMessage", "hi"],
        ["typing"],
        ["gotMessage", "asl"],
        ["gotMessage", "settled"]
    ]);
    assert_eq!(two.poll().await, expected);
}

/// Says a word to someone who does not poll, and waits until it is there.
async fn stroll_settles(one: &mut Client, two: &mut Client) {
    one.say("settled").await;
    // The answer comes the other way behind it, over the same relay.
    two.say("too").await;
    one.hears("too").await;
}

#[tokio::test]
async fn a_poll_is_answered_as_soon_as_there_is_something() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    two.hold_poll().await;
    let said = Instant::now();
    one.say("quick").await;
    assert_eq!(two.polled().await, json!([["gotMessage", "quick"]]));
    assert!(said.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_newer_poll_replaces_the_older_one_which_gets_nothing_at_once() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for round in 0..5 {
        two.hold_poll().await;
        let mut newer = Client::go_on(stroll.gateway, &two.id).await;
        let asked = Instant::now();
        newer.open_poll().await;
        assert_eq!(two.polled().await, json!([]), "{round}");
        assert!(asked.elapsed() < Duration::from_secs(2));
        let text = format!("round {round}");
        one.say(&text).await;
        assert_eq!(newer.polled().await, json!([["gotMessage", text]]));
    }
}

#[tokio::test]
async fn null_says_that_a_session_is_unknown_over_or_not_named() {
    let stroll = roomy(&[]).await;
    let mut wire = Wire::open(stroll.gateway).await;
    for form in [
        "",
        "id=",
        "id=nonsense",
        "id=central1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "id=central0:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "id=central256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "id=central1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "id=%00%ff",
        "other=1",
    ] {
        let answer = wire.ask(post("/events", form)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "null"), "{form}");
    }
    let long = format!("id={}", "a".repeat(60_000));
    assert_eq!(wire.ask(post("/events", &long)).await.body, "null");
    // An id with one character changed is another id.
    let mut one = Client::start(stroll.gateway, "").await;
    let mut forged = one.id.clone();
    let last = if forged.pop() == Some('a') { 'b' } else { 'a' };
    forged.push(last);
    assert_eq!(wire.ask(post("/events", &format!("id={}", encode(&forged)))).await.body, "null");
    one.is_waiting().await;
    one.leave().await;
}

#[tokio::test]
async fn after_its_last_event_a_session_is_over() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.say("bye").await;
    one.wins("/disconnect", &[]).await;
    assert_eq!(two.to_the_end().await, [json!(["gotMessage", "bye"]), json!(["strangerDisconnected"])]);
    for path in ["/send", "/typing", "/stoppedtyping", "/stoplookingforcommonlikes"] {
        two.fails(path, &[("msg", "hello?")]).await;
    }
    // Many disconnect after the end.
    for _ in 0..2 {
        two.wins("/disconnect", &[]).await;
        one.wins("/disconnect", &[]).await;
    }
    assert_eq!(one.poll().await, Value::Null);
    assert_eq!(two.poll().await, Value::Null);
}

#[tokio::test]
async fn its_own_disconnect_drops_what_is_queued_and_answers_an_open_poll_with_nothing() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    two.hold_poll().await;
    two.wins("/disconnect", &[]).await;
    assert_eq!(two.polled().await, json!([]));
    assert_eq!(two.poll().await, Value::Null);
    one.is_left().await;
    // What is queued.
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    one.say("never seen").await;
    stroll_settles(&mut one, &mut two).await;
    two.leave().await;
    one.is_left().await;
    // While it waits.
    let mut three = Client::start(stroll.gateway, "").await;
    three.is_waiting().await;
    three.hold_poll().await;
    three.wins("/disconnect", &[]).await;
    assert_eq!(three.polled().await, json!([]));
    assert_eq!(three.poll().await, Value::Null);
    stroll.waiting(0).await;
}

#[tokio::test]
async fn events_stay_for_the_next_poll_when_the_connection_of_one_is_gone() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for round in 0..20 {
        two.open_poll().await;
        two.break_off();
        let text = format!("round {round}");
        one.say(&text).await;
        two.hears(&text).await;
    }
}

#[tokio::test]
async fn who_breaks_its_poll_off_leaves_the_pool_at_once_and_comes_back_with_the_next() {
    let stroll = roomy(&[]).await;
    let mut early = Client::start(stroll.gateway, "lang=en").await;
    early.is_waiting().await;
    early.hold_poll().await;
    stroll.waiting(1).await;
    let broken = Instant::now();
    early.break_off();
    stroll.waiting(0).await;
    assert!(broken.elapsed() < Duration::from_secs(8), "that is no sooner than without a poll");
    // Nobody is there to be met.
    let mut late = Stranger::arrive(stroll.gateway).await;
    late.find_with(json!({"languages": ["de"]})).await;
    early.open_poll().await;
    stroll.waiting(2).await;
    // Speaks with both of them, and meets the one who has waited longer.
    let mut third = Stranger::arrive(stroll.gateway).await;
    third.find_with(json!({"languages": ["en", "de"]})).await;
    third.expect("matched").await;
    let Value::Array(events) = early.polled().await else { panic!("no events") };
    let connected: Vec<_> = events.iter().filter(|event| event[0] != "waiting").cloned().collect();
    assert_eq!(names(&connected), ["connected", "identDigests"]);
    third.say("you were first").await;
    early.hears("you were first").await;
    drop(late);
}

#[tokio::test]
async fn who_does_not_poll_for_10_s_leaves_the_pool_and_comes_back_with_the_next() {
    let stroll = roomy(&[]).await;
    let mut one = Client::start(stroll.gateway, "").await;
    one.is_waiting().await;
    let began = Instant::now();
    stroll.waiting(1).await;
    stroll.waiting(0).await;
    let took = began.elapsed();
    assert!((Duration::from_secs(8)..Duration::from_secs(15)).contains(&took), "{took:?}");
    // It is still a session, and can do all that it could.
    one.wins("/stoplookingforcommonlikes", &[]).await;
    assert_eq!(numbers(&stroll).await["online"], 1);
    let mut two = Client::start(stroll.gateway, "").await;
    two.is_waiting().await;
    one.open_poll().await;
    two.connected().await;
    let Value::Array(events) = one.polled().await else { panic!("no events") };
    let connected: Vec<_> = events.iter().filter(|event| event[0] != "waiting").cloned().collect();
    assert_eq!(names(&connected), ["connected", "identDigests"]);
}

#[tokio::test]
async fn who_polls_anew_without_waiting_is_answered_everything_soon() {
    // As clients do that poll every few seconds over few connections which their other calls share.
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    let form = format!("id={}", two.id);
    let mut wires = [Wire::open(stroll.gateway).await, Wire::open(stroll.gateway).await];
    two.hold_poll().await;
    wires[0].send(post("/events", &form)).await;
    assert_eq!(two.polled().await, json!([]));
    for round in 0..6 {
        let [older, newer] = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        wires[newer].send(post("/events", &form)).await;
        assert_eq!(wires[older].answer().await.body, "[]");
        // Now the older one's connection is free for it.
        let sent = wires[older].ask(post("/send", &format!("{form}&msg={round}"))).await;
        assert_eq!(sent.body, "win");
        one.hears(&round.to_string()).await;
    }
}

#[tokio::test]
async fn a_poll_with_a_get_takes_nothing() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet_with([stroll.gateway; 2], ["", ""]).await;
    one.say("for the poll").await;
    let mut wire = Wire::open(stroll.gateway).await;
    assert_eq!(wire.ask(get(&format!("/events?id={}", two.id))).await.status, 405);
    two.hears("for the poll").await;
}

#[tokio::test]
async fn a_session_that_disconnects_at_once_leaves_nothing_behind() {
    let stroll = roomy(&[]).await;
    for _ in 0..20 {
        let mut one = Client::start(stroll.gateway, "topics=%5B%22nobody%22%5D").await;
        one.wins("/disconnect", &[]).await;
    }
    stroll.waiting(0).await;
    eventually("nobody to be online", || async { (numbers(&stroll).await["online"] == 0).then_some(()) })
        .await;
}
