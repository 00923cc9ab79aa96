//! How long looking at a text may take.

use std::time::Duration;

/// A limit of time, and a way to ask how much of it is used. The rules have no clock; who calls them hands one in.
pub struct Budget<'clock> {
    limit: Duration,
    elapsed: &'clock dyn Fn() -> Duration,
}

impl<'clock> Budget<'clock> {
    /// `elapsed` tells the time since the text's turn began.
    #[must_use]
    pub fn new(limit: Duration, elapsed: &'clock dyn Fn() -> Duration) -> Self {
        Self { limit, elapsed }
    }

    /// As long as it takes.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { limit: Duration::MAX, elapsed: &|| Duration::ZERO }
    }

    /// Whether nothing more is to be begun.
    #[must_use]
    pub fn is_over(&self) -> bool {
        (self.elapsed)() >= self.limit
    }
}
