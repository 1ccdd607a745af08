//! The section of the configuration about what is sealed, and where its keys come from; it may not know what
//! they seal.

use std::{
    collections::BTreeSet, env, fmt, fs, os::unix::fs::MetadataExt as _, path::PathBuf,
    process::Stdio, time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::{process::Command, time::timeout};
use tracing::warn;

use crate::{
    cli::failure::Failure,
    store::seal::{SealKey, Sealer},
};

/// How long a command may take that tells a key: a start should not wait for a vault that is away for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is kept sealed in the database: manifests with their user data, wishes, and what operations ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(in crate::app) struct SealSettings {
    /// Where the keys are, each `{ file = PATH }`, `{ variable = NAME }` or `{ command = [PROGRAM, ARGUMENT, …] }`
    /// whose output is the key. The first seals, all open. Empty leaves user data readable in the database,
    /// which a start says loudly. See [secrets.md](secrets.md).
    pub(in crate::app) keys: Vec<KeySource>,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in crate::app) enum KeySource {
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
    /// What a program prints.
    Command(Vec<String>),
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "the file {}", path.display()),
            Self::Variable(name) => write!(formatter, "the variable {name}"),
            Self::Command(words) => {
                let program = words.first().map_or("", String::as_str);
                write!(formatter, "the command {program}")
            }
        }
    }
}

impl SealSettings {
    /// Whether anything is sealed.
    pub(in crate::app) fn seals(&self) -> bool {
        !self.keys.is_empty()
    }

    /// What seals with these keys. A refusal names the place of a key and nothing that was there.
    pub(in crate::app) async fn sealer(&self) -> Result<Sealer, Failure> {
        let (mut keys, mut ids) = (Vec::new(), BTreeSet::new());
        for (place, source) in self.keys.iter().enumerate() {
            let refused =
                |problem: String| Failure::Usage(format!("seal.keys[{place}]: {source} {problem}"));
            let text = source.read().await.map_err(refused)?;
            let key = SealKey::parse(text.expose_secret()).map_err(|problem| {
                refused(format!(
                    "holds no key: it {problem}; `drbackup seal key` makes one"
                ))
            })?;
            if !ids.insert(key.id().to_owned()) {
                return Err(refused("holds a key that stands before it".to_owned()));
            }
            keys.push(key);
        }
        Ok(Sealer::new(keys))
    }
}

impl KeySource {
    async fn read(&self) -> Result<SecretString, String> {
        match self {
            Self::File(path) => {
                let text = fs::read_to_string(path);
                let text = text.map_err(|error| format!("cannot be read: {error}"))?;
                let mode = fs::metadata(path).map_or(0, |there| there.mode() & 0o777);
                if mode & 0o044 != 0 {
                    let (file, mode) = (path.display(), format!("{mode:04o}"));
                    warn!(%file, mode, "others than its owner may read this file, which holds a key: chmod 600 it");
                }
                Ok(text.into())
            }
            Self::Variable(name) => env::var(name)
                .map(SecretString::from)
                .map_err(|_| "is not set".to_owned()),
            Self::Command(words) => {
                let [program, arguments @ ..] = words.as_slice() else {
                    return Err("names no program".to_owned());
                };
                printed(program, arguments).await
            }
        }
    }
}

/// What a program prints. What it says beside that goes where we say it.
async fn printed(program: &str, arguments: &[String]) -> Result<SecretString, String> {
    let ended = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let ended = timeout(PATIENCE, ended)
        .await
        .map_err(|_| format!("did not end within {PATIENCE:?}"))?
        .map_err(|error| format!("cannot be run: {error}"))?;
    if !ended.status.success() {
        return Err(format!("ended with {}", ended.status));
    }
    let text = String::from_utf8(ended.stdout);
    let text = text.map_err(|_| "prints what is no text".to_owned())?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0000000000000000000000000000000000000000000000000000000000000001";

    async fn sealer(keys: Vec<KeySource>) -> Result<Sealer, String> {
        let settings = SealSettings { keys };
        settings
            .sealer()
            .await
            .map_err(|failure| failure.text().unwrap_or_default().replace("error: ", ""))
    }

    fn command(words: &[&str]) -> KeySource {
        KeySource::Command(words.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_key_comes_from_a_file_or_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seal.key");
        fs::write(&file, format!("{KEY}\n")).unwrap();
        let of_file = sealer(vec![KeySource::File(file.clone())]).await.unwrap();
        let of_command = sealer(vec![command(&["echo", KEY])]).await.unwrap();
        assert!(of_file.sealing().is_some());
        assert_eq!(of_file.sealing(), of_command.sealing());
        let twice = sealer(vec![KeySource::File(file), command(&["echo", KEY])]).await;
        let told = twice.unwrap_err();
        assert_eq!(
            told,
            "seal.keys[1]: the command echo holds a key that stands before it"
        );
        assert_eq!(sealer(Vec::new()).await.unwrap().sealing(), None);
    }

    #[tokio::test]
    async fn what_is_no_key_is_named_by_its_place_and_not_told() {
        for (source, told) in [
            (
                command(&["echo", "abcd"]),
                "seal.keys[0]: the command echo holds no key: it has 2 bytes, and 32 are needed; \
                 `drbackup seal key` makes one",
            ),
            (
                command(&["false"]),
                "seal.keys[0]: the command false ended with exit status: 1",
            ),
            (command(&[]), "seal.keys[0]: the command  names no program"),
            (
                KeySource::File("/nowhere/seal.key".into()),
                "seal.keys[0]: the file /nowhere/seal.key cannot be read: No such file or directory (os error 2)",
            ),
            (
                KeySource::Variable("DRBACKUP_TEST_NO_SUCH_KEY".to_owned()),
                "seal.keys[0]: the variable DRBACKUP_TEST_NO_SUCH_KEY is not set",
            ),
        ] {
            assert_eq!(sealer(vec![source]).await.unwrap_err(), told);
        }
    }
}
