//! Reports, verdicts and bans, through all tiers.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use serde_json::json;
use stroll_proto::v1::LiftBanRequest;
use stroll_tests::{
    PATIENCE,
    cluster::{Cluster, Tier, urls},
    eventually,
    operator::{ban, operator},
    stranger::{Stranger, meet},
};

/// Meets, and reports the first. Returns them and the case.
async fn report(gateways: [SocketAddr; 2]) -> ([Stranger; 2], String) {
    let [mut one, mut two] = meet(gateways).await;
    one.say("something bad").await;
    two.hears("something bad").await;
    one.is_heard().await;
    two.send(json!({"type": "report", "reason": "harassment", "comment": "see above"})).await;
    let case = two.expect("reported").await["case"].as_str().expect("a case").to_owned();
    ([one, two], case)
}

#[tokio::test]
async fn i6_a_report_survives_its_service_and_a_ban_by_its_case_ends_chats_and_refuses_sessions_everywhere() {
    let mut cluster = Cluster::start().await;
    let gateways = cluster.addresses().await;
    let ([mut one, mut two], case) = report(gateways).await;
    for moderation in &mut cluster.moderation {
        moderation.kill().await;
    }
    one.say("still talking").await;
    two.hears("still talking").await;
    one.is_heard().await;
    cluster.start_again(Tier::Moderation, 0);
    cluster.moderation[0].ready().await;
    let moderation = urls(&cluster.moderation[..1]).await;
    let bans = ban(&moderation, &case, "harassment").await;
    assert_eq!(one.expect("ended").await["by"], "moderation");
    one.refused("banned").await;
    assert_eq!(one.closed().await, Some(4501));
    // The other one has the same address, and goes too.
    for gateway in gateways {
        // Each gateway follows on its own, and comes back to moderation at a moment of its own.
        let session = &one.session;
        let mut refused = eventually("the ban to be known at each gateway", || async {
            let mut again = Stranger::connect(gateway, &[]).await.ok()?;
            again.send(json!({"type": "hello", "session": session, "adult": true, "terms": true})).await;
            (again.next().await["code"] == "banned").then_some(again)
        })
        .await;
        assert_eq!(refused.closed().await, Some(4501));
    }
    for ban in bans {
        operator(&moderation).lift_ban(LiftBanRequest { id: ban.id }).await.expect("lifted");
    }
    let welcome = || async {
        let mut stranger = Stranger::connect(gateways[0], &[]).await.ok()?;
        stranger.send(json!({"type": "hello"})).await;
        (stranger.next().await["type"] == "welcome").then_some(())
    };
    eventually("the ban to be lifted at the gateway", welcome).await;
}

#[tokio::test]
async fn a_chat_is_reported_after_its_end_too_and_nonsense_is_refused() {
    let cluster = Cluster::start().await;
    let [mut one, mut two] = meet(cluster.addresses().await).await;
    one.say("goodbye, you").await;
    two.hears("goodbye, you").await;
    one.is_heard().await;
    one.send(json!({"type": "leave"})).await;
    one.expect("ended").await;
    two.expect("ended").await;
    two.send(json!({"type": "report", "reason": "boring"})).await;
    two.refused("bad_value").await;
    two.send(json!({"type": "report", "reason": "spam", "comment": "x".repeat(1_001)})).await;
    two.refused("too_long").await;
    two.send(json!({"type": "report", "reason": "spam"})).await;
    assert!(!two.expect("reported").await["case"].as_str().expect("a case").is_empty());
}

#[tokio::test]
async fn a_report_while_moderation_is_away_is_refused_and_can_be_tried_again() {
    let mut cluster = Cluster::start().await;
    let [mut one, mut two] = meet(cluster.addresses().await).await;
    one.say("something").await;
    two.hears("something").await;
    for moderation in &mut cluster.moderation {
        moderation.kill().await;
    }
    two.send(json!({"type": "report", "reason": "other"})).await;
    two.refused("unavailable").await;
    cluster.start_again(Tier::Moderation, 0);
    cluster.moderation[0].ready().await;
    two.send(json!({"type": "report", "reason": "other"})).await;
    let answer = tokio::time::timeout(PATIENCE, two.expect("reported")).await.expect("an answer");
    assert!(answer["case"].is_string());
}

#[tokio::test]
async fn spam_is_warned_of_and_then_ends_the_chat() {
    let cluster = Cluster::start().await;
    let [mut one, mut two] = meet(cluster.addresses().await).await;
    let spam = "win money at https://spam.example/now";
    one.say(spam).await;
    let mut kinds = Vec::new();
    // The warning and the acknowledgement may come in either order.
    two.hears(spam).await;
    for _ in 0..2 {
        let frame = one.next().await;
        kinds.push(frame["type"].as_str().expect("a type").to_owned());
    }
    kinds.sort();
    assert_eq!(kinds, ["ack", "notice"]);
    one.say(spam).await;
    one.say(spam).await;
    for stranger in [&mut one, &mut two] {
        let ended = async {
            loop {
                let frame = stranger.next().await;
                if frame["type"] == "ended" {
                    return frame;
                }
            }
        };
        assert_eq!(tokio::time::timeout(PATIENCE, ended).await.expect("the end")["by"], "moderation");
    }
}
