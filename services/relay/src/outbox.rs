//! The bounded queue of frames to one gateway.
//!
//! Chats put frames in while they hold their lock, so that the order of a chat's frames is the order of its events; putting in
//! never waits. The gateway's response stream takes them out in batches. A gateway that lets its queue run full is cut off:
//! what it did not take is dropped, and its stream ends.
//!
//! Bytes are the bound, and each frame has a least size. So there is room for a frame to every seat that one gateway may
//! have here, which is what comes at once when another gateway dies.

use std::{
    collections::VecDeque,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use stroll_proto::v1::{ConnectResponse, RelayFrame, relay_frame::Body};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Most bytes that wait for one gateway: 131,072 of the smallest frames.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Most frames of one batch.
const BATCH_FRAMES: usize = 512;
/// A batch is closed by the frame that reaches this many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// What a frame counts besides its text or data.
const FRAME_BYTES: usize = 64;

/// Frames to one gateway's stream.
pub(crate) struct Outbox {
    /// The stream's number; never used twice in a relay's life.
    pub(crate) stream: u64,
    queue: Mutex<Queue>,
    ready: Notify,
    /// Fires when nothing goes out any more.
    over: CancellationToken,
    /// Frames that wait in all outboxes.
    waiting: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<RelayFrame>,
    bytes: usize,
    end: Option<End>,
}

/// Why an outbox takes no more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The gateway ended its side, or is gone.
    Gone,
    /// The gateway did not say who it is.
    Unnamed,
    /// The gateway did not keep up.
    TooSlow,
    /// The relay stops.
    Stopping,
}

impl Outbox {
    pub(crate) fn new(stream: u64, waiting: Arc<AtomicUsize>) -> Self {
        let over = CancellationToken::new();
        Self { stream, queue: Mutex::default(), ready: Notify::new(), over, waiting }
    }

    /// Puts a frame in. Typing is dropped when the queue is half full; with any other frame too many the gateway is cut off.
    pub(crate) fn push(&self, frame: RelayFrame) {
        let mut queue = self.queue.lock();
        if queue.end.is_some() || (queue.is_under_pressure() && is_droppable(&frame)) {
            return;
        }
        queue.bytes += size(&frame);
        queue.frames.push_back(frame);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if queue.bytes > MAX_BYTES {
            self.drop_all(&mut queue);
            queue.end = Some(End::TooSlow);
            self.over.cancel();
        }
        // Whoever takes frames out takes all there are, so one call for the first of them is enough.
        if queue.frames.len() <= 1 {
            self.ready.notify_one();
        }
    }

    /// The next frames, as many as a batch may have. Waits for the first; nothing when the outbox has ended and is empty. Frames that
    /// are not taken because the call is dropped stay.
    pub(crate) async fn next_batch(&self) -> Result<ConnectResponse, End> {
        loop {
            match self.take_batch() {
                Ok(frames) if frames.is_empty() => {
                    self.ready.notified().await;
                    // What is ready to run goes first, and what it has to say goes out in the same response.
                    tokio::task::yield_now().await;
                }
                Ok(frames) => return Ok(ConnectResponse { frames }),
                Err(end) => return Err(end),
            }
        }
    }

    /// Takes no more frames; what is there still goes out, unless nobody is left to take it.
    pub(crate) fn end(&self, end: End) {
        let mut queue = self.queue.lock();
        if end == End::Gone {
            self.drop_all(&mut queue);
            self.over.cancel();
        }
        queue.end.get_or_insert(end);
        self.ready.notify_one();
    }

    /// Why it ended, if it has.
    pub(crate) fn ended(&self) -> Option<End> {
        self.queue.lock().end
    }

    /// Waits until the gateway is gone or cut off.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    fn take_batch(&self) -> Result<Vec<RelayFrame>, End> {
        let mut queue = self.queue.lock();
        let count = queue.batch_len();
        if let (0, Some(end)) = (count, queue.end) {
            return Err(end);
        }
        let frames: Vec<_> = queue.frames.drain(..count).collect();
        queue.bytes -= frames.iter().map(size).sum::<usize>();
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        Ok(frames)
    }

    fn drop_all(&self, queue: &mut Queue) {
        self.waiting.fetch_sub(queue.frames.len(), Ordering::Relaxed);
        queue.frames = VecDeque::new();
        queue.bytes = 0;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.queue.lock().frames.len(), Ordering::Relaxed);
    }
}

impl Queue {
    fn is_under_pressure(&self) -> bool {
        self.bytes > MAX_BYTES / 2
    }

