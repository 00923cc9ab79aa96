//! The client side.

use std::{
    collections::BTreeSet,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tonic::{
    Code, Request, Status,
    body::Body,
    transport::{Endpoint, Uri},
};
use tower::{Service, ServiceExt as _};
use tracing::{debug, warn};

use super::{CONNECTION_WINDOW, STREAM_WINDOW, trace};
use crate::{Context, backoff::Backoff, net::Net};

/// How often names are resolved again.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(3);
/// How long an address that failed is passed over while there are others.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection with a call in progress that doesn't answer a ping for this long is given up.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// Text that is not a gRPC target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `http://name:port`, got `{0}`")]
pub struct BadTarget(String);

/// Where a service is: a name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    host: String,
    port: u16,
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget(text.to_owned());
        let uri: Uri = text.trim().parse().map_err(|_| bad())?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(bad());
        }
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port: uri.port_u16().ok_or_else(bad)? })
    }
}

/// One or more targets, as a setting names them: separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets(Vec<Target>);

impl FromStr for Targets {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        text.split(',').map(Target::from_str).collect::<Result<_, _>>().map(Self)
    }
}

impl From<SocketAddr> for Targets {
    fn from(address: SocketAddr) -> Self {
        Self(vec![Target { host: address.ip().to_string(), port: address.port() }])
    }
}

/// A channel to a service: resolves its names again every few seconds, keeps a connection to every address, gives each call to
/// the next one in turn, and passes over those that just failed. It ends with its last clone.
#[derive(Clone)]
pub struct Channel {
    members: watch::Receiver<Arc<[Arc<Member>]>>,
    turn: Arc<AtomicUsize>,
}

struct Member {
    address: SocketAddr,
    channel: tonic::transport::Channel,
    failed: Mutex<Option<Instant>>,
}

impl Channel {
    /// Starts to resolve and connect. Calls fail with UNAVAILABLE until an address is known.
    #[must_use]
    pub fn new(context: &Context, targets: Targets) -> Self {
        let (net, targets) = (context.net, Arc::new(targets));
        Self::following(context, move || resolve_all(net, Arc::clone(&targets)))
    }

    /// A channel to the addresses that `resolve` finds, each time it is asked.
    pub(super) fn following<F>(context: &Context, resolve: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Resolved> + Send + 'static,
    {
        let (publish, members) = watch::channel(Arc::from([]));
        context.tasks.spawn("grpc resolver", follow(context.clone(), resolve, publish));
        Self { members, turn: Arc::default() }
    }

    /// A member, once the name has been resolved for the first time.
    async fn known(&mut self) -> Option<Arc<Member>> {
        let resolved = self.members.wait_for(|members| !members.is_empty());
        // Either way there is nothing to add to an empty list.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, resolved).await;
        self.pick()
    }

    /// The next address in turn that hasn't failed just now; if all have, the next in turn.
    fn pick(&self) -> Option<Arc<Member>> {
        let members = Arc::clone(&self.members.borrow());
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..members.len()).map(|step| &members[(turn.wrapping_add(step)) % members.len()]);
        in_turn().find(|member| member.is_good()).or_else(|| in_turn().next()).map(Arc::clone)
    }
}

impl Member {
    fn new(net: Net, address: SocketAddr) -> Self {
        let connector =
            tower::service_fn(move |_: Uri| async move { net.connect(address).await.map(TokioIo::new) });
        #[expect(clippy::expect_used, reason = "a socket address always makes a URI")]
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a socket address");
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(connector);
        Self { address, channel, failed: Mutex::new(None) }
    }

    fn is_good(&self) -> bool {
        self.failed.lock().is_none_or(|at| at.elapsed() > FAILURE_PAUSE)
    }
}

/// All addresses, and what went wrong with names that have none.
pub(super) type Resolved = (BTreeSet<SocketAddr>, Vec<std::io::Error>);

