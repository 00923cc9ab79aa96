//! What goes wrong while strangers talk, decided by a seed.

use std::time::Duration;

use chassis::Random;
use tokio::time::{Instant, sleep_until};

use super::{
    Fault, Link,
    seed::{number, seed},
};
use crate::{
    cluster::{Cluster, Tier},
    continuity::Mark,
};

/// From the beginning of a fault to that of the next one, at least.
const EVERY: Duration = Duration::from_secs(5);
/// From the end of a fault to the beginning of the next one, at least, with all processes ready. One thing goes wrong at a time: of two processes
/// that could do a thing, the other one is there. Redis has everything again after a second or two.
const RECOVERY: Duration = Duration::from_secs(3);

/// A run, all of which follows from these.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What chance makes of it.
    pub seed: u64,
    /// How long there are faults.
    pub duration: Duration,
    /// How many pairs talk.
    pub pairs: u32,
}

impl Plan {
    /// From `STROLL_CHAOS_SEED`, `STROLL_CHAOS_SECONDS` (60) and `STROLL_CHAOS_PAIRS` (100). Without a seed it is a new one.
    ///
    /// # Panics
    /// If one of them is no number.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            seed: seed(),
            duration: Duration::from_secs(number("STROLL_CHAOS_SECONDS", 60)),
            pairs: u32::try_from(number("STROLL_CHAOS_PAIRS", 100)).expect("a smaller number of pairs"),
        }
    }

    /// What goes wrong, in order, without end. Of eight in a row each is another way to fail, first of one process, then of another.
    pub fn faults(&self) -> impl Iterator<Item = Fault> + use<> {
        let random = Random::seeded(self.seed);
        let mut stopped = shuffled(Tier::ALL, &random).into_iter().cycle();
        let mut terminated = shuffled(Tier::ALL, &random).into_iter().cycle();
        let mut reset = shuffled([0, 1, 2, 3], &random).into_iter().cycle();
        let mut parted = shuffled([0, 1, 2, 3, 4], &random).into_iter().cycle();
        let mut behind = shuffled([Tier::Matchmaker, Tier::Moderation], &random).into_iter().cycle();
        std::iter::repeat_with(move || {
            let one = || usize::from(random.below(2) == 1);
            let next = |tiers: &mut dyn Iterator<Item = Tier>| tiers.next().unwrap_or(Tier::Relay);
            let round = [
                Fault::Kill(Tier::Relay, one()),
                Fault::Kill(Tier::Gateway, one()),
                Fault::Kill(next(&mut behind), one()),
                Fault::Terminate(next(&mut terminated), one()),
                Fault::Stop(next(&mut stopped), one()),
                Fault::LoseRedis,
                Fault::Reset(link(reset.next(), one(), one())),
                Fault::Part(link(parted.next(), one(), one())),
            ];
            shuffled(round, &random)
        })
        .flatten()
    }

    /// Makes them happen from now on, one after the other, until the time is over, and tells each. Times are counted from `start` on. Returns
    /// when they happened.
    pub async fn inflict(
        &self,
        cluster: &mut Cluster,
        start: Instant,
        mut tell: impl FnMut(Duration, Fault),
    ) -> Vec<Mark> {
        let end = Instant::now() + self.duration;
        let mut marks = Vec::new();
        for fault in self.faults() {
            let begin = Instant::now();
            if begin >= end {
                break;
            }
            let at = begin - start;
            tell(at, fault);
            marks.push(Mark { at, what: fault.kind() });
            fault.inflict(cluster).await;
            cluster.ready().await;
            sleep_until((begin + EVERY).max(Instant::now() + RECOVERY)).await;
        }
        marks
    }
}

fn link(which: Option<u8>, number: usize, other: usize) -> Link {
    match which {
        Some(0) => Link::Gateway(number),
        Some(1) => Link::Matchmaker(number),
        Some(2) => Link::Redis,
        Some(3) => Link::Relay(number),
        _ => Link::RelayOf { relay: number, gateway: other },
    }
}

/// By Fisher and Yates.
fn shuffled<T, const N: usize>(mut items: [T; N], random: &Random) -> [T; N] {
    for last in (1..N).rev() {
        let other = random.below(last as u64 + 1);
        items.swap(last, usize::try_from(other).unwrap_or_default());
    }
    items
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PLAN: Plan = Plan { seed: 7, duration: Duration::from_secs(60), pairs: 100 };

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let faults = |plan: Plan| plan.faults().take(40).collect::<Vec<_>>();
        assert_eq!(faults(PLAN), faults(PLAN));
        assert_ne!(faults(PLAN), faults(Plan { seed: 8, ..PLAN }));
    }

    #[test]
    fn a_minute_kills_a_relay_and_a_gateway_whatever_the_seed_and_more_time_does_everything() {
        let kinds = |seed, count| -> BTreeSet<_> {
            Plan { seed, ..PLAN }.faults().take(count).map(Fault::kind).collect()
        };
        for seed in 0..100 {
            let first = kinds(seed, 8);
            assert!(first.contains("kill relay") && first.contains("kill gateway"), "{first:?}");
            assert!(first.contains("lose redis"), "{first:?}");
            // Four that are killed, terminated and stopped each, Redis, four links that are reset and five that are parted.
            assert_eq!(kinds(seed, 40).len(), 22);
        }
    }
}
