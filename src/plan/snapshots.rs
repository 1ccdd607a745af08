//! A snapshot of each volume of an instance, in the best way that it allows; it may not know what becomes
//! of them, or of a root disk that is no volume.
//!
//! | Way | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | one by one | make, all side by side | the caller's | found by name |
//! | quiesced | make an image, which Nova makes together with snapshots | temporary | found by name |
//! | | read which snapshots those are | keep | it only reads; the first answer stays |
//! | | take them over: they get our names | the caller's | found by name; naming is idempotent |
//! | as a group | make a group snapshot | temporary | found by name |
//! | | read which snapshots those are; they come and go with it | keep | it only reads |
//!
//! Nova makes its snapshots before the image that names them. So what it made for an image that never came
//! to be, or came twice, is known by the name of the image alone, and the clean-up ends with a look for
//! that (see `DecisionBuilder::sweep_snapshots`).

use super::{
    decision_builder::{DecisionBuilder, Step, Stop},
    instance,
};
use crate::domain::{
    capture::Capture,
    consistency::{self, ConsistencyLevel, Way},
    effect::{
        Captured, Disposal, Effect, EffectState, Make, Read,
        key::{self, Single},
    },
    id::{EffectKey, ServerId, SnapshotId, VolumeId},
    manifest::Manifest,
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

/// How the snapshots are to be made, and for whom.
pub(super) struct Plan<'p> {
    /// The instance.
    pub(super) server: &'p ServerId,
    /// As it is.
    pub(super) manifest: &'p Manifest,
    /// What they are for.
    pub(super) capture: Option<Capture>,
    /// How well they have to agree at least.
    pub(super) minimum: Option<ConsistencyLevel>,
    /// For people who find one.
    pub(super) description: &'p str,
    /// What becomes of them.
    pub(super) disposal: Disposal,
}

/// A better way that failed without harm, where less is enough.
pub(super) fn forgives(effect: &Effect, minimum: Option<ConsistencyLevel>) -> bool {
    let level = if effect.key == Single::QuiescedImage.into() {
        ConsistencyLevel::Quiesced
    } else if effect.key == Single::GroupSnapshot.into() {
        ConsistencyLevel::GroupSnapshot
    } else {
        return false;
    };
    minimum.is_none_or(|minimum| minimum < level)
}

/// A snapshot with the volume that it is of.
pub(super) type Taken = (VolumeId, SnapshotId);

/// Makes them; answers with one for each volume that there is.
pub(super) fn take(decision: &mut DecisionBuilder<'_>, plan: &Plan<'_>) -> Step<Vec<Taken>> {
    let reach = consistency::reach(plan.manifest, plan.capture);
    let better = match &reach.way {
        Way::Each => None,
        Way::Quiesced => {
            let request = Make::Image {
                server: plan.server.clone(),
            };
            Some(decision.wish(Single::QuiescedImage, request, Disposal::Temporary))
        }
        Way::Group(group) => {
            let request = Make::GroupSnapshot {
                group: group.clone(),
                description: plan.description.to_owned(),
            };
            Some(decision.wish(Single::GroupSnapshot, request, Disposal::Temporary))
        }
    };
    let Some(better) = better else {
        return one_by_one(decision, plan);
    };
    if decision.has_refused(&better.key, |effect| forgives(effect, plan.minimum))? {
        return one_by_one(decision, plan);
    }
    let kind = match &reach.way {
        Way::Group(_) => ThingKind::GroupSnapshot,
        Way::Quiesced | Way::Each => ThingKind::Image,
    };
    // One that has gone again may have no id any more; what came with it was read before that.
    let id = decision.one(better)?.id().to_owned();
    let thing = Thing { kind, id };
    captured(decision, plan, &reach.way, thing)
}

fn one_by_one(decision: &mut DecisionBuilder<'_>, plan: &Plan<'_>) -> Step<Vec<Taken>> {
    let wishes = instance::each(plan.manifest, |index, volume| {
        let request = Make::Snapshot {
            volume: volume.clone(),
            description: plan.description.to_owned(),
        };
        decision.wish(key(index), request, plan.disposal)
    });
    let made = decision.all(wishes)?;
    let volumes = instance::each(plan.manifest, |_, volume| volume.clone());
    Ok(volumes
        .into_iter()
        .zip(made.into_iter().map(id_of))
        .collect())
}

