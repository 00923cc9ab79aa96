//! The one clock of a run.

use std::time::{Duration, Instant};

/// Times of a run are durations since this was made, whoever reads it.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
