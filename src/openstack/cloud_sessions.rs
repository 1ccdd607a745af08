//! One cloud of the configuration, and whose token to use in which of its projects; this file may not
//! know what is done there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;

use super::{
    access::Access,
    admin::{AdminUse, OwnRights},
    admin_notes::{AdminNotes, Listener},
    config::CloudConfig,
    connection::Connection,
    entry::Entry,
    http_transport::HttpTransport,
    rate_limiter::{RateLimiter, Waiter},
    session::{Scope, Session},
    settings::OpenStackSettings,
    shared_reads::SharedReads,
    traffic::Traffic,
    versions::Versions,
};
use crate::{
    domain::{
        fault::{Fault, FaultKind, Service},
        id::{CloudName, ProjectId, Tenant},
        inventory::{AdminReach, CloudInfo, TenantInfo},
        sighting::ThingKind,
    },
    port::clock::Clock,
};

/// A cloud, with a session for each of its entries.
pub(super) struct CloudSessions {
    name: CloudName,
    entries: Vec<Arc<Session>>,
    admin: Option<Arc<Session>>,
    pub(super) traffic: Arc<Traffic>,
    versions: Arc<Versions>,
    reads: Arc<SharedReads>,
    /// What tenants may do without the admin.
    pub(super) own_rights: OwnRights,
    /// Who hears of the calls of the admin.
    listener: Listener,
    /// Which session reaches a project, found once.
    reached: Mutex<HashMap<ProjectId, (Arc<Session>, Scope)>>,
}

impl CloudSessions {
    /// `transport` makes the way over which the requests with an entry travel.
    pub(super) fn new(
        config: CloudConfig,
        limits: &OpenStackSettings,
        clock: &Arc<dyn Clock>,
        traffic: Arc<Traffic>,
        listener: &Listener,
        transport: impl Fn(&Entry) -> Arc<dyn HttpTransport>,
    ) -> Self {
        let name = CloudName::new(config.name);
        let rate_limiter = Arc::new(RateLimiter::new(limits));
        let session = |entry| {
            let connection = Connection::new(
                transport(&entry),
                Arc::clone(&traffic),
                Arc::clone(&rate_limiter),
                Arc::clone(clock),
                limits.clone(),
            );
            Arc::new(Session::new(entry, connection))
        };
        Self {
            name,
            entries: config.entries.into_iter().map(session).collect(),
            admin: config.admin.map(session),
            traffic,
            versions: Arc::default(),
            reads: Arc::new(SharedReads::new(limits)),
            own_rights: OwnRights::new(
                Duration::from_secs(limits.rights_seconds),
                Arc::clone(clock),
            ),
            listener: listener.clone(),
            reached: Mutex::default(),
        }
    }

