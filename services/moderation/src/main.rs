//! Moderation's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run("moderation", stroll_moderation::run)
}
