//! Sockets without a runtime: one thread waits for thousands of them, and for times finer than a millisecond.
//!
//! A runtime's timers have steps of a millisecond, which is more than what a message takes; here the kernel's timer is one of the things that
//! are waited for.

mod poll;
mod socket;

pub use self::{
    poll::{Poll, Ready},
    socket::{Read, Socket, source},
};
