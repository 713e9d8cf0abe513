//! Lines that wait to be written, bounded in bytes.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many bytes of lines wait; the lines after them are lost.
const QUEUE_BYTES: usize = 1024 * 1024;

/// The wait before a write to a descriptor that does not block and takes nothing now.
const WOULD_BLOCK_DELAY: Duration = Duration::from_millis(20);

/// The queue. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct LogQueue(Arc<QueueShared>);

#[derive(Debug, Default)]
struct QueueShared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Lines,
    /// Lines that were not written and not yet told of.
    lost: u64,
    is_writing: bool,
}

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
}

impl LogQueue {
    /// Queues one line, or counts it as lost when the queue is full.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.bytes.len() + line.len() > QUEUE_BYTES {
            waiting.lost += 1;
            return;
        }
        waiting.lines.bytes.extend_from_slice(line);
        waiting.lines.count += 1;
        drop(waiting);
        self.0.changed.notify_all();
    }

    /// Waits until every line is written, but no longer than `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let is_busy = |waiting: &mut Waiting| waiting.is_writing || waiting.lines.count > 0;
        drop(self.0.changed.wait_timeout_while(self.lock(), timeout, is_busy));
    }

    /// Writes lines to `out` as they come, for ever. A failed write costs its lines; the next one
    /// that works is followed by `notice` of how many were lost.
    pub(super) fn write_to(self, mut out: impl Write, notice: impl Fn(u64) -> Vec<u8>) {
        loop {
            self.write_next(&mut out, &notice);
        }
    }

    fn write_next(&self, out: &mut impl Write, notice: &impl Fn(u64) -> Vec<u8>) {
        let lines = self.take();
        if write_all(out, &lines.bytes).is_err() {
            self.lock().lost += lines.count;
        } else {
            let lost = std::mem::take(&mut self.lock().lost);
            if lost > 0 && write_all(out, &notice(lost)).is_err() {
                self.lock().lost += lost;
            }
        }
        self.lock().is_writing = false;
        self.0.changed.notify_all();
    }

    /// Waits for lines and takes them all.
    fn take(&self) -> Lines {
        let is_idle = |waiting: &mut Waiting| waiting.lines.count == 0;
        let waited = self.0.changed.wait_while(self.lock(), is_idle);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.is_writing = true;
        std::mem::take(&mut waiting.lines)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes all of `bytes`; waits where standard error does not block and is full.
fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(WOULD_BLOCK_DELAY);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// What tracing writes one event to, as a whole line. It never fails.
pub(super) struct LineWriter<'a>(&'a LogQueue);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails while it is told to.
    #[derive(Default)]
    struct Out {
        written: Vec<u8>,
        is_broken: bool,
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.is_broken {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn notice(lost: u64) -> Vec<u8> {
        format!("lost {lost}\n").into_bytes()
    }

    #[test]
    fn lines_that_could_not_be_written_are_told_once_writing_works_again() {
        let (queue, mut out) = (LogQueue::default(), Out { is_broken: true, ..Out::default() });
        queue.push(b"one\n");
        queue.push(b"two\n");
        queue.write_next(&mut out, &notice);
        out.is_broken = false;
        for line in ["three\n", "four\n"] {
            queue.push(line.as_bytes());
            queue.write_next(&mut out, &notice);
        }
        assert_eq!(String::from_utf8(out.written).unwrap(), "three\nlost 2\nfour\n");
    }

    #[test]
    fn a_full_queue_loses_the_newest_lines_and_counts_them() {
        let (queue, mut out) = (LogQueue::default(), Out::default());
        let line = vec![b'x'; QUEUE_BYTES / 2];
        (0..5).for_each(|_| queue.push(&line));
        queue.write_next(&mut out, &notice);
        assert_eq!(out.written.len(), QUEUE_BYTES + "lost 3\n".len());
        assert!(out.written.ends_with(b"lost 3\n"));
    }

    #[test]
    fn a_flush_waits_for_the_writer_and_gives_up_on_one_that_hangs() {
        let queue = LogQueue::default();
        queue.push(b"line\n");
        queue.flush(Duration::from_millis(1));
        let writing = queue.clone();
        let writer = std::thread::spawn(move || {
            let mut out = Out::default();
            writing.write_next(&mut out, &notice);
            out.written
        });
        queue.flush(Duration::from_secs(60));
        assert_eq!(writer.join().unwrap(), b"line\n");
    }
}
