//! Whether what all strangers saw together is right.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use super::diary::{Chat, Diary, Ending, Wait};
use crate::{chaos::Stall, percentile::percentile};

/// I4: longer than this nobody may wait while somebody compatible waits too.
const LONGEST: Duration = Duration::from_secs(5);
/// The same on a machine where the test itself did not get to run for a twentieth of the time or more. There every process is
/// late, one after the other, and a time says little. Who was forgotten waits to the end there too.
const LONGEST_IF_BUSY: Duration = Duration::from_secs(10);
const BUSY: u32 = 20;
/// Waits below this are not looked at for who else waited: at a thousand finds a second that would be many.
const SHORT: Duration = Duration::from_millis(100);
/// How many of the longest waits the report shows.
const SHOWN: usize = 8;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Chats that were told to two.
    pub pairs: usize,
    /// Chats that were told to one only, because the other took their wish back at that moment.
    pub half: usize,
    /// Wishes, by how they ended.
    pub endings: BTreeMap<String, usize>,
    /// From `find` to `waiting`: the 99th percentile, and the longest.
    pub told: [Duration; 2],
    /// From `waiting` to `matched`: median, 99th percentile, longest.
    pub waits: [Duration; 3],
    /// How long somebody waited while somebody compatible waited too. Without the times in which the test did not get to run:
    /// what came then was seen later.
    pub in_vain: Duration,
    /// How many did so for more than a second.
    pub late: usize,
    /// The longest of these, each in a sentence.
    pub longest: Vec<String>,
    /// Everything that shows a session in two chats, or a chat with others than its two.
    pub doubles: Vec<String>,
    /// Everybody who waited for too long while somebody compatible waited too, or to the end.
    pub overlooked: Vec<String>,
    /// What else should not be.
    pub oddities: Vec<String>,
    /// `error` frames that made a stranger try again, by code.
    pub refusals: BTreeMap<String, usize>,
    /// For how long the test did not get to run, in all.
    pub stalled: Duration,
    /// For how long somebody may wait while somebody compatible waits too.
    pub allowed: Duration,
}

/// Looks at all diaries together, which were written in so long a time with these stalls.
#[must_use]
pub fn judge(diaries: &[Diary], time: Duration, stalls: &[Stall]) -> Verdict {
    let stalled: Duration = stalls.iter().map(|(from, to)| *to - *from).sum();
    let allowed = if stalled * BUSY < time { LONGEST } else { LONGEST_IF_BUSY };
    let mut verdict = Verdict { stalled, allowed, ..Verdict::default() };
    for diary in diaries {
        let stranger = diary.stranger;
        let of = |what: &String| format!("stranger {stranger}: {what}");
        verdict.doubles.extend(diary.doubles.iter().map(of));
        verdict.oddities.extend(diary.oddities.iter().map(of));
        for code in &diary.refusals {
            *verdict.refusals.entry(code.clone()).or_default() += 1;
        }
        for wait in &diary.waits {
            *verdict.endings.entry(format!("{:?}", wait.ending)).or_default() += 1;
        }
        if diary.lost_sockets > 0 {
            verdict
                .oddities
                .push(format!("stranger {stranger} lost its socket {} times", diary.lost_sockets));
        }
    }
    verdict.look_at_chats(diaries);
    verdict.measure(diaries);
    verdict.look_at_waits(diaries, stalls);
    verdict
}

impl Verdict {
    /// What is wrong, if anything.
    #[must_use]
    pub fn violations(&self) -> Vec<&String> {
        self.doubles.iter().chain(&self.overlooked).chain(&self.oddities).collect()
    }

    /// A session is in one chat at a time, and a chat has the two that name each other.
    fn look_at_chats(&mut self, diaries: &[Diary]) {
        let mut chats = BTreeMap::<&str, Vec<(u32, &Chat)>>::new();
        for diary in diaries {
            for chat in &diary.chats {
                chats.entry(&chat.id).or_default().push((diary.stranger, chat));
                if !matches!(chat.by.as_str(), "you" | "stranger") {
                    self.oddities
                        .push(format!("chat {} of {} was ended by {:?}", chat.id, diary.stranger, chat.by));
                }
            }
            for both in diary.chats.windows(2).filter(|both| both[1].began < both[0].ended) {
                let [one, other] = [&both[0].id, &both[1].id];
                self.doubles.push(format!("stranger {} was in {one} and {other} at once", diary.stranger));
            }
        }
        for (id, seats) in chats {
            match seats.as_slice() {
                [one, other] => {
                    self.pairs += 1;
                    self.doubles.extend(mismatch(*one, *other).map(|what| format!("chat {id}: {what}")));
                }
                [(_, one)] => {
                    self.half += 1;
                    if one.heard.is_some() {
                        self.doubles.push(format!("chat {id}: somebody spoke who was not told of it"));
                    }
                }
                more => self.doubles.push(format!("chat {id} was told to {} strangers", more.len())),
            }
        }
        let cancelled = self.endings.get("Cancelled").copied().unwrap_or_default();
        if self.half > cancelled {
            self.oddities
                .push(format!("{} chats were told to one only, {cancelled} took a wish back", self.half));
        }
    }

