//! Settings that cannot be served with are refused before a port is bound, by name, value and rule.

use std::path::Path;

use crate::support::{Process, run_with_variable};

/// Runs `serve` with these flags; it must fail, and say `expected` on standard error.
async fn refused(flags: &[&str], expected: &str) {
    refused_with(flags, None, expected).await;
}

/// The same with an environment variable set.
async fn refused_with(flags: &[&str], variable: Option<(&str, &str)>, expected: &str) {
    let is_given = |name: &str| flags.iter().any(|flag| flag.starts_with(name));
    let ports = ["--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
    let ports = ports.iter().filter(|port| !is_given(&port[.."--grpc-addr".len()]));
    let all: Vec<_> = ["serve"].iter().chain(ports).chain(flags).copied().collect();
    let output = run_with_variable(&all, variable, b"").await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{flags:?} was accepted");
    assert!(said.contains(expected), "{flags:?} said {said:?}, which lacks {expected:?}");
}

fn config_file(dir: &Path, text: &str) -> String {
    let path = dir.join("otto.toml");
    std::fs::write(&path, text).unwrap();
    format!("--config={}", path.display())
}

#[tokio::test]
async fn impossible_settings_are_refused_with_the_value_and_the_rule() {
    let secret = "--jwt-secret=0123456789abcdef0123456789abcdef";
    refused(&[], "auth is jwt, which needs a secret").await;
    refused(&["--jwt-secret=short"], "jwt-secret is 5 bytes, it needs at least 32").await;
    let open = "auth is none, which is allowed on loopback only, and http-addr is 0.0.0.0:0";
    refused(&["--auth=none", "--http-addr=0.0.0.0:0"], open).await;
    refused(&[secret, "--grpc-addr=0.0.0.0:0"], "set --push-auth none to allow that").await;
    let entry = "max-entry-bytes is 8.0 MiB, it needs 1 KiB to 4 MiB";
    refused(&[secret, "--max-entry-bytes=8MiB"], entry).await;
    let line =
        "max-line-bytes is 64.0 MiB, it needs max-entry-bytes, 1.0 MiB, to 23.0 MiB, for which";
    refused(&[secret, "--max-line-bytes=64MiB"], line).await;
    let line =
        "max-line-bytes is 1.0 KiB, it needs max-entry-bytes, 1.0 MiB, to 23.0 MiB, for which";
    refused(&[secret, "--max-line-bytes=1KiB"], line).await;
    refused(&[secret, "--heartbeat=0s"], "heartbeat is 0, it needs a positive duration").await;
    refused(&[secret, "--durability=paper"], "\"paper\"").await;
    let source = "pull-from is \"ftp://ottoscaler\", expected http://host:port";
    refused(&[secret, "--pull-from=ftp://ottoscaler"], source).await;
    let credential = "pull-from is \"host:1\", expected http://host:port";
    refused(&[secret, "--pull-from=http://user:secret@host:1"], credential).await;
    refused(&[secret, "--pull-mode=always"], "pull-mode is always, which needs --pull-from").await;
    let polling = "pull-status-interval is 10ms, it needs 0s or at least 1s";
    refused(&[secret, "--pull-status-interval=10ms"], polling).await;
    let bytes = "retention-bytes is 10.0 KiB, it needs at least 1.0 MiB";
    refused(&[secret, "--retention-bytes=10KiB"], bytes).await;
    let age = "retention-age is 10ms, it needs at least 1s";
    refused(&[secret, "--retention-age=10ms"], age).await;
    let age = "task-retention-age is 10ms, it needs at least 1s";
    refused(&[secret, "--task-retention-age=10ms"], age).await;
    let limit = "task-bytes is 10.0 KiB, it needs at least 1.0 MiB";
    refused(&[secret, "--task-bytes=10KiB"], limit).await;
    let limit = "task-bytes is 2.0 MiB, it needs no limit with durability memory";
    refused(&[secret, "--task-bytes=2MiB", "--durability=memory"], limit).await;
    let count = "task-retention-count is 0, it needs 1 to 1000000";
    refused(&[secret, "--task-retention-count=0"], count).await;
    let origin = "frontend_url is \"ci.example.org\", it must be an origin";
    refused(&[secret, "--frontend-url=ci.example.org"], origin).await;
}

#[tokio::test]
async fn the_old_name_of_threads_is_still_a_flag_a_variable_and_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let expected = "threads is 0, it needs 1 to 1024";
    refused(&["--auth=none", "--threads=0"], expected).await;
    refused(&["--auth=none", "--workers=0"], expected).await;
    let variable = |name| Some((name, "0"));
    refused_with(&["--auth=none"], variable("OTTO_THREADS"), expected).await;
    refused_with(&["--auth=none"], variable("OTTO_WORKERS"), expected).await;
    let old_key = config_file(dir.path(), "workers = 0\n");
    refused(&["--auth=none", &old_key], expected).await;
    // A flag wins over the environment, the environment over the file, whichever name they use.
    let flags = ["--auth=none", "--workers=0"];
    refused_with(&flags, Some(("OTTO_THREADS", "1")), expected).await;
    let key = config_file(dir.path(), "threads = 1\n");
    refused_with(&["--auth=none", &key], variable("OTTO_WORKERS"), expected).await;
}

#[tokio::test]
async fn a_configuration_file_sets_flags_and_unknown_keys_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let unknown = config_file(dir.path(), "grpc-adr = \"127.0.0.1:1\"\n");
    refused(&[&unknown, "--auth=none"], "unknown key \"grpc-adr\", known are auth, data-dir,")
        .await;
    let impossible = config_file(dir.path(), "max-viewers = \"many\"\n");
    refused(&[&impossible, "--auth=none"], "'many'").await;
    let broken = config_file(dir.path(), "max-viewers = \n");
    refused(&[&broken, "--auth=none"], "otto.toml").await;
    refused(&["--config=missing.toml"], "missing.toml: No such file or directory").await;

    let data = dir.path().join("from-file");
    let text = format!("data-dir = {:?}\nmax-viewers = 7\n", data.display().to_string());
    let config = config_file(dir.path(), &text);
    let server = Process::start(&dir.path().join("from-flag"), &[&config], None).await;
    assert!(dir.path().join("from-flag").exists(), "a flag wins over the file");
    assert!(!data.exists());
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn a_data_directory_that_cannot_serve_is_refused_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let flag = |path: &Path| format!("--data-dir={}", path.display());
    refused(&["--auth=none", &flag(&file)], "file").await;
    refused(&["--auth=none", &flag(&file.join("below"))], "below").await;
    refused(&["--auth=none", "--data-dir=/proc/otto"], "/proc/otto").await;

    let data = dir.path().join("made/when/missing");
    let first = Process::start(&data, &[], None).await;
    refused(&["--auth=none", &flag(&data)], "made/when/missing").await;
    assert_eq!(first.terminate().await, Some(0));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let first = Process::start(&dir.path().join("a"), &[], None).await;
    let flag = format!("--grpc-addr={}", first.grpc);
    let data = format!("--data-dir={}", dir.path().join("b").display());
    let expected = format!("cannot listen on grpc-addr {}", first.grpc);
    refused(&["--auth=none", &flag, &data], &expected).await;
}
