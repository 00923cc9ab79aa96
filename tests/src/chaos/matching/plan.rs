//! What happens, decided by a seed: faults, and each stranger's turns.

use std::time::Duration;

use chassis::Random;

use crate::chaos::seed::{number, seed};

/// Between two kills of a matchmaker. The first comes after half of it.
const KILL_EVERY: Duration = Duration::from_secs(5);
/// From a kill to the loss of Redis. It takes less to get over that one.
const REDIS_AFTER: Duration = Duration::from_millis(3_500);
/// What some of the strangers like. Few, so that they meet over them.
const INTERESTS: [&str; 4] = ["tea", "chess", "gardens", "trains"];
/// What the strangers speak, with a weight each. Most name none.
const TONGUES: [(u64, &[&str]); 5] =
    [(14, &[]), (2, &["en"]), (2, &["de"]), (1, &["en", "de"]), (1, &["fr"])];

/// A run, all of which follows from these.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What chance makes of it.
    pub seed: u64,
    /// How long there are faults.
    pub duration: Duration,
    /// How many strangers roam.
    pub sessions: u32,
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The matchmaker of this number is killed, and one is started in its place.
    KillMatchmaker(usize),
    /// Redis is killed, and comes back empty.
    LoseRedis,
}

/// Whom a stranger wants to meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What they like to talk about.
    pub interests: Vec<&'static str>,
    /// What they speak; none: anything.
    pub languages: &'static [&'static str],
    /// How long only those who share an interest will do.
    pub patience: Duration,
    /// Whether that never changes.
    pub only_interests: bool,
}

/// From one wish to the next.
#[derive(Clone, Debug)]
pub struct Turn {
    /// How long they do nothing before.
    pub pause: Duration,
    /// Whom they look for.
    pub wish: Wish,
    /// When they lose interest, if they still wait then.
    pub cancels_after: Option<Duration>,
    /// How long they stay, unless the other leaves first.
    pub stays: Duration,
    /// Whether they say who they are.
    pub talks: bool,
}

impl Plan {
    /// From `STROLL_CHAOS_SEED`, `STROLL_CHAOS_SECONDS` (60) and `STROLL_CHAOS_SESSIONS` (2,000). Without a seed it is a new one.
    ///
    /// # Panics
    /// If one of them is no number.
    #[must_use]
    pub fn from_environment() -> Self {
        let seconds = number("STROLL_CHAOS_SECONDS", 60);
        let sessions = number("STROLL_CHAOS_SESSIONS", 2_000);
        Self {
            seed: seed(),
            duration: Duration::from_secs(seconds),
            sessions: u32::try_from(sessions).expect("STROLL_CHAOS_SESSIONS is a smaller number"),
        }
    }

    /// What goes wrong and when: one of `matchmakers` is killed every five seconds, in turn; and about the middle, when the cluster
    /// has had the time to get over one of these, Redis.
    #[must_use]
    pub fn faults(&self, matchmakers: usize) -> Vec<(Duration, Fault)> {
        let first = usize::try_from(self.seed % 1_000).unwrap_or_default();
        let times = (0..).map(|nth| KILL_EVERY / 2 + KILL_EVERY * nth);
        let kills = times.take_while(|at| *at < self.duration).enumerate();
        let mut faults: Vec<_> =
            kills.map(|(nth, at)| (at, Fault::KillMatchmaker((first + nth) % matchmakers))).collect();
        if let Some((at, _)) = faults.get(faults.len().saturating_sub(1) / 2) {
            faults.push((*at + REDIS_AFTER, Fault::LoseRedis));
        }
        faults.sort_by_key(|(at, _)| *at);
        faults
    }

    /// What the stranger of this number does, without end.
    pub fn turns(&self, stranger: u32) -> impl Iterator<Item = Turn> + use<> {
        let random = Random::seeded(self.seed ^ u64::from(stranger + 1) << 32);
        let languages = tongue(&random);
        std::iter::repeat_with(move || turn(&random, languages))
    }
}

