//! The scripted strangers: each looks for somebody, talks, and leaves, and comes back to a chat however often the connection is
//! lost.

mod chat;
mod socket;

use std::{fmt, rc::Rc, time::Duration};

use chassis::Random;
use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use self::{
    chat::Chat,
    socket::{Heard, Socket},
};
use crate::{
    ledger::{self, Wait},
    plan::{GATEWAYS, Host, Plan, Turn},
    trace,
};

/// How long the answer to something may take before the connection is given up, and how long it may be silent otherwise.
const ANSWER: Duration = Duration::from_secs(8);
const SILENCE: Duration = Duration::from_secs(30);
/// How long a welcome may take.
const WELCOME: Duration = Duration::from_secs(5);
/// The pauses between attempts to connect: the first is at most this long, and each may be twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Who still waits this long after the last wish has bad luck.
const LINGER: Duration = Duration::from_secs(12);
/// How long only those who share an interest will do.
const PATIENCE: Duration = Duration::from_millis(1_500);

pub struct Stranger {
    number: usize,
    random: Random,
    /// The gateway that it was last connected with.
    gateway: usize,
    socket: Option<Socket>,
    session: Option<String>,
    chat: Option<Chat>,
    /// Told when the connection is to be lost.
    cut: Rc<Notify>,
    /// When this connection is to be left for another, because its gateway goes away.
    move_at: Option<Instant>,
    /// When no further wish is made, by the clock of its machine.
    last_wish: Instant,
    banned: bool,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stranger {}", self.number)
    }
}

/// What came of a while of listening.
enum Event {
    Frame(Value),
    /// The time is over.
    Time,
    /// The connection is gone, or is to be left for another.
    Lost,
}

impl Stranger {
    /// Who has this number in the plan. To be made on its machine.
    pub fn new(number: usize, plan: &Plan, cut: Rc<Notify>) -> Self {
        let random = Random::seeded(plan.seed ^ ((number as u64 + 1) << 40));
        Self {
            number,
            gateway: usize::try_from(random.below(GATEWAYS as u64)).expect("a small number"),
            random,
            socket: None,
            session: None,
            chat: None,
            cut,
            move_at: None,
            last_wish: Instant::now() + plan.last_wish.saturating_sub(trace::now()),
            banned: false,
        }
    }

    /// Does what the plan says, and goes.
    pub async fn live(mut self, turns: Vec<Turn>) {
        self.arrive().await;
        for turn in turns {
            if !self.rest(turn.pause).await {
                break;
            }
            let Some(matched) = self.find(&turn).await else { break };
            self.talk(&turn, &matched).await;
        }
        trace::event(&self, format_args!("goes home"));
    }

