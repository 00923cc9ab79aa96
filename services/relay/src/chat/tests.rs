//! The state machine, by stories: what comes in, and what goes out of it, in order.

mod moves;

use std::time::Duration;

use bytes::Bytes;
use chassis::id::{ChatId, Epoch, Seat};
use stroll_proto::v1::{
    Action, Away, Back, EndedBy, Leave, Message, Mode, Refused, RefusedReason, Report, Reported, Role,
    Signal, Subject, Verdict, gateway_frame::Body as FromGateway, relay_frame::Body,
};

use super::{Age, Arrival, Chat, Done, Effect, Ignored, Incoming, Link, Moment, Room, Rules, Seating, Watch};

const GRACE: u64 = 30;
const ATTACH_TIMEOUT: u64 = 5;
const RULES: Rules =
    Rules { grace: Duration::from_secs(GRACE), attach_timeout: Duration::from_secs(ATTACH_TIMEOUT) };
const SPY: u8 = 3;

type Event = fn(&mut Story);

/// A chat, a clock, and what came out so far.
struct Story {
    chat: Chat,
    now: Moment,
    seats: u8,
    mode: Mode,
    watch: Watch,
    out: Vec<Effect>,
}

impl Story {
    fn of(seats: u8, mode: Mode) -> Self {
        let now = Duration::from_secs(1_000_000);
        let chat = Chat::new(now, &seating(1, seats, mode, 1), RULES);
        Self { chat, now, seats, mode, watch: Watch::Inspecting, out: Vec::new() }
    }

    /// Two strangers in a text chat, of which nobody has come yet.
    fn new() -> Self {
        Self::of(2, Mode::Text)
    }

    /// Everybody is there.
    fn running(seats: u8, mode: Mode) -> Self {
        let mut story = Self::of(seats, mode);
        for seat in 1..=seats {
            story.attach(seat).expect("a seat");
        }
        story.out();
        story
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.chat.on_time(self.now, &mut self.out);
    }

    fn wait(&mut self, seconds: u64) -> Vec<String> {
        self.pass(seconds);
        self.out()
    }

    fn attach(&mut self, seat: u8) -> Result<(), RefusedReason> {
        self.attach_with(seat, u64::from(seat), 1, 0)
    }

    fn attach_with(&mut self, seat: u8, handle: u64, epoch: u64, received: u64) -> Result<(), RefusedReason> {
        let arrival = self.arrival(seat, handle, epoch);
        let attached = self.come(&Arrival { received: Some(received), ..arrival });
        attached.map(|_| ()).map_err(|refused| refused.reason())
    }

    fn come(&mut self, arrival: &Arrival) -> Result<Option<Link>, Refused> {
        self.chat.on_attach(self.now, arrival, &mut self.out)
    }

    /// To a chat that has begun, by a gateway that knows no numbers.
    fn late(&self, seat: u8, epoch: u64) -> Arrival {
        Arrival {
            received: None,
            confirmed: None,
            age: Age::Begun,
            ..self.arrival(seat, u64::from(seat), epoch)
        }
    }

    fn arrival(&self, seat: u8, handle: u64, epoch: u64) -> Arrival {
        let seating = seating(seat, self.seats, self.mode, epoch);
        let subject = Subject { session: Bytes::copy_from_slice(&[seat; 16]), address: Bytes::new() };
        let (received, confirmed) = (Some(0), Some(0));
        Arrival {
            seating,
            subject,
            received,
            confirmed,
            link: link(handle),
            age: Age::New,
            turn: 0,
            is_away: false,
        }
    }

    fn decline(&mut self, seat: u8) -> Result<Done, Ignored> {
        let seating = seating(seat, self.seats, self.mode, 1);
        self.chat.on_decline(self.now, &seating, &mut self.out)
    }

    fn frame(&mut self, seat: u8, body: FromGateway) -> Result<Done, Ignored> {
        self.frame_through(seat, u64::from(seat), body)
    }

    fn frame_through(&mut self, seat: u8, handle: u64, body: FromGateway) -> Result<Done, Ignored> {
        let (now, seat, watch) = (self.now, Seat(seat), self.watch);
        let incoming = Incoming { now, seat, link: link(handle), watch, room: Room::Ample };
        self.chat.on_frame(&incoming, body, &mut self.out)
    }

