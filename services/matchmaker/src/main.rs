//! The matchmaker's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run("matchmaker", stroll_matchmaker::run)
}
