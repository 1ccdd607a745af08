//! Where the client gets its settings from: flags, then the environment, then a file, then defaults;
//! the only place of the client that reads the surroundings, and it may not know what they are for.

pub mod mistakes;

use std::{
    env, fs,
    io::Read as _,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{Args, ValueEnum};
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use crate::span::Span;

/// The flags that every verb takes; what is not given comes from the environment, then from the file.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Connection and output")]
pub struct Flags {
    /// Address of the service, http or https [env: `DRBACKUP_ADDRESS`] [default: `http://127.0.0.1:7447`]
    #[arg(long, short = 'a', global = true, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// For https: file with the authorities that may vouch for the service, as PEM [env:
    /// `DRBACKUP_CACERT`] [default: those of the system]
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cacert: Option<String>,
    /// For https: file with the certificate that the service asks its callers for, as PEM [env:
    /// `DRBACKUP_CLIENT_CERT`]
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    client_cert: Option<String>,
    /// For https: file with the key of that certificate, as PEM [env: `DRBACKUP_CLIENT_KEY`]
    /// [default: the file of the certificate]
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    client_key: Option<String>,
    /// File with the token to show, of Keystone or as `drbackup token` made it [env: `DRBACKUP_TOKEN_FILE`, or
    /// the token itself in `DRBACKUP_TOKEN`]
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token_file: Option<String>,
    /// The cloud whose Keystone gave the token [env: `DRBACKUP_KEYSTONE`] [default: the service asks each]
    #[arg(long, global = true, value_name = "CLOUD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    keystone: Option<String>,
    /// How long one call may take, such as 30s [env: `DRBACKUP_TIMEOUT`] [default: 60s]
    #[arg(long, global = true, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
    /// How long connecting may take [env: `DRBACKUP_CONNECT_TIMEOUT`] [default: 5s]
    #[arg(long, global = true, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_timeout: Option<Span>,
    /// How long to try again when the service goes away while work is followed [env:
    /// `DRBACKUP_PATIENCE`] [default: 5m]
    #[arg(long, global = true, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    patience: Option<Span>,
    /// How to write the answer [env: `DRBACKUP_OUTPUT`] [default: table]
    #[arg(long, short = 'o', global = true, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Output>,
    /// Show no progress
    #[arg(long, short = 'q', global = true)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    quiet: bool,
    /// File with the settings [env: `DRBACKUP_CONFIG`] [default: ~/.config/drbackup/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

impl Flags {
    /// The form of the answers, where a flag names it.
    pub(super) fn output(&self) -> Option<Output> {
        self.output
    }
}

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// Where the service is.
    pub address: String,
    /// Where it answers probes.
    pub ops_address: String,
    /// The file of the authorities that may vouch for the service; nothing means those of the system.
    pub cacert: Option<String>,
    /// The file of the certificate that the service asks its callers for.
    pub client_cert: Option<String>,
    /// The file of its key; nothing means that of the certificate.
    pub client_key: Option<String>,
    /// The token to show; it has no flag, because everybody on the machine can read those.
    pub token: Option<SecretToken>,
    /// The file of the token to show.
    pub token_file: Option<String>,
    /// The cloud whose Keystone gave it; nothing lets the service ask each.
    pub keystone: Option<String>,
    /// How long one call may take.
    pub timeout: Span,
    /// How long connecting may take.
    pub connect_timeout: Span,
    /// How long to try again when a stream breaks.
    pub patience: Span,
    /// How to write the answer.
    pub output: Output,
    /// Whether to show no progress.
    pub quiet: bool,
    /// The cloud to look at when a verb names none.
    pub cloud: Option<String>,
    /// The tenant to look at when a verb names none.
    pub tenant: Option<String>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            address: "http://127.0.0.1:7447".to_owned(),
            ops_address: "http://127.0.0.1:7448".to_owned(),
            cacert: None,
            client_cert: None,
            client_key: None,
            token: None,
            token_file: None,
            keystone: None,
            timeout: Span(Duration::from_secs(60)),
            connect_timeout: Span(Duration::from_secs(5)),
            patience: Span(Duration::from_secs(300)),
            output: Output::Table,
            quiet: false,
            cloud: None,
            tenant: None,
        }
    }
}

impl ClientSettings {
    /// The token to show, if there is one.
    pub(super) fn token(&self) -> Result<Option<String>, Failure> {
        let token = match (&self.token, &self.token_file) {
            // A flag comes before a variable, and only the file has one.
            (_, Some(file)) => String::from_utf8(read_file(file)?)
                .map_err(|_| Failure::Usage(format!("{file} holds no token: it is no text")))?,
            (Some(token), None) => token.0.clone(),
            (None, None) => return Ok(None),
        };
        let token = token.trim();
        if token.is_empty() {
            return Err(Failure::Usage("the token is empty".to_owned()));
        }
        Ok(Some(token.to_owned()))
    }
}

/// A token, which is shown to the service and to nobody else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretToken(String);

impl std::fmt::Debug for SecretToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[token]")
    }
}

/// The variables that are read, without `DRBACKUP_`. Others of that prefix are the service's.
pub const VARIABLES: [&str; 15] = [
    "address",
    "ops_address",
    "cacert",
    "client_cert",
    "client_key",
    "token",
    "token_file",
    "keystone",
    "timeout",
    "connect_timeout",
    "patience",
    "output",
    "quiet",
    "cloud",
    "tenant",
];

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// For people, as wide as the terminal
    Table,
    /// The same with every column, however wide
    Wide,
    /// One document in proto3 JSON; a list is an array, a stream one document a line
    Json,
    /// The same in YAML
    Yaml,
    /// Ids alone, one a line
    Id,
}

/// The settings in force for these flags.
pub fn load(flags: Flags) -> Result<ClientSettings, Failure> {
    let named = flags.config.clone().or_else(|| variable("DRBACKUP_CONFIG"));
    let file = match named {
        Some(path) if path.is_file() => Some(path),
        Some(path) => {
            return Err(Failure::Usage(format!(
                "there is no configuration file {}",
                path.display()
            )));
        }
        None => usual_file().filter(|path| path.is_file()),
    };
    let mut figment = Figment::from(Serialized::defaults(ClientSettings::default()));
    if let Some(path) = file {
        figment = figment.merge(Toml::file_exact(path));
    }
    figment
        .merge(Env::prefixed("DRBACKUP_").only(&VARIABLES))
        .merge(Serialized::defaults(flags))
        .extract()
        .map_err(|error| Failure::Usage(format!("the settings:\n  {}", mistakes::told(error))))
}

fn usual_file() -> Option<PathBuf> {
    let base = variable("XDG_CONFIG_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".config")))?;
    Some(base.join("drbackup").join("config.toml"))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// A word that nobody used before, by which the service recognises a repeated request.
pub(super) fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The time when so much of it has passed, as this machine's clock tells it.
pub(super) fn in_future(span: Span) -> Option<prost_types::Timestamp> {
    SystemTime::now().checked_add(span.0).map(Into::into)
}

/// The bytes of a file, or of standard input for `-`.
pub(super) fn read_file(path: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == "-" {
        std::io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        fs::read(path).map(|content| bytes = content)
    };
    match read {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Failure::Usage(format!("reading {path}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_variable() {
        let defaults = serde_json::to_value(ClientSettings::default()).unwrap();
        let mut names: Vec<&str> = defaults
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut variables = VARIABLES.to_vec();
        names.sort_unstable();
        variables.sort_unstable();
        assert_eq!(names, variables);
    }
}
