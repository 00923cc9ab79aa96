//! The index by examples, and against a model that tries everybody with everybody.

use std::cmp::Reverse;

use chassis::{Random, id::TicketId};
use stroll_proto::v1::{self, Mode, Subject};

use super::{Arrival, Index, Match, Ticket};
use crate::pool::EntryId;

/// A ticket in words: `id [session=N] [since=N] [patience=N] [only] [speaks=a,b] [likes=x,y]`.
fn ticket(words: &str) -> Ticket {
    let mut words = words.split(' ');
    let id: u8 = words.next().and_then(|id| id.parse().ok()).expect("a number first");
    let mut ticket = v1::Ticket {
        id: vec![id; 16].into(),
        mode: Mode::Text.into(),
        gateway: "gateway-a".to_owned(),
        subject: Some(Subject { session: vec![id; 16].into(), ..Subject::default() }),
        since_unix_ms: u64::from(id),
        ..v1::Ticket::default()
    };
    let list = |value: &str| value.split(',').map(|item| item.replace('_', " ")).collect();
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("session", value) => {
                ticket.subject = Some(Subject {
                    session: vec![value.parse().expect("a number"); 16].into(),
                    ..Subject::default()
                });
            }
            ("since", value) => ticket.since_unix_ms = value.parse().expect("a number"),
            ("patience", value) => ticket.patience_ms = value.parse().expect("a number"),
            ("only", _) => ticket.only_interests = true,
            ("speaks", value) => ticket.languages = list(value),
            ("likes", value) => ticket.interests = list(value),
            (other, _) => panic!("what is {other}?"),
        }
    }
    let entry = EntryId { ms: u64::from(id), seq: 0 };
    Ticket::parse(entry, ticket, String::new()).expect("a good ticket")
}

fn numbers(met: &Match) -> (u8, u8) {
    (met.first.id.0[0], met.second.id.0[0])
}

/// Puts tickets in at time 100 and tells who met.
fn meetings(tickets: &[&str]) -> Vec<(u8, u8)> {
    let mut index = Index::default();
    let mut met = Vec::new();
    for words in tickets {
        if let Arrival::Meets(pair) = index.insert(ticket(words), 100) {
            met.push(numbers(&pair));
        }
        index.check_invariants();
    }
    met
}

