//! Whether a text can hold a severe word at all, by letters alone: the crate that knows takes its time for each letter, and nearly every
//! text is innocent.
//!
//! Only for plain text, of small letters of ASCII, blanks and the commonest marks; any other is always suspect. In plain text the
//! crate may skip marks and blanks, may skip a letter that repeats the one before, and takes some letters for others, those that
//! [`folded`] makes equal. So a severe word is found only where the text's letters have the word's, each at least as often in a row.
//!
//! The words are those of the crate's own list, which the build script reads.

use std::sync::LazyLock;

use regex::Regex;

/// One per line.
const SEVERE: &str = include_str!(concat!(env!("OUT_DIR"), "/severe_words.txt"));

#[expect(clippy::expect_used, reason = "letters and counts, which the tests compile")]
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    let patterns: Vec<String> = SEVERE.lines().filter_map(pattern).collect();
    Regex::new(&patterns.join("|")).expect("a pattern")
});

/// Whether a folded text may hold a severe word.
pub(super) fn is_suspect(text: &str) -> bool {
    let mut letters = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            // It stands for five others.
            b'x' => return true,
            b'a'..=b'z' => letters.push(folded(byte).into()),
            _ if is_mark(byte) => {}
            _ => return true,
        }
    }
    WORDS.is_match(&letters)
}

/// Marks that stand for no letter.
fn is_mark(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'.' | b',' | b'?' | b':' | b';' | b'-' | b'\'' | b'"')
}

/// One for all those that are taken for each other.
fn folded(letter: u8) -> u8 {
    match letter {
        b'j' | b'l' => b'i',
        b'k' => b'c',
        b'q' => b'o',
        b'v' => b'u',
        b'z' => b's',
        letter => letter,
    }
}

/// What a text's folded letters have where it holds the word: each at least as often in a row. None if plain text can't hold it.
fn pattern(word: &str) -> Option<String> {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    for byte in word.to_ascii_lowercase().bytes() {
        match byte {
            // Of plain text's letters only itself stands for it.
            b'x' => return None,
            b'a'..=b'z' => match runs.last_mut() {
                Some((letter, times)) if *letter == folded(byte) => *times += 1,
                _ => runs.push((folded(byte), 1)),
            },
            _ if is_mark(byte) => {}
            _ => return None,
        }
    }
    Some(runs.iter().map(|(letter, times)| format!("{}{{{times},}}", char::from(*letter))).collect())
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};
    use rustrict::{Censor, Type};

    use super::*;

    fn is_severe(text: &str) -> bool {
        let kind = Censor::new(text.chars()).analyze();
        kind.is(Type::OFFENSIVE & Type::SEVERE) || kind.is(Type::SEXUAL & Type::SEVERE)
    }

    #[test]
    fn the_list_is_the_crates() {
        assert!(SEVERE.lines().count() > 100);
        assert!(SEVERE.lines().filter_map(pattern).all(|pattern| !pattern.is_empty()));
        let alone = SEVERE.lines().filter(|word| is_severe(word));
        assert!(alone.clone().count() > SEVERE.lines().count() / 2);
        for word in alone {
            assert!(is_suspect(word), "{word}");
        }
    }

    #[test]
    fn usual_texts_are_not_suspect() {
        for text in [
            "hi",
            "hello, how are you?",
            "where are you from",
            "i\'m a teacher. what do you do for work?",
            "my cat sleeps all day, then wants to play at four in the morning",
            "the book that i read last week was great, do you like to read?",
        ] {
            assert!(!is_suspect(text), "{text}");
        }
        for text in ["hello!", "that is 4 me", "HELLO", "schön", "next"] {
            assert!(is_suspect(text), "not plain: {text}");
        }
    }

    /// A severe word, spelled so that the crate may still see it.
    fn spelled() -> impl Strategy<Value = String> {
        let words: Vec<&str> = SEVERE.lines().collect();
        let between = select(vec!["", "", "", "", "", " ", ".", "-", "\'", ", ", "..", "\"", "\n", ":"]);
        let letter = (0..4_usize, 1..4_usize, between);
        (select(words), prop::collection::vec(letter, 40)).prop_map(|(word, how)| {
            let spell = |(letter, (other, times, between)): (char, &(usize, usize, &str))| {
                let like: &[char] = match letter {
                    'i' => &['i', 'l', 'j', 'x'],
                    'l' => &['l', 'i', 'l', 'i'],
                    'c' => &['c', 'k', 'c', 'x'],
                    'u' => &['u', 'v', 'u', 'x'],
                    'v' => &['v', 'u', 'v', 'u'],
                    'o' | 'q' => &['o', 'o', 'q', 'o'],
                    's' => &['s', 's', 'z', 's'],
                    'e' => &['e', 'e', 'e', 'x'],
                    _ => &[],
                };
                let letter = like.get(*other).copied().unwrap_or(letter);
                format!("{}{between}", letter.to_string().repeat(*times))
            };
            word.chars().zip(how.iter().cycle()).map(spell).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn whatever_the_crate_finds_severe_is_suspect(
            before in "[a-z ]{0,6}", spelled in spelled(), after in "[a-z ]{0,6}",
        ) {
            let text = format!("{before}{spelled}{after}");
            prop_assert!(!is_severe(&text) || is_suspect(&text), "{}", text);
        }

        #[test]
        fn nor_is_anything_missed_in_letters_at_random(text in "[abcdefgiklmnorstuz .\'-]{0,60}") {
            prop_assert!(!is_severe(&text) || is_suspect(&text), "{}", text);
        }
    }
}
