//! The configuration of the service: defaults, then a file, then the environment, then flags, every
//! limit by its name; the only place of the service that reads its surroundings, and it may not know
//! what the rooms do with what it says.

mod door;
mod parts;
mod problems;
mod seal;

use std::{
    collections::BTreeMap,
    env, fs, io,
    net::{AddrParseError, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

pub(super) use self::{
    door::DoorSettings,
    parts::{LogFormat, LogSettings, OpsSettings, TlsSettings},
    seal::SealSettings,
};
use crate::{
    api::settings::ApiSettings,
    auth::settings::AuthSettings,
    cli::{
        config::{VARIABLES as CLIENT_VARIABLES, mistakes::told},
        failure::Failure,
    },
    domain::schedule::ScheduleSettings,
    engine::EngineSettings,
    openstack::{
        config::{CloudMapping, Environment},
        settings::OpenStackSettings,
    },
    plan::PatienceSettings,
    rest::settings::RestSettings,
    service::settings::{OrphanSettings, RequestSettings, ServiceSettings},
    span::Span,
    store::StoreSettings,
    worker::{
        history_pruner::{AuditSettings, HistorySettings},
        retention::RetentionSettings,
        verifier::VerificationSettings,
    },
};

/// What every variable of ours begins with.
const PREFIX: &str = "DRBACKUP_";
/// The variable that names the file, beside those of the client.
const FILE_VARIABLE: &str = "DRBACKUP_SERVER_CONFIG";
/// Variables that are read elsewhere: by the client, or to find a file.
const FOREIGN_VARIABLES: [&str; 2] = ["config", "server_config"];

/// The flags of `serve`; what is not given comes from the environment, then from the file.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Flags {
    /// File with the configuration [env: `DRBACKUP_SERVER_CONFIG`] [default:
    /// `/etc/drbackup/server.toml`, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [env: `DRBACKUP_LISTEN`] [default: `127.0.0.1:7447`]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Address of metrics and probes; an empty one turns them off [env: `DRBACKUP_OPS__LISTEN`]
    /// [default: `127.0.0.1:7448`]
    #[arg(long, value_name = "ADDRESS:PORT")]
    ops_listen: Option<String>,
    /// Listen on an address that others can reach, although everybody who reaches it may do
    /// everything [env: `DRBACKUP_INSECURE_OPEN`]
    #[arg(long)]
    insecure_open: bool,
    /// File with the certificate to show to callers, as PEM; without it nothing is encrypted [env:
    /// `DRBACKUP_TLS__CERT`]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// File with the key of that certificate, as PEM [env: `DRBACKUP_TLS__KEY`]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// File with the authorities of which every caller needs a certificate, as PEM [env:
    /// `DRBACKUP_TLS__CLIENT_CA`]
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Where everything is kept: `sqlite:PATH` or `postgres://USER@HOST/DATABASE` [env:
    /// `DRBACKUP_DATABASE`] [default: a file in the user's data directory]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The `clouds.yaml` to use [env: `DRBACKUP_CLOUDS_FILE`] [default: where OpenStack clients look]
    #[arg(long, value_name = "FILE")]
    clouds_file: Option<PathBuf>,
    /// A cloud and the entries of `clouds.yaml` that act in it; may be repeated [default: every entry
    /// is a cloud]
    #[arg(long = "cloud", value_name = "NAME=ENTRY[,ENTRY]", value_parser = cloud_flag)]
    clouds: Vec<(String, Vec<String>)>,
    /// The entry of `clouds.yaml` that has the admin role in a cloud; may be repeated
    #[arg(long = "admin", value_name = "NAME=ENTRY", value_parser = admin_flag)]
    admins: Vec<(String, String)>,
    /// What to log, such as `info` or `info,drbackup::engine=debug` [env: `DRBACKUP_LOG__FILTER`]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How to log [env: `DRBACKUP_LOG__FORMAT`] [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Flags {
    /// Those of a command that opens what the service serves; everything else is configured.
    pub(super) fn opening(
        config: Option<PathBuf>,
        database: Option<String>,
        clouds_file: Option<PathBuf>,
    ) -> Self {
        Self {
            config,
            database,
            clouds_file,
            ..Self::default()
        }
    }
}

/// The configuration in force: the comment of each key is its line in `docs/configuration.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    /// Address and port of the API. Port 0 takes any free one, which the log tells.
    pub(super) listen: SocketAddr,
    /// Must be true for an address that is not loopback unless callers are told apart (`auth`,
    /// `tls.client_ca`) and encrypted: without it everybody who reaches the API may do everything.
    pub(super) insecure_open: bool,
    /// Where everything is kept: `sqlite:PATH` for one process, or `postgres://USER@HOST/DATABASE`
    /// for any number of replicas; `HOST,HOST` with `?target_session_attrs=read-write` at the end
    /// follows the primary when a standby takes over. Empty means `drbackup.db` in
    /// `$STATE_DIRECTORY`, else in `$XDG_DATA_HOME/drbackup`, else in `~/.local/share/drbackup`.
    pub(super) database: String,
    /// The `clouds.yaml` to use. Empty means where OpenStack clients look: `OS_CLIENT_CONFIG_FILE`,
    /// the working directory, `~/.config/openstack`, `/etc/openstack`.
    pub(super) clouds_file: Option<PathBuf>,
    /// The clouds, each with `name`, `entries` (those of `clouds.yaml` that act for tenants) and
    /// `admin` (the one with the admin role, if any). Empty makes every entry a cloud of its own
    /// name.
    pub(super) clouds: Vec<CloudMapping>,
    /// How long the door stays open after health has said `NOT_SERVING`, when the service is stopped.
    #[serde(with = "Span")]
    pub(super) stop_notice: Duration,
    /// How long calls under way may take to end after that, and the work to be handed over.
    #[serde(with = "Span")]
    pub(super) stop_patience: Duration,
    pub(super) ops: OpsSettings,
    pub(super) log: LogSettings,
    pub(super) tls: TlsSettings,
    pub(super) auth: AuthSettings,
    pub(super) door: DoorSettings,
    pub(super) api: ApiSettings,
    pub(super) rest: RestSettings,
    pub(super) requests: RequestSettings,
    pub(super) store: StoreSettings,
    pub(super) seal: SealSettings,
    pub(super) history: HistorySettings,
    pub(super) audit: AuditSettings,
    pub(super) orphans: OrphanSettings,
    pub(super) verification: VerificationSettings,
    pub(super) schedules: ScheduleSettings,
    pub(super) retention: RetentionSettings,
    pub(super) patience: PatienceSettings,
    pub(super) engine: EngineSettings,
    pub(super) openstack: OpenStackSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7447)),
            insecure_open: false,
            auth: AuthSettings::default(),
            database: String::new(),
            clouds_file: None,
            clouds: Vec::new(),
            stop_notice: Duration::from_secs(1),
            stop_patience: Duration::from_secs(10),
            ops: OpsSettings::default(),
            log: LogSettings::default(),
            tls: TlsSettings::default(),
            door: DoorSettings::default(),
            api: ApiSettings::default(),
            rest: RestSettings::default(),
            requests: RequestSettings::default(),
            store: StoreSettings::default(),
            seal: SealSettings::default(),
            history: HistorySettings::default(),
            audit: AuditSettings::default(),
            orphans: OrphanSettings::default(),
            verification: VerificationSettings::default(),
            schedules: ScheduleSettings::default(),
            retention: RetentionSettings::default(),
            patience: PatienceSettings::default(),
            engine: EngineSettings::default(),
            openstack: OpenStackSettings::default(),
        }
    }
}

