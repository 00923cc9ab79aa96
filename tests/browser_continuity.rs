//! What the web client shows when connections are lost, one's own or the stranger's, and that it loses nothing then.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use fantoccini::wd::WindowHandle;
use serde_json::{Value, json};
use stroll_tests::{
    balancer::Balancer,
    browser::Browser,
    cluster::{Cluster, Settings, Single, Tier},
    eventually,
    process::Signal,
    stranger::Stranger,
    tabs::{CHATTING, WAITING, another_tab, say, start_looking, switch, two_tabs},
};
use tokio::time::Instant;

const AWAY: &str = "#banner[data-kind=stranger-away]";
const RECONNECTING: &str = "#banner[data-kind=retrying], #banner[data-kind=connecting]";
/// Handshakes at a gateway that drains.
const REFUSED: &str = r#"stroll_gateway_handshakes_total{outcome="draining""#;

/// A tab in a chat with a scripted stranger.
async fn meet(browser: &Browser, page: SocketAddr, gateway: SocketAddr) -> Stranger {
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

/// Takes down whatever the banner of the tab in front shows from here on.
async fn watch_banner(browser: &Browser) {
    let watch = "window.shown = []; const banner = document.getElementById('banner');\
         new MutationObserver(() => { if (!banner.hidden) window.shown.push(banner.textContent) })\
         .observe(banner, {attributes: true, attributeFilter: ['hidden']});";
    browser.run(watch, Vec::new()).await;
}

async fn seen_in_banner(browser: &Browser) -> Value {
    browser.run("return window.shown", Vec::new()).await
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
    watch_banner(&browser).await;
    balancer.cut();
    while other.next().await["state"] != "back" {}
    say(&browser, "was there something?").await;
    while other.next().await["type"] != "message" {}
    assert_eq!(seen_in_banner(&browser).await, json!([]));
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

#[tokio::test]
async fn a_gateway_that_drains_hands_its_tabs_over_and_nothing_is_shown() {
    let settings = Settings { environment: vec![("STROLL_DRAIN", "16s".into())], ..Settings::default() };
    let mut cluster = Cluster::start_with(settings).await;
    let gateways = cluster.addresses().await;
    let balancer = Balancer::start(&gateways).await;
    let browser = Browser::start(1280, 900).await;
    let mut other = meet(&browser, balancer.address, gateways[1]).await;
    let chatting = browser.client.window().await.expect("a tab");
    watch_banner(&browser).await;
    say(&browser, "before").await;
    let waiting = another_tab(&browser, balancer.address).await;
    start_looking(&browser, &["drains"]).await;
    browser.see(WAITING).await;
    watch_banner(&browser).await;
    let began = Instant::now();
    cluster.gateways[0].signal(Signal::Term).await;
    // New sockets are refused at first: the balancer does not know yet.
    let refused = || async { (cluster.gateways[0].metric(REFUSED).await >= 1.0).then_some(()) };
    eventually("a move that is refused", refused).await;
    balancer.prefer(&gateways[1..]);
    let status = cluster.gateways[0].ended().await;
    assert_eq!(status.code(), Some(0), "{:#?}", cluster.gateways[0].log());
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "both tabs had gone, but it took {:?}",
        began.elapsed()
    );
    let mut third = Stranger::arrive(gateways[1]).await;
    third.find_with(json!({"interests": ["drains"]})).await;
    third.expect("matched").await;
    browser.see(CHATTING).await;
    assert_eq!(seen_in_banner(&browser).await, json!([]));
    switch(&browser, &chatting).await;
    say(&browser, "after").await;
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let frame = other.next().await;
        assert_ne!(frame["type"], "ended", "{frame}");
        if frame["type"] == "message" {
            heard.push(frame["text"].clone());
            other.send(json!({"type": "ack", "seq": frame["seq"]})).await;
        }
    }
    assert_eq!(heard, ["before", "after"]);
    assert_eq!(seen_in_banner(&browser).await, json!([]));
    switch(&browser, &waiting).await;
    browser.see(CHATTING).await;
}

#[tokio::test]
async fn i3_two_tabs_read_every_message_once_though_their_gateway_and_relay_are_killed() {
    let mut cluster = Cluster::start().await;
    let balancer = Balancer::start(&cluster.addresses().await).await;
    let browser = Browser::start(1280, 900).await;
    let tabs = two_tabs(&browser, balancer.address).await;
    let mut said = [Vec::new(), Vec::new()];
    for round in 0..16 {
        let killed = match round {
            // The first is preferred while it is there, so both tabs are at it.
            3 => vec![(Tier::Gateway, 0)],
            7 => vec![(Tier::Relay, with_the_chat(&cluster).await)],
            // Now both are at the other one.
            11 => vec![(Tier::Gateway, 1), (Tier::Relay, with_the_chat(&cluster).await)],
            _ => Vec::new(),
        };
        for (tier, number) in &killed {
            cluster.process(*tier, *number).kill().await;
        }
        for (tab, said) in tabs.iter().zip(&mut said) {
            switch(&browser, tab).await;
            let text = format!("round {round}, number {}", said.len());
            say(&browser, &text).await;
            said.push(text);
        }
        if !killed.is_empty() {
            delivered(&browser, &tabs, &said).await;
        }
        for (tier, number) in killed {
            cluster.start_again(tier, number);
            cluster.process(tier, number).ready().await;
        }
    }
    delivered(&browser, &tabs, &said).await;
}

/// The relay that holds the only chat.
async fn with_the_chat(cluster: &Cluster) -> usize {
    eventually("a relay with the chat", || async {
        for (number, relay) in cluster.relays.iter().enumerate() {
            if relay.metric("stroll_relay_chats ").await > 0.0 {
                return Some(number);
            }
        }
        None
    })
    .await
}

/// Waits until each tab has read all that the other one said; each message once, and in order.
async fn delivered(browser: &Browser, tabs: &[WindowHandle; 2], said: &[Vec<String>; 2]) {
    let words = "return [...document.querySelectorAll('.message[data-from=stranger] .words')]\
         .map(words => words.textContent)";
    for (tab, said) in tabs.iter().zip([&said[1], &said[0]]) {
        switch(browser, tab).await;
        eventually(&format!("{} messages", said.len()), || async {
            let read = browser.run(words, Vec::new()).await;
            let read: Vec<String> = serde_json::from_value(read).ok()?;
            assert!(said.starts_with(&read), "{read:?} is not the beginning of {said:?}");
            (read.len() == said.len()).then_some(())
        })
        .await;
        browser.see(CHATTING).await;
    }
}
