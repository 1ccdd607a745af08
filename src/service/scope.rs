//! Whether the places that a request names exist, and the only way to a cloud: whoever asks one about a
//! tenant has to have entered it here; it may not know what is asked there.
//!
//! An empty answer means that there is nothing, never that there is no such place. So a list of a cloud is
//! asked only within a tenant that a credential of ours reaches, and an empty list of ours only given
//! about places that exist. A cloud that does not answer is not unknown: what we keep about it is told,
//! and work in it is admitted, because an operation waits for it better than a caller can.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, future::join_all, stream};
use tokio::time::timeout;

use super::{
    acting::{Acting, unreached},
    refused,
};
use crate::{
    domain::{
        effect::{EffectKind, Fact, Request},
        error::{Error, ErrorKind},
        fault::{Fault, FaultKind},
        id::{CloudName, PointKind, ProjectId, ServerId, Tenant},
        inventory::{CloudInfo, Flavor, InstanceInfo, Network, TenantInfo, VolumeType},
        manifest::Manifest,
        page::{Filter, Page, Query},
        sighting::{Sighting, Thing, ThingKind},
    },
    port::cloud::Cloud,
};

/// Tenants that are looked into side by side for an instance of which nothing else is known.
const SIDE_BY_SIDE: usize = 8;

/// The fields of a request that name a place.
const CLOUD: &str = "cloud";
const TENANT: &str = "tenant";
const INSTANCE: &str = "instance_id";

/// The clouds, behind the check of what is asked of them.
#[derive(Clone)]
pub(super) struct Gate {
    cloud: Arc<dyn Cloud>,
    /// How long a caller waits for a cloud that may not answer.
    patience: Duration,
}

/// A tenant that exists, and what can be asked of it.
pub(super) struct Inside<'a> {
    cloud: &'a dyn Cloud,
    tenant: &'a Tenant,
}

impl Gate {
    pub(super) fn new(cloud: Arc<dyn Cloud>, patience: Duration) -> Self {
        Self { cloud, patience }
    }

    /// The names of the configured clouds.
    pub(super) fn cloud_names(&self) -> Vec<CloudName> {
        self.cloud.cloud_names()
    }

    /// The configured clouds, each with a word on whether it answers.
    pub(super) async fn clouds(&self) -> Vec<CloudInfo> {
        self.cloud.clouds_list().await
    }

    /// The tenants of a cloud of the configuration.
    pub(super) async fn tenants(&self, cloud: &CloudName) -> Result<Vec<TenantInfo>, Error> {
        self.check_cloud(cloud)?;
        let tenants = self.cloud.tenants_list(cloud).await;
        tenants.map_err(|fault| Error::from(fault).about(Some(CLOUD.to_owned())))
    }

    /// A cloud must be one of the configuration.
    pub(super) fn check_cloud(&self, cloud: &CloudName) -> Result<(), Error> {
        let names = self.cloud.cloud_names();
        if names.contains(cloud) {
            return Ok(());
        }
        let known: Vec<&str> = names.iter().map(CloudName::as_str).collect();
        Err(Error::field(
            CLOUD,
            format!(
                "`{cloud}` is not a configured cloud; there are: {}",
                known.join(", ")
            ),
        ))
    }

    /// Enters a tenant that a credential of ours reaches.
    pub(super) async fn enter<'a>(&'a self, tenant: &'a Tenant) -> Result<Inside<'a>, Error> {
        self.check_cloud(&tenant.cloud)?;
        match self.cloud.tenant_reached(tenant).await {
            Ok(true) => Ok(self.ours(tenant)),
            Ok(false) => Err(self.unreached(tenant).await),
            Err(fault) => Err(Error::from(fault).about(Some(TENANT.to_owned()))),
        }
    }

