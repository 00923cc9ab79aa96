//! What the client says.

use bytes::Bytes;
use stroll_proto::v1::{Leave, Message, Report, Signal, gateway_frame::Body as ToRelay};

use super::{Effect, Env, Past, REPORT_WINDOW_MS, Session, State, Told, delivery::Outgoing, refuse};
use crate::protocol::{Aim, By, ClientFrame, Code, Find, Mode, Private, Refusal, Role, ServerFrame};

impl Session {
    /// The client sent a frame.
    pub fn on_frame(&mut self, frame: ClientFrame, env: &Env<'_>) -> Vec<Effect> {
        let answered = match frame {
            ClientFrame::Hello(_) => Err(not_now("hello comes once, first")),
            ClientFrame::Find(find) => self.find(*find, env),
            ClientFrame::Cancel => self.cancel(),
            ClientFrame::Message { seq, text } => {
                self.numbered(seq, || ToRelay::Message(Message { seq, text: text.0, from: 0 }))
            }
            ClientFrame::Signal { seq, data } => self.only_in_video_chats().and_then(|()| {
                self.numbered(seq, || ToRelay::Signal(Signal { seq, data: Bytes::from(data.0), from: 0 }))
            }),
            ClientFrame::Ack { seq } => self.ack(seq),
            ClientFrame::Typing { on } => Ok(self.typing(on)),
            ClientFrame::Leave { block: false } => self.leave(env),
            ClientFrame::Leave { block: true } => self.leave_and_block(env),
            ClientFrame::Again => self.again(env),
            ClientFrame::Report { reason, comment } => self.report(reason, comment, env),
        };
        answered.unwrap_or_else(refuse)
    }

    fn find(&mut self, find: Find, env: &Env<'_>) -> Result<Vec<Effect>, Refusal> {
        if matches!(self.state, State::Chatting(_)) {
            return Err(not_now("leave the chat first"));
        }
        if !self.consent {
            let text = "say in `hello` that you are 18 or older and accept the terms";
            return Err(Refusal::new(Code::ConsentRequired, text));
        }
        self.only_where_it_stays()?;
        self.limits.find()?;
        Ok(self.wish(find, env))
    }

    /// A wish that crossed with `going_away` is one for the other gateway.
    fn only_where_it_stays(&self) -> Result<(), Refusal> {
        let elsewhere = || Refusal::new(Code::Unavailable, "connect anew first").retry_after(1_000);
        if self.sent_away { Err(elsewhere()) } else { Ok(()) }
    }

    /// Whether the other one wants it too shows only in a chat that begins.
    fn again(&mut self, env: &Env<'_>) -> Result<Vec<Effect>, Refusal> {
        if matches!(self.state, State::Chatting(_)) {
            return Err(not_now("leave the chat first"));
        }
        let again = self.past.as_ref().and_then(|past| past.again.as_deref());
        let in_time = |find: &&Find| matches!(find.aim, Aim::Again { until_ms, .. } if env.now_ms < until_ms);
        let Some(find) = again.filter(in_time).cloned() else {
            return Err(not_now("there is no stranger to be met again"));
        };
        self.only_where_it_stays()?;
        self.limits.find()?;
        Ok(self.wish(find, env))
    }

    /// In place of an earlier wish.
    pub(super) fn wish(&mut self, find: Find, env: &Env<'_>) -> Vec<Effect> {
        let mut effects = self.stop_waiting();
        let (since_unix_ms, forget) = self.since(&find, env);
        effects.extend(forget);
        effects.push(self.wait(find, since_unix_ms, Told::Nothing, 0, env));
        effects
    }

    fn cancel(&mut self) -> Result<Vec<Effect>, Refusal> {
        if matches!(self.state, State::Chatting(_)) {
            return Err(not_now("in a chat; leave it instead"));
        }
        let mut effects = self.stop_waiting();
        self.waited = None;
        effects.push(Effect::Send(ServerFrame::Idle));
        Ok(effects)
    }

