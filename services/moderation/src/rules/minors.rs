//! Somebody who says that they are under 18: "I'm 13", "14 f", "13/m/uk", "im in 8th grade".
//!
//! "I'm 13 minutes late" and "I'm 13 years older" are said too. So a number counts as an age only where the text then
//! ends, stops, or goes on with a word that follows an age.

use std::sync::LazyLock;

use regex::Regex;

/// Ages that somebody who can type tells, in years.
const AGES: std::ops::RangeInclusive<u8> = 8..=17;
const AGE_WORDS: [(&str, u8); 10] = [
    ("eight", 8),
    ("nine", 9),
    ("ten", 10),
    ("eleven", 11),
    ("twelve", 12),
    ("thirteen", 13),
    ("fourteen", 14),
    ("fifteen", 15),
    ("sixteen", 16),
    ("seventeen", 17),
];

/// Words that follow an age, or a gender behind it.
const AFTER_AGE: &[&str] = &[
    "and", "any", "asl", "bi", "boy", "btw", "but", "dude", "f", "female", "from", "gay", "gender", "girl",
    "guy", "haha", "hbu", "here", "hru", "how", "i", "i'm", "im", "kid", "lesbian", "lol", "looking", "m",
    "male", "mom", "my", "new", "nb", "single", "so", "u", "uk", "us", "usa", "wbu", "what", "who", "y",
    "ya", "you", "yours",
];

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static CLAIM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"\bi(?:'m| ?am|m| just turned| turned)\s+(?:(?:a|about|actually|almost|just|like|literally|only)\s+)*",
        r"(\d{1,2}|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)",
        r"(?:y/?o|m|f)?\b",
    ))
    .expect("a pattern")
});

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static AGE_AND_GENDER: LazyLock<Regex> = LazyLock::new(|| {
    // At the beginning of a line: 14f, 14 f, 14/f, 14, female, f/14, 14 yo girl.
    Regex::new(concat!(
        r"(?m)^\s*(?:(?:m|f|male|female|boy|girl)\s?[\s/,]\s?(\d{1,2})\b",
        r"|(\d{1,2})\s?[/,]?\s?(?:m|f|male|female|boy|girl|y/?o|years? old|yrs? old)\b)",
    ))
    .expect("a pattern")
});

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static YEARS_OLD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\s-]?(?:y/?o\b|y\.o\.?|y(?:ea)?rs?[\s-]old\b)").expect("a pattern"));

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static SAYS_SO: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"\bi(?:'m| am|m)\s(?:still\s)?(?:a minor|under ?age|under 18|not 18 yet|not yet 18)\b",
        r"|\bi(?:'m| am|m)\s(?:still\s)?in\s(?:the\s)?(?:[5-9]th grade|1[01]th grade|middle school|primary school)\b",
    ))
    .expect("a pattern")
});

/// Whether the writer of a folded text says that they are under 18.
pub(super) fn tells_age_under_18(folded: &str) -> bool {
    claims(folded)
        || gives_age_and_gender(folded)
        || SAYS_SO.find_iter(folded).any(|found| ends_there(&folded[found.end()..]))
}

fn claims(text: &str) -> bool {
    CLAIM.captures_iter(text).any(|found| {
        let (Some(whole), Some(age)) = (found.get(0), found.get(1)) else { return false };
        let rest = &text[whole.end()..];
        is_minors(age.as_str()) && (YEARS_OLD.is_match(rest) || follows_age(rest))
    })
}

fn gives_age_and_gender(text: &str) -> bool {
    AGE_AND_GENDER.captures_iter(text).any(|found| {
        let age = found.get(1).or(found.get(2));
        let rest = found.get(0).map_or("", |whole| &text[whole.end()..]);
        age.is_some_and(|age| is_minors(age.as_str())) && follows_age(rest)
    })
}

fn is_minors(age: &str) -> bool {
    let word = || AGE_WORDS.iter().find(|(word, _)| *word == age).map(|(_, age)| *age);
    age.parse().ok().or_else(word).is_some_and(|age| AGES.contains(&age))
}

/// Whether what comes after a number lets it be an age.
fn follows_age(rest: &str) -> bool {
    if ends_there(rest) {
        return true;
    }
    let rest = rest.trim_start_matches([' ', '/']);
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '\'').unwrap_or(rest.len());
    let (word, rest) = rest.split_at(end);
    // "13 m" can be metres, so what follows a single letter has to fit too.
    AFTER_AGE.contains(&word)
        && (word.len() > 1 || word == "i" || word == "u" || follows_age(rest))
        && !is_a_half(word, rest)
}

/// "15 and a half minutes".
fn is_a_half(word: &str, rest: &str) -> bool {
    word == "and" && rest.trim_start().starts_with("a ")
}

/// The text, the line or the sentence ends here. A dot or comma between digits is part of a number.
fn ends_there(rest: &str) -> bool {
    let mut characters = rest.trim_start_matches(' ').chars();
    match characters.next() {
        None | Some('\n' | '!' | '?' | ';' | ')' | '(') => true,
        Some('.' | ',') => !characters.next().is_some_and(|next| next.is_ascii_digit()),
        Some(first) => !first.is_ascii() && !first.is_alphanumeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fold::fold, tells_age_under_18};

    #[test]
    fn somebody_who_says_that_they_are_a_child_is_believed() {
        for text in [
            "I'm 13",
            "im 14 lol",
            "I am 15 years old",
            "i’m only 12, you?",
            "I'm 16 and you?",
            "im 16yo",
            "im 15m u",
            "i am a 15 year old girl",
            "I'm thirteen",
            "i just turned 14",
            "hi\n14 f",
            "14f",
            "14 F",
            "13 m here",
            "13/m/uk",
            "15, female",
            "f 14",
            "m/15",
            "17 yo girl",
            "I'm 14 😅",
            "I'm a minor",
            "im in 8th grade",
            "im under 18",
        ] {
            assert!(tells_age_under_18(&fold(text)), "{text}");
        }
    }

    #[test]
    fn adults_and_other_numbers_are_left_alone() {
        for text in [
            "I'm 18",
            "im 21 f",
            "25 m",
            "I am 40 years old",
            "I'm 13 minutes late",
            "I'm 15 min away",
            "I'm 13 years older than her",
            "I'm 10 years sober",
            "13 years ago",
            "when i was 13 i moved",
            "my 10 yo brother",
            "I'm 13 m away",
            "I'm 13m away",
            "15 f outside today",
            "I'm 13th in line",
            "I'm 10/10 happy",
            "I'm 15% done",
            "I'm 17:30 sharp",
            "I'm 9.5 tall",
            "I'm 15 and a half minutes late",
            "I'm 16 weeks pregnant",
            "are you 15?",
            "I'm eight minutes away",
            "m16",
            "the f-16",
            "14 females out of 20",
            "I'm a minor character in this story",
            "10 male lions",
        ] {
            assert!(!tells_age_under_18(&fold(text)), "{text}");
        }
    }
}
