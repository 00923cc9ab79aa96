//! Reports: what was said lately is frozen, and goes to moderation.

use stroll_proto::v1::{Participant, Report, ReportRequest, Reported, relay_frame::Body};

use super::{
    Chat, Done, Effect, Moment, Phase,
    seat::{SeatState, detached},
};

/// Most reports of one seat in one chat. A repeat of the same one doesn't count.
const MAX_REPORTS: usize = 3;
/// Longest comment, in characters.
const MAX_COMMENT_CHARS: usize = 1_000;
/// Longest reason, in bytes. Which reasons there are is moderation's to know.
const MAX_REASON_BYTES: usize = 32;
/// Length of a report's id.
const ID_BYTES: usize = 16;

/// The answer to a report that will never be stored.
const NEVER: Reported = Reported { case: String::new(), retry: false };

impl Chat {
    /// Asks for the report to be stored, or answers at once that it won't be.
    pub(super) fn on_report(
        &mut self,
        now: Moment,
        index: usize,
        report: Report,
        out: &mut Vec<Effect>,
    ) -> Done {
        if self.began.is_none() || !is_sound(&report) || !self.counts(index, &report) {
            self.send(index, Body::Reported(NEVER), out);
            return Done::Handled;
        }
        let seat = self.seats[index].seat;
        let request = Box::new(self.freeze(now, index, report));
        out.push(Effect::Report { seat, request });
        Done::Handled
    }

    /// Whether the seat may still make this report.
    fn counts(&mut self, index: usize, report: &Report) -> bool {
        let reports = &mut self.seats[index].reports;
        let is_known = reports.iter().any(|id| id == &report.id);
        if !is_known && reports.len() < MAX_REPORTS {
            reports.push(detached(&report.id));
            return true;
        }
        is_known
    }

    fn freeze(&mut self, now: Moment, index: usize, report: Report) -> ReportRequest {
        if self.phase == Phase::Running {
            self.transcript.trim(now);
        }
        ReportRequest {
            id: report.id,
            chat: self.id_bytes.clone(),
            reporter_seat: u32::from(self.seats[index].seat.0),
            reason: report.reason,
            comment: report.comment,
            participants: self.participants(),
            transcript: self.transcript.freeze(),
            began_unix_ms: u64::try_from(self.began.unwrap_or(now).as_millis()).unwrap_or(u64::MAX),
            mode: self.mode.into(),
        }
    }

    fn participants(&self) -> Vec<Participant> {
        let participant = |seat: &SeatState| Participant {
            seat: u32::from(seat.seat.0),
            subject: Some(seat.subject.clone()),
            role: seat.role.into(),
        };
        self.seats.iter().map(participant).collect()
    }
}

fn is_sound(report: &Report) -> bool {
    report.id.len() == ID_BYTES
        && (1..=MAX_REASON_BYTES).contains(&report.reason.len())
        && report.comment.chars().count() <= MAX_COMMENT_CHARS
}
