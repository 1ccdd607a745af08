//! One entry of `clouds.yaml`: a credential and where it is good for; this file may not know in which
//! file it was written.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::config::{ConfigError, Environment};

/// How an entry logs in.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// A user and a password.
    Password { user: Named, password: SecretString },
    /// An application credential, by id, or by name and user.
    Application {
        id: Option<String>,
        name: Option<String>,
        user: Named,
        secret: SecretString,
    },
    /// A token that somebody else got.
    Token { token: SecretString },
}

impl Credential {
    /// What proves that it is ours.
    pub(super) fn secret(&self) -> &SecretString {
        match self {
            Self::Password { password, .. } => password,
            Self::Application { secret, .. } => secret,
            Self::Token { token } => token,
        }
    }
}

/// Something that Keystone knows by id, or by name within a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) domain_id: Option<String>,
    pub(super) domain_name: Option<String>,
}

/// What tells an entry from what it was before: a digest of all that was written, and of the files that it names.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It is one of a password too, which could be guessed by it.
        formatter.write_str("Fingerprint")
    }
}

/// One entry of `clouds.yaml`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) fingerprint: Fingerprint,
    pub(super) name: String,
    pub(super) auth_url: String,
    pub(super) credential: Credential,
    /// The project to start in; nothing for an application credential, which has its own.
    pub(super) project: Option<Named>,
    pub(super) region: Option<String>,
    pub(super) interface: String,
    /// By service type in lower case with underscores (`block_storage`).
    pub(super) overrides: BTreeMap<String, String>,
    /// By service type: an interface other than that of the entry.
    pub(super) interfaces: BTreeMap<String, String>,
    pub(super) verify: bool,
    pub(super) cacert: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl Entry {
    pub(super) fn read(
        name: &str,
        raw: &Map<String, Value>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let incomplete = |problem: String| ConfigError::Incomplete {
            entry: name.to_owned(),
            problem,
        };
        // What belongs below `auth` is accepted beside it too.
        let mut auth = raw.clone();
        if let Some(Value::Object(inner)) = raw.get("auth") {
            lay_over(&mut auth, inner);
        }
        let get = |key: &str| text(&auth, key);
        let auth_url = get("auth_url").ok_or_else(|| incomplete("has no `auth_url`".to_owned()))?;
        if !(auth_url.starts_with("http://") || auth_url.starts_with("https://")) {
            return Err(incomplete(
                "has an `auth_url` that is no http or https address".to_owned(),
            ));
        }
        let credential = Self::credential(&get).map_err(incomplete)?;
        let project = Named {
            id: get("project_id").or_else(|| get("tenant_id")),
            name: get("project_name").or_else(|| get("tenant_name")),
            domain_id: get("project_domain_id").or_else(|| get("default_domain_id")),
            domain_name: get("project_domain_name").or_else(|| get("default_domain_name")),
        };
        let project = match credential {
            Credential::Application { .. } => None,
            Credential::Password { .. } | Credential::Token { .. } => (project.id.is_some()
                || project.name.is_some())
            .then(|| project.or_default_domain()),
        };
        let path = |key: &str| {
            get(key).map(|path| match (path.strip_prefix("~/"), &environment.home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => environment.working_directory.join(path),
            })
        };
        let suffixed = |suffix: &str| -> BTreeMap<String, String> {
            raw.keys()
                .filter_map(|key| Some((key.strip_suffix(suffix)?.to_owned(), text(raw, key)?)))
                .collect()
        };
        let (cacert, cert, key) = (path("cacert"), path("cert"), path("key"));
        Ok(Self {
            fingerprint: fingerprint(raw, [&cacert, &cert, &key]),
            name: name.to_owned(),
            auth_url,
            credential,
            project,
            region: get("region_name").or_else(|| first_region(raw)),
            interface: get("interface")
                .or_else(|| first(raw, "interface"))
                .or_else(|| get("endpoint_type"))
                .map_or_else(|| "public".to_owned(), |text| plain_interface(&text)),
            overrides: suffixed("_endpoint_override"),
            interfaces: suffixed("_interface")
                .into_iter()
                .map(|(service, text)| (service, plain_interface(&text)))
                .collect(),
            verify: match raw.get("verify") {
                Some(Value::Bool(flag)) => *flag,
                Some(Value::String(text)) => is_true(text),
                Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_))
                | None => !get("insecure").is_some_and(|text| is_true(&text)),
            },
            cacert,
            cert,
            key,
        })
    }

    fn credential(get: &impl Fn(&str) -> Option<String>) -> Result<Credential, String> {
        let user = Named {
            id: get("user_id"),
            name: get("username").or_else(|| get("user_name")),
            domain_id: get("user_domain_id").or_else(|| get("default_domain_id")),
            domain_name: get("user_domain_name").or_else(|| get("default_domain_name")),
        }
        .or_default_domain();
        let lacks = |key: &str| format!("has no `{key}`");
        let kind = get("auth_type").unwrap_or_else(|| {
            let application = ["application_credential_id", "application_credential_name"];
            if application.iter().any(|key| get(key).is_some()) {
                "v3applicationcredential".to_owned()
            } else if get("password").is_none() && get("token").is_some() {
                "token".to_owned()
            } else {
                "password".to_owned()
            }
        });
        match kind.as_str() {
            "password" | "v3password" => {
                if user.id.is_none() && user.name.is_none() {
                    return Err(lacks("username"));
                }
                Ok(Credential::Password {
                    user,
                    password: get("password").ok_or_else(|| lacks("password"))?.into(),
                })
            }
            "v3applicationcredential" => {
                let id = get("application_credential_id");
                let name = get("application_credential_name");
                if id.is_none() && (name.is_none() || (user.id.is_none() && user.name.is_none())) {
                    return Err(lacks("application_credential_id"));
                }
                Ok(Credential::Application {
                    id,
                    name,
                    user,
                    secret: get("application_credential_secret")
                        .ok_or_else(|| lacks("application_credential_secret"))?
                        .into(),
                })
            }
            "token" | "v3token" => Ok(Credential::Token {
                token: get("token").ok_or_else(|| lacks("token"))?.into(),
            }),
            other => Err(format!(
                "has the `auth_type` {other}, which is not supported (password, \
                 v3applicationcredential and token are)"
            )),
        }
    }
}

