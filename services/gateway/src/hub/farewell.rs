//! Sessions that are sent to another gateway while this one drains.

use std::{sync::Arc, time::Duration};

use super::Hub;
use crate::{outbox::Outbox, session::Activity, slot::Slot};

impl Hub {
    /// Tells a client on `outbox`'s socket to connect elsewhere. False: not now, because its chat is just about to begin.
    pub fn send_away(self: &Arc<Self>, slot: &Arc<Slot>, outbox: &Arc<Outbox>, after: Duration) -> bool {
        let mut inner = slot.inner.lock();
        if !inner.has_socket(outbox) {
            // Replaced, and so closed already.
            return true;
        }
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.tell_locked(slot, &mut inner, |session, _| session.on_going_away(after_ms));
        // Who was told waits no more.
        inner.session.activity() != Activity::Waiting
    }
}
