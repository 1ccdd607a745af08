//! What an operation reads, and with whose token; this file may not know how any one of it is asked for.

use super::{
    Clouds,
    access::Access,
    admin::{AdminUse, OwnRight},
    inventory::{self, Importer},
    rate_limiter::Waiter,
    server_image, server_state, volume_backup, volume_group,
};
use crate::domain::{
    effect::{Fact, Parents, Presence, Read},
    fault::{Fault, FaultKind, Service},
    id::{ProjectId, Tenant, VolumeBackupId},
    inventory::{AdminReach, Allowance, Inventory, Right},
    sighting::ThingKind,
};

/// Why exporting is taken for refused where nothing tells.
const UNSEEN_EXPORT: &str = "no admin entry is configured, the user does not have the role `admin`, and \
                             there is no volume backup in the project by which another policy could be seen";

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
                let exported = self.record_export(tenant, backup).await?;
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
        let admin = match sessions.admin(&tenant.project, AdminUse::Import).await {
            Ok((admin, reach)) => Some((admin, reach)),
            Err(fault) if fault.may_pass() => return Err(fault),
            Err(_) => None,
        };
        let importer = match &admin {
            // An import that the tenant may do itself lands there, wherever the admin is.
            Some((admin, AdminReach::Other(_)))
                if self.own_right(tenant, OwnRight::Import).await? == Right::Granted =>
            {
                Importer::Admin(admin, AdminReach::Tenant)
            }
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
            match self.own_right(tenant, OwnRight::Export).await? {
                Right::Granted => Ok(Right::Granted),
                own @ (Right::Unknown | Right::Refused(_)) => {
                    self.admins_export_right(tenant, own).await
                }
            }
        };
        let quotas = inventory::volume_quotas(&access, &tenant.project);
        let (quotas, export) = futures::try_join!(quotas, right)?;
        Ok(Allowance { quotas, export })
    }

    /// Whether records may be exported by the admin, if there is one; else what is known of the tenant's `own`
    /// right.
    async fn admins_export_right(&self, tenant: &Tenant, own: Right) -> Result<Right, Fault> {
        let sessions = self.sessions(&tenant.cloud)?;
        match sessions.admin(&tenant.project, AdminUse::Export).await {
            Ok((admin, _)) => volume_backup::export_right(&admin).await,
            Err(fault) if fault.may_pass() => Err(fault),
            Err(fault) if sessions.has_admin() => Ok(Right::Refused(fault.to_string())),
            Err(_) if own == Right::Unknown => Ok(Right::Refused(UNSEEN_EXPORT.to_owned())),
            Err(_) => Ok(own),
        }
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
        let admin = match sessions.admin(&tenant.project, AdminUse::Import).await {
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
        let presence = volume_backup::presence(&seen, admin.as_ref(), backups).await?;
        // It is asked for only where something has to be imported.
        let import = if backups.iter().all(|wanted| presence.has(wanted)) {
            Right::Unknown
        } else {
            self.import_right(tenant, admin.as_ref()).await?
        };
        Ok(Presence { import, ..presence })
    }

    /// Whether records may be imported for a tenant, by itself or by the admin.
    async fn import_right(&self, tenant: &Tenant, admin: Option<&Access>) -> Result<Right, Fault> {
        let own = self.own_right(tenant, OwnRight::Import).await?;
        match admin {
            Some(admin) if own != Right::Granted => volume_backup::import_right(admin).await,
            Some(_) | None => Ok(own),
        }
    }
}
