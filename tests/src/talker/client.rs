//! One of them.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chassis::Random;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    crowd::{Phase, Status},
    dial::{Dial, Dialled, Tokens, Welcome, delay_after, delay_of, dial},
    seat::{Incoming, Seat},
};
use crate::{
    continuity::{Chat, ChatTag, Closed, Diary, End, Ended, Said, Saying, Shown},
    stranger::Stranger,
};

/// How long to wait after a refusal that does not say it.
const RETRY: Duration = Duration::from_millis(500);
/// Time is looked at so often at least.
const LOOK: Duration = Duration::from_secs(2);
/// How long writing a frame, or a goodbye, may take.
const WRITE: Duration = Duration::from_secs(5);
/// How long after `leave` the chat may take to end.
const LEAVE: Duration = Duration::from_secs(20);

/// A client.
pub(super) struct Client {
    gateways: Vec<SocketAddr>,
    /// Which of them is, or was, this one's.
    gateway: usize,
    random: Random,
    says_every: Range<Duration>,
    stays: Option<Range<Duration>>,
    start: Instant,
    status: Arc<Status>,
    diary: Diary,
    phase: Phase,
    tokens: Tokens,
    socket: Option<Stranger>,
    /// A new socket under way: because there is none, or to replace the one that there is.
    dial: Option<Dial>,
    failed: u32,
    /// The chat that is the diary's last one, while it lasts.
    seat: Option<Seat>,
    /// Whether the gateway was told the wish.
    finding: bool,
    say_at: Instant,
    leave_at: Option<Instant>,
    find_at: Option<Instant>,
    repeat_at: Option<Instant>,
    give_up_at: Option<Instant>,
}

impl Client {
    pub(super) fn new(
        number: u32,
        gateways: Vec<SocketAddr>,
        random: Random,
        (says_every, stays): (Range<Duration>, Option<Range<Duration>>),
        (start, status): (Instant, Arc<Status>),
    ) -> Self {
        Self {
            gateway: usize::try_from(number).unwrap_or_default() % gateways.len(),
            gateways,
            random,
            says_every,
            stays,
            start,
            status,
            diary: Diary { stranger: number, ..Diary::default() },
            phase: Phase::Talk,
            tokens: Tokens::default(),
            socket: None,
            dial: None,
            failed: 0,
            seat: None,
            finding: false,
            say_at: start,
            leave_at: None,
            find_at: Some(start),
            repeat_at: None,
            give_up_at: None,
        }
    }

    /// Until told to leave.
    pub(super) async fn talk(mut self, mut phases: watch::Receiver<Phase>) -> Diary {
        self.dial = Some(dial(Duration::ZERO, self.gateways[self.gateway], Tokens::default()));
        while !self.is_over() {
            let wake = self.wake();
            tokio::select! {
                dialled = present(&mut self.dial) => self.dialled(dialled).await,
                heard = hear(&mut self.socket) => match heard {
                    Ok(frame) => self.hear(&frame).await,
                    Err(code) => self.lost(code),
                },
                () = sleep_until(wake) => self.on_time().await,
                changed = phases.changed() => {
                    let phase = if changed.is_ok() { *phases.borrow_and_update() } else { Phase::Leave };
                    self.begin(phase).await;
                }
            }
            self.status.chatting.store(self.seat.is_some(), Ordering::Relaxed);
            self.status.unheard.store(self.seat.as_ref().map_or(0, Seat::unheard), Ordering::Relaxed);
            self.status.listens.store(self.phase >= Phase::Listen, Ordering::Relaxed);
        }
        if self.seat.is_some() {
            self.odd("nothing was answered to `leave`");
        }
        self.diary
    }

    fn is_over(&self) -> bool {
        let gives_up = self.give_up_at.is_some_and(|at| Instant::now() >= at);
        self.phase == Phase::Leave && (self.seat.is_none() || gives_up)
    }

