//! What the web client shows when connections are lost, one's own or the stranger's, and that it loses nothing then.

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};
use stroll_tests::{
    balancer::Balancer,
    browser::Browser,
    cluster::Single,
    eventually,
    stranger::Stranger,
    tabs::{CHATTING, WAITING, say, start_looking},
};

const AWAY: &str = "#banner[data-kind=stranger-away]";
const RECONNECTING: &str = "#banner[data-kind=retrying], #banner[data-kind=connecting]";

/// A tab in a chat with a scripted stranger.
async fn meet(browser: &Browser, page: std::net::SocketAddr, gateway: std::net::SocketAddr) -> Stranger {
    browser.open(page).await;
    start_looking(browser, &[]).await;
    browser.see(WAITING).await;
    let mut other = Stranger::arrive(gateway).await;
    other.find().await;
    other.expect("matched").await;
    browser.see(CHATTING).await;
    other
}

async fn text(browser: &Browser, id: &str) -> String {
    let script = format!("return document.getElementById('{id}').textContent");
    browser.run(&script, Vec::new()).await.as_str().unwrap_or_default().to_owned()
}

/// The seconds that the tab in front gives the stranger to come back.
async fn seconds_left(browser: &Browser) -> Option<u64> {
    text(browser, "banner-left").await.strip_suffix("\u{a0}s")?.parse().ok()
}

/// Saves a picture for each scheme where `STROLL_PICTURES` names a folder.
async fn pictures(browser: &Browser, name: &str) {
    let Some(folder) = std::env::var_os("STROLL_PICTURES").map(PathBuf::from) else { return };
    for scheme in ["light", "dark"] {
        browser.choose_scheme(scheme).await;
        browser.stand_still().await;
        browser.picture(&folder.join(format!("{name}-{scheme}.png"))).await;
    }
}

#[tokio::test]
async fn a_stranger_who_lost_the_connection_is_waited_for_with_a_count_down() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(360, 740).await;
    let mut other = meet(&browser, stroll.gateway, stroll.gateway).await;
    other.say("I am in a tunnel").await;
    browser.see(".message[data-from=stranger]").await;
    let other = other.lose();
    browser.see(AWAY).await;
    let first = eventually("seconds", || seconds_left(&browser)).await;
    assert!((20..=30).contains(&first), "{first}");
    let told = text(&browser, "banner-text").await;
    assert_eq!(told, "Your stranger lost the connection. Waiting …");
    eventually("the seconds to run down", || async {
        (seconds_left(&browser).await? + 2 <= first).then_some(())
    })
    .await;
    assert_eq!(text(&browser, "banner-text").await, told, "what is read out stays as it is");
    let left = "return document.getElementById('banner-left').getAttribute('aria-hidden')";
    assert_eq!(browser.run(left, Vec::new()).await, json!("true"));
    browser.check_both_schemes("the stranger is away").await;
    pictures(&browser, "away").await;
    let mut other = other.come_back(stroll.gateway).await;
    browser.hides("#banner").await;
    assert_eq!(text(&browser, "banner-gone").await, "Your stranger is back.");
    while other.next().await["type"] != "resumed" {}
    other.say("out again").await;
    browser.reads(".message[data-from=stranger] .words", "out again").await;
}

#[tokio::test]
async fn a_stranger_who_stays_away_ends_the_chat_when_the_count_is_down() {
    let stroll = Single::start(&["--grace", "2s"]).await;
    let browser = Browser::start(1280, 900).await;
    let other = meet(&browser, stroll.gateway, stroll.gateway).await;
    drop(other);
    browser.see(AWAY).await;
    let left = eventually("seconds", || seconds_left(&browser)).await;
    assert!(left <= 2, "{left}");
    browser.reads("#ended-text", "a connection was lost for too long").await;
    browser.hides("#banner").await;
}

#[tokio::test]
async fn ones_own_short_gap_is_not_shown_and_a_longer_one_calmly() {
    let stroll = Single::start(&[]).await;
    let balancer = Balancer::start(&[stroll.gateway]).await;
    let browser = Browser::start(360, 740).await;
    let mut other = meet(&browser, balancer.address, stroll.gateway).await;
    // Whatever the banner shows from here on.
    let watch = "window.shown = []; const banner = document.getElementById('banner');\
         new MutationObserver(() => { if (!banner.hidden) window.shown.push(banner.textContent) })\
         .observe(banner, {attributes: true, attributeFilter: ['hidden']});";
    browser.run(watch, Vec::new()).await;
    balancer.cut();
    while other.next().await["state"] != "back" {}
    say(&browser, "was there something?").await;
    while other.next().await["type"] != "message" {}
    assert_eq!(browser.run("return window.shown", Vec::new()).await, json!([]));
    balancer.prefer(&[]);
    balancer.cut();
    browser.see(RECONNECTING).await;
    browser.reads("#banner-text", "Reconnecting …").await;
    say(&browser, "written in the gap").await;
    browser.check_both_schemes("reconnecting").await;
    pictures(&browser, "reconnecting").await;
    balancer.prefer(&[stroll.gateway]);
    browser.hides("#banner").await;
    assert_eq!(text(&browser, "banner-gone").await, "Connected again.");
    let heard = tokio::time::timeout(Duration::from_secs(10), said_next(&mut other)).await;
    assert_eq!(heard.expect("what was kept"), "written in the gap");
}

async fn said_next(stranger: &mut Stranger) -> Value {
    loop {
        let frame = stranger.next().await;
        if frame["type"] == "message" && frame["seq"] == 2 {
            return frame["text"].clone();
        }
    }
}
