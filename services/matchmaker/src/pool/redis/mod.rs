//! The pool in Redis (7.0 or later, or Valkey): one server, the master that sentinels name, or a cluster.
//!
//! What must not tear is one Lua script, each in a file of its own beside this one, with its keys and arguments on top.
//! Nothing here touches the keys of two slots in one command, so that a cluster of Redis can spread the shards.
//!
//! Where memory is full only tickets are refused: every other script is let write all the same (`allow-oom`), because it
//! replaces what is there, or is what makes memory free again. What these write is bounded.

mod cluster;
mod connection;
mod connections;
mod keys;
mod nodes;
mod reply;
mod script;
mod sentinel;
mod server;
mod slots;
mod url;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{
    Context, Random,
    id::{ChatId, Epoch, TicketId},
};
use futures_util::future::try_join_all;
use parking_lot::Mutex;
use redis::{Cmd, Value, cmd};

pub use self::url::{BadUrl, Url};
use self::{keys::Keys, nodes::Nodes, reply::Raw, script::Script};
use super::{
    Delivery, Destination, Enqueued, Entry, EntryId, Home, Letter, Limits, Outcome, Pair, Pairing, Pool,
    READ_BATCH, Shard,
};
use crate::{Error, error::Result};

/// The consumer group of a shard's pairs, and its only consumer: whoever owns the shard goes on where the last one stopped.
const GROUP: &str = "owner";

/// How often the generation is asked for, before it is given up because connections come and go meanwhile. The first ones
/// are made by the first time.
const GENERATION_TRIES: usize = 3;

/// The pool in Redis.
pub struct Redis {
    connections: Nodes,
    keys: Keys,
    limits: Limits,
    scripts: Scripts,
    random: Random,
    /// The generation as it was last seen, and over which connection. It may be older than what Redis holds, never newer.
    generation: Mutex<Option<(u64, String)>>,
}

struct Scripts {
    enqueue: Script,
    cancel: Script,
    acquire: Script,
    renew: Script,
    release: Script,
    close: Script,
    shards: Script,
    shard_closed: Script,
    commit: Script,
    claim: Script,
    settle: Script,
    heartbeat: Script,
    deliver: Script,
    moved: Script,
    generation: Script,
    home: Script,
}

impl Scripts {
    fn new() -> Self {
        Self {
            enqueue: Script::new(include_str!("enqueue.lua")),
            cancel: Script::new(include_str!("cancel.lua")),
            acquire: Script::new(include_str!("acquire.lua")),
            renew: Script::new(include_str!("renew.lua")),
            release: Script::new(include_str!("release.lua")),
            close: Script::new(include_str!("close.lua")),
            shards: Script::new(include_str!("shards.lua")),
            shard_closed: Script::new(include_str!("shard_closed.lua")),
            commit: Script::new(include_str!("commit.lua")),
            claim: Script::new(include_str!("claim.lua")),
            settle: Script::new(include_str!("settle.lua")),
            heartbeat: Script::new(include_str!("heartbeat.lua")),
            deliver: Script::new(include_str!("deliver.lua")),
            moved: Script::new(include_str!("moved.lua")),
            generation: Script::new(include_str!("generation.lua")),
            home: Script::new(include_str!("home.lua")),
        }
    }
}

impl Redis {
    /// The pool at `url`, with keys that begin with `prefix`. Connects when it is first used.
    #[must_use]
    pub fn new(url: Url, prefix: String, limits: Limits, context: &Context) -> Self {
        Self {
            connections: Nodes::new(url, context.clone()),
            keys: Keys::new(prefix),
            limits,
            scripts: Scripts::new(),
            random: context.random.clone(),
            generation: Mutex::default(),
        }
    }

