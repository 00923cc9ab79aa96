//! What follows from breaking a rule: a word first, then the chat's end, then a ban.
//!
//! | rule | in the last hour | action |
//! |---|---|---|
//! | link, telephone number | first and second | warn |
//! | | from the third | end |
//! | slurs | first | warn |
//! | | from the second | end |
//! | sexual | first in each chat | warn |
//! | an age under 18, maybe | first | warn |
//! | | from the second | end |
//! | minor | | end |
//! | the third chat ended within the hour | | ban |
//!
//! Kept in memory, per replica: a session whose relays report to several replicas is counted by each of them alone.
//!
//! Invariants: at most `bound` sessions are remembered, the least recently seen are forgotten first; a chat is ended once, and
//! what was still on its way from it when it ended counts for nothing.

use std::{collections::HashMap, mem};

use chassis::id::{ChatId, SessionId};

use super::Rule;

/// How long anything is remembered, in milliseconds.
const MEMORY_MS: u64 = 3_600_000;
/// The link or telephone number with which patience ends.
const CONTACTS_TO_END: usize = 3;
/// The slur with which patience ends.
const SLURS_TO_END: usize = 2;
/// What may have been a child's age, with which doubt ends.
const AGES_TO_END: usize = 2;
/// The ended chat that gets a session banned.
const ENDS_TO_BAN: usize = 3;
/// How many strikes are kept per session; more than any count above.
const STRIKES_KEPT: usize = 16;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell the sender.
    Warn,
    /// End the chat.
    End,
    /// End the chat and ban the sender.
    Ban,
}

impl Action {
    /// As metrics and the log of decisions call it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::End => "end",
            Self::Ban => "ban",
        }
    }
}

/// Who broke which rules lately.
pub struct Strikes {
    bound: usize,
    recent: HashMap<SessionId, Record>,
    /// What was recent until `recent` was full. Who is seen again moves back; the rest is dropped the next time.
    older: HashMap<SessionId, Record>,
}

#[derive(Default)]
struct Record {
    strikes: Vec<Strike>,
    ended: Vec<(ChatId, u64)>,
}

struct Strike {
    rule: Rule,
    chat: ChatId,
    at_unix_ms: u64,
}

impl Strikes {
    /// Remembers up to `bound` sessions.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { bound, recent: HashMap::new(), older: HashMap::new() }
    }

    /// What is to be done about a text of `session` in `chat` that broke `rule`, if anything.
    pub fn judge(
        &mut self,
        session: SessionId,
        chat: ChatId,
        rule: Rule,
        now_unix_ms: u64,
    ) -> Option<Action> {
        let record = self.record(session);
        record.forget_before(now_unix_ms.saturating_sub(MEMORY_MS));
        record.judge(Strike { rule, chat, at_unix_ms: now_unix_ms })
    }

    /// A session got its ban: it has a clean slate, should the ban be lifted. Its last chat stays ended.
    pub fn clear(&mut self, session: SessionId) {
        let record = self.record(session);
        record.strikes.clear();
        record.ended.drain(..record.ended.len().saturating_sub(1));
    }

    fn record(&mut self, session: SessionId) -> &mut Record {
        if !self.recent.contains_key(&session) && self.recent.len() >= self.bound.div_ceil(2) {
            self.older = mem::take(&mut self.recent);
        }
        let older = &mut self.older;
        self.recent.entry(session).or_insert_with(|| older.remove(&session).unwrap_or_default())
    }
}

// === impl Record ===

impl Record {
    fn forget_before(&mut self, unix_ms: u64) {
        self.strikes.retain(|strike| strike.at_unix_ms > unix_ms);
        self.ended.retain(|(_, at)| *at > unix_ms);
    }

    fn judge(&mut self, strike: Strike) -> Option<Action> {
        if self.ended.iter().any(|(chat, _)| *chat == strike.chat) {
            return None;
        }
        let (chat, at, rule) = (strike.chat, strike.at_unix_ms, strike.rule);
        let told_in_chat = self.strikes.iter().any(|other| other.rule == rule && other.chat == chat);
        if rule == Rule::Sexual && told_in_chat {
            return None;
        }
        self.strikes.push(strike);
        if self.strikes.len() > STRIKES_KEPT {
            self.strikes.remove(0);
        }
        let ends = match rule {
            Rule::Minor => true,
            Rule::MaybeMinor => self.count(|other| other == Rule::MaybeMinor) >= AGES_TO_END,
            Rule::Hate => self.count(|other| other == Rule::Hate) >= SLURS_TO_END,
            Rule::SpamLink | Rule::PhoneNumber => self.count(is_contact) >= CONTACTS_TO_END,
            Rule::Sexual => false,
        };
        Some(if ends { self.end(chat, at) } else { Action::Warn })
    }

    fn count(&self, which: impl Fn(Rule) -> bool) -> usize {
        self.strikes.iter().filter(|strike| which(strike.rule)).count()
    }

