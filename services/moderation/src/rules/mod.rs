//! What moderation looks for in a text. Pure: a text goes in, and which rule it breaks comes out.
//!
//! The rules are coarse. They know patterns, not meaning: each has cases that it misses and cases that it takes for
//! something else, and the tables of their tests show where the lines were drawn. That is why most of them begin with a
//! friendly word, see [`strikes`].
//!
//! - `minors`: somebody says that they are under 18.
//! - `words`: slurs and worse, and severe sexual words, by the list of the crate `rustrict`.
//! - `links`: links to anywhere but a few places that are not worth spamming, also written so as not to look like one.
//! - `phones`: telephone numbers.
//!
//! Invariant: the work for a text is bounded. At most [`MAX_CHARS`] characters and [`MAX_BYTES`] bytes of it are looked at, every
//! pattern is matched in linear time, and the words, of which made-up texts can make much work, are read only for as long
//! as the time [`Budget`] lasts.

mod budget;
mod fold;
mod links;
mod minors;
mod phones;
pub mod strikes;
mod suspects;
mod words;

pub use budget::Budget;

/// How much of a text is looked at, in characters: what a client may send as one message.
pub const MAX_CHARS: usize = 2_000;
/// How much of a text is looked at, in bytes.
pub const MAX_BYTES: usize = 8 * 1024;

/// What a text can break, the least serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Severe sexual words.
    Sexual,
    /// A telephone number.
    PhoneNumber,
    /// A link.
    SpamLink,
    /// Slurs, and calls for murder.
    Hate,
    /// The sender may have said that they are a child.
    MaybeMinor,
    /// The sender says that they are a child.
    Minor,
}

impl Rule {
    /// As verdicts, metrics and the log of decisions call it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Sexual => "sexual",
            Self::PhoneNumber => "phone_number",
            Self::SpamLink => "spam_link",
            Self::Hate => "hate",
            Self::MaybeMinor | Self::Minor => "minor",
        }
    }

    /// As the one who is banned for it is told: one of the protocol's reasons where there is one.
    #[must_use]
    pub fn ban_reason(self) -> &'static str {
        match self {
            Self::Sexual => "sexual",
            Self::PhoneNumber | Self::SpamLink => "spam",
            Self::Hate => "hate",
            Self::MaybeMinor | Self::Minor => "minor",
        }
    }

    /// Whether a ban for it holds for the sender's address too. Lists of words are wrong too often to have others pay.
    #[must_use]
    pub fn bans_address(self) -> bool {
        match self {
            Self::Sexual | Self::Hate => false,
            Self::PhoneNumber | Self::SpamLink | Self::MaybeMinor | Self::Minor => true,
        }
    }
}

/// How much of a text was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it, by every rule.
    Whole,
    /// Its beginning only: it is longer than the cap.
    Capped,
    /// Not to the end for words: the time was over.
    OutOfTime,
}

/// What came of looking at a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The most serious rule that it breaks.
    pub hit: Option<Rule>,
    /// How much was looked at.
    pub extent: Extent,
}

/// Looks at a text for as long as `budget` allows.
#[must_use]
pub fn inspect(text: &str, budget: &Budget<'_>) -> Inspection {
    let capped = cap(text);
    let folded = fold::fold(capped);
    let patterns = [
        minors::check(&folded),
        links::has_link(&folded).then_some(Rule::SpamLink),
        phones::has_number(&folded).then_some(Rule::PhoneNumber),
    ];
    // Last, so that little time still finds most.
    let hit = words::check(&folded, budget).max(patterns.into_iter().max().flatten());
    let extent = match (budget.is_over(), capped.len() < text.len()) {
        (true, _) => Extent::OutOfTime,
        (false, true) => Extent::Capped,
        (false, false) => Extent::Whole,
    };
    Inspection { hit, extent }
}

/// Makes ready what the rules build at their first use, so that no text pays for it with its time.
pub fn warm_up() {
    let unlimited = Budget::unlimited();
    // The first is plain, the second is not.
    for text in ["warm up", "warm up at example.com, 555 0123"] {
        let _ = inspect(text, &unlimited);
    }
}

fn cap(text: &str) -> &str {
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    text.char_indices().nth(MAX_CHARS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