    /// Does nothing. Whether there is time for more.
    async fn rest(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            match self.next(until, SILENCE).await {
                // To what was said when the chat had just ended.
                Event::Frame(frame) if frame["code"] == "not_now" => {}
                Event::Frame(frame) => self.out_of_place(&frame),
                Event::Time => return !self.banned && Instant::now() < self.last_wish,
                Event::Lost => self.arrive().await,
            }
            if self.banned {
                return false;
            }
        }
    }

    /// Waits for somebody. `None`: nobody came before the end.
    async fn find(&mut self, turn: &Turn) -> Option<Value> {
        let give_up = self.last_wish + LINGER;
        loop {
            if self.banned || Instant::now() >= self.last_wish {
                return None;
            }
            let find = json!({
                "type": "find", "mode": "text", "interests": turn.interests, "languages": [],
                "patience_ms": u64::try_from(PATIENCE.as_millis()).expect("a short time"),
            });
            self.send(find).await;
            let mut wait = None;
            let found = self.wait(turn, give_up, &mut wait).await;
            if let Some(wait) = wait {
                ledger::waited(Wait { until: trace::now(), ..wait });
            }
            match found {
                Found::Chat(matched) => return Some(matched),
                Found::Again(pause) => sleep(pause).await,
                Found::Lost => self.arrive().await,
                Found::Nobody => return None,
            }
        }
    }

    async fn wait(&mut self, turn: &Turn, give_up: Instant, wait: &mut Option<Wait>) -> Found {
        let mut cancelled = false;
        loop {
            let answer = if wait.is_none() || cancelled { ANSWER } else { SILENCE };
            let until = if cancelled { Instant::now() + SILENCE } else { give_up };
            match self.next(until, answer).await {
                Event::Frame(frame) => match kind(&frame) {
                    "waiting" if wait.is_none() => *wait = Some(self.begin_wait(turn)),
                    "waiting" if frame["widened"] == true => {}
                    "matched" => return Found::Chat(frame),
                    "idle" if cancelled => return Found::Nobody,
                    // To what was said when the chat before had just ended.
                    "error" if frame["code"] == "not_now" => {}
                    "error" => {
                        let pause = frame["retry_after_ms"].as_u64().unwrap_or(500);
                        return Found::Again(Duration::from_millis(pause));
                    }
                    _ => self.out_of_place(&frame),
                },
                Event::Time => {
                    cancelled = true;
                    self.send(json!({"type": "cancel"})).await;
                }
                Event::Lost => return Found::Lost,
            }
        }
    }

    fn begin_wait(&self, turn: &Turn) -> Wait {
        let now = trace::now();
        let anybody = if turn.interests.is_empty() { now } else { now + PATIENCE };
        Wait { stranger: self.number, from: now, until: now, anybody }
    }

    /// Connects and is welcomed, however long that takes; with the tokens of what there was before.
    async fn arrive(&mut self) {
        let mut longest = FIRST_PAUSE;
        while !self.banned {
            sleep(self.random.duration(Duration::ZERO..longest)).await;
            longest = (longest * 2).min(LONGEST_PAUSE);
            self.gateway = (self.gateway + 1) % GATEWAYS;
            let gateway = Host::Gateway(self.gateway);
            let Some(mut socket) = Socket::connect(gateway).await else {
                trace::event(self, format_args!("can't connect with {gateway}"));
                continue;
            };
            trace::event(self, format_args!("is connected with {gateway}"));
            let hello = self.hello();
            socket.send(&hello).await;
            self.socket = Some(socket);
            self.move_at = None;
            match self.next(Instant::now() + WELCOME, WELCOME).await {
                Event::Frame(frame) if kind(&frame) == "welcome" => {
                    self.session = frame["session"].as_str().map(str::to_owned);
                    return;
                }
                Event::Frame(frame) => {
                    ledger::violation(self, format_args!("hello was answered by {frame}"));
                }
                Event::Time | Event::Lost => {}
            }
        }
    }

    fn hello(&mut self) -> Value {
        let mut hello = json!({"type": "hello", "adult": true, "terms": true});
        if let Some(session) = &self.session {
            hello["session"] = session.as_str().into();
        }
        if let Some(chat) = &mut self.chat {
            hello["resume"] = chat.resume.as_str().into();
            chat.reconnected();
        }
        hello
    }

    async fn send(&mut self, frame: Value) {
        trace::event(self, format_args!("> {frame}"));
        if let Some(socket) = &mut self.socket {
            socket.send(&frame).await;
        }
    }

    /// Listens until then; after a silence of this length the connection counts as lost.
    async fn next(&mut self, until: Instant, silence: Duration) -> Event {
        loop {
            let Some(socket) = &mut self.socket else { return Event::Lost };
            let silent = socket.last_heard + silence;
            let moves = self.move_at.unwrap_or(silent + silence);
            let heard = tokio::select! {
                biased;
                () = self.cut.notified() => Heard::Lost(None),
                heard = socket.hear() => heard,
                // The old connection is kept until there is a new one.
                () = sleep_until(moves) => return Event::Lost,
                () = sleep_until(until) => return Event::Time,
                () = sleep_until(silent) => {
                    trace::event(self, format_args!("hears nothing any more"));
                    Heard::Lost(None)
                }
            };
            match heard {
                Heard::Frame(frame) => {
                    trace::event(self, format_args!("< {}", readable(&frame)));
                    if kind(&frame) == "going_away" {
                        let after = frame["reconnect_after_ms"].as_u64().unwrap_or_default();
                        self.move_at = Some(Instant::now() + Duration::from_millis(after));
                    } else if frame["code"] == "banned" {
                        self.banned = true;
                        return Event::Lost;
                    } else {
                        return Event::Frame(frame);
                    }
                }
                Heard::Ping => {}
                Heard::Lost(code) => {
                    trace::event(self, format_args!("lost the connection, {code:?}"));
                    self.socket = None;
                    self.judge_close(code).await;
                    return Event::Lost;
                }
            }
        }
    }

    async fn judge_close(&mut self, code: Option<u16>) {
        match code {
            None => {}
            Some(1012) => {
                let pause = self.random.duration(Duration::from_secs(1)..Duration::from_secs(5));
                sleep(pause).await;
            }
            Some(4501) => self.banned = true,
            Some(code) => ledger::violation(self, format_args!("closed with {code}")),
        }
    }

    fn out_of_place(&self, frame: &Value) {
        ledger::violation(self, format_args!("out of place: {}", readable(frame)));
    }
}

/// What came of a wish.
enum Found {
    Chat(Value),
    /// It was refused, and may be made again after this time.
    Again(Duration),
    Lost,
    Nobody,
}

fn kind(frame: &Value) -> &str {
    frame["type"].as_str().unwrap_or_default()
}

/// Without tokens, which are long and say nothing.
fn readable(frame: &Value) -> Value {
    let mut frame = frame.clone();
    for token in ["session", "resume"] {
        if let Some(token) = frame.get_mut(token) {
            *token = "…".into();
        }
    }
    frame
}
