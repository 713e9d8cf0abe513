//! Words that the glossary replaced must not come back as names.

use std::path::Path;

use super::sources;

/// A type's name says whose it is: these say nothing.
const BARE: &[&str] = &[
    "Fetch",
    "Gathered",
    "Home",
    "Http",
    "Inner",
    "Item",
    "Kept",
    "Numbering",
    "Options",
    "Pace",
    "Place",
    "Refused",
    "Seat",
    "Session",
    "Settle",
    "Shared",
    "Site",
    "Slot",
    "Spot",
    "Stamp",
    "State",
    "Stretch",
    "Told",
    "Turn",
    "Vitals",
    "Watch",
    "Window",
];

/// Names of which no part is to be found anywhere.
const RETIRED: &[&str] = &[
    "Carriers",
    "Carrying",
    "RunFacts",
    "doomed",
    "keep_up",
    "make_room",
    "put_down",
    "told_blocks",
];

/// Files that once were, each in its folder.
const FILES: &[&str] = &[
    "grpc/answers.rs",
    "grpc/entries.rs",
    "ingest/exchange.rs",
    "moderation.rs",
    "places.rs",
    "settle.rs",
    "store/facts.rs",
    "store/pace.rs",
    "vitals.rs",
];

/// One line for each retired name in `text`.
fn retired_names(file: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words = || line.split(|c: char| !c.is_alphanumeric() && c != '_');
        let mut defined = words().skip_while(|word| !matches!(*word, "struct" | "enum" | "trait"));
        let bare = defined.nth(1).filter(|name| BARE.contains(name));
        let retired = words().find(|word| RETIRED.contains(word));
        found.extend(bare.or(retired).map(|name| format!("{file}:{}: {name}", number + 1)));
    }
    found
}

#[test]
fn words_that_the_glossary_replaced_stay_away() {
    let sources = sources();
    let names = sources.iter().flat_map(|(file, text)| retired_names(file, text));
    let files =
        sources.keys().filter(|file| FILES.iter().any(|gone| Path::new(file).ends_with(gone)));
    let found: Vec<_> = names.chain(files.cloned()).collect();
    assert!(found.is_empty(), "the glossary in ARCHITECTURE.md has other words: {found:#?}");
}

#[test]
fn a_retired_name_is_found_where_it_is_defined_or_used() {
    let text = "pub(super) struct Seat;\nlet seat = Seat;\nself.keep_up();\n";
    assert_eq!(retired_names("a.rs", text), ["a.rs:1: Seat", "a.rs:3: keep_up"]);
}
