//! Wall-clock time that follows `tokio::time`.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

/// Tells wall-clock time as a fixed start plus what `tokio::time` counted since, so that a simulated clock moves it too
/// and it never goes back. Drift against the host's clock over a process's life does not matter to tokens and logs.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base_unix_ms: u64,
    start: Instant,
}

impl Clock {
    /// A clock that starts at the host's time.
    #[must_use]
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the host's clock")]
        let now = std::time::SystemTime::now();
        let base = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::starting_at(u64::try_from(base.as_millis()).unwrap_or(u64::MAX))
    }

    /// A clock that starts now at `base_unix_ms` milliseconds since the Unix epoch.
    #[must_use]
    pub fn starting_at(base_unix_ms: u64) -> Self {
        Self { base_unix_ms, start: Instant::now() }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.base_unix_ms + u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long it is until `unix_ms`; zero if that is past.
    #[must_use]
    pub fn until(&self, unix_ms: u64) -> Duration {
        Duration::from_millis(unix_ms.saturating_sub(self.unix_ms()))
    }
}
