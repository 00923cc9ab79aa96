//! Cases for `tests/instructions`: what is said in a chat, through the hub.

use bytes::Bytes;
use chassis::{
    Random, Secret, Sections,
    id::{ChatId, Epoch, Seat, TicketId},
};
use stroll_counted::TIMES;
use stroll_proto::v1::{Message, RelayFrame, Resumed, relay_frame::Body};

use super::*;
use crate::{
    config::tests::public,
    instructions::TEXT,
    metrics::Depth,
    protocol::{Mode, Private, Role},
    relays::Link,
    session::{Found, Rejoin},
};

const RELAY: &str = "http://127.0.0.1:1";
const CHAT: ChatId = ChatId([2; 16]);
/// The first seat on a relay's stream.
const HANDLE: u64 = 1;

/// A session in a chat, at a gateway that has nobody around it.
struct Chatting {
    hub: Arc<Hub>,
    slot: Arc<Slot>,
    outbox: Arc<Outbox>,
    link: Arc<Link>,
}

impl Chatting {
    /// Comes into a running chat with the tokens of another gateway.
    fn new() -> Self {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let nowhere = Channel::new(&context, std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into());
        let config = public(&["--messages-per-session", "1000000"]);
        let hub = Hub::start(&context, config, String::new(), nowhere.clone(), nowhere);
        let session = SessionId([7; 16]);
        let memory = Memory::default();
        let known = Known { session, consent: true, memory, waited: None };
        let hello = Hello {
            session: Some(token::for_session(&context, &known)),
            resume: Some(token::for_resume(&context, session, &rejoin())),
            ..Hello::default()
        };
        let outbox = Arc::new(Outbox::new(Depth::default()));
        let slot = hub.hello(&hello, Vec::new(), &outbox).expect("nobody is banned");
        hub.tell(&slot, |session, env| session.on_home(CHAT, Found::Nothing, env));
        let chatting = Self { link: hub.relays.link(RELAY), hub, slot, outbox };
        chatting.hear(Body::Resumed(Resumed { received: Some(0), confirmed: Some(0), said: 0 }));
        assert_eq!(chatting.slot.activity(), Activity::Chatting);
        chatting.outbox.take();
        chatting
    }

    fn say(&self, frame: ClientFrame) {
        self.hub.frame(&self.slot, &self.outbox, frame);
    }

    fn hear(&self, body: Body) {
        self.hub.relay_frame(&self.link, RelayFrame { handle: HANDLE, body: Some(body) });
    }
}

fn rejoin() -> Rejoin {
    let pairing = Pairing {
        ticket: TicketId([0; 16]),
        chat: CHAT,
        seat: Seat(1),
        role: Role::Stranger,
        epoch: Epoch(1),
        turn: 0,
        relay: RELAY.to_owned(),
        seat_token: Bytes::from_static(b"token"),
        common_interests: Vec::new(),
        language: None,
        question: None,
        mode: Mode::Text,
        initiator: false,
        traceparent: String::new(),
        strangers: Vec::new(),
        again: None,
        partner_college: None,
    };
    Rejoin { pairing, section: Sections::default().first().clone() }
}

/// A message of the client's, and its acknowledgement by the stranger.
#[tokio::test]
async fn message_to_relay() {
    let chatting = Chatting::new();
    let said = |seq| (ClientFrame::Message { seq, text: Private(TEXT.to_owned()) }, Body::Ack(seq));
    let mut told = Vec::new();
    stroll_counted::times(said, |(message, ack)| {
        chatting.say(message);
        chatting.hear(ack);
        told.extend(chatting.outbox.take().0);
    });
    let acks: Vec<_> = (1..=TIMES).map(|seq| ServerFrame::Ack { seq }.to_json()).collect();
    assert_eq!(told, acks);
}

/// A message of the stranger's, and its acknowledgement by the client.
#[tokio::test]
async fn message_to_client() {
    let chatting = Chatting::new();
    let message = |seq| Body::Message(Message { seq, text: TEXT.to_owned(), from: 2 });
    let mut told = Vec::new();
    stroll_counted::times(
        |seq| (message(seq), ClientFrame::Ack { seq }),
        |(message, ack)| {
            chatting.hear(message);
            chatting.say(ack);
            told.extend(chatting.outbox.take().0);
        },
    );
    assert_eq!(told.len() as u64, TIMES);
    assert!(told.iter().all(|frame| frame.contains(TEXT)));
}
