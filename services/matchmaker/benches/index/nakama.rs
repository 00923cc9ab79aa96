//! The cases of the benchmark that Nakama ships: `BenchmarkMatchmakerProcessTickets100_min2_max2`, `…500_…` and `…1_000_…` of
//! `server/matchmaker_test.go`.
//!
//! There 50, 250 or 100 tickets wait that never match, because they ask for a property that none has; then 100, 500 or
//! 1,000 come that match anybody (`*`), and one `Process` pairs all of them. Here those who never match look for ever for an
//! interest of their own, and the others have none. What differs: Nakama's clock stands while tickets are added, and runs
//! while all are searched for and told; here each is looked at when it arrives, so that adding is timed, and nobody is told.

use std::time::Duration;

use stroll_matchmaker::matching::{Arrival, Index};

use crate::{
    core_time::CoreTime,
    report::{self, Bar, Figure},
    stream::Stream,
};

/// How many match, how many never do, and Nakama's own figure, in matches a second (measured by its benchmark on a
/// machine like this one).
const CASES: [(u64, u64, f64); 3] = [(100, 50, 906.0), (500, 250, 204.0), (1_000, 100, 304.0)];
const RUNS: usize = 3;
/// Tickets of one run.
const TICKETS: u64 = 200_000;

pub fn measure() {
    for (matchable, unmatchable, theirs) in CASES {
        let case = format!("Nakama's benchmark, {} tickets", matchable + unmatchable);
        if !report::is_asked_for(&case) {
            continue;
        }
        let runs: Vec<f64> = (0..RUNS).map(|_| run(matchable, unmatchable)).collect();
        let ours = Figure { case: case.clone(), what: "matches/s", runs, bar: Bar::None };
        ours.print();
        let runs = vec![ours.median() / theirs];
        Figure { case, what: "times Nakama's figure", runs, bar: Bar::None }.print();
    }
}

fn run(matchable: u64, unmatchable: u64) -> f64 {
    let (mut stream, mut index) = (Stream::default(), Index::default());
    for _ in 0..unmatchable {
        let unmatchable = stream.unmatchable();
        index.insert(unmatchable.ticket, stream.now);
    }
    let (mut took, mut matches) = (Duration::ZERO, 0);
    for _ in 0..TICKETS / matchable {
        stream.now += 1;
        let arrivals: Vec<_> = (0..matchable).map(|_| stream.willing()).collect();
        let began = CoreTime::now();
        let outcomes: Vec<_> =
            arrivals.into_iter().map(|arrival| index.insert(arrival.ticket, stream.now)).collect();
        took += began.elapsed();
        matches += outcomes.iter().filter(|outcome| matches!(outcome, Arrival::Meets(_))).count();
    }
    report::per_second(matches, took)
}
