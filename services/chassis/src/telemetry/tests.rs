//! A collector of our own receives what is pushed, and lines are read back.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, body::Bytes, routing::post};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use parking_lot::Mutex;
use tonic::{Request, Response, Status, service::Routes};
use tracing::{Level, error_span, info_span, span};

use super::*;
use crate::{Context, Secret, net::Net};

/// What was pushed, of any signal.
#[derive(Clone, Default)]
struct Collector {
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    logs: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.traces.lock().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.metrics.lock().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs.lock().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

impl Collector {
    async fn serve_grpc(&self, context: &Context) -> SocketAddr {
        let listener =
            context.net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("to listen");
        let address = listener.address().expect("an address");
        let routes = Routes::new(TraceServiceServer::new(self.clone()))
            .add_service(MetricsServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self.clone()));
        let context = context.clone();
        context.tasks.clone().spawn("collector", async move {
            crate::grpc::serve(&context, listener, "collector", routes).await.expect("to serve");
        });
        address
    }

    async fn serve_http(&self, context: &Context) -> SocketAddr {
        let listener =
            context.net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("to listen");
        let address = listener.address().expect("an address");
        let (traces, metrics, logs) = (self.traces.clone(), self.metrics.clone(), self.logs.clone());
        let router = Router::new()
            .route("/v1/traces", post(async move |body: Bytes| keep(&traces, body)))
            .route("/v1/metrics", post(async move |body: Bytes| keep(&metrics, body)))
            .route("/v1/logs", post(async move |body: Bytes| keep(&logs, body)));
        let context = context.clone();
        context
            .tasks
            .clone()
            .spawn("collector", async move { crate::http::serve(&context, listener, router).await });
        address
    }

    fn spans(&self) -> Vec<opentelemetry_proto::tonic::trace::v1::Span> {
        let requests = self.traces.lock();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    fn log_lines(&self) -> Vec<opentelemetry_proto::tonic::logs::v1::LogRecord> {
        let requests = self.logs.lock();
        let resources = requests.iter().flat_map(|request| &request.resource_logs);
        resources
            .flat_map(|resource| &resource.scope_logs)
            .flat_map(|scope| scope.log_records.clone())
            .collect()
    }

    fn metric_names(&self) -> Vec<String> {
        let requests = self.metrics.lock();
        let resources = requests.iter().flat_map(|request| &request.resource_metrics);
        let scopes = resources.flat_map(|resource| &resource.scope_metrics);
        scopes.flat_map(|scope| scope.metrics.iter().map(|metric| metric.name.clone())).collect()
    }

    fn resource_of_traces(&self) -> Vec<(String, String)> {
        let requests = self.traces.lock();
        let resource = requests[0].resource_spans[0].resource.clone().expect("a resource");
        let attributes = resource.attributes.into_iter();
        attributes.map(|attribute| (attribute.key, text_of(attribute.value))).collect()
    }
}

fn text_of(value: Option<opentelemetry_proto::tonic::common::v1::AnyValue>) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        other => format!("{other:?}"),
    }
}

fn keep<M: prost::Message + Default>(into: &Mutex<Vec<M>>, body: Bytes) {
    into.lock().push(M::decode(body).expect("an OTLP request"));
}

/// What lines are written into.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn lines(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().clone()).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn plan(variables: &[(&str, &str)]) -> Plan {
    Plan::read(|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

/// Does what a service does, with telemetry as `plan` says, and pushes it. What was written to standard error comes back.
async fn work(plan: &Plan) -> Output {
    let pipelines = Pipelines::build(plan, resource("stroll-test", plan, &Random::seeded(7)));
    let output = Output::default();
    let subscriber = {
        let (output, filter) = (output.clone(), Filter::choose(Some("info"), None).0);
        layers::subscriber(
            Style::Json,
            move || output.clone(),
            &filter,
            pipelines.tracer(),
            pipelines.logs.as_ref(),
        )
    };
    pipelines.metrics.meter("stroll-test").u64_counter("stroll.test.finds").build().add(3, &[]);
    tracing::subscriber::with_default(subscriber, || {
        info!("outside");
        let task = error_span!(target: crate::tasks::TARGET, parent: None, "task", is = "work").entered();
        let find = info_span!("find", mode = "text").entered();
        info!(tickets = 2, "found");
        span!(target: "h2::client", Level::ERROR, "of the transport").in_scope(|| {
            tracing::error!(target: "tonic::transport", "of the transport");
        });
        tracing::debug!("too fine");
        drop((find, task));
    });
    pipelines.flush().await;
    output
}

#[tokio::test]
async fn a_collector_receives_all_signals_by_either_protocol_and_nothing_of_the_way_there() {
    for protocol in ["grpc", "http/protobuf"] {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO);
        let collector = Collector::default();
        let address = match protocol {
            "grpc" => collector.serve_grpc(&context).await,
            _ => collector.serve_http(&context).await,
        };
        let plan = plan(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-1,deployment.environment.name=test"),
        ]);
        assert_eq!(plan.warnings, [""; 0]);
        work(&plan).await;

        let spans = collector.spans();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["find"], "{protocol}");
        assert!(spans[0].parent_span_id.is_empty(), "a task's span is no parent");
        let logs = collector.log_lines();
        let texts: Vec<_> = logs.iter().map(|line| text_of(line.body.clone())).collect();
        assert_eq!(texts, ["outside", "found"], "{protocol}");
        assert_eq!(logs[1].trace_id, spans[0].trace_id, "a line belongs to its trace");
        assert_eq!(collector.metric_names(), ["stroll.test.finds"], "{protocol}");

        let resource = collector.resource_of_traces();
        let of = |key: &str| resource.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert_eq!(of("service.name"), Some("stroll-test"));
        assert_eq!(of("service.version"), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(of("service.instance.id"), Some("pod-1"));
        assert_eq!(of("deployment.environment.name"), Some("test"));
        context.drain.force();
    }
}

