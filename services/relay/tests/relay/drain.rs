//! The relay's end.

use std::time::Duration;

use stroll_proto::v1::{EndedBy, Mode, Moving, relay_frame::Body};
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
    while !matches!(newcomer.hear(1).await, Body::Started(_)) {}
    one.say(1, 1, "still here");
    let heard = loop {
        match two.hear(1).await {
            Body::Message(message) => break message.text,
            Body::Moving(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(heard, "still here");

    one.leave(1);
    newcomer.leave(2);
    let ended = loop {
        match two.hear(1).await {
            Body::Ended(ended) => break ended.by(),
            Body::Moving(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ended, EndedBy::Stranger);
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
async fn chats_are_handed_over_and_a_relay_without_any_stops() {
    let world = World::start().await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    world.context.drain.begin();
    one.moving(1).await;
    two.moving(1).await;
    one.moved(1);
    while two.hear(1).await == Body::Moving(Moving {}) {}
    two.moved(1);
    assert_eq!(two.end().await.code(), Code::Ok);
    world.drained().await;
}

#[tokio::test]
async fn chats_that_no_other_relay_takes_are_left_to_their_gateways() {
    let world = World::start_draining_in(Chats::default(), Duration::from_secs(2)).await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    world.context.drain.begin();
    for gateway in [&mut one, &mut two] {
        gateway.moving(1).await;
        assert_eq!(gateway.end().await.code(), Code::Ok);
        while let Some(body) = gateway.heard(1) {
            assert!(!matches!(body, Body::Ended(_)), "{body:?}");
        }
    }
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
