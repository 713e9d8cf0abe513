//! What publishes: the real server's pusher, and plain feeds for the baselines.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::entry::{self, write_sent_at};

/// A source of events that sends no more than it is allowed.
pub trait Feed {
    /// Allows `events` more to be sent.
    fn allow(&mut self, events: u64);

    /// Events sent so far.
    fn sent(&self) -> u64;

    /// Sends what is allowed and the socket takes, and reads responses for at most `wait`.
    ///
    /// # Errors
    /// When the server ends it.
    fn turn(&mut self, wait: Duration) -> Result<()>;
}

/// How an event is framed.
#[derive(Debug, Clone, Copy)]
pub enum Framing {
    /// Length in 4 bytes, big endian, then the JSON.
    Length,
    /// A POST request to the path that Nchan publishes.
    Post,
}

/// Events as JSON over one connection.
pub struct JsonFeed {
    socket: std::net::TcpStream,
    events: Vec<(Vec<u8>, usize)>,
    next: usize,
    out: Vec<u8>,
    written: usize,
    allowed: u64,
    sent: u64,
    began: Instant,
}

const OUT_BYTES: usize = 64 * 1024;
const DISTINCT_EVENTS: usize = 64;

impl JsonFeed {
    /// Connects.
    ///
    /// # Errors
    /// When the connection is refused.
    pub fn connect(addr: &str, framing: Framing, began: Instant) -> Result<Self> {
        let socket = std::net::TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let events = (0..DISTINCT_EVENTS).map(|number| framed(number, framing)).collect();
        Ok(Self {
            socket,
            events,
            next: 0,
            out: Vec::new(),
            written: 0,
            allowed: 0,
            sent: 0,
            began,
        })
    }

    fn flush(&mut self) -> Result<bool> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }

    fn discard_responses(&mut self) -> Result<()> {
        let mut responses = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut responses) {
                Ok(0) => anyhow::bail!("the server closed the feed"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// An event's bytes and where its time of sending begins.
fn framed(number: usize, framing: Framing) -> (Vec<u8>, usize) {
    let json = entry::json(&entry::entry(0, 1, number));
    let mut bytes = match framing {
        Framing::Length => (json.len() as u32).to_be_bytes().to_vec(),
        Framing::Post => {
            format!("POST /pub HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n", json.len())
                .into_bytes()
        }
    };
    bytes.extend_from_slice(json.as_bytes());
    let sent_at = entry::sent_at_position(&bytes).expect("every message has one");
    (bytes, sent_at)
}

impl Feed for JsonFeed {
    fn allow(&mut self, events: u64) {
        self.allowed += events;
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn turn(&mut self, _wait: Duration) -> Result<()> {
        while self.flush()? && self.allowed > 0 {
            while self.allowed > 0 && self.out.len() < OUT_BYTES {
                let (bytes, sent_at) = &self.events[self.next];
                self.next = (self.next + 1) % self.events.len();
                let start = self.out.len();
                self.out.extend_from_slice(bytes);
                write_sent_at(&mut self.out[start + sent_at..], self.began.elapsed().as_nanos() as u64);
                self.allowed -= 1;
                self.sent += 1;
            }
        }
        self.discard_responses()
    }
}
