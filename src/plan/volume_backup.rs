//! The volume backup of one volume: an increment where there is something to build on, and another one
//! where Cinder could not make it; it may not know how the volume was captured.
//!
//! Cinder lets a volume backup end in an error when its backup service is started anew, or cannot reach
//! the store for a while. What was captured is still there, so the volume backup is deleted, and after a
//! pause another one is made of the same; those of the other volumes are not disturbed.

use super::{
    PatienceSettings,
    decision_builder::{DecisionBuilder, Step},
};
use crate::domain::{
    decision::DesiredEffect,
    effect::{
        Apply, Disposal, Effect, Make, Request,
        key::{self, Tried},
    },
    fault::FaultKind,
    id::{EffectKey, SnapshotId, VolumeId},
};

/// What it is made of.
pub(super) struct Plan<'p> {
    /// The volume.
    pub(super) volume: VolumeId,
    /// Its snapshot, if that is what is backed up.
    pub(super) snapshot: Option<SnapshotId>,
    /// The description of the DR backup.
    pub(super) description: &'p str,
    /// Whether there is something to build on.
    pub(super) incremental: bool,
}

/// The volume backup to wish for, of the volume with this number in the manifest.
pub(super) fn wish(
    decision: &mut DecisionBuilder<'_>,
    index: usize,
    plan: &Plan<'_>,
) -> Step<DesiredEffect> {
    let limits = decision.limits();
    let (mut incremental, mut number) = (plan.incremental, 1);
    loop {
        let request = Make::VolumeBackup {
            volume: plan.volume.clone(),
            snapshot: plan.snapshot.clone(),
            description: plan.description.to_owned(),
            incremental,
        };
        let key = key_of(index, incremental).try_no(number);
        let wish = decision.wish(key, request, Disposal::Product);
        if !decision.has_refused(&wish.key, |effect| forgives(limits, effect))? {
            return Ok(wish);
        }
        let refused = decision.effect(&wish.key);
        if refused.is_some_and(needs_full) {
            (incremental, number) = (false, 1);
        } else {
            decision.pause_after(&wish.key, limits.pause)?;
            free(decision, plan.snapshot.as_ref(), &wish.key)?;
            number += 1;
        }
    }
}

/// Cinder leaves a snapshot busy whose volume backup ended with its backup service.
fn free(
    decision: &mut DecisionBuilder<'_>,
    snapshot: Option<&SnapshotId>,
    after: &EffectKey,
) -> Step<()> {
    let Some(snapshot) = snapshot.cloned() else {
        return Ok(());
    };
    let key = after.snapshot_freed();
    let request = Apply::SnapshotFreed { snapshot };
    decision
        .one(decision.wish(key, request, Disposal::Keep))
        .map(drop)
}

/// The newest one of a volume that was asked for.
pub(super) fn newest<'a>(decision: &DecisionBuilder<'a>, index: usize) -> Option<&'a Effect> {
    let asked = |incremental| decision.newest_try(&key_of(index, incremental));
    asked(false).or_else(|| asked(true))
}

/// One that has another one as the way around.
pub(super) fn forgives(limits: &PatienceSettings, effect: &Effect) -> bool {
    let is_volume_backup = matches!(effect.request, Request::Make(Make::VolumeBackup { .. }));
    // Its status tells how it goes, once it has to.
    let fault = effect.fault.as_ref();
    let failed = fault.is_some_and(|fault| fault.kind == FaultKind::Broken);
    let may_repeat = failed && effect.key.try_no() < limits.tries;
    is_volume_backup && (needs_full(effect) || may_repeat)
}

/// An increment that Cinder cannot make: a full volume backup is the way around.
fn needs_full(effect: &Effect) -> bool {
    let is_increment = matches!(
        effect.request,
        Request::Make(Make::VolumeBackup {
            incremental: true,
            ..
        })
    );
    is_increment
        && effect.fault.as_ref().is_some_and(|fault| {
            // What failed for another reason may fail again.
            let full_is_needed = fault.message.to_lowercase().contains("full backup");
            fault.kind == FaultKind::Invalid || fault.kind == FaultKind::Broken && full_is_needed
        })
}

fn key_of(index: usize, incremental: bool) -> Tried {
    let volume = key::volume(index);
    if incremental {
        volume.increment()
    } else {
        volume.backup()
    }
}
