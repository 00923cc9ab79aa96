//! What takes a minute or more. All of it runs at the same time.

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, meet, names, roomy},
    stranger::Stranger,
};
use tokio::time::{Duration, Instant, sleep};

#[tokio::test]
async fn with_nothing_to_say_a_poll_gets_an_empty_array_late_and_in_time() {
    let stroll = roomy(&[]).await;
    let [mut chatting, mut other] = meet([stroll.gateway; 2]).await;
    let mut waiting = Client::start(stroll.gateway, "topics=%5B%22nobody%22%5D").await;
    waiting.is_waiting().await;
    let began = Instant::now();
    chatting.open_poll().await;
    waiting.open_poll().await;
    let long = Duration::from_secs(62);
    let (one, two) = tokio::join!(async { (chatting.polled_within(long).await, began.elapsed()) }, async {
        (waiting.polled_within(long).await, began.elapsed())
    },);
    for (answer, took) in [one, two] {
        assert_eq!(answer, json!([]));
        assert!((Duration::from_secs(55)..Duration::from_secs(60)).contains(&took), "{took:?}");
    }
    // Both go on.
    chatting.say("still there?").await;
    other.hears("still there?").await;
    waiting.open_poll().await;
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find_with(json!({"interests": ["Nobody"]})).await;
    web.expect("matched").await;
    let Value::Array(events) = waiting.polled().await else { panic!("no events") };
    assert_eq!(names(&events), ["connected", "commonLikes", "identDigests"]);
}

#[tokio::test]
async fn a_session_that_does_not_poll_for_90_s_is_dropped_and_its_stranger_told() {
    let stroll = roomy(&[]).await;
    let [mut gone, mut stays] = meet([stroll.gateway; 2]).await;
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find().await;
    let silent = Client::start(stroll.gateway, "").await;
    web.expect("matched").await;
    let began = Instant::now();
    // Calls are no polls.
    for text in ["not", "a", "poll"] {
        gone.say(text).await;
        stays.hears(text).await;
        sleep(Duration::from_secs(10)).await;
    }
    // Who waits for its stranger polls anew whenever it gets nothing.
    let left = async {
        loop {
            stays.open_poll().await;
            let answer = stays.polled_within(Duration::from_secs(62)).await;
            if answer != json!([]) {
                return (answer, began.elapsed());
            }
        }
    };
    let ended = async {
        loop {
            let frame = web.next_within(Duration::from_secs(110)).await;
            assert_ne!(frame["type"], "stranger", "nobody is told of a classic client's pauses");
            if frame["type"] == "ended" {
                return began.elapsed();
            }
        }
    };
    let ((answer, took), web_took) = tokio::join!(left, ended);
    assert_eq!(answer, json!([["strangerDisconnected"]]));
    for took in [took, web_took] {
        assert!((Duration::from_secs(85)..Duration::from_secs(100)).contains(&took), "{took:?}");
    }
    assert_eq!(Client::go_on(stroll.gateway, &gone.id).await.poll().await, Value::Null);
    assert_eq!(Client::go_on(stroll.gateway, &silent.id).await.poll().await, Value::Null);
}

#[tokio::test]
async fn an_open_poll_keeps_a_session_and_one_before_90_s_does_too() {
    let stroll = roomy(&[]).await;
    let [mut one, two] = meet([stroll.gateway; 2]).await;
    one.open_poll().await;
    // More than the 30 s that stroll.v1 gives a connection that is gone.
    sleep(Duration::from_secs(75)).await;
    let mut two = Client::go_on(stroll.gateway, &two.id).await;
    assert_eq!(one.polled().await, json!([]));
    let mut one = Client::go_on(stroll.gateway, &one.id).await;
    two.say("after a while").await;
    one.hears("after a while").await;
    one.say("indeed").await;
    two.hears("indeed").await;
}

#[tokio::test]
async fn once_100_events_wait_typing_is_no_longer_queued() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for number in 0..60 {
        one.say(&number.to_string()).await;
    }
    // No faster than typing is let through.
    for change in 0..60 {
        one.wins(if change % 2 == 0 { "/typing" } else { "/stoppedtyping" }, &[]).await;
        sleep(Duration::from_millis(250)).await;
    }
    one.say("the end").await;
    two.say("wait for me").await;
    one.hears("wait for me").await;
    let Value::Array(events) = two.poll().await else { panic!("no events") };
    let typing = events.iter().filter(|event| event[0] == "typing" || event[0] == "stoppedTyping").count();
    assert_eq!((events.len(), typing), (101, 40), "{events:?}");
    assert_eq!(events.last(), Some(&json!(["gotMessage", "the end"])));
}
