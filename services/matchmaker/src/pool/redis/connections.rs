//! Connections to one server of Redis, or to whichever of some is the master.
//!
//! Commands share one connection, on which they follow each other without waiting. A read that waits owns its connection
//! while it waits, because Redis answers a connection's commands in turn; afterwards the connection is kept for the next one.
//!
//! Invariants:
//! - A connection on which anything went wrong is never used again, and with the shared one all those go that were kept: where
//!   a master was deposed, they are the old one's.
//! - A connection is closed when its last user lets go of it, whatever it may be waiting for: a read that goes on waiting for
//!   nobody would take what the next one is waiting for.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::Context;
use parking_lot::Mutex;
use redis::{Cmd, RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use tokio::time::Instant;

use super::{
    connection::{Connection, PATIENCE, away},
    script::Call,
    sentinel::Sentinels,
    url::Address,
};
use crate::{Error, error::Result};

/// After a connection could not be made, for how long nobody tries. Who asks meanwhile is told at once.
pub(super) const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// How many connections are kept for reads that wait.
const IDLE_MAX: usize = 64;

/// Connections to one server at a time.
pub(super) struct Connections {
    server: Server,
    shared: tokio::sync::Mutex<Shared>,
    made: AtomicU64,
    idle: Mutex<Vec<Kept>>,
}

/// Which server.
enum Server {
    /// Always this one.
    Fixed { address: Address, login: RedisConnectionInfo, context: Context },
    /// The one that the sentinels name.
    Master(Sentinels),
}

#[derive(Default)]
struct Shared {
    connection: Option<Arc<Connection>>,
    /// Where the last one went.
    address: Option<Address>,
    failed: Option<(Instant, String)>,
}

/// A connection that waits for the next read.
struct Kept {
    connection: Connection,
    /// The number of the shared connection beside which it was made.
    number: u64,
}

/// What a server is asked to do.
#[derive(Clone, Copy)]
pub(super) enum Work<'a> {
    /// A command that doesn't wait.
    Command(&'a Cmd),
    /// A script, which doesn't wait either.
    Script(&'a Call<'a>),
    /// A read that waits for so long at most.
    Read(&'a Cmd, Duration),
}

/// What a server is to the slot of the keys that a command touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The slot's owner.
    Owner,
    /// The one that takes it over, which serves only who says to have been sent by the owner.
    Importer,
}

/// Why a server did not do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another one owns the slot. Nothing was done.
    Moved(Address),
    /// Another one is taking the slot over, and has these keys already. Nothing was done.
    Importing(Address),
    /// No connection could be made. Nothing was done.
    Unreachable(Error),
    /// Anything else.
    Other(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Moved(address) | Failure::Importing(address) => {
                Self::Away(format!("the slot is moving to {address}"))
            }
            Failure::Unreachable(error) | Failure::Other(error) => error,
        }
    }
}

/// An answer, or why there is none.
pub(super) type Answer = std::result::Result<Value, Failure>;

impl Connections {
    /// To the server at `address`.
    pub(super) fn fixed(address: Address, login: RedisConnectionInfo, context: Context) -> Self {
        Self::to(Server::Fixed { address, login, context })
    }

    /// To the master that `sentinels` name.
    pub(super) fn master(sentinels: Sentinels) -> Self {
        Self::to(Server::Master(sentinels))
    }

    fn to(server: Server) -> Self {
        Self {
            server,
            shared: tokio::sync::Mutex::default(),
            made: AtomicU64::new(0),
            idle: Mutex::default(),
        }
    }

