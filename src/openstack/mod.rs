//! The OpenStack client: Keystone, Cinder, Nova, Neutron and Glance over HTTP behind
//! [`Cloud`]; it may not know operations, ledgers or the store.
//!
//! One file because all that is asked of a cloud is given to the noun that answers it here.
//!
//! Read [`Clouds`] first, then `cloud_sessions` (whose token is used), `call` and `access` (how a call
//! is put together and sent), `fault` (what a refusal means); the other files have one noun of OpenStack
//! each.

mod access;
mod attributes;
mod call;
mod capture;
mod catalogue;
mod cloud_sessions;
mod coalescer;
pub mod config;
mod connection;
mod entry;
mod fault;
mod flavor;
mod holder;
mod http_transport;
mod image;
mod instance;
mod inventory;
mod key_pair;
pub mod limits;
mod network;
mod pages;
mod port;
mod rate_limiter;
mod refusals;
mod root;
mod security_group;
mod server;
mod server_group;
mod server_image;
mod server_state;
mod session;
mod shared_reads;
mod snapshot;
mod thing;
mod traffic;
mod transfer;
mod trunk;
mod version;
mod versions;
mod volume;
mod volume_backup;
mod volume_group;
mod wire;
mod wiring;

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::future::join_all;

pub use connection::install_crypto;
pub use http_transport::{HttpTransport, TransportError};
pub use traffic::{Durations, TrafficCount};

use self::{
    access::Access, cloud_sessions::CloudSessions, config::Config, entry::Entry,
    http_transport::NetworkTransport, instance::AdminView, inventory::Importer, limits::Limits,
    rate_limiter::Waiter,
};
use crate::{
    domain::{
        effect::{Fact, Request},
        fault::{Fault, FaultKind, Service},
        id::{CloudName, ImageId, ProjectId, ServerId, SnapshotId, Tenant, VolumeBackupId},
        inventory::{
            Allowance, CloudInfo, Flavor, InstanceInfo, Network, Right, TenantInfo, VolumeType,
        },
        manifest::Manifest,
        sighting::{Sighting, Thing, ThingKind},
    },
    port::{
        clock::Clock,
        cloud::{Answer, Cloud},
    },
};

/// The clouds of the configuration.
pub struct Clouds {
    by_name: BTreeMap<CloudName, CloudSessions>,
    limits: Limits,
    durations: Durations,
}

impl Clouds {
    /// Takes the configuration; nothing is sent before the first call. [`install_crypto`] has to
    /// have been called.
    pub fn new(config: Config, clock: &Arc<dyn Clock>) -> Self {
        let limits = config.limits.clone();
        Self::reached(config, clock, |entry| {
            Arc::new(NetworkTransport::new(entry, &limits))
        })
    }

    /// The same, but all requests travel over `transport` instead of connections of their own.
    pub fn with_transport(
        config: Config,
        clock: &Arc<dyn Clock>,
        transport: &Arc<dyn HttpTransport>,
    ) -> Self {
        Self::reached(config, clock, |_| Arc::clone(transport))
    }

    fn reached(
        config: Config,
        clock: &Arc<dyn Clock>,
        transport: impl Fn(&Entry) -> Arc<dyn HttpTransport>,
    ) -> Self {
        let Config { clouds, limits } = config;
        let durations = traffic::durations();
        let by_name = clouds
            .into_iter()
            .map(|cloud| {
                let sessions = CloudSessions::new(cloud, &limits, clock, &durations, &transport);
                (sessions.name().clone(), sessions)
            })
            .collect();
        Self {
            by_name,
            limits,
            durations,
        }
    }

    /// How often each cloud was called.
    pub fn traffic(&self) -> Vec<(CloudName, Vec<TrafficCount>)> {
        self.by_name
            .iter()
            .map(|(name, sessions)| (name.clone(), sessions.traffic.count()))
            .collect()
    }

    /// How long the calls to all clouds took.
    pub fn durations(&self) -> Durations {
        self.durations.clone()
    }

    fn sessions(&self, cloud: &CloudName) -> Result<&CloudSessions, Fault> {
        self.by_name.get(cloud).ok_or_else(|| {
            Fault::new(
                FaultKind::Unconfigured,
                Service::Identity,
                format!("find the cloud {cloud}"),
                "no cloud of this name is configured",
            )
        })
    }

