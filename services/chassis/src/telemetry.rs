//! Logs, traces and metrics.
//!
//! Logs go to standard error: for people on a terminal, otherwise a JSON object a line with `timestamp`, `level`, `message`,
//! `target`, the event's fields, the innermost `span`, and `trace_id` and `span_id` where there is a recorded trace.
//! `STROLL_LOG` says what is logged, or else `RUST_LOG`; `info` by default.
//!
//! Metrics are always on the operators' port. Traces, metrics and logs are pushed over OTLP as OpenTelemetry's standard
//! variables say (the private module `plan` has the details); without an endpoint or exporter set, nothing is pushed.
//!
//! Invariant: what happens inside the exporters and the transports below them is never exported, or each export would
//! make the next.

mod layers;
mod otlp;
mod plan;
mod process;

use std::{env, io, time::Duration};

use opentelemetry::{KeyValue, global, propagation::TextMapCompositePropagator, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::SdkLoggerProvider,
    metrics::SdkMeterProvider,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::SdkTracerProvider,
};
use tracing::{info, warn};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::Random;
use layers::{Filter, Style};
use plan::{Plan, Propagator};

/// How long pushing what is left may hold up a process's end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// A process's telemetry while it runs.
#[derive(Debug)]
pub struct Telemetry {
    pipelines: Pipelines,
}

impl Telemetry {
    /// Sets telemetry up for the whole process, which is called `name`. `filter` is the setting of what is logged.
    /// Has to be called in a tokio runtime, which then pushes what is pushed.
    #[must_use]
    pub fn start(name: &str, filter: Option<&str>, random: &Random) -> Self {
        let plan = Plan::read(|name| env::var(name).ok());
        let style = Style::of(&io::stderr());
        let (filter, warning) = Filter::choose(filter, env::var("RUST_LOG").ok().as_deref());
        // While the SDK sets itself up, it can warn of variables that it reads itself.
        let early = layers::subscriber(style, io::stderr, &filter, None, None);
        let pipelines = tracing::subscriber::with_default(early, || {
            Pipelines::build(&plan, resource(name, &plan, random))
        });
        // Before there is a log: the SDK finds this worth a line.
        pipelines.make_global(&plan);
        let subscriber =
            layers::subscriber(style, io::stderr, &filter, pipelines.tracer(), pipelines.logs.as_ref());
        // It fails only where somebody else, such as a test, has set one up; theirs stays then.
        let _ = subscriber.try_init();
        process::observe(name);
        for warning in plan.warnings.iter().chain(&warning) {
            warn!("{warning}");
        }
        tell(&plan);
        Self { pipelines }
    }

    /// Everything measured in this process.
    #[must_use]
    pub fn registry(&self) -> prometheus::Registry {
        self.pipelines.registry.clone()
    }

    /// Pushes what is left, for three seconds at most. Nothing is pushed after.
    pub async fn flush(self) {
        self.pipelines.flush().await;
    }
}

/// Says where what is pushed goes.
fn tell(plan: &Plan) {
    for (signal, exporters) in [("traces", &plan.traces), ("metrics", &plan.metrics), ("logs", &plan.logs)] {
        if let Some(otlp) = &exporters.otlp {
            info!(signal, to = otlp.peer(), protocol = %otlp.protocol, "pushing telemetry");
        }
    }
}

/// The SDK's providers, each with its exporters.
#[derive(Debug)]
struct Pipelines {
    traces: Option<SdkTracerProvider>,
    metrics: SdkMeterProvider,
    logs: Option<SdkLoggerProvider>,
    registry: prometheus::Registry,
}

impl Pipelines {
    fn build(plan: &Plan, resource: Resource) -> Self {
        let registry = prometheus::Registry::new();
        Self {
            traces: otlp::traces(&plan.traces, &resource),
            logs: otlp::logs(&plan.logs, &resource),
            metrics: otlp::metrics(&plan.metrics, resource, &registry),
            registry,
        }
    }

    fn make_global(&self, plan: &Plan) {
        global::set_meter_provider(self.metrics.clone());
        global::set_text_map_propagator(propagator(&plan.propagators));
        if let Some(traces) = &self.traces {
            global::set_tracer_provider(traces.clone());
        }
    }

    fn tracer(&self) -> Option<opentelemetry_sdk::trace::SdkTracer> {
        self.traces.as_ref().map(|traces| traces.tracer("stroll"))
    }

    async fn flush(self) {
        let Self { traces, metrics, logs, registry: _ } = self;
        // Each waits for a thread of its own, which a thread of the runtime must not.
        let traces = push("traces", move || {
            traces.map_or(Ok(()), |traces| traces.shutdown_with_timeout(FLUSH_TIMEOUT))
        });
        let metrics = push("metrics", move || metrics.shutdown_with_timeout(FLUSH_TIMEOUT));
        let logs =
            push("logs", move || logs.map_or(Ok(()), |logs| logs.shutdown_with_timeout(FLUSH_TIMEOUT)));
        tokio::join!(traces, metrics, logs);
    }
}

async fn push(signal: &'static str, shutdown: impl FnOnce() -> OTelSdkResult + Send + 'static) {
    let shutdown = tokio::task::spawn_blocking(shutdown);
    match tokio::time::timeout(FLUSH_TIMEOUT, shutdown).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => warn!(signal, %error, "could not push what was left"),
        Ok(Err(error)) => warn!(signal, %error, "could not push what was left"),
        Err(_) => warn!(signal, "could not push what was left in time"),
    }
}

/// Who reports: the variables' word counts before our own.
fn resource(name: &str, plan: &Plan, random: &Random) -> Resource {
    let attributes = plan.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let service_name = plan.service_name.clone().map(|name| KeyValue::new("service.name", name));
    Resource::builder()
        .with_attributes([
            KeyValue::new("service.name", name.to_owned()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance_id(random)),
        ])
        .with_attributes(attributes.chain(service_name))
        .build()
}

/// A random UUID (RFC 9562, version 4).
fn instance_id(random: &Random) -> String {
    let mut number = u128::from_be_bytes(random.bytes());
    number = (number & !(0xf << 76)) | (0x4 << 76);
    number = (number & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{number:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn propagator(of: &[Propagator]) -> TextMapCompositePropagator {
    let propagators =
        of.iter().map(|propagator| -> Box<dyn opentelemetry::propagation::TextMapPropagator + Send + Sync> {
            match propagator {
                Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
                Propagator::Baggage => Box::new(BaggagePropagator::new()),
            }
        });
    TextMapCompositePropagator::new(propagators.collect())
}

#[cfg(test)]
mod tests;
