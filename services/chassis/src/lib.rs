//! What every Stroll service stands on.
//!
//! A service is a function `run(config, context)`. The chassis gives it its settings ([`settings`]), telemetry
//! ([`telemetry`]), an operators' port with health and metrics ([`admin`]), owned tasks ([`Tasks`]), an ordered drain
//! ([`Drain`]), gRPC servers and clients ([`grpc`]), HTTP serving ([`http`]), sockets that can be simulated ([`net`]), a
//! clock, a source of randomness and the cluster's secret. A service's `main` is one call of [`run()`].
//!
//! Invariant: time comes only from `tokio::time` and [`Clock`], randomness only from [`Random`], sockets only from [`net`],
//! so that a whole cluster can run in one thread on a simulated network from one seed.

mod clock;
mod context;
mod drain;
mod random;
mod readiness;
mod redacted;
mod run;
mod section;
mod tasks;

pub mod admin;
pub mod backoff;
pub mod bans;
pub mod grpc;
pub mod http;
pub mod id;
pub mod interest;
pub mod net;
pub mod secret;
pub mod settings;
pub mod telemetry;

pub use clock::Clock;
pub use context::Context;
pub use drain::Drain;
pub use random::Random;
pub use readiness::{Condition, Readiness};
pub use redacted::Redacted;
pub use run::run;
pub use secret::Secret;
pub use section::{BadSections, Section, Sections};
pub use settings::Settings;
pub use tasks::Tasks;
