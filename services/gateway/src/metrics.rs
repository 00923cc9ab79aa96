//! The gateway's instruments.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use opentelemetry::{
    KeyValue, global,
    metrics::{Counter, Histogram, ObservableGauge, UpDownCounter},
};

use crate::{close::Close, protocol::Code, session::Activity};

/// All of them.
#[derive(Clone, Debug)]
pub struct Metrics {
    sessions: UpDownCounter<i64>,
    handshakes: Counter<u64>,
    disconnects: Counter<u64>,
    refusals: Counter<u64>,
    messages: Counter<u64>,
    declined: Counter<u64>,
    overdue: Counter<u64>,
    relays: UpDownCounter<i64>,
    matched: Histogram<f64>,
    batches: Histogram<u64>,
    homes: Counter<u64>,
    interrupted: Histogram<f64>,
    classic_calls: Counter<u64>,
    /// What waits to be sent to clients, in all sockets' queues.
    pub to_clients: Depth,
    /// What waits to be sent to relays, in all streams' queues.
    pub to_relays: Depth,
    /// Tickets that wait to be put into the pool.
    pub to_matchmakers: Depth,
    /// Keeps the instrument that reads the three.
    _outgoing: ObservableGauge<i64>,
}

/// How much waits in queues of one kind. Clones share the number.
#[derive(Clone, Debug, Default)]
pub struct Depth(Arc<AtomicI64>);

