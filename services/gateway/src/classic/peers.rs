//! The other gateways: a client may call any of them, and the one that it calls asks the one that holds its session.
//!
//! Matchmakers tell which gateways live and where. One that isn't told any more is still asked for a while, for it may only be cut off from
//! the matchmakers; once it can't be reached either, its sessions are over.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chassis::{
    Context,
    backoff::Backoff,
    grpc::{self, Channel, Targets},
};
use parking_lot::Mutex;
use stroll_proto::v1::{
    CallSessionRequest, CallSessionResponse, LiveGateway,
    gateway_service_client::GatewayServiceClient,
    gateway_service_server::{GatewayService, GatewayServiceServer},
};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tonic::{Request, Response, Status, service::Routes};
use tracing::debug;

use super::{
    call::{Answer, Call, Polling},
    id::{ClientId, Front},
};
use crate::hub::Hub;

/// How long a call may take. Polls are answered after a minute.
const DEADLINE: Duration = Duration::from_secs(65);
/// How long a gateway may not be reached before the client is told. Above the time in which it is noticed that one is dead.
const BUDGET: Duration = Duration::from_secs(8);
/// How long a gateway that has just been started may not be told of yet.
const TOLD_WITHIN: Duration = Duration::from_millis(1_500);
/// How many calls may wait for a gateway to be told of. Ids that were made up name gateways that never are.
const WAITERS: usize = 256;
/// For how long it is remembered that a gateway was waited for in vain, and of how many.
const NOBODY: Duration = Duration::from_secs(60);
const NOBODIES: usize = 16_384;
/// How long one that isn't told any more is remembered.
const REMEMBERED: Duration = Duration::from_secs(120);

/// The gateways that are known.
pub struct Peers {
    context: Context,
    own: Front,
    known: Mutex<HashMap<Front, Peer>>,
    /// Until when nobody waits for these.
    nobodies: Mutex<HashMap<Front, Instant>>,
    waiters: Semaphore,
    /// Counts what was told.
    told: watch::Sender<u64>,
}

#[derive(Clone)]
struct Peer {
    address: String,
    client: GatewayServiceClient<Channel>,
    /// Until when it was told of; none: it still is.
    gone: Option<Instant>,
}

impl Peers {
    /// Nobody yet. This gateway has this id.
    #[must_use]
    pub fn new(context: &Context, gateway: &str) -> Self {
        let (own, told) = (Front::of(gateway), watch::channel(0).0);
        let waiters = Semaphore::new(WAITERS);
        Self {
            context: context.clone(),
            own,
            known: Mutex::default(),
            nobodies: Mutex::default(),
            waiters,
            told,
        }
    }

    /// This gateway, in ids.
    #[must_use]
    pub fn own(&self) -> Front {
        self.own
    }

    /// A matchmaker tells which gateways live.
    pub fn heard_of(&self, gateways: &[LiveGateway]) {
        let now = Instant::now();
        let mut known = self.known.lock();
        for peer in known.values_mut() {
            peer.gone.get_or_insert(now);
        }
        for gateway in gateways {
            let front = Front::of(&gateway.id);
            if front == self.own {
                continue;
            }
            match known.get_mut(&front) {
                Some(peer) if peer.address == gateway.address => peer.gone = None,
                _ => {
                    let Ok(targets) = gateway.address.parse::<Targets>() else { continue };
                    let client = GatewayServiceClient::new(Channel::new(&self.context, targets));
                    known.insert(front, Peer { address: gateway.address.clone(), client, gone: None });
                }
            }
        }
        known.retain(|_, peer| peer.gone.is_none_or(|gone| gone.elapsed() < REMEMBERED));
        drop(known);
        self.told.send_modify(|told| *told += 1);
    }

