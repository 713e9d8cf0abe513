//! Follows one task and passes on what happens, to be printed with that of other tasks.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, timeout_at};

use crate::client::backoff::Backoff;
use crate::client::follow::{AtEnd, Error, Follow, FollowOptions, Update};
use crate::client::sse::Event;
use crate::client::tasks::{TaskInfo, TasksClient, TasksError};
use crate::domain::{Outcome, TaskId};

/// How often a complete task is asked for, to see whether it goes on.
const REOPENING_INTERVAL: Duration = Duration::from_secs(2);

/// What happened to a task that is followed.
#[derive(Debug)]
pub(super) enum Happening {
    Event(Event),
    /// For people.
    Notice(String),
    /// The last one.
    End(TailEnd),
}

/// How following ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TailEnd {
    /// The task is complete.
    Complete(Outcome),
    /// The log's end was reached, and it was not to be followed further.
    CaughtUp {
        /// Whether a worker has failed so far.
        has_failed: bool,
    },
    /// There is no such task.
    NoSuchTask,
    /// The server refused.
    Refused {
        /// Why.
        reason: String,
        /// The response's status, where it was a response.
        status: Option<u16>,
    },
    /// The server could not be reached for as long as was allowed; says why.
    GaveUp(String),
}

/// What is followed, and how.
#[derive(Debug, Clone)]
pub(super) struct TaskToFollow {
    pub(super) task: TaskId,
    /// The stream; its query says where to begin.
    pub(super) stream: FollowOptions,
    /// Begin with so many of the last lines that pass the filter; the query does not say it.
    pub(super) last_hits: Option<usize>,
    /// Wait for a task that does not exist yet.
    pub(super) waits: bool,
    /// Go on when a complete task is reopened.
    pub(super) follows_reopened: bool,
    /// How long to try to reach the server.
    pub(super) give_up_after: Option<Duration>,
}

/// Follows a task until its end. What happens is passed on with `index`, which names the task; whoever
/// takes it may stop taking.
pub(super) async fn follow(
    index: usize,
    task: TaskToFollow,
    client: TasksClient,
    happenings: Sender<(usize, Happening)>,
) {
    let mut following = Following { index, task, client, happenings, lost_at: None };
    let end = match following.run().await {
        Ok(end) | Err(end) => end,
    };
    following.pass_on(Happening::End(end)).await.ok();
}

struct Following {
    index: usize,
    task: TaskToFollow,
    client: TasksClient,
    happenings: Sender<(usize, Happening)>,
    /// Since when the server cannot be reached.
    lost_at: Option<Instant>,
}

impl Following {
    async fn run(&mut self) -> Result<TailEnd, TailEnd> {
        if !self.task.waits && self.ask().await?.is_none() {
            return Err(TailEnd::NoSuchTask);
        }
        let mut stream = self.task.stream.clone();
        if let Some(limit) = self.task.last_hits {
            stream.last_event_id = self.print_last_hits(limit).await?;
        }
        loop {
            let mut follow = Follow::new(stream.clone()).map_err(refused)?;
            let end = self.follow(&mut follow).await?;
            if !self.task.follows_reopened {
                return Ok(end);
            }
            stream.last_event_id = follow.last_event_id().to_owned();
            self.until_reopened().await?;
            self.notice("the task goes on").await?;
        }
    }

    /// Passes on the last `limit` lines of the log that pass the filter; returns where they end.
    async fn print_last_hits(&mut self, limit: usize) -> Result<String, TailEnd> {
        let mut options = self.task.stream.clone();
        options.url.query_pairs_mut().append_pair("follow", "false");
        options.at_end = AtEnd::Finish;
        let mut follow = Follow::new(options).map_err(refused)?;
        let mut hits = VecDeque::new();
        let mut resume_at = String::new();
        while let Some(event) = self.next(&mut follow).await? {
            match event.event.as_str() {
                "complete" => break,
                "log" => hits.push_back(event),
                _ => {}
            }
            if hits.len() > limit {
                hits.pop_front();
            }
            resume_at = follow.last_event_id().to_owned();
        }
        for event in hits {
            self.pass_on(Happening::Event(event)).await?;
        }
        Ok(resume_at)
    }

    /// Passes on what comes until the stream's end.
    async fn follow(&mut self, follow: &mut Follow) -> Result<TailEnd, TailEnd> {
        let mut outcome = None;
        while let Some(event) = self.next(follow).await? {
            if event.event == "complete" {
                let told: Result<TaskOutcome, _> = serde_json::from_str(&event.data);
                outcome = told.ok().map(|told| told.outcome.unwrap_or(Outcome::Unknown));
            }
            let failure = failure(&event);
            self.pass_on(Happening::Event(event)).await?;
            if let Some(outcome) = outcome {
                return Ok(TailEnd::Complete(outcome));
            }
            if let Some(failure) = failure {
                return Err(TailEnd::Refused { reason: failure, status: None });
            }
        }
        // The server had nothing more: the task was complete before, or was not to be followed.
        let task = self.ask().await?;
        match task.as_ref().and_then(|task| task.outcome) {
            Some(outcome) => Ok(TailEnd::Complete(outcome)),
            None => Ok(TailEnd::CaughtUp { has_failed: task.is_some_and(|task| task.failed) }),
        }
    }

