//! The tickets that this gateway holds, and the calls that put them into the pool and take them out.
//!
//! Tickets go in by batches that grow with load: a few workers take what has come within a few milliseconds, and while their calls
//! are under way the next ones queue up.
//!
//! Invariant (I1): a ticket that is not in this table is not waiting, whatever the pool says.

mod queue;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use chassis::{
    Context, Tasks,
    grpc::{self, Channel},
    id::{Alias, TicketId},
    secret::Purpose,
};
use dashmap::DashMap;
use parking_lot::Mutex;
use stroll_proto::v1::{
    CancelRequest, Mode as ProtoMode, Subject, Ticket, TicketPlace,
    matchmaker_service_client::MatchmakerServiceClient,
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{Span, debug};

use self::queue::{Job, Queue};
pub use self::worker::start_workers;
use crate::{
    hub::Hub,
    metrics::Depth,
    protocol::{Aim, Find, Mode},
    session::{Place, Told, Wanted},
    slot::Slot,
};

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a new wish is tried before the client is told that it can't be had. Above the time in which a dead process is
/// replaced (I4).
const BUDGET: Duration = Duration::from_secs(5);

/// How many generations that are over are remembered, for answers that come late.
const MAX_PAST_GENERATIONS: usize = 64;

/// Tickets by id.
pub struct Tickets {
    matchmaker: MatchmakerServiceClient<Channel>,
    held: DashMap<TicketId, Arc<Slot>>,
    queue: Queue,
    generations: Mutex<Generations>,
    calls: TaskTracker,
    /// The last call to put tickets in failed, and that was said.
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct Generations {
    current: Option<String>,
    /// Generations that are over, oldest first; a ticket that was put into one of them is lost.
    past: Vec<String>,
}

impl Tickets {
    /// None yet. What waits to be put in is counted in `depth`.
    #[must_use]
    pub fn new(matchmaker: Channel, depth: Depth) -> Self {
        Self {
            matchmaker: MatchmakerServiceClient::new(matchmaker),
            held: DashMap::new(),
            queue: Queue::new(depth),
            generations: Mutex::default(),
            calls: TaskTracker::new(),
            failing: AtomicBool::new(false),
        }
    }

    /// A client of the matchmakers.
    #[must_use]
    pub fn matchmaker(&self) -> MatchmakerServiceClient<Channel> {
        self.matchmaker.clone()
    }

    /// Who holds a ticket.
    #[must_use]
    pub fn holder(&self, ticket: TicketId) -> Option<Arc<Slot>> {
        self.held.get(&ticket).map(|slot| Arc::clone(&slot))
    }

    /// Puts a ticket into the pool in the background; the session hears how it went.
    pub fn enqueue(&self, hub: &Arc<Hub>, slot: &Arc<Slot>, subject: Subject, wanted: Wanted) {
        self.held.insert(wanted.ticket, Arc::clone(slot));
        let told = wanted.told != Told::Nothing;
        if told {
            hub.metrics.again();
        }
        let after = Duration::from_millis(wanted.after_ms);
        let job = Job {
            ticket: wanted.ticket,
            slot: Arc::clone(slot),
            told,
            give_up: Instant::now() + after + BUDGET,
            tried: false,
            message: message(hub, slot, subject, wanted),
        };
        if after.is_zero() {
            self.queue.push(job, |ticket| self.is_held(ticket));
        } else {
            Self::enqueue_later(hub, vec![job], after);
        }
    }

    /// Nothing is under way meanwhile, so a drain does not wait for it.
    fn enqueue_later(hub: &Arc<Hub>, jobs: Vec<Job>, pause: Duration) {
        let (later, hard) = (Arc::clone(hub), hub.context.drain.hard());
        hub.context.tasks.spawn("ticket pause", async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = hard => return,
            }
            let tickets = later.tickets();
            jobs.into_iter().for_each(|job| tickets.queue.push(job, |ticket| tickets.is_held(ticket)));
        });
    }

    fn is_held(&self, ticket: TicketId) -> bool {
        self.held.contains_key(&ticket)
    }

    /// The ticket is not held any more. What the pool has of it is taken out in the background: if that fails, the
    /// pairing that may come of it is declined.
    pub fn forget(&self, hub: &Arc<Hub>, ticket: TicketId, place: Option<Place>) {
        self.held.remove(&ticket);
        let Some(Place { shard, entry, .. }) = place else { return };
        let (hub, matchmaker) = (Arc::clone(hub), self.matchmaker());
        let (tasks, hard) = (hub.context.tasks.clone(), hub.context.drain.hard());
        self.spawn(&tasks, "cancel", hard, async move {
            let place = TicketPlace { shard, entry };
            let once = || {
                let request = grpc::request(CancelRequest { place: Some(place.clone()), ticket: ticket.to_bytes() }, DEADLINE);
                let mut matchmaker = matchmaker.clone();
                async move { matchmaker.cancel(request).await }
            };
            if let Err(status) = grpc::retry(&hub.context, BUDGET, once).await {
                debug!(code = ?status.code(), "a ticket could not be cancelled, its pairing will be declined");
            }
        });
    }

    /// Calls that a drain waits for, until its hard end.
    fn spawn(
        &self,
        tasks: &Tasks,
        name: &'static str,
        hard: impl Future<Output = ()> + Send + 'static,
        call: impl Future<Output = ()> + Send + 'static,
    ) {
        let counted = self.calls.track_future(call);
        tasks.spawn(name, async move {
            tokio::select! {
                () = counted => {}
                () = hard => {}
            }
        });
    }

    /// Waits until no call is under way.
    pub async fn settled(&self) {
        self.calls.close();
        self.calls.wait().await;
    }

    /// The store's generation, as announced. Returns whether another one was announced before.
    pub fn new_generation(&self, generation: &str) -> bool {
        let mut generations = self.generations.lock();
        if generations.current.as_deref() == Some(generation) {
            return false;
        }
        generations.past.retain(|past| past != generation);
        let before = generations.current.replace(generation.to_owned());
        let is_another = before.is_some();
        generations.past.extend(before);
        if generations.past.len() > MAX_PAST_GENERATIONS {
            generations.past.remove(0);
        }
        is_another
    }

    /// Whether what was put into this generation is lost.
    #[must_use]
    pub fn is_lost(&self, generation: &str) -> bool {
        self.generations.lock().past.iter().any(|past| past == generation)
    }
}

