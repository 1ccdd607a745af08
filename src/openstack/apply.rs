//! What is set on things that are there, given to the noun that sets it; this file may not know how any one
//! of it is asked for.

use super::{
    Clouds, admin::AdminUse, instance, port, security_group, server, server_image, snapshot, thing,
    trunk, volume, volume_backup,
};
use crate::domain::{effect::Apply, fault::Fault, id::Tenant};

impl Clouds {
    /// Sets it, or sees that it is so already.
    pub(super) async fn apply(&self, tenant: &Tenant, apply: &Apply) -> Result<(), Fault> {
        let access = &match apply {
            Apply::ErrorStatus { .. }
            | Apply::ResetBackupStatus { .. }
            | Apply::SnapshotFreed { .. } => self.admin_or_tenant(tenant, AdminUse::Reset).await?,
            Apply::Bootable { .. }
            | Apply::DeleteOnTermination { .. }
            | Apply::Volume(_)
            | Apply::SecurityGroupRules { .. }
            | Apply::SecurityGroupName { .. }
            | Apply::PortName { .. }
            | Apply::PortSetting { .. }
            | Apply::Trunk { .. }
            | Apply::ServerSetting { .. }
            | Apply::ServerTags { .. }
            | Apply::VolumeBackup { .. }
            | Apply::Snapshot { .. }
            | Apply::SnapshotsGone { .. }
            | Apply::FailedImportGone { .. } => self.access(tenant).await?,
        };
        match apply {
            Apply::Bootable { volume, bootable } => {
                volume::mark_bootable(access, volume, *bootable).await
            }
            Apply::DeleteOnTermination { server, volumes } => {
                instance::tie_volumes(access, server, volumes).await
            }
            Apply::Volume(settings) => volume::apply(access, settings).await,
            Apply::SecurityGroupRules { group, rules } => {
                security_group::apply_rules(access, group, rules).await
            }
            Apply::SecurityGroupName { group, name } => {
                security_group::rename(access, group, name).await
            }
            Apply::PortName { port, name } => port::rename(access, port, name).await,
            Apply::PortSetting { port, setting } => port::set(access, port, setting).await,
            Apply::Trunk { trunk, name, tags } => trunk::apply(access, trunk, name, tags).await,
            Apply::ServerSetting { server, setting } => server::set(access, server, setting).await,
            Apply::ServerTags { server, tags } => server::apply_tags(access, server, tags).await,
            Apply::VolumeBackup {
                backup,
                description,
            } => volume_backup::describe(access, backup, description).await,
            Apply::Snapshot {
                snapshot,
                description,
            } => snapshot::describe(access, snapshot, description).await,
            Apply::ErrorStatus { thing } => thing::give_up_status(access, tenant, thing).await,
            Apply::ResetBackupStatus {
                backup,
                interrupt_restore,
            } => volume_backup::reset_status(access, backup, *interrupt_restore).await,
            Apply::SnapshotFreed { snapshot } => snapshot::free(access, tenant, snapshot).await,
            Apply::FailedImportGone { backup } => {
                volume_backup::clear_failed_import(access, backup).await
            }
            Apply::SnapshotsGone { image } => server_image::sweep(access, tenant, image).await,
        }
    }
}
