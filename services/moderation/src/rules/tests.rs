//! The rules together: which of several wins, and what bounds the work.

use std::time::Duration;

use super::*;

fn hit(text: &str) -> Option<Rule> {
    inspect(text, &Budget::unlimited()).hit
}

#[test]
fn the_most_serious_rule_is_told() {
    for (text, rule) in [
        ("hi, how are you today?", None),
        ("see example.com", Some(Rule::SpamLink)),
        ("555-0123 456, text me", Some(Rule::PhoneNumber)),
        ("send nudes", Some(Rule::Sexual)),
        ("send nudes to example.com", Some(Rule::SpamLink)),
        ("the kkk is at example.com", Some(Rule::Hate)),
        ("I'm 13, see example.com", Some(Rule::Minor)),
    ] {
        assert_eq!(hit(text), rule, "{text}");
    }
}

#[test]
fn only_the_beginning_of_a_long_text_is_looked_at() {
    let behind = |filler: &str, times| format!("{} example.com", filler.repeat(times));
    for (text, found, extent) in [
        (behind("a ", 900), Some(Rule::SpamLink), Extent::Whole),
        (behind("a ", 1_000), None, Extent::Capped),
        (behind("日", 2_000), None, Extent::Capped),
        (behind("👋", 2_048), None, Extent::Capped),
    ] {
        let inspection = inspect(&text, &Budget::unlimited());
        assert_eq!(inspection, Inspection { hit: found, extent }, "{} bytes", text.len());
    }
    assert_eq!(cap(&"é".repeat(5_000)).chars().count(), MAX_CHARS);
    assert!(cap(&"👋".repeat(5_000)).len() <= MAX_BYTES);
}

#[test]
fn words_are_not_read_when_the_time_is_over_and_the_rest_is_looked_for() {
    let over = || Duration::from_millis(2);
    for (text, hit) in [("send nudes", None), ("send nudes to example.com", Some(Rule::SpamLink))] {
        let inspection = inspect(text, &Budget::new(Duration::from_millis(2), &over));
        assert_eq!(inspection, Inspection { hit, extent: Extent::OutOfTime });
    }
}
