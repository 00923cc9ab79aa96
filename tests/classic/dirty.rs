//! Dirty input, to be taken as it is.

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, FORM, Wire, meet, names, request, roomy},
    stranger::Stranger,
};

/// A way to say something: a target, a content type, a body with `{id}` in it; and what is heard.
struct Said {
    target: &'static str,
    content_type: Option<&'static str>,
    body: &'static [u8],
    heard: &'static str,
}

const fn form(body: &'static [u8], heard: &'static str) -> Said {
    Said { target: "/send", content_type: Some(FORM), body, heard }
}

const fn typed(content_type: Option<&'static str>, heard: &'static str) -> Said {
    Said { target: "/send", content_type, body: b"id={id}&msg=hello+there", heard }
}

const fn query(target: &'static str, body: &'static [u8], heard: &'static str) -> Said {
    Said { target, content_type: Some(FORM), body, heard }
}

const SAYINGS: [Said; 31] = [
    form(b"id={id}&msg=a+raw+colon", "a raw colon"),
    form(b"id={escaped}&msg=an+escaped+one", "an escaped one"),
    form(b"id={id}&msg=hi from me", "hi from me"),
    form(b"id={id}&msg=hi%20from+me", "hi from me"),
    form(b"msg=the other order&id={id}", "the other order"),
    form(b"&id={id}&msg=a+leading+ampersand", "a leading ampersand"),
    form(b"&&id={id}&&msg=many&", "many"),
    form(b"id={id}&msg=100%", "100%"),
    form(b"id={id}&msg=100% sure", "100% sure"),
    form(b"id={id}&msg=%zz%4", "%zz%4"),
    form(b"id={id}&msg=%%41", "%A"),
    form(b"id={id}&msg=%C3%A9+%26+%3D+%2B+%25", "é & = + %"),
    form(b"id={id}&msg=\xc3\xa9 raw", "é raw"),
    form(b"id={id}&msg=bad%FFbyte", "bad\u{fffd}byte"),
    form(b"id={id}&msg=bad\xffraw", "bad\u{fffd}raw"),
    form(b"id={id}&msg=a=b", "a=b"),
    form(b"id={id}&msg=lower%c3%a9", "loweré"),
    form(b"id={id}&msg=two%0Alines", "two\nlines"),
    form(b"id={id}&unknown=1&msg=unknown+ones", "unknown ones"),
    typed(None, "hello there"),
    typed(Some("text/plain"), "hello there"),
    typed(Some("text/plain;charset=UTF-8"), "hello there"),
    typed(Some("application/octet-stream"), "hello there"),
    typed(Some("application/x-www-form-urlencoded; charset=UTF-8"), "hello there"),
    typed(Some("application/json"), "hello there"),
    typed(Some("nonsense"), "hello there"),
    query("/send?id={id}&msg=in+the+query", b"", "in the query"),
    query("/send?id={id}", b"msg=half+and+half", "half and half"),
    query("/send?msg=the+query", b"id={id}&msg=the+body+wins", "the body wins"),
    query("/send?id=central1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&msg=x", b"id={id}&msg=in+all", "in all"),
    query("http://front7.omegle.com/send?id={id}&msg=absolute", b"", "absolute"),
];

#[tokio::test]
async fn bodies_and_queries_are_read_whatever_they_look_like() {
    let stroll = roomy(&[]).await;
    let [one, mut two] = meet([stroll.gateway; 2]).await;
    let fill = |bytes: &[u8]| {
        // Not a text: it may hold bad UTF-8.
        let mut filled = bytes.to_vec();
        for (name, value) in [("{id}", one.id.clone()), ("{escaped}", one.id.replace(':', "%3A"))] {
            while let Some(at) = filled.windows(name.len()).position(|window| window == name.as_bytes()) {
                filled.splice(at..at + name.len(), value.bytes());
            }
        }
        filled
    };
    let mut wire = Wire::open(stroll.gateway).await;
    for Said { target, content_type, body, heard } in SAYINGS {
        let target = String::from_utf8(fill(target.as_bytes())).expect("UTF-8");
        let headers: Vec<_> = content_type.iter().map(|kind| ("Content-Type", *kind)).collect();
        let answer = wire.ask(request("POST", &target, &headers, &fill(body))).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "win"), "{heard:?}");
        two.hears(heard).await;
    }
}

