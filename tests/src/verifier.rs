//! A captcha service's side: says which answers are right.

use std::{net::SocketAddr, sync::Arc};

use chassis::net::{Net, Stream};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Answers `POST` like Google's `siteverify`. Ends with the value.
#[derive(Debug)]
pub struct Verifier {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Verifier {
    /// Starts one that takes exactly this answer for right.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start(right: &'static str) -> Self {
        let listener = Net::Host.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.address().expect("an address");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await;
                let log = Arc::clone(&log);
                tokio::spawn(async move { verify(stream, right, &log).await });
            }
        });
        Self { address, asked, task }
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/siteverify", self.address)
    }

    /// The forms that it was asked with.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one question. None is left if the connection ends before it.
async fn verify(mut stream: Stream, right: &str, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut read = Vec::new();
    let form = loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            })?;
            if body.len() >= length {
                break body.to_owned();
            }
        }
        (stream.read_buf(&mut read).await.ok()? > 0).then_some(())?;
    };
    let is_right = form.split('&').any(|field| field == format!("response={right}"));
    log.lock().push(form);
    let body = format!(r#"{{"success":{is_right}}}"#);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}
