//! All sessions of this gateway, and the hands that carry out what their state machines decide.
//!
//! Lock order: the table of sessions before a session that is in it, a session before a relay's queue. No lock is held over an await, and
//! nothing that a session's effects do waits.

mod classic_sessions;
mod farewell;
mod handed;
#[cfg(test)]
mod instructions;
mod news;
mod recent;
mod telling;

use std::{
    collections::BTreeSet,
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
    id::{AddressHash, SessionId},
};
use dashmap::DashMap;
use parking_lot::Mutex;
use stroll_proto::v1::{GatewayLoad, gateway_frame::Body as ToRelay};
use tokio::sync::{Semaphore, mpsc};
use tracing::{info_span, warn};

pub use self::classic_sessions::Opening;
use self::{handed::Handed, recent::RecentChats};
use crate::{
    admission::Admission,
    classic::{self, SpyWaits},
    close::Close,
    config::Public,
    homes::{Cause, Homes, Question},
    limits::SessionLimits,
    metrics::Metrics,
    outbox::Outbox,
    protocol::{ClientFrame, Code, Hello, Refusal, ServerFrame},
    relays::{self, Relays},
    session::{self, Activity, Departure, Effect, Env, Known, Memory, Pairing, Resume, Retake, Session},
    slot::{Client, Inner, Slot},
    stats::Stats,
    tickets::Tickets,
    token,
};

/// How many sockets are let go at once: those who come back to other gateways must not do it all together.
const FAREWELLS: usize = 128;
/// How long a gateway that has nothing more to do lets its last words go out.
const LINGER: Duration = Duration::from_millis(100);
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
    /// Where other gateways reach it; may be empty.
    pub address: String,
    sessions: DashMap<SessionId, Arc<Slot>>,
    tickets: Tickets,
    homes: Homes,
    relays: Arc<Relays>,
    bans: Bans,
    deadlines: Mutex<BTreeSet<(u64, SessionId)>>,
    recent_chats: Mutex<RecentChats>,
    waiting: AtomicI64,
    chatting: AtomicI64,
    online: AtomicI64,
    /// Calls of classic clients that are being answered.
    calls: AtomicI64,
    spy_waits: Mutex<SpyWaits>,
    handed: Mutex<Handed>,
    /// What classic sessions need besides.
    pub classic: classic::Services,
}

impl Hub {
    /// An empty one, and the tasks that feed it. Other gateways reach it at `address`.
    #[must_use]
    pub fn start(
        context: &Context,
        config: Public,
        address: String,
        matchmaker: Channel,
        moderation: Channel,
    ) -> Arc<Self> {
        let (news, from_relays) = mpsc::channel(RELAY_NEWS);
        let metrics = Metrics::new();
        // Short, since each ticket in the pool bears it.
        let id = format!("gateway-{:016x}", u64::from_be_bytes(context.random.bytes()));
        let relays = Relays::new(context.clone(), id.clone(), metrics.clone(), news);
        let hub = Arc::new(Self {
            admission: Admission::new(&config.limits),
            stats: Stats::default(),
            farewells: Semaphore::new(FAREWELLS),
            sessions: DashMap::new(),
            tickets: Tickets::new(matchmaker, metrics.to_matchmakers.clone()),
            homes: Homes::new(metrics.to_matchmakers.clone()),
            relays: Arc::new(relays),
            bans: Bans::follow(context, moderation),
            deadlines: Mutex::default(),
            recent_chats: Mutex::default(),
            waiting: AtomicI64::new(0),
            chatting: AtomicI64::new(0),
            online: AtomicI64::new(0),
            calls: AtomicI64::new(0),
            spy_waits: Mutex::default(),
            handed: Mutex::default(),
            classic: classic::Services::new(&config.classic, context, &id),
            context: context.clone(),
            config,
            metrics,
            id,
            address,
        });
        let tasks = &context.tasks;
        tasks.spawn("bans known", Arc::clone(&hub).know_bans());
        tasks.spawn("relay news", Arc::clone(&hub).follow_relays(from_relays));
        tasks.spawn("ban news", Arc::clone(&hub).follow_bans());
        tasks.spawn("sweeper", Arc::clone(&hub).sweep());
        tasks.spawn("last classics", Arc::clone(&hub).end_last_classics());
        tasks.spawn("watch", crate::watch::follow(Arc::clone(&hub)));
        crate::tickets::start_workers(&hub);
        crate::homes::start_workers(&hub);
        hub
    }

    /// The tickets that this gateway holds.
    pub fn tickets(&self) -> &Tickets {
        &self.tickets
    }

    /// The questions for chats' homes.
    pub fn homes(&self) -> &Homes {
        &self.homes
    }

    /// The relays that matchmakers hear of.
    pub fn relays_heard_of(&self, addresses: &[String]) {
        self.relays.heard_of(addresses);
    }

