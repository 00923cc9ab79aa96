//! Serves an axum router.
//!
//! hyper is driven directly, because `axum::serve` sets no bound on how long a client may take over its request's head.

mod later;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo, response::Response};
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1::{self, Parts, UpgradeableConnection},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::ServiceExt as _;
use tracing::debug;

pub use self::later::later;
use self::later::{Parked, Parking, Replayed, stand_in};
use crate::{
    Context,
    net::{Listener, Stream},
};

/// How long a client may take to send a request's head, which includes the pause before it on a connection that is kept. One that is slow
/// holds no more than one that pauses.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a connection that is not upgraded may last. A client that asks and never reads would hold it for ever; any other
/// just connects again.
const LIFETIME: Duration = Duration::from_secs(300);
/// How long a last request may take then. Polls are answered after a minute.
const LAST_REQUEST: Duration = Duration::from_secs(65);
/// Largest head, and what hyper reads ahead, in bytes.
const READ_BUFFER: usize = 16 * 1024;

/// Serves `router` until the drain begins, then lets requests in progress finish, until the hard end. Upgraded
/// connections are the handler's to track. Handlers find the peer in `ConnectInfo<SocketAddr>`.
pub async fn serve(context: &Context, listener: Listener, router: Router) {
    serve_until(context, listener, router, context.drain.soft()).await;
}

/// The same, until `end`. A connection that comes during the drain is for one request.
pub async fn serve_until(
    context: &Context,
    listener: Listener,
    router: Router,
    end: impl Future<Output = ()>,
) {
    tokio::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut end => return,
        };
        let (stream, peer) = accepted;
        context
            .tasks
            .spawn("http connection", serve_connection(context.clone(), stream, peer, router.clone()));
    }
}

async fn serve_connection(context: Context, stream: Stream, peer: SocketAddr, router: Router) {
    let hard = context.drain.hard();
    tokio::select! {
        () = serve_requests(&context, stream, peer, router) => {}
        () = hard => {}
    }
}

/// By hyper, but for requests that are answered later.
async fn serve_requests(context: &Context, stream: Stream, peer: SocketAddr, router: Router) {
    let over = Instant::now() + LIFETIME;
    let mut is_late = context.drain.is_draining();
    let (mut stream, mut answer) = (Replayed::fresh(stream), None);
    loop {
        let parking = Arc::default();
        let answers = Answers {
            router: router.clone(),
            peer,
            answer: Mutex::new(answer),
            parking: Arc::clone(&parking),
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(!is_late)
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(READ_BUFFER)
            .serve_connection(TokioIo::new(stream), answers)
            .with_upgrades();
        let mut connection = Box::new(connection);
        let parked = tokio::select! {
            () = serve_with_hyper(context, &mut connection, over, is_late) => return,
            parked = parking.parked() => parked,
        };
        let Some((bare, ahead)) = taken_apart(*connection) else { return };
        let Some((back, response)) = parked.wait(bare, ahead).await else { return };
        is_late |= context.drain.is_draining() || Instant::now() >= over;
        (stream, answer) = (back, Some(response));
    }
}

/// The bare connection and what was read of the next request, without hyper's buffers.
fn taken_apart(connection: Connection) -> Option<(Stream, Vec<u8>)> {
    let Parts { io, read_buf, .. } = connection.into_parts()?;
    let (stream, before) = io.into_inner().into_parts();
    Some((stream, [read_buf, before].concat()))
}

type Connection = UpgradeableConnection<TokioIo<Replayed>, Answers>;

async fn serve_with_hyper(context: &Context, connection: &mut Connection, over: Instant, is_late: bool) {
    let until = if is_late { Instant::now() + LAST_REQUEST } else { over };
    let mut ended = tokio::select! {
        ended = &mut *connection => Some(ended),
        () = context.drain.soft(), if !is_late => None,
        () = tokio::time::sleep_until(until) => None,
    };
    if ended.is_none() {
        Pin::new(&mut *connection).graceful_shutdown();
        ended = tokio::select! {
            ended = connection => Some(ended),
            () = tokio::time::sleep(LAST_REQUEST) => None,
        };
    }
    if let Some(Err(error)) = ended {
        debug!(%error, "http connection ended");
    }
}

/// A connection's service.
struct Answers {
    router: Router,
    peer: SocketAddr,
    /// The answer to the first request, which stands for one that was read before.
    answer: Mutex<Option<Response>>,
    parking: Arc<Parking>,
}

impl Service<Request<Incoming>> for Answers {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(answer) = self.answer.lock().take() {
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let stand_in = stand_in(request.version(), request.headers());
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let (router, parking) = (self.router.clone(), Arc::clone(&self.parking));
        Box::pin(async move {
            let mut response = router.oneshot(request).await?;
            let Some(parked) = Parked::of(&mut response, stand_in) else { return Ok(response) };
            drop(response);
            parking.park(parked);
            std::future::pending().await
        })
    }
}
