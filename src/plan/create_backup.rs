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
    decision_builder::{DecisionBuilder, Step},
    instance,
    layout::Findings,
    snapshots,
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
    decision: &mut DecisionBuilder<'_>,
    server: &ServerId,
    description: &str,
    minimum: Option<ConsistencyLevel>,
) -> Step<()> {
    decision.phase("Reading the instance");
    let allowance = allowance::read(decision, false);
    let manifest = instance::read(decision, server)?;
    decision.tell_volumes(manifest, snapshots::key);
    hold(decision, manifest, None);
    let mut findings = Findings::default();
    instance::check_root(manifest, &mut findings);
    instance::check_volumes(manifest, &mut findings);
    instance::check_consistency(manifest, None, minimum, &mut findings);
    let needs = allowance::Needs {
        snapshots: manifest.volumes.iter().collect(),
        ..allowance::Needs::default()
    };
    allowance::check(allowance?, &needs, &mut findings);
    findings.none()?;
    // Before the snapshots, so that the reason stays when they are gone for it.
    if instance::has_looked_again(decision) {
        instance::check_complete(decision, manifest)?;
        instance::check_reached(manifest, consistency(decision, manifest).as_ref(), minimum)?;
    }

    decision.phase("Creating snapshots");
    let plan = snapshots::Plan {
        server,
        manifest,
        capture: None,
        minimum,
        description,
        disposal: Disposal::Product,
    };
    snapshots::take(decision, &plan)?;

    decision.phase("Looking at the instance again");
    instance::look_again(decision, manifest)?;

    decision.phase("Removing temporaries");
    hold(decision, manifest, None);
    let gone = decision.drop_temporaries();
    decision.stand_until(gone)?;

    decision.phase("Available");
    hold(decision, manifest, Some(decision.spent()));
    decision.claim(Verification {
        time: decision.sighted(),
        doubt: None,
    });
    Ok(())
}

/// What the backup holds by now.
fn hold(
    decision: &mut DecisionBuilder<'_>,
    manifest: &Manifest,
    capture_duration: Option<Duration>,
) {
    let volumes = manifest.volumes.iter().enumerate();
    let snapshots = volumes.filter_map(|(index, volume)| {
        let made = snapshots::made(decision, index)?;
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
    let consistency = consistency(decision, manifest);
    decision.hold(Detail::Point(Box::new(PointDetail {
        manifest: Some(Box::new(manifest.clone())),
        content: Content::Regular(snapshots),
        consistency,
        capture_duration,
    })));
}

/// What was reached.
fn consistency(decision: &DecisionBuilder<'_>, manifest: &Manifest) -> Option<Consistency> {
    let (level, taken) = snapshots::reached(decision, manifest, None)?;
    instance::consistency(decision, manifest, &taken, level)
}
