//! What a session remembers of others: whom it met lately, and whom it never wants to meet again.
//!
//! It is kept here while the session lives at this gateway, and in the session token, which a client shows wherever it
//! connects next. Others are known by aliases only; Debug shows how many, not who. Invariant: each alias is there once in each of
//! the two, and their lengths are bounded.

use std::{collections::VecDeque, fmt};

use chassis::id::{Alias, SessionId};

use super::Waited;

/// How many strangers are remembered as met. As many as a ticket may name.
const MAX_MET: usize = 8;
/// For how long after the chat, in milliseconds.
const MET_LATELY_MS: u64 = 10 * 60_000;
/// How many are remembered as blocked.
const MAX_BLOCKED: usize = 128;

/// What a session token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who it is.
    pub session: SessionId,
    /// Whether it has said to be of age and accepted the terms.
    pub consent: bool,
    /// Whom it remembers.
    pub memory: Memory,
    /// What it waits for, or did when it was lost.
    pub waited: Option<Waited>,
}

/// Whom a session remembers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// By the end of the chat, oldest first.
    met: VecDeque<Met>,
    /// Oldest first, as far as that is known.
    blocked: VecDeque<Alias>,
}

/// A stranger with whom a chat is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    /// Who.
    pub stranger: Alias,
    /// When the chat ended, in milliseconds since the Unix epoch.
    pub ended_ms: u64,
}

impl Memory {
    /// From what a token says.
    #[must_use]
    pub fn new(met: impl IntoIterator<Item = Met>, blocked: impl IntoIterator<Item = Alias>) -> Self {
        let mut memory = Self::default();
        met.into_iter().for_each(|met| memory.remember(met));
        blocked.into_iter().for_each(|stranger| memory.block(stranger));
        memory
    }

    /// A chat with a stranger is over.
    pub fn remember(&mut self, met: Met) {
        let known = self.met.iter().find(|other| other.stranger == met.stranger);
        let ended_ms = known.map_or(met.ended_ms, |known| known.ended_ms.max(met.ended_ms));
        self.met.retain(|other| other.stranger != met.stranger);
        let at = self.met.partition_point(|other| other.ended_ms <= ended_ms);
        self.met.insert(at, Met { ended_ms, ..met });
        if self.met.len() > MAX_MET {
            self.met.pop_front();
        }
    }

    /// A stranger is never to be met again.
    pub fn block(&mut self, stranger: Alias) {
        if self.blocked.contains(&stranger) {
            return;
        }
        self.blocked.push_back(stranger);
        if self.blocked.len() > MAX_BLOCKED {
            self.blocked.pop_front();
        }
    }

    /// Takes over what is remembered elsewhere.
    pub fn merge(&mut self, other: Self) {
        other.met.into_iter().for_each(|met| self.remember(met));
        other.blocked.into_iter().for_each(|stranger| self.block(stranger));
    }

    /// Those whom it was with in the last ten minutes, oldest first.
    pub fn met_lately(&self, now_ms: u64) -> impl Iterator<Item = Met> {
        self.met.iter().copied().filter(move |met| now_ms < met.ended_ms.saturating_add(MET_LATELY_MS))
    }

    /// All whom it blocked, oldest first.
    pub fn blocked(&self) -> impl Iterator<Item = Alias> {
        self.blocked.iter().copied()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("met", &self.met.len()).field("blocked", &self.blocked.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(stranger: u64, ended_ms: u64) -> Met {
        Met { stranger: Alias(stranger), ended_ms }
    }

    fn lately(memory: &Memory, now_ms: u64) -> Vec<u64> {
        memory.met_lately(now_ms).map(|met| met.stranger.0).collect()
    }

    fn blocked(memory: &Memory) -> Vec<u64> {
        memory.blocked().map(|stranger| stranger.0).collect()
    }

    #[test]
    fn the_last_eight_are_remembered_for_ten_minutes() {
        let mut memory = Memory::default();
        for stranger in 1..=10 {
            memory.remember(met(stranger, stranger));
        }
        assert_eq!(lately(&memory, 10), [3, 4, 5, 6, 7, 8, 9, 10]);
        memory.remember(met(4, 20));
        assert_eq!(lately(&memory, 20), [3, 5, 6, 7, 8, 9, 10, 4], "each once, by the last chat");
        assert_eq!(lately(&memory, MET_LATELY_MS + 10), [4]);
        assert_eq!(lately(&memory, MET_LATELY_MS + 20), [0; 0]);
    }

    #[test]
    fn blocks_are_remembered_for_good_up_to_a_bound() {
        let mut memory = Memory::default();
        for stranger in 0..130 {
            memory.block(Alias(stranger));
            memory.block(Alias(stranger));
        }
        assert_eq!(blocked(&memory), (2..130).collect::<Vec<_>>());
    }

    #[test]
    fn what_two_gateways_remember_is_put_together() {
        let mut here = Memory::new([met(1, 10), met(2, 30)], [Alias(7)]);
        here.merge(Memory::new([met(3, 20), met(1, 40), met(2, 5)], [Alias(8), Alias(7)]));
        assert_eq!(lately(&here, 40), [3, 2, 1]);
        assert_eq!(blocked(&here), [7, 8]);
        let once = here.clone();
        here.merge(once.clone());
        assert_eq!(here, once);
        assert_eq!(format!("{here:?}"), "Memory { met: 3, blocked: 2 }");
    }
}
