//! A value that is never shown.

use std::{fmt, str::FromStr};

/// Holds what is private, such as a password in an address or a person's words: its Debug prints `REDACTED`, and it has
/// no Display, so that it can't get into a log, a span or an error by being printed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for using it. What is made of it is as private as it is.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value itself.
    pub fn into_revealed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: FromStr> FromStr for Redacted<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        text.parse().map(Self)
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_printed_by_nothing_around_it() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "only printed")]
        struct Said {
            text: Redacted<String>,
            by: Option<Redacted<&'static str>>,
        }
        let said = Said { text: "see you at eight".to_owned().into(), by: Some(Redacted::new("192.0.2.1")) };
        assert_eq!(format!("{said:?}"), "Said { text: REDACTED, by: Some(REDACTED) }");
        assert_eq!(format!("{:#?}", "x".parse::<Redacted<String>>()), "Ok(\n    REDACTED,\n)");
        assert_eq!(said.text.reveal(), "see you at eight");
        assert_eq!(said.text.into_revealed(), "see you at eight");
    }
}
