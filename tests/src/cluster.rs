//! Processes that belong together: all services in one, or the four tiers apart.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::{process::Process, redis::Redis};

/// The secret of test clusters.
pub const SECRET: &str = "dGVzdHMgdGVzdHMgdGVzdHMgdGVzdHMgdGVzdHMgdGVzdHM=";

/// `stroll`: everything in one process, without Redis.
#[derive(Debug)]
pub struct Single {
    /// The process.
    pub process: Process,
    /// Where clients connect.
    pub gateway: SocketAddr,
    _folder: TempDir,
}

impl Single {
    /// Starts it with more arguments.
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = format!("sqlite:{}/stroll.db", folder.path().display());
        let mut all =
            vec!["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--database-url", &database];
        all.extend(arguments);
        let process = Process::start("stroll", &all, &[]);
        process.ready().await;
        let gateway = process.address("public").await;
        Self { process, gateway, _folder: folder }
    }
}

/// Settings of a cluster that tests vary.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// For all processes.
    pub environment: Vec<(&'static str, String)>,
    /// The relays' own secret, in place of the cluster's.
    pub relay_secret: Option<&'static str>,
    /// Matchmakers beyond the two.
    pub more_matchmakers: usize,
}

/// Two processes of each service, and a Redis.
#[derive(Debug)]
pub struct Cluster {
    /// The store of the pool.
    pub redis: Redis,
    /// Moderation.
    pub moderation: Vec<Process>,
    /// Matchmakers.
    pub matchmakers: Vec<Process>,
    /// Relays.
    pub relays: Vec<Process>,
    /// Gateways.
    pub gateways: Vec<Process>,
    settings: Settings,
    folder: TempDir,
}

impl Cluster {
    /// Starts everything, and waits until all are ready.
    pub async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    /// The same with other settings.
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn start_with(settings: Settings) -> Self {
        let folder = TempDir::new().expect("a folder");
        let redis = Redis::start().await;
        let mut cluster = Self {
            redis,
            moderation: Vec::new(),
            matchmakers: Vec::new(),
            relays: Vec::new(),
            gateways: Vec::new(),
            settings,
            folder,
        };
        for _ in 0..2 {
            let process = cluster.start_moderation("127.0.0.1:0");
            cluster.moderation.push(process);
        }
        let moderation = urls(&cluster.moderation).await;
        for _ in 0..2 + cluster.settings.more_matchmakers {
            let process = cluster.start_matchmaker(&moderation);
            cluster.matchmakers.push(process);
        }
        let matchmaker = urls(&cluster.matchmakers).await;
        for _ in 0..2 {
            let process = cluster.start_relay(&matchmaker, &moderation);
            cluster.relays.push(process);
            let process = cluster.start_gateway(&matchmaker, &moderation);
            cluster.gateways.push(process);
        }
        for process in cluster.processes() {
            process.ready().await;
        }
        cluster
    }

    /// All processes.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.moderation.iter().chain(&self.matchmakers).chain(&self.relays).chain(&self.gateways)
    }

    /// Where clients connect.
    pub async fn addresses(&self) -> [SocketAddr; 2] {
        [self.gateways[0].address("public").await, self.gateways[1].address("public").await]
    }

    /// One more moderation process, on the same database.
    #[must_use]
    pub fn start_moderation(&self, listen: &str) -> Process {
        let database = format!("sqlite:{}/stroll.db", self.folder.path().display());
        let arguments = ["--listen", listen, "--database-url", &database];
        self.start_process("stroll-moderation", &arguments, SECRET)
    }

    /// One more matchmaker.
    #[must_use]
    pub fn start_matchmaker(&self, moderation: &str) -> Process {
        self.start_matchmaker_at("127.0.0.1:0", moderation)
    }

    /// Kills a matchmaker, by its number, and starts another one at its address.
    pub async fn replace_matchmaker(&mut self, number: usize) {
        let moderation = urls(&self.moderation).await;
        let address = self.matchmakers[number].address("grpc").await.to_string();
        self.matchmakers[number].kill().await;
        self.matchmakers[number] = self.start_matchmaker_at(&address, &moderation);
    }

    fn start_matchmaker_at(&self, listen: &str, moderation: &str) -> Process {
        let redis = self.redis.url();
        let arguments = ["--listen", listen, "--redis-url", &redis, "--moderation", moderation];
        self.start_process("stroll-matchmaker", &arguments, SECRET)
    }

    fn start_relay(&self, matchmaker: &str, moderation: &str) -> Process {
        let arguments = ["--listen", "127.0.0.1:0", "--matchmaker", matchmaker, "--moderation", moderation];
        self.start_process("stroll-relay", &arguments, self.settings.relay_secret.unwrap_or(SECRET))
    }

    fn start_gateway(&self, matchmaker: &str, moderation: &str) -> Process {
        let arguments = ["--listen", "127.0.0.1:0", "--matchmaker", matchmaker, "--moderation", moderation];
        self.start_process("stroll-gateway", &arguments, SECRET)
    }

    fn start_process(&self, name: &str, arguments: &[&str], secret: &str) -> Process {
        let mut all = vec!["--admin-listen", "127.0.0.1:0", "--secret", secret];
        all.extend(arguments);
        let environment: Vec<_> =
            self.settings.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Process::start(name, &all, &environment)
    }
}

/// The addresses of processes, as a setting names them.
pub async fn urls(processes: &[Process]) -> String {
    let mut urls = Vec::new();
    for process in processes {
        urls.push(format!("http://{}", process.address("grpc").await));
    }
    urls.join(",")
}
