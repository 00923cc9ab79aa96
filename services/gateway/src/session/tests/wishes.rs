//! From a wish to the seat.

use super::*;

#[test]
fn a_wish_needs_consent_and_nothing_else_is_possible_outside_a_chat() {
    let mut stage = Stage::without_consent();
    let known =
        Known { session: SessionId([1; 16]), consent: false, memory: Memory::default(), waited: None };
    stage.connect_as(known, Resume::No);
    stage.refused(r#"{"type":"find","mode":"text"}"#, Code::ConsentRequired);
    stage.refused(r#"{"type":"message","seq":1,"text":"hi"}"#, Code::NotNow);
    stage.refused(r#"{"type":"signal","seq":1,"data":{}}"#, Code::NotNow);
    stage.refused(r#"{"type":"leave"}"#, Code::NotNow);
    stage.refused(r#"{"type":"report","reason":"spam"}"#, Code::NotNow);
    stage.refused(r#"{"type":"again"}"#, Code::NotNow);
    stage.refused(r#"{"type":"hello"}"#, Code::NotNow);
    assert_eq!(stage.says(r#"{"type":"typing","on":true}"#), []);
    assert_eq!(stage.says(r#"{"type":"ack","seq":1}"#), []);
    assert_eq!(stage.says(r#"{"type":"cancel"}"#), [Effect::Send(ServerFrame::Idle)]);
}

#[test]
fn a_client_waits_when_the_pool_has_its_ticket_and_is_idle_after_cancel() {
    let (mut stage, wanted) = Stage::waiting();
    assert_eq!(stage.session.activity(), Activity::Waiting);
    let effects = stage.says(r#"{"type":"cancel"}"#);
    assert_eq!(effects, [Effect::Forget(wanted.ticket, Some(place("1"))), Effect::Send(ServerFrame::Idle)]);
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn a_cancel_that_overtakes_the_pool_takes_the_ticket_out_when_it_is_in() {
    let mut stage = Stage::new();
    let wanted = stage.find();
    stage.says(r#"{"type":"cancel"}"#);
    assert_eq!(stage.enqueued(&wanted, Ok(place("1"))), [Effect::Forget(wanted.ticket, Some(place("1")))]);
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn a_second_find_replaces_the_first() {
    let (mut stage, first) = Stage::waiting();
    let effects = stage.says(r#"{"type":"find","mode":"text"}"#);
    let [Effect::Forget(forgotten, Some(_)), Effect::Enqueue(second)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*forgotten, first.ticket);
    assert_ne!(second.ticket, first.ticket);
}

#[test]
fn the_pool_may_refuse_and_the_client_is_idle_again() {
    let mut stage = Stage::new();
    let wanted = stage.find();
    let effects = stage.enqueued(&wanted, Err(Refusal::new(Code::Busy, "full")));
    assert!(
        matches!(&effects[..], [Effect::Forget(..), Effect::Send(ServerFrame::Error(refusal))] if refusal.code == Code::Busy)
    );
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn finds_are_limited() {
    let mut stage = Stage::new();
    for _ in 0..5 {
        stage.find();
    }
    stage.refused(r#"{"type":"find","mode":"text"}"#, Code::SlowDown);
}

#[test]
fn i1_every_assignment_is_declined_but_the_one_of_the_waiting_ticket() {
    let (mut stage, wanted) = Stage::waiting();
    let stale = pairing(&Wanted { ticket: TicketId([9; 16]), ..wanted.clone() }, 8);
    assert_eq!(stage.assign(stale.clone()), [Effect::Decline(Box::new(stale.clone()))]);
    let good = pairing(&wanted, 7);
    assert_eq!(stage.assign(good.clone()), [Effect::Attach(Box::new(good.clone()))]);
    let second = pairing(&wanted, 8);
    assert_eq!(stage.assign(second.clone()), [Effect::Decline(Box::new(second))]);
    assert_eq!(stage.assign(good.clone()), [], "the same delivery once more");
    stage.relay(FromRelay::Started(Started {}));
    assert_eq!(stage.assign(good), [], "and in the chat");
    assert_eq!(stage.assign(stale.clone()), [Effect::Decline(Box::new(stale))]);
    assert_eq!(stage.session.activity(), Activity::Chatting);
}

#[test]
fn an_assignment_that_overtakes_the_pools_answer_lets_the_client_wait_first() {
    let mut stage = Stage::new();
    let wanted = stage.find();
    let good = pairing(&wanted, 7);
    assert_eq!(stage.assign(good.clone()), [waiting_frame(), Effect::Attach(Box::new(good))]);
    let late = stage.enqueued(&wanted, Ok(place("1")));
    assert_eq!(late, [], "what was put in is out already");
    assert_eq!(stage.relay(FromRelay::Started(Started {})).len(), 2);
}

#[test]
fn who_is_not_met_goes_back_into_the_pool_with_the_old_place() {
    let losses: [fn(&mut Stage) -> Vec<Effect>; 3] = [
        |stage| stage.relay(ended(EndedBy::NoShow, "")),
        |stage| stage.relay(FromRelay::Refused(Refused { reason: RefusedReason::Full.into(), ended: None })),
        |stage| stage.relay(FromRelay::Refused(Refused { reason: RefusedReason::Gone.into(), ended: None })),
    ];
    for loss in losses {
        let (mut stage, before) = Stage::attaching();
        stage.now_ms += 5_000;
        let effects = loss(&mut stage);
        let [Effect::DropSeat, Effect::Forget(ticket, None), Effect::Enqueue(wanted)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(*ticket, before.ticket);
        assert_eq!(wanted.since_unix_ms, 1_000);
        assert_ne!(wanted.ticket, before.ticket);
        let wanted = wanted.clone();
        assert_eq!(stage.enqueued(&wanted, Ok(place("1"))), [], "the client was told already");
    }
}

#[test]
fn a_relay_with_another_secret_is_said_plainly() {
    let (mut stage, pairing) = Stage::attaching();
    let effects =
        stage.relay(FromRelay::Refused(Refused { reason: RefusedReason::BadToken.into(), ended: None }));
    let [Effect::DropSeat, Effect::Forget(forgotten, None), Effect::Send(ServerFrame::Error(refusal)), idle] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!((*forgotten, refusal.code), (pairing.ticket, Code::Unavailable));
    assert_eq!(*idle, Effect::Send(ServerFrame::Idle), "it was told that it waits");
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn a_lost_generation_puts_the_same_ticket_in_again() {
    let (mut stage, wanted) = Stage::waiting();
    assert_eq!(stage.session.on_generation(|held| held == "2"), []);
    let effects = stage.session.on_generation(|held| held == "1");
    assert!(
        matches!(&effects[..], [Effect::Enqueue(again)] if again.ticket == wanted.ticket && again.told == Told::Waits)
    );
    assert_eq!(stage.session.on_generation(|held| held == "1"), [], "it is on its way");
    assert_eq!(stage.enqueued(&wanted, Ok(place("2"))), []);
}

#[test]
fn a_socket_that_drops_while_waiting_takes_its_ticket_along() {
    let (mut stage, wanted) = Stage::waiting();
    assert_eq!(stage.session.on_disconnected(), [Effect::Forget(wanted.ticket, Some(place("1")))]);
    assert!(stage.session.is_over());
    let (mut stage, pairing) = Stage::attaching();
    let effects = stage.session.on_disconnected();
    assert!(
        matches!(&effects[..], [Effect::Forget(ticket, None), Effect::Relay(ToRelay::Leave(_)), Effect::DropSeat] if *ticket == pairing.ticket)
    );
}

#[test]
fn a_relay_that_cannot_be_reached_is_tried_ever_more_slowly_and_given_up_in_the_end() {
    let (mut stage, _) = Stage::attaching();
    let mut waited = 0;
    loop {
        let effects = stage.relay(ended(EndedBy::NoShow, ""));
        let Some(Effect::Enqueue(wanted)) = effects.last() else {
            assert_eq!(effects.last(), Some(&Effect::Send(ServerFrame::Idle)));
            break;
        };
        waited += wanted.after_ms;
        let pairing = pairing(wanted, 8);
        stage.assign(pairing);
    }
    assert!((10_000..60_000).contains(&waited), "{waited} ms");
}

#[test]
fn a_relay_that_says_nothing_is_given_up() {
    let (mut stage, _) = Stage::attaching();
    let began_ms = stage.now_ms;
    let effects = loop {
        stage.now_ms = stage.session.deadline_ms().expect("a deadline");
        let effects = stage.time();
        if !matches!(effects[..], [Effect::AskHome { .. }]) {
            break effects;
        }
        assert_eq!(stage.home(Found::Nothing), []);
    };
    assert_eq!(stage.now_ms, began_ms + 10_000);
    assert!(
        matches!(
            effects[..],
            [Effect::Relay(ToRelay::Leave(_)), Effect::DropSeat, Effect::Forget(..), Effect::Enqueue(_)]
        ),
        "{effects:?}"
    );
}

// === patience ===

fn waiting(interests: &[&str], patience_ms: u64, estimate_ms: Option<u64>, widened: bool) -> Effect {
    let interests = interests.iter().map(|&interest| interest.to_owned()).collect();
    Effect::Send(ServerFrame::Waiting { interests, patience_ms, estimate_ms, widened, session: None })
}

fn estimated() -> Enqueued {
    Enqueued { place: place("1"), estimate_ms: Some(8_000), anybody_estimate_ms: Some(3_000), twice: false }
}

#[test]
fn a_search_that_widens_is_told_once_when_its_patience_ends() {
    let cases = [
        (r#""interests":["tea"]"#, &["tea"][..], 5_000),
        (r#""interests":["tea"],"patience_ms":200"#, &["tea"], 200),
        (r#""discuss":true"#, &[], 15_000),
    ];
    for (fields, interests, patience_ms) in cases {
        let mut stage = Stage::new();
        let wanted = stage.wants(&format!(r#"{{"type":"find","mode":"text",{fields}}}"#));
        assert_eq!(stage.session.deadline_ms(), None, "the client does not know yet that it waits");
        let told = stage.session.on_enqueued(wanted.ticket, Ok(estimated()));
        assert_eq!(told, [waiting(interests, patience_ms, Some(8_000), false)]);
        assert_eq!(stage.session.deadline_ms(), Some(1_000 + patience_ms));
        stage.now_ms += patience_ms - 1;
        assert_eq!(stage.time(), []);
        stage.now_ms += 1;
        assert_eq!(stage.time(), [waiting(interests, patience_ms, Some(3_000), true)]);
        assert_eq!((stage.time(), stage.session.deadline_ms()), (vec![], None));
    }
}

#[test]
fn a_search_that_never_changes_is_told_once() {
    let cases = [
        "",
        r#","interests":["tea"],"only_interests":true"#,
        r#","interests":["tea"],"patience_ms":0"#,
        r#","discuss":true,"patience_ms":0"#,
        r#","ask":"Is tea a soup?""#,
    ];
    for fields in cases {
        let mut stage = Stage::new();
        let wanted = stage.wants(&format!(r#"{{"type":"find","mode":"text"{fields}}}"#));
        stage.enqueued(&wanted, Ok(place("1")));
        assert_eq!(stage.session.deadline_ms(), None, "{fields}");
        stage.now_ms += 3_600_000;
        assert_eq!(stage.time(), [], "{fields}");
    }
}

#[test]
fn a_pool_that_answers_after_the_patience_lets_the_client_wait_first_and_then_widen() {
    let mut stage = Stage::new();
    let wanted = stage.wants(r#"{"type":"find","mode":"text","interests":["tea"]}"#);
    stage.now_ms += 6_000;
    assert_eq!(stage.time(), []);
    assert_eq!(stage.enqueued(&wanted, Ok(place("1"))), [waiting(&["tea"], 5_000, None, false)]);
    assert_eq!(stage.time(), [waiting(&["tea"], 5_000, None, true)]);
}

#[test]
fn what_was_told_of_a_search_holds_when_its_ticket_goes_in_again() {
    let mut stage = Stage::new();
    let wanted = stage.wants(r#"{"type":"find","mode":"text","interests":["tea"]}"#);
    stage.enqueued(&wanted, Ok(place("1")));
    stage.assign(pairing(&wanted, 7));
    stage.now_ms += 6_000;
    let told = stage.time();
    assert!(
        !told.iter().any(|effect| matches!(effect, Effect::Send(_))),
        "it is about to meet somebody: {told:?}"
    );
    let effects = stage.relay(ended(EndedBy::NoShow, ""));
    let Some(Effect::Enqueue(again)) = effects.last() else { panic!("{effects:?}") };
    let again = again.clone();
    assert_eq!(stage.enqueued(&again, Ok(place("1"))), []);
    assert_eq!(stage.time(), [waiting(&["tea"], 5_000, None, true)], "nobody came");
    stage.session.on_generation(|_| true);
    assert_eq!(stage.enqueued(&again, Ok(place("2"))), []);
    assert_eq!(stage.time(), [], "told once");
}

#[test]
fn what_the_pool_may_have_dropped_goes_in_again_under_the_same_ticket() {
    let mut stage = Stage::new();
    let wanted = stage.find();
    assert_eq!(stage.session.on_forgotten(), [], "it is on its way");
    stage.enqueued(&wanted, Ok(place("1")));
    let effects = stage.session.on_forgotten();
    assert!(matches!(&effects[..], [Effect::Enqueue(again)] if again.ticket == wanted.ticket));
    assert_eq!(stage.session.on_forgotten(), [], "once");
}

#[test]
fn what_else_the_pool_has_of_a_ticket_that_was_put_in_twice_is_taken_out_when_it_is_paired() {
    let assigned = |stage: &mut Stage, wanted: &Wanted, place| {
        let pairing = pairing(wanted, 7);
        let effects = stage.assign(pairing.clone());
        let forget = Effect::Forget(wanted.ticket, Some(place));
        assert_eq!(effects[effects.len() - 2..], [forget, Effect::Attach(Box::new(pairing))]);
    };
    let (mut stage, wanted) = Stage::waiting();
    stage.session.on_forgotten();
    assigned(&mut stage, &wanted, place("1"));

    let (mut stage, wanted) = Stage::waiting();
    stage.session.on_generation(|_| true);
    stage.enqueued(&wanted, Ok(place("2")));
    assigned(&mut stage, &wanted, place("2"));

    let mut stage = Stage::new();
    let wanted = stage.find();
    stage.session.on_enqueued(wanted.ticket, Ok(Enqueued { twice: true, ..estimated() }));
    assigned(&mut stage, &wanted, place("1"));
}

#[test]
fn an_answer_that_the_pairing_overtook_takes_out_only_what_was_put_in_twice() {
    let twice = || Ok(Enqueued { twice: true, ..estimated() });
    let mut stage = Stage::new();
    let wanted = stage.find();
    let forget = [Effect::Forget(wanted.ticket, Some(place("1")))];
    stage.assign(pairing(&wanted, 7));
    assert_eq!(stage.session.on_enqueued(wanted.ticket, Ok(estimated())), []);
    assert_eq!(stage.session.on_enqueued(wanted.ticket, twice()), forget);
    stage.relay(FromRelay::Started(Started {}));
    assert_eq!(stage.session.on_enqueued(wanted.ticket, Ok(estimated())), []);
    assert_eq!(stage.session.on_enqueued(wanted.ticket, twice()), forget);
}

#[test]
fn i1_who_is_told_to_go_elsewhere_is_not_paired_here_any_more() {
    let (mut stage, wanted) = Stage::waiting();
    let forget = Effect::Forget(wanted.ticket, Some(place("1")));
    assert_eq!(stage.session.on_going_away(7), [forget, going_away()], "and the client is not told `idle`");
    let pairing = pairing(&wanted, 7);
    assert_eq!(stage.assign(pairing.clone()), [Effect::Decline(Box::new(pairing))]);
    stage.refused(r#"{"type":"find","mode":"text"}"#, Code::Unavailable);
    stage.connect(Resume::No);
    stage.find();
}

#[test]
fn i1_who_is_just_taking_a_seat_is_told_to_go_elsewhere_once_the_chat_began_or_did_not() {
    let (mut stage, _) = Stage::attaching();
    assert_eq!(stage.session.on_going_away(7), []);
    stage.relay(FromRelay::Started(Started {}));
    assert_eq!(stage.session.on_going_away(7), [going_away()]);
    let (mut stage, _) = Stage::attaching();
    assert_eq!(stage.session.on_going_away(7), []);
    stage.relay(FromRelay::Ended(Ended::default()));
    let told = stage.session.on_going_away(7);
    assert!(matches!(&told[..], [Effect::Forget(_, None), away] if *away == going_away()), "{told:?}");
}

#[test]
fn who_does_nothing_is_told_to_go_elsewhere_too() {
    let mut stage = Stage::new();
    assert_eq!(stage.session.on_going_away(7), [going_away()]);
}
