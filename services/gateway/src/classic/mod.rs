//! The classic protocol: HTTP long polls, as Omegle's clients speak it.
//!
//! A classic client is a session like any other, but its end of the chat is here: the [`Endpoint`] numbers, repeats and acknowledges in its
//! place, and keeps what the next poll fetches. `routes` answers HTTP, `hub::classic_sessions` holds the sessions, `peers` asks other
//! gateways for sessions that they hold. What the protocol is, `classic-protocol.md` says; README tells what of it is served.

mod call;
mod captcha;
mod college;
mod config;
mod endpoint;
mod event;
mod form;
#[cfg(fuzzing)]
mod fuzzing;
mod id;
mod peers;
mod routes;
mod saved_log;
mod signal;
mod start;
mod status;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use chassis::Context;
use tokio::sync::Semaphore;

#[cfg(fuzzing)]
pub use self::fuzzing::fuzz;
pub use self::{
    call::{Answer, Call, Polling},
    config::Settings,
    endpoint::{Bell, Endpoint, Want, digests},
    event::Event,
    id::ClientId,
    peers::Grpc,
    routes::routes,
    status::SpyWaits,
};
use self::{captcha::Captcha, college::Colleges, peers::Peers};

/// How much may be held of bodies that are being read, in bytes.
const ROOM: usize = 64 * 1024 * 1024;

/// What classic sessions need besides the hub.
pub struct Services {
    /// The other gateways.
    pub peers: Arc<Peers>,
    /// Whether somebody is a person.
    pub captcha: Captcha,
    /// Whether somebody is of a college.
    pub colleges: Colleges,
    /// Room for the bodies that are being read, in bytes.
    pub room: Semaphore,
}

impl Services {
    /// For the gateway of this id.
    #[must_use]
    pub fn new(settings: &Settings, context: &Context, gateway: &str) -> Self {
        Self {
            peers: Arc::new(Peers::new(context, gateway)),
            captcha: Captcha::new(&settings.captcha, &context.tasks),
            colleges: Colleges::new(&settings.college, context),
            room: Semaphore::new(ROOM),
        }
    }
}
