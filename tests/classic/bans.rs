//! Moderation: warnings, reports by web partners, and bans.

use serde_json::{Value, json};
use stroll_proto::v1::LiftBanRequest;
use stroll_tests::{
    classic::{Client, meet, names, roomy, start_silently},
    cluster::{Cluster, Settings, urls},
    eventually,
    operator::{ban, operator},
    stranger::Stranger,
};

const BANNED: &str = "You are temporarily banned.";
const PAGE: &str = "https://chat.example/banned";

/// A cluster, to which clients may say where they are.
async fn start(more: &[(&'static str, &str)]) -> Cluster {
    let mut environment = vec![("STROLL_TRUSTED_PROXIES", "127.0.0.0/8".to_owned())];
    environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Cluster::start_with(Settings { environment, ..Settings::default() }).await
}

/// A classic client and one of `stroll.v1` at another address that have met at two gateways of a cluster.
async fn meet_web(cluster: &Cluster, parameters: &str, wish: Value) -> (Client, Stranger) {
    let [one, two] = cluster.addresses().await;
    let mut web = Stranger::arrive_from(two, "192.0.2.1").await;
    web.find_with(wish).await;
    let mut classic = Client::start(one, parameters).await;
    web.expect("matched").await;
    classic.connected().await;
    (classic, web)
}

/// The web client reports, and an operator bans for it.
async fn is_banned(cluster: &Cluster, web: &mut Stranger, reason: &str) -> Vec<stroll_proto::v1::Ban> {
    web.send(json!({"type": "report", "reason": reason})).await;
    let case = web.expect("reported").await["case"].as_str().expect("a case").to_owned();
    ban(&urls(&cluster.moderation).await, &case, reason).await
}

#[tokio::test]
async fn i6_a_report_by_the_web_partner_freezes_what_the_classic_one_said() {
    let cluster = start(&[]).await;
    let (mut classic, mut web) = meet_web(&cluster, "", json!({})).await;
    classic.say("something bad").await;
    web.hears("something bad").await;
    web.say("do not").await;
    classic.hears("do not").await;
    classic.say("I do as I like").await;
    web.expect("ack").await;
    web.hears("I do as I like").await;
    web.send(json!({"type": "report", "reason": "harassment", "comment": "see above"})).await;
    let case = web.expect("reported").await["case"].as_str().expect("a case").to_owned();
    let evidence = cluster.evidence(&case).await.to_string();
    for text in ["something bad", "do not", "I do as I like"] {
        assert!(evidence.contains(text), "{text:?} is not in {evidence}");
    }
    // The classic one is told nothing of it.
    web.say("enough").await;
    classic.hears("enough").await;
}

#[tokio::test]
async fn i5_a_ban_in_the_middle_of_a_chat_is_the_only_event_left() {
    let cluster = start(&[]).await;
    let gateways = cluster.addresses().await;
    let (mut classic, mut web) = meet_web(&cluster, "", json!({})).await;
    classic.open_poll().await;
    let bans = is_banned(&cluster, &mut web, "harassment").await;
    web.expect("ended").await;
    assert_eq!(classic.polled().await, json!([["error", BANNED]]));
    assert_eq!(classic.poll().await, Value::Null);
    classic.fails("/send", &[("msg", "but")]).await;
    classic.wins("/disconnect", &[]).await;
    // Its address is banned too, at each gateway: an ordinary id, and only that event.
    for gateway in gateways {
        let banned = eventually("the ban to be known at each gateway", || async {
            let banned = Client::start(gateway, "").await;
            (names(&banned.first)[0] == "error").then_some(banned)
        });
        let mut banned = banned.await;
        assert_eq!(banned.first, [json!(["error", BANNED])]);
        assert_eq!(banned.poll().await, Value::Null);
        let id = start_silently(gateway, "").await;
        let mut banned = Client::go_on(gateway, &id).await;
        assert_eq!(banned.poll().await, json!([["error", BANNED]]));
        assert_eq!(banned.poll().await, Value::Null);
    }
    let mut operator = operator(&urls(&cluster.moderation).await);
    for ban in bans {
        operator.lift_ban(LiftBanRequest { id: ban.id }).await.expect("lifted");
    }
    eventually("the ban to be lifted", || async {
        let client = Client::start(gateways[0], "").await;
        (names(&client.first)[0] != "error").then_some(())
    })
    .await;
}

#[tokio::test]
async fn i5_who_is_banned_while_waiting_is_told_so_and_not_paired() {
    let cluster = start(&[]).await;
    let [one, _] = cluster.addresses().await;
    let (mut classic, mut web) = meet_web(&cluster, "", json!({})).await;
    let mut waiting = Client::start(one, "topics=%5B%22nobody%22%5D").await;
    waiting.is_waiting().await;
    waiting.open_poll().await;
    // By their common address.
    is_banned(&cluster, &mut web, "spam").await;
    assert_eq!(waiting.polled().await, json!([["error", BANNED]]));
    assert_eq!(waiting.poll().await, Value::Null);
    classic.expect(json!(["error", BANNED])).await;
}

#[tokio::test]
async fn a_ban_for_video_leads_to_the_page_that_an_operator_set() {
    let cluster = start(&[("STROLL_CLASSIC_VIDEO_BAN_URL", PAGE)]).await;
    let [one, _] = cluster.addresses().await;
    let (mut classic, mut web) = meet_web(&cluster, "webrtc=1", json!({"mode": "video"})).await;
    classic.open_poll().await;
    is_banned(&cluster, &mut web, "nudity").await;
    assert_eq!(classic.polled().await, json!([["antinudeBanned", PAGE]]));
    assert_eq!(classic.poll().await, Value::Null);
    let banned = eventually("the ban to be known", || async {
        let banned = Client::start(one, "webrtc=1").await;
        (names(&banned.first)[0] == "antinudeBanned").then_some(banned)
    });
    let mut banned = banned.await;
    assert_eq!(banned.first, [json!(["antinudeBanned", PAGE])]);
    assert_eq!(banned.poll().await, Value::Null);
}

#[tokio::test]
async fn without_such_a_page_a_ban_for_video_is_as_any_other() {
    let cluster = start(&[]).await;
    let (mut classic, mut web) = meet_web(&cluster, "webrtc=1", json!({"mode": "video"})).await;
    is_banned(&cluster, &mut web, "nudity").await;
    classic.expect(json!(["error", BANNED])).await;
    assert_eq!(classic.poll().await, Value::Null);
}

#[tokio::test]
async fn spam_is_warned_of_by_a_notice_line_and_then_ends_the_chat() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    let spam = "win money at https://spam.example/now";
    one.say(spam).await;
    two.hears(spam).await;
    let warning = one.next().await;
    assert_eq!((&warning[0], warning.as_array().map(Vec::len)), (&json!("serverMessage"), Some(2)));
    for _ in 0..2 {
        // The third may come too late.
        one.call("/send", &[("msg", spam)]).await;
    }
    for client in [&mut one, &mut two] {
        let rest = client.to_the_end().await;
        assert_eq!(rest.last(), Some(&json!(["strangerDisconnected"])), "{rest:?}");
    }
}
