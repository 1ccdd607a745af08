//! The rules of the house that a machine can judge: rooms and their direction, foreign crates at
//! home, headers, pure planners, long files with a reason, code that stands twice. What it cannot judge is
//! conversation.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests are tests, which the lint does not see"
)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    fs,
    ops::Bound,
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
    let mut wrong = String::new();
    for source in sources() {
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().count();
        let header = header(&source.text);
        if lines > 600 && !header.contains("One file because") {
            writeln!(wrong, "{}: {lines} lines", source.path.display()).expect("a string");
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

/// How many lines in a row are a run that is worth seeing twice.
const RUN: usize = 6;

/// The lines that do something: no blank ones, no comments, no `use`, no tests.
fn working_lines(text: &str) -> Vec<&str> {
    let code = text.split("#[cfg(test)]\nmod tests {").next();
    let mut lines = Vec::new();
    let mut inside_use = false;
    for line in code.unwrap_or_default().lines().map(str::trim) {
        let opens = line.starts_with("use ") || line.starts_with("pub") && line.contains(" use ");
        if inside_use || opens {
            inside_use = !line.ends_with(';');
        } else if !line.is_empty() && !line.starts_with("//") {
            lines.push(line);
        }
    }
    lines
}

/// How many different runs stand in both of two files. The simulator is another program, so what it shares
/// with the service is no copy.
fn runs_in_two_files() -> BTreeMap<String, usize> {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let texts = files(&below, "rs").into_iter().filter_map(|path| {
        let inside = path.strip_prefix(&below).expect("below src");
        let name = inside.with_extension("").display().to_string();
        let is_test = name.split('/').any(|part| part == "tests");
        let text = fs::read_to_string(&path).expect("readable");
        (!is_test).then(|| (inside.display().to_string(), text))
    });
    let texts: Vec<(String, String)> = texts.collect();
    let lines: Vec<Vec<&str>> = texts.iter().map(|(_, text)| working_lines(text)).collect();
    let mut places: HashMap<&[&str], BTreeSet<&str>> = HashMap::new();
    for ((name, _), lines) in texts.iter().zip(&lines) {
        for run in lines.windows(RUN) {
            places.entry(run).or_default().insert(name);
        }
    }
    let mut pairs = BTreeMap::new();
    for names in places.values().filter(|names| names.len() > 1) {
        for one in names {
            for other in names.range::<str, _>((Bound::Excluded(*one), Bound::Unbounded)) {
                if one.starts_with("sim/") == other.starts_with("sim/") {
                    *pairs.entry(format!("{one} ~ {other}")).or_default() += 1;
                }
            }
        }
    }
    pairs
}

#[test]
fn what_stands_twice_is_known() {
    const NAME: &str = "copies.txt";
    let pairs = runs_in_two_files();
    let mut table = format!("different runs of {RUN} lines that stand in both files\n");
    for (pair, runs) in &pairs {
        writeln!(table, "{runs:>3} {pair}").expect("a string");
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        golden(NAME, &table);
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let known = fs::read_to_string(path.join(NAME)).unwrap_or_default();
    let known = known.lines().filter_map(|line| {
        let (runs, pair) = line.trim_start().split_once(' ')?;
        Some((pair, runs.parse::<usize>().ok()?))
    });
    let known: BTreeMap<&str, usize> = known.collect();
    let (mut more, mut fewer) = (String::new(), String::new());
    for (pair, runs) in &pairs {
        let before = known.get(pair.as_str()).copied().unwrap_or_default();
        if *runs > before {
            writeln!(more, "{pair}: {runs} runs, {before} before").expect("a string");
        }
    }
    for (pair, before) in &known {
        let runs = pairs.get(*pair).copied().unwrap_or_default();
        if runs < *before {
            writeln!(fewer, "{pair}: {runs} runs, {before} before").expect("a string");
        }
    }
    assert!(
        more.is_empty(),
        "code stands twice that did not:\n{more}\
         Let one piece of code serve both files. Where two are right, run with UPDATE_GOLDEN=1 and say why in \
         the commit.\n"
    );
    assert!(
        fewer.is_empty(),
        "well done, less stands twice:\n{fewer}\
         Run with UPDATE_GOLDEN=1, so that it cannot come back unseen.\n"
    );
}

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
        .filter(|source| telling.contains(&source.room.as_str()))
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