/// The configuration for these flags, checked.
pub(super) fn load(flags: Flags) -> Result<Config, Failure> {
    let file = match flags.config.clone().or_else(|| path_of(FILE_VARIABLE)) {
        Some(named) if named.is_file() => Some(named),
        Some(named) => {
            return Err(Failure::Usage(format!(
                "there is no configuration file {}",
                named.display()
            )));
        }
        None => Some(PathBuf::from("/etc/drbackup/server.toml")).filter(|path| path.is_file()),
    };
    let defaults = Serialized::defaults(Config::default());
    let mut figment = Figment::from(&defaults);
    if let Some(file) = file {
        figment = figment.merge(Toml::file_exact(file));
    }
    let known = keys(&Config::default());
    figment = figment.merge(
        Env::prefixed(PREFIX)
            .split("__")
            .filter(move |key| known.contains(&top(key.as_str()))),
    );
    let mut config: Config = figment
        .extract()
        .map_err(|error| Failure::Usage(format!("the configuration:\n  {}", told(error))))?;
    flags.lay_over(&mut config)?;
    if config.database.is_empty() {
        config.database = usual_database()?;
    }
    let problems = config.problems();
    if problems.is_empty() {
        return Ok(config);
    }
    Err(Failure::Usage(format!(
        "the configuration:\n  {}",
        problems.join("\n  ")
    )))
}

