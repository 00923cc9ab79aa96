//! Which slices the waiting pool has.
//!
//! A pool is a mode and a section. Each pool has one shard for now; everything else takes a list of shards.

use std::{fmt, sync::Arc};

use stroll_proto::v1::Mode;

/// The modes, by the names that they have in shards' names.
const MODES: [(Mode, &str); 2] = [(Mode::Text, "text"), (Mode::Video, "video")];
/// The sections.
const SECTIONS: [&str; 1] = ["main"];
/// How many shards a pool has.
const SHARDS_PER_POOL: u32 = 1;

/// A slice of a pool: one stream of tickets, one owner. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(Arc<str>);

impl Shard {
    /// All shards of the cluster.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let pools = MODES.iter().flat_map(|(mode, _)| SECTIONS.iter().map(move |section| (*mode, *section)));
        pools
            .flat_map(|(mode, section)| (0..SHARDS_PER_POOL).filter_map(move |n| Self::of(mode, section, n)))
            .collect()
    }

    /// The shard that takes tickets of this mode and section; `None` if there is no such pool.
    #[must_use]
    pub fn for_ticket(mode: Mode, section: &str) -> Option<Self> {
        let known = SECTIONS.contains(&section);
        if known { Self::of(mode, section, 0) } else { None }
    }

    /// The shard of that name; `None` if there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|shard| shard.name() == name)
    }

    /// Such as `text.main.0`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    fn of(mode: Mode, section: &str, number: u32) -> Option<Self> {
        let (_, mode) = MODES.iter().find(|(known, _)| *known == mode)?;
        Some(Self(format!("{mode}.{section}.{number}").into()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pool_has_a_shard_and_unknown_pools_have_none() {
        let names: Vec<_> = Shard::all().iter().map(|shard| shard.name().to_owned()).collect();
        assert_eq!(names, ["text.main.0", "video.main.0"]);
        assert_eq!(Shard::for_ticket(Mode::Video, "main"), Shard::named("video.main.0"));
        assert_eq!(Shard::for_ticket(Mode::Text, "elsewhere"), None);
        assert_eq!(Shard::for_ticket(Mode::Unspecified, "main"), None);
        assert_eq!(Shard::named("text.main.1"), None);
    }
}
