//! Processes that belong together: all services in one, or the four tiers apart.

use std::{fmt, net::SocketAddr};

use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{
    eventually,
    ports::free_address,
    process::{Process, Signal},
    proxy::Proxy,
    redis::Redis,
};

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
        Self::start_with(arguments, &[]).await
    }

    /// The same, with an environment.
    pub async fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_at("127.0.0.1:0", arguments, environment).await
    }

    /// The same, at an address.
    ///
    /// # Panics
    /// If it doesn't start.
    pub async fn start_at(listen: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = format!("sqlite:{}/stroll.db", folder.path().display());
        let mut all = vec!["--listen", listen, "--admin-listen", "127.0.0.1:0", "--database-url", &database];
        all.extend(arguments);
        let process = Process::start("stroll", &all, environment);
        process.ready().await;
        let gateway = process.address("public").await;
        Self { process, gateway, _folder: folder }
    }

    /// Waits until so many tickets are in the pool.
    pub async fn waiting(&self, tickets: u32) {
        let in_pool = || async {
            let waiting = self.process.metric("stroll_matchmaker_waiting{").await;
            ((waiting - f64::from(tickets)).abs() < 0.5).then_some(())
        };
        eventually(&format!("{tickets} tickets in the pool"), in_pool).await;
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
    /// Whether there is a [`Proxy`] before each gateway, relay and matchmaker, and before Redis.
    pub proxied: bool,
}

/// The services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// The edge.
    Gateway,
    /// Holds the chats.
    Relay,
    /// Pairs.
    Matchmaker,
    /// Looks at what is said.
    Moderation,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Relay, Self::Matchmaker, Self::Moderation];

    fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Relay => "relay",
            Self::Matchmaker => "matchmaker",
            Self::Moderation => "moderation",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Two processes of each service, and a Redis. Each process has an address for its whole life, and so has who takes its place.
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
    links: Option<Links>,
    places: Places,
    settings: Settings,
    folder: TempDir,
}

/// The proxies before what others connect to.
#[derive(Debug)]
pub struct Links {
    /// Between clients and each gateway.
    pub gateways: Vec<Proxy>,
    /// Between gateways and each relay.
    pub relays: Vec<Proxy>,
    /// Between gateways or relays and each matchmaker.
    pub matchmakers: Vec<Proxy>,
    /// Between matchmakers and Redis.
    pub redis: Proxy,
}

/// Where the processes of each tier listen.
#[derive(Debug)]
struct Places {
    gateways: Vec<SocketAddr>,
    relays: Vec<SocketAddr>,
    matchmakers: Vec<SocketAddr>,
    moderation: Vec<SocketAddr>,
}

impl Places {
    fn new(matchmakers: usize) -> Self {
        let free = |count| std::iter::repeat_with(free_address).take(count).collect();
        Self { gateways: free(2), relays: free(2), matchmakers: free(matchmakers), moderation: free(2) }
    }

    fn of(&self, tier: Tier) -> &[SocketAddr] {
        match tier {
            Tier::Gateway => &self.gateways,
            Tier::Relay => &self.relays,
            Tier::Matchmaker => &self.matchmakers,
            Tier::Moderation => &self.moderation,
        }
    }
}

