//! Real servers of a test's own: Redis, Valkey, sentinels.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use super::until;

/// How many ports are tried.
const PORTS: usize = 10;

/// Which program a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Redis,
    Valkey,
}

impl Program {
    fn path(self) -> PathBuf {
        match self {
            Self::Redis => "redis-server".into(),
            Self::Valkey => valkey(),
        }
    }

    /// Where to get it.
    fn hint(self) -> &'static str {
        match self {
            Self::Redis => "install it, on Debian with `apt-get install redis-server`",
            Self::Valkey => {
                "`tests/run` does; or name one in STROLL_VALKEY, or leave it out by `--skip valkey`"
            }
        }
    }
}

/// The one that is named, or that `tests/run` installed, or that the system has.
fn valkey() -> PathBuf {
    if let Some(named) = std::env::var_os("STROLL_VALKEY").filter(|named| !named.is_empty()) {
        return named.into();
    }
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.ancestors().nth(3).expect("target/<profile>/deps");
    let installed = target.join("test-tools/valkey/valkey-server");
    if installed.exists() { installed } else { "valkey-server".into() }
}

/// A server on a port of its own, with nothing on disk but what a test saves. It ends with this value.
pub(crate) struct RedisServer {
    child: Option<Child>,
    pub(crate) port: u16,
    directory: TempDir,
    program: Program,
    /// More of its arguments.
    options: Vec<String>,
    /// What it reads first, where it is a sentinel.
    sentinel: Option<String>,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub(crate) async fn start() -> Self {
        Self::start_with(Program::Redis, &[]).await
    }

    /// Starts one with options of its own.
    pub(crate) async fn start_with(program: Program, options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self::not_yet();
        (server.program, server.options) = (program, options);
        for _ in 0..PORTS {
            if server.launch().await {
                return server;
            }
            [server.port] = free_ports();
        }
        panic!("it ended {PORTS} times: is there more than a taken port?");
    }

    /// Starts a sentinel.
    pub(crate) async fn start_sentinel(program: Program, settings: &str) -> Self {
        let mut server = Self::not_yet();
        (server.program, server.sentinel) = (program, Some(settings.to_owned()));
        server.restart().await;
        server
    }

    /// A port on which a server can be started later.
    pub(crate) fn not_yet() -> Self {
        let [port] = free_ports();
        let directory = TempDir::new().expect("a directory");
        Self { child: None, port, directory, program: Program::Redis, options: Vec::new(), sentinel: None }
    }

    /// Starts it where it was before, with what was saved; else empty.
    pub(crate) async fn restart(&mut self) {
        assert!(self.launch().await, "it ended, because port {} is taken?", self.port);
    }

    /// Starts it and waits until it answers; false if it ended instead, because its port is taken.
    async fn launch(&mut self) -> bool {
        assert!(self.child.is_none(), "it runs");
        let (port, directory) = (self.port, self.directory.path());
        let mut command = Command::new(self.program.path());
        if let Some(settings) = &self.sentinel {
            let file = directory.join("sentinel.conf");
            std::fs::write(
                &file,
                format!("port {port}\nbind 127.0.0.1\ndir {}\n{settings}", directory.display()),
            )
            .expect("a file");
            command.arg(file).arg("--sentinel");
        } else {
            command
                .args([
                    "--port",
                    &port.to_string(),
                    "--bind",
                    "127.0.0.1",
                    "--save",
                    "",
                    "--appendonly",
                    "no",
                ])
                .args(["--enable-debug-command", "yes", "--repl-diskless-sync-delay", "0", "--dir"])
                .arg(directory)
                .args(&self.options);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap_or_else(|error| {
            panic!("cannot start {:?} ({error}): {}", self.program.path(), self.program.hint())
        });
        let own = format!("process_id:{}\r\n", child.id());
        self.child = Some(child);
        until(Duration::from_secs(10), "the server answers", async || {
            if self.child.as_mut().expect("it runs").try_wait().expect("a child").is_some() {
                self.child = None;
                return Some(false);
            }
            // Another test's server may have the port. That it wants a login is an answer too.
            let is_own = match self.try_command(&["INFO", "server"]) {
                Ok(told) => redis::from_redis_value::<String>(told).expect("text").contains(&own),
                Err(error) => error.code() == Some("NOAUTH"),
            };
            is_own.then_some(true)
        })
        .await
    }

    /// Kills it. Everything in it that was not saved is lost.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it where it is: its sockets take what comes, and nobody answers.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("kill");
        assert!(sent.success());
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

    /// How much memory a key takes, in bytes.
    pub(crate) fn memory_of(&self, key: &str) -> usize {
        let redis::Value::Int(bytes) = self.command(&["MEMORY", "USAGE", key, "SAMPLES", "0"]) else {
            panic!("no number")
        };
        usize::try_from(bytes).expect("not negative")
    }

    /// How much memory the server uses, in bytes.
    pub(crate) fn used_memory(&self) -> usize {
        let told = self.told(&["INFO", "memory"]);
        let used = told.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a number");
        used.trim().parse().expect("a number")
    }

    /// Runs a command whose answer is text.
    pub(crate) fn told(&self, words: &[&str]) -> String {
        match self.command(words) {
            redis::Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
            redis::Value::SimpleString(text) => text,
            redis::Value::VerbatimString { text, .. } => text,
            other => panic!("{words:?} is answered by {other:?}"),
        }
    }

    pub(crate) fn try_command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
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

/// Ports that are free, none of them twice. The kernel gives connections theirs from 32768 on, where one that is free now may
/// be gone when a server wants it; so these lie below, together with those 10,000 above them, where servers of a cluster talk with each
/// other. Each test process begins elsewhere.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let next = || TAKEN.fetch_add(1, Ordering::Relaxed);
    let port = |taken: u32| 10_000 + (std::process::id() % 50 * 200 + taken) % 10_000;
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| u16::try_from(port(next())).expect("below 20000")).filter(free);
    [(); N].map(|()| ports.next().expect("they have no end"))
}

#[tokio::test]
async fn a_server_on_a_port_of_anothers_is_not_taken_for_that_one() {
    let first = RedisServer::start().await;
    let mut second = RedisServer::not_yet();
    second.port = first.port;
    assert!(!second.launch().await);
}
