//! A wish to be paired, checked.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    sync::Arc,
};

use bytes::Bytes;
use chassis::id::{AddressHash, SessionId, TicketId};
use foldhash::quality::FixedState;
use stroll_proto::v1::{self, Mode, Subject};

use super::{
    college::{self, College, Realm},
    language::Language,
};
use crate::{Error, error::Result, pool::EntryId};

/// Bounds of a ticket.
const MAX_INTERESTS: usize = 10;
const MAX_INTEREST_CHARS: usize = 64;
const MAX_LANGUAGES: usize = 5;
const MAX_NAME: usize = 64;
const MAX_ALIASES: usize = 8;
const MAX_BLOCKED: usize = 128;
const MAX_MET_LATELY: usize = 8;
const MAX_SEALED_QUESTION: usize = 2_048;

/// How long somebody waits for anybody else before one whom they met lately will do, in milliseconds.
const RELUCTANCE_MS: u64 = 500;
/// How long after the moment from which it may meet anybody, or without interests from its beginning, a ticket becomes
/// overdue, in milliseconds. The next who may meet it then does.
pub(crate) const OVERDUE_MS: u64 = 10_000;

/// A wish to be paired, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its entry in the shard's stream.
    pub(crate) entry: EntryId,
    /// Its id.
    pub(crate) id: TicketId,
    /// What for.
    pub(crate) mode: Mode,
    /// The gateway that is told.
    pub(crate) gateway: Arc<str>,
    /// Who waits.
    pub(crate) session: SessionId,
    /// Where they are, as far as that is known.
    pub(crate) address: Option<AddressHash>,
    /// Whom they want to meet.
    pub(crate) wish: Wish,
    /// What they like to talk about; no two have the same key. Empty in spy mode.
    pub(crate) interests: Vec<Interest>,
    /// Whose members they want to meet; few have one. None in spy mode.
    pub(crate) college: Option<Box<College>>,
    /// Languages that they speak. Empty: any.
    pub(crate) languages: Vec<Language>,
    /// When the wait began, in milliseconds since the Unix epoch.
    pub(crate) since_unix_ms: u64,
    /// How long they look only for what they wish first.
    pub(crate) patience_ms: u64,
    /// Whether they do so for ever.
    pub(crate) only_interests: bool,
    /// By what others remember them.
    pub(crate) aliases: Vec<u64>,
    /// Whom they never want to meet.
    pub(crate) blocked: Vec<u64>,
    /// Whom they met lately.
    pub(crate) met_lately: Vec<u64>,
    /// The gateway's failure domain; may be empty.
    pub(crate) zone: String,
    /// W3C trace context of the enqueuing, where sampled; else empty.
    pub(crate) traceparent: String,
    /// Its number in the history of waits.
    pub(crate) sample: u64,
}

/// Whom a ticket wants to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A stranger to talk with.
    Chat,
    /// Two who discuss this question, to watch them. It is sealed: only gateways can read it.
    Ask(String),
    /// Somebody to discuss a question with.
    Discuss,
    /// Who holds the same token.
    Again([u8; 16]),
}

/// Something to talk about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Stands for what two of them are compared by: a hash of the normalised form. (Two that differ have the same one as rarely as
    /// two random numbers of 64 bits.)
    pub(crate) key: u64,
    /// As it was typed.
    pub(crate) typed: String,
}

impl Interest {
    /// None if there is nothing in it.
    fn new(typed: String) -> Option<Self> {
        let normal = chassis::interest::key(&typed);
        let mut hasher = FixedState::with_seed(1).build_hasher();
        hasher.write(normal.as_bytes());
        (!normal.is_empty()).then(|| Self { key: hasher.finish(), typed })
    }
}

