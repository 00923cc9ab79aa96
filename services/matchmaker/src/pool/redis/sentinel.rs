//! Finding the master that sentinels watch over, as Redis' guidelines for Sentinel clients say
//! (<https://redis.io/docs/latest/develop/reference/sentinel-clients/>): ask the sentinels in turn at each new connection, and
//! believe only a server that itself says that it is the master.
//!
//! A sentinel that wants a login gets the same as the master.

use std::time::Duration;

use chassis::Context;
use parking_lot::Mutex;
use redis::{Cmd, RedisConnectionInfo, RedisResult, Value, cmd};
use tokio::time::timeout;

use super::{
    connection::{Connection, away},
    url::Address,
};
use crate::{Error, error::Result};

/// How long a sentinel may take to answer, its connection included, before the next one is asked.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);
/// How many servers are asked for the master, from the one that a sentinel names: after a `FAILOVER` command that one says
/// that it follows another, long before the sentinels notice.
const HOPS: usize = 2;

/// The sentinels of a master.
pub(super) struct Sentinels {
    /// The one that answered last comes first.
    sentinels: Mutex<Vec<Address>>,
    master: String,
    login: RedisConnectionInfo,
    context: Context,
    /// To the one that answered last.
    kept: Mutex<Option<(Address, Connection)>>,
}

impl Sentinels {
    pub(super) fn new(
        sentinels: Vec<Address>,
        master: String,
        login: RedisConnectionInfo,
        context: Context,
    ) -> Self {
        Self { sentinels: Mutex::new(sentinels), master, login, context, kept: Mutex::default() }
    }

    /// A connection to the master, and where it is.
    pub(super) async fn connect(&self) -> Result<(Address, Connection)> {
        let mut tried = Vec::new();
        let mut cause = Error::Away("no sentinel answers".to_owned());
        let sentinels = self.sentinels.lock().clone();
        for sentinel in sentinels {
            let named = match self.ask(&sentinel).await {
                Ok(named) => named,
                Err(error) => {
                    cause = error;
                    continue;
                }
            };
            match self.master_from(named, &mut tried).await {
                Ok(found) => {
                    self.prefer(&sentinel);
                    return Ok(found);
                }
                Err(error) => cause = error,
            }
        }
        Err(cause)
    }

    /// A connection to the master, if that is another one by now than `known`: one that was deposed while nobody could tell
    /// it so goes on as if it were the master.
    pub(super) async fn moved_from(&self, known: &Address) -> Option<(Address, Connection)> {
        let sentinels = self.sentinels.lock().clone();
        for sentinel in sentinels {
            let Ok(named) = self.ask(&sentinel).await else { continue };
            self.prefer(&sentinel);
            // Known as tried, so that it is no answer to go on with it.
            let found = self.master_from(named, &mut vec![known.clone()]).await;
            return found.ok();
        }
        None
    }

    /// Goes from `named` to the master, past those that were tried.
    async fn master_from(&self, named: Address, tried: &mut Vec<Address>) -> Result<(Address, Connection)> {
        let mut next = named;
        for _ in 0..HOPS {
            if tried.contains(&next) {
                break;
            }
            tried.push(next.clone());
            let mut connection = Connection::open(&next, &self.login, &self.context).await?;
            let role: Value =
                cmd("ROLE").query_async(&mut connection.redis).await.map_err(|error| away(&error))?;
            next = match Role::read(role, &next) {
                Some(Role::Master) => return Ok((next, connection)),
                Some(Role::ReplicaOf(master)) => master,
                None => break,
            };
        }
        Err(Error::Away(format!("no server is the master {}", self.master)))
    }

    /// Where a sentinel says that the master is.
    async fn ask(&self, sentinel: &Address) -> Result<Address> {
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let known = self.kept.lock().take().filter(|(address, _)| address == sentinel);
        let asking = async {
            let mut connection = match known {
                Some((_, connection)) => connection,
                None => Connection::open(sentinel, &RedisConnectionInfo::default(), &self.context).await?,
            };
            let named = self.ask_on(&mut connection, &question).await.map_err(|error| away(&error))?;
            Result::Ok((named, connection))
        };
        let late = |_| Error::Away(format!("the sentinel {sentinel} does not answer"));
        let (named, connection) = timeout(ANSWER_WITHIN, asking).await.map_err(late)??;
        *self.kept.lock() = Some((sentinel.clone(), connection));
        let named = named.and_then(|(host, port)| Address::of(&host, port, sentinel));
        named.ok_or_else(|| Error::Away(format!("the sentinel {sentinel} knows no master {}", self.master)))
    }

    async fn ask_on(
        &self,
        connection: &mut Connection,
        question: &Cmd,
    ) -> RedisResult<Option<(String, u16)>> {
        match (question.query_async(&mut connection.redis).await, self.login.password()) {
            (Err(error), Some(password)) if error.code() == Some("NOAUTH") => {
                let mut login = cmd("AUTH");
                login.arg(self.login.username()).arg(password);
                let () = login.query_async(&mut connection.redis).await?;
                question.query_async(&mut connection.redis).await
            }
            (answer, _) => answer,
        }
    }

    fn prefer(&self, sentinel: &Address) {
        let mut sentinels = self.sentinels.lock();
        if let Some(at) = sentinels.iter().position(|known| known == sentinel) {
            sentinels[..=at].rotate_right(1);
        }
    }
}

/// What a server says that it is.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    Master,
    ReplicaOf(Address),
}

impl Role {
    /// Reads what the server at `here` answers to `ROLE`.
    fn read(answer: Value, here: &Address) -> Option<Self> {
        let Value::Array(parts) = answer else { return None };
        let mut parts = parts.into_iter();
        let mut text = || redis::from_redis_value::<String>(parts.next()?).ok();
        match text()?.as_str() {
            "master" => Some(Self::Master),
            "slave" => {
                let (host, port) = (text()?, text()?.parse().ok()?);
                Address::of(&host, port, here).map(Self::ReplicaOf)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_as_redis_tells_it() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let here = Address { host: "here".to_owned(), port: 1 };
        let master = Value::Array(vec![text("master"), Value::Int(7), Value::Array(Vec::new())]);
        assert_eq!(Role::read(master, &here), Some(Role::Master));
        let replica = |host| {
            Value::Array(vec![text("slave"), text(host), Value::Int(2), text("connected"), Value::Int(7)])
        };
        let of = |host: &str| Some(Role::ReplicaOf(Address { host: host.to_owned(), port: 2 }));
        assert_eq!(Role::read(replica("there"), &here), of("there"));
        assert_eq!(Role::read(replica(""), &here), of("here"));
        assert_eq!(Role::read(Value::Array(vec![text("sentinel")]), &here), None);
        assert_eq!(Role::read(Value::Nil, &here), None);
    }

    #[test]
    fn the_sentinel_that_answered_last_is_asked_first() {
        let address = |port| Address { host: "a".to_owned(), port };
        let context =
            Context::new(chassis::Secret::ephemeral(&chassis::Random::seeded(1)), Duration::from_secs(1));
        let all = vec![address(1), address(2), address(3)];
        let sentinels = Sentinels::new(all, "main".to_owned(), RedisConnectionInfo::default(), context);
        sentinels.prefer(&address(3));
        assert_eq!(*sentinels.sentinels.lock(), [address(3), address(1), address(2)]);
        sentinels.prefer(&address(1));
        assert_eq!(*sentinels.sentinels.lock(), [address(1), address(3), address(2)]);
    }
}
