//! The frames of `stroll.v1`, the public WebSocket interface: parsing what clients send, writing what they get.
//!
//! Parsing checks shapes and bounds, so that a [`ClientFrame`] is always well-formed; whether it is allowed at this moment is
//! the session's affair.

mod client;
mod find;
mod server;

use std::{borrow::Cow, fmt};

use serde::Serialize;

pub use self::{
    client::{ClientFrame, Hello, MAX_SIGNAL},
    find::{Aim, College, Find, MAX_INTEREST_CHARS, MAX_INTERESTS, QUESTION_CHARS, kept_interests},
    server::{By, From, Limits, Matched, Presence, RawJson, Role, ServerFrame},
};

/// Subprotocol, offered by clients and echoed.
pub const SUBPROTOCOL: &str = "stroll.v1";
/// Largest frame from a client, in bytes.
pub const MAX_FRAME: usize = 16 * 1024;
/// Longest message, in characters.
pub const MAX_MESSAGE_CHARS: usize = 2_000;
/// Most messages and signals of one side that the other has not acknowledged.
pub const MAX_UNACKED: u64 = 64;

/// Text of a chat. Debug shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Private(pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

impl Serialize for Private {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
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

fn bad_frame(text: &'static str) -> Refusal {
    Refusal::new(Code::BadFrame, text)
}

fn bad_value(text: &'static str) -> Refusal {
    Refusal::new(Code::BadValue, text)
}

fn too_long(text: &'static str) -> Refusal {
    Refusal::new(Code::TooLong, text)
}
