//! College mode, of an operator who set a mail service.

use serde_json::{Value, json};
use stroll_tests::{
    classic::{Client, JSON, ask, encode, names, post, roomy},
    cluster::Single,
    http::Answer,
    mailbox::Mailbox,
};

const NOT_HERE: &str = "College mode is not available on this server.";

async fn start(colleges: &str) -> (Single, Mailbox) {
    let mailbox = Mailbox::start().await;
    let url = mailbox.url();
    let settings = [
        ("STROLL_SMTP_URL", url.as_str()),
        ("STROLL_COLLEGE_FROM", "stroll@chat.example"),
        ("STROLL_COLLEGES", colleges),
    ];
    let settings = if colleges.is_empty() { &settings[..2] } else { &settings };
    (roomy(settings).await, mailbox)
}

async fn send_email(stroll: &Single, address: &str) -> Answer {
    ask(stroll.gateway, post("/send_email", &format!("email={}", encode(address)))).await
}

/// Asks for mail, and takes the pair out of it. Returns the parameters of `/start`.
async fn pair(stroll: &Single, mailbox: &Mailbox, address: &str) -> String {
    let answer = send_email(stroll, address).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(JSON)));
    let object: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(object["success"], true, "{object}");
    assert!(object["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{object}");
    let mail = mailbox.mail_to(address).await;
    assert_eq!(mail.from, "stroll@chat.example");
    let domain = address.split_once('@').expect("an address").1;
    let start =
        mail.text.find(&format!("[\"{domain}\"")).unwrap_or_else(|| panic!("no pair in:\n{}", mail.text));
    let end = mail.text[start..].find(']').expect("its end") + start;
    let pair: [String; 2] = serde_json::from_str(&mail.text[start..=end]).expect("a pair");
    format!("college={}&college_auth={}", encode(&pair[0]), encode(&pair[1]))
}

#[tokio::test]
async fn those_of_one_college_meet_each_other_and_are_told_which() {
    let (stroll, mailbox) = start("").await;
    let edu = pair(&stroll, &mailbox, "ann@example.edu").await;
    let other = pair(&stroll, &mailbox, "bob@college.ac.uk").await;
    let mut first = Client::start(stroll.gateway, &edu).await;
    let mut elsewhere = Client::start(stroll.gateway, &other).await;
    let mut anybody = Client::start(stroll.gateway, "").await;
    for client in [&mut first, &mut elsewhere, &mut anybody] {
        client.is_waiting().await;
    }
    stroll.waiting(3).await;
    let mut second = Client::start(stroll.gateway, &edu).await;
    for client in [&mut first, &mut second] {
        let events = client.connected().await;
        assert_eq!(names(&events), ["connected", "identDigests", "partnerCollege"]);
        assert_eq!(events[2], json!(["partnerCollege", "example.edu"]));
    }
    stroll.waiting(2).await;
}

#[tokio::test]
async fn any_college_meets_any_other_that_is_verified() {
    let (stroll, mailbox) = start("").await;
    let edu = pair(&stroll, &mailbox, "ann@example.edu").await + "&any_college=1";
    let other = pair(&stroll, &mailbox, "bob@college.edu.au").await + "&any_college=1";
    let mut anybody = Client::start(stroll.gateway, "any_college=1").await;
    anybody.is_waiting().await;
    let mut first = Client::start(stroll.gateway, &edu).await;
    first.is_waiting().await;
    stroll.waiting(2).await;
    let mut second = Client::start(stroll.gateway, &other).await;
    assert_eq!(first.connected().await[2], json!(["partnerCollege", "college.edu.au"]));
    assert_eq!(second.connected().await[2], json!(["partnerCollege", "example.edu"]));
    stroll.waiting(1).await;
}

#[tokio::test]
async fn what_does_not_verify_is_an_ordinary_chat() {
    let (stroll, mailbox) = start("").await;
    let good = pair(&stroll, &mailbox, "ann@example.edu").await;
    let forged = [
        good.replace("college=example", "college=other"),
        good.replace("college=example", "college=sub.example"),
        format!("{good}00"),
        good.split('&').next().expect("a field").to_owned(),
        "college=example.edu&college_auth=".to_owned(),
        "college=example.edu&college_auth=zz&any_college=1".to_owned(),
    ];
    for parameters in forged {
        let mut one = Client::start(stroll.gateway, &parameters).await;
        let mut two = Client::start(stroll.gateway, "").await;
        assert_eq!(names(&one.connected().await), ["connected", "identDigests"], "{parameters}");
        two.connected().await;
        one.leave().await;
    }
    // In spy mode a good one counts for nothing either.
    let mut spy = Client::start(stroll.gateway, &format!("{good}&ask=Is%20tea%20a%20soup%3F")).await;
    let mut discussers = Vec::new();
    for _ in 0..2 {
        discussers.push(Client::start(stroll.gateway, &format!("{good}&wantsspy=1")).await);
    }
    assert_eq!(names(&spy.connected().await), ["connected", "identDigests"]);
}

#[tokio::test]
async fn addresses_that_are_no_colleges_get_no_mail() {
    let (stroll, mailbox) = start("").await;
    for address in [
        "",
        "ann",
        "ann@",
        "@example.edu",
        "ann@example.com",
        "ann@example.education",
        "ann@edu",
        "ann@edu.example",
        "ann@example.edu.com.x",
        "ann@example.edu\r\nBcc: bob@example.com",
        "ann@example.edu,bob@example.com",
    ] {
        let answer = send_email(&stroll, address).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(JSON)));
        let value: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert!(value == json!(false) || value["success"] == false, "{address:?}: {value}");
    }
    for (address, _) in [("a@x.edu", 1), ("b@x.edu.au", 2), ("c@x.ac.uk", 3)] {
        let answer = send_email(&stroll, address).await;
        assert!(answer.body.contains("true"), "{address}: {answer:?}");
        mailbox.mail_to(address).await;
    }
    assert_eq!(mailbox.mails().len(), 3, "{:?}", mailbox.mails());
}

#[tokio::test]
async fn an_operator_may_name_the_colleges() {
    let (stroll, mailbox) = start("example.edu,uni.example").await;
    pair(&stroll, &mailbox, "ann@uni.example").await;
    pair(&stroll, &mailbox, "bob@example.edu").await;
    let answer = send_email(&stroll, "eve@other.edu").await;
    assert!(!answer.body.contains("true"), "{answer:?}");
    assert_eq!(mailbox.mails().len(), 2);
}

#[tokio::test]
async fn without_a_mail_service_there_is_no_college_mode() {
    let stroll = roomy(&[]).await;
    let answer = send_email(&stroll, "ann@example.edu").await;
    let value: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(value, json!({"success": false, "msg": NOT_HERE}));
}
