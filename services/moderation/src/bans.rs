//! The bans in force, as this replica knows them, and everybody who watches them.
//!
//! Bans spread through the store: each replica asks it several times a second for the number of the last change, and
//! reads what is new. So a ban reaches whoever watches any replica well within a second, and there is no second way that
//! could disagree with the first.
//!
//! Invariants: a watcher is told everything that was in force when it began, and every change since, or its watch ends with an
//! error; no watch lives on while the store can't be read.

use std::{collections::HashSet, time::Duration};

use chassis::{
    Clock, Context,
    bans::{Ban, View},
    id::{AddressHash, SessionId},
};
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use stroll_proto::v1::WatchBansResponse;
use tokio::{
    sync::broadcast,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    error::Error,
    metrics::{Metrics, Present},
    store::{Change, Store},
};

/// How often the store is asked for changes.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long the store may fail before the watches are ended.
const STALE_AFTER: Duration = Duration::from_secs(2);
/// How often bans that are over are forgotten. They stop holding at once, without that.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// How many responses a watcher may be behind.
const WATCHER_BOUND: usize = 1_024;
/// How many bans are told in one response.
const BANS_PER_RESPONSE: usize = 1_000;

/// The bans in force.
pub(crate) struct Bans {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    state: Mutex<State>,
    /// Held while the store is asked, so that changes are taken in one after the other.
    turn: tokio::sync::Mutex<()>,
    news: broadcast::Sender<News>,
}

#[derive(Default)]
struct State {
    /// What the view is up to. None before the first time that the store was read.
    revision: Option<i64>,
    view: View,
}

#[derive(Clone)]
enum News {
    Told(WatchBansResponse),
    /// The store can't be read, so there may be changes that are not known here.
    Lost,
}

impl Bans {
    pub(crate) fn new(store: Store, clock: Clock, metrics: Metrics) -> Self {
        let news = broadcast::channel(WATCHER_BOUND).0;
        Self { store, clock, metrics, state: Mutex::default(), turn: tokio::sync::Mutex::default(), news }
    }

    /// The ban that holds for a session or an address.
    ///
    /// # Errors
    /// If the store has never been read.
    pub(crate) fn check(
        &self,
        session: Option<SessionId>,
        address: Option<AddressHash>,
    ) -> Result<Option<Ban>, Error> {
        let state = self.state.lock();
        state.revision.ok_or(Error::NotReady)?;
        Ok(state.view.check(session, address.as_slice(), self.clock.unix_ms()))
    }

