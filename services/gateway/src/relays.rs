//! The streams to relays: one per relay, which carries all chats that this gateway has there.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chassis::{
    Context,
    grpc::{Channel, Targets},
};
use dashmap::DashMap;
use futures_util::stream;
use parking_lot::Mutex;
use prost::Message as _;
use stroll_proto::v1::{
    ConnectRequest, Decline, GatewayFrame, Leave, Ping, RelayFrame, Subject, gateway_frame::Body,
    relay_service_client::RelayServiceClient,
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior},
};
use tonic::Status;
use tracing::{info, warn};

use crate::{
    metrics::{Depth, Metrics},
    session::{Departure, Pairing, Retake},
    slot::Slot,
};

/// Most frames that wait for a relay. One that takes none for so long is as good as lost.
const MAX_WAITING: usize = 65_536;
/// How long a relay may take to open the stream.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a relay is pinged, and it is looked whether anything has come from it.
const LOOK: Duration = Duration::from_millis(500);
/// How long nothing may come from a relay; and from one that matchmakers don't hear either.
const SILENCE: Duration = Duration::from_secs(2);
const SILENCE_IF_DOUBTED: Duration = Duration::from_secs(1);
/// Most frames in one request, and most bytes.
const MAX_BATCH: usize = 512;
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// News from a relay's stream, in order.
pub enum News {
    /// Frames for seats of this stream.
    Frames(Vec<RelayFrame>),
    /// The stream is over, and with it every seat on it.
    Lost,
}

/// All streams of this gateway.
pub struct Relays {
    context: Context,
    gateway: String,
    metrics: Metrics,
    links: Mutex<HashMap<String, Arc<Link>>>,
    news: mpsc::Sender<(Arc<Link>, News)>,
}

impl Relays {
    /// None yet. News of all streams go into `news`.
    #[must_use]
    pub fn new(
        context: Context,
        gateway: String,
        metrics: Metrics,
        news: mpsc::Sender<(Arc<Link>, News)>,
    ) -> Self {
        Self { context, gateway, metrics, links: Mutex::default(), news }
    }

