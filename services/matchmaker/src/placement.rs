//! Where a chat goes, and the tokens that open its seats.

use std::time::Duration;

use bytes::Bytes;
use chassis::{
    Random,
    id::{ChatId, Epoch},
    secret::{Purpose, Secret},
};
use prost::Message as _;
use stroll_proto::v1::SeatClaims;

use crate::{Error, error::Result};

/// How long a seat token opens its seat. It has to outlive every chat, because who comes back into one comes with it.
pub(crate) const TOKEN_LIVES: Duration = Duration::from_secs(24 * 3600);

/// A relay that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// `http://host:port`.
    pub(crate) address: String,
    /// Its failure domain; may be empty.
    pub(crate) zone: String,
    /// Chats that it carries, with those that were given to it since its last heartbeat.
    pub(crate) chats: u64,
}

/// Chooses the one with fewer chats of two that are drawn at random (Mitzenmacher, "The Power of Two Choices in Randomized
/// Load Balancing", 2001): the least loaded of all would get everything from everybody until its next heartbeat.
/// Those in one of `zones` come first.
pub(crate) fn choose<'a>(
    candidates: &[&'a Candidate],
    zones: &[&str],
    random: &Random,
) -> Option<&'a Candidate> {
    let is_near =
        |candidate: &&&Candidate| !candidate.zone.is_empty() && zones.contains(&candidate.zone.as_str());
    let near: Vec<_> = candidates.iter().filter(is_near).copied().collect();
    let among = if near.is_empty() { candidates } else { &near };
    let one = draw(among.len(), random)?;
    let step = draw(among.len() - 1, random).map_or(0, |step| step + 1);
    let other = (one + step) % among.len();
    [among[one], among[other]].into_iter().min_by_key(|candidate| candidate.chats)
}

fn draw(from: usize, random: &Random) -> Option<usize> {
    let drawn = random.below(u64::try_from(from).unwrap_or(u64::MAX));
    if from == 0 { None } else { usize::try_from(drawn).ok() }
}

/// A token for a seat.
pub(crate) fn seat_token(secret: &Secret, claims: SeatClaims, now: u64) -> Bytes {
    let lives = u64::try_from(TOKEN_LIVES.as_millis()).unwrap_or(u64::MAX);
    let claims = SeatClaims { expires_unix_ms: now.saturating_add(lives), ..claims };
    secret.sign(Purpose::Seat, &claims.encode_to_vec())
}

/// A token for the same seat at the chat's next home.
pub(crate) fn moved_seat_token(secret: &Secret, claims: SeatClaims, epoch: Epoch, now: u64) -> Bytes {
    seat_token(secret, SeatClaims { epoch: epoch.0, ..claims }, now)
}

/// What a seat token claims at `now`.
///
/// # Errors
/// `BadToken` if it is forged, damaged or over.
pub(crate) fn claims(secret: &Secret, token: &[u8], now: u64) -> Result<(ChatId, SeatClaims)> {
    let claims = secret.verify(Purpose::Seat, token).map_err(|_| Error::BadToken)?;
    let claims = SeatClaims::decode(claims).map_err(|_| Error::BadToken)?;
    let chat = ChatId::try_from(&claims.chat).map_err(|_| Error::BadToken)?;
    if claims.expires_unix_ms <= now { Err(Error::BadToken) } else { Ok((chat, claims)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(address: &str, zone: &str, chats: u64) -> Candidate {
        Candidate { address: address.to_owned(), zone: zone.to_owned(), chats }
    }

    #[test]
    fn the_same_zone_comes_first_and_never_is_the_busiest_of_all_chosen() {
        let random = Random::seeded(1);
        let all =
            [candidate("a", "x", 9), candidate("b", "y", 0), candidate("c", "x", 5), candidate("d", "x", 7)];
        let all: Vec<_> = all.iter().collect();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            seen.insert(choose(&all, &["x", ""], &random).expect("some").address.clone());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!(choose(&all, &["z", ""], &random).expect("some").zone.len(), 1, "any is better than none");
        assert_eq!(choose(&all[..1], &[], &random).map(|chosen| chosen.address.as_str()), Some("a"));
        assert_eq!(choose(&[], &["x"], &random), None);
    }

    #[test]
    fn a_token_tells_its_seat_until_its_time_is_over_and_moves_to_the_next_epoch() {
        let secret = Secret::ephemeral(&Random::seeded(1));
        let seat = SeatClaims {
            chat: ChatId([7; 16]).to_bytes(),
            seat: 2,
            seats: 2,
            epoch: 1,
            ..SeatClaims::default()
        };
        let token = seat_token(&secret, seat, 1_000);
        let (chat, told) = claims(&secret, &token, 2_000).expect("good");
        assert_eq!((chat, told.seat, told.seats, told.epoch), (ChatId([7; 16]), 2, 2, 1));
        assert!(matches!(claims(&secret, &token, told.expires_unix_ms), Err(Error::BadToken)));
        let moved = moved_seat_token(&secret, told.clone(), Epoch(2), 5_000);
        let (_, moved) = claims(&secret, &moved, 6_000).expect("good");
        assert_eq!(moved, SeatClaims { epoch: 2, expires_unix_ms: told.expires_unix_ms + 4_000, ..told });
        let other = Secret::ephemeral(&Random::seeded(2));
        assert!(matches!(claims(&other, &token, 2_000), Err(Error::BadToken)));
        assert!(matches!(claims(&secret, b"", 2_000), Err(Error::BadToken)));
    }
}
