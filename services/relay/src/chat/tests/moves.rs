//! Chats that go on at another relay: what the one does that they leave, and the one that they come to.

use stroll_proto::v1::{Ended, Moved};

use super::*;

/// What a seat was told of numbers, the last time: what the other has, and what it has itself.
fn numbers(story: &mut Story, seat: u8) -> (Option<u64>, Option<u64>) {
    let resumed = story.out.drain(..).filter_map(|effect| match effect {
        Effect::Send { seat: to, body: Body::Resumed(resumed), .. } if to == Seat(seat) => Some(resumed),
        _ => None,
    });
    let last = resumed.last().expect("it was told");
    (last.received, last.confirmed)
}

fn moved() -> FromGateway {
    FromGateway::Moved(Moved {})
}

#[test]
fn a_chat_that_has_begun_elsewhere_goes_on_with_the_first_and_waits_for_the_other_as_for_one_who_is_away() {
    let mut story = Story::new();
    let first = Arrival { received: Some(7), confirmed: Some(3), ..story.late(1, 2) };
    story.come(&first).expect("a seat");
    assert_eq!(story.out(), ["1: started", "1: 2 away", "1: resumed 3"]);
    assert_eq!(story.frame(1, say(4, "nobody there")), Err(Ignored::NobodyThere));
    assert_eq!(story.wait(GRACE - 1), NOTHING);
    story.come(&story.late(2, 2)).expect("a seat");
    assert_eq!(story.out(), ["2: started", "1: 2 back", "1: resumed 3", "2: resumed 7"]);
    story.frame(1, say(4, "here")).expect("passed on");
    assert_eq!(story.out(), ["inspect 1#4 here", "2: 1#4 here"]);
}

#[test]
fn who_never_comes_to_the_new_relay_ends_the_chat_after_the_grace_time() {
    let mut story = Story::new();
    story.come(&story.late(1, 2)).expect("a seat");
    story.out();
    assert_eq!(story.wait(GRACE), ["1: ended AWAY", "over AWAY"]);
}

#[test]
fn one_who_waited_for_the_chat_to_begin_finds_that_it_has() {
    let mut story = Story::new();
    story.attach_with(1, 1, 2, 0).expect("a seat");
    assert_eq!(story.out(), NOTHING);
    story.come(&Arrival { received: Some(0), confirmed: Some(0), ..story.late(2, 2) }).expect("a seat");
    assert_eq!(
        story.out(),
        ["1: started", "1: 2 away", "2: started", "1: 2 back", "1: resumed 0", "2: resumed 0"]
    );
}

#[test]
fn numbers_come_from_whoever_knows_them() {
    let mut story = Story::new();
    story.come(&story.late(1, 2)).expect("a seat");
    assert_eq!(numbers(&mut story, 1), (None, None), "nobody knows");
    let knowing = Arrival { received: Some(5), confirmed: Some(9), ..story.late(2, 2) };
    story.come(&knowing).expect("a seat");
    assert_eq!(numbers(&mut story, 1), (Some(5), Some(9)), "the stranger's gateway does");

    let mut story = Story::new();
    story.come(&story.late(1, 2)).expect("a seat");
    story.come(&story.late(2, 2)).expect("a seat");
    story.out();
    story.frame(1, FromGateway::Confirmed(4)).expect("counted");
    story.frame(1, FromGateway::Confirmed(2)).expect("counted");
    assert_eq!(story.out(), ["2: confirmed 4"], "the first one that says so");
    story.frame(2, back(0)).expect("heard");
    assert_eq!(numbers(&mut story, 2), (None, Some(4)));
}

#[test]
fn who_moves_sends_the_other_after_and_the_last_one_takes_the_chat_along() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, moved()).expect("heard");
    assert_eq!(story.out(), ["2: 1 away", "2: moving"]);
    assert_eq!(story.frame(2, say(1, "x")), Err(Ignored::NobodyThere));
    story.frame(2, moved()).expect("heard");
    assert_eq!(story.out(), ["over here"]);
    assert!(story.chat.is_forgotten(story.now));
}

#[test]
fn a_chat_that_no_gateway_holds_any_more_is_given_up_without_a_word() {
    let mut story = Story::running(2, Mode::Text);
    story.lose(1);
    story.lose(2);
    story.out();
    assert_eq!(story.wait(GRACE), ["over here"]);
    let outdated = |story: &Story, epoch| story.chat.is_outdated(&seating(1, 2, Mode::Text, epoch));
    assert!(outdated(&story, 2), "it may come back from where it went on");
    assert!(!outdated(&story, 1));
    let mut story = Story::running(2, Mode::Text);
    assert!(!outdated(&story, 2), "it goes on here");
    story.frame(1, LEAVE).expect("heard");
    assert!(!outdated(&story, 2), "it has really ended");
    let mut story = Story::new();
    story.attach(1).expect("a seat");
    story.wait(ATTACH_TIMEOUT);
    assert!(story.chat.is_over() && outdated(&story, 2), "it never began here, but perhaps elsewhere");
}

