//! Where tracing's events and spans go: standard error, and OpenTelemetry's traces and logs.

use std::{fmt, io::IsTerminal};

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::{logs::SdkLoggerProvider, trace::SdkTracer};
use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{Format, Json, JsonFields, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
};

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// What lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Human,
    Json,
}

impl Style {
    pub(super) fn of(output: &impl IsTerminal) -> Self {
        if output.is_terminal() { Self::Human } else { Self::Json }
    }
}

/// What is logged, as text that `EnvFilter` can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter(String);

impl Filter {
    /// The setting, which has been looked at before; or else the variable, or a warning about it; or else `info`.
    pub(super) fn choose(setting: Option<&str>, rust_log: Option<&str>) -> (Self, Option<String>) {
        let given = setting.or(rust_log).map(str::trim).filter(|text| !text.is_empty());
        let Some(text) = given else { return (Self("info".to_owned()), None) };
        match EnvFilter::builder().parse(text) {
            Ok(_) => (Self(text.to_owned()), None),
            Err(error) => (
                Self("info".to_owned()),
                Some(format!("RUST_LOG: {error}, ignoring `{text}` and logging `info`")),
            ),
        }
    }

    fn build(&self) -> EnvFilter {
        EnvFilter::builder().parse_lossy(&self.0)
    }
}

/// Puts everything together. Lines go to `output`.
pub(super) fn subscriber<W>(
    style: Style,
    output: W,
    filter: &Filter,
    tracer: Option<SdkTracer>,
    logs: Option<&SdkLoggerProvider>,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layers: Vec<BoxedLayer> = [
        Some(lines(style, output).with_filter(filter.build()).boxed()),
        tracer.map(|tracer| {
            let filter =
                LevelFilter::INFO.and(filter_fn(is_ours)).and(filter_fn(|metadata| !is_task(metadata)));
            tracing_opentelemetry::layer().with_tracer(tracer).with_threads(false).with_filter(filter).boxed()
        }),
        logs.map(|logs| {
            OpenTelemetryTracingBridge::new(logs).with_filter(filter.build().and(filter_fn(is_ours))).boxed()
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    Registry::default().with(layers)
}

fn lines<W>(style: Style, output: W) -> BoxedLayer
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(output);
    match style {
        Style::Human => layer.boxed(),
        Style::Json => {
            let format = Format::default().json().flatten_event(true).with_span_list(false);
            layer.with_ansi(false).fmt_fields(JsonFields::new()).event_format(Traced(format)).boxed()
        }
    }
}

/// Whether something comes from Stroll or what it uses, and not from the path on which telemetry itself leaves.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    const PATH: [&str; 6] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry"];
    let root = metadata.target().split("::").next().unwrap_or_default();
    !PATH.contains(&root) && !root.starts_with("opentelemetry")
}

/// The span of an owned task says whose a log line is. As a span of a trace it would last as long as the task, and be
/// the root of everything that happens in there.
fn is_task(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == crate::tasks::TARGET
}

/// JSON lines that say which trace they belong to.
struct Traced(Format<Json>);

impl<S, N> FormatEvent<S, N> for Traced
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let trace = opentelemetry::Context::map_current(|context| context.span().span_context().clone());
        if !trace.is_sampled() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let open = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?;
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        writeln!(writer, "{open},\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\"}}")
    }
}
