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

/// What an effect brought to light: of each type at most one. Stored: renaming a variant or a field is a
/// migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// Of [`super::Read::Instance`].
    Instance(Box<Manifest>),
    /// Of [`super::Read::Record`].
    Record(Exported),
    /// Of [`super::Read::ServerState`].
    Server(Box<ServerState>),
    /// Of [`super::Read::Parents`].
    Parents(Parents),
    /// Of [`super::Read::Captured`].
    Captured(Captured),
    /// Of [`super::Read::Inventory`].
    Inventory(Box<Inventory>),
    /// Of [`super::Read::Allowance`].
    Allowance(Box<Allowance>),
    /// Of [`super::Read::Presence`].
    Presence(Presence),
    /// Of everything that is watched: the thing as it was when it became ready.
    Seen(Box<Sighting>),
    /// Of [`super::Make::Port`].
    Port(PortAddresses),
}

/// What increments would build on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parents {
    /// The newest usable volume backup of each volume that has one.
    pub newest: Vec<Sighting>,
}

/// What came with an image of a server or with a group snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Whether the guest had to hold still, by what Nova itself keeps of the server.
    pub quiesced: bool,
    /// The snapshots, each with its volume.
    pub snapshots: Vec<Sighting>,
}

/// Each volume backup that is live, and its project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Id and project.
    pub live: Vec<(VolumeBackupId, ProjectId)>,
    /// The same of those whose import failed: a row that never learned where its bytes are, in the
    /// way of another import.
    #[serde(default, rename = "hollow")]
    pub failed_imports: Vec<(VolumeBackupId, ProjectId)>,
    /// The same of those whose import has not ended: asked for again, it is adopted.
    #[serde(default, rename = "begun")]
    pub pending_imports: Vec<(VolumeBackupId, ProjectId)>,
    /// Whether records may be imported, where one has to be.
    #[serde(default)]
    pub import: Right,
}

impl Presence {
    /// Whether there is a row of this volume backup in the cloud, of use or not.
    pub fn has(&self, backup: &VolumeBackupId) -> bool {
        let rows = self.live.iter().chain(&self.failed_imports);
        rows.chain(&self.pending_imports)
            .any(|(id, _)| id == backup)
    }
}

/// The addresses that a port got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortAddresses {
    /// The addresses.
    pub addresses: Vec<String>,
    /// The MAC address; empty where it was not told.
    #[serde(default)]
    pub mac: String,
}

/// A type that a fact may be of.
pub trait Found: Sized {
    /// What was found, if the fact is of this type.
    fn of(fact: &Fact) -> Option<&Self>;
}

macro_rules! found {
    ($($fact:ident($found:ty),)*) => {$(
        impl Found for $found {
            fn of(fact: &Fact) -> Option<&Self> {
                if let Fact::$fact(found) = fact { Some(found) } else { None }
            }
        }
    )*};
}

found! {
    Instance(Manifest),
    Record(Exported),
    Server(ServerState),
    Parents(Parents),
    Captured(Captured),
    Inventory(Inventory),
    Allowance(Allowance),
    Presence(Presence),
    Seen(Sighting),
    Port(PortAddresses),
}
