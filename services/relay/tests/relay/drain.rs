//! The relay's end.

use std::time::Duration;

use stroll_proto::v1::{EndedBy, Mode};
use stroll_relay::Chats;
use tonic::Code;

use crate::world::World;

#[tokio::test]
async fn a_draining_relay_says_so_carries_its_chats_to_their_end_and_stops() {
    let world = World::start().await;
    let (_, one, mut two) = world.chat(Mode::Text).await;
    world.matchmaker.hears("a heartbeat", |_| true).await;
    world.context.drain.begin();
    world.matchmaker.hears("the drain", |beat| beat.draining).await;
    assert!(!world.context.readiness.missing().is_empty());

    // What was paired just before still comes.
    let late = world.pair(Mode::Text);
    let mut newcomer = world.gateway().await;
    newcomer.attach(1, late.token(1));
    newcomer.attach(2, late.token(2));
    newcomer.started(1).await;
    one.say(1, 1, "still here");
    assert_eq!(two.message(1).await.2, "still here");

    one.leave(1);
    newcomer.leave(2);
    assert_eq!(two.ended(1).await.0, EndedBy::Stranger);
    assert_eq!(two.end().await.code(), Code::Ok);
    world.drained().await;
}

#[tokio::test]
async fn an_idle_relay_stops_at_once() {
    let world = World::start().await;
    world.context.drain.begin();
    world.drained().await;
}

#[tokio::test]
async fn a_report_on_its_way_is_waited_for() {
    let mut world = World::start().await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    world.moderation.stop().await;
    one.report(1, 7);
    one.leave(1);
    two.ended(1).await;
    world.context.drain.begin();
    // For longer than a relay without chats stays.
    tokio::time::sleep(Duration::from_millis(800)).await;
    world.moderation.restart().await;
    assert_eq!(one.reported(1).await, ("C-1".to_owned(), false));
    world.drained().await;
}

#[tokio::test]
async fn chats_that_outlast_the_drain_are_ended_with_a_reason() {
    let world = World::start_draining_in(Chats::default(), Duration::from_secs(2)).await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    world.context.drain.begin();
    let ended = (EndedBy::Error, "relay_stopped".to_owned());
    assert_eq!(one.ended(1).await, ended);
    assert_eq!(two.ended(1).await, ended);
    assert_eq!(one.end().await.code(), Code::Ok);
    world.drained().await;
}

#[tokio::test]
async fn a_second_signal_stops_it_hard() {
    let world = World::start().await;
    let (_, mut one, _two) = world.chat(Mode::Text).await;
    world.context.drain.force();
    one.end().await;
    world.drained().await;
}
