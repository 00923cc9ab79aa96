//! A cluster of Redis: each key's commands go to the master that has its slot.
//!
//! This is our own and not the `redis` crate's client of clusters, because that one makes its sockets itself, which have to
//! come from the chassis, and puts reads that wait onto connections that others use.
//!
//! What was not done is done elsewhere: where a server says that another one has the slot, or can't be reached and another
//! one has taken its place. What may have been done is not repeated here. Who asked knows whether that does harm.
//!
//! Invariant: [`Cluster::number`] changes when the map does, and when any server's connection is given up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chassis::Context;
use futures_util::{
    FutureExt as _,
    future::{select_ok, try_join_all},
};
use parking_lot::Mutex;
use redis::{Cmd, RedisConnectionInfo, Value, cmd};
use tokio::time::{Instant, timeout};

use super::{
    connections::{Answer, Connections, FAILURE_PAUSE, Failure, Holder, Work},
    slots::{self, Slots},
    url::Address,
};
use crate::{Error, error::Result};

/// How often a command is sent elsewhere before it is given up. While a slot moves, twice is usual.
const REDIRECTIONS: usize = 4;
/// How long the server that told the map last may take, before the others are asked as well.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);

/// Connections to all servers of a cluster.
pub(super) struct Cluster {
    seeds: Vec<Address>,
    login: RedisConnectionInfo,
    context: Context,
    view: Mutex<View>,
    inquiry: tokio::sync::Mutex<Inquiry>,
}

/// What is known of the cluster.
#[derive(Default)]
struct View {
    slots: Arc<Slots>,
    servers: BTreeMap<Address, Arc<Connections>>,
    /// Something happened that may have changed the map.
    doubtful: bool,
    /// How often the map changed, and the numbers of servers that are forgotten.
    changes: u64,
}

