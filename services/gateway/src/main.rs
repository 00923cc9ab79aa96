//! The gateway's process.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run("gateway", stroll_gateway::run)
}
