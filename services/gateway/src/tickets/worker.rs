//! Those who put queued tickets into the pool.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chassis::{backoff::Backoff, grpc};
use stroll_proto::v1::{
    EnqueueRefusal, EnqueueRefusalReason, EnqueueRequest, EnqueueResponse, EnqueueResult, TicketPlace,
    enqueue_result::Outcome,
};
use tokio::time::Instant;
use tonic::{Code as GrpcCode, Status};
use tracing::warn;

use super::{DEADLINE, Tickets, queue::Job};
use crate::{
    hub::Hub,
    protocol::{Code, Refusal},
    session::{Enqueued, Place},
};

/// How many calls may be under way: one that hangs must not hold the others up.
const WORKERS: usize = 4;
/// When to try again where a pool that is full does not say it.
const FULL_PAUSE: Duration = Duration::from_secs(5);

/// Starts those who serve the queue.
pub fn start_workers(hub: &Arc<Hub>) {
    for _ in 0..WORKERS {
        let worker = Arc::clone(hub);
        hub.context.tasks.spawn("enqueue", async move {
            let hard = worker.context.drain.hard();
            tokio::select! {
                () = work(&worker) => {}
                () = hard => {}
            }
        });
    }
}

async fn work(hub: &Arc<Hub>) {
    let mut backoff =
        Backoff::new(Duration::from_millis(20), Duration::from_millis(500), hub.context.random.clone());
    let tickets = hub.tickets();
    loop {
        tickets.queue.gathered().await;
        // Taken before the queue is looked at, so that a drain never misses what is in a worker's hands.
        let under_way = tickets.calls.token();
        let batch = tickets.queue.take(|ticket| tickets.is_held(ticket));
        if batch.is_empty() {
            continue;
        }
        hub.metrics.enqueued_at_once(batch.len());
        let request = EnqueueRequest { tickets: batch.iter().map(|job| job.message.clone()).collect() };
        match tickets.matchmaker().enqueue(grpc::request(request, DEADLINE)).await {
            Ok(response) => {
                backoff.reset();
                tickets.failing.store(false, Ordering::Relaxed);
                tickets.answered(hub, batch, response.into_inner());
            }
            Err(status) => {
                let pause = backoff.next_pause();
                tickets.failed(hub, batch, &status, pause);
                drop(under_way);
                tokio::time::sleep(pause).await;
            }
        }
    }
}

impl Tickets {
    /// A call was answered: each session hears what became of its ticket.
    fn answered(&self, hub: &Arc<Hub>, batch: Vec<Job>, response: EnqueueResponse) {
        let EnqueueResponse { results, generation } = response;
        let mut results = results.into_iter();
        let (mut full, mut pause) = (Vec::new(), Duration::ZERO);
        for job in batch {
            match outcome(results.next().unwrap_or_default(), &generation, job.tried) {
                // One that the client was told of is not given up while it is wanted.
                Answer::Full(wait) if job.told => {
                    full.push(job);
                    pause = pause.max(wait);
                }
                Answer::Full(wait) => job.tell(hub, Err(busy(wait))),
                Answer::Final(outcome) => job.tell(hub, outcome),
            }
        }
        if !full.is_empty() {
            self.warn_once("the pool is full");
            // Not all gateways at once.
            Self::enqueue_later(hub, full, hub.context.random.duration(pause..pause.mul_f32(1.5)));
        }
    }

    /// A call failed: what may be had in the end goes back into the queue.
    fn failed(&self, hub: &Arc<Hub>, batch: Vec<Job>, status: &Status, pause: Duration) {
        let (is_transient, next_try) = (grpc::is_transient(status), Instant::now() + pause);
        let is_full = status.code() == GrpcCode::ResourceExhausted;
        let (mut again, lost): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| {
            let in_time = is_transient && next_try < job.give_up;
            in_time || job.told && (is_transient || is_full)
        });
        if again.iter().any(|job| job.told) {
            self.warn_once(status.message());
        }
        again.iter_mut().for_each(|job| job.tried = true);
        self.queue.put_back(again);
        if lost.is_empty() {
            return;
        }
        let refusal = if is_full {
            busy(FULL_PAUSE)
        } else {
            let (tickets, code, cause) = (lost.len(), status.code(), status.message());
            warn!(tickets, ?code, cause, "tickets could not be put into the pool");
            unavailable()
        };
        for job in lost {
            job.tell(hub, Err(refusal.clone()));
        }
    }

    fn warn_once(&self, cause: &str) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            warn!(cause, "waiting tickets cannot be put in again, trying on");
        }
    }
}

impl Job {
    fn tell(self, hub: &Arc<Hub>, outcome: Result<Enqueued, Refusal>) {
        hub.tell(&self.slot, |session, _| session.on_enqueued(self.ticket, outcome));
        hub.reconsider(&self.slot);
    }
}

/// What the pool says of one ticket.
enum Answer {
    /// It takes no more for so long.
    Full(Duration),
    /// What the session is told.
    Final(Result<Enqueued, Refusal>),
}

fn outcome(result: EnqueueResult, generation: &str, twice: bool) -> Answer {
    let EnqueueResult { outcome, estimate_ms, anybody_estimate_ms } = result;
    match outcome {
        Some(Outcome::Place(TicketPlace { shard, entry })) => {
            let place = Place { shard, entry, generation: generation.to_owned() };
            Answer::Final(Ok(Enqueued { place, estimate_ms, anybody_estimate_ms, twice }))
        }
        Some(Outcome::Refusal(refusal)) => refused(&refusal),
        None => {
            warn!("a matchmaker said nothing of a ticket");
            Answer::Final(Err(unavailable()))
        }
    }
}

fn refused(refusal: &EnqueueRefusal) -> Answer {
    match refusal.reason() {
        EnqueueRefusalReason::Full if refusal.retry_after_ms == 0 => Answer::Full(FULL_PAUSE),
        EnqueueRefusalReason::Full => Answer::Full(Duration::from_millis(refusal.retry_after_ms)),
        EnqueueRefusalReason::Invalid => {
            warn!(cause = refusal.text, "the pool finds a ticket malformed");
            Answer::Final(Err(Refusal::new(Code::BadValue, "the pool does not take this wish")))
        }
        EnqueueRefusalReason::Unspecified => {
            warn!(cause = refusal.text, "the pool does not take a ticket");
            Answer::Final(Err(unavailable()))
        }
    }
}

fn busy(wait: Duration) -> Refusal {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Refusal::new(Code::Busy, "too many people wait at the moment").retry_after(ms)
}

fn unavailable() -> Refusal {
    Refusal::new(Code::Unavailable, "nobody can be looked for at the moment").retry_after(2_000)
}
