//! Every order of events that matters, as a table of what happens and what follows.

use std::num::NonZeroU32;

use bytes::Bytes;
use chassis::{
    Random,
    id::{ChatId, Epoch, Seat, SessionId, TicketId},
};
use stroll_proto::v1::{
    Ended, EndedBy, Message, Notice, Peer, Refused, RefusedReason, Reported, Resumed, Started,
    gateway_frame::Body as ToRelay, relay_frame::Body as FromRelay,
};

use super::{Activity, Effect, Env, Pairing, Place, REPORT_WINDOW_MS, Session, Wanted};
use crate::{
    close::Close,
    config::Limits,
    limits::SessionLimits,
    protocol::{By, ClientFrame, Code, From, Mode, Presence, Private, Refusal, Role, ServerFrame},
};

/// A session with its surroundings, told one thing after another.
struct Stage {
    session: Session,
    random: Random,
    now_ms: u64,
}

impl Stage {
    /// Connected, with consent.
    fn new() -> Self {
        let mut stage = Self::without_consent();
        stage.connect(true, None);
        stage
    }

    fn without_consent() -> Self {
        let many = NonZeroU32::new(1_000).expect("not zero");
        let limits = SessionLimits::new(&Limits {
            connections_per_address: many,
            handshakes_per_address: many,
            handshakes_per_second: many,
            finds_per_session: NonZeroU32::new(5).expect("not zero"),
            messages_per_session: many,
        });
        Self { session: Session::new(SessionId([1; 16]), limits), random: Random::seeded(1), now_ms: 1_000 }
    }

    fn waiting() -> (Self, Wanted) {
        let mut stage = Self::new();
        let wanted = stage.find();
        let place = place("1");
        assert_eq!(stage.enqueued(&wanted, Ok(place)), [waiting_frame()]);
        (stage, wanted)
    }

    fn attaching() -> (Self, Pairing) {
        let (mut stage, wanted) = Self::waiting();
        let pairing = pairing(&wanted, 7);
        assert_eq!(stage.assign(pairing.clone()), [Effect::Attach(Box::new(pairing.clone()))]);
        (stage, pairing)
    }

    fn chatting() -> (Self, Pairing) {
        let (mut stage, pairing) = Self::attaching();
        let effects = stage.relay(FromRelay::Started(Started {}));
        let matched = Effect::Matched { pairing: Box::new(pairing.clone()), since_unix_ms: 1_000 };
        assert_eq!(effects, [Effect::Forget(pairing.ticket, None), matched]);
        (stage, pairing)
    }

    fn env(&self) -> Env<'_> {
        Env { now_ms: self.now_ms, random: &self.random }
    }

    fn connect(&mut self, consent: bool, resume: Option<ChatId>) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_connected(consent, resume, &env)
    }

    fn says(&mut self, json: &str) -> Vec<Effect> {
        let frame = ClientFrame::parse(json).expect("a good frame");
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_frame(frame, &env)
    }

    fn assign(&mut self, pairing: Pairing) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_assignment(pairing, &env)
    }

    fn relay(&mut self, body: FromRelay) -> Vec<Effect> {
        let env = Env { now_ms: self.now_ms, random: &self.random };
        self.session.on_relay(body, &env)
    }

    fn enqueued(&mut self, wanted: &Wanted, outcome: Result<Place, Refusal>) -> Vec<Effect> {
        self.session.on_enqueued(wanted.ticket, outcome)
    }

    fn find(&mut self) -> Wanted {
        let effects = self.says(r#"{"type":"find","mode":"text"}"#);
        let Some(Effect::Enqueue(wanted)) = effects.into_iter().next_back() else { panic!("no ticket") };
        wanted
    }

    #[track_caller]
    fn refused(&mut self, json: &str, code: Code) {
        let effects = self.says(json);
        assert!(
            matches!(&effects[..], [Effect::Send(ServerFrame::Error(refusal))] if refusal.code == code),
            "{json}: {effects:?}"
        );
    }
}

