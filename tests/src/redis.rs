//! A real Redis.

use std::{collections::BTreeMap, net::SocketAddr, process::Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{eventually, ports::free_address};

/// A redis-server of one test's own, without persistence: a restart loses everything.
#[derive(Debug)]
pub struct Redis {
    child: Option<Child>,
    address: SocketAddr,
    folder: TempDir,
}

impl Redis {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let mut redis = Self::reserve();
        redis.resume(&[]).await;
        redis
    }

    /// A place for one, which is not there yet.
    ///
    /// # Panics
    /// If there is no free port.
    #[must_use]
    pub fn reserve() -> Self {
        Self { child: None, address: free_address(), folder: TempDir::new().expect("a folder") }
    }

    /// Starts the server, with more of its options.
    ///
    /// # Panics
    /// If there is no redis-server.
    pub async fn resume(&mut self, options: &[&str]) {
        let port = self.address.port().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(options)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server; install Debian's package redis-server");
        self.child = Some(child);
        eventually("redis to answer", || async {
            let mut connection = self.client().get_multiplexed_async_connection().await.ok()?;
            redis::cmd("PING").query_async::<String>(&mut connection).await.ok()
        })
        .await;
    }

    /// Kills it. What it held is lost.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn kill(&mut self) {
        self.child.take().expect("it runs").kill().await.expect("it runs");
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// A client.
    ///
    /// # Panics
    /// Never: the URL is good.
    #[must_use]
    pub fn client(&self) -> redis::Client {
        redis::Client::open(self.url()).expect("a good URL")
    }

    /// Everything that it holds, as text: keys, and entries of streams.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn dump(&self) -> String {
        let mut connection = self.client().get_multiplexed_async_connection().await.expect("a connection");
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.expect("keys");
        let mut dump = keys.join("\n");
        for key in keys {
            let entries = redis::cmd("XRANGE")
                .arg(&key)
                .arg("-")
                .arg("+")
                .query_async::<redis::Value>(&mut connection)
                .await;
            dump.push_str(&format!("{entries:?}\n"));
        }
        dump
    }

    /// Its streams, and how long each is.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn streams(&self) -> BTreeMap<String, usize> {
        let mut connection = self.client().get_multiplexed_async_connection().await.expect("a connection");
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.expect("keys");
        let mut streams = BTreeMap::new();
        for key in keys {
            let length = redis::cmd("XLEN").arg(&key).query_async::<usize>(&mut connection).await;
            // What is no stream has no such length.
            streams.extend(length.ok().map(|length| (key, length)));
        }
        streams
    }
}
