//! Who lives, by what was heard and when. Pure: time is handed in.
//!
//! A heartbeat's age is reckoned by the store's clock, which its entry's id tells; so a heartbeat that is read late is not
//! taken for a fresh one, and no two processes' clocks have to agree. The store's time is known from the latest entry, plus
//! what has passed here since.

use std::collections::HashMap;

use chassis::Random;
use stroll_proto::v1::{GatewayLoad, HeartbeatRequest, LiveGateway};

use super::presence::Presence;
use crate::{
    placement::{self, Candidate},
    pool::EntryId,
};

/// For how long each kind lives after its last heartbeat, in milliseconds.
const MATCHMAKER_LIVES: u64 = 2_000;
const RELAY_LIVES: u64 = 3_000;
const GATEWAY_LIVES: u64 = 5_000;
/// For how long it is believed what an owner told of a shard.
const SHARD_STATE_LIVES: u64 = 5_000;

/// A heartbeat as it is stored.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Heartbeat {
    /// Whose.
    #[prost(oneof = "Member", tags = "1, 2, 3")]
    pub(super) member: Option<Member>,
}

/// Whose heartbeat.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Member {
    /// A matchmaker's.
    #[prost(message, tag = "1")]
    Matchmaker(MatchmakerBeat),
    /// A relay's, as it came.
    #[prost(message, tag = "2")]
    Relay(HeartbeatRequest),
    /// A gateway's.
    #[prost(message, tag = "3")]
    Gateway(GatewayBeat),
}

/// A matchmaker lives.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct MatchmakerBeat {
    /// Its id.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// It wants no more shards.
    #[prost(bool, tag = "2")]
    pub(crate) leaving: bool,
    /// Into how many shards it cuts a pool.
    #[prost(uint32, tag = "3")]
    pub(crate) shards: u32,
    /// How the shards are that it owns.
    #[prost(message, repeated, tag = "4")]
    pub(crate) owned: Vec<ShardState>,
}

/// What a shard's owner tells of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ShardState {
    /// The shard's name.
    #[prost(string, tag = "1")]
    pub(crate) shard: String,
    /// How many wait in it.
    #[prost(uint64, tag = "2")]
    pub(crate) waiting: u64,
    /// Estimated waits by kind of ticket, in milliseconds, and 1 more; 0: not known.
    #[prost(uint64, repeated, tag = "3")]
    pub(crate) estimates: Vec<u64>,
}

/// A gateway lives.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GatewayBeat {
    /// Its id.
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    /// What it carries.
    #[prost(message, required, tag = "2")]
    pub(crate) load: GatewayLoad,
    /// Its watch has ended, and not by the matchmaker's doing.
    #[prost(bool, tag = "3")]
    pub(crate) watch_ended: bool,
    /// Where other gateways reach it; may be empty.
    #[prost(string, tag = "4")]
    pub(crate) address: String,
}

/// What is known of all members.
#[derive(Debug, Default)]
pub(super) struct View {
    /// A moment by the store's clock and by the own one, in milliseconds.
    clock: Option<(u64, u64)>,
    matchmakers: HashMap<String, Heard<MatchmakerBeat>>,
    /// By address: a relay that was started anew takes the place of the one before.
    relays: HashMap<String, Heard<Relay>>,
    gateways: HashMap<String, Heard<Gateway>>,
    presence: Presence,
    /// What was last told of each shard.
    shards: HashMap<String, Heard<ShardState>>,
}

/// What was last heard of a member, and when by the store's clock.
#[derive(Debug)]
struct Heard<T> {
    at: u64,
    what: T,
}

#[derive(Debug)]
struct Relay {
    candidate: Candidate,
    draining: bool,
}

#[derive(Debug)]
struct Gateway {
    load: GatewayLoad,
    address: String,
}

impl View {
    /// The store has just made an entry of this id.
    pub(super) fn set_clock(&mut self, id: EntryId, now: u64) {
        self.clock = Some((id.ms, now));
    }

    /// A heartbeat was read.
    pub(super) fn hear(&mut self, id: EntryId, member: Member, now: u64) {
        if self.clock.is_none_or(|_| self.store_time(now) < id.ms) {
            self.set_clock(id, now);
        }
        let at = id.ms;
        self.presence.advance(at);
        match member {
            Member::Matchmaker(mut beat) => {
                for state in std::mem::take(&mut beat.owned) {
                    self.shards.insert(state.shard.clone(), Heard { at, what: state });
                }
                self.matchmakers.insert(beat.id.clone(), Heard { at, what: beat });
            }
            Member::Gateway(GatewayBeat { id, load, watch_ended, address }) => {
                self.presence.hear(&id, watch_ended);
                self.gateways.insert(id, Heard { at, what: Gateway { load, address } });
            }
            Member::Relay(beat) => {
                let candidate =
                    Candidate { address: beat.address.clone(), zone: beat.zone, chats: beat.chats };
                self.relays
                    .insert(beat.address, Heard { at, what: Relay { candidate, draining: beat.draining } });
            }
        }
    }

