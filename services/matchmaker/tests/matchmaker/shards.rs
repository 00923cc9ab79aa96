//! Pools that are cut into shards, and gateways that are gone.

use std::{num::NonZeroU32, time::Duration};

use chassis::{Context, grpc, id::TicketId};
use stroll_matchmaker::{Config, Matching, pool::Shard};
use stroll_proto::v1::{CancelRequest, GatewayLoad, Ticket, TicketPlace};
use tokio::time::Instant;

use crate::support::{Gateway, Node, RedisServer, Relay, Where, context, ticket, until};

/// I4: how long a pairing may take.
const SOON: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(2);
const RELAY: &str = "http://127.0.0.1:7002";

fn cut_into(shards: u32) -> Config {
    let shards = NonZeroU32::new(shards).expect("some");
    Config { matching: Matching { shards, ..Matching::default() }, ..Config::default() }
}

/// Nobody meets this one but who has the same interest.
fn likes(context: &Context, interest: &str) -> Ticket {
    Ticket { interests: vec![interest.to_owned()], only_interests: true, ..ticket(context, "gateway-1") }
}

/// A ticket that goes into this shard of so many.
fn in_shard(context: &Context, (number, shards): (u32, u32), interest: &str) -> Ticket {
    let first = Shard::named("text.main.0").expect("a shard");
    let mut ids = std::iter::repeat_with(|| TicketId::new(&context.random));
    let id = ids.find(|id| first.of_ticket(*id, shards).number() == number).expect("there is one");
    Ticket { id: id.to_bytes(), ..likes(context, interest) }
}

/// Puts such a ticket in.
async fn put_into(
    context: &Context,
    gateway: &mut Gateway,
    shard: (u32, u32),
    interest: &str,
) -> (Ticket, TicketPlace) {
    let ticket = in_shard(context, shard, interest);
    let place = gateway.enqueue(&ticket).await;
    assert_eq!(place.shard, format!("text.main.{}", shard.0));
    (ticket, place)
}

async fn cancel(gateway: &Gateway, ticket: &Ticket, place: &TicketPlace) -> bool {
    let request = CancelRequest { place: Some(place.clone()), ticket: ticket.id.clone() };
    let answer = gateway.client().cancel(grpc::request(request, DEADLINE)).await;
    answer.expect("an answer").into_inner().cancelled
}

/// Both are told of one chat. News that was not acknowledged may come again.
async fn are_told(gateway: &mut Gateway, two: [&Ticket; 2]) {
    let mut chats = Vec::new();
    while chats.len() < 2 {
        let told = gateway.assignment(FIRST).await;
        if two.iter().any(|ticket| ticket.id == told.ticket) {
            chats.push(told.chat);
        }
    }
    assert_eq!(chats[0], chats[1]);
}

/// All shards of the text pool have an owner, and so are open.
async fn all_open(server: &RedisServer, shards: u32) {
    until(FIRST, "all shards have an owner", async || {
        let owned = |number| server.has_key(&format!("test:{{text.main.{number}}}:owner"));
        (0..shards).all(owned).then_some(())
    })
    .await;
}

#[tokio::test]
async fn i4_two_who_are_alone_in_different_shards_meet_within_a_second() {
    let context = context();
    let server = RedisServer::start().await;
    let node = Node::start_with(&Where::redis(&server), cut_into(4)).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    all_open(&server, 4).await;
    until(FIRST, "a relay is known", async || {
        gateway.enqueue(&ticket(&context, "gateway-1")).await;
        gateway.hear_for(Duration::from_millis(100)).await;
        (gateway.unread() > 0).then_some(())
    })
    .await;
    // A machine that is busy with other tests may make some of them wait for longer.
    let mut shortest = FIRST;
    for round in 0..5 {
        let interest = format!("round {round}");
        let (one, _) = put_into(&context, &mut gateway, (1, 4), &interest).await;
        let (two, _) = put_into(&context, &mut gateway, (2, 4), &interest).await;
        let put = Instant::now();
        are_told(&mut gateway, [&one, &two]).await;
        shortest = shortest.min(put.elapsed());
    }
    assert!(shortest <= SOON, "{shortest:?}");
}

