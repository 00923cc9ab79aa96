//! The matchmaker's edge: checks what comes over gRPC, and carries it out.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use chassis::{grpc::Target, id::Epoch};
use prost::Message as _;
use stroll_proto::v1::{
    self as v1, CancelRequest, CancelResponse, ChooseHomeRequest, ChooseHomeResponse, EnqueueRequest,
    EnqueueResponse, EnqueueResult, ExplainTicketRequest, ExplainTicketResponse, HeartbeatRequest,
    HeartbeatResponse, TicketPlace, WatchAssignmentsRequest, enqueue_result::Outcome,
    matchmaker_service_server::MatchmakerService,
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};
use tracing::{Instrument as _, Span, debug, info_span};

use crate::{
    Error,
    error::Result,
    matching::{self, Ticket},
    members::Member,
    placement,
    pool::{EntryId, Shard},
    replica::Replica,
    watch,
};

/// Bounds of what a relay says of itself, in bytes.
const MAX_ADDRESS: usize = 255;
const MAX_ZONE: usize = 64;

/// The service.
pub(crate) struct Service(pub(crate) Arc<Replica>);

#[tonic::async_trait]
impl MatchmakerService for Service {
    async fn enqueue(
        &self,
        request: Request<EnqueueRequest>,
    ) -> std::result::Result<Response<EnqueueResponse>, Status> {
        self.answer("enqueue", enqueue(&self.0, request.into_inner())).await
    }

    async fn cancel(
        &self,
        request: Request<CancelRequest>,
    ) -> std::result::Result<Response<CancelResponse>, Status> {
        let span = continued(info_span!("cancel"), request.metadata());
        self.answer("cancel", cancel(&self.0, request.into_inner()).instrument(span)).await
    }

    type WatchAssignmentsStream = watch::Answers;

    async fn watch_assignments(
        &self,
        request: Request<Streaming<WatchAssignmentsRequest>>,
    ) -> std::result::Result<Response<Self::WatchAssignmentsStream>, Status> {
        let begun = async {
            if self.0.context.drain.is_draining() {
                return Err(Error::Draining);
            }
            Ok(watch::serve(Arc::clone(&self.0), request.into_inner()))
        };
        self.answer("watch_assignments", begun).await
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> std::result::Result<Response<HeartbeatResponse>, Status> {
        self.answer("heartbeat", heartbeat(&self.0, request.into_inner())).await
    }

    async fn choose_home(
        &self,
        request: Request<ChooseHomeRequest>,
    ) -> std::result::Result<Response<ChooseHomeResponse>, Status> {
        let span = continued(info_span!("choose_home"), request.metadata());
        self.answer("choose_home", choose_home(&self.0, request.into_inner()).instrument(span)).await
    }

    async fn explain_ticket(
        &self,
        _request: Request<ExplainTicketRequest>,
    ) -> std::result::Result<Response<ExplainTicketResponse>, Status> {
        Err(Status::unimplemented("not offered"))
    }
}

impl Service {
    /// The cause of a failure is logged here, and the peer is told a code and a fixed text.
    async fn answer<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T>>,
    ) -> std::result::Result<Response<T>, Status> {
        let outcome = work.await.map(Response::new).map_err(|error| {
            // Not louder: while the store is away every call fails, and that is told in one place.
            debug!(call, %error, "a call failed");
            Status::from(error)
        });
        self.0.metrics.called(call, &outcome);
        outcome
    }
}

fn continued(span: Span, metadata: &MetadataMap) -> Span {
    chassis::grpc::continue_from_metadata(&span, metadata);
    span
}

async fn enqueue(replica: &Replica, request: EnqueueRequest) -> Result<EnqueueResponse> {
    let mut results = Vec::with_capacity(request.tickets.len());
    let mut last = String::new();
    for ticket in request.tickets {
        let (result, generation) = enqueue_one(replica, ticket).await?;
        results.push(result);
        last = generation;
    }
    Ok(EnqueueResponse { results, generation: last })
}

async fn enqueue_one(replica: &Replica, mut ticket: v1::Ticket) -> Result<(EnqueueResult, String)> {
    let span = info_span!("enqueue");
    chassis::grpc::continue_from(&span, &ticket.traceparent);
    let traceparent = chassis::grpc::traceparent(&span);
    ticket.traceparent.clear();
    let shard = Shard::for_ticket(ticket.mode(), &ticket.section);
    let bytes = Bytes::from(ticket.encode_to_vec());
    Ticket::parse(EntryId::default(), ticket, String::new())?;
    let shard = shard.ok_or(Error::Invalid("there is no such section"))?;
    let (entry, generation) = replica.pool.enqueue(&shard, bytes, &traceparent).await?;
    let place = TicketPlace { shard: shard.name().to_owned(), entry: entry.to_string() };
    Ok((EnqueueResult { outcome: Some(Outcome::Place(place)), ..EnqueueResult::default() }, generation))
}

async fn cancel(replica: &Replica, request: CancelRequest) -> Result<CancelResponse> {
    let place = request.place.ok_or(Error::Invalid("there is a place to take a ticket from"))?;
    let shard = Shard::named(&place.shard).ok_or(Error::Invalid("there is no such shard"))?;
    let entry =
        place.entry.parse().map_err(|_| Error::Invalid("an entry is named by two numbers with a dash"))?;
    Ok(CancelResponse { cancelled: replica.pool.cancel(&shard, entry).await? })
}

async fn heartbeat(replica: &Replica, request: HeartbeatRequest) -> Result<HeartbeatResponse> {
    matching::check_name(&request.relay)?;
    if request.address.len() > MAX_ADDRESS || request.address.parse::<Target>().is_err() {
        return Err(Error::Invalid("a relay's address is `http://host:port`"));
    }
    if request.zone.len() > MAX_ZONE {
        return Err(Error::Invalid("a zone has at most 64 bytes"));
    }
    replica.members.tell(Member::Relay(request)).await?;
    Ok(HeartbeatResponse {})
}

async fn choose_home(replica: &Replica, request: ChooseHomeRequest) -> Result<ChooseHomeResponse> {
    let Replica { context, pool, members, .. } = replica;
    let (chat, claims) = placement::claims(&context.secret, &request.seat_token, context.clock.unix_ms())?;
    let epoch = Epoch(claims.epoch.saturating_add(1));
    let relay = match members.choose_other_relay(&request.lost_relay) {
        Some(proposed) => pool.choose_home(chat, epoch, &proposed).await?,
        // The other stranger may have asked while there was one.
        None => pool.home(chat, epoch).await?.ok_or(Error::NoRelay)?,
    };
    let seat_token = placement::moved_seat_token(&context.secret, claims, epoch, context.clock.unix_ms());
    Ok(ChooseHomeResponse { epoch: epoch.0, relay, seat_token })
}
