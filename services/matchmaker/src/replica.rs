//! One matchmaker of the cluster's: what its parts share, and the work that it does besides answering calls.

use std::{sync::Arc, time::Duration};

use chassis::{Context, bans::Bans, grpc::Channel};
use futures_util::future::join_all;

use crate::{
    config::Config,
    error::Result,
    members::Members,
    metrics::Metrics,
    owner,
    pool::{Pool, Shard},
    store::Store,
};

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
}

impl Replica {
    /// Nothing runs yet, but for following the bans.
    pub(crate) fn new(config: Config, pool: Arc<dyn Pool>, context: &Context) -> Self {
        let id: String = context.random.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("matchmaker-{id}");
        let metrics = Metrics::new();
        let bans =
            config.moderation.map(|moderation| Bans::follow(context, Channel::new(context, moderation)));
        Self {
            store: Store::new(Arc::clone(&pool), metrics.clone(), context),
            members: Members::new(id.clone(), Arc::clone(&pool), metrics.clone(), context),
            id,
            context: context.clone(),
            pool,
            bans,
            metrics,
            lease: config.lease,
        }
    }

    /// Waits for the store, then follows everybody and owns shards, until the process has drained.
    ///
    /// # Errors
    /// `Refused` if the store must not be used.
    pub(crate) async fn work(self: Arc<Self>) -> Result<()> {
        tokio::select! {
            arrived = self.store.arrive() => arrived?,
            () = self.context.drain.soft() => return Ok(()),
        }
        let owners = join_all(
            Shard::all()
                .into_iter()
                .map(|shard| self.context.tasks.spawn("shard owner", owner::run(Arc::clone(&self), shard))),
        );
        // What this follows is of no more use when the last shard is given up.
        tokio::select! {
            _ = owners => {}
            () = self.store.follow() => {}
            () = self.members.beat() => {}
            () = self.members.follow(&self.store) => {}
            () = self.leave() => {}
        }
        Ok(())
    }

    /// Says at once that this replica is leaving, when it begins to drain.
    async fn leave(&self) {
        self.context.drain.soft().await;
        self.members.leave().await;
        std::future::pending::<()>().await;
    }
}
