//! The baseline as a process of its own, see [`crate::pipe`].

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

use crate::machine::{Watch, Watched};

/// A running server. Ends when dropped.
#[derive(Debug)]
pub struct Pipe {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Pipe {
    /// Starts it.
    ///
    /// # Errors
    /// If that can't be done.
    pub fn start() -> anyhow::Result<Self> {
        let me = std::env::current_exe().context("finding the baseline's binary")?;
        let mut command = Command::new(me);
        command.arg("pipe").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting the baseline")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the baseline's output")?;
        BufReader::new(stdout).read_line(&mut line).context("reading the baseline's address")?;
        let address = line.trim().parse().context("reading the baseline's address")?;
        Ok(Self { child, address })
    }

    /// To watch it.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(vec![Watched { name: "pipe".to_owned(), pid: self.child.id() }])
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
