//! What is said, who says it and what opens a seat is in no log line (I7).

use std::{
    io::{self, Write},
    sync::Arc,
};

use chassis::{Random, Secret};
use parking_lot::Mutex;
use stroll_proto::v1::{Mode, RefusedReason};
use tracing_subscriber::fmt::MakeWriter;

use crate::world::World;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_of_a_chat_has_no_text_no_token_and_no_subject() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("debug,stroll_relay=trace,stroll_chassis=trace,tonic=trace")
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // For the whole program: what a scoped subscriber gets depends on what other threads logged first.
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");

    let mut world = World::start().await;
    let (pairing, mut one, mut two) = world.chat(Mode::Text).await;
    let mut foreign = pairing.clone();
    foreign.secret = Secret::ephemeral(&Random::from_os());
    one.attach(2, foreign.token(1));
    assert_eq!(one.refused(2).await, RefusedReason::BadToken);
    one.say(1, 1, "xylophone");
    two.message(1).await;
    world.moderation.hears("xylophone").await;
    two.report(1, 1);
    two.reported(1).await;
    world.moderation.stop().await;
    two.report(1, 2);
    assert_eq!(two.reported(1).await, (String::new(), true));
    one.leave(1);
    two.ended(1).await;
    world.context.drain.begin();
    let token = pairing.token(1);
    world.drained().await;

    let log = String::from_utf8_lossy(&log.0.lock()).into_owned();
    assert!(log.contains("share STROLL_SECRET"), "the operator is told of a wrong secret");
    assert!(log.contains("a report could not be stored"));
    // As Debug prints bytes, and as text.
    let signature = token.slice(token.len() - 32..);
    let printed = format!("{signature:?}");
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = printed.trim_start_matches("b\"").trim_end_matches('"');
    for private in ["xylophone", "a session's name", "an address' hash", "a comment", token, &hex] {
        assert!(!log.contains(private), "{private}");
    }
}
