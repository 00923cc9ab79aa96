//! Connections that are lost, and come back or not.

use std::time::Duration;

use stroll_proto::v1::{EndedBy, Mode, RefusedReason, relay_frame::Body};
use stroll_relay::Chats;

use crate::world::World;

#[tokio::test]
async fn who_comes_back_learns_what_the_other_has_and_the_other_likewise() {
    let world = World::start().await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    one.say(1, 1, "heard");
    two.message(1).await;
    two.ack(1, 1);
    assert_eq!(one.hear(1).await, Body::Ack(1));

    two.away(1);
    assert_eq!(one.peer(1).await, (2, true));
    one.say(1, 2, "unheard");
    one.settle().await;
    two.is_quiet().await;

    two.back(1, 1);
    assert_eq!(one.peer(1).await, (2, false));
    assert_eq!(one.resumed(1).await, 1);
    assert_eq!(two.resumed(1).await, 0);
    one.say(1, 2, "unheard");
    assert_eq!(two.message(1).await, (1, 2, "unheard".to_owned()));
    one.is_quiet().await;
    two.is_quiet().await;
}

#[tokio::test]
async fn who_stays_away_ends_the_chat_for_both() {
    let world = World::start_with(Chats { grace: Duration::from_millis(300), ..Chats::default() }).await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    two.away(1);
    assert_eq!(one.peer(1).await, (2, true));
    assert_eq!(one.ended(1).await, (EndedBy::Away, String::new()));
    assert_eq!(two.ended(1).await, (EndedBy::Away, String::new()));
    two.back(1, 0);
    two.is_quiet().await;
}

#[tokio::test]
async fn a_lost_gateway_is_as_away_and_another_may_bring_the_seat_back() {
    let world = World::start().await;
    let (pairing, mut one, two) = world.chat(Mode::Text).await;
    one.ack(1, 0);
    drop(two);
    assert_eq!(one.peer(1).await, (2, true));

    let mut three = world.gateway().await;
    three.attach_having(9, pairing.token(2), 4);
    assert_eq!(one.peer(1).await, (2, false));
    assert_eq!(one.resumed(1).await, 4);
    three.started(9).await;
    assert_eq!(three.resumed(9).await, 0);
    one.say(1, 5, "welcome back");
    assert_eq!(three.message(9).await, (1, 5, "welcome back".to_owned()));
}

#[tokio::test]
async fn a_lost_gateway_that_nobody_replaces_ends_its_chats() {
    let world = World::start_with(Chats { grace: Duration::from_millis(300), ..Chats::default() }).await;
    let (pairing, mut one, two) = world.chat(Mode::Text).await;
    drop(two);
    assert_eq!(one.peer(1).await, (2, true));
    assert_eq!(one.ended(1).await, (EndedBy::Away, String::new()));
    one.attach(2, pairing.token(2));
    assert_eq!(one.refused(2).await, RefusedReason::Gone);
}

#[tokio::test]
async fn a_newer_attach_takes_the_seat_and_the_older_gateway_counts_no_more() {
    let world = World::start().await;
    let (mut pairing, mut one, mut two) = world.chat(Mode::Text).await;
    let mut three = world.gateway().await;
    three.attach(7, pairing.token(2));
    assert_eq!(one.peer(1).await, (2, false));
    assert_eq!(one.resumed(1).await, 0);
    three.started(7).await;
    assert_eq!(three.resumed(7).await, 0);

    two.replaced(1).await;
    two.say(1, 1, "ghost");
    two.leave(1);
    two.is_quiet().await;
    drop(two);
    three.say(7, 1, "me");
    assert_eq!(one.message(1).await, (2, 1, "me".to_owned()));

    pairing.epoch = 0;
    three.attach(8, pairing.token(2));
    assert_eq!(three.refused(8).await, RefusedReason::Gone);
    one.is_quiet().await;
}

#[tokio::test]
async fn a_chat_that_is_not_known_is_taken_up_from_a_gateway_that_carried_it_or_by_a_relay_that_is_new() {
    let settings = Chats { grace: Duration::from_millis(300), ..Chats::default() };
    let world = World::start_with(settings).await;
    let mut gateway = world.gateway().await;
    gateway.rejoin(1, world.pair(Mode::Text).token(1), false);
    gateway.started(1).await;
}

#[tokio::test]
async fn a_gateway_that_says_nothing_any_more_is_given_up() {
    let world = World::start().await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    two.falls_silent();
    assert_eq!(one.peer(1).await, (2, true));
    two.end().await;
}