    fn lose(&mut self, seat: u8) -> bool {
        self.chat.on_lost(self.now, Seat(seat), link(u64::from(seat)), &mut self.out)
    }

    /// What came out since the last time, in short.
    fn out(&mut self) -> Vec<String> {
        self.out.drain(..).map(short).collect()
    }
}

fn seating(seat: u8, seats: u8, mode: Mode, epoch: u64) -> Seating {
    let role = if seat == SPY { Role::Spy } else { Role::Stranger };
    Seating { chat: ChatId([9; 16]), seat: Seat(seat), seats, role, mode, epoch: Epoch(epoch) }
}

fn link(handle: u64) -> Link {
    Link { stream: 1, handle }
}

fn say(seq: u64, text: &str) -> FromGateway {
    FromGateway::Message(Message { seq, text: text.to_owned(), from: 0 })
}

fn signal(seq: u64) -> FromGateway {
    FromGateway::Signal(Signal { seq, data: Bytes::from_static(b"{}"), from: 0 })
}

fn report(id: u8) -> FromGateway {
    let id = Bytes::copy_from_slice(&[id; 16]);
    FromGateway::Report(Report { reason: "spam".to_owned(), comment: String::new(), id })
}

fn back(received: u64) -> FromGateway {
    FromGateway::Back(Back { received: Some(received) })
}

const AWAY: FromGateway = FromGateway::Away(Away { elsewhere: false });
const LEAVE: FromGateway = FromGateway::Leave(Leave { banned: false });

fn short(effect: Effect) -> String {
    match effect {
        Effect::Send { seat, handle, body } if handle == u64::from(seat.0) => {
            format!("{seat}: {}", told(body))
        }
        Effect::Send { seat, handle, body } => format!("{seat}/{handle}: {}", told(body)),
        Effect::Inspect(said) => format!("inspect {}#{} {}", said.seat, said.seq, said.text),
        Effect::Report { seat, request } => format!("report by {seat}, {} lines", request.transcript.len()),
        Effect::Over(by) => format!("over {}", by.map_or("here", name)),
    }
}

fn told(body: Body) -> String {
    match body {
        Body::Started(_) => "started".to_owned(),
        Body::Refused(_) => "refused".to_owned(),
        Body::Message(message) => format!("{}#{} {}", message.from, message.seq, message.text),
        Body::Signal(signal) => format!("{}#{} signal", signal.from, signal.seq),
        Body::Ack(seq) => format!("ack {seq}"),
        Body::Typing(typing) => format!("{} typing {}", typing.from, typing.on),
        Body::Resumed(resumed) => format!("resumed {}", number(resumed.received)),
        Body::Peer(peer) => format!("{} {}", peer.seat, if peer.away { "away" } else { "back" }),
        Body::Ended(ended) => format!("ended {} {}", name(ended.by()), ended.reason).trim_end().to_owned(),
        Body::Notice(notice) => format!("notice {} {}", notice.code, notice.text),
        Body::Reported(Reported { case, retry }) => format!("reported {case:?} {retry}"),
        Body::Moving(_) => "moving".to_owned(),
        Body::Confirmed(seq) => format!("confirmed {seq}"),
        Body::Replaced(_) | Body::Pong(_) => "not a chat's".to_owned(),
    }
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "?".to_owned(), |number| number.to_string())
}

fn name(by: EndedBy) -> &'static str {
    by.as_str_name().trim_start_matches("ENDED_BY_")
}

const NOTHING: [&str; 0] = [];

// === the beginning ===

#[test]
fn a_chat_begins_when_all_seats_are_taken_and_not_before() {
    let mut story = Story::new();
    assert_eq!(story.attach(2), Ok(()));
    assert_eq!(story.frame(2, say(1, "too soon")), Err(Ignored::NotStarted));
    assert_eq!(story.frame(2, FromGateway::Typing(true)), Err(Ignored::NotStarted));
    assert_eq!(story.out(), NOTHING);
    assert_eq!(story.attach(1), Ok(()));
    assert_eq!(story.out(), ["1: started", "2: started"]);
    assert_eq!(story.wait(ATTACH_TIMEOUT), NOTHING);
}