fn place(generation: &str) -> Place {
    Place { shard: "text.main.0".into(), entry: "1-1".into(), generation: generation.into() }
}

fn pairing(wanted: &Wanted, chat: u8) -> Pairing {
    Pairing {
        ticket: wanted.ticket,
        chat: ChatId([chat; 16]),
        seat: Seat(1),
        role: Role::Stranger,
        epoch: Epoch(1),
        relay: "http://127.0.0.1:1".into(),
        seat_token: Bytes::from_static(b"token"),
        common_interests: Vec::new(),
        language: None,
        question: None,
        mode: Mode::Text,
        initiator: false,
        traceparent: String::new(),
    }
}

fn waiting_frame() -> Effect {
    Effect::Send(ServerFrame::Waiting { interests: Vec::new(), patience_ms: 0 })
}

fn message(seq: u64) -> FromRelay {
    FromRelay::Message(Message { seq, text: "hi".into(), from: 2 })
}

fn shown(seq: u64) -> Effect {
    Effect::Send(ServerFrame::Message { seq, text: Private("hi".into()), from: From::Stranger })
}

fn ended(by: EndedBy, reason: &str) -> FromRelay {
    FromRelay::Ended(Ended { by: by.into(), reason: reason.into() })
}

fn told_of_end(by: By) -> Effect {
    Effect::Send(ServerFrame::Ended { chat: ChatId([7; 16]).to_string(), by, reason: None })
}