#[tokio::test]
async fn flushing_to_a_collector_that_does_not_answer_takes_no_longer_than_it_may() {
    // It accepts connections and says nothing.
    let listener = Net::Host.listen("127.0.0.1:0".parse().expect("an address")).await.expect("to listen");
    let endpoint = format!("http://{}", listener.address().expect("an address"));
    for protocol in ["grpc", "http/protobuf"] {
        let plan =
            plan(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)]);
        let began = tokio::time::Instant::now();
        work(&plan).await;
        assert!(
            began.elapsed() < FLUSH_TIMEOUT + Duration::from_secs(1),
            "{protocol}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn lines_are_flat_json_and_name_their_trace() {
    let output = work(&plan(&[("OTEL_TRACES_EXPORTER", "otlp")])).await;
    let lines = output.lines();
    assert_eq!(lines[0]["message"], "outside");
    assert_eq!(lines[0].get("trace_id"), None);
    let found = &lines[1];
    assert_eq!(
        (&found["message"], &found["level"], &found["tickets"]),
        (&"found".into(), &"INFO".into(), &2.into())
    );
    assert_eq!(found["target"], "stroll_chassis::telemetry::tests");
    assert_eq!((&found["span"]["name"], &found["span"]["mode"]), (&"find".into(), &"text".into()));
    assert!(found["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{found}");
    assert_eq!(found["trace_id"].as_str().map(str::len), Some(32));
    assert_eq!(found["span_id"].as_str().map(str::len), Some(16));
    assert!(lines.iter().all(|line| line["message"] != "too fine"));
}

#[tokio::test]
async fn metrics_are_on_the_page_with_nothing_pushed() {
    let plan = plan(&[("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    let pipelines = Pipelines::build(&plan, resource("stroll-test", &plan, &Random::seeded(7)));
    assert!(pipelines.traces.is_none() && pipelines.logs.is_none());
    pipelines.metrics.meter("stroll-test").u64_counter("stroll.test.finds").build().add(3, &[]);
    let page = prometheus::TextEncoder::new().encode_to_string(&pipelines.registry.gather()).expect("text");
    assert!(page.lines().any(|line| line == "stroll_test_finds_total 3"), "{page}");
    assert!(page.contains("service_name=\"stroll-test\""), "{page}");
}

#[test]
fn an_instance_id_is_a_random_uuid() {
    let id = instance_id(&Random::seeded(1));
    assert_ne!(id, instance_id(&Random::seeded(2)));
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert!(id[14..].starts_with('4') && id[19..].starts_with(['8', '9', 'a', 'b']), "{id}");
}

#[test]
fn the_setting_of_what_is_logged_wins_over_rust_log_which_may_be_nonsense() {
    let cases = [
        (None, None, "info", false),
        (None, Some("debug"), "debug", false),
        (Some("warn"), Some("debug"), "warn", false),
        (None, Some(" "), "info", false),
        (None, Some("a=[b"), "info", true),
    ];
    for (setting, rust_log, expected, warns) in cases {
        let (filter, warning) = Filter::choose(setting, rust_log);
        assert_eq!(filter, Filter::choose(Some(expected), None).0, "{setting:?} {rust_log:?}");
        assert_eq!(warning.is_some(), warns, "{setting:?} {rust_log:?}");
    }
}
