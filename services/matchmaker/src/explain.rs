//! Why a ticket still waits: what an operator asks when somebody has waited for long.
//!
//! Any replica answers, by reading the pool from the store as an owner does, so that the answer is what is there and not what
//! somebody believes. It reads the whole pool, which is for people to ask now and then, not for a dashboard.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use chassis::id::TicketId;
use prost::Message as _;
use stroll_proto::v1::{self, ExplainTicketRequest, ExplainTicketResponse, TicketGroup, TicketPlace};

use crate::{
    Error,
    error::Result,
    matching::{Forbidden, Interest, Ticket, Wish, forbidden, met_lately},
    pool::{EntryId, EntryKind, Shard},
    replica::Replica,
};

/// Explains the ticket that is asked for, or the one that has waited longest.
pub(crate) async fn explain(
    replica: &Replica,
    request: ExplainTicketRequest,
) -> Result<ExplainTicketResponse> {
    let section = replica.sections.get(&request.section);
    let section = section.ok_or(Error::Invalid("there is no such section"))?;
    let first = Shard::new(request.mode(), section, 0);
    let first = first.ok_or(Error::Invalid("a mode is text or video"))?;
    let wanted = if request.ticket.is_empty() {
        None
    } else {
        let id = TicketId::try_from(&request.ticket);
        Some(id.map_err(|_| Error::Invalid("a ticket's id has 16 bytes, or it is empty"))?)
    };
    let mut waiting = Vec::new();
    for number in 0..replica.store.shards(&first).max(1) {
        read(replica, &first.sibling(number), &mut waiting).await?;
    }
    let asked = waiting.iter().filter(|(_, ticket)| wanted.is_none_or(|wanted| wanted == ticket.id));
    let (shard, ticket) = asked.min_by_key(|(_, ticket)| ticket.place()).ok_or(Error::NoTicket)?;
    let others = waiting.iter().map(|(_, other)| other).filter(|other| other.id != ticket.id);
    let others: Vec<_> = others.collect();
    let possible: Vec<_> =
        others.iter().copied().filter(|other| forbidden(ticket, other).is_none()).collect();
    let now = replica.context.clock.unix_ms();
    let owner = replica.pool.owner(shard).await?.unwrap_or_default();
    let absent = replica.members.absent(&[], replica.gateway_kept);
    Ok(ExplainTicketResponse {
        owner,
        place: Some(TicketPlace { shard: shard.name().to_owned(), entry: ticket.entry.to_string() }),
        waited_ms: now.saturating_sub(ticket.since_unix_ms),
        widens_unix_ms: ticket.meets_anybody_at().map(|at| if at <= now { 0 } else { at }),
        set_aside: absent.away.contains(&ticket.gateway),
        others: count(&others, |_| true),
        never: never(ticket, &others),
        met_lately: count(&possible, |other| met_lately(ticket, other)),
        meets: meets(ticket, &possible, now),
        ticket: Some(told(ticket)),
    })
}

/// Adds a shard's tickets, each id once.
async fn read(replica: &Replica, shard: &Shard, waiting: &mut Vec<(Shard, Ticket)>) -> Result<()> {
    let mut seen: HashSet<_> = waiting.iter().map(|(_, ticket)| ticket.id).collect();
    let mut after = EntryId::default();
    loop {
        let entries = replica.pool.read_tickets(shard, after, Duration::ZERO).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.id;
        for entry in entries {
            let EntryKind::Ticket(ticket) = entry.kind else { continue };
            let Ok(ticket) = v1::Ticket::decode(ticket) else { continue };
            let Ok(ticket) = Ticket::parse(entry.id, ticket) else { continue };
            if seen.insert(ticket.id) {
                waiting.push((shard.clone(), ticket));
            }
        }
    }
}

/// Without what tells who it is.
fn told(ticket: &Ticket) -> v1::Ticket {
    v1::Ticket {
        subject: None,
        aliases: Vec::new(),
        blocked: Vec::new(),
        met_lately: Vec::new(),
        again: bytes::Bytes::new(),
        ask: String::new(),
        ..ticket.to_message()
    }
}

fn never(ticket: &Ticket, others: &[&Ticket]) -> Vec<TicketGroup> {
    let mut counts = BTreeMap::new();
    for rule in others.iter().filter_map(|other| forbidden(ticket, other)) {
        *counts.entry(rule).or_insert(0) += 1;
    }
    let name = |rule| match rule {
        Forbidden::Session => "session",
        Forbidden::Blocked => "blocked",
        Forbidden::College => "college",
        Forbidden::Language => "language",
    };
    counts.into_iter().map(|(rule, waiting)| group(name(rule), waiting)).collect()
}

/// What it wishes to meet, and how many there are of it.
fn meets(ticket: &Ticket, others: &[&Ticket], now: u64) -> Vec<TicketGroup> {
    let willing = |ticket: &Ticket| ticket.meets_anybody_at().is_some_and(|at| at <= now);
    let discussing = || group("discuss", count(others, |other| other.wish == Wish::Discuss));
    let mut groups = match &ticket.wish {
        Wish::Chat => {
            let shared = |interest: &Interest| {
                count(others, |other| other.interests.iter().any(|theirs| theirs.key == interest.key))
            };
            ticket
                .interests
                .iter()
                .map(|one| group(&format!("interest {}", one.typed), shared(one)))
                .collect()
        }
        Wish::Ask(_) => vec![discussing()],
        Wish::Discuss => {
            vec![group("ask", count(others, |other| matches!(other.wish, Wish::Ask(_)))), discussing()]
        }
        Wish::Again(_) => vec![group("again", count(others, |other| other.wish == ticket.wish))],
    };
    if willing(ticket) {
        groups.push(group("anybody", count(others, willing)));
    }
    groups
}

fn group(what: &str, waiting: u64) -> TicketGroup {
    TicketGroup { what: what.to_owned(), waiting }
}

fn count(tickets: &[&Ticket], fits: impl Fn(&Ticket) -> bool) -> u64 {
    u64::try_from(tickets.iter().filter(|ticket| fits(ticket)).count()).unwrap_or(u64::MAX)
}
