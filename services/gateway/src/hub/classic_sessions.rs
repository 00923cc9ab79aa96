//! Classic sessions that this gateway holds: how they begin, what their clients ask of them, and how they end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chassis::{
    bans::Ban,
    id::{AddressHash, SessionId},
};
use tokio::time::Instant;
use tracing::warn;

use super::Hub;
use crate::{
    classic::{Answer, Bell, Call, ClientId, Endpoint, Event, Polling, Want},
    permit::Permit,
    protocol::{ClientFrame, Code, Find, Private, Refusal},
    session::Activity,
    slot::{Challenge, Classic, Client, Inner, Slot},
};

/// How long `/start` waits for a pairing.
const FIRST_EVENTS: Duration = Duration::from_millis(250);
/// How much of a drain is left when the last sessions are ended, so that their strangers are told.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What who may not take part is told, for whatever reason.
const BANNED: &str = "You are temporarily banned.";

/// How a session begins.
pub enum Opening {
    /// With a wish.
    Wish(Find),
    /// With a wish, once a captcha is solved.
    Challenge(Find),
    /// Not at all.
    Refused(Event),
}

impl Opening {
    /// For one who may not take part.
    #[must_use]
    pub fn banned() -> Self {
        Self::Refused(Event::Error(BANNED.into()))
    }
}

impl Hub {
    /// Begins a session. Who is banned gets one as well, and is told by its only event.
    pub fn start_classic(
        self: &Arc<Self>,
        id: &ClientId,
        addresses: Vec<AddressHash>,
        permit: Permit,
        opening: Opening,
    ) -> Arc<Slot> {
        let id = id.session();
        let ban = self.bans.check(id, &addresses);
        let slot = Arc::new(self.new_slot(id));
        // Locked before anybody else can find it, for until it is connected it looks like one that is over. (Who holds the table waits for no
        // session that is not in it.)
        let mut inner = slot.inner.lock();
        self.sessions.insert(id, Arc::clone(&slot));
        let now_ms = self.context.clock.unix_ms();
        let endpoint = Endpoint::new(self.metrics.to_clients.clone(), now_ms);
        inner.addresses = addresses;
        inner.client =
            Some(Client::Classic(Box::new(Classic { endpoint, challenge: None, _permit: permit })));
        self.count_online(1);
        let opening = ban.map_or(opening, |ban| Opening::Refused(self.ban_event(Some(&ban))));
        let find = match opening {
            Opening::Wish(find) => Some(find),
            Opening::Challenge(find) => {
                self.challenge(&mut inner, find);
                None
            }
            Opening::Refused(event) => {
                if let Some(classic) = inner.classic() {
                    classic.endpoint.stop(event);
                }
                None
            }
        };
        self.tell_locked(&slot, &mut inner, |session, env| session.on_start(find, env));
        // A ban may have come after the first look, and before the session could be found by it.
        if self.bans.check(id, &inner.addresses).is_some() {
            self.tell_locked(&slot, &mut inner, crate::session::Session::on_ban);
        }
        drop(inner);
        slot
    }

    fn challenge(&self, inner: &mut Inner, find: Find) {
        let (Some(classic), Some(key)) = (inner.classic(), self.classic.captcha.site_key()) else { return };
        classic.endpoint.push(Event::CaptchaRequired(key.to_owned()));
        classic.challenge = Some(Box::new(Challenge { find, is_checked: false }));
    }

    /// What who is banned is told.
    fn ban_event(&self, ban: Option<&Ban>) -> Event {
        let is_for_video = ban.is_some_and(|ban| ban.reason == "nudity");
        match &self.config.classic.video_ban_url {
            Some(url) if is_for_video => Event::VideoBanned(url.clone()),
            _ => Event::Error(BANNED.into()),
        }
    }

    /// The session's client may not take part any more.
    pub(super) fn stop_classic(&self, id: SessionId, inner: &mut Inner) {
        let event = self.ban_event(self.bans.check(id, &inner.addresses).as_ref());
        if let Some(classic) = inner.classic() {
            classic.challenge = None;
            classic.endpoint.stop(event);
        }
    }

