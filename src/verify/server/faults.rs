//! What is done to the server while producers produce and viewers view.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::damage::{damage, segments};
use super::process::{Front, Process};
use super::proxy::{Cut, Ending, Share};
use super::volume::Volume;
use crate::client::https;
use crate::verify::metrics::Metrics;
use crate::verify::plan::FaultKind;
use crate::verify::record::Event;
use crate::verify::recorder::Recorder;

/// How long a fault waits for a segment to appear or to go, and how often it looks.
const SEGMENT_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How long after a fault that passes the server may take to be ready.
const ROOM_PATIENCE: Duration = Duration::from_secs(15);

/// Injects faults, one after another.
pub(crate) struct Injector {
    pub(crate) process: Process,
    pub(crate) front: Arc<Front>,
    pub(crate) data: PathBuf,
    /// Where the data is, if it can be filled.
    pub(crate) volume: Option<Volume>,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) random: fastrand::Rng,
}

impl Injector {
    /// Injects the faults in rounds, each round in another order, until `stop`.
    pub(crate) async fn run(
        &mut self,
        kinds: &[FaultKind],
        every: Duration,
        stop: &CancellationToken,
    ) {
        let mut turn = Vec::new();
        let kinds: Vec<_> = kinds.iter().copied().filter(|kind| kind.is_event()).collect();
        loop {
            if turn.is_empty() {
                turn.clone_from(&kinds);
                self.random.shuffle(&mut turn);
            }
            let pause = every.mul_f64(0.5 + self.random.f64());
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            self.check_alive().await;
            if let Some(kind) = turn.pop() {
                self.recorder.record(Event::Fault { what: kind.to_string() }).await;
                self.metrics.add(|counts| counts.faults += 1);
                self.inject(kind).await;
                self.metrics.watch_process(self.process.id());
            }
        }
    }

    /// Starts the server; a failure is a violation and is tried again.
    pub(crate) async fn start(&mut self) -> bool {
        for attempt in 1..=3 {
            match self.process.start().await {
                Ok(()) => {
                    self.metrics.watch_process(self.process.id());
                    return true;
                }
                Err(reason) => self.recorder.violated(format!("attempt {attempt}: {reason}")).await,
            }
            sleep(Duration::from_secs(1)).await;
        }
        false
    }

    /// No more faults: everything passes, and the server was started once more.
    pub(crate) async fn end(&mut self) -> bool {
        self.front.grpc.stall(false);
        self.front.http.stall(false);
        self.check_alive().await;
        self.process.id().is_some() || self.start().await
    }

    /// Kills the server and starts it again.
    pub(crate) async fn kill_and_start(&mut self) -> bool {
        self.check_alive().await;
        self.process.kill().await;
        self.start().await
    }

    async fn check_alive(&mut self) {
        if let Some(status) = self.process.ended() {
            self.recorder.violated(format!("the server ended by itself: {status}")).await;
            self.start().await;
        }
    }

    async fn inject(&mut self, kind: FaultKind) {
        match kind {
            FaultKind::Kill => drop(self.kill_and_start().await),
            FaultKind::KillStart => self.kill_while_starting().await,
            FaultKind::KillRoll => self.kill_when(|before, now| now.last() != before.last()).await,
            FaultKind::KillRetention => {
                self.kill_when(|before, now| now.first() != before.first()).await;
            }
            FaultKind::KillShutdown => self.kill_during_shutdown().await,
            FaultKind::Term => self.terminate().await,
            FaultKind::Stop => self.stop().await,
            FaultKind::Cut => self.cut(Ending::Close),
            FaultKind::Reset => self.cut(Ending::Reset),
            FaultKind::Stall => self.stall().await,
            FaultKind::Full => self.fill(Volume::fill, Volume::free).await,
            FaultKind::Inodes => self.fill(Volume::fill_inodes, Volume::free_inodes).await,
            FaultKind::Descriptors => self.deny_descriptors().await,
            FaultKind::Damage => self.damage().await,
            FaultKind::SlowViewers | FaultKind::StoppedViewers => {}
        }
    }

