//! The relay's instruments.
//!
//! What happens per frame is first added up in a [`Tally`], which is given to the instruments once per batch.

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Gauge},
};
use stroll_proto::v1::{Action, EndedBy, RefusedReason};

use crate::chat::{Done, Ignored};

/// All of them. Clones share.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    chats: Gauge<u64>,
    streams: Gauge<u64>,
    transcripts: Gauge<u64>,
    outgoing: Gauge<u64>,
    inspect_queue: Gauge<u64>,
    moderation: Gauge<u64>,
    attaches: Counter<u64>,
    ended: Counter<u64>,
    frames: Counter<u64>,
    ignored: Counter<u64>,
    unmoderated: Counter<u64>,
    held: Counter<u64>,
    cut: Counter<u64>,
    verdicts: Counter<u64>,
    reports: Counter<u64>,
}

/// How full the relay is at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    /// Chats that have not ended.
    pub(crate) chats: u64,
    /// Gateways' streams.
    pub(crate) streams: u64,
    /// Bytes of all transcripts.
    pub(crate) transcripts: u64,
    /// Frames that wait for gateways.
    pub(crate) outgoing: u64,
    /// Texts that wait for moderation.
    pub(crate) inspect_queue: u64,
    /// 1 while texts go to moderation.
    pub(crate) moderation: u64,
}

/// Why a text was not inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmoderated {
    /// Moderation can't be reached.
    Unreachable,
    /// Moderation doesn't keep up.
    Overflow,
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// It is durable.
    Durable,
    /// Moderation did not answer in time, or too many reports are on their way.
    Later,
    /// Moderation refused it.
    Never,
}

const RESULT: &str = "result";
const KIND: &str = "kind";
const REASON: &str = "reason";
const ACTION: &str = "action";
const BY: &str = "by";

impl Metrics {
    /// Registers them with the process's meter provider.
    pub(crate) fn new() -> Self {
        let meter = global::meter("stroll-relay");
        let gauge = |name: &'static str, unit: &'static str, description: &'static str| {
            meter.u64_gauge(name).with_unit(unit).with_description(description).build()
        };
        let counter = |name: &'static str, unit: &'static str, description: &'static str| {
            meter.u64_counter(name).with_unit(unit).with_description(description).build()
        };
        Self {
            chats: gauge("stroll.relay.chats", "{chat}", "Chats that have not ended"),
            streams: gauge("stroll.relay.streams", "{stream}", "Gateways' streams"),
            transcripts: gauge("stroll.relay.transcripts.size", "By", "Memory of all transcripts"),
            outgoing: gauge("stroll.relay.outgoing", "{frame}", "Frames that wait for gateways"),
            inspect_queue: gauge("stroll.relay.inspect.queue", "{message}", "Texts that wait for moderation"),
            moderation: gauge(
                "stroll.relay.moderation.reachable",
                "{stream}",
                "1 while texts go to moderation, else 0",
            ),
            attaches: counter("stroll.relay.attaches", "{attach}", "Seats asked for, by result"),
            ended: counter(
                "stroll.relay.chats.ended",
                "{chat}",
                "Chats that ended, by who or what ended them, or moved to another relay",
            ),
            frames: counter(
                "stroll.relay.frames",
                "{frame}",
                "Frames from gateways that did something, by kind",
            ),
            ignored: counter("stroll.relay.frames.ignored", "{frame}", "Frames that did nothing, by reason"),
            unmoderated: counter(
                "stroll.relay.messages.unmoderated",
                "{message}",
                "Texts passed uninspected, by reason",
            ),
            held: counter(
                "stroll.relay.messages.held",
                "{message}",
                "Texts withheld while moderation was away",
            ),
            cut: counter(
                "stroll.relay.streams.cut",
                "{stream}",
                "Gateways' streams ended because they were too slow",
            ),
            verdicts: counter(
                "stroll.relay.verdicts",
                "{verdict}",
                "Moderation's verdicts carried out, by action",
            ),
            reports: counter("stroll.relay.reports", "{report}", "Reports passed to moderation, by result"),
        }
    }

    /// How full the relay is.
    pub(crate) fn levels(&self, levels: Levels) {
        self.chats.record(levels.chats, &[]);
        self.streams.record(levels.streams, &[]);
        self.transcripts.record(levels.transcripts, &[]);
        self.outgoing.record(levels.outgoing, &[]);
        self.inspect_queue.record(levels.inspect_queue, &[]);
        self.moderation.record(levels.moderation, &[]);
    }

    /// A seat was asked for.
    pub(crate) fn attach(&self, result: Result<(), RefusedReason>) {
        let result = match result {
            Ok(()) => "taken",
            Err(RefusedReason::BadToken | RefusedReason::Unspecified) => "bad_token",
            Err(RefusedReason::Expired) => "expired",
            Err(RefusedReason::Gone) => "gone",
            Err(RefusedReason::Full) => "full",
            Err(RefusedReason::Replaced) => "replaced",
        };
        self.attaches.add(1, &[KeyValue::new(RESULT, result)]);
    }

    /// A chat is over, or goes on elsewhere.
    pub(crate) fn ended(&self, by: Option<EndedBy>) {
        let by = match by {
            Some(EndedBy::Stranger | EndedBy::You) => "stranger",
            Some(EndedBy::Away) => "away",
            Some(EndedBy::Moderation) => "moderation",
            Some(EndedBy::Error | EndedBy::Unspecified) => "error",
            Some(EndedBy::NoShow) => "no_show",
            None => "moved",
        };
        self.ended.add(1, &[KeyValue::new(BY, by)]);
    }

    /// A stream was ended because its gateway was too slow.
    pub(crate) fn cut(&self) {
        self.cut.add(1, &[]);
    }

    /// A verdict was carried out.
    pub(crate) fn verdict(&self, action: Action) {
        let action = match action {
            Action::Unspecified => "unspecified",
            Action::Warn => "warn",
            Action::End => "end",
            Action::Ban => "ban",
        };
        self.verdicts.add(1, &[KeyValue::new(ACTION, action)]);
    }

    /// A report came to its end.
    pub(crate) fn report(&self, result: Storage) {
        let result = match result {
            Storage::Durable => "stored",
            Storage::Later => "later",
            Storage::Never => "never",
        };
        self.reports.add(1, &[KeyValue::new(RESULT, result)]);
    }

    /// Gives what was added up to the instruments, and empties it.
    pub(crate) fn add(&self, tally: &mut Tally) {
        for (kind, count) in Tally::take(&mut tally.done) {
            self.frames.add(count, &[KeyValue::new(KIND, kind)]);
        }
        for (reason, count) in Tally::take(&mut tally.ignored) {
            self.ignored.add(count, &[KeyValue::new(REASON, reason)]);
        }
        for (reason, count) in Tally::take(&mut tally.unmoderated) {
            self.unmoderated.add(count, &[KeyValue::new(REASON, reason)]);
        }
        let held = std::mem::take(&mut tally.held);
        if held > 0 {
            self.held.add(held, &[]);
        }
    }
}