    /// Takes out who doesn't live any more.
    pub(super) fn forget_the_dead(&mut self, now: u64) {
        let time = self.store_time(now);
        self.matchmakers.retain(|_, heard| heard.lives(time, MATCHMAKER_LIVES));
        self.relays.retain(|_, heard| heard.lives(time, RELAY_LIVES));
        self.gateways.retain(|_, heard| heard.lives(time, GATEWAY_LIVES));
        self.shards.retain(|_, heard| heard.lives(time, SHARD_STATE_LIVES));
    }

    /// Gateways, as far as it matters whether they are there.
    pub(super) fn presence(&mut self) -> &mut Presence {
        &mut self.presence
    }

    /// Into how many shards a pool is cut, by the live matchmaker who cuts it into most.
    pub(super) fn shards(&self, own: u32, now: u64) -> u32 {
        let time = self.store_time(now);
        let live = self.matchmakers.values().filter(|heard| heard.lives(time, MATCHMAKER_LIVES));
        live.map(|heard| heard.what.shards).chain([own]).max().unwrap_or(own)
    }

    /// Whether another matchmaker is leaving, whose shards are about to be free.
    pub(super) fn somebody_leaves(&self, now: u64) -> bool {
        let time = self.store_time(now);
        self.matchmakers.values().any(|heard| heard.what.leaving && heard.lives(time, MATCHMAKER_LIVES))
    }

    /// How many wait in a pool, as its shards' owners told last.
    pub(super) fn waiting(&self, pool: &str) -> u64 {
        let of_pool = |name: &str| name.rsplit_once('.').is_some_and(|(of, _)| of == pool);
        self.shards.values().filter(|heard| of_pool(&heard.what.shard)).map(|heard| heard.what.waiting).sum()
    }

    /// The estimated wait of a kind of ticket in a shard, in milliseconds, as its owner told last.
    pub(super) fn estimate(&self, shard: &str, kind: usize) -> Option<u64> {
        self.shards.get(shard)?.what.estimates.get(kind)?.checked_sub(1)
    }

    /// The store's time in milliseconds, as far as it is known.
    pub(super) fn store_now(&self, now: u64) -> Option<u64> {
        self.clock.map(|_| self.store_time(now))
    }

    /// Whether of all live matchmakers `id`, which lives in any case, is the one to own `shard`.
    pub(super) fn is_first_choice(&self, id: &str, shard: &str, now: u64) -> bool {
        let time = self.store_time(now);
        let others = self
            .matchmakers
            .iter()
            .filter(|(_, heard)| !heard.what.leaving && heard.lives(time, MATCHMAKER_LIVES));
        let mine = (rendezvous(id, shard), id);
        others
            .map(|(other, _)| other.as_str())
            .filter(|other| *other != id)
            .all(|other| (rendezvous(other, shard), other) < mine)
    }

    /// The addresses of all relays that live, in order.
    pub(super) fn relay_addresses(&self, now: u64) -> Vec<String> {
        let time = self.store_time(now);
        let live = self.relays.values().filter(|heard| heard.lives(time, RELAY_LIVES));
        let mut addresses: Vec<_> = live.map(|heard| heard.what.candidate.address.clone()).collect();
        addresses.sort_unstable();
        addresses
    }

    /// The gateways that live and that others can reach, in the order of their ids. One whose watch has ended may still live.
    pub(super) fn live_gateways(&self, now: u64) -> Vec<LiveGateway> {
        let time = self.store_time(now);
        let is_live =
            |heard: &Heard<Gateway>| heard.lives(time, GATEWAY_LIVES) && !heard.what.address.is_empty();
        let live = self.gateways.iter().filter(|(_, heard)| is_live(heard));
        let mut live: Vec<_> = live
            .map(|(id, heard)| LiveGateway { id: id.clone(), address: heard.what.address.clone() })
            .collect();
        live.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        live
    }

    /// How many relays can be chosen.
    pub(super) fn relays(&self, now: u64) -> usize {
        self.live_relays(now).count()
    }

    /// Whether one can.
    pub(super) fn has_relay(&self, now: u64) -> bool {
        self.live_relays(now).next().is_some()
    }

