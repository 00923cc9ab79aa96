//! The frames of `stroll.v1`, the public WebSocket interface: parsing what clients send, writing what they get.
//!
//! Parsing checks shapes and bounds, so that a [`ClientFrame`] is always well-formed; whether it is allowed at this moment is
//! the session's affair.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Subprotocol, offered by clients and echoed.
pub const SUBPROTOCOL: &str = "stroll.v1";
/// Largest frame from a client, in bytes.
pub const MAX_FRAME: usize = 16 * 1024;
/// Longest message, in characters.
pub const MAX_MESSAGE_CHARS: usize = 2_000;
/// Most messages and signals of one side that the other has not acknowledged.
pub const MAX_UNACKED: u64 = 64;
/// Most interests of a wish.
pub const MAX_INTERESTS: usize = 10;
/// Longest interest, in characters.
const MAX_INTEREST_CHARS: usize = 64;
/// Most languages of a wish.
const MAX_LANGUAGES: usize = 5;
/// Longest patience, in milliseconds. Longer ones are cut to it.
const MAX_PATIENCE_MS: u64 = 600_000;
/// Patience where a client names none, in milliseconds.
const DEFAULT_PATIENCE_MS: u64 = 5_000;
/// Largest signal, in bytes of JSON.
const MAX_SIGNAL: usize = 12 * 1024;
/// Longest comment of a report, in characters.
const MAX_COMMENT_CHARS: usize = 1_000;
const NOT_A_FRAME: &str = "a frame is a JSON object with a string `type`";
/// What a report may give as its reason.
const REPORT_REASONS: [&str; 8] =
    ["nudity", "minor", "harassment", "hate", "threat", "spam", "self_harm", "other"];

/// A frame from a client, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    /// The first frame.
    Hello(Hello),
    /// Wait for a stranger.
    Find(Find),
    /// Stop waiting.
    Cancel,
    /// A text to the stranger.
    Message {
        /// The client's own count, from 1.
        seq: u64,
        /// 1 to 2,000 characters.
        text: Private,
    },
    /// WebRTC signalling to the stranger.
    Signal {
        /// Same count as messages.
        seq: u64,
        /// A JSON object.
        data: Private,
    },
    /// Everything of the stranger's up to here has arrived.
    Ack {
        /// Cumulative.
        seq: u64,
    },
    /// Typing began or ended.
    Typing {
        /// Began.
        on: bool,
    },
    /// End the chat.
    Leave,
    /// Meet the same stranger again.
    Again,
    /// Report the stranger.
    Report {
        /// One of the protocol's reasons.
        reason: &'static str,
        /// At most 1,000 characters.
        comment: Private,
    },
}

/// Text of a chat. Debug shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Private(pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

/// `hello`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// Token of an earlier `welcome`.
    pub session: Option<String>,
    /// Token of an earlier `matched`.
    pub resume: Option<String>,
    /// Says to be of age.
    pub adult: bool,
    /// Accepts the terms.
    pub terms: bool,
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("adult", &self.adult)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

/// `find`, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// Text or video.
    pub mode: Mode,
    /// As typed, trimmed, duplicates dropped.
    pub interests: Vec<String>,
    /// Primary subtags, lower case, duplicates dropped. Empty: any.
    pub languages: Vec<String>,
    /// How long to look only for shared interests. Zero without interests.
    pub patience_ms: u64,
    /// For ever, instead.
    pub only_interests: bool,
    /// Asks for spy mode.
    pub spy_mode: bool,
}

/// What a chat is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Text only.
    Text,
    /// Text and signalling.
    Video,
}

