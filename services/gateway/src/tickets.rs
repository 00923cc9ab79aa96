//! The tickets that this gateway holds, and the calls that put them into the pool and take them out.
//!
//! Invariant (I1): a ticket that is not in this table is not waiting, whatever the pool says.

use std::{sync::Arc, time::Duration};

use chassis::{
    Tasks,
    backoff::Backoff,
    grpc::{self, Channel},
    id::{Alias, TicketId},
};
use dashmap::DashMap;
use parking_lot::Mutex;
use stroll_proto::v1::{
    CancelRequest, EnqueueRequest, Mode as ProtoMode, Subject, Ticket, TicketPlace, enqueue_result::Outcome,
    matchmaker_service_client::MatchmakerServiceClient,
};
use tokio_util::task::TaskTracker;
use tonic::{Code as GrpcCode, Status};
use tracing::{Instrument as _, Span, debug, warn};

use crate::{
    hub::Hub,
    protocol::{Aim, Code, Find, Mode, Refusal},
    session::{Enqueued, Place, Told, Wanted},
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
    generations: Mutex<Generations>,
    calls: TaskTracker,
}

#[derive(Debug, Default)]
struct Generations {
    current: Option<String>,
    /// Generations that are over, oldest first; a ticket that was put into one of them is lost.
    past: Vec<String>,
}

impl Tickets {
    /// None yet.
    #[must_use]
    pub fn new(matchmaker: Channel) -> Self {
        Self {
            matchmaker: MatchmakerServiceClient::new(matchmaker),
            held: DashMap::new(),
            generations: Mutex::default(),
            calls: TaskTracker::new(),
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
        let (ticket, after) = (wanted.ticket, Duration::from_millis(wanted.after_ms));
        let message = message(hub, slot, subject, wanted);
        let (hub, slot) = (Arc::clone(hub), Arc::clone(slot));
        let (tasks, hard) = (hub.context.tasks.clone(), hub.context.drain.hard());
        let work = async move {
            tokio::time::sleep(after).await;
            let outcome = hub.tickets().put(&hub, ticket, told, message).await;
            if let Some(outcome) = outcome {
                hub.tell(&slot, |session, _| session.on_enqueued(ticket, outcome));
                hub.reconsider(&slot);
            }
        };
        self.spawn(&tasks, "enqueue", hard, work.instrument(Span::current()));
    }

    /// Tries until the pool has it, or a new wish's time is over, or nobody holds the ticket any more.
    async fn put(
        &self,
        hub: &Hub,
        ticket: TicketId,
        told: bool,
        message: Ticket,
    ) -> Option<Result<Enqueued, Refusal>> {
        let mut backoff =
            Backoff::new(Duration::from_millis(100), Duration::from_secs(2), hub.context.random.clone());
        let mut failing = false;
        while self.held.contains_key(&ticket) {
            let once = || {
                let request = grpc::request(EnqueueRequest { tickets: vec![message.clone()] }, DEADLINE);
                let mut matchmaker = self.matchmaker();
                async move { matchmaker.enqueue(request).await }
            };
            match grpc::retry(&hub.context, BUDGET, once).await {
                Ok(response) => {
                    let response = response.into_inner();
                    let result = response.results.into_iter().next().unwrap_or_default();
                    let Some(Outcome::Place(TicketPlace { shard, entry })) = result.outcome else {
                        return Some(Err(refusal(&Status::resource_exhausted("not put in"))));
                    };
                    return Some(Ok(Enqueued {
                        place: Place { shard, entry, generation: response.generation },
                        estimate_ms: result.estimate_ms,
                        anybody_estimate_ms: result.anybody_estimate_ms,
                    }));
                }
                // One that the client was told of is not given up while it is wanted.
                Err(status) if told && may_be_tried_again(&status) => {
                    if !std::mem::replace(&mut failing, true) {
                        warn!(code = ?status.code(), cause = status.message(), "a waiting ticket cannot be put in again, trying on");
                    }
                    backoff.pause().await;
                }
                Err(status) => return Some(Err(refusal(&status))),
            }
            if hub.context.drain.is_draining() {
                break;
            }
        }
        None
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
    let Find { mode, section, aim, interests, languages, patience_ms, only_interests } = wanted.find;
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
        traceparent: chassis::grpc::traceparent(&Span::current()),
        ..Ticket::default()
    };
    match aim {
        Aim::Talk => {}
        Aim::Ask(question) => ticket.ask = question.0,
        Aim::Discuss => ticket.discuss = true,
        Aim::Again { token, .. } => ticket.again = token.reveal().to_vec().into(),
    }
    ticket
}

fn may_be_tried_again(status: &Status) -> bool {
    grpc::is_transient(status) || status.code() == GrpcCode::ResourceExhausted
}

fn refusal(status: &Status) -> Refusal {
    match status.code() {
        GrpcCode::ResourceExhausted => {
            Refusal::new(Code::Busy, "too many people wait at the moment").retry_after(5_000)
        }
        _ => {
            warn!(code = ?status.code(), cause = status.message(), "a ticket could not be put into the pool");
            Refusal::new(Code::Unavailable, "nobody can be looked for at the moment").retry_after(2_000)
        }
    }
}
