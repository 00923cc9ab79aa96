//! What a chat notices of a fault: one test for each.
//!
//! | fault | those who chat | those who wait or come back |
//! |---|---|---|
//! | relay killed | a pause | |
//! | relay stands still | a pause; nothing when it goes on, and it serves no chat that has moved | |
//! | relay parted from one gateway, or from both | a pause; nothing when that is over | |
//! | gateway killed | a pause, and the stranger is away for so long | keep their place; a chat that ended meanwhile tells how |
//! | connections to a gateway reset | the same | the same |
//! | matchmaker, moderation or Redis killed | nothing | |
//!
//! A pause is a `resumed`, and messages that come later. No message is lost, none comes twice or out of order, and no chat ends.

use serde_json::json;
use stroll_tests::{
    cluster::{Cluster, Settings, Tier},
    continuity::{Verdict, judge},
    eventually,
    process::{Process, Signal},
    stranger::{Stranger, meet},
    talker::{Crowd, Pace},
};
use tokio::time::Duration;

/// Enough for chats of one gateway and of two, on both relays.
const PAIRS: u32 = 6;

/// A cluster, and pairs who talk.
async fn talk() -> (Cluster, Crowd) {
    talk_with(Vec::new()).await
}

async fn talk_with(environment: Vec<(&'static str, String)>) -> (Cluster, Crowd) {
    let cluster = Cluster::start_with(Settings { environment, proxied: true, ..Settings::default() }).await;
    let says_every = Duration::from_millis(150)..Duration::from_millis(250);
    let pace = Pace { says_every, one_in_leaves: 0, stays: Duration::ZERO..Duration::ZERO };
    let crowd = Crowd::gather(&cluster.entrances(), PAIRS, 1, &pace);
    crowd.all_chat().await;
    crowd.goes_on().await;
    (cluster, crowd)
}

/// Everybody is heard, and leaves. Nothing was lost, and no chat ended.
async fn survived(crowd: Crowd) -> Verdict {
    crowd.goes_on().await;
    let (diaries, last) = crowd.finish().await;
    let verdict = judge(&diaries, last);
    assert!(verdict.is_good() && verdict.visible.count == 0, "{verdict}");
    assert_eq!((verdict.pairs.len(), verdict.phantoms), (PAIRS as usize, 0), "{verdict}");
    verdict
}

async fn chats(relay: &Process) -> f64 {
    relay.metric("stroll_relay_chats{").await + relay.metric("stroll_relay_chats ").await
}

/// The relay that has most chats.
async fn busier(cluster: &Cluster) -> usize {
    usize::from(chats(&cluster.relays[0]).await < chats(&cluster.relays[1]).await)
}

#[tokio::test]
async fn i3_a_relay_that_is_killed_costs_a_pause() {
    let (mut cluster, crowd) = talk().await;
    let relay = busier(&cluster).await;
    cluster.relays[relay].kill().await;
    let verdict = survived(crowd).await;
    assert!(verdict.resumed > 0 && verdict.closes.is_empty(), "{verdict}");
}

#[tokio::test]
async fn i3_a_relay_that_is_killed_and_the_one_that_took_its_chats_cost_a_pause_each() {
    let (mut cluster, crowd) = talk().await;
    for relay in [0, 1] {
        cluster.replace(Tier::Relay, relay).await;
        cluster.ready().await;
        crowd.goes_on().await;
    }
    let verdict = survived(crowd).await;
    assert!(verdict.resumed > 0 && verdict.closes.is_empty(), "{verdict}");
}

#[tokio::test]
async fn i3_a_relay_that_stands_still_costs_a_pause_and_serves_no_chat_that_has_moved() {
    // A relay keeps a chat for so long from which all are away.
    let (cluster, crowd) = talk_with(vec![("STROLL_GRACE", "10s".into())]).await;
    let relay = busier(&cluster).await;
    cluster.relays[relay].signal(Signal::Stop).await;
    crowd.goes_on().await;
    cluster.relays[relay].signal(Signal::Cont).await;
    let none = || async { (chats(&cluster.relays[relay]).await == 0.0).then_some(()) };
    eventually("the relay to give its chats up", none).await;
    assert!((chats(&cluster.relays[1 - relay]).await - f64::from(PAIRS)).abs() < 0.5);
    let verdict = survived(crowd).await;
    assert!(verdict.resumed > 0 && verdict.closes.is_empty(), "{verdict}");
}

#[tokio::test]
async fn i3_a_relay_that_one_gateway_does_not_reach_costs_a_pause() {
    let (cluster, crowd) = talk().await;
    let relay = busier(&cluster).await;
    let proxy = &cluster.links().relays[relay];
    proxy.part_from(cluster.gateways[0].id().expect("it runs"));
    crowd.goes_on().await;
    proxy.heal();
    let verdict = survived(crowd).await;
    assert!(verdict.resumed > 0 && verdict.closes.is_empty(), "{verdict}");
}

#[tokio::test]
async fn i3_a_relay_that_no_gateway_reaches_costs_a_pause() {
    let (cluster, crowd) = talk().await;
    let relay = busier(&cluster).await;
    let proxy = &cluster.links().relays[relay];
    proxy.part();
    crowd.goes_on().await;
    proxy.heal();
    let verdict = survived(crowd).await;
    assert!(verdict.resumed > 0 && verdict.closes.is_empty(), "{verdict}");
}

#[tokio::test]
async fn i3_a_gateway_that_is_killed_costs_a_pause_and_its_clients_come_back_elsewhere() {
    let (mut cluster, crowd) = talk().await;
    cluster.gateways[0].kill().await;
    let verdict = survived(crowd).await;
    assert!(verdict.closes["lost"] == PAIRS as usize && verdict.resumed > 0, "{verdict}");
}

#[tokio::test]
async fn i3_connections_that_are_reset_cost_a_pause_while_their_gateway_lives() {
    let (cluster, crowd) = talk().await;
    cluster.links().gateways[0].reset();
    let verdict = survived(crowd).await;
    assert!(verdict.closes["lost"] == PAIRS as usize && verdict.resumed > 0, "{verdict}");
}

#[tokio::test]
async fn a_matchmaker_that_is_killed_is_not_noticed_by_those_who_chat() {
    let (mut cluster, crowd) = talk().await;
    for matchmaker in &mut cluster.matchmakers {
        matchmaker.kill().await;
    }
    nothing_is_noticed(crowd).await;
}

#[tokio::test]
async fn moderation_that_is_killed_is_not_noticed_by_those_who_chat() {
    let (mut cluster, crowd) = talk().await;
    for moderation in &mut cluster.moderation {
        moderation.kill().await;
    }
    nothing_is_noticed(crowd).await;
}

#[tokio::test]
async fn redis_that_is_killed_is_not_noticed_by_those_who_chat() {
    let (mut cluster, crowd) = talk().await;
    cluster.redis.kill().await;
    crowd.goes_on().await;
    cluster.redis.resume(&[]).await;
    nothing_is_noticed(crowd).await;
}

#[tokio::test]
async fn redis_that_is_away_for_long_costs_an_idle_chat_nothing_either() {
    let mut cluster = Cluster::start().await;
    let [mut one, mut two] = meet(cluster.addresses().await).await;
    cluster.redis.kill().await;
    // By then matchmakers have not heard of any relay for a while.
    for gateway in &cluster.gateways {
        gateway.logs("assignments cannot be watched").await;
    }
    one.say("still here?").await;
    two.hears("still here?").await;
    one.is_heard().await;
    for gateway in &cluster.gateways {
        assert!(!gateway.log().iter().any(|line| line.contains("relay lost")), "{:#?}", gateway.log());
    }
}

async fn nothing_is_noticed(crowd: Crowd) {
    let verdict = survived(crowd).await;
    assert_eq!((verdict.resumed, verdict.away, verdict.repeats), (0, 0, 0), "{verdict}");
    assert!(verdict.closes.is_empty() && verdict.refusals.is_empty(), "{verdict}");
}

#[tokio::test]
async fn who_waits_at_a_gateway_that_is_killed_keeps_its_place() {
    let mut cluster = Cluster::start().await;
    let gateways = cluster.addresses().await;
    let mut early = Stranger::arrive(gateways[0]).await;
    early.find_with(json!({"languages": ["en"]})).await;
    let mut late = Stranger::arrive(gateways[1]).await;
    late.find_with(json!({"languages": ["de"]})).await;
    cluster.gateways[0].kill().await;
    early.closed().await;
    let mut early = early.come_back(gateways[1]).await;
    early.find_with(json!({"languages": ["en"]})).await;
    // Speaks with both of them, and meets the one who has waited longer.
    let mut third = Stranger::arrive(gateways[1]).await;
    third.find_with(json!({"languages": ["en", "de"]})).await;
    let chat = third.expect("matched").await["chat"].clone();
    assert_eq!(early.expect("matched").await["chat"], chat);
    drop(late);
}

#[tokio::test]
async fn who_comes_back_from_a_gateway_that_was_killed_to_a_chat_that_ended_meanwhile_learns_how() {
    let mut cluster = Cluster::start().await;
    let gateways = cluster.addresses().await;
    let [mut one, mut two] = meet(gateways).await;
    one.say("wait a moment").await;
    two.hears("wait a moment").await;
    cluster.gateways[0].kill().await;
    one.closed().await;
    assert_eq!(two.expect("stranger").await["state"], "away");
    two.leave_with(json!({})).await;
    let mut one = one.come_back(gateways[1]).await;
    let ended = one.expect("ended").await;
    assert_eq!(ended["by"], "stranger", "{ended}");
    one.find().await;
}
