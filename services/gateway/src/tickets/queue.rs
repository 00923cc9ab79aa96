//! Tickets that are to be put into the pool.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chassis::id::TicketId;
use parking_lot::Mutex;
use stroll_proto::v1::Ticket;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::{metrics::Depth, slot::Slot};

/// Most tickets of one call. A ticket has 4 KB at the very most, so that a call stays below the 4 MiB of gRPC.
const MAX_BATCH: usize = 512;
/// How long tickets are gathered for one call.
const GATHER: Duration = Duration::from_millis(5);
/// From so many on, those that nobody holds any more are dropped where they are.
const CROWDED: usize = 4_096;

/// One ticket on its way.
pub(super) struct Job {
    pub(super) ticket: TicketId,
    pub(super) slot: Arc<Slot>,
    /// The client knows that it waits, so it is tried as long as the ticket is held.
    pub(super) told: bool,
    /// When a wish that the client knows nothing of is given up.
    pub(super) give_up: Instant,
    /// A call failed that may have put it in all the same.
    pub(super) tried: bool,
    pub(super) message: Ticket,
}

/// First come, first served. Bounded by the number of sessions: each holds one ticket, and those that nobody holds are dropped
/// when they come up, or when there are as many of them as of others.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    wake: Notify,
    turn: tokio::sync::Mutex<()>,
    depth: Depth,
}

struct Inner {
    jobs: VecDeque<Job>,
    crowded_at: usize,
}

impl Queue {
    pub(super) fn new(depth: Depth) -> Self {
        let inner = Inner { jobs: VecDeque::new(), crowded_at: CROWDED };
        Self { inner: Mutex::new(inner), wake: Notify::new(), turn: tokio::sync::Mutex::default(), depth }
    }

    pub(super) fn push(&self, job: Job, is_held: impl Fn(TicketId) -> bool) {
        let mut inner = self.inner.lock();
        if inner.jobs.len() >= inner.crowded_at {
            let before = inner.jobs.len();
            inner.jobs.retain(|job| is_held(job.ticket));
            inner.crowded_at = CROWDED.max(2 * inner.jobs.len());
            self.depth.sub(before - inner.jobs.len());
        }
        inner.jobs.push_back(job);
        self.depth.add(1);
        drop(inner);
        self.wake.notify_one();
    }

    /// Puts back what was taken, with its place.
    pub(super) fn put_back(&self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let mut inner = self.inner.lock();
        self.depth.add(jobs.len());
        for job in jobs.into_iter().rev() {
            inner.jobs.push_front(job);
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Takes what there is, as much as fits into one call, without those that nobody holds any more.
    pub(super) fn take(&self, is_held: impl Fn(TicketId) -> bool) -> Vec<Job> {
        let mut inner = self.inner.lock();
        let mut batch = Vec::new();
        while batch.len() < MAX_BATCH
            && let Some(job) = inner.jobs.pop_front()
        {
            self.depth.sub(1);
            if is_held(job.ticket) {
                batch.push(job);
            }
        }
        batch
    }

    /// Waits until there is something to take, and then a moment for more, unless that is as much as fits into one call.
    pub(super) async fn gathered(&self) {
        // One gathers at a time: else each ticket would wake another one.
        let _turn = self.turn.lock().await;
        while self.len() == 0 {
            self.wake.notified().await;
        }
        if self.len() < MAX_BATCH {
            sleep(GATHER).await;
        }
    }

    fn len(&self) -> usize {
        self.inner.lock().jobs.len()
    }
}
