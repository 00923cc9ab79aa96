use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::*;

fn saved(log: &str, topics: Option<&str>) -> String {
    page(Form { log, topics }).expect("a page")
}

/// The page of one line that a stranger said.
fn said(text: &str) -> String {
    saved(&serde_json::json!([["Stranger:", text]]).to_string(), None)
}

/// What stands in the page for that text.
fn shown(page: &str) -> &str {
    let (_, rest) = page.split_once("<b><bdi>Stranger:</bdi></b> <bdi>").expect("a stranger's line");
    rest.split_once("</bdi></li>").expect("the line's end").0
}

/// Every tag, as it stands there.
fn tags(page: &str) -> Vec<&str> {
    let tag = |rest: &str| rest.find('>').expect("every tag ends") + 1;
    page.match_indices('<').map(|(at, _)| &page[at..at + tag(&page[at..])]).collect()
}

#[test]
fn a_chat_is_shown_line_by_line() {
    let log = r#"[["You're now chatting with a random stranger."], ["You:", "hi"], ["Stranger:", "hey"],
        ["Stranger 1:", "a"], ["Stranger 2:", "b"], ["Question to discuss:", "why?"], ["Étranger:", "c"],
        ["Stranger has disconnected."]]"#;
    let page = saved(log, None);
    let lines: Vec<_> = page.lines().filter(|line| line.starts_with("<li")).collect();
    assert_eq!(
        lines,
        [
            "<li class=\"status\"><i><bdi>You&#39;re now chatting with a random stranger.</bdi></i></li>",
            "<li class=\"you\"><b><bdi>You:</bdi></b> <bdi>hi</bdi></li>",
            "<li class=\"stranger\"><b><bdi>Stranger:</bdi></b> <bdi>hey</bdi></li>",
            "<li class=\"stranger\"><b><bdi>Stranger 1:</bdi></b> <bdi>a</bdi></li>",
            "<li class=\"second\"><b><bdi>Stranger 2:</bdi></b> <bdi>b</bdi></li>",
            "<li class=\"question\"><b><bdi>Question to discuss:</bdi></b> <bdi>why?</bdi></li>",
            "<li class=\"other\"><b><bdi>Étranger:</bdi></b> <bdi>c</bdi></li>",
            "<li class=\"status\"><i><bdi>Stranger has disconnected.</bdi></i></li>",
        ]
    );
}

#[test]
fn the_page_is_whole_and_every_element_ends() {
    let page = saved(r#"[["hello"], ["You:", "hi"]]"#, Some(r#"["books"]"#));
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    let mut open = Vec::new();
    let mut seen = Vec::new();
    for tag in tags(&page) {
        let name = tag.trim_matches(['<', '>']).split(' ').next().expect("a name");
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{page}"),
            None if matches!(name, "!DOCTYPE" | "meta") => {}
            None => open.push(name),
        }
        seen.push(name);
    }
    assert!(open.is_empty(), "{open:?}");
    for once in ["html", "head", "title", "style", "body", "main", "h1", "ol", "ul"] {
        assert_eq!(seen.iter().filter(|name| **name == once).count(), 1, "{once}");
    }
    assert!(page.contains("<meta charset=\"utf-8\">") && page.contains("<title>Saved chat</title>"));
    assert!(!page.contains("<script") && !page.contains("://"), "nothing runs and nothing is loaded");
}

