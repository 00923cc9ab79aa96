//! Spy mode: one who asks a question, and two who discuss it.

use super::{
    index::{Found, Index, Looking, Waiting},
    language::Common,
    line::{ASK, DISCUSS},
    questions::Questions,
    rules,
};

/// How many of each role are tried with each other.
const TRIED: usize = 32;

impl Index {
    /// For one who asks: the two who have waited longest and may meet each other.
    pub(super) fn look_for_two(&self, looking: &Looking<'_>) -> Found {
        let discussing = self.longest_waiting(looking, DISCUSS);
        for (nth, one) in discussing.iter().enumerate() {
            let other = discussing[nth + 1..].iter().find(|other| fit(looking, one, other));
            if let Some(other) = other {
                return Found::Two(one.ticket.entry, other.ticket.entry);
            }
        }
        Found::Nobody
    }

    /// For one who discusses: who asks and who discusses with them; or, where nobody asks, who discusses the
    /// operator's question.
    pub(super) fn look_for_discussion(&self, looking: &Looking<'_>, questions: &Questions) -> Found {
        let asking = self.longest_waiting(looking, ASK);
        let discussing = self.longest_waiting(looking, DISCUSS);
        for spy in &asking {
            if let Some(other) = discussing.iter().find(|other| fit(looking, spy, other)) {
                return Found::Two(spy.ticket.entry, other.ticket.entry);
            }
        }
        // Somebody asks, and waits only for a second one. But who has waited too long takes what there is.
        if !asking.is_empty() && !looking.willing {
            return Found::Nobody;
        }
        let has_question = |other: &&&Waiting| {
            let languages = [looking.ticket.languages.as_slice(), other.ticket.languages.as_slice()];
            questions.has(Common::of(languages.into_iter()).language())
        };
        let other = discussing.iter().find(has_question);
        other.map_or(Found::Nobody, |other| Found::One(other.ticket.entry))
    }

    /// Those of a role whom this one may meet.
    fn longest_waiting(&self, looking: &Looking<'_>, role: u64) -> Vec<&Waiting> {
        let lines = self.lines(role, looking.ticket);
        let mut found: Vec<_> =
            lines.flat_map(|line| line.filter(|waiting| looking.may_meet(waiting)).take(TRIED)).collect();
        found.sort_unstable_by_key(|waiting| waiting.ticket.place());
        found.dedup_by_key(|waiting| waiting.ticket.entry);
        found.truncate(TRIED);
        found
    }
}

/// Whether three of whom the first may meet both others fit together.
fn fit(looking: &Looking<'_>, one: &Waiting, other: &Waiting) -> bool {
    let languages = [looking.ticket, &one.ticket, &other.ticket].map(|ticket| ticket.languages.as_slice());
    let pair = Looking { ticket: &one.ticket, willing: one.willing, now: looking.now };
    rules::forbidden(&one.ticket, &other.ticket).is_none()
        && pair.may_meet(other)
        && Common::of(languages.into_iter()) != Common::Nothing
}
