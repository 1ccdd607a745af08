//! What is asked of a cloud; it may not know how it is sent.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

use super::server_plan::{
    NewPort, NewTrunk, NewVolume, PortSetting, ServerPlan, ServerSetting, VolumeSettings,
};
use crate::domain::{
    id::{
        GroupId, PortId, ProjectId, SecurityGroupId, ServerId, SnapshotId, TrunkId, VolumeBackupId,
        VolumeId,
    },
    manifest::SecurityGroupRule,
    record::BackupRecord,
    sighting::{Thing, ThingKind},
};

/// What is asked of a cloud. It is stored flat, by the word in `rename` of what is asked: to change a word
/// or a field is a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", remote = "Self")]
pub enum Request {
    /// Make a thing, or take one over.
    #[serde(skip)]
    Make(Make),
    /// Import a record.
    #[serde(rename = "import_record")]
    Import {
        /// The id that the record carries.
        backup: VolumeBackupId,
        /// The record.
        record: BackupRecord,
    },
    /// Restore a volume backup into a volume that exists.
    #[serde(rename = "restore_volume_backup")]
    RestoreInto {
        /// The volume backup.
        backup: VolumeBackupId,
        /// The project it lives in, when that is not the tenant's own.
        backup_project: ProjectId,
        /// The volume.
        volume: VolumeId,
    },
    /// Set something on what is there; it may be asked for again.
    #[serde(skip)]
    Apply(Apply),
    /// Read what a decision rests on.
    #[serde(skip)]
    Read(Read),
    /// Delete a thing that an earlier operation made.
    #[serde(rename = "drop")]
    Drop {
        /// The thing.
        thing: Thing,
    },
}

/// A thing to make, found again by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask")]
pub enum Make {
    /// Make a snapshot of a volume, in use or not.
    #[serde(rename = "make_snapshot")]
    Snapshot {
        /// The volume.
        volume: VolumeId,
        /// For people who find it.
        description: String,
    },
    /// Have Nova make an image of a server. Of one that boots from a volume that is a snapshot of each
    /// of its volumes, made while the guest holds still where it is asked to, and an image without
    /// bytes that names them; they carry the name of the image in their own.
    #[serde(rename = "make_image")]
    Image {
        /// The server.
        server: ServerId,
    },
    /// Make a snapshot of all volumes of a group.
    #[serde(rename = "make_group_snapshot")]
    GroupSnapshot {
        /// The group.
        group: GroupId,
        /// For people who find it.
        description: String,
    },
    /// Give one of the snapshots that came with an image our name and its description: from then on it
    /// is like one that we asked for.
    #[serde(rename = "take_snapshot")]
    TakeSnapshot {
        /// The snapshot, by the id that it keeps.
        snapshot: SnapshotId,
        /// For people who find it.
        description: String,
    },
    /// Make a volume backup, from the snapshot where one is named.
    #[serde(rename = "make_volume_backup")]
    VolumeBackup {
        /// The volume.
        volume: VolumeId,
        /// The snapshot of it.
        snapshot: Option<SnapshotId>,
        /// The description of the DR backup.
        description: String,
        /// Only what changed since the last one.
        incremental: bool,
    },
    /// Make a volume, empty, from a snapshot or from an image.
    #[serde(rename = "make_volume")]
    Volume(NewVolume),
    /// Take a volume over from another project of the cloud: from then on it is one of the tenant's.
    /// In the tenant that is a volume more, so it is made there as far as the ledger is concerned.
    #[serde(rename = "take_volume")]
    AcceptTransfer {
        /// The volume, by the id that it keeps.
        volume: VolumeId,
        /// The project that gives it.
        from: ProjectId,
    },
    /// Make a security group; its rules come by [`Apply::SecurityGroupRules`].
    #[serde(rename = "make_security_group")]
    SecurityGroup {
        /// Its description.
        description: String,
        /// Whether it is stateful, as groups usually are.
        stateful: bool,
    },
    /// Import a public key under its own name.
    #[serde(rename = "make_key_pair")]
    KeyPair {
        /// The name.
        name: String,
        /// The key.
        public_key: String,
        /// Its type (`ssh`, `x509`); nothing leaves it to the cloud.
        #[serde(default, rename = "type")]
        kind: Option<String>,
    },
    /// Make a port.
    #[serde(rename = "make_port")]
    Port(NewPort),
    /// Make a trunk.
    #[serde(rename = "make_trunk")]
    Trunk(NewTrunk),
    /// Make a server from volumes and ports.
    #[serde(rename = "make_server")]
    Server(Box<ServerPlan>),
}

