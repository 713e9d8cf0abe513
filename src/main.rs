//! The `otto-handler` program; all of it is in the library.

use std::process::ExitCode;

use otto_handler::cli::Cli;

/// Costs an entry a tenth less than the system's, and an idle viewer a kilobyte: see
/// `docs/adr/0009-jemalloc.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    runtime.block_on(cli.run()).unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("otto-handler: {error:#}");
    ExitCode::FAILURE
}