#[test]
fn who_waits_too_long_for_the_other_is_told_so() {
    let mut story = Story::new();
    story.attach(1).expect("a seat");
    assert_eq!(story.wait(ATTACH_TIMEOUT - 1), NOTHING);
    assert_eq!(story.wait(1), ["1: ended NO_SHOW", "over NO_SHOW"]);
    assert_eq!(story.attach(2), Err(RefusedReason::Gone));
}

#[test]
fn a_decline_ends_the_wait_at_once_whoever_comes_first() {
    let mut first = Story::new();
    first.attach(1).expect("a seat");
    assert_eq!(first.decline(2), Ok(Done::Handled));
    assert_eq!(first.out(), ["1: ended NO_SHOW", "over NO_SHOW"]);

    let mut last = Story::new();
    assert_eq!(last.decline(2), Ok(Done::Handled));
    assert_eq!(last.out(), NOTHING);
    assert_eq!(last.attach(2), Err(RefusedReason::Gone));
    assert_eq!(last.attach(1), Ok(()));
    assert_eq!(last.out(), ["1: ended NO_SHOW", "over NO_SHOW"]);
}

#[test]
fn a_decline_that_nobody_follows_is_forgotten_after_the_attach_timeout() {
    let mut story = Story::new();
    story.decline(2).expect("a vacant seat");
    assert_eq!(story.wait(ATTACH_TIMEOUT), ["over NO_SHOW"]);
    assert_eq!(story.attach(1), Err(RefusedReason::Gone));
}

#[test]
fn a_seat_that_is_taken_can_not_be_declined() {
    let mut story = Story::running(2, Mode::Text);
    assert_eq!(story.decline(2), Err(Ignored::BadDecline));
    assert_eq!(story.out(), NOTHING);
}

#[test]
fn who_leaves_before_the_beginning_has_never_come() {
    let mut story = Story::new();
    story.attach(1).expect("a seat");
    assert_eq!(story.frame(1, LEAVE), Ok(Done::Handled));
    assert_eq!(story.frame(1, back(0)), Err(Ignored::Over));
    assert_eq!(story.out(), NOTHING);
    story.attach(2).expect("a seat");
    assert_eq!(story.out(), ["2: ended NO_SHOW", "over NO_SHOW"]);
}

#[test]
fn who_is_away_at_the_beginning_counts_as_come() {
    let mut story = Story::new();
    story.attach(1).expect("a seat");
    story.frame(1, AWAY).expect("heard");
    story.attach(2).expect("a seat");
    assert_eq!(story.out(), ["1: started", "2: started", "2: 1 away"]);
    assert_eq!(story.wait(GRACE), ["1: ended AWAY", "2: ended AWAY", "over AWAY"]);
}

#[test]
fn who_is_cut_off_before_the_beginning_has_not_come_yet() {
    let cut_off = || {
        let mut story = Story::new();
        story.attach(1).expect("a seat");
        assert!(story.lose(1));
        story.attach(2).expect("a seat");
        assert_eq!(story.out(), NOTHING);
        story
    };
    let mut comes_back = cut_off();
    comes_back.attach_with(1, 7, 1, 0).expect("a seat");
    assert_eq!(comes_back.out(), ["1/7: started", "2: started"]);
    assert_eq!(cut_off().wait(ATTACH_TIMEOUT), ["2: ended NO_SHOW", "over NO_SHOW"]);

    let mut leaves = Story::new();
    leaves.attach(1).expect("a seat");
    leaves.frame(1, LEAVE).expect("heard");
    assert!(leaves.lose(1));
    assert_eq!(leaves.attach(1), Err(RefusedReason::Gone));
}

#[test]
fn a_new_link_is_told_all_that_the_old_one_was() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(2, AWAY).expect("heard");
    assert_eq!(story.out(), ["1: 2 away"]);
    story.attach_with(1, 8, 1, 0).expect("the seat");
    assert_eq!(story.out(), ["1/8: started", "1/8: 2 away", "1/8: resumed 0"]);
    assert!(story.chat.on_lost(story.now, Seat(1), link(8), &mut story.out));
    story.frame(2, back(0)).expect("heard");
    story.out();
    story.attach_with(1, 9, 1, 0).expect("the seat");
    assert_eq!(story.out(), ["1/9: started", "2: 1 back", "2: resumed 0", "1/9: 2 back", "1/9: resumed 0"]);
}

