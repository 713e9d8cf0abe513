//! What the commands say when something is wrong: what it is, and what to do.

use crate::support::{Process, run};

async fn said(command: &[&str]) -> String {
    let output = run(command, b"a line\n").await;
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_the_reason_by_every_command() {
    let expected = "cannot connect to http://127.0.0.1:1: connection refused";
    let url = "http://127.0.0.1:1";
    for command in [
        &["push", "--task=t", "--give-up-after=1ms", "--to", url][..],
        &["tail", "t", "--give-up-after=1ms", "--url", url],
        &["tasks", "--url", url],
        &["simulate", "--tasks=1", "--push-to", url],
    ] {
        let said = said(command).await;
        assert!(said.contains(expected), "{command:?}: {said}");
        assert!(!said.contains("os error") && !said.contains("transport"), "{said}");
    }
    let said = said(&["health", "--url", url]).await;
    assert_eq!(
        said,
        "otto-handler: cannot connect to http://127.0.0.1:1/readyz: connection refused\n"
    );
}

#[tokio::test]
async fn an_address_of_another_form_is_refused_with_the_form_by_every_command() {
    for command in [
        &["push", "--task=t", "--to"][..],
        &["push", "--task=t", "--viewer"],
        &["tail", "t", "--url"],
        &["tasks", "--url"],
        &["simulate", "--push-to"],
        &["verify", "--grpc=http://a:1", "--url"],
        &["health", "--url"],
    ] {
        for address in ["127.0.0.1:1", "localhost", "ht tp://x", "ftp://a"] {
            let said = said(&[command, &[address]].concat()).await;
            assert!(said.contains("expected http://host:port"), "{command:?} {address}: {said}");
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_token_makes_tail_and_tasks_name_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let secret = "--jwt-secret=0123456789abcdef0123456789abcdef";
    let server = Process::start_with_auth(&dir.path().join("data"), &[secret]).await;
    let url = format!("http://{}", server.http);
    for command in [&["tail", "t"][..], &["tail", "t", "--wait"], &["tasks"]] {
        let without = said(&[command, &["--url", &url]].concat()).await;
        assert!(
            without.contains("401") && without.contains("give a token with --token"),
            "{without}"
        );
        let with = said(&[command, &["--url", &url, "--token=abc"]].concat()).await;
        assert!(with.contains("check --token or OTTO_TOKEN"), "{with}");
    }
    assert_eq!(server.terminate().await, Some(0));
}
