//! The names of everything in Redis.

use chassis::id::ChatId;

use crate::pool::{EntryId, Shard};

/// Makes keys. What belongs to a shard has the shard's name as its hash tag, so that it lies in one slot and a script can
/// touch it together; nothing else is touched together.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// All keys begin with `prefix`.
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// A stream: the shard's tickets and cancellations.
    pub(super) fn tickets(&self, shard: &Shard) -> String {
        self.of(shard, "tickets")
    }

    /// A string with a time to live: the shard's lease.
    pub(super) fn owner(&self, shard: &Shard) -> String {
        self.of(shard, "owner")
    }

    /// A string: the shard's last epoch. It stays, so that the next one is above it.
    pub(super) fn epoch(&self, shard: &Shard) -> String {
        self.of(shard, "epoch")
    }

    /// A stream with a consumer group: pairings that are not delivered yet.
    pub(super) fn pairs(&self, shard: &Shard) -> String {
        self.of(shard, "pairs")
    }

    /// A string with a time to live: that a ticket has come into the shard from another one, by this pairing there.
    pub(super) fn moved(&self, shard: &Shard, from: &Shard, pair: EntryId) -> String {
        format!("{}:{from}:{pair}", self.of(shard, "moved"))
    }

    /// A stream with a time to live: news for a gateway.
    pub(super) fn inbox(&self, gateway: &str) -> String {
        format!("{}inbox:{gateway}", self.prefix)
    }

    /// A stream: heartbeats.
    pub(super) fn members(&self) -> String {
        format!("{}members", self.prefix)
    }

    /// A string: made anew when everything was lost. With the server's run it names the generation.
    pub(super) fn generation(&self) -> String {
        format!("{}generation", self.prefix)
    }

    /// A string: how many shards of this one's pool may hold tickets.
    pub(super) fn shards(&self, shard: &Shard) -> String {
        format!("{}shards:{}", self.prefix, shard.pool())
    }

    /// A string with a time to live: where a chat went.
    pub(super) fn home(&self, chat: ChatId) -> String {
        format!("{}home:{chat}", self.prefix)
    }

    fn of(&self, shard: &Shard, what: &str) -> String {
        format!("{}{{{shard}}}:{what}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shards_keys_share_its_hash_tag() {
        let keys = Keys::new("stroll:v1:".to_owned());
        let shard = Shard::named("text.main.0").expect("a shard");
        assert_eq!(keys.tickets(&shard), "stroll:v1:{text.main.0}:tickets");
        assert_eq!(keys.inbox("gateway-1"), "stroll:v1:inbox:gateway-1");
        let home = keys.home(ChatId([1; 16]));
        assert_eq!(home, "stroll:v1:home:01010101010101010101010101010101");
    }
}
