//! What people wish for, through the whole service.

use std::{sync::Arc, time::Duration};

use chassis::{Context, grpc, id::TicketId};
use stroll_matchmaker::{Config, Matching, pool::Memory};
use stroll_proto::v1::{
    Assignment, EnqueueRefusalReason, EnqueueRequest, EnqueueResult, ExplainTicketRequest, Mode, Role,
    Ticket, TicketGroup, enqueue_result::Outcome,
};
use tonic::Code;

use crate::support::{Gateway, Node, Relay, Where, context, ticket, until};

/// I4: how long a pairing may take.
const SOON: Duration = Duration::from_secs(1);
/// The first pairing waits for the first lease and the first heartbeat too.
const FIRST: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(2);
const RELAY: &str = "http://127.0.0.1:7002";

struct World {
    context: Context,
    node: Node,
    gateway: Gateway,
    _relay: Relay,
}

impl World {
    /// One matchmaker that owns everything, a relay and a gateway.
    async fn start(matching: Matching) -> Self {
        let context = context();
        let place = Where::Memory(Arc::new(Memory::new(matching.limits(), &context)));
        let config =
            Config { matching, sections: "main,night".parse().expect("sections"), ..Config::default() };
        let node = Node::start_with(&place, config).await;
        node.ready().await;
        let relay = Relay::start(&context, &node, RELAY);
        let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
        for mode in [Mode::Text, Mode::Video] {
            for _ in 0..2 {
                gateway.enqueue(&Ticket { mode: mode.into(), ..ticket(&context, "gateway-1") }).await;
            }
        }
        for _ in 0..4 {
            gateway.assignment(FIRST).await;
        }
        Self { context, node, gateway, _relay: relay }
    }

    fn ticket(&self, change: impl FnOnce(&mut Ticket)) -> Ticket {
        let mut ticket = ticket(&self.context, "gateway-1");
        change(&mut ticket);
        ticket
    }

    async fn put(&mut self, change: impl FnOnce(&mut Ticket)) -> Ticket {
        let ticket = self.ticket(change);
        self.gateway.enqueue(&ticket).await;
        ticket
    }

    /// The next so many assignments, which are of one chat, by seat.
    async fn chat(&mut self, seats: usize) -> Vec<Assignment> {
        let mut told = Vec::new();
        for _ in 0..seats {
            told.push(self.gateway.assignment(SOON).await);
        }
        told.sort_by_key(|told| told.seat);
        assert!(told.iter().all(|one| one.chat == told[0].chat), "{told:?}");
        told
    }

    /// Nobody is paired until two others are, who meet only each other.
    async fn nobody_meets(&mut self) {
        let two = [
            self.put(|ticket| ticket.again = vec![9; 16].into()).await,
            self.put(|ticket| ticket.again = vec![9; 16].into()).await,
        ];
        let told = self.chat(2).await;
        assert!(told.iter().all(|told| two.iter().any(|ticket| ticket.id == told.ticket)));
    }

    async fn enqueue(&mut self, tickets: Vec<Ticket>) -> Vec<EnqueueResult> {
        let mut client = self.node.client(&self.context);
        let request = EnqueueRequest { tickets };
        let answer = until(DEADLINE, "the call goes through", async || {
            client.enqueue(grpc::request(request.clone(), DEADLINE)).await.ok()
        });
        answer.await.into_inner().results
    }
}

#[tokio::test]
async fn a_spy_and_two_who_discuss_get_one_chat_with_the_spys_question() {
    let mut world = World::start(Matching::default()).await;
    let spy = world.put(|ticket| ticket.ask = "Why do cats purr at night?".to_owned()).await;
    let one = world.put(|ticket| (ticket.discuss, ticket.patience_ms) = (true, 60_000)).await;
    world.nobody_meets().await;
    let two = world.put(|ticket| (ticket.discuss, ticket.patience_ms) = (true, 60_000)).await;
    let told = world.chat(3).await;
    assert_eq!([&told[0].ticket, &told[1].ticket, &told[2].ticket], [&one.id, &two.id, &spy.id]);
    assert_eq!([told[0].role(), told[1].role(), told[2].role()], [Role::Stranger, Role::Stranger, Role::Spy]);
    assert!(told.iter().all(|told| told.sealed_question == "Why do cats purr at night?"));
}

