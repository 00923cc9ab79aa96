//! Somebody who says that they are under 18: "I'm 13", "14 f", "13/m/uk", "im in 8th grade".
//!
//! "I'm 13 minutes late" and "I'm 13 years older" are said too. So a number counts as an age only where the text then
//! ends, stops, or goes on with a word that follows an age.
//!
//! "People think I'm 15" and "I'm a 10" are no claims either. What can be both, such as "15 m" (metres, or a boy) and nothing
//! else, is told apart from what is clear.

use std::sync::LazyLock;

use regex::Regex;

use super::Rule;

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
        r"\bi(?:'m| ?am|m| just turned)\s+(?:(?:about|actually|almost|just|literally|only)\s+)*(an?\s+)?",
        r"(\d{1,2}|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)",
        r"(?:y/?o|m|f)?\b",
    ))
    .expect("a pattern")
});

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static AGE_AND_GENDER: LazyLock<Regex> = LazyLock::new(|| {
    // At the beginning of a line or after a greeting: 14f, 14 f, 14/f, 14, female, f/14, 14 yo girl.
    Regex::new(concat!(
        r"(?m)^\s*((?:(?:asl|hallo|hell?o+|he+y+a?|hi+(?:ya)?|hola|oi|ol[aá]|sup|yo)\b[ ,.!?:-]*)*)",
        r"(?:(?:m|f|male|female|boy|girl)\s?[\s/,]\s?(\d{1,2})\b",
        r"|(\d{1,2})\s?[/,]?\s?(?:(?:y/?o|y\.o\.?|years?[\s-]old|yrs?[\s-]old)\s)?(m|f|male|female|boy|girl)\b)",
    ))
    .expect("a pattern")
});

/// In front of "I'm 15", these show that somebody else says so, or that it was once, or is not so.
const NO_CLAIM_AFTER: &[&str] = &[
    "if",
    "imagine",
    "imagined",
    "like",
    "pretend",
    "pretended",
    "said",
    "say",
    "says",
    "since",
    "think",
    "thinking",
    "thinks",
    "thought",
    "til",
    "till",
    "until",
    "when",
    "wish",
];

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

/// Whether the writer of a folded text says that they are under 18, or may have said so.
pub(super) fn check(folded: &str) -> Option<Rule> {
    if claims(folded) || says_so(folded) {
        return Some(Rule::Minor);
    }
    age_and_gender(folded)
}

fn claims(text: &str) -> bool {
    CLAIM.captures_iter(text).any(|found| {
        let (Some(whole), Some(age)) = (found.get(0), found.get(2)) else { return false };
        let (before, rest) = (&text[..whole.start()], &text[whole.end()..]);
        let is_in_years = YEARS_OLD.is_match(rest);
        // "I'm a 10" is a mark.
        let is_mark = found.get(1).is_some() && !is_in_years;
        is_minors(age.as_str()) && !is_mark && (is_in_years || follows_age(rest)) && can_claim_after(before)
    })
}

fn says_so(text: &str) -> bool {
    SAYS_SO
        .find_iter(text)
        .any(|found| ends_there(&text[found.end()..]) && can_claim_after(&text[..found.start()]))
}

/// Whether what comes before "I'm 15" lets the writer mean it.
fn can_claim_after(before: &str) -> bool {
    let before = before.trim_end_matches(' ');
    let before = before.strip_suffix(" that").unwrap_or(before);
    let word = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    !NO_CLAIM_AFTER.contains(&word)
}

fn age_and_gender(text: &str) -> Option<Rule> {
    let told = AGE_AND_GENDER.captures_iter(text).filter_map(|found| {
        let age = found.get(2).or(found.get(3))?;
        let rest = &text[found.get(0)?.end()..];
        let greets = found.get(1).is_some_and(|greeting| !greeting.is_empty());
        let is_age = is_minors(age.as_str()) && follows_age(rest);
        // Metres are written like this, too.
        let may_be_metres = found.get(4).is_some_and(|gender| gender.as_str() == "m" && !greets)
            && ends_there(rest)
            && !found.get(0)?.as_str().contains(['/', ',', 'y']);
        is_age.then_some(if may_be_metres { Rule::MaybeMinor } else { Rule::Minor })
    });
    told.max()
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
    use super::{super::fold::fold, *};

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
            "hi 14f",
            "hey 14 f",
            "Hiii, 15 m",
            "hello! hi 16/f/us",
            "hey i'm 14",
            "f 13 u",
            "15 m looking",
            "17 years old boy",
            "i think so. i'm 15",
        ] {
            assert_eq!(check(&fold(text)), Some(Rule::Minor), "{text}");
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
            "when i turned 16 i got a car",
            "i turned 16 and moved",
            "I'm a 10",
            "i'm like a 9",
            "im a 10 lol",
            "people think i'm 15",
            "people think that i'm 15",
            "do you think i'm 12?",
            "i look like i'm 15",
            "i wish i'm 15 again. since i'm 16, no",
            "she said im a minor",
            "10 years old",
            "12 yo",
            "12 yo and still barks",
            "hi 21f",
            "hey 25 m",
            "hey 10 minutes ago",
            "hi 14",
        ] {
            assert_eq!(check(&fold(text)), None, "{text}");
        }
    }

    #[test]
    fn what_can_be_a_length_too_is_doubtful() {
        for text in ["15 m", "15m", "it is far\n12 m!"] {
            assert_eq!(check(&fold(text)), Some(Rule::MaybeMinor), "{text}");
        }
    }
}
