//! Generates the messages, clients and servers. protox compiles the files, so no protoc is needed.

use std::{env, fs, path::PathBuf};

use anyhow::Context as _;
use prost::Message as _;

const FILES: [&str; 5] = [
    "stroll/v1/subject.proto",
    "stroll/v1/matchmaker.proto",
    "stroll/v1/relay.proto",
    "stroll/v1/gateway.proto",
    "stroll/v1/moderation.proto",
];

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=stroll");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    fs::write(out.join("stroll.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().build_transport(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
