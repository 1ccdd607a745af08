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
    /// A Neutron trunk.
    Trunk,
}

impl ThingKind {
    /// Whether an accepted deletion is a finished one; the others take their time.
    pub fn goes_at_once(self) -> bool {
        match self {
            Self::SecurityGroup | Self::KeyPair | Self::Port | Self::Image | Self::Trunk => true,
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
            Self::Trunk => "trunk",
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
pub enum Readiness {
    /// It is ready.
    Ready,
    /// It is on its way, or in a status that we do not know: keep looking.
    Waiting,
    /// It will not become ready.
    Broken,
}

/// What a status says about a thing, whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can be used; a volume may be in use already.
    Ready,
    /// The cloud works on it; the status ends by itself.
    Passing,
    /// It stays like that until somebody does something about it.
    Staying,
    /// It went wrong, or is gone.
    Failed,
    /// No release that we know of has this status.
    Unknown,
}

/// Statuses and what they say. Of Cinder every one that begins with `error` has failed.
type Statuses = &'static [(Standing, &'static [&'static str])];

/// `cinder/objects/fields.py`, and of volumes Cinder's API reference; Zed to 2026.1.
const VOLUME: Statuses = &[
    (Standing::Ready, &["available", "in-use"]),
    (
        Standing::Passing,
        &[
            "creating",
            "attaching",
            "detaching",
            "deleting",
            "backing-up",
            "restoring-backup",
            "downloading",
            "uploading",
            "retyping",
            "extending",
            "managing",
            "unmanaging",
            "migrating",
        ],
    ),
    (
        Standing::Staying,
        &["reserved", "maintenance", "awaiting-transfer"],
    ),
    (Standing::Failed, &["deleted"]),
];

const SNAPSHOT: Statuses = &[
    (Standing::Ready, &["available"]),
    (
        Standing::Passing,
        &[
            "creating",
            "deleting",
            "updating",
            "backing-up",
            "restoring",
            "unmanaging",
        ],
    ),
    (Standing::Failed, &["deleted"]),
];

const VOLUME_BACKUP: Statuses = &[
    (Standing::Ready, &["available"]),
    (Standing::Passing, &["creating", "deleting", "restoring"]),
    (Standing::Failed, &["deleted"]),
];

const GROUP_SNAPSHOT: Statuses = &[
    (Standing::Ready, &["available"]),
    (Standing::Passing, &["creating", "deleting", "updating"]),
    (Standing::Failed, &["deleted"]),
];

/// `nova/api/openstack/common.py`; Zed to 2026.1.
const SERVER: Statuses = &[
    (Standing::Ready, &["active", "shutoff"]),
    (
        Standing::Passing,
        &[
            "build",
            "rebuild",
            "reboot",
            "hard_reboot",
            "password",
            "migrating",
            "resize",
            "revert_resize",
        ],
    ),
    (
        Standing::Staying,
        &[
            "paused",
            "suspended",
            "rescue",
            "verify_resize",
            "shelved",
            "shelved_offloaded",
        ],
    ),
    (Standing::Failed, &["error", "deleted", "soft_deleted"]),
];

/// `glance/domain/__init__.py`; Zed to 2026.1.
const IMAGE: Statuses = &[
    (Standing::Ready, &["active"]),
    (
        Standing::Passing,
        &["queued", "saving", "uploading", "importing"],
    ),
    (
        Standing::Failed,
        &["killed", "deleted", "pending_delete", "deactivated"],
    ),
];

/// What a status, in lower case, says about a thing of a kind.
pub fn standing(kind: ThingKind, status: &str) -> Standing {
    let statuses = match kind {
        ThingKind::Port | ThingKind::Trunk | ThingKind::SecurityGroup | ThingKind::KeyPair => {
            return Standing::Ready;
        }
        ThingKind::Server => SERVER,
        ThingKind::Image => IMAGE,
        ThingKind::Volume => VOLUME,
        ThingKind::Snapshot => SNAPSHOT,
        ThingKind::VolumeBackup => VOLUME_BACKUP,
        ThingKind::GroupSnapshot => GROUP_SNAPSHOT,
    };
    let mut rows = statuses.iter();
    match rows.find(|(_, words)| words.contains(&status)) {
        Some((standing, _)) => *standing,
        None if status.starts_with("error") => Standing::Failed,
        None => Standing::Unknown,
    }
}

/// Whether a status of Cinder, of whichever of its things, is one that does not end by itself.
pub fn does_not_pass(status: &str) -> bool {
    [
        ThingKind::Volume,
        ThingKind::Snapshot,
        ThingKind::VolumeBackup,
        ThingKind::GroupSnapshot,
    ]
    .into_iter()
    .any(|kind| match standing(kind, status) {
        Standing::Staying | Standing::Failed => true,
        Standing::Ready | Standing::Passing | Standing::Unknown => false,
    })
}

/// What somebody can do about a status of Cinder that does not end by itself.
pub fn way_out(status: &str) -> &'static str {
    match status {
        "reserved" => {
            "unshelve the instance that it is kept for, or bring its attachment to an end; then ask again"
        }
        "awaiting-transfer" => "have its transfer accepted or deleted, then ask again",
        "maintenance" => "have its admin end what it is out of service for, then ask again",
        _ => "have an admin look into its service's log and reset its status, then ask again",
    }
}

impl Sighting {
    /// What its status says about it.
    pub fn standing(&self) -> Standing {
        standing(self.thing.kind, &self.status)
    }

    /// Judges the status of a thing that was asked for.
    pub fn verdict(&self) -> Readiness {
        match self.standing() {
            Standing::Ready => Readiness::Ready,
            Standing::Passing | Standing::Staying | Standing::Unknown => Readiness::Waiting,
            Standing::Failed => Readiness::Broken,
        }
    }

    /// Why it is waited for longer than one would think, where its status tells that.
    pub fn what_it_waits_for(&self) -> Option<String> {
        let status = &self.status;
        match self.standing() {
            Standing::Ready | Standing::Passing | Standing::Failed => None,
            Standing::Staying => Some(format!(
                "it is {status}, which does not end by itself: {}",
                way_out(status)
            )),
            Standing::Unknown => Some(format!(
                "it is {status}, a status that this version does not know; it is waited for"
            )),
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

    /// Whether a delete of it is refused for as long as it is in this status, which passes by itself. What
    /// is in use is not among these: who uses it has to be read, see [`super::holder`].
    pub fn refuses_deletion(&self) -> bool {
        match self.thing.kind {
            ThingKind::Port
            | ThingKind::Trunk
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

#[cfg(test)]
mod standings;

/// Whether a status that forbids the deletion of a thing, and does not end, is what the death of a service
/// leaves behind, so that an admin may set it to `error`. Any other one tells of somebody who uses the
/// thing, or works on it, and is never taken away by force.
pub fn is_left_by_a_death(kind: ThingKind, status: &str) -> bool {
    match kind {
        // `restoring-backup` of a volume: the restore goes to pieces when its record is freed beside.
        ThingKind::Volume => matches!(
            status,
            "creating"
                | "downloading"
                | "deleting"
                | "error_deleting"
                | "backing-up"
                | "restoring-backup"
        ),
        ThingKind::Snapshot => matches!(
            status,
            "creating" | "deleting" | "error_deleting" | "backing-up"
        ),
        ThingKind::VolumeBackup => matches!(
            status,
            "creating" | "deleting" | "error_deleting" | "restoring"
        ),
        ThingKind::GroupSnapshot => matches!(status, "creating" | "deleting" | "error_deleting"),
        ThingKind::SecurityGroup
        | ThingKind::KeyPair
        | ThingKind::Port
        | ThingKind::Trunk
        | ThingKind::Server
        | ThingKind::Image => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All statuses that Cinder gives to volumes, snapshots, backups and group snapshots together: those of
    /// `cinder/objects/fields.py` of 2026.1, and what older releases and Nova write beside.
    const CINDER: [&str; 33] = [
        "attaching",
        "available",
        "awaiting-transfer",
        "backing-up",
        "creating",
        "deleted",
        "deleting",
        "detaching",
        "downloading",
        "error",
        "error_attaching",
        "error_backing-up",
        "error_deleting",
        "error_detaching",
        "error_extending",
        "error_managing",
        "error_restoring",
        "extending",
        "in-use",
        "maintenance",
        "managing",
        "migrating",
        "reserved",
        "restoring",
        "restoring-backup",
        "retyping",
        "reverting",
        "unmanaging",
        "updating",
        "uploading",
        // What a service might call it that nobody knows yet.
        "busy",
        "unknown",
        "",
    ];

    #[test]
    fn only_what_a_death_leaves_behind_is_ever_forced() {
        let forced = |kind: ThingKind| -> Vec<&str> {
            let all = CINDER.into_iter();
            all.filter(|status| is_left_by_a_death(kind, status))
                .collect()
        };
        assert_eq!(
            forced(ThingKind::Volume),
            [
                "backing-up",
                "creating",
                "deleting",
                "downloading",
                "error_deleting",
                "restoring-backup"
            ]
        );
        assert_eq!(
            forced(ThingKind::Snapshot),
            ["backing-up", "creating", "deleting", "error_deleting"]
        );
        assert_eq!(
            forced(ThingKind::VolumeBackup),
            ["creating", "deleting", "error_deleting", "restoring"]
        );
        assert_eq!(
            forced(ThingKind::GroupSnapshot),
            ["creating", "deleting", "error_deleting"]
        );
        for kind in [
            ThingKind::SecurityGroup,
            ThingKind::KeyPair,
            ThingKind::Port,
            ThingKind::Trunk,
            ThingKind::Server,
            ThingKind::Image,
        ] {
            assert_eq!(forced(kind), [""; 0], "{kind:?}");
        }
    }
}
