//! What strangers cost Redis.

use serde::{Deserialize, Serialize};

use super::{Commands, Look};
use crate::outcome::number;

/// What was used between two looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// How long that was.
    pub seconds: f64,
    /// Commands, those that scripts called among them.
    pub commands: Commands,
    /// Only what clients sent, if that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Commands>,
}

impl Spent {
    /// Between two looks; nothing if Redis has begun to count anew.
    #[must_use]
    pub fn between(from: &Look, to: &Look) -> Option<Self> {
        let requests = from.requests.as_ref().zip(to.requests.as_ref());
        Some(Self {
            seconds: to.at.checked_sub(from.at)?.as_secs_f64(),
            commands: difference(&from.commands, &to.commands)?,
            requests: requests.map_or(Some(None), |(from, to)| difference(from, to).map(Some))?,
        })
    }

    /// How many commands there would have been without those of the background.
    fn net(&self, background: &Self, of: impl Fn(&Self) -> Option<f64>) -> Option<f64> {
        let rate = of(background)? / background.seconds;
        let net = rate.mul_add(-self.seconds, of(self)?);
        net.is_finite().then_some(net)
    }
}

fn all(commands: &Commands) -> f64 {
    number(commands.values().sum())
}

fn all_commands(spent: &Spent) -> Option<f64> {
    Some(all(&spent.commands))
}

fn all_requests(spent: &Spent) -> Option<f64> {
    spent.requests.as_ref().map(all)
}

/// What came to be more, without what did not.
fn difference(from: &Commands, to: &Commands) -> Option<Commands> {
    let mut all = Commands::new();
    for (name, before) in from {
        to.get(name)?.checked_sub(*before)?;
    }
    for (name, after) in to {
        let more = after - from.get(name).copied().unwrap_or(0);
        if more > 0 {
            all.insert(name.clone(), more);
        }
    }
    Some(all)
}

/// What was looked at while a scenario was played.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Looks {
    /// What is used while nobody is there.
    pub background: Option<Spent>,
    /// Before anybody came, at both ends of the steady state, and after all had left.
    pub before: Option<Look>,
    /// See above.
    pub begin: Option<Look>,
    /// See above.
    pub end: Option<Look>,
    /// See above.
    pub after: Option<Look>,
}

/// What was used of Redis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Redis {
    /// From before anybody came until after all had left.
    #[serde(flatten)]
    pub run: Spent,
    /// While nobody was there.
    pub background: Spent,
    /// In the steady state.
    pub steady: Spent,
    /// Chats that were begun, and ended, in the whole run.
    pub chats: f64,
    /// Memory before anybody came, at the end of the steady state, and after all had left.
    pub memory_before_bytes: u64,
    /// See above.
    pub memory_steady_bytes: u64,
    /// See above.
    pub memory_after_bytes: u64,
}

/// What was done meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// Seats taken in the whole run, and in the steady state.
    pub seats: u64,
    /// See above.
    pub seats_steady: u64,
    /// Messages that arrived in the steady state.
    pub messages_steady: u64,
    /// Chats at the end of the steady state.
    pub chatting: f64,
}

impl Redis {
    /// Of what was looked at; nothing if something is missing, or Redis has begun to count anew.
    pub(crate) fn of(looks: &Looks, done: Done) -> Option<Self> {
        let Looks { background, before, begin, end, after } = looks;
        let (before, begin, end, after) = (before.as_ref()?, begin.as_ref()?, end.as_ref()?, after.as_ref()?);
        Some(Self {
            run: Spent::between(before, after)?,
            background: background.clone()?,
            steady: Spent::between(begin, end)?,
            chats: number(done.seats) / 2.0,
            memory_before_bytes: before.used_memory,
            memory_steady_bytes: end.used_memory,
            memory_after_bytes: after.used_memory,
        })
    }

