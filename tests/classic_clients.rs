//! Real clients, unchanged, with the host names that they have built in. Each test runs one of `inside` in a world of its own.
//!
//! | | waits | joins |
//! |---|---|---|
//! | npm `omegle-node` 1.1.4 (HTTPS) | ✓ | ✓ |
//! | PyPI `pyomegle` 1.7 (HTTP) | ✓ | ✓ |
//! | the web client in Chromium | ✓ | ✓ |
//!
//! A waits, B joins, B types, stops and sends `é & = + %`, A answers, B disconnects, A sees the end. Real clients know no spy mode; there
//! Chromium meets clients that are only played.

use serde_json::json;
use stroll_tests::{
    browser::Browser,
    classic::{Client, names, roomy},
    tabs::{CHATTING, agree_and_start, say},
    world,
};

const QUESTION: &str = "Would you rather see the past or the future?";

#[tokio::test]
async fn omegle_node_meets_omegle_node() {
    world::enter("inside::omegle_node_meets_omegle_node").await;
}

#[tokio::test]
async fn pyomegle_meets_pyomegle() {
    world::enter("inside::pyomegle_meets_pyomegle").await;
}

#[tokio::test]
async fn pyomegle_meets_omegle_node_that_waits() {
    world::enter("inside::pyomegle_meets_omegle_node_that_waits").await;
}

#[tokio::test]
async fn omegle_node_meets_pyomegle_that_waits() {
    world::enter("inside::omegle_node_meets_pyomegle_that_waits").await;
}

#[tokio::test]
async fn omegle_node_meets_a_browser_that_waits() {
    world::enter("inside::omegle_node_meets_a_browser_that_waits").await;
}

#[tokio::test]
async fn a_browser_meets_omegle_node_that_waits() {
    world::enter("inside::a_browser_meets_omegle_node_that_waits").await;
}

#[tokio::test]
async fn pyomegle_meets_a_browser_that_waits() {
    world::enter("inside::pyomegle_meets_a_browser_that_waits").await;
}

#[tokio::test]
async fn a_browser_meets_pyomegle_that_waits() {
    world::enter("inside::a_browser_meets_pyomegle_that_waits").await;
}

#[tokio::test]
async fn omegle_nodes_who_share_a_topic_meet() {
    world::enter("inside::omegle_nodes_who_share_a_topic_meet").await;
}

#[tokio::test]
async fn omegle_node_stops_looking_for_a_topic_and_meets_anybody() {
    world::enter("inside::omegle_node_stops_looking_for_a_topic_and_meets_anybody").await;
}

#[tokio::test]
async fn a_browser_and_omegle_node_who_share_an_interest_meet() {
    world::enter("inside::a_browser_and_omegle_node_who_share_an_interest_meet").await;
}

#[tokio::test]
async fn a_browser_asks_and_watches_two_classic_clients() {
    let stroll = roomy(&[]).await;
    let browser = Browser::start(1280, 900).await;
    browser.open(stroll.gateway).await;
    browser.click("#choose-ask").await;
    browser.write("#question-input", QUESTION).await;
    agree_and_start(&browser).await;
    browser.reads("#waiting-note", QUESTION).await;
    let mut one = Client::start(stroll.gateway, "wantsspy=1").await;
    let mut two = Client::start(stroll.gateway, "wantsspy=1").await;
    for talker in [&mut one, &mut two] {
        let events = talker.connected().await;
        assert_eq!(names(&events), ["connected", "question", "identDigests"]);
        assert_eq!(events[1], json!(["question", QUESTION]));
    }
    one.say("The past").await;
    two.hears("The past").await;
    two.say("The future").await;
    one.hears("The future").await;
    let mut heard = Vec::new();
    for seat in ["stranger_1", "stranger_2"] {
        let words = browser.see(&format!(".message[data-from={seat}] .words")).await;
        heard.push(words.text().await.expect("a text"));
    }
    heard.sort();
    assert_eq!(heard, ["The future", "The past"]);
    one.leave().await;
    two.is_left().await;
    browser.see("#ended").await;
}

