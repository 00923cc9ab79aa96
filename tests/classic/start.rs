//! `/start`, and the ids that it gives.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, Wire, encode, get, is_id, meet, meet_with, names, post, roomy, start_silently},
    stranger::Stranger,
};
use tokio::time::{Duration, Instant};

/// Two sections, of which classic clients call one `unmon`.
const SECTIONS: [(&str, &str); 2] =
    [("STROLL_CLASSIC_UNMODERATED", "wild"), ("STROLL_SECTIONS", "main,wild")];

const QUESTION: &str = "ask=Is%20tea%20a%20soup%3F";

#[tokio::test]
async fn with_firstevents_of_any_value_the_answer_is_an_object_and_without_a_bare_string() {
    let stroll = roomy(&[]).await;
    let mut wire = Wire::open(stroll.gateway).await;
    for query in
        ["firstevents=1", "firstevents=0", "firstevents=", "firstevents", "lang=en&firstevents=false&x="]
    {
        for request in [get(&format!("/start?{query}")), post(&format!("/start?{query}"), "")] {
            let answer = wire.ask(request).await;
            let object: Value = serde_json::from_str(&answer.body).expect("JSON");
            let mut fields: Vec<_> = object.as_object().expect("an object").keys().collect();
            fields.sort_unstable();
            assert_eq!(fields, ["clientID", "events"], "{query}");
            assert!(is_id(object["clientID"].as_str().expect("an id")), "{object}");
            let events = object["events"].as_array().expect("events");
            let status = events.last().expect("at least the status");
            assert_eq!((status[0].as_str(), status.as_array().map(Vec::len)), (Some("statusInfo"), Some(2)));
            assert_eq!(status[1].as_object().map(serde_json::Map::len), Some(8), "{status}");
            // So that nobody waits for the next.
            let id = encode(object["clientID"].as_str().expect("an id"));
            assert_eq!(wire.ask(post("/disconnect", &format!("id={id}"))).await.body, "win");
        }
    }
    for query in ["", "?", "?lang=en", "?first=1", "?rcs=1&spid=", "?FIRSTEVENTS=1"] {
        let answer = wire.ask(get(&format!("/start{query}"))).await;
        let id: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert!(id.as_str().is_some_and(is_id), "{query}: {answer:?}");
        assert_eq!(answer.body, id.to_string(), "nothing around it");
        assert_eq!(
            wire.ask(post("/disconnect", &format!("id={}", id.as_str().expect("an id")))).await.body,
            "win"
        );
    }
}

#[tokio::test]
async fn ids_have_the_pattern_that_clients_read_and_are_all_different() {
    let stroll = roomy(&[]).await;
    let mut wire = Wire::open(stroll.gateway).await;
    let mut ids = BTreeSet::new();
    // Characters that are the same in all ids are no secret.
    let mut at_place = vec![BTreeSet::new(); 30];
    for _ in 0..60 {
        let answer = wire.ask(get("/start")).await;
        let id: String = serde_json::from_str(&answer.body).expect("a bare string");
        assert!(is_id(&id), "{id}");
        let (_, random) = id.split_once(':').expect("a colon");
        for (place, byte) in random.bytes().enumerate() {
            at_place[place].insert(byte);
        }
        assert!(ids.insert(id), "an id came twice");
    }
    let random = at_place.iter().filter(|bytes| bytes.len() > 10).count();
    assert!(random >= 25, "only {random} characters are random: {at_place:?}");
    let log = stroll.process.log().join("\n");
    for id in &ids {
        let (_, random) = id.split_once(':').expect("a colon");
        assert!(!log.contains(random), "an id is in the log");
    }
}

#[tokio::test]
async fn who_waits_gets_waiting_and_a_match_that_is_there_at_start_is_in_its_answer() {
    let stroll = roomy(&[]).await;
    let mut in_answer = 0;
    for _ in 0..5 {
        let mut one = Client::start(stroll.gateway, "").await;
        assert_eq!(names(&one.first), ["waiting", "statusInfo"]);
        stroll.waiting(1).await;
        let mut two = Client::start(stroll.gateway, "").await;
        if two.first[0] == json!(["connected"]) {
            assert_eq!(names(&two.first), ["connected", "identDigests", "statusInfo"]);
            in_answer += 1;
        }
        one.connected().await;
        two.connected().await;
        one.leave().await;
        two.is_left().await;
    }
    // The answer waits for 250 ms, within which a busy machine may miss one.
    assert!(in_answer >= 3, "only {in_answer} of 5");
}

