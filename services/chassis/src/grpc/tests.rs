//! Channels and servers over real sockets, and over simulated ones.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::stream;
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tonic::{
    Code, Request, Status,
    metadata::MetadataMap,
    service::{Routes, interceptor::InterceptedService},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::*;
use crate::{Context, Random, Secret, net::Net};

const SECOND: Duration = Duration::from_secs(1);

fn context() -> Context {
    Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::ZERO)
}

/// A server that remembers what it was called with. It has a runtime of its own, so that it can die with all its
/// connections.
struct Peer {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<MetadataMap>>>,
    runtime: Option<Runtime>,
}

impl Peer {
    async fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let calls = Arc::<Mutex<Vec<MetadataMap>>>::default();
        let kept = Arc::clone(&calls);
        let (tell, told) = oneshot::channel();
        runtime.spawn(async move {
            let listener = Net::Host.listen(any_port()).await.expect("to listen");
            tell.send(listener.address().expect("an address")).expect("somebody who asked");
            let (_, health) = tonic_health::server::health_reporter();
            let health = InterceptedService::new(health, move |request: Request<()>| {
                kept.lock().push(request.metadata().clone());
                Ok(request)
            });
            let incoming = stream::unfold(listener, async |listener| {
                let (stream, _) = listener.accept().await;
                Some((Ok::<_, std::io::Error>(stream), listener))
            });
            let server = tonic::transport::Server::builder().add_service(health);
            server.serve_with_incoming(incoming).await.expect("to serve");
        });
        Self { address: told.await.expect("an address"), calls, runtime: Some(runtime) }
    }

    fn count(&self) -> usize {
        self.calls.lock().len()
    }

    fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.die();
    }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// An address at which nobody listens.
async fn nowhere() -> SocketAddr {
    Net::Host.listen(any_port()).await.expect("to listen").address().expect("an address")
}

fn targets(addresses: &[SocketAddr]) -> Targets {
    let urls: Vec<_> = addresses.iter().map(|address| format!("http://{address}")).collect();
    urls.join(",").parse().expect("targets")
}

async fn check(channel: &Channel, deadline: Duration) -> Result<ServingStatus, Status> {
    let request = request(HealthCheckRequest { service: String::new() }, deadline);
    Ok(HealthClient::new(channel.clone()).check(request).await?.into_inner().status())
}

/// Calls until it works.
async fn check_surely(context: &Context, channel: &Channel) -> ServingStatus {
    retry(context, 10 * SECOND, async || check(channel, SECOND).await).await.expect("an answer in the end")
}

/// Waits until `condition` holds, for five seconds.
async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(5 * SECOND, waiting).await.is_ok(), "{what} did not happen");
}

#[tokio::test]
async fn calls_go_to_all_addresses_in_turn_each_with_its_deadline() {
    let context = context();
    let peers = [Peer::start().await, Peer::start().await];
    let channel = Channel::new(&context, targets(&peers.each_ref().map(|peer| peer.address)));
    check_surely(&context, &channel).await;
    let before = peers.each_ref().map(Peer::count);
    for _ in 0..20 {
        check(&channel, 3 * SECOND).await.expect("an answer");
    }
    let after = peers.each_ref().map(Peer::count);
    assert_eq!([after[0] - before[0], after[1] - before[1]], [10, 10]);
    let calls = peers[0].calls.lock();
    let told = calls.last().and_then(|metadata| metadata.get("grpc-timeout")?.to_str().ok());
    assert_eq!(told, Some("3000000u"));
}

#[tokio::test]
async fn an_address_that_died_is_passed_over() {
    let context = context();
    let [living, mut dying] = [Peer::start().await, Peer::start().await];
    let addresses = [living.address, dying.address, nowhere().await];
    let channel = Channel::new(&context, targets(&addresses));
    until("both are called", async || {
        check_surely(&context, &channel).await;
        living.count() > 0 && dying.count() > 0
    })
    .await;
    dying.die();
    let (died_at, before) = (dying.count(), living.count());
    let began = Instant::now();
    for _ in 0..20 {
        check_surely(&context, &channel).await;
    }
    assert!(began.elapsed() < SECOND, "calls waited for dead addresses: {:?}", began.elapsed());
    assert_eq!((dying.count(), living.count() - before), (died_at, 20));
}

#[tokio::test]
async fn addresses_that_change_are_followed() {
    let context = context();
    let [old, new] = [Peer::start().await, Peer::start().await];
    let known = Arc::new(Mutex::new(BTreeSet::from([old.address])));
    let resolved = Arc::clone(&known);
    let channel = Channel::following(&context, move || {
        let found = (resolved.lock().clone(), Vec::new());
        async move { found }
    });
    check_surely(&context, &channel).await;
    assert_eq!((old.count(), new.count()), (1, 0));
    *known.lock() = BTreeSet::from([new.address]);
    until("the new address is called", async || {
        check_surely(&context, &channel).await;
        new.count() > 0
    })
    .await;
    let before = old.count();
    check_surely(&context, &channel).await;
    assert_eq!(old.count(), before, "the old address is called no more");

    // While names don't resolve, what is known stays.
    known.lock().clear();
    check_surely(&context, &channel).await;
}

