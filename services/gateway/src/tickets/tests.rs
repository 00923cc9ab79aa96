//! Tickets on their way into the pool, against a matchmaker that answers as it is told.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{
    Context, Random, Secret,
    grpc::Channel,
    id::{AddressHash, TicketId},
};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use stroll_proto::v1::{
    CancelRequest, CancelResponse, ChooseHomesRequest, ChooseHomesResponse, EnqueueRefusal,
    EnqueueRefusalReason, EnqueueRequest, EnqueueResponse, EnqueueResult, ExplainTicketRequest,
    ExplainTicketResponse, HeartbeatRequest, HeartbeatResponse, Ticket, TicketPlace, WatchAssignmentsRequest,
    WatchAssignmentsResponse,
    enqueue_result::Outcome,
    matchmaker_service_server::{MatchmakerService, MatchmakerServiceServer},
    watch_assignments_response,
};
use tokio::{sync::Semaphore, time::Instant};
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::{
    classic::tests::pairing,
    config::tests::public,
    hub::Hub,
    metrics::Depth,
    outbox::Outbox,
    protocol::{ClientFrame, Hello},
    session::Pairing,
    slot::Slot,
    watch::watch,
};

const PATIENCE: Duration = Duration::from_secs(10);

// === the matchmaker ===

type Answer = fn(&Ticket) -> Result<EnqueueResult, Status>;

/// Keeps what it was asked, and answers one call after another as the script says; puts in everything once that is over.
#[derive(Clone)]
struct Matchmaker(Arc<Inner>);

struct Inner {
    calls: Mutex<Vec<Vec<Ticket>>>,
    cancelled: Mutex<Vec<CancelRequest>>,
    script: Mutex<VecDeque<Answer>>,
    /// A call takes one to be answered.
    turns: Semaphore,
    entries: AtomicU64,
}

const MANY: usize = 1_000;

fn put_in(_: &Ticket) -> Result<EnqueueResult, Status> {
    Ok(EnqueueResult { outcome: None, estimate_ms: Some(70), anybody_estimate_ms: Some(30) })
}

fn refuse(reason: EnqueueRefusalReason, retry_after_ms: u64) -> Result<EnqueueResult, Status> {
    let refusal = EnqueueRefusal { reason: reason.into(), text: "scripted".into(), retry_after_ms };
    Ok(EnqueueResult { outcome: Some(Outcome::Refusal(refusal)), ..EnqueueResult::default() })
}

fn full(_: &Ticket) -> Result<EnqueueResult, Status> {
    refuse(EnqueueRefusalReason::Full, 30)
}

fn away(_: &Ticket) -> Result<EnqueueResult, Status> {
    Err(Status::unavailable("scripted"))
}

#[tonic::async_trait]
impl MatchmakerService for Matchmaker {
    async fn enqueue(&self, request: Request<EnqueueRequest>) -> Result<Response<EnqueueResponse>, Status> {
        let tickets = request.into_inner().tickets;
        self.0.calls.lock().push(tickets.clone());
        self.0.turns.acquire().await.expect("never closed").forget();
        let answer = self.0.script.lock().pop_front().unwrap_or(put_in);
        let place = |mut result: EnqueueResult| {
            result.outcome.get_or_insert_with(|| {
                let entry = self.0.entries.fetch_add(1, Ordering::Relaxed).to_string();
                Outcome::Place(TicketPlace { shard: "text.main.0".into(), entry })
            });
            result
        };
        let results = tickets.iter().map(|ticket| answer(ticket).map(place)).collect::<Result<_, _>>()?;
        Ok(Response::new(EnqueueResponse { results, generation: "1".into() }))
    }

    async fn cancel(&self, request: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        self.0.cancelled.lock().push(request.into_inner());
        Ok(Response::new(CancelResponse { cancelled: true }))
    }

    type WatchAssignmentsStream =
        Pin<Box<dyn futures_util::Stream<Item = Result<WatchAssignmentsResponse, Status>> + Send>>;

    async fn watch_assignments(
        &self,
        _: Request<Streaming<WatchAssignmentsRequest>>,
    ) -> Result<Response<Self::WatchAssignmentsStream>, Status> {
        let kind = Some(watch_assignments_response::Kind::Generation("1".into()));
        let first = futures_util::stream::iter([Ok(WatchAssignmentsResponse { kind })]);
        Ok(Response::new(Box::pin(first.chain(futures_util::stream::pending()))))
    }

