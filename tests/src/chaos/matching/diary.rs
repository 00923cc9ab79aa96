//! What one stranger saw. Times are counted from the beginning of the run.

use std::time::Duration;

use super::plan::Wish;

/// What one stranger saw.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    /// Whose.
    pub stranger: u32,
    /// Each wish, in order.
    pub waits: Vec<Wait>,
    /// Each chat, in order.
    pub chats: Vec<Chat>,
    /// A `matched` that came while in a chat, or unasked.
    pub doubles: Vec<String>,
    /// What else a client should never see.
    pub oddities: Vec<String>,
    /// `error` frames that made it try again.
    pub refusals: Vec<String>,
    /// Sockets that were lost.
    pub lost_sockets: u32,
}

/// One wish, from `find` on.
#[derive(Clone, Debug)]
pub struct Wait {
    /// For what.
    pub wish: Wish,
    /// When `find` was sent.
    pub asked: Duration,
    /// When `waiting` came.
    pub told: Option<Duration>,
    /// When it was over, or, of a cancelled one, when `cancel` was sent.
    pub ended: Duration,
    /// How.
    pub ending: Ending,
}

/// How a wish ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By `matched`.
    Matched,
    /// By the stranger's own `cancel`.
    Cancelled,
    /// By an `error`.
    Refused,
    /// With the socket.
    Lost,
    /// By the end of the run.
    LeftOver,
}

/// One chat.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Its id.
    pub id: String,
    /// When `matched` came.
    pub began: Duration,
    /// When `ended` came.
    pub ended: Duration,
    /// Who ended it, as `ended` says.
    pub by: String,
    /// Whether this one was to make the first step.
    pub initiator: bool,
    /// Who the other one said to be.
    pub heard: Option<u32>,
}
