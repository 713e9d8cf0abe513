//! Compiles `proto/` without protoc, keeps the descriptors for reflection, and embeds `web/`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use prost::Message;
use tonic_build::manual;

const FILES: [&str; 2] =
    ["ottoscaler/v1/log_handler.proto", "otto/handler/v1/worker_log_source.proto"];

/// What a browser loads; the rest of `web/` is for those who work on it.
const WEB_EXTENSIONS: [&str; 6] = ["html", "css", "js", "svg", "png", "woff2"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("otto_handler_descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    manual::Builder::new().build_client(false).compile(&[log_service()]);
    println!("cargo:rerun-if-changed=web");
    fs::write(out.join("web_files.rs"), web_files()?)?;
    Ok(())
}

/// The Rust source of a list of paths below `web/` and the files' bytes.
fn web_files() -> Result<String, Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("web");
    let mut files = Vec::new();
    if root.is_dir() {
        collect(&root, &mut files)?;
    }
    files.sort();
    let mut source = String::from("const FILES: &[(&str, &[u8])] = &[\n");
    for file in files {
        let name = file.strip_prefix(&root)?.to_str().ok_or("a path under web/ is no UTF-8")?;
        writeln!(source, "    ({name:?}, include_bytes!({file:?})),")?;
    }
    source.push_str("];\n");
    Ok(source)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            collect(&path, files)?;
        } else if extension.is_some_and(|extension| WEB_EXTENSIONS.contains(&extension)) {
            files.push(path);
        }
    }
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
