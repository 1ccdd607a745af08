//! One newtype per identity; it may not know where an identity comes from.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares an identity that somebody else hands out as text.
macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
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
    /// The name of an effect within its operation, for example `volume-2-snapshot`; what makes new ones is in
    /// `effect::key`.
    EffectKey;
    /// The name of a replica of this service.
    ReplicaId;
}

own_id! {
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

/// Which kind of point: the only word for the distinction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PointKind {
    /// A DR backup: volume backups and their records, which bring the instance back elsewhere.
    #[serde(rename = "dr_backup")]
    Dr,
    /// A regular backup: snapshots, which bring the instance back in its own tenant.
    #[serde(rename = "backup")]
    Regular,
}

impl PointKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Dr, Self::Regular];

    /// The noun that people read.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Dr => "DR backup",
            Self::Regular => "regular backup",
        }
    }
}

/// A point. Asked for under the wrong kind it is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PointId {
    /// Its kind.
    pub kind: PointKind,
    /// Unique among the points of both kinds.
    pub id: Uuid,
}

impl PointId {
    /// A DR backup.
    pub const fn dr(id: Uuid) -> Self {
        Self {
            kind: PointKind::Dr,
            id,
        }
    }

    /// A regular backup.
    pub const fn regular(id: Uuid) -> Self {
        Self {
            kind: PointKind::Regular,
            id,
        }
    }

    /// Its noun and its id, for people.
    pub fn named(self) -> String {
        ResourceId::Point(self).to_string()
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(formatter)
    }
}

/// A resource of ours that callers see and that operations change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceId {
    /// A point of either kind.
    Point(PointId),
    /// A restoration.
    Restoration(RestorationId),
    /// A schedule.
    Schedule(ScheduleId),
}

impl ResourceId {
    /// The bare id, for a column.
    pub fn uuid(&self) -> Uuid {
        match self {
            Self::Point(point) => point.id,
            Self::Restoration(id) => id.0,
            Self::Schedule(id) => id.0,
        }
    }

    /// The noun that people read.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Point(point) => point.kind.noun(),
            Self::Restoration(_) => "restoration",
            Self::Schedule(_) => "schedule",
        }
    }
}

impl From<PointId> for ResourceId {
    fn from(point: PointId) -> Self {
        Self::Point(point)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.noun(), self.uuid())
    }
}
