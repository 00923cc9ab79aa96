//! Who may open a socket: so many at once and a minute from one address, and so many a second at this gateway.
//!
//! When a gateway is lost its clients come to the others, and those who come back into something go first: a handshake does not
//! say who comes, but `hello` does, and one that shows no token is taken only while a good part of the second is left.

use std::time::Duration;

use chassis::id::AddressHash;
use dashmap::DashMap;
use governor::{
    Quota, RateLimiter, clock::Clock as _, middleware::NoOpMiddleware, nanos::Nanos,
    state::keyed::DashMapStateStore,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    config::Limits,
    limits::{TokioClock, wait},
};

type Keyed = RateLimiter<AddressHash, DashMapStateStore<AddressHash>, TokioClock, NoOpMiddleware<Nanos>>;

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The whole gateway has enough to do: 503.
    Overloaded(Duration),
    /// This address connects too often: 429.
    TooOften(Duration),
    /// This address has too many sockets open: 429.
    TooMany,
}

/// Admission of handshakes.
pub struct Admission {
    gateway: Bucket,
    addresses: Keyed,
    open: DashMap<AddressHash, u32>,
    connections_per_address: u32,
}

impl Admission {
    /// With the limits of the settings.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            gateway: Bucket::new(limits.handshakes_per_second.get()),
            addresses: Keyed::new(
                Quota::per_minute(limits.handshakes_per_address),
                DashMapStateStore::default(),
                TokioClock(Instant::now()),
            ),
            open: DashMap::new(),
            connections_per_address: limits.connections_per_address.get(),
        }
    }

    /// Lets a handshake of `address` through. The socket counts as open until [`Admission::leave`].
    ///
    /// # Errors
    /// Why not.
    pub fn enter(&self, address: AddressHash) -> Result<(), Turned> {
        let now = self.addresses.clock().now();
        let often = self.addresses.check_key(&address);
        often.map_err(|not_until| Turned::TooOften(wait(&not_until, now)))?;
        let mut open = self.open.entry(address).or_insert(0);
        if *open >= self.connections_per_address {
            return Err(Turned::TooMany);
        }
        self.gateway.take().map_err(Turned::Overloaded)?;
        *open += 1;
        Ok(())
    }

    /// Whether one who comes back into nothing is taken now: while half of what a second allows is left, without this one.
    #[must_use]
    pub fn takes_newcomers(&self) -> bool {
        self.gateway.level() + 1.0 >= self.gateway.size / 2.0
    }

    /// A socket of `address` is gone.
    pub fn leave(&self, address: AddressHash) {
        if let dashmap::Entry::Occupied(mut open) = self.open.entry(address) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }

    /// Forgets addresses that have been quiet, so that the tables don't grow for ever.
    pub fn sweep(&self) {
        self.addresses.retain_recent();
        self.addresses.shrink_to_fit();
        self.open.retain(|_, open| *open > 0);
        self.open.shrink_to_fit();
    }
}

/// A token bucket that holds what a second brings, and whose level can be read. (governor's can only be taken from.)
struct Bucket {
    /// Most tokens, and tokens a second.
    size: f64,
    state: Mutex<Level>,
}

#[derive(Clone, Copy)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(size: u32) -> Self {
        let size = f64::from(size);
        Self { size, state: Mutex::new(Level { tokens: size, at: Instant::now() }) }
    }

    /// How many tokens are there.
    fn level(&self) -> f64 {
        self.now(*self.state.lock()).tokens
    }

    /// Takes one, or tells how long until there is one.
    fn take(&self) -> Result<(), Duration> {
        let mut state = self.state.lock();
        *state = self.now(*state);
        if state.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - state.tokens) / self.size));
        }
        state.tokens -= 1.0;
        Ok(())
    }

    fn now(&self, Level { tokens, at }: Level) -> Level {
        let now = Instant::now();
        let come = now.saturating_duration_since(at).as_secs_f64() * self.size;
        Level { tokens: (tokens + come).min(self.size), at: now }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(handshakes_per_second: u32) -> Limits {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        Limits {
            connections_per_address: number(2),
            handshakes_per_address: number(6),
            handshakes_per_second: number(handshakes_per_second),
            finds_per_session: number(2),
            messages_per_session: number(10),
        }
    }

    fn address(last: u8) -> AddressHash {
        AddressHash([last; 16])
    }

    /// How many of a hundred get in.
    fn rush(admission: &Admission) -> usize {
        (0..100).filter(|last| admission.enter(address(*last)).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_bounded_in_open_sockets_and_in_new_ones_a_minute() {
        let admission = Admission::new(&limits(100));
        admission.enter(address(1)).expect("the first");
        admission.enter(address(1)).expect("the second");
        assert_eq!(admission.enter(address(1)), Err(Turned::TooMany));
        admission.enter(address(2)).expect("another address");
        admission.leave(address(1));
        admission.enter(address(1)).expect("one has left");
        for _ in 0..2 {
            admission.leave(address(1));
        }
        admission.enter(address(1)).expect("the fifth try");
        admission.leave(address(1));
        admission.enter(address(1)).expect("the sixth try");
        admission.leave(address(1));
        let Err(Turned::TooOften(wait)) = admission.enter(address(1)) else {
            panic!("the seventh within a minute")
        };
        tokio::time::sleep(wait).await;
        admission.enter(address(1)).expect("after the time that was told");
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_gateway_admits_so_many_a_second_and_tells_the_rest_when() {
        let admission = Admission::new(&limits(40));
        assert_eq!(rush(&admission), 40);
        let Err(Turned::Overloaded(wait)) = admission.enter(address(200)) else { panic!("one too many") };
        assert_eq!(wait, Duration::from_millis(25));
        tokio::time::sleep(wait).await;
        admission.enter(address(200)).expect("after the time that was told");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(rush(&admission), 20);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert_eq!(rush(&admission), 40, "no more is saved up than a second brings");
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_are_taken_while_half_of_the_second_is_left() {
        let admission = Admission::new(&limits(10));
        for last in 0..6 {
            assert!(admission.takes_newcomers(), "{last}");
            admission.enter(address(last)).expect("a token");
        }
        assert!(admission.takes_newcomers(), "the sixth itself does not count against it");
        admission.enter(address(6)).expect("who comes back still gets in");
        assert!(!admission.takes_newcomers());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(admission.takes_newcomers());
    }

    #[tokio::test(start_paused = true)]
    async fn where_one_a_second_is_admitted_it_may_be_a_newcomer() {
        let admission = Admission::new(&limits(1));
        admission.enter(address(1)).expect("the first");
        assert!(admission.takes_newcomers());
        assert_eq!(admission.enter(address(2)), Err(Turned::Overloaded(Duration::from_secs(1))));
        tokio::time::sleep(Duration::from_secs(1)).await;
        admission.enter(address(2)).expect("a second later");
    }
}
