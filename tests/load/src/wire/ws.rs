//! WebSocket (RFC 6455), a client's side.

use std::ops::Range;

use super::http;

/// The longest frame that is taken.
const LONGEST: u64 = 1 << 20;

/// The request that opens a socket.
///
/// The key may be any; a fixed one has an answer that is known.
#[must_use]
pub fn request(host: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: stroll.v1\r\n\r\n"
    )
}

/// Whether this answer opens the socket.
#[must_use]
pub fn is_accepted(answer: &http::Answer<'_>) -> bool {
    answer.status == 101 && answer.header("sec-websocket-accept") == Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
}

/// Kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// The end, perhaps with a code.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Kind {
    fn opcode(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    fn of(opcode: u8) -> Option<Self> {
        [Self::Text, Self::Close, Self::Ping, Self::Pong].into_iter().find(|kind| kind.opcode() == opcode)
    }
}

/// A server's frame in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Where its payload is.
    pub payload: Range<usize>,
}

/// What no server that this client knows says: fragments, binary frames, masks, or very long frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The first frame of a buffer; none if it is not all there.
///
/// # Errors
/// If it is none.
pub fn frame(buffer: &[u8]) -> Result<Option<Frame>, Broken> {
    let [first, second, ..] = *buffer else { return Ok(None) };
    // The last fragment (and so the only one), without extensions.
    if first & 0xf0 != 0x80 || second & 0x80 != 0 {
        return Err(Broken);
    }
    let kind = Kind::of(first & 0x0f).ok_or(Broken)?;
    let (length, start) = match second {
        126 => match buffer.get(2..4).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => (u64::from(u16::from_be_bytes(bytes)), 4),
            None => return Ok(None),
        },
        127 => match buffer.get(2..10).and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => (u64::from_be_bytes(bytes), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if length > LONGEST {
        return Err(Broken);
    }
    let end = start + usize::try_from(length).map_err(|_| Broken)?;
    Ok((buffer.len() >= end).then_some(Frame { kind, payload: start..end }))
}

/// Appends a client's frame.
pub fn write(kind: Kind, mask: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | kind.opcode());
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => out.push(0x80 | length),
        (_, Ok(length)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The code of a close frame; 1005 if there is none.
#[must_use]
pub fn close_code(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_are_found_where_they_are() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = vec![0x81];
            match length {
                0..126 => bytes.push(u8::try_from(length).expect("short")),
                126..65_536 => {
                    bytes.push(126);
                    bytes.extend(u16::try_from(length).expect("a middle one").to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            let start = bytes.len();
            bytes.extend(std::iter::repeat_n(b'x', length));
            let found = Frame { kind: Kind::Text, payload: start..start + length };
            assert_eq!(frame(&bytes), Ok(Some(found.clone())));
            for cut in [0, 1, 2, 3, 9, bytes.len() - 1].into_iter().filter(|cut| *cut < bytes.len()) {
                assert_eq!(frame(&bytes[..cut]), Ok(None), "{cut} of {length}");
            }
            bytes.push(0x8a);
            assert_eq!(frame(&bytes), Ok(Some(found)), "what follows does not matter");
        }
    }

    #[test]
    fn what_is_no_frame_of_a_server_is_refused() {
        for bytes in [[0x01, 0x00], [0x82, 0x00], [0x81, 0x80], [0xc1, 0x00], [0x83, 0x00]] {
            assert_eq!(frame(&bytes), Err(Broken), "{bytes:?}");
        }
        assert_eq!(frame(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]), Err(Broken), "too long");
    }

    #[test]
    fn a_clients_frame_is_masked() {
        // The examples of RFC 6455, section 5.7.
        let mut out = Vec::new();
        write(Kind::Text, [0x37, 0xfa, 0x21, 0x3d], b"Hello", &mut out);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        out.clear();
        write(Kind::Pong, [0; 4], &[1; 200], &mut out);
        assert_eq!(out[..8], [0x8a, 0xfe, 0, 200, 0, 0, 0, 0]);
        assert_eq!(out.len(), 208);
    }

    #[test]
    fn a_close_has_a_code_or_none() {
        assert_eq!(close_code(&[0x0f, 0xa3, b'x']), 4003);
        assert_eq!(close_code(&[]), 1005);
    }
}