#[test]
fn a_token_that_does_not_fit_the_chat_is_refused() {
    let mut story = Story::new();
    story.attach(1).expect("a seat");
    story.seats = 3;
    assert_eq!(story.attach(2), Err(RefusedReason::BadToken));
    (story.seats, story.mode) = (2, Mode::Video);
    assert_eq!(story.attach(2), Err(RefusedReason::BadToken));
}

// === what is said ===

#[test]
fn frames_reach_the_other_stranger_with_their_numbers_untouched() {
    let mut story = Story::running(2, Mode::Video);
    for (body, done, expected) in [
        (say(7, "hello"), Done::Message, &["inspect 1#7 hello", "2: 1#7 hello"][..]),
        (signal(8), Done::Signal, &["2: 1#8 signal"]),
        (FromGateway::Ack(3), Done::Ack, &["2: ack 3"]),
        (FromGateway::Typing(true), Done::Typing, &["2: 1 typing true"]),
    ] {
        assert_eq!(story.frame(1, body), Ok(done));
        assert_eq!(story.out(), expected);
    }
}

#[test]
fn a_repeat_is_passed_on_again_and_inspected_once() {
    let mut story = Story::running(2, Mode::Text);
    for _ in 0..2 {
        story.frame(1, say(1, "hello")).expect("passed on");
    }
    assert_eq!(story.out(), ["inspect 1#1 hello", "2: 1#1 hello", "2: 1#1 hello"]);
}

#[test]
fn what_is_too_large_empty_or_of_the_wrong_mode_changes_nothing() {
    let mut story = Story::running(2, Mode::Text);
    let mut video = Story::running(2, Mode::Video);
    let data = |len| FromGateway::Signal(Signal { seq: 1, data: vec![b'x'; len].into(), from: 0 });
    assert_eq!(story.frame(1, say(1, "")), Err(Ignored::BadSize));
    assert_eq!(story.frame(1, say(1, &"x".repeat(2_001))), Err(Ignored::BadSize));
    assert_eq!(story.frame(1, signal(1)), Err(Ignored::WrongMode));
    assert_eq!(video.frame(1, data(0)), Err(Ignored::BadSize));
    assert_eq!(video.frame(1, data(12 * 1024 + 1)), Err(Ignored::BadSize));
    assert_eq!(video.frame(1, data(12 * 1024)), Ok(Done::Signal));
    assert_eq!(story.out(), NOTHING);
}

#[test]
fn without_moderation_messages_pass_or_are_held_until_it_is_back() {
    let mut story = Story::running(2, Mode::Text);
    story.watch = Watch::Passing;
    assert_eq!(story.frame(1, say(1, "passed")), Ok(Done::Message));
    assert_eq!(story.out(), ["2: 1#1 passed"]);

    story.watch = Watch::Holding;
    story.frame(2, FromGateway::Ack(1)).expect("an ack");
    story.out();
    assert_eq!(story.frame(1, say(2, "held")), Err(Ignored::Held));
    assert_eq!(story.out(), NOTHING);
    story.chat.on_release(&mut story.out);
    assert_eq!(story.out(), ["1: resumed 1"]);
    story.chat.on_release(&mut story.out);
    assert_eq!(story.out(), NOTHING);
}

// === away and back ===

#[test]
fn both_sides_repeat_what_the_other_lacks_when_one_comes_back() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(2, FromGateway::Ack(4)).expect("an ack");
    story.out();
    story.frame(1, AWAY).expect("heard");
    story.frame(1, AWAY).expect("heard twice");
    assert_eq!(story.out(), ["2: 1 away"]);
    for body in [say(1, "unheard"), FromGateway::Typing(true)] {
        assert_eq!(story.frame(2, body), Err(Ignored::NobodyThere));
    }
    story.frame(2, FromGateway::Ack(5)).expect("counted");
    assert_eq!(story.out(), NOTHING);
    story.frame(1, back(2)).expect("heard");
    assert_eq!(story.out(), ["2: 1 back", "2: resumed 2", "1: resumed 5"]);
    assert_eq!(story.wait(GRACE), NOTHING);
}

