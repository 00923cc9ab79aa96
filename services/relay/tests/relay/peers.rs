//! A scripted matchmaker and a scripted moderation: real servers with a brain that the test sees and sets.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use chassis::{Context, Random, Secret};
use futures_util::{Stream, StreamExt as _};
use parking_lot::Mutex;
use stroll_proto::v1::{
    self, HeartbeatRequest, HeartbeatResponse, InspectRequest, InspectResponse, ReportRequest,
    ReportResponse, Said, Verdict,
    matchmaker_service_server::{self, MatchmakerService, MatchmakerServiceServer},
    moderation_service_server::{self, ModerationService, ModerationServiceServer},
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Request, Response, Status, Streaming, service::Routes};

use crate::world::until;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn context() -> Context {
    Context::new(Secret::ephemeral(&Random::from_os()), Duration::ZERO)
}

async fn serve(context: &Context, address: SocketAddr, name: &'static str, routes: Routes) -> SocketAddr {
    let listener = context.net.listen(address).await.expect("a free port");
    let address = listener.address().expect("an address");
    let serving = context.clone();
    context.tasks.spawn("peer", async move { chassis::grpc::serve(&serving, listener, name, routes).await });
    address
}

// === Matchmaker ===

/// Hears heartbeats.
pub struct Matchmaker {
    pub address: SocketAddr,
    beats: Arc<Mutex<Vec<HeartbeatRequest>>>,
    _context: Context,
}

impl Matchmaker {
    pub async fn start() -> Self {
        let (context, beats) = (context(), Arc::default());
        let routes = Routes::new(MatchmakerServiceServer::new(Beats(Arc::clone(&beats))));
        let name = matchmaker_service_server::SERVICE_NAME;
        let address = serve(&context, ([127, 0, 0, 1], 0).into(), name, routes).await;
        Self { address, beats, _context: context }
    }

    /// Forgets what it heard.
    pub fn forget(&self) {
        self.beats.lock().clear();
    }

    /// Waits for a heartbeat of which something holds.
    pub async fn hears(&self, what: &str, holds: impl Fn(&HeartbeatRequest) -> bool) -> HeartbeatRequest {
        until(what, || self.beats.lock().iter().any(&holds)).await;
        self.beats.lock().iter().rfind(|beat| holds(beat)).cloned().expect("a beat")
    }
}

struct Beats(Arc<Mutex<Vec<HeartbeatRequest>>>);

#[tonic::async_trait]
impl MatchmakerService for Beats {
    type WatchAssignmentsStream = Answers<v1::WatchAssignmentsResponse>;

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        assert!(request.metadata().contains_key("grpc-timeout"), "a heartbeat has a deadline");
        self.0.lock().push(request.into_inner());
        Ok(Response::new(HeartbeatResponse {}))
    }

    async fn enqueue(&self, _: Request<v1::EnqueueRequest>) -> Result<Response<v1::EnqueueResponse>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }

    async fn cancel(&self, _: Request<v1::CancelRequest>) -> Result<Response<v1::CancelResponse>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }

    async fn watch_assignments(
        &self,
        _: Request<Streaming<v1::WatchAssignmentsRequest>>,
    ) -> Result<Response<Self::WatchAssignmentsStream>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }

    async fn explain_ticket(
        &self,
        _: Request<v1::ExplainTicketRequest>,
    ) -> Result<Response<v1::ExplainTicketResponse>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }

    async fn choose_homes(
        &self,
        _: Request<v1::ChooseHomesRequest>,
    ) -> Result<Response<v1::ChooseHomesResponse>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }
}

// === Moderation ===

/// What moderation does with reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Stores them as case `C-1`, `C-2` and so on.
    #[default]
    Willing,
    /// Has no use for them.
    Refusing,
}

/// Hears texts and reports, and gives verdicts.
pub struct Moderation {
    pub address: SocketAddr,
    brain: Brain,
    context: Context,
}

#[derive(Clone, Default)]
struct Brain(Arc<Mutex<Mind>>);

#[derive(Default)]
struct Mind {
    said: Vec<Said>,
    reports: Vec<ReportRequest>,
    mood: Mood,
    is_gone: bool,
    streams: Vec<UnboundedSender<Result<InspectResponse, Status>>>,
}

