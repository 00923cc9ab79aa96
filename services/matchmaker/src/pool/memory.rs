//! The pool in memory, for a process that is the whole cluster, and as the model of the one in Redis.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{
    Clock, Context, Random,
    id::{ChatId, Epoch, TicketId},
};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::{
    Delivery, Destination, Enqueued, Entry, EntryId, EntryKind, Home, Letter, Limits, Outcome, Pair, Pairing,
    Pool, READ_BATCH, Shard,
};
use crate::{Error, error::Result};

/// The pool in memory.
pub struct Memory {
    state: Mutex<State>,
    limits: Limits,
    clock: Clock,
    random: Random,
}

/// Everything is ordered, so that a simulation's seed gives the same run again.
#[derive(Default)]
struct State {
    generation: Option<String>,
    shard_counts: BTreeMap<String, u32>,
    shards: BTreeMap<Shard, Slice>,
    inboxes: BTreeMap<String, Inbox>,
    members: Log<Bytes>,
    homes: BTreeMap<ChatId, (Home, Instant)>,
    /// Moves that have been made, by where the ticket came from and the pairing, and until when they are remembered.
    moves: BTreeMap<(Shard, EntryId), Instant>,
}

/// What belongs to one shard.
#[derive(Default)]
struct Slice {
    tickets: Log<EntryKind>,
    /// Whose, and until when.
    lease: Option<(String, Instant)>,
    epoch: Epoch,
    pairs: Log<Vec<Delivery>>,
    /// When a pair was last taken. What is in `pairs` and not here has not been taken.
    taken: BTreeMap<EntryId, Instant>,
}

struct Inbox {
    news: Log<Bytes>,
    ends: Instant,
}

impl Memory {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: Limits, context: &Context) -> Self {
        Self { state: Mutex::default(), limits, clock: context.clock, random: context.random.clone() }
    }

    /// Loses everything, as a Redis does that is restarted without having written anything to disk.
    pub fn lose_everything(&self) {
        let lost = std::mem::take(&mut *self.state.lock());
        lost.wake_everybody();
    }

    /// Changes the state or looks at it.
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock())
    }

    /// Looks until there is something, for at most the time of `wait`.
    async fn wait_for<T>(&self, wait: Duration, look: impl Fn(&mut State) -> Look<T>) -> Vec<T> {
        let end = Instant::now() + wait;
        let Look { found, changed: mut log } = self.with(&look);
        if !found.is_empty() {
            return found;
        }
        loop {
            let changed = Arc::clone(&log).notified_owned();
            tokio::pin!(changed);
            changed.as_mut().enable();
            // Only now that a change would be noticed.
            let Look { found, changed: current } = self.with(&look);
            if !found.is_empty() {
                return found;
            }
            let replaced = !Arc::ptr_eq(&log, &current);
            log = current;
            if !replaced && timeout_at(end, changed).await.is_err() {
                return found;
            }
        }
    }
}

/// What a look found, and what to wait for if that is nothing.
struct Look<T> {
    found: Vec<T>,
    changed: Arc<Notify>,
}

