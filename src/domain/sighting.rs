//! Things in a cloud and how they were last seen; it may not know how they were listed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{fault::FaultKind, id::VolumeId, time::Timestamp};

/// The kinds of things that effects make, fill and drop; each has one list per tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThingKind {
    /// A Cinder snapshot.
    Snapshot,
    /// A Cinder volume.
    Volume,
    /// A Cinder backup.
    VolumeBackup,
    /// A Neutron security group.
    SecurityGroup,
    /// A Nova key pair of the acting user; its id is its name.
    KeyPair,
    /// A Neutron port.
    Port,
    /// A Nova server.
    Server,
    /// A snapshot of a volume group of Cinder.
    GroupSnapshot,
    /// A Glance image.
    Image,
}

impl ThingKind {
    /// Whether an accepted deletion is a finished one; the others take their time.
    pub fn goes_at_once(self) -> bool {
        match self {
            Self::SecurityGroup | Self::KeyPair | Self::Port | Self::Image => true,
            Self::Snapshot
            | Self::Volume
            | Self::VolumeBackup
            | Self::Server
            | Self::GroupSnapshot => false,
        }
    }

    /// The noun that people read.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Volume => "volume",
            Self::VolumeBackup => "volume backup",
            Self::SecurityGroup => "security group",
            Self::KeyPair => "key pair",
            Self::Port => "port",
            Self::Server => "server",
            Self::GroupSnapshot => "group snapshot",
            Self::Image => "image",
        }
    }
}

/// A resource in a cloud.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Thing {
    /// Its kind.
    pub kind: ThingKind,
    /// The cloud's id of it.
    pub id: String,
}

impl fmt::Display for Thing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind.noun(), self.id)
    }
}

/// A thing as a list call showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Which one.
    pub thing: Thing,
    /// Its name.
    pub name: String,
    /// Its tags (servers only).
    pub tags: Vec<String>,
    /// Its status as the service spells it, in lower case; things without one are `available`.
    pub status: String,
    /// Why it is broken, where the service says so.
    pub message: Option<String>,
    /// When the cloud made it, by the cloud's clock.
    pub created: Option<Timestamp>,
    /// GiB (volumes, snapshots, volume backups).
    pub size_gib: Option<u64>,
    /// Whether a volume backup is incremental.
    pub incremental: bool,
    /// The time of the bytes (volume backups).
    pub data_timestamp: Option<Timestamp>,
    /// The volume whose bytes it holds (snapshots, volume backups, also imported ones).
    #[serde(default)]
    pub volume: Option<VolumeId>,
}

/// What a status means for the one who waits for a thing to be made or filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is ready.
    Ready,
    /// It is on its way, or in a status that we do not know: keep looking.
    Waiting,
    /// It will not become ready.
    Broken,
}

impl Sighting {
    /// Judges the status of a thing that was asked for.
    pub fn verdict(&self) -> Verdict {
        let status = self.status.as_str();
        match self.thing.kind {
            ThingKind::Port | ThingKind::SecurityGroup | ThingKind::KeyPair => Verdict::Ready,
            ThingKind::Server => match status {
                "active" | "shutoff" => Verdict::Ready,
                "error" | "deleted" | "soft_deleted" => Verdict::Broken,
                _ => Verdict::Waiting,
            },
            ThingKind::Image => match status {
                "active" => Verdict::Ready,
                "killed" | "deleted" | "pending_delete" | "deactivated" => Verdict::Broken,
                _ => Verdict::Waiting,
            },
            ThingKind::Snapshot
            | ThingKind::Volume
            | ThingKind::VolumeBackup
            | ThingKind::GroupSnapshot => match status {
                "available" | "in-use" => Verdict::Ready,
                status if status.starts_with("error") => Verdict::Broken,
                _ => Verdict::Waiting,
            },
        }
    }

    /// What went wrong with a thing that will not become ready. Nova tells it in words alone, in the
    /// `fault` of a server: "No valid host was found. …" of its scheduler, and "Exceeded maximum number
    /// of retries. Exhausted all hosts available for retrying build failures …" of its conductor
    /// (`nova/exception.py`, the same from Zed to 2026.1).
    pub fn breakage(&self) -> FaultKind {
        const NO_HOST: [&str; 2] = ["No valid host was found", "Exhausted all hosts available"];
        let says = |part: &str| {
            self.message
                .as_ref()
                .is_some_and(|text| text.contains(part))
        };
        if self.thing.kind == ThingKind::Server && NO_HOST.into_iter().any(says) {
            return FaultKind::NoHost;
        }
        FaultKind::Broken
    }

    /// Whether a delete of it is refused for as long as it is in this status.
    pub fn refuses_deletion(&self) -> bool {
        match self.thing.kind {
            ThingKind::Port
            | ThingKind::SecurityGroup
            | ThingKind::KeyPair
            | ThingKind::Server
            | ThingKind::Image => false,
            ThingKind::Snapshot
            | ThingKind::Volume
            | ThingKind::VolumeBackup
            | ThingKind::GroupSnapshot => matches!(
                self.status.as_str(),
                "creating"
                    | "backing-up"
                    | "restoring"
                    | "restoring-backup"
                    | "in-use"
                    | "attaching"
                    | "detaching"
                    | "reserved"
                    | "downloading"
                    | "uploading"
                    | "deleting"
                    | "managing"
                    | "unmanaging"
                    | "retyping"
                    | "extending"
            ),
        }
    }
}
