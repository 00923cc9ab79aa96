//! A session as its client sees it.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{JSON, Wire, encode, events_request, hold_poll, post};
use crate::PATIENCE;

/// A session.
#[derive(Debug)]
pub struct Client {
    /// Where it calls.
    pub gateway: SocketAddr,
    /// Its id.
    pub id: String,
    /// The events that came with `/start`, all of them.
    pub first: Vec<Value>,
    calls: Wire,
    poll: Option<Wire>,
    /// Arrays that were not looked at yet.
    arrays: VecDeque<Vec<Value>>,
    /// Events of an array that was begun.
    events: VecDeque<Value>,
}

impl Client {
    /// Starts a session, with the first events.
    ///
    /// # Panics
    /// If it gets none.
    pub async fn start(gateway: SocketAddr, parameters: &str) -> Self {
        let mut calls = Wire::open(gateway).await;
        let target = format!("/start?caps=recaptcha2,t&firstevents=1&spid=&randid=ABCD2345&{parameters}");
        let answer = calls.ask(post(&target, "")).await;
        let object: Value =
            serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"));
        let id = object["clientID"].as_str().unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned();
        let first = object["events"].as_array().expect("events").clone();
        let mut begun = first.clone();
        begun.retain(|event| event[0] != "statusInfo");
        let arrays = if begun.is_empty() { VecDeque::new() } else { VecDeque::from([begun]) };
        Self { gateway, id, first, calls, poll: None, arrays, events: VecDeque::new() }
    }