#[tokio::test]
async fn a_browser_discusses_with_a_classic_client_what_another_asked() {
    let stroll = roomy(&[]).await;
    let browser = Browser::start(1280, 900).await;
    browser.open(stroll.gateway).await;
    browser.click("#choose-discuss").await;
    agree_and_start(&browser).await;
    browser.see("[data-view=chat]").await;
    stroll.waiting(1).await;
    let mut spy = Client::start(stroll.gateway, "ask=Would+you+rather+see+the+past+or+the+future%3F").await;
    let mut talker = Client::start(stroll.gateway, "wantsspy=1").await;
    browser.see(CHATTING).await;
    browser.reads("#question-text", QUESTION).await;
    assert_eq!(names(&spy.connected().await), ["connected", "identDigests"]);
    assert_eq!(talker.connected().await[1], json!(["question", QUESTION]));
    talker.say("The past").await;
    browser.reads(".message[data-from=stranger] .words", "The past").await;
    let message = spy.next().await;
    assert_eq!((&message[0], &message[2]), (&json!("spyMessage"), &json!("The past")));
    say(&browser, "The future").await;
    // A browser tells that it types, which may or may not be in time.
    let of_browser = loop {
        let event = spy.next().await;
        if event[0] == "spyMessage" {
            break event;
        }
    };
    assert_eq!(of_browser[2], "The future");
    assert_ne!(of_browser[1], message[1]);
    browser.click("#stop[data-label=Stop]").await;
    browser.click("#stop[data-label='Really?']").await;
    let rest = spy.to_the_end().await;
    assert_eq!(rest.last(), Some(&json!(["spyDisconnected", of_browser[1]])));
    let rest = talker.to_the_end().await;
    assert_eq!(rest.last(), Some(&json!(["strangerDisconnected"])));
    assert!(rest.contains(&json!(["gotMessage", "The future"])), "{rest:?}");
}

/// What runs in a world of its own.
mod inside {
    use stroll_tests::{
        browser::Browser,
        tabs::{CHATTING, WAITING, say, start_looking},
        world::{Script, World},
    };

    const TEXT: &str = "é & = + %";
    const ANSWER: &str = "yes, é & = + % and \"more\"";

    async fn omegle_node(world: &World) -> Script {
        let mut script = world.omegle_node(&[]).await;
        look(&mut script).await;
        script
    }

    /// Looks for a server first: else that happens while the session starts.
    async fn look(script: &mut Script) {
        script.does("look").await;
        script.sees("serverUpdated front1.omegle.com").await;
        script.does("connect").await;
        script.sees("gotID").await;
    }

    async fn pyomegle(world: &World) -> Script {
        let mut script = world.pyomegle().await;
        script.does("status").await;
        script.sees("servers front1").await;
        script.does("connect").await;
        script
    }

    /// Whoever it is.
    enum Side {
        OmegleNode(Script),
        Pyomegle(Script),
        Browser(Browser),
    }

    impl Side {
        async fn browser(world: &World, interests: &[&str]) -> Self {
            let browser = Browser::start(1280, 900).await;
            browser.open(world.stroll.gateway).await;
            start_looking(&browser, interests).await;
            Self::Browser(browser)
        }

        async fn waits(&mut self) {
            match self {
                Self::OmegleNode(script) | Self::Pyomegle(script) => script.sees("waiting").await,
                Self::Browser(browser) => drop(browser.see(WAITING).await),
            }
        }

        async fn connects(&mut self) {
            match self {
                Self::OmegleNode(script) | Self::Pyomegle(script) => script.connects().await,
                Self::Browser(browser) => drop(browser.see(CHATTING).await),
            }
        }

