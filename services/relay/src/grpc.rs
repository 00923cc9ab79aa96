//! The gateways' side: one stream per gateway, which carries all its seats.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use chassis::{
    Context,
    grpc::{MAX_MESSAGE, continue_from},
};
use futures_util::{Stream, stream};
use stroll_proto::v1::{
    Attach, ConnectRequest, ConnectResponse, GatewayFrame, Pong, RelayFrame,
    gateway_frame::Body,
    relay_frame::Body as Answer,
    relay_service_server::{RelayService, RelayServiceServer},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, service::Routes};
use tracing::{info, info_span, warn};

use crate::{
    chat::{Done, Ignored, Link},
    error::Error,
    hub::{Batch, Hub, Place},
    outbox::{End, Outbox},
};

/// Longest id of a gateway.
const MAX_GATEWAY: usize = 64;
/// How long a gateway may say nothing. It pings when it has nothing to say.
const SILENCE: Duration = Duration::from_secs(5);
/// Handles of forgotten chats are looked for when there are more than this, and twice as many as were left the last time.
const SWEEP: usize = 1024;

/// The service.
pub(crate) struct Grpc {
    context: Context,
    hub: Arc<Hub>,
    stopping: CancellationToken,
}

impl Grpc {
    /// The service as routes. Its streams end when `stopping` fires.
    pub(crate) fn routes(context: Context, hub: Arc<Hub>, stopping: CancellationToken) -> Routes {
        let service = RelayServiceServer::new(Self { context, hub, stopping });
        Routes::new(service.max_decoding_message_size(MAX_MESSAGE))
    }
}

#[tonic::async_trait]
impl RelayService for Grpc {
    type ConnectStream = Pin<Box<dyn Stream<Item = Result<ConnectResponse, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        if self.stopping.is_cancelled() {
            return Err(Error::Stopping.into());
        }
        let outbox = self.hub.open_stream();
        let gateway = Gateway {
            hub: Arc::clone(&self.hub),
            outbox: Arc::clone(&outbox),
            name: String::new(),
            places: HashMap::new(),
            sweep_at: SWEEP,
            batch: self.hub.batch(),
        };
        let stopping = self.stopping.clone();
        self.context.tasks.spawn("gateway stream", gateway.serve(request.into_inner(), stopping));
        Ok(Response::new(Box::pin(outgoing(outbox))))
    }
}

/// Ends the outbox when the response is dropped, because the gateway is gone.
struct Sender(Arc<Outbox>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.end(End::Gone);
    }
}

fn outgoing(outbox: Arc<Outbox>) -> impl Stream<Item = Result<ConnectResponse, Status>> + Send {
    stream::unfold(Some(Sender(outbox)), async |sender| {
        let sender = sender?;
        match sender.0.next_batch().await {
            Ok(batch) => Some((Ok(batch), Some(sender))),
            Err(End::Gone | End::Stopping) => None,
            Err(End::TooSlow) => Some((Err(Error::TooSlow.into()), None)),
            Err(End::Unnamed) => Some((Err(Error::Unnamed.into()), None)),
        }
    })
}

/// One gateway's stream.
struct Gateway {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    /// As the gateway calls itself.
    name: String,
    places: HashMap<u64, Place>,
    sweep_at: usize,
    batch: Batch,
}

impl Gateway {
    async fn serve(mut self, mut requests: Streaming<ConnectRequest>, stopping: CancellationToken) {
        let outbox = Arc::clone(&self.outbox);
        let end = tokio::select! {
            end = self.receive(&mut requests) => end,
            () = stopping.cancelled() => End::Stopping,
            () = outbox.over() => End::Gone,
        };
        self.finish(end);
    }

    /// Takes requests until the gateway ends the stream, or says nothing for too long.
    async fn receive(&mut self, requests: &mut Streaming<ConnectRequest>) -> End {
        while let Ok(Ok(Some(request))) = timeout(SILENCE, requests.message()).await {
            if self.name.is_empty() && !self.introduce(&request.gateway) {
                return End::Unnamed;
            }
            self.batch.now = self.hub.now();
            for frame in request.frames {
                let result = self.on_frame(frame);
                self.batch.tally.frame(result);
            }
            self.hub.metrics().add(&mut self.batch.tally);
        }
        End::Gone
    }

    fn introduce(&mut self, name: &str) -> bool {
        let is_good =
            (1..=MAX_GATEWAY).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if is_good {
            info!(gateway = name, "gateway connected");
            name.clone_into(&mut self.name);
        }
        is_good
    }

    fn on_frame(&mut self, frame: GatewayFrame) -> Result<Done, Ignored> {
        let handle = frame.handle;
        match frame.body.ok_or(Ignored::Empty)? {
            Body::Attach(attach) => self.on_attach(handle, attach),
            Body::Decline(decline) => self.hub.decline(&decline, &mut self.batch),
            Body::Ping(_) => {
                self.outbox.push(RelayFrame { handle: 0, body: Some(Answer::Pong(Pong {})) });
                Ok(Done::Handled)
            }
            body => {
                let place = self.places.get(&handle).ok_or(Ignored::UnknownHandle)?;
                let link = Link { stream: self.outbox.stream, handle };
                self.hub.frame(place, link, body, &mut self.batch)
            }
        }
    }

    fn on_attach(&mut self, handle: u64, attach: Attach) -> Result<Done, Ignored> {
        if self.places.contains_key(&handle) {
            return Err(Ignored::HandleInUse);
        }
        self.sweep();
        let place = if attach.traceparent.is_empty() {
            self.hub.attach(&self.outbox, handle, attach, &mut self.batch)
        } else {
            let span = info_span!("attach");
            continue_from(&span, &attach.traceparent);
            span.in_scope(|| self.hub.attach(&self.outbox, handle, attach, &mut self.batch))
        };
        self.places.extend(place.map(|place| (handle, place)));
        Ok(Done::Handled)
    }

    /// Drops handles of forgotten chats, now and then.
    fn sweep(&mut self) {
        if self.places.len() >= self.sweep_at {
            self.places.retain(|_, place| place.is_remembered());
            self.sweep_at = SWEEP.max(2 * self.places.len());
        }
    }

    /// All seats are away from now on.
    fn finish(self, end: End) {
        self.outbox.end(end);
        let end = self.outbox.ended().unwrap_or(end);
        let (gateway, seats) = (self.name, self.places.len());
        if end == End::TooSlow {
            self.hub.metrics().cut();
            warn!(gateway, seats, "gateway too slow, its stream is cut");
        } else {
            info!(gateway, seats, ?end, "gateway's stream ended");
        }
        // In a fixed order, so that a simulation runs the same way each time.
        let mut places: Vec<_> = self.places.into_iter().collect();
        places.sort_unstable_by_key(|(handle, _)| *handle);
        self.hub.close_stream(&self.outbox, places.into_iter());
    }
}
