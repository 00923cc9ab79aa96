//! A worker: one thread that plays a share of the strangers.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    clock::Clock,
    net::{Poll, Ready},
    stats::Stats,
};

/// A worker looks so often at least whether the phase has changed.
const LOOK: Duration = Duration::from_millis(20);

/// What all strangers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// They come, and where the scenario wants it meet.
    Arrive,
    /// What is measured.
    Steady {
        /// When it begins.
        from: Duration,
        /// When it is over.
        until: Duration,
    },
    /// All sockets are dropped at this time, and come back.
    Storm {
        /// When.
        at: Duration,
    },
    /// Nothing new is begun; what is under way may arrive.
    Drain,
    /// They go.
    Leave,
    /// It is over.
    Over,
}

/// How one worker's strangers are, told while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those let in, and connected.
    pub present: u64,
    /// Those in a chat, and connected.
    pub chatting: u64,
    /// Those who look for somebody.
    pub waiting: u64,
    /// Those who were dropped, and neither came back nor gave up.
    pub away: u64,
    /// Those who still have a connection.
    pub open: u64,
    /// Messages that were written, and not acknowledged yet.
    pub unsettled: u64,
    /// Messages written.
    pub sent: u64,
    /// Messages that arrived.
    pub received: u64,
    /// Seats taken.
    pub seats: u64,
    /// Refusals of all kinds.
    pub refused: u64,
    /// How often all sockets were dropped, by each worker.
    pub storms: u64,
}

const FIELDS: usize = 11;

impl Tally {
    fn to_array(self) -> [u64; FIELDS] {
        let Self {
            present,
            chatting,
            waiting,
            away,
            open,
            unsettled,
            sent,
            received,
            seats,
            refused,
            storms,
        } = self;
        [present, chatting, waiting, away, open, unsettled, sent, received, seats, refused, storms]
    }

    fn from_array(array: [u64; FIELDS]) -> Self {
        let [present, chatting, waiting, away, open, unsettled, sent, received, seats, refused, storms] =
            array;
        Self { present, chatting, waiting, away, open, unsettled, sent, received, seats, refused, storms }
    }
}

/// What workers and the one who directs them share.
#[derive(Debug)]
pub struct Stage {
    /// The one clock.
    pub clock: Clock,
    phase: Mutex<Phase>,
    tallies: Vec<[AtomicU64; FIELDS]>,
}

impl Stage {
    /// For so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let tallies = std::iter::repeat_with(<[AtomicU64; FIELDS]>::default).take(workers).collect();
        Self { clock: Clock::start(), phase: Mutex::new(Phase::Arrive), tallies }
    }

    /// What is done now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.lock()
    }

    /// From now on, this is done.
    pub fn begin(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// How all strangers are.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut sum = [0; FIELDS];
        for tally in &self.tallies {
            for (sum, field) in sum.iter_mut().zip(tally) {
                *sum += field.load(Ordering::Relaxed);
            }
        }
        Tally::from_array(sum)
    }

    fn tell(&self, worker: usize, tally: Tally) {
        for (field, value) in self.tallies[worker].iter().zip(tally.to_array()) {
            field.store(value, Ordering::Relaxed);
        }
    }
}

/// What a crowd works with.
pub struct Tools {
    /// Where sockets are waited for.
    pub poll: Poll,
    /// The one clock.
    pub clock: Clock,
    /// What was seen.
    pub stats: Stats,
    /// What is read goes here first.
    pub buffer: Vec<u8>,
}

/// Strangers of one kind, as one worker has them. They are played by events, and never wait.
pub trait Crowd {
    /// A phase begins.
    fn begin(&mut self, phase: Phase, tools: &mut Tools);
    /// A socket is ready.
    fn ready(&mut self, ready: Ready, tools: &mut Tools);
    /// When time brings something; [`Duration::MAX`] if it does not.
    fn next_due(&self) -> Duration;
    /// Does what is due.
    fn on_time(&mut self, now: Duration, tools: &mut Tools);
    /// How they are.
    fn tally(&self) -> Tally;
    /// What they know when it is over.
    fn settle(&mut self, tools: &mut Tools);
}

/// Plays a crowd until it is over.
///
/// # Errors
/// If the kernel gives no epoll.
pub fn work<C: Crowd>(mut crowd: C, stage: &Stage, worker: usize) -> anyhow::Result<Stats> {
    let mut tools =
        Tools { poll: Poll::new()?, clock: stage.clock, stats: Stats::new()?, buffer: vec![0; 64 * 1024] };
    let mut phase = stage.phase();
    let mut ready = Vec::new();
    crowd.begin(phase, &mut tools);
    while phase != Phase::Over {
        let now = tools.clock.now();
        crowd.on_time(now, &mut tools);
        stage.tell(worker, Tally { refused: tools.stats.refusals, ..crowd.tally() });
        let wait = crowd.next_due().saturating_sub(tools.clock.now()).min(LOOK);
        tools.poll.wait(wait, &mut ready)?;
        for ready in ready.drain(..) {
            crowd.ready(ready, &mut tools);
        }
        let next = stage.phase();
        if next != phase {
            phase = next;
            crowd.begin(phase, &mut tools);
        }
    }
    crowd.settle(&mut tools);
    Ok(tools.stats)
}
