//! Closed pools: colleges, by their mail domains.
//!
//! A ticket is in realms, and two tickets may meet only if they have one in common: those without a college are in the ordinary
//! one, the others in that of their domain, and those who meet any college also in one of all such. What is looked up is looked
//! up realm by realm, so that nobody has to be passed over for their college.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::quality::FixedState;

use crate::{Error, error::Result};

/// How long a domain is at most, in bytes (RFC 1035, section 2.3.4).
const MAX_DOMAIN: usize = 253;

/// A verified mail domain, and whether others will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct College {
    /// In lower case.
    pub(crate) domain: String,
    /// Also those of other colleges who say so too.
    pub(crate) any: bool,
    realm: Realm,
}

/// Tickets that may meet as far as colleges go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Realm(u64);

/// Of those without a college.
const ORDINARY: Realm = Realm(0);
/// Of those who meet any college. (A domain has this number as rarely as any other.)
const ANY_COLLEGE: Realm = Realm(0x9e37_79b9_7f4a_7c15);

// === impl College ===

impl College {
    /// `None` where there is no domain.
    ///
    /// # Errors
    /// `Invalid`, with what is expected.
    pub(super) fn parse(domain: String, any: bool) -> Result<Option<Self>> {
        if domain.is_empty() {
            return Ok(None);
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(plain);
        if domain.len() > MAX_DOMAIN || !domain.split('.').all(is_label) {
            return Err(Error::Invalid("a college is a mail domain in lower case, such as `uni.example`"));
        }
        let mut hasher = FixedState::with_seed(2).build_hasher();
        hasher.write(domain.as_bytes());
        Ok(Some(Self { realm: Realm(hasher.finish()), domain, any }))
    }
}

/// Whether two may meet as far as their colleges go.
#[must_use]
pub(super) fn may_meet(one: Option<&College>, other: Option<&College>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one.domain == other.domain || (one.any && other.any),
        _ => false,
    }
}

/// The realms that somebody of this college is in.
pub(super) fn realms(college: Option<&College>) -> impl Iterator<Item = Realm> {
    let own = college.map_or(ORDINARY, |college| college.realm);
    let any = college.filter(|college| college.any).map(|_| ANY_COLLEGE);
    [own].into_iter().chain(any)
}

// === impl Realm ===

impl Realm {
    /// What somebody waits for, in this realm. Two that differ have the same number as rarely as two random ones; in the
    /// ordinary realm it is the number itself.
    pub(super) fn key(self, waits_for: u64) -> u64 {
        self.0 ^ waits_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn college(domain: &str, any: bool) -> Option<College> {
        College::parse(domain.to_owned(), any).expect("a domain")
    }

    #[test]
    fn those_of_one_domain_may_meet_and_those_who_both_take_any_and_others_never() {
        // No college, and two of them closed and open.
        let all = [
            college("", true),
            college("a.edu", false),
            college("a.edu", true),
            college("b.edu", false),
            college("b.edu", true),
        ];
        let expected = [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 1], [0, 0, 0, 1, 1], [0, 0, 1, 1, 1]];
        for (one, row) in all.iter().zip(expected) {
            for (other, expected) in all.iter().zip(row) {
                let (one, other) = (one.as_ref(), other.as_ref());
                assert_eq!(may_meet(one, other), expected == 1, "{one:?} and {other:?}");
                let common = realms(one).any(|realm| realms(other).any(|theirs| theirs == realm));
                assert_eq!(common, expected == 1, "the realms of {one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn what_is_not_a_domain_is_no_college() {
        let longest = format!("{}example", "a.".repeat(123));
        assert_eq!(longest.len(), MAX_DOMAIN);
        for good in ["uni.example", "xn--mnchen-3ya.example", "1-2.example", &longest] {
            assert_eq!(college(good, false).expect("a college").domain, good);
        }
        for bad in ["Uni.example", "uni.example.", ".example", "a..b", "a b.example", "ü.example", "*"] {
            assert!(College::parse(bad.to_owned(), false).is_err(), "{bad}");
        }
        assert!(College::parse(format!("{longest}s"), false).is_err());
    }
}
