//! Redis that outlives a server.

use std::time::Duration;

use super::{
    redis::{Program, RedisServer, free_ports},
    until,
};

const SOON: Duration = Duration::from_secs(20);

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
