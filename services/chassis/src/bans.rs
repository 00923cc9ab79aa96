//! The view of the bans in force that a service keeps for itself, so that asking it costs a look-up and no call.
//!
//! [`Bans::follow`] keeps a watch at moderation open: a snapshot first, then every change. When moderation is away, the last
//! view goes on holding, and the watch is opened again with back-off; the snapshot that follows then says what changed
//! meanwhile.
//!
//! Invariant: once synced, a ban is in the view from when moderation told it until moderation took it back or its time is
//! over, never less.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use opentelemetry::metrics::Gauge;
use parking_lot::RwLock;
use stroll_proto::v1::{
    self, WatchBansRequest, WatchBansResponse, moderation_service_client::ModerationServiceClient,
};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, Streaming};
use tracing::{info, warn};

use crate::{
    Context,
    backoff::Backoff,
    grpc::Channel,
    id::{AddressHash, Malformed, SessionId},
};

/// How many new bans a subscriber may be behind before it is told that it missed some.
const SUBSCRIBER_BOUND: usize = 1_024;
/// How long moderation may take to open a watch, and then to send all of the snapshot.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses before a watch is opened again grow from the first to the second. They are short, because bans have to arrive
/// within a second also when a replica of moderation has gone.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often bans that are over are taken out of memory. They stop holding at once, without that.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// A ban, with its fields parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The ban's id.
    pub id: String,
    /// The session that is banned, where one is.
    pub session: Option<SessionId>,
    /// The address that is banned, where one is.
    pub address: Option<AddressHash>,
    /// When it ends by itself, in milliseconds since the Unix epoch.
    pub until_unix_ms: u64,
    /// A code that may be told to the one who is banned, such as `spam`.
    pub reason: String,
}

impl Ban {
    /// Whether it is a ban of this session, or of one of these addresses. A service knows several hashes of an address while
    /// the cluster's secret is being rotated.
    #[must_use]
    pub fn is_of(&self, session: SessionId, addresses: &[AddressHash]) -> bool {
        self.session == Some(session) || self.address.is_some_and(|address| addresses.contains(&address))
    }

    fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        self.session.map(Key::Session).into_iter().chain(self.address.map(Key::Address))
    }
}

impl From<Ban> for v1::Ban {
    fn from(ban: Ban) -> Self {
        let subject = v1::Subject {
            session: ban.session.map(SessionId::to_bytes).unwrap_or_default(),
            address: ban.address.map(AddressHash::to_bytes).unwrap_or_default(),
        };
        Self { id: ban.id, subject: Some(subject), until_unix_ms: ban.until_unix_ms, reason: ban.reason }
    }
}

impl TryFrom<v1::Ban> for Ban {
    type Error = Malformed;

    fn try_from(ban: v1::Ban) -> Result<Self, Malformed> {
        let subject = ban.subject.unwrap_or_default();
        let (session, address) = (parse(&subject.session)?, parse(&subject.address)?);
        if ban.id.is_empty() || (session.is_none() && address.is_none()) {
            return Err(Malformed);
        }
        Ok(Self { id: ban.id, session, address, until_unix_ms: ban.until_unix_ms, reason: ban.reason })
    }
}

fn parse<'bytes, T: TryFrom<&'bytes Bytes>>(field: &'bytes Bytes) -> Result<Option<T>, T::Error> {
    if field.is_empty() { Ok(None) } else { T::try_from(field).map(Some) }
}

/// The bans in force, kept current in the background until the last clone is dropped or the process ends.
#[derive(Clone)]
pub struct Bans {
    shared: Arc<Shared>,
    _following: Arc<DropGuard>,
}

impl Bans {
    /// Begins to follow the bans that moderation tells over `channel`.
    #[must_use]
    pub fn follow(context: &Context, channel: Channel) -> Self {
        let following = CancellationToken::new();
        let shared = Arc::new(Shared::new(context.clone()));
        let until_dropped = following.clone().cancelled_owned();
        let follower = Arc::clone(&shared);
        context.tasks.spawn("bans", async move {
            let hard = follower.context.drain.hard();
            tokio::select! {
                () = follow(&follower, channel) => {}
                () = until_dropped => {}
                () = hard => {}
            }
        });
        Self { shared, _following: Arc::new(following.drop_guard()) }
    }

