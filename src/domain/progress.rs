//! How far an operation is, in numbers; it may not know who looks.

use serde::{Deserialize, Serialize};

use super::{id::VolumeId, time::Timestamp};

/// How far an operation is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done right now, for people ("Creating volume backups").
    pub phase: String,
    /// Effects that are done.
    pub effects_done: u32,
    /// Effects that are known to be needed so far.
    pub effects_total: u32,
    /// Each volume by itself.
    pub volumes: Vec<VolumeProgress>,
    /// Why nothing moves, where nothing does ("cloud dr does not answer: …").
    pub waiting: Option<String>,
    /// Since when nothing has changed, where that is longer than moving its bytes explains.
    #[serde(default)]
    pub stalled: Option<Timestamp>,
    /// When the operation began.
    pub started: Option<Timestamp>,
    /// When anything last changed.
    pub changed: Option<Timestamp>,
}

impl Progress {
    /// Whether `other` tells of the same point of the work, whatever is told about waiting there.
    pub fn is_as_far_as(&self, other: &Self) -> bool {
        self.phase == other.phase
            && (self.effects_done, self.effects_total) == (other.effects_done, other.effects_total)
            && self.volumes == other.volumes
    }
}

/// How far one volume is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeProgress {
    /// The volume of the source.
    pub volume: VolumeId,
    /// Its name.
    pub name: String,
    /// Its size in GiB.
    pub size_gib: u64,
    /// What is happening to it ("volume backup creating").
    pub status: String,
    /// Whether its part is done; stays so whatever becomes of it later.
    pub done: bool,
    /// Whether what happened to it last has failed.
    #[serde(default)]
    pub failed: bool,
}
