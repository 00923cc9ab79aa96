//! A wish to be paired, and how two of them agree.

use std::sync::Arc;

use chassis::id::{AddressHash, SessionId, TicketId};
use stroll_proto::v1::{self, Mode};

use crate::{Error, error::Result, pool::EntryId};

/// Bounds of a ticket.
const MAX_INTERESTS: usize = 10;
const MAX_INTEREST_CHARS: usize = 64;
const MAX_LANGUAGES: usize = 5;
const MAX_NAME: usize = 64;

/// A wish to be paired, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Its entry in the shard's stream.
    pub(crate) entry: EntryId,
    /// Its id.
    pub(crate) id: TicketId,
    /// What for.
    pub(crate) mode: Mode,
    /// The gateway that is told.
    pub(crate) gateway: String,
    /// Who waits.
    pub(crate) session: SessionId,
    /// Where they are, as far as that is known.
    pub(crate) address: Option<AddressHash>,
    /// What they like to talk about; no two have the same key.
    pub(crate) interests: Vec<Interest>,
    /// Primary subtags of the languages that they speak. Empty: any.
    pub(crate) languages: Vec<Arc<str>>,
    /// When the wait began, in milliseconds since the Unix epoch.
    pub(crate) since_unix_ms: u64,
    /// How long they look only for shared interests.
    pub(crate) patience_ms: u64,
    /// Whether they do so for ever.
    pub(crate) only_interests: bool,
    /// The gateway's failure domain; may be empty.
    pub(crate) zone: String,
    /// W3C trace context of the enqueuing, where sampled; else empty.
    pub(crate) traceparent: String,
}

/// Something to talk about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    /// By which two of them are compared: lower case, with single spaces.
    pub(crate) key: Arc<str>,
    /// As it was typed.
    pub(crate) typed: String,
}

impl Interest {
    fn new(typed: String) -> Self {
        let words: Vec<_> = typed.split_whitespace().map(str::to_lowercase).collect();
        Self { key: words.join(" ").into(), typed }
    }
}

impl Ticket {
    /// Checks a ticket that came as `entry`, or is about to.
    ///
    /// # Errors
    /// `Invalid`, with what is expected.
    pub(crate) fn parse(entry: EntryId, ticket: v1::Ticket, traceparent: String) -> Result<Self> {
        let mode = ticket.mode();
        if mode == Mode::Unspecified {
            return Err(Error::Invalid("a ticket's mode is text or video"));
        }
        let subject = ticket.subject.ok_or(Error::Invalid("a ticket has a subject"))?;
        let id = TicketId::try_from(&ticket.id).map_err(|_| Error::Invalid("a ticket's id has 16 bytes"))?;
        let session = SessionId::try_from(&subject.session);
        let session = session.map_err(|_| Error::Invalid("a subject's session has 16 bytes"))?;
        check_name(&ticket.gateway)?;
        if ticket.zone.len() > MAX_NAME {
            return Err(Error::Invalid("a zone has at most 64 bytes"));
        }
        Ok(Self {
            entry,
            id,
            mode,
            gateway: ticket.gateway,
            session,
            address: parse_address(&subject.address)?,
            interests: parse_interests(ticket.interests)?,
            languages: parse_languages(&ticket.languages)?,
            since_unix_ms: ticket.since_unix_ms,
            patience_ms: ticket.patience_ms,
            only_interests: ticket.only_interests,
            zone: ticket.zone,
            traceparent,
        })
    }

    /// Its place in the queue: who waits longer comes first.
    #[must_use]
    pub(crate) fn place(&self) -> (u64, EntryId) {
        (self.since_unix_ms, self.entry)
    }

    /// From when on it meets anybody, in milliseconds since the Unix epoch; `None`: never. Patience counts from when the wait
    /// began, so that who is put back isn't patient anew. A gateway whose clock runs ahead doesn't make it last longer,
    /// because no wait began after its entry.
    #[must_use]
    pub(crate) fn meets_anybody_at(&self) -> Option<u64> {
        if self.interests.is_empty() {
            return Some(0);
        }
        let began = self.since_unix_ms.min(self.entry.ms);
        (!self.only_interests).then(|| began.saturating_add(self.patience_ms))
    }