    /// The ban that holds for this session or one of these addresses; the longest, if several do.
    #[must_use]
    pub fn check(&self, session: SessionId, addresses: &[AddressHash]) -> Option<Ban> {
        self.shared.view.read().check(Some(session), addresses, self.shared.context.clock.unix_ms())
    }

    /// Every ban from when it becomes known here. A receiver that is told that it lagged has missed some, and has to
    /// [`check`](Self::check) everybody it serves.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Ban> {
        self.shared.news.subscribe()
    }

    /// Whether everything that was in force has been learned once. It stays so while moderation is away.
    #[must_use]
    pub fn synced(&self) -> bool {
        *self.shared.synced.borrow()
    }

    /// Waits until [`synced`](Self::synced).
    pub async fn until_synced(&self) {
        // It can't fail, because the sender lives as long as `self`.
        let _ = self.shared.synced.subscribe().wait_for(|synced| *synced).await;
    }
}

struct Shared {
    context: Context,
    view: RwLock<View>,
    news: broadcast::Sender<Ban>,
    synced: watch::Sender<bool>,
    metrics: Metrics,
}

impl Shared {
    fn new(context: Context) -> Self {
        Self {
            context,
            view: RwLock::default(),
            news: broadcast::channel(SUBSCRIBER_BOUND).0,
            synced: watch::channel(false).0,
            metrics: Metrics::new(),
        }
    }

    /// Takes in what moderation told; `snapshot` collects the ids of what it told so far, until the snapshot is complete.
    fn apply(&self, told: WatchBansResponse, snapshot: &mut Option<HashSet<String>>) {
        for ban in told.bans {
            match Ban::try_from(ban) {
                Ok(ban) => self.insert(ban, snapshot.as_mut()),
                Err(error) => warn!(%error, "moderation told a malformed ban, which is passed over"),
            }
        }
        for id in &told.lifted {
            self.view.write().remove(id);
            snapshot.as_mut().map(|snapshot| snapshot.remove(id));
        }
        if told.synced
            && let Some(snapshot) = snapshot.take()
        {
            self.complete(&snapshot);
        }
        self.metrics.known(self.view.read().len());
    }

    fn insert(&self, ban: Ban, snapshot: Option<&mut HashSet<String>>) {
        snapshot.map(|snapshot| snapshot.insert(ban.id.clone()));
        if self.view.write().insert(ban.clone()) {
            // An error says that nobody is subscribed.
            let _ = self.news.send(ban);
        }
    }

    /// What was not in a complete snapshot is not in force any more.
    fn complete(&self, snapshot: &HashSet<String>) {
        let mut view = self.view.write();
        view.retain(|ban| snapshot.contains(&ban.id));
        info!(bans = view.len(), "following bans");
        drop(view);
        self.synced.send_replace(true);
    }

    fn sweep(&self) {
        let now = self.context.clock.unix_ms();
        self.view.write().retain(|ban| ban.until_unix_ms > now);
        self.metrics.known(self.view.read().len());
    }
}

async fn follow(shared: &Shared, channel: Channel) {
    let mut client =
        ModerationServiceClient::new(channel).max_decoding_message_size(crate::grpc::MAX_MESSAGE);
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE, shared.context.random.clone());
    let mut told_away = false;
    loop {
        let ended = match open(&mut client).await {
            Ok(stream) => {
                let (ended, complete) = read(shared, stream).await;
                if complete {
                    told_away = false;
                    backoff.reset();
                }
                ended
            }
            Err(status) => status,
        };
        shared.metrics.connected(false);
        if !told_away {
            warn!(code = %ended.code(), reason = ended.message(), "bans are not followed, trying again; those known still hold");
            told_away = true;
        }
        backoff.pause().await;
    }
}

async fn open(client: &mut ModerationServiceClient<Channel>) -> Result<Streaming<WatchBansResponse>, Status> {
    // The call itself lasts as long as both sides do, so its deadline is only on this side and only for its beginning.
    match tokio::time::timeout(SNAPSHOT_TIMEOUT, client.watch_bans(WatchBansRequest {})).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("moderation did not open the watch in time")),
    }
}

