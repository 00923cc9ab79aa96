//! What classic sessions notice of the cluster's life: one test for each.
//!
//! | | the session | its stranger |
//! |---|---|---|
//! | goes on at another gateway | nothing | nothing |
//! | its gateway is killed | `null` | `strangerDisconnected`, within the grace |
//! | its gateway drains | goes on until it ends, or the drain's time is over | nothing until then |
//! | relay or matchmaker killed | nothing | nothing |
//!
//! No message is lost, none comes twice or out of order.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::{collections::VecDeque, net::SocketAddr};

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, Wire, ask, encode, get, meet, post, roomy_cluster},
    cluster::{Cluster, Tier},
    eventually, http,
    process::{Process, Signal},
    stranger::Stranger,
    talker::{Incoming, Seat},
};
use tokio::time::{Duration, Instant};

/// A cluster whose addresses may do much.
async fn cluster(more: &[(&'static str, &str)]) -> Cluster {
    let cluster = Cluster::start_with(roomy_cluster(more)).await;
    let [one, two] = cluster.addresses().await;
    // Each gateway knows where the other one is.
    for (started_at, asked_at) in [(one, two), (two, one)] {
        let probe = Client::start(started_at, "topics=%5B%22probe%22%5D").await;
        eventually("gateways to know each other", || async {
            let form = format!("id={}", probe.id);
            let answer = ask(asked_at, post("/stoplookingforcommonlikes", &form)).await;
            (answer.body == "win").then_some(())
        })
        .await;
        assert_eq!(ask(asked_at, post("/disconnect", &format!("id={}", probe.id))).await.body, "win");
        eventually("the probe to be gone", || async {
            let answer = ask(started_at, post("/events", &format!("id={}", probe.id))).await;
            (answer.body == "null").then_some(())
        })
        .await;
    }
    cluster
}

/// A web client in a chat that comes and goes on as the protocol wants it.
struct Web {
    stranger: Stranger,
    seat: Seat,
    heard: VecDeque<String>,
    ended: bool,
}

impl Web {
    fn new(stranger: Stranger) -> Self {
        Self { stranger, seat: Seat::new(), heard: VecDeque::new(), ended: false }
    }

    async fn say(&mut self, text: &str) {
        if let Some(seq) = self.seat.say(text) {
            self.stranger.repeat(seq, text).await;
        }
    }

    /// The next message is this one.
    async fn hears(&mut self, text: &str) {
        while self.heard.is_empty() {
            self.frame().await;
        }
        assert_eq!(self.heard.pop_front().as_deref(), Some(text));
    }

    /// Does its part while the other one waits for a message of it, which may have to be repeated.
    async fn is_heard_by(&mut self, other: &mut Client, text: &str) {
        let mut hears = std::pin::pin!(other.hears(text));
        loop {
            tokio::select! {
                () = &mut hears => return,
                frame = self.stranger.next() => self.handle(frame).await,
            }
        }
    }

    /// Whatever comes next.
    async fn frame(&mut self) {
        let frame = self.stranger.next().await;
        self.handle(frame).await;
    }

    async fn handle(&mut self, frame: Value) {
        match frame["type"].as_str().expect("a type") {
            "message" => {
                let seq = frame["seq"].as_u64().expect("a number");
                if self.seat.incoming(seq) == Incoming::New {
                    self.heard.push_back(frame["text"].as_str().expect("a text").to_owned());
                }
                self.stranger.send(json!({"type": "ack", "seq": seq})).await;
            }
            "ack" => assert!(self.seat.heard(frame["seq"].as_u64().expect("a number")), "{frame}"),
            "resumed" => {
                assert!(self.seat.resume(frame["received"].as_u64().expect("a number")), "{frame}");
                for (seq, text) in self.seat.repeats().cloned().collect::<Vec<_>>() {
                    self.stranger.repeat(seq, &text).await;
                }
            }
            "ended" => self.ended = true,
            "typing" | "stranger" => {}
            other => panic!("{other}: {frame}"),
        }
    }
}

/// A classic and a web client that have met, each at a gateway.
async fn meet_web(gateways: [SocketAddr; 2]) -> (Client, Web) {
    let mut web = Stranger::arrive(gateways[1]).await;
    web.find().await;
    let mut classic = Client::start(gateways[0], "").await;
    web.expect("matched").await;
    classic.connected().await;
    (classic, Web::new(web))
}

/// Two classic clients and a pair of a classic and a web one, who talk all the time.
struct Talk {
    pair: [Client; 2],
    mixed: (Client, Web),
    said: u32,
}

impl Talk {
    async fn begin(gateways: [SocketAddr; 2]) -> Self {
        let mut talk = Self { pair: meet(gateways).await, mixed: meet_web(gateways).await, said: 0 };
        talk.goes_on().await;
        talk
    }

    /// Everybody says something more than once before anybody listens, and all of it is heard in its order.
    async fn goes_on(&mut self) {
        for _ in 0..5 {
            self.say_some().await;
            self.hear_some().await;
        }
    }

    async fn say_some(&mut self) {
        let [one, two] = &mut self.pair;
        let (classic, web) = &mut self.mixed;
        for _ in 0..3 {
            self.said += 1;
            let text = format!("word {}", self.said);
            for client in [&mut *one, &mut *two, &mut *classic] {
                client.says_eventually(&text).await;
            }
            web.say(&text).await;
        }
    }

    async fn hear_some(&mut self) {
        let [one, two] = &mut self.pair;
        let (classic, web) = &mut self.mixed;
        for number in self.said - 2..=self.said {
            let text = format!("word {number}");
            one.hears(&text).await;
            two.hears(&text).await;
            web.is_heard_by(classic, &text).await;
            web.hears(&text).await;
        }
    }

    /// Nothing that was not said comes, and everybody parts.
    async fn end(self) {
        let Self { pair: [mut one, mut two], mixed: (mut classic, mut web), .. } = self;
        one.leave().await;
        two.is_left().await;
        classic.leave().await;
        while !web.ended {
            web.frame().await;
        }
        assert_eq!(web.heard, [] as [String; 0]);
    }
}

/// The relay that has most chats.
async fn busier(cluster: &Cluster) -> usize {
    let mut chats = Vec::new();
    for relay in &cluster.relays {
        chats.push(relay.metric("stroll_relay_chats{").await + relay.metric("stroll_relay_chats ").await);
    }
    usize::from(chats[0] < chats[1])
}

#[tokio::test]
async fn a_session_goes_on_at_any_gateway() {
    let cluster = cluster(&[]).await;
    let [here, there] = cluster.addresses().await;
    let mut one = Client::start(here, "").await;
    one.is_waiting().await;
    // It polls there while it waits.
    one.call_at(there).await;
    one.open_poll().await;
    let mut two = Client::start(there, "").await;
    let Value::Array(events) = one.polled().await else { panic!("no events") };
    assert_eq!(events[0], json!(["connected"]));
    two.connected().await;
    two.call_at(here).await;
    for round in 0..10 {
        let text = format!("round {round}, é & = + %");
        one.say(&text).await;
        two.hears(&text).await;
        two.say(&text).await;
        one.hears(&text).await;
        one.call_at(if round % 2 == 0 { here } else { there }).await;
        two.call_at(if round % 3 == 0 { here } else { there }).await;
    }
    one.wins("/typing", &[]).await;
    two.expect(json!(["typing"])).await;
    one.wins("/stoppedtyping", &[]).await;
    two.expect(json!(["stoppedTyping"])).await;
    // Leaving there is leaving.
    one.call_at(there).await;
    one.leave().await;
    two.is_left().await;
}

#[tokio::test]
async fn a_newer_poll_at_another_gateway_replaces_the_older_one() {
    let cluster = cluster(&[]).await;
    let [here, there] = cluster.addresses().await;
    let [mut one, mut two] = meet([there, here]).await;
    let poll = post("/events", &format!("id={}", two.id));
    two.hold_poll().await;
    let mut older = Wire::open(here).await;
    older.send(&poll).await;
    assert_eq!(two.polled().await, json!([]));
    for (round, gateway) in [there, here, there, there, here].into_iter().enumerate() {
        let mut newer = Wire::open(gateway).await;
        newer.send(&poll).await;
        assert_eq!(older.answer().await.body, "[]", "{round}");
        older = newer;
    }
    one.say("to the newest").await;
    assert_eq!(older.answer().await.body, r#"[["gotMessage","to the newest"]]"#);
}

#[tokio::test]
async fn a_poll_that_is_broken_off_at_another_gateway_takes_its_ticket_along_and_no_event() {
    let cluster = cluster(&[]).await;
    let [here, there] = cluster.addresses().await;
    let mut one = Client::start(here, "topics=%5B%22stamps%22%5D").await;
    one.is_waiting().await;
    one.call_at(there).await;
    one.hold_poll().await;
    waiting(here, 1).await;
    let broken = Instant::now();
    one.break_off();
    waiting(here, 0).await;
    assert!(broken.elapsed() < Duration::from_secs(8), "that is no sooner than without a poll");
    one.open_poll().await;
    waiting(here, 1).await;
    let mut two = Client::start(here, "topics=%5B%22Stamps%22%5D").await;
    two.connected().await;
    let Value::Array(events) = one.polled().await else { panic!("no events") };
    assert!(events.contains(&json!(["connected"])), "{events:?}");
    for round in 0..10 {
        one.open_poll().await;
        one.break_off();
        let text = format!("round {round}");
        two.say(&text).await;
        one.hears(&text).await;
    }
}

/// Waits until so many wait in the cluster.
async fn waiting(gateway: SocketAddr, sessions: u64) {
    eventually(&format!("{sessions} to wait"), || async {
        let answer = http::get(gateway, "/v1/stats", &[]).await.ok()?;
        let numbers: Value = serde_json::from_str(&answer.body).ok()?;
        (numbers["waiting"] == sessions).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ids_that_no_gateway_gave_are_unknown_at_all() {
    let cluster = cluster(&[]).await;
    let [here, there] = cluster.addresses().await;
    let one = Client::start(here, "").await;
    for place in [9, 12, 20, 30, one.id.len() - 1] {
        let mut forged = one.id.clone().into_bytes();
        forged[place] = if forged[place] == b'a' { b'b' } else { b'a' };
        let forged = String::from_utf8(forged).expect("ASCII");
        for gateway in [here, there] {
            for (path, answer) in
                [("/events", "null"), ("/send", "fail"), ("/typing", "fail"), ("/disconnect", "win")]
            {
                let form = format!("id={}&msg=hi", encode(&forged));
                assert_eq!(ask(gateway, post(path, &form)).await.body, answer, "{forged} at {path}");
            }
        }
    }
    let mut one = Client::go_on(there, &one.id).await;
    one.leave().await;
}

#[tokio::test]
async fn when_its_gateway_is_killed_a_session_is_over_and_its_strangers_learn_it_within_the_grace() {
    let mut cluster = cluster(&[("STROLL_GRACE", "3s")]).await;
    let [here, there] = cluster.addresses().await;
    let [mut gone, mut stays] = meet([here, there]).await;
    let (mut gone_too, mut web) = meet_web([here, there]).await;
    // One polls through the other gateway at that moment.
    gone.call_at(there).await;
    gone.hold_poll().await;
    stays.open_poll().await;
    let killed = Instant::now();
    cluster.gateways[0].kill().await;
    assert_eq!(gone.polled().await, Value::Null);
    assert_eq!(gone.poll().await, Value::Null);
    gone_too.call_at(there).await;
    assert_eq!(gone_too.poll().await, Value::Null);
    gone_too.fails("/send", &[("msg", "hello?")]).await;
    gone_too.wins("/disconnect", &[]).await;
    assert_eq!(stays.polled().await, json!([["strangerDisconnected"]]));
    while !web.ended {
        web.frame().await;
    }
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    // Life goes on.
    let [mut one, mut two] = meet([there; 2]).await;
    one.say("still here").await;
    two.hears("still here").await;
    // The one in its place knows nothing of them either.
    cluster.start_again(Tier::Gateway, 0);
    cluster.gateways[0].ready().await;
    assert_eq!(Client::go_on(here, &gone.id).await.poll().await, Value::Null);
}

#[tokio::test]
async fn i3_a_relay_that_is_killed_takes_nothing_from_classic_chats() {
    let mut cluster = cluster(&[]).await;
    let mut talk = Talk::begin(cluster.addresses().await).await;
    for _ in 0..2 {
        talk.say_some().await;
        let relay = busier(&cluster).await;
        cluster.replace(Tier::Relay, relay).await;
        talk.hear_some().await;
        talk.goes_on().await;
        cluster.ready().await;
    }
    talk.end().await;
}

#[tokio::test]
async fn i3_a_relay_that_is_killed_while_a_stranger_does_not_poll_takes_nothing_either() {
    let mut cluster = cluster(&[]).await;
    let [mut one, mut two] = meet(cluster.addresses().await).await;
    one.wins("/typing", &[]).await;
    for number in 0..20 {
        one.says_eventually(&format!("word {number}")).await;
    }
    for relay in 0..2 {
        cluster.replace(Tier::Relay, relay).await;
        cluster.ready().await;
    }
    for number in 20..40 {
        one.says_eventually(&format!("word {number}")).await;
    }
    // Whether the typing came through is nothing that was promised.
    let first = two.next().await;
    if first != json!(["typing"]) {
        assert_eq!(first, json!(["gotMessage", "word 0"]));
    } else {
        two.hears("word 0").await;
    }
    for number in 1..40 {
        two.hears(&format!("word {number}")).await;
    }
    two.says_eventually("all of it").await;
    one.hears("all of it").await;
}

#[tokio::test]
async fn matchmakers_that_are_killed_take_nothing_from_those_who_chat_and_those_who_wait() {
    let mut cluster = cluster(&[]).await;
    let gateways = cluster.addresses().await;
    let mut talk = Talk::begin(gateways).await;
    let mut waiting = Client::start(gateways[0], "topics=%5B%22stamps%22%5D").await;
    waiting.is_waiting().await;
    waiting.open_poll().await;
    talk.say_some().await;
    for matchmaker in 0..2 {
        cluster.process(Tier::Matchmaker, matchmaker).kill().await;
    }
    talk.hear_some().await;
    talk.goes_on().await;
    for matchmaker in 0..2 {
        cluster.start_again(Tier::Matchmaker, matchmaker);
    }
    cluster.ready().await;
    let mut other = Client::start(gateways[1], "topics=%5B%22Stamps%22%5D").await;
    let Value::Array(events) = waiting.polled().await else { panic!("no events") };
    assert_eq!(events[..2], [json!(["connected"]), json!(["commonLikes", ["stamps"]])]);
    other.connected().await;
    talk.end().await;
}

/// Asks a gateway to drain, and waits until it does.
async fn drain(gateway: &Process) {
    gateway.signal(Signal::Term).await;
    let admin = gateway.address("admin").await;
    eventually("readiness to go off", || async {
        http::get(admin, "/readyz", &[]).await.ok().filter(|ready| ready.status == 503)
    })
    .await;
}

#[tokio::test]
async fn a_draining_gateway_starts_no_session_and_serves_those_it_has_until_they_end() {
    let mut cluster = cluster(&[("STROLL_DRAIN", "60s")]).await;
    let [here, there] = cluster.addresses().await;
    let [mut one, mut two] = meet([here, there]).await;
    let mut waiting = Client::start(here, "topics=%5B%22stamps%22%5D").await;
    waiting.is_waiting().await;
    drain(&cluster.gateways[0]).await;
    let refused = ask(here, get("/start?firstevents=1")).await;
    assert_eq!((refused.status, refused.body.as_str()), (503, ""), "{refused:?}");
    assert!(refused.header("retry-after").is_some_and(|after| after.parse::<u64>().is_ok()), "{refused:?}");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    // A load balancer sends its sessions to the other one now; some connections stay.
    one.call_at(there).await;
    waiting.call_at(there).await;
    for round in 0..5 {
        let text = format!("round {round}");
        one.say(&text).await;
        two.hears(&text).await;
        two.say(&text).await;
        one.hears(&text).await;
    }
    // Who waits there is paired all the same.
    waiting.open_poll().await;
    let mut other = Client::start(there, "topics=%5B%22stamps%22%5D").await;
    other.connected().await;
    let Value::Array(events) = waiting.polled().await else { panic!("no events") };
    assert!(events.contains(&json!(["connected"])), "{events:?}");
    waiting.say("on the last day").await;
    other.hears("on the last day").await;
    assert!(cluster.gateways[0].id().is_some(), "it has sessions");
    // With the last of them it ends.
    one.leave().await;
    two.is_left().await;
    other.leave().await;
    waiting.is_left().await;
    let status = cluster.gateways[0].ended().await;
    assert_eq!(status.code(), Some(0), "{:#?}", cluster.gateways[0].log());
}

#[tokio::test]
async fn when_the_drains_time_is_over_its_sessions_are() {
    let mut cluster = cluster(&[("STROLL_DRAIN", "4s"), ("STROLL_GRACE", "3s")]).await;
    let [here, there] = cluster.addresses().await;
    let [mut one, mut two] = meet([here, there]).await;
    one.call_at(there).await;
    one.open_poll().await;
    two.open_poll().await;
    drain(&cluster.gateways[0]).await;
    two.break_off();
    one.say("the last words").await;
    two.hears("the last words").await;
    // An open poll may get nothing; the next one learns it.
    assert_eq!(one.polled().await.as_array().map_or(0, Vec::len), 0);
    assert_eq!(one.poll().await, Value::Null);
    two.is_left().await;
    assert_eq!(cluster.gateways[0].ended().await.code(), Some(0), "{:#?}", cluster.gateways[0].log());
}