    /// Everything in force, and then every change. The stream ends with the drain, or with an error.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) async fn watch(
        &self,
        context: &Context,
    ) -> Result<impl Stream<Item = Result<WatchBansResponse, Error>> + Send + 'static + use<>, Error> {
        // A watcher that comes from another replica must not be told less than it knows already.
        self.refresh().await?;
        let watch = self.begin_watch(context);
        Ok(stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            match watch.next().await? {
                Ok(told) => Some((Ok(told), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    fn begin_watch(&self, context: &Context) -> Watch {
        let now = self.clock.unix_ms();
        // News are sent with the state locked, so none falls between the snapshot and the subscription.
        let state = self.state.lock();
        let news = self.news.subscribe();
        let bans: Vec<_> = state.view.iter().filter(|ban| ban.until_unix_ms > now).cloned().collect();
        drop(state);
        Watch {
            snapshot: snapshot(&bans).into_iter(),
            news,
            context: context.clone(),
            _present: self.metrics.watcher(),
        }
    }

    /// Takes in what has changed in the store.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let known = self.state.lock().revision;
        let last = self.store.revision().await?;
        match known {
            Some(known) if known == last => Ok(()),
            Some(known) if known < last => self.catch_up(known).await,
            // At the beginning, and when the database was set back to an earlier state.
            Some(_) | None => self.load().await,
        }
    }

    async fn load(&self) -> Result<(), Error> {
        let (revision, bans) = self.store.in_force(self.clock.unix_ms()).await?;
        info!(revision, bans = bans.len(), "bans are loaded");
        let ids: HashSet<String> = bans.iter().map(|ban| ban.id.clone()).collect();
        let mut state = self.state.lock();
        let lifted = state.view.retain(|ban| ids.contains(&ban.id));
        let new: Vec<_> = bans.into_iter().filter(|ban| state.view.insert(ban.clone())).collect();
        state.revision = Some(revision);
        self.tell(&state, new, lifted);
        Ok(())
    }

    async fn catch_up(&self, mut known: i64) -> Result<(), Error> {
        loop {
            let changes = self.store.changes_since(known).await?;
            let Some(last) = changes.last() else { return Ok(()) };
            known = last.revision;
            self.apply(changes, known);
        }
    }

    fn apply(&self, changes: Vec<Change>, revision: i64) {
        let now = self.clock.unix_ms();
        let (mut new, mut lifted) = (Vec::new(), Vec::new());
        let mut state = self.state.lock();
        for Change { ban, is_lifted, .. } in changes {
            if is_lifted {
                state.view.remove(&ban.id);
                lifted.push(ban.id);
            } else if ban.until_unix_ms > now && state.view.insert(ban.clone()) {
                new.push(ban);
            }
        }
        state.revision = Some(revision);
        self.tell(&state, new, lifted);
    }

    /// Called with the state locked, so that the order of news is that of the changes.
    fn tell(&self, state: &State, new: Vec<Ban>, lifted: Vec<String>) {
        self.metrics.bans(state.view.len());
        if new.is_empty() && lifted.is_empty() {
            return;
        }
        let bans = new.into_iter().map(Into::into).collect();
        // An error says that nobody watches.
        let _ = self.news.send(News::Told(WatchBansResponse { bans, lifted, synced: false }));
    }

    /// Keeps the view current until `stopped`.
    pub(crate) async fn keep_current(&self, stopped: CancellationToken) {
        let mut poll = interval(POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweep = interval(SWEEP_INTERVAL);
        let mut failing_since = None;
        loop {
            tokio::select! {
                _ = poll.tick() => self.poll(&mut failing_since).await,
                _ = sweep.tick() => self.sweep(),
                () = stopped.cancelled() => return,
            }
        }
    }

    async fn poll(&self, failing_since: &mut Option<Instant>) {
        let Err(error) = self.refresh().await else {
            if failing_since.take().is_some() {
                info!("the bans are followed again");
            }
            return;
        };
        let since = *failing_since.get_or_insert_with(|| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(%error, cause, "changes to the bans can't be read, trying on");
            Instant::now()
        });
        if since.elapsed() >= STALE_AFTER {
            // An error says that nobody watches.
            let _ = self.news.send(News::Lost);
        }
    }

    fn sweep(&self) {
        let now = self.clock.unix_ms();
        let mut state = self.state.lock();
        state.view.retain(|ban| ban.until_unix_ms > now);
        self.metrics.bans(state.view.len());
    }
}

/// All bans in responses of bounded size, of which the last says that it is.
fn snapshot(bans: &[Ban]) -> Vec<WatchBansResponse> {
    let response = |bans: &[Ban]| WatchBansResponse {
        bans: bans.iter().cloned().map(Into::into).collect(),
        ..WatchBansResponse::default()
    };
    let mut responses: Vec<_> = bans.chunks(BANS_PER_RESPONSE).map(response).collect();
    match responses.last_mut() {
        Some(last) => last.synced = true,
        None => responses.push(WatchBansResponse { synced: true, ..WatchBansResponse::default() }),
    }
    responses
}

// === impl Watch ===

struct Watch {
    snapshot: std::vec::IntoIter<WatchBansResponse>,
    news: broadcast::Receiver<News>,
    context: Context,
    _present: Present,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<WatchBansResponse, Error>> {
        if let Some(told) = self.snapshot.next() {
            return Some(Ok(told));
        }
        let news = tokio::select! {
            news = self.news.recv() => news,
            () = self.context.drain.soft() => return None,
        };
        match news {
            Ok(News::Told(told)) => Some(Ok(told)),
            Ok(News::Lost) => Some(Err(Error::Stale)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Err(Error::Behind)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests;