/// What is set, however often it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask")]
pub enum Apply {
    /// Mark a volume as one that boots, or as one that does not.
    #[serde(rename = "apply_bootable")]
    Bootable {
        /// The volume.
        volume: VolumeId,
        /// Whether it boots.
        bootable: bool,
    },
    /// Have volumes go with the server that they are attached to.
    #[serde(rename = "apply_delete_on_termination")]
    DeleteOnTermination {
        /// The server.
        server: ServerId,
        /// The volumes.
        volumes: Vec<VolumeId>,
    },
    /// Give a volume its name, description, metadata and image metadata.
    #[serde(rename = "apply_volume")]
    Volume(VolumeSettings),
    /// Give a security group exactly these rules.
    #[serde(rename = "apply_security_group_rules")]
    SecurityGroupRules {
        /// The group.
        group: SecurityGroupId,
        /// The rules; remote groups are ids of the target.
        rules: Vec<SecurityGroupRule>,
    },
    /// Give a security group its final name.
    #[serde(rename = "apply_security_group_name")]
    SecurityGroupName {
        /// The group.
        group: SecurityGroupId,
        /// The name.
        name: String,
    },
    /// Give a port its final name.
    #[serde(rename = "apply_port_name")]
    PortName {
        /// The port.
        port: PortId,
        /// The name, possibly empty.
        name: String,
    },
    /// Set one thing on a port.
    #[serde(rename = "apply_port_setting")]
    PortSetting {
        /// The port.
        port: PortId,
        /// What is set.
        setting: PortSetting,
    },
    /// Give a trunk its final name and its tags.
    #[serde(rename = "apply_trunk")]
    Trunk {
        /// The trunk.
        trunk: TrunkId,
        /// The name, possibly empty.
        name: String,
        /// All the tags that it should have.
        tags: Vec<String>,
    },
    /// Set one thing on a server that is up.
    #[serde(rename = "apply_server_setting")]
    ServerSetting {
        /// The server.
        server: ServerId,
        /// What is set.
        setting: ServerSetting,
    },
    /// Take our tag off a server, so that its tags are those of the original.
    #[serde(rename = "apply_server_tags")]
    ServerTags {
        /// The server.
        server: ServerId,
        /// All the tags that it should have.
        tags: Vec<String>,
    },
    /// Give a Cinder backup a description.
    #[serde(rename = "apply_volume_backup")]
    VolumeBackup {
        /// The volume backup.
        backup: VolumeBackupId,
        /// The description.
        description: String,
    },
    /// Give a Cinder snapshot a description.
    #[serde(rename = "apply_snapshot")]
    Snapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The description.
        description: String,
    },
    /// Give a snapshot, volume or volume backup that must go, and whose status forbids that for good,
    /// the status `error`, from which it may be deleted; needs an admin entry.
    #[serde(rename = "apply_error_status")]
    ErrorStatus {
        /// What is stuck.
        thing: Thing,
    },
    /// Give a record that has its bytes, and has been busy for too long, the status `available`; needs an
    /// admin entry. Where it cannot be, or must not, the fault says what can be done.
    #[serde(rename = "apply_record_freed")]
    ResetBackupStatus {
        /// The volume backup.
        backup: VolumeBackupId,
        /// Whether it is being restored by what asks, and may be cut off: Cinder ends a restore whose
        /// record is not `restoring` any more.
        #[serde(rename = "cut_off")]
        interrupt_restore: bool,
    },
    /// Give a snapshot that a volume backup which died has left `backing-up` the status `available`; needs
    /// an admin entry, unless it is not so.
    #[serde(rename = "apply_snapshot_freed")]
    SnapshotFreed {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Delete every snapshot that came with an image of this name and that nobody took; done when there
    /// is none.
    #[serde(rename = "apply_snapshots_gone")]
    SnapshotsGone {
        /// The name of the image.
        image: String,
    },
    /// Delete the row that a failed import has left, which holds no bytes and is in the way of another import of
    /// the same record; done when it is gone, and when it has become a record with bytes or another import of
    /// it has begun: then it is somebody's, and stays.
    #[serde(rename = "apply_failed_import_gone")]
    FailedImportGone {
        /// The volume backup.
        backup: VolumeBackupId,
    },
}

