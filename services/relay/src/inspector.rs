//! The gate between chats and moderation: which texts are inspected, and what happens with those that can't be.
//!
//! A text gets a place in the queue before a chat passes it on, so that with [`Unmoderated::Hold`] none is ever passed on
//! without one. With `Hold`, a full queue shuts the gate until half of it is free.

use std::sync::atomic::{AtomicBool, Ordering};

use stroll_proto::v1::Said;
use tokio::sync::mpsc;

use crate::{chat::Watch, config::Unmoderated, metrics};

/// Most texts that wait for moderation.
const QUEUE: usize = 8 * 1024;

/// The chats' side of the queue.
pub(crate) struct Inspector {
    queue: mpsc::Sender<Said>,
    unmoderated: Unmoderated,
    /// Moderation's stream is there.
    connected: AtomicBool,
    /// The queue was full, and has not been half empty since. Only with `Hold`.
    overflowing: AtomicBool,
}

/// What happens with one text.
pub(crate) struct Admission<'a> {
    /// As a chat has to know it.
    pub(crate) watch: Watch,
    /// Its place in the queue, if it is inspected.
    pub(crate) place: Option<mpsc::Permit<'a, Said>>,
    /// Why it is not.
    pub(crate) why: Option<metrics::Unmoderated>,
}

impl Inspector {
    /// Shut, and the queue's other end.
    pub(crate) fn new(unmoderated: Unmoderated) -> (Self, mpsc::Receiver<Said>) {
        let (queue, texts) = mpsc::channel(QUEUE);
        let (connected, overflowing) = (AtomicBool::new(false), AtomicBool::new(false));
        (Self { queue, unmoderated, connected, overflowing }, texts)
    }

    /// Whether texts are inspected.
    pub(crate) fn is_open(&self) -> bool {
        self.connected.load(Ordering::SeqCst) && !self.overflowing.load(Ordering::SeqCst)
    }

    /// Decides on one text.
    pub(crate) fn admit(&self) -> Admission<'_> {
        if !self.is_open() {
            return self.refuse(metrics::Unmoderated::Unreachable);
        }
        match self.queue.try_reserve() {
            Ok(place) => Admission { watch: Watch::Inspecting, place: Some(place), why: None },
            Err(mpsc::error::TrySendError::Closed(())) => self.refuse(metrics::Unmoderated::Unreachable),
            Err(mpsc::error::TrySendError::Full(())) => {
                self.overflowing.store(self.unmoderated == Unmoderated::Hold, Ordering::SeqCst);
                self.refuse(metrics::Unmoderated::Overflow)
            }
        }
    }

    fn refuse(&self, why: metrics::Unmoderated) -> Admission<'_> {
        let watch = match self.unmoderated {
            Unmoderated::Pass => Watch::Passing,
            Unmoderated::Hold => Watch::Holding,
        };
        Admission { watch, place: None, why: Some(why) }
    }

    /// Moderation's stream came or went.
    pub(crate) fn set_connected(&self, state: Connected) {
        self.connected.store(state == Connected::Yes, Ordering::SeqCst);
    }

    /// Ends an overflow, if the queue is half empty again. Returns whether that opened the gate.
    pub(crate) fn recover(&self) -> bool {
        let has_room = self.queue.capacity() >= QUEUE / 2;
        has_room && self.overflowing.swap(false, Ordering::SeqCst) && self.is_open()
    }

    /// Texts that wait.
    pub(crate) fn waiting(&self) -> usize {
        QUEUE - self.queue.capacity()
    }
}

impl Admission<'_> {
    /// For what is no text.
    pub(crate) fn not_needed() -> Self {
        Self { watch: Watch::Inspecting, place: None, why: None }
    }
}

/// Whether moderation's stream is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connected {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(inspector: &Inspector) {
        while let Some(place) = inspector.admit().place {
            place.send(Said::default());
        }
    }

    #[test]
    fn without_moderation_the_setting_decides() {
        for (setting, watch) in [(Unmoderated::Pass, Watch::Passing), (Unmoderated::Hold, Watch::Holding)] {
            let (inspector, _texts) = Inspector::new(setting);
            assert_eq!(inspector.admit().watch, watch);
            inspector.set_connected(Connected::Yes);
            assert_eq!(inspector.admit().watch, Watch::Inspecting);
            inspector.set_connected(Connected::No);
            assert_eq!(inspector.admit().watch, watch);
        }
    }

    #[test]
    fn a_full_queue_lets_texts_pass_only_until_there_is_room() {
        let (inspector, mut texts) = Inspector::new(Unmoderated::Pass);
        inspector.set_connected(Connected::Yes);
        fill(&inspector);
        assert_eq!(inspector.waiting(), QUEUE);
        assert_eq!(inspector.admit().why, Some(metrics::Unmoderated::Overflow));
        texts.try_recv().expect("a text");
        assert_eq!(inspector.admit().watch, Watch::Inspecting);
    }

    #[test]
    fn a_full_queue_holds_texts_until_half_of_it_is_free() {
        let (inspector, mut texts) = Inspector::new(Unmoderated::Hold);
        inspector.set_connected(Connected::Yes);
        fill(&inspector);
        for _ in 1..QUEUE / 2 {
            texts.try_recv().expect("a text");
        }
        assert!(!inspector.recover());
        assert_eq!(inspector.admit().watch, Watch::Holding);
        texts.try_recv().expect("a text");
        assert!(inspector.recover());
        assert!(!inspector.recover());
        assert_eq!(inspector.admit().watch, Watch::Inspecting);
    }
}
