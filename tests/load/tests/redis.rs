//! The counters of a real Redis.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use stroll_load::redis_count::{Commands, Counter, Spent};
use stroll_tests::redis::Redis;

fn commands<const N: usize>(calls: [(&str, u64); N]) -> Commands {
    calls.into_iter().map(|(name, calls)| (name.to_owned(), calls)).collect()
}

/// A client that sends a script, which calls two commands, and two commands itself.
fn use_redis(client: &redis::Client) {
    let mut connection = client.get_connection().expect("redis");
    let script = "redis.call('SET', KEYS[1], 'x') redis.call('GET', KEYS[1]) return 1";
    for command in [
        redis::cmd("EVAL").arg(script).arg(1).arg("a \"key\"] lua"),
        redis::cmd("GET").arg("b"),
        redis::cmd("INFO").arg("server"),
    ] {
        let _: redis::Value = command.query(&mut connection).expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_send_and_what_scripts_call_is_told_apart_and_our_own_left_out() {
    let redis = Redis::start().await;
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut counter = Counter::connect(&client, true).expect("redis");
    let first = counter.look().expect("counters");
    let second = counter.look().expect("counters");
    let nothing = Spent::between(&first, &second).expect("no restart");
    assert_eq!((nothing.commands, nothing.requests), (Commands::new(), Some(Commands::new())));
    use_redis(&client);
    let third = counter.look().expect("counters");
    let mut spent = Spent::between(&second, &third).expect("no restart");
    // How a client says what it is.
    let is_greeting = |name: &String| name.starts_with("client") || name == "hello";
    spent.commands.retain(|name, _| !is_greeting(name));
    spent.requests.iter_mut().for_each(|requests| requests.retain(|name, _| !is_greeting(name)));
    assert_eq!(spent.commands, commands([("eval", 1), ("set", 1), ("get", 2), ("info", 1)]));
    assert_eq!(spent.requests, Some(commands([("eval", 1), ("get", 1), ("info", 1)])));
    assert!(spent.seconds > 0.0 && third.used_memory > 100_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_following_there_are_commands_and_no_requests() {
    let mut redis = Redis::start().await;
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut counter = Counter::connect(&client, false).expect("redis");
    let before = counter.look().expect("counters");
    use_redis(&client);
    let after = counter.look().expect("counters");
    let spent = Spent::between(&before, &after).expect("no restart");
    assert_eq!((spent.commands.get("get"), spent.requests), (Some(&2), None));
    redis.kill().await;
    assert!(counter.look().is_err());
}
