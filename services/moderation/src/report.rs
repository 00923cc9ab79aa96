//! A report as it is stored: evidence, frozen when it arrives.

use std::{fmt, str::FromStr};

use chassis::{
    Random,
    id::{AddressHash, ChatId, Seat, SessionId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stroll_proto::v1::{Mode, Participant, ReportRequest, Role, Subject, TranscriptLine};

use crate::error::Error;

/// The client protocol's reasons.
const REASONS: [&str; 8] = ["nudity", "minor", "harassment", "hate", "threat", "spam", "self_harm", "other"];
const MAX_COMMENT_CHARS: usize = 1_000;
const MAX_LINES: usize = 500;
const MAX_TRANSCRIPT_BYTES: usize = 256 * 1024;
const MAX_PARTICIPANTS: usize = 8;

/// A report, checked and ready to be stored. It has no Debug, because it holds what was said.
pub(crate) struct Report {
    /// The report's own id.
    pub(crate) id: String,
    pub(crate) chat: ChatId,
    pub(crate) reason: &'static str,
    pub(crate) filed_unix_ms: u64,
    /// The stored form of [`Evidence`].
    pub(crate) evidence: String,
}

/// All that was reported. Its JSON, as it was stored, is what counts; the digest is over those bytes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Evidence {
    report: String,
    chat: String,
    mode: String,
    began_unix_ms: u64,
    filed_unix_ms: u64,
    reason: String,
    comment: String,
    reporter_seat: u8,
    participants: Vec<Seated>,
    transcript: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Seated {
    seat: u8,
    role: String,
    session: String,
    address: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    seat: u8,
    seq: u64,
    at_unix_ms: u64,
    text: String,
}

impl Report {
    /// Checks a request, and freezes what it tells.
    ///
    /// # Errors
    /// If it breaks the interface's rules.
    pub(crate) fn freeze(request: ReportRequest, now_unix_ms: u64) -> Result<Self, Error> {
        let id: [u8; 16] =
            request.id.as_ref().try_into().map_err(|_| Error::Malformed("a report's id has 16 bytes"))?;
        let chat = chat(&request.chat)?;
        let known = REASONS.into_iter().find(|reason| *reason == request.reason);
        let reason = known.ok_or(Error::Malformed("the reason is none of the protocol's"))?;
        if request.comment.chars().count() > MAX_COMMENT_CHARS {
            return Err(Error::Malformed("a comment has at most 1,000 characters"));
        }
        let evidence = Evidence {
            report: hex(&id),
            chat: chat.to_string(),
            mode: mode_name(request.mode).to_owned(),
            began_unix_ms: request.began_unix_ms,
            filed_unix_ms: now_unix_ms,
            reason: reason.to_owned(),
            comment: request.comment,
            reporter_seat: seat(request.reporter_seat)?.0,
            participants: participants(&request.participants, request.reporter_seat)?,
            transcript: transcript(request.transcript)?,
        };
        let evidence = serde_json::to_string(&evidence).map_err(|_| Error::Damaged)?;
        Ok(Self { id: hex(&id), chat, reason, filed_unix_ms: now_unix_ms, evidence })
    }

    /// SHA-256 of the stored form, in hexadecimal.
    pub(crate) fn digest(&self) -> String {
        digest(&self.evidence)
    }
}

/// SHA-256 of stored evidence, in hexadecimal.
pub(crate) fn digest(evidence: &str) -> String {
    hex(&Sha256::digest(evidence))
}

impl Evidence {
    /// Reads the stored form.
    ///
    /// # Errors
    /// If it is damaged.
    pub(crate) fn read(stored: &str) -> Result<Self, Error> {
        serde_json::from_str(stored).map_err(|_| Error::Damaged)
    }

    /// Everybody in the chat but the one who reported.
    ///
    /// # Errors
    /// If an id is damaged.
    pub(crate) fn reported(&self) -> Result<Vec<(SessionId, Option<AddressHash>)>, Error> {
        let others = self.participants.iter().filter(|seated| seated.seat != self.reporter_seat);
        let ids = others.map(|seated| {
            let session = SessionId(from_hex(&seated.session)?);
            let address = seated.address.as_deref().map(from_hex).transpose()?;
            Ok((session, address.map(AddressHash)))
        });
        ids.collect()
    }
}

fn participants(participants: &[Participant], reporter: u32) -> Result<Vec<Seated>, Error> {
    if participants.len() > MAX_PARTICIPANTS {
        return Err(Error::Malformed("a chat has at most 8 seats"));
    }
    if !participants.iter().any(|participant| participant.seat == reporter) {
        return Err(Error::Malformed("the one who reports is not among the participants"));
    }
    let seated: Vec<Seated> = participants.iter().map(seated).collect::<Result<_, _>>()?;
    let is_taken = |index: usize, seat: u8| seated[..index].iter().any(|other| other.seat == seat);
    if seated.iter().enumerate().any(|(index, one)| is_taken(index, one.seat)) {
        return Err(Error::Malformed("a seat is taken twice"));
    }
    Ok(seated)
}

fn seated(participant: &Participant) -> Result<Seated, Error> {
    let (session, address) = parse_subject(participant.subject.as_ref())?;
    let session = session.ok_or(Error::Malformed("a participant has a session"))?;
    let role = match Role::try_from(participant.role) {
        Ok(Role::Stranger) => "stranger",
        Ok(Role::Spy) => "spy",
        Ok(Role::Unspecified) | Err(_) => "unspecified",
    };
    Ok(Seated {
        seat: seat(participant.seat)?.0,
        role: role.to_owned(),
        session: session.to_string(),
        address: address.map(|address| address.to_string()),
    })
}

fn transcript(lines: Vec<TranscriptLine>) -> Result<Vec<Line>, Error> {
    let bytes: usize = lines.iter().map(|line| line.text.len()).sum();
    if lines.len() > MAX_LINES || bytes > MAX_TRANSCRIPT_BYTES {
        return Err(Error::Malformed("a transcript has at most 500 lines and 256 KiB of text"));
    }
    let line = |line: TranscriptLine| {
        Ok(Line { seat: seat(line.seat)?.0, seq: line.seq, at_unix_ms: line.at_unix_ms, text: line.text })
    };
    lines.into_iter().map(line).collect()
}

fn mode_name(mode: i32) -> &'static str {
    match Mode::try_from(mode) {
        Ok(Mode::Text) => "text",
        Ok(Mode::Video) => "video",
        Ok(Mode::Unspecified) | Err(_) => "unspecified",
    }
}

/// A chat's id, from a request.
pub(crate) fn chat(bytes: &[u8]) -> Result<ChatId, Error> {
    ChatId::try_from(bytes).map_err(|_| Error::Malformed("a chat's id has 16 bytes"))
}

/// A seat's number, from a request.
pub(crate) fn seat(number: u32) -> Result<Seat, Error> {
    Seat::from_number(number).map_err(|_| Error::Malformed("a seat is a number from 1 to 255"))
}

/// A subject's ids, from a request; what is empty is not there.
pub(crate) fn parse_subject(
    subject: Option<&Subject>,
) -> Result<(Option<SessionId>, Option<AddressHash>), Error> {
    let subject = subject.ok_or(Error::Malformed("a subject is missing"))?;
    let bad = |_| Error::Malformed("a subject's ids have 16 bytes");
    let session = (!subject.session.is_empty()).then(|| SessionId::try_from(&subject.session));
    let address = (!subject.address.is_empty()).then(|| AddressHash::try_from(&subject.address));
    Ok((session.transpose().map_err(bad)?, address.transpose().map_err(bad)?))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// 16 bytes from 32 hexadecimal digits.
///
/// # Errors
/// If it is not that.
pub(crate) fn from_hex(text: &str) -> Result<[u8; 16], Error> {
    let is_hex = text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    number.map(u128::to_be_bytes).ok_or(Error::Damaged)
}

// === impl CaseNumber ===

/// Crockford's base 32: no letter that looks like a digit, and no U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A case's number, for people to quote: `S-7Q4K-2M9X`. 40 random bits, so that none can be guessed from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaseNumber(String);

impl CaseNumber {
    pub(crate) fn new(random: &Random) -> Self {
        let symbol = |byte: u8| char::from(ALPHABET[usize::from(byte % 32)]);
        let symbols: String = random.bytes::<8>().into_iter().map(symbol).collect();
        Self(format!("S-{}-{}", &symbols[..4], &symbols[4..]))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CaseNumber {
    type Err = Error;

    /// Reads a number as people type it: in any case, with or without dashes, with O for 0 and I or L for 1.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut symbols = text.trim().to_ascii_uppercase().replace(['-', ' '], "");
        symbols = symbols.replace('O', "0").replace(['I', 'L'], "1");
        let symbols = symbols.strip_prefix('S').filter(|rest| rest.len() == 8).unwrap_or(&symbols);
        if symbols.len() != 8 || !symbols.bytes().all(|symbol| ALPHABET.contains(&symbol)) {
            return Err(Error::Malformed("a case's number looks like S-7Q4K-2M9X"));
        }
        Ok(Self(format!("S-{}-{}", &symbols[..4], &symbols[4..])))
    }
}

impl fmt::Display for CaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_number_is_read_as_people_type_it() {
        let number = CaseNumber::new(&Random::seeded(7));
        assert_eq!(number.as_str().len(), 11);
        assert_eq!(number.as_str().parse::<CaseNumber>().ok(), Some(number));
        for text in ["S-7Q4K-2M91", "s7q4k2m9l", " s-7q4k-2m9i ", "7Q4K 2M91"] {
            assert_eq!(text.parse::<CaseNumber>().expect(text).as_str(), "S-7Q4K-2M91");
        }
        for text in ["", "S-7Q4K", "S-7Q4K-2M9U", "S-7Q4K-2M9XX", "S-7Q4K-2Mé"] {
            assert!(text.parse::<CaseNumber>().is_err(), "{text}");
        }
    }

    #[test]
    fn hexadecimal_digits_are_read_back() {
        let bytes = std::array::from_fn(|at| (at * 17) as u8);
        assert_eq!(from_hex(&hex(&bytes)).ok(), Some(bytes));
        for text in ["", "00", "+0000000000000000000000000000000", "zz000000000000000000000000000000"] {
            assert!(from_hex(text).is_err(), "{text}");
        }
    }
}