    async fn kill_while_starting(&mut self) {
        self.process.kill().await;
        for _ in 0..self.random.u32(1..5) {
            if let Err(error) = self.process.spawn() {
                self.recorder.violated(format!("the server cannot be started: {error}")).await;
            }
            sleep(Duration::from_millis(self.random.u64(0..150))).await;
            self.process.kill().await;
        }
        self.start().await;
    }

    /// Kills when the list of segments has changed as asked, or at last without it.
    async fn kill_when(&mut self, changed: impl Fn(&[PathBuf], &[PathBuf]) -> bool) {
        let before = segments(&self.data);
        let until = Instant::now() + SEGMENT_PATIENCE;
        let waited = timeout_at(until, async {
            while !changed(&before, &segments(&self.data)) {
                sleep(LOOK_EVERY).await;
            }
        });
        if waited.await.is_err() {
            self.recorder.note("no segment appeared or went in time").await;
        }
        sleep(Duration::from_micros(self.random.u64(0..3_000))).await;
        self.kill_and_start().await;
    }

    async fn kill_during_shutdown(&mut self) {
        self.process.signal(Signal::TERM);
        sleep(Duration::from_millis(self.random.u64(0..300))).await;
        self.process.kill().await;
        self.start().await;
    }

    async fn terminate(&mut self) {
        if let Err(reason) = self.process.terminate().await {
            self.recorder.violated(reason).await;
        }
        self.start().await;
    }

    async fn stop(&mut self) {
        self.process.signal(Signal::STOP);
        sleep(Duration::from_millis(self.random.u64(100..3_000))).await;
        self.process.signal(Signal::CONT);
    }

    fn cut(&mut self, ending: Ending) {
        let all = if self.random.bool() { Share::All } else { Share::Half };
        let proxies = [&self.front.grpc, &self.front.http];
        let which = self.random.usize(0..3);
        // The third case is both.
        let chosen = proxies.into_iter().enumerate().filter(|(at, _)| which == 2 || *at == which);
        chosen.for_each(|(_, proxy)| proxy.cut(Cut { ending, all }));
    }

    async fn stall(&mut self) {
        self.front.grpc.stall(true);
        self.front.http.stall(true);
        sleep(Duration::from_millis(self.random.u64(500..5_000))).await;
        self.front.grpc.stall(false);
        self.front.http.stall(false);
    }

    async fn fill(
        &mut self,
        fill: impl Fn(&Volume) -> io::Result<()>,
        free: impl Fn(&Volume) -> io::Result<()>,
    ) {
        let Some(volume) = &self.volume else { return };
        let filled = fill(volume);
        sleep(Duration::from_millis(self.random.u64(1_000..5_000))).await;
        let freed = filled.and(free(volume));
        if let Err(error) = freed {
            self.recorder.note(format!("the volume cannot be filled and freed: {error}")).await;
        }
        self.expect_ready("the disk had room again").await;
    }

    async fn deny_descriptors(&mut self) {
        match self.process.deny_descriptors() {
            Ok(limit) => {
                sleep(Duration::from_millis(self.random.u64(500..4_000))).await;
                self.process.allow_descriptors(limit);
                self.expect_ready("it could open files again").await;
            }
            Err(error) => {
                self.recorder.note(format!("descriptors cannot be denied: {error}")).await;
            }
        }
    }

    /// The fault is over; a server that does not notice is restarted.
    async fn expect_ready(&mut self, since: &str) {
        if !self.is_ready_in_time().await {
            let what = format!("not ready {} s after {since}", ROOM_PATIENCE.as_secs());
            self.recorder.violated(what).await;
            self.kill_and_start().await;
        }
    }

    async fn is_ready_in_time(&self) -> bool {
        let url = format!("http://{}/readyz", self.front.http.addr());
        let client = https::client();
        let ready = timeout_at(Instant::now() + ROOM_PATIENCE, async {
            while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                sleep(Duration::from_millis(100)).await;
            }
        });
        ready.await.is_ok()
    }

    async fn damage(&mut self) {
        self.process.kill().await;
        let what = match damage(&self.data, &mut self.random) {
            Ok(done) => done.unwrap_or_else(|| "no segment is sealed yet".into()),
            Err(error) => format!("no segment can be damaged: {error}"),
        };
        self.recorder.note(what).await;
        self.start().await;
    }
}