impl Wish {
    /// Whether the two have something in common.
    #[must_use]
    pub fn shares(&self, other: &Self) -> bool {
        self.interests.iter().any(|interest| other.interests.contains(interest))
    }

    /// Whether the two can talk.
    #[must_use]
    pub fn understands(&self, other: &Self) -> bool {
        let either_any = self.languages.is_empty() || other.languages.is_empty();
        either_any || self.languages.iter().any(|language| other.languages.contains(language))
    }

    /// How long after it began it takes anybody; `None`: never.
    #[must_use]
    pub fn widens_after(&self) -> Option<Duration> {
        match (self.interests.is_empty(), self.only_interests) {
            (true, _) => Some(Duration::ZERO),
            (false, true) => None,
            (false, false) => Some(self.patience),
        }
    }
}

fn turn(random: &Random, languages: &'static [&'static str]) -> Turn {
    let between = |from, to| random.duration(Duration::from_millis(from)..Duration::from_millis(to));
    let one_in = |many| random.below(many) == 0;
    let mut interests = Vec::new();
    if one_in(4) {
        let first = random.below(4);
        // Another one, or none.
        let second = (first + 1 + random.below(3)) % 4;
        interests.extend(INTERESTS.get(usize::try_from(first).unwrap_or_default()));
        interests.extend(INTERESTS.get(usize::try_from(second).unwrap_or_default()).filter(|_| one_in(2)));
    }
    Turn {
        pause: between(500, 3_500),
        wish: Wish {
            only_interests: !interests.is_empty() && one_in(20),
            interests,
            languages,
            patience: between(200, 1_500),
        },
        cancels_after: one_in(10).then(|| between(0, 500)),
        stays: between(1_000, 4_000),
        talks: one_in(2),
    }
}

fn tongue(random: &Random) -> &'static [&'static str] {
    let mut left = random.below(TONGUES.iter().map(|(weight, _)| weight).sum());
    for (weight, languages) in TONGUES {
        match left.checked_sub(weight) {
            None => return languages,
            Some(rest) => left = rest,
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { seed: 7, duration: Duration::from_secs(60), sessions: 2_000 };

    #[test]
    fn a_minute_has_twelve_kills_in_turn_and_the_loss_of_redis_between_two_of_them() {
        let faults = PLAN.faults(3);
        assert_eq!(faults.len(), 13);
        assert_eq!(faults[0], (Duration::from_millis(2_500), Fault::KillMatchmaker(1)));
        assert_eq!(faults[1], (Duration::from_millis(7_500), Fault::KillMatchmaker(2)));
        assert_eq!(faults[6], (Duration::from_secs(31), Fault::LoseRedis));
        assert_eq!(faults[12], (Duration::from_millis(57_500), Fault::KillMatchmaker(0)));
    }

    #[test]
    fn the_same_seed_gives_the_same_strangers() {
        let turns = |plan: Plan, stranger| format!("{:?}", plan.turns(stranger).take(9).collect::<Vec<_>>());
        assert_eq!(turns(PLAN, 3), turns(PLAN, 3));
        assert_ne!(turns(PLAN, 3), turns(PLAN, 4));
        assert_ne!(turns(PLAN, 3), turns(Plan { seed: 8, ..PLAN }, 3));
    }

    #[test]
    fn every_kind_of_wish_occurs() {
        let turns: Vec<_> = (0..200).flat_map(|stranger| PLAN.turns(stranger).take(10)).collect();
        let has = |what: fn(&Turn) -> bool| turns.iter().any(what);
        assert!(has(|turn| turn.wish.only_interests) && has(|turn| turn.wish.interests.len() == 2));
        assert!(has(|turn| turn.cancels_after.is_some()) && has(|turn| turn.talks));
        for (_, languages) in TONGUES {
            assert!(turns.iter().any(|turn| turn.wish.languages == languages));
        }
        let plain = turns.iter().filter(|turn| turn.wish.interests.is_empty()).count();
        assert!((1_300..1_700).contains(&plain), "{plain} of 2,000 want just anybody");
    }
}
