//! A matchmaker as an operator runs it: the real binary, with its operators' port.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use chassis::net::Net;
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::until;

const SOON: Duration = Duration::from_secs(10);
/// At least 32 bytes, in base64.
const SECRET: &str = "c3Ryb2xsJ3MgbWF0Y2htYWtlciwgd2hlbiBpdCBpcyB0ZXN0ZWQ=";

/// A process. It ends with this value; if a test fails, its log is shown.
pub(crate) struct Process {
    child: Child,
    log: NamedTempFile,
    /// Where gRPC is served.
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    /// Starts one on the store at `url` and waits until it is ready.
    pub(crate) async fn start(url: &str) -> Self {
        let log = NamedTempFile::new().expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_stroll-matchmaker"))
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--redis-prefix", "test:"])
            .env_clear()
            .envs([
                ("STROLL_REDIS_URL", url),
                ("STROLL_SECRET", SECRET),
                ("STROLL_LOG", "info,stroll_matchmaker=debug,stroll_matchmaker::grpc=info"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.reopen().expect("the same file"))
            .spawn()
            .expect("the binary");
        let said = || std::fs::read_to_string(log.path()).expect("the log");
        let mut listens = async |what: &str| {
            until(SOON, "it listens", async || {
                assert!(child.try_wait().expect("a child").is_none(), "it ended: {}", said());
                address(&said(), what)
            })
            .await
        };
        let (address, admin) = (listens("grpc").await, listens("admin").await);
        let process = Self { child, log, address, admin };
        until(SOON, "it is ready", async || process.is_ready().await.then_some(())).await;
        process
    }

    /// Whether gateways may send it work.
    pub(crate) async fn is_ready(&self) -> bool {
        self.get("/readyz").await.starts_with("HTTP/1.1 200")
    }

    /// What its metric says of the store.
    pub(crate) async fn is_degraded(&self) -> bool {
        let metrics = self.get("/metrics").await;
        let line = metrics.lines().find(|line| line.starts_with("stroll_matchmaker_degraded"));
        match line.and_then(|line| line.rsplit(' ').next()) {
            Some("0") => false,
            Some("1") => true,
            other => panic!("the metric is {other:?}:\n{metrics}"),
        }
    }

    async fn get(&self, path: &str) -> String {
        let asking = async {
            let mut stream = Net::Host.connect(self.admin).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        timeout(SOON, asking).await.expect("in time").expect("an answer")
    }
}

/// Where a process says that it listens.
fn address(log: &str, what: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains(&format!("\"what\":\"{what}\"")))?;
    line.split_once("\"address\":\"")?.1.split('"').next()?.parse().ok()
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log.path()).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(60).collect();
            eprintln!("the end of a matchmaker's log:");
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
