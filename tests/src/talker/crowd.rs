//! Many who talk.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::Random;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::client::Client;
use crate::continuity::Diary;

/// Between the arrivals of two strangers.
const ARRIVAL: Duration = Duration::from_micros(2_500);
/// How long it may take until everybody is heard who has stopped talking. Longer than a side may be away.
const DRAIN: Duration = Duration::from_secs(45);
/// How long all of them may take to find somebody.
const FIND: Duration = Duration::from_secs(60);

/// How a crowd talks.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Between two things that somebody says.
    pub says_every: Range<Duration>,
    /// One in so many leaves early and looks for somebody else, again and again; 0: nobody.
    pub one_in_leaves: u32,
    /// How long such a one stays.
    pub stays: Range<Duration>,
}

/// What they are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// To find somebody and talk.
    Talk,
    /// To say no more and look for nobody.
    Listen,
    /// To leave.
    Leave,
}

/// Where one of them is.
#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) chatting: AtomicBool,
    /// What it said and nobody acknowledged.
    pub(super) unheard: AtomicUsize,
    /// When it said what was acknowledged last, in microseconds from the beginning.
    pub(super) heard: AtomicU64,
}

/// Strangers who talk, two by two, until they are told to stop.
#[derive(Debug)]
pub struct Crowd {
    start: Instant,
    phase: watch::Sender<Phase>,
    status: Vec<Arc<Status>>,
    talking: JoinSet<Diary>,
}

impl Crowd {
    /// So many pairs of strangers arrive at these gateways.
    #[must_use]
    pub fn gather(gateways: &[SocketAddr], pairs: u32, seed: u64, pace: &Pace) -> Self {
        Self::of(gateways, 2 * pairs, seed, pace)
    }

    /// So many strangers.
    pub(super) fn of(gateways: &[SocketAddr], strangers: u32, seed: u64, pace: &Pace) -> Self {
        let (phase, start) = (watch::Sender::new(Phase::Talk), Instant::now());
        let mut crowd = Self { start, phase, status: Vec::new(), talking: JoinSet::new() };
        for number in 0..strangers {
            let status = Arc::<Status>::default();
            let random = Random::seeded(seed ^ u64::from(number + 1) << 32);
            let leaves = pace.one_in_leaves > 0 && number % pace.one_in_leaves == 0;
            let stays = leaves.then(|| pace.stays.clone());
            let client = Client::new(
                number,
                gateways.to_vec(),
                random,
                (pace.says_every.clone(), stays),
                (start, Arc::clone(&status)),
            );
            let phase = crowd.phase.subscribe();
            crowd.talking.spawn(async move {
                sleep(ARRIVAL * number).await;
                client.talk(phase).await
            });
            crowd.status.push(status);
        }
        crowd
    }

    /// Since when times are counted.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// How many are in a chat.
    #[must_use]
    pub fn chatting(&self) -> usize {
        self.status.iter().filter(|status| status.chatting.load(Ordering::Relaxed)).count()
    }

    /// Waits until all are in chats.
    ///
    /// # Panics
    /// If they aren't.
    pub async fn all_chat(&self) {
        let give_up = Instant::now() + FIND;
        while self.chatting() < self.status.len() {
            assert!(Instant::now() < give_up, "only {} of {} chat", self.chatting(), self.status.len());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until everybody is heard with something that was said from now on.
    ///
    /// # Panics
    /// If somebody isn't.
    pub async fn goes_on(&self) {
        let now = self.start.elapsed();
        let is_heard =
            |status: &Arc<Status>| Duration::from_micros(status.heard.load(Ordering::Relaxed)) > now;
        let give_up = Instant::now() + DRAIN;
        while !self.status.iter().all(is_heard) {
            let heard = self.status.iter().filter(|status| is_heard(status)).count();
            assert!(Instant::now() < give_up, "only {heard} of {} are heard", self.status.len());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everybody stops talking, and leaves once everything is heard, or can't be any more. Returns what they saw, and when they stopped.
    pub async fn finish(self) -> (Vec<Diary>, Duration) {
        let last = self.start.elapsed();
        self.phase.send_replace(Phase::Listen);
        let give_up = Instant::now() + DRAIN;
        let unheard = || self.status.iter().any(|status| status.unheard.load(Ordering::Relaxed) > 0);
        while unheard() && Instant::now() < give_up {
            sleep(Duration::from_millis(20)).await;
        }
        self.phase.send_replace(Phase::Leave);
        (self.talking.join_all().await, last)
    }
}