/// What a case shows, who arrives, and who meets.
type Case = (&'static str, &'static [&'static str], &'static [(u8, u8)]);

#[test]
fn who_meets_whom() {
    let table: &[Case] = &[
        ("two without wishes meet", &["1", "2"], &[(1, 2)]),
        ("seat 1 has waited longer, whoever came first", &["1 since=9", "2 since=3"], &[(2, 1)]),
        ("a shared interest is enough", &["1 likes=tea patience=999", "2 likes=tea patience=999"], &[(1, 2)]),
        (
            "interests are compared without case and spaces",
            &["1 likes=_Tea__Time only", "2 likes=tEA_time only"],
            &[(1, 2)],
        ),
        (
            "who is patient does not meet just anybody",
            &["1 likes=tea patience=999", "2", "3 likes=cars"],
            &[(2, 3)],
        ),
        ("whose patience is over meets anybody", &["1 likes=tea patience=50", "2"], &[(1, 2)]),
        ("both have to be willing", &["1 likes=tea patience=50", "2 likes=cars patience=999"], &[]),
        (
            "who wants only shared interests waits for them",
            &["1 likes=tea only", "2", "3 likes=tea only"],
            &[(1, 3)],
        ),
        ("only without interests is nothing to ask for", &["1 only", "2"], &[(1, 2)]),
        (
            "most shared interests come first",
            &["1 likes=a,x patience=999", "2 likes=b,y patience=999", "3 likes=a,b,y"],
            &[(2, 3)],
        ),
        (
            "then who has waited longest",
            &["1 likes=a patience=999", "2 likes=b patience=999 since=0", "3 likes=a,b"],
            &[(2, 3)],
        ),
        (
            "a shared interest goes before a longer wait",
            &["1 likes=x", "2 likes=a patience=999", "3 likes=a"],
            &[(2, 3)],
        ),
        ("a common language is needed", &["1 speaks=en", "2 speaks=de", "3 speaks=fr,de"], &[(2, 3)]),
        ("who names no language speaks with all", &["1 speaks=en", "2"], &[(1, 2)]),
        ("and finds the one who has waited longest", &["1 speaks=en", "2 speaks=de since=0", "3"], &[(2, 3)]),
        ("nobody meets oneself", &["1 session=7", "2 session=7", "3"], &[(1, 3)]),
        ("also not by interest", &["1 session=7 likes=a", "2 session=7 likes=a", "3 likes=a"], &[(1, 3)]),
    ];
    for (name, tickets, expected) in table {
        assert_eq!(meetings(tickets), *expected, "{name}");
    }
}

#[test]
fn patience_ends_by_the_clock_and_pairs_two_who_waited() {
    let mut index = Index::default();
    assert_eq!(index.insert(ticket("1 likes=tea patience=50"), 10), Arrival::Waits);
    assert_eq!(index.insert(ticket("2 likes=cars patience=80"), 10), Arrival::Waits);
    assert_eq!(index.next_widening(), Some(51));
    assert_eq!(index.widen(51), []);
    assert_eq!(index.next_widening(), Some(82));
    index.check_invariants();
    assert_eq!(index.widen(82).iter().map(numbers).collect::<Vec<_>>(), [(1, 2)]);
    assert_eq!((index.next_widening(), index.len()), (None, 0));
}

#[test]
fn a_clock_that_runs_ahead_does_not_make_patience_longer() {
    // The wait began, as its gateway says, long after the entry was made.
    let ahead = ticket("1 likes=tea patience=50 since=5000");
    assert_eq!(ahead.meets_anybody_at(), Some(51));
}

#[test]
fn a_ticket_put_in_twice_is_paired_once() {
    let mut index = Index::default();
    let again = |ms| Ticket { entry: EntryId { ms, seq: 0 }, ..ticket("1") };
    assert_eq!(index.insert(again(1), 0), Arrival::Waits);
    assert_eq!(index.insert(again(2), 0), Arrival::Duplicate);
    assert_eq!(index.insert(again(1), 0), Arrival::Waits, "the same entry is read again");
    assert!(matches!(index.insert(ticket("2"), 0), Arrival::Meets(_)));
    assert_eq!(index.insert(again(3), 5_000), Arrival::Duplicate, "it was paired just now");
    assert_eq!(index.insert(again(4), 31_000), Arrival::Waits, "that is forgotten");
    index.check_invariants();
}

#[test]
fn a_ticket_taken_out_can_come_again_and_one_put_back_is_paired_at_once() {
    let mut index = Index::default();
    index.insert(ticket("1"), 0);
    assert!(index.remove(ticket("1").entry).is_some());
    assert!(index.remove(ticket("1").entry).is_none());
    assert_eq!(index.insert(ticket("1"), 0), Arrival::Waits);
    let Arrival::Meets(met) = index.insert(ticket("2"), 0) else { panic!("two meet") };
    index.insert(ticket("3"), 0);
    let met = index.put_back(met.first, 0).expect("one waits");
    assert_eq!(numbers(&met), (1, 3));
    index.check_invariants();
}

#[test]
fn unwanted_tickets_are_taken_out_together() {
    let mut index = Index::default();
    for words in ["1 speaks=en", "2 speaks=de", "3 speaks=fr"] {
        index.insert(ticket(words), 0);
    }
    let out = index.remove_all(|ticket| ticket.id != TicketId([2; 16]));
    assert_eq!((out.len(), index.len()), (2, 1));
    index.check_invariants();
}

#[test]
fn what_is_not_a_ticket_is_refused_with_a_sentence() {
    let good = || v1::Ticket {
        id: vec![1; 16].into(),
        mode: Mode::Text.into(),
        gateway: "gateway-a".to_owned(),
        subject: Some(Subject { session: vec![1; 16].into(), address: vec![2; 16].into() }),
        ..v1::Ticket::default()
    };
    let parse = |ticket| Ticket::parse(EntryId::default(), ticket, String::new());
    assert!(parse(good()).is_ok());
    type Spoil<'a> = &'a dyn Fn(&mut v1::Ticket);
    let table: &[(&str, Spoil<'_>)] = &[
        ("a ticket's id has 16 bytes", &|ticket| ticket.id = vec![1; 15].into()),
        ("a ticket's mode is text or video", &|ticket| ticket.mode = 0),
        ("a ticket's mode is text or video", &|ticket| ticket.mode = 99),
        ("a ticket has a subject", &|ticket| ticket.subject = None),
        ("a subject's session", &|ticket| ticket.subject = Some(Subject::default())),
        ("a subject's address", &|ticket| {
            ticket.subject = Some(Subject { session: vec![1; 16].into(), address: vec![1; 4].into() });
        }),
        ("a gateway's or a relay's name", &|ticket| ticket.gateway.clear()),
        ("a gateway's or a relay's name", &|ticket| ticket.gateway = "a:b".to_owned()),
        ("a gateway's or a relay's name", &|ticket| ticket.gateway = "a".repeat(65)),
        ("at most 10 interests", &|ticket| ticket.interests = vec!["x".to_owned(); 11]),
        ("at most 64 characters", &|ticket| ticket.interests = vec!["ü".repeat(65)]),
        ("an interest is not empty", &|ticket| ticket.interests = vec![" \t".to_owned()]),
        ("at most 5 languages", &|ticket| ticket.languages = vec!["en".to_owned(); 6]),
        ("a language is a primary subtag", &|ticket| ticket.languages = vec!["en-GB".to_owned()]),
        ("a language is a primary subtag", &|ticket| ticket.languages = vec!["EN".to_owned()]),
        ("a zone has at most 64 bytes", &|ticket| ticket.zone = "z".repeat(65)),
    ];
    for (expected, spoil) in table {
        let mut ticket = good();
        spoil(&mut ticket);
        let said = parse(ticket).expect_err(expected).to_string();
        assert!(said.contains(expected), "{said} has to contain {expected}");
    }
}

#[test]
fn what_two_have_in_common_is_told_to_each_as_they_typed_it() {
    let one = ticket("1 likes=Green_Tea,cars speaks=de,en");
    let other = ticket("2 likes=boats,green__tea speaks=en,de");
    assert_eq!(one.common_interests(&other), ["Green Tea"]);
    assert_eq!(other.common_interests(&one), ["green  tea"]);
    assert_eq!(one.common_language(&other), Some("de"));
    assert_eq!(one.common_language(&ticket("3")), None);
}

// === the model ===

/// Everybody who waits, in no order; whoever arrives or becomes willing is tried with everybody.
#[derive(Default)]
struct Model {
    waiting: Vec<Ticket>,
    widened: Vec<EntryId>,
}

impl Model {
    fn arrive(&mut self, ticket: Ticket, now: u64) -> Option<(u8, u8)> {
        let willing = ticket.meets_anybody_at().is_some_and(|at| at <= now);
        let fits = |other: &&Ticket| {
            let both_willing = willing && self.widened.contains(&other.entry);
            other.session != ticket.session
                && other.understands(&ticket)
                && (other.shares(&ticket) > 0 || both_willing)
        };
        let best = self
            .waiting
            .iter()
            .filter(fits)
            .max_by_key(|other| (other.shares(&ticket), Reverse(other.place())));
        let best = best.map(|other| other.entry);
        if let Some(entry) = best {
            let other = self.remove(entry).expect("it waits");
            return Some(numbers(&Match::of(ticket, other)));
        }
        if willing {
            self.widened.push(ticket.entry);
        }
        self.waiting.push(ticket);
        None
    }

    fn widen(&mut self, now: u64) -> Vec<(u8, u8)> {
        let mut due: Vec<_> =
            self.waiting.iter().filter(|ticket| !self.widened.contains(&ticket.entry)).cloned().collect();
        due.retain(|ticket| ticket.meets_anybody_at().is_some_and(|at| at <= now));
        due.sort_by_key(|ticket| (ticket.meets_anybody_at(), ticket.entry));
        let mut met = Vec::new();
        for ticket in due {
            if let Some(ticket) = self.remove(ticket.entry) {
                met.extend(self.arrive(ticket, now));
            }
        }
        met
    }

    fn remove(&mut self, entry: EntryId) -> Option<Ticket> {
        self.widened.retain(|widened| *widened != entry);
        let at = self.waiting.iter().position(|ticket| ticket.entry == entry)?;
        Some(self.waiting.swap_remove(at))
    }
}

fn some_of(random: &Random, from: &[&str], most: u64) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for _ in 0..random.below(most + 1) {
        let item = from[usize::try_from(random.below(from.len() as u64)).expect("small")];
        if !chosen.iter().any(|known| known == item) {
            chosen.push(item.to_owned());
        }
    }
    chosen
}

fn any_ticket(random: &Random, number: u64, now: u64) -> Ticket {
    let ticket = v1::Ticket {
        id: vec![u8::try_from(number % 251).expect("small"); 16].into(),
        mode: Mode::Text.into(),
        gateway: "gateway-a".to_owned(),
        subject: Some(Subject {
            session: vec![u8::try_from(random.below(40)).expect("small"); 16].into(),
            ..Subject::default()
        }),
        interests: some_of(random, &["tea", "cars", "boats", "films", "chess", "Rust"], 3),
        languages: some_of(random, &["en", "de", "fr", "ja"], 2),
        patience_ms: random.below(200),
        only_interests: random.below(4) == 0,
        since_unix_ms: now - random.below(now.min(50) + 1),
        ..v1::Ticket::default()
    };
    Ticket::parse(EntryId { ms: now, seq: number }, ticket, String::new()).expect("a good ticket")
}

#[test]
fn the_index_decides_as_trying_everybody_with_everybody_would() {
    for seed in 0..150 {
        let random = Random::seeded(seed);
        let (mut index, mut model, mut now) = (Index::default(), Model::default(), 1_000);
        for number in 0..150 {
            now += random.below(20);
            let met: Vec<_> = index.widen(now).iter().map(numbers).collect();
            assert_eq!(met, model.widen(now), "seed {seed}, patience over at {now}");
            if random.below(5) == 0 && !model.waiting.is_empty() {
                let at = usize::try_from(random.below(model.waiting.len() as u64)).expect("small");
                let entry = model.waiting[at].entry;
                assert_eq!(index.remove(entry), model.remove(entry), "seed {seed}");
            }
            let ticket = any_ticket(&random, number, now);
            let expected = model.arrive(ticket.clone(), now);
            let met = match index.insert(ticket, now) {
                Arrival::Meets(met) => Some(numbers(&met)),
                Arrival::Waits => None,
                Arrival::Duplicate => panic!("all ids differ"),
            };
            assert_eq!(met, expected, "seed {seed}, arrival {number}");
            index.check_invariants();
            assert_eq!(index.len(), model.waiting.len());
        }
    }
}
