//! What is absent: who must not know whom.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The source files outside `allowed` that use `name` as a path's first part.
fn users_outside(name: &str, allowed: &[&str]) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_allowed = |path: &Path| {
        let path = path.strip_prefix(&source).unwrap();
        allowed.iter().any(|allowed| path.starts_with(allowed))
    };
    let uses = |path: &Path| fs::read_to_string(path).unwrap().contains(&format!("{name}::"));
    sources(&source).into_iter().filter(|path| !is_allowed(path) && uses(path)).collect()
}

fn assert_none(found: &[PathBuf]) {
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn only_the_grpc_side_and_the_clients_know_tonic() {
    let allowed = ["grpc", "proto.rs", "client", "simulate", "pull", "verify"];
    assert_none(&users_outside("tonic", &allowed));
}

#[test]
fn only_the_http_side_knows_axum_and_hyper() {
    assert_none(&users_outside("axum", &["http"]));
    assert_none(&users_outside("hyper", &["http"]));
}

#[test]
fn the_core_knows_no_transport() {
    for transport in ["crate::http", "crate::grpc", "crate::client", "crate::cli", "crate::server"]
    {
        let allowed =
            ["http", "grpc", "client", "cli", "server", "simulate", "pull", "verify", "main.rs"];
        assert_none(&users_outside(transport, &allowed));
    }
}
