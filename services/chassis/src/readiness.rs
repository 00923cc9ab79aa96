//! Whether this process may be sent work.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

/// A set of named conditions that all have to hold. Clones share the set.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Readiness {
    /// Adds a condition, which does not hold until it is met. `waiting_for` says what for.
    #[must_use]
    pub fn condition(&self, name: &'static str, waiting_for: impl Into<String>) -> Condition {
        let condition = Condition { name, of: self.clone() };
        condition.unmet(waiting_for);
        condition
    }

    /// What is missing, by condition. Empty: ready.
    #[must_use]
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        let conditions = self.0.lock();
        conditions.iter().filter_map(|(name, why)| Some((*name, why.clone()?))).collect()
    }
}

/// One condition of a [`Readiness`]. It stays as it was last set.
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    of: Readiness,
}

impl Condition {
    /// It holds.
    pub fn met(&self) {
        self.of.0.lock().insert(self.name, None);
    }

    /// It does not hold; `why` is shown to operators.
    pub fn unmet(&self, why: impl Into<String>) {
        self.of.0.lock().insert(self.name, Some(why.into()));
    }
}
