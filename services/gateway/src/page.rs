//! The web client's files, embedded into the binary, under headers that let a browser run nothing else.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header},
};
use rust_embed::RustEmbed;

/// What a page of ours may do: load its own files, talk with its own server, and be framed by nobody.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

#[derive(RustEmbed)]
#[folder = "web"]
#[exclude = "test/*"]
#[exclude = "package.json"]
struct Files;

/// Answers with a file of the web client.
pub async fn serve(request: Request) -> Response<Body> {
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => find(request.uri().path(), request.headers()),
        _ if Files::get(name(request.uri().path())).is_some() => {
            plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
        }
        _ => not_found(),
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn find(path: &str, headers: &HeaderMap) -> Response<Body> {
    let name = name(path);
    let Some(file) = Files::get(name) else { return not_found() };
    let etag = etag(&file.metadata.sha256_hash());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return with_headers(StatusCode::NOT_MODIFIED, Body::empty(), &[(header::ETAG, &etag)]);
    }
    with_headers(
        StatusCode::OK,
        Body::from(file.data),
        &[
            (header::CONTENT_TYPE, content_type(name)),
            (header::CACHE_CONTROL, "no-cache"),
            (header::ETAG, &etag),
        ],
    )
}

fn name(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => "index.html",
        name => name,
    }
}

/// Pages of any origin may learn that there is nothing: classic clients ask for more than is served.
fn not_found() -> Response<Body> {
    let mut response = plain(StatusCode::NOT_FOUND, "not found\n");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn etag(hash: &[u8; 32]) -> String {
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    with_headers(status, Body::from(text), &[(header::CONTENT_TYPE, "text/plain; charset=utf-8")])
}

fn with_headers(status: StatusCode, body: Body, headers: &[(HeaderName, &str)]) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
