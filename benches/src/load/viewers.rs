//! Viewers of an SSE stream, as many as asked, on one thread: events are counted, not parsed.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use memchr::memmem::Finder;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::entry::{SENT_AT_PREFIX, read_sent_at};

const READ_BYTES: usize = 256 * 1024;

/// Begins the payload of every log event of every server measured here, and no other.
const EVENT_PREFIX: &[u8] = b"\ndata: {\"offset\"";

struct Viewer {
    socket: TcpStream,
    events: u64,
    /// The end of the last read, one byte shorter than a prefix: a prefix may be split between two reads.
    tail: [u8; EVENT_PREFIX.len() - 1],
    is_open: bool,
}

/// Viewers of one path.
pub struct Viewers {
    poll: Poll,
    ready: Events,
    viewers: Vec<Viewer>,
    buffer: Vec<u8>,
    event_prefix: Finder<'static>,
    sent_at: Finder<'static>,
    began: Instant,
    pub bytes: u64,
    /// Set to collect the time from publishing to delivery, in milliseconds.
    pub latencies: Option<Vec<f64>>,
}

impl Viewers {
    /// Connects `count` viewers and sends their requests.
    ///
    /// # Errors
    /// When a connection is refused.
    pub fn connect(addr: &str, path: &str, count: usize, began: Instant) -> Result<Self> {
        let poll = Poll::new()?;
        let mut viewers = Vec::with_capacity(count);
        for index in 0..count {
            let mut socket = std::net::TcpStream::connect(addr)?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n");
            socket.write_all(request.as_bytes())?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
            viewers.push(Viewer {
                socket,
                events: 0,
                tail: [0; EVENT_PREFIX.len() - 1],
                is_open: false,
            });
        }
        Ok(Self {
            poll,
            ready: Events::with_capacity(1024),
            viewers,
            buffer: vec![0; READ_BYTES],
            event_prefix: Finder::new(EVENT_PREFIX),
            sent_at: Finder::new(SENT_AT_PREFIX),
            began,
            bytes: 0,
            latencies: None,
        })
    }

    /// Waits until every viewer has its response head.
    ///
    /// # Errors
    /// When one is refused or waits too long.
    pub fn opened(mut self) -> Result<Self> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.viewers.iter().all(|viewer| viewer.is_open) {
            self.turn(Duration::from_millis(10))?;
            ensure!(Instant::now() < deadline, "a viewer got no response");
        }
        Ok(self)
    }

    /// Reads what there is, waiting for at most `wait`.
    ///
    /// # Errors
    /// When a viewer is refused or its stream ends.
    pub fn turn(&mut self, wait: Duration) -> Result<()> {
        self.poll.poll(&mut self.ready, Some(wait))?;
        let ready: Vec<usize> = self.ready.iter().map(|event| event.token().0).collect();
        ready.into_iter().try_for_each(|index| self.receive(index))
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let viewer = &mut self.viewers[index];
        let kept = viewer.tail.len();
        loop {
            self.buffer[..kept].copy_from_slice(&viewer.tail);
            let bytes = match viewer.socket.read(&mut self.buffer[kept..]) {
                Ok(0) => anyhow::bail!("viewer {index} was closed after {} events", viewer.events),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let read = &self.buffer[..kept + bytes];
            if !viewer.is_open {
                let head = &read[kept..];
                let is_ok = head.starts_with(b"HTTP/1.1 200");
                ensure!(is_ok, "viewer {index}: {}", String::from_utf8_lossy(head));
                viewer.is_open = true;
            }
            viewer.events += self.event_prefix.find_iter(read).count() as u64;
            self.bytes += bytes as u64;
            if let Some(latencies) = &mut self.latencies {
                let now = self.began.elapsed().as_nanos() as u64;
                let fresh = &read[kept..];
                let sent_times = self
                    .sent_at
                    .find_iter(fresh)
                    .filter_map(|at| read_sent_at(fresh.get(at + SENT_AT_PREFIX.len()..)?));
                latencies.extend(sent_times.map(|sent| now.saturating_sub(sent) as f64 / 1e6));
            }
            let end = read.len();
            viewer.tail.copy_from_slice(&self.buffer[end - kept..end]);
            // A short read has emptied the socket; epoll reports when there is more.
            if bytes < READ_BYTES - kept {
                return Ok(());
            }
        }
    }

    /// Events that the slowest has.
    pub fn slowest(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.events).min().unwrap_or(u64::MAX)
    }

    /// Events that all have together.
    pub fn delivered(&self) -> u64 {
        self.viewers.iter().map(|viewer| viewer.events).sum()
    }

    pub fn count(&self) -> usize {
        self.viewers.len()
    }
}
