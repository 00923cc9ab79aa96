//! The stream on which moderation gets texts and sends verdicts.
//!
//! There is one, opened again with back-off whenever it breaks. Texts that wait in the queue, and the batch that was not handed
//! over, go to the next stream; those that the broken one had are lost to inspection.

use std::{sync::Arc, time::Duration};

use chassis::{Context, backoff::Backoff, grpc::Channel};
use stroll_proto::v1::{
    InspectRequest, InspectResponse, Said, moderation_service_client::ModerationServiceClient,
};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::{info, warn};

use crate::{hub::Hub, inspector::Connected};

/// Most texts in a batch: at 8 KiB each it stays well below the bound of a message.
const BATCH: usize = 256;
/// Batches that wait in the stream itself.
const AHEAD: usize = 2;
/// How long texts are gathered for the next batch, unless that is full before. A verdict comes later by as much at most; each batch
/// costs both sides as much as some twenty texts.
const GATHER: Duration = Duration::from_millis(5);
/// How long opening the stream may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Shortest and longest pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Keeps a stream open, forever.
pub(crate) async fn inspect(context: Context, hub: Arc<Hub>, moderation: Channel, mut texts: Receiver<Said>) {
    let mut client = ModerationServiceClient::new(moderation);
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1, context.random);
    let mut batch = Vec::with_capacity(BATCH);
    let mut is_told = false;
    loop {
        match open(&mut client).await {
            Ok((requests, verdicts)) => {
                info!("texts go to moderation");
                (is_told, _) = (false, backoff.reset());
                hub.moderation_is(Connected::Yes);
                let broken = carry(&hub, &mut texts, &mut batch, requests, verdicts).await;
                hub.moderation_is(Connected::No);
                warn!(code = ?broken.code(), "moderation's stream ended, opening it again");
            }
            Err(status) if !is_told => {
                is_told = true;
                warn!(code = ?status.code(), "moderation can't be reached, trying on");
            }
            Err(_) => {}
        }
        backoff.pause().await;
    }
}

type Stream = (Sender<InspectRequest>, Streaming<InspectResponse>);

async fn open(client: &mut ModerationServiceClient<Channel>) -> Result<Stream, Status> {
    let (sender, requests) = mpsc::channel(AHEAD);
    let opening = timeout(OPEN_TIMEOUT, client.inspect(ReceiverStream::new(requests)));
    let response =
        opening.await.map_err(|_| Status::deadline_exceeded("moderation did not answer in time"))??;
    Ok((sender, response.into_inner()))
}

/// Texts up, verdicts down, until the stream breaks. `batch` holds what was taken from the queue and not handed over.
async fn carry(
    hub: &Arc<Hub>,
    texts: &mut Receiver<Said>,
    batch: &mut Vec<Said>,
    requests: Sender<InspectRequest>,
    mut verdicts: Streaming<InspectResponse>,
) -> Status {
    let mut next = Instant::now();
    loop {
        tokio::select! {
            () = gather(texts, batch, next), if batch.is_empty() => {}
            permit = requests.reserve(), if !batch.is_empty() => match permit {
                Ok(permit) => {
                    let pause = if batch.len() < BATCH { GATHER } else { Duration::ZERO };
                    next = Instant::now() + pause;
                    permit.send(InspectRequest { said: std::mem::take(batch) });
                }
                Err(_) => return Status::unavailable("the stream takes no more texts"),
            },
            response = verdicts.message() => match response {
                Ok(Some(response)) => response.verdicts.into_iter().for_each(|verdict| hub.verdict(verdict)),
                Ok(None) => return Status::ok(""),
                Err(status) => return status,
            },
        }
    }
}

/// Takes what waits, at `next` or when there is something. Takes nothing if it is given up before.
async fn gather(texts: &mut Receiver<Said>, batch: &mut Vec<Said>, next: Instant) {
    sleep_until(next).await;
    texts.recv_many(batch, BATCH).await;
}
