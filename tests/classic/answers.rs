//! Statuses, types and headers of every endpoint.

use serde_json::Value;
use stroll_tests::{
    classic::{Client, HTML, JSON, Wire, ask, get, is_id, meet, post, request, roomy},
    cluster::Single,
    http::Answer,
};

/// An id that no session has.
const UNKNOWN: &str = "id=central1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// Paths that take only POST.
const POST_ONLY: [&str; 18] = [
    "/events",
    "/send",
    "/typing",
    "/stoppedtyping",
    "/stopTyping",
    "/stoptyping",
    "/disconnect",
    "/stoplookingforcommonlikes",
    "/recaptcha",
    "/rtcpeerdescription",
    "/icecandidate",
    "/check",
    "/upload",
    "/generate",
    "/send_email",
    "/tumblr_tags",
    "/events?id=x",
    "/send?msg=hi",
];

/// Paths that take GET too.
const BOTH: [&str; 3] = ["/status", "/count", "/start"];

/// What an answer's body has to be.
enum Body {
    Exactly(&'static str),
    That(fn(&str) -> bool),
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_default()
}

fn is_open_to_all(answer: &Answer) -> bool {
    answer.header("access-control-allow-origin") == Some("*") && answer.header("set-cookie").is_none()
}

#[tokio::test]
async fn every_endpoint_answers_with_its_body_its_type_and_open_to_all() {
    use Body::{Exactly, That};
    let stroll = roomy(&[]).await;
    let is_object: fn(&str) -> bool = |body| json(body).is_object();
    let is_number: fn(&str) -> bool =
        |body| !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_digit());
    let is_bare_id: fn(&str) -> bool = |body| json(body).as_str().is_some_and(is_id);
    let is_token: fn(&str) -> bool =
        |body| (1..=64).contains(&body.len()) && body.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let no_tumblr = r#"{"success":false,"error":"Tumblr import is not available."}"#;
    let no_college = r#"{"success":false,"msg":"College mode is not available on this server."}"#;
    let log = "log=%5B%5B%22You%3A%22%2C%22hi%22%5D%5D&randid=ABCD2345&host=1";
    let cases = [
        (get("/status"), JSON, That(is_object)),
        (get("/status?nocache=0.123&randid=ABCD2345"), JSON, That(is_object)),
        (post("/status", ""), JSON, That(is_object)),
        (get("/count"), JSON, That(is_number)),
        (get("/count?rand=0.5"), JSON, That(is_number)),
        (post("/count", ""), JSON, That(is_number)),
        (get("/start"), JSON, That(is_bare_id)),
        (post("/start", ""), JSON, That(is_bare_id)),
        (get("/start?firstevents=1"), JSON, That(is_object)),
        (post("/events", UNKNOWN), JSON, Exactly("null")),
        (post("/events", ""), JSON, Exactly("null")),
        (post("/send", &format!("{UNKNOWN}&msg=hi")), HTML, Exactly("fail")),
        (post("/send", "msg=hi"), HTML, Exactly("fail")),
        (post("/typing", UNKNOWN), HTML, Exactly("fail")),
        (post("/stoppedtyping", UNKNOWN), HTML, Exactly("fail")),
        (post("/stopTyping", UNKNOWN), HTML, Exactly("fail")),
        (post("/stoptyping", UNKNOWN), HTML, Exactly("fail")),
        (post("/disconnect", UNKNOWN), HTML, Exactly("win")),
        (post("/disconnect", ""), HTML, Exactly("win")),
        (post("/disconnect", "id=nonsense"), HTML, Exactly("win")),
        (post("/stoplookingforcommonlikes", UNKNOWN), HTML, Exactly("fail")),
        (post("/recaptcha", &format!("{UNKNOWN}&response=x")), HTML, Exactly("fail")),
        (post("/recaptcha", &format!("{UNKNOWN}&challenge=x&response=x")), HTML, Exactly("fail")),
        (post("/rtcpeerdescription", &format!("{UNKNOWN}&desc=%7B%7D")), HTML, Exactly("fail")),
        (post("/icecandidate", &format!("{UNKNOWN}&candidate=%7B%7D")), HTML, Exactly("fail")),
        (post("/check", ""), "text/plain", That(is_token)),
        (
            request(
                "POST",
                "/upload?camera=cam&num_frames=3&frame_delay=500&randid=ABCD2345",
                &[("Content-Type", "application/octet-stream")],
                &[0xff, 0, 0xd8, 13, 10, 13, 10],
            ),
            HTML,
            Exactly("win"),
        ),
        (post("/generate", log), HTML, That(|body| body.contains("hi"))),
        (post("/send_email", "email=ann%40example.edu"), JSON, Exactly(no_college)),
        (post("/tumblr_tags", "username=ann"), JSON, Exactly(no_tumblr)),
    ];
    let mut wire = Wire::open(stroll.gateway).await;
    for (request, content_type, body) in cases {
        let answer = wire.ask(&request).await;
        let of = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
        assert_eq!(answer.status, 200, "{of}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some(content_type), "{of}: {answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{of}: {answer:?}");
        assert!(is_open_to_all(&answer), "{of}: {answer:?}");
        match body {
            Exactly(body) if content_type == JSON => assert_eq!(json(&answer.body), json(body), "{of}"),
            Exactly(body) => assert_eq!(answer.body, body, "{of}"),
            That(is_right) => assert!(is_right(&answer.body), "{of}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_an_unknown_path_404_open_to_all() {
    let stroll = roomy(&[]).await;
    let mut wire = Wire::open(stroll.gateway).await;
    let wrong = POST_ONLY.iter().map(|path| ("GET", *path));
    let wrong =
        wrong.chain(POST_ONLY.iter().chain(&BOTH).flat_map(|path| [("PUT", *path), ("DELETE", *path)]));
    for (method, path) in wrong {
        let answer = wire.ask(request(method, path, &[], b"")).await;
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        assert!(is_open_to_all(&answer), "{method} {path}: {answer:?}");
    }
    for path in ["/wsevents", "/downloadlog", "/static/xhrframe.html", "/nothing", "/Send", "/send/"] {
        for method in ["GET", "POST"] {
            let answer = wire.ask(request(method, path, &[], b"")).await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            assert!(is_open_to_all(&answer), "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn options_get_204_with_what_is_allowed_for_a_day() {
    let stroll = roomy(&[]).await;
    let mut wire = Wire::open(stroll.gateway).await;
    for path in POST_ONLY.iter().chain(&BOTH) {
        let asks = [
            ("Origin", "http://www.omegle.com"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type,x-requested-with"),
        ];
        for headers in [&asks[..], &[]] {
            let answer = wire.ask(request("OPTIONS", path, headers, b"")).await;
            assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}: {answer:?}");
            let allows = |name: &str| {
                let value = answer.header(&format!("access-control-{name}")).unwrap_or_default();
                value.split(',').map(|part| part.trim().to_ascii_lowercase()).collect::<Vec<_>>()
            };
            assert_eq!(allows("allow-origin"), ["*"], "{path}");
            assert_eq!(allows("allow-methods"), ["get", "post"], "{path}");
            assert_eq!(allows("allow-headers"), ["content-type", "x-requested-with"], "{path}");
            assert_eq!(allows("max-age"), ["86400"], "{path}");
        }
    }
}

#[tokio::test]
async fn a_body_is_at_most_64_kib_or_1_mib_where_something_is_saved_or_uploaded() {
    let stroll = roomy(&[]).await;
    let form = |length: usize| {
        let mut form = UNKNOWN.to_owned();
        form.push_str("&log=%5B%5D&msg=");
        form.push_str(&"x".repeat(length - form.len()));
        form
    };
    for (path, most) in [
        ("/send", 64 * 1024),
        ("/events", 64 * 1024),
        ("/start", 64 * 1024),
        ("/rtcpeerdescription", 64 * 1024),
        ("/generate", 1024 * 1024),
        ("/upload", 1024 * 1024),
    ] {
        for (length, status) in [(most, 200), (most + 1, 413)] {
            // After a 413 the connection may be closed.
            let answer = ask(stroll.gateway, post(path, &form(length))).await;
            assert_eq!(answer.status, status, "{path} with {length}: {:?}", answer.headers);
            assert!(is_open_to_all(&answer), "{path} with {length}: {:?}", answer.headers);
        }
    }
}

#[tokio::test]
async fn any_host_and_an_absolute_target_reach_the_same_session() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    let mut wire = Wire::open(stroll.gateway).await;
    let hosts = [
        "omegle.com",
        "www.omegle.com",
        "front1.omegle.com",
        "front48.omegle.com:80",
        "waw1.omegle.com",
        "logs.omegle.com",
        "chat.example",
        "127.0.0.1",
    ];
    let mut calls = 0;
    for host in hosts {
        for target in
            ["/send".to_owned(), format!("http://{host}/send"), "http://front9.omegle.com/send".into()]
        {
            calls += 1;
            let form = format!("id={}&msg=call+{calls}", one.id);
            let answer = wire.ask(request("POST", &target, &[("Host", host)], form.as_bytes())).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, "win"), "{target} at {host}");
            two.hears(&format!("call {calls}")).await;
        }
    }
    two.say("heard").await;
    one.hears("heard").await;
    // Every host has every path.
    for host in hosts {
        for target in ["/count", "/status", &format!("http://{host}/count")] {
            assert_eq!(
                wire.ask(request("GET", target, &[("Host", host)], b"")).await.status,
                200,
                "{target}"
            );
        }
        assert_eq!(wire.ask(request("POST", "/check", &[("Host", host)], b"")).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_its_calls_are_answered_in_order() {
    let stroll = roomy(&[]).await;
    let mut wire = Wire::open(stroll.gateway).await;
    for _ in 0..3 {
        let answer = wire.ask(get("/start?firstevents=1&randid=ABCD2345")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_ne!(answer.header("connection"), Some("close"));
    }
    wire.send([get("/count"), post("/events", UNKNOWN), post("/disconnect", UNKNOWN)].concat()).await;
    assert!(wire.answer().await.body.parse::<u64>().is_ok());
    assert_eq!(wire.answer().await.body, "null");
    assert_eq!(wire.answer().await.body, "win");
    // HTTP/1.0 is answered too, and its connection ends.
    wire.send("GET /count HTTP/1.0\r\n\r\n").await;
    assert_eq!(wire.answer().await.status, 200);
}

#[tokio::test]
async fn over_a_rate_limit_is_429_with_retry_after_and_polls_are_never_limited() {
    let limits = ["--handshakes-per-address", "4", "--messages-per-session", "1"];
    let stroll = Single::start(&limits).await;
    let [mut one, two] = meet([stroll.gateway; 2]).await;
    let is_refused = |answer: &Answer| {
        let wait = answer.header("retry-after").and_then(|after| after.parse::<u64>().ok());
        assert!(wait.is_some_and(|seconds| (1..=60).contains(&seconds)), "{answer:?}");
        assert_eq!((answer.body.as_str(), is_open_to_all(answer)), ("", true), "{answer:?}");
    };
    let mut wire = Wire::open(stroll.gateway).await;
    let mut sent = 0;
    let refused = loop {
        let answer = wire.ask(post("/send", &format!("id={}&msg={sent}", one.id))).await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!((answer.status, answer.body.as_str()), (200, "win"));
        sent += 1;
        assert!(sent < 100, "a hundred messages were not too many");
    };
    assert!(sent >= 3, "a burst of three seconds is allowed");
    is_refused(&refused);
    let mut starts = 0;
    let refused = loop {
        let answer = wire.ask(post("/start", "")).await;
        if answer.status == 429 {
            break answer;
        }
        starts += 1;
        assert!(starts < 100, "a hundred sessions were not too many");
    };
    is_refused(&refused);
    let poll = post("/events", &format!("id={}", one.id));
    one.hold_poll().await;
    let mut older = Wire::open(stroll.gateway).await;
    older.send(&poll).await;
    assert_eq!(one.polled().await, serde_json::json!([]));
    for _ in 0..200 {
        let mut newer = Wire::open(stroll.gateway).await;
        newer.send(&poll).await;
        let answer = older.answer().await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "[]"));
        older = newer;
    }
    drop(two);
}

#[tokio::test]
async fn an_operator_may_turn_the_classic_protocol_off() {
    let stroll = Single::start_with(&[], &[("STROLL_CLASSIC", "false")]).await;
    for path in POST_ONLY.iter().chain(&BOTH) {
        assert_eq!(ask(stroll.gateway, post(path, "")).await.status, 404, "{path}");
    }
    assert_eq!(ask(stroll.gateway, get("/")).await.status, 200);
    assert_eq!(ask(stroll.gateway, get("/v1/stats")).await.status, 200);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_no_trouble() {
    let stroll = roomy(&[]).await;
    let mut one = Client::start(stroll.gateway, "").await;
    one.is_waiting().await;
    for _ in 0..50 {
        one.open_poll().await;
        one.break_off();
    }
    let mut two = Client::start(stroll.gateway, "").await;
    one.connected().await;
    two.connected().await;
    two.say("still here?").await;
    one.hears("still here?").await;
}
