//! Diaries made by hand, one thing wrong in each.

use super::{
    super::{Closed, Ended, Said},
    *,
};

const LAST: Duration = Duration::from_secs(100);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn shown(chat: &str, sender: u32, number: u32) -> Shown {
    let saying = Saying { chat: ChatTag::of(chat), sender, number };
    Shown { at: at(10 + u64::from(number)), saying: Some(saying) }
}

/// Stranger 1 or 2 in chat `a`: says three things, one a second, and is shown three of the other's a second after it said them.
fn chat(stranger: u32) -> Chat {
    let said = (0..3).map(|nth| Said { at: at(10 + nth), acknowledged: true }).collect();
    let heard = (1..=3).map(|number| shown("a", 3 - stranger, number)).collect();
    let by = if stranger == 1 { "you" } else { "stranger" };
    Chat {
        said,
        shown: heard,
        left: (stranger == 1).then_some(LAST),
        ended: Some(Ended { at: at(101), how: End::By(by.into()) }),
        ..Chat::new("a", at(9))
    }
}

/// The diaries of both, after something was done to them.
fn judged(change: impl FnOnce(&mut [Chat; 2])) -> Verdict {
    let mut chats = [1, 2].map(chat);
    change(&mut chats);
    let diary = |(stranger, chat)| Diary { stranger, chats: vec![chat], ..Diary::default() };
    judge(&(1..).zip(chats).map(diary).collect::<Vec<_>>(), LAST)
}

/// What was found: lost, duplicated, reordered, misdelivered, involuntary ends, oddities.
fn wrongs(verdict: &Verdict) -> [usize; 6] {
    verdict.wrongs().map(|(_, findings)| findings.count)
}

#[test]
fn where_nothing_is_wrong_nothing_is_found_and_each_message_has_its_time() {
    let verdict = judged(|_| {});
    assert!(verdict.is_good(), "{verdict}");
    assert_eq!((verdict.said, verdict.shown, verdict.phantoms, verdict.pairs.len()), (6, 6, 0, 1));
    let pair = &verdict.pairs[0];
    assert_eq!(pair.time, [at(9), at(101)]);
    assert!(pair.deliveries.iter().all(|delivery| delivery.shown - delivery.said == at(1)));
}

#[test]
fn a_message_that_was_not_shown_is_lost_also_if_nobody_acknowledged_it() {
    let verdict = judged(|[_, two]| two.shown.truncate(2));
    assert_eq!(wrongs(&verdict), [1, 0, 0, 0, 0, 0], "{verdict}");
    let verdict = judged(|[one, two]| {
        two.shown.truncate(1);
        one.said[2].acknowledged = false;
    });
    assert_eq!(wrongs(&verdict), [2, 0, 0, 0, 0, 0], "{verdict}");
}

#[test]
fn who_leaves_in_the_middle_loses_nothing_but_what_was_acknowledged() {
    let leaves_with = |acknowledged| {
        judged(move |[one, two]| {
            two.shown.truncate(2);
            one.said[2].acknowledged = acknowledged;
            one.left = Some(at(13));
        })
    };
    assert_eq!(wrongs(&leaves_with(false)), [0; 6]);
    assert_eq!(wrongs(&leaves_with(true)), [1, 0, 0, 0, 0, 0]);
}

#[test]
fn what_is_shown_twice_is_duplicated_and_nothing_else() {
    let verdict = judged(|[_, two]| two.shown.push(shown("a", 1, 2)));
    assert_eq!(wrongs(&verdict), [0, 1, 0, 0, 0, 0], "{verdict}");
    assert_eq!(verdict.shown, 6);
}

#[test]
fn what_is_shown_after_something_later_is_reordered() {
    let verdict = judged(|[one, _]| one.shown.swap(0, 1));
    assert_eq!(wrongs(&verdict), [0, 0, 1, 0, 0, 0], "{verdict}");
    let verdict = judged(|[one, _]| one.shown.rotate_right(1));
    assert_eq!(wrongs(&verdict), [0, 0, 2, 0, 0, 0], "{verdict}");
}

#[test]
fn what_is_of_another_chat_of_oneself_of_nobody_or_was_never_said_is_misdelivered() {
    let garbled = Shown { at: at(20), saying: None };
    for wrong in
        [shown("b", 1, 1), shown("a", 2, 1), shown("a", 7, 1), shown("a", 1, 4), shown("a", 1, 0), garbled]
    {
        let verdict = judged(|[_, two]| two.shown.push(wrong));
        assert_eq!(wrongs(&verdict), [0, 0, 0, 1, 0, 0], "{wrong:?}: {verdict}");
    }
}