    /// The first events of a session that has just begun: those of its chat if it is paired soon, or that it waits.
    ///
    /// If nobody waits for them any more, nobody will know of the session, and it ends.
    pub async fn first_events(self: &Arc<Self>, slot: &Arc<Slot>) -> Vec<Event> {
        let mut unknown = Unknown { hub: Arc::clone(self), slot: Some(Arc::clone(slot)) };
        let bell = slot.inner.lock().classic().map(|classic| classic.endpoint.bell());
        let Some(bell) = bell else { return Vec::new() };
        let until = Instant::now() + FIRST_EVENTS;
        loop {
            let rings = bell.rings();
            tokio::pin!(rings);
            rings.as_mut().enable();
            let is_decided = slot.inner.lock().classic().is_none_or(|classic| classic.endpoint.is_decided());
            if is_decided || tokio::time::timeout_at(until, rings).await.is_err() {
                break;
            }
        }
        let mut inner = slot.inner.lock();
        if let Some(classic) = inner.classic()
            && !classic.endpoint.is_decided()
        {
            classic.endpoint.tell_waiting();
        }
        let events = self.take_events(slot, &mut inner, 0);
        drop(inner);
        unknown.slot = None;
        self.remove_if_over(slot.id);
        events
    }

    /// The client of a session calls.
    pub async fn call(self: &Arc<Self>, session: SessionId, call: Call) -> Answer {
        let slot = self.sessions.get(&session).map(|slot| Arc::clone(&slot));
        let unknown = if call == Call::Disconnect { Answer::Done } else { Answer::Unknown };
        let Some(slot) = slot.filter(|slot| slot.inner.lock().classic().is_some()) else { return unknown };
        let answer = match call {
            Call::Poll(polling) => self.poll(&slot, polling).await,
            Call::Message(text) => self.speak(&slot, [text], Endpoint::may_talk, Endpoint::message),
            Call::Signals(signals) => self.speak(&slot, signals, Endpoint::may_signal, Endpoint::signal),
            Call::Typing(on) => self.type_classic(&slot, on),
            Call::Disconnect => {
                self.end_classic(&slot, &mut slot.inner.lock());
                Answer::Done
            }
            Call::Widen => {
                let mut inner = slot.inner.lock();
                if let Some(challenge) = inner.classic().and_then(|classic| classic.challenge.as_mut()) {
                    challenge.find.widen();
                }
                self.tell_locked(&slot, &mut inner, |session, env| session.on_widened(env));
                Answer::Done
            }
            Call::Captcha(response) => self.answer_challenge(&slot, response),
            Call::BrokenOff(number) => self.break_off(&slot, number),
        };
        self.remove_if_over(session);
        answer
    }

    async fn poll(self: &Arc<Self>, slot: &Arc<Slot>, polling: Polling) -> Answer {
        if let Some(events) = self.handed.lock().get(slot.id, polling.number) {
            return answer(events);
        }
        let Some(poll) = OpenPoll::open(self, slot, polling.number) else { return Answer::Unknown };
        let until = Instant::now() + polling.wait;
        loop {
            let rings = poll.bell.rings();
            tokio::pin!(rings);
            rings.as_mut().enable();
            if let Some(answer) = poll.look() {
                return answer;
            }
            if tokio::time::timeout_at(until, rings).await.is_err() {
                poll.close(false);
                return Answer::nothing();
            }
        }
    }

    /// Another gateway's client has broken a poll off. What it took comes first again.
    fn break_off(self: &Arc<Self>, slot: &Arc<Slot>, number: u64) -> Answer {
        let mut inner = slot.inner.lock();
        let handed = self.handed.lock().take(slot.id, number);
        let Some(classic) = inner.classic() else { return Answer::Unknown };
        if let Some(events) = handed {
            classic.endpoint.put_back(events);
            classic.endpoint.ring();
        }
        let is_open = classic.endpoint.is_open_elsewhere(number);
        let has_none = !classic.endpoint.has_open_poll();
        if is_open || has_none {
            self.quiet(slot, &mut inner, is_open);
        }
        Answer::Done
    }

    /// No poll is open any more, and the client is not there to make another.
    fn quiet(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner, closes: bool) {
        let now_ms = self.context.clock.unix_ms();
        if let Some(classic) = inner.classic().filter(|_| closes) {
            classic.endpoint.close_poll(now_ms);
        }
        if inner.session.activity() == Activity::Waiting {
            self.tell_locked(slot, inner, |session, _| session.on_quiet());
        }
        self.heed_deadlines(slot.id, inner);
    }

    /// Takes all that waits; what it took is acknowledged, and with the last event the session ends. What another gateway's poll takes,
    /// which has a number, is kept for a moment.
    fn take_events(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner, number: u64) -> Vec<Event> {
        let Some(classic) = inner.classic() else { return Vec::new() };
        let taken = classic.endpoint.take();
        if let Some(seq) = taken.seq {
            let ack = ClientFrame::Ack { seq };
            self.tell_locked(slot, inner, |session, env| session.on_frame(ack, env));
        }
        if taken.is_last && number == 0 {
            self.end_classic(slot, inner);
        }
        let messages = taken.events.iter().filter(|event| matches!(event, Event::Message { .. }));
        messages.for_each(|_| self.metrics.message());
        if number != 0 {
            self.handed.lock().insert(slot.id, number, taken.events.clone());
            if let Some(classic) = inner.classic().filter(|_| taken.is_last) {
                classic.endpoint.linger(self.context.clock.unix_ms());
            }
        }
        taken.events
    }