impl Moderation {
    pub async fn start() -> Self {
        Self::listen(([127, 0, 0, 1], 0).into(), Brain::default()).await
    }

    async fn listen(address: SocketAddr, brain: Brain) -> Self {
        let context = context();
        let routes = Routes::new(ModerationServiceServer::new(brain.clone()));
        let address = serve(&context, address, moderation_service_server::SERVICE_NAME, routes).await;
        Self { address, brain, context }
    }

    /// Is gone, with its streams.
    pub async fn stop(&mut self) {
        self.context.drain.begin();
        {
            let mut mind = self.brain.0.lock();
            mind.is_gone = true;
            mind.streams.clear();
        }
        self.context.tasks.finished().await;
    }

    /// Is there again, at the same address.
    pub async fn restart(&mut self) {
        self.brain.0.lock().is_gone = false;
        *self = Self::listen(self.address, self.brain.clone()).await;
    }

    /// Forgets what it heard.
    pub fn forget(&self) {
        self.brain.0.lock().said.clear();
    }

    pub fn set_mood(&self, mood: Mood) {
        self.brain.0.lock().mood = mood;
    }

    pub fn give(&self, verdict: &Verdict) {
        for stream in &self.brain.0.lock().streams {
            let _ = stream.send(Ok(InspectResponse { verdicts: vec![verdict.clone()] }));
        }
    }

    /// Waits until a text was heard.
    pub async fn hears(&self, text: &str) -> Said {
        until(text, || self.said().iter().any(|said| said.text == text)).await;
        self.said().into_iter().find(|said| said.text == text).expect("it was said")
    }

    pub fn said(&self) -> Vec<Said> {
        self.brain.0.lock().said.clone()
    }

    pub fn reports(&self) -> Vec<ReportRequest> {
        self.brain.0.lock().reports.clone()
    }
}

#[tonic::async_trait]
impl ModerationService for Brain {
    type InspectStream = Answers<InspectResponse>;
    type WatchBansStream = Answers<v1::WatchBansResponse>;

    async fn inspect(
        &self,
        request: Request<Streaming<InspectRequest>>,
    ) -> Result<Response<Self::InspectStream>, Status> {
        let (verdicts, answers) = unbounded_channel();
        let mut mind = self.0.lock();
        if mind.is_gone {
            return Err(Status::unavailable("gone"));
        }
        mind.streams.push(verdicts);
        drop(mind);
        let brain = self.clone();
        let heard = request.into_inner().filter_map(move |request| {
            brain.0.lock().said.extend(request.into_iter().flat_map(|request| request.said));
            std::future::ready(None)
        });
        // The stream ends when the brain drops its side, and hears as long as it is there.
        let answers = futures_util::stream::unfold(
            (UnboundedReceiverStream::new(answers), Box::pin(heard)),
            |(mut answers, mut heard)| async move {
                let answer = tokio::select! {
                    answer = answers.next() => answer,
                    answer = heard.next() => answer,
                };
                answer.map(|answer| (answer, (answers, heard)))
            },
        );
        Ok(Response::new(Box::pin(answers)))
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        assert!(request.metadata().contains_key("grpc-timeout"), "a report has a deadline");
        let mut mind = self.0.lock();
        if mind.mood == Mood::Refusing {
            return Err(Status::invalid_argument("no use for it"));
        }
        mind.reports.push(request.into_inner());
        Ok(Response::new(ReportResponse { case: format!("C-{}", mind.reports.len()) }))
    }

    async fn check_access(
        &self,
        _: Request<v1::CheckAccessRequest>,
    ) -> Result<Response<v1::CheckAccessResponse>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }

    async fn watch_bans(
        &self,
        _: Request<v1::WatchBansRequest>,
    ) -> Result<Response<Self::WatchBansStream>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }

    async fn create_ban(
        &self,
        _: Request<v1::CreateBanRequest>,
    ) -> Result<Response<v1::CreateBanResponse>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }

    async fn lift_ban(
        &self,
        _: Request<v1::LiftBanRequest>,
    ) -> Result<Response<v1::LiftBanResponse>, Status> {
        Err(Status::unimplemented("not a relay's"))
    }
}