/// What Nova or Cinder made of all volumes together.
fn captured(
    decision: &mut DecisionBuilder<'_>,
    plan: &Plan<'_>,
    way: &Way,
    thing: Thing,
) -> Step<Vec<Taken>> {
    let server = plan.server.clone();
    let Captured {
        quiesced,
        snapshots,
    } = decision.read(Single::CapturedSnapshots, Read::Captured { thing, server })?;
    if *way == Way::Quiesced
        && !quiesced
        && !consistency::is_enough(
            plan.minimum,
            ConsistencyLevel::VolumeSnapshots,
            plan.manifest.volumes.len(),
        )
    {
        return Err(Stop::give_up(
            "CONSISTENCY_NOT_REACHED",
            "Nova took snapshots without the guest having to hold still: the server was made before its \
             image properties asked for that, or did not run any more",
            "make the instance anew from a volume or image with these properties, or ask for less",
        ));
    }
    let found: Option<Vec<&Sighting>> = plan
        .manifest
        .volumes
        .iter()
        .map(|volume| snapshot_of(snapshots, &volume.id))
        .collect();
    let Some(found) = found else {
        return Err(Stop::give_up(
            "INSTANCE_CHANGED",
            "a volume of the instance was detached while it was captured",
            "ask again when nobody changes the instance",
        ));
    };
    let ids = found.iter().map(|one| SnapshotId::new(&one.thing.id));
    let volumes = plan.manifest.volumes.iter().map(|one| one.id.clone());
    match way {
        // They go with their group snapshot, and only so.
        Way::Group(_) | Way::Each => Ok(volumes.zip(ids).collect()),
        Way::Quiesced => {
            let wishes = ids.enumerate().map(|(index, snapshot)| {
                let request = Make::TakeSnapshot {
                    snapshot,
                    description: plan.description.to_owned(),
                };
                decision.wish(key(index), request, plan.disposal)
            });
            let wishes = wishes.collect();
            let taken = decision.all(wishes)?;
            Ok(volumes.zip(taken.into_iter().map(id_of)).collect())
        }
    }
}

/// What was reached, and when by the cloud's own clock: nothing while snapshots are missing.
pub(super) fn reached(
    decision: &DecisionBuilder<'_>,
    manifest: &Manifest,
    capture: Option<Capture>,
) -> Option<(ConsistencyLevel, Vec<Timestamp>)> {
    let key = Single::CapturedSnapshots.into();
    if let Some(Captured {
        quiesced,
        snapshots,
    }) = decision.effect(&key).and_then(Effect::found)
    {
        let level = match (consistency::reach(manifest, capture).way, quiesced) {
            (Way::Quiesced, true) => ConsistencyLevel::Quiesced,
            (Way::Group(_), _) => ConsistencyLevel::GroupSnapshot,
            (Way::Quiesced, false) | (Way::Each, _) => ConsistencyLevel::VolumeSnapshots,
        };
        let volumes = manifest.volumes.iter();
        let taken = volumes.map(|volume| snapshot_of(snapshots, &volume.id)?.created);
        let taken: Option<Vec<Timestamp>> = taken.collect();
        return Some((level, taken?));
    }
    let taken = manifest.volumes.iter().enumerate();
    let taken = taken.filter(|(_, volume)| !volume.from_image);
    let taken = taken.map(|(index, _)| made(decision, index)?.seen()?.created);
    let taken: Option<Vec<Timestamp>> = taken.collect();
    Some((ConsistencyLevel::VolumeSnapshots, taken?))
}

/// The snapshot of a volume, where it is one of ours.
pub(super) fn made<'a>(decision: &DecisionBuilder<'a>, volume: usize) -> Option<&'a Effect> {
    decision
        .effect(&key(volume))
        .filter(|made| made.state != EffectState::Failed)
}

pub(super) fn key(volume: usize) -> EffectKey {
    key::volume(volume).snapshot()
}

fn id_of(effect: &Effect) -> SnapshotId {
    SnapshotId::new(effect.id())
}

fn snapshot_of<'s>(snapshots: &'s [Sighting], volume: &VolumeId) -> Option<&'s Sighting> {
    let mut snapshots = snapshots.iter();
    snapshots.find(|one| one.volume.as_ref() == Some(volume))
}
