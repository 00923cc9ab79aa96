//! A PostgreSQL server of a test's own.

use std::{
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::config::DatabaseUrl;

/// The user nobody and its group, as Debian numbers them: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

/// Data and a port, and a server on them while it runs. All of it is gone when this is dropped.
pub(super) struct Postgres {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// Makes the data. The server does not run yet.
    pub(super) fn prepare() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("giving the folder to nobody");
        }
        let data = folder.path().join("data");
        let arguments =
            ["--auth=trust", "--username=stroll", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"];
        let made = command("initdb").args(arguments).arg(&data).output().expect("running initdb");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        Self { folder, port, server: None }
    }

    pub(super) fn url(&self) -> DatabaseUrl {
        format!("postgres://stroll@127.0.0.1:{}/postgres?sslmode=disable", self.port)
            .parse()
            .expect("a good URL")
    }

    /// Starts the server. It takes connections a moment later.
    pub(super) fn start(&mut self) {
        let server = command("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(server.expect("running postgres"));
    }

    /// Stops the server, which breaks all connections and keeps the data.
    pub(super) fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        // SIGINT is PostgreSQL's fast shutdown.
        let told = Command::new("kill").args(["-INT", &server.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "kill");
        server.wait().expect("the server's end");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // Without its parent a PostgreSQL process ends by itself. What fails here is a server that has gone already.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A program of PostgreSQL, run by a user that it accepts, and not outliving the test.
fn command(name: &str) -> Command {
    let program = find(name).unwrap_or_else(|| {
        panic!("`{name}` was not found: install PostgreSQL (Debian: apt-get install postgresql)")
    });
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()];
    command.args(user).arg("--pdeathsig=KILL").arg(program).current_dir("/");
    command
}

/// In the path, or where Debian puts it, the newest version first.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<_> = Path::new("/usr/lib/postgresql")
        .read_dir()
        .map(|versions| versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.sort();
    let folders = std::env::split_paths(&path).chain(versions.into_iter().rev());
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn is_root() -> bool {
    Path::new("/proc/self").metadata().is_ok_and(|process| process.uid() == 0)
}
