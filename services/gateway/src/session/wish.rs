//! A wish from `find` to the seat: what the pool answers, and what time brings.

use chassis::id::{Alias, TicketId};

use super::{Attaching, Effect, Env, Home, MAX_NO_SHOWS, Pairing, Session, State, Waiting, refuse};
use crate::protocol::{Aim, Code, Find, Refusal, ServerFrame};

/// A wish that is in, or on its way into, the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// New with each try.
    pub ticket: TicketId,
    /// What is wished for.
    pub find: Find,
    /// When the wait began: the ticket's place.
    pub since_unix_ms: u64,
    /// What the client knows of it. Once it knows, only a lasting failure may end the wish.
    pub told: Told,
    /// How long to wait before it goes in, in milliseconds: more with each stranger who did not show up, so that a relay that
    /// can't be reached is not tried at full speed.
    pub after_ms: u64,
    /// Whom it met lately.
    pub met_lately: Vec<Alias>,
    /// Whom it never wants to meet again.
    pub blocked: Vec<Alias>,
}

/// What the client was told of its wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing yet.
    Nothing,
    /// That it waits.
    Waits,
    /// That it meets anybody by now.
    Widened,
}

/// Where a ticket lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The shard.
    pub shard: String,
    /// The stream entry.
    pub entry: String,
    /// The store's generation that holds it.
    pub generation: String,
}

/// A ticket is in the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueued {
    /// Where.
    pub place: Place,
    /// How long such tickets have waited lately, in milliseconds, where it is known.
    pub estimate_ms: Option<u64>,
    /// The same for those who meet anybody.
    pub anybody_estimate_ms: Option<u64>,
    /// An earlier try, which was not heard of, may have put it in as well.
    pub twice: bool,
}

impl Session {
    /// Puts a wish into the pool under a new ticket.
    pub(super) fn wait(
        &mut self,
        find: Find,
        since_unix_ms: u64,
        told: Told,
        no_shows: u32,
        env: &Env<'_>,
    ) -> Effect {
        let wanted = Wanted {
            ticket: TicketId::new(env.random),
            find,
            since_unix_ms,
            told,
            after_ms: pause_ms(no_shows),
            met_lately: self.memory.met_lately(env.now_ms).map(|met| met.stranger).collect(),
            blocked: self.memory.blocked().collect(),
        };
        let waiting = Waiting {
            wanted: wanted.clone(),
            place: None,
            old_place: None,
            twice: false,
            no_shows,
            anybody_estimate_ms: None,
        };
        self.state = State::Waiting(Box::new(waiting));
        Effect::Enqueue(Box::new(wanted))
    }

    /// The pool took the ticket, or did not.
    pub fn on_enqueued(&mut self, ticket: TicketId, outcome: Result<Enqueued, Refusal>) -> Vec<Effect> {
        let waiting = match &mut self.state {
            State::Waiting(waiting) if waiting.wanted.ticket == ticket => waiting,
            State::Attaching(attaching) if attaching.pairing.ticket == ticket => {
                return overtaken(ticket, outcome);
            }
            State::Chatting(chatting) if chatting.pairing.ticket == ticket => {
                return overtaken(ticket, outcome);
            }
            _ => return take_back(ticket, outcome),
        };
        match outcome {
            Ok(Enqueued { place, estimate_ms, anybody_estimate_ms, twice }) => {
                waiting.place = Some(place);
                waiting.twice |= twice;
                waiting.anybody_estimate_ms = anybody_estimate_ms;
                waiting.tell(estimate_ms)
            }
            Err(refusal) => {
                let told = waiting.wanted.told;
                self.give_up(ticket, told, refusal)
            }
        }
    }

