//! Events of the classic protocol: arrays whose first element is the name.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::protocol::{From, Private, RawJson};

/// Something to be told by a poll.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub enum Event {
    /// In the pool.
    Waiting,
    /// Paired.
    Connected,
    /// Likes that are shared, in this side's own spelling.
    CommonLikes(Vec<String>),
    /// To the two who discuss.
    Question(Private),
    /// A pair of digests per stranger.
    IdentDigests(String),
    /// The mail domain of the stranger's college.
    PartnerCollege(String),
    /// This side makes the WebRTC offer.
    RtcCall,
    /// A message. `seq` is the stranger's number.
    Message { seq: u64, from: From, text: Private },
    /// Typing began or ended.
    Typing { from: From, on: bool },
    /// A description of WebRTC.
    Description { seq: u64, data: Box<RawJson> },
    /// A candidate of WebRTC.
    Candidate { seq: u64, data: Box<RawJson> },
    /// The chat is over. The last event.
    Disconnected(From),
    /// The cluster's numbers, as `/status` tells them.
    StatusInfo(Box<RawJson>),
    /// A notice line.
    ServerMessage(Cow<'static, str>),
    /// A captcha is to be solved; its site key.
    CaptchaRequired(String),
    /// It was not solved; its site key.
    CaptchaRejected(String),
    /// Fatal. The last event.
    Error(Cow<'static, str>),
    /// Banned from video: the page goes to this URL. The last event.
    VideoBanned(String),
}

impl Event {
    /// Whether the session is over once this was handed out.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Disconnected(_) | Self::Error(_) | Self::VideoBanned(_))
    }

    /// The stranger's number, of what has one.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Message { seq, from: From::Stranger, .. }
            | Self::Description { seq, .. }
            | Self::Candidate { seq, .. } => Some(*seq),
            _ => None,
        }
    }

    /// About how many bytes it holds.
    #[must_use]
    pub fn size(&self) -> usize {
        let content = match self {
            Self::Message { text, .. } => text.0.len(),
            Self::Description { data, .. } | Self::Candidate { data, .. } => data.get().len(),
            _ => 0,
        };
        content + size_of::<Self>()
    }
}

/// A spy's name for a stranger.
fn name(from: From) -> &'static str {
    if from == From::Stranger2 { "Stranger 2" } else { "Stranger 1" }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Waiting => ("waiting",).serialize(to),
            Self::Connected => ("connected",).serialize(to),
            Self::CommonLikes(likes) => ("commonLikes", likes).serialize(to),
            Self::Question(question) => ("question", question).serialize(to),
            Self::IdentDigests(digests) => ("identDigests", digests).serialize(to),
            Self::PartnerCollege(domain) => ("partnerCollege", domain).serialize(to),
            Self::RtcCall => ("rtccall",).serialize(to),
            Self::Message { from: From::Stranger, text, .. } => ("gotMessage", text).serialize(to),
            Self::Message { from, text, .. } => ("spyMessage", name(*from), text).serialize(to),
            Self::Typing { from: From::Stranger, on: true } => ("typing",).serialize(to),
            Self::Typing { from: From::Stranger, on: false } => ("stoppedTyping",).serialize(to),
            Self::Typing { from, on: true } => ("spyTyping", name(*from)).serialize(to),
            Self::Typing { from, on: false } => ("spyStoppedTyping", name(*from)).serialize(to),
            Self::Description { data, .. } => ("rtcpeerdescription", data).serialize(to),
            Self::Candidate { data, .. } => ("icecandidate", data).serialize(to),
            Self::Disconnected(From::Stranger) => ("strangerDisconnected",).serialize(to),
            Self::Disconnected(from) => ("spyDisconnected", name(*from)).serialize(to),
            Self::StatusInfo(status) => ("statusInfo", status).serialize(to),
            Self::ServerMessage(text) => ("serverMessage", text).serialize(to),
            Self::CaptchaRequired(key) => ("recaptchaRequired", key).serialize(to),
            Self::CaptchaRejected(key) => ("recaptchaRejected", key).serialize(to),
            Self::Error(text) => ("error", text).serialize(to),
            Self::VideoBanned(url) => ("antinudeBanned", url).serialize(to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_protocols_shape() {
        let raw = |json: &str| Box::new(RawJson::new(json.to_owned()).expect("JSON"));
        let message = |from| Event::Message { seq: 1, from, text: Private("a \"b\"".into()) };
        let typing = |from, on| Event::Typing { from, on };
        let cases = [
            (Event::Waiting, r#"["waiting"]"#),
            (Event::Connected, r#"["connected"]"#),
            (Event::CommonLikes(vec!["books".into(), "rust".into()]), r#"["commonLikes",["books","rust"]]"#),
            (Event::Question(Private("Why?".into())), r#"["question","Why?"]"#),
            (Event::IdentDigests("h1,h2".into()), r#"["identDigests","h1,h2"]"#),
            (Event::PartnerCollege("example.edu".into()), r#"["partnerCollege","example.edu"]"#),
            (Event::RtcCall, r#"["rtccall"]"#),
            (message(From::Stranger), r#"["gotMessage","a \"b\""]"#),
            (message(From::Stranger1), r#"["spyMessage","Stranger 1","a \"b\""]"#),
            (typing(From::Stranger, true), r#"["typing"]"#),
            (typing(From::Stranger, false), r#"["stoppedTyping"]"#),
            (typing(From::Stranger2, true), r#"["spyTyping","Stranger 2"]"#),
            (typing(From::Stranger2, false), r#"["spyStoppedTyping","Stranger 2"]"#),
            (
                Event::Description { seq: 1, data: raw(r#"{"type":"offer","sdp":"v=0"}"#) },
                r#"["rtcpeerdescription",{"type":"offer","sdp":"v=0"}]"#,
            ),
            (
                Event::Candidate { seq: 1, data: raw(r#"{"candidate":""}"#) },
                r#"["icecandidate",{"candidate":""}]"#,
            ),
            (Event::Disconnected(From::Stranger), r#"["strangerDisconnected"]"#),
            (Event::Disconnected(From::Stranger1), r#"["spyDisconnected","Stranger 1"]"#),
            (Event::StatusInfo(raw(r#"{"count":1}"#)), r#"["statusInfo",{"count":1}]"#),
            (Event::ServerMessage("hi".into()), r#"["serverMessage","hi"]"#),
            (Event::CaptchaRequired("k".into()), r#"["recaptchaRequired","k"]"#),
            (Event::CaptchaRejected("k".into()), r#"["recaptchaRejected","k"]"#),
            (Event::Error("no".into()), r#"["error","no"]"#),
            (Event::VideoBanned("https://x.example/".into()), r#"["antinudeBanned","https://x.example/"]"#),
        ];
        for (event, expected) in cases {
            assert_eq!(serde_json::to_string(&event).expect("JSON"), expected);
        }
    }
}