    fn measure(&mut self, diaries: &[Diary]) {
        let waits = || diaries.iter().flat_map(|diary| &diary.waits);
        let mut told: Vec<_> = waits().filter_map(|wait| Some(wait.told? - wait.asked)).collect();
        told.sort_unstable();
        self.told = [990, 1_000].map(|rank| percentile(&told, rank));
        let matched = waits().filter(|wait| wait.ending == Ending::Matched);
        let mut waited: Vec<_> = matched.filter_map(|wait| Some(wait.ended - wait.told?)).collect();
        waited.sort_unstable();
        self.waits = [500, 990, 1_000].map(|rank| percentile(&waited, rank));
    }

    /// Nobody waits for long while somebody compatible does, and in the end nobody is left who could have met.
    fn look_at_waits(&mut self, diaries: &[Diary], stalls: &[Stall]) {
        let mut waiting: Vec<_> = diaries.iter().flat_map(Waiting::of).collect();
        waiting.sort_by_key(|waiting| waiting.from);
        let longest = waiting.iter().map(Waiting::length).max().unwrap_or_default();
        let mut in_vain = Vec::new();
        for one in waiting.iter().filter(|one| one.length() > SHORT) {
            let first = waiting.partition_point(|other| other.from + longest < one.from);
            let others = waiting[first..].iter().take_while(|other| other.from < one.wait.ended);
            let stretch = longest_stretch(others.filter_map(|other| one.could_meet(other)));
            if let Some((from, to)) = stretch {
                in_vain.push((to - from - within(stalls, from, to), from, one));
            }
        }
        in_vain.sort_by_key(|(length, ..)| std::cmp::Reverse(*length));
        let sentence = |(length, from, one): &(Duration, Duration, &Waiting<'_>)| {
            format!(
                "stranger {} waited for {:.3} s from {:.3} s on while somebody compatible did, and was {:?}; {:?}",
                one.stranger,
                length.as_secs_f64(),
                from.as_secs_f64(),
                one.wait.ending,
                one.wait.wish
            )
        };
        self.in_vain = in_vain.first().map(|(length, ..)| *length).unwrap_or_default();
        self.late = in_vain.iter().filter(|(length, ..)| *length > Duration::from_secs(1)).count();
        self.longest = in_vain.iter().take(SHOWN).map(sentence).collect();
        self.overlooked =
            in_vain.iter().take_while(|(length, ..)| *length > self.allowed).map(sentence).collect();
        self.look_at_those_left(&waiting);
    }

    fn look_at_those_left(&mut self, waiting: &[Waiting<'_>]) {
        let left: Vec<_> = waiting.iter().filter(|one| one.wait.ending == Ending::LeftOver).collect();
        for (nth, one) in left.iter().enumerate() {
            for other in left.iter().skip(nth + 1).filter(|other| one.could_meet(other).is_some()) {
                let both = [one.stranger, other.stranger];
                self.overlooked.push(format!("strangers {both:?} are compatible and were both left over"));
            }
        }
    }
}

/// A wish in the pool.
struct Waiting<'a> {
    stranger: u32,
    wait: &'a Wait,
    from: Duration,
}

impl<'a> Waiting<'a> {
    fn of(diary: &'a Diary) -> impl Iterator<Item = Self> {
        let waiting = |wait: &'a Wait| Some(Self { stranger: diary.stranger, wait, from: wait.told? });
        diary.waits.iter().filter_map(waiting)
    }

    fn length(&self) -> Duration {
        self.wait.ended.saturating_sub(self.from)
    }

    /// From when to when both waited and each would do for the other.
    fn could_meet(&self, other: &Self) -> Option<(Duration, Duration)> {
        let (mine, theirs) = (&self.wait.wish, &other.wait.wish);
        if self.stranger == other.stranger || !mine.understands(theirs) {
            return None;
        }
        let mut from = self.from.max(other.from);
        if !mine.shares(theirs) {
            from = from.max(self.wait.asked + mine.widens_after()?);
            from = from.max(other.wait.asked + theirs.widens_after()?);
        }
        let to = self.wait.ended.min(other.wait.ended);
        (from < to).then_some((from, to))
    }
}

