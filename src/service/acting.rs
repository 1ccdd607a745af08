//! The service as one caller may use it: everything that a door can ask for is a method of [`Acting`], and
//! each of them says first what right it takes; it may not know how a caller was recognised.
//!
//! What a caller has no role for is not there for them: a resource is not found, a tenant is not reached, a
//! list leaves it out, all in the words that are used where there is nothing. What is there for them and
//! takes a higher role is forbidden.

use super::{Service, content::Request, refused, settings::RequestSettings};
use crate::{
    domain::{
        action::Action,
        audit::Who,
        caller::{Caller, Scope},
        error::{Error, ErrorKind},
        id::{CloudName, PointId, ResourceId, RestorationId, ScheduleId, Tenant},
        page::{PageKey, Query},
        point::Point,
        restoration::Restoration,
        schedule::Schedule,
    },
    port::store::{Asked, RequestKey},
};

pub use crate::port::login::Login;

/// The service, for one caller.
#[derive(Clone)]
pub struct Acting {
    pub(super) service: Service,
    login: Login,
}

impl Service {
    /// The service as this caller may use it.
    pub fn acting(&self, login: Login) -> Acting {
        Acting {
            service: self.clone(),
            login,
        }
    }

    /// The service as a part of it uses it: that may do everything, and is named where it is told of.
    pub fn internally(&self, part: &str) -> Acting {
        self.acting(Login::lasting(Caller::internal(part)))
    }
}

impl Acting {
    /// Who acts.
    pub fn caller(&self) -> &Caller {
        &self.login.caller
    }

    /// Waits until the caller's right has ended, and tells why; for ever where it lasts.
    pub async fn over(&self) -> Error {
        self.login.over().await
    }

    /// What a request may be at most.
    pub fn limits(&self) -> &RequestSettings {
        self.service.limits()
    }

    /// Runs that a preview tells at most.
    pub fn previewed_runs(&self) -> u32 {
        self.service.previewed_runs()
    }

    /// The key that seals the tokens of pages.
    pub async fn page_key(&self) -> Result<&PageKey, Error> {
        self.service.page_key().await
    }

    /// Another number as soon as anything may be answered differently; `None` where that is not known.
    pub fn version(&self) -> Option<u64> {
        self.service.version()
    }

    /// Refuses what asks for a tenant's covered data, unless the role there allows it.
    pub fn check_sensitive(&self, tenant: &Tenant) -> Result<(), Error> {
        self.may_in(Action::ReadSensitive, tenant)
    }

    /// Whether the caller may do that in a tenant.
    pub(super) fn allows(&self, action: Action, tenant: &Tenant) -> bool {
        let role = self.caller().grants().in_tenant(tenant);
        role.is_some_and(|role| role >= action.least())
    }

    /// Refuses what the caller may not do to a thing of a tenant; `absent` is what is said where there is no
    /// such thing.
    pub(super) fn may(
        &self,
        action: Action,
        tenant: &Tenant,
        absent: impl FnOnce() -> Error,
    ) -> Result<(), Error> {
        if self.allows(action, tenant) {
            return Ok(());
        }
        let now = self.service.clock.now();
        let refusals = &self.service.refusals;
        refusals.tell(now, self.caller(), action, tenant);
        if self.caller().grants().in_tenant(tenant).is_none() {
            return Err(absent());
        }
        let (what, least) = (action.name(), action.least().name());
        let message = format!("to {what} takes the role {least} in tenant {tenant}");
        Err(Error::new(ErrorKind::Forbidden, message).advise(
            "ask with another login, or have that role given to you: docs/callers.md has the roles",
        ))
    }

    /// Refuses what the caller may not do in a tenant that a request names.
    pub(super) fn may_in(&self, action: Action, tenant: &Tenant) -> Result<(), Error> {
        self.may(action, tenant, || unreached(tenant))
    }

    /// Refuses a cloud in which the caller may do nothing.
    pub(super) fn may_touch(&self, cloud: &CloudName) -> Result<(), Error> {
        self.service.gate.check_cloud(cloud)?;
        if self.caller().grants().touch(cloud) {
            return Ok(());
        }
        let message = format!("cloud: your login reaches nothing in cloud {cloud}");
        Err(Error::new(ErrorKind::Unreached, message).about(Some("cloud".to_owned())))
    }

    /// A question, narrowed to what the caller may be told of.
    pub(super) fn scoped(&self, query: Query) -> Query {
        Query {
            scope: self.scope().clone(),
            ..query
        }
    }

    pub(super) fn scope(&self) -> &Scope {
        self.caller().scope()
    }

    /// A request of this caller, whose key is apart from those of others.
    pub(super) fn asked(&self, request: Request) -> Asked {
        let Request { method, key } = request;
        let request_id = key.as_ref().map(|key| key.id.clone());
        let namespace = self.caller().namespace();
        let key = key.map(|key| match namespace {
            None => key,
            Some(namespace) => RequestKey {
                id: format!("{namespace}:{}", key.id),
                ..key
            },
        });
        let Login { door, address, .. } = self.login;
        Asked {
            method,
            request_id: request_id.unwrap_or_default(),
            key,
            who: Who::new(self.caller(), door, address),
        }
    }

    /// A point to do that to.
    pub(super) async fn point(&self, id: PointId, action: Action) -> Result<Point, Error> {
        let point = self.service.store.point_get(id).await.map_err(refused)?;
        let resource = ResourceId::Point(id);
        self.may(action, &point.tenant, || absent(resource))?;
        Ok(point)
    }

    /// A restoration to do that to.
    pub(super) async fn restoration(
        &self,
        id: RestorationId,
        action: Action,
    ) -> Result<Restoration, Error> {
        let found = self.service.store.restoration_get(id).await;
        let restoration = found.map_err(refused)?;
        let resource = ResourceId::Restoration(id);
        self.may(action, &restoration.tenant, || absent(resource))?;
        Ok(restoration)
    }

    /// A schedule to do that to.
    pub(super) async fn schedule(&self, id: ScheduleId, action: Action) -> Result<Schedule, Error> {
        let found = self.service.store.schedule_get(id).await;
        let schedule = found.map_err(refused)?;
        let resource = ResourceId::Schedule(id);
        self.may(action, &schedule.tenant, || absent(resource))?;
        Ok(schedule)
    }

    /// Refuses the answer to an earlier request that the caller may not give any more.
    pub(super) fn may_repeat(
        &self,
        action: Action,
        tenant: &Tenant,
        resource: ResourceId,
    ) -> Result<(), Error> {
        self.may(action, tenant, || absent(resource))
    }
}

/// What is said of a resource that is not there.
fn absent(resource: ResourceId) -> Error {
    Error::not_found(resource.noun(), resource.uuid())
}

/// What is said of a tenant that nobody can be let into.
pub(super) fn unreached(tenant: &Tenant) -> Error {
    let message = format!(
        "tenant: no credential of cloud {} can be scoped to a project `{}`",
        tenant.cloud, tenant.project
    );
    Error::new(ErrorKind::Unreached, message)
        .about(Some("tenant".to_owned()))
        .advise(
            "list the tenants of the cloud and name one by its id, or give the user a role in it",
        )
}