    /// Whether these are the sessions of that very configuration, down to what is in its files.
    pub(super) fn is_of(&self, config: &CloudConfig) -> bool {
        let same = |session: &Arc<Session>, entry: &Entry| {
            session.entry.name == entry.name && session.entry.fingerprint == entry.fingerprint
        };
        let admin = match (&self.admin, &config.admin) {
            (Some(session), Some(entry)) => same(session, entry),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let entries = self.entries.iter().zip(&config.entries);
        admin
            && self.entries.len() == config.entries.len()
            && entries
                .into_iter()
                .all(|(session, entry)| same(session, entry))
    }

    pub(super) fn name(&self) -> &CloudName {
        &self.name
    }

    /// The session that asks Keystone about the tokens of others: that of the admin, where there is one.
    pub(super) fn judge(&self) -> Result<&Session, Fault> {
        let sessions = self.admin.iter().chain(&self.entries);
        sessions.map(Arc::as_ref).next().ok_or_else(|| {
            Fault::new(
                FaultKind::Unconfigured,
                Service::Identity,
                format!("ask Keystone of cloud {} about a token", self.name),
                "no entry is configured",
            )
        })
    }

    fn access(&self, session: &Arc<Session>, scope: Scope, project: ProjectId) -> Access {
        Access {
            session: Arc::clone(session),
            scope,
            named: project.clone(),
            project,
            foreign: false,
            admin: None,
            versions: Arc::clone(&self.versions),
            reads: Arc::clone(&self.reads),
            waiter: Waiter::Operation,
        }
    }

    fn admin_notes(&self, admin_use: AdminUse) -> AdminNotes {
        AdminNotes::new(&self.name, &self.listener, admin_use)
    }

    /// The access with which everything is made, seen and deleted in `project`: that of an entry which acts for
    /// tenants, never that of the admin.
    pub(super) async fn tenant(&self, project: &ProjectId) -> Result<Access, Fault> {
        if let Some(access) = self.tenant_known(project).await {
            return Ok(access);
        }
        let mut first_fault = None;
        // Whoever lives in the project comes before those who can be scoped to it.
        let homes = join_all(
            self.entries
                .iter()
                .map(|session| session.token(&Scope::Home, None)),
        );
        let mut alive = Vec::new();
        for (session, home) in self.entries.iter().zip(homes.await) {
            match home {
                Ok(token) if token.project.as_ref() == Some(project) => {
                    return Ok(self.remember(session, Scope::Home, project));
                }
                Ok(_) => alive.push(session),
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                }
            }
        }
        for session in alive {
            match session.reach(project).await {
                Ok(Some(scope)) => return Ok(self.remember(session, scope, project)),
                Ok(None) => {}
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                }
            }
        }
        Err(first_fault.unwrap_or_else(|| self.unreached(project)))
    }

    async fn tenant_known(&self, project: &ProjectId) -> Option<Access> {
        let (session, scope) = self
            .reached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(project)
            .cloned()?;
        match session.token(&scope, None).await {
            Err(fault) if !fault.may_pass() => {
                // The user lost its role there; another entry may still have one.
                self.reached
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(project);
                None
            }
            // A cloud that does not answer now is told by the call itself.
            Ok(_) | Err(_) => Some(self.access(&session, scope, project.clone())),
        }
    }

    fn remember(&self, session: &Arc<Session>, scope: Scope, project: &ProjectId) -> Access {
        self.reached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(project.clone(), (Arc::clone(session), scope.clone()));
        self.access(session, scope, project.clone())
    }

    fn unreached(&self, project: &ProjectId) -> Fault {
        Fault::new(
            FaultKind::Unconfigured,
            Service::Identity,
            format!(
                "find a credential for project {project} of cloud {}",
                self.name
            ),
            "no entry of this cloud has a role in it",
        )
    }

    /// The access with which things of one kind are seen and deleted in `project`: the tenant's own. Records
    /// alone may be where only the admin is, who imported them there.
    pub(super) async fn keeper(
        &self,
        project: &ProjectId,
        kind: ThingKind,
    ) -> Result<Access, Fault> {
        match self.tenant(project).await {
            Err(fault)
                if fault.kind == FaultKind::Unconfigured
                    && kind == ThingKind::VolumeBackup
                    && self.admin.is_some() =>
            {
                Ok(self.admin(project, AdminUse::Import).await?.0)
            }
            other => other,
        }
    }

    /// The access of the admin for `project`, and where it stands. Without an admin entry a tenant
    /// whose own user is an admin will do.
    pub(super) async fn admin(
        &self,
        project: &ProjectId,
        admin_use: AdminUse,
    ) -> Result<(Access, AdminReach), Fault> {
        let Some(session) = &self.admin else {
            let mut access = self.tenant(project).await?;
            return if access.token().await?.is_admin() {
                access.admin = Some(self.admin_notes(admin_use));
                Ok((access, AdminReach::Tenant))
            } else {
                Err(Fault::new(
                    FaultKind::Unconfigured,
                    Service::Identity,
                    format!("act as the admin of cloud {}", self.name),
                    "no admin entry is configured for this cloud",
                ))
            };
        };
        let home = session.token(&Scope::Home, None).await?;
        if let Some(scope) = session.reach(project).await? {
            let token = session.token(&scope, None).await?;
            // A user may be an admin elsewhere and only a member here. A policy may also know
            // another role than `admin`; then the home has no more than the tenant.
            if token.is_admin() || !home.is_admin() {
                let mut access = self.access(session, scope, project.clone());
                access.admin = Some(self.admin_notes(admin_use));
                return Ok((access, AdminReach::Tenant));
            }
        }
        let (scope, other) = if let Some(own) = &home.project {
            (Scope::Home, own.clone())
        } else {
            let projects = session.projects().await?;
            let first = projects
                .iter()
                .find(|project| project.enabled)
                .ok_or_else(|| self.unreached(project))?;
            let first = ProjectId::new(first.id.clone());
            (Scope::Project(first.clone()), first)
        };
        let mut access = self.access(session, scope, other.clone());
        access.named = project.clone();
        access.foreign = true;
        access.admin = Some(self.admin_notes(admin_use));
        Ok((access, AdminReach::Other(other)))
    }

    pub(super) fn has_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// The projects that the entries which act for tenants reach.
    pub(super) async fn tenants(&self) -> Result<Vec<TenantInfo>, Fault> {
        let mut tenants: Vec<TenantInfo> = Vec::new();
        let mut first_fault = None;
        for found in join_all(self.entries.iter().map(|session| session.projects())).await {
            let projects = match found {
                Ok(projects) => projects,
                Err(fault) => {
                    first_fault.get_or_insert(fault);
                    continue;
                }
            };
            for project in projects.iter().filter(|project| project.enabled) {
                if tenants
                    .iter()
                    .any(|known| known.tenant.project.as_str() == project.id)
                {
                    continue;
                }
                tenants.push(TenantInfo {
                    tenant: Tenant {
                        cloud: self.name.clone(),
                        project: ProjectId::new(project.id.clone()),
                    },
                    name: project.name.clone(),
                    domain: project.domain_id.clone().unwrap_or_default(),
                });
            }
        }
        match first_fault {
            Some(fault) if tenants.is_empty() => Err(fault),
            Some(_) | None => Ok(tenants),
        }
    }

    /// The cloud, and whether its Keystone lets us in just now.
    pub(super) async fn info(&self) -> CloudInfo {
        // A token that is still good says nothing about a cloud that went away since.
        let sessions = self.entries.iter().chain(&self.admin);
        let hails = sessions.map(|session| session.hail());
        let faults: Vec<Fault> = join_all(hails)
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        let entry = self.entries.first().map(|session| &session.entry);
        CloudInfo {
            name: self.name.clone(),
            region: entry
                .and_then(|entry| entry.region.clone())
                .unwrap_or_default(),
            auth_url: entry
                .map(|entry| entry.auth_url.clone())
                .unwrap_or_default(),
            has_admin: self.has_admin(),
            reachable: faults.is_empty(),
            problem: faults.first().map(ToString::to_string),
        }
    }
}
