//! What a client says in the query string and the body, however it is encoded.

use std::borrow::Cow;

/// How many names count. No client says more than a dozen.
const MAX_PAIRS: usize = 1_024;

/// Names and values, those of the body first.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// From both. What can't be decoded stands for itself, and bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn parse(query: Option<&str>, body: &[u8]) -> Self {
        let decode = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
        let query = query.unwrap_or_default().as_bytes();
        let pairs = [body, query].into_iter().flat_map(form_urlencoded::parse);
        Self(pairs.take(MAX_PAIRS).map(decode).collect())
    }

    /// The first value of this name that isn't empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of this name that aren't empty.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(other, value)| other == name && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }

    /// Whether the name is there, with whatever value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// Whether it is `1`.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_taken_as_they_are() {
        let msg = |body: &[u8]| Form::parse(None, body).get("msg").map(str::to_owned);
        let cases: [(&[u8], &str); 9] = [
            (b"id=central1:abc&msg=hi", "hi"),
            (b"msg=hi from me&id=x", "hi from me"),
            (b"&msg=a+b", "a b"),
            (b"&&msg=50%&id=x", "50%"),
            (b"msg=%zz%4", "%zz%4"),
            (b"msg=%C3%A9+%26+%3D+%2B+%25", "é & = + %"),
            (b"msg=\xff!", "\u{fffd}!"),
            (b"msg=a=b", "a=b"),
            (b"msg=&msg=later", "later"),
        ];
        for (body, expected) in cases {
            assert_eq!(msg(body).as_deref(), Some(expected), "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(msg(b"msg="), None);
    }

    #[test]
    fn the_body_wins_over_the_query_and_an_empty_parameter_is_there_only_where_presence_counts() {
        let form = Form::parse(
            Some("id=query&firstevents=&webrtc=true&candidate=3"),
            b"id=body&candidate=1&candidate=2",
        );
        assert_eq!(form.get("id"), Some("body"));
        assert!(form.has("firstevents") && !form.has("first"));
        assert!(!form.is_set("webrtc"));
        assert_eq!(form.all("candidate").collect::<Vec<_>>(), ["1", "2", "3"]);
    }
}
