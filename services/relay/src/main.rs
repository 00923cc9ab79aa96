//! The relay's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run("relay", stroll_relay::run)
}
