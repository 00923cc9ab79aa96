//! A classic client down to its bytes: HTTP/1.1 on connections that are kept, exactly what a test says on them, and what came back.

mod client;
mod wire;

use std::net::SocketAddr;

use serde_json::Value;

pub use self::{
    client::Client,
    wire::{Wire, ask, encode, get, post, request},
};
use crate::{
    cluster::{Settings, Single},
    eventually,
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
