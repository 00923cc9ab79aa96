//! Whom a session remembers, and where it tells of it.

use super::{super::Met, *};

fn numbers(aliases: &[Alias]) -> Vec<u64> {
    aliases.iter().map(|alias| alias.0).collect()
}

/// From a chat into the next wish.
fn next(stage: &mut Stage, leave: &str) -> Wanted {
    stage.says(leave);
    stage.find()
}

#[test]
fn who_was_met_in_the_last_ten_minutes_is_named_in_the_ticket() {
    let (mut stage, _) = Stage::chatting();
    let wanted = next(&mut stage, r#"{"type":"leave"}"#);
    assert_eq!((numbers(&wanted.met_lately), wanted.blocked.len()), (vec![7], 0));
    stage.meets(pairing(&wanted, 8));
    stage.relay(ended(EndedBy::Stranger, ""));
    stage.now_ms += 600_000 - 1;
    let wanted = stage.find();
    assert_eq!(numbers(&wanted.met_lately), [7, 8]);
    stage.now_ms += 1;
    assert_eq!(numbers(&stage.find().met_lately), [0; 0]);
}

#[test]
fn i5_who_was_blocked_is_named_in_every_ticket() {
    let (mut stage, _) = Stage::chatting();
    let wanted = next(&mut stage, r#"{"type":"leave","block":true}"#);
    assert_eq!(numbers(&wanted.blocked), [7]);
    stage.now_ms += 24 * 3_600_000;
    assert_eq!(numbers(&stage.find().blocked), [7]);
    stage.refused(r#"{"type":"leave","block":true}"#, Code::NotNow);
}

#[test]
fn a_spy_blocks_both_whom_it_watched() {
    let mut stage = Stage::new();
    let wanted = stage.wants(r#"{"type":"find","mode":"text","ask":"Is tea a soup?"}"#);
    stage.enqueued(&wanted, Ok(place("1")));
    let strangers = vec![Alias(3), Alias(4)];
    stage.meets(Pairing { role: Role::Spy, again: None, strangers, ..pairing(&wanted, 7) });
    let wanted = next(&mut stage, r#"{"type":"leave","block":true}"#);
    assert_eq!((numbers(&wanted.blocked), numbers(&wanted.met_lately)), (vec![3, 4], vec![3, 4]));
}

#[test]
fn what_a_token_remembers_is_taken_over_and_told_in_the_next_one() {
    let (mut stage, _) = Stage::chatting();
    stage.says(r#"{"type":"leave","block":true}"#);
    stage.session.on_disconnected();
    let elsewhere = Memory::new([Met { stranger: Alias(9), ended_ms: 500 }], [Alias(8)]);
    let known = Known { session: SessionId([1; 16]), consent: false, memory: elsewhere, waited: None };
    stage.connect_as(known, Resume::No);
    let told = stage.session.known();
    assert_eq!(told.memory.blocked().map(|stranger| stranger.0).collect::<Vec<_>>(), [7, 8]);
    let met: Vec<_> = told.memory.met_lately(1_000).map(|met| (met.stranger.0, met.ended_ms)).collect();
    assert_eq!(met, [(9, 500), (7, 1_000)]);
    assert!(told.consent, "said before");
}

#[test]
fn a_client_that_comes_without_its_chat_still_remembers_who_was_in_it() {
    let (mut stage, _) = Stage::chatting();
    stage.connect(Resume::No);
    let met: Vec<_> =
        stage.session.known().memory.met_lately(stage.now_ms).map(|met| met.stranger.0).collect();
    assert_eq!(met, [7], "in the token of the `welcome` that follows");
}

const BLOCK: &str = r#"{"type":"leave","block":true}"#;

#[test]
fn i5_a_block_that_crossed_with_the_strangers_own_leaving_holds() {
    let (mut stage, _) = Stage::chatting();
    stage.relay(ended(EndedBy::Stranger, ""));
    for _ in 0..2 {
        assert_eq!(stage.says(BLOCK), [told_of_end(By::You)], "and once more if it was asked twice");
    }
    stage.refused(r#"{"type":"again"}"#, Code::NotNow);
    assert_eq!(numbers(&stage.find().blocked), [7]);
}

#[test]
fn a_chat_can_be_blocked_until_two_minutes_after_its_end() {
    let (mut stage, _) = Stage::chatting();
    stage.relay(ended(EndedBy::Stranger, ""));
    stage.now_ms += REPORT_WINDOW_MS;
    assert_eq!(stage.says(BLOCK), [told_of_end(By::You)]);
    stage.now_ms += 1;
    stage.refused(BLOCK, Code::NotNow);
}

#[test]
fn i5_a_wish_made_before_the_block_goes_in_anew_with_its_place() {
    let (mut stage, _) = Stage::chatting();
    stage.relay(ended(EndedBy::Stranger, ""));
    let wanted = stage.find();
    stage.enqueued(&wanted, Ok(place("1")));
    stage.now_ms += 5_000;
    let effects = stage.says(BLOCK);
    let [told, forgotten, Effect::Enqueue(anew)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(*told, told_of_end(By::You));
    assert_eq!(*forgotten, Effect::Forget(wanted.ticket, Some(place("1"))));
    assert_eq!((numbers(&anew.blocked), anew.since_unix_ms), (vec![7], wanted.since_unix_ms));
    assert_eq!(stage.enqueued(anew, Ok(place("1"))), [], "the client knows that it waits");
}

#[test]
fn i5_a_chat_that_is_about_to_begin_with_whom_one_blocks_does_not() {
    let (mut stage, _) = Stage::chatting();
    stage.relay(ended(EndedBy::Stranger, ""));
    let wanted = stage.find();
    stage.assign(pairing(&wanted, 8));
    let effects = stage.says(BLOCK);
    assert!(effects.contains(&Effect::DropSeat), "{effects:?}");
    assert_eq!(stage.session.activity(), Activity::Waiting);
    let (mut stage, _) = Stage::chatting();
    stage.relay(ended(EndedBy::Stranger, ""));
    let wanted = stage.wants(r#"{"type":"again"}"#);
    let gone = [Effect::Forget(wanted.ticket, None), Effect::Send(ServerFrame::Idle)];
    assert_eq!(stage.says(BLOCK)[1..], gone);
}
