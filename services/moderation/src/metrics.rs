//! Moderation's instruments.

use std::time::Duration;

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Gauge, Histogram, UpDownCounter},
};

use crate::rules::{Extent, Inspection, strikes::Action};

/// Upper bounds of the inspection histogram's buckets, in seconds. The budget of a text is among them.
const INSPECTION_SECONDS: [f64; 10] =
    [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008];

/// All of them. Clones share.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    inspections: Histogram<f64>,
    partial: Counter<u64>,
    hits: Counter<u64>,
    verdicts: Counter<u64>,
    unrecorded: Counter<u64>,
    streams: UpDownCounter<i64>,
    reports: Counter<u64>,
    bans: Gauge<u64>,
    watchers: UpDownCounter<i64>,
    database_errors: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = global::meter("stroll-moderation");
        let counter = |name, unit, description| {
            meter.u64_counter(name).with_unit(unit).with_description(description).build()
        };
        let level = |name, unit, description| {
            meter.i64_up_down_counter(name).with_unit(unit).with_description(description).build()
        };
        Self {
            inspections: meter
                .f64_histogram("stroll.moderation.inspection.duration")
                .with_unit("s")
                .with_description("Texts that were looked at, and how long that took")
                .with_boundaries(INSPECTION_SECONDS.to_vec())
                .build(),
            partial: counter(
                "stroll.moderation.inspection.partial",
                "{text}",
                "Texts that were not looked at entirely, by reason",
            ),
            hits: counter("stroll.moderation.hits", "{text}", "Texts that break a rule, by rule"),
            verdicts: counter("stroll.moderation.verdicts", "{verdict}", "Verdicts for relays, by action"),
            unrecorded: counter(
                "stroll.moderation.decisions.unrecorded",
                "{decision}",
                "Decisions that were lost, because the database was away for too long",
            ),
            streams: level(
                "stroll.moderation.inspect.streams",
                "{stream}",
                "Relays that have texts inspected",
            ),
            reports: counter("stroll.moderation.reports", "{report}", "Reports that were stored, by reason"),
            bans: meter
                .u64_gauge("stroll.moderation.bans")
                .with_unit("{ban}")
                .with_description("Bans in force")
                .build(),
            watchers: level("stroll.moderation.bans.watchers", "{stream}", "Those who are told of bans"),
            database_errors: counter(
                "stroll.moderation.database.errors",
                "{error}",
                "Uses of the database that failed, by operation",
            ),
        }
    }

    pub(crate) fn inspected(&self, inspection: Inspection, took: Duration) {
        self.inspections.record(took.as_secs_f64(), &[]);
        if let Some(rule) = inspection.hit {
            self.hits.add(1, &[KeyValue::new("rule", rule.code())]);
        }
        let reason = match inspection.extent {
            Extent::Whole => return,
            Extent::Capped => "length",
            Extent::OutOfTime => "time",
        };
        self.partial.add(1, &[KeyValue::new("reason", reason)]);
    }

    pub(crate) fn verdict(&self, action: Action) {
        self.verdicts.add(1, &[KeyValue::new("action", action.code())]);
    }

    pub(crate) fn unrecorded(&self, decisions: usize) {
        self.unrecorded.add(u64::try_from(decisions).unwrap_or(u64::MAX), &[]);
    }

    pub(crate) fn report(&self, reason: &'static str) {
        self.reports.add(1, &[KeyValue::new("reason", reason)]);
    }

    pub(crate) fn bans(&self, in_force: usize) {
        self.bans.record(u64::try_from(in_force).unwrap_or(u64::MAX), &[]);
    }

    pub(crate) fn database_error(&self, operation: &'static str) {
        self.database_errors.add(1, &[KeyValue::new("operation", operation)]);
    }

    /// Counts a relay's stream until it is dropped.
    pub(crate) fn stream(&self) -> Present {
        Present::of(&self.streams)
    }

    /// Counts a watcher until it is dropped.
    pub(crate) fn watcher(&self) -> Present {
        Present::of(&self.watchers)
    }
}

/// One that is counted for as long as this lives.
#[derive(Debug)]
pub(crate) struct Present(UpDownCounter<i64>);

impl Present {
    fn of(level: &UpDownCounter<i64>) -> Self {
        level.add(1, &[]);
        Self(level.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.add(-1, &[]);
    }
}
