//! A stranger who finds, talks and leaves, again and again, and behaves as a good client does.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::{
    diary::{Chat, Diary, Ending, Wait},
    plan::{Turn, Wish},
};
use crate::stranger::Stranger;

/// For how long nothing may come while nothing is wrong. Below the harness's own patience.
const SILENCE: Duration = Duration::from_secs(10);
/// How long `waiting`, or an `error` in its place, may take.
const ANSWER: Duration = Duration::from_secs(15);
/// How long `ended` may take after `leave`, and `idle` after `cancel`.
const ECHO: Duration = Duration::from_secs(10);
/// The last finds are spread over so long after the faults are over.
const LAST_FINDS: Duration = Duration::from_secs(2);
/// Whoever is busy for so long after that looks for nobody any more: nobody is to be there for a moment only when all go.
const TOO_LATE: Duration = Duration::from_secs(4);
/// How long the last chat lasts.
const LAST_STAY: Duration = Duration::from_millis(500);
/// How long to wait after an `error` that does not say it, and after a lost socket.
const RETRY: Duration = Duration::from_secs(1);

/// When what happens.
#[derive(Clone, Copy, Debug)]
pub struct Timetable {
    /// The beginning, from which times are counted.
    pub start: Instant,
    /// The faults are over: everybody leaves and looks for a last chat.
    pub last: Instant,
    /// Everybody goes.
    pub end: Instant,
}

/// Roams by these turns until the end. A first socket is open already.
pub async fn roam(
    stranger: u32,
    gateway: SocketAddr,
    socket: Stranger,
    turns: impl Iterator<Item = Turn>,
    times: Timetable,
) -> Diary {
    let diary = Diary { stranger, ..Diary::default() };
    let mut roamer = Roamer { gateway, socket, times, diary };
    for turn in turns {
        let now = Instant::now();
        let is_last = now + turn.pause >= times.last;
        let begin = if is_last { times.last.max(now) + last_pause(&turn) } else { now + turn.pause };
        roamer.turn(&turn, begin, is_last).await;
        if is_last {
            break;
        }
    }
    roamer.diary
}

/// Spreads the last finds.
fn last_pause(turn: &Turn) -> Duration {
    turn.pause.min(LAST_FINDS)
}

struct Roamer {
    gateway: SocketAddr,
    socket: Stranger,
    times: Timetable,
    diary: Diary,
}

/// What came.
enum Heard {
    Frame(Value),
    Nothing,
    Lost,
}

impl Roamer {
    /// One wish, however often it has to be told, and its chat.
    async fn turn(&mut self, turn: &Turn, mut begin: Instant, is_last: bool) {
        loop {
            if begin >= self.times.last + TOO_LATE {
                return;
            }
            self.idle(begin).await;
            let cancels_after = turn.cancels_after.filter(|_| !is_last);
            match self.find(&turn.wish, cancels_after).await {
                Found::Chat(matched) => {
                    let stays = if is_last { LAST_STAY } else { turn.stays };
                    return self.chat(&matched, stays, turn.talks).await;
                }
                Found::Nobody => return,
                Found::Refused(retry) => begin = Instant::now() + retry,
            }
        }
    }

    /// Does nothing, and expects nothing.
    async fn idle(&mut self, until: Instant) {
        loop {
            match self.hear(until).await {
                Heard::Frame(frame) => match kind(&frame) {
                    "matched" => self.double(&frame, "matched without looking"),
                    // What was on its way when a wish or a chat ended.
                    "idle" | "error" => {}
                    _ => self.odd(&frame, "while idle"),
                },
                Heard::Nothing => return,
                Heard::Lost => self.reconnect().await,
            }
        }
    }

    async fn find(&mut self, wish: &Wish, cancels_after: Option<Duration>) -> Found {
        let asked = self.now();
        let mut wait = Wait { wish: wish.clone(), asked, told: None, ended: asked, ending: Ending::LeftOver };
        self.send(&find_frame(wish)).await;
        let found = self.wait(&mut wait, cancels_after).await;
        if wait.ending != Ending::Cancelled {
            wait.ended = self.now();
        }
        self.diary.waits.push(wait);
        found
    }

    async fn wait(&mut self, wait: &mut Wait, cancels_after: Option<Duration>) -> Found {
        let mut until = (Instant::now() + ANSWER).min(self.times.end);
        loop {
            let heard = self.hear(until).await;
            match heard {
                Heard::Frame(frame) => match kind(&frame) {
                    "waiting" => {
                        if wait.told.is_none() {
                            wait.told = Some(self.now());
                            let cancels = cancels_after.map(|after| Instant::now() + after);
                            until = cancels.unwrap_or(self.times.end);
                        }
                    }
                    "matched" => {
                        if wait.told.is_none() {
                            self.odd(&frame, "before `waiting`");
                        }
                        wait.ending = Ending::Matched;
                        return Found::Chat(frame);
                    }
                    "error" if frame["code"] != "not_now" => {
                        wait.ending = Ending::Refused;
                        self.diary.refusals.push(frame["code"].as_str().unwrap_or_default().to_owned());
                        let retry = frame["retry_after_ms"].as_u64().map(Duration::from_millis);
                        return Found::Refused(retry.unwrap_or(RETRY));
                    }
                    // `not_now`: the other one was quicker to leave.
                    "error" => {}
                    _ => self.odd(&frame, "while waiting"),
                },
                Heard::Nothing if Instant::now() >= self.times.end => return Found::Nobody,
                Heard::Nothing if wait.told.is_none() => {
                    self.diary.oddities.push("nothing was answered to `find`".to_owned());
                    until = self.times.end;
                }
                Heard::Nothing => {
                    wait.ended = self.now();
                    return self.cancel(wait).await;
                }
                Heard::Lost => {
                    wait.ending = Ending::Lost;
                    self.reconnect().await;
                    return Found::Refused(RETRY);
                }
            }
        }
    }

