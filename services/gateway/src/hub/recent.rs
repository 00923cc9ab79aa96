//! Chats that were assigned lately.

use std::collections::{HashSet, VecDeque};

use chassis::id::{ChatId, TicketId};

/// How many chats are remembered, to know an assignment that is delivered again.
const REMEMBERED_CHATS: usize = 8_192;

/// The last chats that were assigned here, so that a delivery that comes again is known. Bounded.
#[derive(Debug, Default)]
pub(super) struct RecentChats {
    known: HashSet<(ChatId, TicketId)>,
    order: VecDeque<(ChatId, TicketId)>,
}

impl RecentChats {
    /// Whether it is new.
    pub(super) fn insert(&mut self, chat: ChatId, ticket: TicketId) -> bool {
        if !self.known.insert((chat, ticket)) {
            return false;
        }
        self.order.push_back((chat, ticket));
        if self.order.len() > REMEMBERED_CHATS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