    /// When there is something to do.
    fn wake(&self) -> Instant {
        let say = (self.phase == Phase::Talk && self.seat.is_some()).then_some(self.say_at);
        let times = [say, self.leave_at, self.find_at, self.repeat_at, self.give_up_at];
        times.into_iter().flatten().fold(Instant::now() + LOOK, Instant::min)
    }

    async fn on_time(&mut self) {
        let now = Instant::now();
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.repeat_at) {
            self.repeat().await;
        }
        if due(&mut self.leave_at) {
            self.leave().await;
        }
        if due(&mut self.find_at) {
            self.find().await;
        }
        if self.phase == Phase::Talk && self.seat.is_some() && self.say_at <= now {
            self.say_at = now + self.random.duration(self.says_every.clone());
            self.say().await;
        }
    }

    async fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        self.find_at = None;
        if phase == Phase::Leave {
            self.give_up_at = Some(Instant::now() + LEAVE);
            self.leave().await;
        } else if self.finding {
            self.finding = false;
            self.send(&json!({"type": "cancel"})).await;
        }
    }

    // What it says.

    async fn find(&mut self) {
        // Without a socket it is said once there is one.
        if self.phase == Phase::Talk && self.seat.is_none() && self.socket.is_some() {
            self.finding = true;
            self.send(&json!({"type": "find", "mode": "text", "interests": [], "languages": []})).await;
        }
    }

    async fn say(&mut self) {
        let at = self.now();
        let (Some(seat), Some(chat)) = (&mut self.seat, self.diary.chats.last_mut()) else { return };
        // Who has left says nothing any more, and who is not heard waits.
        if chat.left.is_some() || seat.next().is_none() {
            return;
        }
        chat.said.push(Said { at, acknowledged: false });
        let number = u32::try_from(chat.said.len()).unwrap_or(u32::MAX);
        let text = Saying { chat: ChatTag::of(&chat.id), sender: self.diary.stranger, number }.text();
        if let Some(seq) = seat.say(&text) {
            self.send(&json!({"type": "message", "seq": seq, "text": text})).await;
        }
    }

    async fn repeat(&mut self) {
        let Some(seat) = &self.seat else { return };
        let frame = |(seq, text): &(u64, String)| json!({"type": "message", "seq": seq, "text": text});
        let frames: Vec<_> = seat.repeats().map(frame).collect();
        for frame in frames {
            self.send(&frame).await;
        }
    }

    async fn leave(&mut self) {
        let at = self.now();
        if let (Some(_), Some(chat)) = (&self.seat, self.diary.chats.last_mut()) {
            chat.left.get_or_insert(at);
            self.send(&json!({"type": "leave"})).await;
        }
    }

    // What it hears.

    async fn hear(&mut self, frame: &Value) {
        let text = |field: &str| frame[field].as_str().map(ToOwned::to_owned);
        match frame["type"].as_str().unwrap_or_default() {
            "matched" => self.matched(frame),
            "message" => self.message(frame).await,
            "ack" => {
                let seq = frame["seq"].as_u64().unwrap_or_default();
                let can_be = self.seat.as_mut().is_none_or(|seat| seat.heard(seq));
                self.acknowledged(seq, can_be, frame);
            }
            "resumed" => self.resumed(frame).await,
            "ended" => self.ended(frame),
            "stranger" => {
                let away = u32::from(frame["state"] == "away");
                self.diary.chats.last_mut().into_iter().for_each(|chat| chat.away += away);
            }
            "waiting" => self.tokens.session = text("session").or(self.tokens.session.take()),
            "idle" => {
                self.finding = false;
                self.find_later(RETRY);
            }
            "going_away" => {
                let delay = frame["reconnect_after_ms"].as_u64().unwrap_or_default();
                if self.dial.is_none() {
                    self.dial_after(Duration::from_millis(delay));
                }
            }
            "typing" => {}
            "error" => self.refused(frame),
            _ => self.odd(&frame.to_string()),
        }
    }

    fn matched(&mut self, frame: &Value) {
        let at = self.now();
        let id = frame["chat"].as_str().unwrap_or_default();
        if let Some(last) = self.diary.chats.last()
            && (last.ended.is_none() || last.id == id)
        {
            self.odd(&format!(
                "matched with {id} after {}",
                self.diary.chats.last().map_or("", |chat| &chat.id)
            ));
        }
        self.end(End::Gone);
        self.diary.chats.push(Chat::new(id, at));
        self.seat = Some(Seat::new());
        self.tokens.resume = frame["resume"].as_str().map(ToOwned::to_owned);
        (self.finding, self.find_at, self.repeat_at) = (false, None, None);
        let now = Instant::now();
        self.say_at = now + self.random.duration(Duration::ZERO..self.says_every.end);
        self.leave_at = self.stays.clone().map(|stays| now + self.random.duration(stays));
        if self.phase == Phase::Leave {
            self.leave_at = Some(now);
        }
    }

    async fn message(&mut self, frame: &Value) {
        let shown = Shown { at: self.now(), saying: frame["text"].as_str().and_then(Saying::parse) };
        let seq = frame["seq"].as_u64().unwrap_or_default();
        let (Some(seat), Some(chat)) = (&mut self.seat, self.diary.chats.last_mut()) else {
            self.diary.strays.push(shown);
            return;
        };
        match seat.incoming(seq) {
            Incoming::New => chat.shown.push(shown),
            Incoming::Repeat => chat.repeats += 1,
        }
        // What it has, but not more than what this gateway has handed to it.
        self.send(&json!({"type": "ack", "seq": seq})).await;
    }

    fn acknowledged(&mut self, seq: u64, can_be: bool, frame: &Value) {
        if !can_be {
            self.odd(&frame.to_string());
        }
        let seq = usize::try_from(seq).unwrap_or(usize::MAX);
        if let (Some(_), Some(chat)) = (&self.seat, self.diary.chats.last_mut()) {
            let news = chat.said.iter_mut().take(seq).rev().take_while(|said| !said.acknowledged);
            for said in news {
                said.acknowledged = true;
                let at = u64::try_from(said.at.as_micros()).unwrap_or(u64::MAX);
                self.status.heard.fetch_max(at, Ordering::Relaxed);
            }
        }
    }

    async fn resumed(&mut self, frame: &Value) {
        let received = frame["received"].as_u64().unwrap_or_default();
        let (Some(seat), Some(chat)) = (&mut self.seat, self.diary.chats.last_mut()) else {
            return self.odd(&format!("in no chat: {frame}"));
        };
        if frame["chat"] != chat.id.as_str() {
            return self.odd(&frame.to_string());
        }
        chat.resumed += 1;
        let has_left = chat.left.is_some();
        let can_be = seat.resume(received);
        self.acknowledged(received, can_be, frame);
        if let Some(resume) = frame["resume"].as_str() {
            self.tokens.resume = Some(resume.to_owned());
        }
        self.repeat().await;
        if has_left {
            self.leave().await;
        }
    }

    fn ended(&mut self, frame: &Value) {
        if let Some(session) = frame["session"].as_str() {
            self.tokens.session = Some(session.to_owned());
        }
        let is_last = self.diary.chats.last().is_some_and(|chat| frame["chat"] == chat.id.as_str());
        if !is_last {
            return self.odd(&frame.to_string());
        }
        self.end(End::By(frame["by"].as_str().unwrap_or_default().to_owned()));
        self.find_later(RETRY);
    }

    /// Of the chat, if there is one.
    fn end(&mut self, how: End) {
        let at = self.now();
        if let (Some(_), Some(chat)) = (self.seat.take(), self.diary.chats.last_mut()) {
            chat.ended = Some(Ended { at, how });
        }
        self.tokens.resume = None;
        (self.leave_at, self.repeat_at) = (None, None);
    }

    fn refused(&mut self, frame: &Value) {
        let code = frame["code"].as_str().unwrap_or_default();
        self.diary.refusals.push(code.to_owned());
        let retry = frame["retry_after_ms"].as_u64().map_or(RETRY, Duration::from_millis);
        if code == "resume_failed" {
            self.end(End::Gone);
            self.find_later(retry);
        } else if self.seat.is_some() {
            self.repeat_at = Some(Instant::now() + retry);
        } else {
            self.find_later(retry);
        }
    }

    // Its sockets.

    async fn dialled(&mut self, dialled: Dialled) {
        let Welcome { socket, tokens, session } = match dialled {
            Dialled::Welcome(welcome) => *welcome,
            Dialled::Failed(why) => {
                self.dial = None;
                self.diary.refusals.push(format!("handshake: {why}"));
                self.failed += 1;
                return self.dial_after(delay_of(self.failed, &self.random));
            }
        };
        // Still under way, so that the old socket's end is no surprise.
        self.hear_the_rest().await;
        self.dial = None;
        if self.seat.is_some() && tokens.resume.is_none() {
            // A chat began meanwhile, of which that gateway does not know. Newer tokens of the same chat or session matter less.
            self.dial = Some(dial(Duration::ZERO, self.gateways[self.gateway], self.tokens.clone()));
            return;
        }
        self.failed = 0;
        self.tokens.session = session.or(self.tokens.session.take());
        if let Some(mut old) = self.socket.replace(socket) {
            self.diary.moves += 1;
            let goodbye = old.send_raw(Message::Close(None));
            // It may be gone already.
            let _ = timeout(WRITE, goodbye).await;
        }
        match &mut self.seat {
            // `resumed` follows.
            Some(seat) => seat.close(),
            None => self.find().await,
        }
    }

    /// What has come on the old socket before the new one took its place.
    async fn hear_the_rest(&mut self) {
        loop {
            let next = self.socket.as_mut().and_then(|socket| socket.next_or_close().now_or_never());
            match next {
                Some(Ok(frame)) => self.hear(&frame).await,
                Some(Err(code)) => self.lost(code),
                None => return,
            }
        }
    }

    fn lost(&mut self, code: Option<u16>) {
        self.socket = None;
        self.finding = false;
        if let Some(seat) = &mut self.seat {
            seat.close();
        }
        let mut closed = Closed::new(self.now(), code);
        // It is on its way to another gateway, which may have made that known.
        closed.hidden |= self.dial.is_some() && code == Some(4004);
        self.diary.closes.push(closed);
        if self.dial.is_none() {
            self.dial_after(delay_after(code, &self.random));
        }
    }

    /// Where one has failed or goes away it is the next one, otherwise any, as with a balancer that does not know more.
    fn dial_after(&mut self, delay: Duration) {
        let gateways = self.gateways.len();
        let other = self.failed > 0 || self.socket.is_some();
        let any = self.random.below(gateways as u64);
        self.gateway =
            if other { (self.gateway + 1) % gateways } else { usize::try_from(any).unwrap_or_default() };
        self.dial = Some(dial(delay, self.gateways[self.gateway], self.tokens.clone()));
    }

    async fn send(&mut self, frame: &Value) {
        let Some(socket) = &mut self.socket else { return };
        let sent = timeout(WRITE, socket.send_raw(Message::text(frame.to_string()))).await;
        if !matches!(sent, Ok(Ok(()))) {
            // How it was closed can still be read, unless it takes nothing at all.
            if sent.is_err() {
                self.lost(None);
            }
        }
    }

    fn find_later(&mut self, delay: Duration) {
        if self.phase == Phase::Talk && self.seat.is_none() {
            self.find_at = Some(Instant::now() + delay);
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn odd(&mut self, what: &str) {
        let at = self.now().as_secs_f64();
        self.diary.oddities.push(format!("at {at:.3} s: {what}"));
    }
}

async fn present(dial: &mut Option<Dial>) -> Dialled {
    match dial {
        Some(dial) => dial.await,
        None => std::future::pending().await,
    }
}

async fn hear(socket: &mut Option<Stranger>) -> Result<Value, Option<u16>> {
    match socket {
        Some(socket) => socket.next_or_close().await,
        None => std::future::pending().await,
    }
}
