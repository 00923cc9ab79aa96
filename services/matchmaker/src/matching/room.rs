//! Those who wait, found by their entries and by their tickets' ids.
//!
//! Each is in a slot, and a slot that somebody has left is the next one's. So however many wait, those who come and go soon use the
//! same few slots, which are in the processor's cache. The tables hold only the slots' numbers, so that they are small enough
//! for it too, and a place in a line tells the slot, so that nothing is to be looked up.

use std::hash::{BuildHasher as _, Hash};

use chassis::id::TicketId;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use slab::Slab;

use super::index::Waiting;
use crate::pool::EntryId;

/// Where one is who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

impl Slot {
    fn new(key: usize) -> Self {
        // So many tickets have no room in any machine's memory; and what is wrong then is found out when it is looked for.
        Self(u32::try_from(key).unwrap_or(u32::MAX))
    }

    fn key(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Room {
    slots: Slab<Waiting>,
    by_entry: HashTable<Slot>,
    by_id: HashTable<Slot>,
}

impl Room {
    /// Takes somebody in.
    pub(super) fn insert(&mut self, waiting: Waiting) -> Slot {
        let (entry, id) = (hash(&waiting.ticket.entry), hash(&waiting.ticket.id));
        let slot = Slot::new(self.slots.insert(waiting));
        let ticket = |slot: &Slot| &self.slots[slot.key()].ticket;
        self.by_entry.insert_unique(entry, slot, |slot| hash(&ticket(slot).entry));
        self.by_id.insert_unique(id, slot, |slot| hash(&ticket(slot).id));
        slot
    }

    /// Takes somebody out.
    pub(super) fn remove(&mut self, entry: EntryId) -> Option<(Slot, Waiting)> {
        let is_it = |slot: &Slot| self.slots[slot.key()].ticket.entry == entry;
        let (slot, _) = self.by_entry.find_entry(hash(&entry), is_it).ok()?.remove();
        let waiting = self.slots.remove(slot.key());
        if let Ok(found) = self.by_id.find_entry(hash(&waiting.ticket.id), |other| *other == slot) {
            found.remove();
        }
        Some((slot, waiting))
    }

    /// Who is in a slot.
    pub(super) fn get(&self, slot: Slot) -> Option<&Waiting> {
        self.slots.get(slot.key())
    }

    /// By which entry a ticket waits.
    pub(super) fn entry(&self, id: TicketId) -> Option<EntryId> {
        let ticket = |slot: &Slot| &self.slots[slot.key()].ticket;
        let slot = self.by_id.find(hash(&id), |slot| ticket(slot).id == id)?;
        Some(ticket(slot).entry)
    }

    /// Whether somebody waits.
    pub(super) fn holds(&self, entry: EntryId) -> bool {
        let is_it = |slot: &Slot| self.slots[slot.key()].ticket.entry == entry;
        self.by_entry.find(hash(&entry), is_it).is_some()
    }

    /// All, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Waiting)> {
        self.slots.iter().map(|(key, waiting)| (Slot::new(key), waiting))
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

fn hash(key: &impl Hash) -> u64 {
    FixedState::default().hash_one(key)
}

#[cfg(test)]
impl Room {
    /// Checks that everybody is found, and nobody else.
    pub(super) fn check_invariants(&self) {
        for (_, waiting) in self.iter() {
            let ticket = &waiting.ticket;
            assert!(
                self.holds(ticket.entry) && self.entry(ticket.id) == Some(ticket.entry),
                "{ticket:?} is found"
            );
        }
        assert_eq!((self.by_entry.len(), self.by_id.len()), (self.len(), self.len()));
    }
}
