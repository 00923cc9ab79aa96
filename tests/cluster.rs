//! Two processes of each service with a real Redis: strangers at different gateways, and what happens when something is
//! lost, missing or wrong.

use serde_json::json;
use stroll_tests::{
    cluster::{Cluster, SECRET, Settings},
    eventually, http,
    process::{Process, Signal},
    redis::Redis,
    stranger::{Stranger, meet},
};

const OTHER_SECRET: &str = "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI=";

#[tokio::test]
async fn i7_strangers_at_two_gateways_talk_and_no_log_metric_or_redis_holds_text_address_or_token() {
    let environment = vec![("STROLL_LOG", "debug".into()), ("STROLL_TRUSTED_PROXIES", "127.0.0.0/8".into())];
    let cluster = Cluster::start_with(Settings { environment, ..Settings::default() }).await;
    let gateways = cluster.addresses().await;
    let mut one = Stranger::arrive_from(gateways[0], "203.0.113.77").await;
    let mut two = Stranger::arrive_from(gateways[1], "2001:db8:77::1").await;
    one.find().await;
    two.find().await;
    one.expect("matched").await;
    two.expect("matched").await;
    one.say("a very particular sentence").await;
    two.hears("a very particular sentence").await;
    one.is_heard().await;
    two.say("a most peculiar answer").await;
    one.hears("a most peculiar answer").await;
    two.is_heard().await;
    let while_talking = cluster.redis.dump().await;
    let tokens = [&one.session, &one.resume, &two.session, &two.resume].map(Clone::clone);
    two.send(json!({"type": "leave"})).await;
    two.expect("ended").await;
    one.expect("ended").await;
    let mut written = format!("{while_talking}\n{}", cluster.redis.dump().await);
    for process in cluster.processes() {
        written.push_str(&process.log().join("\n"));
    }
    for process in cluster.processes() {
        let admin = process.address("admin").await;
        written.push_str(&http::get(admin, "/metrics", &[]).await.expect("an answer").body);
    }
    assert!(written.contains("listening") && written.contains("stroll_gateway_messages"), "all is looked at");
    for private in ["very particular", "most peculiar", "203.0.113.77", "2001:db8:77", SECRET] {
        assert!(!written.contains(private), "{private:?} is in a log, a metric or Redis");
    }
    for token in &tokens {
        assert!(
            token.len() > 40 && !written.contains(token.as_str()),
            "a token is in a log, a metric or Redis"
        );
    }
}

