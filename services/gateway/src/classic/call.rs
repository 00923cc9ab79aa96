//! What clients ask of a session that is there, and what they are answered: at the gateway that holds it, or through another.

use std::time::Duration;

use stroll_proto::v1::{
    CallOutcome, CallSessionRequest, CallSessionResponse, Disconnect, Poll, Signals, Widen,
    call_session_request::Call as ProtoCall,
};

use super::{id::ClientId, signal};
use crate::protocol::{MAX_MESSAGE_CHARS, Private};

/// How long a poll is open when there is nothing to say. Clients give up after 62 s and later.
pub const POLL: Duration = Duration::from_secs(58);

/// A poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// How long it may wait for events.
    pub wait: Duration,
    /// The same when it is asked again because the answer did not arrive; 0: it isn't.
    pub number: u64,
}

/// A call, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `/events`.
    Poll(Polling),
    /// `/send`.
    Message(Private),
    /// `/typing`, `/stoppedtyping`.
    Typing(bool),
    /// `/disconnect`.
    Disconnect,
    /// `/stoplookingforcommonlikes`.
    Widen,
    /// `/recaptcha`.
    Captcha(Private),
    /// `/rtcpeerdescription`, `/icecandidate`.
    Signals(Vec<Private>),
    /// Another gateway's poll of this number was broken off.
    BrokenOff(u64),
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `win`.
    Done,
    /// `fail`.
    Failed,
    /// There is no such session.
    Unknown,
    /// Events, as a JSON array.
    Events(String),
    /// The client is too fast.
    TooFast(Duration),
    /// The gateway that holds the session can't be reached at the moment.
    Unreachable,
}

impl Call {
    /// `/send`; nothing if the message is empty or too long.
    #[must_use]
    pub fn message(text: &str) -> Option<Self> {
        let is_good = !text.is_empty() && text.chars().count() <= MAX_MESSAGE_CHARS;
        is_good.then(|| Self::Message(Private(text.to_owned())))
    }

    /// WebRTC signalling; nothing if there is none, or one is no JSON object or too long.
    #[must_use]
    pub fn signals<'a>(data: impl Iterator<Item = &'a str>) -> Option<Self> {
        let signals = data.map(signal::checked).collect::<Option<Vec<_>>>()?;
        (!signals.is_empty()).then_some(Self::Signals(signals))
    }

    /// For the label of a metric.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Poll(_) => "events",
            Self::Message(_) => "send",
            Self::Typing(_) => "typing",
            Self::Disconnect => "disconnect",
            Self::Widen => "stoplookingforcommonlikes",
            Self::Captcha(_) => "recaptcha",
            Self::Signals(_) => "signal",
            Self::BrokenOff(_) => "broken_off",
        }
    }

    /// Whether the same once more does no harm.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        !matches!(self, Self::Message(_) | Self::Signals(_) | Self::Captcha(_))
    }

    /// For the gateway that holds the session.
    #[must_use]
    pub fn request(self, id: &ClientId) -> CallSessionRequest {
        let call = match self {
            Self::Poll(Polling { wait, number }) => {
                let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                ProtoCall::Poll(Poll { wait_ms, number })
            }

            Self::Message(text) => ProtoCall::Message(text.0),
            Self::Typing(on) => ProtoCall::Typing(on),
            Self::Disconnect => ProtoCall::Disconnect(Disconnect {}),
            Self::Widen => ProtoCall::Widen(Widen {}),
            Self::Captcha(response) => ProtoCall::Captcha(response.0),
            Self::Signals(signals) => {
                ProtoCall::Signals(Signals { data: signals.into_iter().map(|signal| signal.0).collect() })
            }
            Self::BrokenOff(number) => ProtoCall::BrokenOff(number),
        };
        CallSessionRequest { id: id.as_str().to_owned(), call: Some(call) }
    }

    /// From another gateway, checked again.
    #[must_use]
    pub fn from_request(call: ProtoCall) -> Option<Self> {
        match call {
            ProtoCall::Poll(Poll { wait_ms, number }) => {
                let wait = Duration::from_millis(wait_ms).min(POLL);
                Some(Self::Poll(Polling { wait, number }))
            }

            ProtoCall::Message(text) => Self::message(&text),
            ProtoCall::Typing(on) => Some(Self::Typing(on)),
            ProtoCall::Disconnect(Disconnect {}) => Some(Self::Disconnect),
            ProtoCall::Widen(Widen {}) => Some(Self::Widen),
            ProtoCall::Captcha(response) => Some(Self::Captcha(Private(response))),
            ProtoCall::BrokenOff(number) => Some(Self::BrokenOff(number)),
            ProtoCall::Signals(signals) => Self::signals(signals.data.iter().map(String::as_str)),
        }
    }
}