#[tokio::test]
async fn two_who_discuss_and_nobody_asks_get_a_question_of_the_operators() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let file = directory.path().join("questions");
    std::fs::write(&file, "[de] Wo ist es am schönsten?\n").expect("written");
    let mut world = World::start(Matching { questions: Some(file), ..Matching::default() }).await;
    let german = |ticket: &mut Ticket| {
        (ticket.discuss, ticket.patience_ms) = (true, 60_000);
        ticket.languages = vec!["de".to_owned()];
    };
    world.put(german).await;
    world.put(german).await;
    let told = world.chat(2).await;
    assert!(
        told.iter().all(|told| told.question == "Wo ist es am schönsten?" && told.role() == Role::Stranger)
    );
    // For those who share no language with the list there is none, and they wait for somebody who asks, for a while.
    let english = |ticket: &mut Ticket| {
        (ticket.discuss, ticket.patience_ms) = (true, 300);
        ticket.languages = vec!["en".to_owned()];
    };
    world.put(english).await;
    world.put(english).await;
    let told = world.chat(2).await;
    assert!(told.iter().all(|told| told.question.is_empty()));
}

#[tokio::test]
async fn only_two_who_hold_the_same_token_meet_again() {
    let mut world = World::start(Matching::default()).await;
    world.put(|_| ()).await;
    world.put(|_| ()).await;
    let first = world.chat(2).await;
    let token = first[0].again.clone();
    assert!(first.iter().all(|told| told.again == token && token.len() == 16));
    world.put(|ticket| ticket.again = token.clone()).await;
    let somebody = world.put(|_| ()).await;
    world.nobody_meets().await;
    world.put(|ticket| ticket.again = token.clone()).await;
    let again = world.chat(2).await;
    assert!(again.iter().all(|told| told.ticket != somebody.id && told.again != token), "it is good once");
}

#[tokio::test]
async fn i5_who_is_blocked_is_not_met_and_who_was_met_lately_is_met_last() {
    let mut world = World::start(Matching::default()).await;
    let blocked = world.put(|ticket| ticket.aliases = vec![1]).await;
    let blocker = world.put(|ticket| (ticket.aliases, ticket.blocked) = (vec![2], vec![1])).await;
    world.nobody_meets().await;
    let third = world.put(|_| ()).await;
    let told = world.chat(2).await;
    assert_eq!(told[0].ticket, blocked.id, "it has waited longest");
    assert_eq!(told[1].ticket, third.id);
    assert_eq!(told[1].strangers, [1], "by this it can remember the other one");
    // The one who is left meets whom they met lately, because nobody else is there.
    let known = world.put(|ticket| (ticket.aliases, ticket.met_lately) = (vec![3], vec![2])).await;
    let told = world.chat(2).await;
    assert_eq!([&told[0].ticket, &told[1].ticket], [&blocker.id, &known.id]);
}

#[tokio::test]
async fn those_of_a_college_meet_only_each_other_and_are_told_where_the_other_one_is() {
    let mut world = World::start(Matching::default()).await;
    let of = |college: &'static str, any| {
        move |ticket: &mut Ticket| (ticket.college, ticket.any_college) = (college.to_owned(), any)
    };
    let one = world.put(of("a.edu", false)).await;
    let open = world.put(of("b.edu", true)).await;
    let nobody = world.put(|_| ()).await;
    world.nobody_meets().await;
    let mut client = world.node.client(&world.context);
    let request =
        ExplainTicketRequest { ticket: one.id.clone(), mode: Mode::Text.into(), section: "main".to_owned() };
    let explained = client.explain_ticket(grpc::request(request, DEADLINE)).await.expect("an answer");
    assert_eq!(explained.into_inner().never, [TicketGroup { what: "college".to_owned(), waiting: 2 }]);
    for (first, second, colleges) in [
        (&one, world.ticket(of("a.edu", true)), ["a.edu", "a.edu"]),
        (&open, world.ticket(of("c.edu", true)), ["c.edu", "b.edu"]),
        (&nobody, world.ticket(|_| ()), ["", ""]),
    ] {
        world.gateway.enqueue(&second).await;
        let told = world.chat(2).await;
        assert_eq!([&told[0].ticket, &told[1].ticket], [&first.id, &second.id]);
        assert_eq!([&told[0].partner_college, &told[1].partner_college], colleges);
    }
}

#[tokio::test]
async fn sections_and_modes_do_not_mix() {
    let mut world = World::start(Matching::default()).await;
    world.put(|ticket| ticket.section = "night".to_owned()).await;
    world.put(|ticket| ticket.mode = Mode::Video.into()).await;
    world.put(|_| ()).await;
    world.nobody_meets().await;
    let other = world.put(|ticket| ticket.section = "night".to_owned()).await;
    let told = world.gateway.assignment(FIRST).await;
    let also = world.gateway.assignment(SOON).await;
    assert_eq!(told.chat, also.chat);
    assert!([told.ticket, also.ticket].contains(&other.id));
}

