//! What a read has found; it may not know how it was read.

use serde::{Deserialize, Serialize};

use crate::domain::{
    consistency::ServerState,
    id::{ProjectId, VolumeBackupId},
    inventory::{Allowance, Inventory, Right},
    manifest::Manifest,
    record::Exported,
    sighting::Sighting,
};

/// What an effect brought to light.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// Of [`super::Request::ReadInstance`].
    Instance(Box<Manifest>),
    /// Of [`super::Request::ReadRecord`].
    Record(Exported),
    /// Of [`super::Request::ReadServerState`].
    Server(Box<ServerState>),
    /// Of [`super::Request::ReadParents`].
    Parents {
        /// The newest usable volume backup of each volume that has one.
        newest: Vec<Sighting>,
    },
    /// Of [`super::Request::ReadCaptured`].
    Captured {
        /// Whether the guest had to hold still, by what Nova itself keeps of the server.
        quiesced: bool,
        /// The snapshots, each with its volume.
        snapshots: Vec<Sighting>,
    },
    /// Of [`super::Request::ReadInventory`].
    Inventory(Box<Inventory>),
    /// Of [`super::Request::ReadAllowance`].
    Allowance(Box<Allowance>),
    /// Of [`super::Request::ReadPresence`]: each volume backup that is live, and its project.
    Presence {
        /// Id and project.
        live: Vec<(VolumeBackupId, ProjectId)>,
        /// The same of those whose import failed: a row that never learned where its bytes are, in the
        /// way of another import.
        #[serde(default, rename = "hollow")]
        failed_imports: Vec<(VolumeBackupId, ProjectId)>,
        /// The same of those whose import has not ended: asked for again, it is adopted.
        #[serde(default, rename = "begun")]
        pending_imports: Vec<(VolumeBackupId, ProjectId)>,
        /// Whether records may be imported, where one has to be.
        #[serde(default)]
        import: Right,
    },
    /// Of everything that is watched: the thing as it was when it became ready.
    Seen(Box<Sighting>),
    /// Of [`super::Request::MakePort`]: the addresses that the port got.
    Port {
        /// The addresses.
        addresses: Vec<String>,
        /// The MAC address; empty where it was not told.
        #[serde(default)]
        mac: String,
    },
}
