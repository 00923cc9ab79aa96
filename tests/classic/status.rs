//! `/status` and `/count`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, ask, count, get, meet, post, roomy, start_silently},
    cluster::Single,
    eventually,
    process::Process,
    stranger::Stranger,
};

const FIELDS: [&str; 8] = [
    "antinudepercent",
    "antinudeservers",
    "count",
    "rtmfp",
    "servers",
    "spyQueueTime",
    "spyeeQueueTime",
    "timestamp",
];

pub async fn status(stroll: &Single) -> Value {
    let answer = ask(stroll.gateway, get("/status?nocache=0.5&randid=ABCD2345")).await;
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
}

fn fields(object: &Value) -> Vec<&str> {
    let mut fields: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    fields.sort_unstable();
    fields
}

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64()
}

#[tokio::test]
async fn it_has_all_eight_fields_always_with_their_types() {
    let stroll = roomy(&[]).await;
    let before = now();
    let status = status(&stroll).await;
    assert_eq!(fields(&status), FIELDS);
    assert!(status["count"].is_u64());
    assert_eq!(status["servers"], json!(["front1"]));
    assert_eq!(status["antinudeservers"], json!(["waw1.omegle.com"]));
    assert_eq!(status["rtmfp"], json!("rtmfp://p2p.rtmfp.net"));
    for float in ["antinudepercent", "spyQueueTime", "spyeeQueueTime"] {
        assert_eq!(status[float], json!(0.0), "{float} is a float, even without a fraction");
        assert!(status[float].is_f64(), "{float}");
    }
    let timestamp = status["timestamp"].as_f64().expect("a number");
    assert!(status["timestamp"].is_f64());
    assert!((before - 1.0..=now() + 1.0).contains(&timestamp), "{timestamp} is not about {before}");
    assert!(UNIX_EPOCH + Duration::from_secs_f64(timestamp) > UNIX_EPOCH);
    let posted = ask(stroll.gateway, post("/status", "nocache=1")).await;
    assert_eq!(fields(&serde_json::from_str(&posted.body).expect("JSON")), FIELDS);
}

#[tokio::test]
async fn its_servers_are_an_operators_setting() {
    let settings = [
        ("STROLL_CLASSIC_SERVERS", "front2,front48,front255"),
        ("STROLL_CLASSIC_ANTINUDE_SERVERS", "waw3.omegle.com,waw4.omegle.com"),
    ];
    let stroll = Single::start_with(&[], &settings).await;
    let status = status(&stroll).await;
    assert_eq!(status["servers"], json!(["front2", "front48", "front255"]));
    assert_eq!(status["antinudeservers"], json!(["waw3.omegle.com", "waw4.omegle.com"]));
}

#[tokio::test]
async fn servers_that_clients_would_not_understand_are_refused() {
    for (name, value) in [
        ("STROLL_CLASSIC_SERVERS", "front0"),
        ("STROLL_CLASSIC_SERVERS", "front256"),
        ("STROLL_CLASSIC_SERVERS", "front01"),
        ("STROLL_CLASSIC_SERVERS", "front1.omegle.com"),
        ("STROLL_CLASSIC_SERVERS", "front1,chat"),
        ("STROLL_CLASSIC_ANTINUDE_SERVERS", "waw1"),
        ("STROLL_CLASSIC_ANTINUDE_SERVERS", "waw10.omegle.com"),
        ("STROLL_CLASSIC_ANTINUDE_SERVERS", "waw1.chat.example"),
    ] {
        let listen = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        let others = ["--matchmaker", "http://127.0.0.1:1", "--moderation", "http://127.0.0.1:1"];
        let arguments = [&listen[..], &others, &["--secret", stroll_tests::cluster::SECRET]].concat();
        let environment = [(name, value), ("STROLL_PEER_LISTEN", "127.0.0.1:0")];
        let mut gateway = Process::start("stroll-gateway", &arguments, &environment);
        assert_eq!(gateway.ended().await.code(), Some(64), "{name}={value}: {:#?}", gateway.log());
    }
}

#[tokio::test]
async fn count_is_the_clusters_sessions_of_both_protocols() {
    let stroll = roomy(&[]).await;
    count(stroll.gateway, 0).await;
    let [mut one, two] = meet([stroll.gateway; 2]).await;
    let mut three = Client::start(stroll.gateway, "").await;
    let four = Stranger::arrive(stroll.gateway).await;
    three.is_waiting().await;
    count(stroll.gateway, 4).await;
    let counted = || async { (status(&stroll).await["count"] == 4).then_some(()) };
    eventually("the same in /status", counted).await;
    one.leave().await;
    three.leave().await;
    drop(four);
    count(stroll.gateway, 1).await;
    drop(two);
}

#[tokio::test]
async fn spies_and_discussers_wait_as_long_as_they_did_in_the_last_minute() {
    let stroll = roomy(&[]).await;
    let began = tokio::time::Instant::now();
    let mut spy = Client::start(stroll.gateway, "ask=Is%20tea%20a%20soup%3F").await;
    let mut one = Client::start(stroll.gateway, "wantsspy=1").await;
    spy.is_waiting().await;
    one.is_waiting().await;
    // The ask has to have waited for some time that can be seen.
    stroll.waiting(2).await;
    let mut two = Client::start(stroll.gateway, "wantsspy=1").await;
    for client in [&mut spy, &mut one, &mut two] {
        client.connected().await;
    }
    let longest = began.elapsed().as_secs_f64();
    let times = eventually("the waits to be told", || async {
        let status = status(&stroll).await;
        let times =
            [&status["spyQueueTime"], &status["spyeeQueueTime"]].map(|time| time.as_f64().expect("a float"));
        times.iter().all(|time| *time > 0.0).then_some(times)
    })
    .await;
    assert!(times.iter().all(|time| *time <= longest), "{times:?} of {longest}");
    // The mean of a long and a short wait is shorter than the long one.
    assert!(times[1] < times[0], "{times:?}");
}

#[tokio::test]
async fn it_says_nothing_of_the_unmoderated_section_to_who_is_not_banned() {
    let settings = [("STROLL_CLASSIC_UNMODERATED", "wild"), ("STROLL_SECTIONS", "main,wild")];
    let stroll = Single::start_with(&[], &settings).await;
    assert_eq!(fields(&status(&stroll).await), FIELDS);
    let id = start_silently(stroll.gateway, "group=unmon").await;
    assert!(!id.is_empty());
}