/// What is read; each has its [`Fact`](super::Fact).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask")]
pub enum Read {
    /// Read which snapshots came with an image of a server or with a group snapshot.
    #[serde(rename = "read_captured")]
    Captured {
        /// The image or the group snapshot.
        thing: Thing,
        /// The server.
        server: ServerId,
    },
    /// Read everything about an instance.
    #[serde(rename = "read_instance")]
    Instance {
        /// The server.
        server: ServerId,
    },
    /// Read how an instance stands once it was captured, to know what may be claimed of that.
    #[serde(rename = "read_server_state")]
    ServerState {
        /// The server.
        server: ServerId,
    },
    /// Read which volume backup an increment of each volume would build on.
    #[serde(rename = "read_parents")]
    Parents {
        /// The volumes.
        volumes: Vec<VolumeId>,
    },
    /// Export the record of a volume backup; needs the right to.
    #[serde(rename = "read_record")]
    Record {
        /// The volume backup.
        backup: VolumeBackupId,
    },
    /// Read what the tenant offers and may still make.
    #[serde(rename = "read_inventory")]
    Inventory,
    /// Read what Cinder still lets the tenant make.
    #[serde(rename = "read_allowance")]
    Allowance {
        /// Whether to see too if records may be exported.
        export: bool,
    },
    /// Read in which project of the cloud each volume backup is live, if it is.
    #[serde(rename = "read_presence")]
    Presence {
        /// The volume backups.
        backups: Vec<VolumeBackupId>,
        /// Other projects that may hold one, looked into where no admin sees all projects.
        #[serde(default)]
        projects: Vec<ProjectId>,
    },
}

/// As a group spells it. With `remote` what serde derives for [`Request`] is a function beside the trait, for
/// what is in no group.
impl Serialize for Request {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Make(make) => make.serialize(into),
            Self::Apply(apply) => apply.serialize(into),
            Self::Read(read) => read.serialize(into),
            Self::Import { .. } | Self::RestoreInto { .. } | Self::Drop { .. } => {
                Self::serialize(self, into)
            }
        }
    }
}

/// By the first word of what is asked, so that an error is that of its group.
impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let row = Value::deserialize(from)?;
        let ask = row.get("ask").and_then(Value::as_str).unwrap_or_default();
        let request = match ask.split('_').next() {
            Some("make" | "take") => Make::deserialize(row).map(Self::Make),
            Some("apply") => Apply::deserialize(row).map(Self::Apply),
            Some("read") => Read::deserialize(row).map(Self::Read),
            Some(_) | None => Self::deserialize(row),
        };
        request.map_err(D::Error::custom)
    }
}

impl From<Make> for Request {
    fn from(make: Make) -> Self {
        Self::Make(make)
    }
}

impl From<Apply> for Request {
    fn from(apply: Apply) -> Self {
        Self::Apply(apply)
    }
}

impl From<Read> for Request {
    fn from(read: Read) -> Self {
        Self::Read(read)
    }
}

/// The kind of an effect, which decides how a lost answer is recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EffectKind {
    /// Looked up by its deterministic name: adopted, or asked for again.
    Make(ThingKind),
    /// Looked up by the record's id.
    Import,
    /// Judged by the volume, from a status read after the request.
    RestoreInto,
    /// Repeated: idempotent.
    Apply,
    /// Repeated; the answer is a fact.
    Read,
    /// Gone, or asked for again.
    Drop(ThingKind),
}

