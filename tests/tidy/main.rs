//! The rules of the house that a machine can judge: rooms and their direction, foreign crates at
//! home, headers, pure planners, long files with a reason, code that stands twice. What it cannot judge is
//! conversation.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests are tests, which the lint does not see"
)]

mod copies;
mod pages;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use proc_macro2::{TokenStream, TokenTree};

/// Which rooms a room may know. An arrow down is allowed, never up, never sideways.
const ROOMS: &[(&str, &[&str])] = &[
    ("span", &[]),
    ("domain", &["span"]),
    ("import_waldur", &["domain"]),
    ("port", &["domain"]),
    ("auth", &["domain", "port", "span"]),
    ("plan", &["domain", "span"]),
    ("engine", &["domain", "port", "span"]),
    ("store", &["domain", "port"]),
    ("openstack", &["domain", "port"]),
    ("sim", &[]),
    ("service", &["domain", "port", "span"]),
    ("api", &["domain", "service", "span"]),
    ("rest", &["domain", "service"]),
    ("worker", &["domain", "port", "service", "span"]),
    ("cli", &["api", "span"]),
    (
        "app",
        &[
            "api",
            "auth",
            "cli",
            "domain",
            "engine",
            "openstack",
            "import_waldur",
            "plan",
            "port",
            "rest",
            "service",
            "sim",
            "span",
            "store",
            "worker",
        ],
    ),
];

/// Foreign crates that have a home; any other room that names them is a leak.
const HOMES: &[(&str, &[&str])] = &[
    ("tonic", &["api", "app", "cli"]),
    ("tonic_types", &["api", "app", "cli"]),
    ("tonic_health", &["api", "app", "cli"]),
    ("tonic_reflection", &["api"]),
    ("prost", &["api", "app", "cli"]),
    ("prost_types", &["api", "app", "cli"]),
    ("axum", &["rest", "sim", "app"]),
    ("hyper", &["app"]),
    ("hyper_util", &["app"]),
    ("rustix", &["app"]),
    ("tokio_rustls", &["app"]),
    ("x509_cert", &["app"]),
    ("utoipa", &["rest"]),
    ("utoipa_axum", &["rest"]),
    ("serde_path_to_error", &["rest"]),
    ("diesel", &["store"]),
    ("diesel_async", &["store"]),
    ("diesel_migrations", &["store"]),
    ("tokio_postgres", &["store"]),
    ("reqwest", &["openstack"]),
    ("clap", &["cli", "app"]),
    ("croner", &["domain"]),
    ("chrono_tz", &["domain", "service"]),
    ("indicatif", &["cli", "app"]),
    ("ipnet", &["plan"]),
    ("comfy_table", &["cli"]),
    ("figment", &["app", "cli"]),
    ("prometheus_client", &["app", "engine", "openstack", "rest"]),
];

/// Rooms in which nothing waits, tells the time or throws dice.
const PURE: &[&str] = &["domain", "plan"];

struct Source {
    path: PathBuf,
    room: String,
    text: String,
    tokens: Vec<String>,
}

/// The tokens of a source without its test modules, so that comments and strings do not count and
/// macros do.
fn flatten(stream: TokenStream, out: &mut Vec<String>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut index = 0;
    while index < trees.len() {
        if is_test_attribute(&trees[index..]) {
            // Skips the attribute and the item behind it up to its body.
            index += 2;
            while index < trees.len() && !matches!(&trees[index], TokenTree::Group(_)) {
                index += 1;
            }
            index += 1;
            continue;
        }
        match &trees[index] {
            TokenTree::Group(group) => {
                out.push("(".to_owned());
                flatten(group.stream(), out);
                out.push(")".to_owned());
            }
            TokenTree::Literal(_) => out.push("literal".to_owned()),
            TokenTree::Ident(ident) => out.push(ident.to_string()),
            TokenTree::Punct(punct) => out.push(punct.as_char().to_string()),
        }
        index += 1;
    }
}

fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(group), ..] = trees else {
        return false;
    };
    hash.as_char() == '#' && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn files(below: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|kind| kind == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The comment that opens a file, as one line.
fn header(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

fn sources() -> Vec<Source> {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    files(&below, "rs")
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("readable");
            let inside = path.strip_prefix(&below).expect("below src");
            let room = inside.components().next().expect("a part").as_os_str();
            let mut tokens = Vec::new();
            flatten(
                TokenStream::from_str(&text).expect("it parses"),
                &mut tokens,
            );
            let room = room.to_string_lossy().trim_end_matches(".rs").to_owned();
            Source {
                room,
                text,
                tokens,
                path: inside.to_path_buf(),
            }
        })
        .collect()
}

/// The first names behind `crate::`, also those of a group (`crate::{a, b::{c}}`).
fn rooms_named(tokens: &[String]) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for index in 0..tokens.len() {
        let path = tokens[index] == "crate"
            && tokens.get(index + 1).is_some_and(|token| token == ":")
            && tokens.get(index + 2).is_some_and(|token| token == ":");
        if !path {
            continue;
        }
        let Some(next) = tokens.get(index + 3) else {
            continue;
        };
        if next != "(" {
            named.insert(next.clone());
            continue;
        }
        let (mut depth, mut first) = (0, true);
        for token in &tokens[index + 3..] {
            match token.as_str() {
                "(" => depth += 1,
                ")" if depth == 1 => break,
                ")" => depth -= 1,
                "," if depth == 1 => first = true,
                name if depth == 1 && first => {
                    named.insert(name.to_owned());
                    first = false;
                }
                _ => {}
            }
        }
    }
    named
}

