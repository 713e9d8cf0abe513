//! Logs that nobody pushes are pulled, once and in order, whatever the source does.

mod bad_sources;
mod change_over;
mod ways;

use otto_handler::pull::PullState;

use crate::support::{Reader, TestServer, messages, text, within};

async fn until(server: &TestServer, what: &str, wanted: impl Fn(&PullState) -> bool) -> PullState {
    let mut watched = server.pull.watch();
    let reached = within(what, watched.wait_for(|state| wanted(state))).await;
    reached.unwrap().clone()
}

pub(super) async fn until_caught_up(server: &TestServer) {
    let is_caught_up =
        |state: &PullState| matches!(state, PullState::Pulling { caught_up: true, .. });
    until(server, "the source's end", is_caught_up).await;
}

/// Waits for a failed attempt and returns its reason.
pub(super) async fn reason(server: &TestServer) -> String {
    let is_backing_off = |state: &PullState| matches!(state, PullState::BackingOff { .. });
    match until(server, "a failed attempt", is_backing_off).await {
        PullState::BackingOff { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// Waits until the task has `count` lines and no fewer ever after, and returns them.
pub(super) async fn lines_of(server: &TestServer, task: &str, count: usize) -> Vec<String> {
    let mut reader = Reader::open(&server.api(&format!("/stream/{task}"))).await;
    messages(&reader.logs(count).await);
    let text = text(|path| server.api(path), task).await;
    // Without what is said of lines that the source sent and that were refused.
    text.lines().filter(|line| !line.starts_with("--- ")).map(str::to_owned).collect()
}
