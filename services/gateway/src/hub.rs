//! All sessions of this gateway, and the hands that carry out what their state machines decide.
//!
//! Lock order: the table of sessions before a session, a session before a relay's queue. No lock is held over an await, and
//! nothing that a session's effects do waits.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chassis::{
    Context,
    bans::Bans,
    grpc::Channel,
    id::{AddressHash, ChatId, SessionId, TicketId},
};
use dashmap::DashMap;
use parking_lot::Mutex;
use stroll_proto::v1::{RelayFrame, gateway_frame::Body as ToRelay};
use tokio::{
    sync::{Semaphore, broadcast, mpsc},
    time::Instant,
};
use tracing::{info_span, warn};

use crate::{
    config::Public,
    limits::{Admission, SessionLimits},
    metrics::Metrics,
    outbox::Outbox,
    protocol::{ClientFrame, Code, Hello, Limits, Matched, Refusal, ServerFrame},
    relays::{self, Link, News, Relays},
    session::{self, Activity, Effect, Env, Pairing, Session},
    slot::{Inner, Slot},
    stats::Stats,
    tickets::Tickets,
    token,
};

/// How many chats are remembered, to know an assignment that is delivered again.
const REMEMBERED_CHATS: usize = 8_192;
/// How often sessions that only remember a past are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How many sockets are let go at once: those who come back to other gateways must not do it all together.
const FAREWELLS: usize = 128;
/// How many batches from relays may wait for the hub.
const RELAY_NEWS: usize = 64;

/// The gateway's heart.
pub struct Hub {
    /// Clock, randomness, secret, tasks.
    pub context: Context,
    /// What clients may do.
    pub config: Public,
    /// Instruments.
    pub metrics: Metrics,
    /// Bounds on handshakes.
    pub admission: Admission,
    /// The cluster's numbers.
    pub stats: Stats,
    /// So many sockets may say goodbye at once when the gateway stops.
    pub farewells: Semaphore,
    /// This gateway's id, new with each start.
    pub id: String,
    sessions: DashMap<SessionId, Arc<Slot>>,
    tickets: Tickets,
    relays: Arc<Relays>,
    bans: Bans,
    deadlines: Mutex<BTreeSet<(u64, SessionId)>>,
    recent_chats: Mutex<RecentChats>,
    waiting: AtomicI64,
    chatting: AtomicI64,
    online: AtomicI64,
}

impl Hub {
    /// An empty one, and the tasks that feed it.
    #[must_use]
    pub fn start(context: &Context, config: Public, matchmaker: Channel, moderation: Channel) -> Arc<Self> {
        let (news, from_relays) = mpsc::channel(RELAY_NEWS);
        let metrics = Metrics::new();
        let id = format!("gateway-{}", SessionId::new(&context.random));
        let relays = Relays::new(context.clone(), id.clone(), metrics.clone(), news);
        let hub = Arc::new(Self {
            admission: Admission::new(&config.limits),
            stats: Stats::default(),
            farewells: Semaphore::new(FAREWELLS),
            sessions: DashMap::new(),
            tickets: Tickets::new(matchmaker),
            relays: Arc::new(relays),
            bans: Bans::follow(context, moderation),
            deadlines: Mutex::default(),
            recent_chats: Mutex::default(),
            waiting: AtomicI64::new(0),
            chatting: AtomicI64::new(0),
            online: AtomicI64::new(0),
            context: context.clone(),
            config,
            metrics,
            id,
        });
        let tasks = &context.tasks;
        tasks.spawn("bans known", Arc::clone(&hub).know_bans());
        tasks.spawn("relay news", Arc::clone(&hub).follow_relays(from_relays));
        tasks.spawn("ban news", Arc::clone(&hub).follow_bans());
        tasks.spawn("sweeper", Arc::clone(&hub).sweep());
        tasks.spawn("watch", crate::watch::follow(Arc::clone(&hub)));
        hub
    }