    /// Chooses a relay other than `lost` and counts one more chat on it.
    pub(super) fn choose_relay(
        &mut self,
        zones: &[&str],
        lost: Option<&str>,
        random: &Random,
        now: u64,
    ) -> Option<String> {
        let candidates: Vec<_> =
            self.live_relays(now).filter(|relay| Some(relay.address.as_str()) != lost).collect();
        let chosen = placement::choose(&candidates, zones, random)?.address.clone();
        if let Some(relay) = self.relays.get_mut(&chosen) {
            relay.what.candidate.chats += 1;
        }
        Some(chosen)
    }

    /// The sum over all live gateways.
    pub(super) fn load(&self, now: u64) -> GatewayLoad {
        let time = self.store_time(now);
        let live = self.gateways.values().filter(|heard| heard.lives(time, GATEWAY_LIVES));
        live.map(|heard| heard.what.load).fold(GatewayLoad::default(), |sum, what| GatewayLoad {
            online: sum.online.saturating_add(what.online),
            waiting: sum.waiting.saturating_add(what.waiting),
            chatting: sum.chatting.saturating_add(what.chatting),
            askers_paired: sum.askers_paired.saturating_add(what.askers_paired),
            askers_waited_ms: sum.askers_waited_ms.saturating_add(what.askers_waited_ms),
            discussers_paired: sum.discussers_paired.saturating_add(what.discussers_paired),
            discussers_waited_ms: sum.discussers_waited_ms.saturating_add(what.discussers_waited_ms),
        })
    }

    /// Those that live and want chats, in the order of their addresses, so that a seed gives the same choice again.
    fn live_relays(&self, now: u64) -> impl Iterator<Item = &Candidate> {
        let time = self.store_time(now);
        let live =
            self.relays.values().filter(move |heard| heard.lives(time, RELAY_LIVES) && !heard.what.draining);
        let mut live: Vec<_> = live.map(|heard| &heard.what.candidate).collect();
        live.sort_by(|one, other| one.address.cmp(&other.address));
        live.into_iter()
    }

    fn store_time(&self, now: u64) -> u64 {
        self.clock.map_or(0, |(store, here)| store + now.saturating_sub(here))
    }
}

impl<T> Heard<T> {
    fn lives(&self, time: u64, for_ms: u64) -> bool {
        time.saturating_sub(self.at) < for_ms
    }
}

