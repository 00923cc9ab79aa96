//! A classic client down to its bytes: HTTP/1.1 on connections that are kept, exactly what a test says on them, and what came back.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use chassis::net::{Net, Stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

use crate::{
    PATIENCE,
    cluster::{Settings, Single},
    eventually,
    http::{Answer, parse},
};

/// Settings of processes that hold nobody to the limits of one address, which all of a test share.
pub const ROOMY: [(&str, &str); 3] = [
    ("STROLL_CONNECTIONS_PER_ADDRESS", "100000"),
    ("STROLL_HANDSHAKES_PER_ADDRESS", "100000"),
    ("STROLL_MESSAGES_PER_SESSION", "1000"),
];

/// One process that holds nobody to such limits, with more settings.
pub async fn roomy(more: &[(&str, &str)]) -> Single {
    Single::start_with(&[], &[&ROOMY, more].concat()).await
}

/// The same of a cluster.
#[must_use]
pub fn roomy_cluster(more: &[(&'static str, &str)]) -> Settings {
    let environment =
        [&ROOMY, more].concat().into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    Settings { environment, ..Settings::default() }
}

/// The content type of JSON answers.
pub const JSON: &str = "application/json";
/// The content type of `win` and `fail`.
pub const HTML: &str = "text/html; charset=utf-8";
/// The content type that browsers give a form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// A connection that was idle for longer may be closed by its server at any moment.
const IDLE: Duration = Duration::from_secs(5);

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    read: Vec<u8>,
    /// When something came last.
    used: Instant,
}

impl Wire {
    /// Opens one.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn open(gateway: SocketAddr) -> Self {
        let stream = Net::Host.connect(gateway).await.expect("a connection");
        Self { stream, read: Vec::new(), used: Instant::now() }
    }

    fn is_fresh(&self) -> bool {
        self.used.elapsed() < IDLE
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If the connection is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("an open connection");
    }

    /// The next answer.
    ///
    /// # Panics
    /// If none comes.
    pub async fn answer(&mut self) -> Answer {
        self.answer_within(PATIENCE).await
    }

    /// The next answer, which may take so long.
    ///
    /// # Panics
    /// If none comes.
    pub async fn answer_within(&mut self, time: Duration) -> Answer {
        let answer = tokio::time::timeout(time, self.try_answer()).await;
        answer.unwrap_or_else(|_| panic!("no answer within {time:?}")).expect("an answer")
    }

    /// The next answer, whenever it comes.
    ///
    /// # Errors
    /// If the connection ends before it, or what comes is not HTTP with a length.
    pub async fn try_answer(&mut self) -> anyhow::Result<Answer> {
        let head = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill().await?,
            }
        };
        let text = String::from_utf8_lossy(&self.read[..head]).into_owned();
        let mut answer = parse(&text).ok_or_else(|| anyhow::anyhow!("not HTTP: {text}"))?;
        let length = match (answer.status, answer.header("content-length")) {
            (204 | 304, _) => 0,
            (_, Some(length)) => length.parse()?,
            (_, None) => anyhow::bail!("no length: {text}"),
        };
        while self.read.len() < head + length {
            self.fill().await?;
        }
        answer.body = String::from_utf8(self.read[head..head + length].to_vec())?;
        self.read.drain(..head + length);
        self.used = Instant::now();
        Ok(answer)
    }

    /// A request, and its answer.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.read).await?;
        anyhow::ensure!(read > 0, "the connection ended; unread: {:?}", String::from_utf8_lossy(&self.read));
        Ok(())
    }
}

/// A request without a body.
#[must_use]
pub fn get(target: &str) -> Vec<u8> {
    request("GET", target, &[], b"")
}

/// A form, as most clients send one.
#[must_use]
pub fn post(target: &str, form: &str) -> Vec<u8> {
    request("POST", target, &[("Content-Type", FORM)], form.as_bytes())
}

/// Any request. `Host` and `Content-Length` are added where they are missing; a body that is empty and not of a POST has no length.
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let mut request = format!("{method} {target} HTTP/1.1\r\n");
    if !has("host") {
        request.push_str("Host: front1.omegle.com\r\n");
    }
    if !has("content-length") && (method == "POST" || !body.is_empty()) {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// Text as a form has it.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Asks once, on a connection of its own.
pub async fn ask(gateway: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    Wire::open(gateway).await.ask(request).await
}

/// `/start` without `firstevents`. Returns the id.
///
/// # Panics
/// If the answer is no bare string.
pub async fn start_silently(gateway: SocketAddr, parameters: &str) -> String {
    let answer = ask(gateway, post(&format!("/start?{parameters}"), "")).await;
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("no bare string: {answer:?}"))
}

fn events_request(id: &str) -> Vec<u8> {
    post("/events", &format!("id={}", encode(id)))
}

/// Opens a poll that the gateway is known to have: it has replaced another. Nothing may be queued.
///
/// # Panics
/// If something was, or the session is over.
pub async fn hold_poll(gateway: SocketAddr, id: &str) -> Wire {
    let mut polls = [Wire::open(gateway).await, Wire::open(gateway).await];
    for poll in &mut polls {
        poll.send(events_request(id)).await;
    }
    // They may have arrived in either order.
    let [mut one, mut two] = polls;
    let (answer, open) = tokio::select! {
        answer = one.answer() => (answer, two),
        answer = two.answer() => (answer, one),
    };
    assert_eq!(answer.body, "[]", "the poll that was replaced");
    open
}

/// Whether it is a session id, as clients read it.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let Some((number, random)) = id.strip_prefix("central").and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    let is_number = number.parse::<u8>().is_ok_and(|parsed| parsed > 0 && parsed.to_string() == number);
    is_number
        && random.len() == 30
        && random.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The names of events.
///
/// # Panics
/// If they are no events.
#[must_use]
pub fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event[0].as_str().expect("an event's name")).collect()
}

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

/// Two meet, each at a gateway.
pub async fn meet(gateways: [SocketAddr; 2]) -> [Client; 2] {
    meet_with(gateways, ["", ""]).await
}

/// Two meet, each at a gateway and with parameters. The first waits for the second.
pub async fn meet_with(gateways: [SocketAddr; 2], parameters: [&str; 2]) -> [Client; 2] {
    let mut one = Client::start(gateways[0], parameters[0]).await;
    let mut two = Client::start(gateways[1], parameters[1]).await;
    one.connected().await;
    two.connected().await;
    [one, two]
}

/// Waits until `/count` says so many.
pub async fn count(gateway: SocketAddr, sessions: u64) {
    let counted = || async {
        let answer = ask(gateway, get("/count")).await;
        (answer.body == sessions.to_string()).then_some(())
    };
    eventually(&format!("{sessions} to be counted"), counted).await;
}
