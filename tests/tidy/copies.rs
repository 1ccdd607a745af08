//! Code that stands twice: the identical runs of lines between two files, counted in a golden.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    fs,
    ops::Bound,
    path::Path,
};

use super::{files, golden};

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
