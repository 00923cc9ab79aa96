//! Rate limits of what a session and a socket may send, and the clock that all limits go by.

use std::{num::NonZeroU32, time::Duration};

use chassis::Clock as WallClock;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
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
pub struct TokioClock(pub Instant);

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

type Direct = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>;

/// How long until a limiter would say yes.
fn check(limiter: &Direct) -> Result<(), Duration> {
    limiter.check().map_err(|not_until| wait(&not_until, limiter.clock().now()))
}

/// How long until then.
pub fn wait(not_until: &governor::NotUntil<Nanos>, now: Nanos) -> Duration {
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

    /// So many messages or signals at once: all of them, or none.
    ///
    /// # Errors
    /// As above; more than a burst holds never go at once.
    pub fn messages(&self, count: u32) -> Result<(), Refusal> {
        let Some(count) = NonZeroU32::new(count) else { return Ok(()) };
        match self.messages.check_n(count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(slow_down(wait(&not_until, self.messages.clock().now()))),
            Err(_) => Err(Refusal::new(Code::TooLong, "too much at once")),
        }
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
