//! The machines of the cluster: each runs the real service, with a clock, a randomness and tasks of its own.

use std::{cell::Cell, num::NonZeroU32, rc::Rc, time::Duration};

use chassis::{Clock, Context, Drain, Random, Readiness, Secret, Tasks, net::Net};
use gateway::Gateway;
use matchmaker::{Matching, Matchmaker};
use relay::{Chats, Relay, Unmoderated};
use tokio::{sync::Notify, time::timeout};

use crate::{
    moderation::{self, Durable},
    plan::{GATEWAYS, HOMES, Host, MATCHMAKERS, MODERATORS, Plan, RELAYS},
    store::Outside,
    trace,
};

/// When the simulation begins, in milliseconds since the Unix epoch.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// How long a process may take to drain.
const DRAIN: Duration = Duration::from_secs(10);
/// What is left of the drain for tasks to stop.
const GRACE: Duration = Duration::from_secs(2);
pub const GATEWAY_PORT: u16 = 8080;
const MATCHMAKER_PORT: u16 = 7001;
const RELAY_PORT: u16 = 7002;
const MODERATION_PORT: u16 = 7003;

type Ended = Result<(), Box<dyn std::error::Error>>;

/// What the machines have in common.
pub struct Cluster {
    seed: u64,
    skew_ms: u64,
    unmoderated: Unmoderated,
    pub store: Outside,
    durable: Durable,
}

impl Cluster {
    /// For this plan.
    pub fn new(plan: &Plan, store: Outside) -> Self {
        let unmoderated = if plan.holds { Unmoderated::Hold } else { Unmoderated::Pass };
        let Plan { seed, skew_ms, .. } = *plan;
        Self { seed, skew_ms, unmoderated, store, durable: Durable::default() }
    }

    /// What a process is handed at its nth start.
    pub fn context(&self, name: &str, start: u64) -> Context {
        let random = Random::seeded(seed_of(self.seed, name, start));
        let elapsed = u64::try_from(trace::now().as_millis()).expect("a short time");
        let base = EPOCH_MS + elapsed + random.below(self.skew_ms + 1);
        Context {
            net: Net::Simulated,
            clock: Clock::starting_at(base),
            random,
            tasks: Tasks::default(),
            drain: Drain::new(DRAIN),
            readiness: Readiness::default(),
            secret: Secret::ephemeral(&Random::seeded(self.seed)),
        }
    }

    async fn run(&self, host: Host, context: &Context) -> Ended {
        match host {
            Host::Gateway(_) => Gateway::bind(gateway_config(), context).await?.serve().await?,
            Host::Relay(number) => Relay::bind(self.relay_config(number), context).await?.serve().await?,
            Host::Matchmaker(number) => {
                let pool = self.store.pool(number, Random::seeded(context.random.below(u64::MAX)));
                Matchmaker::bind_with_pool(matchmaker_config(), pool, context).await?.serve().await?;
            }
            Host::Moderation(_) => {
                let listener = context.net.listen(any(MODERATION_PORT)).await?;
                moderation::serve(context, listener, self.durable.clone()).await;
            }
            Host::Home(_) => {}
        }
        Ok(())
    }

    fn relay_config(&self, number: usize) -> relay::Config {
        relay::Config {
            listen: any(RELAY_PORT),
            advertise: Some(format!("http://{}:{RELAY_PORT}", Host::Relay(number))),
            zone: String::new(),
            matchmaker: matchmakers(),
            moderation: moderators(),
            chats: Chats { unmoderated: self.unmoderated, ..Chats::default() },
        }
    }
}

/// All machines that run a service.
pub fn servers() -> impl Iterator<Item = Host> {
    let moderators = (0..MODERATORS).map(Host::Moderation);
    let matchmakers = (0..MATCHMAKERS).map(Host::Matchmaker);
    let relays = (0..RELAYS).map(Host::Relay);
    moderators.chain(matchmakers).chain(relays).chain((0..GATEWAYS).map(Host::Gateway))
}

/// All machines from which strangers connect.
pub fn homes() -> impl Iterator<Item = Host> {
    (0..HOMES).map(Host::Home)
}

/// A machine's process, from start to exit; again each time that the machine starts one.
pub fn process(cluster: Rc<Cluster>, host: Host, terminate: Rc<Notify>) -> impl Fn() -> LocalEnd {
    let starts = Rc::new(Cell::new(0));
    move || {
        starts.set(starts.get() + 1);
        let (cluster, terminate, start) = (Rc::clone(&cluster), Rc::clone(&terminate), starts.get());
        Box::pin(async move { live(&cluster, host, start, &terminate).await })
    }
}

/// How a process ends.
pub type LocalEnd = std::pin::Pin<Box<dyn Future<Output = Ended>>>;

/// As `chassis::run` does it, without signals and an operators' port.
async fn live(cluster: &Cluster, host: Host, start: u64, terminate: &Notify) -> Ended {
    let name = host.to_string();
    let context = cluster.context(&name, start);
    trace::event(&name, format_args!("starts"));
    let signals = async {
        terminate.notified().await;
        trace::event(&name, format_args!("drains"));
        context.drain.begin();
        tokio::time::sleep(context.drain.remaining()).await;
        context.drain.force();
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        biased;
        ended = cluster.run(host, &context) => ended,
        () = signals => Ok(()),
    };
    context.drain.force();
    let stopped = timeout(GRACE, context.tasks.finished()).await.is_ok();
    trace::event(&name, format_args!("exits, {}", if stopped { "drained" } else { "with tasks left" }));
    ended
}

fn seed_of(seed: u64, name: &str, start: u64) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (seed, name, start).hash(&mut hasher);
    hasher.finish()
}

fn any(port: u16) -> std::net::SocketAddr {
    ([0, 0, 0, 0], port).into()
}

fn targets(hosts: impl Iterator<Item = Host>, port: u16) -> chassis::grpc::Targets {
    let urls: Vec<_> = hosts.map(|host| format!("http://{host}:{port}")).collect();
    urls.join(",").parse().expect("targets")
}

fn matchmakers() -> chassis::grpc::Targets {
    targets((0..MATCHMAKERS).map(Host::Matchmaker), MATCHMAKER_PORT)
}

fn moderators() -> chassis::grpc::Targets {
    targets((0..MODERATORS).map(Host::Moderation), MODERATION_PORT)
}

fn matchmaker_config() -> matchmaker::Config {
    matchmaker::Config {
        listen: any(MATCHMAKER_PORT),
        moderation: Some(moderators()),
        matching: Matching { shards: NonZeroU32::new(2).expect("not zero"), ..Matching::default() },
        ..matchmaker::Config::default()
    }
}

fn gateway_config() -> gateway::Config {
    let many = NonZeroU32::new(10_000).expect("not zero");
    let needed =
        ["--matchmaker", "http://matchmakers:1", "--moderation", "http://moderators:1", "--classic", "false"];
    let secret = |name: &str| (name == "STROLL_SECRET").then(|| "A".repeat(44).into());
    let parsed = chassis::settings::parse::<gateway::Config>("gateway", needed.map(Into::into), secret);
    let config = parsed.expect("good settings").service;
    gateway::Config {
        listen: any(GATEWAY_PORT),
        matchmaker: matchmakers(),
        moderation: moderators(),
        public: gateway::Public {
            limits: gateway::Limits {
                connections_per_address: many,
                handshakes_per_address: many,
                handshakes_per_second: many,
                ..config.public.limits
            },
            ..config.public
        },
        ..config
    }
}