impl Flags {
    fn lay_over(self, config: &mut Config) -> Result<(), Failure> {
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(listen) = self.ops_listen {
            config.ops.listen = listen;
        }
        config.insecure_open |= self.insecure_open;
        // An empty name is how a variable says that there is no file.
        let named = |flag: Option<PathBuf>, before: Option<PathBuf>| {
            flag.or(before).filter(|file| !file.as_os_str().is_empty())
        };
        config.tls = TlsSettings {
            cert: named(self.tls_cert, config.tls.cert.take()),
            key: named(self.tls_key, config.tls.key.take()),
            client_ca: named(self.tls_client_ca, config.tls.client_ca.take()),
            ..config.tls.clone()
        };
        if let Some(database) = self.database {
            config.database = database;
        }
        if self.clouds_file.is_some() {
            config.clouds_file = self.clouds_file;
        }
        if let Some(filter) = self.log {
            config.log.filter = filter;
        }
        if let Some(format) = self.log_format {
            config.log.format = format;
        }
        if !self.clouds.is_empty() {
            config.clouds = self
                .clouds
                .into_iter()
                .map(|(name, entries)| CloudMapping {
                    name,
                    entries,
                    admin: None,
                })
                .collect();
        }
        for (name, entry) in self.admins {
            let Some(cloud) = config.clouds.iter_mut().find(|cloud| cloud.name == name) else {
                return Err(Failure::Usage(format!(
                    "--admin names the cloud {name}, which --cloud or the file does not"
                )));
            };
            cloud.admin = Some(entry);
        }
        Ok(())
    }
}

impl Config {
    /// What the service needs of it.
    pub(super) fn service(&self) -> ServiceSettings {
        ServiceSettings {
            requests: self.requests.clone(),
            orphans: self.orphans.clone(),
            schedules: self.schedules.clone(),
        }
    }

    /// Where the REST face listens, if not where gRPC does.
    pub(super) fn rest_listen(&self) -> Result<Option<SocketAddr>, AddrParseError> {
        if self.rest.listen.is_empty() {
            return Ok(None);
        }
        self.rest.listen.parse().map(Some)
    }

    /// Where the OpenStack client finds its files and variables.
    pub(super) fn environment(&self) -> Result<Environment, Failure> {
        let working_directory = env::current_dir()
            .map_err(|error| Failure::Local(format!("finding the working directory: {error}")))?;
        let mut variables: BTreeMap<String, String> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        if let Some(file) = &self.clouds_file {
            if !file.is_file() {
                return Err(Failure::Usage(format!(
                    "there is no clouds file {}: --clouds-file, DRBACKUP_CLOUDS_FILE or `clouds_file` of the \
                     configuration names it",
                    file.display()
                )));
            }
            let file = file.display().to_string();
            variables.insert("OS_CLIENT_CONFIG_FILE".to_owned(), file);
        }
        Ok(Environment {
            variables,
            working_directory,
            home: path_of("HOME"),
        })
    }

    /// The configuration as a file that can be read again; a password of the database is not in it.
    pub(super) fn shown(&self) -> Result<String, Failure> {
        let shown = Self {
            database: without_password(&self.database),
            ..self.clone()
        };
        toml::to_string(&shown)
            .map_err(|error| Failure::Local(format!("writing the configuration: {error}")))
    }
}

/// Every key with its value as TOML writes it, in the order of the keys; lists as a whole.
pub(super) fn flat(config: &Config) -> Vec<(String, String)> {
    let mut all = Vec::new();
    // A configuration that was read can be written.
    if let Ok(value) = serde_json::to_value(config) {
        flatten("", &value, &mut all);
    }
    all
}

fn flatten(path: &str, value: &serde_json::Value, all: &mut Vec<(String, String)>) {
    let serde_json::Value::Object(fields) = value else {
        let text = if value.is_null() {
            "\"\"".to_owned()
        } else {
            value.to_string()
        };
        all.push((path.to_owned(), text));
        return;
    };
    for (name, value) in fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        flatten(&path, value, all);
    }
}

/// The first parts of all keys.
fn keys(config: &Config) -> Vec<String> {
    let mut keys: Vec<String> = flat(config).iter().map(|(key, _)| top_of(key)).collect();
    keys.dedup();
    keys
}

fn top_of(key: &str) -> String {
    key.split('.').next().unwrap_or_default().to_owned()
}

/// The first part of a variable's name behind the prefix, before or after it was split.
fn top(name: &str) -> String {
    let name = name.to_lowercase();
    let name = name.split("__").next().unwrap_or_default();
    top_of(name)
}

/// Variables of our prefix that nobody reads: most likely a slip of the pen.
pub(super) fn strange_variables() -> Vec<String> {
    let known = keys(&Config::default());
    env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| {
            let Some(key) = name.strip_prefix(PREFIX) else {
                return false;
            };
            let key = top(key);
            !known.contains(&key)
                && !CLIENT_VARIABLES.contains(&key.as_str())
                && !FOREIGN_VARIABLES.contains(&key.as_str())
        })
        .collect()
}