/// Reads a watch to its end. Tells how it ended, and whether its snapshot was complete.
async fn read(shared: &Shared, mut stream: Streaming<WatchBansResponse>) -> (Status, bool) {
    let mut snapshot = Some(HashSet::new());
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    let too_late = tokio::time::sleep(SNAPSHOT_TIMEOUT);
    tokio::pin!(too_late);
    loop {
        let told = tokio::select! {
            told = stream.message() => told,
            _ = sweep.tick() => {
                shared.sweep();
                continue;
            }
            () = &mut too_late, if snapshot.is_some() => {
                return (Status::deadline_exceeded("moderation did not send all bans in time"), false);
            }
        };
        match told {
            Ok(Some(told)) => shared.apply(told, &mut snapshot),
            Ok(None) => return (Status::unavailable("moderation ended the watch"), snapshot.is_none()),
            Err(status) => return (status, snapshot.is_none()),
        }
        shared.metrics.connected(snapshot.is_none());
    }
}

// === impl View ===

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Session(SessionId),
    Address(AddressHash),
}

/// Bans by id, and by what they hold for.
#[derive(Debug, Default)]
pub struct View {
    bans: HashMap<String, Arc<Ban>>,
    by_key: HashMap<Key, Vec<Arc<Ban>>>,
}

impl View {
    /// Adds or replaces a ban. False if it was there just so.
    pub fn insert(&mut self, ban: Ban) -> bool {
        if self.bans.get(&ban.id).is_some_and(|known| **known == ban) {
            return false;
        }
        self.remove(&ban.id);
        let ban = Arc::new(ban);
        for key in ban.keys() {
            self.by_key.entry(key).or_default().push(Arc::clone(&ban));
        }
        self.bans.insert(ban.id.clone(), ban);
        true
    }

    /// Takes a ban out. False if there was none of that id.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(ban) = self.bans.remove(id) else { return false };
        for key in ban.keys() {
            if let Some(bans) = self.by_key.get_mut(&key) {
                bans.retain(|other| other.id != id);
                if bans.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        true
    }

    /// Takes out what is not to be kept, and tells the ids of that.
    pub fn retain(&mut self, keep: impl Fn(&Ban) -> bool) -> Vec<String> {
        let gone: Vec<String> =
            self.bans.values().filter(|ban| !keep(ban)).map(|ban| ban.id.clone()).collect();
        for id in &gone {
            self.remove(id);
        }
        gone
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values().map(Arc::as_ref)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bans.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bans.is_empty()
    }

    /// The ban that holds for this session or one of these addresses; the longest, if several do.
    #[must_use]
    pub fn check(
        &self,
        session: Option<SessionId>,
        addresses: &[AddressHash],
        now_unix_ms: u64,
    ) -> Option<Ban> {
        let addresses = addresses.iter().copied().map(Key::Address);
        let keys = session.map(Key::Session).into_iter().chain(addresses);
        let holding = keys.filter_map(|key| self.by_key.get(&key)).flatten();
        let holding = holding.filter(|ban| ban.until_unix_ms > now_unix_ms);
        holding.max_by_key(|ban| ban.until_unix_ms).map(|ban| Ban::clone(ban))
    }
}

struct Metrics {
    known: Gauge<u64>,
    connected: Gauge<u64>,
}

impl Metrics {
    fn new() -> Self {
        let meter = opentelemetry::global::meter("stroll-chassis");
        Self {
            known: meter
                .u64_gauge("stroll.chassis.bans")
                .with_unit("{ban}")
                .with_description("Bans that this process knows to be in force")
                .build(),
            connected: meter
                .u64_gauge("stroll.chassis.bans.following")
                .with_unit("1")
                .with_description("1 while this process learns of changes to the bans, 0 while it holds to the last it knew")
                .build(),
        }
    }

    fn known(&self, bans: usize) {
        self.known.record(u64::try_from(bans).unwrap_or(u64::MAX), &[]);
    }

    fn connected(&self, connected: bool) {
        self.connected.record(u64::from(connected), &[]);
    }
}

#[cfg(test)]
mod tests;
