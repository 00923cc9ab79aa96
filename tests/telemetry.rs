//! What an SRE sees: one trace from a wish to the chat, through all processes.

use std::{collections::HashMap, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use parking_lot::Mutex;
use stroll_tests::{
    cluster::{Cluster, Settings},
    eventually,
    stranger::meet,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A collector that keeps all spans.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let service = name.map(|attribute| format!("{:?}", attribute.value)).unwrap_or_default();
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the collector is not a part of Stroll"
)]
async fn one_trace_spans_find_enqueue_stream_entry_pairing_assignment_and_attach() {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let settings = Settings {
        environment: vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".into()),
            ("OTEL_METRICS_EXPORTER", "none".into()),
            ("OTEL_LOGS_EXPORTER", "none".into()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".into()),
        ],
        ..Settings::default()
    };
    let cluster = Cluster::start_with(settings).await;
    let [_one, _two] = meet(cluster.addresses().await).await;
    let whole = || async {
        let spans = collector.0.lock().clone();
        let mut traces = HashMap::<Vec<u8>, Vec<(String, String)>>::new();
        for (service, span) in spans {
            traces.entry(span.trace_id).or_default().push((service, span.name));
        }
        let steps = [
            ("gateway", "find"),
            ("matchmaker", "enqueue"),
            ("matchmaker", "pair"),
            ("gateway", "assignment"),
            ("relay", "attach"),
        ];
        let is_whole = |trace: &&Vec<(String, String)>| {
            steps
                .iter()
                .all(|(service, step)| trace.iter().any(|(of, name)| of.contains(service) && name == step))
        };
        // Each stranger's wish has a trace of its own.
        (traces.values().filter(is_whole).count() == 2).then_some(())
    };
    eventually("two whole traces", whole).await;
}
