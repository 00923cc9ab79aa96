//! What people do with the web client, in one or more tabs of a browser.

use std::net::SocketAddr;

use fantoccini::wd::WindowHandle;

use crate::browser::Browser;

/// The page while one looks for somebody.
pub const WAITING: &str = "[data-view=chat][data-state=waiting]";
/// The page of a chat.
pub const CHATTING: &str = "[data-view=chat][data-state=chatting]";

/// Fills in the start page and starts to look for a stranger.
pub async fn start_looking(browser: &Browser, interests: &[&str]) {
    for interest in interests {
        browser.write("#interest-input", &format!("{interest},")).await;
    }
    agree_and_start(browser).await;
}

/// Agrees to the terms and starts to look for a stranger.
pub async fn agree_and_start(browser: &Browser) {
    browser.click("#adult").await;
    browser.click("#terms").await;
    browser.click("#start").await;
}

/// Two tabs of one browser that have met. Returns their handles; the second is in front.
///
/// # Panics
/// If there is no tab.
pub async fn two_tabs(browser: &Browser, gateway: SocketAddr) -> [WindowHandle; 2] {
    browser.open(gateway).await;
    let first = browser.client.window().await.expect("a tab");
    start_looking(browser, &["Astronomy", "tea"]).await;
    browser.see(WAITING).await;
    let second = another_tab(browser, gateway).await;
    start_looking(browser, &["astronomy"]).await;
    browser.see(CHATTING).await;
    [first, second]
}

/// One more tab at the start page, in front.
///
/// # Panics
/// If there can't be one.
pub async fn another_tab(browser: &Browser, gateway: SocketAddr) -> WindowHandle {
    let tab = browser.client.new_window(true).await.expect("another tab").handle;
    switch(browser, &tab).await;
    browser.open(gateway).await;
    tab
}

/// Puts a tab in front.
///
/// # Panics
/// If it is gone.
pub async fn switch(browser: &Browser, tab: &WindowHandle) {
    browser.client.switch_to_window(tab.clone()).await.expect("the tab");
}

/// Says something in the chat of the tab in front.
pub async fn say(browser: &Browser, text: &str) {
    browser.write("#message-input", text).await;
    browser.click("#send").await;
}
