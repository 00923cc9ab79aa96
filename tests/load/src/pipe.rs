//! The baseline: a bare WebSocket server that pairs sockets two by two and passes text on.
//!
//! It speaks as much of `stroll.v1` as it takes to play the same scenario, and does nothing that makes it one: no pool, no relay, no
//! limits, no moderation, no session that could be proved. What it costs is what two sockets cost on this machine with the same
//! WebSocket library and the same buffers as the gateway's.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        Bytes, Message, Utf8Bytes,
        handshake::server::{ErrorResponse, Request, Response},
        http::HeaderValue,
        protocol::WebSocketConfig,
    },
};

use crate::wire::json;

/// As the gateway has them.
const BUFFER: usize = 4 * 1024;
const PING: Duration = Duration::from_secs(25);
/// What may wait for a socket.
const QUEUE: usize = 1024;

type Outbox = mpsc::Sender<Note>;

/// What one end hears from the other.
enum Note {
    /// Goes to the client as it is.
    Text(Utf8Bytes),
    /// They are a pair now.
    Met { place: Place, other: Outbox },
    /// The other end has a new socket.
    Back(Outbox),
    /// The other end has gone.
    Left,
}

/// A place in a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    pair: u64,
    side: usize,
}

impl Place {
    /// From a token.
    fn read(token: &[u8]) -> Option<Self> {
        let (pair, side) = std::str::from_utf8(token).ok()?.split_once('.')?;
        let (pair, side) = (pair.parse().ok()?, side.parse().ok()?);
        (side < 2).then_some(Self { pair, side })
    }
}

/// Who waits, and who is a pair: looked at when sockets meet, come back or leave, and for no message.
#[derive(Default)]
struct Pairs {
    waiting: Option<Outbox>,
    pairs: HashMap<u64, [Outbox; 2]>,
    next: u64,
}

impl Pairs {
    /// Who waits still, and the number of the new pair; otherwise this one waits.
    fn find(&mut self, outbox: &Outbox) -> Option<(u64, Outbox)> {
        let waiting = self.waiting.take().filter(|waiting| !waiting.is_closed());
        let Some(other) = waiting else {
            self.waiting = Some(outbox.clone());
            return None;
        };
        self.next += 1;
        self.pairs.insert(self.next, [other.clone(), outbox.clone()]);
        Some((self.next, other))
    }

    /// Takes its place again. Returns the other end.
    fn come_back(&mut self, place: Place, outbox: &Outbox) -> Option<Outbox> {
        let ends = self.pairs.get_mut(&place.pair)?;
        ends[place.side] = outbox.clone();
        Some(ends[1 - place.side].clone())
    }
}

/// Serves on a free port, which it writes to stdout, until stdin ends.
///
/// # Errors
/// If there is no port.
pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
        tokio::select! {
            () = serve(listener) => {}
            () = end_of_stdin() => {}
        }
        Ok(())
    })
}

/// Whoever started this has ended.
async fn end_of_stdin() {
    // A byte means as little as an error.
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await;
}

async fn serve(listener: TcpListener) {
    let pairs = Arc::<Mutex<Pairs>>::default();
    loop {
        // One that has gone again matters to nobody.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let pairs = Arc::clone(&pairs);
        tokio::spawn(async move { talk(stream, &pairs).await });
    }
}

/// With the subprotocol that was asked for.
#[expect(clippy::result_large_err, reason = "the library's own type")]
fn answer(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    const PROTOCOL: &str = "sec-websocket-protocol";
    if request.headers().contains_key(PROTOCOL) {
        response.headers_mut().insert(PROTOCOL, HeaderValue::from_static("stroll.v1"));
    }
    Ok(response)
}

/// One socket's life.
async fn talk(stream: TcpStream, pairs: &Mutex<Pairs>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
    let socket = accept_hdr_async_with_config(stream, answer, Some(config)).await.ok()?;
    let (outbox, mut inbox) = mpsc::channel(QUEUE);
    let mut end = End { socket, outbox, place: None, other: None };
    let mut next_ping = Instant::now() + PING;
    loop {
        tokio::select! {
            received = end.socket.next() => match received?.ok()? {
                Message::Text(text) => end.hear(text, pairs).await?,
                Message::Close(_) => {
                    // Reading on sends the answer.
                    while end.socket.next().await.is_some() {}
                    return None;
                }
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            },
            note = inbox.recv() => {
                end.take(note?).await?;
                while let Ok(note) = inbox.try_recv() {
                    end.take(note).await?;
                }
                end.socket.flush().await.ok()?;
            }
            () = sleep_until(next_ping) => {
                next_ping += PING;
                end.socket.send(Message::Ping(Bytes::new())).await.ok()?;
            }
        }
    }
}