    async fn heartbeat(&self, _: Request<HeartbeatRequest>) -> Result<Response<HeartbeatResponse>, Status> {
        Err(Status::unimplemented("no relays"))
    }

    async fn choose_homes(
        &self,
        _: Request<ChooseHomesRequest>,
    ) -> Result<Response<ChooseHomesResponse>, Status> {
        Err(Status::unimplemented("no chats"))
    }

    async fn explain_ticket(
        &self,
        _: Request<ExplainTicketRequest>,
    ) -> Result<Response<ExplainTicketResponse>, Status> {
        Err(Status::unimplemented("no questions"))
    }
}

// === the gateway ===

struct Stage {
    hub: Arc<Hub>,
    matchmaker: Matchmaker,
}

impl Stage {
    async fn new(script: &[Answer], turns: usize) -> Self {
        let inner = Inner {
            calls: Mutex::default(),
            cancelled: Mutex::default(),
            script: Mutex::new(script.iter().copied().collect()),
            turns: Semaphore::new(turns),
            entries: AtomicU64::new(0),
        };
        let matchmaker = Matchmaker(Arc::new(inner));
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let any_port = "127.0.0.1:0".parse().expect("an address");
        let listener = context.net.listen(any_port).await.expect("to listen");
        let address = listener.address().expect("an address");
        let routes = Routes::new(MatchmakerServiceServer::new(matchmaker.clone()));
        let serving = context.clone();
        context.tasks.spawn("matchmaker", async move {
            chassis::grpc::serve(&serving, listener, "stroll.v1.MatchmakerService", routes).await
        });
        let config = public(&["--zone", "a", "--sections", "main,night"]);
        let channel = || Channel::new(&context, address.into());
        Self { hub: Hub::start(&context, config, String::new(), channel(), channel()), matchmaker }
    }

    fn client(&self) -> Client {
        let outbox = Arc::new(Outbox::new(Depth::default()));
        let hello = Hello { adult: true, terms: true, ..Hello::default() };
        let slot = self.hub.hello(&hello, vec![AddressHash([1; 16])], &outbox).expect("to be welcome");
        outbox.take();
        Client { hub: Arc::clone(&self.hub), slot, outbox }
    }

    fn clients<const N: usize>(&self) -> [Client; N] {
        std::array::from_fn(|_| self.client())
    }

    /// How many tickets came with each call.
    fn calls(&self) -> Vec<usize> {
        self.matchmaker.0.calls.lock().iter().map(Vec::len).collect()
    }

    fn answer(&self, turns: usize) {
        self.matchmaker.0.turns.add_permits(turns);
    }

    /// Every worker has a call under way.
    async fn occupied(&self) -> [Client; 4] {
        let clients = self.clients();
        for (before, client) in clients.iter().enumerate() {
            client.find();
            until("another call", || self.calls().len() == before + 1).await;
        }
        clients
    }
}

struct Client {
    hub: Arc<Hub>,
    slot: Arc<Slot>,
    outbox: Arc<Outbox>,
}

impl Client {
    fn says(&self, frame: &Value) {
        let frame = ClientFrame::parse(&frame.to_string(), &self.hub.config.wishes).expect("a good frame");
        self.hub.frame(&self.slot, &self.outbox, frame);
    }

    fn find(&self) {
        self.says(&json!({"type": "find", "mode": "text"}));
    }

