//! Chats.

use super::*;

#[test]
fn i3_messages_are_shown_once_in_order_and_acknowledged_end_to_end() {
    let (mut stage, _) = Stage::chatting();
    assert_eq!(stage.relay(message(1)), [shown(1)]);
    assert_eq!(stage.relay(message(1)), []);
    assert_eq!(stage.relay(message(3)), []);
    assert_eq!(stage.says(r#"{"type":"ack","seq":1}"#), [Effect::Relay(ToRelay::Ack(1))]);
    assert_eq!(stage.says(r#"{"type":"ack","seq":1}"#), []);
    stage.refused(r#"{"type":"ack","seq":2}"#, Code::BadSeq);
    let sent = stage.says(r#"{"type":"message","seq":1,"text":"hey"}"#);
    assert_eq!(sent, [Effect::Relay(ToRelay::Message(Message { seq: 1, text: "hey".into(), from: 0 }))]);
    stage.refused(r#"{"type":"message","seq":3,"text":"hey"}"#, Code::BadSeq);
    assert_eq!(stage.relay(FromRelay::Ack(1)), [Effect::Send(ServerFrame::Ack { seq: 1 })]);
    assert_eq!(stage.relay(FromRelay::Ack(5)), [], "it was never sent");
    let known = stage.says(r#"{"type":"message","seq":1,"text":"hey"}"#);
    assert_eq!(known, [Effect::Send(ServerFrame::Ack { seq: 1 })]);
}

#[test]
fn i3_nothing_of_a_chat_is_shown_after_its_end() {
    let (mut stage, _) = Stage::chatting();
    let left = stage.says(r#"{"type":"leave"}"#);
    assert!(matches!(left[0], Effect::Relay(ToRelay::Leave(_))));
    assert_eq!(left[1..], [told_of_end(By::You), Effect::EndSeat]);
    for late in [message(1), ended(EndedBy::Stranger, ""), resumed(0)] {
        assert_eq!(stage.relay(late.clone()), []);
        assert_eq!(Session::on_past_relay(late), []);
    }
}

#[test]
fn the_end_says_who_ended_it() {
    let cases = [
        (EndedBy::Stranger, By::Stranger),
        (EndedBy::Away, By::Away),
        (EndedBy::Moderation, By::Moderation),
        (EndedBy::Error, By::Error),
    ];
    for (relay, client) in cases {
        let (mut stage, _) = Stage::chatting();
        assert_eq!(stage.relay(ended(relay, "")), [told_of_end(client), Effect::EndSeat]);
        assert_eq!(stage.session.activity(), Activity::Idle);
    }
    let (mut stage, _) = Stage::chatting();
    let effects = stage.relay(ended(EndedBy::Moderation, "spam_link"));
    assert!(matches!(&effects[0], Effect::Ended { reason: Some(reason), .. } if reason == "spam_link"));
}

#[test]
fn typing_is_passed_on_only_when_it_changes_and_a_message_ends_it() {
    let (mut stage, _) = Stage::chatting();
    assert_eq!(stage.says(r#"{"type":"typing","on":false}"#), []);
    assert_eq!(stage.says(r#"{"type":"typing","on":true}"#), [Effect::Relay(ToRelay::Typing(true))]);
    assert_eq!(stage.says(r#"{"type":"typing","on":true}"#), []);
    stage.says(r#"{"type":"message","seq":1,"text":"hey"}"#);
    assert_eq!(stage.says(r#"{"type":"typing","on":false}"#), []);
}

#[test]
fn a_find_or_cancel_in_a_chat_is_refused_and_changes_nothing() {
    let (mut stage, _) = Stage::chatting();
    stage.refused(r#"{"type":"find","mode":"text"}"#, Code::NotNow);
    stage.refused(r#"{"type":"cancel"}"#, Code::NotNow);
    assert_eq!(stage.session.activity(), Activity::Chatting);
}

#[test]
fn a_dropped_socket_is_away_and_comes_back_with_the_right_chat() {
    let (mut stage, pairing) = Stage::chatting();
    stage.relay(message(1));
    stage.relay(message(2));
    stage.says(r#"{"type":"ack","seq":1}"#);
    assert!(matches!(stage.session.on_disconnected()[..], [Effect::Relay(ToRelay::Away(_))]));
    let back = stage.connect(Resume::Chat(rejoin(&pairing)));
    assert!(matches!(&back[..], [Effect::Relay(ToRelay::Back(back))] if back.received == Some(1)));
    assert_eq!(stage.relay(resumed(0)), [told_resumed(0)]);
    assert_eq!(stage.relay(message(1)), [], "acknowledged before");
    assert_eq!(stage.relay(message(2)), [shown(2)], "not acknowledged before");
}

#[test]
fn a_client_that_comes_without_the_token_has_left() {
    let (mut stage, _) = Stage::chatting();
    stage.session.on_disconnected();
    let effects = stage.connect(Resume::No);
    assert!(matches!(effects[..], [Effect::Relay(ToRelay::Leave(_)), Effect::EndSeat]), "{effects:?}");
    let (mut stage, pairing) = Stage::chatting();
    let other = Pairing { chat: ChatId([9; 16]), ..pairing };
    let effects = stage.connect(Resume::Chat(rejoin(&other)));
    assert!(
        matches!(effects[..], [Effect::Relay(ToRelay::Leave(_)), Effect::EndSeat, Effect::AskHome { chat, .. }] if chat == other.chat),
        "{effects:?}"
    );
}

#[test]
fn a_client_that_comes_back_too_late_learns_how_the_chat_ended() {
    let (mut stage, pairing) = Stage::chatting();
    stage.session.on_disconnected();
    stage.relay(ended(EndedBy::Away, ""));
    let ended =
        ServerFrame::Ended { chat: pairing.chat.to_string(), by: By::Away, reason: None, session: None };
    assert_eq!(stage.connect(Resume::Chat(rejoin(&pairing))), [Effect::Send(ended)]);
    let refused = stage.connect(Resume::Refused);
    assert!(
        matches!(&refused[..], [Effect::Send(ServerFrame::Error(refusal))] if refusal.code == Code::ResumeFailed)
    );
}

#[test]
fn presence_and_notices_are_told() {
    let (mut stage, _) = Stage::chatting();
    let gone = Peer { seat: 2, away: true, lost: false, grace_ms: 30_000 };
    let away = stage.relay(FromRelay::Peer(gone));
    let told = ServerFrame::Stranger { state: Presence::Away, grace_ms: Some(30_000) };
    assert_eq!(away, [Effect::Send(told)]);
    let notice = stage.relay(FromRelay::Notice(Notice { code: "spam_link".into(), text: "no links".into() }));
    assert_eq!(
        notice,
        [Effect::Send(ServerFrame::Notice { code: "spam_link".into(), text: "no links".into() })]
    );
}

#[test]
fn a_chat_can_be_reported_in_it_and_for_two_minutes_after() {
    let (mut stage, _) = Stage::chatting();
    assert!(matches!(
        stage.says(r#"{"type":"report","reason":"spam"}"#)[..],
        [Effect::Relay(ToRelay::Report(_))]
    ));
    stage.relay(ended(EndedBy::Stranger, ""));
    stage.now_ms += REPORT_WINDOW_MS;
    assert!(matches!(
        stage.says(r#"{"type":"report","reason":"spam"}"#)[..],
        [Effect::RelayPast(ToRelay::Report(_))]
    ));
    let stored = FromRelay::Reported(Reported { case: "S-1".into(), retry: false });
    assert_eq!(Session::on_past_relay(stored), [Effect::Send(ServerFrame::Reported { case: "S-1".into() })]);
    let away = Session::on_past_relay(FromRelay::Reported(Reported { case: String::new(), retry: true }));
    assert!(
        matches!(&away[..], [Effect::Send(ServerFrame::Error(refusal))] if refusal.code == Code::Unavailable && refusal.retry_after_ms.is_some())
    );
    stage.now_ms += 1;
    assert_eq!(stage.time(), [Effect::DropPast]);
    stage.refused(r#"{"type":"report","reason":"spam"}"#, Code::NotNow);
}

#[test]
fn i5_a_ban_ends_everything_at_once() {
    let (mut stage, _) = Stage::chatting();
    let env = Env { now_ms: 1_000, random: &stage.random };
    let effects = stage.session.on_ban(&env);
    assert!(matches!(&effects[0], Effect::Relay(ToRelay::Leave(leave)) if leave.banned));
    assert_eq!(effects[1], told_of_end(By::Moderation));
    assert!(matches!(&effects[3], Effect::Send(ServerFrame::Error(refusal)) if refusal.code == Code::Banned));
    assert_eq!(effects[4], Effect::Close(Close::Banned));
    let (mut stage, wanted) = Stage::waiting();
    let env = stage.env();
    let now = Env { now_ms: env.now_ms, random: &stage.random.clone() };
    let effects = stage.session.on_ban(&now);
    assert_eq!(effects[0], Effect::Forget(wanted.ticket, Some(place("1"))));
}

#[test]
fn typing_is_limited_without_a_word() {
    let (mut stage, _) = Stage::chatting();
    let mut passed = 0;
    for turn in 0..100 {
        passed += stage.says(&format!(r#"{{"type":"typing","on":{}}}"#, turn % 2 == 0)).len();
    }
    assert!(passed < 20, "{passed}");
}

#[test]
fn a_chat_goes_on_after_its_client_was_told_to_go_elsewhere() {
    let (mut stage, _) = Stage::chatting();
    assert_eq!(stage.session.on_going_away(7), [going_away()]);
    assert_eq!(stage.relay(message(1)), [shown(1)]);
    assert_eq!(stage.session.activity(), Activity::Chatting);
}