    /// Sessions of this gateway: online, waiting, chatting.
    #[must_use]
    pub fn load(&self) -> GatewayLoad {
        let read = |count: &AtomicI64| u64::try_from(count.load(Ordering::Relaxed)).unwrap_or(0);
        let mut load = GatewayLoad {
            online: read(&self.online),
            waiting: read(&self.waiting),
            chatting: read(&self.chatting),
            ..GatewayLoad::default()
        };
        self.spy_waits.lock().add_to(&mut load);
        load
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
        let known = self.known(hello);
        let id = known.session;
        if self.bans.check(id, &addresses).is_some() {
            return Err(session::banned());
        }
        let resume = self.resume(id, hello);
        loop {
            let slot = Arc::clone(&self.sessions.entry(id).or_insert_with(|| Arc::new(self.new_slot(id))));
            let mut inner = slot.inner.lock();
            if inner.removed {
                continue;
            }
            self.connect(&mut inner, outbox, addresses);
            self.tell_locked(&slot, &mut inner, |session, env| session.on_connected(known, resume, env));
            // A ban may have come after the first look, and before the session could be found by it.
            if self.bans.check(id, &inner.addresses).is_some() {
                self.tell_locked(&slot, &mut inner, Session::on_ban);
            }
            drop(inner);
            return Ok(slot);
        }
    }

    /// What the token says of who says hello, or that it is a new stranger.
    fn known(&self, hello: &Hello) -> Known {
        let token = hello.session.as_deref();
        let sections = &self.config.wishes.sections;
        let known = token.and_then(|token| token::read_session(&self.context, sections, token));
        let new = || Known {
            session: SessionId::new(&self.context.random),
            consent: false,
            memory: Memory::default(),
            waited: None,
        };
        let known = known.unwrap_or_else(new);
        Known { consent: known.consent || (hello.adult && hello.terms), ..known }
    }

    fn resume(&self, id: SessionId, hello: &Hello) -> Resume {
        let Some(token) = hello.resume.as_deref() else { return Resume::No };
        let sections = &self.config.wishes.sections;
        let rejoin = token::read_resume(&self.context, sections, id, token);
        rejoin.map_or(Resume::Refused, |rejoin| Resume::Chat(Box::new(rejoin)))
    }

    fn new_slot(&self, id: SessionId) -> Slot {
        self.metrics.moved(None, Some(Activity::Idle));
        Slot::new(Session::new(id, SessionLimits::new(&self.config.limits)))
    }

    fn connect(&self, inner: &mut Inner, outbox: &Arc<Outbox>, addresses: Vec<AddressHash>) {
        inner.addresses = addresses;
        match inner.client.replace(Client::Socket(Arc::clone(outbox))) {
            Some(Client::Socket(before)) => before.close(Close::Replaced),
            Some(Client::Classic(_)) => debug_assert!(false, "a classic session has no token"),
            None => self.count_online(1),
        }
    }

    fn count_online(&self, by: i64) {
        self.online.fetch_add(by, Ordering::Relaxed);
        self.metrics.online(by);
    }

    /// A socket is gone.
    pub fn goodbye(self: &Arc<Self>, slot: &Arc<Slot>, outbox: &Arc<Outbox>) {
        let mut inner = slot.inner.lock();
        if !inner.has_socket(outbox) {
            return;
        }
        inner.client = None;
        self.count_online(-1);
        self.tell_locked(slot, &mut inner, |session, _| session.on_disconnected());
        drop(inner);
        self.remove_if_over(slot.id);
    }

    /// A client sent a frame on `outbox`'s socket. A socket that was replaced has no say any more.
    pub fn frame(self: &Arc<Self>, slot: &Arc<Slot>, outbox: &Arc<Outbox>, frame: ClientFrame) {
        // The root of the trace that goes on through pool, pairing and relay.
        let span = match frame {
            ClientFrame::Find(_) | ClientFrame::Again => info_span!("find"),
            _ => tracing::Span::none(),
        };
        let _entered = span.enter();
        let mut inner = slot.inner.lock();
        if inner.has_socket(outbox) {
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
        for effect in event(&mut inner.session, &self.env()) {
            self.perform(slot, inner, effect);
        }
        self.attend(slot, inner);
        self.count(before, inner.session.activity());
        self.heed_deadlines(slot.id, inner);
    }

    fn env(&self) -> Env<'_> {
        Env { now_ms: self.context.clock.unix_ms(), random: &self.context.random }
    }