    /// Ends a read that takes too long as a whole, although each of its calls is in time.
    async fn in_time<T>(
        &self,
        service: Service,
        action: &str,
        read: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        match tokio::time::timeout(self.limits.composite(), read).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::new(
                FaultKind::Unanswered,
                service,
                action,
                format!("it took longer than {} s", self.limits.composite_seconds),
            )),
        }
    }

    async fn instance_in_time(
        &self,
        tenant: &Tenant,
        server: &ServerId,
        waiter: Waiter,
    ) -> Result<Manifest, Fault> {
        let action = format!("read the instance {server}");
        let read = self.instance_read(tenant, server, waiter);
        self.in_time(Service::Compute, &action, read).await
    }

    async fn instance_read(
        &self,
        tenant: &Tenant,
        server: &ServerId,
        waiter: Waiter,
    ) -> Result<Manifest, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions
            .keeper(&tenant.project)
            .await?
            .waited_for_by(waiter);
        let admin = if access.token().await?.is_admin() {
            None
        } else {
            let admin = sessions.admin(&tenant.project).await;
            Some(admin.map(|(admin, _)| admin.waited_for_by(waiter)))
        };
        let view = match &admin {
            None => AdminView::Own,
            Some(Ok(admin)) => AdminView::Of(admin),
            Some(Err(fault)) if fault.may_pass() => return Err(fault.clone()),
            Some(Err(fault)) => AdminView::None(fault.message.clone()),
        };
        Box::pin(instance::read(&access, &view, tenant, server)).await
    }

    /// The access in which things are made in a project.
    async fn access(&self, tenant: &Tenant) -> Result<Access, Fault> {
        self.sessions(&tenant.cloud)?.tenant(&tenant.project).await
    }

    /// The access with which a caller of the service looks into a project, and waits for it.
    async fn look(&self, tenant: &Tenant) -> Result<Access, Fault> {
        let access = self.access(tenant).await?;
        Ok(access.waited_for_by(Waiter::Caller))
    }

    async fn inventory_read(&self, tenant: &Tenant) -> Result<Fact, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions.tenant(&tenant.project).await?;
        let admin = match sessions.admin(&tenant.project).await {
            Ok((admin, reach)) => Some((admin, reach)),
            Err(fault) if fault.may_pass() => return Err(fault),
            Err(_) => None,
        };
        let importer = match &admin {
            Some((admin, reach)) => Importer::Admin(admin, reach.clone()),
            None => Importer::Tenant,
        };
        let inventory = Box::pin(inventory::read(&access, tenant, importer)).await?;
        Ok(Fact::Inventory(Box::new(inventory)))
    }

    async fn allowance_in_time(&self, tenant: &Tenant, export: bool) -> Result<Fact, Fault> {
        let action = "read what the tenant may still make";
        let read = self.allowance_read(tenant, export);
        self.in_time(Service::BlockStorage, action, read).await
    }

    async fn allowance_read(&self, tenant: &Tenant, export: bool) -> Result<Fact, Fault> {
        let access = self.access(tenant).await?;
        let right = async {
            if !export {
                return Ok(Right::Unknown);
            }
            let exporter = match self.admin_or_tenant(tenant).await {
                Ok(exporter) => exporter,
                Err(fault) if fault.may_pass() => return Err(fault),
                Err(fault) => return Ok(Right::Refused(fault.to_string())),
            };
            volume_backup::export_right(&exporter).await
        };
        let quotas = inventory::volume_quotas(&access, &tenant.project);
        let (quotas, export) = futures::try_join!(quotas, right)?;
        Ok(Fact::Allowance(Box::new(Allowance { quotas, export })))
    }

    /// What is asked of a tenant with its own token.
    #[expect(clippy::too_many_lines, reason = "a line or two for each request")]
    async fn perform_as_tenant(
        &self,
        tenant: &Tenant,
        name: &str,
        request: &Request,
    ) -> Result<Answer, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions.tenant(&tenant.project).await?;
        match request {
            Request::MakeSnapshot { .. }
            | Request::TakeSnapshot { .. }
            | Request::MakeImage { .. }
            | Request::MakeGroupSnapshot { .. }
            | Request::ApplySnapshot { .. }
            | Request::ApplySnapshotsGone { .. }
            | Request::ReadCaptured { .. }
            | Request::ReadServerState { .. } => {
                capture::perform(&access, tenant, name, request).await
            }
            Request::MakeVolumeBackup {
                volume,
                snapshot,
                description,
                incremental,
            } => {
                let from = snapshot.as_ref();
                let id =
                    volume_backup::make(&access, name, volume, from, description, *incremental);
                id.await.map(accepted)
            }
            Request::MakeVolume {
                size_gib,
                volume_type,
                availability_zone,
                snapshot,
                image,
                description,
            } => {
                let wish = volume::NewVolume {
                    size_gib: *size_gib,
                    volume_type: volume_type.as_deref(),
                    availability_zone: availability_zone.as_deref(),
                    snapshot: snapshot.as_ref().map(SnapshotId::as_str),
                    image: image.as_ref().map(ImageId::as_str),
                    description,
                };
                volume::make(&access, name, &wish).await.map(accepted)
            }
            Request::AcceptTransfer { volume, from } => {
                let donor = sessions.tenant(from).await?;
                transfer::accept(&donor, &access, volume, name).await?;
                Ok(accepted(volume.as_str().to_owned()))
            }
            Request::MakeSecurityGroup {
                description,
                stateful,
            } => security_group::make(&access, name, description, *stateful)
                .await
                .map(ready),
            Request::MakeKeyPair {
                name,
                public_key,
                kind,
            } => key_pair::make(&access, name, public_key, kind.as_deref())
                .await
                .map(ready),
            Request::MakePort { .. } => {
                let (id, fact) = port::make(&access, name, request).await?;
                let fact = Some(fact);
                Ok(Answer { fact, ..ready(id) })
            }
            Request::MakeTrunk { .. } => trunk::make(&access, name, request).await.map(ready),
            Request::MakeServer(plan) => server::make(&access, name, plan).await.map(accepted),
            Request::RestoreVolumeBackup { backup, volume, .. } => {
                volume_backup::restore(&access, backup, volume).await?;
                Ok(accepted(volume.as_str().to_owned()))
            }
            Request::ApplyVolume { .. } => volume::apply(&access, request).await.map(done),
            Request::ApplyBootable { volume, bootable } => {
                volume::mark_bootable(&access, volume, *bootable)
                    .await
                    .map(done)
            }
            Request::ApplyDeleteOnTermination { server, volumes } => {
                instance::tie_volumes(&access, server, volumes)
                    .await
                    .map(done)
            }
            Request::ApplySecurityGroupRules { group, rules } => {
                security_group::apply_rules(&access, group, rules)
                    .await
                    .map(done)
            }
            Request::ApplySecurityGroupName { group, name } => {
                security_group::rename(&access, group, name).await.map(done)
            }
            Request::ApplyPortName { .. }
            | Request::ApplyPortSetting { .. }
            | Request::ApplyTrunk { .. }
            | Request::ApplyServerSetting { .. }
            | Request::ApplyServerTags { .. } => set(&access, request).await.map(done),
            Request::ApplyVolumeBackup {
                backup,
                description,
            } => volume_backup::describe(&access, backup, description)
                .await
                .map(done),
            Request::ImportRecord { .. }
            | Request::ApplyErrorStatus { .. }
            | Request::ResetBackupStatus { .. }
            | Request::ApplySnapshotFreed { .. }
            | Request::ReadInstance { .. }
            | Request::ReadParents { .. }
            | Request::ReadRecord { .. }
            | Request::ReadInventory
            | Request::ReadAllowance { .. }
            | Request::ReadPresence { .. }
            | Request::Drop { .. } => Err(not_of_a_tenant()),
        }
    }

    /// The access for what usually only an admin may do. Without an admin entry the tenant tries:
    /// a policy may allow it, and otherwise says so itself.
    async fn admin_or_tenant(&self, tenant: &Tenant) -> Result<Access, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        if sessions.has_admin() {
            return Ok(sessions.admin(&tenant.project).await?.0);
        }
        sessions.tenant(&tenant.project).await
    }

    async fn presence_read(
        &self,
        tenant: &Tenant,
        backups: &[VolumeBackupId],
        others: &[ProjectId],
    ) -> Result<Fact, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let mut seen = Vec::new();
        match sessions.tenant(&tenant.project).await {
            Ok(access) => seen.push(access),
            Err(fault) if fault.kind == FaultKind::Unconfigured && sessions.has_admin() => {}
            Err(fault) => return Err(fault),
        }
        let admin = match sessions.admin(&tenant.project).await {
            Ok((access, _)) => Some(access),
            Err(fault) if fault.kind == FaultKind::Unconfigured => None,
            Err(fault) => return Err(fault),
        };
        if admin.is_none() {
            for project in others.iter().filter(|other| **other != tenant.project) {
                match sessions.tenant(project).await {
                    Ok(access) => seen.push(access),
                    Err(fault) if fault.may_pass() => return Err(fault),
                    // No credential reaches it, so what it holds is of no use either.
                    Err(_) => {}
                }
            }
        }
        volume_backup::presence(&seen, admin.as_ref(), backups).await
    }
}

