//! What is asked of a cloud; it may not know how it is sent.

use serde::{Deserialize, Serialize};

use super::server_plan::{FixedWish, PortSetting, ServerPlan, ServerSetting, SubPort};
use crate::domain::{
    id::{
        GroupId, ImageId, NetworkId, PortId, ProjectId, SecurityGroupId, ServerId, SnapshotId,
        TrunkId, VolumeBackupId, VolumeId,
    },
    manifest::{Properties, SecurityGroupRule},
    record::BackupRecord,
    sighting::{Thing, ThingKind},
};

/// What is asked of a cloud. Stored: renaming a variant or a field is a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Make a snapshot of a volume, in use or not.
    MakeSnapshot {
        /// The volume.
        volume: VolumeId,
        /// For people who find it.
        description: String,
    },
    /// Have Nova make an image of a server. Of one that boots from a volume that is a snapshot of each
    /// of its volumes, made while the guest holds still where it is asked to, and an image without
    /// bytes that names them; they carry the name of the image in their own.
    MakeImage {
        /// The server.
        server: ServerId,
    },
    /// Make a snapshot of all volumes of a group.
    MakeGroupSnapshot {
        /// The group.
        group: GroupId,
        /// For people who find it.
        description: String,
    },
    /// Give one of the snapshots that came with an image our name and its description: from then on it
    /// is like one that we asked for.
    TakeSnapshot {
        /// The snapshot, by the id that it keeps.
        snapshot: SnapshotId,
        /// For people who find it.
        description: String,
    },
    /// Make a volume backup, from the snapshot where one is named.
    MakeVolumeBackup {
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
    MakeVolume {
        /// GiB.
        size_gib: u64,
        /// The type by name; nothing means the cloud's default.
        volume_type: Option<String>,
        /// Cinder's zone; nothing means that the cloud chooses.
        availability_zone: Option<String>,
        /// The snapshot to fill it from.
        snapshot: Option<SnapshotId>,
        /// The image to fill it from.
        #[serde(default)]
        image: Option<ImageId>,
        /// For people who find it.
        description: String,
    },
    /// Take a volume over from another project of the cloud: from then on it is one of the tenant's.
    /// In the tenant that is a volume more, so it is made there as far as the ledger is concerned.
    #[serde(rename = "take_volume")]
    AcceptTransfer {
        /// The volume, by the id that it keeps.
        volume: VolumeId,
        /// The project that gives it.
        from: ProjectId,
    },
    /// Make a security group; its rules come by [`Request::ApplySecurityGroupRules`].
    MakeSecurityGroup {
        /// Its description.
        description: String,
        /// Whether it is stateful, as groups usually are.
        stateful: bool,
    },
    /// Import a public key under its own name.
    MakeKeyPair {
        /// The name.
        name: String,
        /// The key.
        public_key: String,
        /// Its type (`ssh`, `x509`); nothing leaves it to the cloud.
        #[serde(default, rename = "type")]
        kind: Option<String>,
    },
    /// Make a port.
    MakePort {
        /// The network.
        network: NetworkId,
        /// Addresses to ask for; empty means that the cloud chooses.
        fixed: Vec<FixedWish>,
        /// The MAC address to ask for.
        mac: Option<String>,
        /// Its groups; empty with port security means that nothing comes in.
        security_groups: Vec<SecurityGroupId>,
        /// Whether port security is on; nothing leaves it to the network.
        port_security: Option<bool>,
        /// Kind of virtual network card, where it is not `normal`.
        vnic_type: Option<String>,
        /// Whether it is to have no address at all.
        #[serde(default)]
        bare: bool,
        /// Whether it is made switched off.
        #[serde(default)]
        down: bool,
        /// Whether it gets the tenant's default group, because nobody knows which it had.
        #[serde(default)]
        default_group: bool,
        /// Whether it follows the state of its uplink; nothing leaves that to the cloud.
        #[serde(default)]
        uplink_status: Option<bool>,
    },
    /// Make a trunk.
    MakeTrunk {
        /// The parent port.
        port: PortId,
        /// Its sub ports.
        sub_ports: Vec<SubPort>,
        /// Its description.
        description: String,
        /// Whether it is made switched off.
        down: bool,
    },
    /// Make a server from volumes and ports.
    MakeServer(Box<ServerPlan>),
    /// Import a record.
    ImportRecord {
        /// The id that the record carries.
        backup: VolumeBackupId,
        /// The record.
        record: BackupRecord,
    },
    /// Restore a volume backup into a volume that exists.
    RestoreVolumeBackup {
        /// The volume backup.
        backup: VolumeBackupId,
        /// The project it lives in, when that is not the tenant's own.
        backup_project: ProjectId,
        /// The volume.
        volume: VolumeId,
    },
    /// Mark a volume as one that boots, or as one that does not.
    ApplyBootable {
        /// The volume.
        volume: VolumeId,
        /// Whether it boots.
        bootable: bool,
    },
    /// Have volumes go with the server that they are attached to.
    ApplyDeleteOnTermination {
        /// The server.
        server: ServerId,
        /// The volumes.
        volumes: Vec<VolumeId>,
    },
    /// Give a volume its name, description, metadata and image metadata.
    ApplyVolume {
        /// The volume.
        volume: VolumeId,
        /// Name.
        name: String,
        /// Description.
        description: String,
        /// Metadata, replacing what is there.
        metadata: Properties,
        /// Bootable, as rows of before [`Request::ApplyBootable`] have it.
        #[serde(default)]
        bootable: Option<bool>,
        /// Image metadata, added to what is there.
        image_metadata: Properties,
    },
    /// Give a security group exactly these rules.
    ApplySecurityGroupRules {
        /// The group.
        group: SecurityGroupId,
        /// The rules; remote groups are ids of the target.
        rules: Vec<SecurityGroupRule>,
    },
    /// Give a security group its final name.
    ApplySecurityGroupName {
        /// The group.
        group: SecurityGroupId,
        /// The name.
        name: String,
    },
    /// Give a port its final name.
    ApplyPortName {
        /// The port.
        port: PortId,
        /// The name, possibly empty.
        name: String,
    },
    /// Set one thing on a port.
    ApplyPortSetting {
        /// The port.
        port: PortId,
        /// What is set.
        setting: PortSetting,
    },
    /// Give a trunk its final name and its tags.
    ApplyTrunk {
        /// The trunk.
        trunk: TrunkId,
        /// The name, possibly empty.
        name: String,
        /// All the tags that it should have.
        tags: Vec<String>,
    },
    /// Set one thing on a server that is up.
    ApplyServerSetting {
        /// The server.
        server: ServerId,
        /// What is set.
        setting: ServerSetting,
    },
    /// Take our tag off a server, so that its tags are those of the original.
    ApplyServerTags {
        /// The server.
        server: ServerId,
        /// All the tags that it should have.
        tags: Vec<String>,
    },
    /// Give a Cinder backup a description.
    ApplyVolumeBackup {
        /// The volume backup.
        backup: VolumeBackupId,
        /// The description.
        description: String,
    },
    /// Give a Cinder snapshot a description.
    ApplySnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// The description.
        description: String,
    },
    /// Give a snapshot, volume or volume backup that must go, and whose status forbids that for good,
    /// the status `error`, from which it may be deleted; needs an admin entry.
    ApplyErrorStatus {
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
    ApplySnapshotFreed {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Delete every snapshot that came with an image of this name and that nobody took; done when there
    /// is none.
    ApplySnapshotsGone {
        /// The name of the image.
        image: String,
    },
    /// Read which snapshots came with an image of a server or with a group snapshot.
    ReadCaptured {
        /// The image or the group snapshot.
        thing: Thing,
        /// The server.
        server: ServerId,
    },
    /// Read everything about an instance.
    ReadInstance {
        /// The server.
        server: ServerId,
    },
    /// Read how an instance stands once it was captured, to know what may be claimed of that.
    ReadServerState {
        /// The server.
        server: ServerId,
    },
    /// Read which volume backup an increment of each volume would build on.
    ReadParents {
        /// The volumes.
        volumes: Vec<VolumeId>,
    },
    /// Export the record of a volume backup; needs the right to.
    ReadRecord {
        /// The volume backup.
        backup: VolumeBackupId,
    },
    /// Read what the tenant offers and may still make.
    ReadInventory,
    /// Read what Cinder still lets the tenant make.
    ReadAllowance {
        /// Whether to see too if records may be exported.
        export: bool,
    },
    /// Read in which project of the cloud each volume backup is live, if it is.
    ReadPresence {
        /// The volume backups.
        backups: Vec<VolumeBackupId>,
        /// Other projects that may hold one, looked into where no admin sees all projects.
        #[serde(default)]
        projects: Vec<ProjectId>,
    },
    /// Delete a thing that an earlier operation made.
    Drop {
        /// The thing.
        thing: Thing,
    },
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
            Self::MakeSnapshot { .. } | Self::TakeSnapshot { .. } => {
                EffectKind::Make(ThingKind::Snapshot)
            }
            Self::MakeImage { .. } => EffectKind::Make(ThingKind::Image),
            Self::MakeGroupSnapshot { .. } => EffectKind::Make(ThingKind::GroupSnapshot),
            Self::MakeVolumeBackup { .. } => EffectKind::Make(ThingKind::VolumeBackup),
            Self::MakeVolume { .. } | Self::AcceptTransfer { .. } => {
                EffectKind::Make(ThingKind::Volume)
            }
            Self::MakeSecurityGroup { .. } => EffectKind::Make(ThingKind::SecurityGroup),
            Self::MakeKeyPair { .. } => EffectKind::Make(ThingKind::KeyPair),
            Self::MakePort { .. } => EffectKind::Make(ThingKind::Port),
            Self::MakeTrunk { .. } => EffectKind::Make(ThingKind::Trunk),
            Self::MakeServer(_) => EffectKind::Make(ThingKind::Server),
            Self::ImportRecord { .. } => EffectKind::Import,
            Self::RestoreVolumeBackup { .. } => EffectKind::RestoreInto,
            Self::ApplyBootable { .. }
            | Self::ApplyDeleteOnTermination { .. }
            | Self::ApplyVolume { .. }
            | Self::ApplySecurityGroupRules { .. }
            | Self::ApplySecurityGroupName { .. }
            | Self::ApplyPortName { .. }
            | Self::ApplyPortSetting { .. }
            | Self::ApplyTrunk { .. }
            | Self::ApplyServerSetting { .. }
            | Self::ApplyServerTags { .. }
            | Self::ApplyVolumeBackup { .. }
            | Self::ApplySnapshot { .. }
            | Self::ApplyErrorStatus { .. }
            | Self::ResetBackupStatus { .. }
            | Self::ApplySnapshotFreed { .. }
            | Self::ApplySnapshotsGone { .. } => EffectKind::Apply,
            Self::ReadInstance { .. }
            | Self::ReadCaptured { .. }
            | Self::ReadServerState { .. }
            | Self::ReadParents { .. }
            | Self::ReadRecord { .. }
            | Self::ReadInventory
            | Self::ReadAllowance { .. }
            | Self::ReadPresence { .. } => EffectKind::Read,
            Self::Drop { thing } => EffectKind::Drop(thing.kind),
        }
    }

    /// Whether it is asked for again whatever the answer, like a deletion of what must go.
    pub fn is_asked_until_done(&self) -> bool {
        matches!(self, Self::ApplySnapshotsGone { .. })
    }

    /// Whether it is put together from reads that are shared with whoever wants the like at the same time.
    pub fn shares_reads(&self) -> bool {
        matches!(self, Self::ReadInstance { .. })
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
            Self::ImportRecord { backup, .. } => Some(backup.as_str()),
            Self::RestoreVolumeBackup { volume, .. } | Self::AcceptTransfer { volume, .. } => {
                Some(volume.as_str())
            }
            Self::MakeKeyPair { name, .. } => Some(name),
            Self::Drop { thing } => Some(&thing.id),
            // A snapshot is ours only once it has our name.
            Self::TakeSnapshot { .. }
            | Self::MakeImage { .. }
            | Self::MakeGroupSnapshot { .. }
            | Self::MakeSnapshot { .. }
            | Self::MakeVolumeBackup { .. }
            | Self::MakeVolume { .. }
            | Self::MakeSecurityGroup { .. }
            | Self::MakePort { .. }
            | Self::MakeTrunk { .. }
            | Self::MakeServer(_)
            | Self::ApplyBootable { .. }
            | Self::ApplyDeleteOnTermination { .. }
            | Self::ApplyVolume { .. }
            | Self::ApplySecurityGroupRules { .. }
            | Self::ApplySecurityGroupName { .. }
            | Self::ApplyPortName { .. }
            | Self::ApplyPortSetting { .. }
            | Self::ApplyTrunk { .. }
            | Self::ApplyServerSetting { .. }
            | Self::ApplyServerTags { .. }
            | Self::ApplyVolumeBackup { .. }
            | Self::ApplySnapshot { .. }
            | Self::ApplyErrorStatus { .. }
            | Self::ResetBackupStatus { .. }
            | Self::ApplySnapshotFreed { .. }
            | Self::ApplySnapshotsGone { .. }
            | Self::ReadInstance { .. }
            | Self::ReadCaptured { .. }
            | Self::ReadServerState { .. }
            | Self::ReadParents { .. }
            | Self::ReadRecord { .. }
            | Self::ReadInventory
            | Self::ReadAllowance { .. }
            | Self::ReadPresence { .. } => None,
        }
    }
}