    /// Single figures, by name.
    pub(crate) fn figures(&self, done: Done) -> impl Iterator<Item = (&'static str, f64)> {
        let Self { run, background, steady, chats, .. } = self;
        let a_second = |of: fn(&Spent) -> Option<f64>| Some(of(background)? / background.seconds);
        let a_chat = |of: fn(&Spent) -> Option<f64>| Some(run.net(background, of)? / chats);
        let only_talk = done.seats_steady == 0 && done.messages_steady > 0;
        let a_message =
            |of: fn(&Spent) -> Option<f64>| Some(steady.net(background, of)? / number(done.messages_steady));
        let bytes = number(self.memory_steady_bytes) - number(self.memory_before_bytes);
        let figures = [
            ("redis_background_per_second", a_second(all_commands)),
            ("redis_commands_per_message", a_message(all_commands).filter(|_| only_talk)),
            ("redis_commands_per_chat", a_chat(all_commands)),
            ("redis_requests_per_chat", a_chat(all_requests)),
            ("redis_bytes_per_chat", Some(bytes / done.chatting)),
        ];
        figures.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| value.is_finite())?)))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;

    fn commands<const N: usize>(calls: [(&str, u64); N]) -> Commands {
        calls.into_iter().map(|(name, calls)| (name.to_owned(), calls)).collect()
    }

    fn look<const N: usize, const M: usize>(
        second: u64,
        calls: [(&str, u64); N],
        requests: [(&str, u64); M],
    ) -> Look {
        Look {
            at: Duration::from_secs(second),
            commands: commands(calls),
            requests: Some(commands(requests)),
            used_memory: 1_000_000 + 10_000 * second,
        }
    }

    fn looks() -> Looks {
        let before = look(10, [("get", 40), ("evalsha", 20)], [("evalsha", 20)]);
        let rest = look(0, [("get", 20), ("evalsha", 10)], [("evalsha", 10)]);
        Looks {
            background: Spent::between(&rest, &before),
            before: Some(before),
            begin: Some(look(15, [("get", 50), ("evalsha", 125)], [("evalsha", 125)])),
            end: Some(look(25, [("get", 70), ("evalsha", 135)], [("evalsha", 135)])),
            after: Some(look(30, [("get", 80), ("evalsha", 240), ("xadd", 100)], [("evalsha", 240)])),
        }
    }

    fn figures(looks: &Looks, done: Done) -> BTreeMap<&'static str, f64> {
        Redis::of(looks, done).expect("all looks").figures(done).collect()
    }

    #[test]
    fn what_comes_anyway_is_not_charged_to_chats() {
        let done = Done { seats: 100, seats_steady: 0, messages_steady: 1_000, chatting: 50.0 };
        let figures = figures(&looks(), done);
        let expected = [
            // 20 + 10 in ten seconds.
            ("redis_background_per_second", 3.0),
            // 20 + 10 in the ten steady ones: nothing more.
            ("redis_commands_per_message", 0.0),
            // 40 + 220 + 100 in twenty, less 60, by 50 chats.
            ("redis_commands_per_chat", 6.0),
            // 220 less 20.
            ("redis_requests_per_chat", 4.0),
            ("redis_bytes_per_chat", 150_000.0 / 50.0),
        ];
        assert_eq!(figures.len(), expected.len());
        for (name, value) in expected {
            assert!((figures[name] - value).abs() < 1e-9, "{name}: {}", figures[name]);
        }
    }

    #[test]
    fn what_can_not_be_told_is_not() {
        let nobody = figures(&looks(), Done::default());
        assert_eq!(nobody.into_keys().collect::<Vec<_>>(), ["redis_background_per_second"]);
        // Who finds somebody meanwhile is not the messages' doing.
        let done = Done { seats: 2, seats_steady: 2, messages_steady: 9, chatting: 1.0 };
        assert!(!figures(&looks(), done).contains_key("redis_commands_per_message"));
        let mut silent = looks();
        silent.after.iter_mut().for_each(|look| look.requests = None);
        assert!(!figures(&silent, done).contains_key("redis_requests_per_chat"));
    }

    #[test]
    fn a_redis_that_began_anew_tells_nothing() {
        let mut looks = looks();
        looks.after = Some(look(30, [("get", 3), ("evalsha", 240)], []));
        assert_eq!(Redis::of(&looks, Done::default()), None);
        looks.after = Some(look(30, [("evalsha", 240)], []));
        assert_eq!(Redis::of(&looks, Done::default()), None);
    }
}
