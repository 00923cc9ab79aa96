//! Tickets as gateways make them.

use chassis::Random;
use stroll_proto::v1::{Mode, Subject, Ticket};

const INTERESTS: usize = 3;
const OF: u64 = 20;
const PATIENCE_MS: u64 = 5_000;
/// How many somebody has met lately.
const MET_LATELY: usize = 4;

/// Makes tickets, each of somebody new.
pub struct Tickets {
    random: Random,
}

impl Tickets {
    pub fn new(random: Random) -> Self {
        Self { random }
    }

    /// One that looks for these interests from `now` on (milliseconds since the Unix epoch).
    pub fn ticket(&self, gateway: String, interests: Vec<String>, now: u64) -> Ticket {
        let bytes = || self.random.bytes::<16>().to_vec().into();
        let number = || u64::from_le_bytes(self.random.bytes());
        Ticket {
            id: bytes(),
            gateway,
            subject: Some(Subject { session: bytes(), address: bytes() }),
            mode: Mode::Text.into(),
            section: "main".to_owned(),
            interests,
            languages: vec!["en".to_owned()],
            patience_ms: PATIENCE_MS,
            since_unix_ms: now,
            zone: "a".to_owned(),
            aliases: vec![number()],
            met_lately: (0..MET_LATELY).map(|_| number()).collect(),
            ..Ticket::default()
        }
    }

    /// Three of twenty interests, of which the n-th is n times as rare as the first.
    pub fn three_of_twenty(&self) -> Vec<String> {
        let mut interests = Vec::with_capacity(INTERESTS);
        while interests.len() < INTERESTS {
            let interest = format!("interest {}", self.zipf());
            if !interests.contains(&interest) {
                interests.push(interest);
            }
        }
        interests
    }

    /// From 1 to 20, by Zipf's law with the exponent 1.
    fn zipf(&self) -> u64 {
        const SCALE: u64 = 1 << 20;
        let weights = (1..=OF).map(|rank| SCALE / rank);
        let drawn = self.random.below(weights.clone().sum());
        let mut sum = 0;
        let up_to = weights.map(|weight| {
            sum += weight;
            sum
        });
        (1..OF).zip(up_to).find(|(_, sum)| drawn < *sum).map_or(OF, |(rank, _)| rank)
    }
}
