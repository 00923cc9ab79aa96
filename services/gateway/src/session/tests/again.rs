//! Meeting the same stranger again.

use super::{
    super::{AGAIN_WINDOW_MS, REPORT_WINDOW_MS},
    *,
};
use crate::protocol::Aim;

const AGAIN: &str = r#"{"type":"again"}"#;

/// The chat ended, and the client asked to meet the same stranger again.
fn asked() -> (Stage, Wanted) {
    let (mut stage, _) = Stage::chatting();
    stage.relay(ended(EndedBy::Stranger, ""));
    stage.now_ms += 10_000;
    let wanted = stage.wants(AGAIN);
    let estimates =
        Enqueued { place: place("1"), estimate_ms: Some(1), anybody_estimate_ms: Some(1), twice: false };
    assert_eq!(stage.session.on_enqueued(wanted.ticket, Ok(estimates)), [waiting_frame()], "no estimate");
    (stage, wanted)
}

#[test]
fn the_ticket_has_the_chats_token_mode_and_section_and_nothing_of_the_earlier_wish() {
    let mut stage = Stage::new();
    let fields = r#""interests":["tea"],"languages":["en"],"section":"night""#;
    let wanted = stage.wants(&format!(r#"{{"type":"find","mode":"video",{fields}}}"#));
    stage.enqueued(&wanted, Ok(place("1")));
    stage.meets(Pairing { mode: Mode::Video, ..pairing(&wanted, 7) });
    stage.refused(AGAIN, Code::NotNow);
    stage.says(r#"{"type":"leave"}"#);
    let again = stage.wants(AGAIN).find;
    assert_eq!(again.aim, Aim::Again { token: Redacted::new([7; 16]), until_ms: 1_000 + AGAIN_WINDOW_MS });
    assert_eq!((again.mode, again.section.name()), (Mode::Video, "night"));
    assert_eq!((again.interests.len(), again.languages.len(), again.patience_ms), (0, 0, 0));
}

#[test]
fn it_ends_with_idle_a_minute_after_the_chat_and_the_ticket_is_taken_out() {
    let (mut stage, wanted) = asked();
    assert_eq!(stage.session.deadline_ms(), Some(1_000 + AGAIN_WINDOW_MS));
    stage.now_ms = 1_000 + AGAIN_WINDOW_MS - 1;
    assert_eq!(stage.time(), []);
    stage.now_ms += 1;
    let forgotten = Effect::Forget(wanted.ticket, Some(place("1")));
    assert_eq!(stage.time(), [forgotten, Effect::Send(ServerFrame::Idle)]);
    assert_eq!((stage.time(), stage.session.activity()), (vec![], Activity::Idle));
    stage.refused(AGAIN, Code::NotNow);
}

#[test]
fn it_ends_in_time_also_if_the_pool_has_not_answered() {
    let (mut stage, _) = Stage::chatting();
    stage.relay(ended(EndedBy::Stranger, ""));
    let wanted = stage.wants(AGAIN);
    stage.now_ms += AGAIN_WINDOW_MS;
    assert_eq!(stage.time(), [Effect::Forget(wanted.ticket, None), Effect::Send(ServerFrame::Idle)]);
    assert_eq!(stage.enqueued(&wanted, Ok(place("1"))), [Effect::Forget(wanted.ticket, Some(place("1")))]);
}

#[test]
fn it_is_not_for_everybody_and_not_for_ever() {
    type End = fn(&mut Stage);
    type Case = (&'static str, fn(&mut Pairing), End, bool);
    let leave: End = |stage| _ = stage.says(r#"{"type":"leave"}"#);
    let cases: [Case; 8] = [
        ("left", |_| {}, leave, true),
        ("was left", |_| {}, |stage| _ = stage.relay(ended(EndedBy::Stranger, "")), true),
        ("was away", |_| {}, |stage| _ = stage.relay(ended(EndedBy::Away, "")), true),
        ("discussed", |pairing| pairing.question = Some("Is tea a soup?".into()), leave, true),
        ("moderation", |_| {}, |stage| _ = stage.relay(ended(EndedBy::Moderation, "")), false),
        ("blocked", |_| {}, |stage| _ = stage.says(r#"{"type":"leave","block":true}"#), false),
        ("watched", |pairing| pairing.role = Role::Spy, leave, false),
        ("without a token", |pairing| pairing.again = None, leave, false),
    ];
    for (what, change, end, possible) in cases {
        let (mut stage, wanted) = Stage::waiting();
        let mut pairing = pairing(&wanted, 7);
        change(&mut pairing);
        stage.meets(pairing);
        end(&mut stage);
        if possible {
            stage.wants(AGAIN);
            stage.now_ms += AGAIN_WINDOW_MS;
        }
        // Without the sweep, which would end it at this moment.
        stage.refused(AGAIN, Code::NotNow);
        assert_eq!(stage.session.activity() == Activity::Waiting, possible, "{what}");
    }
}

#[test]
fn another_wish_or_a_cancel_takes_its_place_and_it_may_be_asked_again() {
    let (mut stage, wanted) = asked();
    let out = Effect::Forget(wanted.ticket, Some(place("1")));
    assert_eq!(stage.says(r#"{"type":"cancel"}"#), [out, Effect::Send(ServerFrame::Idle)]);
    let second = stage.wants(AGAIN);
    let effects = stage.says(r#"{"type":"find","mode":"text"}"#);
    assert!(
        matches!(&effects[..], [Effect::Forget(ticket, None), Effect::Enqueue(_)] if *ticket == second.ticket)
    );
    stage.now_ms += AGAIN_WINDOW_MS;
    assert_eq!(stage.time(), [], "the later wish has no end");
}

#[test]
fn a_token_is_good_once_and_each_chat_has_its_own() {
    let (mut stage, wanted) = asked();
    stage.meets(Pairing { again: None, ..pairing(&wanted, 8) });
    stage.says(r#"{"type":"leave"}"#);
    stage.refused(AGAIN, Code::NotNow);
}

#[test]
fn a_stranger_who_agreed_and_did_not_come_is_waited_for_until_the_time_is_over() {
    for (later_ms, over) in [(1_000, false), (AGAIN_WINDOW_MS, true)] {
        let (mut stage, wanted) = asked();
        stage.assign(pairing(&wanted, 8));
        stage.now_ms += later_ms;
        let effects = stage.relay(ended(EndedBy::NoShow, ""));
        assert_eq!(effects[..2], [Effect::DropSeat, Effect::Forget(wanted.ticket, None)]);
        match &effects[2..] {
            [Effect::Enqueue(again)] if !over => assert_eq!(again.find.aim, wanted.find.aim),
            [Effect::Send(ServerFrame::Idle)] if over => assert_eq!(stage.session.activity(), Activity::Idle),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn it_counts_as_a_find() {
    let (mut stage, _) = asked();
    for _ in 0..3 {
        stage.wants(AGAIN);
    }
    stage.refused(AGAIN, Code::SlowDown);
}

#[test]
fn a_chat_can_be_reported_while_its_stranger_is_waited_for() {
    let (mut stage, _) = asked();
    let reported = stage.says(r#"{"type":"report","reason":"spam"}"#);
    assert!(matches!(reported[..], [Effect::RelayPast(_)]));
    assert_eq!(stage.session.deadline_ms(), Some(1_000 + AGAIN_WINDOW_MS.min(REPORT_WINDOW_MS)));
}
