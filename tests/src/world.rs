//! A world for clients that hard-code where their servers are: a network and a mount namespace, in which `omegle.com` and its hosts
//! are this machine's loopback. Nothing outside of it changes.
//!
//! A test outside runs another one of its own binary inside ([`enter`]), where a [`World`] serves HTTP on port 80 and HTTPS on port 443,
//! with a certificate of a CA that is made for it and thrown away.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use chassis::net::Net;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::{cluster::Single, eventually};

/// Tells a test that it is inside.
const INSIDE: &str = "STROLL_TESTS_WORLD";

/// How long a test inside may take.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(180);

/// Runs an ignored test of this binary inside a world of its own.
///
/// # Panics
/// If it fails, or if there can be no such world.
pub async fn enter(test: &str) {
    let folder = TempDir::new().expect("a folder");
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, hosts_file()).expect("a file");
    let script = r#"mount --bind "$1" /etc/hosts && ip link set lo up && exec "$2" --exact "$3" --ignored --nocapture"#;
    let child = Command::new("unshare")
        .args(["-rmn", "--kill-child", "sh", "-c", script, "sh"])
        .arg(&hosts)
        .arg(std::env::current_exe().expect("the test's own path"))
        .arg(test)
        .env(INSIDE, folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(LONGEST, child).await.expect("an end of the test inside");
    let output = output.expect("unshare; install Debian's package util-linux");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{test} inside:\n{out}\n{err}");
}

fn hosts_file() -> String {
    let mut hosts = "127.0.0.1 localhost\n127.0.0.1 omegle.com www.omegle.com logs.omegle.com\n".to_owned();
    let fronts = (1..=48).map(|number| format!("front{number}"));
    for name in fronts.chain((1..=4).map(|number| format!("waw{number}"))) {
        writeln!(hosts, "127.0.0.1 {name}.omegle.com").expect("text takes everything");
    }
    hosts
}

/// All services in one process, behind the ports that classic clients know.
#[derive(Debug)]
pub struct World {
    /// The process.
    pub stroll: Single,
    ca: PathBuf,
    tls: tokio::task::JoinHandle<()>,
}

impl World {
    /// Starts it.
    ///
    /// # Panics
    /// If it is not inside, or does not start.
    pub async fn start() -> Self {
        let folder = PathBuf::from(std::env::var_os(INSIDE).expect("a test that `world::enter` runs"));
        let stroll = Single::start_at("127.0.0.1:80", &[], &[]).await;
        make_certificate(&folder).await;
        let tls = terminate_tls(&folder, stroll.gateway).await;
        Self { stroll, ca: folder.join("ca.pem"), tls }
    }

    /// Starts a client of npm's `omegle-node`.
    ///
    /// # Panics
    /// If it is not installed.
    pub async fn omegle_node(&self, topics: &[&str]) -> Script {
        let modules = installed("STROLL_NODE_MODULES", "omegle-node");
        let mut node = Command::new("node");
        node.arg(script("omegle-node.js")).args(topics).env("NODE_PATH", modules);
        self.start_script(node).await
    }

    /// Starts a client of PyPI's `pyomegle`.
    ///
    /// # Panics
    /// If it is not installed.
    pub async fn pyomegle(&self) -> Script {
        let packages = installed("STROLL_PYTHON_PACKAGES", "pyomegle");
        let mut python = Command::new("python3");
        python.arg(script("pyomegle-client.py")).env("PYTHONPATH", packages);
        self.start_script(python).await
    }

    async fn start_script(&self, mut command: Command) -> Script {
        for (name, value) in [("NODE_EXTRA_CA_CERTS", self.ca.as_path()), ("NO_PROXY", Path::new("*"))] {
            command.env(name, value);
        }
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(proxy);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("an interpreter");
        let said = Arc::<Mutex<Vec<String>>>::default();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let sink = Arc::clone(&said);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let own = || format!("words of its own: {line}");
                sink.lock().push(line.strip_prefix("> ").map_or_else(own, str::to_owned));
            }
        });
        let stdin = child.stdin.take().expect("a pipe");
        Script { child, stdin, said, heard: 0 }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tls.abort();
    }
}

/// Where `tests/run` has installed something.
fn installed(variable: &str, package: &str) -> PathBuf {
    let folder = std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable}: a folder that has {package}, as ./tests/run sets it"));
    let folder = PathBuf::from(folder);
    assert!(folder.join(package).exists(), "no {package} in {}", folder.display());
    folder
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("classic").join(name)
}

/// A CA in `ca.pem`, and the key and certificate of all hosts in `key.pem` and `cert.pem`.
async fn make_certificate(folder: &Path) {
    let new =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let ca = ["-subj", "/CN=Tests of Stroll", "-keyout", "ca.key", "-out", "ca.pem"];
    let of_hosts = [
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-subj",
        "/CN=omegle.com",
        "-addext",
        "subjectAltName=DNS:omegle.com,DNS:*.omegle.com",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ];
    for arguments in [&ca[..], &of_hosts] {
        let made = Command::new("openssl").args(new).args(arguments).current_dir(folder).output().await;
        let made = made.expect("openssl; install Debian's package openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

/// Takes TLS off on port 443, and passes on what is inside.
async fn terminate_tls(folder: &Path, server: SocketAddr) -> tokio::task::JoinHandle<()> {
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a key of its certificate")));
    let listener = Net::Host.listen(([127, 0, 0, 1], 443).into()).await.expect("port 443");
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that breaks off has no more to say.
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let Ok(mut server) = Net::Host.connect(server).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    })
}

/// A client that does what it is told line by line, and tells what happens to it.
#[derive(Debug)]
pub struct Script {
    child: Child,
    stdin: ChildStdin,
    said: Arc<Mutex<Vec<String>>>,
    heard: usize,
}

impl Script {
    /// Tells it to do something.
    ///
    /// # Panics
    /// If it has ended.
    pub async fn does(&mut self, command: &str) {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.expect("a client that listens");
    }

    /// The next thing that happens to it is this.
    ///
    /// # Panics
    /// If it is something else.
    pub async fn sees(&mut self, event: &str) {
        let next = || async { self.said.lock().get(self.heard).cloned() };
        let seen = eventually(&format!("{event:?} after {:?}", self.said.lock()), next).await;
        assert_eq!(seen, event, "after {:?}", &self.said.lock()[..self.heard]);
        self.heard += 1;
    }

    /// The next thing that happens to it is this, or comes behind some of those.
    ///
    /// # Panics
    /// If it is something else.
    pub async fn sees_behind(&mut self, passed: &[&str], event: &str) {
        loop {
            let next = || async { self.said.lock().get(self.heard).cloned() };
            let seen = eventually(&format!("{event:?}"), next).await;
            if !passed.contains(&seen.as_str()) {
                break;
            }
            self.heard += 1;
        }
        self.sees(event).await;
    }

    /// Waits for a stranger, and is connected.
    pub async fn connects(&mut self) {
        self.sees_behind(&["waiting"], "connected").await;
    }

    /// Has seen all that happened to it, and ends well.
    ///
    /// # Panics
    /// If it does not.
    pub async fn ends(mut self) {
        self.does("end").await;
        let status = tokio::time::timeout(crate::PATIENCE, self.child.wait()).await.expect("an end");
        assert!(status.expect("a status").success(), "{:?}", self.said.lock());
        assert_eq!(self.said.lock()[self.heard..], [] as [&str; 0], "not looked at");
    }
}
