//! A chat's life, and everything that keeps one from beginning.

use std::time::Duration;

use bytes::Bytes;
use chassis::{Random, Secret};
use stroll_proto::v1::{
    EndedBy, Mode, RefusedReason, Signal, Typing, gateway_frame::Body as ToRelay, relay_frame::Body,
};
use stroll_relay::Chats;
use tonic::Code;

use crate::{
    gateway::Gateway,
    world::{World, until},
};

fn no_show() -> (EndedBy, String) {
    (EndedBy::NoShow, String::new())
}

#[tokio::test]
async fn two_strangers_at_two_gateways_talk_and_part() {
    let world = World::start().await;
    let (pairing, mut one, mut two) = world.chat(Mode::Video).await;

    one.say(1, 1, "hello");
    assert_eq!(two.message(1).await, (1, 1, "hello".to_owned()));
    two.ack(1, 1);
    assert_eq!(one.hear(1).await, Body::Ack(1));
    two.send(1, ToRelay::Typing(true));
    assert_eq!(one.hear(1).await, Body::Typing(Typing { on: true, from: 2 }));
    let data = Bytes::from_static(b"{\"sdp\":\"offer\"}");
    one.send(1, ToRelay::Signal(Signal { seq: 2, data: data.clone(), from: 0 }));
    assert_eq!(two.hear(1).await, Body::Signal(Signal { seq: 2, data, from: 1 }));

    two.leave(1);
    assert_eq!(one.ended(1).await, (EndedBy::Stranger, String::new()));
    // I3: nothing after the end, whatever still comes in.
    for gateway in [&one, &two] {
        gateway.say(1, 3, "too late");
        gateway.ack(1, 1);
        gateway.back(1, 0);
        gateway.leave(1);
        gateway.attach(2, pairing.token(1));
    }
    assert_eq!(one.refused(2).await, RefusedReason::Gone);
    assert_eq!(two.refused(2).await, RefusedReason::Gone);
    one.is_quiet().await;
    two.is_quiet().await;
}

#[tokio::test]
async fn one_gateway_carries_both_seats_and_other_chats_besides() {
    let world = World::start().await;
    let mut gateway = world.gateway().await;
    for chat in 0..3 {
        let pairing = world.pair(Mode::Text);
        gateway.attach(10 * chat + 1, pairing.token(1));
        gateway.attach(10 * chat + 2, pairing.token(2));
    }
    for chat in 0..3 {
        gateway.say(10 * chat + 1, 1, &format!("in chat {chat}"));
    }
    for chat in 0..3 {
        gateway.started(10 * chat + 1).await;
        gateway.started(10 * chat + 2).await;
        assert_eq!(gateway.message(10 * chat + 2).await, (1, 1, format!("in chat {chat}")));
    }
    gateway.is_quiet().await;
}

#[tokio::test]
async fn who_comes_alone_is_told_and_who_comes_late_refused() {
    let attach_timeout = Duration::from_millis(300);
    let world = World::start_with(Chats { attach_timeout, ..Chats::default() }).await;
    let mut gateway = world.gateway().await;
    let pairing = world.pair(Mode::Text);
    gateway.attach(1, pairing.token(1));
    assert_eq!(gateway.ended(1).await, no_show());
    gateway.attach(2, pairing.token(2));
    assert_eq!(gateway.refused(2).await, RefusedReason::Gone);
    gateway.is_quiet().await;
}

#[tokio::test]
async fn a_declined_seat_ends_the_wait_at_once_before_and_after() {
    let world = World::start().await;
    let (mut one, mut two) = (world.gateway().await, world.gateway().await);
    let before = world.pair(Mode::Text);
    two.decline(1, before.token(2));
    two.settle().await;
    one.attach(1, before.token(1));
    assert_eq!(one.ended(1).await, no_show());

    let after = world.pair(Mode::Text);
    one.attach(2, after.token(1));
    one.settle().await;
    two.decline(2, after.token(2));
    assert_eq!(one.ended(2).await, no_show());

    two.decline(3, Bytes::from_static(b"no token"));
    two.is_quiet().await;
}

