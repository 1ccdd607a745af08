//! How well volumes agree, as a person spells and reads it; it may not know what is made.

use clap::ValueEnum;

use crate::api::pb::consistency::Level;

/// How well the volumes have to agree at least.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Consistency {
    /// Each volume at its own time
    PerVolume,
    /// A snapshot of each volume, all asked for at once
    Snapshots,
    /// One snapshot of all volumes as a volume group (DR backups only)
    Group,
    /// Snapshots while the guest agent holds the file systems still
    Quiesced,
    /// The instance shut off
    ShutOff,
}

impl Consistency {
    /// As the API spells it.
    pub(super) fn message(self) -> Level {
        match self {
            Self::PerVolume => Level::PerVolume,
            Self::Snapshots => Level::VolumeSnapshots,
            Self::Group => Level::GroupSnapshot,
            Self::Quiesced => Level::Quiesced,
            Self::ShutOff => Level::ShutOff,
        }
    }
}

/// What was reached, for people.
pub(super) fn words(level: Level) -> &'static str {
    match level {
        Level::Unspecified => "",
        Level::PerVolume => "each volume at its own time",
        Level::VolumeSnapshots => "all volumes at once",
        Level::GroupSnapshot => "all volumes at one moment, as a group",
        Level::Quiesced => "the guest held still",
        Level::ShutOff => "the instance was shut off",
    }
}
