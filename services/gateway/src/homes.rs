//! Asks matchmakers for the homes of chats: many at once, since a relay that is lost takes many chats along.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chassis::{
    grpc,
    id::{ChatId, Epoch},
};
use parking_lot::Mutex;
use stroll_proto::v1::{
    ChooseHomesRequest, Home, HomeAnswer, HomeQuestion, NoHomeReason, home_answer::Outcome,
};
use tokio::sync::Notify;
use tracing::debug;

use crate::{
    hub::Hub,
    metrics::Depth,
    session::{Departure, Found},
    slot::Slot,
};

/// How many calls may be under way: one that hangs must not hold the others up.
const WORKERS: usize = 4;
/// Most questions of one call.
const MAX_BATCH: usize = 256;
/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// A question, and whose it is.
pub struct Question {
    /// Who gets the answer.
    pub slot: Arc<Slot>,
    /// Why it is asked.
    pub cause: Cause,
}

/// Why a chat's home is asked for.
pub enum Cause {
    /// A session goes on there.
    Seat {
        /// The chat.
        chat: ChatId,
        /// A token of the seat.
        seat_token: bytes::Bytes,
        /// The relay in place of which another is needed; empty: none.
        lost_relay: String,
        /// The relay that has the seat; empty: none.
        held_at: String,
    },
    /// A session leaves there.
    Departure(Box<Departure>),
}

/// Questions that are to be asked, first come, first served. Bounded by the sessions, of which each asks for one chat at a time, and has
/// left one.
pub struct Homes {
    waiting: Mutex<VecDeque<Question>>,
    wake: Notify,
    depth: Depth,
}

impl Homes {
    /// None yet. What waits is counted in `depth`.
    #[must_use]
    pub fn new(depth: Depth) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), depth }
    }

    /// One more.
    pub fn ask(&self, question: Question) {
        self.waiting.lock().push_back(question);
        self.depth.add(1);
        self.wake.notify_one();
    }

    async fn take(&self) -> Vec<Question> {
        loop {
            let batch: Vec<_> = {
                let mut waiting = self.waiting.lock();
                let count = waiting.len().min(MAX_BATCH);
                waiting.drain(..count).collect()
            };
            if !batch.is_empty() {
                self.depth.sub(batch.len());
                // There may be more than one can take.
                self.wake.notify_one();
                return batch;
            }
            self.wake.notified().await;
        }
    }
}

/// Starts those who ask.
pub fn start_workers(hub: &Arc<Hub>) {
    for _ in 0..WORKERS {
        let worker = Arc::clone(hub);
        hub.context.tasks.spawn("homes", async move {
            let hard = worker.context.drain.hard();
            tokio::select! {
                () = work(&worker) => {}
                () = hard => {}
            }
        });
    }
}

async fn work(hub: &Arc<Hub>) {
    loop {
        let batch = hub.homes().take().await;
        let questions = batch.iter().map(|question| question.cause.message()).collect();
        let request = ChooseHomesRequest { questions, zone: hub.config.zone.clone() };
        let answered = hub.tickets().matchmaker().choose_homes(grpc::request(request, DEADLINE)).await;
        let answers = answered.map(|answered| answered.into_inner().answers).unwrap_or_else(|status| {
            debug!(code = ?status.code(), cause = status.message(), "no matchmaker tells where chats are");
            Vec::new()
        });
        let mut answers = answers.into_iter();
        for Question { slot, cause } in batch {
            let answer = answers.next().and_then(|HomeAnswer { outcome }| outcome);
            hub.metrics.home(outcome_name(answer.as_ref()));
            match cause {
                Cause::Seat { chat, .. } => {
                    hub.tell(&slot, |session, env| session.on_home(chat, found(answer), env));
                }
                Cause::Departure(departure) => hub.depart(&slot, &elsewhere(*departure, answer)),
            }
        }
    }
}

impl Cause {
    fn message(&self) -> HomeQuestion {
        match self {
            Self::Seat { seat_token, lost_relay, held_at, .. } => HomeQuestion {
                seat_token: seat_token.clone(),
                lost_relay: lost_relay.clone(),
                held_at: held_at.clone(),
            },
            Self::Departure(departure) => HomeQuestion {
                seat_token: departure.seat_token.clone(),
                lost_relay: departure.relay.clone(),
                held_at: String::new(),
            },
        }
    }
}

fn found(answer: Option<Outcome>) -> Found {
    match answer {
        Some(Outcome::Home(Home { epoch, relay, seat_token })) => {
            Found::Home { epoch: Epoch(epoch), relay, seat_token }
        }
        Some(Outcome::None(reason)) => match NoHomeReason::try_from(reason) {
            Ok(NoHomeReason::NotMoved) => Found::Nothing,
            Ok(NoHomeReason::BadToken) => Found::BadToken,
            Ok(NoHomeReason::NoRelay | NoHomeReason::Unspecified) | Err(_) => Found::Unanswered,
        },
        None => Found::Unanswered,
    }
}

/// Where nothing better is known, who leaves tries where the chat was.
fn elsewhere(departure: Departure, answer: Option<Outcome>) -> Departure {
    match answer {
        Some(Outcome::Home(Home { relay, seat_token, .. })) => Departure { relay, seat_token, ..departure },
        _ => departure,
    }
}

fn outcome_name(answer: Option<&Outcome>) -> &'static str {
    match answer {
        Some(Outcome::Home(_)) => "moved",
        Some(Outcome::None(reason)) => match NoHomeReason::try_from(*reason) {
            Ok(NoHomeReason::NotMoved) => "not_moved",
            Ok(NoHomeReason::NoRelay) => "no_relay",
            Ok(NoHomeReason::BadToken | NoHomeReason::Unspecified) | Err(_) => "bad_token",
        },
        None => "failed",
    }
}
