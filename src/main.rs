//! The `otto-handler` program; everything else is in the library.

use std::process::ExitCode;

use otto_handler::causes::with_causes;
use otto_handler::cli::Cli;
use otto_handler::logging;

/// With it an entry costs 5 to 10 % less CPU than with the system's, and an idle viewer a kilobyte
/// less memory: see `docs/adr/0009-jemalloc.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let code = runtime.block_on(cli.run()).unwrap_or_else(|error| fail(&error));
    // A read of a file that hangs must not hold the end up.
    runtime.shutdown_background();
    logging::flush();
    code
}

fn fail(error: &anyhow::Error) -> ExitCode {
    logging::print_error(&format!("otto-handler: {}", with_causes(error.as_ref())));
    ExitCode::FAILURE
}
