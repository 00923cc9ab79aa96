//! The operators' port: health and metrics.
//!
//! - `/livez`: 200 as long as the runtime answers at all; touches nothing else.
//! - `/readyz`: 200 if the process may be sent work; otherwise 503, and a line for each condition that is missing.
//! - `/metrics`: everything measured, as Prometheus text.
//!
//! Unlike a service's ports it answers until the very end, so that a drain can be watched.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Registry, TextEncoder};
use tracing::error;

use crate::{Drain, Readiness};

/// What the operators' port shows.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The process's readiness.
    pub readiness: Readiness,
    /// The process's drain, during which it is not ready.
    pub drain: Drain,
    /// What is measured.
    pub registry: Registry,
}

/// The operators' port's pages.
pub fn router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let draining = admin.drain.is_draining().then(|| "draining\n".to_owned());
    let missing = admin.readiness.missing().into_iter().map(|(name, why)| format!("{name}: {why}\n"));
    let text: String = draining.into_iter().chain(missing).collect();
    if text.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match TextEncoder::new().encode_to_string(&admin.registry.gather()) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            error!(%error, "cannot encode metrics");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be encoded, the log says why\n")
                .into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{Context, Random, Secret, Tasks, http, net::Net};

    /// A page's status and text.
    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = Net::Host.connect(address).await.expect("to connect");
        let request = format!("GET {path} HTTP/1.1\r\nhost: operators\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("to write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse().expect("a status"), body.to_owned())
    }

    #[tokio::test]
    async fn operators_see_what_is_missing_and_the_drain_until_the_very_end() {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::from_secs(60));
        let operators =
            Context { tasks: Tasks::default(), drain: Drain::new(Duration::ZERO), ..context.clone() };
        let registry = Registry::new();
        let finds = prometheus::IntCounter::new("finds_total", "Finds").expect("a counter");
        registry.register(Box::new(finds.clone())).expect("to register");
        let listener = Net::Host.listen("127.0.0.1:0".parse().expect("an address")).await.expect("to listen");
        let address = listener.address().expect("an address");
        let admin = Admin { readiness: context.readiness.clone(), drain: context.drain.clone(), registry };
        let serving = operators.clone();
        operators.tasks.spawn("admin", async move { http::serve(&serving, listener, router(admin)).await });

        assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()));
        assert_eq!(get(address, "/readyz").await, (200, "ready\n".to_owned()));
        assert_eq!(get(address, "/nothing").await.0, 404);
        finds.inc_by(2);
        let (status, page) = get(address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(page.contains("# TYPE finds_total counter\nfinds_total 2\n"), "{page}");

        let redis = context.readiness.condition("redis", "waiting for redis to answer");
        let shard = context.readiness.condition("shards", "no lease yet");
        let missing = "redis: waiting for redis to answer\nshards: no lease yet\n";
        assert_eq!(get(address, "/readyz").await, (503, missing.to_owned()));
        assert_eq!(get(address, "/livez").await.0, 200, "what is missing is nothing that a restart cures");
        redis.met();
        assert_eq!(get(address, "/readyz").await, (503, "shards: no lease yet\n".to_owned()));
        shard.met();
        assert_eq!(get(address, "/readyz").await.0, 200);

        context.drain.begin();
        assert_eq!(get(address, "/readyz").await, (503, "draining\n".to_owned()));
        assert_eq!(get(address, "/livez").await.0, 200);
        context.drain.force();
        assert_eq!(get(address, "/metrics").await.0, 200);

        operators.drain.force();
        operators.tasks.finished().await;
        assert!(Net::Host.connect(address).await.is_err(), "it ends with the process");
    }
}
