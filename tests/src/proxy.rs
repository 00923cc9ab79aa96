//! A way to a server on which connections can be cut, and nothing gets through for a while.

use std::{net::SocketAddr, pin::pin};

use chassis::net::{Net, Stream};
use tokio::{
    io::copy_bidirectional,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::process::owns_port;

/// Passes everything on to a server, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    accepting: AbortHandle,
}

/// What holds for the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    /// How often all connections were reset.
    resets: u64,
    partition: Partition,
}

/// Between whom nothing gets through: what was sent waits, and so does who connects. As in a network that drops packets, all of it
/// arrives when it heals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Partition {
    #[default]
    None,
    All,
    /// Only the connections of the process with this id.
    Of(u32),
}

impl Proxy {
    /// Starts one before a server, which need not be there yet.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = Net::Host.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.address().expect("an address");
        let state = watch::Sender::new(State::default());
        let new = state.clone();
        let accepting = tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            loop {
                let (client, peer) = listener.accept().await;
                connections.spawn(pass(client, peer, server, new.subscribe()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, state, accepting: accepting.abort_handle() }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections that there are.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    /// From now on nothing gets through.
    pub fn part(&self) {
        self.state.send_modify(|state| state.partition = Partition::All);
    }

    /// From now on nothing gets through of one process, by its id.
    pub fn part_from(&self, process: u32) {
        self.state.send_modify(|state| state.partition = Partition::Of(process));
    }

    /// Everything gets through again.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.partition = Partition::None);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// One connection's life.
async fn pass(mut client: Stream, peer: SocketAddr, server: SocketAddr, mut state: watch::Receiver<State>) {
    let resets = state.borrow_and_update().resets;
    let holds = |state: &State| match state.partition {
        Partition::None => false,
        Partition::All => true,
        Partition::Of(process) => owns_port(process, peer.port()),
    };
    let may_begin = |state: &State| state.resets > resets || !holds(state);
    if !state.wait_for(may_begin).await.is_ok_and(|state| state.resets == resets) {
        reset_at_drop(&client);
        return;
    }
    let Ok(mut server) = Net::Host.connect(server).await else {
        // To the client, as if nobody listened.
        reset_at_drop(&client);
        return;
    };
    let ended = {
        // Not polled while nothing is to get through; dropped in between, it would lose what it has read.
        let mut copying = pin!(copy_bidirectional(&mut client, &mut server));
        loop {
            let now = *state.borrow_and_update();
            if now.resets > resets {
                break Ended::Reset;
            }
            let held = holds(&now);
            tokio::select! {
                copied = &mut copying, if !held => break copied.map_or(Ended::Reset, |_| Ended::Well),
                changed = state.changed() => if changed.is_err() { break Ended::Reset },
            }
        }
    };
    if ended == Ended::Reset {
        [client, server].iter().for_each(reset_at_drop);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Both sides said so.
    Well,
    /// One side was lost, so the other one is to know.
    Reset,
}

/// Without time to linger, a socket's end is a reset.
fn reset_at_drop(stream: &Stream) {
    if let Stream::Host(stream) = stream {
        // A socket that is gone can't be reset any more.
        let _ = stream.set_zero_linger();
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::{Duration, timeout},
    };

    use super::*;

    /// A connection through a proxy, both ends.
    async fn connection() -> (Proxy, Stream, Stream) {
        let listener = Net::Host.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let proxy = Proxy::start(listener.address().expect("an address")).await;
        let client = Net::Host.connect(proxy.address()).await.expect("a connection");
        let (server, _) = listener.accept().await;
        (proxy, client, server)
    }

    async fn passes(from: &mut Stream, to: &mut Stream) {
        from.write_all(b"word").await.expect("written");
        let mut word = [0; 4];
        timeout(Duration::from_secs(10), to.read_exact(&mut word)).await.expect("in time").expect("read");
        assert_eq!(&word, b"word");
    }

    #[tokio::test]
    async fn what_is_sent_during_a_partition_arrives_after_it() {
        let (proxy, mut client, mut server) = connection().await;
        passes(&mut client, &mut server).await;
        passes(&mut server, &mut client).await;
        proxy.part();
        client.write_all(b"held").await.expect("written");
        let mut word = [0; 4];
        timeout(Duration::from_millis(100), server.read_exact(&mut word)).await.expect_err("nothing comes");
        proxy.heal();
        server.read_exact(&mut word).await.expect("read");
        assert_eq!(&word, b"held");
        passes(&mut server, &mut client).await;
    }

    #[tokio::test]
    async fn a_partition_of_one_process_concerns_its_connections_only() {
        let (proxy, mut client, mut server) = connection().await;
        // The first process of all is none of ours.
        proxy.part_from(1);
        passes(&mut client, &mut server).await;
        proxy.part_from(std::process::id());
        client.write_all(b"held").await.expect("written");
        let mut word = [0; 4];
        timeout(Duration::from_millis(100), server.read_exact(&mut word)).await.expect_err("nothing comes");
    }

    #[tokio::test]
    async fn a_reset_is_one_to_both_sides_and_a_new_connection_passes() {
        let (proxy, mut client, mut server) = connection().await;
        passes(&mut client, &mut server).await;
        proxy.reset();
        for end in [&mut client, &mut server] {
            let error = end.read(&mut [0]).await.expect_err("a reset");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        let (_, mut client, mut server) = connection().await;
        passes(&mut client, &mut server).await;
    }
}
