//! The server side.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::stream;
use stroll_proto::v1::FILE_DESCRIPTOR_SET;
use tonic::{service::Routes, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::{Context, net::Listener};

/// A connection that doesn't answer a ping for this long is given up.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How many calls may be under way on one connection. Many wait for long.
const STREAMS: u32 = 1 << 20;
/// How often the health service looks at readiness.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// Serves `routes`, gRPC health and reflection on `listener` until the process drains. Calls in progress may then finish; a
/// service ends its own long streams when `drain.soft()` fires. `name` is the service's full gRPC name, for health.
///
/// # Errors
/// If serving fails for a reason that is not one connection's.
pub async fn serve(
    context: &Context,
    listener: Listener,
    name: &'static str,
    routes: Routes,
) -> anyhow::Result<()> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("building the reflection service")?;
    let mut teller = Health { reporter, name, is_serving: None };
    // The reporter says SERVING until it is told better.
    teller.tell(context.readiness.missing().is_empty()).await;
    context.tasks.spawn("grpc health", teller.follow(context.clone()));
    let incoming = stream::unfold(listener, async |listener| {
        let (stream, _) = listener.accept().await;
        Some((Ok::<_, std::io::Error>(stream), listener))
    });
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(Some(STREAMS))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // Clients of those who call may hang up in crowds; h2 would take twenty at a time for an attack.
        .http2_max_pending_accept_reset_streams(Some(STREAMS as usize))
        .add_routes(routes)
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(incoming, context.drain.soft());
    tokio::select! {
        served = serving => served.context("serving gRPC"),
        () = context.drain.hard() => Ok(()),
    }
}

/// What the health service says of the server as a whole and of its service.
struct Health {
    reporter: HealthReporter,
    name: &'static str,
    is_serving: Option<bool>,
}

impl Health {
    async fn tell(&mut self, is_serving: bool) {
        if self.is_serving.replace(is_serving) == Some(is_serving) {
            return;
        }
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in ["", self.name] {
            self.reporter.set_service_status(name, status).await;
        }
    }

    async fn follow(mut self, context: Context) {
        let mut interval = tokio::time::interval(HEALTH_INTERVAL);
        loop {
            tokio::select! {
                _ = interval.tick() => self.tell(context.readiness.missing().is_empty()).await,
                () = context.drain.soft() => break,
            }
        }
        self.tell(false).await;
        // This ends the streams of those who watch, which would hold up the drain.
        for name in ["", self.name] {
            self.reporter.clear_service_status(name).await;
        }
    }
}