#[test]
fn rooms_point_inward() {
    let mut wrong = String::new();
    let mut edges: BTreeMap<(String, String), usize> = BTreeMap::new();
    for source in sources() {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room) else {
            continue;
        };
        for named in rooms_named(&source.tokens) {
            let is_room = ROOMS.iter().any(|(room, _)| *room == named);
            if !is_room || named == source.room {
                continue;
            }
            if !allowed.contains(&named.as_str()) {
                writeln!(
                    wrong,
                    "{}: {} may not know {named}",
                    source.path.display(),
                    source.room
                )
                .expect("a string");
            }
            *edges.entry((source.room.clone(), named)).or_default() += 1;
        }
    }
    assert!(wrong.is_empty(), "arrows that go up or sideways:\n{wrong}");
    let mut table =
        String::from("room -> room (a new line here is a new edge: say why in the commit)\n");
    for (from, to) in edges.keys() {
        writeln!(table, "{from} -> {to}").expect("a string");
    }
    golden("rooms.txt", &table);
}

#[test]
fn every_room_has_a_place_in_the_order() {
    for source in sources() {
        let known = ROOMS.iter().any(|(room, _)| *room == source.room);
        assert!(
            known || ["lib", "main"].contains(&source.room.as_str()),
            "{} is in no room of the table",
            source.path.display()
        );
    }
}

#[test]
fn foreign_crates_stay_at_home() {
    let mut wrong = String::new();
    for source in sources()
        .iter()
        .filter(|source| !["lib", "main"].contains(&source.room.as_str()))
    {
        for (name, homes) in HOMES {
            let used = source
                .tokens
                .windows(3)
                .any(|three| three[0] == *name && three[1] == ":" && three[2] == ":");
            if used && !homes.contains(&source.room.as_str()) {
                writeln!(wrong, "{}: {name}", source.path.display()).expect("a string");
            }
        }
    }
    assert!(wrong.is_empty(), "foreign crates away from home:\n{wrong}");
}

#[test]
fn planners_are_pure() {
    let impure = [
        "async",
        "await",
        "SystemTime",
        "Instant",
        "tokio",
        "spawn",
        "rand",
        "env",
        "Utc",
    ];
    for source in sources()
        .iter()
        .filter(|source| PURE.contains(&source.room.as_str()))
    {
        let file = source.path.display().to_string();
        for word in impure {
            // The one place that turns numbers into calendar time and back reads no clock.
            if word == "Utc" && file == "domain/time.rs" {
                continue;
            }
            assert!(
                !source.tokens.iter().any(|token| token == word),
                "{file} names {word}"
            );
        }
    }
}

#[test]
fn a_turn_is_one_transaction_and_only_a_turn_writes() {
    let sources = sources();
    let writes = |source: &&Source| source.tokens.iter().any(|token| token == "turn_record");
    let files: Vec<String> = sources
        .iter()
        .filter(|source| source.room == "engine")
        .filter(writes)
        .map(|source| source.path.display().to_string())
        .collect();
    assert_eq!(files, ["engine/lane.rs"], "one place records");
}

#[test]
fn the_clock_and_dice_stay_in_their_rooms() {
    let places = ["app/", "cli/", "sim/"];
    for source in sources() {
        let file = source.path.display().to_string();
        if places.iter().any(|place| file.starts_with(place)) {
            continue;
        }
        for words in [
            ["SystemTime", "now"],
            ["Utc", "now"],
            ["Uuid", "new_v4"],
            ["Uuid", "now_v7"],
        ] {
            let named = source
                .tokens
                .windows(4)
                .any(|four| four[0] == words[0] && four[3] == words[1]);
            assert!(!named, "{file} reads {}::{}", words[0], words[1]);
        }
    }
}

#[test]
fn every_file_opens_with_what_it_is_and_what_it_may_not_know() {
    let mut wrong = String::new();
    for source in sources() {
        let header = header(&source.text);
        let says_not = ["may not", "knows nothing", "does not know"];
        if header.is_empty() {
            writeln!(wrong, "{}: no header", source.path.display()).expect("a string");
        } else if source.room != "main" && !says_not.iter().any(|words| header.contains(words)) {
            writeln!(wrong, "{}: what may it not know?", source.path.display()).expect("a string");
        }
    }
    assert!(wrong.is_empty(), "headers:\n{wrong}");
}

#[test]
fn a_long_file_owes_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = String::new();
    for path in ["src", "tests", "benches"]
        .map(|below| files(&root.join(below), "rs"))
        .concat()
    {
        let text = fs::read_to_string(&path).expect("readable");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().count();
        if lines > 600 && !header(&text).contains("One file because") {
            let path = path.strip_prefix(root).expect("below the root");
            writeln!(wrong, "{}: {lines} lines", path.display()).expect("a string");
        }
    }
    assert!(wrong.is_empty(), "long files without a reason:\n{wrong}");
}

/// Compares with a file of `tests/golden`; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, actual).expect("the golden is written");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        expected, actual,
        "{name} differs; if that is meant, run with UPDATE_GOLDEN=1"
    );
}
