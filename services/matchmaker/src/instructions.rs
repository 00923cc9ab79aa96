//! Cases for `tests/instructions`: whom a ticket meets.

use chassis::Random;
use stroll_counted::TIMES;
use stroll_proto::v1::{self, Mode, Subject};

use crate::{
    matching::{Arrival, Index, Ticket},
    pool::EntryId,
};

/// How many wait. They share nothing, or they would have met.
const WAITING: u64 = 5_000;
const NOW_MS: u64 = 1_700_000_000_000;

/// Tickets of people who look for these three interests.
struct Tickets(Random);

impl Tickets {
    fn ticket(&self, number: u64, interests: [String; 3]) -> Box<Ticket> {
        let bytes = || self.0.bytes::<16>().to_vec().into();
        let alias = || u64::from_le_bytes(self.0.bytes());
        let ticket = v1::Ticket {
            id: bytes(),
            gateway: format!("gateway-{}", number % 8),
            subject: Some(Subject { session: bytes(), address: bytes() }),
            mode: Mode::Text.into(),
            section: "main".to_owned(),
            interests: interests.into(),
            languages: vec!["en".to_owned()],
            patience_ms: 60_000,
            since_unix_ms: NOW_MS,
            aliases: vec![alias()],
            met_lately: (0..4).map(|_| alias()).collect(),
            ..v1::Ticket::default()
        };
        Box::new(Ticket::parse(EntryId { ms: NOW_MS, seq: number }, ticket).expect("a good ticket"))
    }

    /// An index in which all wait.
    fn index(&self) -> Index {
        let mut index = Index::default();
        for number in 0..WAITING {
            let interests = ["music", "films", "books"].map(|what| format!("{what} {number}"));
            assert_eq!(index.insert(self.ticket(number, interests), NOW_MS), Arrival::Waits);
        }
        index
    }
}

/// Each meets one of those who wait, with whom it shares two interests, rather than another, with whom it shares one.
#[test]
fn find_partner() {
    let tickets = Tickets(Random::seeded(1));
    let mut index = tickets.index();
    let arrival = |number| {
        let interests =
            [format!("music {number}"), format!("films {number}"), format!("books {}", number + 2_000)];
        tickets.ticket(WAITING + number, interests)
    };
    stroll_counted::times(arrival, |ticket| {
        let arrival = index.insert(ticket, NOW_MS);
        assert!(matches!(arrival, Arrival::Meets(_)));
        arrival
    });
    assert_eq!(index.len() as u64, WAITING - TIMES);
}

/// Each finds nobody, and waits.
#[test]
fn wait_for_partner() {
    let tickets = Tickets(Random::seeded(1));
    let mut index = tickets.index();
    let arrival = |number| {
        let interests = ["games", "food", "travels"].map(|what| format!("{what} {number}"));
        tickets.ticket(WAITING + number, interests)
    };
    stroll_counted::times(arrival, |ticket| {
        let arrival = index.insert(ticket, NOW_MS);
        assert_eq!(arrival, Arrival::Waits);
    });
    assert_eq!(index.len() as u64, WAITING + TIMES);
}
