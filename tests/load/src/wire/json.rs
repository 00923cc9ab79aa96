//! Finds fields in JSON without reading all of it.
//!
//! A quote inside a JSON string is escaped, so `"name":` can't occur in one: where it is found, there is a field. Fields of objects inside are found too,
//! so only names are looked for that occur once.

/// Where `needle` begins.
#[must_use]
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == first) {
        let at = from + at;
        if bytes[at..].starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The type of a frame. It comes first wherever a gateway writes it, but it need not.
#[must_use]
pub fn kind(frame: &[u8]) -> &[u8] {
    match frame.strip_prefix(b"{\"type\":\"") {
        Some(rest) => until_quote(rest).unwrap_or_default(),
        None => text(frame, b"\"type\"").unwrap_or_default(),
    }
}

/// The text of a field, whose name comes in quotes; none if there is none. Escapes are left as they are.
#[must_use]
pub fn text<'frame>(frame: &'frame [u8], name: &[u8]) -> Option<&'frame [u8]> {
    until_quote(value(frame, name)?.strip_prefix(b"\"")?)
}

/// The number of a field, whose name comes in quotes.
#[must_use]
pub fn number(frame: &[u8], name: &[u8]) -> Option<u64> {
    let digits = value(frame, name)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Whether a field, whose name comes in quotes, is true.
#[must_use]
pub fn is_true(frame: &[u8], name: &[u8]) -> bool {
    value(frame, name).is_some_and(|value| value.starts_with(b"true"))
}

/// What follows a field's name and colon.
fn value<'frame>(frame: &'frame [u8], name: &[u8]) -> Option<&'frame [u8]> {
    let mut rest = frame;
    loop {
        rest = &rest[find(rest, name)? + name.len()..];
        // The same text may also be a value.
        if let Some(value) = rest.trim_ascii_start().strip_prefix(b":") {
            return Some(value.trim_ascii_start());
        }
    }
}

/// What comes before the quote that ends a text.
#[must_use]
pub fn until_quote(text: &[u8]) -> Option<&[u8]> {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = br#"{"type":"message","seq":42,"text":"so \"seq\":7, \\","from":"stranger"}"#;

    #[test]
    fn fields_are_found_and_not_in_what_somebody_says() {
        assert_eq!(kind(MESSAGE), b"message");
        assert_eq!(number(MESSAGE, b"\"seq\""), Some(42));
        assert_eq!(text(MESSAGE, b"\"text\""), Some(br#"so \"seq\":7, \\"#.as_slice()));
        assert_eq!(text(MESSAGE, b"\"from\""), Some(b"stranger".as_slice()));
        let tricky = br#"{"type":"message","text":"\"seq\":7","seq":42}"#;
        assert_eq!(number(tricky, b"\"seq\""), Some(42));
    }

    #[test]
    fn order_and_blanks_do_not_matter() {
        let frame = br#"{ "chat" : "seq", "seq" : 9 , "initiator": true, "type" : "matched" }"#;
        assert_eq!(kind(frame), b"matched");
        assert_eq!(number(frame, b"\"seq\""), Some(9));
        assert_eq!(text(frame, b"\"chat\""), Some(b"seq".as_slice()));
        assert!(is_true(frame, b"\"initiator\"") && !is_true(frame, b"\"chat\""));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(kind(b"[]"), b"");
        assert_eq!(text(MESSAGE, b"\"code\""), None);
        assert_eq!(number(MESSAGE, b"\"text\""), None);
        assert_eq!(text(br#"{"text":"no end"#, b"\"text\""), None);
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"aa", b"ab"), None);
    }
}
