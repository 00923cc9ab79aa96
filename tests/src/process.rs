//! One process of a real binary.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{PATIENCE, eventually};

/// A running process and what it logged. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

/// The signals that tests send.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Asks to drain.
    Term,
    /// Stops it where it is.
    Stop,
    /// Lets it go on.
    Cont,
}

/// Where a binary of the workspace was built.
///
/// # Panics
/// If it was not.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let path = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins` first", path.display());
    path
}

impl Process {
    /// Starts a binary with arguments and environment, and nothing else in its environment.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary(name));
        command
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("a process");
        let log = Arc::<Mutex<Vec<String>>>::default();
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let sink = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sink.lock().push(line);
            }
        });
        Self { name: name.to_owned(), child, log }
    }

    /// Its id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How much of the machine's memory it has, in bytes.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes * 1024
    }

    /// All that it has logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// The last entry of the log that contains all these texts.
    #[must_use]
    pub fn last_entry(&self, texts: &[&str]) -> Option<Value> {
        let log = self.log();
        let line = log.iter().rev().find(|line| texts.iter().all(|text| line.contains(text)))?;
        serde_json::from_str(line).ok()
    }

    /// Waits for a line of the log that contains `text`.
    pub async fn logs(&self, text: &str) -> String {
        let found = || async { self.log().into_iter().find(|line| line.contains(text)) };
        eventually(&format!("{} to log {text:?}", self.name), found).await
    }

    /// Waits until it listens, and tells where. `what`: `public`, `grpc`, `admin`.
    pub async fn address(&self, what: &str) -> SocketAddr {
        let found = || async {
            let lines = self.log();
            let mut entries = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let entry = entries.find(|entry| entry["message"] == "listening" && entry["what"] == what)?;
            entry["address"].as_str()?.parse().ok()
        };
        let give_up = tokio::time::timeout(PATIENCE, eventually(what, found)).await;
        give_up.unwrap_or_else(|_| panic!("{} does not listen: {:#?}", self.name, self.log()))
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&self) {
        let admin = self.address("admin").await;
        let ready = || async {
            let answer = crate::http::get(admin, "/readyz", &[]).await.ok()?;
            (answer.status == 200).then_some(())
        };
        eventually(&format!("{} to be ready", self.name), ready).await;
    }

    /// The sum of its metrics whose lines begin so.
    ///
    /// # Panics
    /// If it doesn't tell them.
    pub async fn metric(&self, beginning: &str) -> f64 {
        let answer = crate::http::get(self.address("admin").await, "/metrics", &[]).await.expect("an answer");
        let lines = answer.body.lines().filter(|line| line.starts_with(beginning));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn signal(&self, signal: Signal) {
        let signal = match signal {
            Signal::Term => "-TERM",
            Signal::Stop => "-STOP",
            Signal::Cont => "-CONT",
        };
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await.expect("kill");
        assert!(sent.success());
    }

    /// Kills it at once.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it runs");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it doesn't.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("{} does not end: {:#?}", self.name, self.log())).expect("a status")
    }

    /// Asks it to drain, and waits for its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::Term).await;
        self.ended().await
    }
}

/// When an entry of a log was written, since midnight.
///
/// # Panics
/// If it doesn't say.
#[must_use]
pub fn time_of(entry: &Value) -> Duration {
    let time = entry["timestamp"].as_str().and_then(|time| time.split_once('T')).expect("a time").1;
    let parts: Vec<f64> =
        time.trim_end_matches('Z').split(':').map(|part| part.parse().expect("a number")).collect();
    let [hours, minutes, seconds] = parts[..] else { panic!("{time} is no time") };
    Duration::from_secs_f64(hours.mul_add(3_600.0, minutes.mul_add(60.0, seconds)))
}

/// Whether a process has a connection with this port at its own end.
#[must_use]
pub fn owns_port(process: u32, port: u16) -> bool {
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
    let local = format!(":{port:04X}");
    // Number, local address, remote one, state, …; the socket's inode is the tenth.
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut inodes =
        rows.filter(|row| row.get(1).is_some_and(|address| address.ends_with(&local))).filter_map(|row| {
            let inode = row.get(9)?;
            Some(format!("socket:[{inode}]"))
        });
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten();
    let open: Vec<_> = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()).collect();
    inodes.any(|inode| open.iter().any(|file| file.as_os_str() == inode.as_str()))
}