/// Sets what is set on a port, trunk or server that is there.
async fn set(access: &Access, request: &Request) -> Result<(), Fault> {
    if let Request::ApplyPortName { port, name } = request {
        return port::rename(access, port, name).await;
    }
    if let Request::ApplyPortSetting { port, setting } = request {
        return port::set(access, port, setting).await;
    }
    if let Request::ApplyTrunk { trunk, name, tags } = request {
        return trunk::apply(access, trunk, name, tags).await;
    }
    if let Request::ApplyServerSetting { server, setting } = request {
        return server::set(access, server, setting).await;
    }
    if let Request::ApplyServerTags { server, tags } = request {
        return server::apply_tags(access, server, tags).await;
    }
    Err(not_of_a_tenant())
}

fn not_of_a_tenant() -> Fault {
    Fault::new(
        FaultKind::Invalid,
        Service::Identity,
        "act for a tenant",
        "this request is not one of a tenant",
    )
}

fn accepted(id: String) -> Answer {
    Answer {
        cloud_id: Some(id),
        ready: false,
        fact: None,
    }
}

fn ready(id: String) -> Answer {
    Answer {
        cloud_id: Some(id),
        ready: true,
        fact: None,
    }
}

fn done(_: ()) -> Answer {
    Answer {
        cloud_id: None,
        ready: true,
        fact: None,
    }
}

