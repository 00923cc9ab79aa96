//! A moderation tier that needs no database: the real strikes, a rule of one word, and bans that its replicas share and that
//! outlive them.
//!
//! The real store works in threads of its own, which no simulated clock waits for.

use std::{sync::Arc, time::Duration};

use chassis::{
    Context,
    bans::Ban,
    id::{ChatId, SessionId},
    net::Listener,
};
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use moderation::rules::{
    Rule,
    strikes::{Action, Strikes},
};
use parking_lot::Mutex;
use stroll_proto::v1::{
    self, InspectRequest, InspectResponse, ReportRequest, ReportResponse, Said, Verdict, WatchBansResponse,
    moderation_service_server::{ModerationService, ModerationServiceServer, SERVICE_NAME},
};
use tonic::{Request, Response, Status, Streaming, service::Routes};

/// What nobody should say. Each time is an offence that ends the chat.
pub const RUDE: &str = "rude";
/// How often a replica looks what the others banned.
const POLL: Duration = Duration::from_millis(250);
const SESSIONS: usize = 1_000;
const BAN_MS: u64 = 24 * 3_600_000;

/// The durable part, shared by all replicas.
#[derive(Clone, Default)]
pub struct Durable(Arc<Mutex<Vec<Ban>>>);

/// Serves one replica.
pub async fn serve(context: &Context, listener: Listener, durable: Durable) {
    let replica =
        Replica { context: context.clone(), durable, strikes: Arc::new(Mutex::new(Strikes::new(SESSIONS))) };
    let routes = Routes::new(ModerationServiceServer::new(replica));
    chassis::grpc::serve(context, listener, SERVICE_NAME, routes).await.expect("to serve");
}

#[derive(Clone)]
struct Replica {
    context: Context,
    durable: Durable,
    strikes: Arc<Mutex<Strikes>>,
}

impl Replica {
    fn judge(&self, said: &Said) -> Option<Verdict> {
        if !said.text.contains(RUDE) {
            return None;
        }
        let subject = said.subject.as_ref()?;
        let session = SessionId::try_from(&subject.session).ok()?;
        let chat = ChatId::try_from(&said.chat).ok()?;
        let now = self.context.clock.unix_ms();
        let action = match self.strikes.lock().judge(session, chat, Rule::Minor, now)? {
            Action::Warn => v1::Action::Warn,
            Action::End => v1::Action::End,
            Action::Ban => v1::Action::Ban,
        };
        if action == v1::Action::Ban {
            let mut bans = self.durable.0.lock();
            let id = format!("ban-{}", bans.len());
            let until_unix_ms = now + BAN_MS;
            bans.push(Ban {
                id,
                session: Some(session),
                address: None,
                until_unix_ms,
                reason: "minor".to_owned(),
            });
        }
        Some(Verdict {
            chat: said.chat.clone(),
            seat: said.seat,
            seq: said.seq,
            action: action.into(),
            rule: RUDE.to_owned(),
            text: "That was rude.".to_owned(),
        })
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn not_asked<T>() -> Answer<T> {
    Err(Status::unimplemented("nobody asks for it here"))
}

#[tonic::async_trait]
impl ModerationService for Replica {
    type InspectStream = BoxStream<'static, Result<InspectResponse, Status>>;
    type WatchBansStream = BoxStream<'static, Result<WatchBansResponse, Status>>;

    async fn inspect(&self, request: Request<Streaming<InspectRequest>>) -> Answer<Self::InspectStream> {
        let (replica, drained) = (self.clone(), self.context.drain.soft());
        let verdicts = request.into_inner().filter_map(move |batch| {
            let verdicts = batch.map(|batch| {
                let verdicts: Vec<_> = batch.said.iter().filter_map(|said| replica.judge(said)).collect();
                (!verdicts.is_empty()).then_some(InspectResponse { verdicts })
            });
            std::future::ready(verdicts.transpose())
        });
        Ok(Response::new(verdicts.take_until(drained).boxed()))
    }

    async fn watch_bans(&self, _: Request<v1::WatchBansRequest>) -> Answer<Self::WatchBansStream> {
        let told = stream::unfold((self.durable.clone(), None), async |(durable, known)| {
            loop {
                let bans: Vec<_> = durable.0.lock().iter().skip(known.unwrap_or(0)).cloned().collect();
                if known.is_none() || !bans.is_empty() {
                    let now_known = known.unwrap_or(0) + bans.len();
                    let bans = bans.into_iter().map(Into::into).collect();
                    let told = WatchBansResponse { bans, lifted: Vec::new(), synced: known.is_none() };
                    return Some((Ok(told), (durable, Some(now_known))));
                }
                tokio::time::sleep(POLL).await;
            }
        });
        Ok(Response::new(told.take_until(self.context.drain.soft()).boxed()))
    }

    async fn report(&self, _: Request<ReportRequest>) -> Answer<ReportResponse> {
        not_asked()
    }

    async fn check_access(&self, _: Request<v1::CheckAccessRequest>) -> Answer<v1::CheckAccessResponse> {
        not_asked()
    }

    async fn create_ban(&self, _: Request<v1::CreateBanRequest>) -> Answer<v1::CreateBanResponse> {
        not_asked()
    }

    async fn lift_ban(&self, _: Request<v1::LiftBanRequest>) -> Answer<v1::LiftBanResponse> {
        not_asked()
    }
}
