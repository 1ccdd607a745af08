//! Makes a DR backup of an instance; it may not know how its volumes are stored.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Reading the instance | read | keep | it only reads; the first answer stays |
//! | Creating temporary snapshots | make, all side by side | temporary | found by name |
//! | Creating temporary volumes (snapshot-then-copy only) | make | temporary | found by name |
//! | Creating volume backups | make | product | found by name |
//! | Exporting records | read | keep | it only reads |
//! | Removing temporary snapshots | drop | | gone is gone |

use std::time::Duration;

use super::{
    draft::{Draft, Step, Stop},
    instance,
};
use crate::domain::{
    capture::{Capture, Consistency, ConsistencyLevel},
    decision::Detail,
    dr_backup::{DrBackupDetail, VolumeBackup},
    effect::{Disposal, EffectState, Fact, Request},
    id::{ServerId, SnapshotId, VolumeBackupId, VolumeId},
    manifest::Manifest,
};

/// The steps, in order.
pub(super) fn steps(
    next: &mut Draft<'_>,
    server: &ServerId,
    capture: Capture,
    description: &str,
) -> Step<()> {
    next.phase("Reading the instance");
    let manifest = instance::read(next, server)?;
    next.tell_volumes(manifest);
    hold(next, manifest, capture, None);
    check_capturable(manifest)?;

    // All snapshots before any data moves, so that the volumes are as close together as can be.
    let snapshots = match capture {
        Capture::VolumeInUse => Vec::new(),
        Capture::Snapshot | Capture::SnapshotThenCopy => {
            next.phase("Creating temporary snapshots");
            next.all(instance::each(manifest, |index, volume| {
                let request = Request::MakeSnapshot {
                    volume: volume.clone(),
                    description: "temporary snapshot of a DR backup".to_owned(),
                };
                next.wish(
                    format!("volume-{index}-snapshot"),
                    request,
                    Disposal::Temporary,
                )
            }))?
        }
    };
    let copies = match capture {
        Capture::VolumeInUse | Capture::Snapshot => Vec::new(),
        Capture::SnapshotThenCopy => {
            next.phase("Creating temporary volumes");
            next.all(instance::each(manifest, |index, _| {
                let volume = &manifest.volumes[index];
                let request = Request::MakeVolume {
                    size_gib: volume.size_gib,
                    volume_type: volume.volume_type.clone(),
                    availability_zone: volume.availability_zone.clone(),
                    snapshot: snapshots.get(index).map(|one| SnapshotId::new(one.id())),
                    description: "temporary copy of a DR backup".to_owned(),
                };
                next.wish(format!("volume-{index}-copy"), request, Disposal::Temporary)
            }))?
        }
    };

    next.phase("Creating volume backups");
    let backups = next.all(instance::each(manifest, |index, volume| {
        let snapshot = match capture {
            Capture::Snapshot => snapshots.get(index).map(|one| SnapshotId::new(one.id())),
            Capture::VolumeInUse | Capture::SnapshotThenCopy => None,
        };
        let copy = copies.get(index).map(|one| VolumeId::new(one.id()));
        let request = Request::MakeVolumeBackup {
            volume: copy.unwrap_or_else(|| volume.clone()),
            snapshot,
            description: description.to_owned(),
            incremental: false,
        };
        next.wish(format!("volume-{index}-backup"), request, Disposal::Product)
    }))?;

    next.phase("Exporting records");
    let wishes = backups.iter().enumerate().map(|(index, backup)| {
        let request = Request::ReadRecord {
            backup: VolumeBackupId::new(backup.id()),
        };
        next.wish(format!("volume-{index}-record"), request, Disposal::Keep)
    });
    next.all(wishes.collect())?;

    next.phase("Removing temporary snapshots");
    next.drop_temporaries()?;

    next.phase("Available");
    hold(next, manifest, capture, Some(next.spent()));
    Ok(())
}

/// What cannot be brought back is not backed up.
fn check_capturable(manifest: &Manifest) -> Step<()> {
    instance::check_root(manifest)?;
    let encrypted: Vec<&str> = manifest
        .volumes
        .iter()
        .filter(|volume| volume.encrypted)
        .map(|volume| volume.id.as_str())
        .collect();
    if !encrypted.is_empty() {
        return Err(Stop::give_up(
            "VOLUME_ENCRYPTED",
            format!(
                "volumes are encrypted with a key of the source's key manager, which another cloud cannot read: {}",
                encrypted.join(", ")
            ),
            "copy them to volumes of an unencrypted type, or retype them, and back those up",
        ));
    }
    Ok(())
}

/// What the DR backup holds by now.
fn hold(next: &mut Draft<'_>, manifest: &Manifest, capture: Capture, took: Option<Duration>) {
    let backups = manifest
        .volumes
        .iter()
        .enumerate()
        .filter_map(|(index, volume)| {
            let made = next.effect(&format!("volume-{index}-backup"))?;
            if made.state != EffectState::Done {
                return None;
            }
            let seen = made.seen()?;
            let (record, parent) = match next
                .effect(&format!("volume-{index}-record"))?
                .fact
                .as_ref()
            {
                Some(Fact::Record { record, parent }) => (Some(record.clone()), parent.clone()),
                Some(
                    Fact::Instance(_)
                    | Fact::Inventory(_)
                    | Fact::Presence { .. }
                    | Fact::Seen(_)
                    | Fact::Port { .. },
                )
                | None => (None, None),
            };
            Some(VolumeBackup {
                id: VolumeBackupId::new(made.id()),
                volume: volume.id.clone(),
                tenant: made.tenant.clone(),
                size_gib: seen.size_gib.unwrap_or(volume.size_gib),
                incremental: seen.incremental,
                parent,
                status: seen.status.clone(),
                data_timestamp: seen.data_timestamp.or(seen.created),
                record,
            })
        });
    let volume_backups = backups.collect();
    let consistency = consistency(next, manifest, capture);
    next.hold(Detail::DrBackup(Box::new(DrBackupDetail {
        manifest: Some(Box::new(manifest.clone())),
        volume_backups,
        consistency,
        took,
    })));
}

/// What was reached: by the snapshots, where there are any.
fn consistency(next: &Draft<'_>, manifest: &Manifest, capture: Capture) -> Option<Consistency> {
    let (suffix, level) = match capture {
        Capture::Snapshot | Capture::SnapshotThenCopy => {
            ("snapshot", ConsistencyLevel::VolumeSnapshots)
        }
        Capture::VolumeInUse => ("backup", ConsistencyLevel::PerVolume),
    };
    instance::consistency(next, manifest, suffix, level)
}
