//! Reports on their way to moderation.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use chassis::{
    Context,
    grpc::{Channel, is_transient, request, retry},
    id::Seat,
};
use stroll_proto::v1::{ReportRequest, Reported, moderation_service_client::ModerationServiceClient};
use tokio::{sync::Semaphore, time::Instant};
use tonic::{Code, Status};
use tracing::warn;

use crate::{
    hub::{Entry, Hub},
    metrics::{Metrics, Storage},
};

/// How long storing one may take, all attempts together.
const BUDGET: Duration = Duration::from_secs(5);
/// Most at a time. Each holds a transcript.
const MAX_AT_ONCE: usize = 256;

/// The way to moderation.
pub(crate) struct Reports {
    context: Context,
    client: ModerationServiceClient<Channel>,
    slots: Arc<Semaphore>,
    metrics: Metrics,
}

impl Reports {
    pub(crate) fn new(context: &Context, moderation: Channel, metrics: Metrics) -> Self {
        let client = ModerationServiceClient::new(moderation);
        Self { context: context.clone(), client, slots: Arc::new(Semaphore::new(MAX_AT_ONCE)), metrics }
    }

    /// How many are under way.
    pub(crate) fn under_way(&self) -> usize {
        MAX_AT_ONCE - self.slots.available_permits()
    }

    /// Has a report stored, and its seat told of it.
    pub(crate) fn submit(&self, hub: &Arc<Hub>, entry: Weak<Entry>, seat: Seat, report: Box<ReportRequest>) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.metrics.report(Storage::Later);
            return hub.reported(&entry, seat, answer(Storage::Later));
        };
        let (context, client, metrics) = (self.context.clone(), self.client.clone(), self.metrics.clone());
        let hub = Arc::clone(hub);
        self.context.tasks.spawn("report", async move {
            let (stored, answer) = tokio::select! {
                answer = store(&context, client, &report) => answer,
                () = context.drain.hard() => (Storage::Later, answer(Storage::Later)),
            };
            metrics.report(stored);
            hub.reported(&entry, seat, answer);
            drop(slot);
        });
    }
}

async fn store(
    context: &Context,
    client: ModerationServiceClient<Channel>,
    report: &ReportRequest,
) -> (Storage, Reported) {
    let give_up = Instant::now() + BUDGET;
    let attempt = || {
        let left = give_up.saturating_duration_since(Instant::now());
        let (mut client, request) = (client.clone(), request(report.clone(), left));
        async move { client.report(request).await }
    };
    match retry(context, BUDGET, attempt).await {
        Ok(response) => (Storage::Durable, Reported { case: response.into_inner().case, retry: false }),
        Err(status) => {
            warn!(code = ?status.code(), "a report could not be stored");
            let stored = if may_succeed_later(&status) { Storage::Later } else { Storage::Never };
            (stored, answer(stored))
        }
    }
}

fn may_succeed_later(status: &Status) -> bool {
    is_transient(status) || status.code() == Code::ResourceExhausted
}

fn answer(stored: Storage) -> Reported {
    Reported { case: String::new(), retry: stored == Storage::Later }
}
