//! The paths of the classic protocol.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::id::AddressHash;
use http_body_util::{BodyExt as _, Limited};

use super::{
    call::{Answer, Call, POLL, Polling},
    event::Event,
    form::Form,
    id::ClientId,
    saved_log,
    start::{BadQuestion, Offer, Start},
    status::status,
};
use crate::{
    address,
    hub::{Hub, Opening},
    permit::{Permit, turn_away},
};

/// Largest body of most calls, and of those that carry more, in bytes.
const MAX_BODY: usize = 64 * 1024;
const MAX_LARGE_BODY: usize = 1024 * 1024;
/// What each body may have in any case, in bytes: most are smaller.
const SMALL_BODY: usize = 4 * 1024;
/// How long a client may take over its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long another gateway is given that can't be reached.
const UNREACHABLE_FOR: Duration = Duration::from_secs(1);

type Peer = ConnectInfo<SocketAddr>;

/// All of them. Any origin may call them.
pub fn routes() -> Router<Arc<Hub>> {
    Router::new()
        .route("/status", get(tell_status).post(tell_status))
        .route("/count", get(tell_count).post(tell_count))
        .route("/start", get(start).post(start))
        .route("/events", post(events))
        .route("/send", post(send))
        .route("/typing", post(typing))
        .route("/stoppedtyping", post(stopped_typing))
        .route("/stopTyping", post(stopped_typing))
        .route("/stoptyping", post(stopped_typing))
        .route("/disconnect", post(disconnect))
        .route("/stoplookingforcommonlikes", post(widen))
        .route("/recaptcha", post(recaptcha))
        .route("/rtcpeerdescription", post(description))
        .route("/icecandidate", post(candidates))
        .route("/check", post(check))
        .route("/upload", post(upload))
        .route("/generate", post(generate))
        .route("/send_email", post(send_email))
        .route("/tumblr_tags", post(tumblr_tags))
        .layer(middleware::from_fn(open_to_all))
}