    /// A ticket was paired.
    pub fn on_assignment(&mut self, pairing: Pairing, env: &Env<'_>) -> Vec<Effect> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Waiting(mut waiting) if waiting.wanted.ticket == pairing.ticket => {
                // The news may overtake the answer that the ticket is in the pool.
                let mut effects = waiting.tell(None);
                let Waiting { wanted, place, old_place, twice, no_shows, .. } = *waiting;
                if twice {
                    // Where the owner changed in between, the other entry is still there and would wait for nobody.
                    effects.push(Effect::Forget(wanted.ticket, place.or(old_place)));
                }
                effects.push(Effect::Attach(Box::new(pairing.clone())));
                let (home, asked_ms) = (Home::taking(env), env.now_ms);
                self.state =
                    State::Attaching(Box::new(Attaching { wanted, no_shows, pairing, home, asked_ms }));
                effects
            }
            other => {
                let known = match &other {
                    State::Attaching(attaching) => attaching.pairing.chat == pairing.chat,
                    State::Chatting(chatting) => chatting.pairing.chat == pairing.chat,
                    _ => false,
                };
                self.state = other;
                if known { Vec::new() } else { vec![Effect::Decline(Box::new(pairing))] }
            }
        }
    }

    /// The generation that the ticket was put into is lost: put it in again. Keeps its id, since it is the same ticket.
    pub fn on_generation(&mut self, is_lost: impl FnOnce(&str) -> bool) -> Vec<Effect> {
        match &mut self.state {
            State::Waiting(waiting)
                if waiting.place.as_ref().is_some_and(|place| is_lost(&place.generation)) =>
            {
                // The old one may still be there, and is taken out with the new one.
                waiting.old_place = waiting.place.take();
                waiting.twice = true;
                vec![Effect::Enqueue(Box::new(waiting.wanted.clone()))]
            }
            _ => Vec::new(),
        }
    }

    /// The pool may have dropped the ticket: put it in again. If it is still there, the pool keeps only one of the two.
    pub fn on_forgotten(&mut self) -> Vec<Effect> {
        self.on_generation(|_| true)
    }

    /// Time passed while waiting. The client is told once that the search widened; and a wish to meet the same stranger
    /// again ends at its time, whatever the other one wished.
    pub(super) fn while_waiting(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let State::Waiting(waiting) = &mut self.state else { return Vec::new() };
        if waiting.deadline_ms().is_none_or(|deadline| env.now_ms < deadline) {
            return Vec::new();
        }
        if matches!(waiting.wanted.find.aim, Aim::Again { .. }) {
            let mut effects = self.stop_waiting();
            effects.push(Effect::Send(ServerFrame::Idle));
            return effects;
        }
        waiting.wanted.told = Told::Widened;
        vec![waiting.frame(waiting.anybody_estimate_ms)]
    }

    /// The others did not come. The wish goes back into the pool with its old place, and the client notices nothing.
    pub(super) fn put_back(&mut self, env: &Env<'_>) -> Vec<Effect> {
        let State::Attaching(attaching) = std::mem::replace(&mut self.state, State::Idle) else {
            return Vec::new();
        };
        let Attaching { wanted, no_shows, .. } = *attaching;
        let mut effects = vec![Effect::DropSeat];
        if matches!(wanted.find.aim, Aim::Again { until_ms, .. } if env.now_ms >= until_ms) {
            effects.push(Effect::Forget(wanted.ticket, None));
            effects.push(Effect::Send(ServerFrame::Idle));
        } else if no_shows >= MAX_NO_SHOWS {
            let refusal = Refusal::new(Code::Unavailable, "no stranger could be reached").retry_after(5_000);
            effects.extend(self.give_up(wanted.ticket, wanted.told, refusal));
        } else {
            effects.push(Effect::Forget(wanted.ticket, None));
            effects.push(self.wait(wanted.find, wanted.since_unix_ms, wanted.told, no_shows + 1, env));
        }
        effects
    }

    /// The wish can't be had. A client that believes to wait is told that it does not.
    pub(super) fn give_up(&mut self, ticket: TicketId, told: Told, refusal: Refusal) -> Vec<Effect> {
        self.state = State::Idle;
        let mut effects = vec![Effect::Forget(ticket, None)];
        effects.extend(refuse(refusal));
        effects.extend((told != Told::Nothing).then_some(Effect::Send(ServerFrame::Idle)));
        effects
    }
}

impl Waiting {
    /// When time brings something.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let Wanted { find, since_unix_ms, told, .. } = &self.wanted;
        match find.aim {
            Aim::Again { until_ms, .. } => Some(until_ms),
            _ if *told != Told::Waits => None,
            _ => find.widens_after_ms().map(|patience| since_unix_ms + patience),
        }
    }

    /// Says once that the ticket is in the pool. It says so first even where patience is over by then: what a client shows
    /// while it waits begins with what it wished for.
    fn tell(&mut self, estimate_ms: Option<u64>) -> Vec<Effect> {
        if self.wanted.told != Told::Nothing {
            return Vec::new();
        }
        self.wanted.told = Told::Waits;
        vec![self.frame(estimate_ms)]
    }

    fn frame(&self, estimate_ms: Option<u64>) -> Effect {
        let Wanted { find, told, .. } = &self.wanted;
        Effect::Send(ServerFrame::Waiting {
            interests: find.interests.clone(),
            patience_ms: find.patience_ms,
            // How long others waited for a stranger says nothing about this one.
            estimate_ms: estimate_ms.filter(|_| !matches!(find.aim, Aim::Again { .. })),
            widened: *told == Told::Widened,
            // The hub's to make.
            session: None,
        })
    }
}

/// None for the first, then 50 ms, doubled up to a second: twenty take a good quarter of a minute.
fn pause_ms(no_shows: u32) -> u64 {
    match no_shows {
        0 | 1 => 0,
        more => 50_u64.saturating_mul(2_u64.saturating_pow(more - 2)).min(1_000),
    }
}

/// The pairing was heard of before the answer that the pool has the ticket: what was put in is out already, if that was once.
fn overtaken(ticket: TicketId, outcome: Result<Enqueued, Refusal>) -> Vec<Effect> {
    match outcome {
        Ok(enqueued) if enqueued.twice => take_back(ticket, Ok(enqueued)),
        _ => Vec::new(),
    }
}

/// What the pool took for a wish that is no longer there comes out again.
fn take_back(ticket: TicketId, outcome: Result<Enqueued, Refusal>) -> Vec<Effect> {
    outcome.map(|enqueued| Effect::Forget(ticket, Some(enqueued.place))).into_iter().collect()
}
