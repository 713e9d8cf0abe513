//! One single-threaded runtime per core, each serving its share of both ports' connections.
//!
//! At modest rates most of what a line costs is waking threads, and the tasks of a runtime with one
//! thread need not wake any: it took a third of the CPU that the multi-threaded runtime took.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use super::wakeup_coalescing::WakeupCoalescing;
use crate::grpc;

/// The running threads.
pub(super) struct RuntimeThreads {
    threads: Vec<RuntimeThread>,
    stop: CancellationToken,
}

struct RuntimeThread {
    handle: Handle,
    thread: thread::JoinHandle<()>,
}

impl RuntimeThreads {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system refuses a thread or an event queue.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let start = |number| RuntimeThread::start(number, stop.clone());
        Ok(Self { threads: (0..count).map(start).collect::<io::Result<_>>()?, stop })
    }

    /// Where tasks can be spawned, thread by thread.
    pub(super) fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.threads.iter().map(|thread| &thread.handle)
    }

    /// Ends the threads with whatever still runs on them.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::task::spawn_blocking(move || {
            self.threads.into_iter().try_for_each(|thread| thread.thread.join())
        });
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::error!("a runtime thread panicked");
        }
    }
}

impl RuntimeThread {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let wakeup_coalescing = Mutex::new(WakeupCoalescing::new());
        let before_wait = move || pause(&wakeup_coalescing);
        let runtime =
            Builder::new_current_thread().enable_all().on_thread_park(before_wait).build()?;
        let handle = runtime.handle().clone();
        let name = format!("runtime-{number}");
        let run = move || {
            runtime.block_on(stop.cancelled());
            // A read of a file that hangs must not hold the shutdown up.
            runtime.shutdown_background();
        };
        Ok(Self { handle, thread: thread::Builder::new().name(name).spawn(run)? })
    }
}

/// Called by a thread before it waits for input.
fn pause(wakeup_coalescing: &Mutex<WakeupCoalescing>) {
    let mut wakeup_coalescing = wakeup_coalescing.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pause) = wakeup_coalescing.pause(Instant::now(), grpc::messages_of_this_thread()) {
        thread::sleep(pause);
    }
}
