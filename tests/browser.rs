//! The web client in a real browser, against a real process.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use fantoccini::{Locator, key::Key};
use serde_json::json;
use stroll_tests::{browser::Browser, cluster::Single, eventually};

/// Fills in the start page and starts to look for a stranger.
async fn start_looking(browser: &Browser, interests: &[&str]) {
    for interest in interests {
        browser.write("#interest-input", &format!("{interest},")).await;
    }
    browser.click("#adult").await;
    browser.click("#terms").await;
    browser.click("#start").await;
}

/// Two tabs of one browser that have met. Returns their handles; the second is in front.
async fn two_tabs(browser: &Browser, stroll: &Single) -> [fantoccini::wd::WindowHandle; 2] {
    browser.open(stroll.gateway).await;
    let first = browser.client.window().await.expect("a tab");
    start_looking(browser, &["Astronomy", "tea"]).await;
    browser.see("[data-view=chat][data-state=waiting]").await;
    let second = browser.client.new_window(true).await.expect("another tab").handle;
    browser.client.switch_to_window(second.clone()).await.expect("the other tab");
    browser.open(stroll.gateway).await;
    start_looking(browser, &["astronomy"]).await;
    browser.see("[data-view=chat][data-state=chatting]").await;
    [first, second]
}

async fn switch(browser: &Browser, tab: &fantoccini::wd::WindowHandle) {
    browser.client.switch_to_window(tab.clone()).await.expect("the tab");
}

#[tokio::test]
async fn two_tabs_meet_chat_stop_and_meet_again() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    let [first, second] = two_tabs(&browser, &stroll).await;
    // Both tabs share the settings, and so the spelling.
    browser.reads("#common-interests", "Astronomy").await;
    browser.write("#message-input", "Hello from the second tab").await;
    browser.press(Key::Enter).await;
    switch(&browser, &first).await;
    browser.reads(".message[data-from=stranger]", "Hello from the second tab").await;
    browser.write("#message-input", "<b>bold?</b> & https://example.org").await;
    browser.click("#send").await;
    switch(&browser, &second).await;
    browser.reads(".message[data-from=stranger]", "<b>bold?</b> & https://example.org").await;
    browser.see(".message[data-from=you][data-state=delivered]").await;
    browser.check_accessibility("chat").await;
    // Stop asks, then stops; the other tab learns of it.
    browser.click("#stop[data-label=Stop]").await;
    browser.click("#stop[data-label='Really?']").await;
    browser.see("#ended").await;
    browser.check_accessibility("ended").await;
    switch(&browser, &first).await;
    browser.see("#ended").await;
    browser.click("#stop[data-label=New]").await;
    browser.see("[data-view=chat][data-state=waiting]").await;
    browser.check_accessibility("waiting").await;
    switch(&browser, &second).await;
    browser.click("#stop[data-label=New]").await;
    browser.see("[data-view=chat][data-state=chatting]").await;
}

#[tokio::test]
async fn escape_steps_the_button_and_sending_takes_the_step_back() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    two_tabs(&browser, &stroll).await;
    browser.click("#message-input").await;
    browser.press(Key::Escape).await;
    browser.see("#stop[data-label='Really?']").await;
    browser.write("#message-input", "no, wait").await;
    browser.press(Key::Enter).await;
    browser.see("#stop[data-label=Stop]").await;
    browser.press(Key::Escape).await;
    browser.press(Key::Escape).await;
    browser.see("#ended").await;
    browser.press(Key::Escape).await;
    browser.see("[data-view=chat][data-state=waiting]").await;
}

