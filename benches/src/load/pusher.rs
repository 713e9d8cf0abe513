//! Pushes prebuilt entries over gRPC, on one thread.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mio::{Events, Interest, Poll, Token};

use crate::load::connection::Connection;
use crate::load::feed::Feed;
use crate::shape::Shape;

/// A load of entries on one server.
pub struct Pusher {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    shape: Shape,
    began: Instant,
    /// Entries that may still be sent.
    allowed: u64,
    next: usize,
    sent: u64,
    acked: u64,
    /// Set to collect the time from an entry's sending to its ACK, in microseconds.
    pub latencies: Option<Vec<f64>>,
}

impl Pusher {
    /// Connects and opens all streams.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn connect(addr: &str, shape: Shape, began: Instant) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for index in 0..shape.connections {
            let mut connection = Connection::open(addr, &shape, index)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut connection.socket, Token(index), interest)?;
            connections.push(connection);
        }
        let events = Events::with_capacity(64);
        Ok(Self {
            poll,
            events,
            connections,
            shape,
            began,
            allowed: 0,
            next: 0,
            sent: 0,
            acked: 0,
            latencies: None,
        })
    }

    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Pushes without a limit until `end`.
    ///
    /// # Errors
    /// When a connection or stream ends, or an entry is not acknowledged.
    pub fn saturate(&mut self, end: Instant) -> Result<()> {
        self.allowed = u64::MAX / 2;
        while Instant::now() < end {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Pushes `per_second` entries a second, evenly, until `end`.
    ///
    /// # Errors
    /// As [`Pusher::saturate`].
    pub fn push_evenly(&mut self, per_second: f64, end: Instant) -> Result<()> {
        let start = Instant::now();
        let mut due = 0;
        while Instant::now() < end {
            let wanted = (start.elapsed().as_secs_f64() * per_second) as u64;
            self.allowed += wanted - due;
            due = wanted;
            self.turn(Duration::ZERO)?;
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    /// Pushes exactly `count` entries and waits until all are acknowledged.
    ///
    /// # Errors
    /// As [`Pusher::saturate`].
    pub fn push(&mut self, count: u64) -> Result<()> {
        self.allowed = count;
        let goal = self.sent + count;
        while self.acked < goal {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Stops pushing and waits until all that was sent is acknowledged.
    ///
    /// # Errors
    /// As [`Pusher::saturate`]; also when ACKs do not arrive in time.
    pub fn wait_for_acks(&mut self) -> Result<()> {
        self.allowed = 0;
        self.latencies = None;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.acked < self.sent {
            self.turn(Duration::from_millis(10))?;
            ensure!(
                Instant::now() < deadline,
                "{} of {} entries acknowledged",
                self.acked,
                self.sent
            );
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        self.acked += connection.receive(self.latencies.as_mut())?;
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        // Each time another connection begins, so that a small allowance is spread over all of them.
        self.next = (self.next + 1) % self.connections.len();
        for turn in 0..self.connections.len() {
            let index = (self.next + turn) % self.connections.len();
            let connection = &mut self.connections[index];
            loop {
                let sent_at = self.shape.has_sent_at.then(|| self.began.elapsed().as_nanos() as u64);
                let timed = self.latencies.is_some();
                let frames = self.allowed / self.shape.entries_per_frame as u64;
                let filled =
                    connection.fill(frames, sent_at, timed) * self.shape.entries_per_frame as u64;
                self.allowed -= filled;
                self.sent += filled;
                if !connection.flush()? || filled == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Feed for Pusher {
    fn allow(&mut self, events: u64) {
        self.allowed += events;
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn turn(&mut self, wait: Duration) -> Result<()> {
        self.send()?;
        self.poll.poll(&mut self.events, Some(wait))?;
        let readable: Vec<usize> = self
            .events
            .iter()
            .filter(|event| event.is_readable())
            .map(|event| event.token().0)
            .collect();
        readable.into_iter().try_for_each(|index| self.receive(index))
    }
}
