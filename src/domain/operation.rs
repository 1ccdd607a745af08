//! One long piece of work on one resource; it may not know how the work is done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    capture::Capture,
    consistency::ConsistencyLevel,
    id::{CloudName, EffectKey, OperationId, ResourceId, ServerId, SnapshotId, Tenant},
    lifecycle::State,
    point::PointDetail,
    restoration::RestorePlanInput,
    sighting::Thing,
    time::Timestamp,
    volume_backup::BackupAt,
};

/// An operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id, in every name of what it makes.
    pub id: OperationId,
    /// What it works on.
    pub resource: ResourceId,
    /// The lane that it runs in.
    pub tenant: Tenant,
    /// What was asked for.
    pub ask: Ask,
    /// The state of the resource as it was last written.
    pub resource_state: State,
    /// When it was admitted.
    pub created: Timestamp,
    /// When it gives up, before what it has to move is reckoned in: see [`Operation::gives_up`].
    pub deadline: Timestamp,
    /// Whether a caller set that deadline, so that nothing is reckoned in.
    pub deadline_fixed: bool,
    /// How long moving one GiB may take.
    pub per_gib: Duration,
    /// When a caller cancelled it.
    pub cancelled: Option<Timestamp>,
    /// Whether whoever cancelled it wants to keep the volumes that have their bytes.
    pub cancel_keeps_volumes: bool,
    /// How long nobody worked at it: the service was not there, or its machine stood still. That does not
    /// count towards its deadline.
    pub idle: Duration,
    /// Since when somebody has worked at it without a gap; not stored. What the ledger says of before is
    /// history, so patience begins anew then.
    pub attended: Timestamp,
}

/// What an operation is asked for, complete: a planner needs nothing else. Stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Ask {
    /// Make a DR backup.
    CreateDrBackup {
        /// The instance.
        server: ServerId,
        /// How.
        capture: Capture,
        /// The description, for the Cinder backups.
        description: String,
        /// Whether each volume backup holds only what changed since the newest one of its volume,
        /// where there is one to build on.
        #[serde(default)]
        incremental: bool,
        /// How well the volumes have to agree at least.
        #[serde(default)]
        minimum: Option<ConsistencyLevel>,
    },
    /// Give the Cinder backups of a DR backup a new description.
    UpdateDrBackup {
        /// The description.
        description: String,
        /// The originals.
        backups: Vec<BackupAt>,
    },
    /// Delete a DR backup with its bytes.
    DeleteDrBackup {
        /// The originals that it made; on none of them builds another DR backup.
        backups: Vec<BackupAt>,
        /// The imported records, which are of no use without the bytes.
        mirrors: Vec<BackupAt>,
        /// What its making, or an earlier deletion, left behind.
        #[serde(default)]
        leftovers: Vec<Leftover>,
        /// Clouds that do not answer, and in which a caller lets be forgotten what is there.
        #[serde(default)]
        missing: Vec<CloudName>,
    },
    /// Make a regular backup.
    CreateBackup {
        /// The instance.
        server: ServerId,
        /// The description, for the snapshots.
        description: String,
        /// How well the volumes have to agree at least.
        #[serde(default)]
        minimum: Option<ConsistencyLevel>,
    },
    /// Give the snapshots of a regular backup a new description.
    UpdateBackup {
        /// The description.
        description: String,
        /// The snapshots.
        snapshots: Vec<SnapshotId>,
    },
    /// Delete a regular backup with its snapshots.
    DeleteBackup {
        /// What it held.
        detail: Box<PointDetail>,
        /// What its making, or an earlier deletion, left behind.
        #[serde(default)]
        leftovers: Vec<Leftover>,
        /// Clouds that do not answer, and in which a caller lets be forgotten what is there.
        #[serde(default)]
        missing: Vec<CloudName>,
    },
    /// Restore a DR backup or a regular one.
    Restore(Box<RestorePlanInput>),
    /// Remove a restoration, with what it made where that is wished for.
    DeleteRestoration {
        /// What to delete, in the order in which it was made; empty to leave the instance alone.
        things: Vec<Thing>,
        /// Clouds that do not answer, and in which a caller lets be forgotten what is there.
        #[serde(default)]
        missing: Vec<CloudName>,
    },
}

/// What an earlier operation made, was to remove and could not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leftover {
    /// Where it is.
    pub tenant: Tenant,
    /// What.
    pub thing: Thing,
}

/// How many operations of one kind are under way in a cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// The cloud.
    pub cloud: CloudName,
    /// The name of the planner, as [`Ask::name`] spells it.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// When the one that was admitted first was.
    pub oldest: Timestamp,
}

impl Ask {
    /// The names of all planners, as [`Ask::name`] spells them.
    pub const NAMES: [&'static str; 8] = [
        "create_dr_backup",
        "update_dr_backup",
        "delete_dr_backup",
        "create_backup",
        "update_backup",
        "delete_backup",
        "restore",
        "delete_restoration",
    ];

    /// The things that it is there to delete together.
    pub fn things(&self) -> &[Thing] {
        match self {
            Self::DeleteRestoration { things, .. } => things,
            Self::CreateDrBackup { .. }
            | Self::UpdateDrBackup { .. }
            | Self::DeleteDrBackup { .. }
            | Self::CreateBackup { .. }
            | Self::UpdateBackup { .. }
            | Self::DeleteBackup { .. }
            | Self::Restore(_) => &[],
        }
    }

    /// The name of the planner, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateDrBackup { .. } => "create_dr_backup",
            Self::UpdateDrBackup { .. } => "update_dr_backup",
            Self::DeleteDrBackup { .. } => "delete_dr_backup",
            Self::CreateBackup { .. } => "create_backup",
            Self::UpdateBackup { .. } => "update_backup",
            Self::DeleteBackup { .. } => "delete_backup",
            Self::Restore(_) => "restore",
            Self::DeleteRestoration { .. } => "delete_restoration",
        }
    }
}

impl Operation {
    /// When it gives up, with `gib` GiB to move, as far as it was not idle.
    pub fn gives_up(&self, gib: u64) -> Timestamp {
        let worked = self.deadline.after(self.idle);
        if self.deadline_fixed {
            worked
        } else {
            worked.after(self.moving(gib))
        }
    }

    /// When a change that is told to have been at `changed` was, for whoever is patient: at the earliest
    /// when somebody began to look.
    pub fn patient_since(&self, changed: Timestamp) -> Timestamp {
        changed.max(self.attended)
    }

    /// How long moving `gib` GiB may take.
    pub fn moving(&self, gib: u64) -> Duration {
        self.per_gib
            .saturating_mul(u32::try_from(gib).unwrap_or(u32::MAX))
    }

    /// The deterministic name of what an effect makes: `drb-OPERATION-KEY`. What was made is found again by
    /// all of it, so it is never cut: see [`Operation::can_name`].
    pub fn name_of(&self, key: &EffectKey) -> String {
        format!("{NAME_MARK}{}-{key}", self.id.0.simple())
    }

    /// Whether every service takes the name of what the effect of this key makes.
    pub fn can_name(&self, key: &EffectKey) -> bool {
        self.name_of(key).len() <= NAME_MAX
    }
}

/// What every name that we hand out begins with.
pub const NAME_MARK: &str = "drb-";

/// As long as a name may be: the least that any service takes (a tag of Nova).
const NAME_MAX: usize = 60;
