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

use super::draft::{Draft, Step, Stop};
use crate::domain::{
    capture::{Capture, Consistency, ConsistencyLevel},
    decision::Detail,
    dr_backup::{DrBackupDetail, VolumeBackup},
    effect::{Disposal, Effect, EffectState, Fact, Request},
    id::{ServerId, SnapshotId, VolumeBackupId, VolumeId},
    manifest::Manifest,
    time::Timestamp,
};

/// The steps, in order.
pub(super) fn steps(
    next: &mut Draft<'_>,
    server: &ServerId,
    capture: Capture,
    description: &str,
) -> Step<()> {
    next.phase("Reading the instance");
    let read = Request::ReadInstance {
        server: server.clone(),
    };
    let manifest = manifest_of(next.one(next.wish("instance", read, Disposal::Keep))?)?;
    next.tell_volumes(manifest);
    hold(next, manifest, capture, None);
    check_capturable(manifest)?;

    // All snapshots before any data moves, so that the volumes are as close together as can be.
    let snapshots = match capture {
        Capture::VolumeInUse => Vec::new(),
        Capture::Snapshot | Capture::SnapshotThenCopy => {
            next.phase("Creating temporary snapshots");
            next.all(each(manifest, |index, volume| {
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
            next.all(each(manifest, |index, _| {
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
    let backups = next.all(each(manifest, |index, volume| {
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

/// One wish for each volume.
fn each<T>(manifest: &Manifest, wish: impl Fn(usize, &VolumeId) -> T) -> Vec<T> {
    manifest
        .volumes
        .iter()
        .enumerate()
        .map(|(index, volume)| wish(index, &volume.id))
        .collect()
}

fn manifest_of(effect: &Effect) -> Step<&Manifest> {
    match &effect.fact {
        Some(Fact::Instance(manifest)) => Ok(manifest),
        Some(
            Fact::Record { .. }
            | Fact::Inventory(_)
            | Fact::Presence { .. }
            | Fact::Seen(_)
            | Fact::Port { .. },
        )
        | None => Err(Stop::give_up(
            "INTERNAL",
            "the ledger holds no manifest of the instance",
            "report this as a defect",
        )),
    }
}

/// What cannot be brought back is not backed up.
fn check_capturable(manifest: &Manifest) -> Step<()> {
    if !manifest.root_is_volume || manifest.volumes.is_empty() {
        return Err(Stop::give_up(
            "INSTANCE_ROOT_NOT_VOLUME",
            format!(
                "instance `{}` boots from an image: its root disk is not a volume",
                manifest.name
            ),
            "make an image of it, create a volume from that image and boot a new instance from the volume; then back that up",
        ));
    }
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

/// What was reached, by the cloud's own clock.
fn consistency(next: &Draft<'_>, manifest: &Manifest, capture: Capture) -> Option<Consistency> {
    let suffix = match capture {
        Capture::Snapshot | Capture::SnapshotThenCopy => "snapshot",
        Capture::VolumeInUse => "backup",
    };
    let taken: Option<Vec<Timestamp>> = (0..manifest.volumes.len())
        .map(|index| {
            let seen = next.effect(&format!("volume-{index}-{suffix}"))?.seen()?;
            seen.data_timestamp.or(seen.created)
        })
        .collect();
    let taken = taken?;
    let (first, last) = (taken.iter().min()?, taken.iter().max()?);
    let skew_ms = u64::try_from(last.since(*first).as_millis()).ok();
    let level = match (manifest.status.to_ascii_uppercase().as_str(), capture) {
        ("SHUTOFF", _) => ConsistencyLevel::ShutOff,
        (_, Capture::Snapshot | Capture::SnapshotThenCopy) => ConsistencyLevel::VolumeSnapshots,
        (_, Capture::VolumeInUse) => ConsistencyLevel::PerVolume,
    };
    Some(Consistency { level, skew_ms })
}
