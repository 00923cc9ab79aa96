//! Common likes.

use serde_json::json;
use stroll_tests::{
    classic::{Client, names, roomy},
    stranger::Stranger,
};

#[tokio::test]
async fn each_is_told_in_its_own_spelling_and_compared_as_interests_are() {
    let stroll = roomy(&[]).await;
    let mut one = Client::start(stroll.gateway, "topics=%5B%22Books%22,%22RUST%22,%22tea%22%5D").await;
    let mut two =
        Client::start(stroll.gateway, "topics=%5B%22rust%22,%22%20books%20%22,%22chess%22%5D").await;
    let told = |events: &[serde_json::Value]| {
        assert_eq!(names(events), ["connected", "commonLikes", "identDigests"]);
        let mut likes: Vec<_> = events[1][1]
            .as_array()
            .expect("a list")
            .iter()
            .map(|like| like.as_str().expect("a text").to_owned())
            .collect();
        likes.sort();
        likes
    };
    assert_eq!(told(&one.connected().await), ["Books", "RUST"]);
    assert_eq!(told(&two.connected().await), ["books", "rust"]);
}

#[tokio::test]
async fn a_search_for_likes_is_never_given_up_by_the_server() {
    // Whatever patience the web has.
    let stroll = roomy(&[("STROLL_PATIENCE", "300ms")]).await;
    let mut picky = Client::start(stroll.gateway, "topics=%5B%22stamps%22%5D").await;
    picky.is_waiting().await;
    stroll.waiting(1).await;
    // Two who would take anybody come after it, and the web's one has lost patience.
    let mut anybody = Client::start(stroll.gateway, "").await;
    anybody.is_waiting().await;
    picky.open_poll().await;
    stroll.waiting(2).await;
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find_with(json!({"interests": ["chess"]})).await;
    assert_eq!(web.expect("matched").await["common_interests"], json!([]));
    assert_eq!(names(&anybody.connected().await), ["connected", "identDigests"]);
    stroll.waiting(1).await;
    let mut other = Client::start(stroll.gateway, "topics=%5B%22Stamps%22%5D").await;
    let events = picky.polled().await;
    assert_eq!(events[1], json!(["commonLikes", ["stamps"]]));
    assert_eq!(other.connected().await[1], json!(["commonLikes", ["Stamps"]]));
}

#[tokio::test]
async fn who_stops_looking_meets_anybody_without_an_event_and_keeps_its_place() {
    let stroll = roomy(&[]).await;
    let mut picky = Client::start(stroll.gateway, "topics=%5B%22stamps%22%5D&lang=en").await;
    picky.is_waiting().await;
    picky.open_poll().await;
    stroll.waiting(1).await;
    let mut late = Stranger::arrive(stroll.gateway).await;
    late.find_with(json!({"languages": ["de"]})).await;
    picky.wins("/stoplookingforcommonlikes", &[]).await;
    // Again does no harm.
    picky.wins("/stoplookingforcommonlikes", &[]).await;
    stroll.waiting(2).await;
    // Would take both, and meets the one who has waited longer.
    let mut third = Stranger::arrive(stroll.gateway).await;
    third.find_with(json!({"languages": ["en", "de"]})).await;
    assert_eq!(third.expect("matched").await["common_interests"], json!([]));
    let events = picky.polled().await;
    assert_eq!(
        names(events.as_array().expect("events")),
        ["connected", "identDigests"],
        "no event before it"
    );
    drop(late);
}

#[tokio::test]
async fn who_stops_looking_meets_one_who_waits_already() {
    let stroll = roomy(&[]).await;
    let mut anybody = Client::start(stroll.gateway, "").await;
    anybody.is_waiting().await;
    let mut picky = Client::start(stroll.gateway, "topics=%5B%22stamps%22%5D").await;
    picky.is_waiting().await;
    stroll.waiting(2).await;
    picky.wins("/stoplookingforcommonlikes", &[]).await;
    assert_eq!(names(&picky.connected().await), ["connected", "identDigests"]);
    anybody.connected().await;
}

#[tokio::test]
async fn who_stopped_looking_meets_a_looker_who_shares_a_like_and_both_are_told() {
    let stroll = roomy(&[]).await;
    let mut stopped = Client::start(stroll.gateway, "topics=%5B%22stamps%22,%22tea%22%5D").await;
    stopped.is_waiting().await;
    stopped.wins("/stoplookingforcommonlikes", &[]).await;
    // Not one who looks for something else.
    let mut other = Client::start(stroll.gateway, "topics=%5B%22chess%22%5D").await;
    other.is_waiting().await;
    stroll.waiting(2).await;
    let mut looker = Client::start(stroll.gateway, "topics=%5B%22Tea%22%5D").await;
    assert_eq!(stopped.connected().await[1], json!(["commonLikes", ["tea"]]));
    assert_eq!(looker.connected().await[1], json!(["commonLikes", ["Tea"]]));
    stroll.waiting(1).await;
    other.leave().await;
}

#[tokio::test]
async fn stopping_to_look_wins_in_any_state() {
    let stroll = roomy(&[]).await;
    // Without topics, while waiting.
    let mut one = Client::start(stroll.gateway, "").await;
    one.is_waiting().await;
    one.wins("/stoplookingforcommonlikes", &[]).await;
    // In a chat, where it is no event and changes nothing.
    let mut two = Client::start(stroll.gateway, "").await;
    one.connected().await;
    two.connected().await;
    one.wins("/stoplookingforcommonlikes", &[]).await;
    one.say("still here").await;
    two.hears("still here").await;
    // After the stranger left, as long as that was not handed out.
    one.wins("/disconnect", &[]).await;
    two.wins("/stoplookingforcommonlikes", &[]).await;
    two.is_left().await;
    // As one of the two who discuss, and as a spy.
    for parameters in ["wantsspy=1", "ask=Is%20tea%20a%20soup%3F"] {
        let mut three = Client::start(stroll.gateway, parameters).await;
        three.is_waiting().await;
        three.wins("/stoplookingforcommonlikes", &[]).await;
        stroll.waiting(1).await;
        three.leave().await;
    }
}
