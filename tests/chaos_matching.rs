//! Chaos: thousands of strangers who find and leave, while one matchmaker after the other is killed, and Redis once.

use std::time::Duration;

use stroll_tests::{
    chaos::{Diary, Fault, Plan, Timetable, Usage, judge, measure_lag, roam},
    cluster::{Cluster, Settings},
    stranger::Stranger,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// How many sockets are opened within a second at the beginning.
const ARRIVALS: u32 = 400;
/// After the faults everybody looks for a last chat within 2 s, and nobody is more patient than 1.5 s. The rest is what I4 allows,
/// and some more.
const AFTER: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i1_i2_i4_nobody_is_paired_twice_or_overlooked_while_matchmakers_and_redis_are_killed() {
    let plan = Plan::from_environment();
    println!("{plan:?}; STROLL_CHAOS_SEED={} replays it", plan.seed);
    let settings = Settings {
        environment: vec![
            ("STROLL_CONNECTIONS_PER_ADDRESS", "100000".into()),
            ("STROLL_HANDSHAKES_PER_ADDRESS", "100000".into()),
        ],
        more_matchmakers: 1,
        ..Settings::default()
    };
    let mut cluster = Cluster::start_with(settings).await;
    let gateways = cluster.addresses().await;
    let mut crowd = Vec::new();
    for number in 0..plan.sessions {
        if number % ARRIVALS == 0 && number > 0 {
            sleep_until(Instant::now() + Duration::from_secs(1)).await;
        }
        crowd.push(Stranger::arrive(gateways[usize::from(number % 2 == 1)]).await);
    }
    let start = Instant::now();
    let times = Timetable { start, last: start + plan.duration, end: start + plan.duration + AFTER };
    let machine = Usage::of_machine();
    let mut roaming = JoinSet::new();
    for (number, socket) in (0..).zip(crowd) {
        let gateway = gateways[usize::from(number % 2 == 1)];
        roaming.spawn(roam(number, gateway, socket, plan.turns(number), times));
    }
    let mut lag = JoinSet::new();
    lag.spawn(measure_lag(times.end));
    let faults = plan.faults(cluster.matchmakers.len());
    for (at, fault) in &faults {
        sleep_until(start + *at).await;
        match fault {
            Fault::KillMatchmaker(number) => cluster.replace_matchmaker(*number).await,
            Fault::LoseRedis => {
                cluster.redis.kill().await;
                cluster.redis.resume(&[]).await;
            }
        }
    }
    let diaries: Vec<Diary> = roaming.join_all().await;
    let used = Usage::of_machine().percent_since(&machine);
    let verdict = judge(&diaries);
    println!("{verdict}");
    println!(
        "faults {}, machine busy {used} %, this process late by up to {:?}",
        faults.len(),
        lag.join_all().await
    );
    for (what, tier) in
        [("gateway", &cluster.gateways), ("relay", &cluster.relays), ("moderation", &cluster.moderation)]
    {
        for process in tier {
            println!("{what} {} %", machine.percent_of(Some(process)));
        }
    }
    println!("this process {} %", machine.percent_of(None));
    let violations = verdict.violations();
    assert!(
        violations.is_empty(),
        "{} violations, {:#?}",
        violations.len(),
        &violations[..violations.len().min(20)]
    );
}
