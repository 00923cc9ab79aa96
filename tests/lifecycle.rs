//! The life of each real binary: its settings, its health, and its end.

use std::time::Duration;

use serde_json::json;
use stroll_tests::{
    cluster::{Cluster, Settings, Single, urls},
    eventually, http,
    process::{Process, Signal},
    stranger::{Stranger, meet, wish},
};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Error;

#[tokio::test]
async fn sigterm_ends_each_binary_with_exit_0_inside_its_drain_time() {
    // The relays wait for whoever may come back, and only then have no chats.
    let settings = Settings { environment: vec![("STROLL_GRACE", "1s".into())], ..Settings::default() };
    let mut cluster = Cluster::start_with(settings).await;
    let [mut one, mut two] = meet(cluster.addresses().await).await;
    one.say("the last words").await;
    two.hears("the last words").await;
    drop((one, two));
    for tier in
        [&mut cluster.gateways, &mut cluster.relays, &mut cluster.matchmakers, &mut cluster.moderation]
    {
        for process in tier {
            let status = process.terminate().await;
            assert_eq!(status.code(), Some(0), "{:#?}", process.log());
        }
    }
    let mut single = Single::start(&["--drain", "5s"]).await;
    let [_one, _two] = meet([single.gateway; 2]).await;
    let status = single.process.terminate().await;
    assert_eq!(status.code(), Some(0), "{:#?}", single.process.log());
}

#[tokio::test]
async fn a_draining_gateway_sends_everybody_elsewhere_and_ends_when_they_have_gone() {
    let mut single = Single::start(&["--drain", "16s"]).await;
    let admin = single.process.address("admin").await;
    let [mut one, mut two] = meet([single.gateway; 2]).await;
    let (mut idle, mut waiting) =
        (Stranger::arrive(single.gateway).await, Stranger::arrive(single.gateway).await);
    waiting.find_with(json!({"interests": ["patience"], "only_interests": true})).await;
    let began = Instant::now();
    single.process.signal(Signal::Term).await;
    let ready = eventually("readiness to go off", || async {
        http::get(admin, "/readyz", &[]).await.ok().filter(|ready| ready.status == 503)
    });
    assert!(ready.await.body.contains("drain"));
    assert_eq!(http::get(admin, "/livez", &[]).await.expect("an answer").status, 200);
    let Err(Error::Http(refused)) = Stranger::connect(single.gateway, &[]).await else {
        panic!("a new socket was let in")
    };
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    assert_eq!(http::get(single.gateway, "/", &[]).await.expect("the page").status, 200);
    // Each at its own moment.
    let crossing = async {
        is_sent_away(&mut waiting).await;
        waiting.send(wish(json!({}))).await;
        waiting.refused("unavailable").await;
    };
    tokio::join!(is_sent_away(&mut one), is_sent_away(&mut two), is_sent_away(&mut idle), crossing);
    one.say("one more thing").await;
    two.hears("one more thing").await;
    two.leave_with(json!({})).await;
    drop((one, two, idle, waiting));
    let status = single.process.ended().await;
    assert_eq!(status.code(), Some(0), "{:#?}", single.process.log());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(12), "nobody was left, but it took {took:?}");
}

async fn is_sent_away(stranger: &mut Stranger) {
    let going = stranger.expect("going_away").await;
    assert!(going["reconnect_after_ms"].as_u64().is_some_and(|after| after <= 1_000), "{going}");
}

#[tokio::test]
async fn a_draining_gateway_closes_those_who_stay_before_its_time_is_over() {
    let mut single = Single::start(&["--drain", "4s"]).await;
    let [mut one, mut two] = meet([single.gateway; 2]).await;
    let (mut idle, mut silent) = (
        Stranger::arrive(single.gateway).await,
        Stranger::connect(single.gateway, &[]).await.expect("a handshake"),
    );
    single.process.signal(Signal::Term).await;
    for stranger in [&mut one, &mut two, &mut idle, &mut silent] {
        assert_eq!(stranger.closed().await, Some(1012));
    }
    assert_eq!(single.process.ended().await.code(), Some(0), "{:#?}", single.process.log());
}

#[tokio::test]
async fn everything_wrong_with_the_settings_is_said_at_once() {
    let arguments =
        ["--listen", "nowhere", "--colour", "blue", "--secret", "c2hvcnQ=", "--origins", "nonsense"];
    let environment =
        [("STROLL_FINDS_PER_SESSION", "many"), ("STROLL_SECTIONS", "day,day"), ("STROLL_PATIENCE", "long")];
    let mut gateway = Process::start("stroll-gateway", &arguments, &environment);
    assert_eq!(gateway.ended().await.code(), Some(64));
    let said = gateway.logs("--colour").await + &gateway.log().join("\n");
    for part in [
        "--listen",
        "--colour",
        "--secret",
        "--origins",
        "STROLL_FINDS_PER_SESSION",
        "STROLL_SECTIONS",
        "STROLL_PATIENCE",
        "--matchmaker",
        "--moderation",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    assert!(!said.contains("c2hvcnQ="), "a secret is not repeated");
}

#[tokio::test]
async fn help_and_version_end_well() {
    for binary in ["stroll", "stroll-gateway", "stroll-matchmaker", "stroll-relay", "stroll-moderation"] {
        for flag in ["--help", "--version"] {
            assert_eq!(Process::start(binary, &[flag], &[]).ended().await.code(), Some(0), "{binary} {flag}");
        }
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let single = Single::start(&[]).await;
    let taken = single.gateway.to_string();
    let mut second = Process::start(
        "stroll",
        &[
            "--listen",
            &taken,
            "--admin-listen",
            "127.0.0.1:0",
            "--database-url",
            "sqlite:/tmp/never-made/stroll.db",
        ],
        &[],
    );
    assert_eq!(second.ended().await.code(), Some(1));
    second.logs(&taken).await;
}

#[tokio::test]
async fn metrics_of_every_service_are_there_to_scrape() {
    let cluster = Cluster::start().await;
    let [_one, _two] = meet(cluster.addresses().await).await;
    let _ = urls(&cluster.relays).await;
    for process in cluster.processes() {
        let admin = process.address("admin").await;
        let metrics = http::get(admin, "/metrics", &[]).await.expect("an answer");
        assert_eq!(metrics.status, 200);
        assert!(metrics.body.contains("stroll_"), "{}", metrics.body);
        assert!(!metrics.body.contains("127.0.0.1"), "{}", metrics.body);
    }
}