/// A file in the directory that the system gives a service, else in the user's data directory.
fn usual_database() -> Result<String, Failure> {
    let directory = path_of("STATE_DIRECTORY")
        .or_else(|| path_of("XDG_DATA_HOME").map(|data| data.join("drbackup")))
        .or_else(|| path_of("HOME").map(|home| home.join(".local/share/drbackup")))
        .ok_or_else(|| Failure::Usage("name the database with --database".to_owned()))?;
    make_directory(&directory)?;
    Ok(format!(
        "sqlite:{}",
        directory.join("drbackup.db").display()
    ))
}

/// A new directory that goes when the value goes.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, Failure> {
        let path = env::temp_dir().join(format!("drbackup-{}", uuid::Uuid::new_v4()));
        make_directory(&path)?;
        Ok(Self(path))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It lies below the system's own temporary directory, which is swept anyway.
        let _removed = fs::remove_dir_all(&self.0);
    }
}

/// Writes a file that only its owner may read, because there are passwords in it.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    write_only_for_owner(path, text)
        .map_err(|error| Failure::Local(format!("writing {}: {error}", path.display())))
}

fn write_only_for_owner(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| Failure::Local(format!("making {}: {error}", path.display())))
}

fn path_of(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// A database URL without the password of its user, wherever it stands.
pub(super) fn without_password(url: &str) -> String {
    let url = without_parameter(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return url;
    };
    let Some((user, host)) = rest.rsplit_once('@') else {
        return url;
    };
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}@{host}")
}

/// The same without the value of `password=`, as the query of a URL and a list of parameters have it.
fn without_parameter(url: &str) -> String {
    const PASSWORD: &str = "password=";
    let mut shown = String::new();
    let mut rest = url;
    while let Some(at) = rest.find(PASSWORD) {
        let (before, value) = rest.split_at(at + PASSWORD.len());
        shown.push_str(before);
        shown.push_str("[hidden]");
        let quoted = value
            .strip_prefix('\'')
            .and_then(|value| value.find('\''))
            .map(|end| end + 2);
        let end = quoted.unwrap_or_else(|| value.find(['&', ' ']).unwrap_or(value.len()));
        rest = value.get(end..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

fn cloud_flag(text: &str) -> Result<(String, Vec<String>), String> {
    match text.split_once('=') {
        Some((name, entries)) if !name.is_empty() && !entries.is_empty() => Ok((
            name.to_owned(),
            entries.split(',').map(str::to_owned).collect(),
        )),
        _ => Err("write NAME=ENTRY or NAME=ENTRY,ENTRY".to_owned()),
    }
}

fn admin_flag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, entry)) if !name.is_empty() && !entry.is_empty() => {
            Ok((name.to_owned(), entry.to_owned()))
        }
        _ => Err("write NAME=ENTRY".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_have_no_problems() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn an_address_that_others_can_reach_has_to_be_meant() {
        let mut config = Config {
            listen: SocketAddr::from(([0, 0, 0, 0], 7447)),
            ..Config::default()
        };
        assert_eq!(config.problems().len(), 1);
        config.insecure_open = true;
        assert!(config.problems().is_empty());
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut config = Config::default();
        config.requests.page_default = 0;
        config.engine.requests_per_tenant = 0;
        assert_eq!(
            config.problems(),
            [
                "engine.requests_per_tenant: must be more than 0",
                "requests.page_default: must be more than 0"
            ]
        );
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let mut config = Config {
            clouds_file: Some(PathBuf::from("/etc/clouds.yaml")),
            ..Config::default()
        };
        config.clouds.push(CloudMapping {
            name: "old".to_owned(),
            entries: vec!["a".to_owned(), "b".to_owned()],
            admin: Some("root".to_owned()),
        });
        let shown = config.shown().unwrap();
        let read: Config = Figment::from(Serialized::defaults(Config::default()))
            .merge(Toml::string(&shown))
            .extract()
            .unwrap();
        assert_eq!(read, config, "{shown}");
    }

    #[test]
    fn a_password_in_the_database_is_not_shown() {
        let config = Config {
            database: "postgres://drbackup:se:cr@et@db.example/drbackup".to_owned(),
            ..Config::default()
        };
        assert!(
            config
                .shown()
                .unwrap()
                .contains("database = \"postgres://drbackup@db.example/drbackup\"")
        );
        assert!(!config.shown().unwrap().contains("cr@et"));
    }
}
