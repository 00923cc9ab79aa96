//! One address in front of several gateways: a browser speaks only with the origin of its page.

use std::{net::SocketAddr, sync::Arc};

use chassis::net::{Net, Stream};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Sends each new connection to the first gateway that takes it. Ends with the value.
#[derive(Debug)]
pub struct Balancer {
    /// Where clients connect.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    gateways: Mutex<Vec<SocketAddr>>,
    /// Counts how often all connections were cut.
    cuts: watch::Sender<u64>,
}

impl Balancer {
    /// In front of these gateways; the earlier ones are preferred.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start(gateways: &[SocketAddr]) -> Self {
        let listener = Net::Host.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.address().expect("an address");
        let shared =
            Arc::new(Shared { gateways: Mutex::new(gateways.to_vec()), cuts: watch::Sender::new(0) });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await;
                tokio::spawn(Arc::clone(&serving).forward(client));
            }
        });
        Self { address, shared, task }
    }

    /// From now on new connections go to these; none takes none.
    pub fn prefer(&self, gateways: &[SocketAddr]) {
        gateways.clone_into(&mut self.shared.gateways.lock());
    }

    /// Ends all connections, without a word.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

impl Shared {
    async fn forward(self: Arc<Self>, mut client: Stream) {
        let mut cuts = self.cuts.subscribe();
        let Some(mut gateway) = self.connect().await else { return };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut gateway) => {}
            _ = cuts.changed() => {}
        }
    }

    async fn connect(&self) -> Option<Stream> {
        let gateways = self.gateways.lock().clone();
        for gateway in gateways {
            if let Ok(stream) = Net::Host.connect(gateway).await {
                return Some(stream);
            }
        }
        None
    }
}
