//! A TCP connection that never blocks.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt},
};

/// A connection, or one under way.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// What the kernel did not take yet.
    pending: Vec<u8>,
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Bytes(usize),
    /// There is nothing now.
    Nothing,
    /// There will be nothing more.
    End,
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Socket {
    /// Begins to connect, from a given address if there is one.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn open(to: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<Self> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&fd, true)?;
        if let Some(from) = from {
            bind(&fd, &SocketAddr::from((from, 0)))?;
        }
        match connect(&fd, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self { fd, pending: Vec::new() }),
            Err(error) => Err(error.into()),
        }
    }

    /// Why it could not connect, or broke.
    #[must_use]
    pub fn problem(&self) -> Option<io::Error> {
        match sockopt::socket_error(&self.fd) {
            Ok(Ok(())) => None,
            Ok(Err(error)) | Err(error) => Some(error.into()),
        }
    }

    /// Writes all of it, as far as the kernel takes it now; the rest goes with [`Socket::flush`].
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.write_some(bytes)?;
        self.pending.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let written = self.write_some(&pending)?;
        self.pending.extend_from_slice(&pending[written..]);
        Ok(())
    }

    fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match rustix::io::write(&self.fd, &bytes[written..]) {
                Ok(more) => written += more,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(written)
    }

    /// Reads what is there, as much as fits.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Read> {
        loop {
            return match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(0) => Ok(Read::End),
                Ok(bytes) => Ok(Read::Bytes(bytes)),
                Err(Errno::AGAIN) => Ok(Read::Nothing),
                Err(Errno::INTR) => continue,
                Err(error) => Err(error.into()),
            };
        }
    }
}

/// The address from which the client of this number connects: one of 127.0.0.0/8 for each, if the gateway is there too.
///
/// From one address there are only 28,000 connections to a port, and gateways bound what one address may do.
#[must_use]
pub fn source(gateway: SocketAddr, number: u64) -> Option<Ipv4Addr> {
    /// From 127.1.0.0 on, so that whatever else runs at 127.0.0.1 is left alone.
    const FIRST: u64 = 0x7f01_0000;
    const ALL: u64 = 0x00fe_0000;
    match gateway.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => {
            Some(Ipv4Addr::from(u32::try_from(FIRST + number % ALL).unwrap_or_default()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_address_on_loopback_and_nowhere_else() {
        let gateway = SocketAddr::from(([127, 0, 0, 1], 8080));
        assert_eq!(source(gateway, 0), Some(Ipv4Addr::new(127, 1, 0, 0)));
        assert_eq!(source(gateway, 15_000), Some(Ipv4Addr::new(127, 1, 58, 152)));
        let sources: std::collections::HashSet<_> =
            (0..100_000).map(|number| source(gateway, number)).collect();
        assert_eq!(sources.len(), 100_000);
        assert!(source(gateway, u64::MAX).is_some_and(|ip| ip.is_loopback()));
        assert_eq!(source(SocketAddr::from(([10, 0, 0, 1], 8080)), 1), None);
    }
}
