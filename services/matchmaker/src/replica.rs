//! One matchmaker of the cluster's: what its parts share, and the work that it does besides answering calls.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chassis::{Context, Sections, bans::Bans, grpc::Channel};
use futures_util::{FutureExt as _, future::join_all};
use tokio::{task::JoinHandle, time::timeout};
use tracing::warn;

use crate::{
    config::Config,
    error::Result,
    matching::Questions,
    members::Members,
    metrics::Metrics,
    owner,
    pool::{Pool, Shard},
    store::Store,
};

/// How long a matchmaker that starts waits to hear who is banned. To pair nobody is worse than to pair the banned, whom the
/// gateways refuse too.
const BANS_WAIT: Duration = Duration::from_secs(5);

/// What the parts of a matchmaker share.
pub(crate) struct Replica {
    /// New with every start of a process.
    pub(crate) id: String,
    pub(crate) context: Context,
    pub(crate) pool: Arc<dyn Pool>,
    pub(crate) store: Store,
    pub(crate) members: Members,
    /// Where moderation is known.
    pub(crate) bans: Option<Bans>,
    pub(crate) metrics: Metrics,
    /// How long a shard stays with an owner that is not heard of.
    pub(crate) lease: Duration,
    /// Into how many shards this replica cuts each pool.
    pub(crate) shards: u32,
    /// Tickets that a pool takes.
    pub(crate) pool_size: usize,
    /// How long the tickets of a gateway are kept that is not heard of.
    pub(crate) gateway_kept: Duration,
    /// The parts of the cluster's pools.
    pub(crate) sections: Sections,
    /// The operator's.
    pub(crate) questions: Arc<Questions>,
}

impl Replica {
    /// Nothing runs yet, but for following the bans.
    pub(crate) fn new(config: Config, questions: Questions, pool: Arc<dyn Pool>, context: &Context) -> Self {
        let id: String = context.random.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("matchmaker-{id}");
        let metrics = Metrics::new();
        let bans =
            config.moderation.map(|moderation| Bans::follow(context, Channel::new(context, moderation)));
        Self {
            store: Store::new(Shard::firsts(&config.sections), Arc::clone(&pool), metrics.clone(), context),
            members: Members::new(
                id.clone(),
                config.matching.shards.get(),
                Arc::clone(&pool),
                metrics.clone(),
                context,
            ),
            id,
            context: context.clone(),
            pool,
            bans,
            metrics,
            lease: config.lease,
            shards: config.matching.shards.get(),
            pool_size: config.matching.pool_size.get(),
            gateway_kept: config.matching.gateway_kept,
            sections: config.sections,
            questions: Arc::new(questions),
        }
    }

    /// Waits for the store, then follows everybody and owns shards, until the process has drained.
    ///
    /// # Errors
    /// `Refused` if the store must not be used.
    pub(crate) async fn work(self: Arc<Self>) -> Result<()> {
        tokio::select! {
            arrived = self.store.arrive(self.shards) => arrived?,
            () = self.context.drain.soft() => return Ok(()),
        }
        // Until then it doesn't say that it lives, so that the others keep their shards.
        let fit = self.hear_bans().shared();
        // What this follows is of no more use when the last shard is given up.
        tokio::select! {
            () = fit.clone().then(|()| Arc::clone(&self).own_shards()) => {}
            () = self.store.follow(|| self.members.shards()) => {}
            () = fit.then(|()| self.members.beat()) => {}
            () = self.members.follow(&self.store) => {}
            () = self.leave() => {}
        }
        Ok(())
    }

    /// Owns what shards there are, until all are given up at the drain.
    async fn own_shards(self: Arc<Self>) {
        let mut counts = self.store.shard_counts();
        let mut owners = Owners::default();
        loop {
            let counts_now = counts.borrow_and_update().clone();
            for (first, count) in counts_now {
                for shard in (0..count).map(|number| first.sibling(number)) {
                    owners.start(&shard, || {
                        self.context.tasks.spawn("shard owner", owner::run(Arc::clone(&self), shard.clone()))
                    });
                }
            }
            tokio::select! {
                _ = counts.changed() => {}
                () = self.context.drain.soft() => break,
            }
        }
        owners.finished().await;
    }

    /// Waits until it is known who is banned, for a while.
    async fn hear_bans(&self) {
        let Some(bans) = &self.bans else { return };
        tokio::select! {
            heard = timeout(BANS_WAIT, bans.until_synced()) => if heard.is_err() {
                warn!("moderation has not told who is banned, pairing without");
            },
            () = self.context.drain.soft() => {}
        }
    }

    /// Says at once that this replica is leaving, when it begins to drain.
    async fn leave(&self) {
        self.context.drain.soft().await;
        self.members.leave().await;
        std::future::pending::<()>().await;
    }
}

/// The tasks that own shards.
#[derive(Default)]
struct Owners(BTreeMap<Shard, JoinHandle<()>>);

impl Owners {
    /// Starts a shard's task unless it runs.
    fn start(&mut self, shard: &Shard, task: impl FnOnce() -> JoinHandle<()>) {
        if self.0.get(shard).is_none_or(JoinHandle::is_finished) {
            self.0.insert(shard.clone(), task());
        }
    }

    async fn finished(self) {
        join_all(self.0.into_values()).await;
    }
}
