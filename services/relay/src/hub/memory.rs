//! How much memory transcripts take, and whose go first when it is too much.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::Entry;
use crate::chat::Room;

/// Bound of all transcripts together, in bytes.
pub(super) const MAX_TRANSCRIPTS: usize = 256 * 1024 * 1024;

/// What all transcripts take, and the ended chats in the order in which they ended.
pub(super) struct Memory {
    bound: usize,
    transcripts: AtomicUsize,
    ended: Mutex<VecDeque<Weak<Entry>>>,
}

impl Memory {
    /// Nothing yet, of `bound` bytes at most.
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, transcripts: AtomicUsize::new(0), ended: Mutex::default() }
    }

    /// Bytes of all transcripts.
    pub(super) fn transcripts(&self) -> usize {
        self.transcripts.load(Ordering::Relaxed)
    }

    /// A transcript grew or shrank.
    pub(super) fn resized(&self, from: usize, to: usize) {
        if to >= from {
            self.transcripts.fetch_add(to - from, Ordering::Relaxed);
        } else {
            self.transcripts.fetch_sub(from - to, Ordering::Relaxed);
        }
    }

    /// Whether ended chats have to give theirs up.
    pub(super) fn is_full(&self) -> bool {
        self.transcripts() > self.bound
    }

    /// Whether those of chats that go on may grow.
    pub(super) fn room(&self) -> Room {
        if self.is_full() { Room::Cramped } else { Room::Ample }
    }

    /// A chat has ended.
    pub(super) fn ended(&self, entry: &Arc<Entry>) {
        let mut ended = self.ended.lock();
        // What was forgotten since is in front.
        while ended.front().is_some_and(|entry| entry.strong_count() == 0) {
            ended.pop_front();
        }
        ended.push_back(Arc::downgrade(entry));
    }

    /// Takes out the one that ended first.
    pub(super) fn oldest_ended(&self) -> Option<Arc<Entry>> {
        let mut ended = self.ended.lock();
        while let Some(entry) = ended.pop_front() {
            if let Some(entry) = entry.upgrade() {
                return Some(entry);
            }
        }
        None
    }
}
