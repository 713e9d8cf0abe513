//! Settings that cannot be served with are refused before a port is bound, by name, value and rule.

use std::path::Path;

use clap::CommandFactory;
use otto_handler::cli::Cli;

use crate::support::{Process, binary, free_port, run, run_with_variable, run_with_variables};

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
    let polling = "pull-status-interval is 10ms, it needs 0 or at least 1s";
    refused(&[secret, "--pull-status-interval=10ms"], polling).await;
    let bytes = "retention-bytes is 10.0 KiB, it needs at least 1.0 MiB";
    refused(&[secret, "--retention-bytes=10KiB"], bytes).await;
    let age = "retention-age is 10ms, it needs 0 or at least 1s";
    refused(&[secret, "--retention-age=10ms"], age).await;
    let age = "task-retention-age is 10ms, it needs 0 or at least 1s";
    refused(&[secret, "--task-retention-age=10ms"], age).await;
    let limit = "task-bytes is 10.0 KiB, it needs at least 1.0 MiB";
    refused(&[secret, "--task-bytes=10KiB"], limit).await;
    let limit = "task-bytes is 2.0 MiB, it needs no limit with durability memory";
    refused(&[secret, "--task-bytes=2MiB", "--durability=memory"], limit).await;
    let count = "max-viewers is 0, it needs 1 to 1000000";
    refused(&[secret, "--max-viewers=0"], count).await;
    let origin = "frontend-url is \"ci.example.org\", expected an origin such as";
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
    let known = "otto.toml:1: unknown key \"grpc-adr\", known are access-log, auth, ";
    refused(&[&unknown, "--auth=none"], known).await;
    let impossible = config_file(dir.path(), "# viewers\nmax-viewers = \"many\"\n");
    refused(&[&impossible, "--auth=none"], "otto.toml:2: max-viewers is \"many\": invalid digit")
        .await;
    let zero = config_file(dir.path(), "auth = \"none\"\n\nmax-viewers = 0\n");
    refused(&[&zero], "otto.toml:3: max-viewers is 0, it needs 1 to 1000000").await;
    let origin = config_file(dir.path(), "auth = \"none\"\nfrontend-url = \"ci\"\n");
    refused(&[&origin], "otto.toml:2: frontend-url is \"ci\", expected an origin").await;
    refused(&[&zero, "--max-viewers=0"], "otto-handler: max-viewers is 0").await;
    let broken = config_file(dir.path(), "max-viewers = \n");
    refused(&[&broken, "--auth=none"], "otto.toml:1: ").await;
    refused(&["--config=missing.toml"], "cannot read the configuration missing.toml: No such")
        .await;

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

/// Every variable that a command reads a flag from.
fn variables_of_all_commands() -> Vec<String> {
    let cli = Cli::command();
    let args = cli.get_subcommands().flat_map(clap::Command::get_arguments);
    let names = args.filter_map(|arg| Some(arg.get_env()?.to_str()?.to_owned()));
    names.collect()
}

