//! What is absent: who must not import whom, and what must not grow.
//!
//! Imports are parsed, not searched for: grouped, renamed and re-exported ones count, and so do
//! paths in the code and within macros. Test modules may import what they like.

mod crates;
mod documents;
mod graph;
mod resolver;
mod sizes;
mod syntax;
mod vocabulary;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crates::{Modules, Sources};
use graph::Graph;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Sources {
    crates::read(&root().join("src"))
}

/// Whether `file` is one of `places`: a file, or below a folder, which ends with `/`.
fn is_in(file: &str, places: &[&str]) -> bool {
    places.iter().any(
        |place| {
            if place.ends_with('/') { file.starts_with(place) } else { file == *place }
        },
    )
}

/// Fails when a file outside `allowed` names one of `crates`.
fn only_there(crates: &[&str], allowed: &[&str]) {
    let modules = Modules::parse(&sources());
    let users: BTreeSet<String> = modules
        .externals()
        .into_iter()
        .filter(|(file, name)| crates.contains(name) && !is_in(&modules.files[*file], allowed))
        .map(|(file, name)| format!("{} names {name}", modules.files[file]))
        .collect();
    assert!(users.is_empty(), "only {allowed:?} may: {users:#?}");
}

/// Fails when an import leads from where `from` holds to where `to` holds.
fn no_import(from: impl Fn(&str) -> bool, to: impl Fn(&str) -> bool) {
    let graph = Graph::of(&sources());
    let found: Vec<_> = graph.edges().filter(|(user, used)| from(user) && to(used)).collect();
    assert!(found.is_empty(), "these imports must not be: {found:#?}");
}

#[test]
fn only_the_grpc_side_and_the_clients_know_tonic() {
    only_there(&["tonic"], &["grpc/", "proto.rs", "client/", "simulate/", "pull/", "verify/"]);
}

#[test]
fn only_the_http_side_knows_axum_and_hyper() {
    only_there(&["axum", "hyper"], &["http/"]);
}

#[test]
fn only_the_metrics_know_what_prometheus_reads() {
    only_there(&["prometheus_client"], &["metrics/"]);
}

#[test]
fn the_core_knows_no_transport() {
    let transports = ["http/", "grpc/", "client/", "cli/", "server/"];
    let users =
        [&transports[..], &["simulate/", "pull/", "verify/", "config/", "main.rs"]].concat();
    no_import(|user| !is_in(user, &users), |used| is_in(used, &transports));
}

#[test]
fn the_disk_format_imports_nothing_from_its_siblings() {
    let format = ["store/format/"];
    assert!(sources().keys().any(|file| is_in(file, &format)), "src/store/format has no files");
    no_import(
        |user| is_in(user, &format),
        |used| is_in(used, &["store/"]) && !is_in(used, &format),
    );
}

#[test]
fn imports_run_in_no_circle() {
    let circles = Graph::of(&sources()).circles();
    let shown: Vec<&str> = circles.iter().map(String::as_str).collect();
    assert!(shown.is_empty(), "{} circles:\n{}", shown.len(), shown.join("\n"));
}

#[test]
fn folders_and_files_stay_small() {
    let folders = ["src", "tests", "benches/src", "web/js"];
    let found: Vec<String> =
        folders.iter().flat_map(|folder| sizes::too_large(&root().join(folder))).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// `cargo test --test integration picture -- --ignored`, then
/// `dot -Tsvg target/imports.dot -o imports.svg`.
#[test]
#[ignore = "writes target/imports.dot, a picture of the imports for graphviz"]
fn picture_of_the_imports() {
    let path: PathBuf = root().join("target/imports.dot");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, Graph::of(&sources()).dot()).unwrap();
}
