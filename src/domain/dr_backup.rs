//! The DR backup: what brings one instance back elsewhere; it may not know how it is stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    capture::Capture,
    consistency::Consistency,
    error::{Error, OperationError},
    id::{DrBackupId, ServerId, Tenant, VolumeBackupId, VolumeId},
    keeping::Keeping,
    lifecycle::{State, Transition},
    manifest::Manifest,
    progress::Progress,
    record::BackupRecord,
    time::Timestamp,
    verification::{Cause, Verification},
};

/// A DR backup as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct DrBackup {
    /// Its id.
    pub id: DrBackupId,
    /// Its name.
    pub name: String,
    /// Its description, mirrored to the Cinder backups.
    pub description: String,
    /// Where the instance lives.
    pub tenant: Tenant,
    /// The instance.
    pub server: ServerId,
    /// The name of the instance, as soon as it is known.
    pub instance_name: String,
    /// How the bytes are taken.
    pub capture: Capture,
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
    pub detail: DrBackupDetail,
    /// What was last seen of it.
    pub verification: Verification,
    /// When it was admitted.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Grows with every change; the etag.
    pub revision: i64,
}

/// What a DR backup holds; grows while it is being made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrBackupDetail {
    /// Everything that is needed to rebuild the instance.
    pub manifest: Option<Box<Manifest>>,
    /// The links of every volume's chain, the newest first, in the order of the manifest's volumes.
    pub volume_backups: Vec<VolumeBackup>,
    /// How far apart the volumes are.
    pub consistency: Option<Consistency>,
    /// How long it took to make, once it is made.
    #[serde(default, rename = "took")]
    pub capture_duration: Option<Duration>,
}

impl DrBackupDetail {
    /// How long making it took for each GiB, once it is made.
    pub fn capture_duration_per_gib(&self) -> Option<Duration> {
        let gib: u64 = self.own_backups().map(|one| one.size_gib).sum();
        let gib = u32::try_from(gib).ok().filter(|gib| *gib > 0)?;
        self.capture_duration.map(|duration| duration / gib)
    }

    /// The volume backups that it made: these are its own to describe and to delete.
    pub fn own_backups(&self) -> impl Iterator<Item = &VolumeBackup> {
        self.volume_backups.iter().filter(|one| !one.inherited)
    }

    /// Nothing when the point can be restored, else what is missing.
    pub fn unrecoverable_reason(&self) -> Option<String> {
        let Some(manifest) = &self.manifest else {
            return Some("the manifest is missing".to_owned());
        };
        if !manifest.root_is_volume && manifest.root_volume().is_none() {
            return Some("the root disk was not captured".to_owned());
        }
        for volume in &manifest.volumes {
            if head_of(&self.volume_backups, &volume.id).is_none() {
                return Some(format!("volume {} has no volume backup", volume.id));
            }
            let mut links = chain_of(&self.volume_backups, &volume.id).peekable();
            while let Some(link) = links.next() {
                if let Some(reason) = link.unrecoverable_reason(links.peek().copied()) {
                    return Some(reason);
                }
            }
        }
        None
    }
}

/// The links of a volume's chain, the newest first.
pub fn chain_of<'a>(
    backups: &'a [VolumeBackup],
    volume: &VolumeId,
) -> impl Iterator<Item = &'a VolumeBackup> {
    backups.iter().filter(move |one| one.volume == *volume)
}

/// The volume backup whose restore brings a volume back, the links under it included.
pub fn head_of<'a>(backups: &'a [VolumeBackup], volume: &VolumeId) -> Option<&'a VolumeBackup> {
    chain_of(backups, volume).next()
}

/// One Cinder backup of a DR backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeBackup {
    /// Cinder's id, the same in every cloud that imported it.
    pub id: VolumeBackupId,
    /// The volume of the instance.
    pub volume: VolumeId,
    /// Where the backup was made.
    pub tenant: Tenant,
    /// Its size in GiB.
    pub size_gib: u64,
    /// Whether it holds only what changed since its parent.
    pub incremental: bool,
    /// The parent of an incremental one.
    pub parent: Option<VolumeBackupId>,
    /// Cinder's status when it was made; what was seen since is in the verification.
    pub status: String,
    /// The time of the bytes.
    pub data_timestamp: Option<Timestamp>,
    /// What imports it elsewhere.
    pub record: Option<BackupRecord>,
    /// A link that another DR backup or another tool made: never deleted or described by this one.
    #[serde(default)]
    pub inherited: bool,
}

impl VolumeBackup {
    /// Nothing when it can be restored on top of the next older link, else what is missing.
    fn unrecoverable_reason(&self, older: Option<&Self>) -> Option<String> {
        // Earlier releases wrote so what was to be deleted; now a doubt says what became of it.
        if self.status != "available" && self.status != "deleting" {
            return Some(format!("volume backup {} is {}", self.id, self.status));
        }
        if self.record.is_none() {
            return Some(format!(
                "the record of volume backup {} is not held",
                self.id
            ));
        }
        let parent = self.parent.as_ref()?;
        let is_held = older.is_some_and(|older| older.id == *parent);
        (!is_held).then(|| {
            format!(
                "volume backup {parent}, on which {} builds, is not held",
                self.id
            )
        })
    }
}

/// An imported record: it shares its bytes with the original.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mirror {
    /// The volume backup, by the id that both share.
    pub backup: VolumeBackupId,
    /// Where it was imported.
    pub tenant: Tenant,
}

impl DrBackup {
    /// The state after `transition`, or the refusal that a caller should see.
    pub fn moved(&self, transition: Transition) -> Result<State, Error> {
        self.state.after(transition).ok_or_else(|| {
            Error::precondition(
                "DR_BACKUP_STATE",
                format!(
                    "DR backup {} is {}, which does not allow this",
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
            // While words change, or when changing them failed, the bytes stay good. What failed to
            // be made says so in its detail, and what its deletion took is a doubt.
            State::Ok | State::UpdateScheduled | State::Updating | State::Erred => {
                let doubt = self.verification.doubt.as_ref();
                let deleted = doubt.filter(|doubt| doubt.cause == Cause::Deleted);
                self.detail
                    .unrecoverable_reason()
                    .or_else(|| deleted.map(|doubt| doubt.reason.clone()))
            }
            State::CreationScheduled
            | State::Creating
            | State::DeletionScheduled
            | State::Deleting
            | State::Deleted => Some(format!("it is {}", self.state.name())),
        }
    }

    /// Whether a restoration may start from it. What is doubtful may be tried, also where a row is gone
    /// that made it so: the record is held, the bytes may outlive the row (a database that was put back, a
    /// status that somebody has reset), it may be all there is, and nothing else proves it. What its own
    /// deletion took had its bytes taken with it.
    pub fn check_restorable(&self) -> Result<(), Error> {
        match self.impossible_reason() {
            None => Ok(()),
            Some(reason) => Err(Error::precondition(
                "DR_BACKUP_NOT_RECOVERABLE",
                format!("DR backup {} cannot be restored: {reason}", self.id),
            )
            .advise("choose a DR backup that is OK and recoverable")),
        }
    }
}