impl Request {
    /// The kind.
    pub fn kind(&self) -> EffectKind {
        match self {
            Self::Make(make) => EffectKind::Make(make.kind()),
            Self::Import { .. } => EffectKind::Import,
            Self::RestoreInto { .. } => EffectKind::RestoreInto,
            Self::Apply(_) => EffectKind::Apply,
            Self::Read(_) => EffectKind::Read,
            Self::Drop { thing } => EffectKind::Drop(thing.kind),
        }
    }

    /// Whether it is asked for again whatever the answer, like a deletion of what must go.
    pub fn is_asked_until_done(&self) -> bool {
        matches!(
            self,
            Self::Apply(Apply::SnapshotsGone { .. } | Apply::FailedImportGone { .. })
        )
    }

    /// Whether it is put together from reads that are shared with whoever wants the like at the same time.
    pub fn shares_reads(&self) -> bool {
        matches!(self, Self::Read(Read::Instance { .. }))
    }

    /// The list by which the effect is watched, adopted, judged or seen to be gone.
    pub fn watched(&self) -> Option<ThingKind> {
        match self.kind() {
            EffectKind::Make(kind) | EffectKind::Drop(kind) => Some(kind),
            EffectKind::Import => Some(ThingKind::VolumeBackup),
            EffectKind::RestoreInto => Some(ThingKind::Volume),
            EffectKind::Apply | EffectKind::Read => None,
        }
    }

    /// The id that is known before the answer: of what is imported, filled, taken over or dropped.
    pub fn known_id(&self) -> Option<&str> {
        match self {
            Self::Make(make) => make.known_id(),
            Self::Import { backup, .. } => Some(backup.as_str()),
            Self::RestoreInto { volume, .. } => Some(volume.as_str()),
            Self::Drop { thing } => Some(&thing.id),
            Self::Apply(_) | Self::Read(_) => None,
        }
    }
}

impl Make {
    fn kind(&self) -> ThingKind {
        match self {
            Self::Snapshot { .. } | Self::TakeSnapshot { .. } => ThingKind::Snapshot,
            Self::Image { .. } => ThingKind::Image,
            Self::GroupSnapshot { .. } => ThingKind::GroupSnapshot,
            Self::VolumeBackup { .. } => ThingKind::VolumeBackup,
            Self::Volume(_) | Self::AcceptTransfer { .. } => ThingKind::Volume,
            Self::SecurityGroup { .. } => ThingKind::SecurityGroup,
            Self::KeyPair { .. } => ThingKind::KeyPair,
            Self::Port(_) => ThingKind::Port,
            Self::Trunk(_) => ThingKind::Trunk,
            Self::Server(_) => ThingKind::Server,
        }
    }

    fn known_id(&self) -> Option<&str> {
        match self {
            Self::AcceptTransfer { volume, .. } => Some(volume.as_str()),
            Self::KeyPair { name, .. } => Some(name),
            // A snapshot is ours only once it has our name.
            Self::TakeSnapshot { .. }
            | Self::Snapshot { .. }
            | Self::Image { .. }
            | Self::GroupSnapshot { .. }
            | Self::VolumeBackup { .. }
            | Self::Volume(_)
            | Self::SecurityGroup { .. }
            | Self::Port(_)
            | Self::Trunk(_)
            | Self::Server(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_knows_is_told_by_its_word() {
        for word in [
            "newer",
            "make_newer",
            "take_newer",
            "apply_newer",
            "read_newer",
        ] {
            let error = serde_json::from_value::<Request>(json!({ "ask": word })).unwrap_err();
            let told = error.to_string();
            assert!(
                told.starts_with(&format!("unknown variant `{word}`")),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_told_by_its_name() {
        for (row, name) in [
            (json!({}), "ask"),
            (json!({"ask": "drop"}), "thing"),
            (json!({"ask": "make_image"}), "server"),
        ] {
            let error = serde_json::from_value::<Request>(row).unwrap_err();
            assert_eq!(error.to_string(), format!("missing field `{name}`"));
        }
    }
}
