//! What the strangers saw, and whether that is as it should be.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

use crate::{
    plan::{Fault, Plan},
    trace,
};

/// A ticket is paired within this time of a compatible one being in its pool, give or take what the network takes (I4). Those
/// who just met wait half a second longer.
const PAIRED_WITHIN: Duration = Duration::from_millis(2_500);
/// Everybody hears of a ban within this time.
const BANNED_WITHIN: Duration = Duration::from_millis(1_200);
/// How long after a fault that may still take longer: a lease, and finding out.
const SHADOW: Duration = Duration::from_secs(8);

thread_local! {
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

/// What all strangers saw.
#[derive(Default)]
pub struct Ledger {
    chats: BTreeMap<String, BTreeMap<usize, Side>>,
    waits: Vec<Wait>,
    violations: Vec<String>,
}

/// A chat, as one stranger saw it.
#[derive(Clone, Debug, Default)]
pub struct Side {
    pub began: Duration,
    /// When it ended, and by whom.
    pub ended: Option<(Duration, String)>,
    /// How many messages were sent, and how many of them were acknowledged.
    pub said: u64,
    pub heard: u64,
    /// How many of the other's were shown.
    pub shown: u64,
    /// Whether this one left, and not before both had heard everything.
    pub left: Option<Leaving>,
    /// Whether this one was rude.
    pub rude: bool,
}

impl Side {
    /// Whether it was left here, or ended for what was said.
    fn is_over(&self) -> bool {
        self.left.is_some() || self.ended.as_ref().is_some_and(|(_, by)| by == "moderation")
    }
}

/// How somebody leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// When everything was said and heard.
    Finished,
    /// In the middle.
    WalksOut,
}

/// A time in the pool.
#[derive(Clone, Debug)]
pub struct Wait {
    pub stranger: usize,
    pub from: Duration,
    pub until: Duration,
    /// From when on it takes anybody.
    pub anybody: Duration,
}

/// Something that must never be, seen by somebody.
pub fn violation(who: &dyn fmt::Display, what: fmt::Arguments<'_>) {
    violation_at(trace::now(), who, what);
}

/// The same, at a given time.
pub fn violation_at(at: Duration, who: &dyn fmt::Display, what: fmt::Arguments<'_>) {
    trace::event_at(at, who, format_args!("VIOLATION: {what}"));
    let line = format!("{:.3} {who}: {what}", at.as_secs_f64());
    LEDGER.with_borrow_mut(|ledger| ledger.violations.push(line));
}

/// Changes what one stranger tells of a chat.
pub fn tell(chat: &str, stranger: usize, tell: impl FnOnce(&mut Side)) {
    LEDGER.with_borrow_mut(|ledger| {
        tell(ledger.chats.entry(chat.to_owned()).or_default().entry(stranger).or_default());
    });
}

/// Somebody has waited.
pub fn waited(wait: Wait) {
    LEDGER.with_borrow_mut(|ledger| ledger.waits.push(wait));
}

/// What all of it comes to: a line of numbers, and everything that is wrong.
pub fn judge(plan: &Plan) -> (String, Vec<String>) {
    LEDGER.with_borrow_mut(|ledger| {
        let mut found = std::mem::take(&mut ledger.violations);
        judge_bans(&ledger.chats, plan, &mut found);
        for (chat, sides) in &ledger.chats {
            judge_chat(chat, sides, plan, &mut found);
        }
        judge_waits(&ledger.waits, plan, &mut found);
        (ledger.summary(), found)
    })
}

impl Ledger {
    fn summary(&self) -> String {
        let sides = || self.chats.values().flat_map(BTreeMap::values);
        let finished = sides().filter(|side| side.left == Some(Leaving::Finished)).count();
        let shown: u64 = sides().map(|side| side.shown).sum();
        let mut ends = BTreeMap::<&str, usize>::new();
        for side in sides() {
            *ends.entry(side.ended.as_ref().map_or("never", |(_, by)| by)).or_default() += 1;
        }
        let mut line = format!("{} chats, {finished} finished, {shown} messages", self.chats.len());
        for (by, count) in ends {
            let _ = write!(line, ", {count} ended by {by}");
        }
        line
    }
}

