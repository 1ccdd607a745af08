//! What DR backups alone have, as messages; it may not know whether it may be done.

use super::{
    number,
    point::{Depth, Message, words},
    text, time,
};
use crate::{
    api::pb,
    domain::{
        capture::Capture,
        id::PointKind,
        point::Point,
        volume_backup::{BackupAt, VolumeBackup},
    },
};

impl Message for pb::DrBackup {
    const KIND: PointKind = PointKind::Dr;
    const LIST: &'static str = "ListDRBackups";

    fn told(point: Point, depth: Depth<'_>) -> Self {
        let backups = point.detail.volume_backups().iter();
        Self {
            volume_backups: match depth {
                Depth::Checked | Depth::Basic => Vec::new(),
                Depth::Full { mirrors, .. } => backups
                    .map(|one| volume_backup(one, &point, mirrors))
                    .collect(),
            },
            capture: capture(point.capture.unwrap_or_default()).into(),
            ..words(point, depth)
        }
    }
}

fn volume_backup(
    volume_backup: &VolumeBackup,
    backup: &Point,
    mirrors: &[BackupAt],
) -> pb::VolumeBackup {
    let volumes = backup
        .detail
        .manifest
        .iter()
        .flat_map(|manifest| &manifest.volumes);
    let mut volumes = volumes.filter(|volume| volume.id == volume_backup.volume);
    let own = mirrors
        .iter()
        .filter(|mirror| mirror.backup == volume_backup.id);
    pb::VolumeBackup {
        backup_id: volume_backup.id.to_string(),
        volume_id: volume_backup.volume.to_string(),
        volume_name: volumes
            .next()
            .map(|volume| volume.name.clone())
            .unwrap_or_default(),
        cloud: volume_backup.tenant.cloud.to_string(),
        tenant: volume_backup.tenant.project.to_string(),
        status: volume_backup.status.clone(),
        size_gib: number(volume_backup.size_gib),
        incremental: volume_backup.incremental,
        parent_id: text(volume_backup.parent.as_ref()),
        data_time: volume_backup.data_timestamp.map(time),
        record_held: volume_backup.record.is_some(),
        driver: text(volume_backup.record.as_ref().map(|record| &record.service)),
        mirrors: own.map(mirror).collect(),
        inherited: volume_backup.inherited,
    }
}

/// An imported record.
pub(super) fn mirror(mirror: &BackupAt) -> pb::Mirror {
    pb::Mirror {
        backup_id: mirror.backup.to_string(),
        cloud: mirror.tenant.cloud.to_string(),
        tenant: mirror.tenant.project.to_string(),
    }
}

pub(super) fn capture(capture: Capture) -> pb::dr_backup::Capture {
    match capture {
        Capture::Snapshot => pb::dr_backup::Capture::Snapshot,
        Capture::VolumeInUse => pb::dr_backup::Capture::VolumeInUse,
        Capture::SnapshotThenCopy => pb::dr_backup::Capture::SnapshotThenCopy,
    }
}

pub(super) fn capture_asked(number: i32) -> Result<Capture, String> {
    match pb::dr_backup::Capture::try_from(number) {
        Ok(pb::dr_backup::Capture::Unspecified | pb::dr_backup::Capture::Snapshot) => {
            Ok(Capture::Snapshot)
        }
        Ok(pb::dr_backup::Capture::VolumeInUse) => Ok(Capture::VolumeInUse),
        Ok(pb::dr_backup::Capture::SnapshotThenCopy) => Ok(Capture::SnapshotThenCopy),
        Err(_) => Err(format!("{number} is not a capture that is known here")),
    }
}
