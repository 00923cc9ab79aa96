//! What gateways and relays get from matchmakers when something goes wrong.

use std::{collections::BTreeSet, time::Duration};

use chassis::grpc::{self, Targets};
use prost::Message as _;
use stroll_matchmaker::pool::{Delivery, Destination, Limits, Pairing, Pool as _, Redis, Shard};
use stroll_proto::v1::{
    Assignment, EnqueueRequest, WatchAssignmentsRequest, WatchOpen, watch_assignments_request::Kind as Up,
};
use tonic::Code;

use crate::support::{Gateway, Node, RedisServer, Relay, Where, context, ticket, until};

const SOON: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_secs(5);
/// I4: how long a pairing may take if a process died meanwhile, or Redis lost everything.
const AFTER_A_DEATH: Duration = Duration::from_secs(4);
const AFTER_A_LOSS: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(2);
const RELAY: &str = "http://127.0.0.1:7002";

/// Two matchmakers on one Redis, and a relay that reports to whoever is there.
async fn two(server: &RedisServer) -> ([Node; 2], Relay) {
    let place = Where::redis(server);
    let nodes = [Node::start(&place).await, Node::start(&place).await];
    for node in &nodes {
        node.ready().await;
    }
    let targets: Targets =
        format!("http://{},http://{}", nodes[0].address, nodes[1].address).parse().expect("targets");
    (nodes, Relay::start_at(&context(), targets, RELAY))
}

/// The node that owns the text shard, and the other one.
async fn owner_and_other(server: &RedisServer, nodes: [Node; 2]) -> (Node, Node) {
    let owner = until(FIRST, "the shard has an owner", async || {
        match server.command(&["GET", "test:{text.main.0}:owner"]) {
            redis::Value::BulkString(owner) => Some(String::from_utf8_lossy(&owner).into_owned()),
            _ => None,
        }
    });
    let owner = owner.await;
    let [one, other] = nodes;
    if owner.ends_with(&one.id) { (one, other) } else { (other, one) }
}

#[tokio::test]
async fn a_watch_that_goes_on_at_another_replica_misses_nothing() {
    let context = context();
    let server = RedisServer::start().await;
    let (nodes, _relay) = two(&server).await;
    let mut watch = Gateway::watch(&context, &nodes[0], "gateway-1", "").await;
    let pair = async |watch: &mut Gateway| {
        let tickets = [ticket(&context, "gateway-1"), ticket(&context, "gateway-1")];
        for ticket in &tickets {
            watch.enqueue(ticket).await;
        }
        tickets.map(|ticket| ticket.id)
    };
    let first = pair(&mut watch).await;
    let told = [watch.next(FIRST).await, watch.next(FIRST).await];
    let ids =
        BTreeSet::from_iter(told.iter().map(|told| told.assignment.clone().expect("an assignment").ticket));
    assert_eq!(ids, BTreeSet::from(first));

    // The connection breaks before anything was acknowledged, and two more meet meanwhile.
    let second = pair(&mut watch).await;
    drop(watch);
    let mut watch = Gateway::watch(&context, &nodes[1], "gateway-1", &told[0].id).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(watch.next(FIRST).await);
    }
    assert_eq!(seen[0], told[1], "it goes on after the last that was seen");
    let ids = BTreeSet::from_iter(
        seen[1..].iter().map(|told| told.assignment.clone().expect("an assignment").ticket),
    );
    assert_eq!(ids, BTreeSet::from(second));

    // What was acknowledged does not come again, even to one that has forgotten where it was.
    watch.acknowledge(&seen[1].id).await;
    until(SOON, "the inbox is trimmed", async || {
        (server.command(&["XLEN", "test:inbox:gateway-1"]) == redis::Value::Int(1)).then_some(())
    })
    .await;
    drop(watch);
    let mut watch = Gateway::watch(&context, &nodes[0], "gateway-1", "").await;
    assert_eq!(watch.next(FIRST).await, seen[2]);

    // An id of a store that lost everything, and whose clock was ahead, neither skips nor trims what came later.
    let ahead = "9999999999999-0@another-generation";
    let mut watch = Gateway::watch(&context, &nodes[1], "gateway-1", ahead).await;
    watch.acknowledge(ahead).await;
    assert_eq!(watch.next(FIRST).await, seen[2]);
    drop(watch);
    let mut watch = Gateway::watch(&context, &nodes[0], "gateway-1", "").await;
    assert_eq!(watch.next(FIRST).await, seen[2]);
}

#[tokio::test]
async fn another_replica_takes_over_from_an_owner_that_was_killed() {
    let context = context();
    let server = RedisServer::start().await;
    let (nodes, _relay) = two(&server).await;
    let (owner, other) = owner_and_other(&server, nodes).await;
    let mut watch = Gateway::watch(&context, &other, "gateway-1", "").await;
    let tickets = [ticket(&context, "gateway-1"), ticket(&context, "gateway-1")];
    watch.enqueue(&tickets[0]).await;
    owner.kill();
    watch.enqueue(&tickets[1]).await;
    for _ in &tickets {
        watch.assignment(AFTER_A_DEATH).await;
    }
}

