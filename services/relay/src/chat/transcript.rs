//! The last minutes of a chat, in memory only, so that a report can freeze them.
//!
//! The texts lie one behind the other in one buffer, so that a line costs no allocation of its own. Invariants: lines are in order of
//! time; their lengths add up to the buffer's; no line is older than [`KEPT`] once [`Transcript::trim`] ran; never
//! more than [`MAX_LINES`] lines or [`MAX_BYTES`] bytes.

use std::{collections::VecDeque, fmt, time::Duration};

use chassis::id::Seat;
use stroll_proto::v1::TranscriptLine;

use super::Moment;

/// How long a line is kept.
pub(crate) const KEPT: Duration = Duration::from_mins(5);
/// Most lines of one chat.
pub(crate) const MAX_LINES: usize = 200;
/// Most bytes of text of one chat.
pub(crate) const MAX_BYTES: usize = 64 * 1024;

/// What was said lately. Its Debug shows no text.
#[derive(Default)]
pub(crate) struct Transcript {
    lines: VecDeque<Line>,
    text: VecDeque<u8>,
}

/// Where a text came from; its bytes are in the buffer.
struct Line {
    seat: Seat,
    seq: u64,
    at: Moment,
    len: usize,
}

impl Transcript {
    /// Adds a line, and drops old ones to stay within the bounds. Returns false for the repeat of a line that is there
    /// already, which is not added again. In [`Room::Cramped`] the transcript does not grow any more.
    pub(crate) fn record(&mut self, now: Moment, seat: Seat, seq: u64, text: &str, room: Room) -> bool {
        self.trim(now);
        if self.has(seat, seq, text) {
            return false;
        }
        let most = match room {
            Room::Ample => MAX_BYTES,
            Room::Cramped => self.text.len(),
        };
        while self.lines.len() >= MAX_LINES || self.text.len() + text.len() > most {
            if !self.drop_oldest() {
                // Not even alone does it fit: it is inspected, and not kept.
                return true;
            }
        }
        self.lines.push_back(Line { seat, seq, at: now, len: text.len() });
        self.text.extend(text.as_bytes());
        true
    }

    /// Drops what is older than it may be.
    pub(crate) fn trim(&mut self, now: Moment) {
        while self.expires().is_some_and(|expires| expires <= now) {
            self.drop_oldest();
        }
    }

    /// When the oldest line has to go.
    pub(crate) fn expires(&self) -> Option<Moment> {
        self.lines.front().map(|line| line.at + KEPT)
    }

    /// Bytes that it holds on to.
    pub(crate) fn size(&self) -> usize {
        self.text.len() + self.lines.len() * size_of::<Line>()
    }

    /// Gives up memory that an ended chat does not need.
    pub(crate) fn shrink(&mut self) {
        self.lines.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    /// A copy as a report has it, oldest first.
    pub(crate) fn freeze(&self) -> Vec<TranscriptLine> {
        self.starts()
            .map(|(start, line)| TranscriptLine {
                seat: u32::from(line.seat.0),
                seq: line.seq,
                at_unix_ms: u64::try_from(line.at.as_millis()).unwrap_or(u64::MAX),
                text: self.text_of(start, line),
            })
            .collect()
    }

    fn has(&self, seat: Seat, seq: u64, text: &str) -> bool {
        // A new number is above all that the seat used before, so that only repeats pay for the search.
        let newest = self.lines.iter().rev().find(|line| line.seat == seat);
        if newest.is_none_or(|newest| newest.seq < seq) {
            return false;
        }
        self.starts().any(|(start, line)| {
            line.seat == seat
                && line.seq == seq
                && line.len == text.len()
                && self.text.range(start..start + line.len).eq(text.as_bytes())
        })
    }

    fn starts(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().scan(0, |next, line| {
            let start = *next;
            *next += line.len;
            Some((start, line))
        })
    }

    fn text_of(&self, start: usize, line: &Line) -> String {
        let bytes: Vec<u8> = self.text.range(start..start + line.len).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(line) = self.lines.pop_front() else { return false };
        self.text.drain(..line.len);
        true
    }
}

/// Whether there is memory for transcripts to grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Up to the bounds of one chat.
    Ample,
    /// All transcripts together are at their bound: a new line takes the place of old ones.
    Cramped,
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript").field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Seat = Seat(1);
    const TWO: Seat = Seat(2);

    fn at(seconds: u64) -> Moment {
        Duration::from_secs(1_000_000 + seconds)
    }

    fn texts(transcript: &Transcript) -> Vec<String> {
        let total: usize = transcript.lines.iter().map(|line| line.len).sum();
        assert_eq!(total, transcript.text.len(), "the lengths add up");
        transcript.freeze().into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_come_back_in_order_with_who_when_and_which() {
        let mut transcript = Transcript::default();
        assert!(transcript.record(at(0), ONE, 1, "hello", Room::Ample));
        assert!(transcript.record(at(1), TWO, 1, "grüß dich", Room::Ample));
        let lines = transcript.freeze();
        let seen: Vec<_> = lines.iter().map(|line| (line.seat, line.seq, line.text.as_str())).collect();
        assert_eq!(seen, [(1, 1, "hello"), (2, 1, "grüß dich")]);
        assert_eq!(lines[1].at_unix_ms, 1_000_001_000);
    }

    #[test]
    fn a_repeat_is_recorded_once_and_another_text_under_the_same_number_again() {
        let mut transcript = Transcript::default();
        assert!(transcript.record(at(0), ONE, 1, "a", Room::Ample));
        assert!(transcript.record(at(0), ONE, 2, "b", Room::Ample));
        assert!(!transcript.record(at(1), ONE, 1, "a", Room::Ample));
        assert!(transcript.record(at(1), ONE, 1, "c", Room::Ample));
        assert!(transcript.record(at(1), TWO, 1, "a", Room::Ample));
        assert_eq!(texts(&transcript), ["a", "b", "c", "a"]);
    }

    #[test]
    fn it_holds_minutes_lines_and_bytes_within_bounds() {
        let mut transcript = Transcript::default();
        transcript.record(at(0), ONE, 1, "old", Room::Ample);
        transcript.record(at(299), ONE, 2, "young", Room::Ample);
        transcript.trim(at(300));
        assert_eq!(texts(&transcript), ["young"]);
        assert_eq!(transcript.expires(), Some(at(599)));

        for seq in 3..300 {
            transcript.record(at(300), ONE, seq, "x", Room::Ample);
        }
        assert_eq!(texts(&transcript).len(), MAX_LINES);

        let long = "y".repeat(8_000);
        for seq in 300..320 {
            transcript.record(at(301), ONE, seq, &long, Room::Ample);
        }
        assert_eq!(texts(&transcript).len(), MAX_BYTES / long.len());
    }

    #[test]
    fn without_room_a_line_takes_the_place_of_older_ones_or_is_not_kept() {
        let mut transcript = Transcript::default();
        assert!(transcript.record(at(0), ONE, 1, "lost", Room::Cramped));
        assert_eq!(texts(&transcript), Vec::<String>::new());
        for (seq, text) in [(2, "one"), (3, "two")] {
            transcript.record(at(0), ONE, seq, text, Room::Ample);
        }
        transcript.record(at(0), ONE, 4, "four", Room::Cramped);
        assert_eq!(texts(&transcript), ["four"]);
    }

    #[test]
    fn its_debug_shows_no_text() {
        let mut transcript = Transcript::default();
        transcript.record(at(0), ONE, 1, "secret words", Room::Ample);
        assert!(!format!("{transcript:?}").contains("secret"));
    }
}
