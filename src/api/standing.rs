//! What a backup of either kind is judged by where only its place among others matters; it may not know
//! what it holds.

use crate::domain::{
    backup::Backup,
    dr_backup::DrBackup,
    id::{ResourceId, ScheduleId, ServerId, Tenant},
    lifecycle::State,
    time::Timestamp,
};

/// The two kinds of backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// DR backups.
    DrBackup,
    /// Regular backups.
    Backup,
}

impl Kind {
    /// The kind of a resource, where it is a backup.
    pub(super) fn of(resource: ResourceId) -> Option<Self> {
        match resource {
            ResourceId::DrBackup(_) => Some(Self::DrBackup),
            ResourceId::Backup(_) => Some(Self::Backup),
            ResourceId::Restoration(_) | ResourceId::Schedule(_) => None,
        }
    }
}

/// How one backup stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Which.
    pub(super) resource: ResourceId,
    /// Where its instance lives.
    pub(super) tenant: Tenant,
    /// Its instance.
    pub(super) server: ServerId,
    /// The schedule that made it.
    pub(super) schedule: Option<ScheduleId>,
    /// Its name.
    pub(super) name: String,
    /// Its state.
    pub(super) state: State,
    /// When it was admitted.
    pub(super) created: Timestamp,
    /// Its revision.
    pub(super) revision: i64,
}

impl From<DrBackup> for Standing {
    fn from(backup: DrBackup) -> Self {
        Self {
            resource: ResourceId::DrBackup(backup.id),
            tenant: backup.tenant,
            server: backup.server,
            schedule: backup.keeping.schedule,
            name: backup.name,
            state: backup.state,
            created: backup.created,
            revision: backup.revision,
        }
    }
}

impl From<Backup> for Standing {
    fn from(backup: Backup) -> Self {
        Self {
            resource: ResourceId::Backup(backup.id),
            tenant: backup.tenant,
            server: backup.server,
            schedule: backup.keeping.schedule,
            name: backup.name,
            state: backup.state,
            created: backup.created,
            revision: backup.revision,
        }
    }
}
