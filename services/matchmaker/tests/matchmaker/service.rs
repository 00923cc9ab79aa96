//! What gateways and relays get from a matchmaker while nothing goes wrong.

use std::{collections::BTreeSet, time::Duration};

use chassis::{Context, grpc, id::TicketId, secret::Purpose};
use prost::Message as _;
use stroll_matchmaker::{Config, pool::Pool as _, pool::Shard};
use stroll_proto::v1::{
    Assignment, CancelRequest, ChooseHomesRequest, GatewayLoad, Home, HomeQuestion, LiveGateway, Mode,
    SeatClaims, Subject, Ticket, TicketPlace, home_answer::Outcome,
};
use tokio::time::Instant;

use crate::support::{Gateway, Moderation, Node, RedisServer, Relay, Where, context, subject, ticket, until};

/// I4: how long a pairing may take.
const SOON: Duration = Duration::from_secs(1);
/// The first pairing waits for the first lease and the first heartbeat too.
const FIRST: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(2);
const RELAY: &str = "http://127.0.0.1:7002";

async fn cancel(node: &Node, place: TicketPlace) -> bool {
    let mut client = node.client(&node.context);
    let ticket = vec![0; 16];
    let request = || {
        let request = CancelRequest { place: Some(place.clone()), ticket: ticket.clone().into() };
        grpc::request(request, DEADLINE)
    };
    until(DEADLINE, "the call goes through", async || client.cancel(request()).await.ok())
        .await
        .into_inner()
        .cancelled
}

#[tokio::test]
async fn two_who_wait_are_told_of_one_chat_with_tokens_that_open_its_seats() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut one = Gateway::watch(&context, &node, "gateway-1", "").await;
    let mut two = Gateway::watch(&context, &node, "gateway-2", "").await;
    let first = Ticket {
        interests: vec!["Green Tea".to_owned(), "cars".to_owned()],
        languages: vec!["de".to_owned(), "en".to_owned()],
        mode: Mode::Video.into(),
        ..ticket(&context, "gateway-1")
    };
    let second = Ticket {
        interests: vec!["green  tea".to_owned()],
        languages: vec!["en".to_owned(), "fr".to_owned()],
        mode: Mode::Video.into(),
        since_unix_ms: first.since_unix_ms + 1,
        ..ticket(&context, "gateway-2")
    };
    two.enqueue(&second).await;
    one.enqueue(&first).await;
    let told = [one.assignment(FIRST).await, two.assignment(FIRST).await];
    assert_eq!(told[0].chat, told[1].chat);
    for (seat, (told, ticket)) in (1..).zip(told.iter().zip([&first, &second])) {
        assert_eq!(told.ticket, ticket.id);
        assert_eq!((told.seat, told.initiator, told.epoch, told.relay.as_str()), (seat, seat == 2, 1, RELAY));
        assert_eq!((told.language.as_str(), told.mode()), ("en", Mode::Video));
        assert_eq!(told.common_interests, ticket.interests[..1], "as each typed it");
        let claims = context.secret.verify(Purpose::Seat, &told.seat_token).expect("a good token");
        let claims = SeatClaims::decode(claims).expect("claims");
        assert_eq!((claims.chat, claims.seat, claims.seats, claims.epoch), (told.chat.clone(), seat, 2, 1));
    }
}

