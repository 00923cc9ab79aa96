//! A gateway's watch: its inbox down, its acknowledgements and its load up.
//!
//! Any replica serves any gateway, because the inbox is in the store. What was not acknowledged stays there, so a gateway
//! that goes on at another replica misses nothing.
//!
//! A delivery's id is its entry's and the generation in which it was read: `1700000000000-0@1f2e3d4c5b6a7988`. So an id
//! from before a loss of all data neither skips nor trims anything that came after it.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use chassis::backoff::Backoff;
use prost::Message as _;
use stroll_proto::v1::{
    Assignment, AssignmentBatch, Delivery, GatewayLoad, LiveGateway, LiveGateways, LiveRelays,
    WatchAssignmentsRequest, WatchAssignmentsResponse, WatchOpen, watch_assignments_request::Kind as Up,
    watch_assignments_response::Kind as Down,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::{debug, warn};

use crate::{
    Error,
    error::Result,
    grpc::check_address,
    matching,
    members::{GatewayBeat, Member},
    pool::{EntryId, GATHER, Letter, READ_BATCH},
    replica::Replica,
};

/// How many answers may lie ready for a gateway.
const ANSWERS: usize = 16;
/// How long a gateway may take to open its watch.
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// How long one read waits.
const READ_WAIT: Duration = Duration::from_secs(2);
/// How long what was acknowledged may take up room. What is acknowledged last before a watch ends is dropped with what the next one
/// acknowledges.
const TRIM_PAUSE: Duration = Duration::from_millis(250);
/// How often the cluster's numbers are told.
const CLUSTER_INTERVAL: Duration = Duration::from_secs(2);
/// How often an inbox is kept from being over.
const KEEP_INTERVAL: Duration = Duration::from_secs(10);
/// How long the last word to a gateway may take.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What a gateway is answered.
pub(crate) type Answers = ReceiverStream<std::result::Result<WatchAssignmentsResponse, Status>>;

/// Serves a watch in a task of its own.
pub(crate) fn serve(replica: Arc<Replica>, requests: Streaming<WatchAssignmentsRequest>) -> Answers {
    let (answers, receiver) = mpsc::channel(ANSWERS);
    let tasks = replica.context.tasks.clone();
    tasks.spawn("watch", async move {
        let (hard, gone) = (replica.context.drain.hard(), answers.clone());
        replica.metrics.watches(1);
        let ended = tokio::select! {
            biased;
            () = hard => None,
            ended = run(&replica, requests, &answers, gone.closed()) => ended.err(),
        };
        replica.metrics.watches(-1);
        if let Some(error) = ended {
            debug!(%error, "a watch ends");
            // Nobody is left to tell if it doesn't go out.
            let _ = timeout(LAST_WORD, answers.send(Err(error.into()))).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn run(
    replica: &Replica,
    mut requests: Streaming<WatchAssignmentsRequest>,
    answers: &Sender,
    gone: impl Future<Output = ()>,
) -> Result<()> {
    let opened = timeout(OPEN_WITHIN, requests.message()).await;
    let first = opened.ok().and_then(std::result::Result::ok).flatten().and_then(|request| request.kind);
    let Some(Up::Open(open)) = first else { return Err(Error::Invalid("a watch begins with `open`")) };
    let (watch, after) = Watch::open(replica, answers, open)?;
    let drain = replica.context.drain.soft();
    let ended = tokio::select! {
        biased;
        () = drain => Err(Error::Draining),
        () = gone => Ok(()),
        () = replica.store.cut_off() => Err(Error::Away("for too long".to_owned())),
        never = watch.trim() => match never {},
        ended = watch.listen(requests) => ended,
        ended = watch.announce() => ended,
        ended = watch.read(after) => ended,
    };
    if ended.is_ok() {
        watch.tell_end().await;
    }
    ended
}

type Sender = mpsc::Sender<std::result::Result<WatchAssignmentsResponse, Status>>;

/// The watch of one gateway.
struct Watch<'a> {
    replica: &'a Replica,
    gateway: String,
    /// Where other gateways reach it; may be empty.
    address: String,
    answers: &'a Sender,
    /// Up to where the gateway has everything.
    acknowledged: watch::Sender<EntryId>,
}

impl<'a> Watch<'a> {
    /// Checks how a gateway opens. Tells from where it is to be read; `None`: from the beginning.
    fn open(
        replica: &'a Replica,
        answers: &'a Sender,
        open: WatchOpen,
    ) -> Result<(Self, Option<DeliveryId>)> {
        matching::check_name(&open.gateway)?;
        if !open.address.is_empty() {
            check_address(&open.address)?;
        }
        let after = if open.after.is_empty() { None } else { Some(DeliveryId::parse(&open.after)?) };
        let acknowledged = watch::channel(EntryId::default()).0;
        let WatchOpen { gateway, address, .. } = open;
        Ok((Self { replica, gateway, address, answers, acknowledged }, after))
    }

    /// Sends what the inbox holds and what comes into it. After a loss of all data it begins at the beginning.
    async fn read(&self, after: Option<DeliveryId>) -> Result<()> {
        let Replica { pool, store, context, .. } = self.replica;
        let mut backoff =
            Backoff::new(Duration::from_millis(50), Duration::from_millis(500), context.random.clone());
        let (mut generation, mut cursor) = after.map(|id| (id.generation, id.entry)).unwrap_or_default();
        loop {
            let next = Instant::now() + GATHER;
            let current = store.generation().ok_or_else(|| Error::Away("not there yet".to_owned()))?;
            if generation != current {
                (generation, cursor) = (current, EntryId::default());
            }
            match pool.read_inbox(&self.gateway, cursor, READ_WAIT).await {
                Ok(letters) => {
                    backoff.reset();
                    let Some((last, _)) = letters.last() else { continue };
                    cursor = *last;
                    let is_full = letters.len() == READ_BATCH;
                    self.send(Down::Assignments(batch(letters, &generation))).await?;
                    if !is_full {
                        sleep_until(next).await;
                    }
                }
                Err(error) => {
                    debug!(%error, "an inbox cannot be read");
                    backoff.pause().await;
                }
            }
        }
    }

    /// Sends the generation, first of all and when it changes, the cluster's numbers, and who lives.
    async fn announce(&self) -> Result<()> {
        let mut generations = self.replica.store.generations();
        generations.mark_changed();
        let (mut heard, mut told) = (self.replica.members.heard(), Told::default());
        let mut ticks = interval(CLUSTER_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = generations.changed() => {
                    let generation = generations.borrow_and_update().clone();
                    let generation = generation.ok_or_else(|| Error::Away("not there yet".to_owned()))?;
                    self.send(Down::Generation(generation)).await?;
                }
                _ = ticks.tick() => {
                    self.send(Down::Cluster(self.replica.members.load())).await?;
                    self.tell_who_lives(&mut told, Say::Anyway).await?;
                }
                _ = heard.changed() => self.tell_who_lives(&mut told, Say::News).await?,
            }
        }
    }

    async fn tell_who_lives(&self, told: &mut Told, say: Say) -> Result<()> {
        let members = &self.replica.members;
        if let Some(addresses) = to_tell(members.relay_addresses(), &mut told.relays, say) {
            self.send(Down::Relays(LiveRelays { addresses })).await?;
        }
        if let Some(gateways) = to_tell(members.live_gateways(), &mut told.gateways, say) {
            self.send(Down::Gateways(LiveGateways { gateways })).await?;
        }
        Ok(())
    }

    /// Hears acknowledgements and loads until the gateway says no more.
    async fn listen(&self, mut requests: Streaming<WatchAssignmentsRequest>) -> Result<()> {
        let mut kept: Option<Instant> = None;
        while let Ok(Some(request)) = requests.message().await {
            match request.kind {
                Some(Up::Acknowledge(id)) => self.acknowledge(&DeliveryId::parse(&id)?),
                Some(Up::Load(load)) => self.beat(load, &mut kept).await,
                Some(Up::Open(_)) => return Err(Error::Invalid("a watch is opened once")),
                // A newer gateway may say more.
                None => {}
            }
        }
        Ok(())
    }

    fn acknowledge(&self, id: &DeliveryId) {
        if self.replica.store.generation().as_ref() == Some(&id.generation) {
            // Cumulative: one that comes late says nothing new.
            self.acknowledged.send_if_modified(|known| {
                let newer = *known < id.entry;
                if newer {
                    *known = id.entry;
                }
                newer
            });
        }
    }

    /// Keeps the gateway a live member, and its inbox.
    async fn beat(&self, load: GatewayLoad, kept: &mut Option<Instant>) {
        let Replica { pool, members, .. } = self.replica;
        if let Err(error) = members.tell(self.sign_of_life(load, false)).await {
            debug!(%error, "a gateway's load was not stored");
        }
        if kept.is_some_and(|kept| kept.elapsed() < KEEP_INTERVAL) {
            return;
        }
        match pool.keep_inbox(&self.gateway).await {
            Ok(()) => *kept = Some(Instant::now()),
            Err(error) => debug!(%error, "an inbox could not be kept"),
        }
    }

    /// Lets the owners know that the gateway has gone, so that nobody is paired with its tickets. If it has only gone to
    /// another replica, that one says within a second that it is there.
    async fn tell_end(&self) {
        if let Err(error) = self.replica.members.tell(self.sign_of_life(GatewayLoad::default(), true)).await {
            debug!(%error, "a gateway's end was not stored");
        }
    }

    fn sign_of_life(&self, load: GatewayLoad, watch_ended: bool) -> Member {
        let (id, address) = (self.gateway.clone(), self.address.clone());
        Member::Gateway(GatewayBeat { id, load, watch_ended, address })
    }

    /// Drops what was acknowledged. What comes while one call is under way is dropped with the next.
    async fn trim(&self) -> Infallible {
        let mut acknowledged = self.acknowledged.subscribe();
        loop {
            if acknowledged.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let up_to = *acknowledged.borrow_and_update();
            if let Err(error) = self.replica.pool.trim_inbox(&self.gateway, up_to).await {
                // The next acknowledgement covers it.
                debug!(%error, "an inbox could not be trimmed");
            }
            sleep(TRIM_PAUSE).await;
        }
    }

    /// Waits where the gateway doesn't keep up.
    async fn send(&self, kind: Down) -> Result<()> {
        let sent = self.answers.send(Ok(WatchAssignmentsResponse { kind: Some(kind) })).await;
        sent.map_err(|_| Error::Draining)
    }
}

/// What a gateway was told last of who lives.
#[derive(Default)]
struct Told {
    relays: Vec<String>,
    gateways: Vec<LiveGateway>,
}

/// Whether something is to be told that is known already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Say {
    Anyway,
    News,
}

/// Those who live, if they are to be told. Where none is heard of, most likely it is this matchmaker that hears nothing.
fn to_tell<T: Clone + PartialEq>(live: Vec<T>, told: &mut Vec<T>, say: Say) -> Option<Vec<T>> {
    if live.is_empty() || (say == Say::News && live == *told) {
        return None;
    }
    told.clone_from(&live);
    Some(live)
}

/// The news as it is sent.
fn batch(letters: Vec<Letter>, generation: &str) -> AssignmentBatch {
    let deliveries = letters.into_iter().filter_map(|(entry, letter)| {
        let assignment = Assignment::decode(letter);
        let assignment =
            assignment.inspect_err(|error| warn!(%error, "an assignment cannot be read, passed over"));
        let id = DeliveryId { entry, generation: generation.to_owned() }.to_string();
        Some(Delivery { id, assignment: Some(assignment.ok()?) })
    });
    AssignmentBatch { deliveries: deliveries.collect() }
}

/// What a delivery is called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DeliveryId {
    entry: EntryId,
    generation: String,
}

impl DeliveryId {
    fn parse(text: &str) -> Result<Self> {
        let parsed = text.split_once('@').and_then(|(entry, generation)| {
            Some(Self { entry: entry.parse().ok()?, generation: generation.to_owned() })
        });
        parsed.ok_or(Error::Invalid("an acknowledgement, and where a watch goes on, is a delivery's id"))
    }
}

impl std::fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.entry, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_id_is_read_as_it_was_written_and_nothing_else_is() {
        let id = DeliveryId { entry: EntryId { ms: 5, seq: 1 }, generation: "abc".to_owned() };
        assert_eq!(id.to_string(), "5-1@abc");
        assert_eq!(DeliveryId::parse("5-1@abc").expect("good"), id);
        for bad in ["", "5-1", "@", "5@abc", "x@5-1"] {
            assert!(DeliveryId::parse(bad).is_err(), "{bad}");
        }
    }
}
