//! Connections down to their bytes.

use std::{net::SocketAddr, time::Duration};

use chassis::net::{Net, Stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::Instant,
};

use super::FORM;
use crate::{
    PATIENCE,
    http::{Answer, parse},
};

/// A connection that was idle for longer may be closed by its server at any moment.
const IDLE: Duration = Duration::from_secs(5);

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    read: Vec<u8>,
    /// When something came last.
    used: Instant,
}

impl Wire {
    /// Opens one.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn open(gateway: SocketAddr) -> Self {
        let stream = Net::Host.connect(gateway).await.expect("a connection");
        Self { stream, read: Vec::new(), used: Instant::now() }
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.used.elapsed() < IDLE
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If the connection is gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("an open connection");
    }

    /// The next answer.
    ///
    /// # Panics
    /// If none comes.
    pub async fn answer(&mut self) -> Answer {
        self.answer_within(PATIENCE).await
    }

    /// The next answer, which may take so long.
    ///
    /// # Panics
    /// If none comes.
    pub async fn answer_within(&mut self, time: Duration) -> Answer {
        let answer = tokio::time::timeout(time, self.try_answer()).await;
        answer.unwrap_or_else(|_| panic!("no answer within {time:?}")).expect("an answer")
    }

    /// The next answer, whenever it comes.
    ///
    /// # Errors
    /// If the connection ends before it, or what comes is not HTTP with a length.
    pub async fn try_answer(&mut self) -> anyhow::Result<Answer> {
        let head = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.fill().await?,
            }
        };
        let text = String::from_utf8_lossy(&self.read[..head]).into_owned();
        let mut answer = parse(&text).ok_or_else(|| anyhow::anyhow!("not HTTP: {text}"))?;
        let length = match (answer.status, answer.header("content-length")) {
            (204 | 304, _) => 0,
            (_, Some(length)) => length.parse()?,
            (_, None) => anyhow::bail!("no length: {text}"),
        };
        while self.read.len() < head + length {
            self.fill().await?;
        }
        answer.body = String::from_utf8(self.read[head..head + length].to_vec())?;
        self.read.drain(..head + length);
        self.used = Instant::now();
        Ok(answer)
    }

    /// A request, and its answer.
    pub async fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.read).await?;
        anyhow::ensure!(read > 0, "the connection ended; unread: {:?}", String::from_utf8_lossy(&self.read));
        Ok(())
    }
}

/// A request without a body.
#[must_use]
pub fn get(target: &str) -> Vec<u8> {
    request("GET", target, &[], b"")
}

/// A form, as most clients send one.
#[must_use]
pub fn post(target: &str, form: &str) -> Vec<u8> {
    request("POST", target, &[("Content-Type", FORM)], form.as_bytes())
}

/// Any request. `Host` and `Content-Length` are added where they are missing; a body that is empty and not of a POST has no length.
#[must_use]
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let mut request = format!("{method} {target} HTTP/1.1\r\n");
    if !has("host") {
        request.push_str("Host: front1.omegle.com\r\n");
    }
    if !has("content-length") && (method == "POST" || !body.is_empty()) {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// Text as a form has it.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Asks once, on a connection of its own.
pub async fn ask(gateway: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    Wire::open(gateway).await.ask(request).await
}