    /// The same for work that can wait: nothing where the cloud does not answer soon.
    pub(super) async fn enter_later<'a>(
        &'a self,
        tenant: &'a Tenant,
    ) -> Result<Option<Inside<'a>>, Error> {
        self.check_cloud(&tenant.cloud)?;
        match timeout(self.patience, self.enter(tenant)).await {
            Ok(Ok(inside)) => Ok(Some(inside)),
            Ok(Err(error)) if may_pass(&error) => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// A tenant that rows of ours name: it existed, so nothing is checked again.
    pub(super) fn ours<'a>(&'a self, tenant: &'a Tenant) -> Inside<'a> {
        Inside {
            cloud: self.cloud.as_ref(),
            tenant,
        }
    }

    /// Reads what an operation would read; nothing else passes.
    pub(super) async fn read(
        &self,
        tenant: &Tenant,
        request: &Request,
    ) -> Result<Option<Fact>, Error> {
        if request.kind() != EffectKind::Read {
            return Err(Error::new(
                ErrorKind::Internal,
                "only reads may be rehearsed",
            ));
        }
        let answer = self.cloud.request_perform(tenant, "", request).await?;
        Ok(answer.fact)
    }

    /// What is said of a tenant that no credential reaches: who gave a name is told the id.
    async fn unreached(&self, tenant: &Tenant) -> Error {
        let tenants = self.cloud.tenants_list(&tenant.cloud).await;
        let named: Vec<TenantInfo> = tenants
            .unwrap_or_default()
            .into_iter()
            .filter(|known| known.name == tenant.project.as_str())
            .collect();
        if named.is_empty() {
            return unreached(tenant);
        }
        let ids: Vec<&str> = named
            .iter()
            .map(|known| known.tenant.project.as_str())
            .collect();
        Error::field(
            TENANT,
            format!(
                "`{}` is a name; the id of that tenant is {}",
                tenant.project,
                ids.join(" or ")
            ),
        )
    }
}

/// Whether the cloud may answer later.
pub(super) fn may_pass(error: &Error) -> bool {
    match &error.kind {
        ErrorKind::Cloud(fault) => fault.may_pass(),
        ErrorKind::Unavailable => true,
        ErrorKind::Invalid(_)
        | ErrorKind::NotFound { .. }
        | ErrorKind::RequestReused
        | ErrorKind::Outdated
        | ErrorKind::Precondition { .. }
        | ErrorKind::Short(_)
        | ErrorKind::Blocked(_)
        | ErrorKind::Unreached
        | ErrorKind::Unauthenticated
        | ErrorKind::Forbidden
        | ErrorKind::Internal => false,
    }
}

impl Inside<'_> {
    /// Its instances.
    pub(super) async fn instances(&self) -> Result<Vec<InstanceInfo>, Error> {
        Ok(self.cloud.instances_list(self.tenant).await?)
    }

    /// One of its instances, complete.
    pub(super) async fn instance(&self, server: &ServerId) -> Result<Manifest, Error> {
        let read = self.cloud.instance_get(self.tenant, server).await;
        read.map_err(|fault| self.about_instance(server, fault))
    }

    /// One of its instances, in one short read.
    pub(super) async fn peek(&self, server: &ServerId) -> Result<InstanceInfo, Error> {
        let read = self.cloud.instance_peek(self.tenant, server).await;
        read.map_err(|fault| self.about_instance(server, fault))
    }

    /// The flavors that it may use.
    pub(super) async fn flavors(&self) -> Result<Vec<Flavor>, Error> {
        Ok(self.cloud.flavors_list(self.tenant).await?)
    }

    /// The networks that it may use.
    pub(super) async fn networks(&self) -> Result<Vec<Network>, Error> {
        Ok(self.cloud.networks_list(self.tenant).await?)
    }

    /// The volume types that it may use.
    pub(super) async fn volume_types(&self) -> Result<Vec<VolumeType>, Error> {
        Ok(self.cloud.volume_types_list(self.tenant).await?)
    }

    /// All its things of a kind.
    pub(super) async fn things(&self, kind: ThingKind) -> Result<Vec<Sighting>, Fault> {
        self.cloud.things_list(self.tenant, kind).await
    }

    /// One of its things, or nothing when the service itself says that it is not there.
    pub(super) async fn thing(&self, thing: &Thing) -> Result<Option<Sighting>, Fault> {
        self.cloud.thing_get(self.tenant, thing).await
    }

    /// Asks for the deletion of one of its things; whoever uses it and is none of `ours` keeps it.
    pub(super) async fn delete(&self, thing: &Thing, ours: &[Thing]) -> Result<(), Fault> {
        self.cloud.thing_delete(self.tenant, thing, ours).await
    }

    fn about_instance(&self, server: &ServerId, fault: Fault) -> Error {
        let field = Some(INSTANCE.to_owned());
        if fault.kind != FaultKind::NotFound {
            return Error::from(fault);
        }
        let mut error = Error::not_found("instance", server).about(field);
        error.message = format!("{} in tenant {}", error.message, self.tenant);
        error
    }
}

