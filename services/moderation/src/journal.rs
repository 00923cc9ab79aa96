//! The log of decisions, on its way into the store.
//!
//! A verdict waits until its decision is durable, but not for a database that is away: then it goes out at once, and the
//! decision is kept here until the database is back. The queue is bounded; what it can't take is lost, logged and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::{Context, backoff::Backoff};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tracing::{error, info, warn};

use crate::{
    metrics::Metrics,
    store::{Decision, Store},
};

/// Batches that wait.
const QUEUE: usize = 8 * 1024;
/// Most batches that are stored in one transaction.
const GROUP: usize = 64;
/// How long a verdict waits for its decision to be durable.
const PATIENCE: Duration = Duration::from_millis(500);
/// Shortest and longest pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Attempts that are left to a draining process whose database is away.
const LAST_ATTEMPTS: u32 = 3;

/// Where decisions are handed in. Clones share it; the writer ends with the last.
#[derive(Clone)]
pub(crate) struct Journal {
    queue: mpsc::Sender<Batch>,
    failing: Arc<AtomicBool>,
    metrics: Metrics,
}

struct Batch {
    decisions: Vec<Decision>,
    durable: oneshot::Sender<()>,
}

impl Journal {
    /// Starts to write. The task ends when every clone of the journal is dropped and what waited is written, or lost.
    pub(crate) fn start(context: &Context, store: Store, metrics: Metrics) -> (Self, JoinHandle<()>) {
        let (queue, batches) = mpsc::channel(QUEUE);
        let journal = Self { queue, failing: Arc::default(), metrics: metrics.clone() };
        let writer =
            Writer { context: context.clone(), store, failing: Arc::clone(&journal.failing), metrics };
        let writing = context.tasks.spawn("decisions", writer.run(batches));
        (journal, writing)
    }

    /// Returns when the decisions are durable, or it is no use to wait for that.
    pub(crate) async fn record(&self, decisions: Vec<Decision>) {
        if decisions.is_empty() {
            return;
        }
        let (durable, is_durable) = oneshot::channel();
        if let Err(full) = self.queue.try_send(Batch { decisions, durable }) {
            let decisions = full.into_inner().decisions.len();
            self.metrics.unrecorded(decisions);
            error!(decisions, "decisions are lost, because too many wait for the database");
            return;
        }
        if !self.failing.load(Ordering::Relaxed) {
            // Neither the end of the patience nor that of the writer changes the verdict.
            let _ = timeout(PATIENCE, is_durable).await;
        }
    }
}

struct Writer {
    context: Context,
    store: Store,
    failing: Arc<AtomicBool>,
    metrics: Metrics,
}

impl Writer {
    async fn run(self, mut batches: mpsc::Receiver<Batch>) {
        let mut group = Vec::with_capacity(GROUP);
        while batches.recv_many(&mut group, GROUP).await > 0 {
            let (decisions, durable): (Vec<_>, Vec<_>) =
                group.drain(..).map(|batch| (batch.decisions, batch.durable)).unzip();
            let decisions = decisions.concat();
            tokio::select! {
                () = self.write(&decisions) => {}
                () = self.context.drain.hard() => return self.lose(decisions.len() + waiting(&mut batches)),
            }
            for durable in durable {
                // Whoever waited may have lost patience.
                let _ = durable.send(());
            }
        }
    }

    /// Tries until it has worked; a draining process gives up after some attempts.
    async fn write(&self, decisions: &[Decision]) {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1, self.context.random.clone());
        let mut last_attempts = LAST_ATTEMPTS;
        while let Err(error) = self.store.record(decisions).await {
            if !self.failing.swap(true, Ordering::Relaxed) {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%error, cause, "decisions can't be stored, trying on");
            }
            if self.context.drain.is_draining() {
                last_attempts -= 1;
                if last_attempts == 0 {
                    return self.lose(decisions.len());
                }
            }
            backoff.pause().await;
        }
        if self.failing.swap(false, Ordering::Relaxed) {
            info!("decisions are stored again");
        }
    }

    fn lose(&self, decisions: usize) {
        self.metrics.unrecorded(decisions);
        error!(decisions, "decisions are lost, because the database was away until the end");
    }
}

fn waiting(batches: &mut mpsc::Receiver<Batch>) -> usize {
    std::iter::from_fn(|| batches.try_recv().ok()).map(|batch| batch.decisions.len()).sum()
}
