//! A point of either kind, as far as schedules and retention look at it; it may not know what is in it.

use super::{
    backup::Backup,
    dr_backup::DrBackup,
    id::{ResourceId, ServerId, Tenant, VolumeBackupId},
    keeping::Keeping,
    lifecycle::State,
    retention::Health,
    time::Timestamp,
    verification::{Cause, Verification},
};

/// A point of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointFacts {
    /// Its id.
    pub id: ResourceId,
    /// Where its instance lives.
    pub tenant: Tenant,
    /// Its instance.
    pub server: ServerId,
    /// Where it stands.
    pub state: State,
    /// How long it is kept.
    pub keeping: Keeping,
    /// When it was admitted.
    pub created: Timestamp,
    /// What can be said of its data.
    pub health: Health,
    /// When its data was last seen.
    pub verified: Option<Timestamp>,
    /// The volume backups that it made.
    pub made: Vec<VolumeBackupId>,
    /// The volume backups that those build on.
    pub builds_on: Vec<VolumeBackupId>,
}

impl From<&DrBackup> for PointFacts {
    fn from(backup: &DrBackup) -> Self {
        let detail = &backup.detail;
        let recoverable = backup.unrecoverable_reason().is_none();
        Self {
            id: ResourceId::DrBackup(backup.id),
            tenant: backup.tenant.clone(),
            server: backup.server.clone(),
            state: backup.state,
            keeping: backup.keeping,
            created: backup.created,
            health: health(
                backup.state,
                detail.volume_backups.is_empty() || is_going(&backup.verification),
                recoverable,
            ),
            verified: backup.verification.time,
            made: detail.own_backups().map(|one| one.id.clone()).collect(),
            builds_on: detail
                .own_backups()
                .filter_map(|one| one.parent.clone())
                .collect(),
        }
    }
}

impl From<&Backup> for PointFacts {
    fn from(backup: &Backup) -> Self {
        let recoverable = backup.unrecoverable_reason().is_none();
        let nothing = backup.detail.snapshots.is_empty() || is_going(&backup.verification);
        Self {
            id: ResourceId::Backup(backup.id),
            tenant: backup.tenant.clone(),
            server: backup.server.clone(),
            state: backup.state,
            keeping: backup.keeping,
            created: backup.created,
            health: health(backup.state, nothing, recoverable),
            verified: backup.verification.time,
            made: Vec::new(),
            builds_on: Vec::new(),
        }
    }
}

/// Whether its deletion has removed something and did not come to its end.
fn is_going(verification: &Verification) -> bool {
    let doubt = verification.doubt.as_ref();
    doubt.is_some_and(|doubt| doubt.cause == Cause::Deleted)
}

/// What can be said of the data of a point. Of one whose making failed nothing is left, and one whose
/// deletion failed is let go again; any other that is not known to be good is doubtful.
fn health(state: State, holds_nothing: bool, recoverable: bool) -> Health {
    match state {
        State::Erred if holds_nothing => Health::Failed,
        State::Ok if recoverable => Health::Good,
        State::Ok
        | State::Erred
        | State::CreationScheduled
        | State::Creating
        | State::UpdateScheduled
        | State::Updating
        | State::DeletionScheduled
        | State::Deleting
        | State::Deleted => Health::Doubtful,
    }
}
