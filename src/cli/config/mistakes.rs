//! What is wrong with a configuration, told by the file, the line and the key that a person wrote; it may not
//! know what any key is for.

use std::{fs, path::Path};

use figment::{Error, error::Kind};

/// How alike two words are at least (Jaro and Winkler) for one to be taken for a slip of the pen.
const ALIKE: f64 = 0.8;

/// All that is wrong, each in a line of its own.
pub fn told(mistakes: Error) -> String {
    let lines = mistakes.into_iter().map(|one| line(&one));
    lines.collect::<Vec<_>>().join("\n  ")
}

fn line(mistake: &Error) -> String {
    let mut path = mistake.path.clone();
    let what = match &mistake.kind {
        Kind::UnknownField(name, known) => {
            if path.last() != Some(name) {
                path.push(name.clone());
            }
            match nearest(name, known) {
                Some(known) => format!("there is no such key; did you mean `{known}`?"),
                None => "there is no such key; docs/configuration.md has all of them".to_owned(),
            }
        }
        Kind::Message(_)
        | Kind::InvalidType(..)
        | Kind::InvalidValue(..)
        | Kind::InvalidLength(..)
        | Kind::UnknownVariant(..)
        | Kind::MissingField(_)
        | Kind::DuplicateField(_)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..) => mistake.kind.to_string(),
    };
    let key = path.join(".");
    let place = place(mistake, &path);
    match (place.is_empty(), key.is_empty()) {
        (true, true) => what,
        (true, false) => format!("`{key}`: {what}"),
        (false, true) => format!("{place}: {what}"),
        (false, false) => format!("{place}: `{key}`: {what}"),
    }
}

/// The file and the line, or the variable.
fn place(mistake: &Error, path: &[String]) -> String {
    let Some(metadata) = &mistake.metadata else {
        return String::new();
    };
    if let Some(file) = metadata
        .source
        .as_ref()
        .and_then(|source| source.file_path())
    {
        return match line_of(file, path) {
            Some(line) => format!("{}:{line}", file.display()),
            None => file.display().to_string(),
        };
    }
    if metadata.name.contains("environment variable") && !path.is_empty() {
        return format!("DRBACKUP_{}", path.join("__").to_uppercase());
    }
    String::new()
}

/// The line on which a key stands.
fn line_of(file: &Path, path: &[String]) -> Option<usize> {
    let text = fs::read_to_string(file).ok()?;
    let wanted = path.join(".");
    let mut section = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            name.trim_matches(['[', ']', ' ']).clone_into(&mut section);
            if section == wanted {
                return Some(number);
            }
            continue;
        }
        let Some((key, _)) = line.split_once('=') else {
            continue;
        };
        let key = key.trim();
        let whole = if section.is_empty() {
            key.to_owned()
        } else {
            format!("{section}.{key}")
        };
        if whole == wanted {
            return Some(number);
        }
    }
    None
}

/// The word that somebody most likely meant.
fn nearest(name: &str, known: &'static [&'static str]) -> Option<&'static str> {
    let alike = known
        .iter()
        .map(|one| (strsim::jaro_winkler(name, one), *one));
    let best = alike.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}
