//! What strangers notice of it when something happens to Redis in the middle of matching: nothing, but that it takes longer.
//!
//! In each test two matchmakers, real processes, serve a gateway each; while more strangers come, something happens. Nobody
//! does anything about it. What has to hold afterwards is in [`Crowd::check`] (I1, I2), and how soon in [`AFTER_A_LOSS`] (I4).

use std::time::Duration;

use stroll_proto::v1::Mode;
use tokio::time::{Instant, interval};

use crate::support::{
    Crowd, Losses, Process, Program, Proxy, RedisCluster, RedisServer, Relay, Watched, context, until,
};

const FIRST: Duration = Duration::from_secs(10);
/// I4: how long pairings may take when the store is back.
const AFTER_A_LOSS: Duration = Duration::from_secs(5);
/// How soon the metric has to say that the store is away.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
const BOTH: [Mode; 2] = [Mode::Text, Mode::Video];

/// Two matchmakers, a relay that reports to both, and the crowd.
struct City {
    matchmakers: [Process; 2],
    crowd: Crowd,
    _relay: Relay,
}

impl City {
    /// Starts all on the store at `url`; when this is over, matching is going on, and in each pool one has been waiting
    /// for long.
    async fn start(url: &str) -> Self {
        let context = context();
        let matchmakers = [Process::start(url).await, Process::start(url).await];
        let [one, two] = [0, 1].map(|at: usize| matchmakers[at].address);
        let targets = format!("http://{one},http://{two}").parse().expect("targets");
        let relay = Relay::start_at(&context, targets, "http://127.0.0.1:7002");
        let crowd = Crowd::start(&context, [one, two]).await;
        let mut city = Self { matchmakers, crowd, _relay: relay };
        BOTH.iter().for_each(|mode| city.crowd.arrive(*mode, 21));
        city.crowd.settle(2, FIRST).await;
        city.more_come();
        city
    }

    /// As many come as make it even, in the end.
    fn more_come(&mut self) {
        BOTH.iter().for_each(|mode| self.crowd.arrive(*mode, 30));
    }

    /// Waits until every matchmaker says that the store is away, with more coming meanwhile.
    async fn is_told(&mut self) {
        self.more_come();
        let matchmakers = &self.matchmakers;
        let told = until(TOLD_WITHIN, "the metric says that the store is away", async || {
            let [one, two] = matchmakers;
            (one.is_degraded().await && two.is_degraded().await).then_some(())
        });
        self.crowd.meanwhile(told).await;
        self.is_ready().await;
        assert!(self.crowd.waiting() > 0, "who waits goes on waiting");
    }

    async fn is_ready(&self) {
        for matchmaker in &self.matchmakers {
            assert!(matchmaker.is_ready().await, "gateways must not lose their matchmakers");
        }
    }

    /// The store is of use again since `back`: the last stranger comes, and everybody is paired in time.
    async fn recovers(&mut self, back: Instant, losses: Losses) {
        BOTH.iter().for_each(|mode| self.crowd.arrive(*mode, 1));
        self.crowd.settle(0, AFTER_A_LOSS.saturating_sub(back.elapsed())).await;
        self.crowd.check(losses);
        let matchmakers = &self.matchmakers;
        let well = until(TOLD_WITHIN, "the metric says that the store is back", async || {
            let [one, two] = matchmakers;
            (!one.is_degraded().await && !two.is_degraded().await).then_some(())
        });
        self.crowd.meanwhile(well).await;
        self.is_ready().await;
    }
}

async fn restart_with_nothing_kept(program: Program) {
    let mut server = RedisServer::start_with(program, &[]).await;
    let mut city = City::start(&server.url()).await;
    let generations = city.crowd.generations();
    server.kill();
    city.is_told().await;
    city.crowd.meanwhile(server.restart()).await;
    let back = Instant::now();
    city.crowd.hear_of_another_generation(&generations, AFTER_A_LOSS).await;
    city.recovers(back, Losses::None).await;
}

#[tokio::test]
async fn redis_restarts_with_nothing_kept() {
    restart_with_nothing_kept(Program::Redis).await;
}

#[tokio::test]
async fn valkey_8_restarts_with_nothing_kept() {
    restart_with_nothing_kept(Program::Valkey).await;
}

#[tokio::test]
async fn redis_restarts_with_its_append_only_file() {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = RedisServer::start_with(Program::Redis, &options).await;
    let mut city = City::start(&server.url()).await;
    server.kill();
    city.is_told().await;
    city.crowd.meanwhile(server.restart()).await;
    city.recovers(Instant::now(), Losses::None).await;
}

