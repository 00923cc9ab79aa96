//! Strangers who talk, whatever happens, as a good client of `stroll.v1` does.
//!
//! A [`Crowd`] finds strangers and talks with them, each at its own pace, and keeps a [`Diary`](crate::continuity::Diary) each. A client keeps what is
//! not acknowledged and repeats it when asked ([`Seat`]), comes back to another gateway with its tokens when its socket is lost, by the
//! close codes' rules, and when asked to go takes its new socket before it leaves the old one.

mod client;
mod crowd;
mod dial;
mod seat;
#[cfg(test)]
mod tests;

pub use self::{
    crowd::{Crowd, Pace},
    seat::{Incoming, Seat},
};
