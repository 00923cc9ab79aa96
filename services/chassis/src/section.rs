//! The parts of the pool that an operator offers.

use std::{str::FromStr, sync::Arc};

/// A part of the pool that people choose, such as `main`: 1 to 32 of `a`–`z`, `0`–`9`, `_`, `-`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Section(Arc<str>);

impl Section {
    /// As in the setting.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The operator's sections, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sections {
    first: Section,
    others: Vec<Section>,
}

/// Text that is not a list of sections.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSections {
    /// One can't be called so.
    #[error("expected a section's name of 1 to 32 of `a` to `z`, `0` to `9`, `_` and `-`, got `{0}`")]
    Name(String),
    /// Which of the two is meant is not clear.
    #[error("the section `{0}` is there twice")]
    Twice(String),
}

impl Sections {
    /// The one for wishes that name none.
    #[must_use]
    pub fn first(&self) -> &Section {
        &self.first
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Section> {
        self.all().find(|section| section.name() == name)
    }

    /// All names, where there is more than one to choose from.
    #[must_use]
    pub fn choice(&self) -> Vec<String> {
        if self.others.is_empty() {
            return Vec::new();
        }
        self.all().map(|section| section.name().to_owned()).collect()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Section> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Default for Sections {
    fn default() -> Self {
        Self { first: Section("main".into()), others: Vec::new() }
    }
}

impl FromStr for Section {
    type Err = BadSections;

    fn from_str(text: &str) -> Result<Self, BadSections> {
        section(text)
    }
}

impl FromStr for Sections {
    type Err = BadSections;

    fn from_str(text: &str) -> Result<Self, BadSections> {
        let mut names = text.split(',').map(|name| section(name.trim()));
        // Splitting gives at least one part.
        let first = names.next().unwrap_or_else(|| section(""))?;
        let mut sections = Self { first, others: Vec::new() };
        for name in names {
            let section = name?;
            if sections.get(section.name()).is_some() {
                return Err(BadSections::Twice(section.name().to_owned()));
            }
            sections.others.push(section);
        }
        Ok(sections)
    }
}

fn section(name: &str) -> Result<Section, BadSections> {
    let is_good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    if (1..=32).contains(&name.len()) && name.bytes().all(is_good) {
        Ok(Section(name.into()))
    } else {
        Err(BadSections::Name(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_names_and_each_is_there_once() {
        let sections: Sections = "main, night-owls,room_7".parse().expect("sections");
        assert_eq!(sections.first().name(), "main");
        assert_eq!(sections.get("room_7").map(Section::name), Some("room_7"));
        assert_eq!(sections.get("room_8"), None);
        assert_eq!(sections.choice(), ["main", "night-owls", "room_7"]);
        assert!("main".parse::<Sections>().expect("one").choice().is_empty());
        let long = "x".repeat(33);
        for bad in ["", "main,", "Main", "a.b", "a b", "ä", &long, "a,b,a"] {
            assert!(bad.parse::<Sections>().is_err(), "{bad}");
        }
    }
}
