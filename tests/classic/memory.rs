//! What an idle session costs its gateway.

use futures_util::future::join_all;
use stroll_tests::{
    classic::{Client, ask, hold_poll, post, roomy_cluster, start_silently},
    cluster::Cluster,
};

/// So many sessions first, for what is needed once, and so many that are measured.
const SESSIONS: [u32; 2] = [1_000, 2_000];

/// Most bytes of an idle session with its poll parked.
const MOST: u64 = 8 * 1024;

#[tokio::test]
async fn an_idle_session_with_its_poll_parked_costs_at_most_8_kib() {
    let cluster = Cluster::start_with(roomy_cluster(&[])).await;
    let [gateway, _] = cluster.addresses().await;
    let mut idle = Vec::new();
    let mut memory = Vec::new();
    for count in SESSIONS {
        for _ in 0..count / 100 {
            let first = idle.len();
            let some = (first..first + 100).map(|number| async move {
                // Nobody else has this topic.
                let id = start_silently(gateway, &format!("topics=nobody-{number}")).await;
                let mut client = Client::go_on(gateway, &id).await;
                client.is_waiting().await;
                drop(client);
                (hold_poll(gateway, &id).await, id)
            });
            idle.extend(join_all(some).await);
        }
        memory.push(cluster.gateways[0].memory());
    }
    let each = memory[1].saturating_sub(memory[0]) / u64::from(SESSIONS[1]);
    println!("{each} bytes each");
    assert!(each > 0 && each <= MOST, "{each} bytes each: {memory:?}");
    // They are all still there.
    for (mut poll, id) in idle.into_iter().step_by(500) {
        let leave = ask(gateway, post("/disconnect", &format!("id={id}"))).await;
        assert_eq!((leave.body.as_str(), poll.answer().await.body.as_str()), ("win", "[]"));
    }
}
