//! gRPC: servers with health and reflection, clients that re-resolve names and spread over all addresses.

mod client;
mod server;
mod trace;

pub use client::{BadTarget, Channel, Target, Targets, is_transient, request, retry};
pub use server::serve;
pub use trace::{continue_from, continue_from_metadata, traceparent};

/// Bound of a decoded message, in bytes. A batch of frames has to stay below it.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
