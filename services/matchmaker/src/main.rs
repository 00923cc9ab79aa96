//! The matchmaker's process.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives memory back when a crowd has left, which the C library's allocator does not.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    chassis::run("matchmaker", stroll_matchmaker::run)
}