    /// Sees to it that the session is told when its time comes.
    fn heed_deadlines(&self, id: SessionId, inner: &mut Inner) {
        let activity = inner.session.activity();
        let of_client = inner.classic().and_then(|classic| classic.endpoint.deadline_ms(activity));
        let Some(deadline) = inner.session.deadline_ms().into_iter().chain(of_client).min() else { return };
        // One that comes before is heeded anyway, and this one again after it.
        let is_heeded = |at: u64| at > self.context.clock.unix_ms() && at <= deadline;
        if !inner.heeded_ms.is_some_and(is_heeded) {
            inner.heeded_ms = Some(deadline);
            self.deadlines.lock().insert((deadline, id));
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
            Effect::Send(frame) => self.send(inner, frame),
            Effect::Welcome => self.welcome(inner),
            Effect::Ended { chat, by, reason, seat } => self.ended(inner, chat, by, reason, seat),
            Effect::Close(close) => match &mut inner.client {
                Some(Client::Socket(socket)) => socket.close(close),
                Some(Client::Classic(_)) if close == Close::Banned => self.stop_classic(slot.id, inner),
                Some(Client::Classic(classic)) => classic.endpoint.fail(close.reason().into()),
                None => {}
            },
            Effect::Enqueue(wanted) => self.tickets.enqueue(self, slot, inner.subject(), *wanted),
            Effect::Forget(ticket, place) => self.tickets.forget(self, ticket, place),
            Effect::Attach(pairing) => self.attach(slot, inner, &pairing),
            Effect::Decline(pairing) => self.decline(&pairing),
            Effect::Retake(retake) => self.retake(slot, inner, &retake),
            Effect::AskHome { chat, seat_token, lost_relay, held_at } => {
                let cause = Cause::Seat { chat, seat_token, lost_relay, held_at };
                self.homes.ask(Question { slot: Arc::clone(slot), cause });
            }
            Effect::Depart(departure) => {
                self.homes.ask(Question { slot: Arc::clone(slot), cause: Cause::Departure(departure) });
            }
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
            Effect::Matched { rejoin, since_unix_ms } => self.matched(inner, &rejoin, since_unix_ms),
            Effect::Resumed { chat, received, renewed, interrupted_ms } => {
                interrupted_ms.into_iter().for_each(|ms| self.metrics.interrupted(seconds(ms)));
                self.resumed(inner, chat, received, renewed.as_deref());
            }
        }
    }

    fn attach(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner, pairing: &Pairing) {
        let span = tracing::Span::current();
        let body = relays::attach(pairing, inner.subject(), chassis::grpc::traceparent(&span));
        self.sit(slot, inner, &pairing.relay, body);
    }

    fn retake(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner, retake: &Retake) {
        let body = relays::retake_seat(retake, inner.subject());
        self.sit(slot, inner, &retake.relay, body);
    }

    /// A chat that has no seat here is left.
    pub fn depart(&self, slot: &Arc<Slot>, departure: &Departure) {
        self.relays.depart(departure, slot.inner.lock().subject());
    }

    fn sit(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner, relay: &str, body: ToRelay) {
        if !inner.sit(slot, self.relays.link(relay), body) {
            // The stream ended at this moment: it is a loss like any other, told once the lock is free.
            let (hub, slot, seat) = (Arc::clone(self), Arc::clone(slot), inner.seat.clone());
            self.context.tasks.spawn("lost link", async move { hub.lose_seat(&slot, seat.as_ref()) });
        }
    }

    fn decline(&self, pairing: &Pairing) {
        self.metrics.declined();
        self.relays.decline(pairing);
    }

    fn relay_past(&self, inner: &mut Inner, body: ToRelay) {
        if !inner.past_seat.as_ref().is_some_and(|seat| seat.send(body)) {
            let refusal = Refusal::new(Code::Unavailable, "what was said in that chat is no longer there");
            self.send(inner, ServerFrame::Error(refusal));
        }
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

    /// The pool may have dropped what this gateway has waiting.
    pub fn put_in_again(self: &Arc<Self>) {
        warn!(
            waiting = self.load().waiting,
            "matchmakers have not heard of this gateway for a while, putting those that wait in again"
        );
        for slot in self.all_slots() {
            self.tell(&slot, |session, _| session.on_forgotten());
        }
    }

    /// After a ticket went in: the generation that took it may have been lost in the meantime.
    pub fn reconsider(self: &Arc<Self>, slot: &Arc<Slot>) {
        self.tell(slot, |session, _| session.on_generation(|held| self.tickets.is_lost(held)));
    }

    /// Waits for the drain, and then until every client is gone and answered and every ticket is out of the pool, or its time is over.
    pub async fn drained(&self) {
        self.context.drain.soft().await;
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        let hard = self.context.drain.hard();
        tokio::pin!(hard);
        // Calls of clients whose sessions are elsewhere count as well.
        let is_busy = || [&self.online, &self.calls].iter().any(|count| count.load(Ordering::Relaxed) > 0);
        while is_busy() {
            tokio::select! {
                _ = interval.tick() => {}
                () = &mut hard => return,
            }
        }
        let settled = async {
            self.tickets.settled().await;
            // What was said last is on its way.
            tokio::time::sleep(LINGER).await;
        };
        tokio::select! {
            () = settled => {}
            () = &mut hard => {}
        }
    }

    fn all_slots(&self) -> Vec<Arc<Slot>> {
        self.sessions.iter().map(|slot| Arc::clone(&slot)).collect()
    }

    fn remove_if_over(&self, id: SessionId) {
        let removed = self.sessions.remove_if(&id, |_, slot| {
            let mut inner = slot.inner.lock();
            inner.removed = inner.session.is_over();
            if inner.removed {
                inner.drop_seat();
                inner.drop_past_seat();
            }
            inner.removed
        });
        if removed.is_some() {
            self.metrics.moved(Some(Activity::Idle), None);
        }
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