#[test]
fn a_wish_needs_consent_and_nothing_else_is_possible_outside_a_chat() {
    let mut stage = Stage::without_consent();
    stage.connect(false, None);
    stage.refused(r#"{"type":"find","mode":"text"}"#, Code::ConsentRequired);
    stage.refused(r#"{"type":"message","seq":1,"text":"hi"}"#, Code::NotNow);
    stage.refused(r#"{"type":"signal","seq":1,"data":{}}"#, Code::NotNow);
    stage.refused(r#"{"type":"leave"}"#, Code::NotNow);
    stage.refused(r#"{"type":"report","reason":"spam"}"#, Code::NotNow);
    stage.refused(r#"{"type":"again"}"#, Code::NotNow);
    stage.refused(r#"{"type":"hello"}"#, Code::NotNow);
    assert_eq!(stage.says(r#"{"type":"typing","on":true}"#), []);
    assert_eq!(stage.says(r#"{"type":"ack","seq":1}"#), []);
    assert_eq!(stage.says(r#"{"type":"cancel"}"#), [Effect::Send(ServerFrame::Idle)]);
}

#[test]
fn a_client_waits_when_the_pool_has_its_ticket_and_is_idle_after_cancel() {
    let (mut stage, wanted) = Stage::waiting();
    assert_eq!(stage.session.activity(), Activity::Waiting);
    let effects = stage.says(r#"{"type":"cancel"}"#);
    assert_eq!(effects, [Effect::Forget(wanted.ticket, Some(place("1"))), Effect::Send(ServerFrame::Idle)]);
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn a_cancel_that_overtakes_the_pool_takes_the_ticket_out_when_it_is_in() {
    let mut stage = Stage::new();
    let wanted = stage.find();
    stage.says(r#"{"type":"cancel"}"#);
    assert_eq!(stage.enqueued(&wanted, Ok(place("1"))), [Effect::Forget(wanted.ticket, Some(place("1")))]);
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn a_second_find_replaces_the_first() {
    let (mut stage, first) = Stage::waiting();
    let effects = stage.says(r#"{"type":"find","mode":"text"}"#);
    let [Effect::Forget(forgotten, Some(_)), Effect::Enqueue(second)] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(*forgotten, first.ticket);
    assert_ne!(second.ticket, first.ticket);
}

#[test]
fn the_pool_may_refuse_and_the_client_is_idle_again() {
    let mut stage = Stage::new();
    let wanted = stage.find();
    let effects = stage.enqueued(&wanted, Err(Refusal::new(Code::Busy, "full")));
    assert!(
        matches!(&effects[..], [Effect::Forget(..), Effect::Send(ServerFrame::Error(refusal))] if refusal.code == Code::Busy)
    );
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn finds_are_limited() {
    let mut stage = Stage::new();
    for _ in 0..5 {
        stage.find();
    }
    stage.refused(r#"{"type":"find","mode":"text"}"#, Code::SlowDown);
}

#[test]
fn i1_every_assignment_is_declined_but_the_one_of_the_waiting_ticket() {
    let (mut stage, wanted) = Stage::waiting();
    let stale = pairing(&Wanted { ticket: TicketId([9; 16]), ..wanted.clone() }, 8);
    assert_eq!(stage.assign(stale.clone()), [Effect::Decline(Box::new(stale.clone()))]);
    let good = pairing(&wanted, 7);
    assert_eq!(stage.assign(good.clone()), [Effect::Attach(Box::new(good.clone()))]);
    let second = pairing(&wanted, 8);
    assert_eq!(stage.assign(second.clone()), [Effect::Decline(Box::new(second))]);
    assert_eq!(stage.assign(good.clone()), [], "the same delivery once more");
    stage.relay(FromRelay::Started(Started {}));
    assert_eq!(stage.assign(good), [], "and in the chat");
    assert_eq!(stage.assign(stale.clone()), [Effect::Decline(Box::new(stale))]);
    assert_eq!(stage.session.activity(), Activity::Chatting);
}

#[test]
fn an_assignment_that_overtakes_the_pools_answer_lets_the_client_wait_first() {
    let mut stage = Stage::new();
    let wanted = stage.find();
    let good = pairing(&wanted, 7);
    assert_eq!(stage.assign(good.clone()), [waiting_frame(), Effect::Attach(Box::new(good))]);
    let late = stage.enqueued(&wanted, Ok(place("1")));
    assert_eq!(late, [], "what was put in is out already");
    assert_eq!(stage.relay(FromRelay::Started(Started {})).len(), 2);
}

#[test]
fn who_is_not_met_goes_back_into_the_pool_with_the_old_place() {
    let losses: [fn(&mut Stage) -> Vec<Effect>; 4] = [
        |stage| stage.relay(ended(EndedBy::NoShow, "")),
        |stage| stage.relay(FromRelay::Refused(Refused { reason: RefusedReason::Full.into() })),
        |stage| stage.relay(FromRelay::Refused(Refused { reason: RefusedReason::Gone.into() })),
        |stage| {
            let env = Env { now_ms: stage.now_ms, random: &stage.random };
            stage.session.on_relay_lost(&env)
        },
    ];
    for loss in losses {
        let (mut stage, before) = Stage::attaching();
        stage.now_ms += 5_000;
        let effects = loss(&mut stage);
        let [Effect::DropSeat, Effect::Forget(ticket, None), Effect::Enqueue(wanted)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(*ticket, before.ticket);
        assert_eq!(wanted.since_unix_ms, 1_000);
        assert_ne!(wanted.ticket, before.ticket);
        let wanted = wanted.clone();
        assert_eq!(stage.enqueued(&wanted, Ok(place("1"))), [], "the client was told already");
    }
}

#[test]
fn a_relay_with_another_secret_is_said_plainly() {
    let (mut stage, pairing) = Stage::attaching();
    let effects = stage.relay(FromRelay::Refused(Refused { reason: RefusedReason::BadToken.into() }));
    let [Effect::DropSeat, Effect::Forget(forgotten, None), Effect::Send(ServerFrame::Error(refusal)), idle] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!((*forgotten, refusal.code), (pairing.ticket, Code::Unavailable));
    assert_eq!(*idle, Effect::Send(ServerFrame::Idle), "it was told that it waits");
    assert_eq!(stage.session.activity(), Activity::Idle);
}

#[test]
fn a_lost_generation_puts_the_same_ticket_in_again() {
    let (mut stage, wanted) = Stage::waiting();
    assert_eq!(stage.session.on_generation(|held| held == "2"), []);
    let effects = stage.session.on_generation(|held| held == "1");
    assert!(matches!(&effects[..], [Effect::Enqueue(again)] if again.ticket == wanted.ticket && again.told));
    assert_eq!(stage.session.on_generation(|held| held == "1"), [], "it is on its way");
    assert_eq!(stage.enqueued(&wanted, Ok(place("2"))), []);
}

#[test]
fn i3_messages_are_shown_once_in_order_and_acknowledged_end_to_end() {
    let (mut stage, _) = Stage::chatting();
    assert_eq!(stage.relay(message(1)), [shown(1)]);
    assert_eq!(stage.relay(message(1)), []);
    assert_eq!(stage.relay(message(3)), []);
    assert_eq!(stage.says(r#"{"type":"ack","seq":1}"#), [Effect::Relay(ToRelay::Ack(1))]);
    assert_eq!(stage.says(r#"{"type":"ack","seq":1}"#), []);
    stage.refused(r#"{"type":"ack","seq":2}"#, Code::BadSeq);
    let sent = stage.says(r#"{"type":"message","seq":1,"text":"hey"}"#);
    assert_eq!(sent, [Effect::Relay(ToRelay::Message(Message { seq: 1, text: "hey".into(), from: 0 }))]);
    stage.refused(r#"{"type":"message","seq":3,"text":"hey"}"#, Code::BadSeq);
    assert_eq!(stage.relay(FromRelay::Ack(1)), [Effect::Send(ServerFrame::Ack { seq: 1 })]);
    assert_eq!(stage.relay(FromRelay::Ack(5)), [], "it was never sent");
    let known = stage.says(r#"{"type":"message","seq":1,"text":"hey"}"#);
    assert_eq!(known, [Effect::Send(ServerFrame::Ack { seq: 1 })]);
}

#[test]
fn i3_nothing_of_a_chat_is_shown_after_its_end() {
    let (mut stage, _) = Stage::chatting();
    let left = stage.says(r#"{"type":"leave"}"#);
    assert!(matches!(left[0], Effect::Relay(ToRelay::Leave(_))));
    assert_eq!(left[1..], [told_of_end(By::You), Effect::EndSeat]);
    for late in [message(1), ended(EndedBy::Stranger, ""), FromRelay::Resumed(Resumed { received: 0 })] {
        assert_eq!(stage.relay(late.clone()), []);
        assert_eq!(Session::on_past_relay(late), []);
    }
}

#[test]
fn the_end_says_who_ended_it() {
    let cases = [
        (EndedBy::Stranger, By::Stranger),
        (EndedBy::Away, By::Away),
        (EndedBy::Moderation, By::Moderation),
        (EndedBy::Error, By::Error),
    ];
    for (relay, client) in cases {
        let (mut stage, _) = Stage::chatting();
        assert_eq!(stage.relay(ended(relay, "")), [told_of_end(client), Effect::EndSeat]);
        assert_eq!(stage.session.activity(), Activity::Idle);
    }
    let (mut stage, _) = Stage::chatting();
    let effects = stage.relay(ended(EndedBy::Moderation, "spam_link"));
    assert!(
        matches!(&effects[0], Effect::Send(ServerFrame::Ended { reason: Some(reason), .. }) if reason == "spam_link")
    );
}

#[test]
fn typing_is_passed_on_only_when_it_changes_and_a_message_ends_it() {
    let (mut stage, _) = Stage::chatting();
    assert_eq!(stage.says(r#"{"type":"typing","on":false}"#), []);
    assert_eq!(stage.says(r#"{"type":"typing","on":true}"#), [Effect::Relay(ToRelay::Typing(true))]);
    assert_eq!(stage.says(r#"{"type":"typing","on":true}"#), []);
    stage.says(r#"{"type":"message","seq":1,"text":"hey"}"#);
    assert_eq!(stage.says(r#"{"type":"typing","on":false}"#), []);
}

#[test]
fn a_find_or_cancel_in_a_chat_is_refused_and_changes_nothing() {
    let (mut stage, _) = Stage::chatting();
    stage.refused(r#"{"type":"find","mode":"text"}"#, Code::NotNow);
    stage.refused(r#"{"type":"cancel"}"#, Code::NotNow);
    assert_eq!(stage.session.activity(), Activity::Chatting);
}

#[test]
fn a_dropped_socket_is_away_and_comes_back_with_the_right_chat() {
    let (mut stage, pairing) = Stage::chatting();
    stage.relay(message(1));
    stage.relay(message(2));
    stage.says(r#"{"type":"ack","seq":1}"#);
    assert!(matches!(stage.session.on_disconnected()[..], [Effect::Relay(ToRelay::Away(_))]));
    let back = stage.connect(true, Some(pairing.chat));
    assert!(matches!(&back[..], [Effect::Relay(ToRelay::Back(back))] if back.received == 1));
    let resumed = stage.relay(FromRelay::Resumed(Resumed { received: 0 }));
    assert_eq!(resumed, [Effect::Send(ServerFrame::Resumed { chat: pairing.chat.to_string(), received: 0 })]);
    assert_eq!(stage.relay(message(1)), [], "acknowledged before");
    assert_eq!(stage.relay(message(2)), [shown(2)], "not acknowledged before");
}

#[test]
fn a_client_that_comes_without_the_token_has_left() {
    let (mut stage, _) = Stage::chatting();
    stage.session.on_disconnected();
    let effects = stage.connect(true, None);
    assert!(matches!(effects[..], [Effect::Relay(ToRelay::Leave(_)), Effect::EndSeat]), "{effects:?}");
    let (mut stage, _) = Stage::chatting();
    let effects = stage.connect(true, Some(ChatId([9; 16])));
    assert!(
        matches!(&effects[..], [Effect::Relay(ToRelay::Leave(_)), Effect::EndSeat, Effect::Send(ServerFrame::Error(refusal))] if refusal.code == Code::ResumeFailed)
    );
}

#[test]
fn a_client_that_comes_back_too_late_learns_how_the_chat_ended() {
    let (mut stage, pairing) = Stage::chatting();
    stage.session.on_disconnected();
    stage.relay(ended(EndedBy::Away, ""));
    assert_eq!(stage.connect(true, Some(pairing.chat)), [told_of_end(By::Away)]);
}

#[test]
fn a_socket_that_drops_while_waiting_takes_its_ticket_along() {
    let (mut stage, wanted) = Stage::waiting();
    assert_eq!(stage.session.on_disconnected(), [Effect::Forget(wanted.ticket, Some(place("1")))]);
    assert!(stage.session.is_over());
    let (mut stage, pairing) = Stage::attaching();
    let effects = stage.session.on_disconnected();
    assert!(
        matches!(&effects[..], [Effect::Forget(ticket, None), Effect::Relay(ToRelay::Leave(_)), Effect::DropSeat] if *ticket == pairing.ticket)
    );
}

#[test]
fn presence_and_notices_are_told() {
    let (mut stage, _) = Stage::chatting();
    let away = stage.relay(FromRelay::Peer(Peer { seat: 2, away: true }));
    assert_eq!(away, [Effect::Send(ServerFrame::Stranger { state: Presence::Away })]);
    let notice = stage.relay(FromRelay::Notice(Notice { code: "spam_link".into(), text: "no links".into() }));
    assert_eq!(
        notice,
        [Effect::Send(ServerFrame::Notice { code: "spam_link".into(), text: "no links".into() })]
    );
}

#[test]
fn a_chat_can_be_reported_in_it_and_for_two_minutes_after() {
    let (mut stage, _) = Stage::chatting();
    assert!(matches!(
        stage.says(r#"{"type":"report","reason":"spam"}"#)[..],
        [Effect::Relay(ToRelay::Report(_))]
    ));
    stage.relay(ended(EndedBy::Stranger, ""));
    stage.now_ms += REPORT_WINDOW_MS;
    assert!(matches!(
        stage.says(r#"{"type":"report","reason":"spam"}"#)[..],
        [Effect::RelayPast(ToRelay::Report(_))]
    ));
    let stored = FromRelay::Reported(Reported { case: "S-1".into(), retry: false });
    assert_eq!(Session::on_past_relay(stored), [Effect::Send(ServerFrame::Reported { case: "S-1".into() })]);
    let away = Session::on_past_relay(FromRelay::Reported(Reported { case: String::new(), retry: true }));
    assert!(
        matches!(&away[..], [Effect::Send(ServerFrame::Error(refusal))] if refusal.code == Code::Unavailable && refusal.retry_after_ms.is_some())
    );
    stage.now_ms += 1;
    let env = Env { now_ms: stage.now_ms, random: &stage.random };
    assert_eq!(stage.session.on_time(&env), [Effect::DropPast]);
    stage.refused(r#"{"type":"report","reason":"spam"}"#, Code::NotNow);
}

#[test]
fn i5_a_ban_ends_everything_at_once() {
    let (mut stage, _) = Stage::chatting();
    let env = Env { now_ms: 1_000, random: &stage.random };
    let effects = stage.session.on_ban(&env);
    assert!(matches!(&effects[0], Effect::Relay(ToRelay::Leave(leave)) if leave.banned));
    assert_eq!(effects[1], told_of_end(By::Moderation));
    assert!(matches!(&effects[3], Effect::Send(ServerFrame::Error(refusal)) if refusal.code == Code::Banned));
    assert_eq!(effects[4], Effect::Close(Close::Banned));
    let (mut stage, wanted) = Stage::waiting();
    let env = stage.env();
    let now = Env { now_ms: env.now_ms, random: &stage.random.clone() };
    let effects = stage.session.on_ban(&now);
    assert_eq!(effects[0], Effect::Forget(wanted.ticket, Some(place("1"))));
}

#[test]
fn a_relay_that_cannot_be_reached_is_tried_ever_more_slowly_and_given_up_in_the_end() {
    let (mut stage, _) = Stage::attaching();
    let mut waited = 0;
    loop {
        let effects = stage.relay(ended(EndedBy::NoShow, ""));
        let Some(Effect::Enqueue(wanted)) = effects.last() else {
            assert_eq!(effects.last(), Some(&Effect::Send(ServerFrame::Idle)));
            break;
        };
        waited += wanted.after_ms;
        let pairing = pairing(wanted, 8);
        stage.assign(pairing);
    }
    assert!((10_000..60_000).contains(&waited), "{waited} ms");
}

#[test]
fn a_relay_that_says_nothing_is_given_up() {
    let (mut stage, _) = Stage::attaching();
    let deadline = stage.session.deadline_ms().expect("a deadline");
    stage.now_ms = deadline;
    let env = Env { now_ms: deadline, random: &stage.random };
    let effects = stage.session.on_time(&env);
    assert!(
        matches!(
            effects[..],
            [Effect::Relay(ToRelay::Leave(_)), Effect::DropSeat, Effect::Forget(..), Effect::Enqueue(_)]
        ),
        "{effects:?}"
    );
}

#[test]
fn typing_is_limited_without_a_word() {
    let (mut stage, _) = Stage::chatting();
    let mut passed = 0;
    for turn in 0..100 {
        passed += stage.says(&format!(r#"{{"type":"typing","on":{}}}"#, turn % 2 == 0)).len();
    }
    assert!(passed < 20, "{passed}");
}
