//! The load generator.

use std::process::ExitCode;

fn main() -> ExitCode {
    stroll_load::main(std::env::args_os())
}
