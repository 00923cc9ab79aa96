//! Answers that come later, on real sockets.

use std::{sync::Arc, time::Duration};

use axum::{
    middleware,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Semaphore, mpsc},
};

use super::*;
use crate::{Random, Secret};

const POLL: &str = "POST /poll HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi";
const NOW: &str = "GET /now HTTP/1.1\r\nhost: a\r\n\r\n";

/// A server whose poll is answered when a permit is there.
struct Server {
    context: Context,
    address: SocketAddr,
    answers: Arc<Semaphore>,
    /// Hears of polls that begin, and of those that are given up.
    polls: mpsc::UnboundedReceiver<&'static str>,
}

/// Tells when it is dropped before its time.
struct Open(mpsc::UnboundedSender<&'static str>, bool);

impl Drop for Open {
    fn drop(&mut self) {
        let _ = self.0.send(if self.1 { "answered" } else { "given up" });
    }
}

impl Server {
    async fn start() -> Self {
        let context = Context::new(Secret::ephemeral(&Random::seeded(1)), Duration::from_secs(60));
        let listener =
            context.net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("to listen");
        let address = listener.address().expect("an address");
        let (tell, polls) = mpsc::unbounded_channel();
        let answers = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&answers);
        let poll = move |body: String| async move {
            later(async move {
                let mut open = Open(tell.clone(), false);
                let _ = tell.send("begun");
                permits.acquire().await.expect("never closed").forget();
                open.1 = true;
                format!("later: {body}").into_response()
            })
        };
        let mark = async |mut response: Response| {
            response.headers_mut().insert("x-mark", http::HeaderValue::from_static("yes"));
            response
        };
        let router = Router::new()
            .route("/poll", post(poll))
            .route("/now", get(|| async { "now" }))
            .layer(middleware::map_response(mark));
        let serving = context.clone();
        context.tasks.spawn("server", async move { serve(&serving, listener, router).await });
        Self { context, address, answers, polls }
    }

    async fn connect(&self) -> Stream {
        self.context.net.connect(self.address).await.expect("to connect")
    }

    async fn hears(&mut self, expected: &str) {
        let heard = tokio::time::timeout(Duration::from_secs(10), self.polls.recv()).await;
        assert_eq!(heard.expect("in time"), Some(expected));
    }
}

/// One answer: the head in lower case, and the body.
async fn answer(client: &mut Stream) -> (String, String) {
    let mut read = Vec::new();
    let mut byte_after = async || {
        let byte = tokio::time::timeout(Duration::from_secs(10), client.read_u8()).await;
        byte.expect("an answer in time").expect("an answer")
    };
    while !read.ends_with(b"\r\n\r\n") {
        read.push(byte_after().await);
    }
    let head = String::from_utf8(read).expect("text").to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = Vec::new();
    for _ in 0..length.unwrap_or(0) {
        body.push(byte_after().await);
    }
    (head, String::from_utf8(body).expect("text"))
}

async fn say(client: &mut Stream, text: &str) {
    client.write_all(text.as_bytes()).await.expect("to write");
}

async fn is_hung_up(client: &mut Stream) -> bool {
    let read = tokio::time::timeout(Duration::from_secs(10), client.read_u8()).await;
    read.expect("the end in time").is_err()
}

#[tokio::test]
async fn an_answer_that_comes_later_is_whole_and_the_connection_goes_on() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    for _ in 0..2 {
        say(&mut client, POLL).await;
        server.hears("begun").await;
        server.answers.add_permits(1);
        let (head, body) = answer(&mut client).await;
        assert!(head.starts_with("http/1.1 200 ok") && head.contains("x-mark: yes"), "{head}");
        assert!(!head.contains("connection: close"), "{head}");
        assert_eq!(body, "later: hi");
        server.hears("answered").await;
        say(&mut client, NOW).await;
        assert_eq!(answer(&mut client).await.1, "now");
    }
    // One that is there at once is told at once.
    server.answers.add_permits(1);
    say(&mut client, POLL).await;
    let (head, body) = answer(&mut client).await;
    assert!(head.contains("x-mark: yes"), "{head}");
    assert_eq!(body, "later: hi");
}

#[tokio::test]
async fn who_hangs_up_gives_the_poll_up() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    say(&mut client, POLL).await;
    server.hears("begun").await;
    drop(client);
    server.hears("given up").await;
}

#[tokio::test]
async fn what_comes_before_the_answer_is_answered_after_it() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    say(&mut client, &format!("{POLL}GET /n")).await;
    server.hears("begun").await;
    say(&mut client, &NOW["GET /n".len()..]).await;
    say(&mut client, NOW).await;
    server.answers.add_permits(1);
    let answers = [answer(&mut client).await.1, answer(&mut client).await.1, answer(&mut client).await.1];
    assert_eq!(answers, ["later: hi", "now", "now"]);
}

#[tokio::test]
async fn a_connection_is_closed_after_the_answer_where_the_client_wants_it_or_the_server_drains() {
    for (version, header, stays) in [
        ("1.1", "connection: close\r\n", false),
        ("1.1", "connection: Foo, Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "connection: keep-alive\r\n", true),
        ("1.1", "", true),
    ] {
        let mut server = Server::start().await;
        let mut client = server.connect().await;
        say(&mut client, &format!("POST /poll HTTP/{version}\r\n{header}content-length: 2\r\n\r\nhi")).await;
        server.hears("begun").await;
        server.answers.add_permits(1);
        assert_eq!(answer(&mut client).await.1, "later: hi", "{version} {header}");
        if stays {
            say(&mut client, NOW).await;
            assert_eq!(answer(&mut client).await.1, "now", "{version} {header}");
        } else {
            assert!(is_hung_up(&mut client).await, "{version} {header}");
        }
    }
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    say(&mut client, POLL).await;
    server.hears("begun").await;
    server.context.drain.begin();
    server.answers.add_permits(1);
    let (head, body) = answer(&mut client).await;
    assert_eq!(body, "later: hi");
    assert!(head.contains("connection: close"), "{head}");
    assert!(is_hung_up(&mut client).await);
}

#[tokio::test]
async fn at_the_hard_end_nobody_waits() {
    let mut server = Server::start().await;
    let mut client = server.connect().await;
    say(&mut client, POLL).await;
    server.hears("begun").await;
    server.context.drain.force();
    server.hears("given up").await;
    assert!(is_hung_up(&mut client).await);
}
