//! The ways of taking volume backups; it may not know who carries them out.

use serde::{Deserialize, Serialize};

/// How the bytes of a running instance are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    /// All snapshots first and side by side, then a volume backup from each.
    #[default]
    Snapshot,
    /// Volume backups straight from the volumes in use: the cloud clones each by itself.
    VolumeInUse,
    /// Snapshot, then a temporary volume from it, then a backup of that volume, as the original did.
    SnapshotThenCopy,
}