async fn follow<F>(
    context: Context,
    mut resolve: impl FnMut() -> F,
    publish: watch::Sender<Arc<[Arc<Member>]>>,
) where
    F: Future<Output = Resolved>,
{
    let mut failing = false;
    loop {
        let (addresses, errors) = resolve().await;
        if let (false, Some(error)) = (failing, errors.first()) {
            warn!(%error, "cannot resolve a service's name, trying on");
        }
        failing = !errors.is_empty();
        // Names that don't resolve for the moment take nothing away.
        let takes_away = addresses.len() < publish.borrow().len();
        if !(addresses.is_empty() || failing && takes_away) {
            update(&context, &publish, &addresses);
        }
        let pause = if publish.borrow().is_empty() { Duration::from_millis(200) } else { RESOLVE_INTERVAL };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = publish.closed() => return,
            () = context.drain.hard() => return,
        }
    }
}

async fn resolve_all(net: Net, targets: Arc<Targets>) -> Resolved {
    let (mut addresses, mut errors) = (BTreeSet::new(), Vec::new());
    for Target { host, port } in &targets.0 {
        match net.resolve(host, *port).await {
            Ok(found) => addresses.extend(found),
            Err(error) => errors.push(std::io::Error::new(error.kind(), format!("{host}: {error}"))),
        }
    }
    (addresses, errors)
}

fn update(context: &Context, publish: &watch::Sender<Arc<[Arc<Member>]>>, addresses: &BTreeSet<SocketAddr>) {
    publish.send_if_modified(|members| {
        if members.iter().map(|member| &member.address).eq(addresses) {
            return false;
        }
        debug!(?addresses, "a service's addresses changed");
        let kept = |address: &SocketAddr| members.iter().find(|member| member.address == *address).cloned();
        let fresh = |address: &SocketAddr| Arc::new(Member::new(context.net, *address));
        *members = addresses.iter().map(|address| kept(address).unwrap_or_else(|| fresh(address))).collect();
        true
    });
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        trace::inject(request.headers_mut());
        let mut channel = self.clone();
        Box::pin(async move {
            let member = channel
                .known()
                .await
                .ok_or_else(|| Status::unavailable("no address of the service is known"))?;
            let answer = member.channel.clone().oneshot(request).await;
            let failed = match &answer {
                Ok(response) => is_unavailable(response),
                Err(_) => true,
            };
            *member.failed.lock() = failed.then(Instant::now);
            answer.map_err(transport_status)
        })
    }
}

fn is_unavailable(response: &http::Response<Body>) -> bool {
    Status::from_header_map(response.headers()).is_some_and(|status| status.code() == Code::Unavailable)
}

/// A deadline that passed is told as such; everything else that broke on the way is UNAVAILABLE.
fn transport_status(error: tonic::transport::Error) -> Status {
    let status = Status::from_error(error.into());
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => {
            Status::deadline_exceeded("the service did not answer in time")
        }
        _ => Status::unavailable(format!("the service cannot be reached: {}", status.message())),
    }
}

/// A request with a deadline, which the server is told too.
pub fn request<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// Whether trying again may help: the service was away, or the connection broke under an idempotent call.
#[must_use]
pub fn is_transient(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => true,
        // A connection that breaks while the answer is read has no code of its own.
        Code::Unknown | Code::Internal => std::error::Error::source(status).is_some(),
        _ => false,
    }
}

/// Tries an idempotent call again while it fails transiently, with back-off, until `budget` is used up.
///
/// # Errors
/// The last failure.
pub async fn retry<T, F>(
    context: &Context,
    budget: Duration,
    mut call: impl FnMut() -> F,
) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut backoff =
        Backoff::new(Duration::from_millis(20), Duration::from_millis(500), context.random.clone());
    let give_up = Instant::now() + budget;
    loop {
        match call().await {
            Err(status) if is_transient(&status) => {
                let pause = backoff.next_pause();
                if Instant::now() + pause >= give_up {
                    return Err(status);
                }
                tokio::time::sleep(pause).await;
            }
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_urls_with_a_port_and_nothing_else() {
        assert!("http://matchmaker:7001".parse::<Targets>().is_ok());
        assert!("http://127.0.0.1:1,http://[::1]:2".parse::<Targets>().is_ok());
        for bad in [
            "",
            "matchmaker:7001",
            "https://matchmaker:7001",
            "http://matchmaker",
            "http://a:1/x",
            "http://a:1,",
        ] {
            assert!(bad.parse::<Targets>().is_err(), "{bad}");
        }
    }
}