impl Answer {
    /// Of a poll that has nothing to say.
    #[must_use]
    pub fn nothing() -> Self {
        Self::Events("[]".to_owned())
    }

    /// For the label of a metric.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done | Self::Events(_) => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::TooFast(_) => "too_fast",
            Self::Unreachable => "unreachable",
        }
    }

    /// For the gateway that asks.
    #[must_use]
    pub fn into_response(self) -> CallSessionResponse {
        let (outcome, events, retry_after) = match self {
            Self::Done => (CallOutcome::Done, String::new(), Duration::ZERO),
            Self::Events(events) => (CallOutcome::Done, events, Duration::ZERO),
            Self::Failed => (CallOutcome::Failed, String::new(), Duration::ZERO),
            Self::Unknown | Self::Unreachable => (CallOutcome::Unknown, String::new(), Duration::ZERO),
            Self::TooFast(wait) => (CallOutcome::TooFast, String::new(), wait),
        };
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        CallSessionResponse { outcome: outcome.into(), events, retry_after_ms }
    }
}

impl From<CallSessionResponse> for Answer {
    fn from(response: CallSessionResponse) -> Self {
        match response.outcome() {
            CallOutcome::Done if response.events.is_empty() => Self::Done,
            CallOutcome::Done => Self::Events(response.events),
            CallOutcome::TooFast => Self::TooFast(Duration::from_millis(response.retry_after_ms)),
            CallOutcome::Unknown => Self::Unknown,
            CallOutcome::Failed | CallOutcome::Unspecified => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_the_same_at_the_other_gateway() {
        let id = ClientId::parse("central1:r2s8xwxq484rlb7c641u5dqu1tbzor").expect("an id");
        let signals = [r#"{"candidate":"a"}"#, r#"{"candidate":"b"}"#];
        let calls = [
            Call::Poll(Polling { wait: POLL, number: 0 }),
            Call::Poll(Polling { wait: Duration::from_secs(1), number: 7 }),
            Call::message("é & = + %").expect("a message"),
            Call::Typing(true),
            Call::Typing(false),
            Call::Disconnect,
            Call::Widen,
            Call::Captcha(Private("03AGdBq".into())),
            Call::signals(signals.into_iter()).expect("signals"),
            Call::BrokenOff(7),
        ];
        for call in calls {
            let request = call.clone().request(&id);
            assert_eq!(request.id, id.as_str());
            assert_eq!(request.call.and_then(Call::from_request), Some(call));
        }
    }

    #[test]
    fn an_answer_is_the_same_at_this_gateway() {
        let answers = [
            Answer::Done,
            Answer::Failed,
            Answer::Unknown,
            Answer::Events("[]".into()),
            Answer::TooFast(Duration::from_millis(250)),
        ];
        for answer in answers {
            assert_eq!(Answer::from(answer.clone().into_response()), answer);
        }
    }

    #[test]
    fn messages_and_signals_are_bounded() {
        assert!(Call::message("").is_none());
        assert!(Call::message(&"é".repeat(2_000)).is_some());
        assert!(Call::message(&"é".repeat(2_001)).is_none());
        assert!(Call::signals(std::iter::empty()).is_none());
        assert!(Call::signals([r#"{"a":1}"#, "nonsense"].into_iter()).is_none());
    }
}
