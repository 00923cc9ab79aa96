//! All chats of this relay.
//!
//! A chat is behind a lock of its own, which is held for one event and never across an await. The frames that an event
//! makes are put into the gateways' outboxes under that lock, so that they leave in the order of the events. The table's
//! lock is let go before a chat's is taken; those of outboxes, deadlines and lists are taken under a chat's, and hold none.
//!
//! Time is shared: one heap of deadlines, looked at ten times a second. A heap entry counts if it is the one that its chat has noted;
//! others are left over from a deadline that moved.

mod memory;
mod timers;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::{
    Context,
    id::{ChatId, Seat},
};
use parking_lot::Mutex;
use stroll_proto::v1::{
    Attach, Decline, Refused, RefusedReason, RelayFrame, Replaced, ReportRequest, Reported, Said, Verdict,
    gateway_frame::Body as FromGateway, relay_frame::Body,
};
use tokio::sync::mpsc::{Permit, Receiver};
use tracing::debug;

use self::{
    memory::{MAX_TRANSCRIPTS, Memory},
    timers::Timers,
};
use crate::{
    chat::{Age, Arrival, Chat, Done, Effect, Ignored, Incoming, Link, MAX_SEATS, Moment, Rules, Seating},
    config::Chats,
    inspector::{Admission, Connected, Inspector},
    metrics::{Levels, Metrics, Tally},
    outbox::Outbox,
    reports::Reports,
    seat_token::{self, Alarm},
};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(100);

/// For so long beyond the grace time a relay that was started anew takes up chats that it does not know.
const YOUTH: Duration = Duration::from_secs(10);

/// All chats.
pub(crate) struct Hub {
    context: Context,
    started: Moment,
    settings: Chats,
    metrics: Metrics,
    inspector: Inspector,
    reports: Reports,
    alarm: Alarm,
    table: Mutex<BTreeMap<ChatId, Arc<Entry>>>,
    /// Chats that have not ended.
    live: AtomicUsize,
    timers: Timers,
    memory: Memory,
    /// Chats of which messages were withheld.
    withheld: Mutex<Vec<Weak<Entry>>>,
    streams: AtomicU64,
    open_streams: AtomicUsize,
    outgoing: Arc<AtomicUsize>,
}

/// One chat, and what it needs around it.
pub(crate) struct Entry(Mutex<State>);

struct State {
    chat: Chat,
    /// The gateways' streams, by seat.
    outboxes: [Option<Arc<Outbox>>; MAX_SEATS as usize],
    /// Its entry in the heap of deadlines that counts.
    scheduled: Option<Moment>,
    /// It is in the list of those with withheld messages.
    withheld: bool,
}

/// A seat that a stream holds, or held.
pub(crate) struct Place {
    entry: Weak<Entry>,
    seat: Seat,
}

/// What is reused from event to event.
pub(crate) struct Batch {
    pub(crate) now: Moment,
    pub(crate) tally: Tally,
    effects: Vec<Effect>,
}

impl Hub {
    /// No chats. Also returns the texts that are to be inspected.
    pub(crate) fn new(
        context: &Context,
        settings: Chats,
        reports: Reports,
        metrics: Metrics,
    ) -> (Arc<Self>, Receiver<Said>) {
        let (inspector, texts) = Inspector::new(settings.unmoderated);
        let hub = Self {
            context: context.clone(),
            started: Duration::from_millis(context.clock.unix_ms()),
            settings,
            metrics,
            inspector,
            reports,
            alarm: Alarm::default(),
            table: Mutex::default(),
            live: AtomicUsize::new(0),
            timers: Timers::default(),
            memory: Memory::new(MAX_TRANSCRIPTS),
            withheld: Mutex::default(),
            streams: AtomicU64::new(0),
            open_streams: AtomicUsize::new(0),
            outgoing: Arc::default(),
        };
        (Arc::new(hub), texts)
    }

    /// The instruments.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Chats that have not ended.
    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Reports that are on their way to moderation.
    pub(crate) fn reports_under_way(&self) -> usize {
        self.reports.under_way()
    }

    /// What a series of events at this moment needs.
    pub(crate) fn batch(&self) -> Batch {
        Batch { now: self.now(), tally: Tally::default(), effects: Vec::new() }
    }

    /// This moment.
    pub(crate) fn now(&self) -> Moment {
        Duration::from_millis(self.context.clock.unix_ms())
    }

    // === gateways ===

    /// A gateway's stream begins.
    pub(crate) fn open_stream(&self) -> Arc<Outbox> {
        self.open_streams.fetch_add(1, Ordering::Relaxed);
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        Arc::new(Outbox::new(stream, Arc::clone(&self.outgoing)))
    }

