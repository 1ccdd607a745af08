//! Whether every secret is planted: the fields of the program that hold one, and the settings that may be one;
//! it may not know what a life does with them.

use std::{collections::BTreeSet, fs, path::Path};

use regex::Regex;

/// Every field of the program that a secret is in, and under which name it is planted here. One that is not
/// among them is found by [`every_secret_of_the_program_is_planted`].
const FIELDS: [(&str, &str); 10] = [
    ("src/auth/mod.rs token", "tokens of callers"),
    ("src/auth/mod.rs service_token", "service token"),
    (
        "src/auth/static_token.rs token",
        "token of the configuration",
    ),
    ("src/openstack/connection.rs token", "tokens of Keystone"),
    ("src/openstack/connection.rs subject", "tokens of Keystone"),
    ("src/openstack/entry.rs password", "password of the clouds"),
    ("src/openstack/entry.rs secret", "application credential"),
    ("src/openstack/entry.rs token", "tokens of Keystone"),
    ("src/openstack/session.rs secret", "tokens of Keystone"),
    ("src/store/seal.rs bytes", "keys of sealing"),
];

/// Secrets that are no field of a life here: what gives away a volume is made and used up within a call.
const ELSEWHERE: [&str; 1] = ["src/openstack/transfer.rs auth_key"];

/// Settings whose names sound of secrets, and what they are.
const SETTINGS: [(&str, &str); 9] = [
    ("auth.cache_tokens", "a number"),
    ("auth.certificates", "names"),
    ("auth.keystones", "names of clouds"),
    ("auth.tokens", "token of the configuration, by its hash"),
    ("clouds_file", "a path; what is in it is planted"),
    ("database", "password of the database"),
    ("seal.keys", "keys of sealing"),
    ("tls.cert", "a path"),
    ("tls.key", "a path"),
];

/// The fields of the program that hold secrets, by the types that hide them.
fn fields() -> BTreeSet<String> {
    let field = Regex::new(r"(\w+): (?:Option<)?(?:&'a )?Secret(?:String|Box|Slice)\b[^:]")
        .expect("a pattern");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path
                .strip_prefix(root)
                .expect("below")
                .display()
                .to_string();
            let text = fs::read_to_string(&path).expect("text");
            for line in text.lines() {
                if let Some(captured) = field.captures(line) {
                    found.insert(format!("{name} {}", &captured[1]));
                }
            }
        }
    }
    found
}

#[test]
fn every_secret_of_the_program_is_planted() {
    let known: BTreeSet<String> = FIELDS
        .iter()
        .map(|(field, _)| (*field).to_owned())
        .chain(ELSEWHERE.map(str::to_owned))
        .collect();
    assert_eq!(fields(), known, "plant what is new, in `Life::begin`");
}

#[test]
fn every_setting_that_may_be_a_secret_is_known() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = fs::read_to_string(page).expect("the page");
    let sounds = Regex::new("pass|secret|token|key|cert|hash|credential|database|clouds_file|salt")
        .expect("a pattern");
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            let title = title.trim_matches(['`', '[', ']']);
            section = if title.contains(' ') {
                String::new()
            } else {
                format!("{title}.")
            };
        }
        let Some(key) = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split('`').next())
        else {
            continue;
        };
        let is_setting = line.matches(" | ").count() >= 2;
        if is_setting && sounds.is_match(key) {
            found.insert(format!("{section}{key}"));
        }
    }
    let known: BTreeSet<String> = SETTINGS.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(
        found, known,
        "say here what it is, and plant it if it is a secret"
    );
}
