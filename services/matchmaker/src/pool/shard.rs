//! Which slices the waiting pool has.
//!
//! A pool is a mode and a section, and is cut into shards, numbered from 0. How many there are may differ between replicas for a
//! while, when an operator changes it; what doesn't differ is that each pool has its first shard, where those end
//! up who found nobody in their own.

use std::{fmt, sync::Arc};

use chassis::{Section, Sections, id::TicketId};
use stroll_proto::v1::Mode;

/// The modes, by the names that they have in shards' names.
const MODES: [(Mode, &str); 2] = [(Mode::Text, "text"), (Mode::Video, "video")];
/// Most shards of a pool.
pub const MAX_SHARDS: u32 = 1_024;

/// A slice of a pool: one stream of tickets, one owner. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    name: Arc<str>,
    number: u32,
}

impl Shard {
    /// A shard of the pool of this mode and section; `None` if that is no mode, or there are no so many shards.
    #[must_use]
    pub fn new(mode: Mode, section: &Section, number: u32) -> Option<Self> {
        let (_, mode) = MODES.iter().find(|(known, _)| *known == mode)?;
        let name = format!("{mode}.{}.{number}", section.name()).into();
        (number < MAX_SHARDS).then_some(Self { name, number })
    }

    /// The first shard of each pool.
    pub fn firsts(sections: &Sections) -> impl Iterator<Item = Self> {
        let pools =
            MODES.iter().flat_map(move |(mode, _)| sections.all().map(move |section| (*mode, section)));
        pools.filter_map(|(mode, section)| Self::new(mode, section, 0))
    }

    /// The shard of that name; `None` if it is no shard's.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '.');
        let (mode, section, number) = (parts.next()?, parts.next()?, parts.next()?);
        let (mode, _) = MODES.iter().find(|(_, known)| *known == mode)?;
        let shard = Self::new(*mode, &section.parse().ok()?, number.parse().ok()?)?;
        // Other ways to write the number are no names.
        (&*shard.name == name).then_some(shard)
    }

    /// The shard of the same pool with another number.
    #[must_use]
    pub fn sibling(&self, number: u32) -> Self {
        Self { name: format!("{}.{number}", self.pool()).into(), number }
    }

    /// The shard of the same pool, of `shards`, that takes a ticket. The same for each try of the same ticket.
    #[must_use]
    pub fn of_ticket(&self, ticket: TicketId, shards: u32) -> Self {
        let [half, _] = ticket.0.as_chunks::<8>().0 else { return self.sibling(0) };
        let number = u64::from_le_bytes(*half) % u64::from(shards.max(1));
        self.sibling(u32::try_from(number).unwrap_or_default())
    }

    /// Such as `text.main.0`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Such as `text.main`.
    #[must_use]
    pub fn pool(&self) -> &str {
        self.name.rsplit_once('.').map_or(&*self.name, |(pool, _)| pool)
    }

    /// From 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether it is its pool's first.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.number == 0
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_read_as_it_is_written_and_nothing_else_is() {
        let sections = "main,grown-ups".parse().expect("sections");
        let names: Vec<_> = Shard::firsts(&sections).map(|shard| shard.name().to_owned()).collect();
        assert_eq!(names, ["text.main.0", "text.grown-ups.0", "video.main.0", "video.grown-ups.0"]);
        let shard = Shard::named("video.grown-ups.17").expect("a shard");
        assert_eq!((shard.pool(), shard.number(), shard.is_first()), ("video.grown-ups", 17, false));
        assert_eq!(Some(shard.sibling(0)), Shard::named("video.grown-ups.0"));
        for bad in [
            "",
            "text",
            "text.main",
            "smell.main.0",
            "text..0",
            "text.Main.0",
            "text.main.00",
            "text.main.+1",
            "text.main.1024",
            "text.main.0.0",
            "text.ma in.0",
        ] {
            assert_eq!(Shard::named(bad), None, "{bad}");
        }
        assert_eq!(Shard::new(Mode::Unspecified, Sections::default().first(), 0), None);
    }

    #[test]
    fn tickets_spread_over_the_shards_and_each_keeps_its_own() {
        let first = Shard::named("text.main.0").expect("a shard");
        let mut counts = [0; 4];
        for n in 0..400_u32 {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_le_bytes());
            let shard = first.of_ticket(TicketId(id), 4);
            assert_eq!(shard, first.of_ticket(TicketId(id), 4));
            counts[shard.number() as usize] += 1;
        }
        assert!(counts.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    }
}