#[test]
fn what_goes_to_another_chat_instead_is_lost_here_and_misdelivered_there() {
    let stray = |number| shown("a", 1, number);
    let mut chats = [1, 2].map(chat);
    chats[1].shown.truncate(2);
    let other =
        |stranger, shown| Chat { said: Vec::new(), shown, ..Chat { id: "b".into(), ..chat(stranger) } };
    let diaries = [
        Diary { stranger: 1, chats: vec![chats[0].clone()], ..Diary::default() },
        Diary { stranger: 2, chats: vec![chats[1].clone()], ..Diary::default() },
        Diary { stranger: 3, chats: vec![other(1, vec![stray(3)])], ..Diary::default() },
        Diary { stranger: 4, chats: vec![other(2, Vec::new())], strays: vec![stray(3)], ..Diary::default() },
    ];
    let verdict = judge(&diaries, LAST);
    assert_eq!(wrongs(&verdict), [1, 0, 0, 2, 0, 0], "{verdict}");
    assert!(verdict.misdelivered.examples.iter().any(|told| told.contains(r#"chat Some("a")"#)), "{verdict}");
}

#[test]
fn a_chat_that_ends_though_nobody_left_is_involuntary() {
    for how in ["error", "away", "moderation", "stranger", "you"] {
        let verdict = judged(|[one, two]| {
            one.left = None;
            one.ended = Some(Ended { at: at(50), how: End::By(how.into()) });
            two.ended = None;
        });
        assert_eq!(wrongs(&verdict), [0, 0, 0, 0, 1, 0], "{how}: {verdict}");
    }
    let gone = judged(|[_, two]| two.ended = Some(Ended { at: at(50), how: End::Gone }));
    assert_eq!(wrongs(&gone), [0, 0, 0, 0, 1, 0], "before the other left: {gone}");
    let after = judged(|[_, two]| two.ended = Some(Ended { at: at(120), how: End::By("away".into()) }));
    assert_eq!(wrongs(&after), [0; 6], "after the other left: {after}");
    let you = judged(|[_, two]| two.ended = Some(Ended { at: at(120), how: End::By("you".into()) }));
    assert_eq!(wrongs(&you), [0, 0, 0, 0, 1, 0], "who did not leave can't be who left: {you}");
}

#[test]
fn a_chat_of_one_is_counted_and_not_judged_and_one_of_three_is_wrong() {
    let alone = Chat { ended: Some(Ended { at: at(50), how: End::By("away".into()) }), ..chat(2) };
    let diaries = [Diary { stranger: 2, chats: vec![alone], ..Diary::default() }];
    let verdict = judge(&diaries, LAST);
    assert_eq!((wrongs(&verdict), verdict.phantoms, verdict.said), ([0; 6], 1, 0));
    let three = [1, 2, 3].map(|stranger| Diary { stranger, chats: vec![chat(1)], ..Diary::default() });
    assert_eq!(judge(&three, LAST).misdelivered.count, 1);
    let twice = [Diary { stranger: 1, chats: vec![chat(1), chat(1)], ..Diary::default() }];
    assert_eq!(judge(&twice, LAST).misdelivered.count, 1);
}

#[test]
fn closes_are_counted_and_those_that_a_client_cannot_hide_are_told() {
    let codes = [None, Some(1012), Some(4001), Some(4003), Some(4004), Some(4501), Some(1008), Some(1013)];
    let closes = codes.map(|code| Closed::new(at(1), code)).to_vec();
    let verdict = judge(&[Diary { closes, oddities: vec!["odd".into()], ..Diary::default() }], LAST);
    assert_eq!((verdict.visible.count, verdict.closes["lost"], verdict.closes["1012"]), (4, 1, 1));
    assert_eq!((wrongs(&verdict), verdict.is_good()), ([0, 0, 0, 0, 0, 1], false));
}

#[test]
fn many_findings_are_all_counted_and_a_few_told() {
    let verdict = judged(|[_, two]| two.shown.extend([shown("a", 1, 1); 100]));
    assert_eq!((verdict.duplicated.count, verdict.duplicated.examples.len()), (100, EXAMPLES));
}