    /// The next event; tells of broken connections.
    async fn next(&mut self, follow: &mut Follow) -> Result<Option<Event>, TailEnd> {
        loop {
            let next = match self.deadline() {
                Some(deadline) => timeout_at(deadline, follow.next()).await,
                None => Ok(follow.next().await),
            };
            let Ok(next) = next else { return Err(self.gave_up("the stream stays away")) };
            match next.map_err(refused)? {
                Some(Update::Event(event)) => {
                    self.lost_at = None;
                    return Ok(Some(event));
                }
                Some(Update::Disconnected { reason, retry_in }) => {
                    self.lost_at.get_or_insert_with(Instant::now);
                    self.notice_retry(&reason, retry_in).await?;
                }
                None => return Ok(None),
            }
        }
    }

    /// What the server tells of the task; tries until it does.
    async fn ask(&mut self) -> Result<Option<TaskInfo>, TailEnd> {
        let mut backoff = Backoff::new(self.task.stream.min_backoff, self.task.stream.max_backoff);
        loop {
            match self.client.task(&self.task.task).await {
                Ok(found) => {
                    self.lost_at = None;
                    return Ok(found);
                }
                Err(TasksError::Refused { status: 429 | 503, detail }) => {
                    self.wait_after(&format!("the server is not ready{detail}"), &mut backoff)
                        .await?;
                }
                Err(error @ TasksError::Unreachable(_)) => {
                    self.wait_after(&error.to_string(), &mut backoff).await?;
                }
                Err(error) => {
                    let status = error.status();
                    return Err(TailEnd::Refused { reason: error.to_string(), status });
                }
            }
        }
    }

    async fn wait_after(&mut self, reason: &str, backoff: &mut Backoff) -> Result<(), TailEnd> {
        self.lost_at.get_or_insert_with(Instant::now);
        let wait = backoff.next_delay();
        if self.deadline().is_some_and(|deadline| Instant::now() + wait > deadline) {
            return Err(self.gave_up(reason));
        }
        self.notice_retry(reason, wait).await?;
        sleep(wait).await;
        Ok(())
    }

    async fn until_reopened(&mut self) -> Result<(), TailEnd> {
        loop {
            sleep(REOPENING_INTERVAL).await;
            match self.ask().await? {
                Some(task) if task.outcome.is_none() => return Ok(()),
                Some(_) => {}
                None => return Err(TailEnd::NoSuchTask),
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.lost_at?.checked_add(self.task.give_up_after?)
    }

    fn gave_up(&self, reason: &str) -> TailEnd {
        let after = self.task.give_up_after.unwrap_or_default();
        TailEnd::GaveUp(format!("{reason}; gave up after {}", humantime::format_duration(after)))
    }

    async fn notice_retry(&self, reason: &str, retry_in: Duration) -> Result<(), TailEnd> {
        let seconds = retry_in.as_secs_f32();
        self.notice(&format!("{reason}; trying again in {seconds:.1} s")).await
    }

    async fn notice(&self, text: &str) -> Result<(), TailEnd> {
        self.pass_on(Happening::Notice(text.to_owned())).await
    }

    async fn pass_on(&self, happening: Happening) -> Result<(), TailEnd> {
        // Nobody prints any more, so nobody looks at how it ended.
        let passed = self.happenings.send((self.index, happening)).await;
        passed.map_err(|_| TailEnd::CaughtUp { has_failed: false })
    }
}

fn refused(error: Error) -> TailEnd {
    let status = match &error {
        Error::Refused(refusal) => Some(refusal.status),
        _ => None,
    };
    TailEnd::Refused { reason: error.to_string(), status }
}

/// As much of the `complete` event as is needed here.
#[derive(serde::Deserialize)]
struct TaskOutcome {
    #[serde(default)]
    outcome: Option<Outcome>,
}

/// An `error` event: why the server ends the stream.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    code: String,
    message: String,
    pub(super) retryable: bool,
}

impl Failure {
    pub(super) fn describe(&self) -> String {
        format!("the server reports {}: {}", self.code, self.message)
    }
}

/// Why the server ends the stream for good, if it does.
fn failure(event: &Event) -> Option<String> {
    if event.event != "error" {
        return None;
    }
    let failure: Failure = serde_json::from_str(&event.data).unwrap_or_default();
    (!failure.retryable).then(|| failure.describe())
}
