//! How many tickets a second the index takes in on one core, whatever waits in it.
//!
//! In each case so many tickets wait that meet nobody: each looks for an interest of its own for ever, and they came over
//! the last minute, so that now and then one's time for something comes. Then others arrive, 500 in each millisecond of
//! the tickets' own time. What is timed is `widen` and `insert`, and where half of them can't be matched also
//! `remove_by_id`, by which as many go as come. The clock stands while tickets are parsed, and while what came of them is dropped.
//! The clock is that of the thread's own time on a core, so that what else runs on the machine counts for little.

#[path = "../report/mod.rs"]
mod report;
#[path = "../tickets/mod.rs"]
mod tickets;

mod core_time;
mod nakama;
mod stream;

use std::{collections::VecDeque, time::Duration};

use chassis::id::TicketId;
use stroll_matchmaker::matching::{Index, Ticket};

use self::{
    core_time::CoreTime,
    report::{Bar, Figure},
    stream::{Arrival, Kind, Stream},
};

const WAITING: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// How long ago the first of those came who wait, in milliseconds.
const WAITED_MS: u64 = 60_000;
/// What arrives within a millisecond: as much as is asked of the index, and about as much as an owner reads at a time.
const PER_MS: u64 = 500;
const RUNS: usize = 3;
/// Milliseconds of one run, and before the first one, in which what is remembered of those who went gets as much as it ever does.
const RUN_MS: u64 = 1_000;
const WARM_UP_MS: u64 = 200;
fn main() {
    for kind in [Kind::NoInterests, Kind::ThreeOfTwenty, Kind::HalfUnmatchable] {
        let costs: Vec<f64> = WAITING.into_iter().filter_map(|waiting| measure(kind, waiting)).collect();
        if let [least, _, _, most] = costs[..] {
            let runs = vec![most / least];
            let case = format!("index, {}", kind.name());
            let what = "cost of a ticket with 1,000,000 waiting to that with 1,000";
            Figure { case, what, runs, bar: Bar::AtMost(2.0) }.print();
        }
    }
    nakama::measure();
}

/// What a ticket costs, in nanoseconds.
fn measure(kind: Kind, waiting: u64) -> Option<f64> {
    let case = format!("index, {}, {waiting} wait", kind.name());
    if !report::is_asked_for(&case) {
        return None;
    }
    let mut pool = Pool::new(kind, waiting);
    pool.run(WARM_UP_MS);
    let count = usize::try_from(RUN_MS * PER_MS).unwrap_or_default();
    let rates = (0..RUNS).map(|_| report::per_second(count, pool.run(RUN_MS))).collect();
    let rate = Figure { case, what: "tickets/s", runs: rates, bar: Bar::AtLeast(500_000.0) };
    rate.print();
    Some(1e9 / rate.median())
}

/// An index in which some wait who meet nobody.
struct Pool {
    kind: Kind,
    index: Index,
    stream: Stream,
    unmatchable: VecDeque<TicketId>,
}

impl Pool {
    fn new(kind: Kind, waiting: u64) -> Self {
        let (mut stream, mut index, mut unmatchable) = (Stream::default(), Index::default(), VecDeque::new());
        let began = stream.now;
        for number in 0..waiting {
            stream.now = began + number * WAITED_MS / waiting;
            let Arrival { id, ticket, .. } = stream.unmatchable();
            index.insert(ticket, stream.now);
            unmatchable.push_back(id);
        }
        stream.now = began + WAITED_MS;
        index.widen(stream.now);
        Self { kind, index, stream, unmatchable }
    }

    /// Lets tickets arrive for so many milliseconds of their own time, and tells what the index took for it.
    fn run(&mut self, ms: u64) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..ms {
            let (now, arrivals) = self.stream.millisecond(self.kind, PER_MS);
            let mut outcomes = Vec::with_capacity(arrivals.len());
            let began = CoreTime::now();
            let widened = self.index.widen(now);
            for Arrival { id, is_unmatchable, ticket } in arrivals {
                let removed = if is_unmatchable { self.replace(id, now) } else { None };
                outcomes.push((removed, self.index.insert(ticket, now)));
            }
            took += began.elapsed();
            drop((widened, outcomes));
        }
        took
    }

    /// Somebody arrives who meets nobody: the first of those goes.
    fn replace(&mut self, id: TicketId, now: u64) -> Option<Box<Ticket>> {
        self.unmatchable.push_back(id);
        self.unmatchable.pop_front().and_then(|oldest| self.index.remove_by_id(oldest, now))
    }
}
