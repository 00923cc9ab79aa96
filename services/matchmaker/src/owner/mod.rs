//! Owning a shard: win its lease, read its tickets, match, commit, dispatch; and let go of it in time.
//!
//! Of the live matchmakers one is each shard's first choice. It asks for the lease until it has it; the one that holds the lease and
//! is not the first choice any more, or drains, finishes its batch and releases. An owner that dies is replaced when its
//! lease is over.
//!
//! Everything that an owner does runs in one task, and all it has in memory goes when it loses the shard: the next owner, be it
//! the same process, reads the shard from its start.
//!
//! Invariants:
//! - Nothing is committed but by the holder of the shard's last epoch; the store sees to that (I2).
//! - What is in memory is of one generation of the store: when that changes, the owner begins anew, and until it knows, it
//!   commits nothing. A store that came back older than it was would else lose a ticket that is put in again, as the repeat
//!   of an entry that is no longer there.
//! - While no relay lives nothing is read or matched: the tickets wait in the store.

mod dispatch;
mod pairing;
mod round;

use std::{convert::Infallible, sync::Arc, time::Duration};

use chassis::{backoff::Backoff, bans::Ban, id::Epoch};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Instant, sleep},
};
use tracing::{debug, info, warn};

use self::round::{Batch, Round};
use crate::{
    Error,
    error::Result,
    matching::{Match, Ticket},
    metrics::Queue,
    pool::{Entry, EntryId, Outcome, Pairing, Shard},
    replica::Replica,
};

/// How long the first choice waits before it asks for the lease again: at random between these.
const ASK_AGAIN: std::ops::Range<Duration> = Duration::from_millis(100)..Duration::from_millis(200);
/// How often within its time a lease is renewed.
const RENEWALS_PER_LEASE: u32 = 4;
/// How long one read waits.
const READ_WAIT: Duration = Duration::from_secs(1);
/// How many reads may be ahead of the matching.
const READ_AHEAD: usize = 4;
/// How many pairings are committed together at most: about 6 ms of Redis.
const BATCH: usize = 512;
/// How many pairs may wait for their commit before no more are matched.
const BACKLOG: usize = 4 * BATCH;

/// Owns `shard` whenever it should, until the process drains or ends.
pub(crate) async fn run(replica: Arc<Replica>, shard: Shard) {
    let hard = replica.context.drain.hard();
    let owner = Owner { replica, shard };
    tokio::select! {
        biased;
        () = hard => {}
        () = owner.serve() => {}
    }
}

struct Owner {
    replica: Arc<Replica>,
    shard: Shard,
}

/// How an ownership ended.
enum Ended {
    /// By the owner's own will.
    GivenUp,
    /// The store holds another generation.
    Outdated,
    /// Somebody else owns the shard, or may.
    Lost,
}

/// A commit that is under way; it gives back what was committed.
type Commit<'a> = BoxFuture<'a, (Vec<Match>, Result<Vec<Outcome>>)>;

impl Owner {
    async fn serve(&self) {
        while let Some((epoch, asked)) = self.win().await {
            info!(shard = %self.shard, %epoch, "owning a shard");
            self.replica.metrics.acquired(&self.shard);
            let ended = self.own(epoch, asked).await;
            self.replica.metrics.released(&self.shard);
            match ended {
                Ended::GivenUp => self.hand_over(epoch).await,
                Ended::Outdated => {
                    info!(shard = %self.shard, %epoch, "beginning anew with what the store holds now");
                    self.hand_over(epoch).await;
                }
                Ended::Lost => warn!(shard = %self.shard, %epoch, "lost a shard"),
            }
        }
    }

    /// Waits until this matchmaker should own the shard and has its lease. Tells when it asked for it; `None` if it drains.
    async fn win(&self) -> Option<(Epoch, Instant)> {
        let Replica { context, pool, members, id, lease, .. } = &*self.replica;
        loop {
            if members.should_own(&self.shard) {
                let asked = Instant::now();
                match pool.acquire(&self.shard, id, *lease).await {
                    Ok(Some(epoch)) => return Some((epoch, asked)),
                    Ok(None) => {}
                    Err(error) => debug!(shard = %self.shard, %error, "the lease cannot be asked for"),
                }
            }
            tokio::select! {
                () = sleep(context.random.duration(ASK_AGAIN)) => {}
                () = context.drain.soft() => return None,
            }
        }
    }

