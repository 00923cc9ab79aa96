//! Chats that lose their relay, and clients that come from another gateway.

use super::*;

const OTHER: &str = "http://127.0.0.1:2";

fn at(relay: &str, epoch: u64) -> Found {
    Found::Home { epoch: Epoch(epoch), relay: relay.into(), seat_token: Bytes::from_static(b"new") }
}

/// What is asked for at a relay, and what follows.
fn retaken(effects: &[Effect]) -> (&Retake, &[Effect]) {
    match effects {
        [Effect::DropSeat, Effect::Retake(retake), rest @ ..] | [Effect::Retake(retake), rest @ ..] => {
            (retake, rest)
        }
        other => panic!("{other:?}"),
    }
}

fn asked(effects: &[Effect]) -> &str {
    match effects {
        [Effect::DropSeat, Effect::AskHome { lost_relay, .. }] | [Effect::AskHome { lost_relay, .. }] => {
            lost_relay
        }
        other => panic!("{other:?}"),
    }
}

fn gone(lost: bool) -> FromRelay {
    FromRelay::Peer(Peer { seat: 2, away: true, lost, grace_ms: 30_000 })
}

fn back() -> FromRelay {
    FromRelay::Peer(Peer { seat: 2, ..Peer::default() })
}

fn says_away(grace_ms: u64) -> Effect {
    Effect::Send(ServerFrame::Stranger { state: Presence::Away, grace_ms: Some(grace_ms) })
}

fn renewed(stage: &Stage, pairing: &Pairing, received: u64) -> Effect {
    let home = Pairing {
        relay: OTHER.into(),
        epoch: Epoch(2),
        seat_token: Bytes::from_static(b"new"),
        ..pairing.clone()
    };
    let interrupted_ms = Some(stage.now_ms - 1_000);
    Effect::Resumed { chat: pairing.chat, received, renewed: Some(rejoin(&home)), interrupted_ms }
}

