//! Owned tasks: nothing runs that nobody waits for.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// What the spans of tasks are told by.
pub(crate) const TARGET: &str = "stroll::task";

/// Spawns tasks and can wait until all of them are over. Clones share the same set.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Runs `future` on the runtime, inside a span of nothing but its name, so that its log lines say whose they are.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.0.spawn(future.instrument(tracing::error_span!(target: TARGET, parent: None, "task", is = name)))
    }

    /// Wraps a future that something else spawns, so that it counts here: axum's upgraded sockets, for one.
    pub fn track<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.track_future(future)
    }

    /// How many run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until none runs any more.
    pub async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
