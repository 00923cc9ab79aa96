//! Tickets as an owner reads them from its shard's stream.

use chassis::{Random, id::TicketId};
use stroll_matchmaker::{matching::Ticket, pool::EntryId};
use stroll_proto::v1;

use crate::tickets::Tickets;

/// Who arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All meet anybody.
    NoInterests,
    /// Each has three of twenty interests, and some patience.
    ThreeOfTwenty,
    /// Half are such, and half meet nobody, in turn.
    HalfUnmatchable,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::NoInterests => "no interests",
            Self::ThreeOfTwenty => "3 of 20 interests",
            Self::HalfUnmatchable => "50 % unmatchable",
        }
    }
}

/// A ticket that arrives.
pub struct Arrival {
    pub id: TicketId,
    /// It meets nobody.
    pub is_unmatchable: bool,
    pub ticket: Box<Ticket>,
}

/// A shard's stream.
pub struct Stream {
    /// Milliseconds since the Unix epoch.
    pub now: u64,
    last: u64,
    tickets: Tickets,
}

impl Default for Stream {
    fn default() -> Self {
        Self { now: 1_700_000_000_000, last: 0, tickets: Tickets::new(Random::seeded(1)) }
    }
}

impl Stream {
    /// The next millisecond, and who arrives in it.
    pub fn millisecond(&mut self, kind: Kind, arrivals: u64) -> (u64, Vec<Arrival>) {
        self.now += 1;
        let arrivals = (0..arrivals).map(|number| match kind {
            Kind::NoInterests => self.willing(),
            Kind::HalfUnmatchable if number % 2 == 0 => self.unmatchable(),
            Kind::ThreeOfTwenty | Kind::HalfUnmatchable => {
                let interests = self.tickets.three_of_twenty();
                self.arrival(interests, false)
            }
        });
        let arrivals = arrivals.collect();
        (self.now, arrivals)
    }

    /// One that looks for ever for an interest that nobody else has.
    pub fn unmatchable(&mut self) -> Arrival {
        let interest = format!("only {}", self.last);
        self.arrival(vec![interest], true)
    }

    /// One that meets anybody.
    pub fn willing(&mut self) -> Arrival {
        self.arrival(Vec::new(), false)
    }

    fn arrival(&mut self, interests: Vec<String>, is_unmatchable: bool) -> Arrival {
        self.last += 1;
        let entry = EntryId { ms: self.now, seq: self.last };
        let ticket = v1::Ticket {
            only_interests: is_unmatchable,
            ..self.tickets.ticket(format!("gateway-{}", self.last % 8), interests, self.now)
        };
        let id = TicketId::try_from(&ticket.id);
        #[expect(clippy::expect_used, reason = "all of them are well-formed")]
        let (id, ticket) = id.ok().zip(Ticket::parse(entry, ticket).ok()).expect("a good ticket");
        Arrival { id, is_unmatchable, ticket: Box::new(ticket) }
    }
}
