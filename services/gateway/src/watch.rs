//! The standing connection to a matchmaker: assignments, the store's generation and the cluster's numbers come in,
//! acknowledgements and this gateway's numbers go out. It goes on at another replica where it stopped.

use std::{sync::Arc, time::Duration};

use chassis::{
    Redacted, Secret,
    backoff::Backoff,
    id::{Alias, ChatId, Epoch, Seat, TicketId},
    secret::Purpose,
};
use stroll_proto::v1::{
    Assignment, Mode as ProtoMode, Role as ProtoRole, WatchAssignmentsRequest, WatchAssignmentsResponse,
    WatchOpen, watch_assignments_request::Kind as Up, watch_assignments_response::Kind as Down,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::{info, warn};

use crate::{
    hub::Hub,
    protocol::{Mode, Role},
    session::Pairing,
};

/// How often this gateway's numbers are sent.
const LOAD_INTERVAL: Duration = Duration::from_secs(1);
/// A watch on which nothing has come for this long is given up. The cluster's numbers come every two seconds.
const SILENCE: Duration = Duration::from_secs(6);

/// After so long without a word, the pool may soon drop the tickets of this gateway: it does when it has not heard of it for a
/// minute.
const FORGOTTEN: Duration = Duration::from_secs(20);

/// Watches until the process ends.
pub async fn follow(hub: Arc<Hub>) {
    let ready = hub.context.readiness.condition("matchmaker", "waiting for a matchmaker");
    let mut backoff =
        Backoff::new(Duration::from_millis(50), Duration::from_secs(1), hub.context.random.clone());
    let mut after = String::new();
    let mut failing = false;
    let mut heard = Instant::now();
    let hard = hub.context.drain.hard();
    tokio::pin!(hard);
    loop {
        let mut connected = || {
            backoff.reset();
            failing = false;
            info!("watching assignments");
            // It stays so: a gateway without matchmakers still carries its chats.
            ready.met();
        };
        let ended = tokio::select! {
            ended = watch(&hub, &mut after, &mut heard, &mut connected) => ended,
            () = &mut hard => return,
        };
        if let (Err(status), false) = (ended, failing) {
            failing = true;
            warn!(code = ?status.code(), cause = status.message(), "assignments cannot be watched, trying on");
        }
        backoff.pause().await;
    }
}

/// One connection: until it ends, or nothing has come for a while. `heard` is when something last came, on this one or before.
pub(crate) async fn watch(
    hub: &Arc<Hub>,
    after: &mut String,
    heard: &mut Instant,
    connected: &mut impl FnMut(),
) -> Result<(), Status> {
    let (up, requests) = mpsc::channel(16);
    let open = WatchOpen { gateway: hub.id.clone(), after: after.clone(), address: hub.address.clone() };
    send(&up, Up::Open(open)).await?;
    let mut down = silent(hub.tickets().matchmaker().watch_assignments(ReceiverStream::new(requests)))
        .await??
        .into_inner();
    let mut interval = tokio::time::interval(LOAD_INTERVAL);
    let mut first = true;
    let silence = tokio::time::sleep(SILENCE);
    tokio::pin!(silence);
    loop {
        tokio::select! {
            response = down.message() => {
                let Some(response) = response? else { return Ok(()) };
                let before = std::mem::replace(heard, Instant::now());
                silence.as_mut().reset(*heard + SILENCE);
                if std::mem::take(&mut first) {
                    connected();
                }
                handle(hub, response, after, &up).await?;
                if heard.duration_since(before) > FORGOTTEN {
                    hub.put_in_again();
                }
            }
            // One that is not taken at once is out of date when it is.
            _ = interval.tick() => drop(up.try_send(WatchAssignmentsRequest { kind: Some(Up::Load(hub.load())) })),
            () = &mut silence => return Err(Status::deadline_exceeded("nothing came for a while")),
        }
    }
}

async fn handle(
    hub: &Arc<Hub>,
    response: WatchAssignmentsResponse,
    after: &mut String,
    up: &mpsc::Sender<WatchAssignmentsRequest>,
) -> Result<(), Status> {
    match response.kind {
        Some(Down::Assignments(batch)) => {
            for delivery in batch.deliveries {
                match delivery.assignment.map(|assignment| pairing(&hub.context.secret, assignment)) {
                    Some(Ok(pairing)) => hub.assign(pairing),
                    _ => warn!("an assignment makes no sense, passed over"),
                }
                *after = delivery.id;
            }
            send(up, Up::Acknowledge(after.clone())).await
        }
        Some(Down::Generation(generation)) => {
            hub.new_generation(&generation);
            Ok(())
        }
        Some(Down::Cluster(cluster)) => {
            hub.stats.heard(cluster);
            Ok(())
        }
        Some(Down::Gateways(gateways)) => {
            hub.classic.peers.heard_of(&gateways.gateways);
            Ok(())
        }
        Some(Down::Relays(relays)) => {
            hub.relays_heard_of(&relays.addresses);
            Ok(())
        }
        None => Ok(()),
    }
}

async fn send(up: &mpsc::Sender<WatchAssignmentsRequest>, kind: Up) -> Result<(), Status> {
    let sent = silent(up.send(WatchAssignmentsRequest { kind: Some(kind) })).await?;
    sent.map_err(|_| Status::unavailable("the watch's upward stream is closed"))
}

/// Nothing of a watch may take longer than a matchmaker may be silent.
async fn silent<T>(step: impl Future<Output = T>) -> Result<T, Status> {
    let done = tokio::time::timeout(SILENCE, step).await;
    done.map_err(|_| Status::deadline_exceeded("the matchmaker does not answer"))
}

fn pairing(secret: &Secret, assignment: Assignment) -> Result<Pairing, chassis::id::Malformed> {
    let none_if_empty = |text: String| (!text.is_empty()).then_some(text);
    let sealed = secret.open(Purpose::Question, &assignment.sealed_question).ok();
    let spys = sealed.and_then(|question| String::from_utf8(question).ok());
    let question = spys.or_else(|| none_if_empty(assignment.question.clone()));
    Ok(Pairing {
        ticket: TicketId::try_from(&assignment.ticket)?,
        chat: ChatId::try_from(&assignment.chat)?,
        seat: Seat::from_number(assignment.seat)?,
        role: if assignment.role() == ProtoRole::Spy { Role::Spy } else { Role::Stranger },
        mode: if assignment.mode() == ProtoMode::Video { Mode::Video } else { Mode::Text },
        epoch: Epoch(assignment.epoch),
        turn: 0,
        relay: assignment.relay,
        seat_token: assignment.seat_token,
        common_interests: assignment.common_interests,
        language: none_if_empty(assignment.language),
        question,
        initiator: assignment.initiator,
        traceparent: assignment.traceparent,
        strangers: assignment.strangers.into_iter().map(Alias).collect(),
        again: <[u8; 16]>::try_from(&*assignment.again).ok().map(Redacted::new),
        partner_college: none_if_empty(assignment.partner_college),
    })
}