impl Named {
    /// A name needs a domain; every OpenStack has `default`.
    fn or_default_domain(mut self) -> Self {
        if self.id.is_none() && self.domain_id.is_none() && self.domain_name.is_none() {
            self.domain_id = Some("default".to_owned());
        }
        self
    }
}

fn first(raw: &Map<String, Value>, key: &str) -> Option<String> {
    raw.get(key)?
        .as_array()?
        .first()?
        .as_str()
        .map(str::to_owned)
}

fn first_region(raw: &Map<String, Value>) -> Option<String> {
    let region = raw.get("regions")?.as_array()?.first()?;
    region
        .as_str()
        .or_else(|| region.get("name")?.as_str())
        .map(str::to_owned)
}

/// `publicURL` is the older spelling of `public`.
fn plain_interface(text: &str) -> String {
    text.strip_suffix("URL").unwrap_or(text).to_lowercase()
}

pub(super) fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    match map.get(key)? {
        Value::String(text) => Some(text.clone()),
        // An unquoted number in YAML is still a password.
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|text| !text.is_empty())
}

pub(super) fn is_true(text: &str) -> bool {
    matches!(
        text.to_lowercase().as_str(),
        "1" | "true" | "yes" | "on" | "t" | "y"
    )
}

/// Lays `upper` over `lower`, key by key through all levels.
pub(super) fn lay_over(lower: &mut Map<String, Value>, upper: &Map<String, Value>) {
    for (key, value) in upper {
        match (lower.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => lay_over(below, above),
            _ => {
                lower.insert(key.clone(), value.clone());
            }
        }
    }
}
/// A digest of an entry as it was written, and of what is in these files now.
fn fingerprint(raw: &Map<String, Value>, files: [&Option<PathBuf>; 3]) -> Fingerprint {
    let mut digest = Sha256::new();
    digest.update(Value::Object(raw.clone()).to_string());
    for file in files {
        // A file that cannot be read is told of by whoever connects with it.
        let held = file.as_ref().and_then(|file| std::fs::read(file).ok());
        digest.update(Sha256::digest(held.unwrap_or_default()));
    }
    Fingerprint(digest.finalize().into())
}
