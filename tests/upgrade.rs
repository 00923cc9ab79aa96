//! A rolling upgrade: every process of every tier is replaced in turn, while strangers talk.
//!
//! What an order of tiers can break, it breaks between two of them: one is new while the other one is old. So two orders are enough, one the reverse of
//! the other: each tier is replaced before each other one, and after it. `STROLL_UPGRADE_ORDERS=all` tries all 24.

use stroll_tests::{
    cluster::{Cluster, Settings, Tier},
    continuity::{Mark, Pauses, judge},
    talker::{Crowd, Pace},
};
use tokio::time::Duration;

const PAIRS: u32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i3_replacing_every_process_of_every_tier_loses_nothing_ends_no_chat_and_shows_no_close() {
    let environment = vec![
        ("STROLL_CONNECTIONS_PER_ADDRESS", "100000".into()),
        ("STROLL_HANDSHAKES_PER_ADDRESS", "100000".into()),
        ("STROLL_DRAIN", "6s".into()),
    ];
    let mut cluster = Cluster::start_with(Settings { environment, ..Settings::default() }).await;
    let pace = Pace {
        says_every: Duration::from_millis(1_000)..Duration::from_millis(3_000),
        one_in_leaves: 10,
        stays: Duration::from_secs(5)..Duration::from_secs(20),
    };
    let crowd = Crowd::gather(&cluster.entrances(), PAIRS, 1, &pace);
    crowd.all_chat().await;
    let mut marks = Vec::new();
    for tier in orders().into_iter().flatten() {
        for number in 0..cluster.tier(tier).len() {
            let at = crowd.start().elapsed();
            println!("{:>7.2} s  {tier} {number}", at.as_secs_f64());
            marks.push(Mark { at, what: format!("replace {tier}") });
            cluster.upgrade(tier, number).await;
        }
    }
    crowd.goes_on().await;
    let (diaries, last) = crowd.finish().await;
    let verdict = judge(&diaries, last);
    println!("{verdict}\n{}", Pauses::new(&verdict.pairs, &marks));
    assert!(verdict.shown > 0 && verdict.pairs.len() >= PAIRS as usize, "they talked");
    assert!(verdict.is_good() && verdict.visible.count == 0, "{verdict}");
    // Each client goes elsewhere several times; only where that takes long is its stranger told.
    assert!(verdict.away < PAIRS, "{verdict}");
}

fn orders() -> Vec<Vec<Tier>> {
    let one = Tier::ALL.to_vec();
    if std::env::var("STROLL_UPGRADE_ORDERS").is_ok_and(|orders| orders == "all") {
        return permutations(&one);
    }
    vec![one.clone(), one.into_iter().rev().collect()]
}

fn permutations(tiers: &[Tier]) -> Vec<Vec<Tier>> {
    if tiers.is_empty() {
        return vec![Vec::new()];
    }
    let beginning_with = |first: Tier| {
        let others: Vec<_> = tiers.iter().copied().filter(|tier| *tier != first).collect();
        permutations(&others).into_iter().map(move |rest| [vec![first], rest].concat())
    };
    tiers.iter().copied().flat_map(beginning_with).collect()
}

#[test]
fn there_are_24_orders_and_two_of_them_have_each_tier_before_and_after_each_other() {
    let all = permutations(&Tier::ALL);
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (24, 24));
    let place = |order: &[Tier], tier| order.iter().position(|other| *other == tier);
    let two = [Tier::ALL.to_vec(), Tier::ALL.into_iter().rev().collect()];
    for (one, other) in Tier::ALL.into_iter().flat_map(|one| Tier::ALL.map(|other| (one, other))) {
        assert!(one == other || two.iter().any(|order| place(order, one) < place(order, other)));
    }
}
