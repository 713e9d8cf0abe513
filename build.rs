//! Compiles `proto/` without protoc, and keeps the descriptors for reflection.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

const FILES: [&str; 1] = ["ottoscaler/v1/log_handler.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("otto_handler_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
