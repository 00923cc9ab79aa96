use std::sync::Arc;

use chassis::{
    net::{Listener, Stream},
    settings::{Common, Parsed, Refusal, Settings},
};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::*;

const SECRET: &str = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";
const NEWER: &str = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";

/// What a mail server was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Received {
    from: String,
    to: Vec<String>,
    content: String,
}

/// A mail server that takes what it is given, until it is told to refuse.
struct Server {
    received: Arc<Mutex<Vec<Received>>>,
    refusal: Arc<Mutex<Option<&'static str>>>,
    url: String,
}

impl Server {
    async fn start(context: &Context) -> Self {
        let listener = context.net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
        let address = listener.address().expect("an address");
        let server =
            Self { received: Arc::default(), refusal: Arc::default(), url: format!("smtp://{address}") };
        let (received, refusal) = (Arc::clone(&server.received), Arc::clone(&server.refusal));
        context.tasks.spawn("mail server", serve(listener, received, refusal));
        server
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }
}

async fn serve(
    listener: Listener,
    received: Arc<Mutex<Vec<Received>>>,
    refusal: Arc<Mutex<Option<&'static str>>>,
) {
    loop {
        let (stream, _) = listener.accept().await;
        let refusal = *refusal.lock();
        if let Some(mail) = talk(stream, refusal).await.expect("a client that talks SMTP") {
            received.lock().push(mail);
        }
    }
}

/// RFC 5321, as far as a server needs it that keeps all it gets.
async fn talk(stream: Stream, refusal: Option<&str>) -> io::Result<Option<Received>> {
    let mut stream = BufReader::new(stream);
    let mut mail = Received::default();
    let mut is_taken = false;
    stream.write_all(b"220 mail.example ready\r\n").await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let command = line.trim_end().to_owned();
        line.clear();
        let answer = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-mail.example\r\n250 8BITMIME",
            "MAIL" => {
                command.clone_into(&mut mail.from);
                "250 ok"
            }
            "RCPT" => {
                mail.to.push(command);
                refusal.unwrap_or("250 ok")
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                while stream.read_line(&mut line).await? > 0 && line != ".\r\n" {
                    mail.content.push_str(&std::mem::take(&mut line));
                }
                line.clear();
                is_taken = true;
                "250 taken"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                break;
            }
            _ => "502 what?",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(is_taken.then_some(mail))
}

#[derive(Debug, clap::Args)]
struct Test {
    #[command(flatten)]
    college: CollegeSettings,
}

impl Settings for Test {
    const ADMIN_LISTEN: &'static str = "127.0.0.1:0";

    fn problems(&self) -> Vec<String> {
        self.college.problems()
    }
}

fn parse(arguments: &[&str]) -> Result<(Common, CollegeSettings), Vec<String>> {
    let secret = format!("--secret={SECRET}");
    let arguments = [&[secret.as_str()], arguments].concat();
    match chassis::settings::parse::<Test>("test", arguments.iter().map(Into::into), |_| None) {
        Ok(Parsed { common, service }) => Ok((common, service.college)),
        Err(Refusal::Problems(problems)) => Err(problems),
        Err(Refusal::Told(text)) => panic!("{text}"),
    }
}

fn context(secret: &str) -> Context {
    Context::new(secret.parse().expect("a secret"), Duration::from_secs(1))
}

fn colleges(context: &Context, url: &str, more: &[&str]) -> Colleges {
    let url = format!("--smtp-url={url}");
    let from = "--college-from=Stroll <college@chat.example>";
    let (_, settings) = parse(&[&[url.as_str(), from], more].concat()).expect("good settings");
    Colleges::new(&settings, context)
}

fn client(last: u8) -> AddressHash {
    AddressHash([last; 16])
}

/// Where nobody listens: every mail fails.
const NOWHERE: &str = "smtp://127.0.0.1:9";

#[tokio::test]
async fn a_student_is_sent_the_pair_that_shows_the_college() {
    let context = context(SECRET);
    let server = Server::start(&context).await;
    let colleges = colleges(&context, &server.url, &[]);
    let outcome = colleges.send_email(" Some.Body@Example.EDU ", client(1)).await;
    assert_eq!(outcome, Outcome::Sent);

    let [mail] = &server.received()[..] else { panic!("one mail: {:?}", server.received()) };
    assert!(mail.from.starts_with("MAIL FROM:<college@chat.example>"), "{}", mail.from);
    assert_eq!(mail.to, ["RCPT TO:<Some.Body@example.edu>"]);
    let (head, body) = mail.content.split_once("\r\n\r\n").expect("a head and a body");
    for line in [
        "From: Stroll <college@chat.example>",
        "To: Some.Body@example.edu",
        "Subject: Your college code for Stroll",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: quoted-printable",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(head.lines().any(|found| found == line), "{line} is not in {head}");
    }
    for name in ["Date: ", "Message-ID: <"] {
        assert_eq!(head.lines().filter(|line| line.starts_with(name)).count(), 1, "{name} is not in {head}");
    }
    // All of quoted-printable that this text needs.
    let body = body.replace("=\r\n", "");
    assert!(!body.contains('=') && !body.contains("Some.Body"), "only the domain is told");

    let pair = body.lines().find(|line| line.starts_with('[')).expect("the pair");
    let (domain, auth): (String, String) = serde_json::from_str(pair).expect("JSON");
    assert_eq!(domain, "example.edu");
    assert!(colleges.verify(&domain, &auth));
}

