//! Strangers who wait, and the judgement that their gateways have (I1): an assignment is taken for a ticket that is held
//! waiting, and declined for every other. Whoever is left alone in a chat by that is put in again, as the relay would tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chassis::{Context, grpc};
use stroll_proto::v1::{EnqueueRequest, Mode, Ticket};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{Gateway, ticket};

/// How long a call may take, and when it is tried again.
const DEADLINE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(100);

/// Whether the store may lose what it had confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Losses {
    /// No: then nobody is paired twice who was put in once (I2).
    None,
    /// Yes: a replica that took over may not have heard of a pairing. Then only the gateways' judgement keeps everybody in
    /// one chat.
    Possible,
}

/// Strangers at two gateways.
pub(crate) struct Crowd {
    context: Context,
    gateways: [Gateway; 2],
    /// Generations that each was told of, and that are over.
    past: [BTreeSet<String>; 2],
    strangers: BTreeMap<Bytes, Stranger>,
    /// Who is in which chat.
    chats: BTreeMap<Bytes, Chat>,
    declined: usize,
    put_in: (mpsc::UnboundedSender<PutIn>, mpsc::UnboundedReceiver<PutIn>),
}

/// A ticket that is in the pool, and the generation that took it.
type PutIn = (Bytes, String);

struct Stranger {
    ticket: Ticket,
    at: usize,
    state: Arc<State>,
    generation: Option<String>,
    told: BTreeSet<Bytes>,
}

/// What a stranger shares with the calls that put the ticket in.
#[derive(Default)]
struct State {
    held: AtomicBool,
    /// Calls that put it in, or may have.
    calls: AtomicUsize,
}

#[derive(Default)]
struct Chat {
    seated: BTreeSet<Bytes>,
    /// Somebody declined it.
    over: bool,
}

impl Crowd {
    /// Two gateways, each with a watch at one of these matchmakers.
    pub(crate) async fn start(context: &Context, matchmakers: [SocketAddr; 2]) -> Self {
        let [one, two] = matchmakers;
        let one = Gateway::watch_at(context, one, "gateway-1", "").await;
        let two = Gateway::watch_at(context, two, "gateway-2", "").await;
        Self {
            context: context.clone(),
            gateways: [one, two],
            past: Default::default(),
            strangers: BTreeMap::new(),
            chats: BTreeMap::new(),
            declined: 0,
            put_in: mpsc::unbounded_channel(),
        }
    }

