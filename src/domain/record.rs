//! The record of a volume backup, as Cinder exports it; it may not know how it is sent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What `export_record` answered; sensitive, and to be given back byte for byte.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupRecord {
    /// The backup driver, for example `cinder.backup.drivers.posix.PosixBackupDriver`.
    pub service: String,
    /// Base64 of the driver's own description.
    pub url: String,
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
