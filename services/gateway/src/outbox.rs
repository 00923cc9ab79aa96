//! What waits to be sent to one socket.
//!
//! Bounded: a client that doesn't keep up is closed and may resume, so it never slows its neighbours and can't make the
//! gateway grow. An empty outbox holds no buffer.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{close::Close, metrics::Depth};

/// Most frames that wait.
const MAX_FRAMES: usize = 256;
/// Most bytes that wait.
const MAX_BYTES: usize = 256 * 1024;

/// The queue between whoever has something for a client, and the task that owns its socket.
pub struct Outbox {
    queue: Mutex<Queue>,
    depth: Depth,
    wake: Notify,
    /// Its own signal, so that who waits for it takes none of the others away.
    overflow: Notify,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<String>,
    bytes: usize,
    close: Option<Close>,
}

impl Outbox {
    /// Empty. What waits in it is counted in `depth`.
    #[must_use]
    pub fn new(depth: Depth) -> Self {
        Self { queue: Mutex::default(), depth, wake: Notify::new(), overflow: Notify::new() }
    }

    /// Adds a frame. Nothing is added once the socket is to be closed.
    pub fn push(&self, frame: String) {
        let mut queue = self.queue.lock();
        if queue.close.is_some() {
            return;
        }
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        self.depth.add(1);
        if queue.frames.len() > MAX_FRAMES || queue.bytes > MAX_BYTES {
            self.depth.sub(queue.frames.len());
            queue.frames = VecDeque::new();
            queue.close = Some(Close::SlowConsumer);
            self.overflow.notify_one();
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Lets the socket be closed once what waits has been sent. The first reason counts.
    pub fn close(&self, close: Close) {
        self.queue.lock().close.get_or_insert(close);
        self.wake.notify_one();
    }

    /// Takes all that waits, and whether the socket is to be closed after it.
    pub fn take(&self) -> (VecDeque<String>, Option<Close>) {
        let mut queue = self.queue.lock();
        queue.bytes = 0;
        self.depth.sub(queue.frames.len());
        (std::mem::take(&mut queue.frames), queue.close)
    }

    /// Waits until the client was found not to keep up.
    pub async fn overflowed(&self) {
        while self.queue.lock().close != Some(Close::SlowConsumer) {
            self.overflow.notified().await;
        }
    }

    /// Waits until there may be something to take.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.depth.sub(self.queue.get_mut().frames.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_does_not_keep_up_is_closed_and_its_queue_dropped() {
        let outbox = Outbox::new(Depth::default());
        for _ in 0..MAX_FRAMES {
            outbox.push("x".into());
        }
        assert_eq!(outbox.take().1, None);
        for _ in 0..=MAX_FRAMES {
            outbox.push("x".into());
        }
        outbox.push("late".into());
        let (frames, close) = outbox.take();
        assert_eq!((frames.len(), close), (0, Some(Close::SlowConsumer)));
    }

    #[test]
    fn bytes_are_bounded_too_and_taking_makes_room() {
        let outbox = Outbox::new(Depth::default());
        let frame = "x".repeat(MAX_BYTES / 2);
        for _ in 0..4 {
            outbox.push(frame.clone());
            outbox.push(frame.clone());
            assert_eq!(outbox.take().0.len(), 2);
        }
        assert_eq!(outbox.take().1, None);
    }

    #[test]
    fn what_waits_goes_out_before_the_close_and_nothing_after_it() {
        let outbox = Outbox::new(Depth::default());
        outbox.push("last words".into());
        outbox.close(Close::Banned);
        outbox.close(Close::Restart);
        outbox.push("late".into());
        let (frames, close) = outbox.take();
        assert_eq!(frames, ["last words"]);
        assert_eq!(close, Some(Close::Banned));
    }

    #[tokio::test]
    async fn waiting_for_the_overflow_takes_no_other_wake_up_away() {
        let outbox = Outbox::new(Depth::default());
        {
            let overflowed = outbox.overflowed();
            tokio::pin!(overflowed);
            assert_eq!(futures_util::poll!(&mut overflowed), std::task::Poll::Pending);
            outbox.push("written while a write was under way".into());
            assert_eq!(futures_util::poll!(&mut overflowed), std::task::Poll::Pending);
        }
        outbox.changed().await;
        assert_eq!(outbox.take().0.len(), 1);
    }
}