    fn end(&mut self, chat: ChatId, at_unix_ms: u64) -> Action {
        self.ended.push((chat, at_unix_ms));
        if self.ended.len() > ENDS_TO_BAN {
            self.ended.remove(0);
        }
        if self.ended.len() >= ENDS_TO_BAN { Action::Ban } else { Action::End }
    }
}

fn is_contact(rule: Rule) -> bool {
    matches!(rule, Rule::SpamLink | Rule::PhoneNumber)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{Ban, End, Warn};

    const ANN: SessionId = SessionId([1; 16]);

    fn chat(number: u8) -> ChatId {
        ChatId([number; 16])
    }

    /// Each case: rules broken by Ann, with the chat's number and the minute, and what follows.
    #[test]
    fn strikes_lead_from_a_word_to_the_end_to_a_ban() {
        use Rule::{Hate, MaybeMinor, Minor, PhoneNumber, Sexual, SpamLink};
        type Step = (Rule, u8, u64, Option<Action>);
        let cases: &[(&str, &[Step])] = &[
            (
                "contacts",
                &[
                    (SpamLink, 1, 0, Some(Warn)),
                    (PhoneNumber, 1, 1, Some(Warn)),
                    (SpamLink, 1, 2, Some(End)),
                    (SpamLink, 1, 2, None),
                    (SpamLink, 2, 3, Some(End)),
                    (PhoneNumber, 3, 4, Some(Ban)),
                    (PhoneNumber, 3, 4, None),
                ],
            ),
            (
                "slow",
                &[(SpamLink, 1, 0, Some(Warn)), (SpamLink, 2, 30, Some(Warn)), (SpamLink, 3, 61, Some(Warn))],
            ),
            ("slurs", &[(Hate, 1, 0, Some(Warn)), (Hate, 2, 59, Some(End)), (Hate, 3, 120, Some(Warn))]),
            (
                "sexual",
                &[
                    (Sexual, 1, 0, Some(Warn)),
                    (Sexual, 1, 1, None),
                    (Sexual, 2, 2, Some(Warn)),
                    (Sexual, 1, 3, None),
                ],
            ),
            (
                "minor",
                &[
                    (Minor, 1, 0, Some(End)),
                    (Minor, 2, 61, Some(End)),
                    (Minor, 3, 62, Some(End)),
                    (Minor, 4, 63, Some(Ban)),
                ],
            ),
            (
                "maybe a minor",
                &[
                    (MaybeMinor, 1, 0, Some(Warn)),
                    (MaybeMinor, 1, 1, Some(End)),
                    (MaybeMinor, 2, 120, Some(Warn)),
                ],
            ),
            (
                "each kind for itself",
                &[(Hate, 1, 0, Some(Warn)), (SpamLink, 1, 0, Some(Warn)), (Sexual, 1, 0, Some(Warn))],
            ),
        ];
        for (name, steps) in cases {
            let mut strikes = Strikes::new(10);
            for (index, (rule, number, minute, expected)) in steps.iter().enumerate() {
                let action = strikes.judge(ANN, chat(*number), *rule, 10_000_000 + minute * 60_000);
                assert_eq!(action, *expected, "{name}, step {index}");
            }
        }
    }

    #[test]
    fn after_a_ban_the_slate_is_clean_and_the_chat_stays_ended() {
        let mut strikes = Strikes::new(10);
        for number in 1..=3 {
            strikes.judge(ANN, chat(number), Rule::Minor, 1);
        }
        strikes.clear(ANN);
        assert_eq!(strikes.judge(ANN, chat(3), Rule::Minor, 2), None);
        assert_eq!(strikes.judge(ANN, chat(4), Rule::SpamLink, 2), Some(Warn));
        assert_eq!(strikes.judge(ANN, chat(4), Rule::Minor, 2), Some(End));
    }

    #[test]
    fn the_number_of_sessions_is_bounded_and_the_least_recently_seen_go_first() {
        let mut strikes = Strikes::new(8);
        strikes.judge(ANN, chat(1), Rule::Hate, 1);
        for number in 0..100_u8 {
            strikes.judge(SessionId([number.wrapping_add(100); 16]), chat(1), Rule::Hate, 1);
            assert!(strikes.recent.len() + strikes.older.len() <= 8);
            if number < 50 && number % 3 == 0 {
                // Seen again and again, also between others.
                strikes.judge(ANN, chat(1), Rule::Sexual, 1);
            }
            if number == 50 {
                assert_eq!(strikes.judge(ANN, chat(1), Rule::Hate, 1), Some(End), "still remembered");
            }
        }
        assert_eq!(strikes.judge(ANN, chat(1), Rule::Hate, 1), Some(Warn), "forgotten");
    }

    #[test]
    fn a_session_that_goes_on_and_on_is_kept_in_bounds() {
        let mut strikes = Strikes::new(2);
        for number in 0..1_000_u32 {
            strikes.judge(
                ANN,
                ChatId(std::array::from_fn(|at| (number >> (8 * (at % 4))) as u8)),
                Rule::Hate,
                1,
            );
        }
        let record = strikes.record(ANN);
        assert!(record.strikes.len() <= STRIKES_KEPT && record.ended.len() <= ENDS_TO_BAN);
    }
}