    /// Asks the gateway that holds a session.
    pub async fn call(self: &Arc<Self>, id: &ClientId, call: Call) -> Answer {
        let nobody = if call == Call::Disconnect { Answer::Done } else { Answer::Unknown };
        let fronts = id.fronts(&self.context.secret);
        let Some(front) = self.known_of(&fronts).await else { return nobody };
        let mut backoff =
            Backoff::new(Duration::from_millis(50), Duration::from_millis(500), self.context.random.clone());
        let (began, mut failing) = (Instant::now(), None);
        // Not 0.
        let number = u64::from_be_bytes(self.context.random.bytes()) | 1;
        let mut asking = Asking { peers: Arc::clone(self), front, id: id.clone(), number, is_open: false };
        loop {
            let Some(mut peer) = self.known.lock().get(&front).cloned() else { return nobody };
            // One that is asked again is not open for longer.
            let call = match call.clone() {
                Call::Poll(Polling { wait, .. }) => {
                    Call::Poll(Polling { wait: wait.saturating_sub(began.elapsed()), number })
                }
                call => call,
            };
            let (is_idempotent, asked) = (call.is_idempotent(), Instant::now());
            asking.is_open = matches!(call, Call::Poll(_));
            let called = peer.client.call_session(grpc::request(call.request(id), DEADLINE)).await;
            // Of one that failed it is not known what it took; it is asked again, or the client will ask.
            asking.is_open &= called.is_err();
            match called {
                Ok(response) => return response.into_inner().into(),
                Err(status) if !grpc::is_transient(&status) => {
                    debug!(code = ?status.code(), "another gateway refused a call");
                    return nobody;
                }
                // It may have been said.
                Err(_) if !is_idempotent => return Answer::Failed,
                Err(_) if self.is_gone(front) => return nobody,
                Err(_) => {}
            }
            if asked.elapsed() > BUDGET {
                failing = None;
            }
            let since = *failing.get_or_insert_with(Instant::now);
            if since.elapsed() >= BUDGET {
                return Answer::Unreachable;
            }
            backoff.pause().await;
        }
    }

    fn is_gone(&self, front: Front) -> bool {
        self.known.lock().get(&front).is_none_or(|peer| peer.gone.is_some())
    }

    /// Which of these is known, now or soon.
    async fn known_of(&self, fronts: &[Front]) -> Option<Front> {
        let mut told = self.told.subscribe();
        let find = || fronts.iter().copied().find(|front| self.known.lock().contains_key(front));
        let found = find();
        if found.is_some() || fronts.is_empty() || fronts.contains(&self.own) {
            return found;
        }
        let now = Instant::now();
        let is_nobody = |front: &Front| self.nobodies.lock().get(front).is_some_and(|until| *until > now);
        if fronts.iter().all(is_nobody) {
            return None;
        }
        let _turn = self.waiters.try_acquire().ok()?;
        let found = async {
            loop {
                if let Some(front) = find() {
                    return Some(front);
                }
                told.changed().await.ok()?;
            }
        };
        let found = tokio::time::timeout(TOLD_WITHIN, found).await.ok().flatten();
        if found.is_none() {
            let mut nobodies = self.nobodies.lock();
            if nobodies.len() >= NOBODIES {
                nobodies.clear();
            }
            nobodies.extend(fronts.iter().map(|front| (*front, now + NOBODY)));
        }
        found
    }
}

/// A poll that is being asked for. Dropping it while it is tells that the client has broken it off.
struct Asking {
    peers: Arc<Peers>,
    front: Front,
    id: ClientId,
    number: u64,
    is_open: bool,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let peer = self.peers.known.lock().get(&self.front).cloned();
        let Some(mut peer) = peer.filter(|_| self.is_open) else { return };
        let request = grpc::request(Call::BrokenOff(self.number).request(&self.id), BUDGET);
        let context = &self.peers.context;
        let hard = context.drain.hard();
        context.tasks.spawn("poll broken off", async move {
            tokio::select! {
                told = peer.client.call_session(request) => drop(told.inspect_err(|status| {
                    debug!(code = ?status.code(), "a poll that was broken off could not be told");
                })),
                () = hard => {}
            }
        });
    }
}

/// Answers the other gateways.
pub struct Grpc(Arc<Hub>);

impl Grpc {
    /// For the sessions of this hub.
    #[must_use]
    pub fn routes(hub: &Arc<Hub>) -> Routes {
        Routes::new(GatewayServiceServer::new(Self(Arc::clone(hub))))
    }
}

#[tonic::async_trait]
impl GatewayService for Grpc {
    async fn call_session(
        &self,
        request: Request<CallSessionRequest>,
    ) -> Result<Response<CallSessionResponse>, Status> {
        let CallSessionRequest { id, call } = request.into_inner();
        let id = ClientId::parse(&id).ok_or_else(|| Status::invalid_argument("the id is malformed"))?;
        let call = call.and_then(Call::from_request);
        let call = call.ok_or_else(|| Status::invalid_argument("the call is malformed"))?;
        Ok(Response::new(self.0.call(id.session(), call).await.into_response()))
    }
}
