//! Whose connection it is: the peer's address, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The client's address. `X-Forwarded-For` is read from its end: each entry was written by the hop after it, so an entry
/// is believed only while the hop that wrote it is trusted.
#[must_use]
pub fn of_client(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut address = peer.ip().to_canonical();
    let values = headers.get_all("x-forwarded-for").iter();
    // By bytes: a client's nonsense in one entry must not hide those that the proxies added.
    let entries: Vec<&[u8]> = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).collect();
    for entry in entries.into_iter().rev() {
        if !is_trusted(&address) {
            break;
        }
        let Some(before) = parse(entry) else { break };
        address = before;
    }
    address
}

/// An address, perhaps with a port.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let bare = entry.trim_matches(['[', ']']).parse().ok();
    bare.or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_are_believed_only_from_trusted_hops() {
        let trusted: Vec<IpNet> =
            vec!["10.0.0.0/8".parse().expect("a network"), "fd00::/8".parse().expect("a network")];
        let cases: [(&str, &[u8], &str); 11] = [
            ("192.0.2.9:1", b"198.51.100.1", "192.0.2.9"),
            ("10.0.0.1:1", b"", "10.0.0.1"),
            ("10.0.0.1:1", b"198.51.100.1", "198.51.100.1"),
            ("10.0.0.1:1", b"1.2.3.4, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.1:1", b"198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("10.0.0.1:1", b"198.51.100.1:4711", "198.51.100.1"),
            ("10.0.0.1:1", b"nonsense", "10.0.0.1"),
            ("10.0.0.1:1", b"198.51.100.1, nonsense", "10.0.0.1"),
            ("[fd00::1]:1", b"2001:db8::7", "2001:db8::7"),
            ("[::ffff:10.0.0.1]:1", b"198.51.100.1", "198.51.100.1"),
            ("10.0.0.1:1", b"\xff, 198.51.100.1", "198.51.100.1"),
        ];
        for (peer, forwarded, expected) in cases {
            let mut headers = HeaderMap::new();
            let value = http::HeaderValue::from_bytes(forwarded).expect("a header value");
            headers.insert("x-forwarded-for", value);
            let address = of_client(peer.parse().expect("an address"), &headers, &trusted);
            assert_eq!(address, expected.parse::<IpAddr>().expect("an address"), "{peer} {forwarded:?}");
        }
    }
}