/// Counts of one batch, by label.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    done: Vec<(&'static str, u64)>,
    ignored: Vec<(&'static str, u64)>,
    unmoderated: Vec<(&'static str, u64)>,
    held: u64,
}

impl Tally {
    /// A frame was looked at.
    pub(crate) fn frame(&mut self, result: Result<Done, Ignored>) {
        match result {
            Ok(done) => count(&mut self.done, label_of_done(done)),
            Err(Ignored::Held) => self.held += 1,
            Err(ignored) => count(&mut self.ignored, label_of_ignored(ignored)),
        }
    }

    /// A text was passed on uninspected.
    pub(crate) fn unmoderated(&mut self, why: Unmoderated) {
        let label = match why {
            Unmoderated::Unreachable => "unreachable",
            Unmoderated::Overflow => "overflow",
        };
        count(&mut self.unmoderated, label);
    }

    /// What was counted. The labels stay, so that the next batch finds them without allocating.
    fn take(counts: &mut [(&'static str, u64)]) -> impl Iterator<Item = (&'static str, u64)> {
        let taken = counts.iter_mut().map(|(label, count)| (*label, std::mem::take(count)));
        taken.filter(|(_, count)| *count > 0)
    }
}

fn count(counts: &mut Vec<(&'static str, u64)>, label: &'static str) {
    match counts.iter_mut().find(|(known, _)| *known == label) {
        Some((_, count)) => *count += 1,
        None => counts.push((label, 1)),
    }
}

fn label_of_done(done: Done) -> &'static str {
    match done {
        Done::Message => "message",
        Done::Signal => "signal",
        Done::Ack => "ack",
        Done::Typing => "typing",
        Done::Handled => "control",
    }
}

fn label_of_ignored(ignored: Ignored) -> &'static str {
    match ignored {
        Ignored::UnknownHandle => "unknown_handle",
        Ignored::HandleInUse => "handle_in_use",
        Ignored::Empty => "empty",
        Ignored::Replaced => "replaced",
        Ignored::NotStarted => "not_started",
        Ignored::Over => "over",
        Ignored::NobodyThere => "nobody_there",
        Ignored::Held => "held",
        Ignored::BadSize => "bad_size",
        Ignored::WrongMode => "wrong_mode",
        Ignored::Spy => "spy",
        Ignored::BadDecline => "bad_decline",
    }
}
