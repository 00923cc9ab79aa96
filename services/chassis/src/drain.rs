//! The ordered end of a process.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{sync::OnceCell, time::Instant};
use tokio_util::sync::CancellationToken;

/// How a process ends: softly first, so that work in progress can finish or move, and hard when the time is over.
///
/// Order: readiness goes off and `soft` fires; services stop taking work and finish what they have; when all tasks are
/// over, or at the latest after the drain time, `hard` fires, and whatever still runs stops at once.
#[derive(Clone, Debug)]
pub struct Drain {
    soft: CancellationToken,
    hard: CancellationToken,
    window: Duration,
    began: Arc<OnceCell<Instant>>,
}

impl Drain {
    /// A drain that may take `window`.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self { soft: CancellationToken::new(), hard: CancellationToken::new(), window, began: Arc::default() }
    }

    /// Begins the soft part. Later calls do nothing.
    pub fn begin(&self) {
        if self.began.set(Instant::now()).is_ok() {
            self.soft.cancel();
        }
    }

    /// Begins the hard part.
    pub fn force(&self) {
        self.begin();
        self.hard.cancel();
    }

    /// Whether the soft part has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// What is left of the window; all of it before the drain begins.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.began.get().map_or(self.window, |began| self.window.saturating_sub(began.elapsed()))
    }

    /// Waits for the soft part.
    pub fn soft(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.soft.clone().cancelled_owned()
    }

    /// Waits for the hard part.
    pub fn hard(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.hard.clone().cancelled_owned()
    }
}
