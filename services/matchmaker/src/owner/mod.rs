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
//!
//! A shard whose number is above what the live matchmakers are set to is closed: its tickets go to the pool's first shard at
//! once, and when it has held nothing for a while it is removed.

mod dispatch;
#[cfg(test)]
mod model;
mod oldest;
mod pairing;
mod round;

pub(crate) use self::round::MOVES_AFTER_MS;

use std::{convert::Infallible, ops::Range, sync::Arc, time::Duration};

use chassis::{backoff::Backoff, bans::Ban, id::Epoch};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, info, warn};

use self::round::{Batch, Round, Step};
use crate::{
    Error,
    error::Result,
    matching::Ticket,
    metrics::Queue,
    pool::{Entry, EntryId, GATHER, Outcome, Pairing, READ_BATCH, Shard},
    replica::Replica,
};

/// How long the first choice waits before it asks for the lease again: at random between these.
const ASK_AGAIN: Range<Duration> = Duration::from_millis(100)..Duration::from_millis(200);
/// The same while somebody is leaving, whose lease is about to be free.
const ASK_SOON: Range<Duration> = Duration::from_millis(5)..Duration::from_millis(15);
/// How often it is looked at how much memory the tickets take; how much is worth no trouble, in bytes; what an entry takes beside its
/// ticket, in bytes; and how many tickets are moved at once to where they take less.
const MEMORY_LOOK: Duration = Duration::from_secs(2);
const LITTLE_MEMORY: usize = 128 * 1024;
const ENTRY_MEMORY: usize = 32;
const COMPACTED: usize = 512;
/// How long a shard that is closed stays after it held something.
const CLOSED_AFTER: Duration = Duration::from_secs(2);
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

/// Owns `shard` whenever it should, until the process drains or ends, or there is no such shard any more.
pub(crate) async fn run(replica: Arc<Replica>, shard: Shard) {
    let hard = replica.context.drain.hard();
    let first = shard.sibling(0);
    let owner = Owner { replica, shard, first };
    tokio::select! {
        biased;
        () = hard => {}
        () = owner.serve() => {}
    }
}

struct Owner {
    replica: Arc<Replica>,
    shard: Shard,
    /// The first one of the same pool.
    first: Shard,
}

/// How an ownership ended.
enum Ended {
    /// By the owner's own will.
    GivenUp,
    /// The store holds another generation.
    Outdated,
    /// Somebody else owns the shard, or may.
    Lost,
    /// The shard holds nothing and is to be no more.
    Closed,
}

/// A commit that is under way; it gives back what was committed.
type Commit<'a> = BoxFuture<'a, (Vec<Step>, Result<Vec<Outcome>>)>;

impl Owner {
    async fn serve(&self) {
        while let Some((epoch, asked)) = self.win().await {
            info!(shard = %self.shard, %epoch, "owning a shard");
            self.replica.metrics.acquired(&self.shard);
            let ended = self.own(epoch, asked).await;
            self.replica.metrics.released(&self.shard);
            self.replica.members.tell_shard(&self.shard, None);
            match ended {
                Ended::GivenUp => self.hand_over(epoch).await,
                Ended::Outdated => {
                    info!(shard = %self.shard, %epoch, "beginning anew with what the store holds now");
                    self.hand_over(epoch).await;
                }
                Ended::Lost => warn!(shard = %self.shard, %epoch, "lost a shard"),
                Ended::Closed => self.remove(epoch).await,
            }
        }
    }

