//! Delivering what was committed: from the shard's pairs into the gateways' inboxes, at least once.

use std::{convert::Infallible, time::Duration};

use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use super::Owner;
use crate::{
    error::Result,
    pool::{EntryId, GATHER, Pair, READ_BATCH},
};

/// How long one read waits.
const TAKE_WAIT: Duration = Duration::from_secs(1);
/// How often pairings are looked for that were taken by somebody else and not delivered, and for how long they may have been
/// idle. An owner that lost its lease without noticing takes some now and then.
const CLAIM_INTERVAL: Duration = Duration::from_secs(1);
const CLAIM_IDLE: Duration = Duration::from_secs(2);
/// How long an owner that lets go may take for what is left.
const REST: Duration = Duration::from_secs(1);

impl Owner {
    /// Delivers for as long as the shard is owned.
    pub(super) async fn dispatch(&self) -> Infallible {
        let mut backoff = self.backoff();
        loop {
            let began = Instant::now();
            let Err(error) = self.dispatch_steadily().await;
            debug!(shard = %self.shard, %error, "pairings cannot be delivered, trying on");
            if began.elapsed() > CLAIM_INTERVAL {
                backoff.reset();
            }
            backoff.pause().await;
        }
    }

    /// Begins with what the last owner, or an attempt that failed, left.
    async fn dispatch_steadily(&self) -> Result<Infallible> {
        let pool = &self.replica.pool;
        while self.deliver_again(pool.claim_pairs(&self.shard, Duration::ZERO).await?).await? {}
        let mut claimed = Instant::now();
        loop {
            let next = Instant::now() + GATHER;
            let pairs = pool.take_pairs(&self.shard, TAKE_WAIT).await?;
            let is_full = pairs.len() == READ_BATCH;
            if self.deliver(pairs).await? && !is_full {
                sleep_until(next).await;
            }
            if claimed.elapsed() >= CLAIM_INTERVAL {
                self.deliver_again(pool.claim_pairs(&self.shard, CLAIM_IDLE).await?).await?;
                claimed = Instant::now();
            }
        }
    }

    /// Delivers what is left when the shard is given up, so that nobody has to wait for the next owner. What can't be
    /// delivered now is left to that one.
    pub(super) async fn dispatch_the_rest(&self) {
        let pool = &self.replica.pool;
        let rest = async {
            while self.deliver_again(pool.claim_pairs(&self.shard, Duration::ZERO).await?).await? {}
            while self.deliver(pool.take_pairs(&self.shard, Duration::ZERO).await?).await? {}
            Result::Ok(())
        };
        match timeout(REST, rest).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(shard = %self.shard, %error, "some pairings are left to the next owner"),
            Err(_) => debug!(shard = %self.shard, "some pairings are left to the next owner"),
        }
    }

    /// What somebody has taken before, and perhaps delivered.
    async fn deliver_again(&self, pairs: Vec<Pair>) -> Result<bool> {
        self.replica.metrics.redelivered(pairs.len());
        self.deliver(pairs).await
    }

    /// Delivers and then settles; false if there was nothing.
    async fn deliver(&self, pairs: Vec<Pair>) -> Result<bool> {
        if pairs.is_empty() {
            return Ok(false);
        }
        let ids: Vec<EntryId> = pairs.iter().map(|pair| pair.id).collect();
        self.replica.pool.deliver(&self.shard, &pairs).await?;
        self.replica.pool.settle(&self.shard, &ids).await?;
        self.replica.metrics.delivered(pairs.iter().map(|pair| pair.deliveries.len()).sum());
        for lag in ids.iter().filter_map(|id| self.replica.members.age(*id)) {
            self.replica.metrics.dispatched_after(lag);
        }
        Ok(true)
    }
}
