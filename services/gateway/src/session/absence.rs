//! Strangers who are away, and when the client is told.
//!
//! Who lost their own connection is told of at once. Where only the way to their gateway was lost, the chat most likely goes on in a
//! moment, and nobody needs to know: that is told only if it takes longer.

use stroll_proto::v1::Peer;

use super::Env;
use crate::protocol::{Presence, ServerFrame};

/// How long it may take until the client is told that the way to the stranger's gateway was lost, in milliseconds.
const SETTLES_MS: u64 = 2_000;

/// Of the two who talk, by seat.
#[derive(Debug, Default)]
pub(super) struct Absences([Option<Absence>; 2]);

#[derive(Clone, Copy, Debug)]
struct Absence {
    /// Until when their seat is kept.
    until_ms: u64,
    /// When the client is to be told; none: it was.
    tell_ms: Option<u64>,
    /// It was heard at a relay where the seat is no more.
    is_old: bool,
}

impl Absences {
    /// The relay says that a stranger is away, or back.
    pub(super) fn hear(&mut self, peer: &Peer, env: &Env<'_>) -> Option<ServerFrame> {
        let absence = &mut self.0[usize::from(peer.seat > 1)];
        let told = absence.is_some_and(|absence| absence.tell_ms.is_none());
        if !peer.away {
            *absence = None;
            return told.then_some(back());
        }
        let until_ms = env.now_ms.saturating_add(peer.grace_ms);
        let tell_ms = match *absence {
            Some(known) => known.tell_ms.filter(|_| peer.lost),
            None => peer.lost.then_some(env.now_ms + SETTLES_MS),
        };
        *absence = Some(Absence { until_ms, tell_ms, is_old: false });
        (tell_ms.is_none() && !told).then(|| away(until_ms, env))
    }

    /// The seat is taken anew: who is away is told anew, too.
    pub(super) fn grow_old(&mut self) {
        self.0.iter_mut().flatten().for_each(|absence| absence.is_old = true);
    }

    /// The relay has told who is away: everybody else is there.
    pub(super) fn settle(&mut self) -> Option<ServerFrame> {
        let mut told = false;
        for absence in &mut self.0 {
            if let Some(gone) = absence.take_if(|absence| absence.is_old) {
                told |= gone.tell_ms.is_none();
            }
        }
        told.then(back)
    }

    /// Who is away, for a client that has a new socket.
    pub(super) fn tell_again(&self, env: &Env<'_>) -> Option<ServerFrame> {
        let mut told = self.0.iter().flatten().filter(|absence| absence.tell_ms.is_none());
        told.next().map(|absence| away(absence.until_ms, env))
    }

    /// When the client is to be told of somebody.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.0.iter().flatten().filter_map(|absence| absence.tell_ms).min()
    }

    /// Time passed.
    pub(super) fn on_time(&mut self, env: &Env<'_>) -> Option<ServerFrame> {
        let is_due = |absence: &&mut Absence| absence.tell_ms.is_some_and(|at| at <= env.now_ms);
        let absence = self.0.iter_mut().flatten().find(is_due)?;
        absence.tell_ms = None;
        Some(away(absence.until_ms, env))
    }
}

fn away(until_ms: u64, env: &Env<'_>) -> ServerFrame {
    ServerFrame::Stranger { state: Presence::Away, grace_ms: Some(until_ms.saturating_sub(env.now_ms)) }
}

fn back() -> ServerFrame {
    ServerFrame::Stranger { state: Presence::Back, grace_ms: None }
}

#[cfg(test)]
mod tests {
    use chassis::Random;

    use super::*;

    fn env(random: &Random, now_ms: u64) -> Env<'_> {
        Env { now_ms, random }
    }

    fn gone(lost: bool) -> Peer {
        Peer { seat: 2, away: true, lost, grace_ms: 30_000 }
    }

    const BACK: Peer = Peer { seat: 2, away: false, lost: false, grace_ms: 0 };

    fn told(grace_ms: u64) -> Option<ServerFrame> {
        Some(ServerFrame::Stranger { state: Presence::Away, grace_ms: Some(grace_ms) })
    }

    #[test]
    fn a_lost_client_is_told_of_at_once_and_a_lost_gateway_only_if_it_stays_away() {
        let random = Random::seeded(1);
        let mut absences = Absences::default();
        assert_eq!(absences.hear(&gone(false), &env(&random, 0)), told(30_000));
        assert_eq!(absences.hear(&gone(true), &env(&random, 10)), None, "it was told already");
        assert_eq!(absences.tell_again(&env(&random, 10_010)), told(20_000));
        assert_eq!(absences.hear(&BACK, &env(&random, 10)), Some(back()));
        assert_eq!(absences.hear(&gone(true), &env(&random, 0)), None);
        assert_eq!(absences.hear(&BACK, &env(&random, 10)), None, "as if nothing had been");
        assert_eq!(absences.hear(&gone(true), &env(&random, 0)), None);
        assert_eq!(absences.deadline_ms(), Some(SETTLES_MS));
        assert_eq!(absences.on_time(&env(&random, SETTLES_MS)), told(28_000));
        assert_eq!((absences.deadline_ms(), absences.on_time(&env(&random, 9_000))), (None, None));
    }

    #[test]
    fn who_is_not_told_to_be_away_at_the_new_relay_is_there() {
        let random = Random::seeded(1);
        let mut absences = Absences::default();
        absences.hear(&gone(false), &env(&random, 0));
        absences.grow_old();
        assert_eq!(absences.hear(&gone(true), &env(&random, 1)), None);
        assert_eq!(absences.settle(), None, "still away");
        absences.grow_old();
        assert_eq!(absences.settle(), Some(back()));
        assert_eq!(absences.settle(), None);
    }
}