/// Lets pages of any origin call, without credentials, and nobody keep the answers.
async fn open_to_all(request: Request, next: Next) -> Response {
    let mut response = if request.method() == Method::OPTIONS {
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, X-Requested-With"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ];
        (StatusCode::NO_CONTENT, headers).into_response()
    } else if request.method() == Method::HEAD {
        // Where GET does something, this would do it too.
        (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST")]).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn tell_status(State(hub): State<Arc<Hub>>) -> Response {
    status(&hub).map_or_else(
        || StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |status| json(status.get().to_owned()),
    )
}

async fn tell_count(State(hub): State<Arc<Hub>>) -> Response {
    json(hub.stats.read(&hub).online.to_string())
}

/// Begins a session.
async fn start(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(peer): Peer,
    request: Request,
) -> Result<Response, Response> {
    let addresses = addresses(&hub, peer, request.headers());
    let form = form(&hub, request, MAX_BODY).await?;
    let permit = Permit::take(&hub, &addresses).map_err(|refused| *refused)?;
    if !hub.admission.takes_newcomers() {
        return Err(turn_away(StatusCode::SERVICE_UNAVAILABLE, UNREACHABLE_FOR));
    }
    let is_verified = |domain: &str, code: &str| hub.classic.colleges.verify(domain, code);
    let unmoderated = hub.config.classic.unmoderated.as_ref();
    let offer = Offer { sections: &hub.config.wishes.sections, unmoderated, is_verified };
    let Start { wish, firstevents, shows_captcha } = Start::parse(&form, &offer);
    let opening = match (wish, hub.classic.captcha.site_key()) {
        (Err(BadQuestion), _) => {
            Opening::Refused(Event::Error("Your question must have 10 to 200 characters.".into()))
        }
        (Ok(find), None) => Opening::Wish(find),
        (Ok(find), Some(_)) if shows_captcha => Opening::Challenge(find),
        (Ok(_), Some(_)) => Opening::banned(),
    };
    let id = ClientId::new(&hub.context.secret, &hub.context.random, hub.classic.peers.own());
    let slot = hub.start_classic(&id, addresses, permit, opening);
    if !firstevents {
        return Ok(json(format!("\"{}\"", id.as_str())));
    }
    let mut events = hub.first_events(&slot).await;
    if events.iter().any(|event| matches!(event, Event::Waiting | Event::Connected)) {
        events.extend(status(&hub).map(|status| Event::StatusInfo(Box::new(status))));
    }
    let events =
        serde_json::to_string(&events).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
    Ok(json(format!(r#"{{"events": {events}, "clientID": "{}"}}"#, id.as_str())))
}

async fn events(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    let id = form(&hub, request, MAX_BODY).await?.get("id").and_then(ClientId::parse);
    Ok(chassis::http::later(async move {
        match call(&hub, id, Some(Call::Poll(Polling { wait: POLL, number: 0 }))).await {
            Answer::Unknown | Answer::Failed => json("null".to_owned()),
            answer => respond(answer),
        }
    }))
}

async fn send(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    simple(&hub, request, |form| Call::message(form.get("msg")?)).await
}

async fn typing(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    simple(&hub, request, |_| Some(Call::Typing(true))).await
}

async fn stopped_typing(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    simple(&hub, request, |_| Some(Call::Typing(false))).await
}

/// It is done whatever there is to do.
async fn disconnect(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    simple(&hub, request, |_| Some(Call::Disconnect)).await?;
    Ok(respond(Answer::Done))
}

async fn widen(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    simple(&hub, request, |_| Some(Call::Widen)).await
}

async fn recaptcha(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    let response = |form: &Form| form.get("response").unwrap_or_default().to_owned();
    simple(&hub, request, |form| Some(Call::Captcha(crate::protocol::Private(response(form))))).await
}

async fn description(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    simple(&hub, request, |form| Call::signals(form.all("desc").take(1))).await
}

async fn candidates(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    simple(&hub, request, |form| Call::signals(form.all("candidate"))).await
}

/// A token, which decides nothing.
async fn check(State(hub): State<Arc<Hub>>) -> Response {
    let token = u32::from_be_bytes(hub.context.random.bytes());
    ([(header::CONTENT_TYPE, "text/plain")], format!("{token:08x}")).into_response()
}

/// Snapshots are not wanted, and not kept.
async fn upload(request: Request) -> Result<Response, Response> {
    let mut body = Limited::new(request.into_body(), MAX_LARGE_BODY);
    let discarded = async {
        while let Some(frame) = body.frame().await {
            frame.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE.into_response())?;
        }
        Ok(())
    };
    in_time(discarded).await?;
    Ok(respond(Answer::Done))
}

async fn generate(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    let form = form(&hub, request, MAX_LARGE_BODY).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, saved_log::CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let saved = saved_log::Form { log: form.get("log").unwrap_or_default(), topics: form.get("topics") };
    let page = saved_log::page(saved).unwrap_or_else(saved_log::BadLog::page);
    Ok((headers, page).into_response())
}

async fn send_email(
    State(hub): State<Arc<Hub>>,
    ConnectInfo(peer): Peer,
    request: Request,
) -> Result<Response, Response> {
    let addresses = addresses(&hub, peer, request.headers());
    let form = form(&hub, request, MAX_BODY).await?;
    let address = addresses.first().copied();
    let address = address.ok_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
    let outcome = hub.classic.colleges.send_email(form.get("email").unwrap_or_default(), address).await;
    Ok(json(outcome.to_json()))
}

async fn tumblr_tags(State(hub): State<Arc<Hub>>, request: Request) -> Result<Response, Response> {
    body(&hub, request, MAX_BODY).await?;
    Ok(json(r#"{"success":false,"error":"Tumblr import is not available."}"#.to_owned()))
}

/// A call that is answered `win` or `fail`. One that is not well-formed fails.
async fn simple(
    hub: &Arc<Hub>,
    request: Request,
    read: impl FnOnce(&Form) -> Option<Call>,
) -> Result<Response, Response> {
    let form = form(hub, request, MAX_BODY).await?;
    let id = form.get("id").and_then(ClientId::parse);
    let what = read(&form);
    drop(form);
    Ok(respond(call(hub, id, what).await))
}

/// The call is this gateway's to answer, or another's.
async fn call(hub: &Arc<Hub>, id: Option<ClientId>, call: Option<Call>) -> Answer {
    let Some(call) = call else { return Answer::Failed };
    let (name, is_poll) = (call.name(), matches!(call, Call::Poll(_)));
    let under_way = hub.call_under_way();
    let answer = match id {
        None => Answer::Unknown,
        Some(id) if id.fronts(&hub.context.secret).contains(&hub.classic.peers.own()) => {
            hub.call(id.session(), call).await
        }
        Some(id) if is_poll => tokio::select! {
            answer = hub.classic.peers.call(&id, call) => answer,
            () = hub.until_last_words() => Answer::nothing(),
        },
        Some(id) => {
            // It counts also if its client does not wait for the answer.
            let caller = Arc::clone(hub);
            let called = hub.context.tasks.spawn("forwarded call", async move {
                let _under_way = under_way;
                caller.classic.peers.call(&id, call).await
            });
            called.await.unwrap_or(Answer::Failed)
        }
    };
    hub.metrics.classic_call(name, answer.name());
    answer
}

fn respond(answer: Answer) -> Response {
    let plain =
        |text: &'static str| ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response();
    match answer {
        Answer::Done => plain("win"),
        Answer::Failed | Answer::Unknown => plain("fail"),
        Answer::Events(events) => json(events),
        Answer::TooFast(wait) => turn_away(StatusCode::TOO_MANY_REQUESTS, wait),
        Answer::Unreachable => turn_away(StatusCode::SERVICE_UNAVAILABLE, UNREACHABLE_FOR),
    }
}

fn json(text: String) -> Response {
    const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];
    (JSON, text).into_response()
}

fn addresses(hub: &Hub, peer: SocketAddr, headers: &HeaderMap) -> Vec<AddressHash> {
    let client = address::of_client(peer, headers, &hub.config.trusted_proxies);
    hub.context.secret.address_hashes(client)
}

async fn form(hub: &Hub, request: Request, most: usize) -> Result<Form, Response> {
    let query = request.uri().query().map(str::to_owned);
    let body = body(hub, request, most).await?;
    Ok(Form::parse(query.as_deref(), &body))
}

/// The body, whatever it says that it is. All that are being read at once have room for so much, beyond what each may have anyway.
async fn body(hub: &Hub, request: Request, most: usize) -> Result<Vec<u8>, Response> {
    let mut body = Limited::new(request.into_body(), most);
    let mut held = Vec::new();
    let read = async {
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE.into_response())?;
            let Ok(data) = frame.into_data() else { continue };
            read.extend_from_slice(&data);
            if read.len() > SMALL_BODY {
                let room = u32::try_from(data.len())
                    .ok()
                    .and_then(|size| hub.classic.room.try_acquire_many(size).ok());
                let full = || turn_away(StatusCode::SERVICE_UNAVAILABLE, UNREACHABLE_FOR);
                held.push(room.ok_or_else(full)?);
            }
        }
        Ok(read)
    };
    in_time(read).await
}

async fn in_time<T>(read: impl Future<Output = Result<T, Response>>) -> Result<T, Response> {
    let late = |_| StatusCode::REQUEST_TIMEOUT.into_response();
    tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(late)?
}
