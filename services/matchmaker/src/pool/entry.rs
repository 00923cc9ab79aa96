//! The name of an entry in a stream.

use std::{fmt, str::FromStr};

/// When an entry was added, in the store's milliseconds, and its number within that millisecond. Ids of a stream only rise;
/// the default one lies before all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Milliseconds since the Unix epoch, by the store's clock.
    pub ms: u64,
    /// From 0 within the millisecond.
    pub seq: u64,
}

/// Text that is no entry id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry id is two numbers with a dash between them")]
pub struct Malformed;

impl EntryId {
    /// The least id above this one.
    #[must_use]
    pub fn next(self) -> Self {
        match self.seq.checked_add(1) {
            Some(seq) => Self { ms: self.ms, seq },
            None => Self { ms: self.ms.saturating_add(1), seq: 0 },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl FromStr for EntryId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (ms, seq) = text.split_once('-').ok_or(Malformed)?;
        Ok(Self { ms: number(ms)?, seq: number(seq)? })
    }
}

/// Digits only: `parse` alone would also take a sign.
fn number(text: &str) -> Result<u64, Malformed> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed);
    }
    text.parse().map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_id_is_read_as_it_was_written_and_nothing_else_is() {
        let id = EntryId { ms: 1_700_000_000_000, seq: 7 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "-", "1", "1-", "-1", "+1-0", "1-0-0", "1-x", "99999999999999999999-0"] {
            assert_eq!(bad.parse::<EntryId>(), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn the_next_id_is_above_and_nothing_fits_between() {
        assert_eq!(EntryId { ms: 5, seq: 1 }.next(), EntryId { ms: 5, seq: 2 });
        assert_eq!(EntryId { ms: 5, seq: u64::MAX }.next(), EntryId { ms: 6, seq: 0 });
    }
}
