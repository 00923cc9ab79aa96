//! Connections to one Redis node, over the chassis' sockets.
//!
//! Commands share one connection, on which they follow each other without waiting. A read that waits owns its connection
//! while it waits, because Redis answers a connection's commands in turn; afterwards the connection is kept for the next one.
//!
//! Invariants:
//! - A connection on which anything went wrong is never used again.
//! - A connection is closed when its last user lets go of it, whatever it may be waiting for: a read that goes on waiting for
//!   nobody would take what the next one is waiting for.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{Context, net::Stream};
use parking_lot::Mutex;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _,
    ProtocolVersion, RedisConnectionInfo, RedisError, ScriptInvocation, Value, aio::MultiplexedConnection,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::{Error, error::Result};

/// How long a connection may take to be made, and a command to be answered.
const PATIENCE: Duration = Duration::from_secs(1);
/// After a connection could not be made, for how long nobody tries. Who asks meanwhile is told at once.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// How many connections are kept for reads that wait.
const IDLE_MAX: usize = 64;

/// Where Redis is, and how to log in: `redis://[user:password@]host:port[/database]`.
#[derive(Clone)]
pub struct Url {
    host: String,
    port: u16,
    login: RedisConnectionInfo,
}

/// Text that is not such a URL. It says nothing of the text, which may have a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `redis://host:port`, with `user:password@` before the host and `/database` after the port where needed"
)]
pub struct BadUrl;

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> std::result::Result<Self, BadUrl> {
        let info: ConnectionInfo = text.trim().into_connection_info().map_err(|_| BadUrl)?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else { return Err(BadUrl) };
        let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        Ok(Self { host: host.clone(), port: *port, login })
    }
}

/// Connections to one node.
pub(super) struct Connections {
    url: Url,
    context: Context,
    shared: tokio::sync::Mutex<Shared>,
    made: AtomicU64,
    idle: Mutex<Vec<Connection>>,
}

/// A connection that is closed when this is dropped. The client alone would keep it open until every answer has come.
struct Connection {
    redis: MultiplexedConnection,
    _open: oneshot::Sender<()>,
}

#[derive(Default)]
struct Shared {
    connection: Option<Arc<Connection>>,
    failed: Option<(Instant, String)>,
}

impl Connections {
    pub(super) fn new(url: Url, context: Context) -> Self {
        Self {
            url,
            context,
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

    /// Runs a command that doesn't wait.
    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let (connection, mut handle) = self.shared().await?;
        let answer = command.query_async(&mut handle).await;
        self.judge(&connection, answer).await
    }

    /// Runs a script, which is loaded where the server doesn't have it.
    pub(super) async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        let (connection, mut handle) = self.shared().await?;
        let answer = script.invoke_async(&mut handle).await;
        self.judge(&connection, answer).await
    }

    /// Runs a read that waits up to `wait`, on a connection of its own. If the caller stops waiting, the connection goes
    /// too: the read may still be waiting on it.
    pub(super) async fn wait_for(&self, read: &Cmd, wait: Duration) -> Result<Value> {
        let kept = self.idle.lock().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.redis.set_response_timeout(wait + PATIENCE);
        match read.query_async(&mut connection.redis).await {
            Ok(answer) => {
                let mut idle = self.idle.lock();
                if idle.len() < IDLE_MAX {
                    idle.push(connection);
                }
                Ok(answer)
            }
            Err(error) => {
                // What broke this one has broken the others too, more likely than not.
                self.idle.lock().clear();
                Err(away(&error))
            }
        }
    }

    /// The shared connection, made if there is none, and a handle to run a command on it.
    async fn shared(&self) -> Result<(Arc<Connection>, MultiplexedConnection)> {
        let mut shared = self.shared.lock().await;
        if let Some((at, cause)) = shared.failed.as_ref().filter(|(at, _)| at.elapsed() < FAILURE_PAUSE) {
            return Err(Error::Away(format!("{cause}, {} ms ago", at.elapsed().as_millis())));
        }
        let connection = match &shared.connection {
            Some(connection) => Arc::clone(connection),
            None => match self.connect().await {
                Ok(connection) => {
                    self.made.fetch_add(1, Ordering::Relaxed);
                    Arc::clone(shared.connection.insert(Arc::new(connection)))
                }
                Err(error) => {
                    shared.failed = Some((Instant::now(), error.to_string()));
                    return Err(error);
                }
            },
        };
        shared.failed = None;
        let handle = connection.redis.clone();
        Ok((connection, handle))
    }

    /// Lets go of the shared connection where an answer says that it is of no use.
    async fn judge<T>(&self, connection: &Arc<Connection>, answer: redis::RedisResult<T>) -> Result<T> {
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if error.code() == Some("OOM") {
            return Err(Error::Full);
        }
        let mut shared = self.shared.lock().await;
        if shared.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            shared.connection = None;
            self.made.fetch_add(1, Ordering::Relaxed);
        }
        Err(away(&error))
    }

    async fn connect(&self) -> Result<Connection> {
        let connecting = async {
            let stream = self.dial().await.map_err(|error| Error::Away(error.to_string()))?;
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
            let connected = MultiplexedConnection::new_with_config(&self.url.login, stream, config).await;
            connected.map_err(|error| away(&error))
        };
        let connected = timeout(PATIENCE, connecting).await;
        let (redis, driver) =
            connected.map_err(|_| Error::Away("connecting takes too long".to_owned()))??;
        let (open, closed) = oneshot::channel();
        self.context.tasks.spawn("redis connection", async move {
            tokio::select! {
                () = driver => {}
                _ = closed => {}
            }
        });
        Ok(Connection { redis, _open: open })
    }

    /// Tries all addresses that the host's name has.
    async fn dial(&self) -> std::io::Result<Stream> {
        let mut last = std::io::Error::other("the name has no address");
        for address in self.context.net.resolve(&self.url.host, self.url.port).await? {
            match self.context.net.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn away(error: &RedisError) -> Error {
    Error::Away(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_one_node_and_a_bad_one_is_not_repeated() {
        for good in
            ["redis://127.0.0.1:6379", "redis://name", "redis://user:pass@name:1/2", " redis://[::1]:6379 "]
        {
            assert!(good.parse::<Url>().is_ok(), "{good}");
        }
        for bad in ["", "name:6379", "http://name:6379", "unix:///tmp/redis.sock", "redis://user:secret@:x/"]
        {
            let error = bad.parse::<Url>().err().unwrap_or_else(|| panic!("{bad} passes"));
            assert!(!error.to_string().contains("secret"));
        }
    }
}
