//! What is measured of every process.

use opentelemetry::{KeyValue, global};
use tokio::runtime::Handle;

/// Starts to observe the process called `name`, whose runtime is the current one.
pub(super) fn observe(name: &str) {
    let meter = global::meter("stroll-chassis");
    let build =
        [KeyValue::new("program", name.to_owned()), KeyValue::new("version", env!("CARGO_PKG_VERSION"))];
    meter
        .u64_observable_gauge("stroll.build.info")
        .with_description("Which build this is, in attributes; always 1")
        .with_callback(move |observer| observer.observe(1, &build))
        .build();
    let runtime = Handle::current().metrics();
    meter
        .u64_observable_gauge("stroll.runtime.tasks")
        .with_unit("{task}")
        .with_description("Tasks that are alive in the runtime")
        .with_callback(move |observer| observer.observe(runtime.num_alive_tasks() as u64, &[]))
        .build();
    let runtime = Handle::current().metrics();
    meter
        .u64_observable_gauge("stroll.runtime.queue")
        .with_unit("{task}")
        .with_description("Tasks that wait in the runtime's global queue for a worker")
        .with_callback(move |observer| observer.observe(runtime.global_queue_depth() as u64, &[]))
        .build();
    let runtime = Handle::current().metrics();
    meter
        .f64_observable_counter("stroll.runtime.busy")
        .with_unit("s")
        .with_description("Time that the runtime's workers were busy, of all together")
        .with_callback(move |observer| {
            let workers = 0..runtime.num_workers();
            let busy: f64 =
                workers.map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum();
            observer.observe(busy, &[]);
        })
        .build();
}