#[test]
fn received_never_goes_back() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, FromGateway::Ack(9)).expect("an ack");
    story.frame(1, FromGateway::Ack(3)).expect("an ack");
    story.out();
    story.frame(1, back(4)).expect("heard");
    assert_eq!(story.out(), ["2: 1 back", "2: resumed 9", "1: resumed 0"]);
}

#[test]
fn when_both_were_away_each_learns_of_the_other_on_return() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, AWAY).expect("heard");
    story.frame(2, AWAY).expect("heard");
    assert_eq!(story.out(), ["2: 1 away"]);
    story.frame(1, back(0)).expect("heard");
    assert_eq!(story.out(), ["1: 2 away", "1: resumed 0"]);
    story.frame(2, back(0)).expect("heard");
    assert_eq!(story.out(), ["1: 2 back", "1: resumed 0", "2: 1 back", "2: resumed 0"]);
}

#[test]
fn the_first_grace_to_end_ends_the_chat() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, AWAY).expect("heard");
    assert_eq!(story.wait(GRACE / 2), ["2: 1 away"]);
    story.lose(2);
    assert_eq!(story.chat.deadline(), Some(story.now + Duration::from_secs(GRACE / 2)));
    assert_eq!(story.wait(GRACE / 2), ["1: ended AWAY", "over AWAY"]);
}

#[test]
fn a_lost_stream_is_as_away_and_a_new_attach_as_back() {
    let mut story = Story::running(2, Mode::Text);
    assert!(story.lose(1));
    assert!(!story.lose(1));
    assert_eq!(story.out(), ["2: 1 away"]);
    story.attach_with(1, 8, 1, 3).expect("the seat is kept");
    assert_eq!(story.out(), ["1/8: started", "2: 1 back", "2: resumed 3", "1/8: resumed 0"]);
}

#[test]
fn a_second_attach_takes_the_seat_over_and_the_first_counts_no_more() {
    let mut story = Story::running(2, Mode::Text);
    story.attach_with(1, 8, 1, 0).expect("the seat");
    assert_eq!(story.out(), ["1/8: started", "2: 1 back", "2: resumed 0", "1/8: resumed 0"]);
    for body in [say(1, "ghost"), AWAY, LEAVE, report(1)] {
        assert_eq!(story.frame(1, body), Err(Ignored::Replaced));
    }
    assert!(!story.lose(1));
    assert_eq!(story.out(), NOTHING);
    story.frame_through(1, 8, say(1, "me")).expect("passed on");
    assert_eq!(story.out(), ["inspect 1#1 me", "2: 1#1 me"]);
}

#[test]
fn an_older_epoch_is_gone_and_a_newer_one_fences_the_older_off() {
    let mut story = Story::running(2, Mode::Text);
    assert_eq!(story.attach_with(1, 8, 0, 0), Err(RefusedReason::Gone));
    assert_eq!(story.attach_with(1, 8, 2, 0), Ok(()));
    assert_eq!(story.attach_with(2, 9, 1, 0), Err(RefusedReason::Gone));
    assert_eq!(story.attach_with(2, 9, 2, 0), Ok(()));
}

// === the end ===

#[test]
fn leaving_tells_the_other_and_not_oneself() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, LEAVE).expect("heard");
    assert_eq!(story.out(), ["2: ended STRANGER", "over STRANGER"]);
    assert!(story.chat.is_over());
}

#[test]
fn who_was_banned_leaves_in_moderations_name() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, FromGateway::Leave(Leave { banned: true })).expect("heard");
    assert_eq!(story.out(), ["2: ended MODERATION", "over MODERATION"]);
}

#[test]
fn verdicts_warn_the_sender_or_end_the_chat_for_all() {
    let verdict = |seat, action: Action| {
        let (rule, text) = ("spam_link".to_owned(), "no links".to_owned());
        Verdict { chat: Bytes::new(), seat, seq: 1, action: action.into(), rule, text }
    };
    for (seat, action, expected) in [
        (1, Action::Warn, &["1: notice spam_link no links"][..]),
        (
            1,
            Action::End,
            &[
                "1: notice spam_link no links",
                "1: ended MODERATION spam_link",
                "2: ended MODERATION",
                "over MODERATION",
            ],
        ),
        (
            2,
            Action::Ban,
            &[
                "2: notice spam_link no links",
                "1: ended MODERATION",
                "2: ended MODERATION spam_link",
                "over MODERATION",
            ],
        ),
        (1, Action::Unspecified, &[]),
        (0, Action::End, &[]),
        (3, Action::End, &[]),
    ] {
        let mut story = Story::running(2, Mode::Text);
        let acted = story.chat.on_verdict(story.now, verdict(seat, action), &mut story.out);
        assert_eq!(acted, !expected.is_empty());
        assert_eq!(story.out(), expected);
    }
}