#[tokio::test]
async fn a_variable_that_is_set_to_nothing_counts_as_not_set_for_every_command() {
    let names = variables_of_all_commands();
    assert!(names.len() > 60 && names.iter().any(|name| name == "PORT"), "{names:?}");
    let names: Vec<_> = names.iter().map(String::as_str).chain(["OTTO_WORKERS"]).collect();
    let empty: Vec<_> = names.iter().map(|name| (*name, "")).collect();

    let dir = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.envs(empty.iter().copied());
    let flags = ["--auth=none", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
    let flags = [&flags[..], &["--min-free-bytes=0"]].concat();
    let server = Process::start_program(command, &dir.path().join("data"), &flags).await;
    let (grpc, http) = (server.grpc_url(), format!("http://{}", server.http));
    let secret = "--jwt-secret=0123456789abcdef0123456789abcdef";
    for command in [
        &["push", "--task=t", "--to", &grpc][..],
        &["tasks", "--url", &http],
        &["tail", "t", "--no-follow", "--url", &http],
        &["token", "--sub=me", secret],
        &["simulate", "--tasks=1", "--workers=1", "--rate=0", "--push-to", &grpc],
        &["health", "--url", &http],
    ] {
        let output = run_with_variables(command, &empty, b"a line\n").await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
    }
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn a_switch_that_a_variable_turns_off_is_at_odds_with_no_flag() {
    let off = [("OTTO_TAIL_JSON", "false"), ("OTTO_TAIL_NO_FOLLOW", "0")];
    let server = "--url=http://127.0.0.1:1";
    let flags = ["tail", "t", "--raw", "--follow-reopened", "--give-up-after=1ms", server];
    let output = run_with_variables(&flags, &off, b"").await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot connect to http://127.0.0.1:1"), "{said}");
}

#[tokio::test]
async fn a_value_that_cannot_be_used_is_said_to_come_from_its_variable() {
    let port = "invalid value 'abc' for 'environment variable PORT'";
    refused_with(&["--auth=none"], Some(("PORT", "abc")), port).await;
    let flag = "invalid value 'abc' for '--port <PORT>'";
    refused_with(&["--auth=none", "--port=abc"], Some(("PORT", "1")), flag).await;
    let addr = "invalid value 'localhost:1' for '--http-addr <ADDR>': expected an IP address";
    refused(&["--auth=none", "--http-addr=localhost:1"], addr).await;
}

/// The port that a server listens on with these variables, flags and this file; `None` is for the
/// ports that it was not given.
async fn http_port(variables: &[(&str, String)], flags: &[&str], file: &str) -> u16 {
    let dir = tempfile::tempdir().unwrap();
    let config = config_file(dir.path(), file);
    let mut command = binary();
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let fixed = ["--auth=none", "--grpc-addr=127.0.0.1:0", &config];
    let server =
        Process::start_program(command, &dir.path().join("data"), &[&fixed[..], flags].concat())
            .await;
    let port = server.http.rsplit_once(':').unwrap().1.parse().unwrap();
    assert_eq!(server.terminate().await, Some(0));
    port
}

#[tokio::test]
async fn the_http_port_is_that_of_the_flag_then_the_variable_then_port_then_the_file() {
    let (own, platform) = (free_port(), free_port());
    let port = |number: u16| ("PORT", number.to_string());
    let variable = |text: String| ("OTTO_HTTP_ADDR", text);
    let own_addr = format!("127.0.0.1:{own}");
    let flag = format!("--http-addr={own_addr}");
    let file = format!("http-addr = {own_addr:?}");
    assert_eq!(http_port(&[port(platform)], &[&flag], "").await, own);
    assert_eq!(http_port(&[port(platform), variable(own_addr.clone())], &[], "").await, own);
    assert_eq!(
        http_port(
            &[variable(own_addr)],
            &["--http-addr=127.0.0.1:0", "--port", &platform.to_string()],
            ""
        )
        .await,
        platform
    );
    let without_port = variable("127.0.0.1".into());
    assert_eq!(http_port(&[port(platform), without_port], &[], "").await, platform);
    assert_eq!(http_port(&[port(platform)], &[], &file).await, platform);
    assert_eq!(http_port(&[], &[], &file).await, own);
}

#[tokio::test]
async fn health_asks_where_the_flags_variables_and_file_of_the_server_say() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(&dir.path().join("data"), &[], None).await;
    let port = server.http.rsplit_once(':').unwrap().1;
    let config = config_file(dir.path(), &format!("http-addr = {:?}\n", server.http));
    let url = format!("http://{}", server.http);
    for (variables, flags) in [
        (vec![("OTTO_HTTP_ADDR", server.http.as_str())], vec![]),
        (vec![("PORT", port)], vec![]),
        (vec![("OTTO_CONFIG", config.trim_start_matches("--config="))], vec![]),
        (vec![("PORT", "1")], vec!["--url", url.as_str()]),
        (vec![], vec![config.as_str()]),
    ] {
        let output = run_with_variables(&[&["health"][..], &flags].concat(), &variables, b"").await;
        assert_eq!(output.stdout, b"ready\n", "{variables:?} {flags:?}");
    }
    let bad = run_with_variable(&["health"], Some(("OTTO_HTTP_ADDR", "localhost")), b"").await;
    let said = String::from_utf8(bad.stderr).unwrap();
    assert!(said.contains("OTTO_HTTP_ADDR': expected an IP address"), "{said}");
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn the_images_health_check_follows_port() {
    let image = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile"));
    let image = image.unwrap();
    assert!(image.contains("CMD [\"otto-handler\", \"health\"]"), "{image}");
    let set: Vec<_> = image.split_whitespace().filter(|text| text.starts_with("OTTO_")).collect();
    let mut variables: Vec<_> = set.iter().filter_map(|text| text.split_once('=')).collect();
    assert!(variables.len() >= 4, "{variables:?}");
    for (port, asked) in [("", "http://127.0.0.1:4000/"), ("7", "http://127.0.0.1:7/")] {
        variables.push(("PORT", port));
        let output = run_with_variables(&["health", "--timeout=5s"], &variables, b"").await;
        let said = String::from_utf8(output.stderr).unwrap();
        // A server of another test may listen on port 4000.
        let is_asked = said.contains(asked) || (port.is_empty() && output.stdout == b"ready\n");
        assert!(is_asked, "{said}");
    }
}

#[tokio::test]
async fn what_the_system_says_is_said_once() {
    let data = ["serve", "--auth=none", "--grpc-addr=127.0.0.1:0", "--data-dir=/proc/otto"];
    let history = ["verify", "--history=/nowhere/run.jsonl", "--duration=1ms"];
    for command in [&data[..], &history, &["verify", "--replay=/nowhere"], &["inspect", "/nowhere"]]
    {
        let output = run(command, b"").await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.matches("No such file or directory").count(), 1, "{said}");
        assert_eq!(said.matches("os error").count(), 1, "{said}");
    }
}
