//! Whether what all strangers said and saw together is right.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use super::{Chat, ChatTag, Diary, End, Saying, Shown};

/// How many of each kind are told.
const EXAMPLES: usize = 8;

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Chats that were told to two.
    pub pairs: Vec<Pair>,
    /// Chats that were told to one only, because the other one's gateway or client was gone at that moment. Not judged.
    pub phantoms: usize,
    /// What was said in chats of two, and shown.
    pub said: usize,
    /// How much of it was shown at the other side.
    pub shown: usize,
    /// Said, or even acknowledged, and not shown.
    pub lost: Findings,
    /// Shown twice.
    pub duplicated: Findings,
    /// Shown after something that was said later.
    pub reordered: Findings,
    /// Shown to somebody to whom nobody said it.
    pub misdelivered: Findings,
    /// Ends of chats that nobody had left.
    pub involuntary: Findings,
    /// What else should not be.
    pub oddities: Findings,
    /// What came again and the clients dropped.
    pub repeats: u64,
    /// Chats `resumed`.
    pub resumed: u32,
    /// Strangers told to be `away`.
    pub away: u32,
    /// Sockets that were lost or closed, by code.
    pub closes: BTreeMap<String, usize>,
    /// Closes that a client can't hide.
    pub visible: Findings,
    /// Sockets that were replaced before they were closed.
    pub moves: u32,
    /// `error` frames, by code, and handshakes that failed.
    pub refusals: BTreeMap<String, usize>,
}

/// A chat of two.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its id.
    pub id: String,
    /// From when to when both were in it.
    pub time: [Duration; 2],
    /// When what was said was shown at the other side, for the first time, in no order.
    pub deliveries: Vec<Delivery>,
}

/// A message that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it was said.
    pub said: Duration,
    /// When it was shown.
    pub shown: Duration,
}

/// Things of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many.
    pub count: usize,
    /// The first of them, each in a sentence.
    pub examples: Vec<String>,
}

/// Looks at all diaries together. `last`: when everybody stopped talking, and then left, who had everything heard.
#[must_use]
pub fn judge(diaries: &[Diary], last: Duration) -> Verdict {
    let mut verdict = Verdict::default();
    let mut seats = BTreeMap::<&str, Vec<(u32, &Chat)>>::new();
    let mut chats = HashMap::new();
    for diary in diaries {
        verdict.look_at(diary);
        for chat in &diary.chats {
            seats.entry(&chat.id).or_default().push((diary.stranger, chat));
            chats.insert(ChatTag::of(&chat.id), chat.id.as_str());
        }
    }
    for (id, seats) in &seats {
        match seats.as_slice() {
            [_] => verdict.phantoms += 1,
            [one, other] if one.0 != other.0 => verdict.look_at_pair(id, [*one, *other], last, &chats),
            more => {
                let strangers: Vec<_> = more.iter().map(|(stranger, _)| stranger).collect();
                verdict.misdelivered.add(|| format!("chat {id} was told to {strangers:?}"));
            }
        }
    }
    verdict
}

