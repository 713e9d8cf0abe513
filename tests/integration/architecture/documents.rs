//! What the documents name must be there.

use std::fs;
use std::path::Path;

use super::root;

/// The text between backticks that may be a test's name: a sentence in small letters.
fn named_tests(document: &str) -> impl Iterator<Item = &str> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let quoted = document.split('`').skip(1).step_by(2);
    quoted.filter(move |text| text.matches('_').count() >= 3 && text.chars().all(is_letter))
}

fn all_sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            None if path.is_dir() => all_sources(&path, text),
            Some("rs") => text.push_str(&fs::read_to_string(&path).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn every_test_that_the_page_on_reliability_names_exists() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let mut sources = String::new();
    all_sources(&root().join("src"), &mut sources);
    all_sources(&root().join("tests/integration"), &mut sources);
    let names: Vec<_> = named_tests(&page).collect();
    assert!(names.len() > 20, "{} tests are named", names.len());
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "there is no test {name}");
    }
    let (faults, _measured) =
        page.split_once("## Measured").expect("the page ends in what was measured");
    for row in faults.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault"))
    {
        assert!(named_tests(row).next().is_some(), "no test: {row}");
    }
}
