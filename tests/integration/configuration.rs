//! Impossible settings are refused before a port is bound, by name, value and rule.

use std::path::Path;

use crate::support::{Process, run};

/// Runs `serve` with these flags; it must fail, and say `expected` on standard error.
async fn refused(flags: &[&str], expected: &str) {
    let is_given = |name: &str| flags.iter().any(|flag| flag.starts_with(name));
    let ports = ["--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
    let ports = ports.iter().filter(|port| !is_given(&port[.."--grpc-addr".len()]));
    let all: Vec<_> = ["serve"].iter().chain(ports).chain(flags).copied().collect();
    let output = run(&all, b"").await;
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
    refused(&[], "auth is jwt and there is no secret").await;
    refused(&["--jwt-secret=short"], "jwt-secret is 5 bytes, it needs at least 32").await;
    let open = "auth none is for loopback only, and http-addr is 0.0.0.0:0";
    refused(&["--auth=none", "--http-addr=0.0.0.0:0"], open).await;
    refused(&[secret, "--grpc-addr=0.0.0.0:0"], "say --push-auth none if that is meant").await;
    let entry = "max-entry-bytes is 8.0 MiB, it needs 1 KiB to 4 MiB";
    refused(&[secret, "--max-entry-bytes=8MiB"], entry).await;
    refused(&[secret, "--heartbeat=0s"], "heartbeat is 0, it needs a positive duration").await;
    refused(&[secret, "--durability=paper"], "\"paper\" is no durability mode").await;
    let source = "pull-from is \"ftp://ottoscaler\", it needs the form http://host:port";
    refused(&[secret, "--pull-from=ftp://ottoscaler"], source).await;
    let credential = "pull-from is \"host:1\", it needs the form";
    refused(&[secret, "--pull-from=http://user:secret@host:1"], credential).await;
    refused(&[secret, "--pull-mode=always"], "pull-mode is always and there is no --pull-").await;
    let polling = "pull-status-interval is 10ms, it needs 0s or at least 1s";
    refused(&[secret, "--pull-status-interval=10ms"], polling).await;
    let origin = "frontend_url is \"ci.example.org\", it must be an origin";
    refused(&[secret, "--frontend-url=ci.example.org"], origin).await;
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
