//! Serves an axum router.
//!
//! hyper is driven directly, because `axum::serve` sets no bound on how long a client may take over its request's head.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tower::ServiceExt as _;
use tracing::debug;

use crate::{
    Context,
    net::{Listener, Stream},
};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
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
    let service = TowerToHyperService::new(router.map_request(
        move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(axum::body::Body::new)
        },
    ));
    let is_late = context.drain.is_draining();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(!is_late)
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(READ_BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let mut ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = context.drain.soft(), if !is_late => None,
        () = tokio::time::sleep(if is_late { LAST_REQUEST } else { LIFETIME }) => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        ended = tokio::select! {
            ended = &mut connection => Some(ended),
            () = tokio::time::sleep(LAST_REQUEST) => None,
            () = context.drain.hard() => None,
        };
    }
    if let Some(Err(error)) = ended {
        debug!(%error, "http connection ended");
    }
}
