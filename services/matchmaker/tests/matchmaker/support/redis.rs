//! A real redis-server of a test's own.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use super::until;

/// A server on a port of its own, with nothing on disk but what a test saves. It ends with this value.
pub(crate) struct RedisServer {
    child: Option<Child>,
    port: u16,
    directory: TempDir,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Self {
        let mut server =
            Self { child: None, port: free_port(), directory: TempDir::new().expect("a directory") };
        server.restart().await;
        server
    }

    /// A port on which a server can be started later.
    pub(crate) fn not_yet() -> Self {
        Self { child: None, port: free_port(), directory: TempDir::new().expect("a directory") }
    }

    /// Starts it where it was before, with what was saved; else empty.
    pub(crate) async fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command
            .args(["--enable-debug-command", "yes", "--dir"])
            .arg(self.directory.path())
            .stdout(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start redis-server ({error}): install it, on Debian with `apt-get install redis-server`")
        });
        self.child = Some(child);
        until(Duration::from_secs(10), "redis-server answers", async || {
            self.try_command(&["PING"]).is_ok().then_some(())
        })
        .await;
    }

    /// Kills it. Everything in it that was not saved is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Makes the one at `url` answer nobody for a while. Blocks as long.
    pub(crate) fn hang(url: &str, time: Duration) {
        let client = redis::Client::open(url).expect("a URL");
        let mut connection = client.get_connection().expect("a connection");
        redis::cmd("DEBUG").arg("SLEEP").arg(time.as_secs()).exec(&mut connection).expect("it hangs");
    }

    /// Runs a command.
    pub(crate) fn command(&self, words: &[&str]) -> redis::Value {
        self.try_command(words).expect("redis answers")
    }

    /// Whether there is a key.
    pub(crate) fn has_key(&self, key: &str) -> bool {
        self.command(&["EXISTS", key]) == redis::Value::Int(1)
    }

    /// How many keys are like this pattern.
    pub(crate) fn keys(&self, pattern: &str) -> usize {
        let redis::Value::Array(keys) = self.command(&["KEYS", pattern]) else { panic!("no list") };
        keys.len()
    }

    /// How many entries a stream has.
    pub(crate) fn length(&self, stream: &str) -> usize {
        let redis::Value::Int(length) = self.command(&["XLEN", stream]) else { panic!("no number") };
        usize::try_from(length).expect("not negative")
    }

    /// How much memory the server uses, in bytes.
    pub(crate) fn used_memory(&self) -> usize {
        let redis::Value::BulkString(told) = self.command(&["INFO", "memory"]) else { panic!("no answer") };
        let told = String::from_utf8_lossy(&told).into_owned();
        let used = told.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a number");
        used.trim().parse().expect("a number")
    }

    fn try_command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let client = redis::Client::open(self.url())?;
        command.query(&mut client.get_connection_with_timeout(Duration::from_secs(1))?)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}
