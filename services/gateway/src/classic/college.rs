//! Colleges: who can read mail at one is told a pair, and shows with it which college that is.
//!
//! The pair is the address's domain and the server's keyed hash of it. It is the same for all of a domain: it says that somebody reads
//! mail there, and not who. Nothing is stored; what is counted for the limits is known by keyed hashes.
//!
//! Mail goes out by SMTP, which an operator sets. Without it there are no colleges: nothing is sent, no pair is good. (lettre makes its
//! own sockets, so none of this runs in the simulation.)

mod domains;
#[cfg(test)]
mod tests;

use std::{
    error::Error as _,
    fmt, io,
    num::NonZeroU32,
    str::FromStr,
    time::{Duration, UNIX_EPOCH},
};

use chassis::{Clock, Context, Random, Secret, id::AddressHash, secret::Purpose};
use governor::{
    Quota, RateLimiter, clock::Clock as _, middleware::NoOpMiddleware, nanos::Nanos,
    state::keyed::DashMapStateStore,
};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp,
};
use tokio::{sync::Semaphore, time::Instant};
use tracing::warn;

pub use self::domains::{CollegeDomain, parse_address};
use crate::limits::{TokioClock, wait};

/// Mails that one client address may ask for within an hour.
const MAILS_PER_CLIENT: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
/// Mails that one recipient may be sent within an hour.
const MAILS_PER_RECIPIENT: NonZeroU32 = NonZeroU32::new(3).expect("not zero");
/// Mails that are being sent at once. More wait, within the time that one may take.
const MAILS_AT_ONCE: usize = 4;
/// How long sending a mail may take.
const TIME_TO_SEND: Duration = Duration::from_secs(10);

const SUBJECT: &str = "Your college code for Stroll";

/// Settings of colleges.
#[derive(Clone, Debug, clap::Args)]
pub struct CollegeSettings {
    /// Server that sends mail to students: `smtps://user:password@host`, or `smtp://` with `?tls=required`. Without it there are no
    /// colleges
    #[arg(long, env = "STROLL_SMTP_URL", hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<SmtpUrl>,
    /// Who those mails are from, such as `Stroll <college@chat.example>`
    #[arg(long, env = "STROLL_COLLEGE_FROM", value_name = "MAILBOX")]
    pub college_from: Option<Mailbox>,
    /// Mail domains of colleges, comma-separated: `edu` is all below it, `ac.*` all below that of any country
    #[arg(
        long,
        env = "STROLL_COLLEGES",
        default_value = "edu,edu.*,ac.*",
        value_delimiter = ',',
        value_name = "DOMAINS"
    )]
    pub colleges: Vec<CollegeDomain>,
}

impl CollegeSettings {
    /// What is wrong with the combination of values, one sentence each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        if self.smtp_url.is_some() && self.college_from.is_none() {
            return vec!["--college-from (STROLL_COLLEGE_FROM) is required with --smtp-url".to_owned()];
        }
        Vec::new()
    }
}

/// A mail server, in lettre's form of a URL, whose path is the name to greet it with. It can hold a password: its Debug shows nothing.
#[derive(Clone)]
pub struct SmtpUrl(smtp::AsyncSmtpTransportBuilder);

/// Text that names no mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `smtps://user:password@host:port`, or `smtp://`, to which `?tls=required` adds STARTTLS")]
pub struct BadSmtpUrl;

impl FromStr for SmtpUrl {
    type Err = BadSmtpUrl;

    fn from_str(text: &str) -> Result<Self, BadSmtpUrl> {
        AsyncSmtpTransport::<Tokio1Executor>::from_url(text.trim()).map(Self).map_err(|_| BadSmtpUrl)
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("REDACTED")
    }
}

/// What became of a wish for mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The mail server took it.
    Sent,
    /// The operator set no mail server.
    Off,
    /// The address is not at a college.
    NotACollege,
    /// The client or the recipient had too many lately; it may be tried again after this time.
    TooOften(Duration),
    /// The mail server did not take it.
    Failed,
    /// This is not a mail address.
    BadAddress,
}

