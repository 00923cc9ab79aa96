//! A scripted gateway: says what the test says, and keeps what it hears by handle.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use bytes::Bytes;
use chassis::{Context, Random, Secret, grpc::Channel};
use stroll_proto::v1::{
    Attach, Away, Back, ConnectRequest, ConnectResponse, Decline, EndedBy, GatewayFrame, Leave, Message,
    Moved, Moving, Peer, Ping, RefusedReason, RelayFrame, Replaced, Report, Reported, Resumed, Started,
    Subject, gateway_frame::Body as ToRelay, relay_frame::Body, relay_service_client::RelayServiceClient,
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::world::soon;

/// A handle that no test uses for a seat.
const FENCES: u64 = 1 << 32;

/// One gateway with its stream. Dropping it loses the stream.
pub struct Gateway {
    context: Context,
    requests: UnboundedSender<ConnectRequest>,
    responses: Streaming<ConnectResponse>,
    heard: HashMap<u64, VecDeque<Body>>,
    fences: u64,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.context.drain.force();
    }
}

impl Gateway {
    pub async fn connect(relay: SocketAddr) -> Self {
        Self::connect_as("gateway-test", relay).await.expect("a stream")
    }

    pub async fn connect_as(name: &str, relay: SocketAddr) -> Result<Self, Status> {
        let context = Context::new(Secret::ephemeral(&Random::from_os()), Duration::ZERO);
        let mut client = RelayServiceClient::new(Channel::new(&context, relay.into()));
        let (requests, outgoing) = unbounded_channel();
        let first = ConnectRequest { gateway: name.to_owned(), frames: Vec::new() };
        requests.send(first).expect("room");
        let responses = soon("a stream", client.connect(UnboundedReceiverStream::new(outgoing))).await?;
        let responses = responses.into_inner();
        context.tasks.spawn("ping", ping(context.clone(), requests.clone()));
        Ok(Self { context, requests, responses, heard: HashMap::new(), fences: FENCES })
    }

    // === what it says ===

    pub fn send(&self, handle: u64, body: ToRelay) {
        let frames = vec![GatewayFrame { handle, body: Some(body) }];
        // The relay may have ended the stream, which the test then sees by what it hears.
        let _ = self.requests.send(ConnectRequest { gateway: String::new(), frames });
    }

    pub fn attach(&self, handle: u64, seat_token: Bytes) {
        self.attach_having(handle, seat_token, 0);
    }

    pub fn attach_traced(&self, handle: u64, seat_token: Bytes, traceparent: &str) {
        let traceparent = traceparent.to_owned();
        let received = Some(0);
        self.send(handle, ToRelay::Attach(Attach { seat_token, received, traceparent, ..Attach::default() }));
    }

    pub fn attach_having(&self, handle: u64, seat_token: Bytes, received: u64) {
        let session = Bytes::from_static(b"a session's name");
        let address = Bytes::from_static(b"an address' hash");
        let subject = Some(Subject { session, address });
        let received = Some(received);
        self.send(handle, ToRelay::Attach(Attach { seat_token, subject, received, ..Attach::default() }));
    }

    /// Comes back into a chat that has begun, knowing no numbers.
    pub fn rejoin(&self, handle: u64, seat_token: Bytes, carried: bool) {
        self.send(handle, ToRelay::Attach(Attach { seat_token, began: true, carried, ..Attach::default() }));
    }

    /// Does not ping any more.
    pub fn falls_silent(&self) {
        self.context.drain.force();
    }

    pub fn moved(&self, handle: u64) {
        self.send(handle, ToRelay::Moved(Moved {}));
    }

    pub fn decline(&self, handle: u64, seat_token: Bytes) {
        self.send(handle, ToRelay::Decline(Decline { seat_token }));
    }

    pub fn say(&self, handle: u64, seq: u64, text: &str) {
        self.send(handle, ToRelay::Message(Message { seq, text: text.to_owned(), from: 0 }));
    }

    pub fn ack(&self, handle: u64, seq: u64) {
        self.send(handle, ToRelay::Ack(seq));
    }

    pub fn away(&self, handle: u64) {
        self.send(handle, ToRelay::Away(Away { elsewhere: false }));
    }

    pub fn back(&self, handle: u64, received: u64) {
        self.send(handle, ToRelay::Back(Back { received }));
    }

    pub fn leave(&self, handle: u64) {
        self.send(handle, ToRelay::Leave(Leave { banned: false }));
    }

