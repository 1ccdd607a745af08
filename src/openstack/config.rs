//! What `clouds.yaml` and its companions say; this file may not know HTTP, and reads no environment.
//!
//! The files and their order are those of every OpenStack client:
//!
//! * `clouds.yaml` (or `.yml`, `.json`): the file that `OS_CLIENT_CONFIG_FILE` names, else the first
//!   found in the working directory, `~/.config/openstack` (`XDG_CONFIG_HOME`), `/etc/openstack`.
//! * `secure.yaml`: the file that `OS_CLIENT_SECURE_FILE` names, else the first found in the same
//!   places; laid over `clouds.yaml`, entry by entry and key by key.
//! * `clouds-public.yaml`: found alike (`OS_CLIENT_VENDOR_FILE`); lies under an entry that names a
//!   `profile` of it.
//! * The variables `OS_AUTH_URL`, `OS_USERNAME`, … make one more entry, `envvars`.
//!
//! `OS_CLOUD` is not heeded: it would hide the other cloud of a recovery.
//!
//! A cloud of ours is one or more of these entries: see [`CloudMapping`]. Without a mapping every
//! entry is a cloud of its own name, without an admin entry: names are never guessed from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    entry::{Entry, is_true, lay_over, text},
    settings::OpenStackSettings,
};

/// The name of the entry that the `OS_*` variables make.
pub const ENVIRONMENT_ENTRY: &str = "envvars";

/// The key below which a file has entries, and with them passwords.
const ENTRIES: &str = "clouds";

/// What a process knows about its surroundings; read by `app`, which alone may.
#[derive(Clone, Default)]
pub struct Environment {
    /// The environment variables.
    pub variables: BTreeMap<String, String>,
    /// The working directory.
    pub working_directory: PathBuf,
    /// The home directory.
    pub home: Option<PathBuf>,
}

impl Environment {
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variables may hold passwords.
        formatter
            .debug_struct("Environment")
            .field("working_directory", &self.working_directory)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

/// Which entries of `clouds.yaml` make up a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CloudMapping {
    /// The name of the cloud.
    pub name: String,
    /// The entries whose credentials make and read things; the first that reaches a project is used.
    pub entries: Vec<String>,
    /// The entry with the admin role, for records, for what is stuck and for what only an admin may see. It makes
    /// nothing for tenants; where members may export and import, it is not needed.
    #[serde(default)]
    pub admin: Option<String>,
}

/// The configuration of the client.
#[derive(Debug, Clone)]
pub struct Config {
    /// The clouds, in the order of their names.
    pub(super) clouds: Vec<CloudConfig>,
    /// The limits of every call.
    pub(super) limits: OpenStackSettings,
    exposed: Vec<(PathBuf, u32)>,
}

/// A cloud and its entries.
#[derive(Debug, Clone)]
pub(super) struct CloudConfig {
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
    pub(super) admin: Option<Entry>,
}

/// Why the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {path}: {problem}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A file is not what it should be. The text of the file is not told: it may hold a password.
    #[error("{path} is not a valid clouds file{place}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: String,
    },
    /// A cloud names an entry that is not there.
    #[error("cloud {cloud} names the entry {entry}, which clouds.yaml does not have")]
    UnknownEntry {
        /// The cloud.
        cloud: String,
        /// The entry.
        entry: String,
    },
    /// An entry lacks something.
    #[error("entry {entry} of clouds.yaml {problem}")]
    Incomplete {
        /// The entry.
        entry: String,
        /// What is wrong.
        problem: String,
    },
    /// A cloud without entries, or two of one name.
    #[error("cloud {cloud} {problem}")]
    BadCloud {
        /// The cloud.
        cloud: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// No cloud at all.
    #[error(
        "no cloud is configured: neither a clouds.yaml nor OS_AUTH_URL was found (looked for {looked})"
    )]
    Nothing {
        /// Where it was looked.
        looked: String,
    },
}