impl Depth {
    /// So many more.
    pub fn add(&self, more: usize) {
        self.0.fetch_add(i64::try_from(more).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// So many fewer.
    pub fn sub(&self, fewer: usize) {
        self.0.fetch_sub(i64::try_from(fewer).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

impl Metrics {
    /// Registers them with the process's meter provider.
    #[must_use]
    pub fn new() -> Self {
        let meter = global::meter("stroll-gateway");
        let (to_clients, to_relays, to_matchmakers) = (Depth::default(), Depth::default(), Depth::default());
        let depths = [
            ("clients", to_clients.clone()),
            ("relays", to_relays.clone()),
            ("matchmakers", to_matchmakers.clone()),
        ];
        Self {
            _outgoing: meter
                .i64_observable_gauge("stroll.gateway.outgoing")
                .with_unit("{frame}")
                .with_description("Frames and tickets that wait to be sent, by where they go")
                .with_callback(move |observer| {
                    for (to, depth) in &depths {
                        observer.observe(depth.0.load(Ordering::Relaxed), &[KeyValue::new("to", *to)]);
                    }
                })
                .build(),
            to_clients,
            to_relays,
            to_matchmakers,
            sessions: meter
                .i64_up_down_counter("stroll.gateway.sessions")
                .with_unit("{session}")
                .with_description(
                    "Sessions by what they do: idle, waiting, chatting; and online: those with a socket",
                )
                .build(),
            handshakes: meter
                .u64_counter("stroll.gateway.handshakes")
                .with_unit("{handshake}")
                .with_description("WebSocket handshakes, and starts of classic sessions, by outcome")
                .build(),
            disconnects: meter
                .u64_counter("stroll.gateway.disconnects")
                .with_unit("{socket}")
                .with_description("Sockets that ended, by close code; 1006: lost without a word")
                .build(),
            refusals: meter
                .u64_counter("stroll.gateway.refusals")
                .with_unit("{frame}")
                .with_description("`error` frames sent, by code")
                .build(),
            messages: meter
                .u64_counter("stroll.gateway.messages")
                .with_unit("{message}")
                .with_description("Messages handed to clients")
                .build(),
            declined: meter
                .u64_counter("stroll.gateway.assignments.declined")
                .with_unit("{assignment}")
                .with_description("Assignments for tickets that no longer waited")
                .build(),
            overdue: meter
                .u64_counter("stroll.gateway.tickets.again")
                .with_unit("{ticket}")
                .with_description(
                    "Tickets put into the pool again: the other side did not show up, or the pool may have lost them",
                )
                .build(),
            relays: meter
                .i64_up_down_counter("stroll.gateway.relays")
                .with_unit("{stream}")
                .with_description("Streams to relays")
                .build(),
            batches: meter
                .u64_histogram("stroll.gateway.enqueue.tickets")
                .with_unit("{ticket}")
                .with_description("Tickets put into the pool with one call")
                .with_boundaries(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0])
                .build(),
            homes: meter
                .u64_counter("stroll.gateway.homes")
                .with_unit("{question}")
                .with_description("Questions for the home of a chat, by what came of them")
                .build(),
            interrupted: meter
                .f64_histogram("stroll.gateway.interruption.duration")
                .with_unit("s")
                .with_description("How long chats had no relay, of those that have one again")
                .with_boundaries(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0])
                .build(),
            classic_calls: meter
                .u64_counter("stroll.gateway.classic.calls")
                .with_unit("{call}")
                .with_description("Calls of classic clients to their sessions, by what they are and how they were answered")
                .build(),
            matched: meter
                .f64_histogram("stroll.gateway.match.duration")
                .with_unit("s")
                .with_description("From `find` to `matched`")
                .with_boundaries(vec![
                    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
                ])
                .build(),
        }
    }

    /// A session went over from one thing to another.
    pub fn moved(&self, from: Option<Activity>, to: Option<Activity>) {
        if from != to {
            let add = |activity: Option<Activity>, by| {
                if let Some(activity) = activity {
                    self.sessions.add(by, &[KeyValue::new("state", label(activity))]);
                }
            };
            add(from, -1);
            add(to, 1);
        }
    }

    /// A socket said hello (1) or is gone (-1).
    pub fn online(&self, by: i64) {
        self.sessions.add(by, &[KeyValue::new("state", "online")]);
    }

    /// A handshake ended so.
    pub fn handshake(&self, outcome: &'static str) {
        self.handshakes.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// A socket ended so.
    pub fn disconnect(&self, close: Close) {
        self.disconnects.add(1, &[KeyValue::new("reason", i64::from(close.code()))]);
    }

    /// A frame was refused.
    pub fn refusal(&self, code: Code) {
        self.refusals.add(1, &[KeyValue::new("code", code.as_str())]);
    }

    /// A message went to a client.
    pub fn message(&self) {
        self.messages.add(1, &[]);
    }

    /// An assignment was declined.
    pub fn declined(&self) {
        self.declined.add(1, &[]);
    }

    /// A ticket went into the pool again.
    pub fn again(&self) {
        self.overdue.add(1, &[]);
    }

    /// It was asked where a chat is.
    pub fn home(&self, outcome: &'static str) {
        self.homes.add(1, &[KeyValue::new("outcome", outcome)]);
    }

    /// A chat has a relay again.
    pub fn interrupted(&self, seconds: f64) {
        self.interrupted.record(seconds, &[]);
    }

    /// So many tickets go into the pool with one call.
    pub fn enqueued_at_once(&self, tickets: usize) {
        self.batches.record(u64::try_from(tickets).unwrap_or(u64::MAX), &[]);
    }

    /// A stream to a relay began (1) or ended (-1).
    pub fn relay(&self, by: i64) {
        self.relays.add(by, &[]);
    }

    /// A classic client called, and was answered so.
    pub fn classic_call(&self, call: &'static str, answer: &'static str) {
        self.classic_calls.add(1, &[KeyValue::new("call", call), KeyValue::new("answer", answer)]);
    }

    /// A chat began, so long after the wish.
    pub fn matched(&self, seconds: f64) {
        self.matched.record(seconds, &[]);
    }
}

fn label(activity: Activity) -> &'static str {
    match activity {
        Activity::Idle => "idle",
        Activity::Waiting => "waiting",
        Activity::Chatting => "chatting",
    }
}
