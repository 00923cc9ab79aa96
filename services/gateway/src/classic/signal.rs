//! WebRTC signalling as JSON: what is passed on unchanged, and what it is.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::protocol::{MAX_SIGNAL, Private};

/// What a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Has `type` and `sdp`.
    Description,
    /// Has `candidate`.
    Candidate,
}

/// What a signal is, if it is something that classic clients know.
#[must_use]
pub fn kind(json: &str) -> Option<Signal> {
    #[derive(Deserialize)]
    struct Fields {
        r#type: Option<IgnoredAny>,
        sdp: Option<IgnoredAny>,
        candidate: Option<IgnoredAny>,
    }
    let Fields { r#type, sdp, candidate } = serde_json::from_str(json).ok()?;
    if r#type.is_some() && sdp.is_some() {
        return Some(Signal::Description);
    }
    candidate.map(|_| Signal::Candidate)
}

/// What a client posted, if it is a JSON object and not too long.
#[must_use]
pub fn checked(json: &str) -> Option<Private> {
    let value: &RawValue = serde_json::from_str(json).ok()?;
    let object = value.get();
    (object.starts_with('{') && object.len() <= MAX_SIGNAL).then(|| Private(object.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_its_fields() {
        assert_eq!(kind(r#"{"sdp":"v=0","type":"offer"}"#), Some(Signal::Description));
        assert_eq!(kind(r#"{"candidate":"","sdpMid":"0"}"#), Some(Signal::Candidate));
        for other in [r#"{"type":"bye"}"#, "{}", "[]", "nonsense", r#"{"sdp":"v=0"}"#] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn only_objects_of_at_most_12_kib_are_passed_on() {
        let of = |length: usize| format!(r#"{{"sdp":"{}"}}"#, "x".repeat(length - 10));
        assert_eq!(checked(&format!(" {} ", of(MAX_SIGNAL))), Some(Private(of(MAX_SIGNAL))));
        assert_eq!(checked(&of(MAX_SIGNAL + 1)), None);
        for bad in ["", "[]", "7", "{", "{}{}"] {
            assert_eq!(checked(bad), None, "{bad}");
        }
    }
}