impl Config {
    /// Reads the files that `environment` leads to. An empty `mappings` makes every entry a cloud.
    pub fn load(
        environment: &Environment,
        mappings: &[CloudMapping],
        limits: OpenStackSettings,
    ) -> Result<Self, ConfigError> {
        let raw = raw_entries(environment)?;
        let default: Vec<CloudMapping> = raw
            .entries
            .keys()
            .map(|name| CloudMapping {
                name: name.clone(),
                entries: vec![name.clone()],
                admin: None,
            })
            .collect();
        let mappings = if mappings.is_empty() {
            default.as_slice()
        } else {
            mappings
        };
        let mut seen = BTreeSet::new();
        let mut clouds = Vec::with_capacity(mappings.len());
        for mapping in mappings {
            let bad = |problem| ConfigError::BadCloud {
                cloud: mapping.name.clone(),
                problem,
            };
            if mapping.name.is_empty() {
                return Err(bad("has no name"));
            }
            if !seen.insert(mapping.name.as_str()) {
                return Err(bad("is configured twice"));
            }
            if mapping.entries.is_empty() {
                return Err(bad("names no entry of clouds.yaml"));
            }
            let entry = |name: &String| {
                let value = raw
                    .entries
                    .get(name)
                    .ok_or_else(|| ConfigError::UnknownEntry {
                        cloud: mapping.name.clone(),
                        entry: name.clone(),
                    })?;
                Entry::read(name, value, environment)
            };
            clouds.push(CloudConfig {
                name: mapping.name.clone(),
                entries: mapping
                    .entries
                    .iter()
                    .map(entry)
                    .collect::<Result<Vec<_>, _>>()?,
                admin: mapping.admin.as_ref().map(entry).transpose()?,
            });
        }
        clouds.sort_by(|left, right| left.name.cmp(&right.name));
        let entries = clouds
            .iter()
            .flat_map(|cloud| cloud.entries.iter().chain(&cloud.admin));
        // A certificate may have its key beside it in one file.
        let keys = entries.filter_map(|entry| entry.key.clone().or_else(|| entry.cert.clone()));
        let secret: BTreeSet<PathBuf> = raw.secret.into_iter().chain(keys).collect();
        Ok(Self {
            clouds,
            limits,
            exposed: secret.into_iter().filter_map(exposed).collect(),
        })
    }

    /// The files with passwords or keys that others than their owner may read, with their modes.
    pub fn exposed(&self) -> &[(PathBuf, u32)] {
        &self.exposed
    }
}

/// The entries before they are understood, with everything merged.
struct Raw {
    entries: BTreeMap<String, Map<String, Value>>,
    /// The files that they are out of.
    secret: Vec<PathBuf>,
}

/// A file that others than its owner may read, with its mode.
fn exposed(path: PathBuf) -> Option<(PathBuf, u32)> {
    let mode = std::fs::metadata(&path).ok()?.mode() & 0o777;
    (mode & 0o044 != 0).then_some((path, mode))
}

fn raw_entries(environment: &Environment) -> Result<Raw, ConfigError> {
    let mut secret = Vec::new();
    let mut read = |variable, stem, key| -> Result<Map<String, Value>, ConfigError> {
        let Some(path) = find(environment, variable, stem)? else {
            return Ok(Map::new());
        };
        if key == ENTRIES {
            secret.push(path.clone());
        }
        let mut document = read_document(&path)?;
        Ok(match document.remove(key) {
            Some(Value::Object(clouds)) => clouds,
            Some(_) => {
                return Err(ConfigError::Malformed {
                    path,
                    place: format!(": `{key}` is not a mapping"),
                });
            }
            None => Map::new(),
        })
    };
    let mut clouds = read("OS_CLIENT_CONFIG_FILE", "clouds", ENTRIES)?;
    let secure = read("OS_CLIENT_SECURE_FILE", "secure", ENTRIES)?;
    let public = read("OS_CLIENT_VENDOR_FILE", "clouds-public", "public-clouds")?;
    lay_over(&mut clouds, &secure);
    let mut entries = BTreeMap::new();
    for (name, value) in clouds {
        let Value::Object(own) = value else {
            return Err(ConfigError::Incomplete {
                entry: name,
                problem: "is not a mapping".to_owned(),
            });
        };
        let own = with_underscores(&own);
        let mut entry = Map::new();
        if let Some(profile) = text(&own, "profile").or_else(|| text(&own, "cloud"))
            && let Some(Value::Object(base)) = public.get(&profile)
        {
            lay_over(&mut entry, &with_underscores(base));
        }
        lay_over(&mut entry, &own);
        entries.insert(name, entry);
    }
    if let Some(entry) = entry_of_variables(environment) {
        entries.insert(ENVIRONMENT_ENTRY.to_owned(), entry);
    }
    if entries.is_empty() {
        let looked: Vec<String> = directories(environment)
            .iter()
            .map(|directory| directory.join("clouds.yaml").display().to_string())
            .collect();
        return Err(ConfigError::Nothing {
            looked: looked.join(", "),
        });
    }
    Ok(Raw { entries, secret })
}

fn directories(environment: &Environment) -> Vec<PathBuf> {
    let mut directories = vec![environment.working_directory.clone()];
    match (environment.variable("XDG_CONFIG_HOME"), &environment.home) {
        (Some(directory), _) => directories.push(Path::new(directory).join("openstack")),
        (None, Some(home)) => directories.push(home.join(".config").join("openstack")),
        (None, None) => {}
    }
    directories.push(PathBuf::from("/etc/openstack"));
    directories
}

