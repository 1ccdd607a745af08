//! What an operation reads, and with whose token; this file may not know how any one of it is asked for.

use super::{
    Clouds,
    inventory::{self, Importer},
    rate_limiter::Waiter,
    server_image, server_state, volume_backup, volume_group,
};
use crate::domain::{
    effect::{Fact, Parents, Presence, Read},
    fault::{Fault, FaultKind, Service},
    id::{ProjectId, Tenant, VolumeBackupId},
    inventory::{Allowance, Inventory, Right},
    sighting::ThingKind,
};

impl Clouds {
    /// Reads it.
    pub(super) async fn read(&self, tenant: &Tenant, read: &Read) -> Result<Fact, Fault> {
        match read {
            Read::Captured { thing, server } => {
                let access = self.access(tenant).await?;
                let captured = if thing.kind == ThingKind::GroupSnapshot {
                    volume_group::captured(&access, tenant, &thing.id).await
                } else {
                    server_image::captured(&access, tenant, &thing.id, server).await
                };
                captured.map(Fact::Captured)
            }
            Read::Instance { server } => {
                let read = self.instance_in_time(tenant, server, Waiter::Operation);
                Ok(Fact::Instance(Box::new(read.await?)))
            }
            Read::ServerState { server } => {
                let access = self.access(tenant).await?;
                let state = server_state::read(&access, tenant, server).await?;
                Ok(Fact::Server(Box::new(state)))
            }
            Read::Parents { volumes } => {
                let access = self.access(tenant).await?;
                let newest = volume_backup::parents(&access, volumes).await?;
                Ok(Fact::Parents(Parents { newest }))
            }
            Read::Record { backup } => {
                let access = self.admin_or_tenant(tenant).await?;
                let exported = volume_backup::export(&access, backup).await?;
                Ok(Fact::Record(exported))
            }
            Read::Inventory => {
                let action = "read what the tenant offers";
                let read = self.inventory_read(tenant);
                let inventory = self.in_time(Service::Compute, action, read).await?;
                Ok(Fact::Inventory(Box::new(inventory)))
            }
            Read::Allowance { export } => {
                let action = "read what the tenant may still make";
                let read = self.allowance_read(tenant, *export);
                let allowance = self.in_time(Service::BlockStorage, action, read).await?;
                Ok(Fact::Allowance(Box::new(allowance)))
            }
            Read::Presence { backups, projects } => {
                let action = "look for the volume backups";
                let read = self.presence_read(tenant, backups, projects);
                let presence = self.in_time(Service::BlockStorage, action, read).await?;
                Ok(Fact::Presence(presence))
            }
        }
    }

    async fn inventory_read(&self, tenant: &Tenant) -> Result<Inventory, Fault> {
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
        Box::pin(inventory::read(&access, tenant, importer)).await
    }

    async fn allowance_read(&self, tenant: &Tenant, export: bool) -> Result<Allowance, Fault> {
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
        Ok(Allowance { quotas, export })
    }

    async fn presence_read(
        &self,
        tenant: &Tenant,
        backups: &[VolumeBackupId],
        others: &[ProjectId],
    ) -> Result<Presence, Fault> {
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