        /// Types and stops. `other` sees it. A browser does it in its own time, and not for a test.
        async fn types_and_stops(&mut self, other: &mut Self) {
            for (does, done, seen) in
                [("typing", "typing done", "typing"), ("stop", "stop done", "stoppedTyping")]
            {
                match self {
                    Self::OmegleNode(script) => script.does(does).await,
                    Self::Pyomegle(script) => {
                        script.does(does).await;
                        script.sees(done).await;
                    }
                    Self::Browser(_) => return,
                }
                match other {
                    Self::OmegleNode(script) | Self::Pyomegle(script) => script.sees(seen).await,
                    Self::Browser(browser) if does == "typing" => drop(browser.see("#typing").await),
                    Self::Browser(browser) => browser.hides("#typing").await,
                }
            }
        }

        async fn says(&mut self, text: &str, other: &mut Self) {
            match self {
                Self::OmegleNode(script) => script.does(&format!("send {text}")).await,
                Self::Pyomegle(script) => {
                    script.does(&format!("send {text}")).await;
                    script.sees("send done").await;
                }
                Self::Browser(browser) => say(browser, text).await,
            }
            other.hears(text, matches!(self, Self::Browser(_))).await;
        }

        /// Hears a text. A browser tells that it types before it says something.
        async fn hears(&mut self, text: &str, from_browser: bool) {
            match self {
                Self::OmegleNode(script) | Self::Pyomegle(script) if from_browser => {
                    script.sees_behind(&["typing", "stoppedTyping"], &format!("gotMessage {text}")).await;
                }
                Self::OmegleNode(script) => {
                    // It tells so by itself, once somebody has typed at all.
                    script.sees_behind(&["stoppedTyping"], &format!("gotMessage {text}")).await;
                }
                Self::Pyomegle(script) => script.sees(&format!("gotMessage {text}")).await,
                Self::Browser(browser) => browser.reads(".message[data-from=stranger] .words", text).await,
            }
        }

        async fn leaves(&mut self) {
            match self {
                Self::OmegleNode(script) => {
                    script.does("disconnect").await;
                    script.sees("disconnected").await;
                }
                Self::Pyomegle(script) => {
                    script.does("disconnect").await;
                    script.sees("disconnect done").await;
                }
                Self::Browser(browser) => {
                    browser.click("#stop[data-label=Stop]").await;
                    browser.click("#stop[data-label='Really?']").await;
                    browser.see("#ended").await;
                }
            }
        }

        async fn is_left(&mut self) {
            match self {
                Self::OmegleNode(script) => {
                    script.sees("disconnected").await;
                    script.sees("strangerDisconnected").await;
                }
                Self::Pyomegle(script) => script.sees("strangerDisconnected").await,
                Self::Browser(browser) => browser.reads("#ended-text", "Your stranger has left.").await,
            }
        }

        async fn ends(self) {
            match self {
                Self::OmegleNode(script) | Self::Pyomegle(script) => script.ends().await,
                Self::Browser(_) => {}
            }
        }
    }

