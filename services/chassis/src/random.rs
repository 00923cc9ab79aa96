//! The source of randomness, handed to whoever needs it.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::ChaCha12Rng};

/// A cryptographic generator that all of a process shares. Seeded from the operating system, or from a number for
/// a simulation, which then runs the same way each time.
#[derive(Clone)]
pub struct Random(Arc<Mutex<ChaCha12Rng>>);

impl Random {
    /// Seeded by the operating system.
    ///
    /// # Panics
    /// If the operating system has no randomness to give, without which no token would be safe.
    #[must_use]
    pub fn from_os() -> Self {
        #[expect(clippy::expect_used, reason = "no safe way to go on without entropy")]
        let rng =
            ChaCha12Rng::try_from_rng(&mut rand::rngs::SysRng).expect("the operating system's randomness");
        Self(Arc::new(Mutex::new(rng)))
    }

    /// The same numbers for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha12Rng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().fill_bytes(&mut bytes);
        bytes
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.lock().random_range(0..bound) }
    }

    /// A duration in `range`, in whole milliseconds.
    #[must_use]
    pub fn duration(&self, range: Range<Duration>) -> Duration {
        let span = range.end.saturating_sub(range.start).as_millis();
        range.start + Duration::from_millis(self.below(u64::try_from(span).unwrap_or(u64::MAX)))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
