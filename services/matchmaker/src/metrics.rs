//! The matchmaker's instruments.

use std::time::Duration;

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Gauge, Histogram, UpDownCounter},
};
use tonic::{Code, Status};

use crate::{
    Error,
    matching::{Match, Outcome},
    pool::Shard,
};

/// Attribute keys. Their values are names of shards, of calls and of codes: a few, and known beforehand.
const SHARD: &str = "shard";
const CALL: &str = "call";
const CODE: &str = "code";
const REASON: &str = "reason";
const OUTCOME: &str = "outcome";
const QUEUE: &str = "queue";

/// All of them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    calls: Counter<u64>,
    watches: UpDownCounter<i64>,
    delivered: Counter<u64>,
    waiting: Gauge<u64>,
    oldest: Gauge<f64>,
    moved: Counter<u64>,
    redelivered: Counter<u64>,
    lag: Histogram<f64>,
    errors: Counter<u64>,
    queue: Gauge<u64>,
    owned: UpDownCounter<i64>,
    takeovers: Counter<u64>,
    dropped: Counter<u64>,
    paired: Counter<u64>,
    wait: Histogram<f64>,
    commits: Histogram<f64>,
    batch: Histogram<u64>,
    gone: Counter<u64>,
    relays: Gauge<u64>,
    degraded: Gauge<u64>,
}

/// Why a ticket is taken out of the pool without being paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It is there twice.
    Duplicate,
    /// Its subject is banned.
    Banned,
    /// It can't be read.
    Unreadable,
    /// Its gateway was not heard of for too long.
    GatewayLost,
}

/// What is bounded inside an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// Batches of entries that were read and not yet looked at.
    Read,
    /// Pairs that met and are not yet committed.
    Met,
}

