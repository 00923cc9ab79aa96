//! A scripted stranger: a client of `stroll.v1` that says what a test tells it to.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use crate::{PATIENCE, raw::Raw};

/// One connection.
#[derive(Debug)]
pub struct Stranger {
    socket: WebSocketStream<chassis::net::Stream>,
    /// The token of `welcome`, or a newer one.
    pub session: String,
    /// The token of the last `matched`, or a newer one.
    pub resume: String,
    sent: u64,
    seen: u64,
}

/// One who lost the connection.
#[derive(Debug)]
pub struct Lost {
    session: String,
    resume: String,
    sent: u64,
    seen: u64,
}

impl Lost {
    /// Comes back with both tokens and all that it knew.
    pub async fn come_back(self, gateway: SocketAddr) -> Stranger {
        let Self { session, resume, sent, seen } = self;
        let hello = json!({"type": "hello", "session": session, "resume": resume});
        Stranger { resume, sent, seen, ..Stranger::arrive_with(gateway, hello).await }
    }
}

impl Stranger {
    /// Connects, without a word.
    ///
    /// # Errors
    /// As the handshake says.
    pub async fn connect(gateway: SocketAddr, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{gateway}/v1/ws").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "stroll.v1".parse().expect("a header"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream = chassis::net::Net::Host.connect(gateway).await?;
        // There may be thousands of them.
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let (socket, response) = client_async_with_config(request, stream, Some(config)).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "stroll.v1");
        Ok(Self { socket, session: String::new(), resume: String::new(), sent: 0, seen: 0 })
    }

    /// Connects and says hello, of age and with the terms accepted.
    ///
    /// # Panics
    /// If it isn't welcome.
    pub async fn arrive(gateway: SocketAddr) -> Self {
        Self::arrive_with(gateway, json!({"type": "hello", "adult": true, "terms": true})).await
    }

    /// The same, as a proxy tells of a client at another address.
    ///
    /// # Panics
    /// If it isn't welcome.
    pub async fn arrive_from(gateway: SocketAddr, address: &str) -> Self {
        let stranger = Self::connect(gateway, &[("x-forwarded-for", address)]).await.expect("a handshake");
        stranger.says_hello(json!({"type": "hello", "adult": true, "terms": true})).await
    }

    /// Connects and says a given hello.
    ///
    /// # Panics
    /// If it isn't welcome.
    pub async fn arrive_with(gateway: SocketAddr, hello: Value) -> Self {
        Self::connect(gateway, &[]).await.expect("a handshake").says_hello(hello).await
    }

    async fn says_hello(mut self, hello: Value) -> Self {
        self.send(hello).await;
        self.expect("welcome").await;
        self
    }

    /// Comes back after the connection was lost, with both tokens and all that it knew.
    pub async fn come_back(self, gateway: SocketAddr) -> Self {
        let mut hello = json!({"type": "hello", "session": self.session});
        if !self.resume.is_empty() {
            hello["resume"] = self.resume.as_str().into();
        }
        let new = Self::arrive_with(gateway, hello).await;
        Self { socket: new.socket, session: new.session, ..self }
    }

    /// Loses the connection without a word.
    #[must_use]
    pub fn lose(self) -> Lost {
        let Self { session, resume, sent, seen, .. } = self;
        Lost { session, resume, sent, seen }
    }

    /// Down to the bytes. What was read ahead is lost.
    #[must_use]
    pub fn into_raw(self) -> Raw {
        Raw::new(self.socket.into_inner())
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// If the socket is closed.
    pub async fn send(&mut self, frame: Value) {
        self.send_raw(Message::text(frame.to_string())).await.expect("an open socket");
    }

    /// Sends anything.
    ///
    /// # Errors
    /// If the socket is closed.
    pub async fn send_raw(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// The next frame.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next(&mut self) -> Value {
        self.next_within(PATIENCE).await
    }

    /// The next frame, which may take so long.
    ///
    /// # Panics
    /// If none comes.
    pub async fn next_within(&mut self, time: Duration) -> Value {
        match self.next_or_close_within(time).await {
            Ok(frame) => frame,
            Err(close) => panic!("closed: {close:?}"),
        }
    }

    /// The next frame, or how the socket was closed.
    ///
    /// # Errors
    /// The close code; none if the connection was just lost.
    ///
    /// # Panics
    /// If nothing comes.
    pub async fn next_or_close(&mut self) -> Result<Value, Option<u16>> {
        self.next_or_close_within(PATIENCE).await
    }

    async fn next_or_close_within(&mut self, time: Duration) -> Result<Value, Option<u16>> {
        loop {
            let received =
                tokio::time::timeout(time, self.socket.next()).await.expect("something from the gateway");
            match received {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return Err(Some(code.into())),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(None),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Waits for the end of the connection, whatever comes before.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next_or_close().await {
                return code;
            }
        }
    }

    /// The next frame, which has this type.
    ///
    /// # Panics
    /// If it has another.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["type"], kind, "{frame}");
        if kind == "matched" {
            (self.sent, self.seen) = (0, 0);
        }
        for (token, mine) in [("session", &mut self.session), ("resume", &mut self.resume)] {
            // Each new one replaces the one before.
            frame[token].as_str().into_iter().for_each(|token| token.clone_into(mine));
        }
        frame
    }

    /// The next frame, which is an error of this code.
    ///
    /// # Panics
    /// If it isn't.
    pub async fn refused(&mut self, code: &str) -> Value {
        let frame = self.expect("error").await;
        assert_eq!(frame["code"], code, "{frame}");
        frame
    }

    /// Asks for anybody, and waits until the pool has the ticket.
    pub async fn find(&mut self) {
        self.find_with(json!({"interests": [], "languages": []})).await;
    }

    /// Asks for somebody, in text unless these fields say otherwise, and waits until the pool has the ticket. Returns `waiting`.
    pub async fn find_with(&mut self, fields: Value) -> Value {
        self.send(wish(fields)).await;
        self.expect("waiting").await
    }

    /// Leaves the chat, and returns `ended`, whose token is the one to come back with. With `block`, these two never meet again.
    ///
    /// # Panics
    /// If the end brings no token.
    pub async fn leave_with(&mut self, fields: Value) -> Value {
        self.send(with(json!({"type": "leave"}), fields)).await;
        let ended = self.expect("ended").await;
        assert!(ended["session"].is_string(), "{ended}");
        ended
    }

    /// Asks to meet the same stranger again, and waits until the pool has the ticket.
    pub async fn again(&mut self) {
        self.send(json!({"type": "again"})).await;
        self.expect("waiting").await;
    }

    /// Says something. Returns its number.
    pub async fn say(&mut self, text: &str) -> u64 {
        self.sent += 1;
        self.send(json!({"type": "message", "seq": self.sent, "text": text})).await;
        self.sent
    }

    /// Says something again that it has said.
    pub async fn repeat(&mut self, seq: u64, text: &str) {
        self.send(json!({"type": "message", "seq": seq, "text": text})).await;
    }

    /// The next frame is this message; acknowledges it.
    ///
    /// # Panics
    /// If it isn't, or isn't the next number.
    pub async fn hears(&mut self, text: &str) {
        let frame = self.expect("message").await;
        assert_eq!(frame["text"], text);
        self.seen += 1;
        assert_eq!(frame["seq"], self.seen);
        self.send(json!({"type": "ack", "seq": self.seen})).await;
    }

    /// The next frame says that the other has everything up to what was said last.
    ///
    /// # Panics
    /// If it doesn't.
    pub async fn is_heard(&mut self) {
        assert_eq!(self.expect("ack").await["seq"], self.sent);
    }
}

/// A `find` in text, with more fields.
#[must_use]
pub fn wish(fields: Value) -> Value {
    with(json!({"type": "find", "mode": "text"}), fields)
}

fn with(mut frame: Value, fields: Value) -> Value {
    let (Some(frame_fields), Value::Object(fields)) = (frame.as_object_mut(), fields) else {
        panic!("fields are an object")
    };
    frame_fields.extend(fields);
    frame
}

/// Two strangers meet, each at a gateway.
pub async fn meet(gateways: [SocketAddr; 2]) -> [Stranger; 2] {
    let [mut one, mut two] = [Stranger::arrive(gateways[0]).await, Stranger::arrive(gateways[1]).await];
    one.find().await;
    two.find().await;
    let chat = one.expect("matched").await["chat"].clone();
    assert_eq!(two.expect("matched").await["chat"], chat);
    [one, two]
}