/// The last time that the map was asked for.
#[derive(Default)]
struct Inquiry {
    began: Option<Instant>,
    /// Why it led to nothing, if it did.
    failed: Option<String>,
    /// Who told it last.
    answered: Option<Address>,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<Address>, login: RedisConnectionInfo, context: Context) -> Self {
        let (view, inquiry) = Default::default();
        Self { seeds, login, context, view, inquiry }
    }

    /// Changes when the map does, or a connection is made or given up. Only rises.
    pub(super) fn number(&self) -> u64 {
        let view = self.view.lock();
        view.changes + view.servers.values().map(|server| server.number()).sum::<u64>()
    }

    /// Does some work where `key` is.
    pub(super) async fn run(&self, key: &[u8], work: Work<'_>) -> Result<Value> {
        let slot = slots::of_key(key);
        let (mut at, mut holder) = (self.owner(slot).await?, Holder::Owner);
        for _ in 0..REDIRECTIONS {
            match self.server(&at).run(work, holder).await {
                Err(Failure::Moved(to)) => {
                    // Who was sent there may be early, so that the map is asked for there. It is gone there all the same.
                    let _ = self.ask_for_map(Some(&to)).await;
                    (at, holder) = (to, Holder::Owner);
                }
                Err(Failure::Importing(to)) => (at, holder) = (to, Holder::Importer),
                Err(Failure::Unreachable(error)) => {
                    self.view.lock().doubtful = true;
                    let owner = self.owner(slot).await?;
                    if owner == at {
                        return Err(error);
                    }
                    (at, holder) = (owner, Holder::Owner);
                }
                answer => return self.judge(answer),
            }
        }
        Err(Error::Away(format!("the servers of the cluster disagree on who has the slot {slot}")))
    }

    /// Asks every master the same.
    pub(super) async fn ask_masters(&self, question: &Cmd) -> Result<Vec<Value>> {
        self.ask_for_map(None).await?;
        let slots = Arc::clone(&self.view.lock().slots);
        let asked = slots.masters().into_iter().map(|master| {
            let server = self.server(master);
            async move { server.run(Work::Command(question), Holder::Owner).await }
        });
        try_join_all(asked).await.map_err(|failure| {
            self.view.lock().doubtful = true;
            failure.into()
        })
    }

    /// Doubts the map after what a loss or a failover may have caused.
    fn judge(&self, answer: Answer) -> Result<Value> {
        answer.map_err(|failure| {
            let error = failure.into();
            if matches!(error, Error::Away(_)) {
                self.view.lock().doubtful = true;
            }
            error
        })
    }

    /// Who owns a slot, by a map that nothing speaks against.
    async fn owner(&self, slot: u16) -> Result<Address> {
        let known = {
            let view = self.view.lock();
            view.slots.owner(slot).filter(|_| !view.doubtful).cloned()
        };
        if let Some(owner) = known {
            return Ok(owner);
        }
        self.ask_for_map(None).await?;
        let slots = Arc::clone(&self.view.lock().slots);
        let owner = slots.owner(slot).cloned();
        owner.ok_or_else(|| Error::Away(format!("no server of the cluster has the slot {slot}")))
    }

    /// Learns the map anew, from `first` if that is given and answers. Who asks while it is being asked for waits for the next
    /// time, once for all.
    async fn ask_for_map(&self, first: Option<&Address>) -> Result<()> {
        let now = Instant::now();
        let mut inquiry = self.inquiry.lock().await;
        let Inquiry { began, failed, answered } = &mut *inquiry;
        let recent = began.is_some_and(|began| began > now);
        match failed {
            None if recent => return Ok(()),
            Some(cause) if recent || began.is_some_and(|began| began.elapsed() < FAILURE_PAUSE) => {
                return Err(Error::Away(cause.clone()));
            }
            _ => {}
        }
        *began = Some(Instant::now());
        match self.ask_anybody(first.or(answered.as_ref())).await {
            Ok((from, slots)) => {
                (*failed, *answered) = (None, Some(from));
                self.adopt(slots);
                Ok(())
            }
            Err(error) => {
                (*failed, *answered) = (Some(error.to_string()), None);
                Err(error)
            }
        }
    }

    /// The map, from `first` if there is one and it answers soon, else from whoever answers first.
    async fn ask_anybody(&self, first: Option<&Address>) -> Result<(Address, Slots)> {
        let mut cause = Error::Away("no server of the cluster is known".to_owned());
        if let Some(first) = first {
            match timeout(ANSWER_WITHIN, self.ask(first.clone())).await {
                Ok(Ok(told)) => return Ok(told),
                Ok(Err(error)) => cause = error,
                Err(_) => cause = Error::Away(format!("{first} does not answer")),
            }
        }
        let slots = Arc::clone(&self.view.lock().slots);
        let all: BTreeSet<_> = slots.servers().iter().chain(&self.seeds).collect();
        let others: Vec<_> = all.into_iter().filter(|address| Some(*address) != first).cloned().collect();
        if others.is_empty() {
            return Err(cause);
        }
        let (told, _) = select_ok(others.into_iter().map(|address| self.ask(address).boxed())).await?;
        Ok(told)
    }

    async fn ask(&self, address: Address) -> Result<(Address, Slots)> {
        let answer =
            self.server(&address).run(Work::Command(cmd("CLUSTER").arg("SLOTS")), Holder::Owner).await;
        let answer = answer.map_err(|failure| match failure.into() {
            Error::Away(cause) if cause.contains("cluster support disabled") => Error::Refused(
                "this Redis is not of a cluster: its URL begins with `redis://` or `redis+sentinel://`"
                    .to_owned(),
            ),
            error => error,
        })?;
        let slots = Slots::read(answer, &address)
            .ok_or_else(|| Error::Away(format!("{address} knows of no slots (yet)")))?;
        Ok((address, slots))
    }

    /// Goes by a map from now on, and forgets servers that are not of the cluster any more.
    fn adopt(&self, slots: Slots) {
        let mut view = self.view.lock();
        let View { slots: known, servers, doubtful, changes } = &mut *view;
        *doubtful = false;
        if **known == slots {
            return;
        }
        servers.retain(|address, server| {
            let kept = slots.servers().contains(address) || self.seeds.contains(address);
            if !kept {
                *changes += server.number();
            }
            kept
        });
        *known = Arc::new(slots);
        *changes += 1;
    }

    fn server(&self, address: &Address) -> Arc<Connections> {
        let mut view = self.view.lock();
        let server = view.servers.entry(address.clone()).or_insert_with(|| {
            Arc::new(Connections::fixed(address.clone(), self.login.clone(), self.context.clone()))
        });
        Arc::clone(server)
    }
}
