//! Who else is there: the live relays, gateways and matchmakers, as their heartbeats tell.
//!
//! Every heartbeat of the cluster goes through one stream of the store. Each matchmaker follows it and keeps a [`View`] of its own.

mod presence;
mod view;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use chassis::{Context, backoff::Backoff};
use parking_lot::Mutex;
use prost::Message as _;
use stroll_proto::v1::{GatewayLoad, LiveGateway};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, warn};

use self::view::{Heartbeat, View};
pub(crate) use self::{
    presence::Absent,
    view::{GatewayBeat, MatchmakerBeat, Member, ShardState},
};
use crate::{
    error::Result,
    matching::Kind,
    metrics::Metrics,
    pool::{EntryId, Pool, Shard},
    store::Store,
};

/// How often this matchmaker says that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// How long one read waits.
const READ_WAIT: Duration = Duration::from_secs(1);
/// How often it is told that no relay lives. Not before the first such time is over: relays may still be starting.
const COMPLAINT: Duration = Duration::from_secs(10);

/// The members of the cluster, kept current by [`Members::beat`] and [`Members::follow`].
pub(crate) struct Members {
    id: String,
    context: Context,
    pool: Arc<dyn Pool>,
    metrics: Metrics,
    view: Mutex<View>,
    /// How the shards are that are owned here.
    owned: Mutex<BTreeMap<Shard, ShardState>>,
    /// Into how many shards this matchmaker cuts a pool.
    shards: u32,
    /// Counts what was heard.
    heard: watch::Sender<u64>,
}

impl Members {
    /// Nobody yet; `id` is this matchmaker, which cuts each pool into `shards`.
    pub(crate) fn new(
        id: String,
        shards: u32,
        pool: Arc<dyn Pool>,
        metrics: Metrics,
        context: &Context,
    ) -> Self {
        let context = context.clone();
        let (view, owned, heard) = (Mutex::default(), Mutex::default(), watch::channel(0).0);
        Self { id, context, pool, metrics, view, owned, shards, heard }
    }

    /// Changes several times a second while the store is there.
    pub(crate) fn heard(&self) -> watch::Receiver<u64> {
        self.heard.subscribe()
    }

    /// Whether this matchmaker is the one that should own `shard`.
    pub(crate) fn should_own(&self, shard: &Shard) -> bool {
        !self.context.drain.is_draining()
            && self.view.lock().is_first_choice(&self.id, shard.name(), self.now())
    }

    /// Whether there is a relay that can be chosen.
    pub(crate) fn has_relay(&self) -> bool {
        self.view.lock().has_relay(self.now())
    }

    /// Chooses a relay for a chat between these zones, and counts the chat as its.
    pub(crate) fn choose_relay(&self, zones: &[&str]) -> Option<String> {
        self.view.lock().choose_relay(zones, None, &self.context.random, self.now())
    }

    /// Chooses a relay that is not `lost`; or that one, if it lives and there is no other: only the way to it may have been lost.
    pub(crate) fn choose_other_relay(&self, zone: &str, lost: &str) -> Option<String> {
        let (mut view, random, now) = (self.view.lock(), &self.context.random, self.now());
        let other = view.choose_relay(&[zone], Some(lost), random, now);
        other.or_else(|| view.choose_relay(&[zone], None, random, now))
    }

    /// The addresses of all relays that are heard of, also of those that are leaving.
    pub(crate) fn relay_addresses(&self) -> Vec<String> {
        self.view.lock().relay_addresses(self.now())
    }

    /// The gateways that are heard of and that others can reach, in the order of their ids.
    pub(crate) fn live_gateways(&self) -> Vec<LiveGateway> {
        self.view.lock().live_gateways(self.now())
    }

    /// Into how many shards a pool is cut, by the live matchmaker who cuts it into most.
    pub(crate) fn shards(&self) -> u32 {
        self.view.lock().shards(self.shards, self.now())
    }

    /// Whether another matchmaker is leaving.
    pub(crate) fn somebody_leaves(&self) -> bool {
        self.view.lock().somebody_leaves(self.now())
    }

    /// Lets the others know how a shard is that is owned here; `None` when it is not any more.
    pub(crate) fn tell_shard(&self, shard: &Shard, state: Option<ShardState>) {
        let mut owned = self.owned.lock();
        match state {
            Some(state) => drop(owned.insert(shard.clone(), state)),
            None => drop(owned.remove(shard)),
        }
    }

    /// How many wait in a shard's pool, as it was told within the last second.
    pub(crate) fn waiting(&self, shard: &Shard) -> u64 {
        self.view.lock().waiting(shard.pool())
    }

    /// How long a ticket of this kind waits in a shard, in milliseconds. Where most go on to the pool's first shard, that
    /// one's tells.
    pub(crate) fn estimate(&self, shard: &Shard, kind: Kind) -> Option<u64> {
        let view = self.view.lock();
        let here = view.estimate(shard.name(), kind.index());
        here.or_else(|| view.estimate(shard.sibling(0).name(), kind.index()))
    }

