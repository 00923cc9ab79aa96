//! Words, by the list of the crate `rustrict`, which also sees through spelling that is meant to hide them.
//!
//! The list grades words by kind and severity. Strangers here are adults, and swearing is none of this service's business;
//! what counts is the severe end of what the list calls offensive (slurs, calls for murder) and of what it calls
//! sexual.
//!
//! The crate tries every letter that a digit or a sign may stand for, alone and in all combinations: a hundred digits with
//! blanks in between would keep it busy for many milliseconds, and would be found to be a slur in the end. So only short
//! runs of such characters are shown to it, as they stand inside of words.

use std::sync::LazyLock;

use regex::Regex;
use rustrict::{Censor, Type};

use super::{Budget, Rule, suspects};

/// How many characters are read between two looks at the time.
const STRIDE: usize = 8;
/// How many characters that are no letters may follow each other before they count as a blank.
const MAX_RUN: usize = 3;

/// What the list grades as severely offensive and is no slur here: also Brazilian laughter, which is any number of `k` and
/// may stand inside of a word, a country and its people, black things in Spanish and Portuguese, and cigarettes.
#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static ORDINARY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"\b(?:bastards?|fags?|gangbangs?|hoar|negras?|niger|nigeriens?|nigerians?|nigeria",
        r"|chinks? in (?:the|his|her|its|my|our|their|your) armou?r)\b",
        r"|k{3,}|\bk(?: k){2,}\b",
    ))
    .expect("a pattern")
});

/// The one thing that laughter must not hide.
#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static KLAN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bthe kkk\b|\bku[ -]?klux").expect("a pattern"));

/// The most serious kind of word in a folded text. Reads no further when the time is over.
pub(super) fn check(folded: &str, budget: &Budget<'_>) -> Option<Rule> {
    if KLAN.is_match(folded) {
        return Some(Rule::Hate);
    }
    let text = without_long_runs(&ORDINARY.replace_all(folded, " "));
    if !suspects::is_suspect(&text) {
        return None;
    }
    let in_time = text.chars().enumerate().take_while(|(at, _)| at % STRIDE != 0 || !budget.is_over());
    rule_for(Censor::new(in_time.map(|(_, character)| character)).analyze())
}

/// The text with each longer run of what is no letter as a single blank.
fn without_long_runs(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut run = 0;
    for character in text.chars() {
        run = if character.is_alphabetic() { 0 } else { run + 1 };
        if run <= MAX_RUN {
            short.push(character);
        } else if run == MAX_RUN + 1 {
            short.truncate(short.char_indices().nth_back(MAX_RUN - 1).map_or(0, |(start, _)| start));
            short.push(' ');
        }
    }
    short
}

fn rule_for(kind: Type) -> Option<Rule> {
    if kind.is(Type::OFFENSIVE & Type::SEVERE) {
        Some(Rule::Hate)
    } else if kind.is(Type::SEXUAL & Type::SEVERE) {
        Some(Rule::Sexual)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, time::Duration};

    use super::{super::fold::fold, *};

    #[test]
    fn only_the_severe_end_of_the_list_counts() {
        for (text, rule) in [
            ("hello, how are you?", None),
            ("damn, what the hell", None),
            ("this is shit", None),
            ("you old bastard", None),
            ("a chink in the armor", None),
            ("my class went to Scunthorpe to assess the grass", None),
            ("i'm gay", None),
            ("kkk", None),
            ("KKKKKKKKK que legal", None),
            ("k k k k", None),
            ("rsrskkkrs", None),
            ("haha kkkk you are from Nigeria?", None),
            ("i was in niger last year", None),
            ("a nigerian friend", None),
            ("a blusa negra e as calças negras", None),
            ("got any fags, mate? i need a fag", None),
            ("send nudes", Some(Rule::Sexual)),
            ("s.e.n.d n.u.d.e.s", Some(Rule::Sexual)),
            // A hate group's three letters stand for all that would have to be written out here.
            ("join the kkk", Some(Rule::Hate)),
            ("the Ku Klux Klan", Some(Rule::Hate)),
            ("kukluxklan", Some(Rule::Hate)),
            ("send nudes to the kkk", Some(Rule::Hate)),
        ] {
            assert_eq!(check(&fold(text), &Budget::unlimited()), rule, "{text}");
        }
    }

    #[test]
    fn numbers_are_no_words() {
        for text in
            ["1 2 3 4 5 6 7 8 9 0 ".repeat(100), "6-1-9-9-3-2 ".repeat(10), "(1)!(9)!(6)!|$@".repeat(10)]
        {
            assert_eq!(check(&text, &Budget::unlimited()), None, "{text}");
        }
        for (text, shown) in [
            ("n 1 c e", "n 1 c e"),
            ("call 0123 now", "call now"),
            ("12345", " "),
            ("s.e.e 👋👋👋👋 you", "s.e.e you"),
        ] {
            assert_eq!(without_long_runs(text), shown);
        }
    }

    #[test]
    fn a_severe_grade_is_needed_for_each_kind() {
        assert_eq!(rule_for(Type::OFFENSIVE & Type::SEVERE), Some(Rule::Hate));
        assert_eq!(rule_for(Type::SEXUAL & Type::SEVERE), Some(Rule::Sexual));
        assert_eq!(rule_for(Type::OFFENSIVE & Type::MODERATE), None);
        assert_eq!(rule_for(Type::SEXUAL & Type::MODERATE), None);
        assert_eq!(rule_for(Type::PROFANE | Type::MEAN | Type::SPAM), None);
    }

    #[test]
    fn reading_stops_when_the_time_is_over() {
        let text = format!("{}send nudes", "all is well and nobody minds. ".repeat(20));
        let asked = Cell::new(0);
        let elapsed = || {
            asked.set(asked.get() + 1);
            Duration::from_millis(asked.get())
        };
        assert_eq!(check(&text, &Budget::new(Duration::from_millis(3), &elapsed)), None);
        assert_eq!(asked.get(), 3);
    }
}
