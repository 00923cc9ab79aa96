//! The test harness: real processes of Stroll, a real Redis, scripted strangers and real browsers.
//!
//! Tests wait for conditions, with one generous deadline ([`PATIENCE`]); nothing sleeps and hopes. Whatever a test starts ends
//! with the value that started it.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a harness fails by panicking, on the host's clock"
)]

pub mod balancer;
pub mod browser;
pub mod chaos;
pub mod classic;
pub mod cluster;
pub mod continuity;
pub mod http;
pub mod mailbox;
pub mod operator;
pub mod percentile;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod redis;
pub mod report;
pub mod stranger;
pub mod tabs;
pub mod talker;
pub mod verifier;
pub mod world;

use std::{future::Future, time::Duration};

/// How long a condition may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` gives something.
///
/// # Panics
/// When [`PATIENCE`] is over, naming `what` was waited for.
pub async fn eventually<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < give_up, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
