//! A viewer: follows a stream as a browser does, in one of several ways, and records what it saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::seen::Seen;
use crate::client::follow::{Follow, FollowOptions, Update};
use crate::client::sse;
use crate::verify::metrics::Metrics;
use crate::verify::plan::{ViewerPlan, Way};
use crate::verify::record::{Event, Start};
use crate::verify::recorder::Recorder;

/// How often what was seen is recorded.
const RECORD_EVERY: Duration = Duration::from_millis(250);

/// The wait before a stream that ended early is opened anew.
const REOPEN_AFTER: Duration = Duration::from_millis(500);

/// The wait before a broken stream is opened anew, until the server names another.
const RETRY: Duration = Duration::from_millis(200);

/// What a slow viewer takes between two reads.
const SLOW_PAUSE: Duration = Duration::from_millis(40);

/// The last line of every task, once no more come.
pub(crate) type Ends = Option<Arc<BTreeMap<String, u64>>>;

/// Follows until it has seen everything.
pub(crate) struct Viewer {
    plan: ViewerPlan,
    options: FollowOptions,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    ends: watch::Receiver<Ends>,
    patience: Duration,
    seen: Seen,
    /// Where the next stream is resumed; empty for the first line.
    last_event_id: String,
    random: fastrand::Rng,
}

/// What a viewer does after a stretch of reading.
enum AfterRead {
    /// It is at the end.
    Done,
    /// It opens its stream again.
    Reopen,
    /// It reads on.
    Go,
}

impl Viewer {
    pub(crate) fn new(
        plan: ViewerPlan,
        url: Url,
        token: Option<String>,
        recorder: Recorder,
        metrics: Arc<Metrics>,
        ends: watch::Receiver<Ends>,
        patience: Duration,
    ) -> Self {
        let options = FollowOptions {
            token,
            min_backoff: RETRY,
            max_backoff: Duration::from_secs(2),
            silence_limit: plan.silence_limit,
            ..FollowOptions::new(url)
        };
        let seen = Seen::of(plan.task.clone());
        let random = fastrand::Rng::with_seed(plan.seed);
        let last_event_id = String::new();
        Self { plan, options, recorder, metrics, ends, patience, seen, last_event_id, random }
    }

    /// Runs until everything was seen, or patience is over.
    pub(crate) async fn run(mut self) {
        self.opened(Start::First).await;
        let given_up = self.given_up();
        let ended = tokio::select! {
            () = self.follow_to_end() => true,
            () = given_up => false,
        };
        self.record().await;
        let ends = self.ends.borrow().clone().unwrap_or_default();
        if ended {
            for (task, _) in self.awaited(&ends) {
                self.recorder.record(Event::Ended { task }).await;
            }
            return;
        }
        let behind =
            self.awaited(&ends).into_iter().find(|(task, end)| self.seen.last_line(task) < *end);
        if let Some((task, end)) = behind {
            let (at, waited) = (self.seen.last_line(&task), self.patience.as_secs());
            let what =
                format!("{waited} s after the end it is at line {at} of {task}, the last is {end}");
            self.recorder.violated(what).await;
        }
    }

    /// Resolves when patience is over, which begins with the end.
    fn given_up(&self) -> impl Future<Output = ()> + use<> {
        let (mut ends, patience) = (self.ends.clone(), self.patience);
        async move {
            drop(ends.wait_for(Option::is_some).await);
            sleep(patience).await;
        }
    }

    /// The tasks that it reads, and their last lines.
    fn awaited(&self, ends: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
        let is_read = |name: &str| self.plan.task.as_deref().is_none_or(|task| task == name);
        let read = ends.iter().filter(|(name, _)| is_read(name));
        read.map(|(name, end)| (name.clone(), *end)).collect()
    }

    fn is_at_end(&self) -> bool {
        let ends = self.ends.borrow().clone();
        ends.is_some_and(|ends| {
            self.awaited(&ends).iter().all(|(task, end)| self.seen.last_line(task) >= *end)
        })
    }

    async fn follow_to_end(&mut self) {
        loop {
            let options =
                FollowOptions { last_event_id: self.last_event_id.clone(), ..self.options.clone() };
            match Follow::new(options) {
                Ok(follow) => {
                    if let AfterRead::Done = self.read(follow).await {
                        return;
                    }
                }
                Err(error) => self.recorder.note(format!("cannot follow: {error}")).await,
            }
            self.record().await;
            if self.is_at_end() {
                return;
            }
            sleep(REOPEN_AFTER).await;
        }
    }

