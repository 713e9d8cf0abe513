//! Compiles `proto/` without protoc and keeps the descriptors for reflection.

use std::path::PathBuf;
use std::{env, fs};

use prost::Message;
use tonic_build::manual;

const FILES: [&str; 2] =
    ["ottoscaler/v1/log_handler.proto", "otto/handler/v1/worker_log_source.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("otto_handler_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    manual::Builder::new().build_client(false).compile(&log_services());
    // A new file below `web/` is embedded only when the crate is compiled again.
    println!("cargo:rerun-if-changed=web");
    Ok(())
}

/// The log services without the methods that push entries: the server reads those itself.
fn log_services() -> [manual::Service; 2] {
    let notify = method("NotifyWorkerStatus", "notify_worker_status")
        .codec_path("crate::grpc::arrival::StatusCodec")
        .input_type("crate::proto::ottoscaler::WorkerStatusNotification")
        .output_type("crate::proto::ottoscaler::WorkerStatusAck");
    let register = method("RegisterWorker", "register_worker")
        .codec_path("tonic_prost::ProstCodec")
        .input_type("crate::proto::ottoscaler::WorkerRegistration")
        .output_type("crate::proto::ottoscaler::RegistrationResponse");
    [service("OttoHandlerLogService", notify), service("LogStreamingService", register)]
}

fn method(route: &str, name: &str) -> manual::MethodBuilder {
    manual::Method::builder().name(name).route_name(route)
}

fn service(name: &str, method: manual::MethodBuilder) -> manual::Service {
    let service = manual::Service::builder().name(name).package("ottoscaler.v1");
    service.method(method.build()).build()
}
