//! The sockets of `stroll.v1`: the handshake, and the one task that owns each socket.

use std::{net::SocketAddr, ops::Range, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{
        ConnectInfo, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::id::AddressHash;
use futures_util::SinkExt as _;
use tokio::time::Instant;

use crate::{
    address,
    close::Close,
    config::Origin,
    farewell::{Farewell, Step},
    hub::Hub,
    limits::{BadFrames, FrameLimit},
    outbox::Outbox,
    permit::Permit,
    protocol::{ClientFrame, Code, Hello, MAX_FRAME, Refusal, SUBPROTOCOL, ServerFrame},
    session::Activity,
    slot::Slot,
    token,
};

/// Buffers of a socket, in bytes. The defaults would cost 131 KB for each.
const READ_BUFFER: usize = 512;
const WRITE_BUFFER: usize = 4 * 1024;
/// What tungstenite reads of a frame before it gives up. Above the protocol's bound, so that a client that is a little over it is
/// told so properly.
const HARD_MAX_FRAME: usize = 4 * MAX_FRAME;
/// Past this much that the kernel doesn't take, writing waits.
const MAX_WRITE_BUFFER: usize = 64 * 1024;
/// Time for the first frame.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two pings, and how long a silent socket is kept.
const PING_INTERVAL: Duration = Duration::from_secs(25);
const SILENCE: Duration = Duration::from_secs(60);
/// Sockets are pinged at whole multiples of this by the clock, in milliseconds: many with one wake-up of the process.
const PING_GRID_MS: u64 = 100;
/// How long a session may do nothing at all: neither wait, nor chat, nor say anything.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long one write may wait for a client that doesn't read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// When one who was turned away because too many come at once may try again.
const COME_BACK_WITHIN: Range<Duration> = Duration::from_secs(5)..Duration::from_secs(30);
/// How long a closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /v1/stats`.
pub async fn stats(State(hub): State<Arc<Hub>>) -> Response {
    let headers = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (header::CACHE_CONTROL, "no-store")];
    (headers, Json(hub.stats.read(&hub))).into_response()
}

/// `GET /v1/ws`.
pub async fn upgrade(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if !origin_is_good(&headers, &hub.config.origins) {
        hub.metrics.handshake("bad_origin");
        return (StatusCode::FORBIDDEN, "this origin may not connect here\n").into_response();
    }
    let client = address::of_client(peer, &headers, &hub.config.trusted_proxies);
    let addresses = hub.context.secret.address_hashes(client);
    let permit = match Permit::take(&hub, &addresses) {
        Ok(permit) => permit,
        Err(refused) => return *refused,
    };
    let tasks = hub.context.tasks.clone();
    upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(HARD_MAX_FRAME)
        .max_frame_size(HARD_MAX_FRAME)
        .on_upgrade(move |socket| tasks.track(serve(hub, socket, addresses, permit)))
}

/// No origin (not a browser), the page's own host, or one of the setting.
fn origin_is_good(headers: &HeaderMap, allowed: &[Origin]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Some(origin) = origin.to_str().ok().and_then(|origin| origin.parse::<Origin>().ok()) else {
        return false;
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if allowed.is_empty() {
        host.is_some_and(|host| host.eq_ignore_ascii_case(origin.authority()))
    } else {
        allowed.contains(&origin)
    }
}

/// One socket's life.
async fn serve(hub: Arc<Hub>, socket: WebSocket, addresses: Vec<AddressHash>, permit: Permit) {
    let outbox = Arc::new(Outbox::new(hub.metrics.to_clients.clone()));
    let (now, clock) = (Instant::now(), hub.context.clock);
    let mut connection = Connection {
        bad_frames: BadFrames::new(clock),
        frame_limit: FrameLimit::new(&hub.config.limits),
        hub,
        socket,
        addresses,
        outbox,
        presence: None,
        last_heard: now,
        last_frame: now,
        next_ping: after_interval(now, clock.unix_ms()),
        next_look: now + HELLO_TIMEOUT,
        farewell: None,
        broken: false,
    };
    let close = connection.run().await;
    connection.presence = None;
    connection.hub.metrics.disconnect(close);
    // The place is free only once the closing handshake can't hold a buffer any more.
    connection.say_close(close).await;
    drop(permit);
}

/// A session's hold of this socket. Dropping it says goodbye, also if the task panics.
struct Presence {
    hub: Arc<Hub>,
    slot: Arc<Slot>,
    outbox: Arc<Outbox>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.hub.goodbye(&self.slot, &self.outbox);
    }
}

struct Connection {
    hub: Arc<Hub>,
    socket: WebSocket,
    addresses: Vec<AddressHash>,
    outbox: Arc<Outbox>,
    /// None until `hello`.
    presence: Option<Presence>,
    bad_frames: BadFrames,
    frame_limit: FrameLimit,
    last_heard: Instant,
    last_frame: Instant,
    next_ping: Instant,
    next_look: Instant,
    /// How this socket is let go, once the gateway drains.
    farewell: Option<Farewell>,
    /// The protocol was broken, so nothing more can be read.
    broken: bool,
}

impl Connection {
    /// Until the socket ends, or is to be closed.
    async fn run(&mut self) -> Close {
        let hard = self.hub.context.drain.hard();
        tokio::select! {
            close = self.live() => close,
            () = hard => Close::Restart,
        }
    }

    async fn live(&mut self) -> Close {
        let soft = self.hub.context.drain.soft();
        tokio::pin!(soft);
        let outbox = Arc::clone(&self.outbox);
        // One timer for the socket's life: it is set anew only when the next look has another time, not with each frame.
        let look = tokio::time::sleep_until(self.next_look);
        tokio::pin!(look);
        loop {
            if look.deadline() != self.next_look {
                look.as_mut().reset(self.next_look);
            }
            let ended = tokio::select! {
                received = self.socket.recv() => self.received(received),
                () = outbox.changed() => self.flush().await,
                () = &mut look => self.look().await,
                () = &mut soft, if self.farewell.is_none() => self.begin_drain(),
            };
            if let Some(close) = ended {
                return close;
            }
        }
    }

    fn received(&mut self, received: Option<Result<Message, axum::Error>>) -> Option<Close> {
        self.last_heard = Instant::now();
        match received {
            Some(Ok(Message::Text(text))) if text.len() > MAX_FRAME => Some(Close::TooBig),
            Some(Ok(Message::Text(text))) => {
                self.last_frame = self.last_heard;
                self.frame(&text)
            }
            Some(Ok(Message::Binary(_))) => Some(Close::NotText),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
            Some(Ok(Message::Close(_))) => Some(Close::Normal),
            Some(Err(error)) => {
                self.broken = true;
                Some(close_for(error))
            }
            None => Some(Close::Lost),
        }
    }

    fn frame(&mut self, text: &str) -> Option<Close> {
        if let Err(refusal) = self.frame_limit.check() {
            self.refuse(refusal);
            return None;
        }
        match (ClientFrame::parse(text, &self.hub.config.wishes), &self.presence) {
            (Ok(ClientFrame::Hello(hello)), None) => self.hello(&hello),
            (Ok(frame), Some(presence)) => {
                self.hub.frame(&presence.slot, &self.outbox, frame);
                None
            }
            (Ok(_), None) => {
                self.refuse(Refusal::new(Code::NotNow, "say hello first"));
                None
            }
            (Err(refusal), _) => {
                let one_too_many = refusal.code == Code::BadFrame && self.bad_frames.one_more();
                self.refuse(refusal);
                one_too_many.then(|| self.close_after_all(Close::Misbehaving)).flatten()
            }
        }
    }

    fn hello(&mut self, hello: &Hello) -> Option<Close> {
        if let Err(refusal) = self.may_come(hello) {
            self.refuse(refusal);
            return self.close_after_all(Close::Overloaded);
        }
        match self.hub.hello(hello, self.addresses.clone(), &self.outbox) {
            Ok(slot) => {
                let (hub, outbox) = (Arc::clone(&self.hub), Arc::clone(&self.outbox));
                self.presence = Some(Presence { hub, slot, outbox });
                if self.farewell.is_none() {
                    self.next_look = self.next_ping;
                }
                None
            }
            Err(refusal) => {
                self.refuse(refusal);
                self.close_after_all(Close::Banned)
            }
        }
    }

    /// While many come at once, those who come back into something go first. (A resume token is good only with its session's.)
    fn may_come(&self, hello: &Hello) -> Result<(), Refusal> {
        let Hub { admission, context, config, .. } = &*self.hub;
        let is_good = |token: &str| token::read_session(context, &config.wishes.sections, token).is_some();
        let comes_back = || hello.session.as_deref().is_some_and(is_good);
        if admission.takes_newcomers() || comes_back() {
            return Ok(());
        }
        let after = context.random.duration(COME_BACK_WITHIN);
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Err(Refusal::new(Code::Busy, "too many come at once").retry_after(after_ms))
    }

    fn refuse(&self, refusal: Refusal) {
        self.hub.metrics.refusal(refusal.code);
        self.outbox.push(ServerFrame::Error(refusal).to_json());
    }

    /// Closes once what waits has been sent.
    fn close_after_all(&self, close: Close) -> Option<Close> {
        self.outbox.close(close);
        None
    }

    /// Sends all that waits.
    async fn flush(&mut self) -> Option<Close> {
        let (frames, close) = self.outbox.take();
        let outbox = Arc::clone(&self.outbox);
        let write = async {
            for frame in frames {
                self.socket.feed(Message::Text(frame.into())).await?;
            }
            self.socket.flush().await
        };
        let written = tokio::select! {
            written = tokio::time::timeout(WRITE_TIMEOUT, write) => written,
            () = outbox.overflowed() => return Some(Close::SlowConsumer),
        };
        match written {
            Ok(Ok(())) => close,
            Ok(Err(_)) => Some(close.unwrap_or(Close::Lost)),
            Err(_) => Some(Close::SlowConsumer),
        }
    }

    /// What time brings: the end of patience or of the gateway, or a ping.
    async fn look(&mut self) -> Option<Close> {
        let now = Instant::now();
        let activity = self.presence.as_ref().map(|presence| presence.slot.activity());
        if self.takes_leave(now, activity) {
            self.next_look = now + CLOSE_TIMEOUT;
            return None;
        }
        let Some(activity) = activity else { return Some(Close::HelloTooLate) };
        if now.duration_since(self.last_heard) >= SILENCE {
            return Some(Close::Lost);
        }
        if now.duration_since(self.last_frame) >= IDLE && activity == Activity::Idle {
            return Some(Close::IdleTooLong);
        }
        // Silence is noticed when it is over, not at the next ping after.
        let silence = (self.last_heard + SILENCE).max(now + Duration::from_secs(1));
        let ping = if now >= self.next_ping { self.ping(now).await } else { None };
        self.next_look = self.next_ping.min(silence);
        if let Some(farewell) = &self.farewell {
            self.next_look = self.next_look.min(farewell.next_look(now));
        }
        ping
    }

    async fn ping(&mut self, now: Instant) -> Option<Close> {
        self.next_ping = after_interval(now, self.hub.context.clock.unix_ms());
        let ping = self.socket.send(Message::Ping(axum::body::Bytes::new()));
        match tokio::time::timeout(WRITE_TIMEOUT, ping).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some(Close::Lost),
            Err(_) => Some(Close::SlowConsumer),
        }
    }

    /// The gateway stops: each socket goes at its own moment.
    fn begin_drain(&mut self) -> Option<Close> {
        let (now, context) = (Instant::now(), &self.hub.context);
        let farewell = Farewell::new(now, context.drain.remaining(), &context.random);
        self.next_look = self.next_look.min(farewell.next_look(now));
        self.farewell = Some(farewell);
        None
    }

    /// Tells the client to go when it is time. Returns whether the time to close has come.
    fn takes_leave(&mut self, now: Instant, activity: Option<Activity>) -> bool {
        let Some(farewell) = &mut self.farewell else { return false };
        let step = farewell.step(now, activity);
        if let (Step::Tell(after), Some(presence)) = (step, &self.presence)
            && self.hub.send_away(&presence.slot, &self.outbox, after)
        {
            farewell.told(now);
        }
        if step == Step::Close {
            self.outbox.close(Close::Restart);
        }
        step == Step::Close
    }

    /// Says goodbye, as far as the client still listens.
    async fn say_close(mut self, close: Close) {
        if close == Close::Lost {
            return;
        }
        // Never closed, so it can always be had in the end.
        let _turn = if close == Close::Restart { self.hub.farewells.acquire().await.ok() } else { None };
        let frame = CloseFrame { code: close.code(), reason: close.reason().into() };
        let broken = self.broken;
        let goodbye = async {
            // It fails if the client has said goodbye first; then reading on sends the answer to that.
            let _ = self.socket.send(Message::Close(Some(frame))).await;
            // What was on its way is read and dropped until the client closes too; a TCP reset would take the code away.
            while self.socket.recv().await.is_some_and(|received| received.is_ok()) {}
            if broken {
                // It can't be read on, so the client is given time to read.
                tokio::time::sleep(CLOSE_TIMEOUT).await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}

/// When the next ping is due: the interval after `now`, which is `unix_ms`, or up to [`PING_GRID_MS`] before.
fn after_interval(now: Instant, unix_ms: u64) -> Instant {
    now + PING_INTERVAL - Duration::from_millis(unix_ms % PING_GRID_MS)
}

/// What an error of the protocol means.
fn close_for(error: axum::Error) -> Close {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => Close::TooBig,
        Some(Error::Utf8(_)) => Close::NotUtf8,
        Some(Error::Protocol(problem))
            if !matches!(problem, tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) =>
        {
            Close::Misbehaving
        }
        _ => Close::Lost,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn an_origin_is_the_own_host_or_one_of_the_setting() {
        let allowed = |origin: &str, host: &'static str, setting: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if !origin.is_empty() {
                headers.insert(header::ORIGIN, origin.parse().expect("a header value"));
            }
            let setting: Vec<Origin> =
                setting.iter().map(|origin| origin.parse().expect("an origin")).collect();
            origin_is_good(&headers, &setting)
        };
        assert!(allowed("", "chat.example", &[]));
        assert!(allowed("https://Chat.example", "chat.example", &[]));
        assert!(allowed("http://127.0.0.1:8080", "127.0.0.1:8080", &[]));
        assert!(!allowed("https://evil.example", "chat.example", &[]));
        assert!(!allowed("null", "chat.example", &[]));
        assert!(allowed("https://app.example", "chat.example", &["https://app.example"]));
        assert!(!allowed("http://app.example", "chat.example", &["https://app.example"]));
    }
}