    /// Says something numbered, if it may be said and there is room for it.
    fn speak(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        said: impl IntoIterator<Item = Private, IntoIter: ExactSizeIterator>,
        may: impl Fn(&Endpoint) -> bool,
        number: impl Fn(&mut Endpoint, Private) -> Option<ClientFrame>,
    ) -> Answer {
        let said = said.into_iter();
        let mut inner = slot.inner.lock();
        let is_good = |endpoint: &Endpoint| may(endpoint) && endpoint.has_room(said.len());
        if !inner.classic().is_some_and(|classic| is_good(&classic.endpoint)) {
            return Answer::Failed;
        }
        let count = u32::try_from(said.len()).unwrap_or(u32::MAX);
        if let Err(refusal) = inner.session.prepay(count) {
            return refused(&refusal);
        }
        for what in said {
            let Some(classic) = inner.classic() else { return Answer::Failed };
            classic.endpoint.listen();
            let Some(frame) = number(&mut classic.endpoint, what) else { return Answer::Failed };
            self.tell_locked(slot, &mut inner, |session, env| session.on_frame(frame, env));
            let answer = inner.classic().map_or(Ok(()), |classic| classic.endpoint.answer(true));
            if let Err(refusal) = answer {
                return refused(&refusal);
            }
        }
        Answer::Done
    }

    fn type_classic(self: &Arc<Self>, slot: &Arc<Slot>, on: bool) -> Answer {
        let mut inner = slot.inner.lock();
        if !inner.classic().is_some_and(|classic| classic.endpoint.may_talk()) {
            return Answer::Failed;
        }
        self.tell_locked(slot, &mut inner, |session, env| session.on_frame(ClientFrame::Typing { on }, env));
        Answer::Done
    }

    /// The outcome comes as an event.
    fn answer_challenge(self: &Arc<Self>, slot: &Arc<Slot>, response: Private) -> Answer {
        let mut inner = slot.inner.lock();
        let Some(challenge) = inner.classic().and_then(|classic| classic.challenge.as_mut()) else {
            return Answer::Failed;
        };
        if std::mem::replace(&mut challenge.is_checked, true) {
            return Answer::TooFast(Duration::from_secs(1));
        }
        drop(inner);
        let (hub, slot) = (Arc::clone(self), Arc::clone(slot));
        let hard = self.context.drain.hard();
        self.context.tasks.spawn("captcha", async move {
            tokio::select! {
                solved = hub.classic.captcha.is_solved(&response.0) => {
                    let solved = solved.inspect_err(|error| warn!(%error, "a captcha cannot be checked"));
                    hub.judge_challenge(&slot, solved.unwrap_or(false));
                }
                () = hard => {}
            }
        });
        Answer::Done
    }

    fn judge_challenge(self: &Arc<Self>, slot: &Arc<Slot>, is_solved: bool) {
        let mut inner = slot.inner.lock();
        let Some(classic) = inner.classic() else { return };
        if is_solved && let Some(challenge) = classic.challenge.take() {
            let find = challenge.find;
            return self.tell_locked(slot, &mut inner, |session, env| session.on_start(Some(find), env));
        }
        if let (Some(challenge), Some(key)) = (&mut classic.challenge, self.classic.captcha.site_key()) {
            challenge.is_checked = false;
            classic.endpoint.push(Event::CaptchaRejected(key.to_owned()));
            classic.endpoint.ring();
        }
    }

    /// Does what a classic client's endpoint wants, after something happened.
    pub(super) fn attend(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner) {
        let env = self.env();
        loop {
            let activity = inner.session.activity();
            let Some(classic) = inner.classic() else { return };
            let effects = match classic.endpoint.wants(activity, env.now_ms) {
                None => return classic.endpoint.ring(),
                Some(Want::Say(frame)) => inner.session.on_frame(frame, &env),
                Some(Want::Suspend) => inner.session.on_quiet(),
                Some(Want::End) => {
                    self.let_go(inner);
                    inner.session.on_gone(&env)
                }
            };
            effects.into_iter().for_each(|effect| self.perform(slot, inner, effect));
        }
    }

