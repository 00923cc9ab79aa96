//! A model test of the pool: replicas that own, read, match, commit and deliver in any order, and crash, stop in the middle and
//! come back too late; gateways that put tickets in, take them out and judge; bans; and a store that loses everything. Random
//! steps on the true [`Round`] and the true stores.
//!
//! After every step: a session is in at most one chat (I1), a ticket that was put in once is in at most one chat (I2), and
//! nobody is paired who is banned, or with somebody whom one of them blocked (I5), or who is kept apart by their colleges. At
//! rest, when everybody has had their time and one replica has done all there is to do, nobody waits who could meet somebody
//! else who does (I4), and the store holds the tickets of those who wait and nothing else.
//!
//! `PROPTEST_RNG_SEED` replays a run; a failure prints its steps, shrunk.

#[path = "../../tests/matchmaker/support/redis.rs"]
#[expect(dead_code, reason = "the tests of the whole service use more of it")]
mod redis_server;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chassis::{
    Context, Random, Secret,
    id::{ChatId, Epoch, SessionId, TicketId},
};
use proptest::{prelude::*, test_runner::Config};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use prost::Message as _;
use stroll_proto::v1::{self, Assignment, Mode, Subject};
use tokio::{runtime::Runtime, time::Instant};

use self::redis_server::RedisServer;
use super::{
    pairing,
    round::{Round, Step},
};
use crate::{
    Error,
    matching::{Questions, Ticket, Wish, forbidden},
    metrics::Metrics,
    pool::{EntryId, EntryKind, Limits, Memory, Outcome, Pair, Pairing, Pool, Redis, Shard},
};

const SESSIONS: u8 = 12;
const GATEWAYS: u8 = 2;
const REPLICAS: usize = 3;
const COLLEGES: u8 = 2;
const STEPS: usize = 100;
const CASES: u32 = 100;
/// So short that it is over by the next step: whoever asks gets the shard, and the one before has an old epoch.
const LEASE: Duration = Duration::from_millis(1);
/// Nobody in the model is patient for longer, in milliseconds. Being overdue and a seat that nobody takes come on top.
const MAX_PATIENCE: u64 = 10_000;
const ATTACH_TIMEOUT: u64 = 5_000;
/// How long a committed pairing may lie undelivered, in milliseconds.
const LONGEST_DELIVERY: u64 = 5_000;

/// What can happen.
#[derive(Clone, Debug)]
enum Transition {
    Find {
        session: u8,
        wish: Wished,
    },
    Cancel {
        session: u8,
    },
    /// Leaves the chat, which ends it.
    Leave {
        session: u8,
    },
    Ban {
        session: u8,
    },
    Acquire {
        replica: usize,
    },
    Read {
        replica: usize,
    },
    Pass {
        ms: u64,
    },
    /// `heard`: the answer comes. Else the same batch is tried again later.
    Commit {
        replica: usize,
        heard: bool,
    },
    /// Takes pairings over that somebody took before, or new ones; and stops somewhere on the way to settling them.
    Dispatch {
        replica: usize,
        again: bool,
        until: Until,
    },
    /// Those who wait go to the end of the stream.
    Compact {
        replica: usize,
    },
    Crash {
        replica: usize,
    },
    /// A gateway reads its inbox and judges.
    Hear {
        gateway: u8,
    },
    LoseEverything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Until {
    Taken,
    Delivered,
    Settled,
}

#[derive(Clone, Debug)]
enum Wished {
    Chat { interests: Vec<u8>, patience: u64, only: bool, college: Option<College> },
    Ask,
    Discuss { patience: u64 },
}

/// Which one, and whether any other will do.
type College = (u8, bool);

/// The steps don't depend on what came before.
struct AnySteps;

impl ReferenceStateMachine for AnySteps {
    type State = ();
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<()> {
        Just(()).boxed()
    }