#[async_trait]
impl Pool for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn generation(&self) -> Result<String> {
        let fresh = || self.random.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(self.with(|state| state.generation.get_or_insert_with(fresh).clone()))
    }

    async fn last_known_generation(&self) -> Result<String> {
        self.generation().await
    }

    async fn enqueue(&self, shard: &Shard, tickets: &[Bytes]) -> Result<Option<Enqueued>> {
        let generation = self.generation().await?;
        let now = self.clock.unix_ms();
        let entries = self.with(|state| {
            let slice = state.slice(shard);
            if !slice.is_open(shard) {
                return None;
            }
            let room = self.limits.tickets.saturating_sub(slice.tickets.len());
            let taken = tickets.iter().take(room);
            Some(taken.map(|ticket| slice.tickets.add(now, EntryKind::Ticket(ticket.clone()))).collect())
        });
        Ok(entries.map(|entries| Enqueued { entries, generation }))
    }

    async fn cancel(&self, shard: &Shard, entry: EntryId, ticket: TicketId) -> Result<bool> {
        let now = self.clock.unix_ms();
        Ok(self.with(|state| {
            let slice = state.slice(shard);
            if !slice.is_open(shard) {
                return false;
            }
            let was_there = slice.tickets.remove(entry).is_some();
            slice.tickets.add(now, EntryKind::Withdrawn(ticket));
            was_there
        }))
    }

    async fn acquire(&self, shard: &Shard, owner: &str, lease: Duration) -> Result<Option<Epoch>> {
        let (now, unix_ms) = (Instant::now(), self.clock.unix_ms());
        Ok(self.with(|state| {
            let slice = state.slice(shard);
            if slice.owner(now).is_some() {
                return None;
            }
            slice.epoch = Epoch((slice.epoch.0 + 1).max(unix_ms));
            slice.lease = Some((owner.to_owned(), now + lease));
            Some(slice.epoch)
        }))
    }

    async fn renew(&self, shard: &Shard, owner: &str, epoch: Epoch, lease: Duration) -> Result<()> {
        let ends = Instant::now() + lease;
        self.with(|state| {
            let slice = state.slice(shard);
            if slice.epoch != epoch {
                return Err(Error::Fenced);
            }
            slice.lease = Some((owner.to_owned(), ends));
            Ok(())
        })
    }

    async fn release(&self, shard: &Shard, epoch: Epoch) -> Result<()> {
        self.with(|state| {
            let slice = state.slice(shard);
            if slice.epoch == epoch {
                slice.lease = None;
            }
        });
        Ok(())
    }

    async fn owner(&self, shard: &Shard) -> Result<Option<String>> {
        let now = Instant::now();
        Ok(self.with(|state| state.slice(shard).owner(now).map(str::to_owned)))
    }

    async fn close(&self, shard: &Shard, epoch: Epoch) -> Result<bool> {
        self.with(|state| {
            let slice = state.slice(shard);
            if slice.epoch != epoch {
                return Err(Error::Fenced);
            }
            let empty = slice.tickets.len() == 0 && slice.pairs.len() == 0;
            if empty {
                slice.tickets.changed.notify_waiters();
                slice.pairs.changed.notify_waiters();
                state.shards.remove(shard);
            }
            Ok(empty)
        })
    }

    async fn shards(&self, first: &Shard, wanted: u32) -> Result<u32> {
        Ok(self.with(|state| {
            let shards = state.shard_counts.entry(first.pool().to_owned()).or_default();
            *shards = wanted.max(*shards);
            *shards
        }))
    }

    async fn shard_closed(&self, shard: &Shard) -> Result<()> {
        self.with(|state| {
            let shards = state.shard_counts.get_mut(shard.pool());
            if let Some(shards) = shards.filter(|shards| **shards == shard.number() + 1) {
                *shards -= 1;
            }
        });
        Ok(())
    }

    async fn read_tickets(&self, shard: &Shard, after: EntryId, wait: Duration) -> Result<Vec<Entry>> {
        let look = |state: &mut State| {
            let look = state.slice(shard).tickets.after(after);
            let found = look.found.into_iter().map(|(id, kind)| Entry { id, kind }).collect();
            Look { found, changed: look.changed }
        };
        Ok(self.wait_for(wait, look).await)
    }

    async fn memory(&self, _shard: &Shard) -> Result<Option<(usize, usize)>> {
        Ok(None)
    }

    async fn commit(
        &self,
        shard: &Shard,
        epoch: Epoch,
        pairings: &[Pairing],
        finished: &[EntryId],
    ) -> Result<Vec<Outcome>> {
        let now = self.clock.unix_ms();
        self.with(|state| {
            let slice = state.slice(shard);
            if slice.epoch != epoch {
                return Err(Error::Fenced);
            }
            for entry in finished {
                slice.tickets.remove(*entry);
            }
            Ok(pairings.iter().map(|pairing| slice.commit(pairing, now)).collect())
        })
    }

    async fn take_pairs(&self, shard: &Shard, wait: Duration) -> Result<Vec<Pair>> {
        Ok(self.wait_for(wait, |state| state.slice(shard).take_pairs()).await)
    }

    async fn claim_pairs(&self, shard: &Shard, idle: Duration) -> Result<Vec<Pair>> {
        Ok(self.with(|state| state.slice(shard).claim_pairs(idle)))
    }

    async fn deliver(&self, shard: &Shard, pairs: &[Pair]) -> Result<()> {
        let now = self.clock.unix_ms();
        let moved_until = Instant::now() + self.limits.moves_kept;
        self.with(|state| {
            state.drop_what_is_over();
            for (id, Delivery { to, content }) in
                pairs.iter().flat_map(|pair| pair.deliveries.iter().map(|delivery| (pair.id, delivery)))
            {
                match to {
                    Destination::Inbox(gateway) => {
                        let inbox = state.inbox(gateway, self.limits.inbox_kept);
                        inbox.news.add(now, content.clone());
                        inbox.news.keep_last(self.limits.inbox);
                    }
                    Destination::Shard(to) => {
                        if state.moves.insert((shard.clone(), id), moved_until).is_none() {
                            state.slice(to).tickets.add(now, EntryKind::Ticket(content.clone()));
                        }
                    }
                }
            }
        });
        Ok(())
    }

    async fn settle(&self, shard: &Shard, pairs: &[EntryId]) -> Result<()> {
        self.with(|state| {
            let slice = state.slice(shard);
            for pair in pairs {
                slice.pairs.remove(*pair);
                slice.taken.remove(pair);
            }
        });
        Ok(())
    }

    async fn read_inbox(&self, gateway: &str, after: EntryId, wait: Duration) -> Result<Vec<Letter>> {
        let look = |state: &mut State| {
            state.drop_what_is_over();
            state.inbox(gateway, self.limits.inbox_kept).news.after(after)
        };
        Ok(self.wait_for(wait, look).await)
    }

    async fn trim_inbox(&self, gateway: &str, up_to: EntryId) -> Result<()> {
        self.with(|state| {
            if let Some(inbox) = state.inboxes.get_mut(gateway) {
                inbox.news.drop_before(up_to.next());
            }
        });
        Ok(())
    }

    async fn keep_inbox(&self, gateway: &str) -> Result<()> {
        let ends = Instant::now() + self.limits.inbox_kept;
        self.with(|state| {
            if let Some(inbox) = state.inboxes.get_mut(gateway) {
                inbox.ends = ends;
            }
        });
        Ok(())
    }

    async fn heartbeat(&self, member: Bytes) -> Result<EntryId> {
        let now = self.clock.unix_ms();
        let kept = u64::try_from(self.limits.heartbeats_kept.as_millis()).unwrap_or(u64::MAX);
        Ok(self.with(|state| {
            state.drop_what_is_over();
            state.members.drop_before(EntryId { ms: now.saturating_sub(kept), seq: 0 });
            state.members.add(now, member)
        }))
    }

    async fn read_members(&self, after: EntryId, wait: Duration) -> Result<Vec<Letter>> {
        Ok(self.wait_for(wait, |state| state.members.after(after)).await)
    }

    async fn choose_home(&self, chat: ChatId, lost: Epoch, relay: &str) -> Result<Home> {
        let ends = Instant::now() + self.limits.homes_kept;
        Ok(self.with(|state| {
            state.drop_what_is_over();
            if let Some((home, _)) = state.homes.get(&chat).filter(|(home, _)| home.epoch > lost) {
                return home.clone();
            }
            let home = Home { epoch: Epoch(lost.0.saturating_add(1)), relay: relay.to_owned() };
            state.homes.insert(chat, (home.clone(), ends));
            home
        }))
    }

    async fn home(&self, chat: ChatId) -> Result<Option<Home>> {
        Ok(self.with(|state| {
            state.drop_what_is_over();
            state.homes.get(&chat).map(|(home, _)| home.clone())
        }))
    }
}

