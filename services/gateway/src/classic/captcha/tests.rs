use std::{collections::HashMap, sync::Arc};

use axum::{Router, http::HeaderMap, response::IntoResponse, routing::post};
use chassis::{
    Context,
    settings::{Parsed, Refusal, Settings},
};
use parking_lot::Mutex;

use super::*;

const SECRET: &str = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";

#[derive(Debug, clap::Args)]
struct Test {
    #[command(flatten)]
    captcha: CaptchaSettings,
}

impl Settings for Test {
    const ADMIN_LISTEN: &'static str = "127.0.0.1:0";

    fn problems(&self) -> Vec<String> {
        self.captcha.problems()
    }
}

fn parse(arguments: &[&str]) -> Result<CaptchaSettings, Vec<String>> {
    let secret = format!("--secret={SECRET}");
    let arguments = [&[secret.as_str()], arguments].concat();
    match chassis::settings::parse::<Test>("test", arguments.iter().map(Into::into), |_| None) {
        Ok(Parsed { service, .. }) => Ok(service.captcha),
        Err(Refusal::Problems(problems)) => Err(problems),
        Err(Refusal::Told(text)) => panic!("{text}"),
    }
}

fn context() -> Context {
    Context::new(SECRET.parse().expect("a secret"), Duration::from_secs(1))
}

type Asked = Arc<Mutex<Vec<(HeaderMap, HashMap<String, String>)>>>;

/// A service that finds `right` solved, and what it was asked.
async fn start(context: &Context) -> (String, Asked) {
    let asked = Asked::default();
    let kept = Arc::clone(&asked);
    let verify = async move |headers: HeaderMap, body: Bytes| {
        let form: HashMap<_, _> = form_urlencoded::parse(&body).into_owned().collect();
        let is_solved = form.get("response").is_some_and(|response| response == "right & = + % é");
        kept.lock().push((headers, form));
        format!(r#"{{"success": {is_solved}, "hostname": "chat.example", "error-codes": []}}"#)
    };
    let router = Router::new()
        .route("/verify", post(verify))
        .route("/broken", post(async || StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        .route("/moved", post(async || (StatusCode::FOUND, [(header::LOCATION, "/verify")]).into_response()))
        .route("/page", post(async || "<html>success</html>"))
        .route("/other", post(async || r#"{"success": "yes"}"#))
        .route("/endless", post(async || format!(r#"{{"success": true}}{}"#, " ".repeat(LONGEST_ANSWER))));
    (serve(context, router).await, asked)
}

async fn serve(context: &Context, router: Router) -> String {
    let listener = context.net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let url = format!("http://{}", listener.address().expect("an address"));
    let server = context.clone();
    context
        .tasks
        .spawn("captcha service", async move { chassis::http::serve(&server, listener, router).await });
    url
}

fn captcha(context: &Context, url: &str) -> Captcha {
    let url = format!("--captcha-url={url}");
    let arguments = ["--captcha-site-key=site", "--captcha-secret=a&b", url.as_str()];
    Captcha::new(&parse(&arguments).expect("good settings"), &context.tasks)
}

#[tokio::test]
async fn the_service_is_asked_with_the_secret_and_without_the_client() {
    let context = context();
    let (url, asked) = start(&context).await;
    let captcha = captcha(&context, &format!("{url}/verify"));
    assert_eq!(captcha.site_key(), Some("site"));
    assert!(captcha.is_solved("right & = + % é").await.expect("an answer"));
    assert!(!captcha.is_solved("wrong").await.expect("an answer"));
    for unasked in ["", &"x".repeat(LONGEST_RESPONSE + 1)] {
        assert!(!captcha.is_solved(unasked).await.expect("no need to ask"));
    }

    let asked = asked.lock();
    let responses = asked.iter().map(|(_, form)| form["response"].as_str());
    assert_eq!(responses.collect::<Vec<_>>(), ["right & = + % é", "wrong"]);
    for (headers, form) in asked.iter() {
        assert_eq!((form.len(), form["secret"].as_str()), (2, "a&b"), "{form:?}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/x-www-form-urlencoded");
        let mut names: Vec<_> = headers.keys().map(header::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "content-type", "host"]);
    }
}

#[tokio::test]
async fn what_is_no_answer_is_neither_right_nor_wrong() {
    let context = context();
    let (url, asked) = start(&context).await;
    let ask = async |path: &str| {
        let answer = captcha(&context, &format!("{url}{path}")).is_solved("right & = + % é").await;
        answer.expect_err(path)
    };
    assert!(matches!(ask("/broken").await, Unreachable::Refused(StatusCode::INTERNAL_SERVER_ERROR)));
    assert!(matches!(ask("/nowhere").await, Unreachable::Refused(StatusCode::NOT_FOUND)));
    assert!(matches!(ask("/moved").await, Unreachable::Refused(StatusCode::FOUND)));
    assert!(matches!(ask("/page").await, Unreachable::Nonsense(_)));
    assert!(matches!(ask("/other").await, Unreachable::Nonsense(_)));
    assert!(matches!(ask("/endless").await, Unreachable::Unread(_)));
    assert!(asked.lock().is_empty());
    let nobody = captcha(&context, "http://127.0.0.1:9/").is_solved("x").await.expect_err("nobody listens");
    assert!(matches!(nobody, Unreachable::Network(_)), "{nobody}");
    let no_tls = captcha(&context, &url.replace("http", "https")).is_solved("x").await.expect_err("no TLS");
    assert!(matches!(no_tls, Unreachable::Network(_)), "{no_tls}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_says_nothing_is_given_up_and_no_connection_to_it_stays() {
    let context = context();
    let listener = context.net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let captcha = captcha(&context, &format!("http://{}", listener.address().expect("an address")));
    let began = tokio::time::Instant::now();
    assert!(matches!(captcha.is_solved("x").await, Err(Unreachable::TimedOut)));
    assert_eq!(began.elapsed().as_secs(), 5);
    context.tasks.finished().await;
}

#[tokio::test]
async fn without_keys_none_is_asked_for_and_none_solved() {
    let captcha = Captcha::new(&parse(&[]).expect("good settings"), &context().tasks);
    assert_eq!(captcha.site_key(), None);
    assert!(!captcha.is_solved("right & = + % é").await.expect("no need to ask"));
}

#[test]
fn the_keys_come_together_and_no_mistake_shows_the_secret() {
    let settings = parse(&["--captcha-site-key=site", "--captcha-secret=hush"]).expect("good settings");
    assert!(!format!("{settings:?}").contains("hush"));
    assert_eq!(settings.captcha_url, "https://www.google.com/recaptcha/api/siteverify");
    for (arguments, expected) in [
        (["--captcha-site-key=site", "--captcha-url=http://a/"], "--captcha-secret (STROLL_CAPTCHA_SECRET, "),
        (
            ["--captcha-secret=hush", "--captcha-url=http://a/"],
            "--captcha-site-key (STROLL_CAPTCHA_SITE_KEY) ",
        ),
        (["--captcha-url=captcha.example", "--drain=1s"], "--captcha-url: invalid value 'captcha.example': "),
        (["--captcha-url=ftp://captcha.example/", "--drain=1s"], "--captcha-url: invalid value 'ftp://"),
        (["--captcha-url=/verify", "--drain=1s"], "--captcha-url: invalid value '/verify': "),
    ] {
        let told = parse(&arguments).expect_err(expected);
        assert!(told.len() == 1 && told[0].starts_with(expected) && !told[0].contains("hush"), "{told:?}");
    }
}
