//! The process's own log, on standard error.
//!
//! Whatever becomes of standard error changes nothing else: lines go into a bounded queue, a thread
//! of its own writes them, and what could not be written is counted and told once writing works
//! again. Panics are logged the same way.

mod line;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use line::line;
use queue::LogQueue;

/// How long the end of the process waits for its last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a panicking thread waits for its line, in case the process is about to be aborted.
const PANIC_FLUSH_TIMEOUT: Duration = Duration::from_millis(100);

/// The queue of this process, once [`start`] was called.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Starts the log, with what `filter` lets through. It is called once.
///
/// # Errors
/// When the system gives no thread or no descriptor.
pub fn start(filter: &str, format: LogFormat) -> io::Result<()> {
    let queue = QUEUE.get_or_init(LogQueue::default);
    write_in_background(queue, format)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false)
        .with_writer(queue.clone());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    std::panic::set_hook(Box::new(move |panic| log_panic(queue, format, panic)));
    Ok(())
}

/// Writes `text` as a line of standard error, where that works: for the last words of a command.
pub fn print_error(text: &str) {
    match QUEUE.get() {
        Some(queue) => queue.push(format!("{text}\n").as_bytes()),
        None => drop(writeln!(io::stderr(), "{text}")),
    }
}

/// Waits until all lines are written, but not for a standard error that takes nothing.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_TIMEOUT);
    }
}

fn write_in_background(queue: &LogQueue, format: LogFormat) -> io::Result<()> {
    // A descriptor of its own: a write that hangs must not hold the lock of `io::Stderr`.
    let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let queue = queue.clone();
    let run = move || queue.write_to(out, |lost| line(format, Level::WARN, &lost_lines(lost)));
    thread::Builder::new().name("log-writer".to_owned()).spawn(run).map(drop)
}

fn lost_lines(lost: u64) -> String {
    format!("{lost} lines of this log could not be written")
}

/// Never panics, since a panic in the hook aborts the process.
fn log_panic(queue: &LogQueue, format: LogFormat, panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    let mut text = format!("thread {name} panicked{place}: {message}");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text.push_str(&format!("\n{backtrace}"));
    }
    queue.push(&line(format, Level::ERROR, &text));
    queue.flush(PANIC_FLUSH_TIMEOUT);
}
