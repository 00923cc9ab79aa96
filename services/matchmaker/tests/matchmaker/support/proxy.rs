//! A way to a server on which connections can be reset.

use std::net::{Ipv4Addr, SocketAddr};

use chassis::{
    Context,
    net::{Net, Stream},
};
use tokio::{io::copy_bidirectional, sync::watch, task::JoinHandle};

/// Passes everything on to a server, until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    resets: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts one before the server at `port`.
    pub(crate) async fn start(context: &Context, port: u16) -> Self {
        let listener = Net::Host.listen((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a port");
        let address = listener.address().expect("an address");
        let resets = watch::channel(0).0;
        let (tasks, pass) = (context.tasks.clone(), resets.clone());
        let accepting = context.tasks.spawn("proxy", async move {
            loop {
                let (client, _) = listener.accept().await;
                let mut reset = pass.subscribe();
                tasks.spawn("proxied", async move {
                    let server = Net::Host.connect((Ipv4Addr::LOCALHOST, port).into()).await;
                    let Ok(mut server) = server else { return };
                    let mut client = client;
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = reset.changed() => [client, server].iter().for_each(reset_at_drop),
                    }
                });
            }
        });
        Self { address, resets, accepting }
    }

    /// Its URL, as that of the server.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Resets all connections that there are.
    pub(crate) fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }
}

/// Without time to linger, a socket's end is a reset.
fn reset_at_drop(stream: &Stream) {
    if let Stream::Host(stream) = stream {
        stream.set_zero_linger().expect("a socket");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset();
    }
}
