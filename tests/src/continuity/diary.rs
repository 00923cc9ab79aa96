//! What one stranger said and was shown.

use std::time::Duration;

use super::Saying;

/// What one stranger said and was shown.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    /// Whose.
    pub stranger: u32,
    /// Each chat that it was told of, in order.
    pub chats: Vec<Chat>,
    /// Texts that came while it was in no chat.
    pub strays: Vec<Shown>,
    /// Each socket that was lost or closed by the gateway.
    pub closes: Vec<Closed>,
    /// What else a client should never see.
    pub oddities: Vec<String>,
    /// `error` frames, by their code, and handshakes that failed.
    pub refusals: Vec<String>,
    /// How often it went to another gateway because it was asked to, before the old socket closed.
    pub moves: u32,
}

/// One chat, seen from one side.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Its id.
    pub id: String,
    /// When `matched` came.
    pub began: Duration,
    /// What this side said; the number of the first one is 1.
    pub said: Vec<Said>,
    /// What this side was shown, without what its client dropped because it had seen it.
    pub shown: Vec<Shown>,
    /// How many the client dropped so.
    pub repeats: u64,
    /// How often the chat was `resumed`.
    pub resumed: u32,
    /// How often the stranger was told to be `away`.
    pub away: u32,
    /// When this side left, if it did.
    pub left: Option<Duration>,
    /// How it ended; none if this side never learned.
    pub ended: Option<Ended>,
}

/// Something said.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    /// When.
    pub at: Duration,
    /// Whether the stranger's client acknowledged it.
    pub acknowledged: bool,
}

/// Something shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// When.
    pub at: Duration,
    /// What; none if nobody can have said it.
    pub saying: Option<Saying>,
}

/// How a chat ended for one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Duration,
    /// How.
    pub how: End,
}

/// What told that a chat was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// `ended`, by whom it said.
    By(String),
    /// `resume_failed`, or a new chat without a word about the old one.
    Gone,
}

/// A socket that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: Duration,
    /// The close code; none if it was just lost.
    pub code: Option<u16>,
    /// Whether the stranger need not notice: its client may connect again at once or after seconds, and be the same.
    pub hidden: bool,
}

impl Closed {
    /// By a close code, or none.
    #[must_use]
    pub fn new(at: Duration, code: Option<u16>) -> Self {
        let hidden = code.is_none_or(|code| matches!(code, 1001 | 1012 | 4000..4500) && code != 4004);
        Self { at, code, hidden }
    }
}

impl Chat {
    /// A chat that begins.
    #[must_use]
    pub fn new(id: &str, began: Duration) -> Self {
        Self {
            id: id.to_owned(),
            began,
            said: Vec::new(),
            shown: Vec::new(),
            repeats: 0,
            resumed: 0,
            away: 0,
            left: None,
            ended: None,
        }
    }
}
