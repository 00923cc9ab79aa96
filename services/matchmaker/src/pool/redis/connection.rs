//! One connection to one server of Redis, over the chassis' sockets.

use std::time::Duration;

use chassis::{Context, net::Stream};
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, aio::MultiplexedConnection};
use tokio::{sync::oneshot, time::timeout};

use super::url::Address;
use crate::{Error, error::Result};

/// How long a connection may take to be made, and a command to be answered.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that is closed when this is dropped. The client alone would keep it open until every answer has come.
pub(super) struct Connection {
    pub(super) redis: MultiplexedConnection,
    _open: oneshot::Sender<()>,
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(
        address: &Address,
        login: &RedisConnectionInfo,
        context: &Context,
    ) -> Result<Self> {
        let connecting = async {
            let stream = dial(address, context).await;
            let stream = stream.map_err(|error| Error::Away(format!("{address}: {error}")))?;
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
            let connected = MultiplexedConnection::new_with_config(login, stream, config).await;
            connected.map_err(|error| away(&error))
        };
        let connected = timeout(PATIENCE, connecting).await;
        let (redis, driver) =
            connected.map_err(|_| Error::Away(format!("connecting to {address} takes too long")))??;
        let (open, closed) = oneshot::channel();
        context.tasks.spawn("redis connection", async move {
            tokio::select! {
                () = driver => {}
                _ = closed => {}
            }
        });
        Ok(Self { redis, _open: open })
    }
}

/// Tries all addresses that the host's name has.
async fn dial(address: &Address, context: &Context) -> std::io::Result<Stream> {
    let mut last = std::io::Error::other("the name has no address");
    for address in context.net.resolve(&address.host, address.port).await? {
        match context.net.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

pub(super) fn away(error: &RedisError) -> Error {
    Error::Away(error.to_string())
}