    async fn own(&self, epoch: Epoch, asked: Instant) -> Ended {
        let (entries, read) = mpsc::channel(READ_AHEAD);
        let generations = self.replica.store.generations();
        tokio::select! {
            biased;
            ended = self.keep_lease(epoch, asked) => ended,
            ended = self.match_up(epoch, generations, read) => ended,
            never = self.read(entries) => match never {},
            never = self.dispatch() => match never {},
        }
    }

    async fn hand_over(&self, epoch: Epoch) {
        self.dispatch_the_rest().await;
        match self.replica.pool.release(&self.shard, epoch).await {
            Ok(()) => info!(shard = %self.shard, %epoch, "gave a shard up"),
            // It ends by itself.
            Err(error) => warn!(shard = %self.shard, %epoch, %error, "a lease could not be released"),
        }
    }

    /// Renews the lease until it is lost. Its time counts from before it was asked for, so that it is never taken to last
    /// longer than the store lets it.
    async fn keep_lease(&self, epoch: Epoch, asked: Instant) -> Ended {
        let Replica { pool, id, lease, .. } = &*self.replica;
        let mut ends = asked + *lease;
        loop {
            sleep(*lease / RENEWALS_PER_LEASE).await;
            let asked = Instant::now();
            match pool.renew(&self.shard, id, epoch, *lease).await {
                Ok(()) => ends = asked + *lease,
                Err(Error::Fenced) => return Ended::Lost,
                Err(error) if Instant::now() < ends => {
                    debug!(shard = %self.shard, %error, "the lease cannot be renewed, trying on");
                }
                Err(_) => return Ended::Lost,
            }
        }
    }

    /// Reads the shard's entries from the start, as far ahead as the channel lets it.
    async fn read(&self, entries: mpsc::Sender<Vec<Entry>>) -> Infallible {
        let mut after = EntryId::default();
        let mut backoff = self.backoff();
        loop {
            match self.replica.pool.read_tickets(&self.shard, after, READ_WAIT).await {
                Ok(read) => {
                    backoff.reset();
                    let Some(last) = read.last() else { continue };
                    after = last.id;
                    // It fails only when the shard was lost, and then this ends too.
                    let _ = entries.send(read).await;
                }
                Err(error) => {
                    debug!(shard = %self.shard, %error, "the tickets cannot be read");
                    backoff.pause().await;
                }
            }
        }
    }

    /// Matches who arrives and commits who met. While one batch is being committed the next one grows.
    async fn match_up(
        &self,
        epoch: Epoch,
        mut generations: watch::Receiver<Option<String>>,
        mut entries: mpsc::Receiver<Vec<Entry>>,
    ) -> Ended {
        let generation = generations.borrow_and_update().clone();
        let Replica { context, members, metrics, bans, .. } = &*self.replica;
        let mut round = Round::new(metrics.clone());
        let mut commit: Option<Commit<'_>> = None;
        let mut heard = members.heard();
        let mut new_bans = bans.as_ref().map(chassis::bans::Bans::subscribe);
        loop {
            let leaving = !members.should_own(&self.shard);
            if commit.is_none() {
                commit = self.next_commit(epoch, generation.clone(), &mut round);
                if commit.is_none() && leaving {
                    return Ended::GivenUp;
                }
            }
            metrics.waiting(&self.shard, round.waiting());
            metrics.queue(&self.shard, Queue::Met, round.met());
            metrics.queue(&self.shard, Queue::Read, entries.len());
            let open = !leaving && round.met() < BACKLOG && members.has_relay();
            tokio::select! {
                (met, outcomes) = finished(&mut commit) => {
                    commit = None;
                    match outcomes {
                        Ok(outcomes) => self.settle(&mut round, met, &outcomes),
                        Err(_) => return Ended::Lost,
                    }
                }
                Some(read) = entries.recv(), if open => {
                    let now = context.clock.unix_ms();
                    for entry in read {
                        round.take_in(entry, now, |ticket| self.is_banned(ticket));
                    }
                }
                () = self.until(round.next_widening()), if open => round.widen(context.clock.unix_ms()),
                () = banned(&mut new_bans) => round.drop_banned(|ticket| self.is_banned(ticket)),
                _ = generations.changed() => return Ended::Outdated,
                // Relays and matchmakers come and go.
                _ = heard.changed() => {}
                () = context.drain.soft(), if !leaving => {}
            }
        }
    }