#[test]
fn a_seat_that_moved_may_come_back_with_a_newer_epoch_and_not_with_an_older_one() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, moved()).expect("heard");
    story.out();
    story.come(&story.late(1, 3)).expect("a seat");
    assert_eq!(story.out(), ["1: started", "2: 1 back", "2: resumed 0", "1: resumed 0"]);
    let refused = story.come(&story.late(2, 1)).expect_err("it has a newer home");
    assert_eq!((refused.reason(), refused.ended), (RefusedReason::Gone, None));
}

#[test]
fn the_seat_is_the_gateways_that_the_client_came_to_last_and_not_that_came_here_last() {
    let mut story = Story::running(2, Mode::Text);
    let latest = Arrival { turn: 2, link: link(9), ..story.late(1, 1) };
    assert_eq!(story.come(&latest), Ok(Some(link(1))));
    let late = Arrival { turn: 1, link: link(8), ..story.late(1, 2) };
    let refused = story.come(&late).expect_err("the client has gone on");
    assert_eq!(refused.reason(), RefusedReason::Replaced);
    let again = Arrival { turn: 2, link: link(10), ..story.late(1, 1) };
    assert_eq!(story.come(&again), Ok(Some(link(9))), "by a new stream of the same");
}

#[test]
fn of_two_gateways_that_a_client_came_to_with_one_token_the_one_where_it_is_has_the_seat() {
    let mut story = Story::running(2, Mode::Text);
    let there = Arrival { turn: 1, link: link(9), ..story.late(1, 1) };
    let gone = Arrival { turn: 1, link: link(8), is_away: true, ..story.late(1, 1) };
    assert_eq!(story.come(&gone), Ok(Some(link(1))), "nobody came later");
    story.frame_through(1, 8, AWAY).expect("heard");
    assert_eq!(story.come(&there), Ok(Some(link(8))));
    let refused = story.come(&gone).expect_err("the client is elsewhere");
    assert_eq!(refused.reason(), RefusedReason::Replaced);
    story.chat.on_lost(story.now, Seat(1), link(9), &mut story.out);
    assert!(story.come(&gone).is_ok(), "nobody else has it any more");
}

#[test]
fn everybody_with_a_gateway_is_asked_to_move_also_those_who_are_away() {
    let mut story = Story::running(3, Mode::Text);
    story.frame(1, AWAY).expect("heard");
    story.lose(2);
    story.out();
    story.chat.on_hand_over(&mut story.out);
    assert_eq!(story.out(), ["1: moving", "3: moving"]);
}

#[test]
fn a_client_that_is_away_is_told_of_again_when_its_gateway_is_lost_too() {
    let mut story = Story::running(2, Mode::Text);
    let peers = |story: &mut Story| -> Vec<_> {
        let peers = story.out.drain(..).filter_map(|effect| match effect {
            Effect::Send { body: Body::Peer(peer), .. } => Some((peer.away, peer.lost, peer.grace_ms)),
            _ => None,
        });
        peers.collect()
    };
    story.frame(1, AWAY).expect("heard");
    assert_eq!(peers(&mut story), [(true, false, GRACE * 1_000)]);
    story.now += Duration::from_secs(10);
    story.lose(1);
    assert_eq!(peers(&mut story), [(true, true, (GRACE - 10) * 1_000)]);
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, FromGateway::Away(Away { elsewhere: true })).expect("heard");
    assert_eq!(peers(&mut story), [(true, true, GRACE * 1_000)], "as one whose gateway is lost");
}

#[test]
fn who_comes_too_late_is_told_how_it_ended() {
    let ends: [(&str, Event, [&str; 2]); 4] = [
        ("one leaves", |story| _ = story.frame(1, LEAVE), ["YOU", "STRANGER"]),
        (
            "one is banned",
            |story| _ = story.frame(1, FromGateway::Leave(Leave { banned: true })),
            ["MODERATION", "MODERATION"],
        ),
        ("one stays away", |story| _ = (story.frame(1, AWAY), story.pass(GRACE)), ["AWAY", "AWAY"]),
        (
            "one breaks a rule",
            |story| {
                let (action, rule) = (Action::End.into(), "spam".to_owned());
                let verdict = Verdict { seat: 1, action, rule, ..Verdict::default() };
                story.chat.on_verdict(story.now, verdict, &mut story.out);
            },
            ["MODERATION spam", "MODERATION"],
        ),
    ];
    for (what, end, told) in ends {
        let mut story = Story::running(2, Mode::Text);
        end(&mut story);
        for (seat, expected) in (1..).zip(told) {
            let refused = story.come(&story.late(seat, 1)).expect_err("it is over");
            let Some(Ended { reason, .. }) = &refused.ended else { panic!("{what}: seat {seat}") };
            let by = refused.ended.as_ref().map_or(EndedBy::Unspecified, Ended::by);
            assert_eq!(format!("{} {reason}", name(by)).trim_end(), expected, "{what}, seat {seat}");
        }
    }
}