#[test]
fn a_lost_seat_is_taken_again_where_it_was_and_then_where_a_matchmaker_says() {
    let (mut stage, pairing) = Stage::chatting();
    stage.says(r#"{"type":"message","seq":1,"text":"hey"}"#);
    stage.relay(FromRelay::Ack(1));
    stage.relay(message(1));
    stage.says(r#"{"type":"ack","seq":1}"#);
    stage.relay(message(2));
    let effects = stage.lose_relay();
    let (retake, rest) = retaken(&effects);
    assert_eq!((&retake.relay, &retake.seat_token), (&pairing.relay, &pairing.seat_token));
    assert_eq!((retake.received, retake.confirmed), (Some(1), Some(1)));
    assert!(retake.began && retake.carried && rest.is_empty());
    assert_eq!(asked(&stage.lose_relay()), pairing.relay);
    let effects = stage.home(at(OTHER, 2));
    assert_eq!(retaken(&effects).0.relay, OTHER);
    stage.now_ms += 700;
    assert_eq!(stage.relay(resumed(1)), [renewed(&stage, &pairing, 1)]);
    assert_eq!(stage.relay(message(2)), [], "shown before, over the same socket");
    assert_eq!(stage.relay(message(3)), [shown(3)]);
    assert_eq!(stage.relay(resumed(1)), [told_resumed(1)], "the token is told once");
}

#[test]
fn while_no_relay_is_to_be_had_it_is_tried_and_asked_again_until_it_is_enough() {
    let (mut stage, _) = Stage::chatting();
    stage.lose_relay();
    stage.lose_relay();
    for _ in 0..3 {
        assert_eq!(stage.home(Found::Nothing), []);
        stage.now_ms = stage.session.deadline_ms().expect("it is tried again");
        assert!(stage.now_ms < 10_000);
        let effects = stage.time();
        retaken(&effects);
        asked(&stage.lose_relay());
    }
    stage.now_ms = 1_000 + 60_000;
    let ended = stage.time();
    assert!(
        matches!(&ended[0], Effect::Ended { by: By::Error, reason: Some(reason), .. } if reason == "relay_lost")
    );
}

#[test]
fn a_chat_whose_client_is_away_moves_as_one_that_is_away() {
    let (mut stage, pairing) = Stage::chatting();
    stage.session.on_disconnected();
    let effects = stage.lose_relay();
    assert!(matches!(retaken(&effects).1, [Effect::Relay(ToRelay::Away(away))] if !away.elsewhere));
    stage.lose_relay();
    stage.home(at(OTHER, 2));
    let silent = stage.relay(resumed(0));
    assert!(matches!(silent[..], [Effect::Resumed { renewed: None, .. }]), "nobody is there to get a token");
    stage.connect(Resume::Chat(rejoin(&pairing)));
    let told = stage.relay(resumed(0));
    assert!(matches!(told[..], [Effect::Resumed { renewed: Some(_), .. }]));
}

#[test]
fn a_pairing_whose_relay_is_lost_before_it_began_is_not_lost_with_it() {
    let (mut stage, pairing) = Stage::attaching();
    let effects = stage.lose_relay();
    let retake = retaken(&effects).0;
    assert!(!retake.began && retake.carried);
    assert_eq!(asked(&stage.lose_relay()), pairing.relay);
    stage.home(at(OTHER, 2));
    let began = stage.relay(FromRelay::Started(Started {}));
    assert!(matches!(&began[1], Effect::Matched { rejoin, .. } if rejoin.pairing.relay == OTHER));
}

#[test]
fn a_seat_that_is_not_given_for_a_second_may_be_waited_for_elsewhere() {
    let (mut stage, _) = Stage::attaching();
    stage.now_ms += 1_000;
    assert_eq!(asked(&stage.time()), "", "only asked for");
    let effects = stage.home(at(OTHER, 2));
    assert!(matches!(effects[0], Effect::Relay(ToRelay::Moved(_))));
    assert_eq!(retaken(&effects[1..]).0.relay, OTHER);
}

#[test]
fn a_relay_that_stops_is_left_for_another_one_and_kept_as_long_as_there_is_none() {
    let (mut stage, pairing) = Stage::chatting();
    let moving = || FromRelay::Moving(stroll_proto::v1::Moving {});
    assert_eq!(asked(&stage.relay(moving())), pairing.relay);
    assert_eq!(stage.relay(moving()), [], "it is asked already");
    assert_eq!(stage.home(Found::Nothing), []);
    assert_eq!(stage.relay(message(1)), [shown(1)], "it still works");
    stage.now_ms = stage.session.deadline_ms().expect("it is asked again");
    assert_eq!(asked(&stage.time()), pairing.relay);
    let effects = stage.home(at(OTHER, 2));
    assert!(matches!(effects[0], Effect::Relay(ToRelay::Moved(_))));
    assert_eq!(retaken(&effects[1..]).0.relay, OTHER);
}

#[test]
fn a_stranger_lost_with_their_gateways_stream_is_looked_for_and_told_of_only_if_it_takes_long() {
    let (mut stage, _) = Stage::chatting();
    assert_eq!(stage.relay(gone(true)), []);
    stage.now_ms += 250;
    assert_eq!(asked(&stage.time()), "");
    assert_eq!(stage.home(Found::Nothing), []);
    stage.now_ms += 250;
    asked(&stage.time());
    let effects = stage.home(at(OTHER, 2));
    assert!(matches!(effects[0], Effect::Relay(ToRelay::Moved(_))));
    let told = stage.relay(resumed(0));
    assert!(matches!(told[..], [Effect::Resumed { .. }]), "and nobody noticed: {told:?}");
    assert_eq!(stage.session.deadline_ms(), None);

    assert_eq!(stage.relay(gone(true)), []);
    stage.now_ms += 2_000;
    let effects = stage.time();
    assert_eq!(effects[0], says_away(28_000));
    asked(&effects[1..]);
    stage.home(Found::Nothing);
    let is_back = Effect::Send(ServerFrame::Stranger { state: Presence::Back, grace_ms: None });
    assert_eq!(stage.relay(back()), [is_back]);
    stage.now_ms += 10_000;
    assert_eq!(stage.time(), []);
}

#[test]
fn a_stranger_whose_client_alone_is_gone_is_looked_for_too_but_later() {
    let (mut stage, _) = Stage::chatting();
    stage.relay(gone(false));
    stage.now_ms += 3_999;
    assert_eq!(stage.time(), []);
    stage.now_ms += 1;
    assert_eq!(asked(&stage.time()), "");
    stage.home(Found::Nothing);
    stage.relay(gone(true));
    stage.now_ms += 250;
    assert_eq!(asked(&stage.time()), "", "with the stream it is sooner");
    assert_eq!(retaken(&stage.home(at(OTHER, 2))[1..]).0.relay, OTHER);
}

#[test]
fn a_client_from_another_gateway_is_taken_to_where_its_chat_is() {
    let (_, pairing) = Stage::chatting();
    let mut stage = Stage::without_consent();
    assert_eq!(asked(&stage.connect(Resume::Chat(rejoin(&pairing)))), "");
    assert_eq!(stage.session.activity(), Activity::Chatting);
    stage.refused(r#"{"type":"message","seq":5,"text":"too soon"}"#, Code::NotNow);
    let effects = stage.home(Found::Nothing);
    let (retake, _) = retaken(&effects);
    assert_eq!((&retake.relay, retake.began, retake.carried), (&pairing.relay, true, false));
    assert_eq!((retake.received, retake.confirmed, retake.turn), (None, None, 1));
    assert_eq!(stage.relay(FromRelay::Started(Started {})), []);
    let news = FromRelay::Resumed(Resumed { received: Some(4), confirmed: Some(8), said: 4 });
    let renewed = Some(rejoin(&Pairing { turn: 1, ..pairing.clone() }));
    let told = Effect::Resumed { chat: pairing.chat, received: 4, renewed, interrupted_ms: Some(0) };
    assert_eq!(stage.relay(news), [told]);
    assert_eq!(stage.relay(message(9)), [shown(9)]);
    assert_eq!(stage.says(r#"{"type":"message","seq":5,"text":"now"}"#).len(), 1);
    let left = stage.says(r#"{"type":"leave","block":true}"#);
    assert!(matches!(left[0], Effect::Relay(ToRelay::Leave(_))));
    assert_eq!(stage.session.known().memory.blocked().collect::<Vec<_>>(), pairing.strangers);
}

#[test]
fn a_client_from_another_gateway_whose_relay_is_lost_too_says_itself_where_it_goes_on() {
    let (_, pairing) = Stage::chatting();
    let mut stage = Stage::without_consent();
    stage.connect(Resume::Chat(rejoin(&pairing)));
    stage.home(Found::Nothing);
    assert_eq!(asked(&stage.lose_relay()), pairing.relay);
    let effects = stage.home(at(OTHER, 2));
    assert!(retaken(&effects).0.carried, "nobody else may be left to begin it there");
    stage.relay(FromRelay::Resumed(Resumed::default()));
    let first = stage.says(r#"{"type":"message","seq":5,"text":"first"}"#);
    assert!(matches!(first[..], [Effect::Relay(ToRelay::Confirmed(4)), Effect::Relay(ToRelay::Message(_))]));
    assert_eq!(stage.relay(message(3)), [], "nobody knows what it has");
    stage.relay(FromRelay::Confirmed(2));
    assert_eq!(stage.relay(message(3)), [shown(3)]);
}

#[test]
fn a_client_from_another_gateway_learns_how_its_chat_ended_or_that_nobody_knows() {
    let (_, pairing) = Stage::chatting();
    let refused = |ended| FromRelay::Refused(Refused { reason: RefusedReason::Gone.into(), ended });
    let mut stage = Stage::without_consent();
    stage.connect(Resume::Chat(rejoin(&pairing)));
    stage.home(Found::Nothing);
    let how = Ended { by: EndedBy::Stranger.into(), ..Ended::default() };
    let told = [Effect::DropSeat, told_of_end(By::Stranger), Effect::EndSeat];
    assert_eq!(stage.relay(refused(Some(how))), told, "and there is no seat to report from");

    let mut stage = Stage::without_consent();
    stage.connect(Resume::Chat(rejoin(&pairing)));
    stage.home(Found::Nothing);
    assert_eq!(asked(&stage.relay(refused(None))), "", "another relay may know");
    let effects = stage.home(Found::Nothing);
    assert!(
        matches!(&effects[..], [Effect::DropSeat, Effect::Send(ServerFrame::Error(refusal))] if refusal.code == Code::ResumeFailed)
    );
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn i1_a_seat_that_another_gateway_took_is_no_longer_this_ones() {
    let refused = Refused { reason: RefusedReason::Replaced.into(), ended: None };
    for told in [FromRelay::Replaced(stroll_proto::v1::Replaced {}), FromRelay::Refused(refused)] {
        let (mut stage, _) = Stage::chatting();
        assert_eq!(stage.relay(told), [Effect::DropSeat, Effect::Close(Close::Replaced)]);
        assert_eq!(stage.session.on_disconnected(), [], "nobody is away");
        assert!(stage.session.is_over());
    }
}

#[test]
fn a_chat_that_is_left_while_it_has_no_seat_is_left_where_it_goes_on() {
    let (mut stage, pairing) = Stage::chatting();
    stage.lose_relay();
    stage.lose_relay();
    stage.refused(r#"{"type":"report","reason":"spam"}"#, Code::Unavailable);
    let left = stage.says(r#"{"type":"leave"}"#);
    assert!(
        matches!(&left[0], Effect::Depart(departure) if departure.relay == pairing.relay && !departure.banned)
    );
    assert_eq!(left[1..], [told_of_end(By::You), Effect::EndSeat]);
    assert_eq!(stage.home(at(OTHER, 2)), [], "too late");
}

#[test]
fn a_leave_that_was_lost_with_the_relay_is_said_again() {
    let losses = [(0, 2), (10_000, 1)];
    for (after_ms, effects) in losses {
        let (mut stage, _) = Stage::chatting();
        stage.says(r#"{"type":"leave"}"#);
        stage.now_ms += after_ms;
        let env = Env { now_ms: stage.now_ms, random: &stage.random };
        assert_eq!(stage.session.on_past_relay_lost(&env).len(), effects);
        let env = Env { now_ms: stage.now_ms, random: &stage.random };
        assert_eq!(stage.session.on_past_relay_lost(&env), [Effect::DropPast], "once");
    }
}

#[test]
fn who_waited_keeps_the_place_at_the_next_gateway_and_the_old_ticket_goes() {
    let (stage, before) = Stage::waiting();
    let known = stage.session.known();
    let wish = r#"{"type":"find","mode":"text"}"#;
    let mut stage = Stage::without_consent();
    stage.now_ms += 30_000;
    stage.connect_as(known.clone(), Resume::No);
    let effects = stage.says(wish);
    let [Effect::Forget(ticket, Some(_)), Effect::Enqueue(wanted)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((*ticket, wanted.since_unix_ms), (before.ticket, 1_000));
    stage.says(r#"{"type":"cancel"}"#);
    assert_eq!(stage.wants(wish).since_unix_ms, 31_000, "it was given up");

    let mut stage = Stage::without_consent();
    stage.now_ms += 3_600_000;
    stage.connect_as(known.clone(), Resume::No);
    assert_eq!(stage.wants(wish).since_unix_ms, 3_001_000, "at most ten minutes");

    let mut stage = Stage::without_consent();
    stage.now_ms += 30_000;
    stage.connect_as(known, Resume::No);
    let other = stage.wants(r#"{"type":"find","mode":"text","section":"night"}"#);
    assert_eq!(other.since_unix_ms, 31_000, "it is another pool");
}

#[test]
fn a_new_socket_at_the_same_gateway_keeps_the_place_too() {
    let (mut stage, before) = Stage::waiting();
    stage.now_ms += 5_000;
    let welcome = Known { waited: None, ..stage.session.known() };
    let effects = stage.connect_as(welcome, Resume::No);
    assert!(matches!(&effects[..], [Effect::Forget(ticket, Some(_))] if *ticket == before.ticket));
    assert_eq!(stage.find().since_unix_ms, 1_000);
}

#[test]
fn homes_that_give_no_seat_are_not_asked_for_at_full_speed() {
    let (mut stage, _) = Stage::chatting();
    stage.lose_relay();
    stage.lose_relay();
    retaken(&stage.home(at(OTHER, 2)));
    for epoch in 3..6 {
        assert_eq!(stage.lose_relay(), [Effect::DropSeat], "not at once");
        stage.now_ms = stage.session.deadline_ms().expect("it is asked again");
        asked(&stage.time());
        retaken(&stage.home(at(OTHER, epoch)));
    }
    assert!(stage.now_ms >= 2_000, "{}", stage.now_ms);
}

#[test]
fn nobody_who_could_say_is_no_answer_where_a_relay_does_not_know_a_chat() {
    let (_, pairing) = Stage::chatting();
    let mut stage = Stage::without_consent();
    stage.connect(Resume::Chat(rejoin(&pairing)));
    stage.home(Found::Unanswered);
    stage.relay(FromRelay::Refused(Refused { reason: RefusedReason::Gone.into(), ended: None }));
    assert_eq!(stage.home(Found::Unanswered), []);
    stage.now_ms = stage.session.deadline_ms().expect("it is asked again");
    assert_eq!(asked(&stage.time()), "");
    assert_eq!(retaken(&stage.home(at(OTHER, 2))).0.relay, OTHER);
}

#[test]
fn a_stranger_who_is_still_lost_after_a_blip_of_ones_own_is_looked_for_again() {
    let (mut stage, _) = Stage::chatting();
    stage.relay(gone(true));
    stage.lose_relay();
    stage.relay(gone(true));
    stage.relay(resumed(0));
    stage.now_ms += 250;
    assert_eq!(asked(&stage.time()), "");
}

#[test]
fn a_client_that_was_elsewhere_meanwhile_brings_the_better_token() {
    let (mut stage, pairing) = Stage::chatting();
    stage.session.on_disconnected();
    let effects = stage.connect(Resume::Chat(rejoin(&Pairing { turn: 1, ..pairing })));
    assert!(matches!(effects[..], [Effect::DropSeat, Effect::AskHome { .. }]));
    assert_eq!(retaken(&stage.home(Found::Nothing)).0.turn, 2);
}
