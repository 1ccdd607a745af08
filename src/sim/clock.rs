//! Time as one simulated cloud has it: how long things take and how late it is; it may not know what
//! the things are for.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use tokio::time::Instant;

/// How long each change of state takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// Every request, before it is acted upon.
    pub api_latency: Duration,
    /// An empty volume, or one from a snapshot or volume.
    pub volume_create: Duration,
    /// A volume with an image, for each GiB, on top of `volume_create`.
    pub volume_from_image_gib: Duration,
    /// Deleting a volume.
    pub volume_delete: Duration,
    /// Extending a volume.
    pub volume_extend: Duration,
    /// A snapshot.
    pub snapshot_create: Duration,
    /// Deleting a snapshot.
    pub snapshot_delete: Duration,
    /// A backup, whatever its size.
    pub backup_base: Duration,
    /// A full backup, for each GiB, on top of `backup_base`.
    pub backup_gib: Duration,
    /// An incremental backup, for each GiB of the volume, on top of `backup_base`.
    pub incremental_gib: Duration,
    /// Deleting a backup.
    pub backup_delete: Duration,
    /// Importing a record.
    pub backup_import: Duration,
    /// A restore, whatever its size.
    pub restore_base: Duration,
    /// A restore, for each GiB of the backup, on top of `restore_base`.
    pub restore_gib: Duration,
    /// Booting a server.
    pub server_boot: Duration,
    /// Deleting a server.
    pub server_delete: Duration,
    /// Stopping or starting a server.
    pub server_power: Duration,
    /// Putting the bytes of a root disk into an image.
    pub server_image: Duration,
    /// Attaching or detaching a volume.
    pub attach: Duration,
}

impl Times {
    /// Nothing takes time: a resource is ready when it is first looked at.
    pub fn instant() -> Self {
        Self::all(Duration::ZERO)
    }

    /// A few milliseconds for everything, so that states in between are seen.
    pub fn fast() -> Self {
        Self {
            api_latency: Duration::ZERO,
            backup_base: Duration::from_millis(60),
            restore_base: Duration::from_millis(60),
            server_boot: Duration::from_millis(80),
            ..Self::all(Duration::from_millis(20))
        }
    }

    /// What was measured on two small real deployments.
    pub fn realistic() -> Self {
        Self {
            api_latency: Duration::from_millis(60),
            volume_create: Duration::from_millis(900),
            volume_from_image_gib: Duration::from_secs(2),
            volume_delete: Duration::from_millis(900),
            volume_extend: Duration::from_millis(900),
            snapshot_create: Duration::from_millis(1200),
            snapshot_delete: Duration::from_millis(900),
            backup_base: Duration::from_secs(3),
            backup_gib: Duration::from_secs(5),
            incremental_gib: Duration::from_secs(1),
            backup_delete: Duration::from_millis(900),
            backup_import: Duration::from_millis(500),
            restore_base: Duration::from_millis(1500),
            restore_gib: Duration::from_millis(3500),
            server_boot: Duration::from_secs(5),
            server_delete: Duration::from_secs(2),
            server_power: Duration::from_secs(1),
            server_image: Duration::from_secs(4),
            attach: Duration::from_millis(1500),
        }
    }

    fn all(each: Duration) -> Self {
        Self {
            api_latency: each,
            volume_create: each,
            volume_from_image_gib: each,
            volume_delete: each,
            volume_extend: each,
            snapshot_create: each,
            snapshot_delete: each,
            backup_base: each,
            backup_gib: each,
            incremental_gib: each,
            backup_delete: each,
            backup_import: each,
            restore_base: each,
            restore_gib: each,
            server_boot: each,
            server_delete: each,
            server_power: each,
            server_image: each,
            attach: each,
        }
    }

    /// How long a backup of a volume of this size takes when nothing else is going on.
    pub fn backup(&self, size_gib: u64, incremental: bool) -> Duration {
        let each = if incremental {
            self.incremental_gib
        } else {
            self.backup_gib
        };
        self.backup_base + times(each, size_gib)
    }

    /// How long a restore of a backup of this size takes when nothing else is going on.
    pub fn restore(&self, size_gib: u64) -> Duration {
        self.restore_base + times(self.restore_gib, size_gib)
    }

    pub(crate) fn volume_from_image(&self, size_gib: u64) -> Duration {
        self.volume_create + times(self.volume_from_image_gib, size_gib)
    }
}

fn times(each: Duration, count: u64) -> Duration {
    each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The clock of one cloud: it runs by itself, and a test may wind it forward or set its calendar wrong.
#[derive(Clone, Debug)]
pub struct Clock {
    began: Instant,
    began_at: DateTime<Utc>,
    wound: Duration,
    skew: TimeDelta,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            began_at: Utc::now(),
            wound: Duration::ZERO,
            skew: TimeDelta::zero(),
        }
    }

    /// The time since the cloud began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed() + self.wound
    }

    pub(crate) fn wind(&mut self, forward: Duration) {
        self.wound += forward;
    }

    pub(crate) fn set_skew(&mut self, seconds: i64) {
        self.skew = TimeDelta::try_seconds(seconds).unwrap_or_else(TimeDelta::zero);
    }

    /// What this cloud's calendar says at a moment of its life.
    pub fn calendar(&self, elapsed: Duration) -> DateTime<Utc> {
        let since = TimeDelta::from_std(elapsed).unwrap_or_else(|_| TimeDelta::zero());
        self.began_at + since + self.skew
    }
}

/// Cinder's way to write a moment: whole seconds, no zone.
pub(crate) fn cinder(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S.000000").to_string()
}

/// Nova's, Neutron's and Glance's way to write a moment.
pub(crate) fn zulu(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Keystone's way to write a moment.
pub(crate) fn keystone(moment: DateTime<Utc>) -> String {
    moment.format("%Y-%m-%dT%H:%M:%S.000000Z").to_string()
}
