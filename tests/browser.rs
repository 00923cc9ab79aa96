//! The web client in a real browser, against a real process.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use fantoccini::{Locator, key::Key};
use serde_json::json;
use stroll_tests::{
    browser::Browser,
    cluster::Single,
    eventually,
    stranger::Stranger,
    tabs::{CHATTING, WAITING, agree_and_start, another_tab, say, start_looking, switch, two_tabs},
};

#[tokio::test]
async fn two_tabs_meet_chat_stop_and_meet_again() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    let [first, second] = two_tabs(&browser, stroll.gateway).await;
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
    browser.see(WAITING).await;
    browser.check_accessibility("waiting").await;
    switch(&browser, &second).await;
    browser.click("#stop[data-label=New]").await;
    browser.see(CHATTING).await;
}

#[tokio::test]
async fn escape_steps_the_button_and_sending_takes_the_step_back() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    two_tabs(&browser, stroll.gateway).await;
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
    browser.see(WAITING).await;
}

#[tokio::test]
async fn a_report_is_sent_and_its_case_is_shown() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    let [first, second] = two_tabs(&browser, stroll.gateway).await;
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
    browser.see(CHATTING).await;
}

#[tokio::test]
async fn a_reloaded_tab_comes_back_into_its_chat() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    let [first, second] = two_tabs(&browser, stroll.gateway).await;
    browser.write("#message-input", "before the reload").await;
    browser.press(Key::Enter).await;
    browser.see(".message[data-from=you][data-state=delivered]").await;
    browser.client.refresh().await.expect("a reload");
    browser.see(CHATTING).await;
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
    browser.see(WAITING).await;
    let mut other = Stranger::arrive(stroll.gateway).await;
    other.send(json!({"type": "find", "mode": "text", "interests": ["keyboards"]})).await;
    other.expect("waiting").await;
    other.expect("matched").await;
    browser.see(CHATTING).await;
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
        // From where no chat can write into the storage meanwhile.
        browser.client.goto(&format!("http://{}/terms.html", stroll.gateway)).await.expect("the terms");
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
        browser.check_width().await;
        start_looking(&browser, &[]).await;
        browser.see(WAITING).await;
        let mut other = Stranger::arrive(stroll.gateway).await;
        other.find().await;
        other.expect("matched").await;
        browser.see(CHATTING).await;
        other.say(&"averyveryverylongword".repeat(20)).await;
        browser.see(".message[data-from=stranger]").await;
        browser.check_width().await;
        browser.check_accessibility(&format!("chat, {scheme}")).await;
    }
}

#[tokio::test]
async fn no_request_goes_to_anybody_else_and_nothing_is_complained_of() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    two_tabs(&browser, stroll.gateway).await;
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
    browser.see(WAITING).await;
    let second = browser.client.new_window(true).await.expect("another tab").handle;
    switch(&browser, &second).await;
    browser.open(gateways[1]).await;
    start_looking(&browser, &[]).await;
    browser.see(CHATTING).await;
    browser.write("#message-input", "across the cluster").await;
    browser.press(Key::Enter).await;
    browser.see(".message[data-from=you][data-state=delivered]").await;
    switch(&browser, &first).await;
    browser.reads(".message[data-from=stranger]", "across the cluster").await;
}

#[tokio::test]
async fn one_asks_and_watches_while_two_discuss() {
    watch_two_discuss(1280, 900).await;
}

#[tokio::test]
async fn one_asks_and_watches_while_two_discuss_on_phones() {
    watch_two_discuss(360, 740).await;
}

async fn watch_two_discuss(width: u32, height: u32) {
    let question = "Would you rather see the past or the future?";
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(width, height).await;
    browser.open(stroll.gateway).await;
    let spy = browser.client.window().await.expect("a tab");
    browser.click("#choose-ask").await;
    browser.write("#question-input", question).await;
    browser.check_both_schemes("asking").await;
    agree_and_start(&browser).await;
    browser.reads("#waiting-note", question).await;
    browser.check_both_schemes("waiting for two").await;
    let mut talkers = Vec::new();
    for _ in 0..2 {
        talkers.push(another_tab(&browser, stroll.gateway).await);
        browser.click("#choose-discuss").await;
        agree_and_start(&browser).await;
        browser.see("[data-view=chat]").await;
    }
    for talker in [&talkers[0], &talkers[1]] {
        switch(&browser, talker).await;
        browser.see(CHATTING).await;
        browser.reads("#question-text", question).await;
    }
    say(&browser, "The past").await;
    switch(&browser, &talkers[0]).await;
    browser.reads(".message[data-from=stranger] .words", "The past").await;
    say(&browser, "The future").await;
    switch(&browser, &talkers[1]).await;
    browser.reads(".message[data-from=stranger] .words", "The future").await;
    browser.check_both_schemes("discussing").await;
    switch(&browser, &spy).await;
    browser.reads("#question-text", question).await;
    let mut heard = Vec::new();
    for seat in ["stranger_1", "stranger_2"] {
        let words = browser.see(&format!(".message[data-from={seat}] .words")).await;
        heard.push(words.text().await.expect("a text"));
    }
    heard.sort();
    assert_eq!(heard, ["The future", "The past"]);
    browser.see("#watching").await;
    for hidden in ["#message-input", "#send", "#block"] {
        browser.hides(hidden).await;
    }
    browser.check_both_schemes("watching").await;
    browser.click("#stop[data-label=Stop]").await;
    browser.click("#stop[data-label='Really?']").await;
    browser.reads("#ended-text", "You stopped watching.").await;
    browser.hides("#again").await;
    browser.check_both_schemes("no longer watching").await;
    switch(&browser, &talkers[0]).await;
    say(&browser, "Still there?").await;
    switch(&browser, &talkers[1]).await;
    browser.reads(".message[data-from=stranger] .words", "Still there?").await;
}