/// One end of a pipe. Whatever it can't do ends it.
struct End {
    socket: WebSocketStream<TcpStream>,
    outbox: Outbox,
    place: Option<Place>,
    other: Option<Outbox>,
}

impl End {
    /// A client's frame.
    async fn hear(&mut self, text: Utf8Bytes, pairs: &Mutex<Pairs>) -> Option<()> {
        let frame = text.as_bytes();
        match json::kind(frame) {
            b"message" | b"ack" => {
                if let Some(other) = &self.other {
                    // One that has gone misses nothing.
                    let _ = other.send(Note::Text(text)).await;
                }
                Some(())
            }
            b"hello" => {
                let session = r#"{"type":"welcome","session":"none","online":0}"#;
                self.socket.feed(Message::text(session)).await.ok()?;
                if let Some(place) = json::text(frame, b"\"resume\"").and_then(Place::read) {
                    self.come_back(place, pairs).await?;
                }
                self.socket.flush().await.ok()
            }
            b"find" => {
                self.socket.send(Message::text(r#"{"type":"waiting"}"#)).await.ok()?;
                let waiting = pairs.lock().find(&self.outbox);
                let Some((pair, other)) = waiting else { return Some(()) };
                let met = Note::Met { place: Place { pair, side: 0 }, other: self.outbox.clone() };
                let _ = other.send(met).await;
                let met = Note::Met { place: Place { pair, side: 1 }, other };
                self.take(met).await?;
                self.socket.flush().await.ok()
            }
            b"leave" => {
                let (place, other) = (self.place.take()?, self.other.take()?);
                pairs.lock().pairs.remove(&place.pair);
                let _ = other.send(Note::Left).await;
                let ended = format!(r#"{{"type":"ended","chat":"{}","by":"you"}}"#, place.pair);
                self.socket.send(Message::text(ended)).await.ok()
            }
            _ => Some(()),
        }
    }

    async fn come_back(&mut self, place: Place, pairs: &Mutex<Pairs>) -> Option<()> {
        let Some(other) = pairs.lock().come_back(place, &self.outbox) else {
            return self.socket.feed(Message::text(r#"{"type":"error","code":"resume_failed"}"#)).await.ok();
        };
        let _ = other.send(Note::Back(self.outbox.clone())).await;
        (self.place, self.other) = (Some(place), Some(other));
        let resumed = format!(r#"{{"type":"resumed","chat":"{}","received":0}}"#, place.pair);
        self.socket.feed(Message::text(resumed)).await.ok()
    }

    /// What the other end, or who was found, has to say.
    async fn take(&mut self, note: Note) -> Option<()> {
        let text = match note {
            Note::Text(text) => text,
            Note::Back(other) => {
                self.other = Some(other);
                return Some(());
            }
            Note::Met { place, other } => {
                let Place { pair, side } = place;
                (self.place, self.other) = (Some(place), Some(other));
                let initiator = side == 0;
                format!(
                    r#"{{"type":"matched","chat":"{pair}","role":"stranger","initiator":{initiator},"resume":"{pair}.{side}"}}"#
                )
                .into()
            }
            Note::Left => {
                self.other = None;
                let pair = self.place.take()?.pair;
                format!(r#"{{"type":"ended","chat":"{pair}","by":"stranger"}}"#).into()
            }
        };
        self.socket.feed(Message::Text(text)).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written() {
        assert_eq!(Place::read(b"17.1"), Some(Place { pair: 17, side: 1 }));
        for bad in [b"17".as_slice(), b"17.2", b"x.0", b""] {
            assert_eq!(Place::read(bad), None);
        }
    }

    #[test]
    fn two_are_a_pair_and_each_may_come_back() {
        let mut pairs = Pairs::default();
        let (ends, _inboxes): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel(1)).unzip();
        let [one, two, three] = [&ends[0], &ends[1], &ends[2]];
        assert!(pairs.find(one).is_none());
        let (pair, other) = pairs.find(two).expect("one waits");
        assert!(other.same_channel(one));
        assert!(pairs.find(three).is_none());
        let new = mpsc::channel(1).0;
        let other = pairs.come_back(Place { pair, side: 0 }, &new).expect("the pair is kept");
        assert!(other.same_channel(two));
        let other = pairs.come_back(Place { pair, side: 1 }, two).expect("the pair is kept");
        assert!(other.same_channel(&new));
        assert!(pairs.come_back(Place { pair: pair + 1, side: 1 }, two).is_none());
    }
}
