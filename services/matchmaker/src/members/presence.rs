//! Which gateways are there, so that nobody is paired with the tickets of one that is not.
//!
//! Time is counted only while heartbeats are heard: while the store is away nobody's silence means anything. A gateway is also
//! away at once when its watch ends, until it is heard again; and one that was never heard of has as long as any other to
//! be heard.

use std::{collections::HashMap, sync::Arc};

/// How long a gateway may be silent, in milliseconds.
const AWAY_AFTER_MS: u64 = 5_000;
/// A longer pause between two heartbeats of the cluster is a pause of the store, and counts for so much, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 1_000;

/// What is known of the gateways.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Time by the store's clock at the last heartbeat, in milliseconds.
    last: u64,
    /// Time that was counted, in milliseconds.
    counted: u64,
    gateways: HashMap<Arc<str>, Last>,
}

/// When a gateway was last heard of, in counted time, and whether its watch has ended since.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: u64,
    watch_ended: bool,
}

/// The gateways that are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Absent {
    /// Their tickets are set aside.
    pub(crate) away: Vec<Arc<str>>,
    /// Of these, nobody has heard for so long that their tickets are dropped.
    pub(crate) lost: Vec<Arc<str>>,
}

impl Presence {
    /// A heartbeat of anybody was read, of this time by the store's clock.
    pub(super) fn advance(&mut self, store_ms: u64) {
        self.counted += store_ms.saturating_sub(self.last).min(LONGEST_PAUSE_MS);
        // A store whose clock went back is believed.
        self.last = store_ms;
    }

    /// A gateway was heard of.
    pub(super) fn hear(&mut self, gateway: &str, watch_ended: bool) {
        let last = Last { at: self.counted, watch_ended };
        match self.gateways.get_mut(gateway) {
            // It stays as long ago as it was.
            Some(known) if watch_ended => known.watch_ended = true,
            Some(known) => *known = last,
            None => drop(self.gateways.insert(gateway.into(), last)),
        }
    }

    /// Somebody's tickets name a gateway.
    pub(super) fn expect(&mut self, gateway: &Arc<str>) {
        let last = Last { at: self.counted, watch_ended: false };
        self.gateways.entry(Arc::clone(gateway)).or_insert(last);
    }

    /// Who is not there. Tickets are kept for `kept_ms`; those who were gone for twice that are forgotten.
    pub(super) fn absent(&mut self, kept_ms: u64) -> Absent {
        let counted = self.counted;
        let silent = |last: &Last| counted - last.at;
        self.gateways.retain(|_, last| silent(last) < 2 * kept_ms.max(AWAY_AFTER_MS));
        let mut absent = Absent::default();
        for (gateway, last) in &self.gateways {
            if last.watch_ended || silent(last) >= AWAY_AFTER_MS {
                absent.away.push(Arc::clone(gateway));
            }
            if silent(last) >= kept_ms {
                absent.lost.push(Arc::clone(gateway));
            }
        }
        absent.away.sort_unstable();
        absent.lost.sort_unstable();
        absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear_for(presence: &mut Presence, ms: u64) {
        for _ in 0..ms / 500 {
            presence.advance(presence.last + 500);
        }
    }

    fn away(presence: &mut Presence) -> Vec<String> {
        presence.absent(60_000).away.iter().map(|gateway| gateway.as_ref().to_owned()).collect()
    }

    #[test]
    fn a_gateway_is_away_after_five_seconds_in_which_others_are_heard_and_lost_after_a_minute() {
        let mut presence = Presence::default();
        presence.advance(1_000_000);
        presence.hear("a", false);
        hear_for(&mut presence, 4_500);
        assert!(away(&mut presence).is_empty());
        hear_for(&mut presence, 500);
        assert_eq!(away(&mut presence), ["a"]);
        hear_for(&mut presence, 55_000);
        assert_eq!(presence.absent(60_000).lost.len(), 1);
        presence.hear("a", false);
        assert_eq!(presence.absent(60_000), Absent::default());
    }

    #[test]
    fn while_the_store_is_away_nobody_is_missed() {
        let mut presence = Presence::default();
        presence.advance(1_000);
        presence.hear("a", false);
        presence.advance(1_000_000);
        assert!(away(&mut presence).is_empty());
        // Its clock may have gone back.
        presence.advance(5);
        presence.advance(505);
        assert!(away(&mut presence).is_empty());
    }

    #[test]
    fn one_whose_watch_ended_is_away_until_it_is_heard_again_and_one_that_is_expected_gets_its_time() {
        let mut presence = Presence::default();
        presence.hear("a", false);
        presence.hear("a", true);
        presence.expect(&"b".into());
        assert_eq!(away(&mut presence), ["a"]);
        presence.hear("a", false);
        presence.expect(&"a".into());
        assert!(away(&mut presence).is_empty());
        hear_for(&mut presence, 5_000);
        assert_eq!(away(&mut presence), ["a", "b"]);
    }
}
