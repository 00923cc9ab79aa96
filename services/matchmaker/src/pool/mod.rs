//! The waiting pool's storage: what of the matchmaker outlives its processes.
//!
//! [`Pool`] is all that the matchmaker knows of it. [`Redis`] is the store of a cluster; [`Memory`] that of a single process, and
//! the model against which the other is tested (`tests/pool.rs` runs one suite on both).
//!
//! Its data: per shard a stream of tickets, a lease with an epoch, and a stream of pairings that are made and not yet
//! delivered; per gateway an inbox; one stream of the members' heartbeats; the store's generation; the homes of chats that
//! lost theirs.
//!
//! Invariants:
//! - An entry that is in a shard's stream is a ticket that waits. Whoever deletes the entry has the ticket, so a cancel and a
//!   pairing never both win (I2).
//! - Only the holder of the shard's last epoch commits (I2). Epochs only rise, even across a loss of all data.
//! - A committed pairing is in the pairs stream until it has been put into the inboxes of all its gateways.

mod entry;
mod memory;
mod redis;
mod shard;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chassis::id::{ChatId, Epoch, TicketId};

pub use self::{
    entry::{EntryId, Malformed},
    memory::Memory,
    redis::{BadUrl, Redis, Url},
    shard::{MAX_SHARDS, Shard},
};
use crate::{error::Result, placement};

/// How many entries one read brings at most.
pub const READ_BATCH: usize = 512;
/// How far apart reads of one stream are begun at least while it has something, but less than a read takes. Where much comes, each read, and all that
/// follows from it, is for many at once; what comes after a silence is read at once.
pub const GATHER: Duration = Duration::from_millis(5);

/// Bounds of a store.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Tickets that a shard takes. What comes over from another one is taken all the same.
    pub tickets: usize,
    /// Assignments that an inbox holds, about. A gateway's sessions wait for one each at most, so that
    /// only the inbox of a gateway that doesn't read gets there; then the oldest are dropped.
    pub inbox: usize,
    /// How long an inbox is kept that no watch asks to keep.
    pub inbox_kept: Duration,
    /// How long a heartbeat is kept.
    pub heartbeats_kept: Duration,
    /// How long a chat's new home is remembered. As long as its seat tokens are good.
    pub homes_kept: Duration,
    /// How long it is remembered that a ticket has come from another place. Longer than it takes until nobody repeats it.
    pub moves_kept: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tickets: 1_000_000,
            inbox: 100_000,
            inbox_kept: Duration::from_secs(60),
            heartbeats_kept: Duration::from_secs(10),
            homes_kept: placement::TOKEN_LIVES,
            moves_kept: Duration::from_secs(60),
        }
    }
}

/// An entry of a shard's stream of tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// What it says.
    pub kind: EntryKind,
}

/// What an entry of a shard's stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Somebody waits: the encoded `stroll.v1.Ticket`.
    Ticket(Bytes),
    /// The ticket with this id is not wanted any more, whatever its entry.
    Withdrawn(TicketId),
    /// Nothing that this version can read.
    Unreadable,
}

/// A pairing to be committed; or a single ticket that goes to another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// The entries of the tickets that it takes.
    pub tickets: Vec<EntryId>,
    /// The news of it, one per ticket.
    pub deliveries: Vec<Delivery>,
}

/// What a pairing leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Where it goes.
    pub to: Destination,
    /// To a gateway the encoded `stroll.v1.Assignment`, to a shard the encoded `stroll.v1.Ticket`.
    pub content: Bytes,
}

/// Where a delivery goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// Into this gateway's inbox.
    Inbox(String),
    /// Into this shard's stream.
    Shard(Shard),
}

/// How tickets were put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// Their entries, in order; fewer than there are tickets where the shard has no more room.
    pub entries: Vec<EntryId>,
    /// A generation: if the store's is another one, the tickets may be lost.
    pub generation: String,
}

/// What became of a pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its tickets are out of the pool and its news is in the pairs stream.
    Committed,
    /// Nothing was changed, because these tickets were not there any more.
    Gone(Vec<EntryId>),
}

/// A committed pairing that is not yet delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its entry in the pairs stream.
    pub id: EntryId,
    /// The news of it.
    pub deliveries: Vec<Delivery>,
}

/// Where a chat has gone on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// How often it went, counted from 1 for the relay that it began at.
    pub epoch: Epoch,
    /// The relay's address.
    pub relay: String,
}

/// An entry of an inbox, or a heartbeat.
pub type Letter = (EntryId, Bytes);

