//! The processes that are measured.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;

/// Linux counts processes' time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// In base64: "a benchmark, so not a secret at all".
const SECRET: &str = "YSBiZW5jaG1hcmssIHNvIG5vdCBhIHNlY3JldCBhdCBhbGw=";

/// A process that ends with this value.
pub struct Process(Child);

impl Process {
    /// A Redis without persistence.
    pub fn redis(port: u16, directory: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command.arg("--dir").arg(directory);
        Self::start(&mut command).context("starting redis-server, which has to be installed")
    }

    /// A matchmaker as it is shipped.
    pub fn matchmaker(address: SocketAddr, redis: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stroll-matchmaker"));
        command.env("STROLL_SECRET", SECRET).env("STROLL_LOG", "warn");
        command.args([
            "--listen",
            &address.to_string(),
            "--redis-url",
            redis,
            "--admin-listen",
            "127.0.0.1:0",
        ]);
        Self::start(&mut command).context("starting the matchmaker")
    }

    fn start(command: &mut Command) -> anyhow::Result<Self> {
        Ok(Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
    }

    /// How long it has been on a core.
    pub fn core_time(&self) -> anyhow::Result<Duration> {
        core_time(&self.0.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long this process has been on a core.
pub fn own_core_time() -> anyhow::Result<Duration> {
    core_time("self")
}

fn core_time(process: &str) -> anyhow::Result<Duration> {
    let told = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, which is in brackets, may hold anything.
    let (_, fields) = told.rsplit_once(')').context("it has a name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(TICK * ticks.sum::<Result<u32, _>>()?)
}

/// A port that nobody has.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