    /// Reads one stream, waiting for `wait` if there is nothing. `BLOCK 0` would wait for ever, so no wait is no BLOCK.
    async fn read(&self, mut read: Cmd, key: String, after: &str, wait: Duration) -> Result<Vec<Raw>> {
        read.arg("COUNT").arg(READ_BATCH);
        if wait.is_zero() {
            read.arg("STREAMS").arg(&key).arg(after);
            return reply::of_one_stream(self.connections.run(&key, &read).await?);
        }
        read.arg("BLOCK").arg(milliseconds(wait)).arg("STREAMS").arg(&key).arg(after);
        reply::of_one_stream(self.connections.wait_for(&key, &read, wait).await?)
    }

    async fn read_letters(&self, key: String, after: EntryId, wait: Duration) -> Result<Vec<Letter>> {
        let entries = self.read(cmd("XREAD"), key, &after.to_string(), wait).await?;
        Ok(entries.into_iter().filter_map(Raw::into_letter).collect())
    }
}

#[async_trait]
impl Pool for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&self) -> Result<()> {
        let told =
            self.connections.ask_masters(cmd("INFO").arg("server").arg("memory").arg("cluster")).await?;
        let alone = self.connections.is_one();
        for told in told {
            server::check(&told).map_err(Error::Refused)?;
            if alone {
                server::check_alone(&told).map_err(Error::Refused)?;
            }
        }
        Ok(())
    }

    async fn generation(&self) -> Result<String> {
        let fresh: String = self.random.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        for _ in 0..GENERATION_TRIES {
            let number = self.connections.number();
            // A server that was started anew may be an older copy of itself, name and all. It is asked first: were it started
            // anew in between, the answer is older than what it holds.
            let told = self.connections.ask_masters(cmd("INFO").arg("server")).await?;
            let mut script = self.scripts.generation.key(self.keys.generation());
            let name: String = self.connections.invoke(script.arg(&fresh)).await?;
            let generation =
                server::runs(&told).map_or_else(|| name.clone(), |runs| format!("{name}.{runs}"));
            // Else the two answers may be of two masters.
            if number == self.connections.number() {
                *self.generation.lock() = Some((number, generation.clone()));
                return Ok(generation);
            }
        }
        Err(Error::Away("connections to it come and go".to_owned()))
    }

    async fn last_known_generation(&self) -> Result<String> {
        let known = self.generation.lock().clone();
        match known {
            Some((connection, generation)) if connection == self.connections.number() => Ok(generation),
            // A Redis that was started anew may have lost something.
            _ => self.generation().await,
        }
    }

    async fn enqueue(&self, shard: &Shard, tickets: &[Bytes]) -> Result<Option<Enqueued>> {
        // Known before the tickets are put in: should Redis lose everything in between, the gateway is told of a
        // generation that is over, and puts them in again. The other way round it would never know.
        let generation = self.last_known_generation().await?;
        let mut script = self.scripts.enqueue.key(self.keys.tickets(shard));
        script.key(self.keys.epoch(shard)).arg(self.limits.tickets).arg(u8::from(shard.is_first()));
        for ticket in tickets {
            script.arg(ticket.as_ref());
        }
        let entries: Option<Vec<Value>> = self.connections.invoke(&script).await?;
        let entries = entries.map(|entries| entries.into_iter().map(reply::id).collect::<Result<_>>());
        Ok(entries.transpose()?.map(|entries| Enqueued { entries, generation }))
    }

    async fn cancel(&self, shard: &Shard, entry: EntryId, ticket: TicketId) -> Result<bool> {
        let mut script = self.scripts.cancel.key(self.keys.tickets(shard));
        script
            .key(self.keys.epoch(shard))
            .arg(entry.to_string())
            .arg(&ticket.0)
            .arg(u8::from(shard.is_first()));
        self.connections.invoke(&script).await
    }

    async fn acquire(&self, shard: &Shard, owner: &str, lease: Duration) -> Result<Option<Epoch>> {
        let mut script = self.scripts.acquire.key(self.keys.owner(shard));
        script.key(self.keys.epoch(shard)).arg(owner).arg(milliseconds(lease));
        let epoch: Option<u64> = self.connections.invoke(&script).await?;
        Ok(epoch.map(Epoch))
    }

    async fn renew(&self, shard: &Shard, owner: &str, epoch: Epoch, lease: Duration) -> Result<()> {
        let mut script = self.scripts.renew.key(self.keys.owner(shard));
        script.key(self.keys.epoch(shard)).arg(owner).arg(epoch.0).arg(milliseconds(lease));
        let held: bool = self.connections.invoke(&script).await?;
        if held { Ok(()) } else { Err(Error::Fenced) }
    }

    async fn release(&self, shard: &Shard, epoch: Epoch) -> Result<()> {
        let mut script = self.scripts.release.key(self.keys.owner(shard));
        self.connections.invoke(script.key(self.keys.epoch(shard)).arg(epoch.0)).await
    }

    async fn owner(&self, shard: &Shard) -> Result<Option<String>> {
        let key = self.keys.owner(shard);
        let lease: Option<String> = self.connections.run(&key, cmd("GET").arg(&key)).await?;
        Ok(lease.and_then(|lease| lease.split_once(' ').map(|(_, owner)| owner.to_owned())))
    }

    async fn close(&self, shard: &Shard, epoch: Epoch) -> Result<bool> {
        let mut script = self.scripts.close.key(self.keys.epoch(shard));
        script.key(self.keys.owner(shard)).key(self.keys.tickets(shard)).key(self.keys.pairs(shard));
        let closed: Option<bool> = self.connections.invoke(script.arg(epoch.0)).await?;
        closed.ok_or(Error::Fenced)
    }

    async fn shards(&self, first: &Shard, wanted: u32) -> Result<u32> {
        let mut script = self.scripts.shards.key(self.keys.shards(first));
        self.connections.invoke(script.arg(wanted)).await
    }

    async fn shard_closed(&self, shard: &Shard) -> Result<()> {
        let mut script = self.scripts.shard_closed.key(self.keys.shards(shard));
        self.connections.invoke(script.arg(shard.number() + 1)).await
    }

    async fn read_tickets(&self, shard: &Shard, after: EntryId, wait: Duration) -> Result<Vec<Entry>> {
        let entries = self.read(cmd("XREAD"), self.keys.tickets(shard), &after.to_string(), wait).await?;
        Ok(entries.into_iter().map(Raw::into_entry).collect())
    }

    async fn memory(&self, shard: &Shard) -> Result<Option<(usize, usize)>> {
        let key = self.keys.tickets(shard);
        let entries: usize = self.connections.run(&key, cmd("XLEN").arg(&key)).await?;
        let bytes: Option<usize> = self.connections.run(&key, cmd("MEMORY").arg("USAGE").arg(&key)).await?;
        Ok(bytes.map(|bytes| (entries, bytes)))
    }

    async fn commit(
        &self,
        shard: &Shard,
        epoch: Epoch,
        pairings: &[Pairing],
        finished: &[EntryId],
    ) -> Result<Vec<Outcome>> {
        let mut script = self.scripts.commit.key(self.keys.epoch(shard));
        script.key(self.keys.tickets(shard)).key(self.keys.pairs(shard)).arg(epoch.0).arg(finished.len());
        for entry in finished {
            script.arg(entry.to_string());
        }
        for pairing in pairings {
            script.arg(pairing.tickets.len());
            for entry in &pairing.tickets {
                script.arg(entry.to_string());
            }
            script.arg(pairing.deliveries.len() * 2);
            for delivery in &pairing.deliveries {
                script.arg(reply::field_of(&delivery.to)).arg(delivery.content.as_ref());
            }
        }
        let gone: Option<Vec<u64>> = self.connections.invoke(&script).await?;
        let gone = gone.ok_or(Error::Fenced)?;
        Ok(pairings.iter().zip(gone).map(|(pairing, gone)| outcome(pairing, gone)).collect())
    }

    async fn take_pairs(&self, shard: &Shard, wait: Duration) -> Result<Vec<Pair>> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(GROUP);
        let entries = self.read(read, self.keys.pairs(shard), ">", wait).await?;
        Ok(entries.into_iter().map(Raw::into_pair).collect())
    }

    async fn claim_pairs(&self, shard: &Shard, idle: Duration) -> Result<Vec<Pair>> {
        let mut script = self.scripts.claim.key(self.keys.pairs(shard));
        script.arg(GROUP).arg(GROUP).arg(milliseconds(idle)).arg(READ_BATCH);
        let entries = reply::entries(self.connections.invoke(&script).await?)?;
        Ok(entries.into_iter().map(Raw::into_pair).collect())
    }

    async fn deliver(&self, shard: &Shard, pairs: &[Pair]) -> Result<()> {
        let mut scripts = BTreeMap::new();
        for pair in pairs {
            for Delivery { to, content } in &pair.deliveries {
                let script = scripts.entry(to).or_insert_with(|| match to {
                    Destination::Inbox(gateway) => {
                        let mut script = self.scripts.deliver.key(self.keys.inbox(gateway));
                        script.arg(self.limits.inbox).arg(milliseconds(self.limits.inbox_kept));
                        script
                    }
                    Destination::Shard(to) => {
                        let mut script = self.scripts.moved.key(self.keys.tickets(to));
                        script.arg(milliseconds(self.limits.moves_kept));
                        script
                    }
                });
                if let Destination::Shard(to) = to {
                    script.key(self.keys.moved(to, shard, pair.id));
                }
                script.arg(content.as_ref());
            }
        }
        try_join_all(scripts.values().map(|script| self.connections.invoke::<()>(script))).await?;
        Ok(())
    }

    async fn settle(&self, shard: &Shard, pairs: &[EntryId]) -> Result<()> {
        if pairs.is_empty() {
            return Ok(());
        }
        let mut script = self.scripts.settle.key(self.keys.pairs(shard));
        script.arg(GROUP);
        for pair in pairs {
            script.arg(pair.to_string());
        }
        self.connections.invoke(&script).await
    }

    async fn read_inbox(&self, gateway: &str, after: EntryId, wait: Duration) -> Result<Vec<Letter>> {
        self.read_letters(self.keys.inbox(gateway), after, wait).await
    }

    async fn trim_inbox(&self, gateway: &str, up_to: EntryId) -> Result<()> {
        let (key, mut trim) = (self.keys.inbox(gateway), cmd("XTRIM"));
        trim.arg(&key).arg("MINID").arg(up_to.next().to_string());
        self.connections.run(&key, &trim).await
    }

    async fn keep_inbox(&self, gateway: &str) -> Result<()> {
        let (key, mut keep) = (self.keys.inbox(gateway), cmd("PEXPIRE"));
        keep.arg(&key).arg(milliseconds(self.limits.inbox_kept));
        self.connections.run(&key, &keep).await
    }

    async fn heartbeat(&self, member: Bytes) -> Result<EntryId> {
        let mut script = self.scripts.heartbeat.key(self.keys.members());
        script.arg(member.as_ref()).arg(milliseconds(self.limits.heartbeats_kept));
        reply::id(self.connections.invoke(&script).await?)
    }

    async fn read_members(&self, after: EntryId, wait: Duration) -> Result<Vec<Letter>> {
        self.read_letters(self.keys.members(), after, wait).await
    }

    async fn choose_home(&self, chat: ChatId, lost: Epoch, relay: &str) -> Result<Home> {
        let mut script = self.scripts.home.key(self.keys.home(chat));
        script.arg(lost.0).arg(relay).arg(milliseconds(self.limits.homes_kept));
        reply::home(&self.connections.invoke::<String>(&script).await?)
    }

    async fn home(&self, chat: ChatId) -> Result<Option<Home>> {
        let key = self.keys.home(chat);
        let home: Option<String> = self.connections.run(&key, cmd("GET").arg(&key)).await?;
        home.as_deref().map(reply::home).transpose()
    }
}

/// What the commit script's number says.
fn outcome(pairing: &Pairing, gone: u64) -> Outcome {
    if gone == 0 {
        return Outcome::Committed;
    }
    let tickets = pairing.tickets.iter().enumerate();
    Outcome::Gone(tickets.filter(|(n, _)| gone >> n & 1 == 1).map(|(_, entry)| *entry).collect())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