impl Ticket {
    /// Checks a ticket that came as `entry`, or is about to.
    ///
    /// # Errors
    /// `Invalid`, with what is expected.
    pub fn parse(entry: EntryId, ticket: v1::Ticket) -> Result<Self> {
        let mode = ticket.mode();
        if mode == Mode::Unspecified {
            return Err(Error::Invalid("a ticket's mode is text or video"));
        }
        let wish = parse_wish(mode, &ticket)?;
        let subject = ticket.subject.ok_or(Error::Invalid("a ticket has a subject"))?;
        let id = TicketId::try_from(&ticket.id).map_err(|_| Error::Invalid("a ticket's id has 16 bytes"))?;
        let session = SessionId::try_from(&subject.session);
        let session = session.map_err(|_| Error::Invalid("a subject's session has 16 bytes"))?;
        check_name(&ticket.gateway)?;
        if ticket.zone.len() > MAX_NAME {
            return Err(Error::Invalid("a zone has at most 64 bytes"));
        }
        let has_room = ticket.aliases.len() <= MAX_ALIASES
            && ticket.blocked.len() <= MAX_BLOCKED
            && ticket.met_lately.len() <= MAX_MET_LATELY;
        if !has_room {
            return Err(Error::Invalid(
                "a ticket has at most 8 aliases, and those of 128 who are blocked and 8 who were met",
            ));
        }
        let interests = parse_interests(ticket.interests)?;
        let college = College::parse(ticket.college, ticket.any_college)?;
        Ok(Self {
            entry,
            id,
            mode,
            gateway: ticket.gateway.into(),
            session,
            address: parse_address(&subject.address)?,
            interests: if wish == Wish::Chat { interests } else { Vec::new() },
            college: college.filter(|_| wish == Wish::Chat).map(Box::new),
            wish,
            languages: parse_languages(&ticket.languages)?,
            since_unix_ms: ticket.since_unix_ms,
            patience_ms: ticket.patience_ms,
            only_interests: ticket.only_interests,
            aliases: ticket.aliases,
            blocked: ticket.blocked,
            met_lately: ticket.met_lately,
            zone: ticket.zone,
            traceparent: ticket.traceparent,
            sample: 0,
        })
    }

    /// As it is stored, again.
    #[must_use]
    pub(crate) fn to_message(&self) -> v1::Ticket {
        let (mut ask, mut discuss, mut again) = (String::new(), false, Bytes::new());
        match &self.wish {
            Wish::Chat => {}
            Wish::Ask(question) => ask.clone_from(question),
            Wish::Discuss => discuss = true,
            Wish::Again(token) => again = Bytes::copy_from_slice(token),
        }
        let address = self.address.map_or_else(Bytes::new, AddressHash::to_bytes);
        v1::Ticket {
            id: self.id.to_bytes(),
            gateway: self.gateway.as_ref().to_owned(),
            subject: Some(Subject { session: self.session.to_bytes(), address }),
            mode: self.mode.into(),
            // Its shard tells it.
            section: String::new(),
            interests: self.interests.iter().map(|interest| interest.typed.clone()).collect(),
            languages: self.languages.iter().map(|language| language.as_str().to_owned()).collect(),
            patience_ms: self.patience_ms,
            only_interests: self.only_interests,
            since_unix_ms: self.since_unix_ms,
            zone: self.zone.clone(),
            aliases: self.aliases.clone(),
            blocked: self.blocked.clone(),
            met_lately: self.met_lately.clone(),
            ask,
            discuss,
            again,
            traceparent: self.traceparent.clone(),
            college: self.college.as_ref().map_or_else(String::new, |college| college.domain.clone()),
            any_college: self.college.as_ref().is_some_and(|college| college.any),
        }
    }

    /// Its place in the queue: who waits longer comes first.
    #[must_use]
    pub(crate) fn place(&self) -> (u64, EntryId) {
        (self.since_unix_ms, self.entry)
    }

    /// When the wait began. A gateway whose clock runs ahead doesn't make patience last longer, because no wait began after
    /// its entry.
    fn began(&self) -> u64 {
        self.since_unix_ms.min(self.entry.ms)
    }