impl Outcome {
    /// The answer of `/send_email`.
    #[must_use]
    pub fn to_json(self) -> String {
        let msg = match self {
            Self::Sent => {
                "A mail with your college code is on its way.\nIt can take some minutes.".to_owned()
            }
            Self::Off => "College mode is not available on this server.".to_owned(),
            Self::NotACollege => {
                "This is not an address at a college.\nPlease use the one that your college gave you."
                    .to_owned()
            }
            Self::TooOften(wait) => {
                let minutes = wait.as_secs() / 60 + 1;
                format!("Too many mails were asked for.\nPlease try again in {minutes} min.")
            }
            Self::Failed => "The mail could not be sent.\nPlease try again later.".to_owned(),
            Self::BadAddress => "This is not a mail address.".to_owned(),
        };
        format!(r#"{{"success":{},"msg":{}}}"#, self == Self::Sent, serde_json::Value::from(msg))
    }
}

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, TokioClock, NoOpMiddleware<Nanos>>;

/// Tells students what shows their college, and checks it.
pub struct Colleges {
    mail: Option<Mail>,
    domains: Vec<CollegeDomain>,
    secret: Secret,
    clients: Keyed<AddressHash>,
    recipients: Keyed<[u8; 32]>,
}

impl Colleges {
    /// As the settings have it.
    #[must_use]
    pub fn new(settings: &CollegeSettings, context: &Context) -> Self {
        let clock = TokioClock(Instant::now());
        let server = settings.smtp_url.as_ref().zip(settings.college_from.as_ref());
        Self {
            mail: server.map(|(url, from)| Mail::new(url, from, context)),
            domains: settings.colleges.clone(),
            secret: context.secret.clone(),
            clients: Keyed::new(Quota::per_hour(MAILS_PER_CLIENT), DashMapStateStore::default(), clock),
            recipients: Keyed::new(Quota::per_hour(MAILS_PER_RECIPIENT), DashMapStateStore::default(), clock),
        }
    }

    /// Whether `domain`, in lower case, is that of a college.
    #[must_use]
    pub fn is_college(&self, domain: &str) -> bool {
        self.domains.iter().any(|college| college.contains(domain))
    }