/// The longest time without a gap that these cover.
fn longest_stretch(times: impl Iterator<Item = (Duration, Duration)>) -> Option<(Duration, Duration)> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    let mut stretches: Vec<(Duration, Duration)> = Vec::new();
    for (from, to) in times {
        match stretches.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => stretches.push((from, to)),
        }
    }
    stretches.into_iter().max_by_key(|(from, to)| *to - *from)
}

/// For how long there were stalls from then to then.
fn within(stalls: &[Stall], from: Duration, to: Duration) -> Duration {
    let overlap = |stall: &Stall| stall.1.min(to).saturating_sub(stall.0.max(from));
    stalls.iter().map(overlap).sum()
}

/// What contradicts that these two were in a chat with each other.
fn mismatch((one, mine): (u32, &Chat), (other, theirs): (u32, &Chat)) -> Option<String> {
    let heard = |chat: &Chat, by: u32| chat.heard.is_none_or(|heard| heard == by);
    if one == other {
        Some(format!("told twice to {one}"))
    } else if !heard(mine, other) || !heard(theirs, one) {
        Some(format!("{one} heard {:?}, {other} heard {:?}", mine.heard, theirs.heard))
    } else if mine.initiator == theirs.initiator {
        Some(format!("{one} and {other} have the same part"))
    } else {
        None
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, what: &str, value: String| writeln!(f, "{what:<34} {value}");
        let list = |times: &[Duration]| {
            times.iter().fold(String::new(), |mut text, time| {
                // Writing into a text does not fail.
                let _ = write!(text, "{:.3} s  ", time.as_secs_f64());
                text
            })
        };
        row(f, "chats of two", self.pairs.to_string())?;
        row(f, "chats told to one (crossed cancel)", self.half.to_string())?;
        row(f, "wishes", format!("{:?}", self.endings))?;
        row(f, "refusals", format!("{:?}", self.refusals))?;
        row(f, "find to waiting: p99, max", list(&self.told))?;
        row(f, "waiting to matched: p50, p99, max", list(&self.waits))?;
        row(f, "max wait with a compatible one", list(&[self.in_vain]))?;
        row(f, "of these over 1 s", self.late.to_string())?;
        row(f, "the test itself stalled for", list(&[self.stalled]))?;
        row(f, "double pairings", self.doubles.len().to_string())?;
        row(f, &format!("waits in vain over {:?}", self.allowed), self.overlooked.len().to_string())?;
        row(f, "other oddities", self.oddities.len().to_string())?;
        self.longest.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::plan::Wish, *};

    const TIME: Duration = Duration::from_secs(200);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn wait(from: u64, to: u64, ending: Ending, wish: Wish) -> Wait {
        Wait { wish, asked: at(from), told: Some(at(from)), ended: at(to), ending }
    }

    fn chat(id: &str, from: u64, to: u64, initiator: bool) -> Chat {
        let (id, by) = (id.to_owned(), "you".to_owned());
        Chat { id, began: at(from), ended: at(to), by, initiator, heard: None }
    }

    /// Who waited, and how.
    fn waited(waits: impl IntoIterator<Item = Wait>) -> Verdict {
        let diaries = (1..).zip(waits).map(|(stranger, wait)| Diary {
            stranger,
            waits: vec![wait],
            ..Diary::default()
        });
        judge(&diaries.collect::<Vec<_>>(), TIME, &[])
    }

    /// The chats of each stranger.
    fn chatted<const N: usize>(chats: [Vec<Chat>; N]) -> Verdict {
        let diaries = (1..).zip(chats).map(|(stranger, chats)| Diary { stranger, chats, ..Diary::default() });
        judge(&diaries.collect::<Vec<_>>(), TIME, &[])
    }

    fn speaks(languages: &'static [&'static str]) -> Wish {
        Wish { languages, ..Wish::default() }
    }

    fn likes(interest: &'static str, patience: u64) -> Wish {
        Wish { interests: vec![interest], patience: at(patience), ..Wish::default() }
    }

    #[test]
    fn two_who_chat_with_each_other_one_after_the_other_are_fine() {
        let verdict = chatted([
            vec![chat("a", 0, 10, true), chat("b", 10, 20, true)],
            vec![chat("a", 0, 10, false), chat("b", 10, 20, false)],
        ]);
        assert_eq!((verdict.pairs, verdict.violations().len()), (2, 0));
    }

    #[test]
    fn two_chats_at_once_are_seen_and_chats_of_three_and_of_two_who_do_not_name_each_other() {
        let doubles = |verdict: Verdict| verdict.doubles.len();
        let at_once = [vec![chat("a", 0, 10, true), chat("b", 9, 20, true)], vec![chat("a", 0, 10, false)]];
        assert_eq!(doubles(chatted(at_once)), 1);
        let three = [true, false, false].map(|initiator| vec![chat("a", 0, 10, initiator)]);
        assert_eq!(doubles(chatted(three)), 1);
        let twice = [vec![chat("a", 0, 10, true), chat("a", 10, 20, false)]];
        assert_eq!(doubles(chatted(twice)), 1);
        let same_part = [vec![chat("a", 0, 10, true)], vec![chat("a", 0, 10, true)]];
        assert_eq!(doubles(chatted(same_part)), 1);
        let heard = |heard| Chat { heard: Some(heard), ..chat("a", 0, 10, true) };
        assert_eq!(doubles(chatted([vec![heard(2)], vec![chat("a", 0, 10, false)]])), 0);
        assert_eq!(doubles(chatted([vec![heard(3)], vec![chat("a", 0, 10, false)]])), 1);
        assert_eq!(doubles(chatted([vec![heard(2)]])), 1);
    }

    #[test]
    fn a_chat_that_only_one_was_told_of_needs_a_wish_that_was_taken_back() {
        let one = Diary { stranger: 1, chats: vec![chat("a", 0, 10, true)], ..Diary::default() };
        assert_eq!(judge(std::slice::from_ref(&one), TIME, &[]).oddities.len(), 1);
        let taken_back = vec![wait(0, 10, Ending::Cancelled, Wish::default())];
        let other = Diary { stranger: 2, waits: taken_back, ..Diary::default() };
        assert_eq!(judge(&[one, other], TIME, &[]).oddities.len(), 0);
    }

    #[test]
    fn a_wait_counts_from_when_both_would_do_for_each_other() {
        let in_vain = |one, other| {
            let waits = [wait(0, 9_000, Ending::Matched, one), wait(1_000, 8_000, Ending::Matched, other)];
            waited(waits).in_vain
        };
        assert_eq!(in_vain(Wish::default(), Wish::default()), at(7_000));
        assert_eq!(in_vain(speaks(&["de"]), speaks(&["en"])), at(0));
        assert_eq!(in_vain(speaks(&["de"]), speaks(&["en", "de"])), at(7_000));
        assert_eq!(in_vain(speaks(&["de"]), speaks(&[])), at(7_000));
        assert_eq!(in_vain(likes("tea", 3_000), likes("tea", 3_000)), at(7_000));
        assert_eq!(in_vain(likes("tea", 3_000), Wish::default()), at(5_000));
        assert_eq!(in_vain(likes("tea", 3_000), likes("chess", 4_000)), at(3_000));
        let only = Wish { only_interests: true, ..likes("tea", 0) };
        assert_eq!(in_vain(only, Wish::default()), at(0));
    }

    #[test]
    fn one_after_the_other_who_goes_before_one_who_stays_makes_one_long_wait() {
        let german = || speaks(&["de"]);
        let waits = [
            wait(0, 9_000, Ending::Matched, german()),
            wait(500, 4_000, Ending::Cancelled, german()),
            wait(3_500, 6_500, Ending::Cancelled, german()),
            wait(7_000, 9_000, Ending::Cancelled, german()),
        ];
        let verdict = waited(waits);
        assert_eq!((verdict.in_vain, verdict.overlooked.len(), verdict.late), (at(6_000), 1, 4));
    }

    #[test]
    fn who_is_left_over_is_overlooked_only_where_another_one_is_who_would_do() {
        let left = |wish| wait(0, 1_000, Ending::LeftOver, wish);
        let one_each = [speaks(&["de"]), speaks(&["en"])].map(left);
        assert!(waited(one_each).overlooked.is_empty());
        assert_eq!(waited([speaks(&["de"]), speaks(&["de"])].map(left)).overlooked.len(), 1);
    }

    #[test]
    fn a_time_in_which_the_test_did_not_run_does_not_count_and_where_there_are_many_more_is_allowed() {
        let diaries = [1, 2].map(|stranger| Diary {
            stranger,
            waits: vec![wait(0, 9_000, Ending::Matched, Wish::default())],
            ..Diary::default()
        });
        let judged = |stalls: &[Stall]| {
            let verdict = judge(&diaries, TIME, stalls);
            (verdict.in_vain, verdict.stalled, verdict.overlooked.len())
        };
        let stalls = [(at(1_000), at(4_000)), (at(8_500), at(11_000))];
        assert_eq!(judged(&stalls), (at(5_500), at(5_500), 2));
        assert_eq!(judged(&[(at(9_000), at(18_999))]), (at(9_000), at(9_999), 2));
        assert_eq!(judged(&[(at(9_000), at(19_000))]), (at(9_000), at(10_000), 0));
    }
}