#[tokio::test]
async fn i2_many_strangers_at_two_gateways_are_all_paired_and_none_twice() {
    let cluster = Cluster::start_with(Settings {
        environment: vec![
            ("STROLL_CONNECTIONS_PER_ADDRESS", "200".into()),
            ("STROLL_HANDSHAKES_PER_ADDRESS", "1000".into()),
        ],
        ..Settings::default()
    })
    .await;
    let gateways = cluster.addresses().await;
    let mut crowd = Vec::new();
    for number in 0..60 {
        let mut stranger = Stranger::arrive(gateways[number % 2]).await;
        stranger.send(json!({"type": "find", "mode": "text"})).await;
        crowd.push(stranger);
    }
    let mut chats = std::collections::HashMap::<String, u32>::new();
    for stranger in &mut crowd {
        stranger.expect("waiting").await;
        let matched = stranger.expect("matched").await;
        *chats.entry(matched["chat"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    assert_eq!(chats.len(), 30);
    assert!(chats.values().all(|seats| *seats == 2), "{chats:?}");
}

#[tokio::test]
async fn i4_a_killed_matchmaker_delays_a_pairing_by_seconds_only() {
    let mut cluster = Cluster::start().await;
    let gateways = cluster.addresses().await;
    let mut early = Stranger::arrive(gateways[0]).await;
    early.find().await;
    // Whichever owns the pool: the second round kills the other's successor.
    let mut killed = cluster.matchmakers.remove(0);
    killed.kill().await;
    let mut late = Stranger::arrive(gateways[1]).await;
    let began = tokio::time::Instant::now();
    late.find().await;
    let chat = early.expect("matched").await["chat"].clone();
    assert_eq!(late.expect("matched").await["chat"], chat);
    // The bound is 4 s; what is measured here is that it is a matter of seconds, on a busy machine.
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
}

#[tokio::test]
async fn i4_a_redis_that_lost_everything_loses_nobody_who_waits_and_no_chat() {
    let mut cluster = Cluster::start().await;
    let gateways = cluster.addresses().await;
    let [mut one, mut two] = meet(gateways).await;
    let mut early = Stranger::arrive(gateways[0]).await;
    early.find().await;
    cluster.redis.kill().await;
    one.say("do you notice?").await;
    two.hears("do you notice?").await;
    cluster.redis.resume(&[]).await;
    let mut late = Stranger::arrive(gateways[1]).await;
    late.find().await;
    let chat = early.expect("matched").await["chat"].clone();
    assert_eq!(late.expect("matched").await["chat"], chat);
    two.say("not at all").await;
    assert_eq!(one.expect("ack").await["seq"], 1);
    one.hears("not at all").await;
}

#[tokio::test]
async fn a_pairing_with_a_gateway_that_was_killed_puts_the_other_back() {
    let mut cluster = Cluster::start().await;
    let gateways = cluster.addresses().await;
    let mut lost = Stranger::arrive(gateways[1]).await;
    lost.find().await;
    cluster.gateways[1].kill().await;
    // It is paired with the ticket of the dead gateway, whose seat stays empty; it is not told, and waits on.
    let mut one = Stranger::arrive(gateways[0]).await;
    one.find().await;
    let mut two = Stranger::arrive(gateways[0]).await;
    two.find().await;
    let chat = one.expect("matched").await["chat"].clone();
    assert_eq!(two.expect("matched").await["chat"], chat);
}

#[tokio::test]
async fn a_matchmaker_waits_for_redis_and_says_so() {
    let mut redis = Redis::reserve();
    let url = redis.url();
    let arguments =
        ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--redis-url", &url, "--secret", SECRET];
    let matchmaker = Process::start("stroll-matchmaker", &arguments, &[]);
    let admin = matchmaker.address("admin").await;
    let not_ready = || async {
        let answer = http::get(admin, "/readyz", &[]).await.ok()?;
        (answer.status == 503 && answer.body.contains("redis")).then_some(())
    };
    eventually("not to be ready, because of redis", not_ready).await;
    let alive = http::get(admin, "/livez", &[]).await.expect("an answer");
    assert_eq!(alive.status, 200);
    matchmaker.logs("redis").await;
    redis.resume(&[]).await;
    matchmaker.ready().await;
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused() {
    let mut redis = Redis::reserve();
    redis.resume(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).await;
    let url = redis.url();
    let arguments =
        ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--redis-url", &url, "--secret", SECRET];
    let mut matchmaker = Process::start("stroll-matchmaker", &arguments, &[]);
    assert_eq!(matchmaker.ended().await.code(), Some(1));
    matchmaker.logs("maxmemory-policy").await;
}

#[tokio::test]
async fn a_relay_with_another_secret_is_said_plainly_to_operators_and_clients() {
    let settings = Settings { relay_secret: Some(OTHER_SECRET), ..Settings::default() };
    let cluster = Cluster::start_with(settings).await;
    let gateways = cluster.addresses().await;
    let (mut one, mut two) = (Stranger::arrive(gateways[0]).await, Stranger::arrive(gateways[1]).await);
    one.find().await;
    two.find().await;
    one.refused("unavailable").await;
    two.refused("unavailable").await;
    let said = || async {
        let mut lines = cluster.relays.iter().flat_map(Process::log);
        lines.find(|line| line.contains("STROLL_SECRET"))
    };
    eventually("a relay to say what is wrong", said).await;
}

#[tokio::test]
async fn a_matchmaker_that_stands_still_for_a_while_does_no_harm() {
    let cluster = Cluster::start().await;
    let gateways = cluster.addresses().await;
    for matchmaker in &cluster.matchmakers {
        matchmaker.signal(Signal::Stop).await;
        let (mut one, mut two) = (Stranger::arrive(gateways[0]).await, Stranger::arrive(gateways[1]).await);
        for stranger in [&mut one, &mut two] {
            stranger.send(json!({"type": "find", "mode": "text"})).await;
        }
        // The call may run into the one that stands still; then it is tried at the other.
        for stranger in [&mut one, &mut two] {
            stranger.expect("waiting").await;
        }
        let chat = one.expect("matched").await["chat"].clone();
        assert_eq!(two.expect("matched").await["chat"], chat);
        matchmaker.signal(Signal::Cont).await;
        one.say("hello").await;
        two.hears("hello").await;
    }
}

#[tokio::test]
async fn i5_a_chat_that_ended_meanwhile_can_still_be_blocked_at_another_gateway() {
    let cluster = Cluster::start().await;
    let gateways = cluster.addresses().await;
    let [one, mut two] = meet(gateways).await;
    let lost = one.lose();
    assert_eq!(two.expect("stranger").await["state"], "away");
    two.leave_with(json!({})).await;
    let mut one = lost.come_back(gateways[1]).await;
    assert_eq!(one.expect("ended").await["by"], "stranger");
    assert_eq!(one.leave_with(json!({"block": true})).await["by"], "you");
    // Who was met lately is met again after half a second, unless blocked.
    two.find_with(json!({"interests": ["tea"], "patience_ms": 600})).await;
    assert_eq!(two.expect("waiting").await["widened"], json!(true));
    one.find().await;
    let mut chats = Vec::new();
    for _ in 0..2 {
        let mut other = Stranger::arrive(gateways[0]).await;
        other.find().await;
        chats.push(other.expect("matched").await["chat"].clone());
        other.leave_with(json!({})).await;
    }
    for stranger in [&mut one, &mut two] {
        assert!(chats.contains(&stranger.expect("matched").await["chat"]));
    }
}
