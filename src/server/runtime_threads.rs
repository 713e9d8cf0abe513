//! One single-threaded runtime per core, each serving its share of both ports' connections.
//!
//! At modest rates what a line costs is wake-ups, and a runtime of one thread has none between
//! its own tasks: measured against the multi-threaded runtime it took a third of the CPU.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use super::wakeup_coalescing::WakeupCoalescing;
use crate::grpc::MessageCounter;

/// Running runtime_threads.
pub(super) struct RuntimeThreads {
    runtime_threads: Vec<RuntimeThread>,
    stop: CancellationToken,
}

/// One thread and its runtime.
pub(super) struct RuntimeThread {
    handle: Handle,
    messages: MessageCounter,
    thread: thread::JoinHandle<()>,
}

impl RuntimeThreads {
    /// Starts `count` runtime_threads.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let start = |number| RuntimeThread::start(number, stop.clone());
        Ok(Self { runtime_threads: (0..count).map(start).collect::<io::Result<_>>()?, stop })
    }

    /// Where tasks can be spawned, worker by worker.
    pub(super) fn handles(&self) -> impl Iterator<Item = &Handle> {
        self.runtime_threads.iter().map(|worker| &worker.handle)
    }

    /// The threads, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RuntimeThread> {
        self.runtime_threads.iter()
    }

    /// Ends the runtime_threads with whatever still runs on them.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::task::spawn_blocking(move || {
            self.runtime_threads.into_iter().try_for_each(|worker| worker.thread.join())
        });
        if !matches!(ended.await, Ok(Ok(()))) {
            tracing::error!("a worker thread panicked");
        }
    }
}

impl RuntimeThread {
    /// Where tasks can be spawned.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Counts the messages that are read on this thread, for those who read them.
    pub(super) fn messages(&self) -> &MessageCounter {
        &self.messages
    }

    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let messages = MessageCounter::default();
        let wakeup_coalescing = Mutex::new(WakeupCoalescing::new());
        let counted = messages.clone();
        let before_wait = move || pause(&wakeup_coalescing, counted.get());
        let runtime =
            Builder::new_current_thread().enable_all().on_thread_park(before_wait).build()?;
        let handle = runtime.handle().clone();
        let name = format!("worker-{number}");
        let run = move || {
            runtime.block_on(stop.cancelled());
            // A read of a file that hangs must not hold the shutdown up.
            runtime.shutdown_background();
        };
        Ok(Self { handle, messages, thread: thread::Builder::new().name(name).spawn(run)? })
    }
}

/// Called by a runtime thread before it waits for input, when it has read `messages` in all.
fn pause(wakeup_coalescing: &Mutex<WakeupCoalescing>, messages: u64) {
    let mut wakeup_coalescing = wakeup_coalescing.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pause) = wakeup_coalescing.pause(Instant::now(), messages) {
        thread::sleep(pause);
    }
}