#[tokio::test]
async fn what_a_dead_owner_had_committed_and_not_delivered_is_delivered_by_the_next() {
    let context = context();
    let server = RedisServer::start().await;
    let shard = Shard::named("text.main.0").expect("a shard");
    let pool =
        Redis::new(server.url().parse().expect("a URL"), "test:".to_owned(), Limits::default(), &context);
    pool.claim_pairs(&shard, Duration::ZERO).await.expect("the group is made");
    let epoch = pool
        .acquire(&shard, "dead", Duration::from_millis(100))
        .await
        .expect("an answer")
        .expect("the lease");
    let mut pairings = Vec::new();
    for chat in [1, 2] {
        let assignment = Assignment { chat: vec![chat; 16].into(), ..Assignment::default() }.encode_to_vec();
        let delivery =
            Delivery { to: Destination::Inbox("gateway-1".to_owned()), content: assignment.into() };
        let enqueued = pool.enqueue(&shard, &["a ticket".into()]).await.expect("put in").expect("it is open");
        pairings.push(Pairing { tickets: enqueued.entries, deliveries: vec![delivery] });
    }
    // It died when it had taken the one and not yet the other.
    pool.commit(&shard, epoch, &pairings[..1], &[]).await.expect("committed");
    assert_eq!(pool.take_pairs(&shard, SOON).await.expect("taken").len(), 1);
    pool.commit(&shard, epoch, &pairings[1..], &[]).await.expect("committed");

    let node = Node::start(&Where::redis(&server)).await;
    node.ready().await;
    let mut watch = Gateway::watch(&context, &node, "gateway-1", "").await;
    for chat in [1, 2] {
        assert_eq!(watch.assignment(AFTER_A_DEATH).await.chat, vec![chat; 16]);
    }
}

