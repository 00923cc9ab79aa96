//! Ports that servers can have, and have again after they ended.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

/// An address that is free, and given to nobody else of this process.
///
/// The kernel gives connections theirs from port 32768 on, where one that a server leaves may be gone before it wants it again: so these lie
/// below. Each test process begins elsewhere.
///
/// # Panics
/// If none is free.
#[must_use]
pub fn free_address() -> SocketAddr {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let next = || TAKEN.fetch_add(1, Ordering::Relaxed);
    let port = |taken: u32| 20_000 + (std::process::id() % 50 * 200 + taken) % 10_000;
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut ports = std::iter::repeat_with(|| u16::try_from(port(next())).expect("below 30000"));
    ports
        .by_ref()
        .take(10_000)
        .map(address)
        .find(|address| TcpListener::bind(address).is_ok())
        .expect("a port")
}
