//! Who may open a socket, and how many.

use std::time::Duration;

use serde_json::{Value, json};
use stroll_tests::{cluster::Single, eventually, http, stranger::Stranger};
use tokio_tungstenite::tungstenite::Error;

#[tokio::test]
async fn one_address_gets_so_many_sockets_and_each_of_them_one_ticket() {
    let stroll = Single::start(&["--finds-per-session", "1000", "--messages-per-session", "1000"]).await;
    let mut crowd = Vec::new();
    for _ in 0..32 {
        let mut stranger = Stranger::arrive(stroll.gateway).await;
        // Interests of their own, and no other: they never meet each other.
        stranger.send(json!({"type": "cancel"})).await;
        stranger.expect("idle").await;
        crowd.push(stranger);
    }
    let refused = Stranger::connect(stroll.gateway, &[]).await.expect_err("one too many");
    let Error::Http(response) = refused else { panic!("{refused}") };
    assert_eq!(response.status(), 429);
    assert!(response.headers().contains_key("retry-after"));
    for (number, stranger) in crowd.iter_mut().enumerate() {
        for _ in 0..313 {
            let interest = format!("interest of {number}");
            stranger
                .send(
                    json!({"type": "find", "mode": "text", "interests": [interest], "only_interests": true}),
                )
                .await;
        }
    }
    for stranger in &mut crowd {
        stranger.send(json!({"type": "dance"})).await;
        while stranger.next().await["code"] != "unknown_type" {}
    }
    let waiting = || async {
        let answer = http::get(stroll.gateway, "/v1/stats", &[]).await.ok()?;
        let stats: Value = serde_json::from_str(&answer.body).ok()?;
        (stats["waiting"] == 32).then_some(())
    };
    eventually("32 tickets", waiting).await;
    crowd.pop();
    let again = || async { Stranger::connect(stroll.gateway, &[]).await.ok() };
    eventually("room for another socket", again).await;
}

#[tokio::test]
async fn handshakes_of_one_address_are_limited_a_minute() {
    let stroll = Single::start(&["--handshakes-per-address", "3"]).await;
    for _ in 0..3 {
        Stranger::arrive(stroll.gateway).await;
    }
    let refused = Stranger::connect(stroll.gateway, &[]).await.expect_err("one too many");
    let Error::Http(response) = refused else { panic!("{refused}") };
    assert_eq!(response.status(), 429);
}

#[tokio::test]
async fn only_the_own_origin_may_open_a_socket_unless_others_are_named() {
    let stroll = Single::start(&[]).await;
    let own = format!("http://{}", stroll.gateway);
    Stranger::connect(stroll.gateway, &[("origin", &own)]).await.expect("the own origin");
    let refused = Stranger::connect(stroll.gateway, &[("origin", "https://evil.example")]).await;
    assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 403));
    let stroll = Single::start(&["--origins", "https://chat.example,https://app.example"]).await;
    Stranger::connect(stroll.gateway, &[("origin", "https://app.example")]).await.expect("a named origin");
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_counts_for_itself() {
    let stroll = Single::start(&["--connections-per-address", "1", "--trusted-proxies", "127.0.0.0/8"]).await;
    let one =
        Stranger::connect(stroll.gateway, &[("x-forwarded-for", "203.0.113.1")]).await.expect("the first");
    let _two =
        Stranger::connect(stroll.gateway, &[("x-forwarded-for", "203.0.113.2")]).await.expect("another");
    let _v6 =
        Stranger::connect(stroll.gateway, &[("x-forwarded-for", "2001:db8::1")]).await.expect("a third");
    for same in ["203.0.113.1", "2001:db8::2"] {
        let refused = Stranger::connect(stroll.gateway, &[("x-forwarded-for", same)]).await;
        assert!(matches!(refused, Err(Error::Http(response)) if response.status() == 429));
    }
    drop(one);
}

/// A socket without a word, as soon as there is room for one.
async fn connected(stroll: &Single) -> Stranger {
    let connect = || async { Stranger::connect(stroll.gateway, &[]).await.ok() };
    eventually("room for a socket", connect).await
}

#[tokio::test]
async fn while_too_many_come_at_once_those_who_come_back_go_first() {
    let stroll = Single::start(&[
        "--handshakes-per-second",
        "20",
        "--handshakes-per-address",
        "1000000",
        "--connections-per-address",
        "1000",
    ])
    .await;
    let known = Stranger::arrive(stroll.gateway).await;
    let [mut new, mut back] = [connected(&stroll).await, connected(&stroll).await];
    // Nobody else gets a token for as long as this goes on, so there are never many left.
    let rush = async {
        loop {
            if let Err(Error::Http(refused)) = Stranger::connect(stroll.gateway, &[]).await {
                assert_eq!(refused.status(), 503);
                assert!(refused.headers().contains_key("retry-after"));
            }
        }
    };
    let meanwhile = async {
        eventually("the bucket to be empty", || async {
            matches!(Stranger::connect(stroll.gateway, &[]).await, Err(Error::Http(_))).then_some(())
        })
        .await;
        new.send(json!({"type": "hello", "adult": true, "terms": true})).await;
        let after = new.refused("busy").await["retry_after_ms"].as_u64().expect("a time");
        assert!((5_000..30_000).contains(&after), "{after}");
        assert_eq!(new.closed().await, Some(1013));
        back.send(json!({"type": "hello", "session": known.session})).await;
        back.expect("welcome").await;
    };
    tokio::select! {
        () = rush => {}
        () = meanwhile => {}
    }
    // To ask would be to take: a second without anybody fills the bucket.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Stranger::arrive(stroll.gateway).await;
}