    /// Goes on with a session, at any gateway.
    pub async fn go_on(gateway: SocketAddr, id: &str) -> Self {
        Self {
            gateway,
            id: id.to_owned(),
            first: Vec::new(),
            calls: Wire::open(gateway).await,
            poll: None,
            arrays: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// From now on calls another gateway. Its poll, if it is open, is broken off.
    pub async fn call_at(&mut self, gateway: SocketAddr) {
        self.gateway = gateway;
        self.calls = Wire::open(gateway).await;
        self.poll = None;
    }

    /// Calls a path with fields behind its id. Returns the answer's text.
    ///
    /// # Panics
    /// If the status is not 200.
    pub async fn call(&mut self, path: &str, fields: &[(&str, &str)]) -> String {
        let mut form = format!("id={}", encode(&self.id));
        for (name, value) in fields {
            form.push_str(&format!("&{name}={}", encode(value)));
        }
        if !self.calls.is_fresh() {
            self.calls = Wire::open(self.gateway).await;
        }
        let answer = self.calls.ask(post(path, &form)).await;
        assert_eq!(answer.status, 200, "{path} {fields:?}: {answer:?}");
        answer.body
    }

    /// Calls a path, and wins.
    ///
    /// # Panics
    /// If it fails.
    pub async fn wins(&mut self, path: &str, fields: &[(&str, &str)]) {
        assert_eq!(self.call(path, fields).await, "win", "{path} {fields:?}");
    }

    /// Calls a path, and fails.
    ///
    /// # Panics
    /// If it wins.
    pub async fn fails(&mut self, path: &str, fields: &[(&str, &str)]) {
        assert_eq!(self.call(path, fields).await, "fail", "{path} {fields:?}");
    }

    /// Says something.
    pub async fn say(&mut self, text: &str) {
        self.wins("/send", &[("msg", text)]).await;
    }

    /// Says something as soon as there is room for it.
    ///
    /// # Panics
    /// If there is none.
    pub async fn says_eventually(&mut self, text: &str) {
        let give_up = Instant::now() + PATIENCE;
        while self.call("/send", &[("msg", text)]).await != "win" {
            assert!(Instant::now() < give_up, "no room for {text:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Opens a poll, and does not wait for its answer.
    pub async fn open_poll(&mut self) {
        let mut wire = match self.poll.take() {
            Some(wire) if wire.is_fresh() => wire,
            _ => Wire::open(self.gateway).await,
        };
        wire.send(events_request(&self.id)).await;
        self.poll = Some(wire);
    }

    /// Opens a poll that the gateway is known to have. Nothing may be queued.
    pub async fn hold_poll(&mut self) {
        self.poll = Some(hold_poll(self.gateway, &self.id).await);
    }

    /// The answer of the open poll: an array, or null.
    pub async fn polled(&mut self) -> Value {
        self.polled_within(PATIENCE).await
    }

    /// The same, which may take so long.
    ///
    /// # Panics
    /// If there is no open poll, or its answer is not JSON.
    pub async fn polled_within(&mut self, time: Duration) -> Value {
        let answer = self.poll.as_mut().expect("an open poll").answer_within(time).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(JSON)), "{answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("no JSON: {answer:?}"))
    }

    /// Breaks the open poll off.
    pub fn break_off(&mut self) {
        self.poll = None;
    }

    /// Polls: an array, or null.
    pub async fn poll(&mut self) -> Value {
        self.open_poll().await;
        self.polled().await
    }

    /// The next array of events that has some.
    ///
    /// # Panics
    /// If the session is over.
    pub async fn array(&mut self) -> Vec<Value> {
        assert!(self.events.is_empty(), "not looked at: {:?}", self.events);
        if let Some(array) = self.arrays.pop_front() {
            return array;
        }
        loop {
            match self.poll().await {
                // One that was broken off before may have arrived after this one.
                Value::Array(events) if events.is_empty() => {}
                Value::Array(events) => return events,
                other => panic!("{other} in place of events"),
            }
        }
    }

    /// The next event.
    pub async fn next(&mut self) -> Value {
        if self.events.is_empty() {
            self.events = self.array().await.into();
        }
        self.events.pop_front().expect("an array that has some")
    }

    /// The next event is this one.
    ///
    /// # Panics
    /// If it is another.
    pub async fn expect(&mut self, event: Value) {
        assert_eq!(self.next().await, event);
    }

    /// The next event is this message.
    pub async fn hears(&mut self, text: &str) {
        self.expect(json!(["gotMessage", text])).await;
    }

    /// The next event says that it is in the pool.
    pub async fn is_waiting(&mut self) {
        self.expect(json!(["waiting"])).await;
    }

    /// Waits to be paired. Returns `connected` and its companions.
    ///
    /// # Panics
    /// If `connected` is not the first of its array.
    pub async fn connected(&mut self) -> Vec<Value> {
        let mut array = self.array().await;
        if array == [json!(["waiting"])] {
            array = self.array().await;
        }
        assert_eq!(array[0], json!(["connected"]), "{array:?}");
        let is_companion = |event: &Value| {
            let name = event[0].as_str().unwrap_or_default();
            [
                "connected",
                "commonLikes",
                "question",
                "identDigests",
                "partnerCollege",
                "rtccall",
                "serverMessage",
            ]
            .contains(&name)
        };
        let companions = array.iter().take_while(|event| is_companion(event)).count();
        self.events = array.split_off(companions).into();
        array
    }

    /// Whatever comes, until the session is over. Returns it.
    pub async fn to_the_end(&mut self) -> Vec<Value> {
        let mut events: Vec<Value> = self.events.drain(..).chain(self.arrays.drain(..).flatten()).collect();
        loop {
            match self.poll().await {
                Value::Array(more) => events.extend(more),
                _ => return events,
            }
        }
    }

    /// Leaves, and is then unknown.
    ///
    /// # Panics
    /// If it is not.
    pub async fn leave(&mut self) {
        self.wins("/disconnect", &[]).await;
        assert_eq!(self.poll().await, Value::Null);
    }

    /// The next event is the stranger's leaving, and the session is over with it.
    ///
    /// # Panics
    /// If it is not.
    pub async fn is_left(&mut self) {
        self.expect(json!(["strangerDisconnected"])).await;
        assert!(self.events.is_empty(), "after the last event: {:?}", self.events);
        assert_eq!(self.poll().await, Value::Null);
    }
}
