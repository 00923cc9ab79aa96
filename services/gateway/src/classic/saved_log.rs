//! A chat as a page, for one who took part to keep.
//!
//! A client posts what it showed, and gets it back as HTML that needs nothing else and runs nothing. Nothing is stored, so that there is
//! no link to it, and the digests that clients send along are of no use: Stroll's are new in every chat.
//!
//! Invariant: whatever a client posts is shown as text. It adds no element, and changes the order of no words but its own.

#[cfg(test)]
mod tests;

/// What such a page may do: look as it does.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src \
     'sha256-SH4nmxS6qnuHa58inXsBZj8K7/TqW3wW5ZmBECgiWbo='; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// Most lines of a chat that is saved.
const MOST_LINES: usize = 10_000;

/// The policy above has its hash.
const STYLE: &str = include_str!("saved_log.css");

/// What a client posts, as far as it is shown.
#[derive(Clone, Copy)]
pub struct Form<'text> {
    /// JSON array of lines: each an array of who spoke and what was said, or of a status.
    pub log: &'text str,
    /// JSON array of what both like.
    pub topics: Option<&'text str>,
}

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLog {
    /// The log has another form.
    #[error(
        "The chat could not be read. It has to be a JSON array of lines, and each line an array of one or two texts."
    )]
    NotALog,
    /// The log has too many lines.
    #[error("The chat is too long. At most 10,000 lines can be saved.")]
    TooLong,
    /// The topics have another form.
    #[error("The common likes could not be read. They have to be a JSON array of texts.")]
    BadTopics,
}

impl BadLog {
    /// The page that says so.
    #[must_use]
    pub fn page(self) -> String {
        html("The chat could not be saved", &format!("<p>{self}</p>\n"))
    }
}

/// The page.
///
/// # Errors
/// If the form can't be read.
pub fn page(form: Form<'_>) -> Result<String, BadLog> {
    let lines: Vec<Vec<String>> = serde_json::from_str(form.log).map_err(|_| BadLog::NotALog)?;
    if lines.len() > MOST_LINES {
        return Err(BadLog::TooLong);
    }
    let mut content = String::with_capacity(2 * form.log.len());
    content.push_str("<p>This chat is stored nowhere. Save the page to keep it.</p>\n");
    push_topics(&mut content, &parse_topics(form.topics)?);
    // Nobody said which languages these are.
    content.push_str("<ol class=\"log\" lang=\"\">\n");
    for line in &lines {
        match line.as_slice() {
            [status] => push_status(&mut content, status),
            [speaker, text] => push_said(&mut content, speaker, text),
            _ => return Err(BadLog::NotALog),
        }
    }
    content.push_str("</ol>\n");
    Ok(html("Saved chat", &content))
}

fn parse_topics(topics: Option<&str>) -> Result<Vec<String>, BadLog> {
    let topics = topics.filter(|topics| !topics.trim().is_empty());
    let topics = topics.map(serde_json::from_str::<Option<Vec<String>>>).transpose();
    topics.map(|topics| topics.flatten().unwrap_or_default()).map_err(|_| BadLog::BadTopics)
}

fn push_topics(page: &mut String, topics: &[String]) {
    if topics.is_empty() {
        return;
    }
    page.push_str("<h2>Common likes</h2>\n<ul class=\"likes\" lang=\"\">\n");
    for topic in topics {
        page.push_str("<li><bdi>");
        push_escaped(page, topic);
        page.push_str("</bdi></li>\n");
    }
    page.push_str("</ul>\n<h2>What was said</h2>\n");
}

fn push_status(page: &mut String, status: &str) {
    page.push_str("<li class=\"status\"><i><bdi>");
    push_escaped(page, status);
    page.push_str("</bdi></i></li>\n");
}

fn push_said(page: &mut String, speaker: &str, text: &str) {
    page.push_str("<li class=\"");
    page.push_str(class_of(speaker));
    page.push_str("\"><b><bdi>");
    push_escaped(page, speaker);
    page.push_str("</bdi></b> <bdi>");
    push_escaped(page, text);
    page.push_str("</bdi></li>\n");
}

/// How a speaker's lines look. That is not all that tells them apart: each line says whose it is.
fn class_of(speaker: &str) -> &'static str {
    match speaker.trim().trim_end_matches(':') {
        "You" => "you",
        "Stranger" | "Stranger 1" => "stranger",
        "Stranger 2" => "second",
        "Question to discuss" => "question",
        _ => "other",
    }
}

fn html(title: &str, content: &str) -> String {
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n\
         <style>{STYLE}</style>\n\
         </head>\n\
         <body>\n\
         <main>\n\
         <h1>{title}</h1>\n\
         {content}\
         </main>\n\
         </body>\n\
         </html>\n"
    )
}

/// Text as HTML. What HTML may not contain becomes U+FFFD. What turns the direction of text is a reference, to be seen in the page's
/// source; each text is in a `bdi` of its own, which ends it.
fn push_escaped(page: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            '\t' | '\n' => page.push(char),
            _ if char.is_control() || is_noncharacter(char) => page.push(char::REPLACEMENT_CHARACTER),
            _ if turns_direction(char) => page.push_str(&format!("&#x{:X};", u32::from(char))),
            _ => page.push(char),
        }
    }
}

/// Unicode 16, 23.7: never for text.
fn is_noncharacter(char: char) -> bool {
    matches!(char, '\u{fdd0}'..='\u{fdef}') || u32::from(char) & 0xfffe == 0xfffe
}

/// Unicode's `Bidi_Control`.
fn turns_direction(char: char) -> bool {
    matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
