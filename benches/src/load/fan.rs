//! One publisher and many viewers on one server, all loaded from one thread.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::feed::{Feed, Framing, JsonFeed};
use crate::load::pusher::Pusher;
use crate::load::viewers::Viewers;
use crate::process::Server;
use crate::rounds::{Bracket, Sample};
use crate::shape::Shape;
use crate::stats::percentile;

/// How far publishing leads the slowest viewer when saturated: enough to keep everyone busy,
/// less than any server here buffers, so that every event is delivered to everyone.
pub const LEAD_EVENTS: u64 = 4096;

/// The same for Nchan and Node, which take what is published before they deliver, and get slower
/// the more they hold.
pub const SHORT_LEAD_EVENTS: u64 = 256;

/// How long the slowest viewer may get nothing before the run fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with viewers that get every event from the first on.
pub struct Fan {
    feed: Box<dyn Feed>,
    viewers: Viewers,
    granted: u64,
    lead: u64,
}

/// Where viewers of the real server look at one task.
const TASK_PATH: &str = "/api/v1/log-streaming/stream/build-000000";
const ALL_PATH: &str = "/api/v1/log-streaming/stream";

impl Fan {
    /// The real server: entries of one task are pushed over 8 streams of one connection.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn of_task(server: &Server, viewers: usize) -> Result<Self> {
        let shape =
            Shape { connections: 1, streams_per_connection: 8, tasks: 1, ..Shape::default() };
        Self::of_handler(server, TASK_PATH, viewers, Shape { has_sent_at: true, ..shape }, LEAD_EVENTS)
    }

    /// The real server: entries of many tasks are pushed as in the ingest case, and viewers
    /// watch them all.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn of_all(server: &Server, viewers: usize, shape: Shape) -> Result<Self> {
        Self::of_handler(server, ALL_PATH, viewers, shape, 4 * LEAD_EVENTS)
    }

    fn of_handler(
        server: &Server,
        path: &str,
        viewers: usize,
        shape: Shape,
        lead: u64,
    ) -> Result<Self> {
        let began = Instant::now();
        let viewers = Viewers::connect(server.addr("http"), path, viewers, began)?.opened()?;
        let feed = Box::new(Pusher::connect(server.addr("grpc"), shape, began)?);
        Ok(Self { feed, viewers, granted: 0, lead })
    }

    /// A baseline, which is fed JSON.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn of_baseline(
        server: &Server,
        viewers: usize,
        framing: Framing,
        lead: u64,
    ) -> Result<Self> {
        let began = Instant::now();
        let viewers = Viewers::connect(server.addr("http"), "/stream", viewers, began)?.opened()?;
        let feed = Box::new(JsonFeed::connect(server.addr("feed"), framing, began)?);
        Ok(Self { feed, viewers, granted: 0, lead })
    }

    fn grant(&mut self, goal: u64) {
        if goal > self.granted {
            self.feed.allow(goal - self.granted);
            self.granted = goal;
        }
    }

    /// Publishes as fast as the slowest viewer takes it, until `end`.
    fn saturate(&mut self, end: Instant) -> Result<()> {
        let mut progress = (self.viewers.slowest(), Instant::now());
        while Instant::now() < end {
            let slowest = self.viewers.slowest();
            self.grant(slowest + self.lead);
            self.feed.turn(Duration::ZERO)?;
            self.viewers.turn(Duration::from_millis(1))?;
            if slowest > progress.0 {
                progress = (slowest, Instant::now());
            }
            let stuck = progress.1.elapsed() > PATIENCE;
            ensure!(
                !stuck,
                "a viewer has {slowest} of {} events and gets no more",
                self.feed.sent()
            );
        }
        Ok(())
    }

    /// Publishes `per_second` events a second, evenly, until `end`.
    fn publish_evenly(&mut self, per_second: f64, end: Instant) -> Result<()> {
        let (start, granted) = (Instant::now(), self.granted);
        while Instant::now() < end {
            self.grant(granted + (start.elapsed().as_secs_f64() * per_second) as u64);
            self.feed.turn(Duration::ZERO)?;
            self.viewers.turn(Duration::ZERO)?;
            std::thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    /// Waits until every viewer has every event that was sent.
    fn wait_for_delivery(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.viewers.count() > 0 && self.viewers.slowest() < self.granted {
            self.feed.turn(Duration::ZERO)?;
            self.viewers.turn(Duration::from_millis(1))?;
            let slowest = self.viewers.slowest();
            ensure!(
                Instant::now() < deadline,
                "a viewer has only {slowest} of {} events",
                self.granted
            );
        }
        Ok(())
    }

    /// Saturates; figures per event delivered.
    ///
    /// # Errors
    /// When the server fails or an event does not arrive.
    pub fn measure_saturated(
        mut self,
        server: &Server,
        warm_up: Duration,
        round: Duration,
    ) -> Result<Sample> {
        self.saturate(Instant::now() + warm_up)?;
        let bracket = Bracket::open(server, self.viewers.delivered())?;
        self.saturate(Instant::now() + round)?;
        let sample = bracket.close(server, self.viewers.delivered())?;
        self.wait_for_delivery()?;
        Ok(sample)
    }

    /// Saturates; figures per entry published, however many viewers there are.
    ///
    /// # Errors
    /// As [`Fan::measure_saturated`].
    pub fn measure_publishing(
        mut self,
        server: &Server,
        warm_up: Duration,
        round: Duration,
    ) -> Result<Sample> {
        self.saturate(Instant::now() + warm_up)?;
        let bracket = Bracket::open(server, self.viewers.slowest())?;
        self.saturate(Instant::now() + round)?;
        let sample = bracket.close(server, self.viewers.slowest())?;
        self.wait_for_delivery()?;
        Ok(sample)
    }

    /// Publishes evenly; figures per event delivered, with latencies.
    ///
    /// # Errors
    /// As [`Fan::measure_saturated`].
    pub fn measure_paced(
        mut self,
        server: &Server,
        per_second: f64,
        warm_up: Duration,
        round: Duration,
    ) -> Result<Sample> {
        self.publish_evenly(per_second, Instant::now() + warm_up)?;
        self.viewers.latencies = Some(Vec::new());
        let bracket = Bracket::open(server, self.viewers.delivered())?;
        self.publish_evenly(per_second, Instant::now() + round)?;
        let mut sample = bracket.close(server, self.viewers.delivered())?;
        let mut latencies = self.viewers.latencies.take().unwrap_or_default();
        latencies.sort_by(f64::total_cmp);
        sample.p50_ms = percentile(&latencies, 0.5);
        sample.p99_ms = percentile(&latencies, 0.99);
        self.wait_for_delivery()?;
        Ok(sample)
    }
}
