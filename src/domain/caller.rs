//! Who calls, and what they may do where; it may not know how that was proven, or through which door.
//!
//! A right is a [`Role`] in a place: a tenant, a cloud, or everywhere. What a caller has no role for does not
//! exist for that caller; what asks for a higher role than theirs is forbidden.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    id::{CloudName, ProjectId, Tenant},
    time::Timestamp,
};

/// What a caller may do in a place; each may do what the ones before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees what is there.
    Reader,
    /// Makes backups, schedules and instances.
    Operator,
    /// Lets backups go, and what keeps them from it.
    Admin,
}

impl Role {
    /// All of them, the lowest first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Operator, Self::Admin];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// The roles of a caller, by place; where several hold, the highest counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    everywhere: Option<Role>,
    clouds: BTreeMap<CloudName, Role>,
    tenants: BTreeMap<Tenant, Role>,
}

impl Grants {
    /// A role in every tenant of every cloud.
    pub fn everywhere(role: Role) -> Self {
        Self {
            everywhere: Some(role),
            ..Self::default()
        }
    }

    /// Adds a role everywhere.
    pub fn add_everywhere(&mut self, role: Role) {
        self.everywhere = self.everywhere.max(Some(role));
    }

    /// Adds a role in every tenant of a cloud.
    pub fn add_cloud(&mut self, cloud: CloudName, role: Role) {
        let known = self.clouds.entry(cloud).or_insert(role);
        *known = role.max(*known);
    }

    /// Adds a role in a tenant.
    pub fn add_tenant(&mut self, tenant: Tenant, role: Role) {
        let known = self.tenants.entry(tenant).or_insert(role);
        *known = role.max(*known);
    }

    /// The role in a tenant, if there is one.
    pub fn in_tenant(&self, tenant: &Tenant) -> Option<Role> {
        let own = self.tenants.get(tenant).copied();
        own.max(self.in_cloud(&tenant.cloud))
    }

    /// The role in every tenant of a cloud, if there is one.
    pub fn in_cloud(&self, cloud: &CloudName) -> Option<Role> {
        self.clouds.get(cloud).copied().max(self.everywhere)
    }

    /// Whether anything in a cloud is within reach.
    pub fn touch(&self, cloud: &CloudName) -> bool {
        self.in_cloud(cloud).is_some() || self.tenants.keys().any(|tenant| tenant.cloud == *cloud)
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What may be seen by them.
    fn scope(&self) -> Scope {
        if self.everywhere.is_some() {
            return Scope::All;
        }
        let clouds: BTreeSet<CloudName> = self.clouds.keys().cloned().collect();
        let tenants = self.tenants.keys();
        let tenants = tenants.filter(|tenant| !clouds.contains(&tenant.cloud));
        let tenants = tenants.cloned().collect();
        Scope::Places(Arc::new(Places { clouds, tenants }))
    }
}

/// What a question may be answered about. Nobody's by default: who forgets to say whose sees nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// What lies in these places.
    Places(Arc<Places>),
}

impl Default for Scope {
    fn default() -> Self {
        Self::Places(Arc::default())
    }
}

impl Scope {
    /// Whether a tenant lies in it.
    pub fn has(&self, tenant: &Tenant) -> bool {
        match self {
            Self::All => true,
            Self::Places(places) => {
                places.clouds.contains(&tenant.cloud) || places.tenants.contains(tenant)
            }
        }
    }
}

/// Some places; whole clouds, and tenants of other clouds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Places {
    /// All tenants of these.
    pub clouds: BTreeSet<CloudName>,
    /// These tenants.
    pub tenants: BTreeSet<Tenant>,
}

/// Whom a Keystone knows by a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The id of the user.
    pub user: String,
    /// The project that the token is scoped to; nothing when it is scoped to none.
    pub project: Option<ProjectId>,
    /// The names of the user's roles there.
    pub roles: Vec<String>,
    /// When the token expires, by Keystone's clock.
    pub expires: Timestamp,
    /// Whether it comes from an application credential that is limited to some paths of other services.
    pub is_limited: bool,
}