    fn transitions((): &()) -> BoxedStrategy<Transition> {
        let session = || 0..SESSIONS;
        let replica = || 0..REPLICAS;
        let interests = proptest::collection::btree_set(0..4_u8, 0..3).prop_map(Vec::from_iter);
        let college = proptest::option::weighted(0.3, (0..COLLEGES, any::<bool>()));
        let wish = prop_oneof![
            5 => (interests, 0..MAX_PATIENCE, any::<bool>(), college).prop_map(
                |(interests, patience, only, college)| Wished::Chat { interests, patience, only, college }
            ),
            1 => Just(Wished::Ask),
            2 => (0..MAX_PATIENCE).prop_map(|patience| Wished::Discuss { patience }),
        ];
        let until = prop_oneof![Just(Until::Taken), Just(Until::Delivered), Just(Until::Settled)];
        prop_oneof![
            12 => (session(), wish).prop_map(|(session, wish)| Transition::Find { session, wish }),
            3 => session().prop_map(|session| Transition::Cancel { session }),
            3 => session().prop_map(|session| Transition::Leave { session }),
            1 => session().prop_map(|session| Transition::Ban { session }),
            5 => replica().prop_map(|replica| Transition::Acquire { replica }),
            10 => replica().prop_map(|replica| Transition::Read { replica }),
            3 => (0..3_000_u64).prop_map(|ms| Transition::Pass { ms }),
            10 => (replica(), any::<bool>()).prop_map(|(replica, heard)| Transition::Commit { replica, heard }),
            8 => (replica(), any::<bool>(), until)
                .prop_map(|(replica, again, until)| Transition::Dispatch { replica, again, until }),
            2 => replica().prop_map(|replica| Transition::Crash { replica }),
            1 => replica().prop_map(|replica| Transition::Compact { replica }),
            8 => (0..GATEWAYS).prop_map(|gateway| Transition::Hear { gateway }),
            1 => Just(Transition::LoseEverything),
        ]
        .boxed()
    }

    fn apply((): (), _: &Transition) {}
}

/// A replica of which every step is taken by hand.
#[derive(Default)]
struct Owner {
    own: Option<Own>,
}

/// What a replica has in memory while it believes to own the shard.
struct Own {
    epoch: Epoch,
    generation: String,
    round: Round,
    after: EntryId,
    /// A batch of which it is not known what became of it.
    unheard: Option<(Vec<Step>, Vec<Pairing>, Vec<EntryId>)>,
}

/// What a session's gateway knows of it.
#[derive(Default)]
struct Session {
    state: State,
    banned: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Waiting {
        ticket: v1::Ticket,
        entry: EntryId,
        generation: String,
    },
    /// It has taken its seat at this time; the chat runs when all have.
    Seated {
        ticket: v1::Ticket,
        chat: ChatId,
        at: u64,
    },
}

/// A chat, as the assignments tell of it.
#[derive(Default)]
struct Chat {
    tickets: BTreeSet<TicketId>,
    seats: usize,
    seated: BTreeSet<u8>,
    over: bool,
}

struct World<S> {
    runtime: Runtime,
    store: S,
    context: Context,
    shard: Shard,
    now: u64,
    /// When all that was committed had been delivered.
    delivered: u64,
    replicas: Vec<Owner>,
    sessions: Vec<Session>,
    /// Up to where each gateway has read, and of which generation.
    read: Vec<(EntryId, String)>,
    chats: BTreeMap<ChatId, Chat>,
    /// How often a ticket was put in.
    put_in: BTreeMap<TicketId, usize>,
    owners: BTreeMap<TicketId, u8>,
    /// Of the tickets that have one.
    colleges: BTreeMap<TicketId, College>,
}

/// A store, and how to make it lose everything.
trait Store: 'static {
    fn start(runtime: &Runtime, context: &Context) -> Self;
    fn pool(&self) -> &dyn Pool;
    fn lose_everything(&self);
}

impl Store for Memory {
    fn start(_: &Runtime, context: &Context) -> Self {
        Self::new(Limits::default(), context)
    }

    fn pool(&self) -> &dyn Pool {
        self
    }

    fn lose_everything(&self) {
        Self::lose_everything(self);
    }
}

/// A server that all cases share, each with a prefix of its own.
struct Server {
    server: Arc<RedisServer>,
    pool: Redis,
}

impl Store for Server {
    fn start(runtime: &Runtime, context: &Context) -> Self {
        let server = Arc::new(runtime.block_on(RedisServer::start()));
        let url = server.url().parse().expect("a URL");
        let pool = Redis::new(url, "model:".to_owned(), Limits::default(), context);
        Self { server, pool }
    }

    fn pool(&self) -> &dyn Pool {
        &self.pool
    }

