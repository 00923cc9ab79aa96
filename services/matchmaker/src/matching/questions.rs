//! The operator's questions: for two who want to discuss one, and nobody is there who asks.

use std::{path::Path, str::FromStr};

use chassis::Random;

use super::language::Language;

/// Questions, and in which language each is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Questions(Vec<(Option<Language>, String)>);

/// Why a list of questions can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadQuestions {
    line: usize,
    what: String,
}

/// How many characters a question has.
const CHARS: std::ops::RangeInclusive<usize> = 10..=200;

const DEFAULT: &str = include_str!("questions.txt");

impl Default for Questions {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a test reads the list that is built in")]
        DEFAULT.parse().expect("the built-in questions are good")
    }
}

impl FromStr for Questions {
    type Err = BadQuestions;

    /// A question a line, 10 to 200 characters; `[de] ` before it says that it is for those who have German in common, and
    /// without that it is for all. Empty lines, and those that begin with `#`, count for nothing.
    fn from_str(text: &str) -> Result<Self, BadQuestions> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        lines
            .map(|(line, text)| parse_line(text).map_err(|what| BadQuestions { line, what }))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Questions {
    /// None: two who want to discuss wait for somebody who asks.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read, or a line of it is bad.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        Ok(std::fs::read_to_string(path)?.parse()?)
    }

    /// Whether there is one for two who have this language in common.
    #[must_use]
    pub(super) fn has(&self, language: Option<Language>) -> bool {
        self.fitting(language).next().is_some()
    }

    /// One at random for two who have this language in common; in that language, if there is one.
    #[must_use]
    pub(crate) fn choose(&self, language: Option<Language>, random: &Random) -> Option<&str> {
        let mut fitting: Vec<_> = self.fitting(language).collect();
        if fitting.iter().any(|(of, _)| of.is_some()) {
            fitting.retain(|(of, _)| of.is_some());
        }
        let drawn = random.below(u64::try_from(fitting.len()).unwrap_or(u64::MAX));
        fitting.get(usize::try_from(drawn).ok()?).map(|(_, question)| question.as_str())
    }

    fn fitting(&self, language: Option<Language>) -> impl Iterator<Item = &(Option<Language>, String)> {
        self.0.iter().filter(move |(of, _)| of.is_none() || *of == language)
    }
}

fn parse_line(line: &str) -> Result<(Option<Language>, String), String> {
    let (language, question) = match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        None => (None, line),
        Some((tag, question)) => {
            let language = Language::parse(tag)
                .ok_or_else(|| "in brackets stands a language, such as `[en]`".to_owned())?;
            (Some(language), question.trim())
        }
    };
    if !CHARS.contains(&question.chars().count()) {
        return Err("a question has 10 to 200 characters".to_owned());
    }
    Ok((language, question.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_chosen_in_the_common_language_where_there_are_some() {
        let list: Questions =
            "# a list\n\nWhat is worth waiting for?\n[de] Worauf lohnt es sich zu warten?\n"
                .parse()
                .expect("good");
        let random = Random::seeded(1);
        let german = Language::parse("de");
        assert_eq!(list.choose(german, &random), Some("Worauf lohnt es sich zu warten?"));
        assert_eq!(list.choose(None, &random), Some("What is worth waiting for?"));
        assert!(Questions::default().has(None));
        assert_eq!(Questions::none().choose(german, &random), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line) in [("too short", 1), ("# fine\n\n[DE] Is this a language?", 3), ("[de]", 1)] {
            let error = text.parse::<Questions>().expect_err(text);
            assert_eq!(error.line, line, "{error}");
        }
    }
}