impl Links {
    async fn new(places: &Places, redis: SocketAddr) -> Self {
        let mut links = Self {
            gateways: Vec::new(),
            relays: Vec::new(),
            matchmakers: Vec::new(),
            redis: Proxy::start(redis).await,
        };
        for (places, proxies) in [
            (&places.gateways, &mut links.gateways),
            (&places.relays, &mut links.relays),
            (&places.matchmakers, &mut links.matchmakers),
        ] {
            for address in places {
                proxies.push(Proxy::start(*address).await);
            }
        }
        links
    }
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
        let redis = Redis::start().await;
        let places = Places::new(2 + settings.more_matchmakers);
        let links = if settings.proxied { Some(Links::new(&places, redis.address()).await) } else { None };
        let mut cluster = Self {
            redis,
            moderation: Vec::new(),
            matchmakers: Vec::new(),
            relays: Vec::new(),
            gateways: Vec::new(),
            links,
            places,
            settings,
            folder: TempDir::new().expect("a folder"),
        };
        for tier in Tier::ALL {
            for number in 0..cluster.places.of(tier).len() {
                let process = cluster.start_process(tier, number);
                cluster.tier_mut(tier).push(process);
            }
        }
        cluster.ready().await;
        cluster
    }

    /// All processes.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.moderation.iter().chain(&self.matchmakers).chain(&self.relays).chain(&self.gateways)
    }

    /// The processes of a tier.
    #[must_use]
    pub fn tier(&self, tier: Tier) -> &[Process] {
        match tier {
            Tier::Gateway => &self.gateways,
            Tier::Relay => &self.relays,
            Tier::Matchmaker => &self.matchmakers,
            Tier::Moderation => &self.moderation,
        }
    }

    fn tier_mut(&mut self, tier: Tier) -> &mut Vec<Process> {
        match tier {
            Tier::Gateway => &mut self.gateways,
            Tier::Relay => &mut self.relays,
            Tier::Matchmaker => &mut self.matchmakers,
            Tier::Moderation => &mut self.moderation,
        }
    }

    /// One process.
    pub fn process(&mut self, tier: Tier, number: usize) -> &mut Process {
        &mut self.tier_mut(tier)[number]
    }

    /// The proxies.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn links(&self) -> &Links {
        self.links.as_ref().expect("a cluster with proxies")
    }

    /// Waits until all processes are ready.
    pub async fn ready(&self) {
        for process in self.processes() {
            process.ready().await;
        }
    }

    /// What moderation froze of the chat of a case, as JSON.
    ///
    /// # Panics
    /// If there is no such case.
    pub async fn evidence(&self, case: &str) -> serde_json::Value {
        let options =
            SqliteConnectOptions::new().filename(self.folder.path().join("stroll.db")).read_only(true);
        let mut database = options.connect().await.expect("moderation's store");
        let evidence: String = sqlx::query_scalar("SELECT evidence FROM cases WHERE number = ?")
            .bind(case)
            .fetch_one(&mut database)
            .await
            .expect("the case");
        serde_json::from_str(&evidence).expect("JSON")
    }

    /// Where gateways listen.
    pub async fn addresses(&self) -> [SocketAddr; 2] {
        [self.gateways[0].address("public").await, self.gateways[1].address("public").await]
    }

    /// Where clients connect: the proxies before the gateways, where there are any.
    #[must_use]
    pub fn entrances(&self) -> Vec<SocketAddr> {
        self.way_to(Tier::Gateway)
    }

    /// Kills a process, and starts another one at its address.
    pub async fn replace(&mut self, tier: Tier, number: usize) {
        self.process(tier, number).kill().await;
        self.start_again(tier, number);
    }

    /// Asks a process to drain, waits for its end, and starts another one at its address, which is ready when this is over.
    ///
    /// # Panics
    /// If its exit code is not 0.
    pub async fn upgrade(&mut self, tier: Tier, number: usize) {
        let process = self.process(tier, number);
        process.signal(Signal::Term).await;
        let status = process.ended().await;
        assert_eq!(status.code(), Some(0), "{tier} {number}: {:#?}", process.log());
        self.start_again(tier, number);
        self.process(tier, number).ready().await;
    }

    /// Starts a process in the place of one that has ended.
    pub fn start_again(&mut self, tier: Tier, number: usize) {
        let process = self.start_process(tier, number);
        self.tier_mut(tier)[number] = process;
    }

    /// How others reach a tier.
    fn way_to(&self, tier: Tier) -> Vec<SocketAddr> {
        let proxies = self.links.as_ref().map(|links| match tier {
            Tier::Gateway => links.gateways.as_slice(),
            Tier::Relay => &links.relays,
            Tier::Matchmaker => &links.matchmakers,
            Tier::Moderation => &[],
        });
        match proxies {
            Some(proxies) if !proxies.is_empty() => proxies.iter().map(Proxy::address).collect(),
            _ => self.places.of(tier).to_vec(),
        }
    }

    fn start_process(&self, tier: Tier, number: usize) -> Process {
        let listen = self.places.of(tier)[number].to_string();
        let list = |tier| {
            let urls = self.way_to(tier).into_iter().map(|address| format!("http://{address}"));
            urls.collect::<Vec<_>>().join(",")
        };
        let (matchmaker, moderation) = (list(Tier::Matchmaker), list(Tier::Moderation));
        let redis = self.links.as_ref().map_or(self.redis.address(), |links| links.redis.address());
        let redis = format!("redis://{redis}");
        let database = format!("sqlite:{}/stroll.db", self.folder.path().display());
        let advertise = format!("http://{}", self.way_to(Tier::Relay)[number % 2]);
        let mut arguments = vec!["--admin-listen", "127.0.0.1:0", "--listen", &listen];
        arguments.extend(match tier {
            Tier::Gateway => vec!["--matchmaker", &matchmaker, "--moderation", &moderation],
            Tier::Relay => {
                vec!["--advertise", &advertise, "--matchmaker", &matchmaker, "--moderation", &moderation]
            }
            Tier::Matchmaker => vec!["--redis-url", &redis, "--moderation", &moderation],
            Tier::Moderation => vec!["--database-url", &database],
        });
        let secret = self.settings.relay_secret.filter(|_| tier == Tier::Relay).unwrap_or(SECRET);
        arguments.extend(["--secret", secret]);
        let mut environment: Vec<_> =
            self.settings.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if tier == Tier::Gateway {
            // Where gateways reach each other.
            environment.push(("STROLL_PEER_LISTEN", "127.0.0.1:0"));
        }
        Process::start(&format!("stroll-{tier}"), &arguments, &environment)
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
