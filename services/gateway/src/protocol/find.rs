//! `find`: what may be wished for.

use std::{borrow::Cow, time::Duration};

use chassis::Section;
use chassis::{Redacted, interest};
use serde::Deserialize;

use super::{Mode, Private, Refusal, bad_value, too_long};
use crate::config::Wishes;

/// Most interests of a wish.
pub const MAX_INTERESTS: usize = 10;
/// Longest interest, in characters.
pub const MAX_INTEREST_CHARS: usize = 64;
/// Most languages of a wish.
const MAX_LANGUAGES: usize = 5;
/// Longest patience, in milliseconds. Longer ones are cut to it.
const MAX_PATIENCE_MS: u64 = 600_000;
/// Shortest and longest question, in characters.
pub const QUESTION_CHARS: std::ops::RangeInclusive<usize> = 10..=200;

/// A wish, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// Text or video.
    pub mode: Mode,
    /// Whom it is looked for among.
    pub section: Section,
    /// What it is for.
    pub aim: Aim,
    /// As typed, trimmed, duplicates dropped. None in spy mode.
    pub interests: Vec<String>,
    /// Primary subtags, lower case, duplicates dropped. Empty: any.
    pub languages: Vec<String>,
    /// How long to look only for shared interests, or for a question. Zero where that does not apply.
    pub patience_ms: u64,
    /// Look for shared interests, or for a question to discuss, for ever.
    pub only_interests: bool,
    /// The college that classic clients have proved to be of.
    pub college: Option<College>,
}

/// A college.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct College {
    /// Its mail domain, in lower case.
    pub domain: String,
    /// Those of any other will do too.
    pub any: bool,
}

/// What a wish is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aim {
    /// A chat with a stranger.
    Talk,
    /// Spy mode: have this question discussed, and watch.
    Ask(Private),
    /// Spy mode: discuss a question.
    Discuss,
    /// A chat with the stranger of the last one.
    Again {
        /// The same for both. Who has it may claim to be one of them.
        token: Redacted<[u8; 16]>,
        /// Until when it is looked for, in milliseconds since the Unix epoch.
        until_ms: u64,
    },
}

impl Find {
    /// Looks for shared interests no longer. Returns whether it did so for ever until now.
    pub fn widen(&mut self) -> bool {
        let did = self.only_interests && !self.interests.is_empty();
        self.only_interests &= !did;
        did
    }

    /// For how long it looks only for what it would like best, before it meets anybody; none if it does so from the start, or
    /// never.
    #[must_use]
    pub fn widens_after_ms(&self) -> Option<u64> {
        let widens = match self.aim {
            Aim::Talk => !self.interests.is_empty() && !self.only_interests,
            Aim::Discuss => !self.only_interests,
            Aim::Ask(_) | Aim::Again { .. } => false,
        };
        Some(self.patience_ms).filter(|patience| widens && *patience > 0)
    }
}

#[derive(Deserialize)]
pub(super) struct RawFind<'a> {
    #[serde(borrow)]
    mode: Cow<'a, str>,
    section: Option<String>,
    #[serde(default)]
    interests: Vec<String>,
    #[serde(default)]
    languages: Vec<String>,
    patience_ms: Option<u64>,
    #[serde(default)]
    only_interests: bool,
    ask: Option<String>,
    #[serde(default)]
    discuss: bool,
}

impl RawFind<'_> {
    pub(super) fn check(self, wishes: &Wishes) -> Result<Find, Refusal> {
        let mode = match &*self.mode {
            "text" => Mode::Text,
            "video" => Mode::Video,
            _ => return Err(bad_value("`mode` is `text` or `video`")),
        };
        let find = Find {
            mode,
            section: check_section(self.section.as_deref(), wishes)?,
            aim: check_aim(self.ask.as_deref(), self.discuss)?,
            interests: check_interests(&self.interests)?,
            languages: check_languages(&self.languages)?,
            patience_ms: 0,
            only_interests: self.only_interests,
            college: None,
        };
        match find.aim {
            Aim::Talk => talk(find, self.patience_ms, wishes.patience),
            Aim::Ask(_) => spy_mode(find, Some(0), Duration::ZERO),
            Aim::Discuss | Aim::Again { .. } => spy_mode(find, self.patience_ms, wishes.discuss_patience),
        }
    }
}

