//! A kept HTTP connection, on which one request is under way at a time.

use std::{io, net::SocketAddr};

use crate::{
    net::{Poll, Read, Ready, Socket, source},
    wire::http,
};

/// A connection, made when there is something to ask.
#[derive(Debug, Default)]
pub(super) struct Line {
    socket: Option<Socket>,
    is_connected: bool,
    /// Which of its sockets it is.
    generation: u32,
    /// What could not be sent yet, as the connection is still being made.
    request: Vec<u8>,
    rest: Vec<u8>,
}

/// What a line has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that is complete.
    None,
    /// An answer has come: its status, when to ask again, and its body.
    Answer(u16, Option<std::time::Duration>, Vec<u8>),
    /// The connection is gone.
    Lost,
}

impl Line {
    /// Closes it.
    pub(super) fn close(&mut self) {
        let generation = self.generation.wrapping_add(1) & 0x3fff_ffff;
        *self = Self { generation, ..Self::default() };
    }

    /// Sends a request. The token names the line; what the kernel tells of an earlier connection is not for it.
    pub(super) fn ask(
        &mut self,
        request: &[u8],
        (gateway, number): (SocketAddr, u64),
        (poll, token): (&Poll, u64),
    ) -> io::Result<()> {
        if let (Some(socket), true) = (&mut self.socket, self.is_connected) {
            return socket.write(request);
        }
        self.close();
        let socket = Socket::open(gateway, source(gateway, number))?;
        poll.add(&socket, u64::from(self.generation) << 33 | token)?;
        self.socket = Some(socket);
        self.request = request.to_vec();
        Ok(())
    }

    /// The kernel has something to tell.
    pub(super) fn on_ready(&mut self, ready: Ready, buffer: &mut [u8]) -> News {
        if u64::from(self.generation) != ready.token >> 33 {
            return News::None;
        }
        let Some(socket) = &mut self.socket else { return News::None };
        if !self.is_connected {
            if socket.problem().is_some() {
                return News::Lost;
            }
            if !ready.writable {
                return News::None;
            }
            self.is_connected = true;
            let request = std::mem::take(&mut self.request);
            if socket.write(&request).is_err() {
                return News::Lost;
            }
        } else if ready.writable && socket.flush().is_err() {
            return News::Lost;
        }
        if ready.readable { self.read(buffer) } else { News::None }
    }

    /// Reads all that is there. Answers are awaited one by one, so there is at most one.
    fn read(&mut self, buffer: &mut [u8]) -> News {
        let Some(socket) = &self.socket else { return News::None };
        let mut has_ended = false;
        loop {
            match socket.read(buffer) {
                Ok(Read::Bytes(bytes)) => self.rest.extend_from_slice(&buffer[..bytes]),
                Ok(Read::Nothing) => break,
                Ok(Read::End) | Err(_) => {
                    has_ended = true;
                    break;
                }
            }
        }
        let news = match http::answer(&self.rest) {
            Ok(Some(answer)) => News::Answer(answer.status, answer.retry_after(), answer.body.to_vec()),
            Ok(None) if has_ended => News::Lost,
            Ok(None) => News::None,
            Err(http::Broken) => News::Lost,
        };
        if matches!(news, News::Answer(..)) {
            self.rest = Vec::new();
        }
        if has_ended {
            self.close();
        }
        news
    }
}