#[test]
fn common_likes_are_shown_where_there_are_any() {
    let page = saved("[]", Some(r#"["books", "<b>rust</b>"]"#));
    assert!(page.contains("<h2>Common likes</h2>"));
    assert!(
        page.contains("<li><bdi>books</bdi></li>\n<li><bdi>&lt;b&gt;rust&lt;/b&gt;</bdi></li>"),
        "{page}"
    );
    for none in [None, Some(""), Some(" "), Some("[]"), Some("null")] {
        assert!(!saved("[]", none).contains("Common likes"), "{none:?}");
    }
}

#[test]
fn whatever_is_posted_is_text() {
    let harmless = tags(&said("hi")).into_iter().map(str::to_owned).collect::<Vec<_>>();
    for nasty in [
        "<script>alert(1)</script>",
        "</bdi></li></ol><script src=//evil.example></script>",
        "\"><img src=x onerror='alert(1)'>",
        "</title></style><style>*{}</style><!--",
        "]]><![CDATA[",
        "&lt;script&gt;",
        "<\0script>",
        "<svg/onload=alert(1)>\u{2028}",
    ] {
        let page = said(nasty);
        assert_eq!(tags(&page), harmless, "{nasty}");
        assert!(!shown(&page).contains(['<', '>', '"', '\'', '\0']), "{nasty}");
        let log = serde_json::json!([[nasty, nasty], [nasty]]).to_string();
        let page = saved(&log, Some(&serde_json::json!([nasty]).to_string()));
        let plain = saved(r#"[["x","x"],["x"]]"#, Some(r#"["x"]"#));
        assert_eq!(tags(&page), tags(&plain), "{nasty}");
    }
}

#[test]
fn every_character_stands_for_itself_or_for_what_cannot_stand_in_html() {
    for (text, expected) in [
        ("a & b &amp; 'c' \"d\" <e>", "a &amp; b &amp;amp; &#39;c&#39; &quot;d&quot; &lt;e&gt;"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        (
            "nul \0, escape \u{1b}, delete \u{7f}, next line \u{85}, return \r",
            "nul \u{fffd}, escape \u{fffd}, delete \u{fffd}, next line \u{fffd}, return \u{fffd}",
        ),
        ("\u{fdd0}\u{fffe}\u{ffff}\u{1ffff}\u{fdcf}", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fdcf}"),
        (
            "\u{202e}live\u{202c} \u{2066}\u{2069}\u{61c}\u{200e}\u{200f}",
            "&#x202E;live&#x202C; &#x2066;&#x2069;&#x61C;&#x200E;&#x200F;",
        ),
        ("שלום 你好 👩‍👩‍👧 é", "שלום 你好 👩‍👩‍👧 é"),
    ] {
        assert_eq!(shown(&said(text)), expected, "{text:?}");
    }
}

#[test]
fn what_is_no_log_is_told_by_a_page_that_does_not_repeat_it() {
    let bad = |log: &str, topics: Option<&str>| page(Form { log, topics }).expect_err(log);
    for log in [
        "",
        "hi",
        "null",
        "{}",
        "[",
        "\"You: hi\"",
        "[[]]",
        "[\"hi\"]",
        "[[\"You:\",\"hi\",\"there\"]]",
        "[[\"You:\",1]]",
        "[[\"You:\",null]]",
        "[[[\"You:\"]]]",
        "[[\"<script>\"]] <script>",
    ] {
        assert_eq!(bad(log, None), BadLog::NotALog, "{log}");
    }
    for topics in ["books", "{}", "[1]", "\"books\"", "[[\"books\"]]"] {
        assert_eq!(bad("[]", Some(topics)), BadLog::BadTopics, "{topics}");
    }
    for (error, part) in
        [(BadLog::NotALog, "JSON"), (BadLog::TooLong, "10,000 lines"), (BadLog::BadTopics, "common likes")]
    {
        let page = error.page();
        assert!(page.contains("<h1>The chat could not be saved</h1>") && page.contains(part), "{page}");
        assert!(page.contains(STYLE), "the same policy lets it look as it does");
    }
}

#[test]
fn a_log_has_at_most_ten_thousand_lines() {
    let log = |lines: usize| format!("[{}]", vec![r#"["You:","hi"]"#; lines].join(","));
    assert_eq!(saved(&log(10_000), None).matches("<li ").count(), 10_000);
    assert_eq!(page(Form { log: &log(10_001), topics: None }), Err(BadLog::TooLong));
}

#[test]
fn the_policy_lets_the_page_look_as_it_does() {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    assert!(CONTENT_SECURITY_POLICY.contains(&format!("style-src 'sha256-{hash}';")), "the hash is {hash}");
    assert!(said("hi").contains(&format!("<style>{STYLE}</style>")));
}

/// WCAG 2.2, 1.4.3: at least 4.5 : 1 for text.
#[test]
fn every_colour_of_text_has_enough_contrast_by_day_and_by_night() {
    let colours = |name: &str| {
        let before = format!("--{name}: #");
        STYLE.split(&before).skip(1).map(luminance).collect::<Vec<_>>()
    };
    let papers = colours("paper");
    assert_eq!(papers.len(), 2);
    for name in ["ink", "quiet", "you", "stranger", "second"] {
        for (paper, text) in papers.iter().zip(colours(name)) {
            let (light, dark) = (paper.max(text), paper.min(text));
            let contrast = (light + 0.05) / (dark + 0.05);
            assert!(contrast >= 4.5, "{name}: {contrast}");
        }
    }
}

/// Relative luminance of `rgb` or `rrggbb`.
fn luminance(text: &str) -> f64 {
    let digits: Vec<u32> = text.chars().map_while(|char| char.to_digit(16)).collect();
    let channels: Vec<u32> = match digits.len() {
        3 => digits.iter().map(|digit| digit * 17).collect(),
        _ => digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect(),
    };
    let linear = |channel: u32| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    [0.2126, 0.7152, 0.0722].iter().zip(channels).map(|(weight, channel)| weight * linear(channel)).sum()
}