    /// Which shared connection is in use, by number, which rises also when one is given up. What was learned over an earlier
    /// one may be over.
    pub(super) fn number(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Does some work.
    pub(super) async fn run(&self, work: Work<'_>, holder: Holder) -> Answer {
        match work {
            Work::Command(command) => {
                let (connection, address) = self.shared().await.map_err(Failure::Unreachable)?;
                let answer = query(&connection, command, holder).await;
                self.judge(&connection, &address, answer).await
            }
            Work::Script(call) => self.invoke(call, holder).await,
            Work::Read(read, wait) => self.wait_for(read, wait, holder).await,
        }
    }

    /// Calls a script, which is loaded where the server doesn't have it.
    async fn invoke(&self, call: &Call<'_>, holder: Holder) -> Answer {
        let (connection, address) = self.shared().await.map_err(Failure::Unreachable)?;
        let command = call.command();
        let mut answer = query(&connection, &command, holder).await;
        if answer.as_ref().is_err_and(|error| error.kind() == ServerErrorKind::NoScript.into()) {
            let loaded = query(&connection, &call.load(), Holder::Owner).await;
            self.judge(&connection, &address, loaded).await?;
            answer = query(&connection, &command, holder).await;
        }
        self.judge(&connection, &address, answer).await
    }

    /// Runs a read that waits up to `wait`, on a connection of its own. If the caller stops waiting, the connection goes
    /// too: the read may still be waiting on it.
    async fn wait_for(&self, read: &Cmd, wait: Duration, holder: Holder) -> Answer {
        let number = self.number();
        let mut connection = match self.kept(number) {
            Some(connection) => connection,
            None => self.connect().await.map_err(Failure::Unreachable)?.1,
        };
        connection.redis.set_response_timeout(wait + PATIENCE);
        match query(&connection, read, holder).await {
            Ok(answer) => {
                let mut idle = self.idle.lock();
                if idle.len() < IDLE_MAX {
                    idle.push(Kept { connection, number });
                }
                Ok(answer)
            }
            Err(error) => {
                // What broke this one has broken the others too, more likely than not.
                if !matches!(error.code(), Some("MOVED" | "ASK")) {
                    self.idle.lock().clear();
                }
                Err(self.failure(&error, None))
            }
        }
    }

    /// Goes to the master that the sentinels name by now, where that is not the one that is in use.
    pub(super) async fn follow_master(&self) {
        let Server::Master(sentinels) = &self.server else { return };
        let shared = self.shared.lock().await;
        let used = shared.connection.is_some().then(|| shared.address.clone()).flatten();
        drop(shared);
        let Some(used) = used else { return };
        let Some((address, connection)) = sentinels.moved_from(&used).await else { return };
        let mut shared = self.shared.lock().await;
        if shared.address.as_ref() == Some(&used) {
            shared.connection = Some(Arc::new(connection));
            shared.address = Some(address);
            self.made.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection that was kept beside the shared one that is in use.
    fn kept(&self, number: u64) -> Option<Connection> {
        let mut idle = self.idle.lock();
        idle.retain(|kept| kept.number == number);
        idle.pop().map(|kept| kept.connection)
    }

    /// The shared connection, made if there is none, and where it goes.
    async fn shared(&self) -> Result<(Arc<Connection>, Address)> {
        let mut shared = self.shared.lock().await;
        if let Some((at, cause)) = shared.failed.as_ref().filter(|(at, _)| at.elapsed() < FAILURE_PAUSE) {
            return Err(Error::Away(format!("{cause}, {} ms ago", at.elapsed().as_millis())));
        }
        if let (Some(connection), Some(address)) = (&shared.connection, &shared.address) {
            return Ok((Arc::clone(connection), address.clone()));
        }
        match self.connect().await {
            Ok((address, connection)) => {
                self.made.fetch_add(1, Ordering::Relaxed);
                let connection = Arc::new(connection);
                *shared = Shared {
                    connection: Some(Arc::clone(&connection)),
                    address: Some(address.clone()),
                    failed: None,
                };
                Ok((connection, address))
            }
            Err(error) => {
                shared.failed = Some((Instant::now(), error.to_string()));
                Err(error)
            }
        }
    }

    /// Lets go of the shared connection where an answer says that it is of no use: it broke, or the server is no master
    /// (any more), or not yet.
    async fn judge(
        &self,
        connection: &Arc<Connection>,
        address: &Address,
        answer: RedisResult<Value>,
    ) -> Answer {
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let failure = self.failure(&error, Some(address));
        if matches!(error.code(), Some("OOM" | "MOVED" | "ASK" | "TRYAGAIN")) {
            return Err(failure);
        }
        let mut shared = self.shared.lock().await;
        if shared.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            shared.connection = None;
            self.made.fetch_add(1, Ordering::Relaxed);
        }
        Err(failure)
    }

    /// What an error means, of the server at `address`.
    fn failure(&self, error: &RedisError, address: Option<&Address>) -> Failure {
        let here = match &self.server {
            Server::Fixed { address, .. } => Some(address),
            Server::Master(_) => address,
        };
        let target = error.redirect_node().zip(here).and_then(|((to, _), here)| Address::parse(to, here));
        match (error.code(), target) {
            (Some("OOM"), _) => Failure::Other(Error::Full),
            (Some("MOVED"), Some(address)) => Failure::Moved(address),
            (Some("ASK"), Some(address)) => Failure::Importing(address),
            _ => Failure::Other(away(error)),
        }
    }

    async fn connect(&self) -> Result<(Address, Connection)> {
        match &self.server {
            Server::Fixed { address, login, context } => {
                Ok((address.clone(), Connection::open(address, login, context).await?))
            }
            Server::Master(sentinels) => sentinels.connect().await,
        }
    }
}

/// Sends a command, after the word that makes an importer serve it, with nothing in between.
async fn query(connection: &Connection, command: &Cmd, holder: Holder) -> RedisResult<Value> {
    let mut handle = connection.redis.clone();
    match holder {
        Holder::Owner => command.query_async(&mut handle).await,
        Holder::Importer => {
            let mut both = redis::pipe();
            both.add_command(cmd("ASKING")).ignore().add_command(command.clone());
            let (answer,) = both.query_async(&mut handle).await?;
            Ok(answer)
        }
    }
}