    /// So many more strangers begin to wait, who take anybody.
    pub(crate) fn arrive(&mut self, mode: Mode, strangers: usize) {
        for number in 0..strangers {
            let at = number % 2;
            let ticket = Ticket { mode: mode.into(), ..ticket(&self.context, &self.gateways[at].name) };
            let id = ticket.id.clone();
            let (state, generation, told) = Default::default();
            self.strangers.insert(id.clone(), Stranger { ticket, at, state, generation, told });
            self.put_in(&id);
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.strangers.values().filter(|stranger| stranger.is_held()).count()
    }

    /// The generations that the gateways were told last.
    pub(crate) fn generations(&self) -> [String; 2] {
        self.gateways.each_ref().map(|gateway| gateway.generation.clone())
    }

    /// Goes on until both gateways were told of another generation than before.
    pub(crate) async fn hear_of_another_generation(&mut self, before: &[String; 2], within: Duration) {
        let another = async {
            while self.generations().iter().zip(before).any(|(now, before)| now == before) {
                self.step().await;
            }
        };
        timeout(within, another).await.expect("they are told of another generation in time");
    }

    /// Goes on until `event` is over.
    pub(crate) async fn meanwhile<T>(&mut self, event: impl Future<Output = T>) -> T {
        let mut event = std::pin::pin!(event);
        loop {
            tokio::select! {
                biased;
                over = &mut event => return over,
                () = self.step() => {}
            }
        }
    }

    /// Goes on until only so many wait and nobody is alone; panics after `within`.
    pub(crate) async fn settle(&mut self, still_waiting: usize, within: Duration) {
        let end = Instant::now() + within;
        while self.waiting() != still_waiting || self.alone() > 0 {
            tokio::select! {
                biased;
                () = self.step() => {}
                () = sleep_until(end) => panic!("not within {within:?}: {}", self.tell()),
            }
        }
    }

    /// Checks that everybody but those who wait is in one chat with one other (I1), and that whoever was put in once was
    /// paired once (I2), if the store lost nothing.
    pub(crate) fn check(&self, losses: Losses) {
        let mut seated = BTreeSet::new();
        for chat in self.chats.values().filter(|chat| !chat.over) {
            assert_eq!(chat.seated.len(), 2, "a chat has two seats");
            for ticket in &chat.seated {
                assert!(seated.insert(ticket), "somebody is in two chats");
                assert!(!self.strangers[ticket].is_held(), "who is in a chat doesn't wait");
            }
        }
        assert_eq!(seated.len() + self.waiting(), self.strangers.len(), "nobody is lost");
        for stranger in self.strangers.values().filter(|_| losses == Losses::None) {
            let (calls, told) = (stranger.state.calls.load(Ordering::Relaxed), stranger.told.len());
            assert!(told <= calls, "a ticket that was put in {calls} times was paired {told} times");
        }
    }

    /// How many are in a chat into which the other one hasn't come.
    fn alone(&self) -> usize {
        self.chats.values().filter(|chat| !chat.over && chat.seated.len() == 1).count()
    }

    /// How it is with all, and with some of those who wait.
    fn tell(&self) -> String {
        let (all, waiting, alone, declined) =
            (self.strangers.len(), self.waiting(), self.alone(), self.declined);
        let mut told =
            format!("of {all} strangers {waiting} wait, {alone} are alone, {declined} were declined");
        for stranger in self.strangers.values().filter(|stranger| stranger.is_held()).take(10) {
            let Stranger { ticket, at, state, generation, told: chats } = stranger;
            let (mode, calls, gateway) =
                (ticket.mode(), state.calls.load(Ordering::Relaxed), &self.gateways[*at]);
            told += &format!(
                "\n{mode:?} {:02x?}: put in by {calls} calls in {generation:?}, while {} is told {}; paired {} times",
                &ticket.id[..4],
                gateway.name,
                gateway.generation,
                chats.len()
            );
        }
        told
    }

    /// Hears one thing. May be given up at any time.
    async fn step(&mut self) {
        let before = self.generations();
        let [one, two] = &mut self.gateways;
        let heard = tokio::select! {
            heard = one.hear() => Some((0, heard)),
            heard = two.hear() => Some((1, heard)),
            Some((ticket, generation)) = self.put_in.1.recv() => {
                self.is_in(&ticket, generation);
                None
            }
        };
        let Some((at, heard)) = heard else { return };
        heard.expect("a watch goes on, whatever happens to the store");
        let mut last = None;
        for delivery in self.gateways[at].take_unread() {
            let assignment = delivery.assignment.expect("an assignment");
            self.assign(assignment.ticket, assignment.chat);
            last = Some(delivery.id);
        }
        if self.gateways[at].generation != before[at] {
            self.hear_of_generation(at, &before[at]);
        }
        // At the end, because it may be given up while it waits.
        if let Some(last) = last {
            self.gateways[at].acknowledge(&last).await;
        }
    }

    /// What waits at a gateway is put in again, but what the new generation took already.
    fn hear_of_generation(&mut self, at: usize, before: &str) {
        let generation = &self.gateways[at].generation;
        self.past[at].remove(generation);
        self.past[at].insert(before.to_owned());
        let held = self.strangers.iter().filter(|(_, stranger)| stranger.at == at && stranger.is_held());
        let lost = held.filter(|(_, held)| held.generation.as_ref().is_some_and(|held| held != generation));
        let lost: Vec<_> = lost.map(|(ticket, _)| ticket.clone()).collect();
        lost.iter().for_each(|ticket| self.put_in(ticket));
    }

    /// A ticket is in the pool. The generation that took it may be over by now.
    fn is_in(&mut self, ticket: &Bytes, generation: String) {
        let stranger = self.strangers.get_mut(ticket).expect("one of the crowd");
        let over = self.past[stranger.at].contains(&generation);
        stranger.generation = Some(generation);
        if over && stranger.is_held() {
            self.put_in(ticket);
        }
    }

    /// What the gateway does with an assignment.
    fn assign(&mut self, ticket: Bytes, id: Bytes) {
        let stranger = self.strangers.get_mut(&ticket).expect("one of the crowd");
        if !stranger.told.insert(id.clone()) {
            return;
        }
        let chat = self.chats.entry(id).or_default();
        if !stranger.is_held() {
            self.declined += 1;
            chat.over = true;
        } else if !chat.over {
            stranger.state.held.store(false, Ordering::Relaxed);
            chat.seated.insert(ticket);
            return;
        }
        // Who comes into a chat that is over, or is in it, waits again.
        let mut left = std::mem::take(&mut chat.seated);
        if self.strangers[&ticket].is_held() {
            left.insert(ticket);
        }
        left.iter().for_each(|ticket| self.put_in(ticket));
    }

    /// Puts a ticket in, trying while it is held.
    fn put_in(&mut self, id: &Bytes) {
        let stranger = self.strangers.get_mut(id).expect("one of the crowd");
        stranger.generation = None;
        stranger.state.held.store(true, Ordering::Relaxed);
        let (state, ticket) = (Arc::clone(&stranger.state), stranger.ticket.clone());
        let (mut client, done) = (self.gateways[stranger.at].client(), self.put_in.0.clone());
        self.context.tasks.spawn("put in", async move {
            while state.held.load(Ordering::Relaxed) {
                let request = EnqueueRequest { tickets: vec![ticket.clone()] };
                state.calls.fetch_add(1, Ordering::Relaxed);
                match client.enqueue(grpc::request(request, DEADLINE)).await {
                    // It fails only when the test is over.
                    Ok(answer) => return drop(done.send((ticket.id, answer.into_inner().generation))),
                    Err(_) => sleep(AGAIN).await,
                }
            }
        });
    }
}

impl Stranger {
    fn is_held(&self) -> bool {
        self.state.held.load(Ordering::Relaxed)
    }
}