/// A file that is named must be there; one that is not named may be missing.
fn find(
    environment: &Environment,
    variable: &str,
    stem: &str,
) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(named) = environment.variable(variable) {
        let path = environment.working_directory.join(named);
        if path.is_file() {
            return Ok(Some(path));
        }
        return Err(ConfigError::Unreadable {
            path,
            problem: format!("{variable} names it, but there is no such file"),
        });
    }
    Ok(directories(environment)
        .iter()
        .flat_map(|directory| {
            ["yaml", "yml", "json"]
                .iter()
                .map(move |suffix| directory.join(format!("{stem}.{suffix}")))
        })
        .find(|path| path.is_file()))
}

fn read_document(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let content = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        problem: error.to_string(),
    })?;
    let document: Value = serde_norway::from_str(&content).map_err(|error| {
        let place = error.location().map_or_else(String::new, |place| {
            format!(": line {}, column {}", place.line(), place.column())
        });
        ConfigError::Malformed {
            path: path.to_owned(),
            place,
        }
    })?;
    match document {
        Value::Object(document) => Ok(document),
        Value::Null => Ok(Map::new()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(ConfigError::Malformed {
                path: path.to_owned(),
                place: ": it is not a mapping".to_owned(),
            })
        }
    }
}

/// `auth-url` is as good as `auth_url`.
fn with_underscores(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter()
        .map(|(key, value)| {
            let value = match value.as_object().filter(|_| key == "auth") {
                Some(inner) => Value::Object(with_underscores(inner)),
                None => value.clone(),
            };
            (key.replace('-', "_"), value)
        })
        .collect()
}