#[test]
fn after_the_end_nothing_comes_but_reported() {
    let verdict = Verdict { seat: 1, action: Action::End.into(), ..Verdict::default() };
    let ends: [(&str, Event); 5] = [
        ("leave", |story| _ = story.frame(1, LEAVE)),
        ("grace", |story| _ = (story.frame(1, AWAY), story.pass(GRACE))),
        ("a verdict", |story| {
            let verdict = Verdict { seat: 2, action: Action::Ban.into(), ..Verdict::default() };
            story.chat.on_verdict(story.now, verdict, &mut story.out);
        }),
        ("a report before it", |story| _ = (story.frame(1, report(9)), story.frame(2, LEAVE))),
        ("two leave", |story| _ = (story.frame(2, LEAVE), story.frame(1, LEAVE))),
    ];
    for (what, end) in ends {
        let mut story = Story::running(2, Mode::Video);
        end(&mut story);
        let out = story.out();
        assert_eq!(out.iter().filter(|line| line.starts_with("over")).count(), 1, "{what}: {out:?}");
        for seat in [1, 2] {
            for body in
                [say(1, "x"), signal(2), FromGateway::Ack(1), FromGateway::Typing(true), AWAY, back(0), LEAVE]
            {
                assert_eq!(story.frame(seat, body), Err(Ignored::Over), "{what}");
            }
            assert_eq!(story.attach(seat), Err(RefusedReason::Gone), "{what}");
            assert_eq!(story.decline(seat), Err(Ignored::BadDecline), "{what}");
            story.lose(seat);
        }
        assert!(!story.chat.on_verdict(story.now, verdict.clone(), &mut story.out));
        story.chat.on_release(&mut story.out);
        story.chat.on_hand_over(&mut story.out);
        assert_eq!(story.wait(GRACE), NOTHING, "{what}");
    }
}

#[test]
fn an_ended_chat_is_remembered_for_two_minutes() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, LEAVE).expect("heard");
    assert_eq!(story.chat.deadline(), Some(story.now + super::REMEMBERED));
    assert!(!story.chat.is_forgotten(story.now + Duration::from_secs(119)));
    assert!(story.chat.is_forgotten(story.now + Duration::from_secs(120)));
}

// === reports ===

#[test]
fn a_report_freezes_the_last_minutes_and_everybody_in_the_chat() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, say(1, "old")).expect("passed on");
    story.wait(299);
    story.frame(2, say(1, "young")).expect("passed on");
    story.wait(2);
    story.out.clear();
    story.frame(2, report(1)).expect("heard");
    let Some(Effect::Report { seat, request }) = story.out.pop() else { panic!("a report") };
    assert_eq!((seat, request.reporter_seat, request.began_unix_ms), (Seat(2), 2, 1_000_000_000));
    let texts: Vec<_> = request.transcript.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["young"]);
    let sessions: Vec<_> =
        request.participants.iter().map(|who| who.subject.clone().expect("one").session).collect();
    assert_eq!(sessions, [vec![1; 16], vec![2; 16]]);
}

#[test]
fn after_the_end_a_report_has_the_minutes_before_the_end() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, say(1, "hello")).expect("passed on");
    story.wait(290);
    story.frame(1, LEAVE).expect("heard");
    story.out();
    story.wait(60);
    for seat in [1, 2] {
        story.frame(seat, report(1)).expect("heard");
        assert_eq!(story.out(), [format!("report by {seat}, 1 lines")]);
    }
    let answer = Reported { case: "C-1".to_owned(), retry: false };
    story.chat.on_reported(Seat(1), answer, &mut story.out);
    assert_eq!(story.out(), ["1: reported \"C-1\" false"]);
}

