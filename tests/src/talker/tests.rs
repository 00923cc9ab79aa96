//! A client at gateways that do what a test says.

use std::net::SocketAddr;

use chassis::net::{Listener, Net, Stream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::CloseFrame,
    },
};

use super::{Crowd, Pace};
use crate::{
    PATIENCE,
    continuity::{ChatTag, Diary, Saying},
};

/// A gateway's side of one socket.
struct Gateway(WebSocketStream<Stream>);

async fn listen() -> (Listener, SocketAddr) {
    let listener = Net::Host.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
    let address = listener.address().expect("an address");
    (listener, address)
}

/// One stranger, who comes to the first of these gateways.
fn crowd(gateways: &[SocketAddr]) -> Crowd {
    let says_every = Duration::from_millis(20)..Duration::from_millis(40);
    let pace = Pace { says_every, one_in_leaves: 0, stays: Duration::ZERO..Duration::ZERO };
    Crowd::of(gateways, 1, 1, &pace)
}

impl Gateway {
    /// The next socket, and its `hello`, which is answered.
    async fn accept(listener: &Listener) -> (Self, Value) {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("somebody");
        #[expect(clippy::result_large_err, reason = "the crate's own signature")]
        let echo = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            let protocol = "stroll.v1".parse().expect("a header");
            response.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let mut gateway = Self(accept_hdr_async(stream, echo).await.expect("a handshake"));
        let hello = gateway.expect("hello").await;
        (gateway, hello)
    }

    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.expect("an open socket");
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("something") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    async fn expect(&mut self, kind: &str) -> Value {
        let frame = self.next().await.expect("an open socket");
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    /// The next message has this number; returns its text.
    async fn hears(&mut self, seq: u64) -> String {
        let frame = self.expect("message").await;
        assert_eq!(frame["seq"], seq);
        frame["text"].as_str().expect("a text").to_owned()
    }

    /// A chat begins, with the tokens `s1` and `r1`.
    async fn begin(listener: &Listener) -> Self {
        let (mut gateway, hello) = Self::accept(listener).await;
        assert_eq!(hello, json!({"type": "hello", "adult": true, "terms": true}));
        gateway.send(json!({"type": "welcome", "session": "s0"})).await;
        gateway.expect("find").await;
        gateway.send(json!({"type": "waiting", "session": "s1"})).await;
        gateway.send(json!({"type": "matched", "chat": "c", "resume": "r1"})).await;
        gateway
    }

    /// Everybody stops, and leaves. This number was heard last.
    async fn end(mut self, crowd: Crowd, mut said: u64) -> Diary {
        let end = async {
            self.send(json!({"type": "ack", "seq": said})).await;
            while let Some(frame) = self.next().await {
                match frame["type"].as_str() {
                    Some("message") => {
                        said = frame["seq"].as_u64().expect("a number");
                        self.send(json!({"type": "ack", "seq": said})).await;
                    }
                    Some("leave") => self.send(json!({"type": "ended", "chat": "c", "by": "you"})).await,
                    _ => {}
                }
            }
            said
        };
        let (said, (mut diaries, _)) = tokio::join!(end, crowd.finish());
        let diary = diaries.remove(0);
        assert_eq!(diary.chats.len(), 1);
        assert_eq!(diary.chats[0].said.len() as u64, said, "all of it came");
        assert!(diary.chats[0].said.iter().all(|said| said.acknowledged));
        diary
    }
}

fn text(number: u32) -> String {
    Saying { chat: ChatTag::of("c"), sender: 7, number }.text()
}

#[tokio::test]
async fn who_loses_its_socket_comes_back_with_both_tokens_and_repeats_what_is_asked_for() {
    let (gateways, address) = listen().await;
    let crowd = crowd(&[address]);
    let mut gateway = Gateway::begin(&gateways).await;
    let texts = [gateway.hears(1).await, gateway.hears(2).await, gateway.hears(3).await];
    assert_eq!(Saying::parse(&texts[2]).map(|saying| (saying.sender, saying.number)), Some((0, 3)));
    gateway.send(json!({"type": "ack", "seq": 1})).await;
    gateway.send(json!({"type": "message", "seq": 1, "text": text(1)})).await;
    while gateway.next().await.expect("an open socket")["type"] != "ack" {}
    drop(gateway);
    let (mut gateway, hello) = Gateway::accept(&gateways).await;
    assert_eq!((hello["session"].as_str(), hello["resume"].as_str()), (Some("s1"), Some("r1")));
    gateway.send(json!({"type": "welcome", "session": "s2"})).await;
    // It says nothing before it is told what to repeat.
    timeout(Duration::from_millis(200), gateway.next()).await.expect_err("nothing comes");
    gateway.send(json!({"type": "resumed", "chat": "c", "received": 2, "resume": "r2"})).await;
    assert_eq!(gateway.hears(3).await, texts[2]);
    gateway.hears(4).await;
    // The one repeat is dropped, and acknowledged again.
    gateway.send(json!({"type": "message", "seq": 1, "text": text(1)})).await;
    gateway.send(json!({"type": "message", "seq": 2, "text": text(2)})).await;
    // Also a chat that moves under a socket that stays.
    gateway.send(json!({"type": "resumed", "chat": "c", "received": 2})).await;
    while gateway.next().await.expect("an open socket")["seq"] != 3 {}
    let diary = gateway.end(crowd, 3).await;
    let chat = &diary.chats[0];
    assert_eq!((chat.shown.len(), chat.repeats, chat.resumed), (2, 1, 2));
    assert_eq!((diary.closes.len(), diary.closes[0].code, diary.moves), (1, None, 0));
    assert!(diary.oddities.is_empty() && diary.strays.is_empty(), "{diary:?}");
}

#[tokio::test]
async fn who_is_asked_to_go_takes_the_new_socket_before_it_leaves_the_old_one() {
    let [(one, at_one), (two, at_two)] = [listen().await, listen().await];
    let crowd = crowd(&[at_one, at_two]);
    let mut old = Gateway::begin(&one).await;
    old.hears(1).await;
    old.send(json!({"type": "going_away", "reconnect_after_ms": 50})).await;
    let (mut new, hello) = Gateway::accept(&two).await;
    assert_eq!((hello["session"].as_str(), hello["resume"].as_str()), (Some("s1"), Some("r1")));
    // Not welcome yet, so it goes on at the old one.
    let mut last = 1;
    for _ in 0..3 {
        last = old.expect("message").await["seq"].as_u64().expect("a number");
    }
    old.send(json!({"type": "ack", "seq": last})).await;
    new.send(json!({"type": "welcome", "session": "s2"})).await;
    while old.next().await.is_some() {}
    new.send(json!({"type": "resumed", "chat": "c", "received": last})).await;
    new.hears(last + 1).await;
    let diary = new.end(crowd, last + 1).await;
    assert_eq!((diary.moves, diary.closes.len(), diary.oddities.len()), (1, 0, 0), "{diary:?}");
}

#[tokio::test]
async fn what_came_last_at_the_old_socket_is_not_missed_when_the_new_one_is_there() {
    let [(one, at_one), (two, at_two)] = [listen().await, listen().await];
    let crowd = crowd(&[at_one, at_two]);
    let (mut old, _) = Gateway::accept(&one).await;
    old.send(json!({"type": "welcome", "session": "s0"})).await;
    old.expect("find").await;
    old.send(json!({"type": "going_away", "reconnect_after_ms": 0})).await;
    let (mut early, hello) = Gateway::accept(&two).await;
    assert_eq!((hello["session"].as_str(), hello["resume"].as_str()), (Some("s0"), None));
    // Paired at the last moment.
    old.send(json!({"type": "matched", "chat": "c", "resume": "r1"})).await;
    old.hears(1).await;
    early.send(json!({"type": "welcome", "session": "s1"})).await;
    // It would know nothing of the chat there, and says hello again.
    let (mut late, hello) = Gateway::accept(&two).await;
    assert_eq!((hello["session"].as_str(), hello["resume"].as_str()), (Some("s0"), Some("r1")));
    late.send(json!({"type": "welcome", "session": "s2"})).await;
    late.send(json!({"type": "resumed", "chat": "c", "received": 0})).await;
    late.hears(1).await;
    let diary = late.end(crowd, 1).await;
    assert_eq!((diary.moves, diary.oddities.len()), (1, 0), "{diary:?}");
}

#[tokio::test]
async fn an_old_socket_that_is_closed_because_of_the_new_one_is_no_loss() {
    let [(one, at_one), (two, at_two)] = [listen().await, listen().await];
    let crowd = crowd(&[at_one, at_two]);
    let mut old = Gateway::begin(&one).await;
    old.hears(1).await;
    old.send(json!({"type": "going_away", "reconnect_after_ms": 0})).await;
    let (mut new, _) = Gateway::accept(&two).await;
    let close = CloseFrame { code: 4004.into(), reason: "".into() };
    old.0.send(Message::Close(Some(close))).await.expect("an open socket");
    new.send(json!({"type": "welcome", "session": "s2"})).await;
    new.send(json!({"type": "resumed", "chat": "c", "received": 0})).await;
    new.hears(1).await;
    let diary = new.end(crowd, 1).await;
    assert!(diary.closes.iter().all(|close| close.hidden) && diary.oddities.is_empty(), "{diary:?}");
    assert_eq!(diary.chats[0].resumed, 1, "it does not come back once more");
}

#[tokio::test]
async fn a_close_code_says_when_to_come_back() {
    let (gateways, address) = listen().await;
    let crowd = crowd(&[address]);
    let mut gateway = Gateway::begin(&gateways).await;
    gateway.hears(1).await;
    let close = CloseFrame { code: 1012.into(), reason: "".into() };
    gateway.0.send(Message::Close(Some(close))).await.expect("an open socket");
    // A second at least.
    timeout(Duration::from_millis(900), gateways.accept()).await.map(|_| ()).expect_err("nobody comes");
    let (mut gateway, _) = Gateway::accept(&gateways).await;
    gateway.send(json!({"type": "welcome", "session": "s2"})).await;
    gateway.send(json!({"type": "error", "code": "resume_failed", "text": "gone"})).await;
    gateway.expect("find").await;
    let finish = async { while gateway.next().await.is_some() {} };
    let ((), (diaries, _)) = tokio::join!(finish, crowd.finish());
    assert_eq!((diaries[0].closes[0].code, diaries[0].closes[0].hidden), (Some(1012), true));
    assert_eq!(
        diaries[0].chats[0].ended.as_ref().map(|ended| ended.how.clone()),
        Some(crate::continuity::End::Gone)
    );
}