    fn lose_everything(&self) {
        self.server.command(&["FLUSHALL"]);
    }
}

impl<S: Store> StateMachineTest for World<S> {
    type SystemUnderTest = Self;
    type Reference = AnySteps;

    fn init_test((): &()) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _entered = runtime.enter();
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let store = S::start(&runtime, &context);
        let generation = runtime.block_on(store.pool().generation()).expect("a generation");
        Self {
            shard: Shard::named("text.main.0").expect("a shard"),
            now: context.clock.unix_ms(),
            delivered: context.clock.unix_ms(),
            replicas: (0..REPLICAS).map(|_| Owner::default()).collect(),
            sessions: (0..SESSIONS).map(|_| Session::default()).collect(),
            read: (0..GATEWAYS).map(|_| (EntryId::default(), generation.clone())).collect(),
            chats: BTreeMap::new(),
            put_in: BTreeMap::new(),
            owners: BTreeMap::new(),
            colleges: BTreeMap::new(),
            context,
            store,
            runtime,
        }
    }

    fn apply(mut world: Self, (): &(), transition: Transition) -> Self {
        let runtime = std::mem::replace(&mut world.runtime, small_runtime());
        runtime.block_on(world.step(transition));
        world.runtime = runtime;
        world
    }

    fn check_invariants(world: &Self, (): &()) {
        for (id, chat) in &world.chats {
            // I2.
            for ticket in &chat.tickets {
                let chats = world.chats.values().filter(|chat| chat.tickets.contains(ticket)).count();
                let put_in = world.put_in[ticket];
                assert!(chats <= put_in, "I2: {ticket} was put in {put_in} times and is in {chats} chats");
            }
            // I5, and what else is hard.
            let pair: Vec<_> = chat.tickets.iter().map(|ticket| world.owners[ticket]).collect();
            let distinct: BTreeSet<_> = pair.iter().collect();
            assert_eq!(distinct.len(), pair.len(), "nobody meets themselves in {id}");
            for (one, other) in pair.iter().zip(pair.iter().skip(1)) {
                assert!(!blocks(*one, *other) && !blocks(*other, *one), "I5: {one} and {other} in {id}");
            }
            let mut colleges = chat.tickets.iter().map(|ticket| world.colleges.get(ticket));
            if let Some(first) = colleges.next() {
                assert!(colleges.all(|other| mix(first, other)), "colleges keep those of {id} apart");
            }
        }
        // I1: of those that run, no two have the same session.
        let running = world.chats.values().filter(|chat| chat.runs());
        let mut seated: Vec<_> = running.flat_map(|chat| chat.seated.iter().copied()).collect();
        let all = seated.len();
        seated.sort_unstable();
        seated.dedup();
        assert_eq!(seated.len(), all, "I1: somebody is in two chats");
    }

    fn teardown(mut world: Self, (): ()) {
        let runtime = std::mem::replace(&mut world.runtime, small_runtime());
        runtime.block_on(world.come_to_rest());
        Self::check_invariants(&world, &());
    }
}

prop_state_machine! {
    #![proptest_config(Config { cases: CASES, failure_persistence: None, ..Config::default() })]

    #[test]
    fn i1_i2_i4_i5_hold_in_memory_whatever_happens(sequential STEPS => World<Memory>);

    #[test]
    fn i1_i2_i4_i5_hold_in_redis_whatever_happens(sequential STEPS => World<Server>);
}

/// The first answer after a loss may still name the generation before, so that the gateway puts in again what is there.
#[test]
fn who_was_put_in_twice_and_paired_leaves_nothing_behind_for_the_next_owner() {
    let wish = Wished::Chat { interests: Vec::new(), patience: 0, only: false, college: None };
    let find = |session| Transition::Find { session, wish: wish.clone() };
    let mut world = World::<Server>::init_test(&());
    let steps = [
        Transition::LoseEverything,
        find(0),
        Transition::Acquire { replica: 0 },
        find(8),
        Transition::Read { replica: 0 },
        Transition::Hear { gateway: 0 },
        Transition::Commit { replica: 0, heard: true },
    ];
    for step in steps {
        world = World::apply(world, &(), step);
    }
    assert!(world.put_in.values().any(|times| *times == 2), "somebody is in twice");
    assert_eq!(world.chats.len(), 1, "they are paired");
    World::teardown(world, ());
}

