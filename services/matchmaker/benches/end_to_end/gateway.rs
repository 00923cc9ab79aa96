//! Gateways, as far as a matchmaker sees them: each puts tickets in, as many with one call as have come while the last call
//! was under way, watches its assignments, acknowledges them, and says once a second that it lives.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use chassis::{
    Context,
    grpc::{self, Channel},
};
use parking_lot::Mutex;
use stroll_proto::v1::{
    EnqueueRequest, GatewayLoad, HeartbeatRequest, WatchAssignmentsRequest, WatchOpen,
    enqueue_result::Outcome, matchmaker_service_client::MatchmakerServiceClient,
    watch_assignments_request::Kind as Up, watch_assignments_response::Kind as Down,
};
use tokio::{
    sync::mpsc,
    time::{Instant, interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;

use crate::tickets::Tickets;

/// How often a gateway and a relay say that they live.
const BEAT: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a matchmaker may take to start.
const START: Duration = Duration::from_secs(20);
/// What one call takes.
const MOST: usize = 512;

type Client = MatchmakerServiceClient<Channel>;

/// What happens to all gateways' sessions.
#[derive(Default)]
pub struct Crowd {
    /// Who is paired comes back at once.
    pub comes_back: AtomicBool,
    /// Assignments that have come.
    pub assigned: AtomicUsize,
    /// When who came, and how long it took until the assignment was here.
    pub waits: Mutex<Vec<(Instant, Duration)>>,
    /// When those came who wait.
    waiting: Mutex<HashMap<Vec<u8>, Instant>>,
}

impl Crowd {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }

    /// Tells since when it waited; `None` if that was told before, because an assignment may come twice.
    fn assign(&self, ticket: &[u8], now: Instant) -> Option<Instant> {
        let came = self.waiting.lock().remove(ticket)?;
        self.assigned.fetch_add(1, Ordering::Relaxed);
        if !self.comes_back.load(Ordering::Relaxed) {
            self.waits.lock().push((came, now - came));
        }
        Some(came)
    }
}

/// A gateway with an open watch.
pub struct Gateway {
    arrivals: mpsc::UnboundedSender<Instant>,
}

impl Gateway {
    /// Opens a watch.
    pub async fn start(
        context: &Context,
        matchmaker: &Channel,
        number: u64,
        crowd: &Arc<Crowd>,
    ) -> anyhow::Result<Self> {
        let name = format!("gateway-{number}");
        let mut client = Client::new(matchmaker.clone());
        let (up, requests) = mpsc::channel(16);
        up.send(say(Up::Open(WatchOpen { gateway: name.clone(), ..WatchOpen::default() }))).await?;
        let watch = client.watch_assignments(ReceiverStream::new(requests)).await?.into_inner();
        let (arrivals, arriving) = mpsc::unbounded_channel();
        tell(context, "enqueue", enqueue(client, context.clone(), name, arriving, Arc::clone(crowd)));
        tell(context, "watch", hear(watch, up, arrivals.clone(), Arc::clone(crowd)));
        Ok(Self { arrivals })
    }

    /// Somebody came.
    pub fn arrive(&self, at: Instant) {
        // It fails only where the other end has told why.
        let _ = self.arrivals.send(at);
    }
}

/// A relay that says that it lives, and has said so once.
pub async fn relay(context: &Context, matchmaker: &Channel, number: u64) -> anyhow::Result<()> {
    let mut client = Client::new(matchmaker.clone());
    let beat = HeartbeatRequest {
        relay: format!("relay-{number}"),
        address: format!("http://relay-{number}.stroll:7002"),
        zone: "a".to_owned(),
        ..HeartbeatRequest::default()
    };
    let began = Instant::now();
    while let Err(status) = client.heartbeat(grpc::request(beat.clone(), DEADLINE)).await {
        // The matchmaker may still be starting.
        ensure!(began.elapsed() < START, "the matchmaker is not there: {status}");
        sleep(Duration::from_millis(50)).await;
    }
    tell(context, "relay", async move {
        let mut interval = interval(BEAT);
        loop {
            interval.tick().await;
            client.heartbeat(grpc::request(beat.clone(), DEADLINE)).await?;
        }
    });
    Ok(())
}

async fn enqueue(
    mut client: Client,
    context: Context,
    gateway: String,
    mut arriving: mpsc::UnboundedReceiver<Instant>,
    crowd: Arc<Crowd>,
) -> anyhow::Result<()> {
    let new = Tickets::new(context.random.clone());
    let mut came = Vec::new();
    while arriving.recv_many(&mut came, MOST).await > 0 {
        let now = context.clock.unix_ms();
        let tickets = came.iter().map(|_| new.ticket(gateway.clone(), new.three_of_twenty(), now));
        let tickets: Vec<_> = tickets.collect();
        crowd.waiting.lock().extend(tickets.iter().map(|ticket| ticket.id.to_vec()).zip(came.drain(..)));
        let response = client.enqueue(grpc::request(EnqueueRequest { tickets }, DEADLINE)).await?;
        let results = response.into_inner().results;
        if let Some(refused) =
            results.iter().find(|result| !matches!(result.outcome, Some(Outcome::Place(_))))
        {
            bail!("a ticket is refused: {refused:?}");
        }
    }
    Ok(())
}

async fn hear(
    mut watch: tonic::Streaming<stroll_proto::v1::WatchAssignmentsResponse>,
    up: mpsc::Sender<WatchAssignmentsRequest>,
    arrivals: mpsc::UnboundedSender<Instant>,
    crowd: Arc<Crowd>,
) -> anyhow::Result<()> {
    let mut beat = interval(BEAT);
    loop {
        tokio::select! {
            _ = beat.tick() => up.send(say(Up::Load(GatewayLoad::default()))).await?,
            heard = watch.message() => {
                let Some(Down::Assignments(batch)) = heard?.context("the watch goes on")?.kind else { continue };
                let now = Instant::now();
                let Some(last) = batch.deliveries.last() else { continue };
                let acknowledged = Up::Acknowledge(last.id.clone());
                for assignment in batch.deliveries.into_iter().filter_map(|delivery| delivery.assignment) {
                    let known = crowd.assign(&assignment.ticket, now);
                    if known.is_some() && crowd.comes_back.load(Ordering::Relaxed) {
                        arrivals.send(now)?;
                    }
                }
                up.send(say(acknowledged)).await?;
            }
        }
    }
}

fn say(kind: Up) -> WatchAssignmentsRequest {
    WatchAssignmentsRequest { kind: Some(kind) }
}

/// Runs something, whose failure is a failure of the benchmark.
fn tell(
    context: &Context,
    name: &'static str,
    work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) {
    let hard = context.drain.hard();
    context.tasks.spawn(name, async move {
        let ended = tokio::select! {
            ended = work => ended,
            () = hard => Ok(()),
        };
        if let Err(error) = ended {
            fail(name, &error);
        }
    });
}

#[expect(clippy::print_stderr, reason = "a benchmark's output")]
fn fail(name: &str, error: &anyhow::Error) -> ! {
    eprintln!("{name}: {error:#}");
    std::process::abort()
}