impl Acting {
    /// A page of ours: an empty one only about places that exist.
    pub(super) async fn honest<T>(&self, query: &Query, page: Page<T>) -> Result<Page<T>, Error> {
        if page.items.is_empty() && query.after.is_none() {
            self.check_filter(&query.filter).await?;
        }
        Ok(page)
    }

    /// Refuses a filter that names a place which does not exist: neither in the clouds, as far as they
    /// answer, nor in what we keep about those that are gone.
    pub async fn check_filter(&self, filter: &Filter) -> Result<(), Error> {
        let mut known = Filter::default();
        let mut clouds = self.service.gate.cloud.cloud_names();
        if let Some(cloud) = &filter.cloud {
            known.cloud = Some(cloud.clone());
            clouds.retain(|name| name == cloud && self.caller().grants().touch(name));
            if clouds.is_empty() && !self.is_kept(&known).await? {
                return self.may_touch(cloud);
            }
        }
        if let Some(project) = &filter.project {
            known.project = Some(project.clone());
            if !self.is_kept(&known).await? {
                self.find_tenant(&clouds, project, filter.cloud.as_ref())
                    .await?;
            }
        }
        if let Some(server) = &filter.server {
            known.server = Some(server.clone());
            if !self.is_kept(&known).await? {
                self.find_instance(&clouds, filter.project.as_ref(), server)
                    .await?;
            }
        }
        Ok(())
    }

    /// The same for a page of what came of the other resources of ours that `of` names, points of a schedule
    /// and restorations of a point: an empty one only about such as are there, or else it would look as if
    /// they had never run, or never been restored.
    pub(super) async fn honest_of<T>(
        &self,
        query: &Query,
        page: Page<T>,
        of: Filter,
    ) -> Result<Page<T>, Error> {
        let page = self.honest(query, page).await?;
        if !page.items.is_empty() || query.after.is_some() {
            return Ok(page);
        }
        let about = |field: &'static str| move |error: Error| error.about(Some(field.to_owned()));
        for id in of.points {
            let field = match id.kind {
                PointKind::Dr => "dr_backup_id",
                PointKind::Regular => "backup_id",
            };
            self.point_get(id).await.map_err(about(field))?;
        }
        if let Some(id) = of.schedule {
            self.schedule_get(id).await.map_err(about("schedule_id"))?;
        }
        Ok(page)
    }

    /// Whether anything that we keep is about such a place.
    async fn is_kept(&self, place: &Filter) -> Result<bool, Error> {
        let query = || Query {
            scope: self.scope().clone(),
            filter: place.clone(),
            limit: 1,
            ..Query::default()
        };
        let store = &self.service.store;
        for kind in PointKind::ALL {
            let mut query = query();
            query.filter.kind = Some(kind);
            let points = store.points_list(query).await.map_err(refused)?;
            if !points.items.is_empty() {
                return Ok(true);
            }
        }
        let schedules = store.schedules_list(query()).await.map_err(refused)?;
        if !schedules.items.is_empty() {
            return Ok(true);
        }
        // A restoration is of no instance that its filter could name.
        if place.server.is_some() {
            return Ok(false);
        }
        let restorations = store.restorations_list(query()).await.map_err(refused)?;
        Ok(!restorations.items.is_empty())
    }

