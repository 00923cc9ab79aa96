//! Settings of the classic protocol.

use std::{fmt, str::FromStr};

use chassis::Section;
use serde::Serialize;

use super::{captcha::CaptchaSettings, college::CollegeSettings};

/// What classic clients are offered.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Whether the classic protocol is served. It carries no consent to terms: where that is needed on record, turn it off
    #[arg(
        id = "classic", long,
        env = "STROLL_CLASSIC",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_name = "BOOL"
    )]
    pub is_served: bool,
    /// Servers that `/status` names, comma-separated, each `front` and a number from 1 to 255. Clients append `.omegle.com`
    #[arg(
        id = "classic_servers",
        long,
        env = "STROLL_CLASSIC_SERVERS",
        default_value = "front1",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    pub servers: Vec<Server>,
    /// Servers for snapshots that `/status` names, comma-separated, each `waw`, a digit and `.omegle.com`
    #[arg(
        id = "classic_antinude_servers",
        long,
        env = "STROLL_CLASSIC_ANTINUDE_SERVERS",
        default_value = "waw1.omegle.com",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    pub antinude_servers: Vec<AntinudeServer>,
    /// The section that classic clients call the unmoderated one. Without it they all are in the first
    #[arg(id = "classic_unmoderated", long, env = "STROLL_CLASSIC_UNMODERATED", value_name = "SECTION")]
    pub unmoderated: Option<Section>,
    /// The page to which classic clients go that are banned for nudity
    #[arg(id = "classic_video_ban_url", long, env = "STROLL_CLASSIC_VIDEO_BAN_URL", value_name = "URL", value_parser = url)]
    pub video_ban_url: Option<String>,
    /// Captchas
    #[command(flatten)]
    pub captcha: CaptchaSettings,
    /// Colleges
    #[command(flatten)]
    pub college: CollegeSettings,
}

/// `front` and a number from 1 to 255.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server(String);

/// `waw`, a digit and `.omegle.com`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AntinudeServer(String);

/// A name that clients would not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadName(&'static str);

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, as clients do", self.0)
    }
}

impl std::error::Error for BadName {}

impl FromStr for Server {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let name = text.trim();
        let number = name.strip_prefix("front").filter(|number| !number.starts_with(['0', '+']));
        match number.and_then(|number| number.parse::<u8>().ok()) {
            Some(1..) => Ok(Self(name.to_owned())),
            _ => Err(BadName("`front` and a number from 1 to 255")),
        }
    }
}

impl FromStr for AntinudeServer {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let name = text.trim();
        let digit = name.strip_prefix("waw").and_then(|rest| rest.strip_suffix(".omegle.com"));
        match digit.map(str::as_bytes) {
            Some([b'0'..=b'9']) => Ok(Self(name.to_owned())),
            _ => Err(BadName("`waw`, a digit and `.omegle.com`")),
        }
    }
}

fn url(text: &str) -> Result<String, &'static str> {
    let scheme = text.parse::<http::Uri>().ok().and_then(|uri| uri.scheme_str().map(str::to_owned));
    match scheme.as_deref() {
        Some("http" | "https") => Ok(text.to_owned()),
        _ => Err("expected an `https://` URL"),
    }
}

impl Settings {
    /// What is wrong with the values together, one sentence each.
    #[must_use]
    pub fn problems(&self, sections: &chassis::Sections) -> Vec<String> {
        let mut problems = [self.captcha.problems(), self.college.problems()].concat();
        if let Some(section) = self.unmoderated.as_ref().map(Section::name)
            && (sections.get(section).is_none() || sections.first().name() == section)
        {
            problems.push(format!(
                "--classic-unmoderated (STROLL_CLASSIC_UNMODERATED) names `{section}`, which has to be one of \
                 --sections (STROLL_SECTIONS) and not the first"
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_the_names_that_clients_take() {
        for good in ["front1", "front48", "front255", " front2 "] {
            assert!(good.parse::<Server>().is_ok(), "{good}");
        }
        for bad in ["", "front", "front0", "front01", "front256", "front+1", "front1.omegle.com", "waw1"] {
            assert!(bad.parse::<Server>().is_err(), "{bad}");
        }
        assert!("waw1.omegle.com".parse::<AntinudeServer>().is_ok());
        for bad in ["", "waw1", "waw.omegle.com", "waw12.omegle.com", "waw1.example.com"] {
            assert!(bad.parse::<AntinudeServer>().is_err(), "{bad}");
        }
    }
}