    /// Which gateways are not there, of those that were heard of and these. Tickets of one that is not heard of are kept for
    /// `kept`.
    pub(crate) fn absent(&self, expected: &[Arc<str>], kept: Duration) -> Absent {
        let mut view = self.view.lock();
        for gateway in expected {
            view.presence().expect(gateway);
        }
        view.presence().absent(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX))
    }

    /// How long ago it is by the store's clock that it made this entry.
    pub(crate) fn age(&self, entry: EntryId) -> Option<Duration> {
        let now = self.view.lock().store_now(self.now())?;
        Some(Duration::from_millis(now.saturating_sub(entry.ms)))
    }

    /// The time by the store's clock, in milliseconds since the Unix epoch; by the own one until the store has been heard.
    pub(crate) fn store_now(&self) -> u64 {
        let now = self.now();
        self.view.lock().store_now(now).unwrap_or(now)
    }

    /// What all gateways together carry.
    pub(crate) fn load(&self) -> GatewayLoad {
        self.view.lock().load(self.now())
    }

    /// Lets all matchmakers know of a sign of life.
    pub(crate) async fn tell(&self, member: Member) -> Result<()> {
        let heartbeat = Heartbeat { member: Some(member) };
        let id = self.pool.heartbeat(heartbeat.encode_to_vec().into()).await?;
        self.view.lock().set_clock(id, self.now());
        Ok(())
    }

    /// Says that this matchmaker lives, or that it is leaving, until it is dropped.
    pub(crate) async fn beat(&self) {
        let mut interval = interval(BEAT);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complained = Instant::now();
        loop {
            interval.tick().await;
            self.beat_once().await;
            let relays = self.view.lock().relays(self.now());
            self.metrics.relays(relays);
            if relays > 0 {
                complained = Instant::now();
            } else if complained.elapsed() >= COMPLAINT {
                complained = Instant::now();
                warn!("no relay lives: nobody is paired");
            }
        }
    }

    /// Says once that this matchmaker is leaving, so that others take its shards at once.
    pub(crate) async fn leave(&self) {
        self.beat_once().await;
    }

    async fn beat_once(&self) {
        let leaving = self.context.drain.is_draining();
        let owned = self.owned.lock().values().cloned().collect();
        let beat = MatchmakerBeat { id: self.id.clone(), leaving, shards: self.shards, owned };
        let told = self.tell(Member::Matchmaker(beat)).await;
        if let Err(error) = told {
            debug!(%error, "a heartbeat was not stored");
        }
        // Also when nothing was heard, because silence means something too.
        self.heard.send_modify(|heard| *heard += 1);
    }

    /// Follows everybody's signs of life until it is dropped.
    pub(crate) async fn follow(&self, store: &Store) {
        let mut backoff =
            Backoff::new(Duration::from_millis(50), Duration::from_millis(500), self.context.random.clone());
        let (mut after, mut generation) = (EntryId::default(), None);
        loop {
            let current = store.generation();
            if generation != current {
                // Ids of another generation say nothing.
                (after, generation) = (EntryId::default(), current);
            }
            match self.pool.read_members(after, READ_WAIT).await {
                Ok(letters) => {
                    backoff.reset();
                    after = letters.last().map_or(after, |(id, _)| *id);
                    self.hear(letters);
                }
                Err(error) => {
                    debug!(%error, "the members' heartbeats cannot be read");
                    backoff.pause().await;
                }
            }
        }
    }

    fn hear(&self, letters: Vec<(EntryId, Bytes)>) {
        if letters.is_empty() {
            return;
        }
        let now = self.now();
        let mut view = self.view.lock();
        for (id, letter) in letters {
            match Heartbeat::decode(letter).map(|heartbeat| heartbeat.member) {
                Ok(Some(member)) => view.hear(id, member, now),
                // A newer version may tell of more.
                Ok(None) => {}
                Err(error) => debug!(%error, "a heartbeat cannot be read"),
            }
        }
        view.forget_the_dead(now);
        drop(view);
        self.heard.send_modify(|heard| *heard += 1);
    }

    fn now(&self) -> u64 {
        self.context.clock.unix_ms()
    }
}

#[cfg(test)]
mod tests {
    use chassis::{Clock, Random, Secret};

    use super::*;
    use crate::pool::{Limits, Memory};

    #[tokio::test(start_paused = true)]
    async fn the_time_is_the_stores_however_wrong_the_own_clock_is() {
        let context = |base| {
            let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
            Context { clock: Clock::starting_at(base), ..context }
        };
        for own in [1_000, 1_000_000, 9_000_000] {
            let pool = Arc::new(Memory::new(Limits::default(), &context(1_000_000)));
            let members = Members::new("one".to_owned(), 1, pool, Metrics::new(), &context(own));
            assert_eq!(members.store_now(), own, "nothing better is known");
            members.beat_once().await;
            assert_eq!(members.store_now(), 1_000_000);
            tokio::time::advance(Duration::from_millis(250)).await;
            assert_eq!(members.store_now(), 1_000_250);
        }
    }
}