#[tokio::test]
async fn a_pool_has_a_bound_and_says_when_to_try_again() {
    let pool_size = std::num::NonZeroUsize::new(3).expect("three");
    let mut world = World::start(Matching { pool_size, ..Matching::default() }).await;
    let alone = |world: &World, name: &str| {
        world.ticket(|ticket| (ticket.interests, ticket.only_interests) = (vec![name.to_owned()], true))
    };
    let tickets = ["a", "b", "c", "d"].map(|name| alone(&world, name));
    let results = world.enqueue(tickets.to_vec()).await;
    let placed = results.iter().filter(|result| matches!(result.outcome, Some(Outcome::Place(_)))).count();
    let Some(Outcome::Refusal(refusal)) = &results[3].outcome else { panic!("{results:?}") };
    assert_eq!((placed, refusal.reason(), refusal.retry_after_ms), (3, EnqueueRefusalReason::Full, 5_000));
}

#[tokio::test]
async fn who_waits_is_told_how_long_others_have_waited() {
    let mut world = World::start(Matching::default()).await;
    for _ in 0..6 {
        world.put(|_| ()).await;
        world.put(|_| ()).await;
        world.chat(2).await;
    }
    until(FIRST, "the owner tells how long others waited", async || {
        let one = world.ticket(|_| ());
        let other = world.ticket(|_| ());
        let results = world.enqueue(vec![one, other]).await;
        let known = results[0].estimate_ms.is_some() && results[0].anybody_estimate_ms.is_some();
        known.then(|| assert!(results[0].estimate_ms < Some(1_000), "{results:?}"))
    })
    .await;
    let interests = world.ticket(|ticket| ticket.interests = vec!["tea".to_owned()]);
    let results = world.enqueue(vec![interests]).await;
    assert_eq!(results[0].estimate_ms, None, "of such nothing is known");
    assert!(results[0].anybody_estimate_ms.is_some());
}

#[tokio::test]
async fn an_operator_is_told_why_a_ticket_waits() {
    let mut world = World::start(Matching::default()).await;
    let asked = world
        .put(|ticket| {
            ticket.interests = vec!["Green Tea".to_owned(), "chess".to_owned()];
            ticket.languages = vec!["de".to_owned()];
            ticket.patience_ms = 600_000;
            (ticket.aliases, ticket.blocked) = (vec![1], vec![2]);
            ticket.since_unix_ms -= 1_000;
        })
        .await;
    world
        .put(|ticket| {
            ticket.interests = vec!["green tea".to_owned()];
            ticket.languages = vec!["fr".to_owned()];
            ticket.only_interests = true;
        })
        .await;
    world
        .put(|ticket| {
            ticket.interests = vec!["chess".to_owned()];
            ticket.only_interests = true;
            ticket.aliases = vec![2];
        })
        .await;
    let mut client = world.node.client(&world.context);
    let request = ExplainTicketRequest {
        ticket: asked.id.clone(),
        mode: Mode::Text.into(),
        section: "main".to_owned(),
    };
    let explained = until(DEADLINE, "the call goes through", async || {
        client.explain_ticket(grpc::request(request.clone(), DEADLINE)).await.ok()
    });
    let explained = explained.await.into_inner();
    let group = |what: &str, waiting| TicketGroup { what: what.to_owned(), waiting };
    assert_eq!(explained.never, [group("blocked", 1), group("language", 1)]);
    assert_eq!(explained.meets, [group("interest Green Tea", 0), group("interest chess", 0)]);
    assert_eq!((explained.others, explained.met_lately, explained.set_aside), (2, 0, false));
    assert_eq!(explained.owner, world.node.id);
    assert!(explained.waited_ms >= 1_000 && explained.widens_unix_ms > Some(1));
    let told = explained.ticket.expect("the ticket");
    assert_eq!(
        (told.subject, told.aliases.len(), told.blocked.len()),
        (None, 0, 0),
        "it does not tell who it is"
    );

    let oldest = ExplainTicketRequest { ticket: Vec::new().into(), ..request.clone() };
    let oldest =
        client.explain_ticket(grpc::request(oldest, DEADLINE)).await.expect("an answer").into_inner();
    assert_eq!(oldest.ticket.expect("the ticket").id, asked.id, "it has waited longest");
    let table = [
        (ExplainTicketRequest { ticket: TicketId([1; 16]).to_bytes(), ..request.clone() }, Code::NotFound),
        (ExplainTicketRequest { ticket: vec![1].into(), ..request.clone() }, Code::InvalidArgument),
        (ExplainTicketRequest { mode: 0, ..request.clone() }, Code::InvalidArgument),
        (ExplainTicketRequest { section: "elsewhere".to_owned(), ..request }, Code::InvalidArgument),
    ];
    for (request, code) in table {
        let refused =
            client.explain_ticket(grpc::request(request, DEADLINE)).await.expect_err("it is refused");
        assert_eq!(refused.code(), code);
    }
}
