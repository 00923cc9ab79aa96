//! Each scenario, small, against Stroll in one process: the figures have to fit together.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;
use stroll_tests::{cluster::Single, redis::Redis};
use tokio::process::Command;

/// Runs the generator against a gateway. Returns its exit code, and its JSON.
async fn run(stroll: &Single, arguments: &[&str]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("result.json");
    let output = run_to(stroll, arguments, &json).await;
    let text = std::fs::read_to_string(&json).unwrap_or_else(|_| panic!("no JSON: {output:?}"));
    (output.status.code(), serde_json::from_str(&text).expect("JSON"))
}

/// Runs it, with its JSON at a path.
async fn run_to(stroll: &Single, arguments: &[&str], json: &Path) -> Output {
    let gateway = format!("ws://{}/v1/ws", stroll.gateway);
    let watch = format!("gateway={}", stroll.process.id().expect("it runs"));
    let mut all = arguments.to_vec();
    all.extend(["--gateway", &gateway, "--watch", &watch, "--settle", "0s", "--json"]);
    all.push(json.to_str().expect("UTF-8"));
    stroll_load(&all).await
}

async fn stroll_load(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stroll-load"));
    command.args(arguments).stdin(Stdio::null()).output().await.expect("the generator")
}

/// The same on a machine that need not be quiet. Returns what it came to.
async fn play(stroll: &Single, arguments: &[&str]) -> Value {
    let (code, mut report) = run(stroll, &[arguments, &["--anyway"]].concat()).await;
    assert_eq!(code, Some(0), "{report:#}");
    let outcome = report["outcome"].take();
    assert_eq!(outcome["problems"], serde_json::json!([]), "{outcome:#}");
    assert_eq!(outcome["closed"], serde_json::json!({}), "{outcome:#}");
    assert_eq!(outcome["counts"]["unexpected"], 0, "{outcome:#}");
    outcome
}

fn number(outcome: &Value, name: &str) -> f64 {
    outcome["figures"][name].as_f64().unwrap_or_else(|| panic!("{name} of {outcome:#}"))
}

/// All that was said arrived, and all that was due was said.
fn everything_arrived(outcome: &Value, due: f64) {
    let [sent, received, lost, duplicated] =
        ["sent", "received", "lost", "duplicated"].map(|name| number(outcome, name));
    let skipped = outcome["counts"]["skipped"].as_f64().expect("a count");
    assert!((sent + skipped - due).abs() < 0.5, "{due} were due: {outcome:#}");
    assert!((received - sent).abs() < 0.5 && lost < 0.5 && duplicated < 0.5, "{outcome:#}");
    assert_eq!(outcome["counts"]["reordered"], 0, "{outcome:#}");
    assert_eq!(outcome["refused"], serde_json::json!({}), "{outcome:#}");
}

#[tokio::test]
async fn those_who_stay_cost_memory_and_are_all_let_in() {
    let stroll = Single::start(&[]).await;
    // More than one address may have.
    let outcome = play(&stroll, &["idle", "--sockets", "60", "--duration", "2s"]).await;
    assert_eq!((&outcome["strangers"], &outcome["counts"]["welcomes"]), (&60.into(), &60.into()));
    assert_eq!(outcome["latency_ms"]["connect"]["count"], 60);
    let process = &outcome["processes"][0];
    assert_eq!(process["name"], "gateway");
    assert!(process["rss_steady_kb"].as_u64().expect("a size") > 1_000);
    assert!(number(&outcome, "rss_after_to_before") > 0.5);
}

#[tokio::test]
async fn pairs_lose_nothing_and_the_baseline_does_the_same() {
    let stroll = Single::start(&[]).await;
    let arguments = ["pairs", "--pairs", "10", "--rate", "100", "--duration", "2s", "--baseline", "--anyway"];
    let (code, report) = run(&stroll, &arguments).await;
    assert_eq!(code, Some(0), "{report:#}");
    let pipes = report["baseline"]["outcomes"].as_array().expect("outcomes");
    for outcome in pipes.iter().chain([&report["outcome"]]) {
        assert_eq!(outcome["problems"], serde_json::json!([]), "{outcome:#}");
        everything_arrived(outcome, 200.0);
        assert!((number(outcome, "sent") - 200.0).abs() < 0.5, "{outcome:#}");
        assert_eq!(outcome["latency_ms"]["message"]["count"], 200);
    }
    assert_eq!(pipes.len(), 2);
    let ratios = &report["baseline"]["ratios"];
    assert!(ratios["message_p50_ms"].as_f64().is_some_and(|ratio| ratio > 0.0), "{ratios:#}");
}