#[tokio::test]
async fn a_report_is_sent_and_its_case_is_shown() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    let [first, second] = two_tabs(&browser, &stroll).await;
    browser.write("#message-input", "something bad").await;
    browser.press(Key::Enter).await;
    switch(&browser, &first).await;
    browser.reads(".message[data-from=stranger]", "something bad").await;
    browser.click("#report-open").await;
    browser.see("#report").await;
    browser.check_accessibility("report").await;
    browser.run("document.querySelector('input[name=reason][value=harassment]').click()", Vec::new()).await;
    browser.write("#report-comment", "it was not nice").await;
    browser.click("#report-send").await;
    let case = browser.see("#report-case").await;
    let shown = || async { (!case.text().await.ok()?.is_empty()).then_some(()) };
    eventually("a case number", shown).await;
    browser.click("#report-close").await;
    switch(&browser, &second).await;
    browser.see("[data-view=chat][data-state=chatting]").await;
}

#[tokio::test]
async fn a_reloaded_tab_comes_back_into_its_chat() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    let [first, second] = two_tabs(&browser, &stroll).await;
    browser.write("#message-input", "before the reload").await;
    browser.press(Key::Enter).await;
    browser.see(".message[data-from=you][data-state=delivered]").await;
    browser.client.refresh().await.expect("a reload");
    browser.see("[data-view=chat][data-state=chatting]").await;
    browser.reads(".message[data-from=you]", "before the reload").await;
    switch(&browser, &first).await;
    browser.write("#message-input", "still there?").await;
    browser.press(Key::Enter).await;
    switch(&browser, &second).await;
    browser.reads(".message[data-from=stranger]", "still there?").await;
    let shown =
        browser.client.find_all(Locator::Css(".message[data-from=stranger]")).await.expect("messages");
    assert_eq!(shown.len(), 1);
}

#[tokio::test]
async fn everything_can_be_done_with_the_keyboard_alone() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    browser.open(stroll.gateway).await;
    browser.see("#start").await;
    for wanted in ["interest-input", "adult", "terms", "start"] {
        let mut passed = Vec::new();
        while focused(&browser).await != wanted {
            passed.push(focused(&browser).await);
            assert!(passed.len() < 40, "{wanted} is not reached by Tab: {passed:?}");
            browser.press(Key::Tab).await;
        }
        match wanted {
            "interest-input" => {
                browser
                    .client
                    .active_element()
                    .await
                    .expect("a focus")
                    .send_keys("keyboards,")
                    .await
                    .expect("keys");
            }
            "start" => browser.press(Key::Enter).await,
            _ => browser.client.active_element().await.expect("a focus").send_keys(" ").await.expect("keys"),
        }
    }
    browser.see("[data-view=chat][data-state=waiting]").await;
    let mut other = stroll_tests::stranger::Stranger::arrive(stroll.gateway).await;
    other.send(json!({"type": "find", "mode": "text", "interests": ["keyboards"]})).await;
    other.expect("waiting").await;
    other.expect("matched").await;
    browser.see("[data-view=chat][data-state=chatting]").await;
    eventually("the focus to be where one writes", || async {
        (focused(&browser).await == "message-input").then_some(())
    })
    .await;
    browser.client.active_element().await.expect("a focus").send_keys("no mouse").await.expect("keys");
    browser.press(Key::Enter).await;
    loop {
        let frame = other.next().await;
        if frame["type"] == "message" {
            assert_eq!(frame["text"], "no mouse");
            break;
        }
    }
    browser.press(Key::Escape).await;
    browser.press(Key::Escape).await;
    browser.see("#ended").await;
}