fn fact(fact: Fact) -> Answer {
    Answer {
        cloud_id: None,
        ready: true,
        fact: Some(fact),
    }
}

#[async_trait]
impl Cloud for Clouds {
    async fn request_perform(
        &self,
        tenant: &Tenant,
        name: &str,
        request: &Request,
    ) -> Result<Answer, Fault> {
        match request {
            Request::ReadInstance { server } => {
                let read = self.instance_in_time(tenant, server, Waiter::Operation);
                let manifest = read.await?;
                Ok(fact(Fact::Instance(Box::new(manifest))))
            }
            Request::ReadInventory => self
                .in_time(
                    Service::Compute,
                    "read what the tenant offers",
                    self.inventory_read(tenant),
                )
                .await
                .map(fact),
            Request::ReadAllowance { export } => {
                self.allowance_in_time(tenant, *export).await.map(fact)
            }
            Request::ReadPresence { backups, projects } => self
                .in_time(
                    Service::BlockStorage,
                    "look for the volume backups",
                    self.presence_read(tenant, backups, projects),
                )
                .await
                .map(fact),
            Request::ReadParents { volumes } => {
                let access = self.access(tenant).await?;
                let newest = volume_backup::parents(&access, volumes).await?;
                Ok(fact(Fact::Parents { newest }))
            }
            Request::ReadRecord { backup } => {
                let access = self.admin_or_tenant(tenant).await?;
                let exported = volume_backup::export(&access, backup).await?;
                Ok(fact(Fact::Record(exported)))
            }
            Request::ImportRecord { backup, record } => {
                let access = self.admin_or_tenant(tenant).await?;
                volume_backup::import(&access, backup, record)
                    .await
                    .map(accepted)
            }
            Request::ApplyErrorStatus { thing } => {
                let access = self.admin_or_tenant(tenant).await?;
                let given_up = thing::give_up_status(&access, tenant, thing).await;
                given_up.map(done)
            }
            Request::ResetBackupStatus {
                backup,
                interrupt_restore,
            } => {
                let access = self.admin_or_tenant(tenant).await?;
                let reset = volume_backup::reset_status(&access, backup, *interrupt_restore);
                reset.await.map(done)
            }
            Request::ApplySnapshotFreed { snapshot } => {
                let access = self.admin_or_tenant(tenant).await?;
                snapshot::free(&access, snapshot).await.map(done)
            }
            Request::RestoreVolumeBackup {
                backup,
                backup_project,
                volume,
            } if *backup_project != tenant.project => {
                let sessions = self.sessions(&tenant.cloud)?;
                let (access, _) = sessions.admin(&tenant.project).await?;
                volume_backup::restore(&access, backup, volume).await?;
                Ok(accepted(volume.as_str().to_owned()))
            }
            Request::Drop { thing } => {
                Answer::of_deletion(thing, self.thing_delete(tenant, thing, &[]).await)
            }
            Request::MakeSnapshot { .. }
            | Request::TakeSnapshot { .. }
            | Request::MakeImage { .. }
            | Request::MakeGroupSnapshot { .. }
            | Request::ApplySnapshotsGone { .. }
            | Request::ReadServerState { .. }
            | Request::ReadCaptured { .. }
            | Request::MakeVolumeBackup { .. }
            | Request::MakeVolume { .. }
            | Request::AcceptTransfer { .. }
            | Request::MakeSecurityGroup { .. }
            | Request::MakeKeyPair { .. }
            | Request::MakePort { .. }
            | Request::MakeTrunk { .. }
            | Request::MakeServer(_)
            | Request::RestoreVolumeBackup { .. }
            | Request::ApplyBootable { .. }
            | Request::ApplyDeleteOnTermination { .. }
            | Request::ApplyVolume { .. }
            | Request::ApplySecurityGroupRules { .. }
            | Request::ApplySecurityGroupName { .. }
            | Request::ApplyPortName { .. }
            | Request::ApplyPortSetting { .. }
            | Request::ApplyTrunk { .. }
            | Request::ApplyServerSetting { .. }
            | Request::ApplyServerTags { .. }
            | Request::ApplyVolumeBackup { .. }
            | Request::ApplySnapshot { .. } => self.perform_as_tenant(tenant, name, request).await,
        }
    }