    /// The tickets that this gateway holds.
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// Sessions of this gateway: online, waiting, chatting.
    #[must_use]
    pub fn load(&self) -> stroll_proto::v1::GatewayLoad {
        let read = |count: &AtomicI64| u64::try_from(count.load(Ordering::Relaxed)).unwrap_or(0);
        stroll_proto::v1::GatewayLoad {
            online: read(&self.online),
            waiting: read(&self.waiting),
            chatting: read(&self.chatting),
        }
    }

    /// A socket said hello. Its session takes it in place of the one that it had.
    ///
    /// # Errors
    /// `banned`.
    pub fn hello(
        self: &Arc<Self>,
        hello: &Hello,
        addresses: Vec<AddressHash>,
        outbox: &Arc<Outbox>,
    ) -> Result<Arc<Slot>, Refusal> {
        let known = hello.session.as_deref().and_then(|token| token::read_session(&self.context, token));
        let id = known.map_or_else(|| SessionId::new(&self.context.random), |known| known.session);
        if self.bans.check(id, &addresses).is_some() {
            return Err(session::banned());
        }
        let consent = known.is_some_and(|known| known.consent) || (hello.adult && hello.terms);
        loop {
            let slot = Arc::clone(&self.sessions.entry(id).or_insert_with(|| Arc::new(self.new_slot(id))));
            let mut inner = slot.inner.lock();
            if inner.removed {
                continue;
            }
            self.connect(&mut inner, outbox, addresses, consent);
            let resume = hello.resume.as_deref().map(|token| token::read_resume(&self.context, id, token));
            if resume == Some(None) {
                self.send(&inner, &ServerFrame::Error(session::resume_refused()));
            }
            let resume = resume.flatten();
            self.tell_locked(&slot, &mut inner, |session, env| session.on_connected(consent, resume, env));
            // A ban may have come after the first look, and before the session could be found by it.
            if self.bans.check(id, &inner.addresses).is_some() {
                self.tell_locked(&slot, &mut inner, Session::on_ban);
            }
            drop(inner);
            return Ok(slot);
        }
    }

    fn new_slot(&self, id: SessionId) -> Slot {
        self.metrics.moved(None, Some(Activity::Idle));
        Slot::new(Session::new(id, SessionLimits::new(&self.config.limits)))
    }

    fn connect(&self, inner: &mut Inner, outbox: &Arc<Outbox>, addresses: Vec<AddressHash>, consent: bool) {
        inner.addresses = addresses;
        match inner.socket.replace(Arc::clone(outbox)) {
            Some(before) => before.close(crate::close::Close::Replaced),
            None => {
                self.online.fetch_add(1, Ordering::Relaxed);
                self.metrics.online(1);
            }
        }
        let known = token::Known { session: inner.session.id(), consent };
        self.send(
            inner,
            &ServerFrame::Welcome {
                session: token::for_session(&self.context, known),
                online: self.stats.read(self).online,
                limits: Limits::default(),
            },
        );
    }

    /// A socket is gone.
    pub fn goodbye(self: &Arc<Self>, slot: &Arc<Slot>, outbox: &Arc<Outbox>) {
        let mut inner = slot.inner.lock();
        if !inner.socket.as_ref().is_some_and(|socket| Arc::ptr_eq(socket, outbox)) {
            return;
        }
        inner.socket = None;
        self.online.fetch_sub(1, Ordering::Relaxed);
        self.metrics.online(-1);
        self.tell_locked(slot, &mut inner, |session, _| session.on_disconnected());
        drop(inner);
        self.remove_if_over(slot.id);
    }

    /// A client sent a frame on `outbox`'s socket. A socket that was replaced has no say any more.
    pub fn frame(self: &Arc<Self>, slot: &Arc<Slot>, outbox: &Arc<Outbox>, frame: ClientFrame) {
        // The root of the trace that goes on through pool, pairing and relay.
        let span =
            if matches!(frame, ClientFrame::Find(_)) { info_span!("find") } else { tracing::Span::none() };
        let _entered = span.enter();
        let mut inner = slot.inner.lock();
        if inner.socket.as_ref().is_some_and(|socket| Arc::ptr_eq(socket, outbox)) {
            self.tell_locked(slot, &mut inner, |session, env| session.on_frame(frame, env));
        }
    }

