//! Makes a regular backup of an instance; it may not know how long it is kept.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Reading the instance | read | keep | it only reads; the first answer stays |
//! | Creating snapshots | make, all side by side | product | found by name |
//!
//! The snapshots are the backup: one that fails takes all of this backup with it, and nothing else.

use std::time::Duration;

use super::{
    draft::{Draft, Step},
    instance,
};
use crate::domain::{
    backup::{BackupDetail, VolumeSnapshot},
    capture::ConsistencyLevel,
    decision::Detail,
    effect::{Disposal, EffectState, Request},
    id::{ServerId, SnapshotId},
    manifest::Manifest,
};

/// The steps, in order.
pub(super) fn steps(next: &mut Draft<'_>, server: &ServerId, description: &str) -> Step<()> {
    next.phase("Reading the instance");
    let manifest = instance::read(next, server)?;
    next.tell_volumes(manifest);
    hold(next, manifest, None);
    instance::check_root(manifest)?;

    next.phase("Creating snapshots");
    next.all(instance::each(manifest, |index, volume| {
        let request = Request::MakeSnapshot {
            volume: volume.clone(),
            description: description.to_owned(),
        };
        next.wish(
            format!("volume-{index}-snapshot"),
            request,
            Disposal::Product,
        )
    }))?;

    next.phase("Available");
    hold(next, manifest, Some(next.spent()));
    Ok(())
}

/// What the backup holds by now.
fn hold(next: &mut Draft<'_>, manifest: &Manifest, took: Option<Duration>) {
    let volumes = manifest.volumes.iter().enumerate();
    let snapshots = volumes.filter_map(|(index, volume)| {
        let made = next.effect(&format!("volume-{index}-snapshot"))?;
        let seen = made.seen().filter(|_| made.state == EffectState::Done)?;
        Some(VolumeSnapshot {
            id: SnapshotId::new(made.id()),
            volume: volume.id.clone(),
            size_gib: seen.size_gib.unwrap_or(volume.size_gib),
            status: seen.status.clone(),
            created: seen.created,
        })
    });
    let snapshots = snapshots.collect();
    let level = ConsistencyLevel::VolumeSnapshots;
    let taken = |index| next.effect(&format!("volume-{index}-snapshot"));
    let consistency = instance::consistency(manifest, taken, level);
    next.hold(Detail::Backup(Box::new(BackupDetail {
        manifest: Some(Box::new(manifest.clone())),
        snapshots,
        consistency,
        took,
    })));
}
