//! Captchas, of an operator who set a key.

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, ask, get, names, post, roomy, start_silently},
    cluster::Single,
    verifier::Verifier,
};

const KEY: &str = "6LcSiteKey";
const SECRET: &str = "captcha-secret-of-tests";

async fn start() -> (Single, Verifier) {
    let verifier = Verifier::start("right").await;
    let url = verifier.url();
    let settings =
        [("STROLL_CAPTCHA_SITE_KEY", KEY), ("STROLL_CAPTCHA_SECRET", SECRET), ("STROLL_CAPTCHA_URL", &url)];
    (roomy(&settings).await, verifier)
}

#[tokio::test]
async fn a_session_waits_for_a_right_answer_outside_the_pool() {
    let (stroll, verifier) = start().await;
    let mut one = Client::start(stroll.gateway, "").await;
    assert_eq!(names(&one.first)[0], "recaptchaRequired");
    assert_eq!(one.first[0], json!(["recaptchaRequired", KEY]));
    assert!(!names(&one.first).contains(&"waiting"));
    one.expect(json!(["recaptchaRequired", KEY])).await;
    // It may poll, and is not in the pool.
    one.open_poll().await;
    one.fails("/send", &[("msg", "hello?")]).await;
    stroll.waiting(0).await;
    for wrong in ["wrong", "", "right+but+not+quite"] {
        one.wins("/recaptcha", &[("response", wrong)]).await;
        assert_eq!(one.polled().await, json!([["recaptchaRejected", KEY]]), "{wrong:?}");
        one.open_poll().await;
    }
    // Version 1 has a challenge as well.
    one.wins("/recaptcha", &[("challenge", "x"), ("response", "right")]).await;
    assert_eq!(one.polled().await, json!([["waiting"]]));
    stroll.waiting(1).await;
    assert!(verifier.asked().iter().any(|form| form.contains("response=right") && form.contains(SECRET)));
    // None is asked for any more.
    one.fails("/recaptcha", &[("response", "right")]).await;
    let mut two = Client::start(stroll.gateway, "").await;
    two.expect(json!(["recaptchaRequired", KEY])).await;
    two.wins("/recaptcha", &[("response", "right")]).await;
    two.connected().await;
    one.connected().await;
    one.say("both are human").await;
    two.hears("both are human").await;
}

#[tokio::test]
async fn without_firstevents_it_is_asked_for_in_the_first_poll() {
    let (stroll, _verifier) = start().await;
    let id = start_silently(stroll.gateway, "caps=t,recaptcha2").await;
    let mut one = Client::go_on(stroll.gateway, &id).await;
    assert_eq!(one.poll().await, json!([["recaptchaRequired", KEY]]));
    one.leave().await;
}

#[tokio::test]
async fn a_client_that_knows_no_second_version_is_told_that_it_is_banned() {
    let (stroll, _verifier) = start().await;
    for caps in ["", "&caps=", "&caps=t,t2", "&caps=recaptcha", "&caps=recaptcha22"] {
        let answer = ask(stroll.gateway, get(&format!("/start?firstevents=1{caps}"))).await;
        let object: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(object["events"][0], json!(["error", "You are temporarily banned."]), "{caps}");
        let id = object["clientID"].as_str().expect("an id");
        assert_eq!(ask(stroll.gateway, post("/events", &format!("id={id}"))).await.body, "null", "{caps}");
    }
}

#[tokio::test]
async fn without_a_key_none_is_asked_for() {
    let stroll = roomy(&[]).await;
    let mut one = Client::start(stroll.gateway, "").await;
    one.is_waiting().await;
    one.fails("/recaptcha", &[("response", "right")]).await;
    stroll.waiting(1).await;
}
