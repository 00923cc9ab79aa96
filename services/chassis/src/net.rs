//! Sockets, real or simulated.
//!
//! Everything that listens or connects does it through a [`Net`], so that the same service code runs on the host's network
//! and, with the feature `simulation`, on turmoil's.
#![expect(clippy::disallowed_types, reason = "the one place that wraps the host's sockets")]

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tracing::warn;

/// Connections that wait to be accepted, as tokio has it.
const BACKLOG: u32 = 1024;

/// Which network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Net {
    /// The host's.
    #[default]
    Host,
    /// The turmoil simulation that the caller runs in.
    #[cfg(feature = "simulation")]
    Simulated,
}

impl Net {
    /// Listens on `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// If the address can't be had, with the address in the message.
    pub async fn listen(self, address: SocketAddr) -> io::Result<Listener> {
        let bound = match self {
            Self::Host => tokio::net::TcpListener::bind(address).await.map(Listener::Host),
            #[cfg(feature = "simulation")]
            Self::Simulated => turmoil::net::TcpListener::bind(address).await.map(Listener::Simulated),
        };
        bound.map_err(|error| cannot_listen(address, &error))
    }

    /// The same for connections of many who may not read: the kernel keeps about so many bytes for each that they have not
    /// taken. It would keep megabytes, and counts them as the process's.
    ///
    /// # Errors
    /// As above.
    pub async fn listen_frugally(self, address: SocketAddr, send_buffer: u32) -> io::Result<Listener> {
        match self {
            Self::Host => frugal(address, send_buffer)
                .map(Listener::Host)
                .map_err(|error| cannot_listen(address, &error)),
            #[cfg(feature = "simulation")]
            Self::Simulated => self.listen(address).await,
        }
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// As the network says.
    pub async fn connect(self, address: SocketAddr) -> io::Result<Stream> {
        match self {
            Self::Host => {
                let stream = tokio::net::TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Host(stream))
            }
            #[cfg(feature = "simulation")]
            Self::Simulated => turmoil::net::TcpStream::connect(address).await.map(Stream::Simulated),
        }
    }

    /// All addresses of `host`, each with `port`.
    ///
    /// # Errors
    /// If the name has none, or can't be looked up.
    pub async fn resolve(self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Host => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
            #[cfg(feature = "simulation")]
            Self::Simulated => match host.parse() {
                Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
                Err(_) => Ok(vec![SocketAddr::new(turmoil::lookup(host), port)]),
            },
        }
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}

/// As tokio binds a listener; accepted sockets have its send buffer.
fn frugal(address: SocketAddr, send_buffer: u32) -> io::Result<tokio::net::TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(send_buffer)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections.
pub enum Listener {
    /// On the host's network.
    Host(tokio::net::TcpListener),
    /// In a simulation.
    #[cfg(feature = "simulation")]
    Simulated(turmoil::net::TcpListener),
}

impl Listener {
    /// The next connection. Goes on through errors, of which a process out of files is the usual one: those of a single
    /// connection are passed over, after the others it pauses for a moment.
    pub async fn accept(&self) -> (Stream, SocketAddr) {
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot accept a connection, trying again in 100 ms");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Host(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Host(stream), peer))
            }
            #[cfg(feature = "simulation")]
            Self::Simulated(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Simulated(stream), peer))
            }
        }
    }

    /// Where it listens, with the port that was picked.
    ///
    /// # Errors
    /// As the network says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Host(listener) => listener.local_addr(),
            #[cfg(feature = "simulation")]
            Self::Simulated(listener) => listener.local_addr(),
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected
    )
}

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// On the host's network.
    Host(tokio::net::TcpStream),
    /// In a simulation.
    #[cfg(feature = "simulation")]
    Simulated(turmoil::net::TcpStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Host(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(feature = "simulation")]
            Self::Simulated(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Host(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(feature = "simulation")]
            Self::Simulated(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Host(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "simulation")]
            Self::Simulated(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Host(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "simulation")]
            Self::Simulated(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Host(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            #[cfg(feature = "simulation")]
            Self::Simulated(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Host(stream) => stream.is_write_vectored(),
            #[cfg(feature = "simulation")]
            Self::Simulated(stream) => stream.is_write_vectored(),
        }
    }
}

impl Connected for Stream {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        match self {
            Self::Host(stream) => stream.connect_info(),
            #[cfg(feature = "simulation")]
            Self::Simulated(stream) => {
                TcpConnectInfo { local_addr: stream.local_addr().ok(), remote_addr: stream.peer_addr().ok() }
            }
        }
    }
}
