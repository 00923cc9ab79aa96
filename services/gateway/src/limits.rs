//! Rate limits: per address and for the whole gateway at the handshake, per session for what it sends.

use std::{num::NonZeroU32, time::Duration};

use chassis::{Clock as WallClock, id::AddressHash};
use dashmap::DashMap;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, keyed::DashMapStateStore},
};
use tokio::time::Instant;

use crate::{
    config::Limits,
    protocol::{Code, Refusal},
};

/// Reports of one session within a minute.
const REPORTS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

/// Changes of typing of one session within a second. Nobody types so nervously, and each costs the stranger's queue a frame.
const TYPING_PER_SECOND: NonZeroU32 = NonZeroU32::new(6).expect("not zero");

/// `tokio::time` for governor.
#[derive(Clone, Copy, Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

type Direct = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>;
type Keyed = RateLimiter<AddressHash, DashMapStateStore<AddressHash>, TokioClock, NoOpMiddleware<Nanos>>;

/// How long until a limiter would say yes.
fn check(limiter: &Direct) -> Result<(), Duration> {
    limiter.check().map_err(|not_until| wait(&not_until, limiter.clock().now()))
}

fn wait(not_until: &governor::NotUntil<Nanos>, now: Nanos) -> Duration {
    not_until.earliest_possible().duration_since(now).into()
}

/// What one session may send.
#[derive(Debug)]
pub struct SessionLimits {
    finds: Direct,
    messages: Direct,
    reports: Direct,
    typing: Direct,
}

impl SessionLimits {
    /// Fresh, with full bursts.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let clock = TokioClock(Instant::now());
        let messages = limits.messages_per_session;
        Self {
            finds: Direct::direct_with_clock(Quota::per_minute(limits.finds_per_session), clock),
            messages: Direct::direct_with_clock(
                Quota::per_second(messages).allow_burst(messages.saturating_mul(THREE)),
                clock,
            ),
            reports: Direct::direct_with_clock(Quota::per_minute(REPORTS_PER_MINUTE), clock),
            typing: Direct::direct_with_clock(Quota::per_second(TYPING_PER_SECOND), clock),
        }
    }

    /// A wish.
    ///
    /// # Errors
    /// `slow_down`, with the time after which it is allowed.
    pub fn find(&self) -> Result<(), Refusal> {
        check(&self.finds).map_err(slow_down)
    }

    /// A message or signal.
    ///
    /// # Errors
    /// As above.
    pub fn message(&self) -> Result<(), Refusal> {
        check(&self.messages).map_err(slow_down)
    }

    /// A change of typing. One too many is dropped without a word.
    pub fn typing(&self) -> bool {
        self.typing.check().is_ok()
    }

    /// A report.
    ///
    /// # Errors
    /// As above.
    pub fn report(&self) -> Result<(), Refusal> {
        check(&self.reports).map_err(slow_down)
    }
}

const THREE: NonZeroU32 = NonZeroU32::new(3).expect("not zero");

fn slow_down(wait: Duration) -> Refusal {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Refusal::new(Code::SlowDown, "too fast").retry_after(ms.saturating_add(1))
}

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
    gateway: Direct,
    addresses: Keyed,
    open: DashMap<AddressHash, u32>,
    connections_per_address: u32,
}

impl Admission {
    /// With the limits of the settings.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let clock = TokioClock(Instant::now());
        Self {
            gateway: Direct::direct_with_clock(Quota::per_second(limits.handshakes_per_second), clock),
            addresses: Keyed::new(
                Quota::per_minute(limits.handshakes_per_address),
                DashMapStateStore::default(),
                clock,
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
        check(&self.gateway).map_err(Turned::Overloaded)?;
        *open += 1;
        Ok(())
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
    }
}

/// What one socket may send in all, whatever it is: five times its messages, and some for answers and corrections.
#[derive(Debug)]
pub struct FrameLimit(Direct);

impl FrameLimit {
    /// Fresh, with a full burst of three seconds.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let clock = TokioClock(Instant::now());
        let frames = limits.messages_per_session.saturating_mul(FIVE).saturating_add(50);
        Self(Direct::direct_with_clock(
            Quota::per_second(frames).allow_burst(frames.saturating_mul(THREE)),
            clock,
        ))
    }

    /// One more frame.
    ///
    /// # Errors
    /// `slow_down`, with the time after which it is allowed.
    pub fn check(&self) -> Result<(), Refusal> {
        check(&self.0).map_err(slow_down)
    }
}

const FIVE: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

/// Counts bad frames: the eighth within a minute is one too many.
#[derive(Debug)]
pub struct BadFrames {
    clock: WallClock,
    recent: std::collections::VecDeque<u64>,
}

impl BadFrames {
    /// How many within a minute close the socket.
    const MOST: usize = 8;

    /// None so far.
    #[must_use]
    pub fn new(clock: WallClock) -> Self {
        Self { clock, recent: std::collections::VecDeque::new() }
    }

    /// One more. Returns whether the socket is to be closed.
    pub fn one_more(&mut self) -> bool {
        let now = self.clock.unix_ms();
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|at| at + 60_000 < now) {
            self.recent.pop_front();
        }
        self.recent.len() >= Self::MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            connections_per_address: NonZeroU32::new(2).expect("two"),
            handshakes_per_address: NonZeroU32::new(6).expect("six"),
            handshakes_per_second: NonZeroU32::new(100).expect("a hundred"),
            finds_per_session: NonZeroU32::new(2).expect("two"),
            messages_per_session: NonZeroU32::new(10).expect("ten"),
        }
    }

    fn address(last: u8) -> AddressHash {
        AddressHash([last; 16])
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_three_seconds_passes_and_the_rest_is_told_when() {
        let session = SessionLimits::new(&limits());
        for _ in 0..30 {
            session.message().expect("within the burst");
        }
        let refusal = session.message().expect_err("past the burst");
        assert_eq!(refusal.code, Code::SlowDown);
        let wait = refusal.retry_after_ms.expect("a time");
        assert!((1..=101).contains(&wait), "{wait}");
        tokio::time::sleep(Duration::from_millis(wait)).await;
        session.message().expect("after the time that was told");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_bounded_in_open_sockets_and_in_new_ones_a_minute() {
        let admission = Admission::new(&limits());
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
    async fn the_whole_gateway_admits_so_many_a_second() {
        let admission = Admission::new(&Limits { handshakes_per_second: NonZeroU32::MIN, ..limits() });
        admission.enter(address(1)).expect("the first");
        assert!(matches!(admission.enter(address(2)), Err(Turned::Overloaded(_))));
        tokio::time::sleep(Duration::from_secs(1)).await;
        admission.enter(address(2)).expect("a second later");
    }

    #[tokio::test(start_paused = true)]
    async fn the_eighth_bad_frame_within_a_minute_is_one_too_many() {
        let mut frames = BadFrames::new(WallClock::starting_at(0));
        for _ in 0..7 {
            assert!(!frames.one_more());
        }
        tokio::time::sleep(Duration::from_secs(61)).await;
        for _ in 0..7 {
            assert!(!frames.one_more());
        }
        assert!(frames.one_more());
    }
}