    async fn thing_delete(
        &self,
        tenant: &Tenant,
        thing: &Thing,
        ours: &[Thing],
    ) -> Result<(), Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions.keeper(&tenant.project).await?;
        thing::delete(&access, tenant, thing, ours).await
    }

    async fn things_list(&self, tenant: &Tenant, kind: ThingKind) -> Result<Vec<Sighting>, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let service = thing::service(kind);
        let action = format!("list the {}s", kind.noun());
        self.in_time(service, &action, async {
            let access = sessions.keeper(&tenant.project).await?;
            thing::list(&access, tenant, kind).await
        })
        .await
    }

    async fn thing_get(&self, tenant: &Tenant, thing: &Thing) -> Result<Option<Sighting>, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        let access = sessions.keeper(&tenant.project).await?;
        thing::get(&access, thing).await
    }

    async fn clouds_list(&self) -> Vec<CloudInfo> {
        join_all(self.by_name.values().map(CloudSessions::info)).await
    }

    fn cloud_names(&self) -> Vec<CloudName> {
        self.by_name.keys().cloned().collect()
    }

    async fn tenants_list(&self, cloud: &CloudName) -> Result<Vec<TenantInfo>, Fault> {
        self.sessions(cloud)?.tenants().await
    }

    async fn tenant_reached(&self, tenant: &Tenant) -> Result<bool, Fault> {
        match self.sessions(&tenant.cloud)?.tenant(&tenant.project).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.kind == FaultKind::Unconfigured => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    async fn instances_list(&self, tenant: &Tenant) -> Result<Vec<InstanceInfo>, Fault> {
        self.in_time(Service::Compute, "list the servers", async {
            server::instances(&self.look(tenant).await?, tenant).await
        })
        .await
    }

    async fn instance_get(&self, tenant: &Tenant, server: &ServerId) -> Result<Manifest, Fault> {
        self.instance_in_time(tenant, server, Waiter::Caller).await
    }

    async fn instance_peek(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<InstanceInfo, Fault> {
        server::instance(&self.look(tenant).await?, tenant, server).await
    }

    async fn flavors_list(&self, tenant: &Tenant) -> Result<Vec<Flavor>, Fault> {
        self.in_time(Service::Compute, "list the flavors", async {
            flavor::list(&self.look(tenant).await?).await
        })
        .await
    }

    async fn networks_list(&self, tenant: &Tenant) -> Result<Vec<Network>, Fault> {
        self.in_time(Service::Network, "list the networks", async {
            network::list(&self.look(tenant).await?, tenant).await
        })
        .await
    }

    async fn volume_types_list(&self, tenant: &Tenant) -> Result<Vec<VolumeType>, Fault> {
        self.in_time(Service::BlockStorage, "list the volume types", async {
            inventory::volume_types(&self.look(tenant).await?).await
        })
        .await
    }
}
