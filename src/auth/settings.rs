//! The section of the configuration about callers; it may not know where values come from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        caller::{Grants, Role},
        id::{CloudName, ProjectId, Tenant},
    },
    span::Span,
};

/// Who is let in, and what they may do.
///
/// With none of `keystones`, `certificates` and `tokens` nobody is told from anybody, and the service is
/// open: it starts like that on loopback only, unless `insecure_open` says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The clouds whose Keystone tokens are taken, sent as `authorization: Bearer` or `x-auth-token`. A
    /// caller that does not name one in `x-drbackup-cloud` is looked for in each, in this order.
    pub keystones: Vec<CloudName>,
    /// Pairs of tenants: whoever has a role in `target` may read what lies under `source` and restore it,
    /// also when the Keystone of `source` is gone. Each is `{cloud, project}`.
    pub pairs: Vec<Pair>,
    /// Certificates that are let in, each with `subject` (a name of the certificate: its common name, or a DNS
    /// name or address of mail of it) and `grants`. Without any, every certificate of `tls.client_ca` may do
    /// everything.
    pub certificates: Vec<CertificateGrant>,
    /// Tokens that are let in without a Keystone, each with `name`, `hash` (as `drbackup token` prints it) and
    /// `grants`.
    pub tokens: Vec<StaticToken>,
    /// How long it is taken for granted what Keystone said of a token; so late is a revocation noticed.
    #[serde(with = "Span")]
    pub cached: Duration,
    /// How long it is taken for granted that Keystone did not know a token.
    #[serde(with = "Span")]
    pub refused_cached: Duration,
    /// How long a Keystone may take to judge a token; whoever shows it waits as long.
    #[serde(with = "Span")]
    pub patience: Duration,
    /// Tokens that may be judged at once, those of Keystone and those of the configuration each; a call with one
    /// more is `UNAVAILABLE`. What is remembered is not judged.
    pub judged_at_once: usize,
    /// Tokens that are remembered at once.
    pub cache_tokens: usize,
    /// The Keystone roles that count in the project of the token.
    pub roles: RoleNames,
    /// The Keystone roles that count in every project of every cloud: for those who restore for others.
    pub everywhere: RoleNames,
}

impl Default for AuthSettings {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self {
            keystones: Vec::new(),
            roles: RoleNames {
                reader: names(&["reader"]),
                operator: names(&["member"]),
                admin: names(&["manager", "admin"]),
            },
            everywhere: RoleNames {
                reader: Vec::new(),
                operator: Vec::new(),
                admin: names(&["dr_operator"]),
            },
            pairs: Vec::new(),
            certificates: Vec::new(),
            tokens: Vec::new(),
            cached: Duration::from_secs(300),
            refused_cached: Duration::from_secs(15),
            patience: Duration::from_secs(10),
            judged_at_once: 100,
            cache_tokens: 10_000,
        }
    }
}

impl AuthSettings {
    /// Whether somebody may be let in by a token.
    pub fn has_tokens(&self) -> bool {
        !self.keystones.is_empty() || !self.tokens.is_empty()
    }

    /// Whether nobody is told from anybody.
    pub fn is_open(&self) -> bool {
        !self.has_tokens() && self.certificates.is_empty()
    }
}

/// Names of Keystone roles, by the role that they give here; the highest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RoleNames {
    /// These see what is there.
    pub reader: Vec<String>,
    /// These make backups, schedules and instances.
    pub operator: Vec<String>,
    /// These delete backups, lift holds, and see what manifests keep covered.
    pub admin: Vec<String>,
}

impl RoleNames {
    /// The role that some Keystone roles give.
    pub(super) fn highest(&self, held: &[String]) -> Option<Role> {
        let given = |role: Role| {
            let names = match role {
                Role::Reader => &self.reader,
                Role::Operator => &self.operator,
                Role::Admin => &self.admin,
            };
            held.iter().any(|one| names.contains(one))
        };
        Role::ALL.into_iter().rfind(|role| given(*role))
    }
}

/// A tenant, as a pair names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PairedTenant {
    /// Its cloud; one that is not configured any more may be named.
    pub cloud: CloudName,
    /// The id of its project.
    pub project: ProjectId,
}

impl PairedTenant {
    pub(super) fn tenant(&self) -> Tenant {
        Tenant {
            cloud: self.cloud.clone(),
            project: self.project.clone(),
        }
    }
}

/// Where something is restored to, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Whose it was.
    pub source: PairedTenant,
    /// Whose it is to be.
    pub target: PairedTenant,
}

/// A role in a place: in one project, in a whole cloud where `project` is not given, everywhere where `cloud`
/// is not given either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudName>,
    /// The id of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
    /// The role.
    pub role: Role,
}

/// All of some grants; a project without a cloud is in none.
pub(super) fn granted(grants: &[Grant]) -> Grants {
    let mut all = Grants::default();
    for Grant {
        cloud,
        project,
        role,
    } in grants
    {
        match (cloud, project) {
            (None, None) => all.add_everywhere(*role),
            (Some(cloud), None) => all.add_cloud(cloud.clone(), *role),
            (Some(cloud), Some(project)) => all.add_tenant(
                Tenant {
                    cloud: cloud.clone(),
                    project: project.clone(),
                },
                *role,
            ),
            (None, Some(_)) => {}
        }
    }
    all
}

/// Whoever comes with a certificate of this subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CertificateGrant {
    /// The name.
    pub subject: String,
    /// What they may do.
    pub grants: Vec<Grant>,
}

/// Whoever comes with this token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StaticToken {
    /// Who it is.
    pub name: String,
    /// The hash of the token, of argon2id as PHC writes it.
    pub hash: String,
    /// What they may do.
    pub grants: Vec<Grant>,
}
