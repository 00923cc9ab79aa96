//! All of Stroll in one process.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run("stroll", stroll::run)
}