/// Why a frame was refused. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// From a closed list.
    pub code: Code,
    /// For people.
    pub text: Cow<'static, str>,
    /// When trying again may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// The `code` of an `error` frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not JSON, not an object, a field missing or of the wrong type.
    BadFrame,
    /// No such `type`.
    UnknownType,
    /// Not in this state.
    NotNow,
    /// Longer than allowed.
    TooLong,
    /// Outside what a field may hold.
    BadValue,
    /// Not the next number.
    BadSeq,
    /// Too fast, or too much not acknowledged.
    SlowDown,
    /// The pool is full.
    Busy,
    /// `hello` came without `adult` and `terms`.
    ConsentRequired,
    /// May not take part.
    Banned,
    /// Something behind the gateway is away, or the feature is not offered.
    Unavailable,
    /// The chat of the resume token can't be gone on with.
    ResumeFailed,
}

impl Code {
    /// As in the protocol, for the label of a metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::UnknownType => "unknown_type",
            Self::NotNow => "not_now",
            Self::TooLong => "too_long",
            Self::BadValue => "bad_value",
            Self::BadSeq => "bad_seq",
            Self::SlowDown => "slow_down",
            Self::Busy => "busy",
            Self::ConsentRequired => "consent_required",
            Self::Banned => "banned",
            Self::Unavailable => "unavailable",
            Self::ResumeFailed => "resume_failed",
        }
    }
}

impl Refusal {
    /// Without a time to try again.
    #[must_use]
    pub fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: text.into(), retry_after_ms: None }
    }

    /// With the time after which trying again may help.
    #[must_use]
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

/// A frame to a client. It may hold what was said, or a token, so only tests can print it. The names and fields are those of the interface, which documents them.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(Debug))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    Welcome {
        session: String,
        online: u64,
        limits: Limits,
    },
    Idle,
    Waiting {
        interests: Vec<String>,
        patience_ms: u64,
    },
    Matched(Box<Matched>),
    Message {
        seq: u64,
        text: Private,
        from: From,
    },
    Signal {
        seq: u64,
        data: Box<RawJson>,
    },
    Ack {
        seq: u64,
    },
    Typing {
        on: bool,
        from: From,
    },
    Resumed {
        chat: String,
        received: u64,
    },
    Stranger {
        state: Presence,
    },
    Ended {
        chat: String,
        by: By,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Notice {
        code: String,
        text: String,
    },
    Reported {
        case: String,
    },
    Error(Refusal),
}

/// What `welcome` tells of the server's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Longest message, in characters.
    pub message_chars: usize,
    /// Most unacknowledged messages and signals.
    pub unacked: u64,
    /// Most interests.
    pub interests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_chars: MAX_MESSAGE_CHARS, unacked: MAX_UNACKED, interests: MAX_INTERESTS }
    }
}

/// `matched`, field by field as the interface documents it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(Debug))]
pub struct Matched {
    pub chat: String,
    pub role: Role,
    pub common_interests: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    pub mode: Mode,
    pub initiator: bool,
    pub resume: String,
}

/// What a participant may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Talks.
    Stranger,
    /// Watches.
    Spy,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum From {
    /// The other one.
    #[serde(rename = "stranger")]
    Stranger,
    /// Seat 1, to a spy.
    #[serde(rename = "stranger_1")]
    Stranger1,
    /// Seat 2, to a spy.
    #[serde(rename = "stranger_2")]
    Stranger2,
}

/// Whether the stranger is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// The connection was lost.
    Away,
    /// It came back.
    Back,
}

/// Who or what ended a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// This client.
    You,
    /// The stranger.
    Stranger,
    /// One side was gone for too long.
    Away,
    /// A verdict or a ban.
    Moderation,
    /// Something broke.
    Error,
}

/// JSON that is passed on as it came. Debug shows nothing of it.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct RawJson(Box<RawValue>);

