//! What reaches sessions from elsewhere: frames from relays, bans, and time.

use std::{sync::Arc, time::Duration};

use chassis::id::{AddressHash, SessionId};
use stroll_proto::v1::RelayFrame;
use tokio::{
    sync::{broadcast, mpsc},
    time::Instant,
};

use super::Hub;
use crate::{
    relays::{Link, News},
    session::Session,
    slot::{Inner, Seat, Slot},
};

/// How often sessions that time brings something to are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
/// How often the tables are swept.
const TABLES_INTERVAL: Duration = Duration::from_secs(10);

impl Hub {
    pub(super) async fn follow_relays(self: Arc<Self>, mut news: mpsc::Receiver<(Arc<Link>, News)>) {
        let hard = self.context.drain.hard();
        tokio::pin!(hard);
        loop {
            let received = tokio::select! {
                received = news.recv() => received,
                () = &mut hard => return,
            };
            match received {
                Some((link, News::Frames(frames))) => {
                    for frame in frames {
                        self.relay_frame(&link, frame);
                    }
                }
                Some((link, News::Lost)) => {
                    for (handle, slot) in link.take_seats() {
                        self.lose(&slot, &link, handle);
                    }
                }
                None => return,
            }
        }
    }

    pub(super) fn relay_frame(self: &Arc<Self>, link: &Arc<Link>, frame: RelayFrame) {
        let (Some(slot), Some(body)) = (link.slot(frame.handle), frame.body) else { return };
        let mut inner = slot.inner.lock();
        let of = |seat: &Option<Seat>| seat.as_ref().is_some_and(|seat| seat.is(link, frame.handle));
        if of(&inner.seat) {
            self.tell_locked(&slot, &mut inner, |session, env| session.on_relay(body, env));
        } else if of(&inner.past_seat) {
            self.tell_locked(&slot, &mut inner, |_, _| Session::on_past_relay(body));
        }
        let over = inner.session.is_over();
        drop(inner);
        if over {
            self.remove_if_over(slot.id);
        }
    }

    fn lose(self: &Arc<Self>, slot: &Arc<Slot>, link: &Arc<Link>, handle: u64) {
        let is_lost = |seat: &Option<Seat>| seat.as_ref().is_some_and(|seat| seat.is(link, handle));
        let mut inner = slot.inner.lock();
        if is_lost(&inner.seat) {
            self.tell_locked(slot, &mut inner, Session::on_relay_lost);
        } else if is_lost(&inner.past_seat) {
            self.tell_locked(slot, &mut inner, Session::on_past_relay_lost);
        }
        drop(inner);
        self.remove_if_over(slot.id);
    }

    /// The session's seat is lost with its stream, if it is still that one.
    pub(super) fn lose_seat(self: &Arc<Self>, slot: &Arc<Slot>, lost: Option<&Seat>) {
        let is_same = |inner: &Inner| match (&inner.seat, lost) {
            (Some(seat), Some(lost)) => seat.is_same(lost),
            _ => false,
        };
        let mut inner = slot.inner.lock();
        if is_same(&inner) {
            self.tell_locked(slot, &mut inner, Session::on_relay_lost);
        }
        drop(inner);
        self.remove_if_over(slot.id);
    }

    /// A gateway that knows no bans yet would let everybody in.
    pub(super) async fn know_bans(self: Arc<Self>) {
        let known =
            self.context.readiness.condition("bans", "waiting for moderation to tell the bans in force");
        tokio::select! {
            () = self.bans.until_synced() => known.met(),
            () = self.context.drain.hard() => {}
        }
    }

    pub(super) async fn follow_bans(self: Arc<Self>) {
        let mut news = self.bans.subscribe();
        let hard = self.context.drain.hard();
        tokio::pin!(hard);
        loop {
            let received = tokio::select! {
                received = news.recv() => received,
                () = &mut hard => return,
            };
            match received {
                Ok(ban) => self.apply_bans(|id, addresses| ban.is_of(id, addresses)),
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let banned = |id, addresses: &[AddressHash]| self.bans.check(id, addresses).is_some();
                    self.apply_bans(banned);
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn apply_bans(self: &Arc<Self>, is_banned: impl Fn(SessionId, &[AddressHash]) -> bool) {
        for slot in self.all_slots() {
            let banned = is_banned(slot.id, &slot.inner.lock().addresses);
            if banned {
                self.tell(&slot, Session::on_ban);
            }
        }
    }

    pub(super) async fn sweep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        let mut swept_tables = Instant::now();
        let hard = self.context.drain.hard();
        tokio::pin!(hard);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = &mut hard => return,
            }
            for id in self.due() {
                let slot = self.sessions.get(&id).map(|slot| Arc::clone(&slot));
                if let Some(slot) = slot {
                    self.tell(&slot, Session::on_time);
                }
            }
            if swept_tables.elapsed() > TABLES_INTERVAL {
                swept_tables = Instant::now();
                self.admission.sweep();
                if self.sessions.len() < self.sessions.capacity() / 4 {
                    self.sessions.shrink_to_fit();
                }
                self.classic.colleges.sweep();
                self.handed.lock().forget();
            }
        }
    }

    fn due(&self) -> Vec<SessionId> {
        let now = self.context.clock.unix_ms();
        let mut deadlines = self.deadlines.lock();
        let later = deadlines.split_off(&(now + 1, SessionId([0; 16])));
        std::mem::replace(&mut *deadlines, later).into_iter().map(|(_, id)| id).collect()
    }
}
