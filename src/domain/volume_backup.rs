//! The volume backups of a DR backup and their chains, and the records that were imported of them; it may
//! not know what else a point holds.

use serde::{Deserialize, Serialize};

use super::{
    id::{Tenant, VolumeBackupId, VolumeId},
    record::BackupRecord,
    time::Timestamp,
};

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
    pub(super) fn unrecoverable_reason(&self, older: Option<&Self>) -> Option<String> {
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

/// A volume backup as one tenant has it: the original where it was made, or a mirror, which is the record of it
/// that was imported elsewhere and shares its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BackupAt {
    /// The volume backup, by the id that both share.
    pub backup: VolumeBackupId,
    /// Whose it is there.
    pub tenant: Tenant,
}
