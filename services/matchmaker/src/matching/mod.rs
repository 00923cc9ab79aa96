//! Who meets whom: the pure heart of the matchmaker.
//!
//! A [`Ticket`] is a wish as its owner reads it from the shard's stream; the [`Index`] holds those of one shard that wait,
//! and tells at once with whom a new one is paired. It knows nothing of stores, relays or time: what it needs is handed in.

mod college;
mod history;
mod index;
mod language;
mod line;
mod pairing;
mod questions;
mod rarity;
mod room;
mod rules;
mod spy;
mod ticket;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    history::{History, Kind},
    pairing::Outcome,
    rules::{Forbidden, forbidden, met_lately},
    ticket::{Interest, Wish, check_name},
};
pub use self::{
    index::{Arrival, Index},
    pairing::Match,
    questions::Questions,
    ticket::Ticket,
};