// === impl State ===

impl State {
    fn slice(&mut self, shard: &Shard) -> &mut Slice {
        self.shards.entry(shard.clone()).or_default()
    }

    fn inbox(&mut self, gateway: &str, kept: Duration) -> &mut Inbox {
        let fresh = || Inbox { news: Log::default(), ends: Instant::now() + kept };
        self.inboxes.entry(gateway.to_owned()).or_insert_with(fresh)
    }

    fn drop_what_is_over(&mut self) {
        let now = Instant::now();
        self.inboxes.retain(|_, inbox| {
            let stays = inbox.ends > now;
            if !stays {
                inbox.news.changed.notify_waiters();
            }
            stays
        });
        self.homes.retain(|_, (_, ends)| *ends > now);
        self.moves.retain(|_, ends| *ends > now);
    }

    fn wake_everybody(&self) {
        self.members.changed.notify_waiters();
        for slice in self.shards.values() {
            slice.tickets.changed.notify_waiters();
            slice.pairs.changed.notify_waiters();
        }
        for inbox in self.inboxes.values() {
            inbox.news.changed.notify_waiters();
        }
    }
}

// === impl Slice ===

impl Slice {
    fn owner(&self, now: Instant) -> Option<&str> {
        self.lease.as_ref().filter(|(_, ends)| *ends > now).map(|(owner, _)| owner.as_str())
    }

