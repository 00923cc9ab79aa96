//! What `/start` asks for.

use chassis::{Section, Sections};

use super::form::Form;
use crate::protocol::{
    Aim, College, Find, MAX_INTEREST_CHARS, MAX_INTERESTS, Mode, Private, QUESTION_CHARS, kept_interests,
};

/// What `/start` says.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// What for; or that the question is too short or too long.
    pub wish: Result<Find, BadQuestion>,
    /// The answer is an object with the first events.
    pub firstevents: bool,
    /// The client can show a captcha.
    pub shows_captcha: bool,
}

/// A question has 10 to 200 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadQuestion;

/// What the server offers.
#[derive(Debug)]
pub struct Offer<'a, V> {
    /// The operator's sections; the first is the main one.
    pub sections: &'a Sections,
    /// The unmoderated one, if there is one.
    pub unmoderated: Option<&'a Section>,
    /// Whether a code is of a college.
    pub is_verified: V,
}

impl Start {
    /// From the parameters.
    pub fn parse(form: &Form, offer: &Offer<'_, impl Fn(&str, &str) -> bool>) -> Self {
        Self {
            wish: wish(form, offer),
            firstevents: form.has("firstevents"),
            shows_captcha: form
                .get("caps")
                .is_some_and(|caps| caps.split(',').any(|cap| cap.trim() == "recaptcha2")),
        }
    }
}

fn wish(form: &Form, offer: &Offer<'_, impl Fn(&str, &str) -> bool>) -> Result<Find, BadQuestion> {
    let unmoderated = offer.unmoderated.filter(|_| form.get("group") == Some("unmon"));
    let is_main = unmoderated.is_none();
    let question = form.get("ask").filter(|_| is_main).map(str::trim);
    let discusses = question.is_none() && is_main && form.is_set("wantsspy");
    let talks = question.is_none() && !discusses;
    let aim = match question {
        Some(question) if QUESTION_CHARS.contains(&question.chars().count()) => {
            Aim::Ask(Private(question.to_owned()))
        }
        Some(_) => return Err(BadQuestion),
        None if discusses => Aim::Discuss,
        None => Aim::Talk,
    };
    let interests =
        if talks && is_main { topics(form.get("topics").unwrap_or_default()) } else { Vec::new() };
    Ok(Find {
        mode: if talks && form.is_set("webrtc") { Mode::Video } else { Mode::Text },
        section: unmoderated.unwrap_or_else(|| offer.sections.first()).clone(),
        aim,
        // They look for what they wish for ever.
        only_interests: discusses || !interests.is_empty(),
        interests,
        languages: form.get("lang").and_then(language).into_iter().collect(),
        patience_ms: 0,
        college: if talks && is_main { college(form, &offer.is_verified) } else { None },
    })
}

/// Topics as they come: a JSON array, of which what isn't a string is skipped; a JSON string; or a list with commas. The first ten
/// of them that hold something and aren't too long.
fn topics(text: &str) -> Vec<String> {
    use serde_json::Value;
    let topics: Vec<String> = match serde_json::from_str(text) {
        Ok(Value::Array(values)) => {
            let strings = values.into_iter().filter_map(|value| match value {
                Value::String(topic) => Some(topic),
                _ => None,
            });
            strings.collect()
        }
        Ok(Value::String(topic)) => vec![topic],
        Ok(Value::Null | Value::Bool(_) | Value::Object(_)) => Vec::new(),
        Ok(Value::Number(_)) | Err(_) => text.split(',').map(str::to_owned).collect(),
    };
    let is_good = |topic: &&str| !topic.is_empty() && topic.chars().count() <= MAX_INTEREST_CHARS;
    kept_interests(topics.iter().map(|topic| topic.trim()).filter(is_good).take(MAX_INTERESTS))
}