#[tokio::test]
async fn an_owner_that_drains_hands_over_at_once_and_ends_its_watches() {
    let context = context();
    let server = RedisServer::start().await;
    let (nodes, _relay) = two(&server).await;
    let (owner, other) = owner_and_other(&server, nodes).await;
    let mut watch = Gateway::watch(&context, &other, "gateway-1", "").await;
    let mut ending = Gateway::watch(&context, &owner, "gateway-2", "").await;
    watch.enqueue(&ticket(&context, "gateway-1")).await;
    let ended = async {
        loop {
            if let Err(status) = ending.hear().await {
                return status.code();
            }
        }
    };
    let (drained, ended) = tokio::join!(owner.drain(), ended);
    drained.expect("it drains well");
    assert_eq!(ended, Code::Unavailable, "so that the gateway goes elsewhere");
    watch.enqueue(&ticket(&context, "gateway-1")).await;
    for _ in 0..2 {
        watch.assignment(SOON).await;
    }
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_announced_and_pairs_again() {
    let context = context();
    let mut server = RedisServer::start().await;
    let (nodes, _relay) = two(&server).await;
    let mut watch = Gateway::watch(&context, &nodes[0], "gateway-1", "").await;
    let waiting = ticket(&context, "gateway-1");
    watch.enqueue(&waiting).await;
    let generation = watch.generation.clone();
    server.kill();
    let mut client = nodes[0].client(&context);
    let status = until(SOON, "calls are refused", async || {
        let request = EnqueueRequest { tickets: vec![ticket(&context, "gateway-1")] };
        client
            .enqueue(grpc::request(request, DEADLINE))
            .await
            .err()
            .filter(|status| status.message() == "the store is away")
    });
    assert_eq!(status.await.code(), Code::Unavailable);
    assert!(nodes[0].context.readiness.missing().is_empty(), "gateways must not lose their matchmakers");
    server.restart().await;
    let back = tokio::time::Instant::now();
    watch.hear_until(|watch| watch.generation != generation).await;
    watch.enqueue(&waiting).await;
    watch.enqueue(&ticket(&context, "gateway-1")).await;
    for _ in 0..2 {
        watch.assignment(AFTER_A_LOSS.saturating_sub(back.elapsed())).await;
    }
}

#[tokio::test]
async fn a_matchmaker_that_is_cut_off_from_redis_sends_its_gateways_to_others() {
    let context = context();
    let mut server = RedisServer::start().await;
    let ([node, _other], _relay) = two(&server).await;
    let mut watch = Gateway::watch(&context, &node, "gateway-1", "").await;
    server.kill();
    let ended = async {
        loop {
            if let Err(status) = watch.hear().await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(2 * FIRST, ended).await.expect("the watch ends");
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "the store is away"));
    let mut client = node.client(&context);
    let refused = client.watch_assignments(tokio_stream::pending()).await;
    assert_eq!(refused.err().map(|status| status.code()), Some(Code::Unavailable));
    server.restart().await;
    until(AFTER_A_LOSS, "it serves again", async || {
        let open = WatchOpen { gateway: "gateway-1".to_owned(), ..WatchOpen::default() };
        let open = tokio_stream::once(WatchAssignmentsRequest { kind: Some(Up::Open(open)) });
        client.watch_assignments(open).await.ok().map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_comes_back_older_than_it_was_is_announced_and_pairs_again() {
    let context = context();
    let mut server = RedisServer::start().await;
    let (nodes, _relay) = two(&server).await;
    let mut watch = Gateway::watch(&context, &nodes[0], "gateway-1", "").await;
    let generation = watch.generation.clone();
    until(FIRST, "the shard has an owner", async || {
        (server.command(&["EXISTS", "test:{text.main.0}:owner"]) == redis::Value::Int(1)).then_some(())
    })
    .await;
    server.command(&["SAVE"]);
    let waiting = ticket(&context, "gateway-1");
    watch.enqueue(&waiting).await;
    watch.enqueue(&waiting).await;
    until(SOON, "the owner has taken the ticket in, and dropped its repeat", async || {
        (server.command(&["XLEN", "test:{text.main.0}:tickets"]) == redis::Value::Int(1)).then_some(())
    })
    .await;
    server.kill();
    server.restart().await;
    let back = tokio::time::Instant::now();
    assert_eq!(server.command(&["XLEN", "test:{text.main.0}:tickets"]), redis::Value::Int(0), "it was lost");
    watch.hear_until(|watch| watch.generation != generation).await;
    watch.enqueue(&waiting).await;
    let other = ticket(&context, "gateway-1");
    watch.enqueue(&other).await;
    let mut told = BTreeSet::new();
    for _ in 0..2 {
        told.insert(watch.assignment(AFTER_A_LOSS.saturating_sub(back.elapsed())).await.ticket);
    }
    assert_eq!(told, BTreeSet::from([waiting.id, other.id]));
}

#[tokio::test]
async fn who_waits_in_a_redis_without_memory_is_paired_all_the_same() {
    let context = context();
    let server = RedisServer::start().await;
    let place = Where::redis(&server);
    let first = Node::start(&place).await;
    first.ready().await;
    let mut watch = Gateway::watch(&context, &first, "gateway-1", "").await;
    for _ in 0..2 {
        watch.enqueue(&ticket(&context, "gateway-1")).await;
    }
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let mut client = first.client(&context);
    until(FIRST, "there is no room for more", async || {
        let request = EnqueueRequest { tickets: vec![ticket(&context, "gateway-1")] };
        let refused = client.enqueue(grpc::request(request, DEADLINE)).await.err();
        refused.filter(|status| status.code() == Code::ResourceExhausted)
    })
    .await;
    // Also by one that has yet to begin, from its first heartbeat to the delivery.
    first.kill();
    let next = Node::start(&place).await;
    next.ready().await;
    let mut watch = Gateway::watch(&context, &next, "gateway-1", "").await;
    let _relay = Relay::start(&context, &next, RELAY);
    for _ in 0..2 {
        watch.assignment(AFTER_A_DEATH).await;
    }
}

#[tokio::test]
async fn a_redis_that_hangs_for_longer_than_a_lease_is_only_a_pause() {
    let context = context();
    let server = RedisServer::start().await;
    let (nodes, _relay) = two(&server).await;
    let mut watch = Gateway::watch(&context, &nodes[0], "gateway-1", "").await;
    watch.enqueue(&ticket(&context, "gateway-1")).await;
    let generation = watch.generation.clone();
    let url = server.url();
    let hanging = tokio::task::spawn_blocking(move || RedisServer::hang(&url, Duration::from_secs(3)));
    hanging.await.expect("it hung");
    watch.enqueue(&ticket(&context, "gateway-1")).await;
    for _ in 0..2 {
        watch.assignment(AFTER_A_DEATH).await;
    }
    assert_eq!(watch.generation, generation, "nothing was lost");
}

#[tokio::test]
async fn without_redis_at_the_start_it_waits_and_is_not_ready() {
    let context = context();
    let mut server = RedisServer::not_yet();
    let node = Node::start(&Where::redis(&server)).await;
    let mut client = node.client(&context);
    let status = until(FIRST, "calls are refused", async || {
        let request = EnqueueRequest { tickets: vec![ticket(&context, "gateway-1")] };
        client
            .enqueue(grpc::request(request, DEADLINE))
            .await
            .err()
            .filter(|status| status.message() == "the store is away")
    });
    assert_eq!(status.await.code(), Code::Unavailable);
    assert_eq!(node.context.readiness.missing()[0].0, "redis");
    server.restart().await;
    node.ready().await;
    let mut watch = Gateway::watch(&context, &node, "gateway-1", "").await;
    watch.enqueue(&ticket(&context, "gateway-1")).await;
}

#[tokio::test]
async fn while_it_waits_for_redis_it_drains_like_any_other() {
    let node = Node::start(&Where::redis(&RedisServer::not_yet())).await;
    node.drain().await.expect("it drains well");
}

#[tokio::test]
async fn it_ends_with_a_sentence_where_redis_would_drop_keys() {
    let server = RedisServer::start().await;
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lfu"]);
    let mut node = Node::start(&Where::redis(&server)).await;
    let error = node.end().await.expect_err("it refuses");
    assert!(format!("{error:#}").contains("noeviction"), "{error:#}");
    assert_eq!(node.context.readiness.missing()[0].0, "redis");
}