    /// The next batch's commit, if there is anything to commit and a relay for it.
    fn next_commit(&self, epoch: Epoch, generation: Option<String>, round: &mut Round) -> Option<Commit<'_>> {
        let Replica { context, members, .. } = &*self.replica;
        let now = context.clock.unix_ms();
        let most = if members.has_relay() { BATCH } else { 0 };
        let Batch { mut met, finished } = round.next_batch(most, now, |ticket| self.is_banned(ticket))?;
        let mut pairings = Vec::with_capacity(met.len());
        for pair in &met {
            let zones = pair.tickets().map(|ticket| ticket.zone.as_str());
            let Some(relay) = members.choose_relay(&zones) else { break };
            pairings.push(pairing::pairing(pair, &relay, context));
        }
        round.postpone(met.split_off(pairings.len()));
        Some(self.commit(epoch, generation, met, pairings, finished).boxed())
    }

    /// Commits until it is known what became of it. To try again does no harm: what was committed by an attempt that was not
    /// heard of is gone for the next one. What is of another generation than the store's is not committed: that ends with the
    /// ownership.
    async fn commit(
        &self,
        epoch: Epoch,
        generation: Option<String>,
        met: Vec<Match>,
        pairings: Vec<Pairing>,
        finished: Vec<EntryId>,
    ) -> (Vec<Match>, Result<Vec<Outcome>>) {
        let pool = &self.replica.pool;
        let mut backoff = self.backoff();
        loop {
            let began = Instant::now();
            let committed = async {
                if Some(pool.last_known_generation().await?) != generation {
                    return Err(Error::Away("it holds another generation".to_owned()));
                }
                pool.commit(&self.shard, epoch, &pairings, &finished).await
            };
            match committed.await {
                Err(Error::Fenced) => return (met, Err(Error::Fenced)),
                Err(error) => {
                    debug!(shard = %self.shard, %error, "a batch cannot be committed, trying on");
                    backoff.pause().await;
                }
                Ok(outcomes) => {
                    self.replica.metrics.committed(pairings.len(), began.elapsed());
                    return (met, Ok(outcomes));
                }
            }
        }
    }

    fn settle(&self, round: &mut Round, met: Vec<Match>, outcomes: &[Outcome]) {
        let Replica { context, metrics, .. } = &*self.replica;
        let now = context.clock.unix_ms();
        for (pair, outcome) in met.into_iter().zip(outcomes) {
            if *outcome == Outcome::Committed {
                let waits = pair
                    .tickets()
                    .map(|ticket| Duration::from_millis(now.saturating_sub(ticket.since_unix_ms)));
                metrics.paired(&self.shard, pair.first.shares(&pair.second) > 0, waits);
            } else {
                metrics.void();
            }
            round.settle(pair, outcome, now);
        }
    }

    fn is_banned(&self, ticket: &Ticket) -> bool {
        let bans = self.replica.bans.as_ref();
        bans.is_some_and(|bans| bans.check(ticket.session, ticket.address.as_slice()).is_some())
    }

    async fn until(&self, unix_ms: Option<u64>) {
        match unix_ms {
            Some(unix_ms) => sleep(self.replica.context.clock.until(unix_ms)).await,
            None => std::future::pending().await,
        }
    }

    fn backoff(&self) -> Backoff {
        let random = self.replica.context.random.clone();
        Backoff::new(Duration::from_millis(50), Duration::from_millis(500), random)
    }
}

/// Waits for the commit that is under way; for ever if there is none.
async fn finished(commit: &mut Option<Commit<'_>>) -> (Vec<Match>, Result<Vec<Outcome>>) {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// Waits for a new ban, or for having missed some.
async fn banned(bans: &mut Option<broadcast::Receiver<Ban>>) {
    let Some(receiver) = bans else { return std::future::pending().await };
    if receiver.recv().await == Err(broadcast::error::RecvError::Closed) {
        *bans = None;
        return;
    }
    // Whatever else has come is looked at together with this one.
    while !matches!(
        receiver.try_recv(),
        Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed)
    ) {}
}