#[tokio::test]
async fn only_the_domain_s_own_code_is_good_and_also_after_a_rotation() {
    let old = colleges(&context(SECRET), NOWHERE, &[]);
    let auth = old.college_auth("example.edu");
    assert!(old.verify("example.edu", &auth));
    let other = old.college_auth("example.ac.uk");
    let changed = format!("{}{}", if auth.starts_with('0') { '1' } else { '0' }, &auth[1..]);
    for (domain, auth) in [
        ("example.edu", other.as_str()),
        ("example.ac.uk", &auth),
        ("Example.edu", &auth),
        ("example.edu ", &auth),
        ("example.edu", &changed),
        ("example.edu", &auth[1..]),
        ("example.edu", &auth.to_ascii_uppercase()),
        ("example.edu", &format!("{auth}00")),
        ("example.edu", &"é".repeat(32)),
        ("example.edu", ""),
        ("", ""),
    ] {
        assert!(!old.verify(domain, auth), "{domain} {auth}");
    }

    let both = colleges(&context(&format!("{NEWER},{SECRET}")), NOWHERE, &[]);
    assert!(both.verify("example.edu", &auth));
    assert_ne!(both.college_auth("example.edu"), auth, "the newer secret makes the new ones");
    assert!(!colleges(&context(NEWER), NOWHERE, &[]).verify("example.edu", &auth));
}

#[tokio::test]
async fn a_code_ends_with_its_domain_s_place_on_the_list_and_with_the_mail_server() {
    let context = context(SECRET);
    let auth = colleges(&context, NOWHERE, &[]).college_auth("example.edu");
    let listed = colleges(&context, NOWHERE, &["--colleges=uni.example,example.edu"]);
    assert!(listed.verify("example.edu", &auth));
    assert!(!colleges(&context, NOWHERE, &["--colleges=uni.example"]).verify("example.edu", &auth));

    let (_, settings) = parse(&[]).expect("good settings");
    let off = Colleges::new(&settings, &context);
    assert!(!off.verify("example.edu", &auth));
    assert_eq!(off.send_email("me@example.edu", client(1)).await, Outcome::Off);
}

