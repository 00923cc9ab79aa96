//! One trace leads from a stranger's wish to the assignment.

use std::time::Duration;

use chassis::grpc;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use stroll_proto::v1::{EnqueueRequest, Ticket};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Gateway, Node, RedisServer, Relay, Where, context, ticket};

const FIRST: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_assignment_continues_its_own_tickets_trace_where_that_is_sampled() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let filtered =
        tracing_subscriber::Layer::with_filter(layer, tracing_subscriber::filter::LevelFilter::INFO);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filtered))
        .expect("the only one");

    let context = context();
    let server = RedisServer::start().await;
    let node = Node::start(&Where::redis(&server)).await;
    node.ready().await;
    let _relay = Relay::start(&context, &node, "http://127.0.0.1:7002");
    let mut gateway = Gateway::watch(&context, &node, "gateway-1", "").await;
    let traces = [
        "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00",
    ];
    let tickets = [ticket(&context, "gateway-1"), ticket(&context, "gateway-1")];
    for (trace, ticket) in traces.iter().zip(&tickets) {
        let client = node.client(&context);
        let put_in = grpc::retry(&context, FIRST, || {
            let ticket = Ticket { traceparent: format!("00-{trace}"), ..ticket.clone() };
            let request = grpc::request(EnqueueRequest { tickets: vec![ticket] }, FIRST);
            let mut client = client.clone();
            async move { client.enqueue(request).await }
        });
        put_in.await.expect("it is put in");
    }
    for _ in &tickets {
        let told = gateway.assignment(FIRST).await;
        if told.ticket == tickets[0].id {
            let (trace, span) = traces[0].split_once('-').expect("both");
            assert!(told.traceparent.starts_with(&format!("00-{trace}-")), "{}", told.traceparent);
            assert!(!told.traceparent.contains(&span[..16]), "it is the pairing's span, not the caller's");
        } else {
            assert_eq!(told.traceparent, "", "its trace is not sampled");
        }
    }
}
