//! The checker, on the real program: a short seeded run with kills, and its own exit codes.

use std::fs;

use serde_json::Value;

use crate::support::run;

const FAULTS: &str = "kill,kill-start,kill-roll,kill-shutdown,stop,cut,reset,slow-viewers";

fn last_json(output: &std::process::Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().next_back().expect("a verdict")).unwrap()
}

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_keeps_its_word_and_the_history_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let history = dir.path().join("history.jsonl");
    let history = history.to_str().unwrap();
    let flags = ["verify", "--seed", "7", "--duration", "15s", "--fault-every", "1s", "--json"];
    let more = ["--faults", FAULTS, "--history", history];
    let output = run(&[&flags[..], &more].concat(), b"").await;
    let told = String::from_utf8_lossy(&output.stderr);
    let verdict = last_json(&output);
    assert_eq!(output.status.code(), Some(0), "{told}\n{verdict:#}");
    assert!(verdict["faults"].as_u64().unwrap() >= 5, "{verdict:#}");
    assert!(verdict["workers"].as_array().unwrap().iter().all(|worker| worker["acked"] != 0));

    let replayed = run(&["verify", "--replay", history, "--json"], b"").await;
    assert_eq!(replayed.status.code(), Some(0));
    assert_eq!(last_json(&replayed), verdict);

    // An acknowledgement of a line that was never kept: the judge has to see it in the file.
    let mut records = fs::read_to_string(history).unwrap();
    let task = verdict["workers"][0]["task"].as_str().unwrap();
    let acked = r#""event":"acked","worker":"w1","from":1000000,"to":1000000"#;
    records += &format!("{{\"time\":1,\"actor\":\"producer-1\",{acked},\"task\":\"{task}\"}}\n");
    fs::write(history, records).unwrap();
    let replayed = run(&["verify", "--replay", history, "--json"], b"").await;
    assert_eq!(replayed.status.code(), Some(1));
    assert_eq!(last_json(&replayed)["violationCount"], 1);
}

#[tokio::test]
async fn a_server_whose_segments_are_damaged_while_it_is_down_tells_all_that_is_missing() {
    let flags = ["verify", "--seed", "5", "--duration", "8s", "--rate", "500", "--json"];
    let more = ["--fault-every", "1500ms", "--faults", "damage"];
    let output = run(&[&flags[..], &more].concat(), b"").await;
    let (told, verdict) = (String::from_utf8_lossy(&output.stderr), last_json(&output));
    assert_eq!(output.status.code(), Some(0), "{told}\n{verdict:#}");
    assert!(verdict["faults"].as_u64().unwrap() >= 2, "{verdict:#}");
}

#[tokio::test]
async fn a_run_that_cannot_take_place_is_neither_sound_nor_violated() {
    let output = run(&["verify", "--replay", "/nowhere/history.jsonl"], b"").await;
    assert_eq!(output.status.code(), Some(2));
}

mod prober {
    use super::*;
    use crate::support::Process;

    #[tokio::test]
    async fn a_running_server_is_probed_until_the_duration_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let server = Process::start(&dir.path().join("data"), &[], None).await;
        let (http, grpc) = (format!("http://{}", server.http), server.grpc_url());
        let flags = ["verify", "--url", &http, "--grpc", &grpc, "--duration", "3s", "--json"];
        let output = run(&flags, b"").await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(last_json(&output)["violations"], Value::Array(Vec::new()));
        assert_eq!(server.terminate().await, Some(0));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_a_violation() {
        let (http, grpc) = ("http://127.0.0.1:9", "http://127.0.0.1:9");
        let flags =
            ["verify", "--url", http, "--grpc", grpc, "--duration", "1s", "--patience", "1s"];
        let output = run(&flags, b"").await;
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
