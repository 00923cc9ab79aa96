//! How the store is: whether it is there, and which generation it holds.
//!
//! A store that goes away later takes nothing of this process with it: readiness stays, so that gateways keep their watches and
//! hear of it as soon as it is back. What can't be done meanwhile is refused call by call.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chassis::{Condition, Context};
use futures_util::future::try_join_all;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{info, warn};

use crate::{
    Error,
    error::Result,
    metrics::Metrics,
    pool::{Pool, Shard},
};

/// How often the store is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// After so long without the store, gateways are better served by another replica, which may have it.
const CUT_OFF: Duration = Duration::from_secs(5);
/// How often it is told that the store is away.
const COMPLAINT: Duration = Duration::from_secs(10);

/// The store's state, kept current by [`Store::follow`].
pub(crate) struct Store {
    pool: Arc<dyn Pool>,
    metrics: Metrics,
    ready: Condition,
    generation: watch::Sender<Option<String>>,
    /// This replica has had no use of the store for a while.
    cut_off: watch::Sender<bool>,
    /// The first shard of each pool, and how many the pool has that may hold tickets.
    shards: watch::Sender<BTreeMap<Shard, u32>>,
}

impl Store {
    /// Nothing is known yet, and the process is not ready.
    pub(crate) fn new(
        pools: impl Iterator<Item = Shard>,
        pool: Arc<dyn Pool>,
        metrics: Metrics,
        context: &Context,
    ) -> Self {
        let ready = context.readiness.condition(pool.name(), "waiting for the store");
        let shards = watch::channel(pools.map(|first| (first, 0)).collect()).0;
        Self {
            pool,
            metrics,
            ready,
            generation: watch::channel(None).0,
            cut_off: watch::channel(false).0,
            shards,
        }
    }

    /// The store's generation, once it is known.
    pub(crate) fn generation(&self) -> Option<String> {
        self.generation.borrow().clone()
    }

    /// Whether this replica has had no use of the store for a while.
    pub(crate) fn is_cut_off(&self) -> bool {
        *self.cut_off.borrow()
    }

    /// Waits until that is so.
    pub(crate) async fn cut_off(&self) {
        // The sender lives as long as this.
        let _ = self.cut_off.subscribe().wait_for(|cut_off| *cut_off).await;
    }

    /// Changes with the generation.
    pub(crate) fn generations(&self) -> watch::Receiver<Option<String>> {
        self.generation.subscribe()
    }

    /// How many shards of the pool that begins with `first` may hold tickets, as far as it is known.
    pub(crate) fn shards(&self, first: &Shard) -> u32 {
        self.shards.borrow().get(first).copied().unwrap_or_default()
    }

    /// Changes with that.
    pub(crate) fn shard_counts(&self) -> watch::Receiver<BTreeMap<Shard, u32>> {
        self.shards.subscribe()
    }

    /// A shard is closed.
    pub(crate) async fn shard_closed(&self, shard: &Shard) -> Result<()> {
        self.pool.shard_closed(shard).await?;
        self.count_shards_of(&shard.sibling(0), 0).await
    }

    async fn count_shards(&self, wanted: u32) -> Result<()> {
        let firsts: Vec<_> = self.shards.borrow().keys().cloned().collect();
        try_join_all(firsts.iter().map(|first| self.count_shards_of(first, wanted))).await?;
        Ok(())
    }

    async fn count_shards_of(&self, first: &Shard, wanted: u32) -> Result<()> {
        let shards = self.pool.shards(first, wanted).await?;
        self.shards.send_if_modified(|known| known.insert(first.clone(), shards) != Some(shards));
        Ok(())
    }

    /// Waits until the store is there, for a matchmaker that cuts each pool into `shards`.
    ///
    /// # Errors
    /// `Refused` if it is there and must not be used.
    pub(crate) async fn arrive(&self, shards: u32) -> Result<()> {
        let mut complaint = Complaint::default();
        let mut interval = interval(LOOK);
        loop {
            interval.tick().await;
            match self.look(shards).await {
                Ok(()) => break,
                Err(refused @ Error::Refused(_)) => return Err(refused),
                Err(error) if complaint.is_due() => {
                    warn!(store = self.pool.name(), %error, "the store is not there, waiting for it");
                }
                Err(_) => {}
            }
            self.metrics.degraded(true);
        }
        self.metrics.degraded(false);
        self.ready.met();
        Ok(())
    }

    async fn look(&self, shards: u32) -> Result<()> {
        self.pool.check().await?;
        self.learn(self.pool.generation().await?);
        self.count_shards(shards).await
    }

    /// Looks at the store until it is dropped. `shards` tells into how many a pool is to be cut.
    pub(crate) async fn follow(&self, shards: impl Fn() -> u32) {
        let mut complaint = Complaint::default();
        let mut away_since: Option<Instant> = None;
        let mut interval = interval(LOOK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let looked = async {
                let generation = self.pool.generation().await?;
                self.count_shards(shards()).await?;
                Ok::<_, Error>(generation)
            };
            match looked.await {
                Ok(generation) => {
                    if let Some(since) = away_since.take() {
                        info!(seconds = since.elapsed().as_secs_f64(), "the store is of use again");
                        complaint = Complaint::default();
                    }
                    self.learn(generation);
                }
                Err(error) => {
                    away_since.get_or_insert_with(Instant::now);
                    if complaint.is_due() {
                        warn!(%error, "the store is of no use: nobody is paired until it is back");
                    }
                }
            }
            self.metrics.degraded(away_since.is_some());
            let cut_off = away_since.is_some_and(|since| since.elapsed() >= CUT_OFF);
            self.cut_off.send_if_modified(|known| std::mem::replace(known, cut_off) != cut_off);
        }
    }

    fn learn(&self, generation: String) {
        self.generation.send_if_modified(|known| {
            if known.as_ref() == Some(&generation) {
                return false;
            }
            if known.is_some() {
                warn!(%generation, "the store may have lost what it held: gateways are asked to put their tickets in again");
            }
            *known = Some(generation);
            true
        });
    }
}

/// Tells when something that goes on may be logged again.
#[derive(Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|last| last.elapsed() >= COMPLAINT);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}