#[tokio::test]
async fn a_ticket_that_has_moved_can_still_be_taken_out() {
    let context = context();
    let server = RedisServer::start().await;
    let node = Node::start_with(&Where::redis(&server), cut_into(2)).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    all_open(&server, 2).await;
    let (ticket, place) = put_into(&context, &mut gateway, (1, 2), "tea").await;
    let waiting = |shard: u32| server.length(&format!("test:{{text.main.{shard}}}:tickets"));
    until(FIRST, "it moves", async || (waiting(1) == 0 && waiting(0) == 1).then_some(())).await;
    assert!(!cancel(&gateway, &ticket, &place).await, "it is not where it was");
    // That it was withdrawn stays for a while, in case that it comes once more.
    until(Duration::from_secs(30), "it is taken out", async || (waiting(0) == 0).then_some(())).await;
}

/// Entries of different streams may be called the same.
#[tokio::test]
async fn who_takes_a_moved_ticket_out_takes_nobody_elses() {
    let context = context();
    let server = RedisServer::start().await;
    let node = Node::start_with(&Where::redis(&server), cut_into(2)).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    all_open(&server, 2).await;
    let mut tried = 0;
    let (stays, moves, place) = loop {
        let interest = format!("try {tried}");
        let pair =
            [in_shard(&context, (0, 2), &interest), in_shard(&context, (1, 2), &format!("other {tried}"))];
        let places = gateway.enqueue_all(pair.to_vec()).await;
        if places[0].entry == places[1].entry {
            let [stays, moves] = pair;
            break (stays, moves, places[1].clone());
        }
        tried += 1;
        assert!(tried < 1_000, "two streams of one server have the same entry now and then");
    };
    let waiting = |shard: u32| server.length(&format!("test:{{text.main.{shard}}}:tickets"));
    until(FIRST, "it moves", async || (waiting(1) == 0).then_some(())).await;
    cancel(&gateway, &moves, &place).await;
    let other = Ticket { interests: stays.interests.clone(), ..likes(&context, "") };
    gateway.enqueue(&other).await;
    are_told(&mut gateway, [&stays, &other]).await;
}

#[tokio::test]
async fn shards_are_added_and_taken_away_while_people_wait_and_nobody_is_lost() {
    let context = context();
    let server = RedisServer::start().await;
    let one = Node::start_with(&Where::redis(&server), cut_into(1)).await;
    one.ready().await;
    let _relays = [Relay::start(&context, &one, RELAY)];
    let mut gateway = Gateway::watch(&context, &one, "gateway-1", "").await;
    let first = likes(&context, "tea");
    gateway.enqueue(&first).await;

    // One after the other, as an operator's rolling update does it.
    let four = Node::start_with(&Where::redis(&server), cut_into(4)).await;
    four.ready().await;
    let _more = Relay::start(&context, &four, RELAY);
    let mut through_four = Gateway::watch(&context, &four, "gateway-2", "").await;
    all_open(&server, 4).await;
    let (second, _) = put_into(&context, &mut through_four, (3, 4), "tea").await;
    are_told(&mut gateway, [&first, &second]).await;

    let (waits, _) = put_into(&context, &mut through_four, (3, 4), "coffee").await;
    one.drain().await.expect("it drains well");
    let two = Node::start_with(&Where::redis(&server), cut_into(2)).await;
    two.ready().await;
    let _even_more = Relay::start(&context, &two, RELAY);
    four.kill();
    until(Duration::from_secs(30), "the shards that are no more wanted are gone", async || {
        let gone = |shard| server.keys(&format!("*{{{shard}}}*")) == 0;
        let all_gone =
            gone("text.main.3") && gone("text.main.2") && gone("video.main.3") && gone("video.main.2");
        (all_gone && server.has_key("test:{text.main.1}:owner")).then_some(())
    })
    .await;
    let mut gateway = Gateway::watch(&context, &two, "gateway-1", "").await;
    let last = likes(&context, "coffee");
    gateway.enqueue(&last).await;
    are_told(&mut gateway, [&waits, &last]).await;
}