fn judge_chat(chat: &str, sides: &BTreeMap<usize, Side>, plan: &Plan, found: &mut Vec<String>) {
    let mut wrong = |what: String| found.push(format!("chat {chat}: {what}: {sides:?}"));
    let [one, other] = sides.values().collect::<Vec<_>>()[..] else {
        // Who is unreachable without anybody's knowing may be paired, and never hear of it; nor does who would have heard of it later
        // than the other one left.
        let is_alone = |side: &Side| {
            let left = side.left.is_some() && side.ended.as_ref().is_some_and(|(_, by)| by == "you");
            side.shown == 0 && (plan.hides_somebody(side.began) || left && plan.delays_a_relay(side.began))
        };
        if sides.len() > 1 || !sides.values().all(is_alone) {
            wrong(format!("I2: {} strangers were told of it", sides.len()));
        }
        return;
    };
    for (mine, others) in [(one, other), (other, one)] {
        if mine.shown > others.said {
            wrong("I3: more was shown than said".to_owned());
        }
        if mine.heard > others.shown {
            wrong("I3: more was acknowledged than shown".to_owned());
        }
        match &mine.ended {
            None => wrong("it never ended".to_owned()),
            Some((_, by)) if by == "stranger" && others.left.is_some() => {}
            // Who leaves just when the way to the relay breaks may not be heard, and is away then; or was all that knew of it.
            Some((_, by))
                if ["away", "error"].contains(&by.as_str())
                    && others.is_over()
                    && !plan.faults.is_empty() => {}
            Some((_, by)) if by == "moderation" && sides.keys().any(|one| plan.is_rude(*one)) => {}
            Some((_, by)) if by == "banned" && mine.rude => {}
            Some((_, by)) if by == "you" && mine.left.is_some() => {}
            Some((_, by)) => wrong(format!("nobody left, and it ended by {by}")),
        }
    }
    let finished = [one, other].iter().any(|side| side.left == Some(Leaving::Finished));
    let walked_out = [one, other].iter().any(|side| side.left == Some(Leaving::WalksOut));
    if finished && !walked_out && (one.shown, other.shown) != (other.said, one.said) {
        wrong("I3: not everything was shown".to_owned());
    }
}

/// The third chat that is ended for what somebody said is that one's last (I5).
fn judge_bans(chats: &BTreeMap<String, BTreeMap<usize, Side>>, plan: &Plan, found: &mut Vec<String>) {
    for stranger in (0..plan.strangers.len()).filter(|stranger| plan.is_rude(*stranger)) {
        let sides = || chats.values().filter_map(|sides| sides.get(&stranger));
        let mut offences: Vec<_> = sides()
            .filter(|side| side.rude)
            .filter_map(|side| side.ended.as_ref().filter(|(_, by)| by == "moderation"))
            .map(|(at, _)| *at)
            .collect();
        offences.sort_unstable();
        // One that moderation never heard counts for nothing, and replicas count for themselves.
        let Some(banned) = offences.get(2).filter(|_| plan.faults.is_empty()) else { continue };
        for side in sides().filter(|side| side.began > *banned + BANNED_WITHIN) {
            found
                .push(format!("I5: stranger {stranger} was banned at {banned:?} and paired again: {side:?}"));
        }
    }
}

/// Two who could meet each other never wait side by side for long, but for the time after a fault.
fn judge_waits(waits: &[Wait], plan: &Plan, found: &mut Vec<String>) {
    let slowest = plan.latency.end * 8;
    let waits: Vec<_> =
        waits.iter().filter(|wait| !plan.hides(wait.stranger, wait.from, wait.until)).collect();
    for (number, one) in waits.iter().enumerate() {
        for other in waits[number + 1..].iter().filter(|other| other.stranger != one.stranger) {
            let from = one.from.max(other.from).max(one.anybody).max(other.anybody);
            let together = outside_of_shadows(from, one.until.min(other.until), plan);
            if together > PAIRED_WITHIN + slowest {
                found.push(format!("I4: these two waited for {together:?} side by side: {one:?}, {other:?}"));
            }
        }
    }
}

/// How much of a time lies clear of all faults.
fn outside_of_shadows(from: Duration, until: Duration, plan: &Plan) -> Duration {
    let mut from = from;
    let mut clear = Duration::ZERO;
    for happening in plan.faults.iter().filter(|happening| matters(happening.fault)) {
        clear += happening.at.min(until).saturating_sub(from);
        from = from.max(happening.at + happening.lasts + SHADOW);
    }
    clear + until.saturating_sub(from)
}

/// Whether a fault has anything to do with pairing.
fn matters(fault: Fault) -> bool {
    !matches!(fault, Fault::Disconnect(_))
}
