//! A real headless Chromium, driven through chromedriver.

use std::{net::SocketAddr, path::Path, process::Stdio};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, key::Key, wd::Capabilities};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{eventually, ports::free_address};

/// A browser of one test's own. Ends with it.
#[derive(Debug)]
pub struct Browser {
    /// The WebDriver session.
    pub client: Client,
    _driver: Child,
    profile: TempDir,
}

impl Drop for Browser {
    /// chromedriver is killed without a word to its browser, which would stay; its profile's path is nobody else's.
    fn drop(&mut self) {
        let profile = self.profile.path().display().to_string();
        let _ = std::process::Command::new("pkill").args(["-KILL", "-f", "--", &profile]).status();
    }
}

impl Browser {
    /// Starts one with a window of this size, or a phone's screen if it is narrow.
    ///
    /// # Panics
    /// If Chromium or chromedriver is missing.
    pub async fn start(width: u32, height: u32) -> Self {
        let port = free_address().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver; install Debian's packages chromium and chromium-driver");
        let profile = TempDir::new().expect("a folder");
        let capabilities = capabilities(profile.path(), width, height);
        let client = eventually("chromedriver and chromium", || async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.clone()).connect(&format!("http://127.0.0.1:{port}")).await.ok()
        })
        .await;
        Self { client, _driver: driver, profile }
    }

    /// Opens the web client.
    ///
    /// # Panics
    /// If it does not load.
    pub async fn open(&self, gateway: SocketAddr) {
        self.client.goto(&format!("http://{gateway}/")).await.expect("the page");
    }

    /// Waits for an element that is shown.
    pub async fn see(&self, css: &str) -> Element {
        eventually(css, || async {
            let element = self.client.find(Locator::Css(css)).await.ok()?;
            element.is_displayed().await.ok()?.then_some(element)
        })
        .await
    }

    /// Waits until an element of the page is not shown.
    pub async fn hides(&self, css: &str) {
        eventually(&format!("{css} to be hidden"), || async {
            let element = self.client.find(Locator::Css(css)).await.ok()?;
            (!element.is_displayed().await.ok()?).then_some(())
        })
        .await;
    }

    /// Waits until an element shows a text.
    pub async fn reads(&self, css: &str, text: &str) {
        eventually(&format!("{css} to read {text:?}"), || async {
            let elements = self.client.find_all(Locator::Css(css)).await.ok()?;
            for element in elements {
                if element.text().await.ok()?.contains(text) {
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    /// Clicks an element once it is shown.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn click(&self, css: &str) {
        self.see(css).await.click().await.expect("a click");
    }

    /// Types into an element once it is shown.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn write(&self, css: &str, text: &str) {
        self.see(css).await.send_keys(text).await.expect("keys");
    }

    /// Presses a key wherever the focus is.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn press(&self, key: Key) {
        let focused = self.client.active_element().await.expect("a focus");
        focused.send_keys(&String::from(char::from(key))).await.expect("a key");
    }

    /// Runs a script.
    ///
    /// # Panics
    /// If it throws.
    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.expect("a script")
    }

    /// Brings whatever moves and has an end to that end. On a busy machine a tab may get no frame for long, and not move by itself.
    pub async fn stand_still(&self) {
        let script = "const moves = () => document.getAnimations()\
             .filter(one => one.effect.getComputedTiming().endTime !== Infinity);\
             moves().forEach(one => one.finish()); return moves().length";
        eventually("everything to stand still", || async {
            (self.run(script, Vec::new()).await == 0).then_some(())
        })
        .await;
    }

    /// Checks the page with axe-core, once it stands still: colours in between are nobody's choice.
    ///
    /// # Panics
    /// If axe-core finds something, or is not there.
    pub async fn check_accessibility(&self, view: &str) {
        let path =
            std::env::var("STROLL_AXE").expect("STROLL_AXE: the path of axe.min.js, as ./tests/run sets it");
        let axe = std::fs::read_to_string(path).expect("axe-core");
        self.run(&axe, Vec::new()).await;
        self.stand_still().await;
        let script = "const done = arguments[0]; axe.run(document).then(\
             found => done(found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target.join(' ')).join(', '))),\
             error => done(['axe failed: ' + error]));";
        let violations = self.client.execute_async(script, Vec::new()).await.expect("axe-core runs");
        assert_eq!(violations, json!([]), "{view}");
    }

    /// Checks the page as it is by day and by night, and its width.
    ///
    /// # Panics
    /// If something is found.
    pub async fn check_both_schemes(&self, view: &str) {
        for scheme in ["light", "dark"] {
            self.choose_scheme(scheme).await;
            self.check_accessibility(&format!("{view}, {scheme}")).await;
        }
        self.check_width().await;
    }

    /// Puts the page into `light` or `dark`.
    pub async fn choose_scheme(&self, scheme: &str) {
        let choose = format!("document.querySelector('input[name=theme][value={scheme}]').click()");
        self.run(&choose, Vec::new()).await;
    }

    /// Checks that nothing is wider than the window.
    ///
    /// # Panics
    /// If something is.
    pub async fn check_width(&self) {
        let script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(self.run(script, Vec::new()).await, json!(0));
    }

    /// Saves a picture of the window, for whoever looks at it.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn picture(&self, path: &Path) {
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(path, png).expect("a file");
    }
}

fn capabilities(profile: &Path, width: u32, height: u32) -> Capabilities {
    let arguments = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-quic".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--no-first-run".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        format!("--user-data-dir={}", profile.display()),
        format!("--window-size={width},{height}"),
    ];
    let mut options = json!({"args": arguments});
    if width < 500 {
        // A window can't be so narrow; a phone's screen can.
        let screen = json!({"width": width, "height": height, "pixelRatio": 2.0, "touch": true});
        options["mobileEmulation"] = json!({"deviceMetrics": screen});
    }
    [("goog:chromeOptions".to_owned(), options)].into_iter().collect()
}