fn entry_of_variables(environment: &Environment) -> Option<Map<String, Value>> {
    environment.variable("OS_AUTH_URL")?;
    let mut entry = Map::new();
    for (name, value) in &environment.variables {
        if value.is_empty() {
            continue;
        }
        let Some(key) = name.strip_prefix("OS_") else {
            continue;
        };
        let key = key.to_lowercase();
        if key.starts_with("client_") || key == "cloud" || key == "identity_api_version" {
            continue;
        }
        entry.insert(key, Value::String(value.clone()));
    }
    if let Some(insecure) = environment.variable("OS_INSECURE") {
        entry.insert("verify".to_owned(), Value::Bool(!is_true(insecure)));
    }
    Some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openstack::entry::Credential;

    fn environment(directory: &Path, variables: &[(&str, &str)]) -> Environment {
        Environment {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            working_directory: directory.join("work"),
            home: Some(directory.join("home")),
        }
    }

    fn write(directory: &Path, file: &str, content: &str) {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn load(environment: &Environment) -> Result<Config, ConfigError> {
        Config::load(environment, &[], OpenStackSettings::default())
    }

    const ONE: &str = "
clouds:
  one:
    auth: {auth_url: 'http://one', username: u, project_name: p}
    region_name: R
";

    #[test]
    fn secure_file_lies_over_clouds_file() {
        let place = tempfile::tempdir().unwrap();
        write(place.path(), "work/clouds.yaml", ONE);
        write(
            place.path(),
            "home/.config/openstack/secure.yaml",
            "clouds: {one: {auth: {password: 12345}}}",
        );
        let config = load(&environment(place.path(), &[])).unwrap();
        let entry = &config.clouds[0].entries[0];
        assert_eq!(entry.region.as_deref(), Some("R"));
        let Credential::Password { user, password } = &entry.credential else {
            panic!("not a password");
        };
        assert_eq!(user.domain_id.as_deref(), Some("default"));
        assert_eq!(secrecy::ExposeSecret::expose_secret(password), "12345");
        assert!(!format!("{config:?}").contains("12345"));
    }

    #[test]
    fn named_file_comes_before_working_directory_before_home() {
        let place = tempfile::tempdir().unwrap();
        let cloud = |name: &str| {
            format!("clouds: {{{name}: {{auth: {{auth_url: 'http://x', token: t}}}}}}")
        };
        write(
            place.path(),
            "home/.config/openstack/clouds.yaml",
            &cloud("home"),
        );
        let names = |variables: &[(&str, &str)]| -> Vec<String> {
            let config = load(&environment(place.path(), variables)).unwrap();
            config.clouds.into_iter().map(|cloud| cloud.name).collect()
        };
        assert_eq!(names(&[]), ["home"]);
        write(place.path(), "work/clouds.yml", &cloud("work"));
        assert_eq!(names(&[]), ["work"]);
        write(place.path(), "work/other.yaml", &cloud("named"));
        assert_eq!(names(&[("OS_CLIENT_CONFIG_FILE", "other.yaml")]), ["named"]);
    }

    #[test]
    fn named_file_that_is_missing_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        write(place.path(), "work/clouds.yaml", ONE);
        let result = load(&environment(
            place.path(),
            &[("OS_CLIENT_CONFIG_FILE", "/nowhere/clouds.yaml")],
        ));
        assert!(matches!(result, Err(ConfigError::Unreadable { .. })));
    }

    #[test]
    fn profile_lies_under_the_entry() {
        let place = tempfile::tempdir().unwrap();
        write(
            place.path(),
            "work/clouds.yaml",
            "clouds: {mine: {profile: vendor, auth: {username: u, password: p}}}",
        );
        write(
            place.path(),
            "work/clouds-public.yaml",
            "public-clouds: {vendor: {auth: {auth_url: 'http://v'}, interface: internalURL, \
             username: other}}",
        );
        let config = load(&environment(place.path(), &[])).unwrap();
        let entry = &config.clouds[0].entries[0];
        assert_eq!(entry.auth_url, "http://v");
        assert_eq!(entry.interface, "internal");
    }

    #[test]
    fn variables_alone_make_the_cloud_envvars() {
        let place = tempfile::tempdir().unwrap();
        let config = load(&environment(
            place.path(),
            &[
                ("OS_AUTH_URL", "http://env"),
                ("OS_APPLICATION_CREDENTIAL_ID", "i"),
                ("OS_APPLICATION_CREDENTIAL_SECRET", "s"),
                ("OS_INSECURE", "yes"),
                ("OS_VOLUME_ENDPOINT_OVERRIDE", "http://v/v3"),
            ],
        ))
        .unwrap();
        let cloud = &config.clouds[0];
        assert_eq!(cloud.name, ENVIRONMENT_ENTRY);
        let entry = &cloud.entries[0];
        assert!(matches!(entry.credential, Credential::Application { .. }));
        assert!(!entry.verify);
        assert_eq!(entry.overrides["volume"], "http://v/v3");
    }

    #[test]
    fn mapping_joins_entries_and_refuses_unknown_ones() {
        let place = tempfile::tempdir().unwrap();
        write(
            place.path(),
            "work/clouds.yaml",
            "clouds: {a: {auth: {auth_url: 'http://x', token: t}}, \
             b: {auth: {auth_url: 'http://x', token: t}}}",
        );
        let environment = environment(place.path(), &[]);
        let mapping = |admin: &str| CloudMapping {
            name: "source".to_owned(),
            entries: vec!["a".to_owned()],
            admin: Some(admin.to_owned()),
        };
        let config =
            Config::load(&environment, &[mapping("b")], OpenStackSettings::default()).unwrap();
        assert_eq!(config.clouds.len(), 1);
        assert_eq!(config.clouds[0].admin.as_ref().unwrap().name, "b");
        assert!(matches!(
            Config::load(&environment, &[mapping("c")], OpenStackSettings::default()),
            Err(ConfigError::UnknownEntry { .. })
        ));
    }

    #[test]
    fn malformed_file_is_told_without_its_text() {
        let place = tempfile::tempdir().unwrap();
        write(
            place.path(),
            "work/clouds.yaml",
            "clouds: {a: {password: [hunter2",
        );
        let error = load(&environment(place.path(), &[])).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn nothing_at_all_says_where_it_looked() {
        let place = tempfile::tempdir().unwrap();
        let error = load(&environment(place.path(), &[])).unwrap_err();
        assert!(error.to_string().contains("/etc/openstack/clouds.yaml"));
    }

    #[test]
    fn a_file_with_passwords_or_keys_that_others_may_read_is_told() {
        let place = tempfile::tempdir().unwrap();
        let entry =
            "clouds: {one: {auth: {auth_url: 'http://x', token: t}, cert: c.pem, key: k.pem}}";
        let files = [
            "work/clouds.yaml",
            "work/secure.yaml",
            "work/k.pem",
            "work/c.pem",
        ];
        for (file, content) in files.iter().zip([entry, "{}", "k", "c"]) {
            write(place.path(), file, content);
        }
        let told = |modes: [u32; 4]| -> Vec<(String, u32)> {
            for (file, mode) in files.iter().zip(modes) {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
                std::fs::set_permissions(place.path().join(file), mode).unwrap();
            }
            let config = load(&environment(place.path(), &[])).unwrap();
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            let exposed = config.exposed().iter();
            exposed.map(|(path, mode)| (name(path), *mode)).collect()
        };
        assert_eq!(
            told([0o600, 0o400, 0o600, 0o644]),
            [],
            "a certificate is no secret"
        );
        let two = [
            ("clouds.yaml".to_owned(), 0o644),
            ("k.pem".to_owned(), 0o640),
        ];
        assert_eq!(told([0o644, 0o600, 0o640, 0o644]), two);
    }
}
