//! Captchas: asks the service that set one whether it was solved.
//!
//! It is spoken with as reCAPTCHA version 2 has it, which others speak too: a form with a secret and the client's response, answered by
//! JSON. Who the client is is never told. (hyper makes its own sockets, so none of this runs in the simulation.)

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use chassis::{Redacted, Tasks};
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client, connect::HttpConnector};
use serde::Deserialize;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Longest response of a client, in bytes. Those of reCAPTCHA have about 2,000.
const LONGEST_RESPONSE: usize = 16 * 1024;

/// Settings of captchas.
#[derive(Clone, Debug, clap::Args)]
pub struct CaptchaSettings {
    /// Site key of the captchas that classic clients are shown. Without it none is asked for
    #[arg(long, env = "STROLL_CAPTCHA_SITE_KEY", value_name = "KEY")]
    pub captcha_site_key: Option<String>,
    /// Secret that belongs to the site key
    #[arg(long, env = "STROLL_CAPTCHA_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub captcha_secret: Option<Redacted<String>>,
    /// Service that knows whether a captcha was solved
    #[arg(
        long,
        env = "STROLL_CAPTCHA_URL",
        default_value = "https://www.google.com/recaptcha/api/siteverify",
        value_parser = service_url,
        value_name = "URL"
    )]
    pub captcha_url: Uri,
}

impl CaptchaSettings {
    /// What is wrong with the combination of values, one sentence each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let missing = match (&self.captcha_site_key, &self.captcha_secret) {
            (Some(_), None) => {
                "--captcha-secret (STROLL_CAPTCHA_SECRET, STROLL_CAPTCHA_SECRET_FILE) is required with \
                 --captcha-site-key"
            }
            (None, Some(_)) => {
                "--captcha-site-key (STROLL_CAPTCHA_SITE_KEY) is required with --captcha-secret"
            }
            (Some(_), Some(_)) | (None, None) => return Vec::new(),
        };
        vec![missing.to_owned()]
    }
}

/// Text that is not the address of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as `https://captcha.example/verify`")]
pub struct BadServiceUrl;

fn service_url(text: &str) -> Result<Uri, BadServiceUrl> {
    let uri: Uri = text.trim().parse().map_err(|_| BadServiceUrl)?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https" | "http"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(BadServiceUrl),
    }
}

/// Nobody knows whether a captcha was solved.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The service could not be spoken with.
    #[error("the captcha's service can't be reached: {0}")]
    Network(#[source] legacy::Error),
    /// It answered with an error.
    #[error("the captcha's service answered {0}")]
    Refused(StatusCode),
    /// Its answer broke off, or is longer than 64 KiB.
    #[error("the answer of the captcha's service can't be read: {0}")]
    Unread(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its answer says nothing.
    #[error("the answer of the captcha's service has another form: {0}")]
    Nonsense(#[source] serde_json::Error),
    /// It took too long.
    #[error("the captcha's service took longer than 5 s")]
    TimedOut,
}

/// The only part of an answer that matters.
#[derive(Deserialize)]
struct Answer {
    success: bool,
}

/// Knows whether captchas were solved.
pub struct Captcha(Option<Service>);

impl Captcha {
    /// As the settings have it. `tasks` own the connections to the service.
    #[must_use]
    pub fn new(settings: &CaptchaSettings, tasks: &Tasks) -> Self {
        let keys = settings.captcha_site_key.as_ref().zip(settings.captcha_secret.as_ref());
        Self(keys.map(|(site_key, secret)| Service {
            site_key: site_key.clone(),
            secret: secret.clone(),
            url: settings.captcha_url.clone(),
            client: client(tasks),
        }))
    }

    /// What a client shows a captcha by. Nothing where none is asked for.
    #[must_use]
    pub fn site_key(&self) -> Option<&str> {
        self.0.as_ref().map(|service| service.site_key.as_str())
    }

    /// Whether `response` is that of a client whose user solved a captcha. Where none is asked for, none is solved.
    ///
    /// # Errors
    /// If that can't be known now.
    pub async fn is_solved(&self, response: &str) -> Result<bool, Unreachable> {
        let Some(service) = &self.0 else { return Ok(false) };
        if response.is_empty() || response.len() > LONGEST_RESPONSE {
            return Ok(false);
        }
        tokio::time::timeout(PATIENCE, service.ask(response)).await.map_err(|_| Unreachable::TimedOut)?
    }
}

// === impl Service ===

struct Service {
    site_key: String,
    secret: Redacted<String>,
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Service {
    async fn ask(&self, response: &str) -> Result<bool, Unreachable> {
        let answer = self.client.request(self.request(response)).await.map_err(Unreachable::Network)?;
        let (head, body) = answer.into_parts();
        if !head.status.is_success() {
            return Err(Unreachable::Refused(head.status));
        }
        let body = Limited::new(body, LONGEST_ANSWER).collect().await.map_err(Unreachable::Unread)?;
        let answer: Answer = serde_json::from_slice(&body.to_bytes()).map_err(Unreachable::Nonsense)?;
        Ok(answer.success)
    }

    fn request(&self, response: &str) -> Request<Full<Bytes>> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("secret", self.secret.reveal())
            .append_pair("response", response)
            .finish();
        let mut request = Request::new(Full::new(Bytes::from(form)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let form = header::HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form);
        request
    }
}

/// A connection is for one question. None waits for the next, so that none is left when the process ends.
fn client(tasks: &Tasks) -> Client<HttpsConnector<HttpConnector>, Full<Bytes>> {
    #[expect(clippy::expect_used, reason = "ring has ciphers for both versions of TLS that rustls knows")]
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
        .expect("both versions")
        .https_or_http()
        .enable_http1()
        .build();
    Client::builder(Owned(tasks.clone())).pool_max_idle_per_host(0).build(connector)
}

/// Runs hyper's tasks as the process's own.
#[derive(Clone)]
struct Owned(Tasks);

impl<F> hyper::rt::Executor<F> for Owned
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("captcha connection", future);
    }
}