/// The store. Every call fails with [`Error::Away`](crate::Error::Away) while it can't be reached; then it is not known whether
/// the call had its effect.
#[async_trait]
pub trait Pool: Send + Sync + 'static {
    /// What kind of store it is, for readiness and logs.
    fn name(&self) -> &'static str;

    /// Whether the store is there and can be relied on.
    ///
    /// # Errors
    /// `Refused` where it is there and must not be used.
    async fn check(&self) -> Result<()>;

    /// The name of what the store holds: a new one when it lost everything, and when it may have lost something.
    async fn generation(&self) -> Result<String>;

    /// The generation as it was last seen, asked for again where the store went away since. Costs next to nothing.
    async fn last_known_generation(&self) -> Result<String>;

    /// Puts tickets in; `None` if the shard is not open. The first shard of a pool always is, any other from when it first had
    /// an owner until it was closed.
    async fn enqueue(&self, shard: &Shard, tickets: &[Bytes]) -> Result<Option<Enqueued>>;

    /// Takes a ticket out; false if its entry was already gone. In any case the owner hears that it isn't wanted, because it
    /// may be there by another entry.
    async fn cancel(&self, shard: &Shard, entry: EntryId, ticket: TicketId) -> Result<bool>;

    /// Makes `owner` the shard's owner for the time of `lease`, with a new epoch, unless it has an owner.
    async fn acquire(&self, shard: &Shard, owner: &str, lease: Duration) -> Result<Option<Epoch>>;

    /// Makes the lease last for `lease` from now.
    ///
    /// # Errors
    /// `Fenced` if `epoch` is not the shard's last.
    async fn renew(&self, shard: &Shard, owner: &str, epoch: Epoch, lease: Duration) -> Result<()>;

    /// Ends the lease, if it is that of `epoch`.
    async fn release(&self, shard: &Shard, epoch: Epoch) -> Result<()>;

    /// Who owns a shard, if anybody.
    async fn owner(&self, shard: &Shard) -> Result<Option<String>>;

    /// Removes a shard that holds nothing and is `epoch`'s, with its lease. False: it holds something.
    ///
    /// # Errors
    /// `Fenced` if `epoch` is not the shard's last.
    async fn close(&self, shard: &Shard, epoch: Epoch) -> Result<bool>;

    /// How many shards of the pool that begins with `first` may hold tickets, and from now on at least `wanted`.
    async fn shards(&self, first: &Shard, wanted: u32) -> Result<u32>;

    /// A shard is closed: if it was its pool's last, there is one less.
    async fn shard_closed(&self, shard: &Shard) -> Result<()>;

    /// Entries after `after`, oldest first. If there are none, it waits for one for the time of `wait`.
    async fn read_tickets(&self, shard: &Shard, after: EntryId, wait: Duration) -> Result<Vec<Entry>>;

    /// How many entries the shard's stream of tickets has, and how much memory they take, in bytes, about; `None` where what
    /// is deleted takes none.
    async fn memory(&self, shard: &Shard) -> Result<Option<(usize, usize)>>;

    /// Commits pairings in one step, each only if all its tickets are still there, and deletes entries that need no
    /// further work. Tells what became of each pairing. A repeat finds its tickets gone and does no harm.
    ///
    /// # Errors
    /// `Fenced` if `epoch` is not the shard's last; then nothing was changed.
    async fn commit(
        &self,
        shard: &Shard,
        epoch: Epoch,
        pairings: &[Pairing],
        finished: &[EntryId],
    ) -> Result<Vec<Outcome>>;

    /// Takes committed pairings that nobody has taken. If there are none, it waits for one for the time of `wait`.
    async fn take_pairs(&self, shard: &Shard, wait: Duration) -> Result<Vec<Pair>>;

    /// Takes over pairings that somebody took and has not settled for at least the time of `idle`.
    async fn claim_pairs(&self, shard: &Shard, idle: Duration) -> Result<Vec<Pair>>;

    /// Puts what a shard's pairings lead to where it goes, in order. News may come twice; a ticket comes to a shard once, also
    /// where this is repeated within [`Limits::moves_kept`].
    async fn deliver(&self, shard: &Shard, pairs: &[Pair]) -> Result<()>;

    /// Forgets pairings whose news is in all inboxes.
    async fn settle(&self, shard: &Shard, pairs: &[EntryId]) -> Result<()>;

    /// News after `after`, oldest first. If there is none, it waits for some for the time of `wait`.
    async fn read_inbox(&self, gateway: &str, after: EntryId, wait: Duration) -> Result<Vec<Letter>>;

    /// Drops the news up to and with `up_to`.
    async fn trim_inbox(&self, gateway: &str, up_to: EntryId) -> Result<()>;

    /// Keeps the inbox for a further [`Limits::inbox_kept`].
    async fn keep_inbox(&self, gateway: &str) -> Result<()>;

    /// Adds a heartbeat. The id that it gets tells the store's time.
    async fn heartbeat(&self, member: Bytes) -> Result<EntryId>;

    /// Heartbeats after `after`, oldest first. If there are none, it waits for one for the time of `wait`.
    async fn read_members(&self, after: EntryId, wait: Duration) -> Result<Vec<Letter>>;

    /// Makes `relay` the chat's home in the epoch after `lost`, unless it has one that is newer than `lost`, and tells which it is.
    async fn choose_home(&self, chat: ChatId, lost: Epoch, relay: &str) -> Result<Home>;

    /// Where the chat last went, if it did.
    async fn home(&self, chat: ChatId) -> Result<Option<Home>>;
}