    /// What shows that somebody reads mail at `domain`: its keyed hash, in hexadecimal digits.
    #[must_use]
    pub fn college_auth(&self, domain: &str) -> String {
        let hashes = self.secret.keyed_hashes(Purpose::College, domain.as_bytes());
        hashes[0].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the pair is one that was told in a mail, and its domain still a college's. Then `domain` is in lower case.
    #[must_use]
    pub fn verify(&self, domain: &str, auth: &str) -> bool {
        self.mail.is_some()
            && self.is_college(domain)
            && from_hex(auth)
                .is_some_and(|hash| self.secret.is_keyed_hash(Purpose::College, domain.as_bytes(), &hash))
    }

    /// Sends the pair of its college to `email`, for a client of the address `client`.
    pub async fn send_email(&self, email: &str, client: AddressHash) -> Outcome {
        let Some(mail) = &self.mail else { return Outcome::Off };
        let Some(address) = parse_address(email) else { return Outcome::BadAddress };
        if !self.is_college(address.domain()) {
            return Outcome::NotACollege;
        }
        if let Err(wait) = self.admit(client, &address) {
            return Outcome::TooOften(wait);
        }
        let auth = self.college_auth(address.domain());
        match mail.send(address, &auth).await {
            Ok(()) => Outcome::Sent,
            Err(cause) => {
                warn!(%cause, "cannot send a college's code");
                Outcome::Failed
            }
        }
    }

    /// Forgets who was quiet, so that the tables don't grow for ever.
    pub fn sweep(&self) {
        self.clients.retain_recent();
        self.clients.shrink_to_fit();
        self.recipients.retain_recent();
        self.recipients.shrink_to_fit();
    }

    fn admit(&self, client: AddressHash, recipient: &Address) -> Result<(), Duration> {
        let recipient = self.recipient_hash(recipient);
        check(&self.clients, &client)?;
        check(&self.recipients, &recipient)
    }

    /// Names a mailbox. Upper case and what follows a `+` seldom make another one of it. No domain has an `@`, so that this
    /// hash is never one of a domain.
    fn recipient_hash(&self, address: &Address) -> [u8; 32] {
        let user = address.user().split('+').next().unwrap_or_default().to_ascii_lowercase();
        let mailbox = format!("{user}@{}", address.domain());
        self.secret.keyed_hashes(Purpose::College, mailbox.as_bytes())[0]
    }
}

fn check<K: Clone + Eq + std::hash::Hash>(limiter: &Keyed<K>, key: &K) -> Result<(), Duration> {
    let now = limiter.clock().now();
    limiter.check_key(key).map_err(|not_until| wait(&not_until, now))
}

/// 32 bytes of 64 digits, in lower case.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 64 || !text.bytes().all(is_digit) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

// === impl Mail ===

/// The way to students' mailboxes.
struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    places: Semaphore,
    clock: Clock,
    random: Random,
}

/// Why a mail could not be sent. The server's own words are left out, since they can name the recipient.
#[derive(Debug, thiserror::Error)]
enum Undelivered {
    #[error("the mail is not well-formed: {0}")]
    BadMessage(#[from] lettre::error::Error),
    #[error("the mail server answered {0}")]
    Refused(smtp::response::Code),
    #[error("the mail server can't be reached: {0}")]
    Network(io::Error),
    #[error("the mail server can't be talked with")]
    Protocol,
    #[error("the mail server took longer than 10 s")]
    TimedOut,
}

impl Mail {
    fn new(url: &SmtpUrl, from: &Mailbox, context: &Context) -> Self {
        Self {
            transport: url.0.clone().timeout(Some(TIME_TO_SEND)).build(),
            from: from.clone(),
            places: Semaphore::new(MAILS_AT_ONCE),
            clock: context.clock,
            random: context.random.clone(),
        }
    }

    async fn send(&self, to: Address, auth: &str) -> Result<(), Undelivered> {
        let message = self.message(to, auth)?;
        let send = async {
            let _place = self.places.acquire().await;
            self.transport.send(message).await
        };
        let sent = tokio::time::timeout(TIME_TO_SEND, send).await.map_err(|_| Undelivered::TimedOut)?;
        sent.map(drop).map_err(|error| Undelivered::of(&error))
    }

    fn message(&self, to: Address, auth: &str) -> Result<Message, lettre::error::Error> {
        let text = text_of(to.domain(), auth);
        let number = u128::from_be_bytes(self.random.bytes());
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .date(UNIX_EPOCH + Duration::from_millis(self.clock.unix_ms()))
            .message_id(Some(format!("<{number:032x}@{}>", self.from.email.domain())))
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(SUBJECT)
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .singlepart(SinglePart::plain(text))
    }
}

impl Undelivered {
    fn of(error: &smtp::Error) -> Self {
        if let Some(code) = error.status() {
            return Self::Refused(code);
        }
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        source
            .map_or(Self::Protocol, |source| Self::Network(io::Error::new(source.kind(), source.to_string())))
    }
}

fn text_of(domain: &str, auth: &str) -> String {
    let pair = serde_json::Value::from(vec![domain, auth]);
    format!(
        "Somebody asked Stroll for the college code of {domain}, to be sent to this address.\n\
         If that was not you, there is nothing to do.\n\
         \n\
         To meet students, give your client this line. It holds your college, and the code that shows it:\n\
         \n\
         {pair}\n\
         \n\
         It is the same for everybody at {domain}, and says nothing else about you.\n"
    )
}
