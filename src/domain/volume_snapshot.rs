//! The snapshots of a regular backup; it may not know what else a point holds.

use serde::{Deserialize, Serialize};

use super::{
    id::{SnapshotId, VolumeId},
    time::Timestamp,
};

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
