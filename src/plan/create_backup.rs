//! Makes a regular backup of an instance; it may not know how long it is kept.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Reading the instance | read, with the quotas that it takes (see `allowance`) | keep | it only reads; the first answer stays |
//! | Creating snapshots | as the instance allows (see `snapshots`) | product | found by name |
//! | Looking at the instance again | read: what is claimed rests on a look after the last capture | keep | it only reads |
//! | Removing temporaries | drop | | gone is gone |
//!
//! The snapshots are the backup: one that fails takes all of this backup with it, and nothing else.

use std::time::Duration;

use super::{
    allowance,
    draft::{Draft, Step},
    instance, snapshots,
};
use crate::domain::{
    consistency::{Consistency, ConsistencyLevel},
    decision::Detail,
    effect::{Disposal, EffectState},
    id::{ServerId, SnapshotId},
    manifest::Manifest,
    point::{Content, PointDetail},
    verification::Verification,
    volume_snapshot::VolumeSnapshot,
};

/// The steps, in order.
pub(super) fn steps(
    next: &mut Draft<'_>,
    server: &ServerId,
    description: &str,
    minimum: Option<ConsistencyLevel>,
) -> Step<()> {
    next.phase("Reading the instance");
    let allowance = allowance::read(next, false);
    let manifest = instance::read(next, server)?;
    next.tell_volumes(manifest, snapshots::key);
    hold(next, manifest, None);
    instance::check_root(manifest)?;
    instance::check_volumes(manifest)?;

    instance::check_consistency(manifest, None, minimum)?;
    let needs = allowance::Needs {
        snapshots: manifest.volumes.iter().collect(),
        ..allowance::Needs::default()
    };
    allowance::check(allowance?, &needs)?;

    next.phase("Creating snapshots");
    let plan = snapshots::Plan {
        server,
        manifest,
        capture: None,
        minimum,
        description,
        disposal: Disposal::Product,
    };
    snapshots::take(next, &plan)?;

    next.phase("Looking at the instance again");
    instance::look_again(next, manifest)?;
    instance::check_complete(next, manifest)?;
    instance::check_reached(manifest, consistency(next, manifest).as_ref(), minimum)?;

    next.phase("Removing temporaries");
    hold(next, manifest, None);
    let gone = next.drop_temporaries();
    next.stand_until(gone)?;

    next.phase("Available");
    hold(next, manifest, Some(next.spent()));
    next.claim(Verification {
        time: next.sighted(),
        doubt: None,
    });
    Ok(())
}

/// What the backup holds by now.
fn hold(next: &mut Draft<'_>, manifest: &Manifest, capture_duration: Option<Duration>) {
    let volumes = manifest.volumes.iter().enumerate();
    let snapshots = volumes.filter_map(|(index, volume)| {
        let made = snapshots::made(next, index)?;
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
    let consistency = consistency(next, manifest);
    next.hold(Detail::Point(Box::new(PointDetail {
        manifest: Some(Box::new(manifest.clone())),
        content: Content::Regular(snapshots),
        consistency,
        capture_duration,
    })));
}

/// What was reached.
fn consistency(next: &Draft<'_>, manifest: &Manifest) -> Option<Consistency> {
    let (level, taken) = snapshots::reached(next, manifest, None)?;
    instance::consistency(next, manifest, &taken, level)
}
