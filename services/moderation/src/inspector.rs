//! Looks at what is said, and says what is to be done.
//!
//! Invariant: a text is held while it is looked at, and goes nowhere else (I7). What is logged, counted and stored is which
//! rule it broke.

use std::{sync::Arc, time::Duration};

use chassis::{
    Context,
    bans::Ban,
    id::{AddressHash, ChatId, Seat, SessionId},
};
use parking_lot::Mutex;
use stroll_proto::v1::{self, InspectRequest, Said, Verdict};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::{
    bans::Bans,
    error::Error,
    journal::Journal,
    metrics::Metrics,
    report::{chat, hex, parse_subject, seat},
    rules::{
        self, Budget, Rule,
        strikes::{Action, Strikes},
    },
    store::{Decision, NewBan, Store},
};

/// How long a text may take. The usual ones take less than a tenth of a millisecond; only made-up ones take more.
const TEXT_BUDGET: Duration = Duration::from_millis(2);
/// How many sessions' strikes are remembered.
const SESSIONS: usize = 100_000;

/// What all streams of texts share.
pub(crate) struct Inspector {
    pub(crate) context: Context,
    pub(crate) store: Store,
    pub(crate) bans: Arc<Bans>,
    pub(crate) journal: Journal,
    pub(crate) metrics: Metrics,
    pub(crate) ban_duration: Duration,
    strikes: Mutex<Strikes>,
}

/// A text, with its fields parsed.
struct Spoken {
    chat: ChatId,
    seat: Seat,
    seq: u64,
    session: SessionId,
    address: Option<AddressHash>,
    text: String,
}

impl TryFrom<Said> for Spoken {
    type Error = Error;

    fn try_from(said: Said) -> Result<Self, Error> {
        let (session, address) = parse_subject(said.subject.as_ref())?;
        let session = session.ok_or(Error::Malformed("a text has a sender"))?;
        Ok(Self {
            chat: chat(&said.chat)?,
            seat: seat(said.seat)?,
            seq: said.seq,
            session,
            address,
            text: said.text,
        })
    }
}

impl Inspector {
    pub(crate) fn new(
        context: &Context,
        store: Store,
        bans: Arc<Bans>,
        journal: Journal,
        metrics: Metrics,
        ban_duration: Duration,
    ) -> Self {
        let strikes = Mutex::new(Strikes::new(SESSIONS));
        Self { context: context.clone(), store, bans, journal, metrics, ban_duration, strikes }
    }

    /// Looks at a batch of texts. The verdicts are returned when the decisions are durable, or the database is away.
    ///
    /// # Errors
    /// If a text breaks the interface's rules; then none of the batch was looked at.
    pub(crate) async fn inspect(&self, batch: InspectRequest) -> Result<Vec<Verdict>, Error> {
        let batch: Vec<Spoken> = batch.said.into_iter().map(Spoken::try_from).collect::<Result<_, _>>()?;
        let (mut verdicts, mut decisions) = (Vec::new(), Vec::new());
        for spoken in batch {
            let Some(rule) = self.look_at(&spoken.text) else {
                tokio::task::yield_now().await;
                continue;
            };
            if let Some(action) = self.decide(&spoken, rule).await {
                self.metrics.verdict(action);
                decisions.push(self.decision(&spoken, rule, action));
                verdicts.push(verdict(&spoken, rule, action));
            }
        }
        self.journal.record(decisions).await;
        Ok(verdicts)
    }

    fn look_at(&self, text: &str) -> Option<Rule> {
        let began = Instant::now();
        let elapsed = || began.elapsed();
        let inspection = rules::inspect(text, &Budget::new(TEXT_BUDGET, &elapsed));
        self.metrics.inspected(inspection, began.elapsed());
        inspection.hit
    }

    /// What is to be done. A ban that can't be stored would not hold, so it comes down to the chat's end.
    async fn decide(&self, spoken: &Spoken, rule: Rule) -> Option<Action> {
        let now = self.context.clock.unix_ms();
        let action = self.strikes.lock().judge(spoken.session, spoken.chat, rule, now)?;
        if action == Action::Ban && !self.ban(spoken, rule).await {
            return Some(Action::End);
        }
        Some(action)
    }

    /// Bans a sender. Returns whether the ban is durable.
    async fn ban(&self, spoken: &Spoken, rule: Rule) -> bool {
        let now = self.context.clock.unix_ms();
        let until =
            self.ban_duration.as_millis().try_into().map_or(u64::MAX, |lasts| now.saturating_add(lasts));
        let ban = Ban {
            id: new_id(&self.context),
            session: Some(spoken.session),
            address: spoken.address.filter(|_| rule.bans_address()),
            until_unix_ms: until,
            reason: rule.ban_reason().to_owned(),
        };
        let id = ban.id.clone();
        if let Err(error) = self.store.ban(&[NewBan { ban, case: None, created_unix_ms: now }]).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(chat = %spoken.chat, %error, cause, "a ban can't be stored, ending the chat only");
            return false;
        }
        self.strikes.lock().clear(spoken.session);
        info!(ban = id, chat = %spoken.chat, rule = rule.code(), "banned");
        // Where this fails, the ban is told with the next poll.
        let _ = self.bans.refresh().await;
        true
    }

    fn decision(&self, spoken: &Spoken, rule: Rule, action: Action) -> Decision {
        Decision {
            id: new_id(&self.context),
            chat: spoken.chat,
            seat: spoken.seat,
            seq: spoken.seq,
            session: spoken.session,
            rule: rule.code(),
            action: action.code(),
            at_unix_ms: self.context.clock.unix_ms(),
        }
    }
}

/// An id for a ban or a decision.
pub(crate) fn new_id(context: &Context) -> String {
    hex(&context.random.bytes::<16>())
}

fn verdict(spoken: &Spoken, rule: Rule, action: Action) -> Verdict {
    let code = match action {
        Action::Warn => v1::Action::Warn,
        Action::End => v1::Action::End,
        Action::Ban => v1::Action::Ban,
    };
    Verdict {
        chat: spoken.chat.to_bytes(),
        seat: spoken.seat.0.into(),
        seq: spoken.seq,
        action: code.into(),
        rule: rule.code().to_owned(),
        text: words_for_sender(rule, action).to_owned(),
    }
}

fn words_for_sender(rule: Rule, action: Action) -> &'static str {
    match (action, rule) {
        (Action::Warn, Rule::SpamLink) => {
            "Please don't send links to strangers. If you go on, the chat ends."
        }
        (Action::Warn, Rule::PhoneNumber) => {
            "Please keep phone numbers to yourself: you don't know who reads this. If you go on, the chat ends."
        }
        (Action::Warn, Rule::Hate) => "Please be kind. Words like these end a chat.",
        (Action::Warn, Rule::Sexual) => "Please make sure that your stranger is fine with this.",
        (Action::Warn, Rule::MaybeMinor) => {
            "This place is for adults only. If that was your age, please leave now. If you go on, the chat ends."
        }
        (_, Rule::MaybeMinor | Rule::Minor) => {
            "This place is for adults only. If you are not one yet: take care, and come back when you are."
        }
        (Action::End, _) => "This chat was ended, because it broke the rules.",
        (Action::Ban, _) => "You can't take part for some time, because you broke the rules again and again.",
    }
}
