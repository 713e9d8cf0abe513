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
    manual::Builder::new().build_client(false).compile(&log_services());
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

/// The log services, but for the methods that push entries: the server reads those itself.
fn log_services() -> [manual::Service; 2] {
    let notify = method("NotifyWorkerStatus", "notify_worker_status")
        .input_type("crate::proto::ottoscaler::WorkerStatusNotification")
        .output_type("crate::proto::ottoscaler::WorkerStatusAck");
    let register = method("RegisterWorker", "register_worker")
        .input_type("crate::proto::ottoscaler::WorkerRegistration")
        .output_type("crate::proto::ottoscaler::RegistrationResponse");
    [service("OttoHandlerLogService", notify), service("LogStreamingService", register)]
}

fn method(route: &str, name: &str) -> manual::MethodBuilder {
    let method = manual::Method::builder().name(name).route_name(route);
    method.codec_path("tonic_prost::ProstCodec")
}

fn service(name: &str, method: manual::MethodBuilder) -> manual::Service {
    let service = manual::Service::builder().name(name).package("ottoscaler.v1");
    service.method(method.build()).build()
}