impl Metrics {
    /// Registers them with the process's meter provider.
    pub(crate) fn new() -> Self {
        let meter = global::meter("stroll-matchmaker");
        let counter = |name, unit, description| {
            meter.u64_counter(name).with_unit(unit).with_description(description).build()
        };
        let gauge = |name, unit, description| {
            meter.u64_gauge(name).with_unit(unit).with_description(description).build()
        };
        let up_down = |name, unit, description| {
            meter.i64_up_down_counter(name).with_unit(unit).with_description(description).build()
        };
        let seconds = |name, description, boundaries: &[f64]| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(boundaries.to_vec()).build()
        };
        Self {
            calls: counter("stroll.matchmaker.calls", "{call}", "gRPC calls by name and status code"),
            watches: up_down("stroll.matchmaker.watches", "{watch}", "Gateways whose watch is served here"),
            delivered: counter(
                "stroll.matchmaker.assignments.delivered",
                "{assignment}",
                "Assignments put into gateways' inboxes",
            ),
            waiting: gauge(
                "stroll.matchmaker.waiting",
                "{ticket}",
                "Tickets that wait, of the shards owned here",
            ),
            oldest: meter
                .f64_gauge("stroll.matchmaker.waiting.oldest")
                .with_unit("s")
                .with_description("How long the ticket has waited that has waited longest, by shard")
                .build(),
            moved: counter(
                "stroll.matchmaker.tickets.moved",
                "{ticket}",
                "Tickets that found nobody in their shard and went to their pool's first, by the shard they left",
            ),
            redelivered: counter(
                "stroll.matchmaker.pairings.redelivered",
                "{pairing}",
                "Pairings delivered that somebody had taken before: by another owner, or an attempt that failed",
            ),
            lag: seconds(
                "stroll.matchmaker.dispatch.lag",
                "From the commit of a pairing to its being in all inboxes",
                &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0],
            ),
            errors: counter(
                "stroll.matchmaker.store.errors",
                "{error}",
                "Calls of the store that failed: it was away, or its memory was full",
            ),
            queue: gauge(
                "stroll.matchmaker.queue",
                "{item}",
                "What is queued inside an owner, by shard and queue",
            ),
            owned: up_down("stroll.matchmaker.shards.owned", "{shard}", "Shards owned here"),
            takeovers: counter("stroll.matchmaker.shards.acquired", "{shard}", "Leases won"),
            dropped: counter(
                "stroll.matchmaker.tickets.dropped",
                "{ticket}",
                "Tickets taken out of the pool without being paired, by reason",
            ),
            paired: counter("stroll.matchmaker.pairings", "{pairing}", "Pairings committed, by outcome"),
            wait: seconds(
                "stroll.matchmaker.wait.duration",
                "From the beginning of a ticket's wait to its pairing, by outcome",
                &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0],
            ),
            commits: seconds(
                "stroll.matchmaker.commit.duration",
                "How long the store takes to commit a batch",
                &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0],
            ),
            batch: meter
                .u64_histogram("stroll.matchmaker.commit.pairings")
                .with_unit("{pairing}")
                .with_description("Pairings in a batch")
                .with_boundaries(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0])
                .build(),
            gone: counter(
                "stroll.matchmaker.pairings.void",
                "{pairing}",
                "Pairings not committed because a ticket was gone",
            ),
            relays: gauge("stroll.matchmaker.relays", "{relay}", "Relays that can be chosen"),
            degraded: gauge("stroll.matchmaker.degraded", "1", "1 while the store is away, else 0"),
        }
    }

    /// A call ended.
    pub(crate) fn called<T>(&self, call: &'static str, outcome: &Result<T, Status>) {
        let code = outcome.as_ref().err().map_or(Code::Ok, Status::code);
        self.calls.add(1, &[KeyValue::new(CALL, call), KeyValue::new(CODE, code_name(code))]);
    }

    /// A watch began (1) or ended (-1).
    pub(crate) fn watches(&self, change: i64) {
        self.watches.add(change, &[]);
    }

    /// Assignments lie in inboxes.
    pub(crate) fn delivered(&self, assignments: usize) {
        self.delivered.add(wide(assignments), &[]);
    }

    /// So many wait in a shard, the first of them for so long.
    pub(crate) fn waiting(&self, shard: &Shard, tickets: usize, oldest: Duration) {
        self.waiting.record(wide(tickets), &[of(shard)]);
        self.oldest.record(oldest.as_secs_f64(), &[of(shard)]);
    }

    /// A ticket left its shard.
    pub(crate) fn moved(&self, shard: &Shard) {
        self.moved.add(1, &[of(shard)]);
    }

    /// Pairings were taken over.
    pub(crate) fn redelivered(&self, pairings: usize) {
        self.redelivered.add(wide(pairings), &[]);
    }

    /// A pairing is delivered, so long after it was committed.
    pub(crate) fn dispatched_after(&self, lag: Duration) {
        self.lag.record(lag.as_secs_f64(), &[]);
    }

    /// A call of the store failed.
    pub(crate) fn store_error(&self, error: &Error) {
        let reason = match error {
            Error::Full => "full",
            _ => "away",
        };
        self.errors.add(1, &[KeyValue::new(REASON, reason)]);
    }

    /// So much is queued in an owner.
    pub(crate) fn queue(&self, shard: &Shard, queue: Queue, items: usize) {
        let queue = match queue {
            Queue::Read => "read",
            Queue::Met => "met",
        };
        self.queue.record(wide(items), &[of(shard), KeyValue::new(QUEUE, queue)]);
    }

    /// A shard was won.
    pub(crate) fn acquired(&self, shard: &Shard) {
        self.takeovers.add(1, &[of(shard)]);
        self.owned.add(1, &[of(shard)]);
    }

    /// A shard was given up or lost.
    pub(crate) fn released(&self, shard: &Shard) {
        self.owned.add(-1, &[of(shard)]);
        self.waiting(shard, 0, Duration::ZERO);
    }

    /// A ticket was dropped.
    pub(crate) fn dropped(&self, reason: Dropped) {
        let reason = match reason {
            Dropped::Duplicate => "duplicate",
            Dropped::Banned => "banned",
            Dropped::Unreadable => "unreadable",
            Dropped::GatewayLost => "gateway_lost",
        };
        self.dropped.add(1, &[KeyValue::new(REASON, reason)]);
    }

    /// A pairing was committed at `now`, in milliseconds since the Unix epoch.
    pub(crate) fn paired(&self, shard: &Shard, met: &Match, now: u64) {
        let outcome = match met.outcome() {
            Outcome::Interest => "interest",
            Outcome::Widened => "widened",
            Outcome::Anybody => "anybody",
            Outcome::Spy => "spy",
            Outcome::Again => "again",
        };
        let labels = [of(shard), KeyValue::new(OUTCOME, outcome)];
        self.paired.add(1, &labels);
        for ticket in met.tickets() {
            let wait = Duration::from_millis(now.saturating_sub(ticket.since_unix_ms));
            self.wait.record(wait.as_secs_f64(), &labels);
        }
    }

    /// A batch was committed.
    pub(crate) fn committed(&self, pairings: usize, took: Duration) {
        self.batch.record(wide(pairings), &[]);
        self.commits.record(took.as_secs_f64(), &[]);
    }

    /// A pairing was void.
    pub(crate) fn void(&self) {
        self.gone.add(1, &[]);
    }

    /// So many relays can be chosen.
    pub(crate) fn relays(&self, relays: usize) {
        self.relays.record(wide(relays), &[]);
    }

    /// Whether the store is away.
    pub(crate) fn degraded(&self, degraded: bool) {
        self.degraded.record(u64::from(degraded), &[]);
    }
}

fn of(shard: &Shard) -> KeyValue {
    KeyValue::new(SHARD, shard.name().to_owned())
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// gRPC's own names of the codes that are used here.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::Unavailable => "UNAVAILABLE",
        _ => "OTHER",
    }
}