#[tokio::test]
async fn who_was_blocked_is_not_met_again() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 900).await;
    let [first, second] = two_tabs(&browser, stroll.gateway).await;
    browser.click("#block[data-label=Block]").await;
    browser.click("#block[data-label='Really?']").await;
    browser.reads("#ended-text", "You ended the chat and blocked this stranger.").await;
    browser.hides("#again").await;
    browser.check_both_schemes("blocked").await;
    browser.click("#stop[data-label=New]").await;
    switch(&browser, &first).await;
    browser.reads("#ended-text", "Your stranger has left.").await;
    browser.click("#stop[data-label=New]").await;
    // Both look for somebody who likes what both of them like, and find each other not even so.
    stroll.waiting(2).await;
    let mut met = Vec::new();
    for name in ["third", "fourth"] {
        let mut other = Stranger::arrive(stroll.gateway).await;
        other.find_with(json!({"interests": ["astronomy"]})).await;
        other.expect("matched").await;
        other.say(name).await;
        met.push(other);
    }
    let mut heard = Vec::new();
    for tab in [&first, &second] {
        switch(&browser, tab).await;
        let words = browser.see(".message[data-from=stranger] .words").await;
        heard.push(words.text().await.expect("a text"));
    }
    heard.sort();
    assert_eq!(heard, ["fourth", "third"]);
}

#[tokio::test]
async fn two_meet_again_once_both_ask() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(360, 740).await;
    let [first, second] = two_tabs(&browser, stroll.gateway).await;
    browser.click("#stop[data-label=Stop]").await;
    browser.click("#stop[data-label='Really?']").await;
    browser.see("#again").await;
    browser.check_both_schemes("may meet again").await;
    // One asks and takes it back, so the other asks in vain.
    browser.click("#again").await;
    browser.see("[data-view=chat][data-state=asking]").await;
    browser.check_both_schemes("asking to meet again").await;
    browser.click("#stop[data-label=Stop]").await;
    browser.see("[data-view=chat][data-state=ended]").await;
    stroll.waiting(0).await;
    switch(&browser, &first).await;
    browser.click("#again").await;
    browser.see("[data-view=chat][data-state=asking]").await;
    stroll.waiting(1).await;
    // Then both ask.
    switch(&browser, &second).await;
    browser.see("[data-view=chat][data-state=ended]").await;
    browser.click("#again").await;
    browser.see(CHATTING).await;
    browser.reads("#opening", "You meet again").await;
    say(&browser, "You again!").await;
    switch(&browser, &first).await;
    browser.reads("#opening", "You meet again").await;
    browser.reads(".message[data-from=stranger] .words", "You again!").await;
}

#[tokio::test]
async fn a_search_widens_and_says_so() {
    let stroll = Single::start(&["--patience", "1s", "--discuss-patience", "1s"]).await;
    let browser = Browser::start(1280, 900).await;
    browser.open(stroll.gateway).await;
    start_looking(&browser, &["Astronomy"]).await;
    browser.reads("#waiting-note", "Looking beyond your interests now").await;
    browser.check_both_schemes("widened").await;
    // Of two who look for anybody, one is another tab that got no question to discuss.
    another_tab(&browser, stroll.gateway).await;
    browser.click("#choose-discuss").await;
    agree_and_start(&browser).await;
    browser.see(CHATTING).await;
    browser.reads("#opening", "No question came").await;
}

#[tokio::test]
async fn who_waits_only_for_shared_interests_meets_nobody_else() {
    let stroll = Single::start(&["--patience", "1s"]).await;
    let browser = Browser::start(1280, 900).await;
    browser.open(stroll.gateway).await;
    browser.write("#interest-input", "Astronomy,").await;
    browser.click("#only-interests").await;
    start_looking(&browser, &[]).await;
    browser.reads("#waiting-note", "somebody who likes Astronomy, however long it takes").await;
    stroll.waiting(1).await;
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = Stranger::arrive(stroll.gateway).await;
        other.find().await;
        others.push(other);
    }
    for other in &mut others {
        other.expect("matched").await;
    }
    let mut other = Stranger::arrive(stroll.gateway).await;
    other.find_with(json!({"interests": ["astronomy"]})).await;
    other.expect("matched").await;
    browser.see(CHATTING).await;
    browser.reads("#common-interests", "Astronomy").await;
}

/// The picture in the README: set `STROLL_PICTURE` to where it goes, or it goes nowhere.
#[tokio::test]
async fn the_readmes_picture_shows_two_people_talking() {
    let stroll = Single::start(&[]).await;
    let browser = Browser::start(1280, 860).await;
    browser.open(stroll.gateway).await;
    start_looking(&browser, &["Astronomy", "green tea"]).await;
    browser.see(WAITING).await;
    let mut other = Stranger::arrive(stroll.gateway).await;
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
    browser.stand_still().await;
    if let Ok(path) = std::env::var("STROLL_PICTURE") {
        browser.picture(Path::new(&path)).await;
    }
}
