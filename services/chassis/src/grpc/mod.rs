//! gRPC: servers with health and reflection, clients that re-resolve names and spread over all addresses.

mod client;
mod server;
mod trace;

pub use client::{BadTarget, Channel, Target, Targets, is_transient, request, retry};
pub use server::serve;
pub use trace::{continue_from, continue_from_metadata, traceparent};

/// Bound of a decoded message, in bytes. A batch of frames has to stay below it.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// How many bytes a stream, and all streams of a connection, may have under way. The 64 KiB that HTTP/2 begins with are few for the
/// streams that carry all chats of a gateway.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

#[cfg(test)]
mod tests;
