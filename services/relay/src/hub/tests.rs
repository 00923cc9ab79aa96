//! What the hub keeps, and for how long.

mod instructions;

use std::time::Duration;

use bytes::Bytes;
use chassis::{Random, Secret, grpc::Channel, secret::Purpose};
use prost::Message as _;
use stroll_proto::v1::{Away, Leave, Message, Mode, Role, SeatClaims};

use super::*;
use crate::chat::REMEMBERED;

const MINUTE: Duration = Duration::from_mins(1);

/// A hub without neighbours, and a gateway's stream.
struct Bench {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    /// For moderation.
    texts: Receiver<Said>,
    /// Chats so far.
    chats: u8,
}

impl Bench {
    fn new(max_chats: usize, transcripts: usize) -> Self {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let metrics = Metrics::new();
        let nowhere = Channel::new(&context, std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into());
        let reports = Reports::new(&context, nowhere, metrics.clone());
        let (mut hub, texts) = Hub::new(&context, Chats { max_chats, ..Chats::default() }, reports, metrics);
        Arc::get_mut(&mut hub).expect("nobody else has it").memory = Memory::new(transcripts);
        let outbox = hub.open_stream();
        Self { hub, outbox, texts, chats: 0 }
    }

    /// A chat in which one thing was said.
    fn chat(&mut self, text: &str) -> [(u64, Place); 2] {
        self.chats += 1;
        let places = [1, 2].map(|seat| (u64::from(self.chats) * 10 + seat, seat));
        let places = places.map(|(handle, seat)| {
            let attach = Attach { seat_token: self.token(self.chats, seat), ..Attach::default() };
            let mut batch = self.hub.batch();
            (handle, self.hub.attach(&self.outbox, handle, attach, &mut batch).expect("a seat"))
        });
        self.frame(&places[0], FromGateway::Message(Message { seq: 1, text: text.to_owned(), from: 0 }));
        places
    }

    fn token(&self, chat: u8, seat: u64) -> Bytes {
        let claims = SeatClaims {
            chat: vec![chat; 16].into(),
            seat: u32::try_from(seat).expect("a small number"),
            seats: 2,
            role: Role::Stranger.into(),
            mode: Mode::Text.into(),
            epoch: 1,
            expires_unix_ms: u64::MAX,
        };
        self.hub.context.secret.sign(Purpose::Seat, &claims.encode_to_vec())
    }

    fn frame(&self, (handle, place): &(u64, Place), body: FromGateway) {
        let link = Link { stream: self.outbox.stream, handle: *handle };
        self.hub.frame(place, link, body, &mut self.hub.batch()).expect("it does something");
    }

    fn end(&self, places: &[(u64, Place); 2]) {
        self.frame(&places[0], FromGateway::Leave(Leave::default()));
    }

    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        self.hub.tick();
    }

    fn remembers(&self, chat: u8) -> bool {
        self.hub.table.lock().contains_key(&ChatId([chat; 16]))
    }

    fn transcript(&self, chat: u8) -> usize {
        let entry = self.hub.table.lock().get(&ChatId([chat; 16])).map(Arc::clone);
        entry.map_or(0, |entry| entry.0.lock().chat.transcript_size())
    }
}

#[tokio::test(start_paused = true)]
async fn an_ended_chat_leaves_nothing_behind_after_its_time() {
    let mut bench = Bench::new(10, MAX_TRANSCRIPTS);
    let places = bench.chat("hello");
    assert_eq!(bench.hub.live(), 1);
    assert!(bench.hub.memory.transcripts() > 0);
    bench.end(&places);
    assert_eq!(bench.hub.live(), 0);
    bench.pass(REMEMBERED - Duration::from_secs(1)).await;
    assert!(bench.remembers(1));
    assert!(places[0].1.is_remembered());
    bench.pass(Duration::from_secs(1)).await;
    assert!(!bench.remembers(1));
    assert!(!places[0].1.is_remembered());
    assert_eq!(bench.hub.memory.transcripts(), 0);
    bench.pass(10 * MINUTE).await;
    assert_eq!(bench.hub.timers.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_text_of_a_chat_that_goes_on_is_dropped_after_five_minutes() {
    let mut bench = Bench::new(10, MAX_TRANSCRIPTS);
    let _places = bench.chat("hello");
    bench.pass(5 * MINUTE - Duration::from_secs(1)).await;
    assert!(bench.transcript(1) > 0);
    bench.pass(Duration::from_secs(1)).await;
    assert_eq!(bench.transcript(1), 0);
    assert_eq!(bench.hub.live(), 1);
}

#[tokio::test(start_paused = true)]
async fn deadlines_that_move_do_not_pile_up() {
    let mut bench = Bench::new(10, MAX_TRANSCRIPTS);
    let places = bench.chat("hello");
    for _ in 0..100 {
        bench.frame(&places[0], FromGateway::Away(Away { elsewhere: false }));
        bench.pass(Duration::from_secs(20)).await;
        bench.frame(&places[0], FromGateway::Back(stroll_proto::v1::Back::default()));
        bench.pass(Duration::from_secs(20)).await;
    }
    assert!(bench.hub.timers.len() < 20, "{} deadlines", bench.hub.timers.len());
    assert_eq!(bench.hub.live(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_short_the_chat_that_ended_first_gives_its_transcript_up() {
    let text = "x".repeat(1_000);
    let mut bench = Bench::new(10, 2_500);
    let ended = [bench.chat(&text), bench.chat(&text)];
    ended.iter().for_each(|places| bench.end(places));
    bench.hub.tick();
    assert!(bench.transcript(1) > 0);
    let _running = bench.chat(&text);
    bench.hub.tick();
    assert_eq!(bench.transcript(1), 0);
    assert!(bench.remembers(1));
    assert!(bench.transcript(2) > 0 && bench.transcript(3) > 0);
}

#[tokio::test(start_paused = true)]
async fn of_too_many_ended_chats_those_that_ended_first_are_forgotten() {
    let mut bench = Bench::new(2, MAX_TRANSCRIPTS);
    for _ in 0..4 {
        let places = bench.chat("hello");
        bench.end(&places);
    }
    bench.hub.tick();
    assert_eq!([1, 2, 3, 4].map(|chat| bench.remembers(chat)), [false, false, true, true]);
}
