//! The waiting pool's store: the model in memory, on a machine of its own that matchmakers reach over a network that fails.
//!
//! It outlives matchmakers, as a Redis does. A call that fails may have had its effect: the answer is lost as often as the
//! question.

use std::{future::Future, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use chassis::{
    Context, Random, Tasks,
    id::{ChatId, Epoch, TicketId},
};
use matchmaker::{
    Error, Matching,
    pool::{Enqueued, Entry, EntryId, Home, Letter, Memory, Outcome, Pair, Pairing, Pool, Shard},
};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot, watch,
};

type Result<T> = std::result::Result<T, Error>;
type Job = Box<dyn FnOnce(&Tasks, Arc<Memory>) + Send>;

/// How long a call that hears nothing waits, beyond what it was told to wait for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a question or an answer takes.
const WAY: Range<Duration> = Duration::ZERO..Duration::from_millis(3);

/// How the way to the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// As it should be.
    #[default]
    Open,
    /// Nobody is there.
    Refused,
    /// Nothing comes through.
    Silent,
    /// One in this many questions is lost, and one in as many answers.
    Lossy(u64),
}

/// What happens to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It is empty.
    LosesEverything,
}

/// The machine's end: what it is asked.
pub struct Inside {
    jobs: UnboundedReceiver<Job>,
    blows: UnboundedReceiver<Blow>,
}

/// The simulation's end: what happens to it.
pub struct Outside {
    jobs: UnboundedSender<Job>,
    blows: UnboundedSender<Blow>,
    ways: Vec<watch::Sender<Way>>,
}

/// A store for this many matchmakers.
pub fn store(matchmakers: usize) -> (Inside, Outside) {
    let ((jobs, asked), (blows, struck)) = (unbounded_channel(), unbounded_channel());
    let ways = (0..matchmakers).map(|_| watch::channel(Way::Open).0).collect();
    (Inside { jobs: asked, blows: struck }, Outside { jobs, blows, ways })
}

impl Inside {
    /// Answers for ever.
    pub async fn serve(mut self, context: Context) {
        let memory = Arc::new(Memory::new(Matching::default().limits(), &context));
        loop {
            tokio::select! {
                biased;
                Some(Blow::LosesEverything) = self.blows.recv() => memory.lose_everything(),
                Some(job) = self.jobs.recv() => job(&context.tasks, Arc::clone(&memory)),
                else => return,
            }
        }
    }
}

impl Outside {
    /// The pool as a matchmaker sees it.
    pub fn pool(&self, matchmaker: usize, random: Random) -> Arc<dyn Pool> {
        Arc::new(Reached { jobs: self.jobs.clone(), way: self.ways[matchmaker].subscribe(), random })
    }

    /// The way of one matchmaker to it is another.
    pub fn set_way(&self, matchmaker: usize, way: Way) {
        self.ways[matchmaker].send_replace(way);
    }

    /// Something happens to it.
    pub fn strike(&self, blow: Blow) {
        let _ = self.blows.send(blow);
    }
}

/// The store, seen from a matchmaker.
struct Reached {
    jobs: UnboundedSender<Job>,
    way: watch::Receiver<Way>,
    random: Random,
}

fn away<T>(why: &str) -> Result<T> {
    Err(Error::Away(why.to_owned()))
}

impl Reached {
    /// Has `work` done where the store is.
    async fn ask<T, F>(
        &self,
        wait: Duration,
        work: impl FnOnce(Arc<Memory>) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.pass().await?;
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tasks, memory| {
            tasks.spawn("store", async move {
                let _ = answer.send(work(memory).await);
            });
        });
        if self.jobs.send(job).is_err() {
            return away("the store has stopped");
        }
        let mut way = self.way.clone();
        let broken = async {
            // It only ends with the simulation.
            let _ = way.wait_for(|way| matches!(way, Way::Refused | Way::Silent)).await;
        };
        let answered = tokio::time::timeout(wait + PATIENCE, answered);
        let answer = tokio::select! {
            biased;
            () = broken => None,
            answer = answered => answer.ok().and_then(std::result::Result::ok),
        };
        self.pass().await?;
        answer.unwrap_or_else(|| away("no answer"))
    }

    /// From here to there, or back.
    async fn pass(&self) -> Result<()> {
        tokio::time::sleep(self.random.duration(WAY)).await;
        let way = *self.way.borrow();
        match way {
            Way::Open => Ok(()),
            Way::Lossy(of) if self.random.below(of) > 0 => Ok(()),
            Way::Refused => away("refused"),
            Way::Silent | Way::Lossy(_) => {
                tokio::time::sleep(PATIENCE).await;
                away("nothing was heard")
            }
        }
    }
}

/// A method of the store that is asked for over the network.
macro_rules! asks {
    ($self:ident, $wait:expr, |$memory:ident| $call:expr) => {
        $self.ask($wait, move |$memory| async move { $call.await }).await
    };
}

const NOT: Duration = Duration::ZERO;