#[tokio::test]
async fn the_tickets_of_a_gateway_that_died_meet_nobody_and_nothing_is_left_of_it() {
    let context = context();
    let server = RedisServer::start().await;
    let config = Config {
        matching: Matching { gateway_kept: Duration::from_secs(6), ..Matching::default() },
        ..Config::default()
    };
    let node = Node::start_with(&Where::redis(&server), config).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    let mut dying = Gateway::watch(&context, &node, "gateway-dies", "").await;
    // It has news that it will never read.
    let unread = ticket(&context, "gateway-dies");
    dying.enqueue(&unread).await;
    dying.enqueue(&ticket(&context, "gateway-1")).await;
    gateway.assignment(FIRST).await;
    dying.enqueue(&ticket(&context, "gateway-dies")).await;
    drop(dying);
    // It may take a moment until it is known; then its ticket is passed over.
    let living = [ticket(&context, "gateway-1"), ticket(&context, "gateway-1")];
    until(FIRST, "the death is known", async || {
        let explained = gateway.explain_oldest().await?;
        explained.set_aside.then_some(())
    })
    .await;
    for ticket in &living {
        gateway.enqueue(ticket).await;
    }
    for _ in &living {
        let told = gateway.assignment(SOON).await;
        assert!(living.iter().any(|ticket| ticket.id == told.ticket), "only the living meet");
    }
    until(Duration::from_secs(30), "nothing is left of the dead one", async || {
        let inbox = server.has_key("test:inbox:gateway-dies");
        let tickets = server.length("test:{text.main.0}:tickets");
        (!inbox && tickets == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_comes_back_finds_its_tickets_where_they_were() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut other = Gateway::watch(&context, &node, "gateway-1", "").await;
    let mut gateway = Gateway::watch(&context, &node, "gateway-2", "").await;
    let waits = Ticket { since_unix_ms: 1, ..ticket(&context, "gateway-2") };
    gateway.enqueue(&waits).await;
    drop(gateway);
    until(FIRST, "it is set aside", async || other.explain_oldest().await?.set_aside.then_some(())).await;
    let mut gateway = Gateway::watch(&context, &node, "gateway-2", "").await;
    gateway.carries(GatewayLoad { waiting: 1, ..GatewayLoad::default() }).await;
    other.enqueue(&ticket(&context, "gateway-1")).await;
    assert_eq!(gateway.assignment(FIRST).await.ticket, waits.id);
}

#[tokio::test]
async fn a_ticket_with_three_interests_takes_at_most_400_bytes_of_redis() {
    const TICKETS: u32 = 5_000;
    // As long as true ones are.
    const NAME: &str = "gateway-0123456789abcdef";
    let context = context();
    let server = RedisServer::start().await;
    let node = Node::start(&Where::redis(&server)).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, NAME, "").await;
    let before = server.used_memory();
    let mut placed = Vec::new();
    let waiting = |number: u32| Ticket {
        interests: ["photography", "mountains", "chess"].map(|what| format!("{what} {number}")).into(),
        languages: vec!["en".to_owned()],
        only_interests: true,
        aliases: vec![u64::from(number)],
        ..ticket(&context, NAME)
    };
    for batch in 0..TICKETS / 500 {
        let tickets: Vec<_> = (0..500).map(|number| waiting(batch * 500 + number)).collect();
        let places = gateway.enqueue_all(tickets.clone()).await;
        placed.extend(tickets.into_iter().zip(places));
    }
    let key = "test:{text.main.0}:tickets";
    assert_eq!(server.length(key), TICKETS as usize);
    let each = server.used_memory().saturating_sub(before) / TICKETS as usize;
    assert!(each <= 400, "{each} bytes a ticket");

    // Redis frees what is deleted only when all that lies beside it is gone too: one of ten stays, so that nothing is freed. Then
    // those who wait are brought together.
    for (_, (ticket, place)) in placed.iter().enumerate().filter(|(number, _)| number % 10 > 0) {
        cancel(&gateway, ticket, place).await;
    }
    let left = TICKETS as usize / 10;
    until(Duration::from_secs(60), "the tickets take little memory again", async || {
        (server.length(key) == left && server.memory_of(key) <= left * 500).then_some(())
    })
    .await;
    // Those who were moved can still be taken out, and meet whom they would have met.
    let (ticket, place) = &placed[0];
    cancel(&gateway, ticket, place).await;
    until(Duration::from_secs(30), "it is taken out", async || {
        (server.length(key) == left - 1).then_some(())
    })
    .await;
    let other = waiting(10);
    gateway.enqueue(&other).await;
    are_told(&mut gateway, [&placed[10].0, &other]).await;
}