    /// A pool's first shard always is, any other from its first owner on.
    fn is_open(&self, shard: &Shard) -> bool {
        shard.is_first() || self.epoch != Epoch::default()
    }

    fn commit(&mut self, pairing: &Pairing, now: u64) -> Outcome {
        let gone: Vec<_> =
            pairing.tickets.iter().copied().filter(|entry| !self.tickets.contains(*entry)).collect();
        if !gone.is_empty() {
            return Outcome::Gone(gone);
        }
        for entry in &pairing.tickets {
            self.tickets.remove(*entry);
        }
        self.pairs.add(now, pairing.deliveries.clone());
        Outcome::Committed
    }

    fn take_pairs(&mut self) -> Look<Pair> {
        let fresh = self.pairs.entries.iter().filter(|(id, _)| !self.taken.contains_key(id)).take(READ_BATCH);
        let found: Vec<_> =
            fresh.map(|(id, deliveries)| Pair { id: *id, deliveries: deliveries.clone() }).collect();
        let now = Instant::now();
        self.taken.extend(found.iter().map(|pair| (pair.id, now)));
        Look { found, changed: Arc::clone(&self.pairs.changed) }
    }

    fn claim_pairs(&mut self, idle: Duration) -> Vec<Pair> {
        let now = Instant::now();
        let is_idle = |id: &EntryId| self.taken.get(id).is_some_and(|taken| now - *taken >= idle);
        let idle = self.pairs.entries.iter().filter(|(id, _)| is_idle(id)).take(READ_BATCH);
        let found: Vec<_> =
            idle.map(|(id, deliveries)| Pair { id: *id, deliveries: deliveries.clone() }).collect();
        self.taken.extend(found.iter().map(|pair| (pair.id, now)));
        found
    }
}

// === Log ===

/// A stream: entries by ids that only rise, and somebody to tell when one is added.
struct Log<T> {
    entries: BTreeMap<EntryId, T>,
    last: EntryId,
    changed: Arc<Notify>,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), last: EntryId::default(), changed: Arc::default() }
    }
}

impl<T> Log<T> {
    fn add(&mut self, now: u64, entry: T) -> EntryId {
        self.last = self.last.next().max(EntryId { ms: now, seq: 0 });
        self.entries.insert(self.last, entry);
        self.changed.notify_waiters();
        self.last
    }

    fn after(&self, after: EntryId) -> Look<(EntryId, T)>
    where
        T: Clone,
    {
        let later = self.entries.range(after.next()..).take(READ_BATCH);
        Look {
            found: later.map(|(id, entry)| (*id, entry.clone())).collect(),
            changed: Arc::clone(&self.changed),
        }
    }

    fn remove(&mut self, id: EntryId) -> Option<T> {
        self.entries.remove(&id)
    }

    fn contains(&self, id: EntryId) -> bool {
        self.entries.contains_key(&id)
    }

    fn drop_before(&mut self, first_kept: EntryId) {
        self.entries = self.entries.split_off(&first_kept);
    }

    fn keep_last(&mut self, most: usize) {
        while self.entries.len() > most {
            self.entries.pop_first();
        }
    }

    fn len(&self) -> usize {
        self.entries.len()
    }
}
