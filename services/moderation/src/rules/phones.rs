//! Telephone numbers: 7 to 15 digits (the most that ITU-T E.164 allows), grouped or not, that are not plainly something else.

use std::sync::LazyLock;

use regex::Regex;

const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// Digits in a row without a plus sign are a number only from here on, unless a word says so: shorter ones are amounts.
const DIGITS_IN_A_ROW: std::ops::RangeInclusive<usize> = 9..=13;

/// Lines that listen to people in need (USA, Germany), which strangers should be able to give each other.
const HELPLINES: &[&str] = &["18002738255", "8002738255", "08001110111", "08001110222"];

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static CANDIDATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\+?\(?\d(?:[ ().\-/]{0,3}\d){6,}").expect("a pattern"));

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static DATE: LazyLock<Regex> = LazyLock::new(|| {
    let patterns = [
        r"\b\d{4}([-/.])\d{1,2}[-/.]\d{1,2}\b",
        r"\b\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})\b",
        // With blanks only where it is hardly anything else.
        r"\b[0-3]?\d [0-3]?\d (?:19|20)\d{2}\b",
        r"\b(?:19|20)\d{2} [01]?\d [0-3]?\d\b",
    ];
    Regex::new(&patterns.join("|")).expect("a pattern")
});

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static TELEPHONE_WORD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(?:call|cell|dial|mobile|my number|number is|phone|sms|tel|text me|viber|wa|whats ?app)\b")
        .expect("a pattern")
});

/// Whether a folded text has a telephone number.
pub(super) fn has_number(folded: &str) -> bool {
    // Dates would join with what stands beside them, so they are taken out first.
    let text = DATE.replace_all(folded, "x");
    CANDIDATE.find_iter(&text).any(|found| {
        let before = text[..found.start()].chars().next_back();
        let after = text[found.end()..].chars().next();
        stands_alone(before, after) && is_number(found.as_str(), &text)
    })
}

/// Neither a part of a longer code, nor a price, a tag or a share.
fn stands_alone(before: Option<char>, after: Option<char>) -> bool {
    let binds = |character: char| character.is_alphanumeric() || "#$€£¥₹%_=*^".contains(character);
    !before.is_some_and(|before| binds(before) || before == '.') && !after.is_some_and(binds)
}

fn is_number(candidate: &str, text: &str) -> bool {
    let digits: String = candidate.chars().filter(char::is_ascii_digit).collect();
    let groups: Vec<&str> =
        candidate.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
    if !DIGITS.contains(&digits.len()) || is_counting(&digits) || HELPLINES.contains(&digits.as_str()) {
        return false;
    }
    if candidate.starts_with('+') {
        return true;
    }
    match groups.as_slice() {
        [row] => is_row(row, text),
        // "1200-1400", "1920/1080".
        [one, other] if one.len() == other.len() && one.len() <= 4 => TELEPHONE_WORD.is_match(text),
        _ => is_grouped_like_a_number(candidate, &groups),
    }
}

/// All the same, or going up or down by one: typed for fun.
fn is_counting(digits: &str) -> bool {
    let steps = digits.as_bytes().windows(2).map(|pair| (10 + pair[1] - pair[0]) % 10);
    let mut steps = steps.collect::<Vec<_>>();
    steps.dedup();
    matches!(steps.as_slice(), [0 | 1 | 9])
}

fn is_row(row: &str, text: &str) -> bool {
    if TELEPHONE_WORD.is_match(text) {
        return true;
    }
    DIGITS_IN_A_ROW.contains(&row.len()) && !row.ends_with("000")
}

fn is_grouped_like_a_number(candidate: &str, groups: &[&str]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let all = |length: usize| lengths.iter().all(|other| *other == length);
    // Digit by digit, or in pairs as in France, or with one group that is no score, age or pair of dice.
    let has_shape = (all(1) && is_evenly_spaced(candidate))
        || (all(2) && groups[0].starts_with('0'))
        || lengths.iter().any(|length| *length > 2);
    has_shape && !is_something_else(candidate, groups, &lengths)
}

/// "3-0 2-1" are scores.
fn is_evenly_spaced(candidate: &str) -> bool {
    let mut between = candidate.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty());
    let first = between.next();
    between.all(|part| Some(part) == first)
}

fn is_something_else(candidate: &str, groups: &[&str], lengths: &[usize]) -> bool {
    let dotted = candidate.chars().all(|c| c.is_ascii_digit() || c == '.');
    let years =
        groups.iter().all(|group| group.len() == 4 && (group.starts_with("19") || group.starts_with("20")));
    let thousands = lengths[0] <= 3 && lengths[1..].iter().all(|length| *length == 3);
    let decimal = dotted && groups.len() == 2;
    let address = dotted && groups.len() == 4 && groups.iter().all(|group| group.parse::<u8>().is_ok());
    let postal_code = lengths == [5, 4];
    let book = matches!(groups[0], "978" | "979") && lengths.iter().sum::<usize>() == 13;
    years
        || (thousands && (dotted || groups.last() == Some(&"000")))
        || decimal
        || address
        || postal_code
        || book
}

#[cfg(test)]
mod tests {
    use super::{super::fold::fold, has_number};

    #[test]
    fn telephone_numbers_are_found() {
        for text in [
            "+44 20 7946 0958",
            "+15005550006",
            "call 5550123",
            "(212) 555-0123",
            "212-555-0123",
            "212.555.0123",
            "2125550123",
            "my number is 555-0123",
            "06 12 34 56 78",
            "00 49 30 901820",
            "0171/5550123",
            "0 7 7 0 0 9 0 0 1 2 3",
            "٠١٢٣٤٥٥٥١٢٣",
            "1\u{fe0f}\u{20e3} 555 0123 456",
            "whatsapp me 5550199 ok",
            "call 9123 4567",
            "+4791234567",
            "0-7-7-0-0-9-0-0-1-2-3",
        ] {
            assert!(has_number(&fold(text)), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_not_telephone_numbers() {
        for text in [
            "i have 2 cats",
            "born 15.01.2001",
            "on 2024-01-15 10 of us",
            "2024-01-15 2024-01-16",
            "1914-1918 and 1939-1945",
            "2019 2020 2021",
            "it costs $1500000",
            "1,000,000 views",
            "1.000.000 views",
            "10 000 000 people",
            "10000000",
            "3.14159265",
            "127.0.0.1 and 192.168.100.100",
            "1234567890",
            "9876543210",
            "111 1111",
            "1 2 3 4 5 6 7 8",
            "4 8 15 16 23 42",
            "21-15 21-19 15-11",
            "90210-1234",
            "978-3-16-148410-0",
            "order AB1234567890",
            "#123456789",
            "1048576",
            "4111 1111 1111 1111 1",
            "call 1-800-273-8255, they listen",
            "24/7",
            "10:30:15",
            "1200-1400 elo",
            "1500-2000 calories",
            "1920/1080",
            "15 01 2001",
            "2001 01 15",
            "3-0 2-1 1-1 2-0",
        ] {
            assert!(!has_number(&fold(text)), "{text}");
        }
    }
}
