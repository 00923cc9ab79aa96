//! The view alone, and a follower against a real server with a scripted brain.

use parking_lot::Mutex;
use stroll_proto::v1::{
    CheckAccessRequest, CheckAccessResponse, CreateBanRequest, CreateBanResponse, InspectRequest,
    InspectResponse, LiftBanRequest, LiftBanResponse, ReportRequest, ReportResponse,
    moderation_service_server::{ModerationService, ModerationServiceServer},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, service::Routes};

use super::*;
use crate::{Random, Secret, grpc, net::Net};

const WITHIN: Duration = Duration::from_secs(10);
const ANN: SessionId = SessionId([1; 16]);
const BOB: SessionId = SessionId([2; 16]);
const HOME: AddressHash = AddressHash([8; 16]);
const AWAY: AddressHash = AddressHash([9; 16]);

fn ban(id: &str, session: Option<SessionId>, address: Option<AddressHash>, until_unix_ms: u64) -> Ban {
    Ban { id: id.into(), session, address, until_unix_ms, reason: "spam".into() }
}

fn as_told(ban: &Ban) -> v1::Ban {
    ban.clone().into()
}

#[test]
fn a_ban_holds_for_its_session_and_its_address_until_it_is_over() {
    let mut view = View::default();
    assert!(view.insert(ban("1", Some(ANN), Some(HOME), 100)));
    assert!(view.insert(ban("2", None, Some(HOME), 200)));
    assert!(!view.insert(ban("2", None, Some(HOME), 200)), "nothing new");
    let id =
        |session, addresses: &[AddressHash], now| view.check(Some(session), addresses, now).map(|ban| ban.id);
    assert_eq!(id(ANN, &[], 99).as_deref(), Some("1"));
    assert_eq!(id(ANN, &[], 100), None, "over at its time");
    assert_eq!(id(BOB, &[AWAY, HOME], 99).as_deref(), Some("2"), "the longer one");
    assert_eq!(id(BOB, &[AWAY], 99), None);
}

#[test]
fn what_is_removed_or_replaced_leaves_nothing_behind() {
    let mut view = View::default();
    view.insert(ban("1", Some(ANN), Some(HOME), 100));
    view.insert(ban("1", Some(BOB), None, 100));
    assert_eq!(view.check(Some(ANN), &[HOME], 0), None, "replaced");
    view.retain(|ban| ban.until_unix_ms > 100);
    assert!(!view.remove("1"));
    assert!(view.is_empty() && view.by_key.is_empty());
}

type Told = Result<WatchBansResponse, Status>;

/// Moderation with nothing but the watch: it tells `in_force` to whoever begins one, and then what the test sends.
#[derive(Clone, Default)]
struct Scripted {
    in_force: Arc<Mutex<Vec<v1::Ban>>>,
    watchers: Arc<Mutex<Vec<mpsc::Sender<Told>>>>,
}

impl Scripted {
    fn tell(&self, told: &Told) {
        self.watchers.lock().retain(|watcher| watcher.try_send(told.clone()).is_ok());
    }
}

#[tonic::async_trait]
impl ModerationService for Scripted {
    type InspectStream = ReceiverStream<Result<InspectResponse, Status>>;
    type WatchBansStream = ReceiverStream<Result<WatchBansResponse, Status>>;

    async fn watch_bans(
        &self,
        _: Request<WatchBansRequest>,
    ) -> Result<Response<Self::WatchBansStream>, Status> {
        let (watcher, stream) = mpsc::channel(8);
        let bans = self.in_force.lock().clone();
        let told = WatchBansResponse { bans, synced: true, ..Default::default() };
        watcher.try_send(Ok(told)).expect("room for one");
        self.watchers.lock().push(watcher);
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn inspect(
        &self,
        _: Request<Streaming<InspectRequest>>,
    ) -> Result<Response<Self::InspectStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn report(&self, _: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn check_access(
        &self,
        _: Request<CheckAccessRequest>,
    ) -> Result<Response<CheckAccessResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn create_ban(&self, _: Request<CreateBanRequest>) -> Result<Response<CreateBanResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn lift_ban(&self, _: Request<LiftBanRequest>) -> Result<Response<LiftBanResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

async fn start() -> (Context, Scripted, Bans) {
    let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::from_secs(1));
    let listener = Net::default().listen("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let address = listener.address().expect("an address");
    let scripted = Scripted::default();
    let routes = Routes::new(ModerationServiceServer::new(scripted.clone()));
    let serving = context.clone();
    context.tasks.spawn("moderation", async move {
        grpc::serve(&serving, listener, "stroll.v1.ModerationService", routes).await
    });
    let bans = Bans::follow(&context, Channel::new(&context, address.into()));
    (context, scripted, bans)
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.unwrap_or_else(|_| panic!("still waiting for {what}"));
}

#[tokio::test]
async fn a_follower_learns_of_new_bans_and_of_lifted_ones() {
    let (context, moderation, bans) = start().await;
    let later = context.clock.unix_ms() + 3_600_000;
    tokio::time::timeout(WITHIN, bans.until_synced()).await.expect("synced");
    let mut news = bans.subscribe();
    let anns = ban("1", Some(ANN), None, later);
    let malformed = v1::Ban { id: "2".into(), ..Default::default() };
    let told = vec![malformed, as_told(&anns)];
    moderation.tell(&Ok(WatchBansResponse { bans: told, ..Default::default() }));
    let told = tokio::time::timeout(WITHIN, news.recv()).await.expect("in time").expect("news");
    assert_eq!(told, anns);
    assert_eq!(bans.check(ANN, &[]), Some(anns));
    moderation.tell(&Ok(WatchBansResponse { lifted: vec!["1".into()], ..Default::default() }));
    wait_for("the lift", || bans.check(ANN, &[]).is_none()).await;
    context.drain.force();
}

#[tokio::test]
async fn known_bans_hold_while_moderation_is_away_and_the_next_snapshot_corrects_them() {
    let (context, moderation, bans) = start().await;
    let later = context.clock.unix_ms() + 3_600_000;
    tokio::time::timeout(WITHIN, bans.until_synced()).await.expect("synced");
    let (lifted_meanwhile, new) = (ban("1", Some(ANN), None, later), ban("2", None, Some(HOME), later));
    moderation.tell(&Ok(WatchBansResponse { bans: vec![as_told(&lifted_meanwhile)], ..Default::default() }));
    wait_for("the ban", || bans.check(ANN, &[]).is_some()).await;
    moderation.in_force.lock().push(as_told(&new));
    moderation.tell(&Err(Status::unavailable("moderation goes away")));
    assert!(bans.synced());
    wait_for("the new ban", || bans.check(BOB, &[HOME]).is_some()).await;
    wait_for("the lift", || bans.check(ANN, &[]).is_none()).await;
    context.drain.force();
}

#[tokio::test]
async fn following_ends_with_the_last_clone() {
    let (context, moderation, bans) = start().await;
    tokio::time::timeout(WITHIN, bans.until_synced()).await.expect("synced");
    let clone = bans.clone();
    drop(bans);
    assert!(clone.synced());
    drop(clone);
    wait_for("the watch to end", || moderation.watchers.lock().iter().all(mpsc::Sender::is_closed)).await;
    context.drain.force();
}