impl RawJson {
    /// From text; none if it is not JSON.
    #[must_use]
    pub fn new(text: String) -> Option<Self> {
        RawValue::from_string(text).ok().map(Self)
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

impl Serialize for Private {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl ServerFrame {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[expect(clippy::expect_used, reason = "these types have string keys only and no fallible part")]
        serde_json::to_string(self).expect("a frame is JSON")
    }
}

// === impl ClientFrame ===

impl ClientFrame {
    /// From a text frame.
    ///
    /// # Errors
    /// `bad_frame`, `unknown_type`, `too_long` or `bad_value`, with a sentence for the client's maker.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
        }
        // serde would take an array for an object.
        if !text.trim_start().starts_with('{') {
            return Err(bad_frame(NOT_A_FRAME));
        }
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| bad_frame(NOT_A_FRAME))?;
        match &*envelope.kind {
            "hello" => fields(text).map(Self::Hello),
            "find" => fields(text).and_then(RawFind::check).map(Self::Find),
            "cancel" => Ok(Self::Cancel),
            "message" => fields(text).and_then(RawMessage::check),
            "signal" => fields(text).and_then(RawSignal::check),
            "ack" => fields(text).map(|RawAck { seq }| Self::Ack { seq }),
            "typing" => fields(text).map(|RawTyping { on }| Self::Typing { on }),
            "leave" => Ok(Self::Leave),
            "again" => Ok(Self::Again),
            "report" => fields(text).and_then(RawReport::check),
            _ => Err(Refusal::new(Code::UnknownType, "no such type of frame")),
        }
    }
}

fn fields<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|_| bad_frame("a field is missing or of the wrong type"))
}

fn bad_frame(text: &'static str) -> Refusal {
    Refusal::new(Code::BadFrame, text)
}

fn bad_value(text: &'static str) -> Refusal {
    Refusal::new(Code::BadValue, text)
}

fn too_long(text: &'static str) -> Refusal {
    Refusal::new(Code::TooLong, text)
}

#[derive(Deserialize)]
struct RawMessage {
    seq: u64,
    text: String,
}

impl RawMessage {
    fn check(self) -> Result<ClientFrame, Refusal> {
        if self.text.is_empty() {
            return Err(bad_value("a message has at least one character"));
        }
        if self.text.chars().count() > MAX_MESSAGE_CHARS {
            return Err(too_long("a message has at most 2,000 characters"));
        }
        Ok(ClientFrame::Message { seq: self.seq, text: Private(self.text) })
    }
}

#[derive(Deserialize)]
struct RawSignal {
    seq: u64,
    data: Box<RawValue>,
}

impl RawSignal {
    fn check(self) -> Result<ClientFrame, Refusal> {
        let data = self.data.get();
        if !data.starts_with('{') {
            return Err(bad_frame("`data` is an object"));
        }
        if data.len() > MAX_SIGNAL {
            return Err(too_long("`data` has at most 12 KiB"));
        }
        Ok(ClientFrame::Signal { seq: self.seq, data: Private(data.to_owned()) })
    }
}

#[derive(Deserialize)]
struct RawAck {
    seq: u64,
}

#[derive(Deserialize)]
struct RawTyping {
    on: bool,
}

#[derive(Deserialize)]
struct RawReport {
    reason: String,
    #[serde(default)]
    comment: Option<String>,
}

impl RawReport {
    fn check(self) -> Result<ClientFrame, Refusal> {
        let reason = REPORT_REASONS.into_iter().find(|known| *known == self.reason);
        let reason = reason.ok_or_else(|| bad_value("no such `reason`"))?;
        let comment = self.comment.unwrap_or_default();
        if comment.chars().count() > MAX_COMMENT_CHARS {
            return Err(too_long("a comment has at most 1,000 characters"));
        }
        Ok(ClientFrame::Report { reason, comment: Private(comment) })
    }
}

#[derive(Deserialize)]
struct RawFind<'a> {
    #[serde(borrow)]
    mode: Cow<'a, str>,
    #[serde(default)]
    interests: Vec<String>,
    #[serde(default)]
    languages: Vec<String>,
    patience_ms: Option<u64>,
    #[serde(default)]
    only_interests: bool,
    ask: Option<String>,
    #[serde(default)]
    discuss: bool,
}

