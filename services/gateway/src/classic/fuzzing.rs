//! The parsers of the classic protocol under whatever bytes there are.

use chassis::{Random, Secret, Sections};

use super::{
    call::Call,
    college::parse_address,
    form::Form,
    id::{ClientId, Front},
    saved_log,
    start::{Offer, Start},
};
use crate::protocol::{Aim, MAX_INTEREST_CHARS, MAX_INTERESTS, MAX_SIGNAL, Mode, QUESTION_CHARS};

/// Parses a query string and, after the first null byte, a body as every call does.
///
/// # Panics
/// If something is let through that must not be.
pub fn fuzz(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (query, body) = (String::from_utf8_lossy(&data[..at]), data.get(at + 1..).unwrap_or_default());
    let form = Form::parse(Some(&query), body);
    start(&form);
    calls(&form);
    if let Some(id) = form.get("id").and_then(ClientId::parse) {
        let secret = Secret::ephemeral(&Random::seeded(1));
        assert_eq!(id.as_str().len() - id.as_str().find(':').unwrap_or_default(), 31);
        assert!(id.fronts(&secret).len() <= 1);
        let again = ClientId::new(&secret, &Random::seeded(2), Front::of(id.as_str()));
        assert_eq!(again.fronts(&secret), [Front::of(id.as_str())]);
    }
    let saved = saved_log::Form { log: form.get("log").unwrap_or_default(), topics: form.get("topics") };
    let page = saved_log::page(saved).unwrap_or_else(saved_log::BadLog::page);
    assert!(!page.to_ascii_lowercase().contains("<script"));
    if let Some(address) = form.get("email").and_then(parse_address) {
        assert!(!address.to_string().contains(['\r', '\n']));
    }
}

fn start(form: &Form) {
    let sections = Sections::default();
    let is_verified = |_: &str, _: &str| true;
    let Ok(find) = Start::parse(form, &Offer { sections: &sections, unmoderated: None, is_verified }).wish
    else {
        return;
    };
    assert!(find.interests.len() <= MAX_INTERESTS);
    for interest in &find.interests {
        assert!((1..=MAX_INTEREST_CHARS).contains(&interest.chars().count()));
    }
    assert!(
        find.languages
            .iter()
            .all(|tag| (2..=3).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_lowercase()))
    );
    match &find.aim {
        Aim::Talk => assert_eq!(find.only_interests, !find.interests.is_empty()),
        aim => {
            assert_eq!(find.only_interests, *aim == Aim::Discuss);
            assert!(find.mode == Mode::Text && find.interests.is_empty() && find.college.is_none());
            assert!(
                !matches!(aim, Aim::Ask(question) if !QUESTION_CHARS.contains(&question.0.chars().count()))
            );
        }
    }
}

fn calls(form: &Form) {
    let calls = [
        form.get("msg").and_then(Call::message),
        Call::signals(form.all("desc").take(1)),
        Call::signals(form.all("candidate")),
    ];
    for call in calls.into_iter().flatten() {
        if let Call::Signals(signals) = &call {
            assert!(signals.iter().all(|signal| signal.0.starts_with('{') && signal.0.len() <= MAX_SIGNAL));
        }
        let Some(id) = ClientId::parse("central1:r2s8xwxq484rlb7c641u5dqu1tbzor") else { continue };
        assert_eq!(call.clone().request(&id).call.and_then(Call::from_request), Some(call));
    }
}
