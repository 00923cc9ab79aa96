//! A relay with its neighbours, and the seats of its chats.

use std::{fmt::Debug, future::Future, net::SocketAddr, time::Duration};

use bytes::Bytes;
use chassis::{Context, Random, Secret, secret::Purpose};
use prost::Message as _;
use stroll_proto::v1::{Mode, Role, SeatClaims};
use stroll_relay::{Chats, Config, Relay};
use tokio::task::JoinHandle;

use crate::{
    gateway::Gateway,
    peers::{Matchmaker, Moderation},
};

/// How long anything may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A relay and its neighbours.
pub struct World {
    pub secret: Secret,
    /// The relay's.
    pub context: Context,
    pub address: SocketAddr,
    pub matchmaker: Matchmaker,
    pub moderation: Moderation,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl World {
    /// With the documented settings.
    pub async fn start() -> Self {
        Self::start_with(Chats::default()).await
    }

    pub async fn start_with(chats: Chats) -> Self {
        Self::start_draining_in(chats, Duration::from_secs(60)).await
    }

    pub async fn start_draining_in(chats: Chats, drain: Duration) -> Self {
        let secret = Secret::ephemeral(&Random::from_os());
        let context = Context::new(secret.clone(), drain);
        let (matchmaker, moderation) = (Matchmaker::start().await, Moderation::start().await);
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            zone: "here".to_owned(),
            matchmaker: matchmaker.address.into(),
            moderation: moderation.address.into(),
            chats,
        };
        let relay = Relay::bind(config, &context).await.expect("a free port");
        let address = relay.address();
        let serving = context.tasks.spawn("relay", relay.serve());
        let world = Self { secret, context, address, matchmaker, moderation, serving };
        world.inspects().await;
        world
    }

    /// Waits until the relay has texts inspected.
    async fn inspects(&self) {
        let mut probe = Probe::start(self).await;
        soon("inspection", async {
            while self.moderation.said().is_empty() {
                probe.passes().await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        probe.end().await;
        self.moderation.forget();
    }

    /// Waits until the relay holds texts back.
    pub async fn holds(&self) {
        let mut probe = Probe::start(self).await;
        soon("holding", async { while probe.passes().await {} }).await;
        probe.end().await;
    }

    /// A gateway that is connected.
    pub async fn gateway(&self) -> Gateway {
        Gateway::connect(self.address).await
    }

    /// Two strangers in a chat, at handle 1 of a gateway each.
    pub async fn chat(&self, mode: Mode) -> (Pairing, Gateway, Gateway) {
        let pairing = self.pair(mode);
        let (mut one, mut two) = (self.gateway().await, self.gateway().await);
        one.attach(1, pairing.token(1));
        two.attach(1, pairing.token(2));
        one.started(1).await;
        two.started(1).await;
        (pairing, one, two)
    }

    /// A pairing of two, as a matchmaker makes it.
    pub fn pair(&self, mode: Mode) -> Pairing {
        Pairing {
            secret: self.secret.clone(),
            chat: Bytes::copy_from_slice(&self.context.random.bytes::<16>()),
            mode,
            epoch: 1,
            expires_unix_ms: self.context.clock.unix_ms() + 60_000,
        }
    }

    /// Waits until the relay has drained.
    pub async fn drained(self) {
        soon("the relay's end", self.serving).await.expect("no panic").expect("served");
        soon("the tasks' end", self.context.tasks.finished()).await;
    }
}

/// A chat of its own, to see what the relay does with texts.
struct Probe {
    gateway: Gateway,
    seq: u64,
}

impl Probe {
    async fn start(world: &World) -> Self {
        let pairing = world.pair(Mode::Text);
        let mut gateway = world.gateway().await;
        gateway.attach(1, pairing.token(1));
        gateway.attach(2, pairing.token(2));
        gateway.started(1).await;
        gateway.started(2).await;
        Self { gateway, seq: 0 }
    }

    /// Whether a text is passed on now.
    async fn passes(&mut self) -> bool {
        self.seq += 1;
        self.gateway.say(1, self.seq, "probe");
        self.gateway.settle().await;
        self.gateway.heard(2).is_some()
    }

    async fn end(mut self) {
        self.gateway.leave(1);
        self.gateway.settle().await;
    }
}

/// Who meets whom.
#[derive(Clone)]
pub struct Pairing {
    pub secret: Secret,
    pub chat: Bytes,
    pub mode: Mode,
    pub epoch: u64,
    pub expires_unix_ms: u64,
}

impl Pairing {
    pub fn token(&self, seat: u32) -> Bytes {
        let claims = SeatClaims {
            chat: self.chat.clone(),
            seat,
            seats: 2,
            role: Role::Stranger.into(),
            mode: self.mode.into(),
            epoch: self.epoch,
            expires_unix_ms: self.expires_unix_ms,
        };
        self.secret.sign(Purpose::Seat, &claims.encode_to_vec())
    }
}

/// What has to happen, or the test has failed.
pub async fn soon<T>(what: impl Debug, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, happens).await {
        Ok(happened) => happened,
        Err(_) => panic!("{what:?} did not happen"),
    }
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