#[tokio::test]
async fn without_an_address_calls_fail_at_once_and_the_channels_end_ends_the_resolver() {
    let context = context();
    let failing = || async { (BTreeSet::new(), vec![std::io::Error::other("no such name")]) };
    let channel = Channel::following(&context, failing);
    let status = check(&channel, SECOND).await.expect_err("nobody to call");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(is_transient(&status));
    let silent = Channel::new(&context, targets(&[nowhere().await]));
    until("it is resolved", async || {
        let status = check(&silent, SECOND).await.expect_err("nobody to call");
        assert_eq!(status.code(), Code::Unavailable);
        status.message().contains("cannot be reached")
    })
    .await;
    drop((channel, silent));
    timeout(5 * SECOND, context.tasks.finished()).await.expect("resolvers end with their channels");
}

#[tokio::test]
async fn a_deadline_that_passes_is_told_as_that() {
    let context = context();
    // It accepts connections and says nothing.
    let listener = Net::Host.listen(any_port()).await.expect("to listen");
    let channel = Channel::new(&context, targets(&[listener.address().expect("an address")]));
    until("it is resolved", async || {
        let began = Instant::now();
        let status = check(&channel, Duration::from_millis(200)).await.expect_err("no answer");
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
        status.code() == Code::DeadlineExceeded
    })
    .await;
}

#[tokio::test]
async fn health_follows_readiness_and_goes_off_with_the_drain() {
    let context = context();
    let redis = context.readiness.condition("redis", "not yet");
    let listener = context.net.listen(any_port()).await.expect("to listen");
    let channel = Channel::new(&context, targets(&[listener.address().expect("an address")]));
    let serving = context.clone();
    context.tasks.spawn("server", async move {
        serve(&serving, listener, "stroll.v1.TestService", Routes::default()).await.expect("to serve");
    });
    let status = async |service: &str| {
        let request = request(HealthCheckRequest { service: service.to_owned() }, SECOND);
        let answer = HealthClient::new(channel.clone()).check(request).await;
        answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
    };
    for service in ["", "stroll.v1.TestService"] {
        redis.unmet("not yet");
        until("not serving", async || status(service).await == Ok(ServingStatus::NotServing)).await;
        redis.met();
        until("serving", async || status(service).await == Ok(ServingStatus::Serving)).await;
    }
    assert_eq!(status("stroll.v1.NobodyService").await, Err(Code::NotFound));

    let request = Request::new(HealthCheckRequest::default());
    let mut watch = HealthClient::new(channel.clone()).watch(request).await.expect("a stream").into_inner();
    let now = watch.message().await.expect("a message").expect("a message").status();
    assert_eq!(now, ServingStatus::Serving);
    context.drain.begin();
    let then = timeout(SECOND, watch.message()).await.expect("news of the drain").expect("a message");
    assert_eq!(then.expect("a message").status(), ServingStatus::NotServing);
    let end = timeout(SECOND, watch.message()).await.expect("the stream's end").expect("an end");
    assert_eq!(end, None, "who watches does not hold up the drain");
    drop((watch, channel));
    timeout(5 * SECOND, context.tasks.finished()).await.expect("the server ends when nobody is left");
}

#[test]
fn a_trace_goes_on_at_the_other_side() {
    use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()
        .with_simple_exporter(opentelemetry_stdout::SpanExporter::default())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    opentelemetry::global::set_text_map_propagator(
        opentelemetry_sdk::propagation::TraceContextPropagator::new(),
    );
    tracing::subscriber::with_default(subscriber, || {
        let trace_of = |span: &tracing::Span| span.context().span().span_context().trace_id();
        let find = tracing::info_span!("find");
        let text = traceparent(&find);
        assert_eq!(text.len(), 55, "{text}");

        let pair = tracing::info_span!("pair");
        continue_from(&pair, &text);
        assert_eq!(trace_of(&pair), trace_of(&find));

        let mut headers = http::HeaderMap::new();
        find.in_scope(|| trace::inject(&mut headers));
        let attach = tracing::info_span!("attach");
        continue_from_metadata(&attach, &MetadataMap::from_headers(headers));
        assert_eq!(trace_of(&attach), trace_of(&find));

        for bad in ["", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01"] {
            let alone = tracing::info_span!("alone");
            continue_from(&alone, bad);
            assert_ne!(trace_of(&alone), trace_of(&find), "{bad}");
        }
    });
    assert_eq!(traceparent(&tracing::Span::none()), "");
}

#[cfg(feature = "simulation")]
#[test]
fn a_call_crosses_the_simulated_network_and_fails_while_it_is_cut() -> turmoil::Result {
    let context = || Context {
        net: Net::Simulated,
        clock: crate::Clock::starting_at(0),
        random: Random::seeded(1),
        ..self::context()
    };
    let mut simulation = turmoil::Builder::new().rng_seed(1).simulation_duration(60 * SECOND).build();
    simulation.host("server", move || async move {
        let context = context();
        let listener = context.net.listen("0.0.0.0:7001".parse()?).await?;
        Ok(serve(&context, listener, "stroll.v1.TestService", Routes::default()).await?)
    });
    simulation.client("client", async move {
        let context = context();
        let channel = Channel::new(&context, "http://server:7001".parse()?);
        assert_eq!(check_surely(&context, &channel).await, ServingStatus::Serving);
        turmoil::partition("client", "server");
        let status = check(&channel, SECOND).await.expect_err("the network is cut");
        assert!(is_transient(&status), "{status:?}");
        turmoil::repair("client", "server");
        assert_eq!(check_surely(&context, &channel).await, ServingStatus::Serving);
        Ok(())
    });
    simulation.run()
}
