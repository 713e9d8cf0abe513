//! Compiles `proto/` without protoc, and keeps the descriptors for reflection.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message;
use tonic_build::manual;

const FILES: [&str; 1] = ["ottoscaler/v1/log_handler.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("otto_handler_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    manual::Builder::new().build_client(false).compile(&[log_service()]);
    Ok(())
}

/// The service whose entries the server reads with a codec of its own instead of prost.
fn log_service() -> manual::Service {
    let forward = manual::Method::builder()
        .name("forward_worker_logs")
        .route_name("ForwardWorkerLogs")
        .input_type("crate::ingest::Item")
        .output_type("crate::proto::ottoscaler::LogForwardResponse")
        .codec_path("crate::grpc::EntryCodec")
        .client_streaming()
        .server_streaming()
        .build();
    let notify = manual::Method::builder()
        .name("notify_worker_status")
        .route_name("NotifyWorkerStatus")
        .input_type("crate::proto::ottoscaler::WorkerStatusNotification")
        .output_type("crate::proto::ottoscaler::WorkerStatusAck")
        .codec_path("tonic_prost::ProstCodec")
        .build();
    manual::Service::builder()
        .name("OttoHandlerLogService")
        .package("ottoscaler.v1")
        .method(forward)
        .method(notify)
        .build()
}
