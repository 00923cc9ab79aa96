//! Chaos: thousands of strangers who find and leave, while one matchmaker after the other is killed, and Redis once.

use std::{net::SocketAddr, time::Duration};

use stroll_tests::{
    chaos::{
        Usage,
        matching::{Diary, Fault, Plan, Timetable, judge, roam},
        watch_stalls,
    },
    cluster::{Cluster, Settings, Tier},
    eventually,
    redis::Redis,
    stranger::Stranger,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// How many sockets are opened within a second at the beginning.
const ARRIVALS: u32 = 400;
/// After the faults everybody looks for a last chat within 4 s, and nobody is more patient than 1.5 s. The rest is what is allowed on a
/// busy machine.
const AFTER: Duration = Duration::from_secs(16);
/// Heartbeats of ten seconds, and those that Redis drops together with older ones.
const MEMBERS: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i1_i2_i4_nobody_is_paired_twice_or_overlooked_while_matchmakers_and_redis_are_killed() {
    let plan = Plan::from_environment();
    println!("{plan:?}; STROLL_CHAOS_SEED={} replays it", plan.seed);
    let mut cluster = start().await;
    let gateways = cluster.addresses().await;
    let crowd = arrive(gateways, plan.sessions).await;
    let start = Instant::now();
    let times = Timetable { start, last: start + plan.duration, end: start + plan.duration + AFTER };
    let before = Usage::of_machine();
    let mut roaming = JoinSet::new();
    for (number, socket) in (0..).zip(crowd) {
        roaming.spawn(roam(number, of(gateways, number), socket, plan.turns(number), times));
    }
    let mut watching = JoinSet::new();
    watching.spawn(watch_stalls(start, times.end));
    let faults = plan.faults(cluster.matchmakers.len());
    inflict(&mut cluster, start, &faults).await;
    let diaries: Vec<Diary> = roaming.join_all().await;
    let used = Usage::of_machine().percent_since(&before);
    let verdict = judge(&diaries, start.elapsed(), &watching.join_all().await.concat());
    println!("{verdict}");
    println!("matchmakers killed, Redis lost     {}, 1", faults.len() - 1);
    println!("metrics                            {}", counted(&cluster).await);
    println!("processors                         machine {used} %; of one: {}", shares(&cluster, &before));
    let violations = verdict.violations();
    let first = &violations[..violations.len().min(20)];
    assert!(violations.is_empty(), "{} violations, with {plan:?}: {first:#?}", violations.len());
    eventually("nothing to be left in Redis", || async {
        left(&cluster.redis).await.is_empty().then_some(())
    })
    .await;
}

async fn start() -> Cluster {
    let environment = vec![
        ("STROLL_CONNECTIONS_PER_ADDRESS", "100000".into()),
        ("STROLL_HANDSHAKES_PER_ADDRESS", "100000".into()),
    ];
    Cluster::start_with(Settings { environment, more_matchmakers: 1, ..Settings::default() }).await
}

/// The gateway of the stranger of this number.
fn of(gateways: [SocketAddr; 2], number: u32) -> SocketAddr {
    gateways[usize::from(number % 2 == 1)]
}

async fn arrive(gateways: [SocketAddr; 2], strangers: u32) -> Vec<Stranger> {
    let began = Instant::now();
    let mut crowd = Vec::new();
    for number in 0..strangers {
        sleep_until(began + Duration::from_secs(1) * number / ARRIVALS).await;
        crowd.push(Stranger::arrive(of(gateways, number)).await);
    }
    crowd
}

async fn inflict(cluster: &mut Cluster, start: Instant, faults: &[(Duration, Fault)]) {
    for (at, fault) in faults {
        sleep_until(start + *at).await;
        match fault {
            Fault::KillMatchmaker(number) => cluster.replace(Tier::Matchmaker, *number).await,
            Fault::LoseRedis => {
                cluster.redis.kill().await;
                cluster.redis.resume(&[]).await;
            }
        }
    }
}

/// What the strangers don't see: how often the cluster had to help itself.
async fn counted(cluster: &Cluster) -> String {
    let mut counted = Vec::new();
    for (what, tier, metric) in [
        ("tickets put in again", &cluster.gateways, "stroll_gateway_tickets_again"),
        ("pairings declined", &cluster.gateways, "stroll_gateway_assignments_declined"),
        ("no-shows", &cluster.relays, "stroll_relay_chats_ended_total{by=\"no_show\""),
    ] {
        let mut sum = 0.0;
        for process in tier {
            sum += process.metric(metric).await;
        }
        counted.push(format!("{what} {sum}"));
    }
    counted.join(", ")
}

/// Processor time by process.
fn shares(cluster: &Cluster, since: &Usage) -> String {
    let tiers =
        [("gateway", &cluster.gateways), ("relay", &cluster.relays), ("moderation", &cluster.moderation)];
    let processes = tiers.into_iter().flat_map(|(what, tier)| tier.iter().map(move |one| (what, Some(one))));
    let share = |(what, process)| format!("{what} {} %", since.percent_of(process));
    processes.chain([("this test", None)]).map(share).collect::<Vec<_>>().join(", ")
}

/// What should not be in Redis when nobody waits any more.
async fn left(redis: &Redis) -> Vec<String> {
    let streams = redis.streams().await;
    let bound = |key: &str| if key.ends_with("members") { MEMBERS } else { 0 };
    let long = streams.iter().filter(|(key, length)| **length > bound(key));
    let mut left: Vec<_> = long.map(|(key, length)| format!("{key} has {length} entries")).collect();
    let inboxes = streams.keys().filter(|key| key.contains("inbox")).count();
    if inboxes > 2 {
        left.push(format!("{inboxes} inboxes of two gateways"));
    }
    left
}
