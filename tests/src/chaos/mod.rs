//! Chaos with a seed: what strangers do, what goes wrong and when, what the strangers saw, and whether that was right.
//!
//! In [`matching`] they find and leave while matchmakers and Redis are killed; here they talk, and anything breaks: [`Plan`] says what, and
//! [`Plan::inflict`] does it.

mod fault;
pub mod matching;
mod plan;
mod seed;
mod usage;

pub use self::{
    fault::{Fault, Link},
    plan::Plan,
    usage::{Stall, Usage, watch_stalls},
};