    /// A waits already, B has just joined.
    async fn play(mut a: Side, mut b: Side) {
        b.connects().await;
        a.connects().await;
        b.types_and_stops(&mut a).await;
        b.says(TEXT, &mut a).await;
        a.says(ANSWER, &mut b).await;
        b.leaves().await;
        a.is_left().await;
        a.ends().await;
        b.ends().await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn omegle_node_meets_omegle_node() {
        let world = World::start().await;
        let mut a = Side::OmegleNode(omegle_node(&world).await);
        a.waits().await;
        let b = Side::OmegleNode(omegle_node(&world).await);
        play(a, b).await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn pyomegle_meets_pyomegle() {
        let world = World::start().await;
        let mut a = Side::Pyomegle(pyomegle(&world).await);
        a.waits().await;
        let b = Side::Pyomegle(pyomegle(&world).await);
        play(a, b).await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn pyomegle_meets_omegle_node_that_waits() {
        let world = World::start().await;
        let mut a = Side::OmegleNode(omegle_node(&world).await);
        a.waits().await;
        let b = Side::Pyomegle(pyomegle(&world).await);
        play(a, b).await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn omegle_node_meets_pyomegle_that_waits() {
        let world = World::start().await;
        let mut a = Side::Pyomegle(pyomegle(&world).await);
        a.waits().await;
        let b = Side::OmegleNode(omegle_node(&world).await);
        play(a, b).await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn omegle_node_meets_a_browser_that_waits() {
        let world = World::start().await;
        let mut a = Side::browser(&world, &[]).await;
        a.waits().await;
        let b = Side::OmegleNode(omegle_node(&world).await);
        play(a, b).await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn a_browser_meets_omegle_node_that_waits() {
        let world = World::start().await;
        let mut a = Side::OmegleNode(omegle_node(&world).await);
        a.waits().await;
        let b = Side::browser(&world, &[]).await;
        play(a, b).await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn pyomegle_meets_a_browser_that_waits() {
        let world = World::start().await;
        let mut a = Side::browser(&world, &[]).await;
        a.waits().await;
        let b = Side::Pyomegle(pyomegle(&world).await);
        play(a, b).await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn a_browser_meets_pyomegle_that_waits() {
        let world = World::start().await;
        let mut a = Side::Pyomegle(pyomegle(&world).await);
        a.waits().await;
        let b = Side::browser(&world, &[]).await;
        play(a, b).await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn omegle_nodes_who_share_a_topic_meet() {
        let world = World::start().await;
        let mut one = world.omegle_node(&["Astronomy", "green tea"]).await;
        look(&mut one).await;
        one.sees("waiting").await;
        let mut two = world.omegle_node(&["astronomy", "chess"]).await;
        look(&mut two).await;
        two.connects().await;
        two.sees("commonLikes astronomy").await;
        one.sees("connected").await;
        one.sees("commonLikes Astronomy").await;
        two.does(&format!("send {TEXT}")).await;
        one.sees(&format!("gotMessage {TEXT}")).await;
        one.does("disconnect").await;
        one.sees("disconnected").await;
        two.sees("disconnected").await;
        two.sees("strangerDisconnected").await;
        one.ends().await;
        two.ends().await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn omegle_node_stops_looking_for_a_topic_and_meets_anybody() {
        let world = World::start().await;
        let mut one = world.omegle_node(&["stamps"]).await;
        look(&mut one).await;
        one.sees("waiting").await;
        let mut two = omegle_node(&world).await;
        two.sees("waiting").await;
        world.stroll.waiting(2).await;
        one.does("likes").await;
        one.sees_behind(&["connected"], "stopped looking: win").await;
        two.sees("connected").await;
        two.does(&format!("send {TEXT}")).await;
        one.sees_behind(&["connected"], &format!("gotMessage {TEXT}")).await;
        one.ends().await;
        two.does("disconnect").await;
        two.sees("disconnected").await;
        two.ends().await;
    }

    #[tokio::test]
    #[ignore = "runs in a world of its own"]
    async fn a_browser_and_omegle_node_who_share_an_interest_meet() {
        let world = World::start().await;
        let mut a = world.omegle_node(&["astronomy", "stamps"]).await;
        look(&mut a).await;
        a.sees("waiting").await;
        let b = Side::browser(&world, &["Astronomy", "tea"]).await;
        let Side::Browser(browser) = &b else { unreachable!("it is one") };
        browser.see(CHATTING).await;
        browser.reads("#common-interests", "Astronomy").await;
        a.sees("connected").await;
        a.sees("commonLikes astronomy").await;
        a.does(&format!("send {TEXT}")).await;
        browser.reads(".message[data-from=stranger] .words", TEXT).await;
        a.does("disconnect").await;
        a.sees("disconnected").await;
        browser.reads("#ended-text", "Your stranger has left.").await;
        a.ends().await;
    }
}