    pub fn report(&self, handle: u64, id: u8) {
        let (reason, comment) = ("spam".to_owned(), "a comment".to_owned());
        self.send(handle, ToRelay::Report(Report { reason, comment, id: vec![id; 16].into() }));
    }

    // === what it hears ===

    /// The next frame for a handle.
    pub async fn hear(&mut self, handle: u64) -> Body {
        soon(format!("a frame for handle {handle}"), async {
            loop {
                if let Some(body) = self.heard(handle) {
                    return body;
                }
                self.take().await.expect("the stream goes on");
            }
        })
        .await
    }

    /// What was heard for a handle and not asked for yet.
    pub fn heard(&mut self, handle: u64) -> Option<Body> {
        self.heard.get_mut(&handle).and_then(VecDeque::pop_front)
    }

    /// Reads one batch. The end of the stream is an error, of code `Ok` if it was in order.
    async fn take(&mut self) -> Result<(), Status> {
        let batch = self.responses.message().await?.ok_or_else(|| Status::ok("the end"))?;
        for RelayFrame { handle, body } in batch.frames {
            if handle == 0 {
                continue;
            }
            self.heard.entry(handle).or_default().push_back(body.expect("a body"));
        }
        Ok(())
    }

    /// Reads until the stream ends.
    pub async fn end(&mut self) -> Status {
        soon("the stream's end", async {
            loop {
                if let Err(status) = self.take().await {
                    return status;
                }
            }
        })
        .await
    }

    /// Waits until the relay has done all that this gateway said so far.
    pub async fn settle(&mut self) {
        self.fences += 1;
        let fence = self.fences;
        self.attach(fence, Bytes::from_static(b"no token"));
        assert_eq!(self.refused(fence).await, RefusedReason::BadToken);
    }

    /// Waits likewise, and makes sure that nothing was heard that no test asked for.
    pub async fn is_quiet(&mut self) {
        self.settle().await;
        let unheard: Vec<_> = self.heard.iter().filter(|(_, bodies)| !bodies.is_empty()).collect();
        assert!(unheard.is_empty(), "{unheard:?}");
    }

    pub async fn started(&mut self, handle: u64) {
        assert_eq!(self.hear(handle).await, Body::Started(Started {}));
    }

    pub async fn moving(&mut self, handle: u64) {
        assert_eq!(self.hear(handle).await, Body::Moving(Moving {}));
    }

    pub async fn replaced(&mut self, handle: u64) {
        assert_eq!(self.hear(handle).await, Body::Replaced(Replaced {}));
    }

    pub async fn refused(&mut self, handle: u64) -> RefusedReason {
        match self.hear(handle).await {
            Body::Refused(refused) => refused.reason(),
            other => panic!("expected a refusal, heard {other:?}"),
        }
    }

    pub async fn message(&mut self, handle: u64) -> (u32, u64, String) {
        match self.hear(handle).await {
            Body::Message(Message { from, seq, text }) => (from, seq, text),
            other => panic!("expected a message, heard {other:?}"),
        }
    }

    pub async fn peer(&mut self, handle: u64) -> (u32, bool) {
        match self.hear(handle).await {
            Body::Peer(Peer { seat, away, .. }) => (seat, away),
            other => panic!("expected a peer, heard {other:?}"),
        }
    }

    pub async fn resumed(&mut self, handle: u64) -> u64 {
        match self.hear(handle).await {
            Body::Resumed(Resumed { received, .. }) => received.expect("a number"),
            other => panic!("expected `resumed`, heard {other:?}"),
        }
    }

    pub async fn ended(&mut self, handle: u64) -> (EndedBy, String) {
        match self.hear(handle).await {
            Body::Ended(ended) => (ended.by(), ended.reason),
            other => panic!("expected `ended`, heard {other:?}"),
        }
    }

    pub async fn reported(&mut self, handle: u64) -> (String, bool) {
        match self.hear(handle).await {
            Body::Reported(Reported { case, retry }) => (case, retry),
            other => panic!("expected `reported`, heard {other:?}"),
        }
    }
}

/// Lets the relay know that the gateway is there.
async fn ping(context: Context, requests: UnboundedSender<ConnectRequest>) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    let hard = context.drain.hard();
    tokio::pin!(hard);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = &mut hard => return,
        }
        let frames = vec![GatewayFrame { handle: 0, body: Some(ToRelay::Ping(Ping {})) }];
        if requests.send(ConnectRequest { gateway: String::new(), frames }).is_err() {
            return;
        }
    }
}
