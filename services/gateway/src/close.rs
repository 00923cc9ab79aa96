//! How sockets end: one table of numbers, which are also the `reason` label of the disconnect metric.

/// Why a socket is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The client said goodbye.
    Normal,
    /// A binary frame.
    NotText,
    /// The connection was lost without a word.
    Lost,
    /// Text that is not UTF-8 (RFC 6455, section 8.1).
    NotUtf8,
    /// Malformed frames, too many of them.
    Misbehaving,
    /// A frame over 16 KiB.
    TooBig,
    /// This gateway stops.
    Restart,
    /// Too many come at once.
    Overloaded,
    /// No `hello` in time.
    HelloTooLate,
    /// Idle for too long.
    IdleTooLong,
    /// Doesn't read what it is sent.
    SlowConsumer,
    /// A newer socket of the same session took over.
    Replaced,
    /// May not take part.
    Banned,
}

impl Close {
    /// The WebSocket close code. 1006 is never sent; it stands for a connection that was lost.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::NotText => 1003,
            Self::Lost => 1006,
            Self::NotUtf8 => 1007,
            Self::Misbehaving => 1008,
            Self::TooBig => 1009,
            Self::Restart => 1012,
            Self::Overloaded => 1013,
            Self::HelloTooLate => 4001,
            Self::IdleTooLong => 4002,
            Self::SlowConsumer => 4003,
            Self::Replaced => 4004,
            Self::Banned => 4501,
        }
    }

    /// The reason phrase that goes with the code.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "goodbye",
            Self::NotText => "only text frames",
            Self::Lost => "lost",
            Self::NotUtf8 => "not utf-8",
            Self::Misbehaving => "too many bad frames",
            Self::TooBig => "frame over 16 KiB",
            Self::Restart => "service restart",
            Self::Overloaded => "overloaded",
            Self::HelloTooLate => "hello too late",
            Self::IdleTooLong => "idle too long",
            Self::SlowConsumer => "slow consumer",
            Self::Replaced => "replaced by a newer socket",
            Self::Banned => "banned",
        }
    }
}
