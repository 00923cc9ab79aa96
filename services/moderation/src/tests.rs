//! The store on both databases, and the service over real sockets.

mod postgres;
mod service;
mod store;

use std::time::Duration;

/// How long a test waits for anything before it fails.
const WITHIN: Duration = Duration::from_secs(20);

async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.unwrap_or_else(|_| panic!("still waiting for {what}"));
}