    /// Refuses a tenant that none of these clouds has; one that does not answer may have it.
    async fn find_tenant(
        &self,
        clouds: &[CloudName],
        project: &ProjectId,
        cloud: Option<&CloudName>,
    ) -> Result<(), Error> {
        let tenants: Vec<Tenant> = clouds
            .iter()
            .map(|cloud| Tenant {
                cloud: cloud.clone(),
                project: project.clone(),
            })
            .filter(|tenant| self.scope().has(tenant))
            .collect();
        let looks = tenants
            .iter()
            .map(|tenant| async { self.service.gate.enter_later(tenant).await.err() });
        let mut refusals = Vec::with_capacity(tenants.len());
        for refusal in join_all(looks).await {
            match refusal {
                Some(error) if is_about_a_place(&error) => refusals.push(error),
                // It is there, or who could tell does not let us in.
                Some(_) | None => return Ok(()),
            }
        }
        // Where a name is meant, who knows it says so.
        let named = refusals
            .iter()
            .position(|error| matches!(error.kind, ErrorKind::Invalid(_)));
        Err(match (named, refusals.len(), cloud) {
            (Some(index), _, _) => refusals.swap_remove(index),
            (None, 1, _) => refusals.swap_remove(0),
            (None, _, Some(cloud)) => Error::field(
                TENANT,
                format!(
                    "nothing is kept of a tenant `{project}`, and cloud {cloud} is not configured any more"
                ),
            ),
            (None, _, None) => Error::new(
                ErrorKind::Unreached,
                format!(
                    "tenant: no credential of any cloud can be scoped to a project `{project}`"
                ),
            )
            .about(Some(TENANT.to_owned()))
            .advise("list the tenants of a cloud and name one by its id"),
        })
    }

    /// Refuses an instance that none of these clouds has; one that does not answer may have it.
    async fn find_instance(
        &self,
        clouds: &[CloudName],
        project: Option<&ProjectId>,
        server: &ServerId,
    ) -> Result<(), Error> {
        let mut tenants = Vec::new();
        for cloud in clouds {
            match project {
                Some(project) => tenants.push(Tenant {
                    cloud: cloud.clone(),
                    project: project.clone(),
                }),
                None => match timeout(self.service.gate.patience, self.service.gate.tenants(cloud))
                    .await
                {
                    Ok(Ok(found)) => tenants.extend(
                        found
                            .into_iter()
                            .map(|one| one.tenant)
                            .filter(|tenant| self.scope().has(tenant)),
                    ),
                    Ok(Err(_)) | Err(_) => return Ok(()),
                },
            }
        }
        let looks: Vec<_> = tenants
            .iter()
            .map(|tenant| async move {
                let inside = match self.service.gate.enter_later(tenant).await {
                    Ok(Some(inside)) => inside,
                    Ok(None) => return false,
                    Err(error) => return is_about_a_place(&error),
                };
                match timeout(self.service.gate.patience, inside.peek(server)).await {
                    Ok(Err(error)) => is_about_a_place(&error),
                    Ok(Ok(_)) | Err(_) => false,
                }
            })
            .collect();
        let mut looks = stream::iter(looks).buffer_unordered(SIDE_BY_SIDE);
        while let Some(is_elsewhere) = looks.next().await {
            if !is_elsewhere {
                return Ok(());
            }
        }
        Err(Error::not_found("instance", server).about(Some(INSTANCE.to_owned())))
    }
}

/// Whether an error says for sure that a place does not exist.
fn is_about_a_place(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Invalid(_) | ErrorKind::Unreached | ErrorKind::NotFound { .. }
    )
}
