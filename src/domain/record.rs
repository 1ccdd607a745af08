//! The record of a volume backup, as Cinder exports it; it may not know how it is sent.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{id::VolumeBackupId, time::Timestamp};

/// What `export_record` answered; sensitive, and to be given back byte for byte.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// The backup driver, for example `cinder.backup.drivers.posix.PosixBackupDriver`.
    pub service: String,
    /// Base64 of the driver's own description.
    pub url: String,
}

/// A record with what it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The record.
    pub record: BackupRecord,
    /// The volume backup that it builds on; no other call tells that.
    pub parent: Option<VolumeBackupId>,
    /// GiB of the volume.
    #[serde(default)]
    pub size_gib: Option<u64>,
    /// The time of the bytes.
    #[serde(default)]
    pub data_timestamp: Option<Timestamp>,
}

impl fmt::Debug for BackupRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The url holds internal ids of the cloud, so it stays out of logs.
        write!(
            formatter,
            "BackupRecord({}, {} characters)",
            self.service,
            self.url.len()
        )
    }
}
