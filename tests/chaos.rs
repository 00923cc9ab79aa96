//! Chaos: pairs of strangers talk while one thing after the other breaks, and notice at most a pause.
//!
//! A minute with 100 pairs is what CI runs. A quarter of an hour with 500, of a release build:
//!
//! ```sh
//! tests/chaos
//! ```
//!
//! The report, a table and a chart of the pauses, is left in `target/chaos/`.

use std::fmt::Write as _;

use stroll_tests::{
    chaos::{Plan, Usage, watch_stalls},
    cluster::{Cluster, Settings},
    continuity::{Pauses, chart, judge},
    report,
    talker::{Crowd, Pace},
};
use tokio::time::{Duration, Instant};

/// How long 99 of 100 pairs have to wait at most, back-off of the clients included.
const PAUSES: [(&str, Duration); 2] =
    [("kill relay", Duration::from_secs(2)), ("kill gateway", Duration::from_secs(3))];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i3_no_message_is_lost_and_no_chat_ends_whatever_breaks() {
    let plan = Plan::from_environment();
    println!("{plan:?}; STROLL_CHAOS_SEED={} replays it", plan.seed);
    let mut cluster = start().await;
    let pace = Pace {
        says_every: Duration::from_millis(500)..Duration::from_millis(1_500),
        one_in_leaves: 10,
        stays: Duration::from_secs(5)..Duration::from_secs(20),
    };
    let crowd = Crowd::gather(&cluster.entrances(), plan.pairs, plan.seed, &pace);
    crowd.all_chat().await;
    let (before, began) = (Usage::of_machine(), Instant::now());
    let mut watching = tokio::task::JoinSet::new();
    watching.spawn(watch_stalls(began, began + plan.duration));
    let tell = |at: Duration, fault| println!("{:>7.2} s  {fault:?}", at.as_secs_f64());
    let marks = plan.inflict(&mut cluster, crowd.start(), tell).await;
    let (diaries, last) = crowd.finish().await;
    let used = Usage::of_machine().percent_since(&before);
    let stalled: Duration = watching.join_all().await.concat().iter().map(|(from, to)| *to - *from).sum();
    let verdict = judge(&diaries, last);
    let pauses = Pauses::new(&verdict.pairs, &marks);
    let mut table = format!("{plan:?}\n\n{verdict}\n{pauses}\n");
    let _ = writeln!(
        table,
        "faults {}, machine {used} % busy, the test itself stalled for {stalled:.1?}",
        marks.len()
    );
    println!("{table}");
    let title = format!("Pauses in {} chats, seed {}", verdict.pairs.len(), plan.seed);
    let chart = chart(&verdict.pairs, &marks, &title);
    for (name, content) in [("continuity.txt", &table), ("continuity.svg", &chart)] {
        println!("see {}", report::write("chaos", name, content).display());
    }
    assert!(verdict.shown > 0 && verdict.pairs.len() >= plan.pairs as usize, "they talked");
    assert!(verdict.is_good(), "with {plan:?}:\n{verdict}");
    // Where the test itself did not get to run for a twentieth of the time, a time says little.
    if stalled * 20 < plan.duration {
        for (what, longest) in PAUSES {
            let pause = pauses.after(what).map_or(Duration::ZERO, |group| group.percentile(990));
            assert!(pause <= longest, "{pause:?} after {what}, with {plan:?}");
        }
    }
}

async fn start() -> Cluster {
    let environment = vec![
        ("STROLL_CONNECTIONS_PER_ADDRESS", "100000".into()),
        ("STROLL_HANDSHAKES_PER_ADDRESS", "100000".into()),
        ("STROLL_DRAIN", "6s".into()),
    ];
    Cluster::start_with(Settings { environment, proxied: true, ..Settings::default() }).await
}
