//! `tail` and `tasks`, as people use them.

use otto_handler::client::https;
use serde_json::Value;

use crate::support::{Process, run};

struct Server {
    server: Process,
    _dir: tempfile::TempDir,
}

/// What a command printed, and how it ended.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Process::start(&dir.path().join("data"), &[], None).await;
        Self { server, _dir: dir }
    }

    async fn push(&self, task: &str, more: &[&str], lines: &[&str]) {
        let to = self.server.grpc_url();
        let base = ["push", "--to", &to, "--task", task, "--worker", "w"];
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let pushed = run(&[&base[..], more].concat(), input.as_bytes()).await;
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    }

    async fn run(&self, command: &str, more: &[&str]) -> Ran {
        let url = format!("http://{}", self.server.http);
        let output = run(&[&[command, "--url", &url], more].concat(), b"").await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Ran { code: output.status.code(), stdout, stderr }
    }

    /// Tells that `task` ended with `outcome`.
    async fn end(&self, task: &str, outcome: &str) {
        let told = https::client()
            .post(self.server.api(&format!("/tasks/{task}/end")))
            .header("content-type", "application/json")
            .body(format!("{{\"outcome\":\"{outcome}\"}}"));
        assert_eq!(told.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn each_outcome_has_its_exit_code_and_is_said_and_of_several_tasks_the_worst_counts() {
    let server = Server::start().await;
    let codes = [("succeeded", 0), ("failed", 1), ("lost", 3), ("unknown", 3), ("terminated", 6)];
    for (outcome, code) in codes {
        server.push(outcome, &["--status=none"], &["a line"]).await;
        server.end(outcome, outcome).await;
        let tailed = server.run("tail", &[outcome]).await;
        assert_eq!((tailed.code, tailed.stdout.as_str()), (Some(code), "a line\n"), "{outcome}");
        assert!(tailed.stderr.contains(&format!("is complete, {outcome}: 1 line;")));
        let listed = server.run("tasks", &["--outcome", outcome, "--json"]).await;
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!((&listed["taskId"], &listed["outcome"]), (&outcome.into(), &outcome.into()));
    }
    let both = server.run("tail", &["succeeded", "--task", "lost,failed"]).await;
    assert_eq!(both.code, Some(1));
    let mut lines: Vec<_> = both.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["failed | a line", "lost | a line", "succeeded | a line"]);
    let table = server.run("tasks", &[]).await;
    assert_eq!((table.code, table.stdout.lines().count()), (Some(0), 6), "{}", table.stdout);
}

#[tokio::test]
async fn a_task_that_does_not_exist_and_a_server_that_is_away_are_said_with_codes_of_their_own() {
    let server = Server::start().await;
    let typo = server.run("tail", &["typo", "--no-follow"]).await;
    assert_eq!((typo.code, typo.stdout.as_str()), (Some(4), ""));
    assert!(typo.stderr.contains("there is no task typo"), "{}", typo.stderr);
    let away = ["tail", "t", "--url", "http://127.0.0.1:9", "--give-up-after", "1ms"];
    let away = run(&away, b"").await;
    assert_eq!(away.status.code(), Some(5));
    let away = run(&["tasks", "--url", "http://127.0.0.1:9"], b"").await;
    assert_eq!(away.status.code(), Some(5));
    assert_eq!(server.run("tasks", &["--outcome", "green"]).await.code, Some(2));
}

#[tokio::test]
async fn the_last_lines_are_the_last_that_pass_the_filter() {
    let server = Server::start().await;
    server.push("t", &["--level=ERROR", "--status=none"], &["first error", "second error"]).await;
    let after: Vec<_> = (0..30).map(|turn| format!("line {turn}")).collect();
    let after: Vec<_> = after.iter().map(String::as_str).collect();
    server.push("t", &[], &after).await;
    let hits = server.run("tail", &["t", "--tail", "1", "--level", "ERROR"]).await;
    assert_eq!((hits.code, hits.stdout.as_str()), (Some(0), "second error\n"));
    let all = server.run("tail", &["t", "--tail", "2"]).await;
    assert_eq!(all.stdout, "line 28\nline 29\n");
    let old = server.run("tail", &["t", "--since", "2030-01-01T00:00:00Z"]).await;
    assert_eq!((old.code, old.stdout.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_keyword_with_a_comma_is_found_whole() {
    let server = Server::start().await;
    let lines = ["expected 2, found 3", "expected 3, found 2", "3 of 3", "found", "error: x"];
    server.push("t", &[], &lines).await;
    let shown =
        async |arguments: &[&str]| server.run("tail", &[&["t"], arguments].concat()).await.stdout;
    assert_eq!(shown(&["--keyword", "3, found"]).await, "expected 3, found 2\n");
    let either = shown(&["--keyword", "3, found", "--keyword", "error"]).await;
    assert_eq!(either, "expected 3, found 2\nerror: x\n");
    assert_eq!(shown(&["--keywords", "3 of, error"]).await, "3 of 3\nerror: x\n");
    assert_eq!(shown(&["--keyword", "3, found", "--tail", "1"]).await, "expected 3, found 2\n");
}

#[tokio::test]
async fn a_push_may_end_its_task_with_its_worker() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &["--task-grace=1h"], None).await;
    let server = Server { server, _dir: dir };
    server.push("t", &["--end-task"], &["one"]).await;
    let tailed = server.run("tail", &["t", "-t"]).await;
    assert_eq!(tailed.code, Some(0), "{}", tailed.stderr);
    assert!(tailed.stdout.ends_with(" one\n"), "{}", tailed.stdout);
    assert!(tailed.stderr.contains("the end of t was told"), "{}", tailed.stderr);
}
