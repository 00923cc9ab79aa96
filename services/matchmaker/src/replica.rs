//! One matchmaker of the cluster's: what its parts share, and the work that it does besides answering calls.

use std::{sync::Arc, time::Duration};

use chassis::{Context, bans::Bans, grpc::Channel};
use futures_util::{FutureExt as _, future::join_all};
use tokio::time::timeout;
use tracing::warn;

use crate::{
    config::Config,
    error::Result,
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
        // Until then it doesn't say that it lives, so that the others keep their shards.
        let fit = self.hear_bans().shared();
        let owners = fit.clone().then(|()| {
            let own = |shard| self.context.tasks.spawn("shard owner", owner::run(Arc::clone(&self), shard));
            join_all(Shard::all().into_iter().map(own))
        });
        // What this follows is of no more use when the last shard is given up.
        tokio::select! {
            _ = owners => {}
            () = self.store.follow() => {}
            () = fit.then(|()| self.members.beat()) => {}
            () = self.members.follow(&self.store) => {}
            () = self.leave() => {}
        }
        Ok(())
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