#[tokio::test]
async fn pairs_leave_and_meet_again_and_lose_nothing() {
    let stroll = Single::start(&[]).await;
    let arguments =
        ["pairs", "--pairs", "10", "--rate", "100", "--stay", "1s", "--duration", "3s", "--threads", "2"];
    let outcome = play(&stroll, &arguments).await;
    everything_arrived(&outcome, 300.0);
    assert!(outcome["counts"]["seats"].as_u64().expect("a count") > 20, "{outcome:#}");
    assert_eq!(outcome["ended"]["you"], outcome["ended"]["stranger"], "{outcome:#}");
    assert!(outcome["latency_ms"]["pair"]["count"].as_u64().expect("a count") > 0);
}

#[tokio::test]
async fn pairs_are_made_at_the_rate_that_is_wanted() {
    let stroll = Single::start(&[]).await;
    let arguments = ["match", "--sockets", "60", "--rate", "25", "--duration", "2s", "--baseline"];
    let outcome = play(&stroll, &arguments).await;
    assert_eq!(outcome["latency_ms"]["pair"]["count"], 100);
    assert_eq!(outcome["counts"]["seats"], 100);
    assert_eq!(outcome["counts"]["skipped"], 0);
    assert!((number(&outcome, "pairs_per_second") - 25.0).abs() <= 2.0, "{outcome:#}");
}

#[tokio::test]
async fn after_a_storm_all_are_back_and_nothing_is_lost() {
    let stroll = Single::start(&[]).await;
    let arguments = ["storm", "--sockets", "40", "--rate", "100", "--talk", "1s", "--spread", "500ms"];
    let outcome = play(&stroll, &arguments).await;
    everything_arrived(&outcome, 200.0);
    let storm = &outcome["storm"];
    assert_eq!((&storm["dropped"], &storm["resumed"], &storm["failed"]), (&40.into(), &40.into(), &0.into()));
    assert!(storm["seconds_to_100"].as_f64().is_some_and(|seconds| seconds > 0.1), "{storm:#}");
    assert_eq!(outcome["counts"]["resumed"], 40);
}

#[tokio::test]
async fn classic_clients_lose_nothing_either() {
    let stroll = Single::start(&[]).await;
    let arguments = ["classic", "--pairs", "10", "--rate", "60", "--stay", "2s", "--duration", "4s"];
    let outcome = play(&stroll, &arguments).await;
    everything_arrived(&outcome, 240.0);
    assert!(outcome["counts"]["seats"].as_u64().expect("a count") > 20, "{outcome:#}");
}

#[tokio::test]
async fn a_busy_machine_is_no_place_to_measure() {
    let stroll = Single::start(&[]).await;
    let mut busy =
        Command::new("sh").args(["-c", "while :; do :; done"]).kill_on_drop(true).spawn().expect("a shell");
    let (code, report) = run(&stroll, &["idle", "--sockets", "2", "--duration", "1s"]).await;
    assert_eq!(code, Some(3), "{report:#}");
    assert_eq!((&report["valid"], report.get("outcome")), (&false.into(), None));
    let offenders = report["foreign"]["offenders"].as_array().expect("offenders");
    let shell = busy.id().expect("it runs");
    assert!(
        offenders.iter().any(|offender| offender["pid"] == shell && offender["name"] == "sh"),
        "{report:#}"
    );
    let (code, report) = run(&stroll, &["idle", "--sockets", "2", "--duration", "1s", "--anyway"]).await;
    assert_eq!(
        (code, &report["valid"], &report["outcome"]["strangers"]),
        (Some(0), &false.into(), &2.into())
    );
    busy.kill().await.expect("it runs");
}

/// Everything in one process, with the pool in a Redis.
async fn with_redis() -> (Single, Redis) {
    let redis = Redis::start().await;
    let environment = [("STROLL_MESSAGES_PER_SESSION", "100")];
    (Single::start_with(&["--redis-url", &redis.url()], &environment).await, redis)
}