    fn end_classic(self: &Arc<Self>, slot: &Arc<Slot>, inner: &mut Inner) {
        if self.let_go(inner) {
            self.tell_locked(slot, inner, |session, env| session.on_gone(env));
        }
    }

    /// The client is gone. An open poll is answered.
    fn let_go(&self, inner: &mut Inner) -> bool {
        let is_classic = inner.classic().is_some();
        if is_classic {
            inner.client = None;
            self.count_online(-1);
        }
        is_classic
    }

    /// Sessions go on while the gateway drains. Those that are left shortly before its end are ended, so that their strangers are told.
    pub(super) async fn end_last_classics(self: Arc<Self>) {
        self.until_last_words().await;
        for slot in self.all_slots() {
            let mut inner = slot.inner.lock();
            if let Some(classic) = inner.classic() {
                classic.endpoint.lose();
                self.end_classic(&slot, &mut inner);
            }
            drop(inner);
            self.remove_if_over(slot.id);
        }
    }
}

impl Hub {
    /// Waits for the moment of a drain when clients are told the last things.
    pub async fn until_last_words(&self) {
        self.context.drain.soft().await;
        let remaining = self.context.drain.remaining();
        tokio::select! {
            () = tokio::time::sleep(remaining.saturating_sub(LAST_WORDS.min(remaining / 2))) => {}
            () = self.context.drain.hard() => {}
        }
    }

    /// A call of a classic client is under way until what this returns is dropped: a drain waits for its answer.
    pub fn call_under_way(self: &Arc<Self>) -> UnderWay {
        self.calls.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }
}

/// A session of which its client does not know yet. Dropping it with the slot ends the session.
struct Unknown {
    hub: Arc<Hub>,
    slot: Option<Arc<Slot>>,
}

impl Drop for Unknown {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.hub.end_classic(&slot, &mut slot.inner.lock());
            self.hub.remove_if_over(slot.id);
        }
    }
}

/// A call that is under way.
pub struct UnderWay(Arc<Hub>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer of a poll that has something to say.
fn answer(events: &[Event]) -> Answer {
    serde_json::to_string(events).map_or(Answer::Unknown, Answer::Events)
}

fn refused(refusal: &Refusal) -> Answer {
    let wait = refusal.retry_after_ms.map(Duration::from_millis);
    match (refusal.code, wait) {
        (Code::SlowDown, Some(wait)) => Answer::TooFast(wait),
        _ => Answer::Failed,
    }
}

/// A poll that is open. Dropping it while it is tells that the client has broken it off.
struct OpenPoll {
    hub: Arc<Hub>,
    slot: Arc<Slot>,
    bell: Arc<Bell>,
    number: u64,
    given: u64,
}

impl OpenPoll {
    fn open(hub: &Arc<Hub>, slot: &Arc<Slot>, given: u64) -> Option<Self> {
        let mut inner = slot.inner.lock();
        if inner.classic()?.endpoint.lingers() {
            hub.end_classic(slot, &mut inner);
            return None;
        }
        let endpoint = &mut inner.classic()?.endpoint;
        let (number, bell) = (endpoint.open_poll(given), endpoint.bell());
        hub.tell_locked(slot, &mut inner, |session, env| session.on_heard(env));
        drop(inner);
        Some(Self { hub: Arc::clone(hub), slot: Arc::clone(slot), bell, number, given })
    }

    /// The answer, if there is one by now.
    fn look(&self) -> Option<Answer> {
        let mut inner = self.slot.inner.lock();
        let endpoint = match inner.classic() {
            Some(classic) if classic.endpoint.is_open(self.number) => &mut classic.endpoint,
            _ if self.bell.is_lost() => return Some(Answer::Unknown),
            // A newer one took its place, or the client ended the session.
            _ => return Some(Answer::nothing()),
        };
        if !endpoint.has_events() {
            return None;
        }
        endpoint.close_poll(self.hub.context.clock.unix_ms());
        let events = self.hub.take_events(&self.slot, &mut inner, self.given);
        self.hub.heed_deadlines(self.slot.id, &mut inner);
        Some(answer(&events))
    }

    /// Nobody waits for it any more.
    fn close(&self, is_broken_off: bool) {
        let mut inner = self.slot.inner.lock();
        let Some(classic) = inner.classic().filter(|classic| classic.endpoint.is_open(self.number)) else {
            return;
        };
        if is_broken_off {
            return self.hub.quiet(&self.slot, &mut inner, true);
        }
        classic.endpoint.close_poll(self.hub.context.clock.unix_ms());
        self.hub.heed_deadlines(self.slot.id, &mut inner);
    }
}

impl Drop for OpenPoll {
    fn drop(&mut self) {
        self.close(true);
    }
}