    /// From when on it meets anybody, in milliseconds since the Unix epoch; `None`: never. Counts from when the wait
    /// began, so that who is put back isn't patient anew.
    #[must_use]
    pub(crate) fn meets_anybody_at(&self) -> Option<u64> {
        match self.wish {
            Wish::Chat if self.interests.is_empty() => Some(0),
            Wish::Chat | Wish::Discuss if self.only_interests => None,
            Wish::Chat | Wish::Discuss => Some(self.began().saturating_add(self.patience_ms)),
            Wish::Ask(_) | Wish::Again(_) => None,
        }
    }

    /// From when on it comes first, in milliseconds since the Unix epoch; `None`: never.
    #[must_use]
    pub(crate) fn overdue_at(&self) -> Option<u64> {
        let begins = match self.wish {
            Wish::Chat | Wish::Discuss => self.meets_anybody_at().unwrap_or(0).max(self.began()),
            Wish::Ask(_) | Wish::Again(_) => return None,
        };
        Some(begins.saturating_add(OVERDUE_MS))
    }

    /// From when on one whom it met lately will do, in milliseconds since the Unix epoch.
    #[must_use]
    pub(crate) fn meets_again_at(&self) -> u64 {
        self.began().saturating_add(RELUCTANCE_MS)
    }

    /// The realms that it is in.
    pub(super) fn realms(&self) -> impl Iterator<Item = Realm> {
        college::realms(self.college.as_deref())
    }

    /// This one's interests that `other` has too, as this one typed them.
    #[must_use]
    pub(crate) fn common_interests(&self, other: &Self) -> Vec<String> {
        let shared = self.interests.iter().filter(|mine| other.likes(mine.key));
        shared.map(|mine| mine.typed.clone()).collect()
    }

    /// The keys of the interests that the two share.
    pub(crate) fn shared(&self, other: &Self) -> impl Iterator<Item = u64> {
        self.interests.iter().map(|mine| mine.key).filter(|key| other.likes(*key))
    }

    /// Whether there is one.
    #[must_use]
    pub(crate) fn shares(&self, other: &Self) -> bool {
        self.shared(other).next().is_some()
    }

    fn likes(&self, key: u64) -> bool {
        self.interests.iter().any(|interest| interest.key == key)
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

fn parse_wish(mode: Mode, ticket: &v1::Ticket) -> Result<Wish> {
    if !ticket.again.is_empty() {
        let token = ticket.again.as_ref().try_into();
        return token.map(Wish::Again).map_err(|_| Error::Invalid("a token to meet again has 16 bytes"));
    }
    if ticket.ask.is_empty() && !ticket.discuss {
        return Ok(Wish::Chat);
    }
    if mode != Mode::Text {
        return Err(Error::Invalid("spy mode is for text"));
    }
    if ticket.ask.is_empty() {
        return Ok(Wish::Discuss);
    }
    if ticket.ask.len() > MAX_SEALED_QUESTION {
        return Err(Error::Invalid("a sealed question has at most 2 KiB"));
    }
    Ok(Wish::Ask(ticket.ask.clone()))
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
        let interest = Interest::new(typed).ok_or(Error::Invalid("an interest is not empty"))?;
        if interests.iter().all(|known| known.key != interest.key) {
            interests.push(interest);
        }
    }
    Ok(interests)
}

fn parse_languages(tags: &[String]) -> Result<Vec<Language>> {
    if tags.len() > MAX_LANGUAGES {
        return Err(Error::Invalid("a ticket has at most 5 languages"));
    }
    let mut languages = Vec::with_capacity(tags.len());
    for tag in tags {
        let language = Language::parse(tag)
            .ok_or(Error::Invalid("a language is a primary subtag in lower case, such as `en`"))?;
        if !languages.contains(&language) {
            languages.push(language);
        }
    }
    Ok(languages)
}
