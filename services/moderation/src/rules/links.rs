//! Links, also those without a scheme and those written so as not to look like one.
//!
//! A dot between two words is a domain only by its ending: many endings are also words or slang (`so`, `fun`, `gg`), and people
//! forget the blank after a full stop. Those count only with a path behind or `www.` in front.

use std::sync::LazyLock;

use linkify::{LinkFinder, LinkKind};
use regex::Regex;

/// Endings that are hardly anything but a domain's.
const SURE_ENDINGS: &[&str] =
    &["biz", "cc", "cf", "cn", "com", "gq", "icu", "jp", "net", "org", "tk", "ua", "xxx", "xyz"];

/// Endings that are words, slang or abbreviations too.
const DOUBTFUL_ENDINGS: &[&str] = &[
    "adult", "ai", "am", "app", "art", "at", "au", "be", "bet", "blog", "br", "ca", "cam", "ch", "chat",
    "click", "club", "co", "de", "dev", "ee", "es", "eu", "fr", "fun", "gg", "gl", "in", "info", "io", "is",
    "it", "kr", "la", "life", "link", "live", "lol", "ly", "me", "mobi", "mx", "nl", "no", "one", "online",
    "page", "pl", "porn", "pro", "pw", "rocks", "ru", "se", "sex", "sh", "shop", "site", "so", "social",
    "space", "store", "to", "top", "tv", "uk", "us", "vip", "website", "win", "work", "world", "ws", "zone",
];

/// Second levels under a country's ending, as in `example.co.uk`.
const SECOND_LEVELS: &[&str] = &["ac", "co", "com", "gov", "net", "org"];

/// Hosts that lead people away, and that have a doubtful ending.
const LURES: &[&str] = &["discord.gg", "goo.gl", "is.gd", "kik.me", "m.me", "t.me", "wa.me"];

/// Hosts whose links strangers share without any harm, and which sell nobody anything that the host doesn't.
const HARMLESS: &[&str] = &[
    "github.com",
    "openstreetmap.org",
    "soundcloud.com",
    "spotify.com",
    "wikipedia.org",
    "youtu.be",
    "youtube.com",
];

static FINDER: LazyLock<LinkFinder> = LazyLock::new(|| {
    let mut finder = LinkFinder::new();
    finder.kinds(&[LinkKind::Url]).url_must_have_scheme(false);
    finder
});

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static BRACKETED: LazyLock<Regex> = LazyLock::new(|| {
    // example(dot)com, example [.] com
    Regex::new(r"[a-z0-9-]{2}\s?[(\[{<]\s?(?:dot|\.)\s?[)\]}>]\s?([a-z]{2,8})\b").expect("a pattern")
});

#[expect(clippy::expect_used, reason = "constant patterns, which the tests compile")]
static SPELLED: LazyLock<Regex> = LazyLock::new(|| {
    // example dot com, example . com
    Regex::new(r"([a-z0-9-]{2,})\s(?:dot|\.)\s?(com|net|org|ru|xyz|gg|io|tv)\b(?:\s([a-z]+))?")
        .expect("a pattern")
});

/// In front of "dot com", these show that it is spoken about and not an address.
const BEFORE_SPELLED: &[&str] = &["a", "an", "any", "every", "that", "the", "this", "which"];
/// And so do these behind it.
const AFTER_SPELLED: &[&str] =
    &["boom", "bubble", "company", "companies", "crash", "era", "startup", "startups"];

/// Whether a folded text has a link.
pub(super) fn has_link(folded: &str) -> bool {
    let plain = || FINDER.links(folded).any(|link| is_link(link.as_str(), before(folded, link.start())));
    let bracketed = || {
        let mut endings = BRACKETED.captures_iter(folded).filter_map(|found| found.get(1));
        endings.any(|ending| is_ending(ending.as_str()))
    };
    plain() || bracketed() || SPELLED.captures_iter(folded).any(|found| is_spelled_link(&found))
}

fn before(text: &str, at: usize) -> Option<char> {
    text[..at].chars().next_back()
}

fn is_link(found: &str, before: Option<char>) -> bool {
    let (scheme, rest) = found.split_once("://").map_or((None, found), |(scheme, rest)| (Some(scheme), rest));
    let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = host.split(':').next().unwrap_or(host).trim_end_matches('.');
    if is_one_of(HARMLESS, host) {
        return false;
    }
    // What follows an @ is the end of an e-mail address.
    scheme.is_some() || (before != Some('@') && is_bare_link(host, path.len() > 1))
}

fn is_bare_link(host: &str, has_path: bool) -> bool {
    let mut labels = host.rsplit('.');
    let (Some(ending), Some(second)) = (labels.next(), labels.next()) else { return false };
    let is_of_country = ending.len() == 2 && SECOND_LEVELS.contains(&second) && labels.next().is_some();
    let is_sure = SURE_ENDINGS.contains(&ending) || is_of_country || is_one_of(LURES, host);
    is_sure || (is_ending(ending) && (has_path || host.starts_with("www.")))
}

fn is_spelled_link(found: &regex::Captures<'_>) -> bool {
    let word = |group| found.get(group).map_or("", |word| word.as_str());
    !BEFORE_SPELLED.contains(&word(1)) && !AFTER_SPELLED.contains(&word(3))
}

fn is_ending(text: &str) -> bool {
    SURE_ENDINGS.contains(&text) || DOUBTFUL_ENDINGS.contains(&text)
}

/// Whether `host` is one of `domains` or below one.
fn is_one_of(domains: &[&str], host: &str) -> bool {
    let is = |domain: &&str| {
        host.strip_suffix(*domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    domains.iter().any(is)
}

#[cfg(test)]
mod tests {
    use super::{super::fold::fold, has_link};

    #[test]
    fn links_are_found_however_they_are_written() {
        for text in [
            "http://example.com",
            "https://example.com/a?b=c",
            "look at HTTPS://EXAMPLE.COM now",
            "http://192.0.2.1/x",
            "steam://join/1",
            "example.com",
            "(example.com)",
            "see example.com.",
            "visit example.co.uk today",
            "www.example.fun",
            "example.me/girls",
            "add me: t.me/someone",
            "discord.gg/abc",
            "discord.gg",
            "bit.ly/3abc",
            "ｅｘａｍｐｌｅ．ｃｏｍ",
            "exam\u{200b}ple.com",
            "example(dot)com",
            "example [.] com",
            "example (dot) me",
            "example dot com",
            "go to example . com",
            "https://youtube.com@example.com/x",
            "https://youtube.com.example.com/",
            "notyoutube.com",
            "www.example.ru",
            "example.ru/a",
            "https://example.io",
            "example dot ru",
        ] {
            assert!(has_link(&fold(text)), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_link_is_none() {
        for text in [
            "hello there",
            "ok.so what do you do",
            "good.me too",
            "that was fun.gg",
            "nice chat.work calls",
            "e.g. this, i.e. that",
            "3.14 or 1.000.000",
            "192.0.2.1",
            "main.rs and readme.md",
            "wait...what",
            "and/or, he/she, 24/7",
            "the dot com bubble",
            "a dot com startup",
            "connect the dots",
            "mail me@example.com",
            "it is 10:30",
            "https://en.wikipedia.org/wiki/Dot",
            "youtu.be/abc",
            "i play agar.io",
            "honest.ly",
            "i am.ru you",
            "https://open.spotify.com/track/1",
        ] {
            assert!(!has_link(&fold(text)), "{text}");
        }
    }
}