impl RawFind<'_> {
    fn check(self) -> Result<Find, Refusal> {
        let mode = match &*self.mode {
            "text" => Mode::Text,
            "video" => Mode::Video,
            _ => return Err(bad_value("`mode` is `text` or `video`")),
        };
        let interests = check_interests(&self.interests)?;
        if self.only_interests && interests.is_empty() {
            return Err(bad_value("`only_interests` needs an interest"));
        }
        let question = self.ask.as_deref().map(|question| question.trim().chars().count());
        if question.is_some_and(|chars| !(10..=200).contains(&chars)) {
            return Err(bad_value("a question has 10 to 200 characters"));
        }
        let patience_ms = self.patience_ms.unwrap_or(DEFAULT_PATIENCE_MS).min(MAX_PATIENCE_MS);
        Ok(Find {
            mode,
            patience_ms: if interests.is_empty() { 0 } else { patience_ms },
            interests,
            languages: check_languages(&self.languages)?,
            only_interests: self.only_interests,
            spy_mode: question.is_some() || self.discuss,
        })
    }
}

/// Trims, drops what is empty and what is there already whatever its case.
fn check_interests(typed: &[String]) -> Result<Vec<String>, Refusal> {
    if typed.len() > MAX_INTERESTS {
        return Err(bad_value("at most 10 interests"));
    }
    let mut kept: Vec<String> = Vec::with_capacity(typed.len());
    for interest in typed.iter().map(|interest| interest.trim()).filter(|interest| !interest.is_empty()) {
        if interest.chars().count() > MAX_INTEREST_CHARS {
            return Err(too_long("an interest has at most 64 characters"));
        }
        let lower = interest.to_lowercase();
        if !kept.iter().any(|other| other.to_lowercase() == lower) {
            kept.push(interest.to_owned());
        }
    }
    Ok(kept)
}

/// Primary subtags of BCP 47 tags.
fn check_languages(tags: &[String]) -> Result<Vec<String>, Refusal> {
    if tags.len() > MAX_LANGUAGES {
        return Err(bad_value("at most 5 languages"));
    }
    let mut primaries = Vec::with_capacity(tags.len());
    for tag in tags {
        let primary = primary_subtag(tag)
            .ok_or_else(|| bad_value("a language is a BCP 47 tag such as `en` or `pt-BR`"))?;
        if !primaries.contains(&primary) {
            primaries.push(primary);
        }
    }
    Ok(primaries)
}

