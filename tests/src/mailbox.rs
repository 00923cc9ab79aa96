//! A mail server that keeps what it gets (RFC 5321, as much as a client needs that only sends).

use std::{net::SocketAddr, sync::Arc};

use chassis::net::{Net, Stream};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::eventually;

/// One mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Envelope: whose.
    pub from: String,
    /// Envelope: to whom.
    pub to: Vec<String>,
    /// Header and body, with what quoted-printable escapes put back.
    pub text: String,
}

/// Takes every mail. Ends with the value.
#[derive(Debug)]
pub struct Mailbox {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Mailbox {
    /// Starts one.
    ///
    /// # Panics
    /// If there is no port.
    pub async fn start() -> Self {
        let listener = Net::Host.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.address().expect("an address");
        let mails = Arc::<Mutex<Vec<Mail>>>::default();
        let inbox = Arc::clone(&mails);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await;
                let inbox = Arc::clone(&inbox);
                // A connection that breaks leaves no half mail behind.
                tokio::spawn(async move { converse(stream, &inbox).await });
            }
        });
        Self { address, mails, task }
    }

    /// Its URL, without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// What came so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().clone()
    }

    /// Waits for mail to an address.
    pub async fn mail_to(&self, address: &str) -> Mail {
        let to = || async { self.mails().into_iter().find(|mail| mail.to.iter().any(|to| to == address)) };
        eventually(&format!("mail to {address}"), to).await
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(stream: Stream, inbox: &Mutex<Vec<Mail>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mailbox\r\n").await?;
    let mut mail = Mail::default();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let upper = line.to_ascii_uppercase();
        let answer = if upper.starts_with("EHLO") {
            "250-mailbox\r\n250 8BITMIME\r\n"
        } else if upper.starts_with("MAIL FROM:") {
            mail.from = path(&line);
            "250 ok\r\n"
        } else if upper.starts_with("RCPT TO:") {
            mail.to.push(path(&line));
            "250 ok\r\n"
        } else if upper.starts_with("DATA") {
            stream.write_all(b"354 go on\r\n").await?;
            mail.text = data(&mut stream).await?;
            inbox.lock().push(std::mem::take(&mut mail));
            "250 kept\r\n"
        } else if upper.starts_with("QUIT") {
            stream.write_all(b"221 bye\r\n").await?;
            return Ok(());
        } else {
            "250 ok\r\n"
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The address between the brackets.
fn path(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or_else(|| line.trim().to_owned(), |(address, _)| address.to_owned())
}

/// The lines up to a single dot.
async fn data(stream: &mut BufReader<Stream>) -> std::io::Result<String> {
    let (mut text, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            break;
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
    let is_quoted = text.to_ascii_lowercase().contains("content-transfer-encoding: quoted-printable");
    Ok(if is_quoted { unquote(&text) } else { text })
}

/// Quoted-printable (RFC 2045, section 6.7).
fn unquote(text: &str) -> String {
    let text = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('=') {
        bytes.extend(before.bytes());
        match after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(b'=');
                rest = after;
            }
        }
    }
    bytes.extend(rest.bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
