//! Redis that outlives a server: a master with a replica under a sentinel, and a cluster.

use std::time::Duration;

use super::{
    redis::{Program, RedisServer, free_ports},
    until,
};

const SOON: Duration = Duration::from_secs(20);

/// What the sentinel calls the master.
const MASTER: &str = "main";

/// A master, its replica, and a sentinel that watches them.
pub(crate) struct Watched {
    /// The master and the replica, as they began.
    pub(crate) servers: [RedisServer; 2],
    pub(crate) sentinel: RedisServer,
    /// A sentinel that is not there.
    absent: RedisServer,
}

impl Watched {
    /// Starts all, the master with more options, and waits until a failover is possible.
    pub(crate) async fn start(program: Program, options: &[&str]) -> Self {
        let master = RedisServer::start_with(program, options).await;
        let port = master.port.to_string();
        let replica = RedisServer::start_with(program, &["--replicaof", "127.0.0.1", &port]).await;
        until(SOON, "the replica follows", async || {
            replica.told(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
        })
        .await;
        let settings = format!(
            "sentinel monitor {MASTER} 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds {MASTER} 500\n\
             sentinel failover-timeout {MASTER} 3000\n"
        );
        let sentinel = RedisServer::start_sentinel(program, &settings).await;
        // It looks more often than it would, so that failovers take less time.
        sentinel.command(&["SENTINEL", "DEBUG", "INFO-PERIOD", "200"]);
        let watched = Self { servers: [master, replica], sentinel, absent: RedisServer::not_yet() };
        until(SOON, "the sentinel knows the replica", async || {
            let known = format!("{:?}", watched.sentinel.command(&["SENTINEL", "REPLICAS", MASTER]));
            known.contains("\"ok\"").then_some(())
        })
        .await;
        watched
    }

    /// Names the sentinel that is not there first.
    pub(crate) fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{},127.0.0.1:{}/{MASTER}", self.absent.port, self.sentinel.port)
    }

    /// Lets the sentinel look at what the servers are as seldom as it does by itself.
    pub(crate) fn look_seldom(&self) {
        self.sentinel.command(&["SENTINEL", "DEBUG", "INFO-PERIOD", "10000"]);
    }

    /// Tells the sentinel to make the replica the master.
    pub(crate) fn fail_over(&self) {
        self.sentinel.command(&["SENTINEL", "FAILOVER", MASTER]);
    }

    /// Waits until the one that began as the replica is the master, and the sentinel names it.
    pub(crate) async fn replica_leads(&self) {
        let port = self.servers[1].port.to_string();
        until(SOON, "the sentinel names the replica", async || {
            let named = self.sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
            (format!("{named:?}").contains(&port) && self.servers[1].leads()).then_some(())
        })
        .await;
    }
}

impl RedisServer {
    /// Whether it is a master.
    pub(crate) fn leads(&self) -> bool {
        self.told(&["INFO", "replication"]).contains("role:master")
    }
}

/// Three masters, of which the second has the text shard and a replica, and the third the video shard, the generation and the
/// members, with the prefix `test:`.
pub(crate) struct RedisCluster {
    /// The masters, and the second one's replica.
    pub(crate) servers: Vec<RedisServer>,
}

/// Which master begins with which slots.
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "7999"), ("8000", "16383")];

impl RedisCluster {
    /// Starts all and waits until it works.
    pub(crate) async fn start(program: Program) -> Self {
        let mut servers = Vec::new();
        let buses = free_ports::<4>();
        for bus in &buses {
            let bus = bus.to_string();
            let options =
                ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &bus];
            // A replica may not let its data be too old, or it would not dare to take over from a master it just joined.
            let options = [&options[..], &["--cluster-replica-validity-factor", "0"]].concat();
            servers.push(RedisServer::start_with(program, &options).await);
        }
        let cluster = Self { servers };
        for (number, (server, (first, last))) in cluster.servers.iter().zip(SLOTS).enumerate() {
            server.command(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
            server.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
        }
        for (server, bus) in cluster.servers.iter().zip(buses).skip(1) {
            let (port, bus) = (server.port.to_string(), bus.to_string());
            cluster.servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        let replica = &cluster.servers[3];
        let master = cluster.servers[1].told(&["CLUSTER", "MYID"]);
        until(SOON, "the replica follows", async || {
            replica.try_command(&["CLUSTER", "REPLICATE", &master]).ok()
        })
        .await;
        cluster.works().await;
        until(SOON, "the replica is up to date and known", async || {
            let follows = replica.told(&["INFO", "replication"]).contains("master_link_status:up");
            let known =
                cluster.servers.iter().all(|server| server.told(&["CLUSTER", "NODES"]).contains("slave"));
            (follows && known).then_some(())
        })
        .await;
        cluster
    }

    /// Waits until all that run agree that it works.
    pub(crate) async fn works(&self) {
        until(SOON, "the cluster works", async || {
            let infos =
                self.servers.iter().filter_map(|server| server.try_command(&["CLUSTER", "INFO"]).ok());
            let good = |info| format!("{info:?}").contains("cluster_state:ok");
            let all: Vec<bool> = infos.map(good).collect();
            (all.len() >= SLOTS.len() && all.iter().all(|good| *good)).then_some(())
        })
        .await;
    }

    /// Names two of its masters.
    pub(crate) fn url(&self) -> String {
        let [one, two] = [&self.servers[1], &self.servers[0]].map(|server| server.port);
        format!("redis+cluster://127.0.0.1:{one},127.0.0.1:{two}")
    }

    /// Runs a command at every master.
    pub(crate) fn everywhere(&self, words: &[&str]) {
        for server in self.servers.iter().filter(|server| server.leads()) {
            server.command(words);
        }
    }
}