    /// A gateway's stream is over, and all its seats are away.
    pub(crate) fn close_stream(
        self: &Arc<Self>,
        outbox: &Outbox,
        places: impl Iterator<Item = (u64, Place)>,
    ) {
        let mut batch = self.batch();
        for (handle, place) in places {
            let Some(entry) = place.entry.upgrade() else { continue };
            let (now, link) = (batch.now, Link { stream: outbox.stream, handle });
            self.act(&entry, &mut batch, None, |state, out| {
                if state.chat.on_lost(now, place.seat, link, out) {
                    state.outboxes[index(place.seat)] = None;
                }
            });
        }
        self.open_streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// A gateway asks for a seat. If it isn't given, the gateway is told why.
    pub(crate) fn attach(
        self: &Arc<Self>,
        outbox: &Arc<Outbox>,
        handle: u64,
        attach: Attach,
        batch: &mut Batch,
    ) -> Option<Place> {
        let result = self.try_attach(outbox, handle, attach, batch);
        self.metrics.attach(result.as_ref().map(|_| ()).map_err(Refused::reason));
        let refused = match result {
            Ok(place) => return Some(place),
            Err(refused) => refused,
        };
        if refused.reason() == RefusedReason::BadToken {
            self.alarm.raise(batch.now);
        }
        outbox.push(RelayFrame { handle, body: Some(Body::Refused(refused)) });
        None
    }

    fn try_attach(
        self: &Arc<Self>,
        outbox: &Arc<Outbox>,
        handle: u64,
        attach: Attach,
        batch: &mut Batch,
    ) -> Result<Place, Refused> {
        let now = batch.now;
        let refused = |reason: RefusedReason| Refused { reason: reason.into(), ended: None };
        let seating = seat_token::verify(&self.context.secret, now, &attach.seat_token).map_err(refused)?;
        let age = if attach.began { Age::Begun } else { Age::New };
        let is_old = now.saturating_sub(self.started) > self.settings.grace + YOUTH;
        if age == Age::Begun && !attach.carried && is_old && !self.knows(seating.chat) {
            return Err(refused(RefusedReason::Gone));
        }
        self.forget_if_outdated(&seating, batch);
        let entry = self.entry(now, &seating).ok_or_else(|| refused(RefusedReason::Full))?;
        let arrival = Arrival {
            seating,
            subject: attach.subject.unwrap_or_default(),
            received: attach.received,
            confirmed: attach.confirmed,
            link: Link { stream: outbox.stream, handle },
            age,
            turn: attach.turn,
            is_away: attach.away,
        };
        self.act(&entry, batch, None, |state, out| {
            let before = state.chat.on_attach(now, &arrival, out)?;
            let replaced = state.outboxes[index(seating.seat)].replace(Arc::clone(outbox));
            if let (Some(before), Some(replaced)) = (before, replaced) {
                let body = Some(Body::Replaced(Replaced {}));
                replaced.push(RelayFrame { handle: before.handle, body });
            }
            Ok(Place { entry: Arc::downgrade(&entry), seat: seating.seat })
        })
    }

    /// A gateway refuses a seat.
    pub(crate) fn decline(self: &Arc<Self>, decline: &Decline, batch: &mut Batch) -> Result<Done, Ignored> {
        let now = batch.now;
        let seating =
            seat_token::verify(&self.context.secret, now, &decline.seat_token).map_err(|reason| {
                if reason == RefusedReason::BadToken {
                    self.alarm.raise(now);
                }
                Ignored::BadDecline
            })?;
        let entry = self.entry(now, &seating).ok_or(Ignored::BadDecline)?;
        self.act(&entry, batch, None, |state, out| state.chat.on_decline(now, &seating, out))
    }

    /// A frame from a seat, other than `attach` and `decline`.
    pub(crate) fn frame(
        self: &Arc<Self>,
        place: &Place,
        link: Link,
        body: FromGateway,
        batch: &mut Batch,
    ) -> Result<Done, Ignored> {
        let entry = place.entry.upgrade().ok_or(Ignored::UnknownHandle)?;
        let is_text = matches!(body, FromGateway::Message(_));
        let admission = if is_text { self.inspector.admit() } else { Admission::not_needed() };
        let Admission { watch, place: queued, why } = admission;
        let room = self.memory.room();
        let incoming = Incoming { now: batch.now, seat: place.seat, link, watch, room };
        let result = self.act(&entry, batch, queued, |state, out| {
            let result = state.chat.on_frame(&incoming, body, out);
            if result == Err(Ignored::Held) && !std::mem::replace(&mut state.withheld, true) {
                self.withheld.lock().push(Arc::downgrade(&entry));
            }
            result
        });
        match (result, why) {
            (Ok(Done::Message), Some(why)) => batch.tally.unmoderated(why),
            // The gate may have opened after it was asked, and before the chat was on the list.
            (Err(Ignored::Held), _) if self.inspector.is_open() => self.release(),
            _ => {}
        }
        result
    }

    // === moderation ===

    /// Moderation's stream came or went.
    pub(crate) fn moderation_is(self: &Arc<Self>, connected: Connected) {
        self.inspector.set_connected(connected);
        if self.inspector.is_open() {
            self.release();
        }
    }

    /// Moderation wants something done.
    pub(crate) fn verdict(self: &Arc<Self>, verdict: Verdict) {
        let Ok(chat) = ChatId::try_from(&verdict.chat) else { return };
        let Some(entry) = self.table.lock().get(&chat).map(Arc::clone) else { return };
        let mut batch = self.batch();
        let (now, action) = (batch.now, verdict.action());
        if self.act(&entry, &mut batch, None, |state, out| state.chat.on_verdict(now, verdict, out)) {
            self.metrics.verdict(action);
        }
    }

    /// Asks for everything that was withheld.
    fn release(self: &Arc<Self>) {
        let entries = std::mem::take(&mut *self.withheld.lock());
        let mut batch = self.batch();
        for entry in entries.iter().filter_map(Weak::upgrade) {
            self.act(&entry, &mut batch, None, |state, out| {
                state.withheld = false;
                state.chat.on_release(out);
            });
        }
    }

    /// A report was stored, or not.
    pub(crate) fn reported(self: &Arc<Self>, entry: &Weak<Entry>, seat: Seat, answer: Reported) {
        if let Some(entry) = entry.upgrade() {
            let mut batch = self.batch();
            self.act(&entry, &mut batch, None, |state, out| state.chat.on_reported(seat, answer, out));
        }
    }

    // === time ===

    /// Looks at deadlines, forever.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.tick();
        }
    }

    fn tick(self: &Arc<Self>) {
        let mut batch = self.batch();
        for (deadline, chat) in self.timers.due(batch.now) {
            self.on_time(deadline, chat, &mut batch);
        }
        self.make_room(&mut batch);
        self.alarm.tell(batch.now);
        if self.inspector.recover() {
            self.release();
        }
        self.metrics.levels(self.levels());
    }

    fn on_time(self: &Arc<Self>, deadline: Moment, chat: ChatId, batch: &mut Batch) {
        let Some(entry) = self.table.lock().get(&chat).map(Arc::clone) else { return };
        let now = batch.now;
        let is_forgotten = self.act(&entry, batch, None, |state, out| {
            if state.scheduled == Some(deadline) {
                state.scheduled = None;
                state.chat.on_time(now, out);
            }
            state.chat.is_forgotten(now)
        });
        if is_forgotten {
            self.forget(&entry, chat, batch);
        }
    }

    /// Asks the gateways to look for other homes for all chats: for each at its moment within `spread`, so that they don't all
    /// go at once.
    pub(crate) async fn hand_over(self: &Arc<Self>, spread: Duration) {
        let entries: Vec<_> = self.table.lock().values().map(Arc::downgrade).collect();
        let steps = (spread.as_millis() / TICK.as_millis()).max(1);
        let each = entries.len().div_ceil(usize::try_from(steps).unwrap_or(usize::MAX)).max(1);
        for some in entries.chunks(each) {
            let mut batch = self.batch();
            for entry in some.iter().filter_map(Weak::upgrade) {
                self.act(&entry, &mut batch, None, |state, out| state.chat.on_hand_over(out));
            }
            tokio::time::sleep(TICK).await;
        }
    }

    // === memory ===

    fn knows(&self, chat: ChatId) -> bool {
        self.table.lock().contains_key(&chat)
    }

    /// The chat of a token; made, if it is new and there is room for it.
    fn entry(&self, now: Moment, seating: &Seating) -> Option<Arc<Entry>> {
        let mut table = self.table.lock();
        if let Some(entry) = table.get(&seating.chat) {
            return Some(Arc::clone(entry));
        }
        if self.live() >= self.settings.max_chats {
            return None;
        }
        self.live.fetch_add(1, Ordering::Relaxed);
        let rules = Rules { grace: self.settings.grace, attach_timeout: self.settings.attach_timeout };
        let entry = Arc::new(Entry::new(Chat::new(now, seating, rules)));
        table.insert(seating.chat, Arc::clone(&entry));
        Some(entry)
    }

    /// Ended chats give up their transcripts when there are too many, and are forgotten early when there are too many of them,
    /// in the order in which they ended.
    fn make_room(self: &Arc<Self>, batch: &mut Batch) {
        while self.memory.is_full() || self.remembered() > self.settings.max_chats {
            let Some(entry) = self.memory.oldest_ended() else { return };
            if self.remembered() > self.settings.max_chats {
                let chat = entry.0.lock().chat.id();
                self.forget(&entry, chat, batch);
            } else {
                self.act(&entry, batch, None, |state, _| state.chat.drop_transcript());
            }
        }
    }

    fn forget_if_outdated(self: &Arc<Self>, seating: &Seating, batch: &mut Batch) {
        let entry = self.table.lock().get(&seating.chat).map(Arc::clone);
        if let Some(entry) = entry.filter(|entry| entry.0.lock().chat.is_outdated(seating)) {
            self.forget(&entry, seating.chat, batch);
        }
    }

    fn forget(self: &Arc<Self>, entry: &Arc<Entry>, chat: ChatId, batch: &mut Batch) {
        self.act(entry, batch, None, |state, _| state.chat.drop_transcript());
        self.table.lock().remove(&chat);
    }

    /// Ended chats that are not forgotten.
    fn remembered(&self) -> usize {
        self.table.lock().len().saturating_sub(self.live())
    }

    fn levels(&self) -> Levels {
        Levels {
            chats: self.live() as u64,
            streams: self.open_streams.load(Ordering::Relaxed) as u64,
            transcripts: self.memory.transcripts() as u64,
            outgoing: self.outgoing.load(Ordering::Relaxed) as u64,
            inspect_queue: self.inspector.waiting() as u64,
            moderation: u64::from(self.inspector.is_open()),
        }
    }

    // === events ===

    /// The one way to a chat: locks it, lets the event happen, and carries out what follows from it.
    fn act<R>(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        batch: &mut Batch,
        queued: Option<Permit<'_, Said>>,
        event: impl FnOnce(&mut State, &mut Vec<Effect>) -> R,
    ) -> R {
        let mut state = entry.0.lock();
        let size = state.chat.transcript_size();
        let result = event(&mut state, &mut batch.effects);
        self.memory.resized(size, state.chat.transcript_size());
        let report = self.carry_out(entry, &state, &mut batch.effects, queued);
        self.schedule(&mut state);
        drop(state);
        if let Some((seat, request)) = report {
            self.reports.submit(self, Arc::downgrade(entry), seat, request);
        }
        result
    }

    /// Everything but a report, which is the caller's once the chat is unlocked.
    fn carry_out(
        &self,
        entry: &Arc<Entry>,
        state: &State,
        effects: &mut Vec<Effect>,
        mut queued: Option<Permit<'_, Said>>,
    ) -> Option<(Seat, Box<ReportRequest>)> {
        let mut report = None;
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { seat, handle, body } => {
                    if let Some(outbox) = &state.outboxes[index(seat)] {
                        outbox.push(RelayFrame { handle, body: Some(body) });
                    }
                }
                Effect::Inspect(said) => {
                    if let Some(place) = queued.take() {
                        place.send(said);
                    }
                }
                Effect::Report { seat, request } => report = Some((seat, request)),
                Effect::Over(by) => {
                    debug!(chat = %state.chat.id(), ?by, "chat over here");
                    self.live.fetch_sub(1, Ordering::Relaxed);
                    self.memory.ended(entry);
                    self.metrics.ended(by);
                }
            }
        }
        report
    }

    fn schedule(&self, state: &mut State) {
        let Some(deadline) = state.chat.deadline() else { return };
        if state.scheduled.is_none_or(|scheduled| deadline < scheduled) {
            state.scheduled = Some(deadline);
            self.timers.add(deadline, state.chat.id());
        }
    }
}

impl Entry {
    fn new(chat: Chat) -> Self {
        let outboxes = std::array::from_fn(|_| None);
        Self(Mutex::new(State { chat, outboxes, scheduled: None, withheld: false }))
    }
}

impl Place {
    /// Whether the chat is still remembered.
    pub(crate) fn is_remembered(&self) -> bool {
        self.entry.strong_count() > 0
    }
}

fn index(seat: Seat) -> usize {
    usize::from(seat.0).saturating_sub(1).min(usize::from(MAX_SEATS) - 1)
}