/// A member's weight for a shard: FNV-1a over both, then the finalizer of MurmurHash3, which spreads what FNV leaves
/// close together. The heaviest owns the shard ("rendezvous hashing", Thaler and Ravishankar, 1996), so that when one
/// comes or goes only its own shards move.
fn rendezvous(member: &str, shard: &str) -> u64 {
    let bytes = member.bytes().chain([0]).chain(shard.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    fn relay(address: &str, chats: u64, draining: bool) -> Member {
        let address = address.to_owned();
        Member::Relay(HeartbeatRequest {
            relay: address.clone(),
            address,
            zone: String::new(),
            chats,
            draining,
        })
    }

    fn matchmaker(id: &str, leaving: bool) -> Member {
        Member::Matchmaker(MatchmakerBeat { id: id.to_owned(), leaving, ..MatchmakerBeat::default() })
    }

    #[test]
    fn a_relay_lives_for_three_seconds_of_the_stores_time_after_its_heartbeat() {
        let mut view = View::default();
        // The store's clock is far from ours, and the heartbeat is read late: the second entry tells what time it is.
        view.hear(id(900_000), relay("http://a:1", 0, false), 50);
        view.hear(id(902_000), matchmaker("m", false), 50);
        assert!(view.has_relay(50));
        assert!(view.has_relay(1_049));
        assert!(!view.has_relay(1_050));
        view.forget_the_dead(1_050);
        assert!(view.relays.is_empty());
    }

    #[test]
    fn a_draining_or_lost_relay_is_not_chosen_and_the_idler_one_is() {
        let (mut view, random) = (View::default(), Random::seeded(1));
        for (address, chats, draining) in
            [("http://a:1", 10, false), ("http://b:1", 0, false), ("http://c:1", 0, true)]
        {
            view.hear(id(1_000), relay(address, chats, draining), 0);
        }
        let mut choose = |lost| view.choose_relay(&[], lost, &random, 0);
        for _ in 0..10 {
            assert_eq!(choose(None).as_deref(), Some("http://b:1"), "until it has as many as the other");
        }
        assert_eq!(choose(Some("http://b:1")).as_deref(), Some("http://a:1"));
        view.hear(id(1_001), relay("http://a:1", 0, true), 0);
        assert_eq!(view.choose_relay(&[], Some("http://b:1"), &random, 0), None);
    }

    #[test]
    fn of_the_live_matchmakers_exactly_one_is_the_first_choice_and_one_that_leaves_is_none() {
        let mut view = View::default();
        let members = ["matchmaker-1", "matchmaker-2", "matchmaker-3"];
        for member in members {
            view.hear(id(1_000), matchmaker(member, false), 0);
        }
        let mut owned = [0; 3];
        for shard in 0..300 {
            let shard = format!("text.main.{shard}");
            let choices: Vec<_> = (0..3).filter(|n| view.is_first_choice(members[*n], &shard, 0)).collect();
            assert_eq!(choices.len(), 1);
            owned[choices[0]] += 1;
        }
        assert!(owned.iter().all(|owned| (70..130).contains(owned)), "{owned:?} is even enough");
        view.hear(id(1_000), matchmaker(members[0], true), 0);
        view.hear(id(2_500), matchmaker(members[1], false), 1_500);
        assert!(view.is_first_choice(members[1], "text.main.0", 2_000), "the third was not heard of for 2 s");
    }

    #[test]
    fn the_shards_are_as_many_as_any_live_matchmaker_has_and_their_states_are_the_last_told() {
        let mut view = View::default();
        let beat = |id: &str, shards, waiting| {
            let owned = ShardState { shard: "text.main.1".to_owned(), waiting, estimates: vec![0, 701] };
            let owned = vec![owned];
            Member::Matchmaker(MatchmakerBeat { id: id.to_owned(), leaving: false, shards, owned })
        };
        view.hear(id(1_000), beat("old", 4, 9), 0);
        view.hear(id(2_000), beat("new", 2, 5), 1_000);
        assert_eq!((view.shards(2, 1_900), view.shards(2, 2_000)), (4, 2), "until the old one is gone");
        assert_eq!((view.waiting("text.main"), view.waiting("text"), view.waiting("video.main")), (5, 0, 0));
        assert_eq!(view.estimate("text.main.1", 1), Some(700));
        assert_eq!((view.estimate("text.main.1", 0), view.estimate("text.main.1", 9)), (None, None));
        assert_eq!(view.estimate("text.main.0", 1), None);
    }

    #[test]
    fn the_load_is_the_sum_over_live_gateways() {
        let mut view = View::default();
        let load = |online, gateways| GatewayLoad {
            online,
            waiting: gateways,
            chatting: 2 * gateways,
            askers_paired: 3 * gateways,
            askers_waited_ms: 40 * gateways,
            discussers_paired: 5 * gateways,
            discussers_waited_ms: 60 * gateways,
        };
        let gateway = |id: &str, online| {
            let id = id.to_owned();
            Member::Gateway(GatewayBeat { id, load: load(online, 1), ..GatewayBeat::default() })
        };
        view.hear(id(1_000), gateway("a", 5), 0);
        view.hear(id(4_000), gateway("b", 7), 3_000);
        assert_eq!(view.load(4_000), load(12, 2));
        view.hear(id(4_500), gateway("b", 8), 3_500);
        assert_eq!(view.load(5_000), load(8, 1));
    }

    #[test]
    fn a_gateway_with_an_address_is_reached_until_it_is_silent_for_five_seconds_and_its_watch_does_not_matter()
     {
        let mut view = View::default();
        let gateway = |id: &str, address: &str, watch_ended| {
            let (id, address) = (id.to_owned(), address.to_owned());
            Member::Gateway(GatewayBeat { id, watch_ended, address, ..GatewayBeat::default() })
        };
        let reached = |view: &View, now| -> Vec<String> {
            view.live_gateways(now).into_iter().map(|live| format!("{} {}", live.id, live.address)).collect()
        };
        view.hear(id(1_000), gateway("c", "http://c:1", false), 0);
        view.hear(id(2_000), gateway("b", "", false), 1_000);
        view.hear(id(2_000), gateway("a", "http://a:1", false), 1_000);
        assert_eq!(reached(&view, 1_000), ["a http://a:1", "c http://c:1"]);
        view.hear(id(3_000), gateway("a", "http://a:1", true), 2_000);
        assert_eq!(
            reached(&view, 4_999),
            ["a http://a:1", "c http://c:1"],
            "the end of a watch is a sign of life"
        );
        assert_eq!(reached(&view, 5_000), ["a http://a:1"]);
        assert_eq!(reached(&view, 7_000), [""; 0]);
        view.hear(id(9_000), gateway("a", "http://a:2", false), 8_000);
        assert_eq!(reached(&view, 8_000), ["a http://a:2"]);
    }

    #[test]
    fn a_store_whose_clock_went_back_is_believed() {
        let mut view = View::default();
        view.hear(id(9_000), relay("http://a:1", 0, false), 0);
        view.set_clock(id(1_000), 10);
        view.hear(id(1_000), relay("http://b:1", 0, false), 10);
        assert!(view.live_relays(10).any(|relay| relay.address == "http://b:1"));
    }
}
