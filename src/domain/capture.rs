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

/// How far apart the volumes of a point may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsistencyLevel {
    /// One snapshot per volume, as close together as the cloud made them.
    VolumeSnapshots,
    /// Each volume at its own time.
    PerVolume,
    /// The instance was shut off, so nothing was written meanwhile.
    ShutOff,
}

/// What was reached, never what was hoped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// The level.
    pub level: ConsistencyLevel,
    /// Milliseconds between the first and the last capture by the cloud's own clock, where it
    /// tells; Cinder tells whole seconds or better.
    pub skew_ms: Option<u64>,
}
