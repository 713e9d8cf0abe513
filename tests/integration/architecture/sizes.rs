//! How large folders and files may grow.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILES: usize = 12;
const MAX_LINES: usize = 400;

/// What is written by hand, by a file's extension.
const SOURCES: &[&str] = &["css", "go", "html", "js", "py", "rs", "sh"];

/// What others wrote, or machines.
const LEFT_OUT: &[&str] = &["fixtures", "node_modules", "__pycache__", "target"];

/// One line for each folder or file below `folder` that is too large.
pub(super) fn too_large(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut files = 0;
    for path in entries(folder) {
        if path.is_dir() {
            found.extend(too_large(&path));
        } else {
            files += 1;
            found.extend(too_long(&path));
        }
    }
    if files > MAX_FILES {
        found.push(format!("{} has {files} files, the limit is {MAX_FILES}", folder.display()));
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        !name.starts_with('.') && !LEFT_OUT.contains(&&*name)
    });
    paths.sort();
    paths
}

fn too_long(path: &Path) -> Option<String> {
    let is_source = path.extension().is_some_and(|end| SOURCES.iter().any(|known| end == *known));
    let is_generated = path.to_string_lossy().ends_with(".pb.go");
    if !is_source || is_generated {
        return None;
    }
    let lines = fs::read_to_string(path).unwrap().lines().count();
    (lines > MAX_LINES)
        .then(|| format!("{} has {lines} lines, the limit is {MAX_LINES}", path.display()))
}