#[tokio::test]
async fn many_are_paired_each_once_and_soon() {
    let context = context();
    let server = RedisServer::start().await;
    let node = Node::start(&Where::redis(&server)).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    let first = [ticket(&context, "gateway-1"), ticket(&context, "gateway-1")];
    for ticket in &first {
        gateway.enqueue(ticket).await;
    }
    for _ in &first {
        gateway.assignment(FIRST).await;
    }
    let mut waiting = BTreeSet::new();
    for _ in 0..200 {
        let ticket = ticket(&context, "gateway-1");
        gateway.enqueue(&ticket).await;
        waiting.insert(ticket.id);
    }
    let mut chats = BTreeSet::new();
    while !waiting.is_empty() {
        let delivery = gateway.next(SOON).await;
        let told = delivery.assignment.expect("an assignment");
        assert!(waiting.remove(&told.ticket), "a ticket is paired once");
        chats.insert(told.chat);
        gateway.acknowledge(&delivery.id).await;
    }
    assert_eq!(chats.len(), 100);
    // Nothing is left over in the store.
    until(SOON, "all streams are empty", async || {
        let left = ["{text.main.0}:tickets", "{text.main.0}:pairs", "inbox:gateway-1"]
            .map(|key| server.command(&["XLEN", &format!("test:{key}")]));
        left.iter().all(|left| *left == redis::Value::Int(0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_ticket_is_not_paired_and_a_paired_one_is_not_cancelled() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    let gone = gateway.enqueue(&ticket(&context, "gateway-1")).await;
    assert!(cancel(&node, gone.clone()).await);
    assert!(!cancel(&node, gone).await, "it is out already");
    let (second, third) = (ticket(&context, "gateway-1"), ticket(&context, "gateway-1"));
    let place = gateway.enqueue(&second).await;
    gateway.enqueue(&third).await;
    let told =
        BTreeSet::from([gateway.assignment(FIRST).await.ticket, gateway.assignment(FIRST).await.ticket]);
    assert_eq!(told, BTreeSet::from([second.id, third.id]));
    assert!(!cancel(&node, place).await, "the pairing took it");
}

#[tokio::test]
async fn patience_is_over_in_time_and_the_impatient_meet() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    for interest in ["tea", "cars"] {
        let wish = Ticket {
            interests: vec![interest.to_owned()],
            patience_ms: 1_500,
            ..ticket(&context, "gateway-1")
        };
        gateway.enqueue(&wish).await;
    }
    let told = gateway.assignment(FIRST).await;
    assert_eq!(told.common_interests, Vec::<String>::new());
}

#[tokio::test]
async fn nobody_is_paired_until_a_relay_lives() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    for _ in 0..2 {
        gateway.enqueue(&ticket(&context, "gateway-1")).await;
    }
    // Two seconds later, as the cluster's numbers tell, there is still no news.
    gateway.cluster = None;
    gateway.hear_until(|gateway| gateway.cluster.is_some()).await;
    assert_eq!(gateway.unread(), 0);
    let _relay = Relay::start(&context, &node, RELAY);
    assert_eq!(gateway.assignment(FIRST).await.relay, RELAY);
}

#[tokio::test]
async fn the_banned_are_not_paired_by_session_or_address_or_when_the_ban_comes_later() {
    let context = context();
    let moderation = Moderation::start(&context).await;
    let banned = [subject(&context), subject(&context), subject(&context)];
    moderation.ban(&context, Subject { address: banned[0].address.slice(..0), ..banned[0].clone() });
    moderation.ban(&context, Subject { session: banned[1].session.slice(..0), ..banned[1].clone() });
    let place = Where::memory();
    let config = Config { moderation: Some(moderation.address.into()), ..Config::default() };
    let node = Node::start_with(&place, config).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    let Where::Memory(pool) = &place else { panic!("it is in memory") };
    let nobody_waits = async || {
        let shard = Shard::named("text.main.0").expect("a shard");
        let entries = pool.read_tickets(&shard, Default::default(), Duration::ZERO).await.expect("entries");
        entries.is_empty().then_some(())
    };
    for subject in &banned[..2] {
        gateway.enqueue(&Ticket { subject: Some(subject.clone()), ..ticket(&context, "gateway-1") }).await;
        until(FIRST, "who is banned is dropped from the pool", nobody_waits).await;
    }
    gateway.enqueue(&Ticket { subject: Some(banned[2].clone()), ..ticket(&context, "gateway-1") }).await;
    moderation.ban(&context, banned[2].clone());
    until(SOON, "who is banned while waiting is dropped too", nobody_waits).await;
    let good = [ticket(&context, "gateway-1"), ticket(&context, "gateway-1")];
    for ticket in &good {
        gateway.enqueue(ticket).await;
    }
    for _ in &good {
        let told = gateway.assignment(SOON).await;
        assert!(good.iter().any(|ticket| ticket.id == told.ticket), "only who is not banned");
    }
}

#[tokio::test]
async fn both_sides_of_a_chat_that_lost_its_relay_are_sent_to_the_same_one() {
    let context = context();
    let place = Where::memory();
    let nodes = [Node::start(&place).await, Node::start(&place).await];
    let _relays = [RELAY, "http://127.0.0.1:7003", "http://127.0.0.1:7004"]
        .map(|address| Relay::start(&context, &nodes[0], address));
    for node in &nodes {
        node.ready().await;
    }
    let mut gateway = Gateway::watch(&context, &nodes[0], "gateway-1", "").await;
    for _ in 0..2 {
        gateway.enqueue(&ticket(&context, "gateway-1")).await;
    }
    let told = [gateway.assignment(FIRST).await, gateway.assignment(FIRST).await];
    let mut homes = Vec::new();
    for (told, node) in told.iter().zip(&nodes) {
        let home = home(&context, node, told, &told.relay).await;
        assert_ne!(home.relay, told.relay);
        let claims = context.secret.verify(Purpose::Seat, &home.seat_token).expect("a good token");
        let claims = SeatClaims::decode(claims).expect("claims");
        assert_eq!((claims.seat, claims.epoch, home.epoch), (told.seat, 2, 2));
        let only_asked = self::home(&context, node, told, "").await;
        assert_eq!((&only_asked.relay, only_asked.epoch), (&home.relay, 2));
        homes.push(home.relay);
    }
    assert_eq!(homes[0], homes[1]);
}

#[tokio::test]
async fn a_home_that_the_store_lost_is_known_again_from_the_one_who_is_there() {
    let context = context();
    let place = Where::memory();
    let node = Node::start(&place).await;
    let _relays = [RELAY, "http://127.0.0.1:7003"].map(|address| Relay::start(&context, &node, address));
    node.ready().await;
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    for _ in 0..2 {
        gateway.enqueue(&ticket(&context, "gateway-1")).await;
    }
    let [one, other] = [gateway.assignment(FIRST).await, gateway.assignment(FIRST).await];
    let moved = home(&context, &node, &one, &one.relay).await;
    let Where::Memory(memory) = &place else { unreachable!("it is in memory") };
    memory.lose_everything();
    let seat_token = moved.seat_token.clone();
    let there = HomeQuestion { seat_token, held_at: moved.relay.clone(), ..HomeQuestion::default() };
    assert_eq!(found(&context, &node, there).await.epoch, 2);
    let told = home(&context, &node, &other, "").await;
    assert_eq!((&told.relay, told.epoch), (&moved.relay, 2));
}

/// Where a chat goes on, as soon as it is known.
async fn home(context: &Context, node: &Node, told: &Assignment, lost: &str) -> Home {
    let (seat_token, lost_relay) = (told.seat_token.clone(), lost.to_owned());
    found(context, node, HomeQuestion { seat_token, lost_relay, held_at: String::new() }).await
}

async fn found(context: &Context, node: &Node, question: HomeQuestion) -> Home {
    let request = ChooseHomesRequest { questions: vec![question], zone: String::new() };
    let mut client = node.client(context);
    let home = until(FIRST, "there is a home", async || {
        let answered = client.choose_homes(grpc::request(request.clone(), DEADLINE)).await.ok()?;
        match answered.into_inner().answers.pop()?.outcome? {
            Outcome::Home(home) => Some(home),
            Outcome::None(_) => None,
        }
    });
    home.await
}

#[tokio::test]
async fn every_gateway_is_told_what_all_of_them_carry() {
    let context = context();
    let place = Where::memory();
    let nodes = [Node::start(&place).await, Node::start(&place).await];
    for node in &nodes {
        node.ready().await;
    }
    let one = Gateway::watch(&context, &nodes[0], "gateway-1", "").await;
    let mut two = Gateway::watch(&context, &nodes[1], "gateway-2", "").await;
    one.carries(GatewayLoad { online: 3, waiting: 1, chatting: 2, ..GatewayLoad::default() }).await;
    two.carries(GatewayLoad { online: 4, waiting: 0, chatting: 4, ..GatewayLoad::default() }).await;
    let sum = GatewayLoad { online: 7, waiting: 1, chatting: 6, ..GatewayLoad::default() };
    let heard = two.hear_until(|gateway| gateway.cluster == Some(sum));
    tokio::time::timeout(FIRST, heard).await.expect("the sum is told");
}

#[tokio::test]
async fn every_gateway_is_told_where_the_others_are_reached_also_one_that_has_no_watch_at_the_moment() {
    let context = context();
    let place = Where::memory();
    let nodes = [Node::start(&place).await, Node::start(&place).await];
    for node in &nodes {
        node.ready().await;
    }
    let live = |number: u16| LiveGateway {
        id: format!("gateway-{number}"),
        address: format!("http://127.0.0.1:{number}"),
    };
    let mut none = Gateway::watch(&context, &nodes[0], "gateway-0", "").await;
    none.hear_for(Duration::from_secs(3)).await;
    assert!(none.cluster.is_some() && none.gateways.is_empty(), "none has an address");
    let mut two = Gateway::watch_reached_at(&context, &nodes[1], "gateway-2", &live(2).address).await;
    let first = Gateway::watch_reached_at(&context, &nodes[0], "gateway-1", &live(1).address).await;
    two.hears_of(&[live(1), live(2)], FIRST).await;
    none.hears_of(&[live(1), live(2)], FIRST).await;
    // It is told again although nothing is new.
    two.gateways.clear();
    two.hears_of(&[live(1), live(2)], FIRST).await;
    let ended = Instant::now();
    drop(first);
    two.hears_of(&[live(2)], FIRST + FIRST).await;
    assert!(ended.elapsed() > Duration::from_secs(4), "it may live on without a watch");
    // And what is new is told at once, not with the next numbers of the cluster.
    let again = Gateway::watch_reached_at(&context, &nodes[0], "gateway-1", &live(3).address).await;
    let moved = LiveGateway { address: live(3).address, ..live(1) };
    two.hears_of(&[moved, live(2)], Duration::from_millis(1_500)).await;
    drop(again);
}

#[tokio::test]
async fn a_ticket_put_in_twice_is_paired_once() {
    let context = context();
    let node = Node::start(&Where::memory()).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, RELAY);
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    let once = ticket(&context, "gateway-1");
    gateway.enqueue(&once).await;
    gateway.enqueue(&once).await;
    let others: Vec<_> = (0..3).map(|_| ticket(&context, "gateway-1")).collect();
    for other in &others {
        gateway.enqueue(other).await;
    }
    let mut told = BTreeSet::new();
    for _ in 0..4 {
        let ticket = gateway.assignment(FIRST).await.ticket;
        assert!(told.insert(TicketId::try_from(&ticket).expect("an id")), "once each");
    }
}
