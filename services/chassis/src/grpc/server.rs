//! The server side.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::stream;
use stroll_proto::v1::FILE_DESCRIPTOR_SET;
use tonic::{service::Routes, transport::Server};
use tonic_health::ServingStatus;

use crate::{Context, net::Listener};

/// A connection that doesn't answer a ping for this long is given up.
const KEEPALIVE: Duration = Duration::from_secs(10);
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
    context.tasks.spawn("grpc health", report_health(context.clone(), reporter, name));
    let incoming = stream::unfold(listener, async |listener| {
        let (stream, _) = listener.accept().await;
        Some((Ok::<_, std::io::Error>(stream), listener))
    });
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_routes(routes)
        .add_service(health)
        .add_service(reflection)
        .serve_with_incoming_shutdown(incoming, context.drain.soft());
    tokio::select! {
        served = serving => served.context("serving gRPC"),
        () = context.drain.hard() => Ok(()),
    }
}

async fn report_health(context: Context, reporter: tonic_health::server::HealthReporter, name: &'static str) {
    let mut interval = tokio::time::interval(HEALTH_INTERVAL);
    let mut told = None;
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = context.drain.soft() => break,
        }
        let ready = context.readiness.missing().is_empty();
        if told != Some(ready) {
            told = Some(ready);
            let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status("", status).await;
            reporter.set_service_status(name, status).await;
        }
    }
    reporter.set_service_status("", ServingStatus::NotServing).await;
    reporter.set_service_status(name, ServingStatus::NotServing).await;
}
