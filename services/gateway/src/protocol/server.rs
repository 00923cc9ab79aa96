//! What clients get.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{MAX_INTERESTS, MAX_MESSAGE_CHARS, MAX_UNACKED, Mode, Private, Refusal};

/// A frame to a client. It may hold what was said, or a token, so only tests can print it. The names and fields are those of the interface, which documents them.
#[derive(Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(Debug))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    Welcome {
        session: String,
        online: u64,
        limits: Limits,
        /// The operator's, where there is a choice.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        sections: Vec<String>,
    },
    Idle,
    Waiting {
        interests: Vec<String>,
        patience_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        estimate_ms: Option<u64>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        widened: bool,
        /// A session token that keeps the place over a loss of this gateway.
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<String>,
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
        /// A resume token in place of the one of `matched`: the chat has gone on elsewhere.
        #[serde(skip_serializing_if = "Option::is_none")]
        resume: Option<String>,
    },
    Stranger {
        state: Presence,
        /// How long from now the chat goes on without them, while they are away.
        #[serde(skip_serializing_if = "Option::is_none")]
        grace_ms: Option<u64>,
    },
    Ended {
        chat: String,
        by: By,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// A session token that remembers the strangers of this chat.
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// This gateway is being replaced: connect anew after so long, then close this socket.
    GoingAway {
        reconnect_after_ms: u64,
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

    /// As it came.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
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

impl ServerFrame {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        #[expect(clippy::expect_used, reason = "these types have string keys only and no fallible part")]
        serde_json::to_string(self).expect("a frame is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Code, *};

    #[test]
    fn frames_to_clients_have_the_protocols_shape() {
        let json = |frame: ServerFrame| frame.to_json();
        assert_eq!(json(ServerFrame::Idle), r#"{"type":"idle"}"#);
        assert_eq!(
            json(ServerFrame::Error(Refusal::new(Code::SlowDown, "slower").retry_after(5))),
            r#"{"type":"error","code":"slow_down","text":"slower","retry_after_ms":5}"#
        );
        assert_eq!(
            json(ServerFrame::Ended { chat: "c".into(), by: By::You, reason: None, session: None }),
            r#"{"type":"ended","chat":"c","by":"you"}"#
        );
        assert_eq!(
            json(ServerFrame::Ended {
                chat: "c".into(),
                by: By::Moderation,
                reason: Some("r".into()),
                session: Some("s".into())
            }),
            r#"{"type":"ended","chat":"c","by":"moderation","reason":"r","session":"s"}"#
        );
        let waiting = |estimate_ms, widened| {
            json(ServerFrame::Waiting {
                interests: vec!["tea".into()],
                patience_ms: 5,
                estimate_ms,
                widened,
                session: None,
            })
        };
        assert_eq!(waiting(None, false), r#"{"type":"waiting","interests":["tea"],"patience_ms":5}"#);
        assert_eq!(
            waiting(Some(7), true),
            r#"{"type":"waiting","interests":["tea"],"patience_ms":5,"estimate_ms":7,"widened":true}"#
        );
        let welcome = |sections: &[&str]| {
            let sections = sections.iter().map(|&name| name.to_owned()).collect();
            json(ServerFrame::Welcome { session: "s".into(), online: 1, limits: Limits::default(), sections })
        };
        assert!(!welcome(&[]).contains("sections"));
        assert!(welcome(&["main", "night"]).ends_with(r#","sections":["main","night"]}"#));
        assert_eq!(
            json(ServerFrame::GoingAway { reconnect_after_ms: 7 }),
            r#"{"type":"going_away","reconnect_after_ms":7}"#
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
