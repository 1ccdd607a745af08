//! The keys that need no builder: of what there is one of in an operation, and of what it was given a list of;
//! it may not know how other keys are made up.

use crate::domain::{id::EffectKey, sighting::ThingKind};

/// What there is one of in an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Single {
    /// The look at rights and quotas.
    Allowance,
    /// The read of the instance.
    Instance,
    /// The read of the state of the instance after the last capture.
    ServerAfter,
    /// The read of what increments would build on.
    Parents,
    /// The image with which Nova takes all volumes at once.
    QuiescedImage,
    /// The snapshot of the volume group.
    GroupSnapshot,
    /// The read of which snapshots came of it.
    CapturedSnapshots,
    /// The look at the target.
    Inventory,
    /// The look for records there.
    Presence,
    /// The same look, once what failed imports had left is gone.
    PresenceCleared,
    /// The key pair.
    KeyPair,
    /// The tags of the server.
    ServerTags,
    /// Which volumes go with the server.
    ServerVolumes,
    /// The look at the instance that came of it.
    Compared,
}

impl Single {
    pub(super) const ALL: [Self; 14] = [
        Self::Allowance,
        Self::Instance,
        Self::ServerAfter,
        Self::Parents,
        Self::QuiescedImage,
        Self::GroupSnapshot,
        Self::CapturedSnapshots,
        Self::Inventory,
        Self::Presence,
        Self::PresenceCleared,
        Self::KeyPair,
        Self::ServerTags,
        Self::ServerVolumes,
        Self::Compared,
    ];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Allowance => "allowance",
            Self::Instance => "instance",
            Self::ServerAfter => "server-after",
            Self::Parents => "parents",
            Self::QuiescedImage => "quiesced-image",
            Self::GroupSnapshot => "group-snapshot",
            Self::CapturedSnapshots => "captured-snapshots",
            Self::Inventory => "inventory",
            Self::Presence => "presence",
            Self::PresenceCleared => "presence-cleared",
            Self::KeyPair => "key",
            Self::ServerTags => "server-tags",
            Self::ServerVolumes => "server-volumes",
            Self::Compared => "compared",
        }
    }
}

impl From<Single> for EffectKey {
    fn from(single: Single) -> Self {
        Self::new(single.text())
    }
}

/// What an operation was given a list of, each with its place in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// The look at a donor.
    Donor,
    /// What a failed import has left.
    FailedImport,
    /// The look whether a missing cloud is back.
    MissingCloud,
    /// A thing that goes.
    Thing,
    /// A volume backup that goes, or is described.
    Backup,
    /// A mirror that goes.
    Mirror,
    /// A snapshot that goes, or is described.
    Snapshot,
    /// What was left behind of a kind, and goes.
    Left(ThingKind),
}

impl List {
    pub(super) const ALL: [Self; 17] = [
        Self::Donor,
        Self::FailedImport,
        Self::MissingCloud,
        Self::Thing,
        Self::Backup,
        Self::Mirror,
        Self::Snapshot,
        Self::Left(ThingKind::Snapshot),
        Self::Left(ThingKind::Volume),
        Self::Left(ThingKind::VolumeBackup),
        Self::Left(ThingKind::SecurityGroup),
        Self::Left(ThingKind::KeyPair),
        Self::Left(ThingKind::Port),
        Self::Left(ThingKind::Trunk),
        Self::Left(ThingKind::Server),
        Self::Left(ThingKind::GroupSnapshot),
        Self::Left(ThingKind::Image),
    ];

    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Donor => "giver",
            Self::FailedImport => "hollow",
            Self::MissingCloud => "look",
            Self::Thing => "thing",
            Self::Backup => "backup",
            Self::Mirror => "mirror",
            Self::Snapshot => "snapshot",
            Self::Left(kind) => match kind {
                ThingKind::Snapshot => "left-snapshot",
                ThingKind::Volume => "left-volume",
                ThingKind::VolumeBackup => "left-volume-backup",
                ThingKind::SecurityGroup => "left-security-group",
                ThingKind::KeyPair => "left-key-pair",
                ThingKind::Port => "left-port",
                ThingKind::Trunk => "left-trunk",
                ThingKind::Server => "left-server",
                ThingKind::GroupSnapshot => "left-group-snapshot",
                ThingKind::Image => "left-image",
            },
        }
    }

    /// The one at this place of it.
    pub fn at(self, place: usize) -> EffectKey {
        EffectKey::new(format!("{}-{place}", self.text()))
    }
}