#[async_trait]
impl Pool for Reached {
    fn name(&self) -> &'static str {
        "store"
    }

    async fn check(&self) -> Result<()> {
        asks!(self, NOT, |memory| memory.check())
    }

    async fn generation(&self) -> Result<String> {
        asks!(self, NOT, |memory| memory.generation())
    }

    async fn last_known_generation(&self) -> Result<String> {
        asks!(self, NOT, |memory| memory.last_known_generation())
    }

    async fn enqueue(&self, shard: &Shard, tickets: &[Bytes]) -> Result<Option<Enqueued>> {
        let (shard, tickets) = (shard.clone(), tickets.to_vec());
        asks!(self, NOT, |memory| memory.enqueue(&shard, &tickets))
    }

    async fn cancel(&self, shard: &Shard, entry: EntryId, ticket: TicketId) -> Result<bool> {
        let shard = shard.clone();
        asks!(self, NOT, |memory| memory.cancel(&shard, entry, ticket))
    }

    async fn acquire(&self, shard: &Shard, owner: &str, lease: Duration) -> Result<Option<Epoch>> {
        let (shard, owner) = (shard.clone(), owner.to_owned());
        asks!(self, NOT, |memory| memory.acquire(&shard, &owner, lease))
    }

    async fn renew(&self, shard: &Shard, owner: &str, epoch: Epoch, lease: Duration) -> Result<()> {
        let (shard, owner) = (shard.clone(), owner.to_owned());
        asks!(self, NOT, |memory| memory.renew(&shard, &owner, epoch, lease))
    }

    async fn release(&self, shard: &Shard, epoch: Epoch) -> Result<()> {
        let shard = shard.clone();
        asks!(self, NOT, |memory| memory.release(&shard, epoch))
    }

    async fn owner(&self, shard: &Shard) -> Result<Option<String>> {
        let shard = shard.clone();
        asks!(self, NOT, |memory| memory.owner(&shard))
    }

    async fn close(&self, shard: &Shard, epoch: Epoch) -> Result<bool> {
        let shard = shard.clone();
        asks!(self, NOT, |memory| memory.close(&shard, epoch))
    }

    async fn shards(&self, first: &Shard, wanted: u32) -> Result<u32> {
        let first = first.clone();
        asks!(self, NOT, |memory| memory.shards(&first, wanted))
    }

    async fn shard_closed(&self, shard: &Shard) -> Result<()> {
        let shard = shard.clone();
        asks!(self, NOT, |memory| memory.shard_closed(&shard))
    }

    async fn read_tickets(&self, shard: &Shard, after: EntryId, wait: Duration) -> Result<Vec<Entry>> {
        let shard = shard.clone();
        asks!(self, wait, |memory| memory.read_tickets(&shard, after, wait))
    }

    async fn memory(&self, shard: &Shard) -> Result<Option<(usize, usize)>> {
        let shard = shard.clone();
        asks!(self, NOT, |memory| memory.memory(&shard))
    }

    async fn commit(
        &self,
        shard: &Shard,
        epoch: Epoch,
        pairings: &[Pairing],
        finished: &[EntryId],
    ) -> Result<Vec<Outcome>> {
        let (shard, pairings, finished) = (shard.clone(), pairings.to_vec(), finished.to_vec());
        asks!(self, NOT, |memory| memory.commit(&shard, epoch, &pairings, &finished))
    }

    async fn take_pairs(&self, shard: &Shard, wait: Duration) -> Result<Vec<Pair>> {
        let shard = shard.clone();
        asks!(self, wait, |memory| memory.take_pairs(&shard, wait))
    }

    async fn claim_pairs(&self, shard: &Shard, idle: Duration) -> Result<Vec<Pair>> {
        let shard = shard.clone();
        asks!(self, NOT, |memory| memory.claim_pairs(&shard, idle))
    }

    async fn deliver(&self, shard: &Shard, pairs: &[Pair]) -> Result<()> {
        let (shard, pairs) = (shard.clone(), pairs.to_vec());
        asks!(self, NOT, |memory| memory.deliver(&shard, &pairs))
    }

    async fn settle(&self, shard: &Shard, pairs: &[EntryId]) -> Result<()> {
        let (shard, pairs) = (shard.clone(), pairs.to_vec());
        asks!(self, NOT, |memory| memory.settle(&shard, &pairs))
    }

    async fn read_inbox(&self, gateway: &str, after: EntryId, wait: Duration) -> Result<Vec<Letter>> {
        let gateway = gateway.to_owned();
        asks!(self, wait, |memory| memory.read_inbox(&gateway, after, wait))
    }

    async fn trim_inbox(&self, gateway: &str, up_to: EntryId) -> Result<()> {
        let gateway = gateway.to_owned();
        asks!(self, NOT, |memory| memory.trim_inbox(&gateway, up_to))
    }

    async fn keep_inbox(&self, gateway: &str) -> Result<()> {
        let gateway = gateway.to_owned();
        asks!(self, NOT, |memory| memory.keep_inbox(&gateway))
    }

    async fn heartbeat(&self, member: Bytes) -> Result<EntryId> {
        asks!(self, NOT, |memory| memory.heartbeat(member))
    }

    async fn read_members(&self, after: EntryId, wait: Duration) -> Result<Vec<Letter>> {
        asks!(self, wait, |memory| memory.read_members(after, wait))
    }

    async fn choose_home(&self, chat: ChatId, epoch: Epoch, relay: &str) -> Result<Home> {
        let relay = relay.to_owned();
        asks!(self, NOT, |memory| memory.choose_home(chat, epoch, &relay))
    }

    async fn home(&self, chat: ChatId) -> Result<Option<Home>> {
        asks!(self, NOT, |memory| memory.home(chat))
    }
}
