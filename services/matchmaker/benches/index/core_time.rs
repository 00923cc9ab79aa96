//! A clock that runs while this thread does.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment of a thread's time on a core.
#[derive(Clone, Copy, Debug)]
pub struct CoreTime(Duration);

impl CoreTime {
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Self(Duration::try_from(now).unwrap_or_default())
    }

    pub fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}
