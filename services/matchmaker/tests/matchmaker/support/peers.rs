//! The services around the matchmaker, as far as it sees them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chassis::{
    Context,
    grpc::{self, Channel, Targets},
    id::{SessionId, TicketId},
};
use stroll_proto::v1::{
    Assignment, Ban, CheckAccessRequest, CheckAccessResponse, CreateBanRequest, CreateBanResponse, Delivery,
    EnqueueRequest, ExplainTicketRequest, ExplainTicketResponse, GatewayLoad, HeartbeatRequest,
    InspectRequest, InspectResponse, LiftBanRequest, LiftBanResponse, LiveGateway, Mode, ReportRequest,
    ReportResponse, Subject, Ticket, TicketPlace, WatchAssignmentsRequest, WatchBansRequest,
    WatchBansResponse, WatchOpen,
    enqueue_result::Outcome,
    matchmaker_service_client::MatchmakerServiceClient,
    moderation_service_server::{ModerationService, ModerationServiceServer},
    watch_assignments_request::Kind as Up,
    watch_assignments_response::Kind as Down,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Node, until};

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a call may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// A subject of its own.
pub(crate) fn subject(context: &Context) -> Subject {
    Subject {
        session: SessionId::new(&context.random).to_bytes(),
        address: context.random.bytes::<16>().to_vec().into(),
    }
}

/// A ticket of somebody new who takes anybody.
pub(crate) fn ticket(context: &Context, gateway: &str) -> Ticket {
    Ticket {
        id: TicketId::new(&context.random).to_bytes(),
        gateway: gateway.to_owned(),
        subject: Some(subject(context)),
        mode: Mode::Text.into(),
        section: "main".to_owned(),
        since_unix_ms: context.clock.unix_ms(),
        ..Ticket::default()
    }
}

/// A relay that says that it lives, until it is dropped.
pub(crate) struct Relay(JoinHandle<()>);

impl Relay {
    /// Reports to `node`.
    pub(crate) fn start(context: &Context, node: &Node, address: &str) -> Self {
        Self::start_at(context, Targets::from(node.address), address)
    }

