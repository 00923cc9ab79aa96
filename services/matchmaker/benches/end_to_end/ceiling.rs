//! How many pairings a second the commit script alone commits.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use chassis::Context;
use futures_util::future::try_join_all;
use prost::Message as _;
use stroll_matchmaker::pool::{Delivery, Destination, EntryId, Limits, Outcome, Pairing, Pool, Redis, Shard};
use tokio::time::Instant;

use crate::{report, tickets::Tickets};

/// Pairings in a batch, batches that are under way together, so that Redis never waits for one, and batches of a run.
const BATCH: usize = 256;
const TOGETHER: usize = 4;
const BATCHES: usize = 400;
/// About as long as an assignment is.
const NEWS: Bytes = Bytes::from_static(&[b'x'; 250]);

/// Of each run.
pub async fn measure(context: &Context, redis: &str, runs: usize) -> anyhow::Result<Vec<f64>> {
    let url = redis.parse()?;
    let pool = Redis::new(url, "ceiling:".to_owned(), Limits::default(), context);
    let mut rates = Vec::new();
    for run in 0..runs {
        let section = format!("run-{run}");
        let shard = Shard::named(&format!("text.{section}.0")).context("a shard")?;
        rates.push(run_on(&pool, &shard, context).await?);
    }
    Ok(rates)
}

async fn run_on(pool: &Redis, shard: &Shard, context: &Context) -> anyhow::Result<f64> {
    let epoch = pool.acquire(shard, "bench", Duration::from_secs(60)).await?.context("nobody owns it")?;
    let new = Tickets::new(context.random.clone());
    let ticket = || new.ticket("gateway-0".to_owned(), new.three_of_twenty(), context.clock.unix_ms());
    let mut batches = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let contents: Vec<_> = (0..2 * BATCH).map(|_| ticket().encode_to_vec().into()).collect();
        let enqueued = pool.enqueue(shard, &contents).await?.context("it is open")?;
        batches.push(enqueued.entries.chunks(2).map(pairing).collect::<Vec<_>>());
    }
    let began = Instant::now();
    let lanes = batches.chunks(BATCHES / TOGETHER).map(async |batches| {
        for batch in batches {
            let outcomes = pool.commit(shard, epoch, batch, &[]).await?;
            anyhow::ensure!(outcomes.iter().all(|outcome| *outcome == Outcome::Committed), "all wait");
        }
        Ok(())
    });
    try_join_all(lanes).await?;
    Ok(report::per_second(BATCHES * BATCH, began.elapsed()))
}

fn pairing(entries: &[EntryId]) -> Pairing {
    let to = |number| Destination::Inbox(format!("gateway-{number}"));
    let deliveries = [0, 1].map(|number| Delivery { to: to(number), content: NEWS });
    Pairing { tickets: entries.to_vec(), deliveries: deliveries.into() }
}
