//! What pages of `docs` claim of the code: tests that are named are there, reasons are on their page.

use std::{collections::BTreeSet, fs, path::Path};

use super::sources;

#[test]
fn every_behaviour_of_the_original_is_shown_or_said_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let page = read("docs/behaviours.md");
    let wanted = (1..=53).map(|number| format!("W{number}"));
    let wanted = wanted.chain((1..=16).map(|number| format!("D{number}")));
    let mut missing = Vec::new();
    for number in wanted {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {number} |")));
        let shown = row
            .and_then(|row| row.split('|').nth(3))
            .unwrap_or_default();
        let tests: Vec<&str> = shown
            .split('`')
            .filter(|part| part.contains("::"))
            .collect();
        if tests.is_empty() && !shown.contains("No logins") {
            missing.push(format!("{number}: no test and no reason"));
        }
        for test in tests {
            let (path, name) = test.split_once("::").unwrap_or_default();
            if !read(path).contains(&format!("fn {name}(")) {
                missing.push(format!("{number}: there is no {test}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Pages that say which test holds what they claim, as `file::name`.
const PAGES: [&str; 2] = ["docs/architecture.md", "docs/openstack.md"];

#[test]
fn every_test_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(root.join(page)).expect("the page");
        let named = text.split('`').filter_map(|part| part.split_once("::"));
        let named: Vec<(&str, &str)> = named
            .filter(|(path, _)| Path::new(path).extension().is_some_and(|one| one == "rs"))
            .collect();
        assert!(!named.is_empty(), "{page} names no test");
        for (path, name) in named {
            let source = fs::read_to_string(root.join(path)).unwrap_or_default();
            if !source.contains(&format!("fn {name}(")) {
                missing.push(format!("{page}: there is no {path}::{name}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Words in quotes that look like a reason and are none.
const NO_REASONS: [&str; 5] = [
    "CREATION_SCHEDULED",
    "DELETION_SCHEDULED",
    "OUT_DIR",
    "SCREAMING_SNAKE_CASE",
    "UPDATE_SCHEDULED",
];

/// What the sources have in quotes, in capitals and with an underscore.
fn words_in_capitals(text: &str) -> BTreeSet<&str> {
    text.split('"')
        .filter(|word| {
            word.contains('_')
                && !word.ends_with('_')
                && word.starts_with(|first: char| first.is_ascii_uppercase())
                && word
                    .chars()
                    .all(|one| one.is_ascii_uppercase() || one.is_ascii_digit() || one == '_')
        })
        .collect()
}

#[test]
fn every_reason_is_on_the_page_of_reasons_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/errors.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    let listed: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split('`'))
        .filter(|word| {
            word.chars()
                .all(|one| one.is_ascii_uppercase() || one == '_' || one == '2')
        })
        .filter(|word| !word.is_empty())
        .collect();
    let telling = [
        "api",
        "domain",
        "engine",
        "import_waldur",
        "plan",
        "rest",
        "service",
    ];
    let sources = sources();
    let told: Vec<&str> = sources
        .iter()
        .filter(|source| {
            telling.contains(&source.room.as_str()) || source.path.starts_with("app/entrance")
        })
        .filter(|source| !source.path.to_string_lossy().contains("tests"))
        .map(|source| source.text.split("#[cfg(test)]").next().unwrap_or_default())
        .collect();
    let used: BTreeSet<&str> = told
        .iter()
        .flat_map(|text| words_in_capitals(text))
        .collect();
    let unlisted: Vec<&&str> = used
        .difference(&listed)
        .filter(|word| !NO_REASONS.contains(word))
        .collect();
    assert!(unlisted.is_empty(), "not on docs/errors.md: {unlisted:?}");
    let unused: Vec<&&str> = listed
        .iter()
        .filter(|word| {
            !told
                .iter()
                .any(|text| text.contains(&format!("\"{word}\"")))
        })
        .collect();
    assert!(
        unused.is_empty(),
        "on docs/errors.md and never told: {unused:?}"
    );
}
