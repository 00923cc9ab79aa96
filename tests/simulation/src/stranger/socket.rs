//! A stranger's connection: `stroll.v1` over the simulated network.

use std::time::Duration;

use chassis::net::{Net, Stream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::CloseFrame},
};

use crate::{cluster::GATEWAY_PORT, plan::Host};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a frame may take to be handed to the network.
const SEND: Duration = Duration::from_secs(3);

/// What comes from the gateway.
#[derive(Debug)]
pub enum Heard {
    Frame(Value),
    /// Only that it lives.
    Ping,
    /// The connection is closed with this code, or lost.
    Lost(Option<u16>),
}

pub struct Socket {
    stream: WebSocketStream<Stream>,
    /// When something last came.
    pub last_heard: Instant,
}

impl Socket {
    /// Connects; `None` if nobody is there or will have it.
    pub async fn connect(gateway: Host) -> Option<Self> {
        let connect = async {
            let name = gateway.to_string();
            let mut request = format!("ws://{name}:{GATEWAY_PORT}/v1/ws").into_client_request().ok()?;
            request.headers_mut().insert("sec-websocket-protocol", "stroll.v1".parse().expect("a header"));
            let address = Net::Simulated.resolve(&name, GATEWAY_PORT).await.ok()?;
            let stream = Net::Simulated.connect(address[0]).await.ok()?;
            Some(client_async(request, stream).await.ok()?.0)
        };
        let stream = timeout(CONNECT, connect).await.ok()??;
        Some(Self { stream, last_heard: Instant::now() })
    }

    /// Sends a frame. What is wrong with the connection is told to who listens.
    pub async fn send(&mut self, frame: &Value) {
        let _ = timeout(SEND, self.stream.send(Message::text(frame.to_string()))).await;
    }

    /// What comes next. Cancel-safe.
    pub async fn hear(&mut self) -> Heard {
        let received = self.stream.next().await;
        self.last_heard = Instant::now();
        match received {
            Some(Ok(Message::Text(text))) => Heard::Frame(serde_json::from_str(&text).expect("JSON")),
            Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => Heard::Lost(Some(code.into())),
            Some(
                Ok(Message::Close(None)) | Err(Error::ConnectionClosed | Error::Io(_) | Error::Protocol(_)),
            )
            | None => Heard::Lost(None),
            Some(Ok(_)) => Heard::Ping,
            Some(Err(error)) => panic!("what a gateway should never send: {error}"),
        }
    }
}