/// How a caller was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Not at all: the service is open.
    Open,
    /// By a token of this cloud's Keystone.
    Keystone(CloudName),
    /// By a certificate.
    Certificate,
    /// By a token of the configuration.
    StaticToken,
    /// It is a part of the service itself.
    Internal,
}

impl Via {
    /// As it is told.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Keystone(_) => "keystone",
            Self::Certificate => "certificate",
            Self::StaticToken => "static_token",
            Self::Internal => "internal",
        }
    }
}

/// Through which door somebody came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The API of gRPC.
    Grpc,
    /// The API of JSON.
    Rest,
    /// A command beside the service, with its configuration and its database.
    Command,
    /// None: a part of the service itself.
    Internal,
}

impl Door {
    /// As it is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Rest => "rest",
            Self::Command => "command",
            Self::Internal => "internal",
        }
    }
}

/// Somebody who asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    name: String,
    via: Via,
    grants: Grants,
    scope: Scope,
    expires: Option<Timestamp>,
}

impl Caller {
    /// Somebody of that name with these rights, until `expires` if they end by themselves.
    pub fn new(name: String, via: Via, grants: Grants, expires: Option<Timestamp>) -> Self {
        Self {
            name,
            via,
            scope: grants.scope(),
            grants,
            expires,
        }
    }

    /// Whoever comes to a service that is open.
    pub fn anybody() -> Self {
        let all = Grants::everywhere(Role::Admin);
        Self::new("anybody".to_owned(), Via::Open, all, None)
    }

    /// A part of the service.
    pub fn internal(part: &str) -> Self {
        let all = Grants::everywhere(Role::Admin);
        Self::new(part.to_owned(), Via::Internal, all, None)
    }

    /// Who it is: a user's id at Keystone, the subject of a certificate, or a name of the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it was recognised.
    pub fn via(&self) -> &Via {
        &self.via
    }

    /// What it may do where.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// What it may be told of.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// When its rights end by themselves.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// What sets its request ids apart from those of others; nothing where nobody is told apart.
    pub fn namespace(&self) -> Option<String> {
        match &self.via {
            Via::Open | Via::Internal => None,
            Via::Keystone(cloud) => Some(format!("keystone:{cloud}:{}", self.name)),
            Via::Certificate | Via::StaticToken => {
                Some(format!("{}:{}", self.via.name(), self.name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(cloud: &str, project: &str) -> Tenant {
        Tenant {
            cloud: CloudName::new(cloud),
            project: ProjectId::new(project),
        }
    }

    #[test]
    fn the_highest_role_of_all_that_hold_in_a_place_counts() {
        let mut grants = Grants::default();
        assert!(grants.is_empty());
        grants.add_tenant(tenant("dr", "a"), Role::Admin);
        grants.add_tenant(tenant("dr", "a"), Role::Reader);
        grants.add_cloud(CloudName::new("dr"), Role::Operator);
        assert_eq!(grants.in_tenant(&tenant("dr", "a")), Some(Role::Admin));
        assert_eq!(grants.in_tenant(&tenant("dr", "b")), Some(Role::Operator));
        assert_eq!(grants.in_tenant(&tenant("source", "a")), None);
        grants.add_everywhere(Role::Reader);
        assert_eq!(grants.in_tenant(&tenant("source", "a")), Some(Role::Reader));
    }

    #[test]
    fn a_scope_has_what_there_is_a_role_for_and_none_by_default() {
        assert!(!Scope::default().has(&tenant("dr", "a")));
        let mut grants = Grants::default();
        grants.add_tenant(tenant("dr", "a"), Role::Reader);
        grants.add_cloud(CloudName::new("source"), Role::Reader);
        let scope = grants.scope();
        assert!(scope.has(&tenant("dr", "a")));
        assert!(scope.has(&tenant("source", "any")));
        assert!(!scope.has(&tenant("dr", "b")));
        assert!(grants.touch(&CloudName::new("dr")));
        assert!(!grants.touch(&CloudName::new("other")));
    }
}
