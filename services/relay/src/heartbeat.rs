//! Tells matchmakers that this relay lives.

use std::{sync::Arc, time::Duration};

use chassis::{
    Condition, Context,
    grpc::{Channel, request},
};
use stroll_proto::v1::{HeartbeatRequest, matchmaker_service_client::MatchmakerServiceClient};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Status;
use tracing::{info, warn};

use crate::hub::Hub;

/// How often, and how long one may take.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is told, besides what changes.
pub(crate) struct Heart {
    /// The relay's id: new with every start.
    pub(crate) relay: String,
    /// The address for gateways.
    pub(crate) address: String,
    /// The failure domain.
    pub(crate) zone: String,
    /// Met once a matchmaker knows of this relay.
    pub(crate) known: Condition,
}

impl Heart {
    /// Beats, forever; at once when the drain begins. One matchmaker hears it for all of them.
    pub(crate) async fn beat(self, context: Context, hub: Arc<Hub>, matchmaker: Channel) {
        let mut client = MatchmakerServiceClient::new(matchmaker);
        let mut interval = interval(INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = std::pin::pin!(context.drain.soft());
        let mut was_draining = false;
        let mut last = Last::Never;
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = &mut draining, if !was_draining => was_draining = true,
            }
            let beat = HeartbeatRequest {
                relay: self.relay.clone(),
                address: self.address.clone(),
                zone: self.zone.clone(),
                chats: hub.live() as u64,
                draining: context.drain.is_draining(),
            };
            let answer = client.heartbeat(request(beat, INTERVAL)).await;
            last = self.note(last, answer.map(|_| ()));
        }
    }

    /// Says in the log when matchmakers come and go, not how each beat went.
    fn note(&self, last: Last, answer: Result<(), Status>) -> Last {
        match (answer, last) {
            (Ok(()), Last::Heard) => {}
            (Ok(()), Last::Never | Last::Failed) => {
                info!(relay = %self.relay, address = %self.address, "matchmakers know of this relay");
                self.known.met();
            }
            (Err(_), Last::Failed) => return Last::Failed,
            (Err(status), Last::Never | Last::Heard) => {
                warn!(code = ?status.code(), "no matchmaker hears this relay, trying on");
                return Last::Failed;
            }
        }
        Last::Heard
    }
}

/// How the last beat went.
#[derive(Clone, Copy)]
enum Last {
    Never,
    Heard,
    Failed,
}
