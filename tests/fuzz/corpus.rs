//! The files from which inputs are made, and which are asked first; it may not know what they mean.

use std::{fs, path::Path};

/// A file of the corpus.
pub(crate) struct Kept {
    /// Its name without the ending; what stands before the first dot says what it is for.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) text: String,
}

impl Kept {
    /// What it is for.
    pub(crate) fn about(&self) -> &str {
        self.name.split('.').next().unwrap_or_default()
    }
}

/// All files of a door with this ending, by name.
pub(crate) fn kept(door: &str, ending: &str) -> Vec<Kept> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/fuzz/corpus").join(door);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|one| one == ending) {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = fs::read_to_string(&path).expect("text");
            found.push(Kept { name, text });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}