impl Verdict {
    /// Whether no invariant was broken.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.wrongs().iter().all(|(_, findings)| findings.count == 0)
    }

    /// What has to be nothing.
    #[must_use]
    pub fn wrongs(&self) -> [(&'static str, &Findings); 6] {
        [
            ("lost", &self.lost),
            ("duplicated", &self.duplicated),
            ("reordered", &self.reordered),
            ("misdelivered", &self.misdelivered),
            ("involuntary ends", &self.involuntary),
            ("oddities", &self.oddities),
        ]
    }

    fn look_at(&mut self, diary: &Diary) {
        let Diary { stranger, chats, strays, closes, oddities, refusals, moves } = diary;
        for oddity in oddities {
            self.oddities.add(|| format!("stranger {stranger}: {oddity}"));
        }
        for stray in strays {
            self.misdelivered.add(|| {
                format!(
                    "stranger {stranger} was in no chat and was shown {:?} at {:?}",
                    stray.saying, stray.at
                )
            });
        }
        for close in closes {
            let name = close.code.map_or_else(|| "lost".to_owned(), |code| code.to_string());
            *self.closes.entry(name).or_default() += 1;
            if !close.hidden {
                self.visible.add(|| format!("stranger {stranger}: {:?} at {:?}", close.code, close.at));
            }
        }
        for code in refusals {
            *self.refusals.entry(code.clone()).or_default() += 1;
        }
        self.moves += moves;
        for chat in chats {
            self.repeats += chat.repeats;
            self.resumed += chat.resumed;
            self.away += chat.away;
        }
    }

    fn look_at_pair(
        &mut self,
        id: &str,
        seats: [(u32, &Chat); 2],
        last: Duration,
        chats: &HashMap<ChatTag, &str>,
    ) {
        self.look_at_end(id, seats);
        let [one, other] = seats;
        let began = one.1.began.max(other.1.began);
        let end = |chat: &Chat| chat.ended.as_ref().map_or(last, |ended| ended.at);
        let mut pair =
            Pair { id: id.to_owned(), time: [began, end(one.1).min(end(other.1))], deliveries: Vec::new() };
        let left_early = seats.iter().any(|(_, chat)| chat.left.is_some_and(|left| left < last));
        for (speaker, listener) in [(one, other), (other, one)] {
            let heard = self.look_at_shown(id, speaker, listener, chats);
            self.look_at_said(id, speaker, &heard, left_early);
            let said = speaker.1.said.iter().zip(1..);
            pair.deliveries.extend(
                said.filter_map(|(said, number)| {
                    Some(Delivery { said: said.at, shown: *heard.get(&number)? })
                }),
            );
        }
        self.shown += pair.deliveries.len();
        self.pairs.push(pair);
    }

    /// A chat ends because one of them left, or not at all.
    fn look_at_end(&mut self, id: &str, seats: [(u32, &Chat); 2]) {
        let left = seats.iter().filter_map(|(_, chat)| chat.left).min();
        for (stranger, chat) in seats {
            let Some(ended) = &chat.ended else { continue };
            if left.is_none_or(|left| left > ended.at)
                || (chat.left.is_none() && ended.how == End::By("you".into()))
            {
                self.involuntary.add(|| format!("chat {id} for stranger {stranger}: {ended:?}"));
            }
        }
    }

    /// Returns when each number was shown first.
    fn look_at_shown(
        &mut self,
        id: &str,
        (speaker, said): (u32, &Chat),
        (listener, heard): (u32, &Chat),
        chats: &HashMap<ChatTag, &str>,
    ) -> BTreeMap<u32, Duration> {
        let here = ChatTag::of(id);
        let mut first = BTreeMap::new();
        for Shown { at, saying } in &heard.shown {
            let told = |what: &str| format!("chat {id}: {listener} was shown {what} at {at:?}");
            let right = saying.filter(|saying| {
                let known = usize::try_from(saying.number)
                    .is_ok_and(|number| (1..=said.said.len()).contains(&number));
                saying.chat == here && saying.sender == speaker && known
            });
            let Some(Saying { number, .. }) = right else {
                let chat = saying.and_then(|saying| chats.get(&saying.chat));
                self.misdelivered.add(|| told(&format!("{saying:?} (chat {chat:?})")));
                continue;
            };
            if first.contains_key(&number) {
                self.duplicated.add(|| told(&format!("number {number} again")));
                continue;
            }
            if let Some((later, _)) = first.last_key_value().filter(|(last, _)| **last > number) {
                self.reordered.add(|| told(&format!("number {number} after {later}")));
            }
            first.insert(number, *at);
        }
        first
    }

    /// Where somebody left while others talked, only what was acknowledged must have been shown.
    fn look_at_said(
        &mut self,
        id: &str,
        (speaker, chat): (u32, &Chat),
        heard: &BTreeMap<u32, Duration>,
        left_early: bool,
    ) {
        self.said += chat.said.len();
        for (said, number) in chat.said.iter().zip(1..) {
            if !heard.contains_key(&number) && (said.acknowledged || !left_early) {
                self.lost
                    .add(|| format!("chat {id}: {speaker} said number {number} at {:?}, {said:?}", said.at));
            }
        }
    }
}

impl Findings {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |what: &str, value: &dyn fmt::Display| writeln!(f, "{what:<36} {value}");
        row("chats of two", &self.pairs.len())?;
        row("chats told to one only", &self.phantoms)?;
        row("messages said, shown", &format_args!("{}, {}", self.said, self.shown))?;
        for (what, findings) in self.wrongs() {
            row(what, &findings.count)?;
        }
        row("repeats that clients dropped", &self.repeats)?;
        row("chats resumed, strangers away", &format_args!("{}, {}", self.resumed, self.away))?;
        row("sockets closed, by code", &format_args!("{:?}", self.closes))?;
        row("of these not to be hidden", &self.visible.count)?;
        row("sockets replaced before that", &self.moves)?;
        row("refusals", &format_args!("{:?}", self.refusals))?;
        for (what, findings) in self.wrongs().into_iter().chain([("not to be hidden", &self.visible)]) {
            findings.examples.iter().try_for_each(|example| writeln!(f, "  {what}: {example}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