    /// This one's interests that `other` has too, as this one typed them.
    #[must_use]
    pub(crate) fn common_interests(&self, other: &Self) -> Vec<String> {
        let shared = self.interests.iter().filter(|mine| other.likes(&mine.key));
        shared.map(|mine| mine.typed.clone()).collect()
    }

    /// How many interests the two share.
    #[must_use]
    pub(crate) fn shares(&self, other: &Self) -> usize {
        self.interests.iter().filter(|mine| other.likes(&mine.key)).count()
    }

    /// The first of this one's languages that both named.
    #[must_use]
    pub(crate) fn common_language(&self, other: &Self) -> Option<&str> {
        self.languages.iter().find(|mine| other.languages.contains(mine)).map(AsRef::as_ref)
    }

    /// Whether they have a language in common, as far as they named any.
    #[cfg(test)]
    pub(super) fn understands(&self, other: &Self) -> bool {
        self.languages.is_empty() || other.languages.is_empty() || self.common_language(other).is_some()
    }

    fn likes(&self, key: &str) -> bool {
        self.interests.iter().any(|interest| &*interest.key == key)
    }
}

/// Two who meet. Seat 1 is the one who has waited longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    /// Seat 1.
    pub(crate) first: Ticket,
    /// Seat 2.
    pub(crate) second: Ticket,
}

impl Match {
    /// Of two tickets, whichever waited longer first.
    #[must_use]
    pub(crate) fn of(one: Ticket, other: Ticket) -> Self {
        if one.place() <= other.place() {
            Self { first: one, second: other }
        } else {
            Self { first: other, second: one }
        }
    }

    /// Both, by seat.
    #[must_use]
    pub(crate) fn tickets(&self) -> [&Ticket; 2] {
        [&self.first, &self.second]
    }
}

/// A gateway's or a relay's name goes into keys and logs, so only plain characters are taken.
///
/// # Errors
/// `Invalid`, with what is expected.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(Error::Invalid(
            "a gateway's or a relay's name has 1 to 64 characters of A-Z, a-z, 0-9, `.`, `_` and `-`",
        ))
    }
}

fn parse_address(address: &[u8]) -> Result<Option<AddressHash>> {
    if address.is_empty() {
        return Ok(None);
    }
    let hash = AddressHash::try_from(address);
    hash.map(Some).map_err(|_| Error::Invalid("a subject's address is a hash of 16 bytes, or empty"))
}

fn parse_interests(typed: Vec<String>) -> Result<Vec<Interest>> {
    if typed.len() > MAX_INTERESTS {
        return Err(Error::Invalid("a ticket has at most 10 interests"));
    }
    let mut interests: Vec<Interest> = Vec::with_capacity(typed.len());
    for typed in typed {
        if typed.chars().count() > MAX_INTEREST_CHARS {
            return Err(Error::Invalid("an interest has at most 64 characters"));
        }
        let interest = Interest::new(typed);
        if interest.key.is_empty() {
            return Err(Error::Invalid("an interest is not empty"));
        }
        if interests.iter().all(|known| known.key != interest.key) {
            interests.push(interest);
        }
    }
    Ok(interests)
}

fn parse_languages(tags: &[String]) -> Result<Vec<Arc<str>>> {
    if tags.len() > MAX_LANGUAGES {
        return Err(Error::Invalid("a ticket has at most 5 languages"));
    }
    let mut languages: Vec<Arc<str>> = Vec::with_capacity(tags.len());
    for tag in tags {
        if !(2..=8).contains(&tag.len()) || !tag.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Error::Invalid("a language is a primary subtag in lower case, such as `en`"));
        }
        if languages.iter().all(|known| **known != **tag) {
            languages.push(tag.as_str().into());
        }
    }
    Ok(languages)
}