    /// A pairing may be quicker.
    async fn cancel(&mut self, wait: &mut Wait) -> Found {
        self.send(&json!({"type": "cancel"})).await;
        let until = Instant::now() + ECHO;
        loop {
            match self.hear(until).await {
                Heard::Frame(frame) => match kind(&frame) {
                    "idle" => {
                        wait.ending = Ending::Cancelled;
                        return Found::Nobody;
                    }
                    "matched" => {
                        wait.ending = Ending::Matched;
                        return Found::Chat(frame);
                    }
                    "waiting" | "error" => {}
                    _ => self.odd(&frame, "after `cancel`"),
                },
                Heard::Nothing => {
                    self.diary.oddities.push("nothing was answered to `cancel`".to_owned());
                    return Found::Nobody;
                }
                Heard::Lost => {
                    wait.ending = Ending::Lost;
                    self.reconnect().await;
                    return Found::Nobody;
                }
            }
        }
    }

    async fn chat(&mut self, matched: &Value, stays: Duration, talks: bool) {
        let now = self.now();
        let mut chat = Chat {
            id: matched["chat"].as_str().unwrap_or_default().to_owned(),
            began: now,
            ended: now,
            by: String::new(),
            initiator: matched["initiator"] == true,
            heard: None,
        };
        if talks {
            let text = format!("number {}", self.diary.stranger);
            self.send(&json!({"type": "message", "seq": 1, "text": text})).await;
        }
        let mut until = Instant::now() + stays;
        // Whoever chats when the faults are over leaves then.
        if Instant::now() < self.times.last {
            until = until.min(self.times.last);
        }
        if !self.hear_chat(&mut chat, until).await {
            self.send(&json!({"type": "leave"})).await;
            if !self.hear_chat(&mut chat, Instant::now() + ECHO).await {
                self.diary.oddities.push("nothing was answered to `leave`".to_owned());
            }
        }
        chat.ended = self.now();
        self.diary.chats.push(chat);
    }

    /// Whether the chat ended.
    async fn hear_chat(&mut self, chat: &mut Chat, until: Instant) -> bool {
        loop {
            match self.hear(until).await {
                Heard::Frame(frame) => match kind(&frame) {
                    "message" => {
                        let said = frame["text"].as_str().and_then(|text| text.strip_prefix("number "));
                        chat.heard = said.and_then(|number| number.parse().ok());
                        self.send(&json!({"type": "ack", "seq": frame["seq"]})).await;
                    }
                    "ended" if frame["chat"] == chat.id.as_str() => {
                        frame["by"].as_str().unwrap_or_default().clone_into(&mut chat.by);
                        return true;
                    }
                    "matched" => self.double(&frame, &format!("matched while in chat {}", chat.id)),
                    "ack" | "stranger" => {}
                    // To a `cancel` that came too late.
                    "error" if frame["code"] == "not_now" => {}
                    _ => self.odd(&frame, "in a chat"),
                },
                Heard::Nothing => return false,
                Heard::Lost => {
                    "lost".clone_into(&mut chat.by);
                    self.reconnect().await;
                    return true;
                }
            }
        }
    }

    /// The same stranger comes back, and leaves whatever it was in.
    async fn reconnect(&mut self) {
        self.diary.lost_sockets += 1;
        loop {
            tokio::time::sleep(RETRY).await;
            let Ok(mut socket) = Stranger::connect(self.gateway, &[]).await else { continue };
            let hello = json!({"type": "hello", "session": self.socket.session});
            let said = socket.send_raw(Message::text(hello.to_string())).await;
            if said.is_ok() && socket.next_or_close().await.is_ok_and(|frame| kind(&frame) == "welcome") {
                socket.session.clone_from(&self.socket.session);
                self.socket = socket;
                return;
            }
        }
    }

    /// The next frame, if one comes until then.
    async fn hear(&mut self, until: Instant) -> Heard {
        loop {
            let slice = until.min(Instant::now() + SILENCE);
            match timeout_at(slice, self.socket.next_or_close()).await {
                Ok(Ok(frame)) => return Heard::Frame(frame),
                Ok(Err(_)) => return Heard::Lost,
                Err(_) if slice < until => {}
                Err(_) => return Heard::Nothing,
            }
        }
    }

    /// A socket that is closed says so to who listens.
    async fn send(&mut self, frame: &Value) {
        let _ = self.socket.send_raw(Message::text(frame.to_string())).await;
    }

    fn now(&self) -> Duration {
        self.times.start.elapsed()
    }

    fn double(&mut self, frame: &Value, when: &str) {
        self.diary.doubles.push(format!("{when}: {}", frame["chat"]));
    }

    fn odd(&mut self, frame: &Value, when: &str) {
        let now = self.now();
        self.diary.oddities.push(format!("{when}, at {:.3} s: {frame}", now.as_secs_f64()));
    }
}

/// What came of a wish.
enum Found {
    Chat(Value),
    Nobody,
    Refused(Duration),
}

fn find_frame(wish: &Wish) -> Value {
    let Wish { interests, languages, patience, only_interests } = wish;
    json!({
        "type": "find",
        "mode": "text",
        "interests": interests,
        "languages": languages,
        "patience_ms": u64::try_from(patience.as_millis()).unwrap_or_default(),
        "only_interests": only_interests,
    })
}

fn kind(frame: &Value) -> &str {
    frame["type"].as_str().unwrap_or_default()
}