#[tokio::test]
async fn a_token_that_is_not_good_opens_nothing_and_says_why() {
    let world = World::start().await;
    let mut gateway = world.gateway().await;
    let good = world.pair(Mode::Text);
    let mut foreign = good.clone();
    foreign.secret = Secret::ephemeral(&Random::from_os());
    let mut expired = good.clone();
    expired.expires_unix_ms = world.context.clock.unix_ms();
    let mut damaged = good.token(1).to_vec();
    damaged[3] ^= 1;
    for (handle, token, reason) in [
        (1, foreign.token(1), RefusedReason::BadToken),
        (2, expired.token(1), RefusedReason::Expired),
        (3, damaged.into(), RefusedReason::BadToken),
        (4, Bytes::new(), RefusedReason::BadToken),
        (5, good.token(3), RefusedReason::BadToken),
    ] {
        gateway.attach(handle, token);
        assert_eq!(gateway.refused(handle).await, reason, "handle {handle}");
        gateway.say(handle, 1, "ignored");
    }
    gateway.attach(6, good.token(1));
    gateway.attach(7, good.token(2));
    gateway.started(6).await;
    gateway.started(7).await;
    gateway.is_quiet().await;
}

#[tokio::test]
async fn a_full_relay_refuses_new_chats_until_one_is_over() {
    let world = World::start_with(Chats { max_chats: 1, ..Chats::default() }).await;
    let (_, mut one, _two) = world.chat(Mode::Text).await;
    let next = world.pair(Mode::Text);
    one.attach(2, next.token(1));
    assert_eq!(one.refused(2).await, RefusedReason::Full);
    one.leave(1);
    one.attach(3, next.token(1));
    one.attach(4, next.token(2));
    one.started(3).await;
    one.started(4).await;
}

#[tokio::test]
async fn a_handle_is_good_for_one_seat() {
    let world = World::start().await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    one.attach(1, world.pair(Mode::Text).token(1));
    one.say(1, 1, "still here");
    assert_eq!(two.message(1).await.2, "still here");
    one.is_quiet().await;
}

#[tokio::test]
async fn a_trace_context_good_or_bad_changes_nothing_for_a_seat() {
    let world = World::start().await;
    let mut gateway = world.gateway().await;
    let pairing = world.pair(Mode::Text);
    gateway.attach_traced(1, pairing.token(1), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    gateway.attach_traced(2, pairing.token(2), "nonsense");
    gateway.started(1).await;
    gateway.started(2).await;
}

#[tokio::test]
async fn a_gateway_has_to_say_who_it_is() {
    let world = World::start().await;
    for name in ["", "two words", &"x".repeat(65)] {
        let mut gateway = Gateway::connect_as(name, world.address).await.expect("a stream");
        assert_eq!(gateway.end().await.code(), Code::InvalidArgument, "{name:?}");
    }
}

#[tokio::test]
async fn matchmakers_hear_that_the_relay_lives_and_how_busy_it_is() {
    let world = World::start().await;
    let first = world.matchmaker.hears("an idle relay", |beat| beat.chats == 0).await;
    assert!(first.relay.starts_with("relay-"));
    assert_eq!(first.address, format!("http://{}", world.address));
    assert_eq!((first.zone.as_str(), first.draining), ("here", false));
    until("readiness", || world.context.readiness.missing().is_empty()).await;

    let (_, one, _two) = world.chat(Mode::Text).await;
    let (_, three, _four) = world.chat(Mode::Text).await;
    world.matchmaker.hears("a busy relay", |beat| beat.chats == 2).await;
    one.leave(1);
    three.leave(1);
    world.matchmaker.forget();
    let idle = world.matchmaker.hears("an idle relay again", |beat| beat.chats == 0).await;
    assert_eq!(idle.relay, first.relay);
}