/// Two or three letters.
fn language(text: &str) -> Option<String> {
    let is_good = (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_good.then(|| text.to_ascii_lowercase())
}

fn college(form: &Form, is_verified: &impl Fn(&str, &str) -> bool) -> Option<College> {
    let (domain, code) = (form.get("college")?.trim().to_ascii_lowercase(), form.get("college_auth")?.trim());
    is_verified(&domain, code).then(|| College { domain, any: form.is_set("any_college") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(query: &str) -> Start {
        let sections: Sections = "main,night".parse().expect("sections");
        let unmoderated = sections.get("night");
        let is_verified = |domain: &str, code: &str| domain == "example.edu" && code == "good";
        Start::parse(&Form::parse(Some(query), b""), &Offer { sections: &sections, unmoderated, is_verified })
    }

    fn find(query: &str) -> Find {
        start(query).wish.expect(query)
    }

    #[test]
    fn firstevents_counts_by_its_presence_and_captchas_by_their_version() {
        for query in ["firstevents=1", "firstevents=0", "firstevents=", "a=b&firstevents"] {
            assert!(start(query).firstevents, "{query}");
        }
        assert!(!start("").firstevents);
        assert!(start("caps=recaptcha2,t").shows_captcha);
        for query in ["", "caps=t,t2", "caps=recaptcha"] {
            assert!(!start(query).shows_captcha, "{query}");
        }
    }

    #[test]
    fn topics_are_taken_as_they_are() {
        let cases: [(&str, &[&str]); 16] = [
            ("", &[]),
            ("topics=", &[]),
            ("topics=[]", &[]),
            ("topics=%5B%22rust%22%2C%22chess%22%5D", &["rust", "chess"]),
            ("topics=[%22rust%22,%22chess%22]", &["rust", "chess"]),
            ("topics=[%22rust%22,%20%22chess%22]", &["rust", "chess"]),
            ("topics=rust", &["rust"]),
            ("topics=a,b", &["a", "b"]),
            ("topics=a,,%20b%20", &["a", "b"]),
            ("topics=%22rust%22", &["rust"]),
            ("topics=[1,%22a%22,null,[%22b%22]]", &["a"]),
            ("topics=[%22%22,%22a%22]", &["a"]),
            ("topics=[%22Rust%22,%22rust%22]", &["Rust"]),
            ("topics=null", &[]),
            ("topics={}", &[]),
            ("topics=42", &["42"]),
        ];
        for (query, topics) in cases {
            let find = find(query);
            assert_eq!(find.interests, topics, "{query}");
            assert_eq!((find.only_interests, find.patience_ms), (!topics.is_empty(), 0), "{query}");
        }
        let many: Vec<_> = (0..12).map(|number| format!("%22{number}%22")).collect();
        let long = "x".repeat(65);
        let found = find(&format!("topics=[%22{long}%22,{}]", many.join(","))).interests;
        assert_eq!(found, (0..10).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_language_has_two_or_three_letters() {
        for (query, expected) in [
            ("lang=en", Some("en")),
            ("lang=FIL", Some("fil")),
            ("lang=e", None),
            ("lang=pt-br", None),
            ("lang=", None),
        ] {
            assert_eq!(find(query).languages.first().map(String::as_str), expected, "{query}");
        }
    }

    #[test]
    fn asking_wins_over_discussing_and_both_switch_topics_and_college_off() {
        let others = "&topics=[%22a%22]&webrtc=1&college=example.edu&college_auth=good";
        let asks = find(&format!("ask=%20Is+tea+a+soup%3F+&wantsspy=1{others}"));
        assert_eq!(asks.aim, Aim::Ask(Private("Is tea a soup?".into())));
        let discusses = find(&format!("wantsspy=1{others}"));
        assert_eq!(
            (&discusses.aim, discusses.widens_after_ms(), discusses.only_interests),
            (&Aim::Discuss, None, true)
        );
        for find in [asks, discusses] {
            assert_eq!((find.mode, find.interests.len(), find.college), (Mode::Text, 0, None));
        }
        for query in ["wantsspy=false", "wantsspy=0", "wantsspy=", "ask="] {
            assert_eq!(find(query).aim, Aim::Talk, "{query}");
        }
        for query in ["ask=why%3F", "ask=+++++++++++++++", &format!("ask={}", "x".repeat(201))] {
            assert_eq!(start(query).wish, Err(BadQuestion), "{query}");
        }
        assert!(start(&format!("ask={}", "%C3%A9".repeat(200))).wish.is_ok());
    }

    #[test]
    fn the_unmoderated_section_has_neither_spies_nor_topics_nor_colleges() {
        let query = "group=unmon&ask=Is+tea+a+soup%3F&wantsspy=1&topics=a&college=example.edu&college_auth=good&webrtc=1";
        let found = find(query);
        assert_eq!((found.section.name(), found.aim, found.mode), ("night", Aim::Talk, Mode::Video));
        assert_eq!((found.interests.len(), found.college), (0, None));
        for query in ["group=", "group=mon", ""] {
            assert_eq!(find(query).section.name(), "main", "{query}");
        }
    }

    #[test]
    fn only_a_verified_college_counts() {
        let college = |query| find(query).college.map(|college| (college.domain, college.any));
        let of = |any| Some(("example.edu".to_owned(), any));
        assert_eq!(college("college=Example.edu&college_auth=good"), of(false));
        assert_eq!(college("college=example.edu&college_auth=good&any_college=1"), of(true));
        for query in [
            "college=example.edu",
            "college=example.edu&college_auth=bad",
            "any_college=1",
            "college_auth=good",
        ] {
            assert_eq!(college(query), None, "{query}");
        }
    }
}
