//! A message that tells by itself where it belongs.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Braille patterns: a character for each byte, and nothing that moderation could take for a word or a number.
const FIRST: u32 = 0x2800;
const HASH: usize = 8;
const LENGTH: usize = 16 + HASH;

/// Stands for a chat's id: the beginning of its hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChatTag([u8; 8]);

/// What a stranger says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Saying {
    /// In which chat.
    pub chat: ChatTag,
    /// Who says it.
    pub sender: u32,
    /// The sender's own count in this chat, from 1. Made by the stranger, not by its client: it shows whether the client's numbers are right.
    pub number: u32,
}

impl ChatTag {
    /// Of the chat with this id.
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self(first(&Sha256::digest(id)))
    }
}

impl fmt::Debug for ChatTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Saying {
    /// As it is said.
    #[must_use]
    pub fn text(&self) -> String {
        let content = self.content();
        content.into_iter().chain(hash(&content)).map(character).collect()
    }

    /// From what was heard; none if that is not what anybody said.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: Vec<u8> = text.chars().map(byte).collect::<Option<_>>()?;
        let bytes: [u8; LENGTH] = bytes.try_into().ok()?;
        let content: [u8; 16] = first(&bytes);
        let saying = Self {
            chat: ChatTag(first(&content)),
            sender: u32::from_be_bytes(first(&content[8..])),
            number: u32::from_be_bytes(first(&content[12..])),
        };
        (bytes[16..] == hash(&content)).then_some(saying)
    }

    fn content(&self) -> [u8; 16] {
        let mut content = [0; 16];
        content[..8].copy_from_slice(&self.chat.0);
        content[8..12].copy_from_slice(&self.sender.to_be_bytes());
        content[12..].copy_from_slice(&self.number.to_be_bytes());
        content
    }
}

fn hash(content: &[u8]) -> [u8; HASH] {
    first(&Sha256::digest(content))
}

/// The first bytes.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes[..N].try_into().expect("there are as many")
}

fn character(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).expect("a braille pattern")
}

fn byte(character: char) -> Option<u8> {
    u8::try_from(u32::from(character).checked_sub(FIRST)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAYING: Saying = Saying { chat: ChatTag([7; 8]), sender: 3, number: 1_000 };

    #[test]
    fn what_is_said_can_be_read_again() {
        assert_eq!(Saying::parse(&SAYING.text()), Some(SAYING));
        assert_eq!(SAYING.text().chars().count(), LENGTH);
        assert_ne!(ChatTag::of("a"), ChatTag::of("b"));
    }

    #[test]
    fn what_was_changed_on_the_way_is_not_taken_for_anything_else() {
        let text: Vec<char> = SAYING.text().chars().collect();
        for position in 0..text.len() {
            let mut changed = text.clone();
            changed[position] = if changed[position] == '\u{2801}' { '\u{2802}' } else { '\u{2801}' };
            assert_eq!(Saying::parse(&changed.iter().collect::<String>()), None, "at {position}");
        }
        let text: String = text.into_iter().collect();
        for bad in ["", "hello", &text[3..], &format!("{text}{text}"), &format!("{text}!")] {
            assert_eq!(Saying::parse(bad), None, "{bad}");
        }
    }
}
