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
use crate::grpc::MessageCounter;

/// The running threads.
pub(super) struct RuntimeThreads {
    threads: Vec<RuntimeThread>,
    stop: CancellationToken,
}

/// One thread and its runtime.
pub(super) struct RuntimeThread {
    handle: Handle,
    messages: MessageCounter,
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

    /// The threads, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RuntimeThread> {
        self.threads.iter()
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
        let name = format!("runtime-{number}");
        let run = move || {
            runtime.block_on(stop.cancelled());
            // A read of a file that hangs must not hold the shutdown up.
            runtime.shutdown_background();
        };
        Ok(Self { handle, messages, thread: thread::Builder::new().name(name).spawn(run)? })
    }
}

/// Called by a thread before it waits for input, when it has read `messages` in all.
fn pause(wakeup_coalescing: &Mutex<WakeupCoalescing>, messages: u64) {
    let mut wakeup_coalescing = wakeup_coalescing.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pause) = wakeup_coalescing.pause(Instant::now(), messages) {
        thread::sleep(pause);
    }
}
