//! What a service is handed.

use std::time::Duration;

use crate::{Clock, Drain, Random, Readiness, Secret, Tasks, net::Net};

/// Everything that a service needs from its surroundings. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Context {
    /// Sockets.
    pub net: Net,
    /// Wall-clock time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// The process's tasks.
    pub tasks: Tasks,
    /// The process's end.
    pub drain: Drain,
    /// What `/readyz` and gRPC health say.
    pub readiness: Readiness,
    /// The cluster's secret.
    pub secret: Secret,
}

impl Context {
    /// A context on real sockets and the host's clock, for a process or a test.
    #[must_use]
    pub fn new(secret: Secret, drain: Duration) -> Self {
        Self {
            net: Net::default(),
            clock: Clock::system(),
            random: Random::from_os(),
            tasks: Tasks::default(),
            drain: Drain::new(drain),
            readiness: Readiness::default(),
            secret,
        }
    }
}