#[tokio::test]
async fn what_is_no_address_or_no_college_gets_no_mail() {
    let context = context(SECRET);
    let server = Server::start(&context).await;
    let colleges = colleges(&context, &server.url, &[]);
    for (email, expected) in [
        ("", Outcome::BadAddress),
        ("me", Outcome::BadAddress),
        ("me@example.edu\r\nBcc: you@example.edu", Outcome::BadAddress),
        ("me@example.edu>\r\nRCPT TO:<you@example.edu", Outcome::BadAddress),
        ("you@example.edu, me@example.edu", Outcome::BadAddress),
        ("me@example.com", Outcome::NotACollege),
        ("me@example.edu.com", Outcome::NotACollege),
    ] {
        // More often than a client could be sent mail: what is refused counts for nothing.
        assert_eq!(colleges.send_email(email, client(1)).await, expected, "{email:?}");
    }
    assert_eq!(colleges.send_email("me@example.edu", client(1)).await, Outcome::Sent);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_refusal_by_the_mail_server_is_told_as_a_failure() {
    let context = context(SECRET);
    let server = Server::start(&context).await;
    let colleges = colleges(&context, &server.url, &[]);
    *server.refusal.lock() = Some("550 <me@example.edu>: no such mailbox");
    assert_eq!(colleges.send_email("me@example.edu", client(1)).await, Outcome::Failed);
    *server.refusal.lock() = None;
    assert_eq!(colleges.send_email("me@example.edu", client(1)).await, Outcome::Sent);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn no_cause_of_a_failure_names_the_recipient() {
    let context = context(SECRET);
    let server = Server::start(&context).await;
    *server.refusal.lock() = Some("550 <me@example.edu>: no such mailbox");
    let mail = |url: &str| {
        let from = "college@chat.example".parse().expect("a mailbox");
        Mail::new(&url.parse().expect("a URL"), &from, &context)
    };
    let to = || parse_address("me@example.edu").expect("an address");
    let refused = mail(&server.url).send(to(), "").await.expect_err("refused");
    assert_eq!(refused.to_string(), "the mail server answered 550");
    let unreachable = mail(NOWHERE).send(to(), "").await.expect_err("nobody listens");
    assert!(matches!(unreachable, Undelivered::Network(_)), "{unreachable}");
    assert!(!unreachable.to_string().contains("example.edu"), "{unreachable}");
}

#[tokio::test(start_paused = true)]
async fn a_mail_server_that_says_nothing_is_given_up() {
    let context = context(SECRET);
    let listener = context.net.listen("127.0.0.1:0".parse().expect("an address")).await.expect("a port");
    let url = format!("smtp://{}", listener.address().expect("an address"));
    let began = Instant::now();
    let outcome = colleges(&context, &url, &[]).send_email("me@example.edu", client(1)).await;
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_and_a_recipient_have_so_many_mails_an_hour() {
    let colleges = colleges(&context(SECRET), NOWHERE, &[]);
    let send = async |email: &str, from: u8| colleges.send_email(email, client(from)).await;
    for number in 0..5 {
        assert_eq!(send(&format!("me{number}@example.edu"), 1).await, Outcome::Failed, "{number}");
    }
    let Outcome::TooOften(wait) = send("me5@example.edu", 1).await else { panic!("the sixth of a client") };
    assert!(wait <= Duration::from_secs(3_600 / 5), "{wait:?}");

    // However it is written, and whoever asks.
    for (email, from) in [("you@example.edu", 2), ("You+again@Example.edu", 3), ("YOU@example.edu", 4)] {
        assert_eq!(send(email, from).await, Outcome::Failed, "{email}");
    }
    assert!(matches!(send("you+more@example.edu", 5).await, Outcome::TooOften(_)));
    assert_eq!(send("you@example.ac.uk", 5).await, Outcome::Failed, "another mailbox");

    colleges.sweep();
    assert!(matches!(send("me6@example.edu", 1).await, Outcome::TooOften(_)), "what counts is kept");
    tokio::time::sleep(wait).await;
    assert_eq!(send("me6@example.edu", 1).await, Outcome::Failed, "after the time that was told");
    tokio::time::sleep(Duration::from_secs(7_200)).await;
    colleges.sweep();
    assert_eq!((colleges.clients.len(), colleges.recipients.len()), (0, 0), "and nothing else");
}

#[test]
fn answers_have_the_documented_form() {
    let off = r#"{"success":false,"msg":"College mode is not available on this server."}"#;
    assert_eq!(Outcome::Off.to_json(), off);
    let wait = Outcome::TooOften(Duration::from_secs(100));
    for (outcome, success, part) in [
        (Outcome::Sent, true, "on its way.\n"),
        (Outcome::NotACollege, false, "not an address at a college.\n"),
        (wait, false, "in 2 min."),
        (Outcome::Failed, false, "later"),
        (Outcome::BadAddress, false, "not a mail address"),
    ] {
        let answer: serde_json::Value = serde_json::from_str(&outcome.to_json()).expect("JSON");
        assert_eq!(answer["success"], success, "{answer}");
        assert!(answer["msg"].as_str().is_some_and(|msg| msg.contains(part)), "{answer}");
    }
}

#[test]
fn settings_are_off_by_default_and_every_mistake_is_told_without_the_password() {
    let (_, settings) = parse(&[]).expect("good settings");
    assert!(settings.smtp_url.is_none());
    assert_eq!(format!("{:?}", settings.colleges), "[edu, edu.*, ac.*]");
    let from = "--college-from=Stroll <college@chat.example>";
    for url in [
        "smtp://localhost",
        "smtp://me:hush@mail.example:587?tls=required",
        "smtps://me:hush@mail.example/chat.example",
    ] {
        let (_, settings) = parse(&[&format!("--smtp-url={url}"), from]).expect(url);
        assert!(format!("{settings:?}").contains("smtp_url: Some(REDACTED)"), "{settings:?}");
    }
    for (arguments, expected) in [
        (
            ["--smtp-url=smtp://me:hush@mail.example", "--colleges=edu"],
            "--college-from (STROLL_COLLEGE_FROM) is required with --smtp-url",
        ),
        (["--smtp-url=http://me:hush@mail.example", from], "--smtp-url: expected `smtps://"),
        (["--smtp-url=me:hush@mail.example", from], "--smtp-url: expected `smtps://"),
        (["--colleges=edu,*", from], "--colleges: invalid value '*': expected a domain"),
        (["--college-from=nobody", "--colleges=edu"], "--college-from: invalid value 'nobody': "),
    ] {
        let told = parse(&arguments).expect_err(expected);
        assert!(told.len() == 1 && told[0].starts_with(expected) && !told[0].contains("hush"), "{told:?}");
    }
}
