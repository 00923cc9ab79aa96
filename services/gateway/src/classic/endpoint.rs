//! The gateway's end of a classic chat: it numbers, repeats and acknowledges in the client's place, and keeps what the client has not
//! fetched yet. Pure: it is told what happens, and says what it wants.
//!
//! Invariants:
//! - An event leaves the queue only for the poll that is open, and what a poll took counts as acknowledged.
//! - `connected` and what belongs to it are queued together, and nothing is queued after the last event.
//! - At most [`MAX_UNACKED`] of the client's messages and signals are unacknowledged.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chassis::id::ChatId;
use tokio::sync::{Notify, futures::Notified};

use super::{
    event::Event,
    signal::{self, Signal},
};
use crate::{
    metrics::Depth,
    protocol::{ClientFrame, From, MAX_UNACKED, Mode, Private, RawJson, Refusal, Role, ServerFrame},
    session::{Activity, Pairing},
};

/// For how long a session lives without an open poll, in milliseconds.
pub const KEPT_MS: u64 = 90_000;
/// For how long its ticket stays in the pool without one, in milliseconds.
pub const WAITS_MS: u64 = 10_000;
/// For how long a session is kept whose last event another gateway's poll took, in milliseconds.
const LINGERS_MS: u64 = 5_000;
/// Once so many events wait, typing isn't queued any more.
const NO_MORE_TYPING: usize = 100;
/// Most events that wait, and most bytes. Who talks stays below them, because what isn't fetched isn't acknowledged; who only
/// watches may not keep up.
const MAX_EVENTS: usize = 1_024;
const MAX_BYTES: usize = 1024 * 1024;

/// A classic session's end.
pub struct Endpoint {
    queue: VecDeque<Event>,
    bytes: usize,
    depth: Depth,
    /// The client was told, or is about to be, that it waits.
    waits: bool,
    chat: Option<Chat>,
    /// The last event is queued.
    over: bool,
    /// It has not kept up.
    overflowed: bool,
    /// The number of the open poll, and the one that another gateway gave it.
    poll: Option<(u64, u64)>,
    polls: u64,
    /// Since when no poll is open.
    quiet_since_ms: u64,
    /// When it ends, because the last event was taken.
    ends_ms: Option<u64>,
    /// What the session answered to what is being said.
    refused: Option<Refusal>,
    /// Something is being said for the client.
    speaks: bool,
    /// The last number of the stranger's, where it is of something that the client isn't told.
    skipped: Option<u64>,
    /// Rings when there may be something for a poll.
    bell: Arc<Bell>,
}

/// Rings when there may be something for a poll, or the endpoint is gone.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Notify,
    is_lost: AtomicBool,
}

impl Bell {
    /// Waits for the next time, from when this is first polled or enabled.
    pub fn rings(&self) -> Notified<'_> {
        self.rings.notified()
    }

    /// Whether the session ended with its gateway, and not by its client's doing.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }
}

/// The chat of the moment.
struct Chat {
    role: Role,
    mode: Mode,
    /// The next number of the client's.
    next: u64,
    unacked: VecDeque<(u64, Said)>,
    /// From which number on all is to be said again.
    repeat_from: Option<u64>,
    /// Who types, by seat; the stranger is the first.
    typing: [bool; 2],
}

/// What the client said.
#[derive(Clone)]
enum Said {
    Message(Private),
    Signal(Private),
}

/// What the endpoint wants of its session.
pub enum Want {
    /// Say this, for the client.
    Say(ClientFrame),
    /// Take its ticket out of the pool until the next poll.
    Suspend,
    /// End it.
    End,
}

/// What a poll took.
#[derive(Default)]
pub struct Taken {
    /// All that waited, in order.
    pub events: Vec<Event>,
    /// The stranger's number up to which it counts as acknowledged.
    pub seq: Option<u64>,
    /// The session is over.
    pub is_last: bool,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.depth.sub(self.queue.len());
        self.bell.rings.notify_waiters();
    }
}

