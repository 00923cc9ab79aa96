//! What clients send.

use std::{borrow::Cow, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Code, Find, MAX_MESSAGE_CHARS, Private, Refusal, bad_frame, bad_value, find::RawFind, too_long};
use crate::config::Wishes;

/// Largest signal, in bytes of JSON.
pub const MAX_SIGNAL: usize = 12 * 1024;
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
    Find(Box<Find>),
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
    Leave {
        /// And never meet these strangers again.
        block: bool,
    },
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

// === impl ClientFrame ===

impl ClientFrame {
    /// From a text frame.
    ///
    /// # Errors
    /// `bad_frame`, `unknown_type`, `too_long` or `bad_value`, with a sentence for the client's maker.
    pub fn parse(text: &str, wishes: &Wishes) -> Result<Self, Refusal> {
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
            "find" => {
                let find = fields(text).and_then(|find: RawFind<'_>| find.check(wishes));
                find.map(|find| Self::Find(Box::new(find)))
            }
            "cancel" => Ok(Self::Cancel),
            "message" => fields(text).and_then(RawMessage::check),
            "signal" => fields(text).and_then(RawSignal::check),
            "ack" => fields(text).map(|RawAck { seq }| Self::Ack { seq }),
            "typing" => fields(text).map(|RawTyping { on }| Self::Typing { on }),
            "leave" => fields(text).map(|RawLeave { block }| Self::Leave { block }),
            "again" => Ok(Self::Again),
            "report" => fields(text).and_then(RawReport::check),
            _ => Err(Refusal::new(Code::UnknownType, "no such type of frame")),
        }
    }
}

fn fields<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|_| bad_frame("a field is missing or of the wrong type"))
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
struct RawLeave {
    #[serde(default)]
    block: bool,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str) -> Result<ClientFrame, Refusal> {
        let sections = "main".parse().expect("sections");
        ClientFrame::parse(
            text,
            &Wishes { patience: Duration::ZERO, discuss_patience: Duration::ZERO, sections },
        )
    }

    fn refused(text: &str) -> Code {
        parse(text).expect_err(text).code
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
            (r#"{"type":"leave","block":7}"#, Code::BadFrame),
        ];
        for (text, code) in cases {
            assert_eq!(refused(text), code, "{}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn messages_count_characters_and_debug_never_shows_them() {
        let text = "é".repeat(MAX_MESSAGE_CHARS);
        let frame =
            parse(&format!(r#"{{"type":"message","seq":1,"text":"{text}"}}"#)).expect("2,000 characters");
        assert_eq!(format!("{frame:?}"), "Message { seq: 1, text: REDACTED }");
        let hello = parse(r#"{"type":"hello","session":"topsecret"}"#).expect("a hello");
        assert!(!format!("{hello:?}").contains("topsecret"));
    }

    #[test]
    fn leaving_blocks_only_where_it_says_so() {
        assert_eq!(parse(r#"{"type":"leave"}"#), Ok(ClientFrame::Leave { block: false }));
        assert_eq!(parse(r#"{"type":"leave","block":true}"#), Ok(ClientFrame::Leave { block: true }));
    }
}