fn talk(find: Find, patience_ms: Option<u64>, default: Duration) -> Result<Find, Refusal> {
    if find.interests.is_empty() {
        let needless = Err(bad_value("`only_interests` needs an interest"));
        return if find.only_interests { needless } else { Ok(find) };
    }
    Ok(Find { patience_ms: patience(patience_ms, default), ..find })
}

/// Interests don't count.
fn spy_mode(find: Find, patience_ms: Option<u64>, default: Duration) -> Result<Find, Refusal> {
    if find.mode != Mode::Text {
        return Err(bad_value("`ask` and `discuss` are for `mode` `text`"));
    }
    let patience_ms = patience(patience_ms, default);
    Ok(Find { patience_ms, interests: Vec::new(), only_interests: false, ..find })
}

fn patience(named_ms: Option<u64>, default: Duration) -> u64 {
    let default_ms = || u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
    named_ms.unwrap_or_else(default_ms).min(MAX_PATIENCE_MS)
}

/// One of the operator's; the first, where none is named.
fn check_section(named: Option<&str>, wishes: &Wishes) -> Result<Section, Refusal> {
    let Some(name) = named else { return Ok(wishes.sections.first().clone()) };
    wishes.sections.get(name).cloned().ok_or_else(|| bad_value("no such `section`"))
}

fn check_aim(ask: Option<&str>, discuss: bool) -> Result<Aim, Refusal> {
    match (ask.map(str::trim), discuss) {
        (None, false) => Ok(Aim::Talk),
        (None, true) => Ok(Aim::Discuss),
        (Some(_), true) => Err(bad_value("either `ask` or `discuss`")),
        (Some(question), false) if QUESTION_CHARS.contains(&question.chars().count()) => {
            Ok(Aim::Ask(Private(question.to_owned())))
        }
        (Some(_), false) => Err(bad_value("a question has 10 to 200 characters")),
    }
}

fn check_interests(typed: &[String]) -> Result<Vec<String>, Refusal> {
    if typed.len() > MAX_INTERESTS {
        return Err(bad_value("at most 10 interests"));
    }
    let trimmed = || typed.iter().map(|interest| interest.trim());
    if trimmed().any(|interest| interest.chars().count() > MAX_INTEREST_CHARS) {
        return Err(too_long("an interest has at most 64 characters"));
    }
    Ok(kept_interests(trimmed()))
}

/// Drops what is empty and what is there already, however it is written.
pub fn kept_interests<'a>(typed: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut kept, mut keys) = (Vec::new(), Vec::new());
    for interest in typed {
        let key = interest::key(interest);
        if !key.is_empty() && !keys.contains(&key) {
            keys.push(key);
            kept.push(interest.to_owned());
        }
    }
    kept
}

/// Primary subtags of BCP 47 tags.
fn check_languages(tags: &[String]) -> Result<Vec<String>, Refusal> {
    if tags.len() > MAX_LANGUAGES {
        return Err(bad_value("at most 5 languages"));
    }
    let mut primaries = Vec::with_capacity(tags.len());
    for tag in tags {
        let primary = primary_subtag(tag)
            .ok_or_else(|| bad_value("a language is a BCP 47 tag such as `en` or `pt-BR`"))?;
        if !primaries.contains(&primary) {
            primaries.push(primary);
        }
    }
    Ok(primaries)
}