    /// Something happened to a session.
    pub fn tell(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        event: impl FnOnce(&mut Session, &Env<'_>) -> Vec<Effect>,
    ) {
        let mut inner = slot.inner.lock();
        self.tell_locked(slot, &mut inner, event);
        drop(inner);
        self.remove_if_over(slot.id);
    }

    fn tell_locked(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        inner: &mut Inner,
        event: impl FnOnce(&mut Session, &Env<'_>) -> Vec<Effect>,
    ) {
        let before = inner.session.activity();
        let env = Env { now_ms: self.context.clock.unix_ms(), random: &self.context.random };
        for effect in event(&mut inner.session, &env) {
            self.perform(slot, inner, effect);
        }
        self.count(before, inner.session.activity());
        if let Some(deadline) = inner.session.deadline_ms() {
            self.deadlines.lock().insert((deadline, slot.id));
        }
    }

    fn count(&self, before: Activity, after: Activity) {
        let add = |activity, by| match activity {
            Activity::Waiting => drop(self.waiting.fetch_add(by, Ordering::Relaxed)),
            Activity::Chatting => drop(self.chatting.fetch_add(by, Ordering::Relaxed)),
            Activity::Idle => {}
        };
        add(before, -1);
        add(after, 1);
        self.metrics.moved(Some(before), Some(after));
    }

    fn perform(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner, effect: Effect) {
        match effect {
            Effect::Send(frame) => self.send(inner, &frame),
            Effect::Close(close) => {
                if let Some(socket) = &inner.socket {
                    socket.close(close);
                }
            }
            Effect::Enqueue(wanted) => self.tickets.enqueue(self, slot, inner.subject(), wanted),
            Effect::Forget(ticket, place) => self.tickets.forget(self, ticket, place),
            Effect::Attach(pairing) => self.attach(slot, inner, &pairing),
            Effect::Decline(pairing) => self.decline(&pairing),
            Effect::Relay(body) => {
                // A stream that is over says so itself.
                if let Some(seat) = &inner.seat {
                    seat.send(body);
                }
            }
            Effect::RelayPast(body) => self.relay_past(inner, body),
            Effect::EndSeat => inner.end_seat(),
            Effect::DropSeat => inner.drop_seat(),
            Effect::DropPast => inner.drop_past_seat(),
            Effect::Matched { pairing, since_unix_ms } => self.matched(inner, &pairing, since_unix_ms),
        }
    }

    fn send(&self, inner: &Inner, frame: &ServerFrame) {
        match frame {
            ServerFrame::Error(refusal) => self.metrics.refusal(refusal.code),
            ServerFrame::Message { .. } => self.metrics.message(),
            _ => {}
        }
        if let Some(socket) = &inner.socket {
            socket.push(frame.to_json());
        }
    }

    fn attach(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner, pairing: &Pairing) {
        let span = tracing::Span::current();
        let body = relays::attach(pairing, inner.subject(), chassis::grpc::traceparent(&span));
        let link = self.relays.link(&pairing.relay);
        if !inner.sit(slot, Arc::clone(&link), body) {
            // The stream ended at this moment: it is a loss like any other, told once the lock is free.
            let (hub, slot, seat) = (Arc::clone(self), Arc::clone(slot), inner.seat.clone());
            self.context.tasks.spawn("lost link", async move { hub.lose_seat(&slot, seat.as_ref()) });
        }
    }

    fn decline(&self, pairing: &Pairing) {
        self.metrics.declined();
        self.relays.decline(pairing);
    }

    fn relay_past(&self, inner: &Inner, body: ToRelay) {
        if !inner.past_seat.as_ref().is_some_and(|seat| seat.send(body)) {
            let refusal = Refusal::new(Code::Unavailable, "what was said in that chat is no longer there");
            self.send(inner, &ServerFrame::Error(refusal));
        }
    }

    fn matched(&self, inner: &Inner, pairing: &Pairing, since_unix_ms: u64) {
        let now = self.context.clock.unix_ms();
        #[expect(clippy::cast_precision_loss, reason = "a wait in milliseconds is far below 2^53")]
        self.metrics.matched(now.saturating_sub(since_unix_ms) as f64 / 1_000.0);
        self.send(
            inner,
            &ServerFrame::Matched(Box::new(Matched {
                chat: pairing.chat.to_string(),
                role: pairing.role,
                common_interests: pairing.common_interests.clone(),
                language: pairing.language.clone(),
                question: pairing.question.clone(),
                mode: pairing.mode,
                initiator: pairing.initiator,
                resume: token::for_resume(&self.context, inner.session.id(), pairing),
            })),
        );
    }

    /// A ticket of this gateway was paired.
    pub fn assign(self: &Arc<Self>, pairing: Pairing) {
        if !self.recent_chats.lock().insert(pairing.chat, pairing.ticket) {
            return;
        }
        let span = info_span!("assignment");
        chassis::grpc::continue_from(&span, &pairing.traceparent);
        let _entered = span.enter();
        match self.tickets.holder(pairing.ticket) {
            Some(slot) => self.tell(&slot, |session, env| session.on_assignment(pairing, env)),
            None => self.decline(&pairing),
        }
    }

    /// The store has a new generation.
    pub fn new_generation(self: &Arc<Self>, generation: &str) {
        if self.tickets.new_generation(generation) {
            warn!(generation, "the pool's store lost its tickets, putting those that wait in again");
        }
        // Also what was put into one that was never announced here.
        for slot in self.all_slots() {
            self.tell(&slot, |session, _| session.on_generation(|held| held != generation));
        }
    }

    /// After a ticket went in: the generation that took it may have been lost in the meantime.
    pub fn reconsider(self: &Arc<Self>, slot: &Arc<Slot>) {
        self.tell(slot, |session, _| session.on_generation(|held| self.tickets.is_lost(held)));
    }

    /// Waits until every socket is gone and every ticket is out of the pool, or the drain's time is over.
    pub async fn drained(&self) {
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        let hard = self.context.drain.hard();
        tokio::pin!(hard);
        while self.online.load(Ordering::Relaxed) > 0 {
            tokio::select! {
                _ = interval.tick() => {}
                () = &mut hard => return,
            }
        }
        tokio::select! {
            () = self.tickets.settled() => {}
            () = &mut hard => {}
        }
    }

    fn all_slots(&self) -> Vec<Arc<Slot>> {
        self.sessions.iter().map(|slot| Arc::clone(&slot)).collect()
    }

    async fn follow_relays(self: Arc<Self>, mut news: mpsc::Receiver<(Arc<Link>, News)>) {
        let hard = self.context.drain.hard();
        tokio::pin!(hard);
        loop {
            let received = tokio::select! {
                received = news.recv() => received,
                () = &mut hard => return,
            };
            match received {
                Some((link, News::Frames(frames))) => {
                    for frame in frames {
                        self.relay_frame(&link, frame);
                    }
                }
                Some((link, News::Lost)) => {
                    for (handle, slot) in link.take_seats() {
                        self.lose(&slot, &link, handle);
                    }
                }
                None => return,
            }
        }
    }

    fn relay_frame(self: &Arc<Self>, link: &Arc<Link>, frame: RelayFrame) {
        let (Some(slot), Some(body)) = (link.slot(frame.handle), frame.body) else { return };
        let mut inner = slot.inner.lock();
        let of =
            |seat: &Option<crate::slot::Seat>| seat.as_ref().is_some_and(|seat| seat.is(link, frame.handle));
        if of(&inner.seat) {
            self.tell_locked(&slot, &mut inner, |session, env| session.on_relay(body, env));
        } else if of(&inner.past_seat) {
            self.tell_locked(&slot, &mut inner, |_, _| Session::on_past_relay(body));
        }
        let over = inner.session.is_over();
        drop(inner);
        if over {
            self.remove_if_over(slot.id);
        }
    }

    fn lose(self: &Arc<Self>, slot: &Arc<Slot>, link: &Arc<Link>, handle: u64) {
        let seat = slot.inner.lock().seat.clone().filter(|seat| seat.is(link, handle));
        if seat.is_some() {
            self.lose_seat(slot, seat.as_ref());
        }
    }

    /// The session's seat is lost with its stream, if it is still that one.
    fn lose_seat(self: &Arc<Self>, slot: &Arc<Slot>, lost: Option<&crate::slot::Seat>) {
        let is_same = |inner: &Inner| match (&inner.seat, lost) {
            (Some(seat), Some(lost)) => seat.is_same(lost),
            _ => false,
        };
        let mut inner = slot.inner.lock();
        if is_same(&inner) {
            self.tell_locked(slot, &mut inner, |session, env| session.on_relay_lost(env));
        }
        drop(inner);
        self.remove_if_over(slot.id);
    }

    /// A gateway that knows no bans yet would let everybody in.
    async fn know_bans(self: Arc<Self>) {
        let known =
            self.context.readiness.condition("bans", "waiting for moderation to tell the bans in force");
        tokio::select! {
            () = self.bans.until_synced() => known.met(),
            () = self.context.drain.hard() => {}
        }
    }

    async fn follow_bans(self: Arc<Self>) {
        let mut news = self.bans.subscribe();
        let soft = self.context.drain.hard();
        tokio::pin!(soft);
        loop {
            let received = tokio::select! {
                received = news.recv() => received,
                () = &mut soft => return,
            };
            match received {
                Ok(ban) => self.apply_bans(|id, addresses| ban.is_of(id, addresses)),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let banned = |id, addresses: &[AddressHash]| self.bans.check(id, addresses).is_some();
                    self.apply_bans(banned);
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn apply_bans(self: &Arc<Self>, is_banned: impl Fn(SessionId, &[AddressHash]) -> bool) {
        for slot in self.all_slots() {
            let banned = is_banned(slot.id, &slot.inner.lock().addresses);
            if banned {
                self.tell(&slot, Session::on_ban);
            }
        }
    }

    async fn sweep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        let mut swept_admission = Instant::now();
        let hard = self.context.drain.hard();
        tokio::pin!(hard);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = &mut hard => return,
            }
            for id in self.due() {
                let slot = self.sessions.get(&id).map(|slot| Arc::clone(&slot));
                if let Some(slot) = slot {
                    self.tell(&slot, Session::on_time);
                }
            }
            if swept_admission.elapsed() > Duration::from_secs(60) {
                swept_admission = Instant::now();
                self.admission.sweep();
            }
        }
    }

    fn due(&self) -> Vec<SessionId> {
        let now = self.context.clock.unix_ms();
        let mut deadlines = self.deadlines.lock();
        let later = deadlines.split_off(&(now + 1, SessionId([0; 16])));
        std::mem::replace(&mut *deadlines, later).into_iter().map(|(_, id)| id).collect()
    }

    fn remove_if_over(&self, id: SessionId) {
        let removed = self.sessions.remove_if(&id, |_, slot| {
            let mut inner = slot.inner.lock();
            inner.removed = inner.session.is_over();
            inner.removed
        });
        if removed.is_some() {
            self.metrics.moved(Some(Activity::Idle), None);
        }
    }
}

/// The last chats that were assigned here, so that a delivery that comes again is known. Bounded.
#[derive(Debug, Default)]
struct RecentChats {
    known: HashSet<(ChatId, TicketId)>,
    order: VecDeque<(ChatId, TicketId)>,
}

impl RecentChats {
    /// Whether it is new.
    fn insert(&mut self, chat: ChatId, ticket: TicketId) -> bool {
        if !self.known.insert((chat, ticket)) {
            return false;
        }
        self.order.push_back((chat, ticket));
        if self.order.len() > REMEMBERED_CHATS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