    fn batch_len(&self) -> usize {
        let mut bytes = 0;
        let mut fits = |frame: &&RelayFrame| {
            let first_or_below = bytes < BATCH_BYTES;
            bytes += size(frame);
            first_or_below
        };
        self.frames.iter().take(BATCH_FRAMES).take_while(|frame| fits(frame)).count()
    }
}

fn is_droppable(frame: &RelayFrame) -> bool {
    matches!(frame.body, Some(Body::Typing(_)))
}

fn size(frame: &RelayFrame) -> usize {
    let content = match &frame.body {
        Some(Body::Message(message)) => message.text.len(),
        Some(Body::Signal(signal)) => signal.data.len(),
        Some(Body::Notice(notice)) => notice.code.len() + notice.text.len(),
        Some(Body::Ended(ended)) => ended.reason.len(),
        Some(Body::Reported(reported)) => reported.case.len(),
        Some(
            Body::Started(_)
            | Body::Refused(_)
            | Body::Ack(_)
            | Body::Typing(_)
            | Body::Resumed(_)
            | Body::Peer(_)
            | Body::Replaced(_)
            | Body::Moving(_)
            | Body::Confirmed(_)
            | Body::Pong(_),
        )
        | None => 0,
    };
    FRAME_BYTES + content
}

#[cfg(test)]
mod tests {
    use stroll_proto::v1::{Message, Peer, Typing};

    use super::*;

    /// How many of the smallest frames fit.
    const MAX_FRAMES: usize = MAX_BYTES / FRAME_BYTES;

    fn outbox() -> Outbox {
        Outbox::new(1, Arc::default())
    }

    fn message(handle: u64, len: usize) -> RelayFrame {
        let message = Message { seq: handle, text: "x".repeat(len), from: 1 };
        RelayFrame { handle, body: Some(Body::Message(message)) }
    }

    fn waiting(outbox: &Outbox) -> usize {
        outbox.waiting.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_batch_has_all_that_waits_up_to_its_bounds_in_order() {
        let outbox = outbox();
        (0..600).for_each(|handle| outbox.push(message(handle, 1)));
        let first = outbox.next_batch().await.expect("frames");
        assert_eq!(first.frames.len(), BATCH_FRAMES);
        assert_eq!(outbox.next_batch().await.expect("frames").frames[0].handle, 512);

        (0..100).for_each(|handle| outbox.push(message(handle, 100_000)));
        assert_eq!(outbox.ended(), Some(End::TooSlow));
        assert_eq!(waiting(&outbox), 0);
    }

    #[tokio::test]
    async fn a_batch_ends_with_the_frame_that_reaches_its_bytes() {
        let outbox = outbox();
        (0..20).for_each(|handle| outbox.push(message(handle, 100_000)));
        assert_eq!(outbox.next_batch().await.expect("frames").frames.len(), 11);
        assert_eq!(waiting(&outbox), 9);
    }

    #[test]
    fn every_chat_of_a_full_relay_can_lose_its_other_seat_at_once() {
        let outbox = outbox();
        let chats = crate::Chats::default().max_chats;
        let away = |handle| RelayFrame {
            handle,
            body: Some(Body::Peer(Peer { seat: 2, away: true, ..Peer::default() })),
        };
        (0..chats as u64).for_each(|handle| outbox.push(away(handle)));
        assert_eq!((outbox.ended(), waiting(&outbox)), (None, chats));
    }

    #[tokio::test]
    async fn one_frame_too_many_cuts_the_gateway_off_and_typing_goes_first() {
        let outbox = outbox();
        (0..=MAX_FRAMES as u64 / 2).for_each(|handle| outbox.push(message(handle, 0)));
        let typing = RelayFrame { handle: 1, body: Some(Body::Typing(Typing::default())) };
        outbox.push(typing);
        assert_eq!(waiting(&outbox), MAX_FRAMES / 2 + 1);
        (waiting(&outbox) as u64..MAX_FRAMES as u64).for_each(|handle| outbox.push(message(handle, 0)));
        assert_eq!(outbox.ended(), None);
        outbox.push(message(0, 0));
        outbox.over().await;
        assert_eq!(outbox.next_batch().await, Err(End::TooSlow));
    }

    #[tokio::test]
    async fn a_stopping_relay_still_delivers_what_waits_and_takes_no_more() {
        let outbox = outbox();
        outbox.push(message(1, 1));
        outbox.end(End::Stopping);
        outbox.push(message(2, 1));
        assert_eq!(outbox.next_batch().await.expect("frames").frames.len(), 1);
        assert_eq!(outbox.next_batch().await, Err(End::Stopping));
    }
}
