//! How one socket is let go while its gateway drains.
//!
//! Each is told at its own moment, so that their clients don't come to the other gateways all at once; 15 s for 15,000 of
//! them is half of what one gateway lets in by default. Who is in a chat then goes elsewhere in its own time; anybody else is
//! closed soon.

use std::time::Duration;

use chassis::Random;
use tokio::time::Instant;

use crate::session::Activity;

/// Within which time all are told, at most; and at most half of the window.
const SPREAD: Duration = Duration::from_secs(15);
/// The longest that a client is asked to wait before it connects elsewhere, and at most a tenth of the window.
const RECONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long a socket outside a chat is kept after its client was told where it may go.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a socket that was told is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// The moments of one socket.
#[derive(Debug)]
pub struct Farewell {
    tell_at: Instant,
    told_at: Option<Instant>,
    /// When it is closed whatever it does.
    end: Instant,
    reconnect_after: Duration,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Stay,
    /// Tell the client to connect elsewhere, after so long.
    Tell(Duration),
    /// Close.
    Close,
}

impl Farewell {
    /// Chooses the moments within what is left of the drain's window.
    #[must_use]
    pub fn new(now: Instant, window: Duration, random: &Random) -> Self {
        Self {
            tell_at: now + random.duration(Duration::ZERO..SPREAD.min(window / 2)),
            told_at: None,
            end: now + random.duration(window.mul_f64(0.75)..window.mul_f64(0.9)),
            reconnect_after: random.duration(Duration::ZERO..RECONNECT_WITHIN.min(window / 10)),
        }
    }

    /// What to do with a socket whose session does this; none has not said hello yet.
    #[must_use]
    pub fn step(&self, now: Instant, activity: Option<Activity>) -> Step {
        if now >= self.end {
            return Step::Close;
        }
        if now < self.tell_at {
            return Step::Stay;
        }
        match (activity, self.told_at) {
            (None, _) => Step::Close,
            (Some(_), None) => Step::Tell(self.reconnect_after),
            (Some(Activity::Idle | Activity::Waiting), Some(told)) if now >= told + PATIENCE => Step::Close,
            (Some(_), Some(_)) => Step::Stay,
        }
    }

    /// The client was told.
    pub fn told(&mut self, now: Instant) {
        self.told_at = Some(now);
    }

    /// When to ask again.
    #[must_use]
    pub fn next_look(&self, now: Instant) -> Instant {
        if now < self.tell_at { self.tell_at } else { now + LOOK }.min(self.end.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_told_within_the_spread_and_evenly_over_it() {
        let (now, random) = (Instant::now(), Random::seeded(1));
        let farewells: Vec<_> = (0..15_000).map(|_| Farewell::new(now, WINDOW, &random)).collect();
        let told_in = |second: u64| {
            let at = |at: u64| now + seconds(at);
            let idle = Some(Activity::Idle);
            let tell = |farewell: &&Farewell| {
                farewell.step(at(second), idle) == Step::Stay
                    && matches!(farewell.step(at(second + 1), idle), Step::Tell(_))
            };
            farewells.iter().filter(tell).count()
        };
        for second in 0..15 {
            assert!((850..1_150).contains(&told_in(second)), "{second}: {}", told_in(second));
        }
        let end = now + seconds(15);
        for farewell in &farewells {
            let Step::Tell(after) = farewell.step(end, Some(Activity::Chatting)) else { panic!("not told") };
            assert!(after < RECONNECT_WITHIN, "{after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn outside_a_chat_a_socket_is_closed_soon_and_in_a_chat_near_the_end() {
        let now = Instant::now();
        let mut farewell = Farewell::new(now, WINDOW, &Random::seeded(2));
        let told = now + seconds(20);
        farewell.told(told);
        let step = |after, activity| farewell.step(told + after, Some(activity));
        for activity in [Activity::Idle, Activity::Waiting] {
            assert_eq!(step(seconds(4), activity), Step::Stay);
            assert_eq!(step(seconds(5), activity), Step::Close);
        }
        assert_eq!(step(seconds(24), Activity::Chatting), Step::Stay);
        assert_eq!(step(seconds(34), Activity::Chatting), Step::Close);
        assert_eq!(farewell.next_look(told), told + LOOK);
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_said_hello_is_closed_without_a_word() {
        let now = Instant::now();
        let farewell = Farewell::new(now, WINDOW, &Random::seeded(3));
        assert_eq!(farewell.step(farewell.next_look(now), None), Step::Close);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_window_is_enough_and_none_closes_at_once() {
        let (now, random) = (Instant::now(), Random::seeded(4));
        let short = Farewell::new(now, seconds(2), &random);
        assert!(matches!(short.step(now + seconds(1), Some(Activity::Chatting)), Step::Tell(_)));
        assert_eq!(short.step(now + seconds(2), Some(Activity::Chatting)), Step::Close);
        let none = Farewell::new(now, Duration::ZERO, &random);
        assert_eq!(none.step(now, Some(Activity::Chatting)), Step::Close);
        assert_eq!(none.next_look(now), now);
    }
}