/// RFC 5646, section 2.1: a language of 2 to 8 letters, then subtags of 1 to 8 letters and digits.
fn primary_subtag(tag: &str) -> Option<String> {
    let mut subtags = tag.split('-');
    let primary = subtags.next().filter(|primary| {
        (2..=8).contains(&primary.len()) && primary.bytes().all(|byte| byte.is_ascii_alphabetic())
    })?;
    let rest_is_good = tag.len() <= 35
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    rest_is_good.then(|| primary.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{ClientFrame, Code},
        *,
    };

    fn wishes() -> Wishes {
        Wishes {
            patience: Duration::from_secs(5),
            discuss_patience: Duration::from_secs(15),
            sections: "main,night".parse().expect("sections"),
        }
    }

    /// With more fields than the type and the mode.
    #[track_caller]
    fn find(fields: &str) -> Result<Find, Code> {
        let text = format!(r#"{{"type":"find","mode":"text"{fields}}}"#);
        match ClientFrame::parse(&text, &wishes()) {
            Ok(ClientFrame::Find(find)) => Ok(*find),
            Ok(frame) => panic!("{frame:?}"),
            Err(refusal) => Err(refusal.code),
        }
    }

    #[test]
    fn a_wish_is_normalised_and_unknown_fields_are_ignored() {
        let find =
            find(r#","interests":[" Rust ","rust","","Chess"],"languages":["pt-BR","PT","en"],"hat":1"#);
        let find = find.expect("a good wish");
        assert_eq!(find.interests, ["Rust", "Chess"]);
        assert_eq!(find.languages, ["pt", "en"]);
        assert_eq!((find.aim, find.section.name()), (Aim::Talk, "main"));
    }

    #[test]
    fn an_interest_is_there_once_however_it_is_written() {
        let find =
            find(r#","interests":["Straße","STRASSE","ｒｕｓｔ","rust","sci  fi","Sci\u00a0Fi","\u2003"]"#);
        assert_eq!(find.expect("a good wish").interests, ["Straße", "ｒｕｓｔ", "sci  fi"]);
    }

    #[test]
    fn patience_is_the_clients_or_the_operators_and_only_where_it_applies() {
        let cases = [
            ("", 0, None),
            (r#","patience_ms":9"#, 0, None),
            (r#","interests":["tea"]"#, 5_000, Some(5_000)),
            (r#","interests":["tea"],"patience_ms":9"#, 9, Some(9)),
            (r#","interests":["tea"],"patience_ms":0"#, 0, None),
            (r#","interests":["tea"],"patience_ms":9999999"#, MAX_PATIENCE_MS, Some(MAX_PATIENCE_MS)),
            (r#","interests":["tea"],"only_interests":true"#, 5_000, None),
            (r#","discuss":true"#, 15_000, Some(15_000)),
            (r#","discuss":true,"patience_ms":9"#, 9, Some(9)),
            (r#","discuss":true,"patience_ms":0"#, 0, None),
            (r#","ask":"Is tea a soup?""#, 0, None),
            (r#","ask":"Is tea a soup?","patience_ms":9"#, 0, None),
        ];
        for (fields, patience_ms, widens) in cases {
            let find = find(fields).expect(fields);
            assert_eq!((find.patience_ms, find.widens_after_ms()), (patience_ms, widens), "{fields}");
        }
    }

    #[test]
    fn in_spy_mode_interests_do_not_count_and_the_question_is_trimmed_and_never_printed() {
        let fields = r#","interests":["tea"],"only_interests":true,"languages":["en"]"#;
        let asks = find(&format!(r#"{fields},"ask":"  Is tea a soup? ""#)).expect("a good wish");
        assert_eq!(asks.aim, Aim::Ask(Private("Is tea a soup?".into())));
        assert!(!format!("{asks:?}").contains("soup"));
        let discusses = find(&format!(r#"{fields},"discuss":true"#)).expect("a good wish");
        for find in [asks, discusses] {
            assert_eq!((find.interests.len(), find.only_interests), (0, false));
            assert_eq!(find.languages, ["en"]);
        }
        let question = "é".repeat(200);
        assert!(find(&format!(r#","ask":"{question}""#)).is_ok());
        assert_eq!(find(&format!(r#","ask":"{question}?""#)), Err(Code::BadValue));
        for bad in [
            r#","ask":"why?""#,
            r#","ask":"why?             ""#,
            r#","ask":"Is tea a soup?","discuss":true"#,
            r#","only_interests":true,"interests":["\u2003"]"#,
        ] {
            assert!(find(bad).is_err(), "{bad}");
        }
        for spy_mode in [r#""discuss":true"#, r#""ask":"Is tea a soup?""#] {
            let video = format!(r#"{{"type":"find","mode":"video",{spy_mode}}}"#);
            let refused = ClientFrame::parse(&video, &wishes()).expect_err("text only");
            assert_eq!(refused.code, Code::BadValue);
        }
    }

    #[test]
    fn a_section_is_one_of_the_operators() {
        let section = |fields| find(fields).map(|find| find.section.name().to_owned());
        assert_eq!(section("").as_deref(), Ok("main"));
        assert_eq!(section(r#","section":"night""#).as_deref(), Ok("night"));
        assert_eq!(section(r#","section":"Night""#), Err(Code::BadValue));
        assert_eq!(section(r#","section":7"#), Err(Code::BadFrame));
    }
}
