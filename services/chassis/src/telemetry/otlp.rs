//! Builds the SDK's providers from a plan.
//!
//! The SDK's batch processors run in threads of their own, outside of the runtime, while both transports (tonic and hyper)
//! need it: tonic takes it along when a channel is made, the HTTP client is wrapped here so that it does too. So
//! providers have to be built inside the runtime.

use std::{fmt::Display, pin::pin, time::Duration};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, hyper::HyperClient};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    Resource, logs::SdkLoggerProvider, metrics::SdkMeterProvider, trace::SdkTracerProvider,
};
use tokio::runtime::Handle;
use tracing::warn;

use super::plan::{Exporters, Otlp, Protocol};

/// An exporter of the SDK. The three have builders of the same shape and of different types.
macro_rules! exporter {
    ($Exporter:ident, $exporters:expr) => {
        $exporters.otlp.as_ref().and_then(|Otlp { protocol, endpoint, timeout }| {
            let builder = $Exporter::builder();
            let exporter = match protocol {
                Protocol::Grpc => builder.with_tonic().with_endpoint(endpoint).with_timeout(*timeout).build(),
                Protocol::HttpProtobuf => builder
                    .with_http()
                    .with_http_client(Client::new(*timeout))
                    .with_endpoint(endpoint)
                    .with_timeout(*timeout)
                    .build(),
            };
            built(stringify!($Exporter), exporter)
        })
    };
}

/// Nothing where traces go nowhere: spans then cost next to nothing.
pub(super) fn traces(exporters: &Exporters, resource: &Resource) -> Option<SdkTracerProvider> {
    let otlp = exporter!(SpanExporter, exporters);
    let console = exporters.console.then(opentelemetry_stdout::SpanExporter::default);
    if otlp.is_none() && console.is_none() {
        return None;
    }
    let mut builder = SdkTracerProvider::builder().with_resource(resource.clone());
    if let Some(otlp) = otlp {
        builder = builder.with_batch_exporter(otlp);
    }
    if let Some(console) = console {
        builder = builder.with_simple_exporter(console);
    }
    Some(builder.build())
}

/// Nothing where logs go nowhere but to standard error.
pub(super) fn logs(exporters: &Exporters, resource: &Resource) -> Option<SdkLoggerProvider> {
    let otlp = exporter!(LogExporter, exporters);
    let console = exporters.console.then(opentelemetry_stdout::LogExporter::default);
    if otlp.is_none() && console.is_none() {
        return None;
    }
    let mut builder = SdkLoggerProvider::builder().with_resource(resource.clone());
    if let Some(otlp) = otlp {
        builder = builder.with_batch_exporter(otlp);
    }
    if let Some(console) = console {
        builder = builder.with_simple_exporter(console);
    }
    Some(builder.build())
}

/// Metrics are always collected, for `registry`.
pub(super) fn metrics(
    exporters: &Exporters,
    resource: Resource,
    registry: &prometheus::Registry,
) -> SdkMeterProvider {
    let mut builder = SdkMeterProvider::builder().with_resource(resource);
    // An instrument's name says its service already.
    let page = opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false);
    if let Some(page) = built("PrometheusExporter", page.build()) {
        builder = builder.with_reader(page);
    }
    if let Some(otlp) = exporter!(MetricExporter, exporters) {
        builder = builder.with_periodic_exporter(otlp);
    }
    if exporters.console {
        builder = builder.with_periodic_exporter(opentelemetry_stdout::MetricExporter::default());
    }
    builder.build()
}

fn built<T>(exporter: &str, result: Result<T, impl Display>) -> Option<T> {
    result.inspect_err(|error| warn!(exporter, %error, "cannot set up an exporter, going on without")).ok()
}

/// An HTTP client that works in the runtime that it was made in, whoever calls it.
#[derive(Debug)]
struct Client {
    inner: HyperClient,
    runtime: Handle,
}

impl Client {
    fn new(timeout: Duration) -> Self {
        Self { inner: HyperClient::with_default_connector(timeout, None), runtime: Handle::current() }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut answer = pin!(self.inner.send_bytes(request));
        std::future::poll_fn(|context| {
            let _entered = self.runtime.enter();
            answer.as_mut().poll(context)
        })
        .await
    }
}