impl Endpoint {
    /// Of a session that begins. What waits in it is counted in `depth`.
    #[must_use]
    pub fn new(depth: Depth, now_ms: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            depth,
            waits: false,
            chat: None,
            over: false,
            overflowed: false,
            poll: None,
            polls: 0,
            quiet_since_ms: now_ms,
            ends_ms: None,
            refused: None,
            speaks: false,
            skipped: None,
            bell: Arc::default(),
        }
    }

    /// What tells a poll to look.
    #[must_use]
    pub fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// The gateway ends, and the session with it.
    pub fn lose(&self) {
        self.bell.is_lost.store(true, Ordering::Relaxed);
    }

    /// Wakes the poll if there is something for it.
    pub fn ring(&self) {
        if !self.queue.is_empty() {
            self.bell.rings.notify_waiters();
        }
    }

    // Polls.

    /// A poll is open, in place of the one before. Another gateway may have given it a number; else that is 0. Returns its own number.
    pub fn open_poll(&mut self, given: u64) -> u64 {
        self.polls += 1;
        if self.poll.replace((self.polls, given)).is_some() {
            self.bell.rings.notify_waiters();
        }
        self.polls
    }

    /// Whether this is the open one.
    #[must_use]
    pub fn is_open(&self, poll: u64) -> bool {
        self.poll.is_some_and(|(open, _)| open == poll)
    }

    /// Whether one is open.
    #[must_use]
    pub fn has_open_poll(&self) -> bool {
        self.poll.is_some()
    }

    /// Whether the open one is another gateway's of this number.
    #[must_use]
    pub fn is_open_elsewhere(&self, given: u64) -> bool {
        given != 0 && self.poll.is_some_and(|(_, open)| open == given)
    }

    /// What a poll took was not handed out.
    pub fn put_back(&mut self, events: Vec<Event>) {
        self.ends_ms = None;
        self.over |= events.iter().any(Event::is_last);
        self.bytes += events.iter().map(Event::size).sum::<usize>();
        self.depth.add(events.len());
        events.into_iter().rev().for_each(|event| self.queue.push_front(event));
    }

    /// The last event was taken by another gateway's poll: it may come back for a moment.
    pub fn linger(&mut self, now_ms: u64) {
        self.ends_ms = Some(now_ms + LINGERS_MS);
    }

    /// Whether only that moment is left of it.
    #[must_use]
    pub fn lingers(&self) -> bool {
        self.ends_ms.is_some()
    }

    /// The open poll is no more.
    pub fn close_poll(&mut self, now_ms: u64) {
        self.poll = None;
        self.quiet_since_ms = now_ms;
    }

    /// Takes all that waits.
    pub fn take(&mut self) -> Taken {
        self.bytes = 0;
        self.depth.sub(self.queue.len());
        let events = Vec::from(std::mem::take(&mut self.queue));
        let seq = events.iter().rev().find_map(Event::seq).max(self.skipped.take());
        Taken { seq, is_last: events.iter().any(Event::is_last), events }
    }

    /// Whether something waits.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether something waits that `/start` needs not wait any longer for.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.queue.iter().any(|event| *event != Event::Waiting)
    }

    // What the client says.

    /// Whether a chat is going on in which the client may say something.
    #[must_use]
    pub fn may_talk(&self) -> bool {
        !self.over && self.chat.as_ref().is_some_and(|chat| chat.role == Role::Stranger)
    }

    /// Whether that is a video chat.
    #[must_use]
    pub fn may_signal(&self) -> bool {
        self.may_talk() && self.chat.as_ref().is_some_and(|chat| chat.mode == Mode::Video)
    }

    /// Whether so many more may be said before the stranger acknowledges.
    #[must_use]
    pub fn has_room(&self, more: usize) -> bool {
        let unacked = self.chat.as_ref().map_or(0, |chat| chat.unacked.len());
        u64::try_from(unacked.saturating_add(more)).is_ok_and(|unacked| unacked <= MAX_UNACKED)
    }

    /// A message of the client's, numbered.
    pub fn message(&mut self, text: Private) -> Option<ClientFrame> {
        self.say(Said::Message(text))
    }

    /// A signal of the client's, numbered.
    pub fn signal(&mut self, data: Private) -> Option<ClientFrame> {
        self.say(Said::Signal(data))
    }

    fn say(&mut self, said: Said) -> Option<ClientFrame> {
        let chat = self.chat.as_mut().filter(|_| !self.over)?;
        let seq = chat.next;
        chat.next += 1;
        let frame = said.frame(seq);
        chat.unacked.push_back((seq, said));
        Some(frame)
    }

    /// What is said from here on is the client's, until [`Endpoint::answer`].
    pub fn listen(&mut self) {
        (self.speaks, self.refused) = (true, None);
    }

    /// How the session answered. What it refused was not said.
    pub fn answer(&mut self, was_numbered: bool) -> Result<(), Refusal> {
        self.speaks = false;
        let Some(refusal) = self.refused.take() else { return Ok(()) };
        if let Some(chat) = self.chat.as_mut().filter(|_| was_numbered) {
            chat.unacked.pop_back();
            chat.next -= 1;
        }
        Err(refusal)
    }

    // What the session says.

    /// The session sends a frame.
    pub fn hear(&mut self, frame: ServerFrame) {
        match frame {
            ServerFrame::Waiting { .. } => self.tell_waiting(),
            ServerFrame::Message { seq, text, from } => {
                self.typing_is_over(from);
                self.push(Event::Message { seq, from, text });
            }
            ServerFrame::Signal { seq, data } => self.hear_signal(seq, data),
            ServerFrame::Typing { on, from } => self.hear_typing(from, on),
            ServerFrame::Ack { seq } => self.acknowledged(seq),
            ServerFrame::Notice { text, .. } => self.push(Event::ServerMessage(text.into())),
            ServerFrame::Error(refusal) if self.speaks => self.refused = Some(refusal),
            // What is refused unasked is the wish.
            ServerFrame::Error(refusal) if self.chat.is_none() => self.fail(refusal.text),
            _ => {}
        }
    }

    /// The client waits.
    pub fn tell_waiting(&mut self) {
        if !std::mem::replace(&mut self.waits, true) {
            self.push(Event::Waiting);
        }
    }

    /// The chat begins.
    pub fn matched(&mut self, pairing: &Pairing, digests: String) {
        let waiting = self.queue.iter().position(|event| *event == Event::Waiting);
        if waiting.and_then(|at| self.queue.remove(at)).is_some() {
            self.depth.sub(1);
        }
        self.waits = true;
        let is_stranger = pairing.role == Role::Stranger;
        self.push(Event::Connected);
        if is_stranger && !pairing.common_interests.is_empty() {
            self.push(Event::CommonLikes(pairing.common_interests.clone()));
        }
        if let Some(question) = pairing.question.as_ref().filter(|_| is_stranger) {
            self.push(Event::Question(Private(question.clone())));
        }
        self.push(Event::IdentDigests(digests));
        if let Some(domain) = &pairing.partner_college {
            self.push(Event::PartnerCollege(domain.clone()));
        }
        if pairing.mode == Mode::Video && pairing.initiator {
            self.push(Event::RtcCall);
        }
        if is_stranger && pairing.language.as_ref().is_some_and(|language| language != "en") {
            self.push(Event::ServerMessage("You and the stranger share a language.".into()));
        }
        self.chat = Some(Chat {
            role: pairing.role,
            mode: pairing.mode,
            next: 1,
            unacked: VecDeque::new(),
            repeat_from: None,
            typing: [false; 2],
        });
    }

    /// The stranger has the client's up to `received`; the rest is to be said again.
    pub fn resumed(&mut self, received: u64) {
        self.acknowledged(received);
        if let Some(chat) = &mut self.chat {
            chat.repeat_from = chat.unacked.front().map(|(seq, _)| *seq);
        }
    }

    /// The chat is over, by whoever sits in `seat`, where that is known.
    pub fn ended(&mut self, seat: u32) {
        let Some(chat) = self.chat.take() else { return };
        let from = match (chat.role, seat) {
            (Role::Stranger, _) => From::Stranger,
            (Role::Spy, 2) => From::Stranger2,
            (Role::Spy, _) => From::Stranger1,
        };
        self.push(Event::Disconnected(from));
    }

    /// The session may not go on, for this reason, which takes the place of any other end.
    pub fn stop(&mut self, event: Event) {
        if self.queue.back().is_some_and(Event::is_last) {
            self.queue.pop_back();
            self.depth.sub(1);
            self.over = false;
        }
        self.chat = None;
        self.push(event);
    }

    /// What the session wished for can't be had.
    pub fn fail(&mut self, text: Cow<'static, str>) {
        self.stop(Event::Error(text));
    }

    /// Adds an event, unless the last one is there.
    pub fn push(&mut self, event: Event) {
        if self.over {
            return;
        }
        self.over = event.is_last();
        self.bytes += event.size();
        self.queue.push_back(event);
        self.depth.add(1);
        self.overflowed |= self.queue.len() > MAX_EVENTS || self.bytes > MAX_BYTES;
    }

    fn hear_signal(&mut self, seq: u64, data: Box<RawJson>) {
        match signal::kind(data.get()) {
            Some(Signal::Description) => self.push(Event::Description { seq, data }),
            Some(Signal::Candidate) => self.push(Event::Candidate { seq, data }),
            // It is nothing that a classic client knows.
            None => self.skipped = Some(seq),
        }
    }

    fn hear_typing(&mut self, from: From, on: bool) {
        let Some(chat) = &mut self.chat else { return };
        let known = std::mem::replace(&mut chat.typing[seat(from)], on);
        if known != on && self.queue.len() < NO_MORE_TYPING {
            self.push(Event::Typing { from, on });
        }
    }

    fn typing_is_over(&mut self, from: From) {
        if let Some(chat) = &mut self.chat {
            chat.typing[seat(from)] = false;
        }
    }

    fn acknowledged(&mut self, seq: u64) {
        let Some(chat) = &mut self.chat else { return };
        while chat.unacked.front().is_some_and(|(said, _)| *said <= seq) {
            chat.unacked.pop_front();
        }
    }

    // What it wants.

    /// What is to be done for it now, given what its session does.
    pub fn wants(&mut self, activity: Activity, now_ms: u64) -> Option<Want> {
        let quiet_ms = if self.poll.is_some() { 0 } else { now_ms.saturating_sub(self.quiet_since_ms) };
        if self.overflowed || quiet_ms >= KEPT_MS || self.ends_ms.is_some_and(|ends_ms| now_ms >= ends_ms) {
            return Some(Want::End);
        }
        if activity == Activity::Waiting && quiet_ms >= WAITS_MS {
            return Some(Want::Suspend);
        }
        if !self.queue.iter().any(|event| event.seq().is_some())
            && let Some(seq) = self.skipped.take()
        {
            return Some(Want::Say(ClientFrame::Ack { seq }));
        }
        let chat = self.chat.as_mut()?;
        let from = chat.repeat_from?;
        let next =
            chat.unacked.iter().find(|(seq, _)| *seq >= from).map(|(seq, said)| said.clone().frame(*seq));
        chat.repeat_from = next.as_ref().map(|_| from + 1);
        next.map(Want::Say)
    }

    /// When [`Endpoint::wants`] has something for that reason alone that time passes.
    #[must_use]
    pub fn deadline_ms(&self, activity: Activity) -> Option<u64> {
        let limit = if activity == Activity::Waiting { WAITS_MS } else { KEPT_MS };
        let quiet = self.poll.is_none().then(|| self.quiet_since_ms + limit);
        self.ends_ms.into_iter().chain(quiet).min()
    }
}

impl Said {
    fn frame(&self, seq: u64) -> ClientFrame {
        match self.clone() {
            Self::Message(text) => ClientFrame::Message { seq, text },
            Self::Signal(data) => ClientFrame::Signal { seq, data },
        }
    }
}

fn seat(from: From) -> usize {
    usize::from(from == From::Stranger2)
}

/// Four digests of 32 hexadecimal digits, a pair per stranger, by the chat and the seat: the same for all who are in it, and others in the next.
#[must_use]
pub fn digests(secret: &chassis::Secret, chat: ChatId) -> String {
    let half = |seat: u8, nth: u8| {
        let content = [chat.0.as_slice(), &[seat, nth]].concat();
        let hashes = secret.keyed_hashes(chassis::secret::Purpose::Digest, &content);
        let hash = hashes.first().copied().unwrap_or_default();
        hash[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    [half(1, 1), half(1, 2), half(2, 1), half(2, 2)].join(",")
}
