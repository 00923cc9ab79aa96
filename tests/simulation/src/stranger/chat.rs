//! A stranger's end of a chat: it numbers, acknowledges and repeats as `stroll.v1` has it, and looks at everything that comes.

use std::{collections::VecDeque, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{ANSWER, Event, SILENCE, Stranger, kind, readable};
use crate::{
    ledger::{self, Leaving},
    moderation::RUDE,
    plan::Turn,
    trace,
};

/// What the last message ends with.
const LAST: &str = "last";

pub struct Chat {
    id: String,
    pub resume: String,
    /// Whether it is this one who leaves when all is said.
    leaves: bool,
    /// The other's number, once it is known.
    other: Option<usize>,
    said: u64,
    unheard: VecDeque<(u64, String)>,
    shown: u64,
    /// The last number that came over this connection.
    handed: Option<u64>,
    /// Whether the other has said all.
    other_is_done: bool,
    other_is_away: bool,
    /// Whether this connection is in the chat.
    attached: bool,
    say_at: Instant,
    /// When what was refused is said again.
    repeat_at: Option<Instant>,
    leaving: Option<Leaving>,
}

impl Chat {
    fn new(matched: &Value, say_at: Instant) -> Self {
        Self {
            id: matched["chat"].as_str().unwrap_or_default().to_owned(),
            resume: matched["resume"].as_str().unwrap_or_default().to_owned(),
            leaves: matched["initiator"] == true,
            other: None,
            said: 0,
            unheard: VecDeque::new(),
            shown: 0,
            handed: None,
            other_is_done: false,
            other_is_away: false,
            attached: true,
            say_at,
            repeat_at: None,
            leaving: None,
        }
    }

    /// There is another connection.
    pub fn reconnected(&mut self) {
        self.attached = false;
        self.handed = None;
        self.repeat_at = None;
    }

    fn heard_up_to(&mut self, seq: u64) {
        while self.unheard.front().is_some_and(|(first, _)| *first <= seq) {
            self.unheard.pop_front();
        }
    }

    /// When there is something to do.
    fn next_act(&self, turn: &Turn) -> Instant {
        let far = Instant::now() + SILENCE;
        let may_say = self.attached && self.said < turn.says && self.leaving.is_none();
        let acts = [may_say.then_some(self.say_at), self.repeat_at];
        acts.into_iter().flatten().min().unwrap_or(far)
    }

    fn silence(&self) -> Duration {
        let waits = !self.unheard.is_empty() || !self.attached || self.leaving.is_some();
        if waits && !self.other_is_away { ANSWER } else { SILENCE }
    }
}

impl Stranger {
    /// Talks until the chat is over.
    pub(super) async fn talk(&mut self, turn: &Turn, matched: &Value) {
        let mut chat = Chat::new(matched, Instant::now());
        chat.say_at += self.random.duration(turn.every.clone());
        ledger::tell(&chat.id, self.number, |side| side.began = trace::now());
        self.chat = Some(chat);
        while let Some(chat) = &self.chat {
            let until = chat.next_act(turn);
            let silence = chat.silence();
            match self.next(until, silence).await {
                Event::Frame(frame) => self.hear(&frame).await,
                Event::Time => self.act(turn).await,
                Event::Lost => self.arrive().await,
            }
            self.leave_if_done(turn).await;
            if self.banned {
                self.end("banned");
            }
        }
    }

    async fn act(&mut self, turn: &Turn) {
        let pause = self.random.duration(turn.every.clone());
        let (number, now) = (self.number, Instant::now());
        let Some(chat) = &mut self.chat else { return };
        if chat.repeat_at.is_some_and(|at| at <= now) {
            chat.repeat_at = None;
            return self.repeat().await;
        }
        if !chat.attached || chat.said >= turn.says || chat.leaving.is_some() || chat.say_at > now {
            return;
        }
        chat.say_at = now + pause;
        chat.said += 1;
        let is_rude = turn.rude_at == Some(chat.said);
        let end = match chat.said == turn.says {
            _ if is_rude => RUDE,
            true => LAST,
            false => "more",
        };
        let text = format!("{number} {} {} {end}", chat.id, chat.said);
        let message = json!({"type": "message", "seq": chat.said, "text": text});
        chat.unheard.push_back((chat.said, text));
        ledger::tell(&chat.id, number, |side| (side.said, side.rude) = (side.said + 1, side.rude || is_rude));
        self.send(message).await;
    }

    /// Says again what was not heard, unless this connection has yet to come back into the chat.
    async fn repeat(&mut self) {
        let Some(chat) = &self.chat else { return };
        if !chat.attached {
            return;
        }
        let messages: Vec<_> = chat.unheard.iter().cloned().collect();
        for (seq, text) in messages {
            self.send(json!({"type": "message", "seq": seq, "text": text})).await;
        }
    }

    async fn leave_if_done(&mut self, turn: &Turn) {
        let Some(chat) = &mut self.chat else { return };
        if chat.leaving.is_some() || !chat.attached {
            return;
        }
        let all_said = chat.said == turn.says && chat.unheard.is_empty() && chat.other_is_done;
        let leaving = match turn.walks_out_after {
            Some(after) if chat.said >= after => Leaving::WalksOut,
            _ if all_said && chat.leaves => Leaving::Finished,
            _ => return,
        };
        chat.leaving = Some(leaving);
        ledger::tell(&chat.id, self.number, |side| side.left = Some(leaving));
        self.send(json!({"type": "leave"})).await;
    }

    async fn hear(&mut self, frame: &Value) {
        let Some(chat) = &mut self.chat else { return };
        let of_this_chat = frame["chat"] == chat.id.as_str();
        match kind(frame) {
            "message" => self.show(frame).await,
            "ack" => {
                let seq = frame["seq"].as_u64().unwrap_or_default();
                chat.heard_up_to(seq);
                ledger::tell(&chat.id, self.number, |side| side.heard = side.heard.max(seq));
            }
            "resumed" if of_this_chat => {
                chat.attached = true;
                chat.heard_up_to(frame["received"].as_u64().unwrap_or_default());
                if let Some(resume) = frame["resume"].as_str() {
                    resume.clone_into(&mut chat.resume);
                }
                if chat.leaving.is_some() {
                    return self.send(json!({"type": "leave"})).await;
                }
                self.repeat().await;
            }
            "notice" => {}
            "stranger" => chat.other_is_away = frame["state"] == "away",
            "ended" if of_this_chat => {
                if let Some(session) = frame["session"].as_str() {
                    self.session = Some(session.to_owned());
                }
                self.end(frame["by"].as_str().unwrap_or_default());
            }
            "error" => self.refused(frame),
            _ => self.out_of_place(frame),
        }
    }

    fn refused(&mut self, frame: &Value) {
        let Some(chat) = &mut self.chat else { return };
        match frame["code"].as_str().unwrap_or_default() {
            "resume_failed" => self.end("resume_failed"),
            "slow_down" | "busy" | "unavailable" | "not_now" => {
                let after = frame["retry_after_ms"].as_u64().unwrap_or(500);
                chat.repeat_at = Some(Instant::now() + Duration::from_millis(after));
            }
            _ => self.out_of_place(frame),
        }
    }

    /// A message comes.
    async fn show(&mut self, frame: &Value) {
        let number = self.number;
        let Some(chat) = &mut self.chat else { return };
        let seq = frame["seq"].as_u64().unwrap_or_default();
        let text = frame["text"].as_str().unwrap_or_default();
        let [from, of, nth, end] = text.split(' ').collect::<Vec<_>>()[..] else {
            return self.out_of_place(frame);
        };
        let from = from.parse().ok();
        let is_others = from != Some(number) && (chat.other.is_none() || chat.other == from);
        let wrong = if of != chat.id {
            Some("I3: misdelivered")
        } else if !is_others || nth.parse() != Ok(seq) {
            Some("I3: not what the other said")
        } else if chat.handed.is_some_and(|handed| seq <= handed) {
            Some("I3: twice over one connection")
        } else if seq > chat.shown + 1 {
            Some("I3: out of order")
        } else {
            None
        };
        chat.other = from;
        chat.handed = Some(seq);
        if seq == chat.shown + 1 {
            chat.shown = seq;
            chat.other_is_done = end == LAST;
            ledger::tell(&chat.id, number, |side| side.shown += 1);
        }
        let ack = json!({"type": "ack", "seq": chat.shown});
        if let Some(wrong) = wrong {
            ledger::violation(self, format_args!("{wrong}: {}", readable(frame)));
        }
        self.send(ack).await;
    }

    /// The chat is over.
    fn end(&mut self, by: &str) {
        let Some(chat) = self.chat.take() else { return };
        ledger::tell(&chat.id, self.number, |side| side.ended = Some((trace::now(), by.to_owned())));
    }
}
