//! By what two interests are compared.
//!
//! The form as typed is for people; the key is for comparing. It is the text in NFKC (Unicode Standard Annex 15), case-folded
//! (The Unicode Standard, section 3.13, default case folding), in NFKC again, with white space collapsed to single spaces. So
//! `Ｓｔｒａßｅ ` and `STRASSE` are one interest.

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizer;

/// The key of an interest; empty if there is nothing to compare.
#[must_use]
pub fn key(typed: &str) -> String {
    let normalizer = ComposingNormalizer::new_nfkc();
    let normal = normalizer.normalize(typed);
    let folded = CaseMapper::new().fold_string(&normal);
    let folded = normalizer.normalize(&folded);
    let mut key = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        if !key.is_empty() {
            key.push(' ');
        }
        key.push_str(word);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_take_for_the_same_has_one_key() {
        let table: [(&str, &[&str]); 7] = [
            ("rust", &["Rust", " RUST\t", "ｒｕｓｔ", "𝐑𝐮𝐬𝐭", "rust\u{3000}"]),
            ("strasse", &["Straße", "STRASSE", "straẞe"]),
            ("οδοσ", &["ΟΔΟΣ", "οδος"]),
            ("café", &["Cafe\u{301}", "CAFÉ"]),
            ("sci fi", &["Sci\u{a0}Fi", "sci \n\t fi"]),
            ("ﷺ", &[]),
            ("", &["", " \t", "\u{2003}"]),
        ];
        for (expected, typed) in table {
            for typed in typed {
                assert_eq!(key(typed), expected, "{typed:?}");
            }
            assert_eq!(key(&key(expected)), key(expected), "a key is its own key");
        }
        assert_ne!(key("c"), key("c++"));
    }
}