// === steps ===

impl<S: Store> World<S> {
    async fn step(&mut self, transition: Transition) {
        match transition {
            Transition::Find { session, wish } => self.find(session, wish).await,
            Transition::Cancel { session } => self.cancel(session).await,
            Transition::Leave { session } => self.leave(session),
            Transition::Ban { session } => {
                self.cancel(session).await;
                self.leave(session);
                self.sessions[usize::from(session)].banned = true;
            }
            Transition::Acquire { replica } => self.acquire(replica).await,
            Transition::Read { replica } => self.read(replica).await,
            Transition::Pass { ms } => self.pass(ms).await,
            Transition::Commit { replica, heard } => self.commit(replica, heard).await,
            Transition::Dispatch { replica, again, until } => {
                // Only who believes to own the shard delivers.
                if self.replicas[replica].own.is_some() {
                    self.dispatch(again, until).await;
                }
            }
            Transition::Compact { replica } => {
                if let Some(own) = &mut self.replicas[replica].own {
                    own.round.compact(3);
                }
            }
            Transition::Crash { replica } => self.replicas[replica].own = None,
            Transition::Hear { gateway } => self.hear(gateway).await,
            Transition::LoseEverything => {
                self.store.lose_everything();
                // Entries get no ids that were there before: a store takes longer than its clock's tick to come back.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    async fn find(&mut self, session: u8, wish: Wished) {
        if self.sessions[usize::from(session)].banned || matches!(self.state(session), State::Seated { .. }) {
            return;
        }
        self.cancel(session).await;
        let mut ticket = v1::Ticket {
            mode: Mode::Text.into(),
            gateway: gateway_of(session),
            subject: Some(Subject { session: id_of(session).to_bytes(), ..Subject::default() }),
            languages: languages_of(session),
            since_unix_ms: self.now,
            aliases: vec![session.into()],
            blocked: (0..SESSIONS).filter(|other| blocks(session, *other)).map(u64::from).collect(),
            ..v1::Ticket::default()
        };
        match wish {
            Wished::Chat { interests, patience, only, college } => {
                if let Some((number, any)) = college {
                    (ticket.college, ticket.any_college) = (domain(number), any);
                }
                ticket.only_interests = only && !interests.is_empty();
                ticket.interests =
                    interests.into_iter().map(|interest| format!("interest {interest}")).collect();
                ticket.patience_ms = patience;
            }
            Wished::Ask => ticket.ask = "what is the matter?".to_owned(),
            Wished::Discuss { patience } => (ticket.discuss, ticket.patience_ms) = (true, patience),
        }
        self.put(session, ticket).await;
    }

    /// Puts a wish in as a new ticket.
    async fn put(&mut self, session: u8, ticket: v1::Ticket) {
        let id = TicketId::new(&self.context.random);
        self.owners.insert(id, session);
        let college = (0..COLLEGES).find(|college| domain(*college) == ticket.college);
        self.colleges.extend(college.map(|college| (id, (college, ticket.any_college))));
        self.put_again(session, v1::Ticket { id: id.to_bytes(), ..ticket }).await;
    }

    async fn put_again(&mut self, session: u8, ticket: v1::Ticket) {
        let id = TicketId::try_from(&ticket.id).expect("an id");
        *self.put_in.entry(id).or_default() += 1;
        let enqueued = self.store.pool().enqueue(&self.shard, &[ticket.encode_to_vec().into()]).await;
        let enqueued = enqueued.expect("put in").expect("it is open");
        let (entry, generation) = (enqueued.entries[0], enqueued.generation);
        self.sessions[usize::from(session)].state = State::Waiting { ticket, entry, generation };
    }

    async fn cancel(&mut self, session: u8) {
        if let State::Waiting { entry, ticket, .. } = self.state(session) {
            let (entry, ticket) = (*entry, TicketId::try_from(&ticket.id).expect("an id"));
            self.store.pool().cancel(&self.shard, entry, ticket).await.expect("an answer");
            self.sessions[usize::from(session)].state = State::Idle;
        }
    }

    fn leave(&mut self, session: u8) {
        if let State::Seated { chat, .. } = self.state(session) {
            let chat = *chat;
            self.end(chat);
            self.sessions[usize::from(session)].state = State::Idle;
        }
    }

    /// Everybody in it is free; and who had come for nothing waits again.
    fn end(&mut self, chat: ChatId) {
        let Some(known) = self.chats.get_mut(&chat) else { return };
        known.over = true;
        for session in std::mem::take(&mut known.seated) {
            self.sessions[usize::from(session)].state = State::Idle;
        }
    }

    async fn acquire(&mut self, replica: usize) {
        // Who believes to own it asks for nothing.
        if self.replicas[replica].own.is_some() {
            return;
        }
        let generation = self.store.pool().generation().await.expect("a generation");
        let end = Instant::now() + Duration::from_secs(5);
        let epoch = loop {
            match self
                .store
                .pool()
                .acquire(&self.shard, &format!("replica-{replica}"), LEASE)
                .await
                .expect("an answer")
            {
                Some(epoch) => break epoch,
                None => assert!(Instant::now() < end, "a lease is over at some time"),
            }
            tokio::task::yield_now().await;
        };
        let round = Round::new(self.shard.clone(), Arc::new(Questions::default()), Metrics::new());
        let own = Own { epoch, generation, round, after: EntryId::default(), unheard: None };
        self.replicas[replica].own = Some(own);
    }

    async fn read(&mut self, replica: usize) {
        let banned = self.banned();
        let Some(own) = &mut self.replicas[replica].own else { return };
        let entries =
            self.store.pool().read_tickets(&self.shard, own.after, Duration::ZERO).await.expect("entries");
        for entry in entries {
            own.after = entry.id;
            own.round.take_in(entry, self.now, |ticket| banned.contains(&ticket.session));
        }
    }

    /// Time passes for all, and who has taken a seat for too long alone goes.
    async fn pass(&mut self, ms: u64) {
        self.now += ms;
        // What is committed is delivered within seconds, by whoever is there.
        if self.now >= self.delivered + LONGEST_DELIVERY {
            while self.dispatch(true, Until::Settled).await > 0 {}
            while self.dispatch(false, Until::Settled).await > 0 {}
            self.delivered = self.now;
        }
        for replica in &mut self.replicas {
            if let Some(own) = &mut replica.own {
                own.round.on_time(self.now);
            }
        }
        let mut late = Vec::new();
        for session in 0..SESSIONS {
            if let State::Seated { chat, at, ticket } = self.state(session)
                && !self.chats[chat].runs()
                && at + ATTACH_TIMEOUT <= self.now
            {
                late.push((session, *chat, ticket.clone()));
            }
        }
        for (session, chat, ticket) in late {
            self.end(chat);
            self.put(session, ticket).await;
        }
    }

    async fn commit(&mut self, replica: usize, heard: bool) {
        let banned = self.banned();
        let is_banned = |ticket: &Ticket| banned.contains(&ticket.session);
        let Some(own) = &mut self.replicas[replica].own else { return };
        let batch = own.unheard.take().or_else(|| {
            own.round.drop_banned(self.now, is_banned);
            let batch = own.round.next_batch(512, self.now, is_banned)?;
            let pairings = batch.steps.iter().map(|step| match step {
                Step::Meet(met) => {
                    pairing::pairing(met, "http://relay:1", &Questions::default(), &self.context)
                }
                Step::Move(ticket) | Step::Stay(ticket) => pairing::moved(ticket, self.shard.clone()),
            });
            let pairings = pairings.collect();
            Some((batch.steps, pairings, batch.finished))
        });
        let Some((steps, pairings, finished)) = batch else { return };
        let pool = self.store.pool();
        if pool.last_known_generation().await.expect("a generation") != own.generation
            || pool.generation().await.expect("a generation") != own.generation
        {
            self.replicas[replica].own = None;
            return;
        }
        let outcomes = match pool.commit(&self.shard, own.epoch, &pairings, &finished).await {
            Ok(outcomes) => outcomes,
            Err(Error::Fenced) => {
                self.replicas[replica].own = None;
                return;
            }
            Err(error) => panic!("{error}"),
        };
        for ((step, outcome), pairing) in steps.iter().zip(&outcomes).zip(&pairings) {
            if let (Step::Meet(met), Outcome::Committed) = (step, outcome) {
                self.committed(met.tickets().map(|ticket| ticket.id).collect(), pairing);
            }
        }
        let Some(own) = &mut self.replicas[replica].own else { return };
        if !heard {
            own.unheard = Some((steps, pairings, finished));
            return;
        }
        for (step, outcome) in steps.into_iter().zip(&outcomes) {
            own.round.settle(step, outcome, self.now);
        }
    }

    /// A pairing is in the store, whoever knows of it.
    fn committed(&mut self, tickets: BTreeSet<TicketId>, pairing: &Pairing) {
        let told = Assignment::decode(pairing.deliveries[0].content.clone()).expect("an assignment");
        let id = ChatId::try_from(&told.chat).expect("an id");
        for ticket in &tickets {
            let session = self.owners[ticket];
            // A ban forgets the ticket, so an entry that is there in spite of it is a cancellation that is under way.
            assert!(!self.sessions[usize::from(session)].banned, "I5: {session} is banned");
        }
        let seats = tickets.len();
        let known = self.chats.insert(id, Chat { tickets, seats, ..Chat::default() });
        assert!(known.is_none(), "a chat is made once");
    }

    async fn dispatch(&mut self, again: bool, until: Until) -> usize {
        let pool = self.store.pool();
        let pairs: Vec<Pair> = if again {
            pool.claim_pairs(&self.shard, Duration::ZERO).await.expect("pairs")
        } else {
            // A store that lost everything has no group until somebody claims.
            pool.take_pairs(&self.shard, Duration::ZERO).await.unwrap_or_default()
        };
        if until >= Until::Delivered {
            pool.deliver(&self.shard, &pairs).await.expect("delivered");
        }
        if until >= Until::Settled {
            let ids: Vec<_> = pairs.iter().map(|pair| pair.id).collect();
            pool.settle(&self.shard, &ids).await.expect("settled");
        }
        pairs.len()
    }

    /// As a true gateway does: it takes a seat only for a ticket that it holds waiting, takes out what else there may be of that
    /// ticket, and puts in again what a store that lost everything has lost.
    async fn hear(&mut self, gateway: u8) {
        let generation = self.store.pool().generation().await.expect("a generation");
        let (after, known) = &mut self.read[usize::from(gateway)];
        if *known != generation {
            (*after, *known) = (EntryId::default(), generation.clone());
        }
        let letters = self
            .store
            .pool()
            .read_inbox(&gateway_name(gateway), *after, Duration::ZERO)
            .await
            .expect("letters");
        if let Some((last, _)) = letters.last() {
            *after = *last;
            self.store.pool().trim_inbox(&gateway_name(gateway), *last).await.expect("trimmed");
        }
        for (_, letter) in letters {
            self.judge(&Assignment::decode(letter).expect("an assignment")).await;
        }
        for session in (0..SESSIONS).filter(|session| gateway_of(*session) == gateway_name(gateway)) {
            if let State::Waiting { ticket, generation: put_into, .. } = self.state(session)
                && *put_into != generation
            {
                let ticket = ticket.clone();
                self.put_again(session, ticket).await;
            }
        }
    }

    async fn judge(&mut self, told: &Assignment) {
        let (ticket, chat) =
            (TicketId::try_from(&told.ticket).expect("an id"), ChatId::try_from(&told.chat).expect("an id"));
        let session = self.owners[&ticket];
        let holds = match self.state(session) {
            State::Waiting { ticket: held, .. } if held.id == told.ticket => Some(held.clone()),
            // It may be told again.
            State::Seated { chat: current, .. } if *current == chat => return,
            _ => None,
        };
        if holds.is_some() && self.put_in[&ticket] > 1 {
            self.cancel(session).await;
        }
        let known = self.chats.get_mut(&chat).expect("it was committed");
        let partner = known.tickets.iter().find(|other| **other != ticket);
        let partner = partner.and_then(|other| self.colleges.get(other));
        assert_eq!(told.partner_college, partner.map_or_else(String::new, |college| domain(college.0)));
        match holds {
            Some(held) if !known.over => {
                known.seated.insert(session);
                self.sessions[usize::from(session)].state =
                    State::Seated { ticket: held, chat, at: self.now };
            }
            Some(held) => self.put(session, held).await,
            None if !known.over && !known.runs() => self.decline(chat).await,
            None => {}
        }
    }

    /// One will not come: who has come waits again.
    async fn decline(&mut self, chat: ChatId) {
        let mut again = Vec::new();
        for session in 0..SESSIONS {
            if let State::Seated { chat: current, ticket, .. } = self.state(session)
                && *current == chat
            {
                again.push((session, ticket.clone()));
            }
        }
        self.end(chat);
        for (session, ticket) in again {
            self.put(session, ticket).await;
        }
    }

    // === rest ===

    async fn come_to_rest(&mut self) {
        for replica in &mut self.replicas {
            replica.own = None;
        }
        for _ in 0..12 {
            self.acquire(0).await;
            self.pass(MAX_PATIENCE).await;
            self.read(0).await;
            // Time for those who were read just now, too.
            self.pass(0).await;
            self.commit(0, true).await;
            while self.dispatch(true, Until::Settled).await > 0 {}
            while self.dispatch(false, Until::Settled).await > 0 {}
            for gateway in 0..GATEWAYS {
                self.hear(gateway).await;
            }
        }
        let waiting: Vec<Ticket> = (0..SESSIONS).filter_map(|session| self.waiting(session)).collect();
        for (nth, one) in waiting.iter().enumerate() {
            for other in &waiting[nth + 1..] {
                let willing = |ticket: &Ticket| ticket.meets_anybody_at().is_some_and(|at| at <= self.now);
                let agree = one.shares(other) || (willing(one) && willing(other));
                let chat = |ticket: &Ticket| matches!(ticket.wish, Wish::Chat | Wish::Discuss);
                let could = chat(one) && chat(other) && agree && forbidden(one, other).is_none();
                assert!(!could, "I4: {one:?} and {other:?} wait");
            }
        }
        self.check_store(&waiting).await;
    }

    /// What is in the store is the tickets of those who wait.
    async fn check_store(&self, waiting: &[Ticket]) {
        let pool = self.store.pool();
        let entries =
            pool.read_tickets(&self.shard, EntryId::default(), Duration::ZERO).await.expect("entries");
        let stored: BTreeSet<_> = entries
            .into_iter()
            .map(|entry| match entry.kind {
                EntryKind::Ticket(ticket) => v1::Ticket::decode(ticket).expect("a ticket").id,
                other => panic!("{other:?} is left"),
            })
            .collect();
        let held: BTreeSet<_> = waiting.iter().map(|ticket| ticket.id.to_bytes()).collect();
        assert_eq!(stored, held, "the store holds those who wait");
        for gateway in 0..GATEWAYS {
            let name = gateway_name(gateway);
            let letters = pool.read_inbox(&name, EntryId::default(), Duration::ZERO).await.expect("letters");
            assert_eq!(letters, [], "all news is read");
        }
    }

    fn waiting(&self, session: u8) -> Option<Ticket> {
        let State::Waiting { ticket, entry, .. } = self.state(session) else { return None };
        Some(Ticket::parse(*entry, ticket.clone()).expect("a good ticket"))
    }

    fn state(&self, session: u8) -> &State {
        &self.sessions[usize::from(session)].state
    }

    fn banned(&self) -> BTreeSet<SessionId> {
        (0..SESSIONS).filter(|session| self.sessions[usize::from(*session)].banned).map(id_of).collect()
    }
}

impl Chat {
    fn runs(&self) -> bool {
        !self.over && self.seated.len() == self.seats
    }
}

/// To have one while the world's own is in use.
fn small_runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// What `redis.rs` of the tests stands on.
async fn until<T>(within: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn id_of(session: u8) -> SessionId {
    SessionId([session; 16])
}

fn gateway_name(gateway: u8) -> String {
    format!("gateway-{gateway}")
}

fn gateway_of(session: u8) -> String {
    gateway_name(session % GATEWAYS)
}

fn languages_of(session: u8) -> Vec<String> {
    let spoken: &[&str] = [&["en"][..], &[], &["de"], &["en", "de"]][usize::from(session % 4)];
    spoken.iter().map(|&language| language.to_owned()).collect()
}

fn domain(college: u8) -> String {
    format!("college-{college}.edu")
}

/// Whether those of these colleges may meet.
fn mix(one: Option<&College>, other: Option<&College>) -> bool {
    one == other || one.zip(other).is_some_and(|(one, other)| one.0 == other.0 || (one.1 && other.1))
}

/// Every fourth has blocked the next.
fn blocks(one: u8, other: u8) -> bool {
    one.is_multiple_of(4) && other == one + 1
}
