//! The matchmaker's edge: checks what comes over gRPC, and carries it out.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use bytes::Bytes;
use chassis::{grpc::Target, id::TicketId};
use futures_util::future::try_join_all;
use prost::Message as _;
use stroll_proto::v1::{
    self as v1, CancelRequest, CancelResponse, ChooseHomesRequest, ChooseHomesResponse, EnqueueRefusal,
    EnqueueRefusalReason, EnqueueRequest, EnqueueResponse, EnqueueResult, ExplainTicketRequest,
    ExplainTicketResponse, HeartbeatRequest, HeartbeatResponse, TicketPlace, WatchAssignmentsRequest,
    enqueue_result::Outcome, matchmaker_service_server::MatchmakerService,
};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};
use tracing::{Instrument as _, Span, debug, info_span};

use crate::{
    Error,
    error::Result,
    explain::explain,
    homes,
    matching::{self, Kind, Ticket, Wish},
    members::Member,
    owner::MOVES_AFTER_MS,
    pool::{EntryId, Shard},
    replica::Replica,
    watch,
};

/// How many tickets one call puts in at most.
const MAX_TICKETS: usize = 512;
/// When it may help to try again where a pool is full.
const FULL_RETRY_AFTER_MS: u64 = 5_000;
/// Bounds of what a gateway or a relay says of itself, in bytes.
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
            if self.0.store.is_cut_off() {
                return Err(Error::Away("for too long".to_owned()));
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

    async fn choose_homes(
        &self,
        request: Request<ChooseHomesRequest>,
    ) -> std::result::Result<Response<ChooseHomesResponse>, Status> {
        let span = continued(info_span!("choose_homes"), request.metadata());
        self.answer("choose_homes", homes::choose(&self.0, request.into_inner()).instrument(span)).await
    }

    async fn explain_ticket(
        &self,
        request: Request<ExplainTicketRequest>,
    ) -> std::result::Result<Response<ExplainTicketResponse>, Status> {
        self.answer("explain_ticket", explain(&self.0, request.into_inner())).await
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
    if request.tickets.len() > MAX_TICKETS {
        return Err(Error::Invalid("one call takes at most 512 tickets"));
    }
    let mut results = vec![EnqueueResult::default(); request.tickets.len()];
    let mut by_shard: BTreeMap<Shard, Vec<(usize, Bytes)>> = BTreeMap::new();
    for (at, ticket) in request.tickets.into_iter().enumerate() {
        match take(replica, ticket) {
            Ok(Taken { shard, kind, content }) => {
                results[at].estimate_ms = kind.and_then(|kind| replica.members.estimate(&shard, kind));
                results[at].anybody_estimate_ms = replica.members.estimate(&shard, Kind::Anybody);
                by_shard.entry(shard).or_default().push((at, content));
            }
            Err(error) => results[at].outcome = Some(refused(&error)),
        }
    }
    let put = by_shard.into_iter().map(|(shard, tickets)| put_in(replica, shard, tickets));
    let mut generation = String::new();
    for (places, known) in try_join_all(put).await? {
        for (at, place) in places {
            results[at].outcome = Some(place.map_or_else(|| refused(&Error::Full), Outcome::Place));
        }
        generation = known;
    }
    if generation.is_empty() {
        generation = replica.store.generation().unwrap_or_default();
    }
    Ok(EnqueueResponse { results, generation })
}

/// A ticket that can be put in.
struct Taken {
    shard: Shard,
    kind: Option<Kind>,
    content: Bytes,
}

/// Checks a ticket and makes of it what is stored.
fn take(replica: &Replica, mut ticket: v1::Ticket) -> Result<Taken> {
    let section = replica.sections.get(&ticket.section);
    let first = section.and_then(|section| Shard::new(ticket.mode(), section, 0));
    // The trace goes on from here, where it is sampled.
    let span = if ticket.traceparent.is_empty() { Span::none() } else { info_span!(parent: None, "enqueue") };
    chassis::grpc::continue_from(&span, &ticket.traceparent);
    ticket.traceparent = chassis::grpc::traceparent(&span);
    // The shard tells it, and it would be stored with each.
    ticket.section.clear();
    let content = Bytes::from(ticket.encode_to_vec());
    let ticket = Ticket::parse(EntryId::default(), ticket)?;
    let first = first.ok_or(Error::Invalid("there is no such section"))?;
    let waited = replica.context.clock.unix_ms().saturating_sub(ticket.since_unix_ms);
    let shard = match ticket.wish {
        // Two who look for each other have to look in the same one.
        Wish::Again(_) => first,
        // It would have gone there by now; and if it is put in again, it is there already.
        _ if waited > MOVES_AFTER_MS => first,
        _ => first.of_ticket(ticket.id, replica.shards),
    };
    Ok(Taken { shard, kind: Kind::of(&ticket), content })
}

/// Puts tickets into one shard. Tells their places by their numbers, `None` for those who found no room, and the generation.
async fn put_in(
    replica: &Replica,
    mut shard: Shard,
    tickets: Vec<(usize, Bytes)>,
) -> Result<(Vec<(usize, Option<TicketPlace>)>, String)> {
    let (numbers, contents): (Vec<_>, Vec<_>) = tickets.into_iter().unzip();
    if replica.members.waiting(&shard) >= u64::try_from(replica.pool_size).unwrap_or(u64::MAX) {
        return Ok((numbers.into_iter().map(|number| (number, None)).collect(), String::new()));
    }
    let enqueued = match replica.pool.enqueue(&shard, &contents).await? {
        Some(enqueued) => enqueued,
        None => {
            shard = shard.sibling(0);
            let enqueued = replica.pool.enqueue(&shard, &contents).await?;
            enqueued.ok_or_else(|| Error::Away("a pool's first shard is always open".to_owned()))?
        }
    };
    let place = |entry: &EntryId| TicketPlace { shard: shard.name().to_owned(), entry: entry.to_string() };
    let places = numbers.into_iter().enumerate();
    let places = places.map(|(nth, number)| (number, enqueued.entries.get(nth).map(place)));
    Ok((places.collect(), enqueued.generation))
}

fn refused(error: &Error) -> Outcome {
    let (reason, retry_after_ms) = match error {
        Error::Full => (EnqueueRefusalReason::Full, FULL_RETRY_AFTER_MS),
        _ => (EnqueueRefusalReason::Invalid, 0),
    };
    Outcome::Refusal(EnqueueRefusal { reason: reason.into(), text: error.to_string(), retry_after_ms })
}

async fn cancel(replica: &Replica, request: CancelRequest) -> Result<CancelResponse> {
    let place = request.place.ok_or(Error::Invalid("there is a place to take a ticket from"))?;
    let shard = Shard::named(&place.shard).ok_or(Error::Invalid("there is no such shard"))?;
    let entry =
        place.entry.parse().map_err(|_| Error::Invalid("an entry is named by two numbers with a dash"))?;
    let ticket = TicketId::try_from(&request.ticket);
    let ticket = ticket.map_err(|_| Error::Invalid("a ticket's id has 16 bytes"))?;
    let cancelled = replica.pool.cancel(&shard, entry, ticket).await?;
    if !cancelled && !shard.is_first() {
        // It may have gone there. Its entry there is another one, and this one may be another's: only its id says which.
        replica.pool.cancel(&shard.sibling(0), EntryId::default(), ticket).await?;
    }
    Ok(CancelResponse { cancelled })
}

async fn heartbeat(replica: &Replica, request: HeartbeatRequest) -> Result<HeartbeatResponse> {
    matching::check_name(&request.relay)?;
    check_address(&request.address)?;
    if request.zone.len() > MAX_ZONE {
        return Err(Error::Invalid("a zone has at most 64 bytes"));
    }
    replica.members.tell(Member::Relay(request)).await?;
    Ok(HeartbeatResponse {})
}

/// Others call a gateway or a relay by its address.
///
/// # Errors
/// `Invalid`, with what is expected.
pub(crate) fn check_address(address: &str) -> Result<()> {
    if address.len() <= MAX_ADDRESS && address.parse::<Target>().is_ok() {
        Ok(())
    } else {
        Err(Error::Invalid("a gateway's or a relay's address is `http://host:port`"))
    }
}
