//! HTTP/1.1 answers.

use std::time::Duration;

/// An answer in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'buffer> {
    /// Status code.
    pub status: u16,
    head: &'buffer str,
    /// Body.
    pub body: &'buffer [u8],
    /// How many bytes of the buffer it takes.
    pub length: usize,
}

/// What is no answer, or one without a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl<'buffer> Answer<'buffer> {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'buffer str> {
        header(self.head, name)
    }

    /// When to ask again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?.parse().ok().map(Duration::from_secs)
    }
}

/// The first answer of a buffer; none if it is not all there.
///
/// # Errors
/// If it is none.
pub fn answer(buffer: &[u8]) -> Result<Option<Answer<'_>>, Broken> {
    let Some(end) = super::json::find(buffer, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&buffer[..end]).map_err(|_| Broken)?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).ok_or(Broken)?;
    let status = status.parse().map_err(|_| Broken)?;
    let body = match (status, header(head, "content-length")) {
        (101 | 204 | 304, _) => 0,
        (_, Some(length)) => length.parse().map_err(|_| Broken)?,
        (_, None) => return Err(Broken),
    };
    let start = end + 4;
    let Some(length) = start.checked_add(body).filter(|length| *length <= buffer.len()) else {
        return Ok(None);
    };
    Ok(Some(Answer { status, head, body: &buffer[start..length], length }))
}

fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A `POST` of a form.
#[must_use]
pub fn post(host: &str, target: &str, form: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_once_it_is_all_there() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 3\r\n\r\nwinHTTP/1.1";
        for cut in 0..bytes.len() - 8 {
            assert_eq!(answer(&bytes[..cut]), Ok(None), "{cut}");
        }
        let found = answer(bytes).expect("an answer").expect("all of it");
        assert_eq!((found.status, found.body, found.length), (200, b"win".as_slice(), bytes.len() - 8));
        assert_eq!(found.header("Content-Type"), Some("x"));
    }

    #[test]
    fn refusals_tell_when_to_ask_again() {
        let bytes = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n";
        let found = answer(bytes).expect("an answer").expect("all of it");
        assert_eq!((found.status, found.retry_after()), (503, Some(Duration::from_secs(2))));
    }

    #[test]
    fn an_upgrade_has_no_body() {
        let bytes = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n\x81\x00";
        assert_eq!(answer(bytes).expect("an answer").expect("all of it").length, bytes.len() - 2);
    }

    #[test]
    fn other_things_are_no_answers() {
        for bytes in ["SSH-2.0\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"] {
            assert_eq!(answer(bytes.as_bytes()), Err(Broken), "{bytes}");
        }
    }
}
