//! Clients that are slow, broken, or on a bad network: each costs the gateway little, and its neighbours nothing.

use std::{cell::Cell, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use stroll_tests::{
    PATIENCE,
    cluster::{Cluster, Settings},
    eventually,
    raw::{Raw, send_queue},
    stranger::{Stranger, meet},
};
use tokio::time::{Instant, timeout};

/// Within which time a client that does not keep up is cut.
const CUT: Duration = Duration::from_secs(40);
/// How long a neighbour's message may take there and its acknowledgement back.
const PROMPT: Duration = Duration::from_secs(2);
/// How much a gateway may grow because of four clients that don't keep up, and what the kernel may hold for one.
const GROWTH: u64 = 8 * 1024 * 1024;
const KERNEL: u64 = 256 * 1024;
/// How much may be said that is not acknowledged.
const WINDOW: u64 = 64;

async fn cluster() -> Cluster {
    let environment = vec![("STROLL_MESSAGES_PER_SESSION", "1000".to_owned())];
    Cluster::start_with(Settings { environment, proxied: true, ..Settings::default() }).await
}

/// Two others who talk at a gateway, and how promptly.
struct Neighbours {
    pair: [Stranger; 2],
    slowest: Duration,
}

impl Neighbours {
    async fn at(gateway: SocketAddr) -> Self {
        Self { pair: meet([gateway; 2]).await, slowest: Duration::ZERO }
    }

    /// They talk while something else happens, and don't notice it.
    async fn talk_during<T>(&mut self, other: impl Future<Output = T>) -> T {
        let over = Cell::new(false);
        let happens = async {
            let happened = other.await;
            over.set(true);
            happened
        };
        let (happened, ()) = tokio::join!(happens, self.talk_until(&over));
        assert!(self.slowest < PROMPT, "it took {:?}", self.slowest);
        happened
    }

    async fn talk_until(&mut self, over: &Cell<bool>) {
        let [one, two] = &mut self.pair;
        while !over.get() {
            let began = Instant::now();
            one.say("how are you?").await;
            two.hears("how are you?").await;
            one.is_heard().await;
            self.slowest = self.slowest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// How a client does not keep up.
#[derive(Clone, Copy, Debug)]
struct Slowness {
    reads_a_byte_a_second: bool,
    /// It says to have what it never read, so that only its own slowness can stop the stranger.
    acknowledges: bool,
}

/// A stranger says as much as it can, until it hears that the client is gone.
async fn flood(mut from: Stranger, mut to: Raw, how: Slowness) {
    let text = "🚶".repeat(2_000);
    let mut seq = 0;
    let mut read_at = Instant::now();
    loop {
        if how.acknowledges || seq < WINDOW {
            seq = from.say(&text).await;
        }
        loop {
            if how.acknowledges {
                // It can't know when the message was handed to its socket, so it says so until that is believed.
                to.send(&json!({"type": "ack", "seq": seq})).await;
            }
            if how.reads_a_byte_a_second && read_at.elapsed() >= Duration::from_secs(1) {
                let _ = timeout(Duration::ZERO, to.read_byte()).await;
                read_at = Instant::now();
            }
            match timeout(Duration::from_millis(20), from.next()).await {
                Ok(frame) if frame["type"] == "stranger" => return assert_eq!(frame["state"], "away"),
                Ok(frame) => assert_eq!(frame["type"], "ack", "{frame}"),
                Err(_) if how.acknowledges => continue,
                Err(_) => {}
            }
            break;
        }
    }
}

#[tokio::test]
async fn clients_that_do_not_keep_up_are_cut_at_a_bound() {
    let cluster = cluster().await;
    let gateways = cluster.addresses().await;
    let mut neighbours = Neighbours::at(gateways[0]).await;
    let mut floods = Vec::new();
    let mut slow = Vec::new();
    for reads_a_byte_a_second in [false, true] {
        for acknowledges in [false, true] {
            let [to, from] = meet(gateways).await;
            let to = to.into_raw();
            slow.push(to.address);
            let how = Slowness { reads_a_byte_a_second, acknowledges };
            floods.push(async move {
                let cut = timeout(CUT, flood(from, to, how)).await;
                assert!(cut.is_ok(), "{how:?} was not cut");
            });
        }
    }
    let (gateway, before) = (&cluster.gateways[0], cluster.gateways[0].memory());
    let mut most = (0, 0);
    let watch = async {
        loop {
            let held = slow.iter().filter_map(|slow| send_queue(gateways[0], *slow)).max().unwrap_or(0);
            most = (most.0.max(gateway.memory().saturating_sub(before)), most.1.max(held));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let cut = async {
        tokio::select! {
            () = watch => {}
            _ = join_all(floods) => {}
        }
    };
    neighbours.talk_during(cut).await;
    assert!(most.0 < GROWTH, "the gateway grew by {} bytes", most.0);
    assert!(most.1 < KERNEL, "the kernel held {} bytes", most.1);
    let cut = gateway.metric(r#"stroll_gateway_disconnects_total{reason="4003""#).await;
    assert!((4.0..5.0).contains(&cut), "{cut} were cut");
}

#[tokio::test]
async fn a_client_that_closes_one_half_is_away_at_once_and_may_come_back() {
    let cluster = cluster().await;
    let gateways = cluster.addresses().await;
    let mut neighbours = Neighbours::at(gateways[0]).await;
    let [half, mut other] = meet(gateways).await;
    let hello = json!({"type": "hello", "session": half.session, "resume": half.resume});
    let mut half = half.into_raw();
    let meanwhile = async {
        half.half_close().await;
        assert_eq!(other.expect("stranger").await["state"], "away");
        // The gateway lets go of its own half, too.
        timeout(PATIENCE, async { while half.read_byte().await.is_some() {} }).await.expect("the end");
        let mut back = Stranger::arrive_with(gateways[0], hello).await;
        back.expect("resumed").await;
        assert_eq!(other.expect("stranger").await["state"], "back");
        other.expect("resumed").await;
        other.say("there you are").await;
        back.hears("there you are").await;
    };
    neighbours.talk_during(meanwhile).await;
    // One that does so while it waits takes its ticket along.
    let mut waiting = Stranger::arrive(gateways[0]).await;
    waiting.find().await;
    waiting.into_raw().half_close().await;
    let waiting = r#"stroll_gateway_sessions{state="waiting""#;
    let none = || async { (cluster.gateways[0].metric(waiting).await < 1.0).then_some(()) };
    eventually("nobody to wait", none).await;
}

#[tokio::test]
async fn i3_a_network_that_drops_for_20_s_loses_nothing() {
    let cluster = cluster().await;
    let (gateways, entrances) = (cluster.addresses().await, cluster.entrances());
    let mut neighbours = Neighbours::at(gateways[0]).await;
    let [mut one, mut other] = meet([entrances[0], gateways[1]]).await;
    let network = &cluster.links().gateways[0];
    one.say("into a tunnel").await;
    other.hears("into a tunnel").await;
    one.is_heard().await;
    let texts: Vec<_> = (0..10).map(|number| format!("in the tunnel, {number}")).collect();
    network.part();
    for text in &texts {
        one.say(text).await;
        other.say(text).await;
    }
    neighbours.talk_during(tokio::time::sleep(Duration::from_secs(20))).await;
    network.heal();
    tokio::join!(has_all(&mut one, &texts), has_all(&mut other, &texts));
}

/// Hears these messages, once and in order, and that its own as many were heard. It is the same connection: nobody was away.
async fn has_all(stranger: &mut Stranger, texts: &[String]) {
    let (mut heard, mut acknowledged) = (0, 0);
    while heard < texts.len() || acknowledged < texts.len() {
        let frame = stranger.next().await;
        match frame["type"].as_str() {
            Some("message") => {
                assert_eq!(frame["text"], texts[heard]);
                heard += 1;
                stranger.send(json!({"type": "ack", "seq": frame["seq"]})).await;
            }
            Some("ack") => acknowledged += 1,
            _ => panic!("{frame}"),
        }
    }
}

#[tokio::test]
async fn i3_of_sockets_that_resume_at_once_one_has_the_chat() {
    let cluster = cluster().await;
    let gateways = cluster.addresses().await;
    let mut neighbours = Neighbours::at(gateways[0]).await;
    let [first, mut other] = meet(gateways).await;
    let hello = json!({"type": "hello", "session": first.session, "resume": first.resume});
    let connect = || Stranger::connect(gateways[0], &[]);
    let mut sockets: Vec<_> = join_all((0..5).map(|_| connect()))
        .await
        .into_iter()
        .map(|socket| socket.expect("a socket"))
        .collect();
    let meanwhile = async {
        join_all(sockets.iter_mut().map(|socket| socket.send(hello.clone()))).await;
        join_all(sockets.iter_mut().map(|socket| socket.expect("welcome"))).await;
        let seq = other.say("which one are you?").await;
        // As a client does: what was asked for is said again, until it is acknowledged.
        let repeats = async {
            loop {
                let frame = other.next().await;
                match frame["type"].as_str() {
                    Some("resumed") => other.repeat(seq, "which one are you?").await,
                    Some("ack") => return,
                    _ => assert_eq!(frame["type"], "stranger", "{frame}"),
                }
            }
        };
        let (ends, ()) = tokio::join!(join_all(sockets.iter_mut().map(has_the_chat)), repeats);
        assert_eq!(ends.iter().filter(|has| **has).count(), 1, "{ends:?}");
    };
    let mut first = first;
    neighbours.talk_during(meanwhile).await;
    assert_eq!(first.closed().await, Some(4004));
}

/// Whether this socket hears the message, and keeps the chat; else another took its place.
async fn has_the_chat(socket: &mut Stranger) -> bool {
    loop {
        match socket.next_or_close().await {
            Ok(frame) if frame["type"] == "message" => {
                assert_eq!((&frame["seq"], &frame["text"]), (&json!(1), &json!("which one are you?")));
                socket.send(json!({"type": "ack", "seq": 1})).await;
                return true;
            }
            Ok(frame) => assert_eq!(frame["type"], "resumed", "{frame}"),
            Err(code) => {
                assert_eq!(code, Some(4004));
                return false;
            }
        }
    }
}
