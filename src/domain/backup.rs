//! The regular backup: snapshots of all volumes of one instance, in its own tenant; it may not know how
//! it is stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    consistency::Consistency,
    error::{Error, OperationError},
    id::{BackupId, ServerId, SnapshotId, Tenant, VolumeId},
    keeping::Keeping,
    lifecycle::{State, Transition},
    manifest::Manifest,
    progress::Progress,
    time::Timestamp,
    verification::Verification,
};

/// A regular backup as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// Its name.
    pub name: String,
    /// Its description, mirrored to the snapshots.
    pub description: String,
    /// Where the instance lives, and where its snapshots are.
    pub tenant: Tenant,
    /// The instance.
    pub server: ServerId,
    /// The name of the instance, as soon as it is known.
    pub instance_name: String,
    /// How long it is kept.
    pub keeping: Keeping,
    /// For programs.
    pub state: State,
    /// For people.
    pub runtime_state: String,
    /// Both in numbers.
    pub progress: Progress,
    /// Why the last operation failed.
    pub error: Option<OperationError>,
    /// What it holds.
    pub detail: BackupDetail,
    /// What was last seen of it.
    pub verification: Verification,
    /// When it was admitted.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Grows with every change; the etag.
    pub revision: i64,
}

/// What a regular backup holds; grows while it is being made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupDetail {
    /// Everything that is needed to rebuild the instance.
    pub manifest: Option<Box<Manifest>>,
    /// The snapshots, in the order of the manifest's volumes.
    pub snapshots: Vec<VolumeSnapshot>,
    /// How far apart the volumes are.
    pub consistency: Option<Consistency>,
    /// How long it took to make, once it is made.
    #[serde(rename = "took")]
    pub capture_duration: Option<Duration>,
}

/// One Cinder snapshot of a regular backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSnapshot {
    /// Cinder's id.
    pub id: SnapshotId,
    /// The volume of the instance.
    pub volume: VolumeId,
    /// Its size in GiB.
    pub size_gib: u64,
    /// Cinder's status when it was made; what was seen since is in the verification.
    pub status: String,
    /// When Cinder made it, by its own clock: the time of the bytes.
    pub created: Option<Timestamp>,
}

impl BackupDetail {
    /// Nothing when the instance can be restored, else what is missing.
    pub fn unrecoverable_reason(&self) -> Option<String> {
        let Some(manifest) = &self.manifest else {
            return Some("the manifest is missing".to_owned());
        };
        if !manifest.root_is_volume {
            return Some("the root disk is not a volume".to_owned());
        }
        for volume in &manifest.volumes {
            let mut snapshots = self.snapshots.iter();
            let Some(snapshot) = snapshots.find(|one| one.volume == volume.id) else {
                return Some(format!("volume {} has no snapshot", volume.id));
            };
            // Earlier releases wrote so what was to be deleted; now a doubt says what became of it.
            if snapshot.status != "available" && snapshot.status != "deleting" {
                return Some(format!("snapshot {} is {}", snapshot.id, snapshot.status));
            }
        }
        None
    }
}

impl Backup {
    /// The state after `transition`, or the refusal that a caller should see.
    pub fn moved(&self, transition: Transition) -> Result<State, Error> {
        self.state.after(transition).ok_or_else(|| {
            Error::precondition(
                "BACKUP_STATE",
                format!(
                    "regular backup {} is {}, which does not allow this",
                    self.id,
                    self.state.name()
                ),
            )
            .advise("wait until it is OK or ERRED, or cancel what is under way")
        })
    }

    /// Nothing when it is known that it can be restored, else why not.
    pub fn unrecoverable_reason(&self) -> Option<String> {
        let doubt = self.verification.doubt.as_ref();
        self.impossible_reason()
            .or_else(|| doubt.map(|doubt| doubt.reason.clone()))
    }

    /// Nothing when a restoration of it may be tried, else what makes that vain.
    fn impossible_reason(&self) -> Option<String> {
        if let Some(error) = self.error.as_ref().filter(|error| error.is_unreadable()) {
            return Some(error.message.clone());
        }
        match self.state {
            // While words change, or when changing them failed, the snapshots stay good. What failed
            // to be made says so in its detail, and what its deletion took is a doubt.
            State::Ok | State::UpdateScheduled | State::Updating | State::Erred => {
                let doubt = self.verification.doubt.as_ref();
                let certain = doubt.filter(|doubt| doubt.is_certain());
                self.detail
                    .unrecoverable_reason()
                    .or_else(|| certain.map(|doubt| doubt.reason.clone()))
            }
            State::CreationScheduled
            | State::Creating
            | State::DeletionScheduled
            | State::Deleting
            | State::Deleted => Some(format!("it is {}", self.state.name())),
        }
    }

    /// Whether a restoration into `target` may start from it. Snapshots cannot leave their tenant. What is
    /// only doubtful may be tried: nothing else proves it.
    pub fn check_restorable(&self, target: &Tenant) -> Result<(), Error> {
        if let Some(reason) = self.impossible_reason() {
            return Err(Error::precondition(
                "BACKUP_NOT_RECOVERABLE",
                format!("regular backup {} cannot be restored: {reason}", self.id),
            )
            .advise("choose a regular backup that is OK and recoverable"));
        }
        if *target != self.tenant {
            return Err(Error::precondition(
                "BACKUP_OF_ANOTHER_TENANT",
                format!(
                    "regular backup {} is made of snapshots, which cannot leave {}: it cannot be \
                     restored into {target}",
                    self.id, self.tenant
                ),
            )
            .advise("restore it where it was made, or use a DR backup of the instance"));
        }
        Ok(())
    }
}