#[tokio::test]
async fn messages_cost_redis_nothing_and_chats_something() {
    let (stroll, redis) = with_redis().await;
    let url = redis.url();
    let mut arguments =
        vec!["pairs", "--pairs", "10", "--rate", "500", "--duration", "2s", "--redis-rest", "3s"];
    arguments.extend(["--redis", &url, "--redis-monitor"]);
    let outcome = play(&stroll, &arguments).await;
    everything_arrived(&outcome, 1_000.0);
    assert!(number(&outcome, "redis_background_per_second") > 0.5, "{outcome:#}");
    let per_message = number(&outcome, "redis_commands_per_message");
    assert!(per_message.abs() < 0.05, "{per_message} of {outcome:#}");
    let redis = &outcome["redis"];
    assert_eq!(redis["chats"], 10.0);
    let [commands, requests] =
        ["redis_commands_per_chat", "redis_requests_per_chat"].map(|name| number(&outcome, name));
    assert!(requests > 0.2 && commands > requests, "{requests} of {commands} in {outcome:#}");
    let calls = |of: &str, name: &str| redis[of][name].as_u64().unwrap_or(0);
    // Two tickets a chat are put in by scripts only, and scripts are what clients send.
    assert!(calls("commands", "xadd") >= 20 && calls("requests", "xadd") == 0, "{redis:#}");
    assert_eq!(calls("commands", "evalsha"), calls("requests", "evalsha"), "{redis:#}");
    assert!(redis["memory_before_bytes"].as_u64().expect("a size") > 100_000);
}

#[tokio::test]
async fn finding_and_leaving_costs_redis_what_it_does() {
    let (stroll, redis) = with_redis().await;
    let url = redis.url();
    let mut arguments =
        vec!["match", "--sockets", "60", "--rate", "25", "--duration", "2s", "--redis-rest", "2s"];
    arguments.extend(["--redis", &url]);
    let outcome = play(&stroll, &arguments).await;
    assert_eq!(outcome["redis"]["chats"], 50.0);
    assert!(number(&outcome, "redis_commands_per_chat") > 2.0, "{outcome:#}");
    for missing in ["redis_commands_per_message", "redis_requests_per_chat", "redis_bytes_per_chat"] {
        assert!(outcome["figures"].get(missing).is_none(), "{missing} of {outcome:#}");
    }
}

#[tokio::test]
async fn without_redis_nothing_is_played_that_needs_it() {
    let stroll = Single::start(&[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("result.json");
    for arguments in
        [["idle", "--redis-monitor"].as_slice(), &["idle", "--redis", "redis://127.0.0.1:1", "--anyway"]]
    {
        let output = run_to(&stroll, arguments, &json).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("edis"), "{output:?}");
    }
}

#[tokio::test]
async fn runs_are_summed_up_and_drawn() {
    let stroll = Single::start(&[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let files = ["a", "b", "c"].map(|name| path(&format!("{name}.json")));
    for (file, sockets) in files.iter().zip(["20", "20", "60"]) {
        let arguments = ["idle", "--sockets", sockets, "--duration", "1s", "--anyway"];
        let output = run_to(&stroll, &arguments, Path::new(file)).await;
        assert!(output.status.success(), "{output:?}");
    }
    let [a, b, c] = &files;
    let json = path("summary.json");
    let output = stroll_load(&["summary", "--anyway", "--json", &json, a, b]).await;
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("| kb_per_session |") && text.contains("\n| gateway |"), "{text}");
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(json).expect("a file")).expect("JSON");
    assert_eq!((&summary["runs"], &summary["scenario"]), (&2.into(), &"idle".into()));
    assert_eq!(summary["values"]["connect_p99_ms"]["runs"], 2);
    let output = stroll_load(&["summary", "--anyway", a, c]).await;
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(error.contains("c.json played") && error.contains("--sockets 60"), "{error}");
    let svg = path("growth.svg");
    let output = stroll_load(&["chart", "--anyway", "--out", &svg, a, b, c]).await;
    assert!(output.status.success(), "{output:?}");
    let svg = std::fs::read_to_string(svg).expect("a file");
    assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"fit\"").count()), (6, 2));
    assert!(svg.contains("KB per session, R²"), "{svg}");
}