    /// The stream to a relay; begun, if there is none.
    pub fn link(self: &Arc<Self>, address: &str) -> Arc<Link> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(address) {
            return Arc::clone(link);
        }
        let link = Arc::new(Link::new(self.metrics.to_relays.clone()));
        links.insert(address.to_owned(), Arc::clone(&link));
        let (relays, running) = (Arc::clone(self), Arc::clone(&link));
        let address = address.to_owned();
        self.context.tasks.spawn("relay link", async move { relays.run(address, running).await });
        link
    }

    /// These relays are heard of by matchmakers. Others may be lost, if they say nothing here either.
    pub fn heard_of(&self, addresses: &[String]) {
        for (address, link) in &*self.links.lock() {
            link.queue.lock().is_doubted = !addresses.contains(address);
        }
    }

    /// Leaves a chat that has no seat here: takes it for a moment.
    pub fn depart(self: &Arc<Self>, departure: &Departure, subject: Subject) {
        let Departure { relay, seat_token, turn, banned } = departure;
        let (link, retake) = (
            self.link(relay),
            Retake {
                relay: relay.clone(),
                seat_token: seat_token.clone(),
                turn: *turn,
                received: None,
                confirmed: None,
                began: true,
                carried: true,
                away: false,
            },
        );
        let handle = link.new_handle();
        link.push(handle, retake_seat(&retake, subject));
        link.push(handle, Body::Leave(Leave { banned: *banned }));
    }

    /// Refuses a seat.
    pub fn decline(self: &Arc<Self>, pairing: &Pairing) {
        let link = self.link(&pairing.relay);
        link.push(link.new_handle(), Body::Decline(Decline { seat_token: pairing.seat_token.clone() }));
    }

    async fn run(self: Arc<Self>, address: String, link: Arc<Link>) {
        self.metrics.relay(1);
        let ended = tokio::select! {
            ended = self.carry(&address, &link) => ended,
            () = link.stopped.notified() => Err(Status::resource_exhausted("the relay takes no frames")),
            () = self.context.drain.hard() => Ok(()),
        };
        match ended {
            Ok(()) => info!(relay = %address, "relay stream ended"),
            Err(status) => {
                warn!(relay = %address, code = ?status.code(), cause = status.message(), "relay lost");
            }
        }
        self.metrics.relay(-1);
        link.stop();
        // First out of the table, so that whoever hears of the loss gets a new stream.
        self.links.lock().remove(&address);
        let _ = self.news.send((link, News::Lost)).await;
    }

    async fn carry(&self, address: &str, link: &Arc<Link>) -> Result<(), Status> {
        let targets: Targets =
            address.parse().map_err(|_| Status::invalid_argument("the relay's address is not a URL"))?;
        let mut client = RelayServiceClient::new(Channel::new(&self.context, targets));
        let first = ConnectRequest { gateway: self.gateway.clone(), frames: Vec::new() };
        let rest = stream::unfold(Arc::clone(link), async |link| {
            link.next_batch().await.map(|frames| (ConnectRequest { gateway: String::new(), frames }, link))
        });
        let requests = futures_util::StreamExt::chain(stream::iter([first]), rest);
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, client.connect(requests)).await;
        let connected = connecting.map_err(|_| Status::deadline_exceeded("the relay does not answer"))??;
        let mut responses = connected.into_inner();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut heard, mut looked) = (Instant::now(), Instant::now());
        loop {
            let response = tokio::select! {
                response = responses.message() => response?,
                _ = look.tick() => {
                    // After a pause of our own, what came meanwhile is to be read first.
                    let paused = looked.elapsed() > 2 * LOOK;
                    looked = Instant::now();
                    if !paused && heard.elapsed() >= link.patience() {
                        return Err(Status::deadline_exceeded("nothing came from the relay for a while"));
                    }
                    // Also while much comes: the relay too has to know that somebody is there.
                    link.push(0, Body::Ping(Ping {}));
                    continue;
                }
            };
            heard = Instant::now();
            let Some(response) = response else { return Ok(()) };
            if self.news.send((Arc::clone(link), News::Frames(response.frames))).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// One stream.
pub struct Link {
    queue: Mutex<Queue>,
    depth: Depth,
    wake: Notify,
    /// Its own signal, for the one who ends the stream.
    stopped: Notify,
    seats: DashMap<u64, Arc<Slot>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<GatewayFrame>,
    next_handle: u64,
    stopped: bool,
    /// Matchmakers don't hear of the relay.
    is_doubted: bool,
}

impl Link {
    fn new(depth: Depth) -> Self {
        let queue = Mutex::default();
        Self { queue, depth, wake: Notify::new(), stopped: Notify::new(), seats: DashMap::new() }
    }

    /// A number for a seat, never used before on this stream.
    pub fn new_handle(&self) -> u64 {
        let mut queue = self.queue.lock();
        queue.next_handle += 1;
        queue.next_handle
    }

    /// How long nothing may come.
    fn patience(&self) -> Duration {
        if self.queue.lock().is_doubted { SILENCE_IF_DOUBTED } else { SILENCE }
    }

    /// From now on frames for the handle are the slot's.
    pub fn register(&self, handle: u64, slot: Arc<Slot>) {
        self.seats.insert(handle, slot);
    }

    /// No more.
    pub fn forget(&self, handle: u64) {
        self.seats.remove(&handle);
    }

    /// Whose a handle is.
    pub fn slot(&self, handle: u64) -> Option<Arc<Slot>> {
        self.seats.get(&handle).map(|slot| Arc::clone(&slot))
    }

    /// All seats on this stream, which is over.
    pub fn take_seats(&self) -> Vec<(u64, Arc<Slot>)> {
        let seats = self.seats.iter().map(|seat| (*seat.key(), Arc::clone(seat.value()))).collect();
        self.seats.clear();
        seats
    }

    /// Queues a frame. False: the stream is over.
    pub fn push(&self, handle: u64, body: Body) -> bool {
        let mut queue = self.queue.lock();
        if queue.waiting.len() >= MAX_WAITING {
            queue.stopped = true;
            self.stopped.notify_one();
        }
        if !queue.stopped {
            queue.waiting.push_back(GatewayFrame { handle, body: Some(body) });
            self.depth.add(1);
        }
        let taken = !queue.stopped;
        drop(queue);
        self.wake.notify_one();
        taken
    }

    fn stop(&self) {
        let mut queue = self.queue.lock();
        queue.stopped = true;
        self.depth.sub(queue.waiting.len());
        queue.waiting = VecDeque::new();
        drop(queue);
        self.wake.notify_one();
    }

    /// The next frames, as many as fit; none once the stream is over.
    async fn next_batch(&self) -> Option<Vec<GatewayFrame>> {
        loop {
            let batch = {
                let mut queue = self.queue.lock();
                if queue.stopped {
                    return None;
                }
                take_batch(&mut queue.waiting)
            };
            if !batch.is_empty() {
                self.depth.sub(batch.len());
                return Some(batch);
            }
            self.wake.notified().await;
            // What is ready to run goes first, and what it has to say goes out in the same request.
            tokio::task::yield_now().await;
        }
    }
}

fn take_batch(waiting: &mut VecDeque<GatewayFrame>) -> Vec<GatewayFrame> {
    let mut bytes = 0;
    let fits = |frame: &&GatewayFrame| {
        bytes += frame.encoded_len();
        bytes <= MAX_BATCH_BYTES
    };
    let count = waiting.iter().take(MAX_BATCH).take_while(fits).count();
    waiting.drain(..count).collect()
}

/// The first frame of a seat.
#[must_use]
pub fn attach(pairing: &Pairing, subject: Subject, traceparent: String) -> Body {
    Body::Attach(stroll_proto::v1::Attach {
        seat_token: Bytes::clone(&pairing.seat_token),
        subject: Some(subject),
        received: Some(0),
        confirmed: Some(0),
        traceparent,
        began: false,
        carried: true,
        away: false,
        turn: pairing.turn,
    })
}

/// The first frame of a seat that is taken again, or elsewhere.
#[must_use]
pub fn retake_seat(retake: &Retake, subject: Subject) -> Body {
    Body::Attach(stroll_proto::v1::Attach {
        seat_token: Bytes::clone(&retake.seat_token),
        subject: Some(subject),
        received: retake.received,
        confirmed: retake.confirmed,
        traceparent: String::new(),
        began: retake.began,
        carried: retake.carried,
        away: retake.away,
        turn: retake.turn,
    })
}
