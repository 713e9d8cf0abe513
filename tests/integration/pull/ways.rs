//! The ways to a source: simulated, over TLS, by the environment; and what comes from it.

use std::process::Stdio;

use futures_util::StreamExt;
use otto_handler::domain::TaskId;
use otto_handler::proto::otto::handler::v1::pulled_log_entry::What;
use otto_handler::pull::PullState;
use otto_handler::simulate::{LineRate, Plan, serve_pull};
use rcgen::CertifiedKey;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::until_caught_up;
use crate::support::source::{List, Pods, Source, caught_up, response};
use crate::support::{
    Process, Reader, TestServer, binary, entry, json, messages, ndjson, numbered, within,
};

#[tokio::test]
async fn phases_of_pods_become_statuses_once_each() {
    let phases = ["Pending", "Pending", "Unknown", "Running", "Pending", "Running", "Succeeded"];
    let url = Pods::serve(&phases).await;
    let from = format!("--pull-from={url}");
    let flags = [&from, "--pull-status-interval=1s", "--pull-after=1h"];
    let server = TestServer::start_with(&flags).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    let mut statuses = Vec::new();
    loop {
        let event = reader.event().await;
        match event.event.as_str() {
            "status" => {
                let data: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                statuses.push(data["status"].as_str().unwrap().to_owned());
            }
            "complete" => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(statuses, ["CREATED", "RUNNING", "COMPLETED"]);
    assert_eq!(server.pull.state(), PullState::Waiting);
}

#[tokio::test]
async fn simulated_builds_are_pulled_whole_and_a_restart_goes_on_where_it_was() {
    let tasks = ["build-1", "build-2"].map(|task| TaskId::new(task).unwrap()).to_vec();
    let plan = Plan { seed: 7, tasks, workers: 2, failing: vec![2] };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let from = format!("--pull-from={}", listener.local_addr().unwrap());
    let served = plan.clone();
    let serving = tokio::spawn(async move {
        serve_pull(listener, &served, LineRate::Unbounded, std::future::pending()).await
    });
    let flags = [from.as_str(), "--pull-mode=always"];
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::start_in(dir, &flags, |_| {}).await;
    until_caught_up(&server).await;
    let tail = check_builds(&server, &plan).await;
    let (dir, ended) = server.begin_stop();
    within("the shutdown", ended).await.unwrap().unwrap();

    let server = TestServer::start_in(dir, &flags, |_| {}).await;
    until_caught_up(&server).await;
    assert_eq!(check_builds(&server, &plan).await, tail);
    serving.abort();
}

/// Checks that each worker's lines are the plan's, and that each build is over; returns how many
/// records there are.
async fn check_builds(server: &TestServer, plan: &Plan) -> usize {
    let mut records = 0;
    for task in &plan.tasks {
        let all = ndjson(|path| server.api(path), task.as_str()).await;
        records += all.len();
        for worker in plan.workers().unwrap().iter().filter(|worker| worker.task == *task) {
            let of_worker = all.iter().filter(|line| line["workerId"] == worker.id.as_str());
            let found: Vec<_> = of_worker.filter_map(|line| line["message"].as_str()).collect();
            let expected: Vec<_> = worker.lines().map(|line| line.message).collect();
            assert!(found.iter().eq(expected.iter()), "{} of {}", found.len(), expected.len());
        }
        let state = json(&server.api(&format!("/tasks/{task}"))).await;
        assert_eq!(state["state"], "complete", "{state}");
    }
    records
}

#[tokio::test]
async fn the_simulate_command_is_a_source_and_the_environment_may_name_it() {
    let mut command = binary();
    command.args(["simulate", "--serve-pull=127.0.0.1:0", "--seed=7", "--rate=0", "--tasks=1"]);
    let mut simulation = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(simulation.stderr.take().unwrap()).lines();
    let addr = within("the address", async {
        loop {
            let line = said.next_line().await.unwrap().unwrap();
            if let Some((_, addr)) = line.split_once("WorkerLogSource on ") {
                return addr.to_owned();
            }
        }
    });
    let addr = addr.await;
    let dir = tempfile::tempdir().unwrap();
    let variable = ("OTTOSCALER_GRPC_URL", addr.as_str());
    let data = dir.path().join("data");
    let server = Process::start_with_variable(&data, &["--pull-mode=always"], variable).await;
    // A stream ends when all workers that were seen have ended, which may be before the next one
    // is seen.
    within("the whole build", async {
        let url = server.api("/stream/build-7-1");
        while Reader::open(&url).await.logs_to_end().await.len() <= 200 {}
    })
    .await;
    let health = json(&server.api("/health")).await;
    assert_eq!(health["pulled"]["state"], "pulling", "{health}");
    assert_eq!(health["pulled"]["caughtUp"], true, "{health}");
    simulation.kill().await.unwrap();
}

#[tokio::test]
async fn a_source_over_tls_is_pulled_from_when_its_certificate_is_trusted() {
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    let identity = Identity::from_pem(cert.pem(), signing_key.serialize_pem());
    let tls = ServerTlsConfig::new().identity(identity);
    let list = List::new("list");
    list.add(numbered("t", 3));
    let server = Server::builder().tls_config(tls).unwrap();
    let source = Source::start_on(server, "https", move |request| list.responses(request)).await;

    let from = format!("--pull-from={}", source.url);
    let flags = [from.as_str(), "--pull-mode=always"];
    let dir = tempfile::tempdir().unwrap();
    let trusted = dir.path().join("trusted.pem");
    std::fs::write(&trusted, cert.pem()).unwrap();
    let variable = ("SSL_CERT_FILE", trusted.to_str().unwrap());
    let server = Process::start_with_variable(&dir.path().join("data"), &flags, variable).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    assert_eq!(messages(&reader.logs(3).await), ["line 1", "line 2", "line 3"]);

    let stranger = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
    let untrusted = dir.path().join("untrusted.pem");
    std::fs::write(&untrusted, stranger.cert.pem()).unwrap();
    let variable = ("SSL_CERT_FILE", untrusted.to_str().unwrap());
    let server = Process::start_with_variable(&dir.path().join("other"), &flags, variable).await;
    let health = within("a refusal", async {
        loop {
            let health = json(&server.api("/health")).await;
            if health["pulled"]["state"] == "backing_off" {
                return health;
            }
        }
    });
    let health = health.await;
    let reason = health["pulled"]["reason"].as_str().unwrap();
    assert!(reason.contains("invalid peer certificate"), "{reason}");
}

#[tokio::test]
async fn a_task_goes_on_while_it_is_pulled_until_the_source_has_nothing_more() {
    let (end, ended) = watch::channel(false);
    let source = Source::start(move |_| {
        let mut ended = ended.clone();
        let line = response("e", 1, What::Entry(entry("t", "one")));
        let rest = async move {
            ended.wait_for(|ended| *ended).await.unwrap();
            Ok(caught_up(""))
        };
        let first = futures_util::stream::iter([Ok(line)]);
        let rest = futures_util::stream::once(rest);
        first.chain(rest).chain(futures_util::stream::pending()).boxed()
    });
    let source = source.await;
    let from = format!("--pull-from={}", source.url);
    let flags = [&from, "--pull-mode=always", "--task-quiet-period=0s"];
    let server = TestServer::start_with(&flags).await;
    let mut reader = Reader::open(&server.api("/stream/t")).await;
    reader.logs(1).await;
    assert_eq!(json(&server.api("/tasks/t")).await["state"], "running");
    end.send(true).unwrap();
    assert_eq!(reader.event().await.event, "complete");
}

#[tokio::test]
async fn a_server_without_a_source_is_off() {
    let server = TestServer::start().await;
    assert_eq!(server.pull.state(), PullState::Off);
    let server = TestServer::start_with(&["--pull-from=localhost:1", "--pull-mode=off"]).await;
    assert_eq!(server.pull.state(), PullState::Off);
    assert_eq!(json(&server.api("/health")).await["pulled"]["state"], "off");
}
