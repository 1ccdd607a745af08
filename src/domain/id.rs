//! One newtype per identity; it may not know where an identity comes from.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares an identity that somebody else hands out as text.
macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it was given.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    )*};
}

/// Declares an identity that we hand out ourselves.
macro_rules! own_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

text_id! {
    /// The name of a cloud in our configuration.
    CloudName;
    /// A Keystone project.
    ProjectId;
    /// A Nova server.
    ServerId;
    /// A Nova flavor.
    FlavorId;
    /// A Cinder volume.
    VolumeId;
    /// A Cinder snapshot.
    SnapshotId;
    /// A Glance image.
    ImageId;
    /// A volume group of Cinder.
    GroupId;
    /// A Cinder backup; an imported record keeps the id of the original.
    VolumeBackupId;
    /// A Neutron network.
    NetworkId;
    /// A Neutron subnet.
    SubnetId;
    /// A Neutron port.
    PortId;
    /// A Neutron trunk.
    TrunkId;
    /// A Neutron security group.
    SecurityGroupId;
    /// The name of an effect within its operation, for example `volume-2-snapshot`.
    EffectKey;
    /// The name of a replica of this service.
    ReplicaId;
}

own_id! {
    /// A DR backup.
    DrBackupId;
    /// A regular backup.
    BackupId;
    /// A restoration.
    RestorationId;
    /// An instance that a restoration makes, named before its server exists.
    InstanceId;
    /// A schedule.
    ScheduleId;
    /// A run of a schedule.
    RunId;
    /// An operation.
    OperationId;
}

/// A project of a cloud: the place in which things are made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tenant {
    /// The cloud.
    pub cloud: CloudName,
    /// The project in it.
    pub project: ProjectId,
}

impl fmt::Display for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "project {} of cloud {}",
            self.project, self.cloud
        )
    }
}

/// A tenant under the epoch in which one replica owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The tenant that is owned.
    pub tenant: Tenant,
    /// Grows by one with every change of owner; a write with an old epoch changes nothing.
    pub epoch: i64,
}

/// A resource of ours that callers see and that operations change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum ResourceId {
    /// A DR backup.
    DrBackup(DrBackupId),
    /// A regular backup.
    Backup(BackupId),
    /// A restoration.
    Restoration(RestorationId),
    /// A schedule.
    Schedule(ScheduleId),
}

impl ResourceId {
    /// The bare id, for a column.
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::DrBackup(id) => id.0,
            Self::Backup(id) => id.0,
            Self::Restoration(id) => id.0,
            Self::Schedule(id) => id.0,
        }
    }

    /// The noun that people read.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::DrBackup(_) => "DR backup",
            Self::Backup(_) => "regular backup",
            Self::Restoration(_) => "restoration",
            Self::Schedule(_) => "schedule",
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.noun(), self.uuid())
    }
}