#[tokio::test]
async fn redis_stands_still_for_five_seconds() {
    let server = RedisServer::start().await;
    let mut city = City::start(&server.url()).await;
    let generations = city.crowd.generations();
    server.pause();
    let over = Instant::now() + Duration::from_secs(5);
    city.is_told().await;
    city.crowd.meanwhile(tokio::time::sleep_until(over)).await;
    server.go_on();
    city.recovers(Instant::now(), Losses::None).await;
    assert_eq!(city.crowd.generations(), generations, "nothing was lost");
}

#[tokio::test]
async fn connections_to_redis_are_reset_again_and_again() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&context(), server.port).await;
    let mut city = City::start(&proxy.url()).await;
    let generations = city.crowd.generations();
    let mut beat = interval(Duration::from_millis(50));
    for _ in 0..20 {
        city.crowd.meanwhile(beat.tick()).await;
        proxy.reset();
        BOTH.iter().for_each(|mode| city.crowd.arrive(*mode, 2));
    }
    city.recovers(Instant::now(), Losses::None).await;
    assert_eq!(city.crowd.generations(), generations, "nothing was lost");
}

async fn master_is_killed(program: Program) {
    let mut watched = Watched::start(program, &[]).await;
    let mut city = City::start(&watched.url()).await;
    let generations = city.crowd.generations();
    watched.servers[0].kill();
    city.is_told().await;
    city.crowd.meanwhile(watched.replica_leads()).await;
    let back = Instant::now();
    city.crowd.hear_of_another_generation(&generations, AFTER_A_LOSS).await;
    city.recovers(back, Losses::Possible).await;
}

#[tokio::test]
async fn sentinel_replaces_a_master_that_was_killed() {
    master_is_killed(Program::Redis).await;
}

#[tokio::test]
async fn valkey_8_sentinel_replaces_a_master_that_was_killed() {
    master_is_killed(Program::Valkey).await;
}

#[tokio::test]
async fn a_master_hands_over_to_its_replica_by_failover() {
    let watched = Watched::start(Program::Redis, &[]).await;
    watched.look_seldom();
    let mut city = City::start(&watched.url()).await;
    watched.servers[0].command(&["FAILOVER"]);
    let [old, new] = &watched.servers;
    let handed_over =
        until(FIRST, "the replica is the master", async || (new.leads() && !old.leads()).then_some(()));
    city.crowd.meanwhile(handed_over).await;
    // Here, nothing that was confirmed is lost, and the sentinel goes on naming the old one for some 20 seconds.
    city.recovers(Instant::now(), Losses::None).await;
}

#[tokio::test]
async fn a_master_that_sentinel_deposed_and_that_does_not_know_is_left() {
    // It doesn't know the command that would make it a replica.
    let watched = Watched::start(Program::Redis, &["--rename-command", "SLAVEOF", ""]).await;
    let mut city = City::start(&watched.url()).await;
    let generations = city.crowd.generations();
    watched.fail_over();
    city.crowd.meanwhile(watched.replica_leads()).await;
    let back = Instant::now();
    city.crowd.hear_of_another_generation(&generations, AFTER_A_LOSS).await;
    assert!(watched.servers[0].leads(), "it still takes itself for the master");
    city.recovers(back, Losses::Possible).await;
}

#[tokio::test]
async fn a_cluster_loses_a_shards_master_and_then_one_that_no_replica_follows() {
    let mut cluster = RedisCluster::start(Program::Redis).await;
    let mut city = City::start(&cluster.url()).await;
    let generations = city.crowd.generations();
    cluster.servers[1].kill();
    city.is_told().await;
    let takes_over = async {
        until(FIRST, "the replica is the master", async || cluster.servers[3].leads().then_some(())).await;
        cluster.works().await;
    };
    city.crowd.meanwhile(takes_over).await;
    let back = Instant::now();
    city.crowd.hear_of_another_generation(&generations, AFTER_A_LOSS).await;
    city.recovers(back, Losses::Possible).await;

    // The one with the other shard, the generation and the members comes back empty.
    let generations = city.crowd.generations();
    BOTH.iter().for_each(|mode| city.crowd.arrive(*mode, 1));
    city.more_come();
    cluster.servers[2].kill();
    city.is_told().await;
    city.crowd.meanwhile(cluster.servers[2].restart()).await;
    city.crowd.meanwhile(cluster.works()).await;
    let back = Instant::now();
    city.crowd.hear_of_another_generation(&generations, AFTER_A_LOSS).await;
    city.recovers(back, Losses::None).await;
}
