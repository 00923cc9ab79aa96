//! Where the hub keeps one session, with its client and its seats.

use std::sync::Arc;

use bytes::Bytes;
use chassis::id::{AddressHash, SessionId};
use parking_lot::Mutex;
use stroll_proto::v1::{Subject, gateway_frame::Body};

use crate::{
    classic::Endpoint,
    outbox::Outbox,
    permit::Permit,
    protocol::Find,
    relays::Link,
    session::{Activity, Session},
};

/// One session's place. All that belongs to it is under one lock, which is never held over an await.
pub struct Slot {
    /// Who it is.
    pub id: SessionId,
    /// The rest.
    pub inner: Mutex<Inner>,
}

/// What is under the lock.
pub struct Inner {
    /// The state machine.
    pub session: Session,
    /// What its client is reached by, while there is one.
    pub client: Option<Client>,
    /// Keyed hashes of the address that it last connected from.
    pub addresses: Vec<AddressHash>,
    /// The seat of the chat, or of the one that is about to begin.
    pub seat: Option<Seat>,
    /// The seat of the chat that is over, for a report.
    pub past_seat: Option<Seat>,
    /// When the hub looks at it next for what time brings, in milliseconds since the Unix epoch.
    pub heeded_ms: Option<u64>,
    /// The hub has let go of this slot: take another.
    pub removed: bool,
}

/// What a client is reached by.
pub enum Client {
    /// A WebSocket.
    Socket(Arc<Outbox>),
    /// Polls of the classic protocol.
    Classic(Box<Classic>),
}

/// What is kept for a classic client.
pub struct Classic {
    /// Its end of the chat.
    pub endpoint: Endpoint,
    /// The captcha that it is to solve first.
    pub challenge: Option<Box<Challenge>>,
    /// It counts for its address as long as it lasts.
    pub _permit: Permit,
}

/// A captcha that is to be solved before the client waits.
pub struct Challenge {
    /// What it waits for then.
    pub find: Find,
    /// An answer is being checked.
    pub is_checked: bool,
}

/// A seat at a relay.
#[derive(Clone)]
pub struct Seat {
    link: Arc<Link>,
    handle: u64,
}

impl Slot {
    /// For a new session.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let id = session.id();
        let inner = Inner {
            session,
            client: None,
            addresses: Vec::new(),
            seat: None,
            past_seat: None,
            heeded_ms: None,
            removed: false,
        };
        Self { id, inner: Mutex::new(inner) }
    }

    /// What the session does.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.inner.lock().session.activity()
    }
}

impl Inner {
    /// Whether it is this socket that the client is reached by.
    #[must_use]
    pub fn has_socket(&self, outbox: &Arc<Outbox>) -> bool {
        matches!(&self.client, Some(Client::Socket(socket)) if Arc::ptr_eq(socket, outbox))
    }

    /// What is kept for the client, if it is a classic one.
    pub fn classic(&mut self) -> Option<&mut Classic> {
        match &mut self.client {
            Some(Client::Classic(classic)) => Some(classic),
            Some(Client::Socket(_)) | None => None,
        }
    }

    /// Who it is, for moderation and the pool.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let address = self.addresses.first().map_or_else(Bytes::new, |address| address.to_bytes());
        Subject { session: self.session.id().to_bytes(), address }
    }

    /// Takes a seat on a stream.
    pub fn sit(&mut self, slot: &Arc<Slot>, link: Arc<Link>, body: Body) -> bool {
        let handle = link.new_handle();
        link.register(handle, Arc::clone(slot));
        let taken = link.push(handle, body);
        if let Some(before) = self.seat.replace(Seat { link, handle }) {
            before.forget();
        }
        taken
    }

    /// The chat is over; its seat is kept for a report, in place of the one before.
    pub fn end_seat(&mut self) {
        self.drop_past_seat();
        self.past_seat = self.seat.take();
    }

    /// The chat never began.
    pub fn drop_seat(&mut self) {
        if let Some(seat) = self.seat.take() {
            seat.forget();
        }
    }

    /// The past can no longer be reported.
    pub fn drop_past_seat(&mut self) {
        if let Some(seat) = self.past_seat.take() {
            seat.forget();
        }
    }
}

impl Seat {
    /// Whether frames of this handle on this stream are for this seat.
    #[must_use]
    pub fn is(&self, link: &Arc<Link>, handle: u64) -> bool {
        self.handle == handle && Arc::ptr_eq(&self.link, link)
    }

    /// Whether the two are one.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        other.is(&self.link, self.handle)
    }

    /// Sends a frame. False: the stream is over.
    pub fn send(&self, body: Body) -> bool {
        self.link.push(self.handle, body)
    }

    fn forget(&self) {
        self.link.forget(self.handle);
    }
}
