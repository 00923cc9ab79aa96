//! Pauses between attempts.

use std::time::Duration;

use crate::Random;

/// Exponential back-off with full jitter: the n-th pause is random between zero and `first` · 2ⁿ, at most `most`
/// (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
    random: Random,
}

impl Backoff {
    /// Starts at `first` and grows up to `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration, random: Random) -> Self {
        Self { first, most, attempt: 0, random }
    }

    /// The next pause.
    #[must_use]
    pub fn next_pause(&mut self) -> Duration {
        let ceiling = self.first.saturating_mul(2_u32.saturating_pow(self.attempt)).min(self.most);
        self.attempt = self.attempt.saturating_add(1);
        self.random.duration(Duration::ZERO..ceiling)
    }

    /// Waits for the next pause.
    pub async fn pause(&mut self) {
        let pause = self.next_pause();
        tokio::time::sleep(pause).await;
    }

    /// Something worked: the next pause is short again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}
