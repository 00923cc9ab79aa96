//! The edge: what relays, gateways, matchmakers and moderators call.

use std::{sync::Arc, time::Duration};

use chassis::{
    Context,
    bans::Ban,
    grpc::{MAX_MESSAGE, continue_from_metadata},
    id::{AddressHash, SessionId},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use stroll_proto::v1::{
    CheckAccessRequest, CheckAccessResponse, CreateBanRequest, CreateBanResponse, InspectRequest,
    InspectResponse, LiftBanRequest, LiftBanResponse, ReportRequest, ReportResponse, WatchBansRequest,
    WatchBansResponse,
    create_ban_request::Target,
    moderation_service_server::{ModerationService, ModerationServiceServer},
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap, service::Routes};
use tracing::{Instrument as _, Span, error, info, info_span};

use crate::{
    bans::Bans,
    error::Error,
    inspector::{Inspector, new_id},
    metrics::Metrics,
    report::{CaseNumber, Report, parse_subject},
    store::{Filing, NewBan, Store},
};

/// The longest ban: ten years.
pub(crate) const LONGEST_BAN: Duration = Duration::from_secs(10 * 365 * 86_400);
const MAX_REASON_CHARS: usize = 64;

/// The service.
pub(crate) struct Grpc {
    context: Context,
    inspector: Arc<Inspector>,
    store: Store,
    bans: Arc<Bans>,
    metrics: Metrics,
}

impl Grpc {
    pub(crate) fn routes(inspector: Inspector) -> Routes {
        let grpc = Self {
            context: inspector.context.clone(),
            store: inspector.store.clone(),
            bans: Arc::clone(&inspector.bans),
            metrics: inspector.metrics.clone(),
            inspector: Arc::new(inspector),
        };
        Routes::new(ModerationServiceServer::new(grpc).max_decoding_message_size(MAX_MESSAGE))
    }

    async fn file(&self, request: ReportRequest) -> Result<ReportResponse, Error> {
        let report = Report::freeze(request, self.context.clock.unix_ms())?;
        let (case, filing) = self.store.file(&report).await?;
        if filing == Filing::New {
            self.metrics.report(report.reason);
            info!(%case, chat = %report.chat, reason = report.reason, "a report is stored");
        }
        Ok(ReportResponse { case: case.to_string() })
    }

    fn access(&self, request: &CheckAccessRequest) -> Result<CheckAccessResponse, Error> {
        let (session, address) = parse_subject(request.subject.as_ref())?;
        if session.is_none() && address.is_none() {
            return Err(Error::Malformed("a subject has a session or an address"));
        }
        let ban = self.bans.check(session, address)?;
        Ok(CheckAccessResponse { ban: ban.map(Into::into) })
    }

    async fn ban(&self, request: CreateBanRequest) -> Result<CreateBanResponse, Error> {
        let lasts = Duration::from_secs(request.duration_s);
        if lasts.is_zero() || lasts > LONGEST_BAN {
            return Err(Error::Malformed("a ban lasts from 1 second to 10 years"));
        }
        let reason = parse_reason(request.reason)?;
        let (case, subjects) = self.targets(request.target).await?;
        let now = self.context.clock.unix_ms();
        let until = now.saturating_add(request.duration_s.saturating_mul(1_000));
        let ban = |(session, address)| Ban {
            id: new_id(&self.context),
            session,
            address,
            until_unix_ms: until,
            reason: reason.clone(),
        };
        let bans: Vec<Ban> = subjects.into_iter().map(ban).collect();
        let new = |ban: &Ban| NewBan { ban: ban.clone(), case: case.clone(), created_unix_ms: now };
        self.store.ban(&bans.iter().map(new).collect::<Vec<_>>()).await?;
        info!(bans = bans.len(), case = case.as_ref().map(CaseNumber::as_str), reason, "banned");
        // Where this fails, they are told with the next poll.
        let _ = self.bans.refresh().await;
        Ok(CreateBanResponse { bans: bans.into_iter().map(Into::into).collect() })
    }

    async fn targets(&self, target: Option<Target>) -> Result<(Option<CaseNumber>, Vec<Subject>), Error> {
        match target {
            None => Err(Error::Malformed("a ban names a subject or a case")),
            Some(Target::Subject(subject)) => match parse_subject(Some(&subject))? {
                (None, None) => Err(Error::Malformed("a subject has a session or an address")),
                subject => Ok((None, vec![subject])),
            },
            Some(Target::Case(number)) => {
                let number: CaseNumber = number.parse()?;
                let reported = self.store.evidence(&number).await?.reported()?;
                let subjects: Vec<Subject> =
                    reported.into_iter().map(|(session, address)| (Some(session), address)).collect();
                if subjects.is_empty() {
                    return Err(Error::Malformed("nobody but the one who reported was in that chat"));
                }
                Ok((Some(number), subjects))
            }
        }
    }

    async fn lift(&self, request: LiftBanRequest) -> Result<LiftBanResponse, Error> {
        self.store.lift(&request.id, self.context.clock.unix_ms()).await?;
        info!(ban = request.id, "a ban is lifted");
        // Where this fails, it is told with the next poll.
        let _ = self.bans.refresh().await;
        Ok(LiftBanResponse {})
    }
}

/// Who a ban is for: a session, an address, or both.
type Subject = (Option<SessionId>, Option<AddressHash>);

fn parse_reason(reason: String) -> Result<String, Error> {
    let is_code =
        |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_';
    if reason.is_empty() || reason.len() > MAX_REASON_CHARS || !reason.chars().all(is_code) {
        return Err(Error::Malformed("a reason is a code of 1 to 64 of a-z, 0-9 and _"));
    }
    Ok(reason)
}

/// Runs a command inside its span, and answers its caller. The cause of a failure that is ours is logged here, once.
async fn answer<T>(
    span: Span,
    metadata: &MetadataMap,
    command: impl Future<Output = Result<T, Error>>,
) -> Result<Response<T>, Status> {
    continue_from_metadata(&span, metadata);
    async { command.await.map(Response::new).map_err(refuse) }.instrument(span).await
}

fn refuse(refusal: Error) -> Status {
    if refusal.is_ours() {
        let cause = std::error::Error::source(&refusal).map(ToString::to_string);
        error!(error = %refusal, cause, "a call failed");
    }
    refusal.into()
}

#[tonic::async_trait]
impl ModerationService for Grpc {
    type InspectStream = BoxStream<'static, Result<InspectResponse, Status>>;
    type WatchBansStream = BoxStream<'static, Result<WatchBansResponse, Status>>;

    async fn inspect(
        &self,
        request: Request<Streaming<InspectRequest>>,
    ) -> Result<Response<Self::InspectStream>, Status> {
        let (inspector, present) = (Arc::clone(&self.inspector), self.metrics.stream());
        // A batch is looked at when the relay has taken the verdicts on those before, so nothing piles up here.
        let verdicts = stream::try_unfold(
            (request.into_inner(), inspector, present),
            async |(mut texts, inspector, present)| {
                let Some(verdicts) = next_verdicts(&mut texts, &inspector).await? else { return Ok(None) };
                Ok(Some((verdicts, (texts, inspector, present))))
            },
        );
        Ok(Response::new(verdicts.boxed()))
    }

    async fn report(&self, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        let (metadata, _, report) = request.into_parts();
        answer(info_span!("report"), &metadata, self.file(report)).await
    }

    async fn check_access(
        &self,
        request: Request<CheckAccessRequest>,
    ) -> Result<Response<CheckAccessResponse>, Status> {
        let (metadata, _, subject) = request.into_parts();
        answer(info_span!("check_access"), &metadata, async { self.access(&subject) }).await
    }

    async fn watch_bans(
        &self,
        request: Request<WatchBansRequest>,
    ) -> Result<Response<Self::WatchBansStream>, Status> {
        let watch = async { Ok(self.bans.watch(&self.context).await?.map_err(Status::from).boxed()) };
        answer(info_span!("watch_bans"), request.metadata(), watch).await
    }

    async fn create_ban(
        &self,
        request: Request<CreateBanRequest>,
    ) -> Result<Response<CreateBanResponse>, Status> {
        let (metadata, _, ban) = request.into_parts();
        answer(info_span!("create_ban"), &metadata, self.ban(ban)).await
    }

    async fn lift_ban(&self, request: Request<LiftBanRequest>) -> Result<Response<LiftBanResponse>, Status> {
        let (metadata, _, ban) = request.into_parts();
        answer(info_span!("lift_ban"), &metadata, self.lift(ban)).await
    }
}

/// The verdicts on the next batch that has any. None when the relay has no more, or the process drains.
async fn next_verdicts(
    texts: &mut Streaming<InspectRequest>,
    inspector: &Inspector,
) -> Result<Option<InspectResponse>, Status> {
    loop {
        let batch = tokio::select! {
            batch = texts.message() => batch?,
            () = inspector.context.drain.soft() => None,
        };
        let Some(batch) = batch else { return Ok(None) };
        let verdicts = inspector.inspect(batch).await.map_err(refuse)?;
        if !verdicts.is_empty() {
            return Ok(Some(InspectResponse { verdicts }));
        }
    }
}
