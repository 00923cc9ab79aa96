//! Texts, verdicts and reports.

use std::time::Duration;

use bytes::Bytes;
use stroll_proto::v1::{Action, EndedBy, Mode, Notice, Role, Verdict, relay_frame::Body};
use stroll_relay::{Chats, Unmoderated};

use crate::{
    peers::Mood,
    world::{World, until},
};

fn verdict(chat: &Bytes, seat: u32, action: Action) -> Verdict {
    let (rule, text) = ("spam_link".to_owned(), "no links, please".to_owned());
    Verdict { chat: chat.clone(), seat, seq: 1, action: action.into(), rule, text }
}

#[tokio::test]
async fn moderation_hears_every_text_in_order_with_who_said_it() {
    let world = World::start().await;
    let (pairing, one, mut two) = world.chat(Mode::Text).await;
    for seq in 1..=600 {
        one.say(1, seq, &format!("text {seq}"));
    }
    let last = world.moderation.hears("text 600").await;
    let subject = last.subject.expect("a subject");
    assert_eq!((last.chat, last.seat, last.seq), (pairing.chat, 1, 600));
    assert_eq!(subject.session, "a session's name");
    assert_eq!(subject.address, "an address' hash");
    let heard: Vec<_> = world.moderation.said().iter().map(|said| said.seq).collect();
    assert_eq!(heard, (1..=600).collect::<Vec<_>>());
    assert_eq!(two.message(1).await.1, 1);
}

#[tokio::test]
async fn a_warning_reaches_the_sender_alone_and_an_end_both() {
    let world = World::start().await;
    for action in [Action::End, Action::Ban] {
        let (pairing, mut one, mut two) = world.chat(Mode::Text).await;
        world.moderation.give(&verdict(&pairing.chat, 2, Action::Warn));
        let notice = Notice { code: "spam_link".to_owned(), text: "no links, please".to_owned() };
        assert_eq!(two.hear(1).await, Body::Notice(notice));
        one.is_quiet().await;

        world.moderation.give(&verdict(&pairing.chat, 1, action));
        assert!(matches!(one.hear(1).await, Body::Notice(_)));
        assert_eq!(one.ended(1).await, (EndedBy::Moderation, "spam_link".to_owned()));
        assert_eq!(two.ended(1).await, (EndedBy::Moderation, String::new()), "the rule is the sender's");
        world.moderation.give(&verdict(&pairing.chat, 1, Action::Warn));
        world.moderation.give(&verdict(&Bytes::from_static(b"no chat"), 1, Action::End));
        one.is_quiet().await;
    }
}

#[tokio::test]
async fn without_moderation_messages_pass_if_the_operator_says_so() {
    let mut world = World::start().await;
    let (_, one, mut two) = world.chat(Mode::Text).await;
    world.moderation.stop().await;
    one.say(1, 1, "alone");
    assert_eq!(two.message(1).await.2, "alone");
    world.moderation.restart().await;
    let mut seq = 1;
    while !world.moderation.said().iter().any(|said| said.text == "watched") {
        seq += 1;
        one.say(1, seq, "watched");
        assert_eq!(two.message(1).await.2, "watched");
    }
}

#[tokio::test]
async fn without_moderation_messages_are_held_if_the_operator_says_so_and_delivered_after() {
    let chats = Chats { unmoderated: Unmoderated::Hold, ..Chats::default() };
    let mut world = World::start_with(chats).await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    one.say(1, 1, "first");
    assert_eq!(two.message(1).await.2, "first");
    two.ack(1, 1);
    assert_eq!(one.hear(1).await, Body::Ack(1));

    world.moderation.stop().await;
    world.holds().await;
    one.say(1, 2, "second");
    one.say(1, 3, "third");
    one.is_quiet().await;
    two.is_quiet().await;

    world.moderation.restart().await;
    assert_eq!(one.resumed(1).await, 1);
    one.say(1, 2, "second");
    assert_eq!(two.message(1).await, (1, 2, "second".to_owned()));
    world.moderation.hears("second").await;
}

#[tokio::test]
async fn a_report_freezes_what_was_said_and_is_answered_when_it_is_stored() {
    let world = World::start().await;
    let (pairing, mut one, mut two) = world.chat(Mode::Text).await;
    one.say(1, 1, "first");
    two.message(1).await;
    two.say(1, 1, "second");
    one.message(1).await;
    two.report(1, 7);
    assert_eq!(two.reported(1).await, ("C-1".to_owned(), false));
    one.is_quiet().await;

    let report = world.moderation.reports().remove(0);
    assert_eq!((report.chat, report.reporter_seat), (pairing.chat, 2));
    assert_eq!((report.id.as_ref(), report.reason.as_str()), ([7; 16].as_slice(), "spam"));
    assert_eq!(report.comment, "a comment");
    let lines: Vec<_> =
        report.transcript.iter().map(|line| (line.seat, line.seq, line.text.as_str())).collect();
    assert_eq!(lines, [(1, 1, "first"), (2, 1, "second")]);
    let now = world.context.clock.unix_ms();
    assert!(report.transcript.iter().all(|line| (report.began_unix_ms..=now).contains(&line.at_unix_ms)));
    let roles: Vec<_> = report.participants.iter().map(|who| (who.seat, who.role())).collect();
    assert_eq!(roles, [(1, Role::Stranger), (2, Role::Stranger)]);
}

#[tokio::test]
async fn both_may_report_after_the_end_and_only_so_often() {
    let world = World::start().await;
    let (_, mut one, mut two) = world.chat(Mode::Text).await;
    one.say(1, 1, "last words");
    two.message(1).await;
    one.leave(1);
    two.ended(1).await;
    for id in 1..=3 {
        two.report(1, id);
        assert_eq!(two.reported(1).await, (format!("C-{id}"), false));
    }
    two.report(1, 4);
    assert_eq!(two.reported(1).await, (String::new(), false));
    one.report(1, 5);
    assert_eq!(one.reported(1).await, ("C-4".to_owned(), false));
    assert!(world.moderation.reports().iter().all(|report| report.transcript[0].text == "last words"));
}

#[tokio::test]
async fn a_report_that_can_not_be_stored_says_whether_to_try_again() {
    let mut world = World::start().await;
    let (_, mut one, _two) = world.chat(Mode::Text).await;
    world.moderation.set_mood(Mood::Refusing);
    one.report(1, 1);
    assert_eq!(one.reported(1).await, (String::new(), false));

    world.moderation.set_mood(Mood::Willing);
    world.moderation.stop().await;
    one.report(1, 2);
    assert_eq!(one.reported(1).await, (String::new(), true));
    world.moderation.restart().await;
    one.report(1, 2);
    assert_eq!(one.reported(1).await, ("C-1".to_owned(), false));
}

#[tokio::test]
async fn a_short_absence_of_moderation_is_not_noticed_by_who_reports() {
    let mut world = World::start().await;
    let (_, mut one, _two) = world.chat(Mode::Text).await;
    world.moderation.stop().await;
    one.report(1, 2);
    one.settle().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.moderation.restart().await;
    assert_eq!(one.reported(1).await, ("C-1".to_owned(), false));
    until("one report", || world.moderation.reports().len() == 1).await;
}