async fn focused(browser: &Browser) -> String {
    let script = "return document.activeElement ? document.activeElement.id : ''";
    browser.run(script, Vec::new()).await.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn on_a_phone_nothing_is_wider_than_the_window_and_everything_is_accessible() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(360, 740).await;
    for scheme in ["light", "dark"] {
        browser.open(stroll.gateway).await;
        browser.run("localStorage.clear(); sessionStorage.clear()", Vec::new()).await;
        browser.open(stroll.gateway).await;
        browser.see("#start").await;
        browser.click("#settings-open").await;
        browser
            .run(&format!("document.querySelector('input[name=theme][value={scheme}]').click()"), Vec::new())
            .await;
        browser.check_accessibility(&format!("settings, {scheme}")).await;
        browser.click("#settings-close").await;
        browser.check_accessibility(&format!("start, {scheme}")).await;
        no_overflow(&browser).await;
        start_looking(&browser, &[]).await;
        browser.see("[data-view=chat][data-state=waiting]").await;
        let mut other = stroll_tests::stranger::Stranger::arrive(stroll.gateway).await;
        other.find().await;
        other.expect("matched").await;
        browser.see("[data-view=chat][data-state=chatting]").await;
        other.say(&"averyveryverylongword".repeat(20)).await;
        browser.see(".message[data-from=stranger]").await;
        no_overflow(&browser).await;
        browser.check_accessibility(&format!("chat, {scheme}")).await;
    }
}

async fn no_overflow(browser: &Browser) {
    let script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    assert_eq!(browser.run(script, Vec::new()).await, json!(0));
}

#[tokio::test]
async fn no_request_goes_to_anybody_else_and_nothing_is_complained_of() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    two_tabs(&browser, &stroll).await;
    let script = "return performance.getEntriesByType('resource').map(entry => entry.name)";
    let requests = browser.run(script, Vec::new()).await;
    let own = format!("http://{}/", stroll.gateway);
    for request in requests.as_array().expect("a list") {
        assert!(request.as_str().expect("a URL").starts_with(&own), "{request}");
    }
}

#[tokio::test]
async fn two_tabs_at_two_gateways_of_a_cluster_chat() {
    let cluster = stroll_tests::cluster::Cluster::start().await;
    let gateways = cluster.addresses().await;
    let browser = Browser::start(1280, 900).await;
    browser.open(gateways[0]).await;
    let first = browser.client.window().await.expect("a tab");
    start_looking(&browser, &[]).await;
    browser.see("[data-view=chat][data-state=waiting]").await;
    let second = browser.client.new_window(true).await.expect("another tab").handle;
    switch(&browser, &second).await;
    browser.open(gateways[1]).await;
    start_looking(&browser, &[]).await;
    browser.see("[data-view=chat][data-state=chatting]").await;
    browser.write("#message-input", "across the cluster").await;
    browser.press(Key::Enter).await;
    browser.see(".message[data-from=you][data-state=delivered]").await;
    switch(&browser, &first).await;
    browser.reads(".message[data-from=stranger]", "across the cluster").await;
}

/// The picture in the README: set `STROLL_PICTURE` to where it goes, or it goes nowhere.
#[tokio::test]
async fn the_readmes_picture_shows_two_people_talking() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 860).await;
    browser.open(stroll.gateway).await;
    start_looking(&browser, &["Astronomy", "green tea"]).await;
    browser.see("[data-view=chat][data-state=waiting]").await;
    let mut other = stroll_tests::stranger::Stranger::arrive(stroll.gateway).await;
    other.send(json!({"type": "find", "mode": "text", "interests": ["astronomy"]})).await;
    other.expect("waiting").await;
    other.expect("matched").await;
    other.say("Hello! Clear skies where you are?").await;
    browser.reads(".message[data-from=stranger]", "Clear skies").await;
    browser.write("#message-input", "Hi! Yes, for once. I can see Jupiter from the balcony.").await;
    browser.press(Key::Enter).await;
    loop {
        let frame = other.next().await;
        if frame["type"] == "message" {
            other.send(json!({"type": "ack", "seq": frame["seq"]})).await;
            break;
        }
    }
    other.say("Lucky you. Here it is raining sideways.").await;
    browser.reads(".message[data-from=stranger]", "raining").await;
    browser.see(".message[data-from=you][data-state=delivered]").await;
    eventually("everything to stand still", || async {
        let moving = browser.run("return document.getAnimations().length", Vec::new()).await;
        (moving == 0).then_some(())
    })
    .await;
    if let Ok(path) = std::env::var("STROLL_PICTURE") {
        browser.picture(Path::new(&path)).await;
    }
}
