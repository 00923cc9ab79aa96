//! What a chat asks its surroundings to do, and what it makes of a frame.

use chassis::id::Seat;
use stroll_proto::v1::{EndedBy, ReportRequest, Said, relay_frame::Body};

/// Something to be done, in order.
#[derive(Clone, PartialEq)]
pub(crate) enum Effect {
    /// A frame to the gateway that holds the seat.
    Send {
        /// To whom.
        seat: Seat,
        /// The seat's number on its gateway's stream.
        handle: u64,
        /// What.
        body: Body,
    },
    /// A text to be inspected.
    Inspect(Said),
    /// A report to be stored; the answer comes back with `Chat::on_reported`.
    Report {
        /// Who reports.
        seat: Seat,
        /// With the frozen transcript.
        request: Box<ReportRequest>,
    },
    /// The chat is over, by whom or what; or has gone to another relay. Comes once.
    Over(Option<EndedBy>),
}

/// What happens to texts at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Moderation gets them.
    Inspecting,
    /// Moderation can't be reached, and they go on without.
    Passing,
    /// Moderation can't be reached, and they are withheld until it can.
    Holding,
}

/// What was done with a frame that changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// A text went to at least one other seat.
    Message,
    /// Signalling went to the other seat.
    Signal,
    /// An acknowledgement was counted.
    Ack,
    /// Typing was told.
    Typing,
    /// It was for the relay itself.
    Handled,
}

/// Why a frame changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    /// The handle was never attached on this stream, or is long over.
    UnknownHandle,
    /// `attach` with a handle that is in use.
    HandleInUse,
    /// The frame has no body that is known here.
    Empty,
    /// Another stream or handle took the seat over.
    Replaced,
    /// The chat hasn't begun.
    NotStarted,
    /// The chat is over, or the seat left it.
    Over,
    /// Nobody is there to get it; it will be repeated.
    NobodyThere,
    /// It is withheld; it will be repeated.
    Held,
    /// Larger than allowed, or without content.
    BadSize,
    /// Signalling in a chat that is for text only.
    WrongMode,
    /// A spy only watches.
    Spy,
    /// `decline` of a seat that is taken, or with a token that is not good.
    BadDecline,
}
