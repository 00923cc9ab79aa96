//! A client that is down to its TCP connection: it reads as much as a test says, and says what it likes.

use std::net::SocketAddr;

use chassis::net::Stream;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// One connection that was a WebSocket's.
#[derive(Debug)]
pub struct Raw {
    stream: Stream,
    /// Its own end.
    pub address: SocketAddr,
}

impl Raw {
    /// From a stream behind its handshake.
    ///
    /// # Panics
    /// If it has no address.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        let address = match &stream {
            Stream::Host(stream) => stream.local_addr().expect("an address"),
            Stream::Simulated(stream) => stream.local_addr().expect("an address"),
        };
        Self { stream, address }
    }

    /// Sends a frame, masked with nothing (RFC 6455, section 5.2). Whether it can still be sent is not told.
    pub async fn send(&mut self, frame: &Value) {
        let text = frame.to_string();
        let mut bytes = vec![0x81];
        match u8::try_from(text.len()) {
            Ok(length) if length < 126 => bytes.push(0x80 | length),
            _ => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(text.as_bytes());
        let _ = self.stream.write_all(&bytes).await;
    }

    /// Reads one byte. None at the end.
    pub async fn read_byte(&mut self) -> Option<u8> {
        self.stream.read_u8().await.ok()
    }

    /// Says that it will send nothing more, and goes on reading.
    ///
    /// # Panics
    /// If the connection is gone.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("an open connection");
    }
}

/// Bytes in the kernel's send queue of a connection, seen from the side of `from`. None if there is no such connection.
#[must_use]
pub fn send_queue(from: SocketAddr, to: SocketAddr) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let port = |field: &str| u16::from_str_radix(field.rsplit(':').next()?, 16).ok();
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, local, remote, _, queues, ..] = fields[..] else { return None };
        let is_it = port(local) == Some(from.port()) && port(remote) == Some(to.port());
        is_it.then(|| u64::from_str_radix(queues.split(':').next()?, 16).ok()).flatten()
    })
}