fn message(hub: &Hub, slot: &Slot, subject: Subject, wanted: Wanted) -> Ticket {
    let numbers = |aliases: Vec<Alias>| aliases.into_iter().map(|alias| alias.0).collect();
    let Find { mode, section, aim, interests, languages, patience_ms, only_interests, college } = wanted.find;
    let any_college = college.as_ref().is_some_and(|college| college.any);
    let mut ticket = Ticket {
        id: wanted.ticket.to_bytes(),
        gateway: hub.id.clone(),
        subject: Some(subject),
        mode: match mode {
            Mode::Text => ProtoMode::Text,
            Mode::Video => ProtoMode::Video,
        }
        .into(),
        section: section.name().to_owned(),
        interests,
        languages,
        patience_ms,
        only_interests,
        since_unix_ms: wanted.since_unix_ms,
        zone: hub.config.zone.clone(),
        aliases: numbers(hub.context.secret.session_aliases(slot.id)),
        blocked: numbers(wanted.blocked),
        met_lately: numbers(wanted.met_lately),
        traceparent: grpc::traceparent(&Span::current()),
        college: college.map(|college| college.domain).unwrap_or_default(),
        any_college,
        ..Ticket::default()
    };
    match aim {
        Aim::Talk => {}
        Aim::Ask(question) => {
            let Context { secret, random, .. } = &hub.context;
            ticket.ask = secret.seal(Purpose::Question, question.0.as_bytes(), random);
        }
        Aim::Discuss => ticket.discuss = true,
        Aim::Again { token, .. } => ticket.again = token.reveal().to_vec().into(),
    }
    ticket
}
