//! Connecting, and when to try it again.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use chassis::Random;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::stranger::Stranger;

/// Within which time a gateway has to answer `hello`.
const ANSWER: Duration = Duration::from_secs(3);
/// The first attempt comes within this time, the later ones within twice that, four times, …, at most [`LONGEST`].
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

/// One attempt under way.
pub(super) type Dial = Pin<Box<dyn Future<Output = Dialled> + Send>>;

/// What came of an attempt.
pub(super) enum Dialled {
    /// A socket that is welcome.
    Welcome(Box<Welcome>),
    /// No answer, or another one.
    Failed(String),
}

/// A socket that is welcome.
pub(super) struct Welcome {
    pub socket: Stranger,
    /// Those that it said hello with.
    pub tokens: Tokens,
    /// The one to use from now on.
    pub session: Option<String>,
}

/// Who one is, and in which chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub session: Option<String>,
    pub resume: Option<String>,
}

impl Tokens {
    fn hello(&self) -> Value {
        let mut hello = json!({"type": "hello", "adult": true, "terms": true});
        if let Some(session) = &self.session {
            hello["session"] = session.as_str().into();
        }
        if let Some(resume) = &self.resume {
            hello["resume"] = resume.as_str().into();
        }
        hello
    }
}

/// Connects after a delay.
pub(super) fn dial(delay: Duration, gateway: SocketAddr, tokens: Tokens) -> Dial {
    Box::pin(async move {
        sleep(delay).await;
        match timeout(ANSWER, shake_hands(gateway, &tokens)).await {
            Ok(Ok((socket, welcome))) => {
                let session = welcome["session"].as_str().map(ToOwned::to_owned);
                Dialled::Welcome(Box::new(Welcome { socket, tokens, session }))
            }
            Ok(Err(refusal)) => Dialled::Failed(refusal),
            Err(_) => Dialled::Failed("no answer".to_owned()),
        }
    })
}

async fn shake_hands(gateway: SocketAddr, tokens: &Tokens) -> Result<(Stranger, Value), String> {
    let mut socket = Stranger::connect(gateway, &[]).await.map_err(|error| error.to_string())?;
    let hello = Message::text(tokens.hello().to_string());
    socket.send_raw(hello).await.map_err(|error| error.to_string())?;
    let answer = socket.next_or_close().await.map_err(|code| format!("closed with {code:?}"))?;
    if answer["type"] == "welcome" { Ok((socket, answer)) } else { Err(answer.to_string()) }
}

/// How long to wait after a socket was closed with this code, or lost without one.
pub(super) fn delay_after(code: Option<u16>, random: &Random) -> Duration {
    let seconds = |from, to| random.duration(Duration::from_secs(from)..Duration::from_secs(to));
    match code {
        Some(1012) => seconds(1, 5),
        Some(1013) => seconds(5, 30),
        // To misbehave once more at once would help nobody.
        Some(1003 | 1007..=1009 | 4004 | 4500..) => seconds(5, 30),
        _ => delay_of(0, random),
    }
}

/// How long to wait before an attempt, by how many failed before it. Anything up to the bound: all who lost the same gateway do this.
pub(super) fn delay_of(failed: u32, random: &Random) -> Duration {
    let bound = FIRST.saturating_mul(1 << failed.min(8)).min(LONGEST);
    random.duration(Duration::ZERO..bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_within_what_the_protocol_says() {
        let random = Random::seeded(1);
        let within = |code, from: u64, to: u64| {
            (0..100).all(|_| (from..to).contains(&(delay_after(code, &random).as_millis() as u64)))
        };
        assert!(within(None, 0, 500) && within(Some(4003), 0, 500) && within(Some(1006), 0, 500));
        assert!(within(Some(1012), 1_000, 5_000) && within(Some(1013), 5_000, 30_000));
        assert!((0..100).all(|_| delay_of(1, &random) < Duration::from_secs(1)));
        assert!((0..100).all(|_| delay_of(99, &random) < LONGEST));
        assert!((0..100).any(|_| delay_of(99, &random) > FIRST));
    }

    #[test]
    fn hello_has_the_tokens_that_there_are() {
        let tokens = Tokens { session: Some("s".into()), resume: None };
        assert_eq!(tokens.hello(), json!({"type": "hello", "adult": true, "terms": true, "session": "s"}));
        let tokens = Tokens { resume: Some("r".into()), ..tokens };
        assert_eq!(tokens.hello()["resume"], "r");
    }
}
