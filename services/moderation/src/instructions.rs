//! Cases for `tests/instructions`: texts that are looked at.

use crate::rules::{self, Budget, Rule};

/// Looks at two texts of 100 bytes by turns.
fn inspect(texts: [&str; 2], expected: Option<Rule>) {
    rules::warm_up();
    let text = |number| if number % 2 == 0 { texts[0] } else { texts[1] };
    stroll_counted::times(text, |text| {
        let inspection = rules::inspect(text, &Budget::unlimited());
        assert_eq!((text.len(), inspection.hit), (100, expected));
    });
}

#[test]
fn inspect_plain_text() {
    let texts = [
        "I spent last spring in Lisbon, and the light there in the evening is like nothing I have seen at all",
        "we had rain all of last week, but today the sun is out and my dog wants to go for a run in the woods",
    ];
    inspect(texts, None);
}

#[test]
fn inspect_suspect_text() {
    let texts = [
        "I spent last spring in Lisbon, and the light there in the evening is like nothing I have ever seen!!",
        "haha no way!! my brother did the SAME thing, he kept 2 goats and a really old dog, so what is yours?",
    ];
    inspect(texts, None);
}

#[test]
fn inspect_text_with_link() {
    let texts = [
        "I put the photos of Lisbon on my page last night, have a look: www.lisbon-in-spring.example.net/2026",
        "get free coins for this game now, it really works, go to free-coins dot example dot com and sign up!",
    ];
    inspect(texts, Some(Rule::SpamLink));
}