#[tokio::test]
async fn a_chunked_body_is_read_too() {
    let stroll = roomy(&[]).await;
    let [one, mut two] = meet([stroll.gateway; 2]).await;
    let form = format!("id={}&msg=in+chunks", one.id);
    let mut wire = Wire::open(stroll.gateway).await;
    let (first, second) = form.split_at(10);
    wire.send("POST /send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for part in [first, second, ""] {
        wire.send(format!("{:x}\r\n{part}\r\n", part.len())).await;
    }
    assert_eq!(wire.answer().await.body, "win");
    two.hears("in chunks").await;
}

#[tokio::test]
async fn topics_are_taken_in_every_shape_in_use() {
    let stroll = roomy(&[]).await;
    let eleven = "topics=%5B%221%22,%222%22,%223%22,%224%22,%225%22,%226%22,%227%22,%228%22,%229%22,%2210%22,%2211%22%5D";
    let ten = json!(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    let long = format!("topics=%5B%22{}%22,%22tea%22%5D", "x".repeat(65));
    let longest = format!("topics=%5B%22{}%22%5D", "é".repeat(64));
    let cases = [
        ("topics=%5B%22rust%22%5D", json!(["rust"])),
        ("topics=%5B%22Rust%22%2C%22chess%22%5D", json!(["Rust", "chess"])),
        ("topics=[%22rust%22,%22chess%22]", json!(["rust", "chess"])),
        ("topics=[%22rust%22,%20%22chess%22]", json!(["rust", "chess"])),
        ("topics=%5B%22rust%22%2C+%22chess%22%5D", json!(["rust", "chess"])),
        ("topics=rust", json!(["rust"])),
        ("topics=rust,chess", json!(["rust", "chess"])),
        ("topics=rust,%20chess", json!(["rust", "chess"])),
        ("topics=%22rust%22", json!(["rust"])),
        ("topics=%22rust,chess%22", json!(["rust,chess"])),
        ("topics=%5B1,%22rust%22,null,%7B%7D,%5B%22x%22%5D,true%5D", json!(["rust"])),
        ("topics=%5B%22%22,%22%20%22,%22rust%22%5D", json!(["rust"])),
        (eleven, ten),
        (&long, json!(["tea"])),
        (&longest, json!(["é".repeat(64)])),
    ];
    for (parameters, likes) in cases {
        // The other has what was understood, and each gets its own spelling.
        let mut web = Stranger::arrive(stroll.gateway).await;
        web.find_with(json!({"interests": likes, "only_interests": true})).await;
        let mut one = Client::start(stroll.gateway, parameters).await;
        let events = one.connected().await;
        assert_eq!(names(&events), ["connected", "commonLikes", "identDigests"], "{parameters}");
        assert_eq!(sorted(&events[1][1]), sorted(&likes), "{parameters}");
        assert_eq!(sorted(&web.expect("matched").await["common_interests"]), sorted(&likes), "{parameters}");
        one.leave().await;
    }
    for parameters in [
        "topics=",
        "topics=%5B%5D",
        "topics=[]",
        "topics",
        "topics=%5B1%5D",
        "topics=%5B%22%22%5D",
        "topics=,",
    ] {
        let mut one = Client::start(stroll.gateway, parameters).await;
        let mut two = Client::start(stroll.gateway, "").await;
        assert_eq!(names(&one.connected().await), ["connected", "identDigests"], "{parameters}: no topics");
        two.connected().await;
        one.leave().await;
    }
}

fn sorted(likes: &Value) -> Vec<String> {
    let likes = likes.as_array().expect("a list").iter();
    let mut likes: Vec<_> = likes.map(|like| like.as_str().expect("a text").to_owned()).collect();
    likes.sort();
    likes
}

#[tokio::test]
async fn nonsense_is_answered_and_changes_nothing() {
    let stroll = roomy(&[]).await;
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    for target in [
        "/send",
        "/events",
        "/start",
        "/start?topics=%5B%5B%5B",
        "/start?topics=%FF%FE",
        "/generate",
        "/recaptcha",
    ] {
        for body in
            [&b"\xff\xfe\x00"[..], b"%", b"=&=&=", b"id", &[b'&'; 10_000], &[b'%'; 10_000], &[b'['; 10_000]]
        {
            let mut wire = Wire::open(stroll.gateway).await;
            let answer = wire.ask(request("POST", target, &[("Content-Type", FORM)], body)).await;
            assert!([200, 429].contains(&answer.status), "{target}: {answer:?}");
        }
    }
    one.say("undisturbed").await;
    two.hears("undisturbed").await;
}
