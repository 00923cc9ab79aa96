//! Ids of classic sessions: `central<N>:` and thirty characters, of which twenty-five are random.
//!
//! The number and the first five characters tell which gateway holds the session. They are hidden under a keyed hash of the others, so that
//! only the cluster can read them, and one id tells nothing of another. The id is the session's only secret: Debug
//! shows nothing of it, and the session's own id is a hash of it.

use std::fmt;

use chassis::{Random, Secret, id::SessionId, secret::Purpose};
use sha2::{Digest as _, Sha256};

/// What characters are taken from.
const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE: u64 = 36;
/// How many characters hide the gateway.
const HIDING: usize = 5;
/// How many are random: 129 bits.
const RANDOM: usize = 25;
/// How much the hiding characters can tell.
const PER_NUMBER: u64 = BASE.pow(5);
/// How much they and the number can tell: more than a [`Front`].
const CAPACITY: u64 = 255 * PER_NUMBER;

/// Stands for a gateway in ids: a hash of its own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Front(u32);

impl Front {
    /// Of a gateway's id.
    #[must_use]
    pub fn of(gateway: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(gateway.as_bytes()).into();
        Self(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]))
    }
}

/// The id of a classic session, well-formed.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientId(String);

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

impl ClientId {
    /// A new one, for a session that `front` holds.
    #[must_use]
    pub fn new(secret: &Secret, random: &Random, front: Front) -> Self {
        let character = || {
            let index = usize::try_from(random.below(BASE)).unwrap_or_default();
            char::from(ALPHABET[index])
        };
        let random: String = (0..RANDOM).map(|_| character()).collect();
        let mask = masks(secret, &random).next().unwrap_or_default();
        let hidden = (u64::from(front.0) + mask) % CAPACITY;
        let (number, mut rest) = (hidden / PER_NUMBER + 1, hidden % PER_NUMBER);
        let mut hiding = [0; HIDING];
        for character in hiding.iter_mut().rev() {
            *character = ALPHABET[usize::try_from(rest % BASE).unwrap_or_default()];
            rest /= BASE;
        }
        let hiding = hiding.map(char::from).iter().collect::<String>();
        Self(format!("central{number}:{hiding}{random}"))
    }

    /// From what a client says; nothing if it can't be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, characters) = text.strip_prefix("central")?.split_once(':')?;
        let is_number = number.parse::<u8>().is_ok_and(|parsed| parsed > 0 && parsed.to_string() == number);
        let is_good = characters.len() == HIDING + RANDOM
            && characters.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        (is_number && is_good).then(|| Self(text.to_owned()))
    }

    /// As the client knows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The session that it is of.
    #[must_use]
    pub fn session(&self) -> SessionId {
        let hash: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        let mut session = [0; 16];
        session.copy_from_slice(&hash[..16]);
        SessionId(session)
    }

    /// The gateway that holds it, by each secret that is known. Of an id that was made up, none or any.
    pub fn fronts(&self, secret: &Secret) -> Vec<Front> {
        let Some((hidden, random)) = self.hidden() else { return Vec::new() };
        let front = |mask: u64| u32::try_from((hidden + CAPACITY - mask) % CAPACITY).ok().map(Front);
        masks(secret, random).filter_map(front).collect()
    }

    fn hidden(&self) -> Option<(u64, &str)> {
        let (number, characters) = self.0.strip_prefix("central")?.split_once(':')?;
        let (hiding, random) = characters.split_at_checked(HIDING)?;
        let number: u64 = number.parse().ok()?;
        Some((number.checked_sub(1)? * PER_NUMBER + u64::from_str_radix(hiding, 36).ok()?, random))
    }
}

fn masks<'a>(secret: &Secret, random: &'a str) -> impl Iterator<Item = u64> + use<'a> {
    let hashes = secret.keyed_hashes(Purpose::Front, random.as_bytes());
    hashes.into_iter().map(|hash| {
        let [first, ..] = hash.as_chunks::<8>().0 else { return 0 };
        u64::from_be_bytes(*first) % CAPACITY
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(seed: u64) -> Secret {
        Secret::ephemeral(&Random::seeded(seed))
    }

    #[test]
    fn an_id_has_the_pattern_and_leads_back_to_its_gateway() {
        let (secret, random) = (secret(1), Random::seeded(2));
        for gateway in ["gateway-0000000000000000", "gateway-ffffffffffffffff", "another"] {
            for _ in 0..200 {
                let id = ClientId::new(&secret, &random, Front::of(gateway));
                assert_eq!(ClientId::parse(id.as_str()).as_ref(), Some(&id));
                assert_eq!(id.fronts(&secret), [Front::of(gateway)]);
            }
        }
    }

    #[test]
    fn without_the_secret_ids_of_one_gateway_have_nothing_in_common() {
        let (secret, random) = (secret(1), Random::seeded(2));
        let front = Front::of("gateway");
        let ids: Vec<_> = (0..64).map(|_| ClientId::new(&secret, &random, front)).collect();
        let starts: std::collections::HashSet<_> =
            ids.iter().map(|id| id.as_str().split_at(id.as_str().len() - RANDOM).0.to_owned()).collect();
        assert!(starts.len() > 60, "{}", starts.len());
        assert!(ids.iter().all(|id| id.fronts(&self::secret(9)) != [front]));
        assert_eq!(format!("{:?}", ids[0]), "REDACTED");
    }

    #[test]
    fn only_the_pattern_is_an_id() {
        let good = "central1:r2s8xwxq484rlb7c641u5dqu1tbzor";
        assert!(ClientId::parse(good).is_some());
        for bad in [
            "",
            "central1:",
            "central0:r2s8xwxq484rlb7c641u5dqu1tbzor",
            "central01:r2s8xwxq484rlb7c641u5dqu1tbzor",
            "central256:r2s8xwxq484rlb7c641u5dqu1tbzor",
            "central+1:r2s8xwxq484rlb7c641u5dqu1tbzor",
            "central1:r2s8xwxq484rlb7c641u5dqu1tbzo",
            "central1:r2s8xwxq484rlb7c641u5dqu1tbzorr",
            "central1:R2s8xwxq484rlb7c641u5dqu1tbzor",
            "central1:r2s8xwxq484rlb7c641u5dqu1tbz é",
            "shard1:r2s8xwxq484rlb7c641u5dqu1tbzor",
        ] {
            assert!(ClientId::parse(bad).is_none(), "{bad}");
        }
        let one = ClientId::parse(good).expect("an id").session();
        assert_ne!(one, ClientId::parse("central2:r2s8xwxq484rlb7c641u5dqu1tbzor").expect("an id").session());
    }
}
