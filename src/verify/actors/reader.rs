//! The reading at the end: what the log is held to have kept, once as a stream and once as a download.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use reqwest::Url;
use tokio::time::{Instant, sleep, timeout};

use super::seen::Seen;
use crate::client::follow::{AtEnd, Follow, FollowOptions, Update};
use crate::client::https;
use crate::verify::record::{Event, HISTORY, Start};
use crate::verify::recorder::Recorder;

/// The wait between two attempts.
const RETRY: Duration = Duration::from_millis(300);

/// Where readers read.
#[derive(Debug, Clone)]
pub(crate) struct ReadTarget {
    /// The API, `http://host:port/api/v1/log-streaming/`.
    pub(crate) api: Url,
    /// Sent as `authorization: Bearer`.
    pub(crate) token: Option<String>,
    /// How long the server may be silent.
    pub(crate) silence_limit: Duration,
}

impl ReadTarget {
    /// The address of a task's stream, or of all.
    pub(crate) fn stream(&self, task: Option<&str>) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("stream").extend(task);
        }
        url.query_pairs_mut().append_pair("from", "start");
        url
    }

    fn download(&self, task: &str) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["tasks", task, "logs"]);
        }
        url.query_pairs_mut().append_pair("format", "ndjson");
        url
    }
}

/// Reads every task to its end, again and again until it works or patience is over; the last lines.
pub(crate) async fn read_history(
    target: &ReadTarget,
    tasks: &[String],
    recorder: &Recorder,
    patience: Duration,
) -> BTreeMap<String, u64> {
    let (history, download) = (recorder.named(HISTORY), recorder.named("download"));
    let mut ends = BTreeMap::new();
    for task in tasks {
        let until = Instant::now() + patience;
        if let Some(end) = retried(until, &history, task, || stream(target, task, &history)).await {
            ends.insert(task.clone(), end);
            retried(until, &download, task, || fetch(target, task, &download)).await;
        }
    }
    ends
}

/// Repeats `read` until it works; `None` when it never did, which is recorded as a violation.
async fn retried(
    until: Instant,
    recorder: &Recorder,
    task: &str,
    read: impl AsyncFn() -> Result<u64, String>,
) -> Option<u64> {
    loop {
        let opened = Event::Opened { task: Some(task.to_owned()), at: Start::First };
        recorder.record(opened).await;
        let failed = match read().await {
            Ok(end) => {
                recorder.record(Event::Ended { task: task.to_owned() }).await;
                return Some(end);
            }
            Err(reason) => reason,
        };
        if Instant::now() >= until {
            recorder.violated(format!("{task} cannot be read to its end: {failed}")).await;
            return None;
        }
        recorder.note(format!("{task}: {failed}")).await;
        sleep(RETRY).await;
    }
}

/// One stream from the first line to the present end; the last line.
async fn stream(target: &ReadTarget, task: &str, recorder: &Recorder) -> Result<u64, String> {
    let mut url = target.stream(Some(task));
    url.query_pairs_mut().append_pair("follow", "false");
    let options = FollowOptions {
        token: target.token.clone(),
        at_end: AtEnd::Finish,
        silence_limit: target.silence_limit,
        ..FollowOptions::new(url)
    };
    let mut follow = Follow::new(options).map_err(|error| error.to_string())?;
    let mut seen = Seen::of(Some(task.to_owned()));
    let outcome = loop {
        match follow.next().await {
            Ok(Some(Update::Event(event))) => match event.event.as_str() {
                "log" => seen.log(&event.data, recorder).await?,
                "gap" => seen.gap(&event.data, recorder).await?,
                "error" => break Err(format!("an error event: {}", event.data)),
                _ => {}
            },
            Ok(Some(Update::Disconnected { reason, .. })) => break Err(reason),
            Ok(None) => break Ok(seen.last_line(task)),
            Err(error) => break Err(error.to_string()),
        }
    };
    seen.record(recorder).await;
    outcome
}

/// The same as one download, line by line.
async fn fetch(target: &ReadTarget, task: &str, recorder: &Recorder) -> Result<u64, String> {
    let mut request = https::client().get(target.download(task));
    if let Some(token) = &target.token {
        request = request.bearer_auth(token);
    }
    let sent = timeout(target.silence_limit, request.send()).await;
    let response = sent.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
    let response = response.error_for_status().map_err(|error| error.to_string())?;
    let (mut body, mut seen) = (response.bytes_stream(), Seen::of(Some(task.to_owned())));
    let mut pending = BytesMut::new();
    while let Some(chunk) =
        timeout(target.silence_limit, body.next()).await.map_err(|_| "a download stalled")?
    {
        pending.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
        while let Some(end) = memchr::memchr(b'\n', &pending) {
            let line = pending.split_to(end + 1);
            take_line(&mut seen, &line, recorder).await?;
        }
    }
    seen.record(recorder).await;
    Ok(seen.last_line(task))
}

async fn take_line(seen: &mut Seen, line: &[u8], recorder: &Recorder) -> Result<(), String> {
    let json = std::str::from_utf8(line).map_err(|error| error.to_string())?;
    // A line has a message; where lines are missing a gap stands in their place.
    match seen.log(json, recorder).await {
        Ok(()) => Ok(()),
        Err(reason) => seen.gap(json, recorder).await.map_err(|_| reason),
    }
}
