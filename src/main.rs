//! The `otto-handler` program; all of it is in the library.

use std::process::ExitCode;

use otto_handler::cli::Cli;

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
