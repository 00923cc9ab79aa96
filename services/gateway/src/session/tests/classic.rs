//! Classic clients, which nothing tells of but their polls.

use stroll_proto::v1::Leave;

use super::*;
use crate::protocol::Find;

fn find() -> Find {
    let json = r#"{"type":"find","mode":"text","interests":["tea"],"only_interests":true,"patience_ms":0}"#;
    match ClientFrame::parse(json, &wishes()).expect("a good frame") {
        ClientFrame::Find(find) => *find,
        frame => panic!("{frame:?}"),
    }
}

/// A classic session that waits, with its place.
fn started() -> (Stage, Wanted) {
    let mut stage = Stage::without_consent();
    let wanted = enqueued(&stage.session.on_start(Some(find()), &env(&stage)));
    stage.enqueued(&wanted, Ok(place("1")));
    (stage, wanted)
}

fn env(stage: &Stage) -> Env<'static> {
    static RANDOM: std::sync::LazyLock<Random> = std::sync::LazyLock::new(|| Random::seeded(7));
    Env { now_ms: stage.now_ms, random: &RANDOM }
}

#[track_caller]
fn enqueued(effects: &[Effect]) -> Wanted {
    match effects.last() {
        Some(Effect::Enqueue(wanted)) => (**wanted).clone(),
        _ => panic!("no ticket: {effects:?}"),
    }
}

#[test]
fn one_that_is_not_heard_of_leaves_the_pool_and_comes_back_with_its_old_place() {
    let (mut stage, wanted) = started();
    assert_eq!(stage.session.on_quiet(), [Effect::Forget(wanted.ticket, Some(place("1")))]);
    assert_eq!(stage.session.activity(), Activity::Idle);
    assert_eq!(stage.session.on_quiet(), []);
    stage.now_ms += 30_000;
    let again = enqueued(&stage.session.on_heard(&env(&stage)));
    assert_ne!(again.ticket, wanted.ticket);
    assert_eq!(again, Wanted { ticket: again.ticket, told: Told::Waits, ..wanted });
    assert_eq!(stage.enqueued(&again, Ok(place("1"))), [], "it was told already");
    assert_eq!(stage.session.on_heard(&env(&stage)), []);
}

#[test]
fn one_that_comes_and_goes_too_often_is_put_in_again_later() {
    let (mut stage, _) = started();
    let put_in_after = |stage: &mut Stage| {
        stage.session.on_quiet();
        enqueued(&stage.session.on_heard(&env(stage))).after_ms
    };
    let pauses: Vec<_> = (0..8).map(|_| put_in_after(&mut stage)).collect();
    assert_eq!(pauses, [0, 0, 0, 0, 0, 800, 800, 800], "five times a minute at once");
}

#[test]
fn i1_one_that_is_not_heard_of_takes_no_assignment_and_leaves_the_seat_it_was_about_to_take() {
    let (mut stage, wanted) = started();
    stage.session.on_quiet();
    let late = pairing(&wanted, 7);
    assert_eq!(stage.assign(late.clone()), [Effect::Decline(Box::new(late))]);
    let again = enqueued(&stage.session.on_heard(&env(&stage)));
    stage.assign(pairing(&again, 8));
    let effects = stage.session.on_quiet();
    let leave = Effect::Relay(ToRelay::Leave(Leave::default()));
    assert_eq!(effects, [Effect::Forget(again.ticket, None), leave, Effect::DropSeat]);
    assert_eq!(enqueued(&stage.session.on_heard(&env(&stage))).since_unix_ms, wanted.since_unix_ms);
}

#[test]
fn who_stops_looking_for_likes_keeps_the_place_whatever_happens_at_that_moment() {
    let widened = |wanted: &Wanted| Find { only_interests: false, ..wanted.find.clone() };
    let (mut stage, wanted) = started();
    let effects = stage.session.on_widened(&env(&stage));
    assert_eq!(effects[0], Effect::Forget(wanted.ticket, Some(place("1"))));
    let again = enqueued(&effects);
    assert_eq!((&again.find, again.since_unix_ms, again.told), (&widened(&wanted), 1_000, Told::Waits));
    assert_eq!(stage.session.on_widened(&env(&stage)), [], "once is enough");

    let (mut stage, wanted) = started();
    stage.session.on_quiet();
    assert_eq!(stage.session.on_widened(&env(&stage)), []);
    assert_eq!(enqueued(&stage.session.on_heard(&env(&stage))).find, widened(&wanted));

    let (mut stage, wanted) = started();
    stage.assign(pairing(&wanted, 7));
    assert_eq!(stage.session.on_widened(&env(&stage)), []);
    assert_eq!(enqueued(&stage.relay(ended(EndedBy::NoShow, ""))).find, widened(&wanted));
}

#[test]
fn who_is_gone_leaves_the_chat_and_is_over_once_it_cannot_be_reported_any_more() {
    let (mut stage, wanted) = started();
    stage.meets(pairing(&wanted, 7));
    assert_eq!(stage.session.on_quiet(), [], "a chat is not left by a pause");
    let effects = stage.session.on_gone(&env(&stage));
    assert_eq!(effects, [Effect::Relay(ToRelay::Leave(Leave::default())), Effect::EndSeat]);
    assert!(!stage.session.is_over());
    stage.now_ms += REPORT_WINDOW_MS;
    stage.time();
    assert!(stage.session.is_over());
    let (mut stage, wanted) = started();
    assert_eq!(stage.session.on_gone(&env(&stage)), [Effect::Forget(wanted.ticket, Some(place("1")))]);
    assert!(stage.session.is_over());
}
