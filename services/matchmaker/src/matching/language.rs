//! A language as it is compared.

use std::fmt;

/// A primary language subtag of BCP 47 (RFC 5646): 2 to 8 lower-case letters, in as many bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Language([u8; 8]);

impl Language {
    /// From a subtag; `None` if it is none.
    #[must_use]
    pub(crate) fn parse(subtag: &str) -> Option<Self> {
        let good = (2..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_lowercase());
        let mut bytes = [0; 8];
        if good {
            bytes[..subtag.len()].copy_from_slice(subtag.as_bytes());
        }
        good.then_some(Self(bytes))
    }

    /// The subtag.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }

    /// As a number, different for each.
    #[must_use]
    pub(super) fn number(self) -> u64 {
        u64::from_le_bytes(self.0)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What several have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Common {
    /// This one, the first of the first who names any.
    Language(Language),
    /// Nobody names one.
    Whatever,
    /// Nothing.
    Nothing,
}

impl Common {
    /// Of the languages that each names. Who names none speaks them all.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a [Language]> + Clone) -> Self {
        let mut naming = all.filter(|languages| !languages.is_empty());
        let Some(first) = naming.next() else { return Self::Whatever };
        let spoken = |language: &&Language| naming.clone().all(|others| others.contains(language));
        first.iter().find(spoken).copied().map_or(Self::Nothing, Self::Language)
    }

    /// The language, if there is one.
    pub(super) fn language(self) -> Option<Language> {
        match self {
            Self::Language(language) => Some(language),
            Self::Whatever | Self::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(tags: &str) -> Vec<Language> {
        tags.split_whitespace().map(|tag| Language::parse(tag).expect("a subtag")).collect()
    }

    #[test]
    fn only_primary_subtags_are_languages() {
        for good in ["en", "fil", "abcdefgh"] {
            assert_eq!(Language::parse(good).expect("good").as_str(), good);
        }
        for bad in ["", "e", "EN", "en-GB", "abcdefghi", "é1"] {
            assert_eq!(Language::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_common_language_is_one_that_all_name_who_name_any() {
        let one = |tag| Common::Language(Language::parse(tag).expect("a subtag"));
        let table: [(&[&str], Common); 6] = [
            (&["", ""], Common::Whatever),
            (&["de en", ""], one("de")),
            (&["de en", "en de"], one("de")),
            (&["de", "en"], Common::Nothing),
            (&["de en", "en fr", "de fr"], Common::Nothing),
            (&["fr en", "", "en"], one("en")),
        ];
        for (spoken, expected) in table {
            let spoken: Vec<_> = spoken.iter().map(|tags| languages(tags)).collect();
            assert_eq!(Common::of(spoken.iter().map(Vec::as_slice)), expected, "{spoken:?}");
        }
    }
}