    /// Reports to whoever of `targets` is there.
    pub(crate) fn start_at(context: &Context, targets: Targets, address: &str) -> Self {
        let mut client = MatchmakerServiceClient::new(Channel::new(context, targets));
        let beat = HeartbeatRequest {
            relay: format!("relay-{}", address.rsplit(':').next().unwrap_or_default()),
            address: address.to_owned(),
            ..HeartbeatRequest::default()
        };
        Self(context.tasks.spawn("relay", async move {
            loop {
                let _ = client.heartbeat(grpc::request(beat.clone(), DEADLINE)).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A gateway's side of a watch.
pub(crate) struct Gateway {
    /// Its name.
    pub(crate) name: String,
    client: MatchmakerServiceClient<Channel>,
    context: Context,
    up: mpsc::Sender<WatchAssignmentsRequest>,
    down: Streaming<stroll_proto::v1::WatchAssignmentsResponse>,
    /// The store's generation as it was last told.
    pub(crate) generation: String,
    /// The cluster's numbers as they were last told.
    pub(crate) cluster: Option<GatewayLoad>,
    /// The relays that are heard of.
    pub relays: Vec<String>,
    /// The gateways that are heard of, each told by its id and address.
    pub gateways: Vec<LiveGateway>,
    /// Deliveries that came and were not looked at yet.
    deliveries: Vec<Delivery>,
    /// Says that the gateway is there, and what it carries.
    beat: JoinHandle<()>,
    load: watch::Sender<GatewayLoad>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

impl Gateway {
    /// Opens a watch at `node` and waits for the generation.
    pub(crate) async fn watch(context: &Context, node: &Node, name: &str, after: &str) -> Self {
        Self::watch_at(context, node.address, name, after).await
    }

    /// Opens a watch at `node`, of a gateway that others reach at `address`, and waits for the generation.
    pub(crate) async fn watch_reached_at(context: &Context, node: &Node, name: &str, address: &str) -> Self {
        let (gateway, address) = (name.to_owned(), address.to_owned());
        Self::open(context, node.address, WatchOpen { gateway, address, ..WatchOpen::default() }).await
    }

    /// Opens a watch at the matchmaker at `address` and waits for the generation.
    pub(crate) async fn watch_at(context: &Context, address: SocketAddr, name: &str, after: &str) -> Self {
        let (gateway, after) = (name.to_owned(), after.to_owned());
        Self::open(context, address, WatchOpen { gateway, after, ..WatchOpen::default() }).await
    }

    async fn open(context: &Context, address: SocketAddr, open: WatchOpen) -> Self {
        let name = open.gateway.clone();
        let mut client = MatchmakerServiceClient::new(Channel::new(context, Targets::from(address)));
        let (up, requests) = mpsc::channel(16);
        up.send(WatchAssignmentsRequest { kind: Some(Up::Open(open)) }).await.expect("room");
        let mut requests = Some(requests);
        let down = until(Duration::from_secs(5), "the watch opens", async || {
            // The first try may come before the channel knows an address.
            client
                .heartbeat(grpc::request(HeartbeatRequest::default(), DEADLINE))
                .await
                .err()
                .filter(|status| status.code() == tonic::Code::InvalidArgument)?;
            let requests = ReceiverStream::new(requests.take().expect("once"));
            Some(client.watch_assignments(requests).await.expect("a watch").into_inner())
        })
        .await;
        let loads = up.clone();
        let (load, carried) = watch::channel(GatewayLoad { online: 1, ..GatewayLoad::default() });
        let beat = context.tasks.spawn("beat", async move {
            let mut interval = tokio::time::interval(Duration::from_millis(500));
            loop {
                interval.tick().await;
                let load = *carried.borrow();
                if loads.send(WatchAssignmentsRequest { kind: Some(Up::Load(load)) }).await.is_err() {
                    return;
                }
            }
        });
        let mut gateway = Self {
            beat,
            load,
            name,
            client,
            context: context.clone(),
            up,
            down,
            generation: String::new(),
            cluster: None,
            relays: Vec::new(),
            gateways: Vec::new(),
            deliveries: Vec::new(),
        };
        gateway.hear_until(|gateway| !gateway.generation.is_empty()).await;
        gateway
    }

    /// Puts a ticket in, trying while the store or the matchmaker is away.
    pub(crate) async fn enqueue(&mut self, ticket: &Ticket) -> TicketPlace {
        self.enqueue_all(vec![ticket.clone()]).await.remove(0)
    }

    /// Puts tickets in with one call.
    pub(crate) async fn enqueue_all(&mut self, tickets: Vec<Ticket>) -> Vec<TicketPlace> {
        let (client, context) = (self.client.clone(), self.context.clone());
        let request = EnqueueRequest { tickets };
        let answer = grpc::retry(&context, Duration::from_secs(5), async || {
            client.clone().enqueue(grpc::request(request.clone(), DEADLINE)).await
        });
        let results = answer.await.expect("an answer").into_inner().results.into_iter();
        let places = results.map(|result| match result.outcome {
            Some(Outcome::Place(place)) => place,
            other => panic!("it is not put in: {other:?}"),
        });
        places.collect()
    }

    /// A client of the matchmaker that it watches.
    pub(crate) fn client(&self) -> MatchmakerServiceClient<Channel> {
        self.client.clone()
    }

    /// Why the ticket waits that has waited longest in the text pool, if one does.
    pub(crate) async fn explain_oldest(&self) -> Option<ExplainTicketResponse> {
        let request = ExplainTicketRequest {
            mode: Mode::Text.into(),
            section: "main".to_owned(),
            ..Default::default()
        };
        let answer = self.client.clone().explain_ticket(grpc::request(request, DEADLINE)).await;
        answer.ok().map(Response::into_inner)
    }

    /// Hears what comes for a while.
    pub(crate) async fn hear_for(&mut self, time: Duration) {
        // That it is over is no failure.
        let _ = timeout(time, async { while self.hear().await.is_ok() {} }).await;
    }

    /// From now on it carries so much.
    pub(crate) async fn carries(&self, load: GatewayLoad) {
        self.load.send_replace(load);
        self.say(Up::Load(load)).await;
    }

    /// Says something.
    pub(crate) async fn say(&self, kind: Up) {
        self.up.send(WatchAssignmentsRequest { kind: Some(kind) }).await.expect("the watch is open");
    }

    /// Says that everything up to `delivery` has arrived.
    pub(crate) async fn acknowledge(&self, delivery: &str) {
        self.say(Up::Acknowledge(delivery.to_owned())).await;
    }

    /// The next delivery, within `within`.
    pub(crate) async fn next(&mut self, within: Duration) -> Delivery {
        let heard = timeout(within, self.hear_until(|gateway| !gateway.deliveries.is_empty())).await;
        heard.unwrap_or_else(|_| panic!("{} is told nothing within {within:?}", self.name));
        self.deliveries.remove(0)
    }

    /// The next assignment, within `within`.
    pub(crate) async fn assignment(&mut self, within: Duration) -> Assignment {
        self.next(within).await.assignment.expect("an assignment")
    }

    /// Takes what came and was not looked at yet.
    pub(crate) fn take_unread(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }

    /// How much came and was not looked at yet.
    pub(crate) fn unread(&self) -> usize {
        self.deliveries.len()
    }

    /// Hears what comes until `enough`; panics if the watch ends, or it takes too long.
    pub(crate) async fn hear_until(&mut self, enough: impl Fn(&Self) -> bool) {
        let hearing = async {
            while !enough(self) {
                self.hear().await.expect("the watch goes on");
            }
        };
        timeout(PATIENCE, hearing).await.expect("it is told in time");
    }

    /// Hears until it is told of these gateways.
    pub(crate) async fn hears_of(&mut self, live: &[LiveGateway], within: Duration) {
        let heard = timeout(within, self.hear_until(|gateway| gateway.gateways == live)).await;
        heard.unwrap_or_else(|_| panic!("{} is told of {:?} within {within:?}", self.name, self.gateways));
    }

    /// Hears the next that comes.
    pub(crate) async fn hear(&mut self) -> Result<(), Status> {
        let heard = self.down.message().await?.ok_or_else(|| Status::unavailable("the end"))?;
        match heard.kind.expect("something") {
            Down::Assignments(batch) => self.deliveries.extend(batch.deliveries),
            Down::Generation(generation) => self.generation = generation,
            Down::Cluster(cluster) => self.cluster = Some(cluster),
            Down::Relays(relays) => self.relays = relays.addresses,
            Down::Gateways(gateways) => self.gateways = gateways.gateways,
        }
        Ok(())
    }
}

/// A moderation service that only tells bans.
pub(crate) struct Moderation {
    /// Where it is.
    pub(crate) address: SocketAddr,
    bans: watch::Sender<Vec<Ban>>,
}

impl Moderation {
    /// Starts one in which nobody is banned.
    pub(crate) async fn start(context: &Context) -> Self {
        let bans = watch::channel(Vec::new()).0;
        let listener = context.net.listen((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a port");
        let address = listener.address().expect("an address");
        let service = Arc::new(Script { bans: bans.clone(), context: context.clone() });
        let routes = tonic::service::Routes::new(ModerationServiceServer::from_arc(service));
        let own = context.clone();
        context
            .tasks
            .spawn("moderation", async move { grpc::serve(&own, listener, "moderation", routes).await });
        Self { address, bans }
    }

    /// Bans a subject for an hour.
    pub(crate) fn ban(&self, context: &Context, subject: Subject) {
        let until_unix_ms = context.clock.unix_ms() + 3_600_000;
        self.bans.send_modify(|bans| {
            let id = format!("ban-{}", bans.len());
            bans.push(Ban { id, subject: Some(subject), until_unix_ms, reason: "spam".to_owned() });
        });
    }
}

struct Script {
    bans: watch::Sender<Vec<Ban>>,
    context: Context,
}

#[tonic::async_trait]
impl ModerationService for Script {
    type InspectStream = ReceiverStream<Result<InspectResponse, Status>>;
    type WatchBansStream = ReceiverStream<Result<WatchBansResponse, Status>>;

    async fn watch_bans(
        &self,
        _request: Request<WatchBansRequest>,
    ) -> Result<Response<Self::WatchBansStream>, Status> {
        let (answers, receiver) = mpsc::channel(4);
        let mut bans = self.bans.subscribe();
        self.context.tasks.spawn("bans", async move {
            loop {
                let told = bans.borrow_and_update().clone();
                let told = WatchBansResponse { bans: told, lifted: Vec::new(), synced: true };
                if answers.send(Ok(told)).await.is_err() || bans.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn inspect(
        &self,
        _request: Request<Streaming<InspectRequest>>,
    ) -> Result<Response<Self::InspectStream>, Status> {
        Err(Status::unimplemented("not asked by a matchmaker"))
    }

    async fn report(&self, _request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        Err(Status::unimplemented("not asked by a matchmaker"))
    }

    async fn check_access(
        &self,
        _request: Request<CheckAccessRequest>,
    ) -> Result<Response<CheckAccessResponse>, Status> {
        Err(Status::unimplemented("not asked by a matchmaker"))
    }

    async fn create_ban(
        &self,
        _request: Request<CreateBanRequest>,
    ) -> Result<Response<CreateBanResponse>, Status> {
        Err(Status::unimplemented("not asked by a matchmaker"))
    }

    async fn lift_ban(&self, _request: Request<LiftBanRequest>) -> Result<Response<LiftBanResponse>, Status> {
        Err(Status::unimplemented("not asked by a matchmaker"))
    }
}
