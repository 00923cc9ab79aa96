//! Answers that come later.
//!
//! hyper keeps buffers of 16 KB and more while a request is being answered. A poll that waits for a minute needs none of them: the connection
//! is taken out of hyper's hands, and given back when there is an answer. So that hyper sends it, it is given a request that stands for the one
//! it has read.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::response::{IntoResponse as _, Response};
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    sync::Notify,
};

use crate::net::Stream;

/// How much a client may send before it has its answer, in bytes. Who sends more is hung up on, for reading is how it is noticed that they are there.
const READ_AHEAD: usize = 32 * 1024;

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// In a response: it is only a part of the one that comes later.
#[derive(Clone)]
pub(super) struct Later(Arc<Mutex<Option<Answer>>>);

/// A response that comes when `answer` is ready. Until then the connection costs hardly any memory. If the client hangs up, `answer` is dropped. The
/// request's body has to be read by now. Headers that are added to what this returns are added to the answer.
#[must_use]
pub fn later(answer: impl Future<Output = Response> + Send + 'static) -> Response {
    let mut response = ().into_response();
    response.headers_mut().clear();
    response.extensions_mut().insert(Later(Arc::new(Mutex::new(Some(Box::pin(answer))))));
    response
}

/// Where a connection's service leaves what is answered later.
#[derive(Default)]
pub(super) struct Parking {
    place: Mutex<Option<Parked>>,
    taken: Notify,
}

/// A request that is answered later.
pub(super) struct Parked {
    answer: Answer,
    headers: Box<[(HeaderName, HeaderValue)]>,
    stand_in: &'static [u8],
}

impl Parking {
    /// Takes in a request that is answered later.
    pub(super) fn park(&self, parked: Parked) {
        *self.place.lock() = Some(parked);
        self.taken.notify_one();
    }

    /// Waits for one.
    pub(super) async fn parked(&self) -> Parked {
        loop {
            if let Some(parked) = self.place.lock().take() {
                return parked;
            }
            self.taken.notified().await;
        }
    }
}

impl Parked {
    /// What is answered later, if the response says so.
    pub(super) fn of(response: &mut Response, stand_in: &'static [u8]) -> Option<Self> {
        let answer = response.extensions_mut().remove::<Later>()?.0.lock().take()?;
        // Its length is that of the empty part.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        let headers = response.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Some(Self { answer, headers, stand_in })
    }

    /// Waits for the answer, and gives the connection back with what stands for the request. Nothing, if the client hangs up.
    pub(super) async fn wait(self, mut stream: Stream, mut ahead: Vec<u8>) -> Option<(Replayed, Response)> {
        let Self { mut answer, headers, stand_in } = self;
        let mut response = loop {
            tokio::select! {
                // Who has hung up by now gets no answer.
                biased;
                alive = read_ahead(&mut stream, &mut ahead) => alive?,
                response = &mut answer => break response,
            }
        };
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        Some((Replayed { before: [stand_in, &ahead].concat().into(), stream }, response))
    }
}

/// Reads some more. Nothing, if there won't be more, or there is too much.
async fn read_ahead(stream: &mut Stream, ahead: &mut Vec<u8>) -> Option<()> {
    let mut some = [0; 64];
    let count = stream.read(&mut some).await.ok().filter(|count| *count > 0)?;
    ahead.extend_from_slice(&some[..count]);
    (ahead.len() <= READ_AHEAD).then_some(())
}

/// What stands for a request: what matters of it for sending the answer is whether the connection may be kept.
pub(super) fn stand_in(version: Version, headers: &HeaderMap) -> &'static [u8] {
    let says = |word: &str| {
        let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    match version {
        Version::HTTP_11 if says("close") => b"POST / HTTP/1.1\r\nconnection: close\r\n\r\n",
        Version::HTTP_11 => b"POST / HTTP/1.1\r\n\r\n",
        _ if says("keep-alive") => b"POST / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        _ => b"POST / HTTP/1.0\r\n\r\n",
    }
}

/// A connection on which something is read before what comes from the network.
pub(super) struct Replayed {
    before: Bytes,
    stream: Stream,
}

impl Replayed {
    pub(super) fn fresh(stream: Stream) -> Self {
        Self { before: Bytes::new(), stream }
    }

    /// What comes from the network, and what was to be read before it.
    pub(super) fn into_parts(self) -> (Stream, Bytes) {
        (self.stream, self.before)
    }
}

impl AsyncRead for Replayed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.before.len().min(buf.remaining());
        buf.put_slice(&self.before[..count]);
        self.before.advance(count);
        if self.before.is_empty() {
            self.before = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
