//! Events of the classic protocol: arrays of arrays, each of which begins with its name.

use super::json::{find, until_quote};

/// An event: its name and, if that is text, what follows it. Escapes are left as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'body> {
    /// Its name.
    pub name: &'body [u8],
    /// What follows; empty if nothing does, or no text.
    pub text: &'body [u8],
}

/// The events of an array, in order.
pub fn events(array: &[u8]) -> impl Iterator<Item = Event<'_>> {
    elements(array).filter_map(|element| {
        let rest = element.strip_prefix(b"[")?.trim_ascii_start().strip_prefix(b"\"")?;
        let name = until_quote(rest)?;
        let after = rest[name.len() + 1..].trim_ascii_start().strip_prefix(b",").unwrap_or_default();
        let text = after.trim_ascii_start().strip_prefix(b"\"").and_then(until_quote).unwrap_or_default();
        Some(Event { name, text })
    })
}

/// The array that `/start` answers with.
#[must_use]
pub fn first_events(object: &[u8]) -> &[u8] {
    const NAME: &[u8] = b"\"events\"";
    let Some(at) = find(object, NAME) else { return b"" };
    object[at + NAME.len()..].trim_ascii_start().strip_prefix(b":").unwrap_or_default().trim_ascii_start()
}

/// The elements of the array that this begins with, as they are written.
fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = array.trim_ascii_start().strip_prefix(b"[").unwrap_or_default();
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let end = end_of_value(rest);
        if end == 0 {
            return None;
        }
        let element;
        (element, rest) = rest.split_at(end);
        rest = rest.strip_prefix(b",").unwrap_or_default();
        Some(element)
    })
}

/// Where the value ends that this begins with: at a comma or bracket that is not its own.
fn end_of_value(text: &[u8]) -> usize {
    let (mut depth, mut is_text, mut is_escaped) = (0_u32, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return at,
            b',' if depth == 0 => return at,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_texts(array: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        events(array.as_bytes()).map(|event| (text(event.name), text(event.text))).collect()
    }

    #[test]
    fn events_have_a_name_and_perhaps_a_text() {
        let found = names_and_texts(
            r#"[["connected"], ["commonLikes", ["a", "b"]],["gotMessage","a \"]\", [b"],["statusInfo",{"servers":["x"]}]]"#,
        );
        let expected =
            [("connected", ""), ("commonLikes", ""), ("gotMessage", r#"a \"]\", [b"#), ("statusInfo", "")];
        assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn nothing_is_no_event() {
        for array in ["[]", "null", "", "[[]]", "[1,2]", "{}"] {
            assert!(names_and_texts(array).is_empty(), "{array}");
        }
    }

    #[test]
    fn the_first_events_stand_in_an_object() {
        let object = br#"{"events": [["waiting"],["identDigests","x"]], "clientID": "central1:abc"}"#;
        let names: Vec<_> = events(first_events(object)).map(|event| event.name).collect();
        assert_eq!(names, [b"waiting".as_slice(), b"identDigests"]);
        assert_eq!(events(first_events(b"{}")).count(), 0);
    }
}