#[tokio::test]
async fn without_firstevents_the_events_come_in_the_first_poll() {
    let stroll = roomy(&[]).await;
    let id = start_silently(stroll.gateway, "").await;
    let mut one = Client::go_on(stroll.gateway, &id).await;
    assert_eq!(one.poll().await, json!([["waiting"]]));
    // A `waiting` that was not handed out is gone when `connected` comes.
    let id = start_silently(stroll.gateway, "").await;
    one.connected().await;
    let mut two = Client::go_on(stroll.gateway, &id).await;
    let Value::Array(events) = two.poll().await else { panic!("no events") };
    assert_eq!(names(&events), ["connected", "identDigests"]);
}

#[tokio::test]
async fn the_answer_waits_for_a_pairing_no_longer_than_a_moment() {
    let stroll = roomy(&[]).await;
    let asked = Instant::now();
    let one = Client::start(stroll.gateway, "topics=%5B%22nobody%22%5D").await;
    let waited = asked.elapsed();
    assert_eq!(names(&one.first), ["waiting", "statusInfo"]);
    assert!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn parameters_that_change_nothing_are_ignored_and_two_of_one_machine_meet() {
    let stroll = roomy(&[]).await;
    let ignored = [
        "cc=abc123",
        "rcs=1&spid=&m=1",
        "camera=FaceTime&cansavequestion=1&use_likes=1",
        "fbaccesstoken=EAAB-SECRET-TOKEN",
        "caps=recaptcha2,t,t2,t3",
        "caps=",
        "randid=abc&unknown=1&topics2=%5B%22x%22%5D",
        "wantsspy=false",
        "wantsspy=0&wantsspy2=1",
        "wantsspy=true",
        "wantsspy=",
        "webrtc=0",
        "webrtc=true",
        "webrtc=",
        "group=main",
        "group=",
        "group=unmon",
        "group=other",
        "lang=",
        "lang=x",
        "lang=engl",
        "lang=de-DE",
        "lang=12",
        "topics=&ask=&college=&college_auth=&any_college=",
        "any_college=1",
        "college=example.edu&college_auth=00ff",
        "college=%5B%22example.edu%22%5D&college_auth=forged&any_college=1",
    ];
    for parameters in ignored {
        // With an ordinary one: neither is in another mode or pool.
        let [mut one, mut two] = meet_with([stroll.gateway; 2], [parameters, "lang=en"]).await;
        one.say("an ordinary chat").await;
        two.hears("an ordinary chat").await;
        two.leave().await;
        one.is_left().await;
    }
    let log = stroll.process.log().join("\n");
    assert!(!log.contains("SECRET-TOKEN"), "a token is in the log");
}

#[tokio::test]
async fn languages_are_two_or_three_letters_in_any_case_and_keep_apart() {
    let stroll = roomy(&[]).await;
    let share = json!(["serverMessage", "You and the stranger share a language."]);
    for (one, two, is_told) in [
        ("lang=de", "lang=de", true),
        ("lang=DE", "lang=de", true),
        ("lang=fil", "lang=FIL", true),
        ("lang=en", "lang=en", false),
        ("lang=EN", "lang=en", false),
        ("lang=de", "", false),
        ("", "", false),
        ("lang=de", "lang=deutsch", false),
        ("lang=d", "lang=de", false),
    ] {
        let mut first = Client::start(stroll.gateway, one).await;
        let mut second = Client::start(stroll.gateway, two).await;
        for client in [&mut first, &mut second] {
            let events = client.connected().await;
            let expected: &[&str] = if is_told {
                &["connected", "identDigests", "serverMessage"]
            } else {
                &["connected", "identDigests"]
            };
            assert_eq!(names(&events), expected, "{one} with {two}");
            assert!(!is_told || events[2] == share, "{events:?}");
        }
        first.leave().await;
        second.is_left().await;
    }
    // Two who share none don't meet, and each meets the next who shares theirs.
    let mut german = Client::start(stroll.gateway, "lang=de").await;
    let mut french = Client::start(stroll.gateway, "lang=fr").await;
    stroll.waiting(2).await;
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find_with(json!({"languages": ["fr"]})).await;
    assert_eq!(web.expect("matched").await["language"], "fr");
    assert_eq!(names(&french.connected().await), ["connected", "identDigests", "serverMessage"]);
    let mut other = Client::start(stroll.gateway, "lang=de").await;
    assert_eq!(german.connected().await[2], share);
    assert_eq!(other.connected().await[2], share);
}

#[tokio::test]
async fn a_question_has_10_to_200_characters_after_trimming() {
    let stroll = roomy(&[]).await;
    let error = json!(["error", "Your question must have 10 to 200 characters."]);
    let (nine, ten) = ("é".repeat(9), "é".repeat(10));
    let (two_hundred, more) = ("é".repeat(200), "é".repeat(201));
    for bad in [&nine, &more, "why?", &format!("   {nine}   ")] {
        let mut spy = Client::start(stroll.gateway, &format!("ask={}", encode(bad))).await;
        assert_eq!(spy.first[0], error, "{bad}");
        assert!(!names(&spy.first).contains(&"waiting"));
        assert_eq!(spy.poll().await, Value::Null, "the session is over");
        // Without firstevents in the first poll.
        let id = start_silently(stroll.gateway, &format!("ask={}", encode(bad))).await;
        let mut spy = Client::go_on(stroll.gateway, &id).await;
        assert_eq!(spy.poll().await, json!([error]));
        assert_eq!(spy.poll().await, Value::Null);
    }
    for good in [&ten, &two_hundred, &format!("  {ten}  "), &format!("  {two_hundred}\n")] {
        let mut spy = Client::start(stroll.gateway, &format!("ask={}", encode(good))).await;
        let mut one = Client::start(stroll.gateway, "wantsspy=1").await;
        let mut two = Client::start(stroll.gateway, "wantsspy=1").await;
        spy.connected().await;
        two.connected().await;
        assert_eq!(one.connected().await[1], json!(["question", good.trim()]));
        one.leave().await;
        two.is_left().await;
        spy.to_the_end().await;
    }
}

#[tokio::test]
async fn ask_wins_over_wantsspy_and_both_switch_topics_off() {
    let stroll = roomy(&[]).await;
    let mut spy =
        Client::start(stroll.gateway, &format!("{QUESTION}&wantsspy=1&topics=%5B%22tea%22%5D")).await;
    let mut one = Client::start(stroll.gateway, "wantsspy=1&topics=%5B%22rust%22%5D").await;
    let mut two = Client::start(stroll.gateway, "wantsspy=1&topics=%5B%22rust%22%5D").await;
    assert_eq!(names(&spy.connected().await), ["connected", "identDigests"]);
    for discusser in [&mut one, &mut two] {
        assert_eq!(names(&discusser.connected().await), ["connected", "question", "identDigests"]);
    }
}

#[tokio::test]
async fn the_unmoderated_section_is_a_pool_of_its_own_without_topics_and_spies() {
    let stroll = roomy(&SECTIONS).await;
    let mut moderated = Client::start(stroll.gateway, "").await;
    moderated.is_waiting().await;
    let mut one = Client::start(stroll.gateway, "group=unmon&topics=%5B%22tea%22%5D").await;
    one.is_waiting().await;
    stroll.waiting(2).await;
    // Neither topics, nor a question, nor the wish for one count there.
    let mut two = Client::start(stroll.gateway, &format!("group=unmon&{QUESTION}")).await;
    for client in [&mut one, &mut two] {
        assert_eq!(names(&client.connected().await), ["connected", "identDigests"]);
    }
    let mut three = Client::start(stroll.gateway, "group=unmon&wantsspy=1&topics=%5B%22rust%22%5D").await;
    three.is_waiting().await;
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find_with(json!({"section": "wild"})).await;
    web.expect("matched").await;
    three.connected().await;
    let mut web = Stranger::arrive(stroll.gateway).await;
    web.find().await;
    web.expect("matched").await;
    moderated.connected().await;
}

#[tokio::test]
async fn start_takes_its_parameters_as_a_post_without_a_length_too() {
    let stroll = roomy(&[]).await;
    let mut wire = Wire::open(stroll.gateway).await;
    let start = "POST /start?firstevents=1&lang=en HTTP/1.1\r\nHost: front3.omegle.com\r\n\r\n";
    for _ in 0..2 {
        let answer = wire.ask(start).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let object: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert!(object["clientID"].as_str().is_some_and(is_id), "{object}");
    }
}

#[tokio::test]
async fn every_start_is_a_new_session_even_of_the_same_randid() {
    let stroll = roomy(&[]).await;
    // Both have the same, as all clients here.
    let [mut one, mut two] = meet([stroll.gateway; 2]).await;
    assert_ne!(one.id, two.id);
    one.say("is it me?").await;
    two.hears("is it me?").await;
}