    /// Waits until this matchmaker should own the shard and has its lease. Tells when it asked for it; `None` if it drains, or there is no such
    /// shard any more.
    async fn win(&self) -> Option<(Epoch, Instant)> {
        let Replica { context, pool, store, members, id, lease, .. } = &*self.replica;
        loop {
            if store.shards(&self.first) <= self.shard.number() {
                return None;
            }
            if members.should_own(&self.shard) {
                let asked = Instant::now();
                match pool.acquire(&self.shard, id, *lease).await {
                    Ok(Some(epoch)) => return Some((epoch, asked)),
                    Ok(None) => {}
                    Err(error) => debug!(shard = %self.shard, %error, "the lease cannot be asked for"),
                }
            }
            let pause = if members.somebody_leaves() { ASK_SOON } else { ASK_AGAIN };
            tokio::select! {
                () = sleep(context.random.duration(pause)) => {}
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

    /// The next owner goes on at once; what is left to deliver is delivered by whoever comes first.
    async fn hand_over(&self, epoch: Epoch) {
        match self.replica.pool.release(&self.shard, epoch).await {
            Ok(()) => info!(shard = %self.shard, %epoch, "gave a shard up"),
            // It ends by itself.
            Err(error) => warn!(shard = %self.shard, %epoch, %error, "a lease could not be released"),
        }
        self.dispatch_the_rest().await;
    }

    /// Removes the shard, unless something has come into it.
    async fn remove(&self, epoch: Epoch) {
        self.dispatch_the_rest().await;
        let Replica { pool, store, .. } = &*self.replica;
        let removed = match pool.close(&self.shard, epoch).await {
            Ok(false) => pool.release(&self.shard, epoch).await,
            Ok(true) => {
                info!(shard = %self.shard, "removed a shard");
                store.shard_closed(&self.shard).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = removed {
            debug!(shard = %self.shard, %error, "a shard could not be removed, trying on");
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
            let next = Instant::now() + GATHER;
            match self.replica.pool.read_tickets(&self.shard, after, READ_WAIT).await {
                Ok(read) => {
                    backoff.reset();
                    let Some(last) = read.last() else { continue };
                    after = last.id;
                    let is_full = read.len() == READ_BATCH;
                    // It fails only when the shard was lost, and then this ends too.
                    let _ = entries.send(read).await;
                    if !is_full {
                        sleep_until(next).await;
                    }
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
        let mut round = Round::new(self.shard.clone(), Arc::clone(&self.replica.questions), metrics.clone());
        let mut commit: Option<Commit<'_>> = None;
        let mut heard = members.heard();
        let mut new_bans = bans.as_ref().map(chassis::bans::Bans::subscribe);
        let mut busy = Instant::now();
        let memory = self.much_memory();
        tokio::pin!(memory);
        self.look_around(&mut round);
        loop {
            let leaving = !members.should_own(&self.shard);
            if commit.is_none() {
                commit = self.next_commit(epoch, generation.clone(), &mut round);
                if commit.is_none() && leaving {
                    return Ended::GivenUp;
                }
            }
            if commit.is_some() || !round.is_empty() || !self.is_last_to_close() {
                busy = Instant::now();
            } else if busy.elapsed() >= CLOSED_AFTER {
                return Ended::Closed;
            }
            metrics.queue(&self.shard, Queue::Met, round.steps());
            metrics.queue(&self.shard, Queue::Read, entries.len());
            let open = !leaving && round.steps() < BACKLOG && members.has_relay();
            tokio::select! {
                (steps, outcomes) = finished(&mut commit) => {
                    commit = None;
                    match outcomes {
                        Ok(outcomes) => self.settle(&mut round, steps, &outcomes),
                        Err(_) => return Ended::Lost,
                    }
                }
                Some(read) = entries.recv(), if open => {
                    let now = self.now();
                    for entry in read {
                        round.take_in(entry, now, |ticket| self.is_banned(ticket));
                    }
                    self.meet_gateways(&mut round);
                }
                () = self.until(round.next_time()), if open => round.on_time(self.now()),
                () = banned(&mut new_bans) => {
                    round.drop_banned(self.now(), |ticket| self.is_banned(ticket));
                }
                (entries, bytes) = &mut memory, if open => {
                    // Half of it is of those who have gone.
                    if bytes > 2 * entries * (round.average_size() + ENTRY_MEMORY) {
                        round.compact(COMPACTED);
                    }
                    memory.set(self.much_memory());
                }
                _ = generations.changed() => return Ended::Outdated,
                // Relays, gateways and matchmakers come and go.
                _ = heard.changed() => self.look_around(&mut round),
                () = context.drain.soft(), if !leaving => {}
            }
        }
    }

    /// Waits until the shard's tickets take memory that is worth a look. Tells how many entries there are, and their bytes.
    async fn much_memory(&self) -> (usize, usize) {
        loop {
            sleep(MEMORY_LOOK).await;
            match self.replica.pool.memory(&self.shard).await {
                Ok(Some((entries, bytes))) if bytes > LITTLE_MEMORY => return (entries, bytes),
                Ok(_) => {}
                Err(error) => debug!(shard = %self.shard, %error, "the tickets' memory is not known"),
            }
        }
    }

    /// Sees who is there, and tells how the shard is.
    fn look_around(&self, round: &mut Round) {
        let Replica { members, metrics, .. } = &*self.replica;
        let now = self.now();
        round.close(self.is_closing());
        self.meet_gateways(round);
        round.set_absent(&members.absent(&[], self.replica.gateway_kept), now);
        members.tell_shard(&self.shard, Some(round.state(now)));
        let oldest = round.oldest().map(|since| Duration::from_millis(now.saturating_sub(since)));
        metrics.waiting(&self.shard, round.waiting(), oldest.unwrap_or_default());
    }

    /// Whoever has tickets here is expected to be heard of.
    fn meet_gateways(&self, round: &mut Round) {
        let new = round.new_gateways();
        if !new.is_empty() {
            let absent = self.replica.members.absent(&new, self.replica.gateway_kept);
            round.set_absent(&absent, self.now());
        }
    }

    /// Whether no live matchmaker is set to have this shard.
    fn is_closing(&self) -> bool {
        !self.shard.is_first() && self.shard.number() >= self.replica.members.shards()
    }

    fn is_last_to_close(&self) -> bool {
        self.is_closing() && self.shard.number() + 1 >= self.replica.store.shards(&self.first)
    }

    /// The next batch's commit, if there is anything to commit and a relay for it.
    fn next_commit(&self, epoch: Epoch, generation: Option<String>, round: &mut Round) -> Option<Commit<'_>> {
        let Replica { context, members, questions, .. } = &*self.replica;
        let now = self.now();
        let most = if members.has_relay() { BATCH } else { 0 };
        let Batch { mut steps, finished } = round.next_batch(most, now, |ticket| self.is_banned(ticket))?;
        let mut pairings = Vec::with_capacity(steps.len());
        for step in &steps {
            pairings.push(match step {
                Step::Move(ticket) => pairing::moved(ticket, self.first.clone()),
                Step::Stay(ticket) => pairing::moved(ticket, self.shard.clone()),
                Step::Meet(met) => {
                    let zones: Vec<_> = met.tickets().map(|ticket| ticket.zone.as_str()).collect();
                    let Some(relay) = members.choose_relay(&zones) else { break };
                    pairing::pairing(met, &relay, questions, context)
                }
            });
        }
        round.postpone(steps.split_off(pairings.len()));
        Some(self.commit(epoch, generation, steps, pairings, finished).boxed())
    }

    /// Commits until it is known what became of it. To try again does no harm: what was committed by an attempt that was not
    /// heard of is gone for the next one. What is of another generation than the store's is not committed: that ends with the
    /// ownership.
    async fn commit(
        &self,
        epoch: Epoch,
        generation: Option<String>,
        steps: Vec<Step>,
        pairings: Vec<Pairing>,
        finished: Vec<EntryId>,
    ) -> (Vec<Step>, Result<Vec<Outcome>>) {
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
                Err(Error::Fenced) => return (steps, Err(Error::Fenced)),
                Err(error) => {
                    debug!(shard = %self.shard, %error, "a batch cannot be committed, trying on");
                    backoff.pause().await;
                }
                Ok(outcomes) => {
                    self.replica.metrics.committed(pairings.len(), began.elapsed());
                    return (steps, Ok(outcomes));
                }
            }
        }
    }

    fn settle(&self, round: &mut Round, steps: Vec<Step>, outcomes: &[Outcome]) {
        let metrics = &self.replica.metrics;
        let now = self.now();
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            match (&step, outcome) {
                (Step::Meet(met), Outcome::Committed) => metrics.paired(&self.shard, met, now),
                (Step::Meet(_), Outcome::Gone(_)) => metrics.void(),
                (Step::Move(_), Outcome::Committed) => metrics.moved(&self.shard),
                (Step::Move(_), Outcome::Gone(_)) | (Step::Stay(_), _) => {}
            }
            round.settle(step, outcome, now);
        }
    }

    fn is_banned(&self, ticket: &Ticket) -> bool {
        let bans = self.replica.bans.as_ref();
        bans.is_some_and(|bans| bans.check(ticket.session, ticket.address.as_slice()).is_some())
    }

    /// The time by which tickets are matched: that of their entries, so that no two machines' clocks have to agree.
    fn now(&self) -> u64 {
        self.replica.members.store_now()
    }

    async fn until(&self, unix_ms: Option<u64>) {
        match unix_ms {
            Some(unix_ms) => sleep(Duration::from_millis(unix_ms.saturating_sub(self.now()))).await,
            None => std::future::pending().await,
        }
    }

    fn backoff(&self) -> Backoff {
        let random = self.replica.context.random.clone();
        Backoff::new(Duration::from_millis(50), Duration::from_millis(500), random)
    }
}

/// Waits for the commit that is under way; for ever if there is none.
async fn finished(commit: &mut Option<Commit<'_>>) -> (Vec<Step>, Result<Vec<Outcome>>) {
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