/// RFC 5646, section 2.1: a language of 2 to 8 letters, then subtags of 1 to 8 letters and digits.
fn primary_subtag(tag: &str) -> Option<String> {
    let mut subtags = tag.split('-');
    let primary = subtags.next().filter(|primary| {
        (2..=8).contains(&primary.len()) && primary.bytes().all(|byte| byte.is_ascii_alphabetic())
    })?;
    let rest_is_good = tag.len() <= 35
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    rest_is_good.then(|| primary.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Code {
        ClientFrame::parse(text).expect_err(text).code
    }

    #[test]
    fn every_malformed_frame_has_its_code() {
        let long = "x".repeat(MAX_MESSAGE_CHARS + 1);
        let big = "x".repeat(MAX_SIGNAL);
        let cases = [
            ("", Code::BadFrame),
            ("nonsense", Code::BadFrame),
            ("[]", Code::BadFrame),
            (r#"["leave"]"#, Code::BadFrame),
            ("{}", Code::BadFrame),
            (r#"{"type":7}"#, Code::BadFrame),
            (r#"{"type":"dance"}"#, Code::UnknownType),
            (r#"{"type":"hello","session":7}"#, Code::BadFrame),
            (r#"{"type":"message","text":"hi"}"#, Code::BadFrame),
            (r#"{"type":"message","seq":-1,"text":"hi"}"#, Code::BadFrame),
            (r#"{"type":"message","seq":1,"text":""}"#, Code::BadValue),
            (&format!(r#"{{"type":"message","seq":1,"text":"{long}"}}"#), Code::TooLong),
            (r#"{"type":"signal","seq":1,"data":[]}"#, Code::BadFrame),
            (&format!(r#"{{"type":"signal","seq":1,"data":{{"x":"{big}"}}}}"#), Code::TooLong),
            (r#"{"type":"typing"}"#, Code::BadFrame),
            (r#"{"type":"ack","seq":"1"}"#, Code::BadFrame),
            (r#"{"type":"report","reason":"boring"}"#, Code::BadValue),
            (&format!(r#"{{"type":"report","reason":"spam","comment":"{long}"}}"#), Code::TooLong),
            (r#"{"type":"find"}"#, Code::BadFrame),
            (r#"{"type":"find","mode":"smell"}"#, Code::BadValue),
            (
                r#"{"type":"find","mode":"text","interests":["1","2","3","4","5","6","7","8","9","10","11"]}"#,
                Code::BadValue,
            ),
            (&format!(r#"{{"type":"find","mode":"text","interests":["{}"]}}"#, &long[..65]), Code::TooLong),
            (r#"{"type":"find","mode":"text","languages":["english!"]}"#, Code::BadValue),
            (r#"{"type":"find","mode":"text","languages":["a","b","c","d","e","f"]}"#, Code::BadValue),
            (r#"{"type":"find","mode":"text","only_interests":true}"#, Code::BadValue),
            (r#"{"type":"find","mode":"text","ask":"why?"}"#, Code::BadValue),
        ];
        for (text, code) in cases {
            assert_eq!(refused(text), code, "{}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn a_wish_is_normalised_and_unknown_fields_are_ignored() {
        let frame = ClientFrame::parse(
            r#"{"type":"find","mode":"text","interests":[" Rust ","rust","","Chess"],"languages":["pt-BR","PT","en"],"hat":1}"#,
        );
        let Ok(ClientFrame::Find(find)) = frame else { panic!("{frame:?}") };
        assert_eq!(find.interests, ["Rust", "Chess"]);
        assert_eq!(find.languages, ["pt", "en"]);
        assert_eq!(find.patience_ms, DEFAULT_PATIENCE_MS);
        let Ok(ClientFrame::Find(find)) =
            ClientFrame::parse(r#"{"type":"find","mode":"video","patience_ms":9}"#)
        else {
            panic!("a good frame")
        };
        assert_eq!((find.patience_ms, find.mode), (0, Mode::Video));
    }

    #[test]
    fn messages_count_characters_and_debug_never_shows_them() {
        let text = "é".repeat(MAX_MESSAGE_CHARS);
        let frame = ClientFrame::parse(&format!(r#"{{"type":"message","seq":1,"text":"{text}"}}"#))
            .expect("2,000 characters");
        assert_eq!(format!("{frame:?}"), "Message { seq: 1, text: REDACTED }");
        let hello = ClientFrame::parse(r#"{"type":"hello","session":"topsecret"}"#).expect("a hello");
        assert!(!format!("{hello:?}").contains("topsecret"));
    }

    #[test]
    fn frames_to_clients_have_the_protocols_shape() {
        let json = |frame: ServerFrame| frame.to_json();
        assert_eq!(json(ServerFrame::Idle), r#"{"type":"idle"}"#);
        assert_eq!(
            json(ServerFrame::Error(Refusal::new(Code::SlowDown, "slower").retry_after(5))),
            r#"{"type":"error","code":"slow_down","text":"slower","retry_after_ms":5}"#
        );
        assert_eq!(
            json(ServerFrame::Ended { chat: "c".into(), by: By::You, reason: None }),
            r#"{"type":"ended","chat":"c","by":"you"}"#
        );
        let data = RawJson::new(r#"{"sdp":"v=0"}"#.into()).expect("JSON");
        assert_eq!(
            json(ServerFrame::Signal { seq: 3, data: Box::new(data) }),
            r#"{"type":"signal","seq":3,"data":{"sdp":"v=0"}}"#
        );
        assert_eq!(
            json(ServerFrame::Message { seq: 1, text: Private("hi".into()), from: From::Stranger1 }),
            r#"{"type":"message","seq":1,"text":"hi","from":"stranger_1"}"#
        );
    }
}
