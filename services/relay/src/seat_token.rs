//! Seat tokens: what a matchmaker signed, and this relay believes without asking anyone.

use std::time::Duration;

use chassis::{
    Secret,
    id::{ChatId, Epoch, Seat},
    secret::Purpose,
};
use parking_lot::Mutex;
use prost::Message as _;
use stroll_proto::v1::{Mode, RefusedReason, Role, SeatClaims};
use tracing::warn;

use crate::chat::{MAX_SEATS, Moment, Seating};

/// How often bad tokens are told in the log.
const WARN_INTERVAL: Duration = Duration::from_secs(1);

/// Checks a token.
///
/// # Errors
/// `BadToken` if it is not signed with a secret known here or makes no sense, `Expired` if its time is over.
pub(crate) fn verify(secret: &Secret, now: Moment, token: &[u8]) -> Result<Seating, RefusedReason> {
    let claims = secret.verify(Purpose::Seat, token).map_err(|_| RefusedReason::BadToken)?;
    let claims = SeatClaims::decode(claims).map_err(|_| RefusedReason::BadToken)?;
    let seating = parse(&claims).ok_or(RefusedReason::BadToken)?;
    if Duration::from_millis(claims.expires_unix_ms) <= now {
        return Err(RefusedReason::Expired);
    }
    Ok(seating)
}

fn parse(claims: &SeatClaims) -> Option<Seating> {
    let seats = u8::try_from(claims.seats).ok().filter(|seats| (2..=MAX_SEATS).contains(seats))?;
    Some(Seating {
        chat: ChatId::try_from(&claims.chat).ok()?,
        seat: Seat::from_number(claims.seat).ok().filter(|seat| seat.0 <= seats)?,
        seats,
        role: Some(claims.role()).filter(|role| *role != Role::Unspecified)?,
        mode: Some(claims.mode()).filter(|mode| *mode != Mode::Unspecified)?,
        epoch: Epoch(claims.epoch),
    })
}

/// Tells of bad tokens in the log, at most once a second, with how many there were.
#[derive(Default)]
pub(crate) struct Alarm(Mutex<(u64, Option<Moment>)>);

impl Alarm {
    /// One more.
    pub(crate) fn raise(&self, now: Moment) {
        self.0.lock().0 += 1;
        self.tell(now);
    }

    /// Tells of those that were not told yet, if it is time.
    pub(crate) fn tell(&self, now: Moment) {
        if let Some(refused) = self.due(now) {
            warn!(refused, "refused a seat token: do matchmaker and relay share STROLL_SECRET?");
        }
    }

    fn due(&self, now: Moment) -> Option<u64> {
        let (untold, last) = &mut *self.0.lock();
        let is_time = last.is_none_or(|last| now.saturating_sub(last) >= WARN_INTERVAL);
        if *untold == 0 || !is_time {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(untold))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chassis::Random;

    use super::*;

    const NOW: Moment = Duration::from_secs(1_000);

    type Change = fn(&mut SeatClaims);

    fn claims() -> SeatClaims {
        SeatClaims {
            chat: Bytes::from_static(&[7; 16]),
            seat: 2,
            seats: 2,
            role: Role::Stranger.into(),
            mode: Mode::Text.into(),
            epoch: 1,
            expires_unix_ms: 1_000_001,
        }
    }

    fn verified(change: impl FnOnce(&mut SeatClaims)) -> Result<Seating, RefusedReason> {
        let secret = Secret::ephemeral(&Random::seeded(1));
        let mut claims = claims();
        change(&mut claims);
        verify(&secret, NOW, &secret.sign(Purpose::Seat, &claims.encode_to_vec()))
    }

    #[test]
    fn a_good_token_tells_chat_and_seat() {
        let seating = verified(|_| {}).expect("a good token");
        assert_eq!((seating.chat, seating.seat, seating.seats), (ChatId([7; 16]), Seat(2), 2));
        assert_eq!((seating.role, seating.mode, seating.epoch), (Role::Stranger, Mode::Text, Epoch(1)));
    }

    #[test]
    fn claims_that_make_no_sense_are_bad_however_well_signed() {
        let changes: [(&str, Change); 9] = [
            ("a short chat id", |claims| claims.chat.truncate(15)),
            ("seat 0", |claims| claims.seat = 0),
            ("a seat past the last", |claims| claims.seat = 3),
            ("one seat", |claims| (claims.seat, claims.seats) = (1, 1)),
            ("four seats", |claims| claims.seats = 4),
            ("more seats than numbers", |claims| claims.seats = 1 << 20),
            ("no role", |claims| claims.role = 0),
            ("an unknown role", |claims| claims.role = 99),
            ("no mode", |claims| claims.mode = 0),
        ];
        for (what, change) in changes {
            assert_eq!(verified(change), Err(RefusedReason::BadToken), "{what}");
        }
    }

    #[test]
    fn a_token_is_good_until_its_time_and_not_at_it() {
        assert_eq!(verified(|claims| claims.expires_unix_ms = 1_000_000), Err(RefusedReason::Expired));
        assert!(verified(|claims| claims.expires_unix_ms = u64::MAX).is_ok());
    }

    #[test]
    fn a_foreign_or_damaged_token_is_bad() {
        let (ours, theirs) = (Secret::ephemeral(&Random::seeded(1)), Secret::ephemeral(&Random::seeded(2)));
        let foreign = theirs.sign(Purpose::Seat, &claims().encode_to_vec());
        let nonsense = ours.sign(Purpose::Seat, b"\xff\xff\xff");
        for token in [foreign.as_ref(), nonsense.as_ref(), b"", b"short"] {
            assert_eq!(verify(&ours, NOW, token), Err(RefusedReason::BadToken));
        }
    }

    #[test]
    fn the_log_hears_of_the_first_bad_token_at_once_and_of_the_others_by_the_second() {
        let alarm = Alarm::default();
        let raise = |ms| {
            alarm.0.lock().0 += 1;
            alarm.due(Duration::from_millis(ms))
        };
        assert_eq!([raise(0), raise(10), raise(999)], [Some(1), None, None]);
        assert_eq!(alarm.due(Duration::from_secs(1)), Some(2));
        assert_eq!(alarm.due(Duration::from_secs(9)), None);
    }
}