#[test]
fn a_seat_has_three_reports_and_repeats_of_them_are_free() {
    let mut story = Story::running(2, Mode::Text);
    for id in [1, 2, 3, 2] {
        story.frame(1, report(id)).expect("heard");
    }
    assert_eq!(story.out().len(), 4);
    story.frame(1, report(4)).expect("heard");
    story.frame(2, report(4)).expect("heard");
    assert_eq!(story.out(), ["1: reported \"\" false", "report by 2, 0 lines"]);
}

#[test]
fn an_unsound_report_is_never_stored() {
    let sound = Report { reason: "spam".to_owned(), comment: "é".repeat(1_000), id: vec![1; 16].into() };
    let reports = [
        Report { comment: "x".repeat(1_001), ..sound.clone() },
        Report { reason: String::new(), ..sound.clone() },
        Report { reason: "x".repeat(33), ..sound.clone() },
        Report { id: Bytes::from_static(b"short"), ..sound.clone() },
    ];
    let mut story = Story::running(2, Mode::Text);
    for unsound in reports {
        story.frame(1, FromGateway::Report(unsound)).expect("heard");
        assert_eq!(story.out(), ["1: reported \"\" false"]);
    }
    story.frame(1, FromGateway::Report(sound)).expect("heard");
    assert_eq!(story.out(), ["report by 1, 0 lines"]);

    let mut unbegun = Story::new();
    unbegun.attach(1).expect("a seat");
    unbegun.frame(1, report(1)).expect("heard");
    assert_eq!(unbegun.out(), ["1: reported \"\" false"]);
}

// === spies ===

#[test]
fn a_spy_sees_both_and_is_seen_by_nobody() {
    let mut story = Story::running(3, Mode::Text);
    story.frame(1, say(1, "a")).expect("passed on");
    story.frame(2, say(1, "b")).expect("passed on");
    story.frame(1, FromGateway::Ack(1)).expect("passed on");
    story.frame(1, FromGateway::Typing(true)).expect("passed on");
    assert_eq!(
        story.out(),
        [
            "inspect 1#1 a",
            "2: 1#1 a",
            "3: 1#1 a",
            "inspect 2#1 b",
            "1: 2#1 b",
            "3: 2#1 b",
            "2: ack 1",
            "2: 1 typing true",
            "3: 1 typing true"
        ]
    );
    for body in [say(1, "x"), FromGateway::Ack(1), FromGateway::Typing(true)] {
        assert_eq!(story.frame(SPY, body), Err(Ignored::Spy));
    }
    story.frame(SPY, AWAY).expect("heard");
    assert_eq!(story.out(), NOTHING);
    story.frame(1, AWAY).expect("heard");
    story.frame(SPY, back(0)).expect("heard");
    assert_eq!(story.out(), ["2: 1 away", "3: 1 away", "3: resumed 0"]);
}

#[test]
fn without_its_spy_a_chat_goes_on_and_without_a_stranger_it_is_over_for_all() {
    let ends: [(Event, &[&str]); 3] = [
        (|story| _ = story.frame(SPY, LEAVE), &[]),
        (|story| _ = (story.frame(SPY, AWAY), story.pass(GRACE)), &["3: ended AWAY"]),
        (|story| _ = (story.lose(SPY), story.pass(GRACE)), &[]),
    ];
    for (end, told) in ends {
        let mut story = Story::running(3, Mode::Text);
        end(&mut story);
        assert_eq!(story.out(), told);
        assert_eq!(story.attach(SPY), Err(RefusedReason::Gone));
        story.frame(1, say(1, "a")).expect("passed on");
        assert_eq!(story.out(), ["inspect 1#1 a", "2: 1#1 a"]);
        story.frame(2, LEAVE).expect("heard");
        assert_eq!(story.out(), ["1: ended STRANGER", "over STRANGER"]);
    }
    let mut story = Story::running(3, Mode::Text);
    story.frame(2, LEAVE).expect("heard");
    assert_eq!(story.out(), ["1: ended STRANGER", "3: ended STRANGER", "over STRANGER"]);
}

// === privacy ===

#[test]
fn the_debug_of_a_chat_shows_no_text() {
    let mut story = Story::running(2, Mode::Text);
    story.frame(1, say(1, "secret words")).expect("passed on");
    assert!(!format!("{:?}", story.chat).contains("secret"));
}