    /// Reads one stream until the viewer's way has it opened anew, or it is over.
    async fn read(&mut self, mut follow: Follow) -> AfterRead {
        let mut change_at = self.next_change();
        let mut record_at = Instant::now() + RECORD_EVERY;
        loop {
            tokio::select! {
                update = follow.next() => {
                    if let AfterRead::Reopen = self.on_update(update).await {
                        return AfterRead::Reopen;
                    }
                }
                () = sleep_until(record_at), if !self.seen.is_empty() => {
                    self.record().await;
                    record_at = Instant::now() + RECORD_EVERY;
                }
                () = sleep_until(change_at), if self.ends.borrow().is_none() => {
                    if let AfterRead::Reopen = self.on_change().await {
                        return AfterRead::Reopen;
                    }
                    change_at = self.next_change();
                }
                _ = self.ends.changed() => {}
            }
            if follow.has_ready() {
                continue;
            }
            if self.is_at_end() {
                return AfterRead::Done;
            }
            if self.plan.way == Way::Slow && self.ends.borrow().is_none() {
                sleep(SLOW_PAUSE).await;
            }
        }
    }

    async fn on_update(
        &mut self,
        update: Result<Option<Update>, crate::client::follow::Error>,
    ) -> AfterRead {
        match update {
            Ok(Some(Update::Event(event))) => self.on_event(&event).await,
            Ok(Some(Update::Disconnected { reason, .. })) => {
                self.record().await;
                self.recorder.note(format!("the stream broke off: {reason}")).await;
                self.opened(Start::Resume).await;
                AfterRead::Go
            }
            Ok(None) => AfterRead::Reopen,
            Err(error) => {
                self.recorder.note(format!("the stream is over: {error}")).await;
                AfterRead::Reopen
            }
        }
    }

    async fn on_event(&mut self, event: &sse::Event) -> AfterRead {
        // The parser's own id may be ahead: of events that were not handed out yet.
        event.id.clone_into(&mut self.last_event_id);
        let taken = match event.event.as_str() {
            "log" => self.seen.log(&event.data, &self.recorder).await,
            "gap" => self.seen.gap(&event.data, &self.recorder).await,
            "reset" => {
                self.recorder
                    .violated("it was told to begin anew, and the store is the same")
                    .await;
                Ok(())
            }
            "error" => {
                self.recorder.note(format!("an error event: {}", event.data)).await;
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(reason) = taken {
            let start: String = event.data.chars().take(200).collect();
            self.recorder
                .violated(format!("a {} event cannot be read: {reason}: {start}", event.event))
                .await;
        }
        AfterRead::Go
    }

    fn next_change(&mut self) -> Instant {
        let (least, most) = match self.plan.way {
            Way::Steady | Way::Slow => return Instant::now() + Duration::from_secs(86_400),
            Way::Hopping => (500, 4_000),
            Way::Fresh => (4_000, 12_000),
            Way::Stopped => (2_000, 6_000),
        };
        Instant::now() + Duration::from_millis(self.random.u64(least..most))
    }

    /// What its way has it do now and then.
    async fn on_change(&mut self) -> AfterRead {
        self.record().await;
        match self.plan.way {
            Way::Steady | Way::Slow => AfterRead::Go,
            Way::Hopping => {
                self.opened(Start::Resume).await;
                AfterRead::Reopen
            }
            Way::Fresh => {
                self.last_event_id.clear();
                self.seen.restart();
                self.opened(Start::First).await;
                AfterRead::Reopen
            }
            // Nothing is read meanwhile: the socket's buffers fill, and the server has to wait.
            Way::Stopped => {
                let pause = Duration::from_millis(self.random.u64(1_000..8_000));
                let mut ends = self.ends.clone();
                let ended = ends.wait_for(Option::is_some);
                drop(tokio::time::timeout(pause, ended).await);
                AfterRead::Go
            }
        }
    }

    async fn opened(&self, at: Start) {
        let task = self.plan.task.clone();
        self.recorder.record(Event::Opened { task, at }).await;
    }

    async fn record(&mut self) {
        let lines = self.seen.record(&self.recorder).await;
        self.metrics.add(|counts| counts.seen += lines);
    }
}