    async fn hears(&self) -> Value {
        let heard = async {
            loop {
                if let Some(frame) = self.outbox.take().0.pop_front() {
                    return serde_json::from_str(&frame).expect("JSON");
                }
                self.outbox.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("a frame")
    }

    async fn waits(&self) {
        assert_eq!(self.hears().await["type"], "waiting");
    }

    fn hears_nothing(&self) {
        assert_eq!(self.outbox.take().0.len(), 0);
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what} did not happen");
}

// === the tests ===

#[tokio::test]
async fn what_queues_up_while_calls_are_under_way_goes_in_together() {
    let stage = Stage::new(&[], 0).await;
    let first = stage.occupied().await;
    let others = stage.clients::<20>();
    others.iter().for_each(Client::find);
    assert_eq!(
        stage.calls(),
        [1, 1, 1, 1],
        "a lonely ticket goes alone, and then as many as may be under way"
    );
    stage.answer(MANY);
    for client in first.iter().chain(&others) {
        client.waits().await;
    }
    assert_eq!(stage.calls(), [1, 1, 1, 1, 20]);
}

#[tokio::test]
async fn more_than_a_call_takes_go_in_several_and_in_order() {
    let stage = Stage::new(&[], 0).await;
    let _first = stage.occupied().await;
    let others: Vec<_> = (0..600).map(|_| stage.client()).collect();
    others.iter().for_each(Client::find);
    stage.answer(MANY);
    for client in &others {
        client.waits().await;
    }
    assert_eq!(stage.calls()[4..], [512, 88]);
}

#[tokio::test]
async fn each_session_hears_what_became_of_its_own_ticket() {
    let by_wish: Answer = |ticket| match &*ticket.interests.concat() {
        "full" => full(ticket),
        "bad" => refuse(EnqueueRefusalReason::Invalid, 0),
        _ => put_in(ticket),
    };
    let stage = Stage::new(&[put_in, put_in, put_in, put_in, by_wish], 0).await;
    let _first = stage.occupied().await;
    let clients = stage.clients::<3>();
    for (client, interest) in clients.iter().zip(["full", "bad", "good"]) {
        client.says(&json!({"type": "find", "mode": "text", "interests": [interest]}));
    }
    stage.answer(MANY);
    let [full, bad, good] = &clients;
    let refused = full.hears().await;
    assert_eq!((&refused["code"], &refused["retry_after_ms"]), (&json!("busy"), &json!(30)));
    assert_eq!(bad.hears().await["code"], "bad_value");
    let waiting = json!({"type": "waiting", "interests": ["good"], "patience_ms": 5_000, "estimate_ms": 70});
    let mut heard = good.hears().await;
    assert!(heard.as_object_mut().and_then(|frame| frame.remove("session")).is_some(), "it keeps its place");
    assert_eq!(heard, waiting);
    assert_eq!(stage.calls(), [1, 1, 1, 1, 3]);
}

#[tokio::test]
async fn a_call_that_fails_is_tried_again_without_those_that_nobody_holds_any_more() {
    let stage = Stage::new(&[put_in, put_in, put_in, put_in, away, away], 4).await;
    let _first = stage.occupied().await;
    until("an answer", || stage.matchmaker.0.turns.available_permits() == 0).await;
    let [stays, leaves] = stage.clients();
    stays.find();
    leaves.find();
    until("a call with both", || stage.calls()[4..].iter().sum::<usize>() == 2).await;
    leaves.says(&json!({"type": "cancel"}));
    assert_eq!(leaves.hears().await["type"], "idle");
    stage.answer(MANY);
    stays.waits().await;
    let calls = stage.matchmaker.0.calls.lock().clone();
    let first = &calls[4][0];
    assert!(calls[4..].len() >= 2 && calls.last().is_some_and(|last| last.len() == 1), "{:?}", stage.calls());
    assert_eq!(calls.last().map(|last| &last[0].id), Some(&first.id));
    leaves.hears_nothing();
}

#[tokio::test]
async fn what_a_call_that_failed_may_have_put_in_is_taken_out_when_the_ticket_is_paired() {
    let stage = Stage::new(&[put_in, away, put_in], MANY).await;
    let mut tickets = Vec::new();
    for client in stage.clients::<2>() {
        client.find();
        client.waits().await;
        tickets.push(stage.matchmaker.0.calls.lock().last().expect("a call")[0].id.clone());
    }
    for (ticket, cancelled) in tickets.iter().zip([&tickets[..0], &tickets[1..]]) {
        let ticket = TicketId::try_from(ticket).expect("an id");
        stage.hub.assign(Pairing { ticket, ..pairing() });
        stage.hub.tickets().settled().await;
        let requests = stage.matchmaker.0.cancelled.lock().clone();
        assert_eq!(requests.into_iter().map(|request| request.ticket).collect::<Vec<_>>(), cancelled);
    }
}

#[tokio::test]
async fn a_new_wish_is_given_up_when_its_time_is_over_and_one_that_waits_never() {
    let stage = Stage::new(&[put_in], MANY).await;
    let [waits, comes] = stage.clients();
    waits.find();
    waits.waits().await;
    stage.matchmaker.0.script.lock().extend([away as Answer; MANY]);
    stage.hub.put_in_again();
    comes.find();
    let begun = Instant::now();
    assert_eq!(comes.hears().await["code"], "unavailable");
    assert!(begun.elapsed() > super::BUDGET / 2, "{:?}", begun.elapsed());
    let failed = stage.calls().len();
    until("another try", || stage.calls().len() > failed).await;
    stage.matchmaker.0.script.lock().clear();
    until("the ticket in the pool", || stage.matchmaker.0.entries.load(Ordering::Relaxed) == 2).await;
    waits.hears_nothing();
}

#[tokio::test]
async fn one_that_waits_is_tried_again_when_the_pool_is_full() {
    let stage = Stage::new(&[put_in, full, full], MANY).await;
    let client = stage.client();
    client.find();
    client.waits().await;
    stage.hub.put_in_again();
    until("the ticket in the pool", || stage.matchmaker.0.entries.load(Ordering::Relaxed) == 2).await;
    assert_eq!(stage.calls().len(), 4);
    client.hears_nothing();
}

#[tokio::test]
async fn a_drain_waits_for_the_call_under_way_and_for_taking_out_what_it_put_in() {
    let stage = Stage::new(&[], 0).await;
    let client = stage.client();
    client.find();
    until("a call", || stage.calls().len() == 1).await;
    client.says(&json!({"type": "cancel"}));
    let mut settled = Box::pin(stage.hub.tickets().settled());
    assert!(futures_util::poll!(&mut settled).is_pending());
    stage.answer(1);
    tokio::time::timeout(PATIENCE, settled).await.expect("nothing under way");
    let cancelled = stage.matchmaker.0.cancelled.lock().clone();
    let ticket = stage.matchmaker.0.calls.lock()[0][0].id.clone();
    assert_eq!(cancelled.iter().map(|cancel| &cancel.ticket).collect::<Vec<_>>(), [&ticket]);
}

#[tokio::test]
async fn after_a_watch_that_was_away_for_long_all_that_waits_goes_in_again_as_it_was() {
    let stage = Stage::new(&[], MANY).await;
    let client = stage.client();
    client.find();
    client.waits().await;
    for (silence, calls) in [(19, 1), (21, 2)] {
        let before = Instant::now() - Duration::from_secs(silence);
        let (mut heard, mut after) = (before, String::new());
        let watching = async { watch(&stage.hub, &mut after, &mut heard, &mut || {}).await };
        let a_while = tokio::time::timeout(Duration::from_millis(300), watching);
        assert!(a_while.await.is_err(), "it goes on");
        assert!(heard > before, "the generation has come");
        until("the tickets in the pool", || stage.calls().len() == calls).await;
    }
    let calls = stage.matchmaker.0.calls.lock().clone();
    assert_eq!(calls[0][0].id, calls[1][0].id);
    client.hears_nothing();
}

#[tokio::test]
async fn a_ticket_says_all_that_the_pool_needs() {
    let stage = Stage::new(&[], MANY).await;
    let client = stage.client();
    let mut tickets = Vec::new();
    for wish in [
        json!({"type": "find", "mode": "video", "section": "night", "interests": ["tea"], "languages": ["en-GB"]}),
        json!({"type": "find", "mode": "text", "ask": "Is tea a soup?"}),
        json!({"type": "find", "mode": "text", "discuss": true}),
    ] {
        client.says(&wish);
        client.waits().await;
        tickets.push(stage.matchmaker.0.calls.lock().last().expect("a call")[0].clone());
    }
    let [talk, ask, discuss] = &tickets[..] else { panic!("three wishes") };
    let aliases = stage.hub.context.secret.session_aliases(client.slot.id);
    assert_eq!(talk.aliases, aliases.iter().map(|alias| alias.0).collect::<Vec<_>>());
    assert!(talk.gateway.len() == "gateway-".len() + 16 && talk.gateway.starts_with("gateway-"));
    assert_eq!((&*talk.section, &*talk.zone), ("night", "a"));
    assert_eq!((&talk.interests[..], &talk.languages[..]), (&["tea".into()][..], &["en".into()][..]));
    assert_eq!((talk.patience_ms, ask.patience_ms, discuss.patience_ms), (5_000, 0, 15_000));
    let question = stage.hub.context.secret.open(chassis::secret::Purpose::Question, &ask.ask);
    assert_eq!(question.as_deref(), Ok(&b"Is tea a soup?"[..]), "no store can read it");
    assert_eq!((ask.discuss, &*ask.section), (false, "main"));
    assert_eq!((&*discuss.ask, discuss.discuss), ("", true));
    assert!(tickets.iter().all(|ticket| ticket.again.is_empty() && ticket.blocked.is_empty()));
}