    /// Takes back whatever was wished for. The client is not told.
    pub(super) fn stop_waiting(&mut self) -> Vec<Effect> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Vec::new(),
            State::Waiting(waiting) => {
                vec![Effect::Forget(waiting.wanted.ticket, waiting.place.or(waiting.old_place))]
            }
            State::Attaching(attaching) => {
                let forget = Effect::Forget(attaching.wanted.ticket, None);
                vec![forget, Effect::Relay(ToRelay::Leave(Leave::default())), Effect::DropSeat]
            }
            State::Chatting(chatting) => {
                debug_assert!(false, "a chat is left, not cancelled");
                self.state = State::Chatting(chatting);
                Vec::new()
            }
        }
    }

    fn only_in_video_chats(&self) -> Result<(), Refusal> {
        match &self.state {
            State::Chatting(chatting) if chatting.pairing.mode == Mode::Text => {
                Err(not_now("this chat is for text"))
            }
            _ => Ok(()),
        }
    }

    /// A message or a signal.
    fn numbered(&mut self, seq: u64, body: impl FnOnce() -> ToRelay) -> Result<Vec<Effect>, Refusal> {
        let State::Chatting(chatting) = &mut self.state else { return Err(not_in_a_chat()) };
        if chatting.pairing.role == Role::Spy {
            return Err(not_now("a spy only watches"));
        }
        if chatting.rejoining {
            return Err(not_now("not back in the chat yet"));
        }
        let mut effects = Vec::new();
        match chatting.delivery.outgoing(seq)? {
            Outgoing::Known => return Ok(vec![Effect::Send(ServerFrame::Ack { seq })]),
            Outgoing::First => effects.push(Effect::Relay(ToRelay::Confirmed(seq - 1))),
            Outgoing::Repeat if chatting.delivery.take_free_repeat() => {}
            Outgoing::Repeat | Outgoing::New if self.prepaid > 0 => self.prepaid -= 1,
            Outgoing::Repeat | Outgoing::New => self.limits.message()?,
        }
        chatting.delivery.passed_on(seq);
        chatting.typing = false;
        effects.push(Effect::Relay(body()));
        Ok(effects)
    }

    fn ack(&mut self, seq: u64) -> Result<Vec<Effect>, Refusal> {
        let State::Chatting(chatting) = &mut self.state else { return Ok(Vec::new()) };
        if chatting.pairing.role == Role::Spy {
            // It sees two counts, and nobody waits for it.
            return Ok(Vec::new());
        }
        let news = chatting.delivery.acknowledged_by_client(seq)?;
        Ok(news.map(|seq| Effect::Relay(ToRelay::Ack(seq))).into_iter().collect())
    }

    /// Only changes are passed on, and not too many of them. Outside a chat it is too late to matter, and no error.
    fn typing(&mut self, on: bool) -> Vec<Effect> {
        match &mut self.state {
            State::Chatting(chatting)
                if chatting.typing != on && chatting.pairing.role != Role::Spy && self.limits.typing() =>
            {
                chatting.typing = on;
                vec![Effect::Relay(ToRelay::Typing(on))]
            }
            _ => Vec::new(),
        }
    }

    fn leave(&mut self, env: &Env<'_>) -> Result<Vec<Effect>, Refusal> {
        if !matches!(self.state, State::Chatting(_)) {
            return Err(not_in_a_chat());
        }
        let mut effects = self.leave_seat(Leave::default());
        effects.extend(self.end(By::You, None, 0, env));
        Ok(effects)
    }

    fn leave_and_block(&mut self, env: &Env<'_>) -> Result<Vec<Effect>, Refusal> {
        let State::Chatting(chatting) = &mut self.state else { return self.block_past(env) };
        chatting.pairing.again = None;
        chatting.pairing.strangers.iter().for_each(|stranger| self.memory.block(*stranger));
        self.leave(env)
    }

    /// The end of the chat, most likely the stranger's doing, was faster. A wish made since goes into the pool anew, for it must not
    /// meet them either.
    fn block_past(&mut self, env: &Env<'_>) -> Result<Vec<Effect>, Refusal> {
        let recent = |past: &&mut Past| env.now_ms <= past.ended_ms + REPORT_WINDOW_MS;
        let Some(past) = self.past.as_mut().filter(recent) else { return Err(not_in_a_chat()) };
        past.again = None;
        past.strangers.iter().for_each(|stranger| self.memory.block(*stranger));
        let mut effects = vec![Effect::Ended { chat: past.chat, by: By::You, reason: None, seat: 0 }];
        let wanted = match &self.state {
            State::Waiting(waiting) => waiting.wanted.clone(),
            State::Attaching(attaching) => attaching.wanted.clone(),
            State::Idle | State::Chatting(_) => return Ok(effects),
        };
        effects.extend(self.stop_waiting());
        effects.push(match wanted.find.aim {
            Aim::Again { .. } => Effect::Send(ServerFrame::Idle),
            _ => self.wait(wanted.find, wanted.since_unix_ms, wanted.told, 0, env),
        });
        Ok(effects)
    }

    fn report(
        &mut self,
        reason: &'static str,
        comment: Private,
        env: &Env<'_>,
    ) -> Result<Vec<Effect>, Refusal> {
        let id = Bytes::copy_from_slice(&env.random.bytes::<16>());
        let body = ToRelay::Report(Report { reason: reason.to_owned(), comment: comment.0, id });
        if let State::Chatting(chatting) = &self.state {
            if !chatting.home.has_seat() {
                let text = "the chat is on its way to another place; report again in a moment";
                return Err(Refusal::new(Code::Unavailable, text).retry_after(1_000));
            }
            self.limits.report()?;
            return Ok(vec![Effect::Relay(body)]);
        }
        let recent = |past: &Past| env.now_ms <= past.ended_ms + REPORT_WINDOW_MS;
        if !self.past.as_ref().is_some_and(recent) {
            return Err(not_now("a chat can be reported until two minutes after its end"));
        }
        self.limits.report()?;
        Ok(vec![Effect::RelayPast(body)])
    }
}

fn not_now(text: &'static str) -> Refusal {
    Refusal::new(Code::NotNow, text)
}

fn not_in_a_chat() -> Refusal {
    not_now("not in a chat")
}
