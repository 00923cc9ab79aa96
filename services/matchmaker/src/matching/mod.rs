//! Who meets whom: the pure heart of the matchmaker.
//!
//! A [`Ticket`] is a wish as its owner reads it from the shard's stream; the [`Index`] holds those of one shard that wait,
//! and tells at once with whom a new one is paired. It knows nothing of stores, relays or time: what it needs is handed in.

mod index;
mod ticket;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    index::{Arrival, Index},
    ticket::{Match, Ticket, check_name},
};
