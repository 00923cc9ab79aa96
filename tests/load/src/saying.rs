//! What strangers say: the text of a message, which tells where it came from and when it was due.
//!
//! Moderation takes digits for telephone numbers, so numbers are written in harmless words, each of which stands for four bits.

/// What each value of four bits is called. All have three letters.
const WORDS: [&str; 16] = [
    "sun", "sky", "fog", "map", "bee", "owl", "elm", "oak", "ivy", "fig", "jam", "rye", "log", "net", "van",
    "zoo",
];
/// Follows, as much of it as there is room for.
const FILLING: &str = "and how is the weather where you live ";
/// How many words each number has.
const DUE: usize = 9;
const SENDER: usize = 5;
const SEQ: usize = 6;
/// Each word and a blank.
const WORD: usize = 4;
/// The shortest text.
pub const SHORTEST: usize = (DUE + SENDER + SEQ) * WORD;

/// What a text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saying {
    /// When it was due, on the run's clock, in microseconds.
    pub due: u64,
    /// Who says it.
    pub sender: u64,
    /// Its number in the chat.
    pub seq: u64,
}

impl Saying {
    /// Appends the text, which has `size` bytes, or [`SHORTEST`] if that is more.
    pub fn write(&self, size: usize, out: &mut Vec<u8>) {
        let start = out.len();
        for (number, words) in [(self.due, DUE), (self.sender, SENDER), (self.seq, SEQ)] {
            for shift in (0..words).rev() {
                let nibble = (number >> (4 * shift)) & 15;
                out.extend_from_slice(WORDS[usize::try_from(nibble).unwrap_or_default()].as_bytes());
                out.push(b' ');
            }
        }
        let missing = (start + size).saturating_sub(out.len());
        out.extend(FILLING.bytes().cycle().take(missing));
    }

    /// Reads a text.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let mut words = text.chunks_exact(WORD);
        let mut number = |count: usize| {
            let mut number = 0;
            for _ in 0..count {
                number = number << 4 | nibble(words.next()?)?;
            }
            Some(number)
        };
        Some(Self { due: number(DUE)?, sender: number(SENDER)?, seq: number(SEQ)? })
    }
}

/// Three bytes tell the words apart; the blank may have become another byte on the way.
fn nibble(word: &[u8]) -> Option<u64> {
    let place = WORDS.iter().position(|known| known.as_bytes() == &word[..3])?;
    u64::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_size_and_tells_all() {
        for saying in [
            Saying { due: 0, sender: 0, seq: 1 },
            Saying { due: 0xf_edcb_a987, sender: 0xf_1234, seq: 0xab_cdef },
        ] {
            let mut text = b"before".to_vec();
            saying.write(100, &mut text);
            assert_eq!(text.len(), 106);
            assert_eq!(Saying::read(&text[6..]), Some(saying));
        }
        let mut short = Vec::new();
        Saying { due: 1, sender: 2, seq: 3 }.write(1, &mut short);
        assert_eq!(short.len(), SHORTEST);
    }

    #[test]
    fn a_text_has_nothing_that_json_or_a_form_would_escape_but_blanks() {
        let mut text = Vec::new();
        Saying { due: u64::MAX, sender: 5, seq: 7 }.write(300, &mut text);
        assert!(text.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b' '));
    }

    #[test]
    fn other_texts_tell_nothing() {
        for text in [
            "",
            "sun",
            "hello there, how is the weather where you live? i hope that it is good today, really",
        ] {
            assert_eq!(Saying::read(text.as_bytes()), None, "{text}");
        }
    }
}
