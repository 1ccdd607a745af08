//! What every backup begins with: the instance as it is, and how close together its volumes were taken;
//! it may not know what is made of them.

use super::{
    decision_builder::{DecisionBuilder, Step, Stop},
    layout::Findings,
};
use crate::domain::{
    capture::Capture,
    consistency::{self, Consistency, ConsistencyLevel, ServerState},
    effect::{Disposal, Effect, EffectState, Read, key::Single},
    fault::FaultKind,
    id::{ServerId, VolumeId},
    manifest::Manifest,
    sighting::{self, Standing, ThingKind},
    time::Timestamp,
};

/// Reads the instance.
pub(super) fn read<'a>(
    decision: &mut DecisionBuilder<'a>,
    server: &ServerId,
) -> Step<&'a Manifest> {
    let server = server.clone();
    decision.read(Single::Instance, Read::Instance { server })
}

/// Snapshots of volumes cannot bring back what has its root disk elsewhere.
pub(super) fn check_root(manifest: &Manifest, findings: &mut Findings) {
    if manifest.root_is_volume && !manifest.volumes.is_empty() {
        return;
    }
    findings.problem(
        "INSTANCE_ROOT_NOT_VOLUME",
        format!(
            "instance `{}` boots from an image: its root disk is not a volume",
            manifest.name
        ),
        "make a DR backup of it, which takes its root disk by an image",
    );
}

/// Notes the volumes that are in a status that forbids their capture and does not end by itself: to wait for
/// it would be in vain, and nothing has been made yet.
pub(super) fn check_volumes(manifest: &Manifest, findings: &mut Findings) {
    let told = manifest.volumes.iter().filter_map(|volume| {
        let status = volume.status.as_deref()?;
        match sighting::standing(ThingKind::Volume, status) {
            Standing::Staying | Standing::Failed => Some((volume, status)),
            Standing::Ready | Standing::Passing | Standing::Unknown => None,
        }
    });
    let unfit: Vec<_> = told.collect();
    let Some((_, status)) = unfit.first() else {
        return;
    };
    let each = unfit.iter().map(|(volume, status)| {
        let (name, id) = (&volume.name, &volume.id);
        format!("volume `{name}` ({id}) is {status}")
    });
    let each: Vec<String> = each.collect();
    findings.problem(
        FaultKind::Unfit.reason(),
        format!(
            "instance `{}` cannot be captured now, and this does not pass by itself: {}",
            manifest.name,
            each.join(", ")
        ),
        sighting::way_out(status),
    );
}

/// One wish for each volume that there is.
pub(super) fn each<T>(manifest: &Manifest, wish: impl Fn(usize, &VolumeId) -> T) -> Vec<T> {
    let volumes = manifest.volumes.iter().enumerate();
    volumes
        .filter(|(_, volume)| !volume.from_image)
        .map(|(index, volume)| wish(index, &volume.id))
        .collect()
}

/// Notes a wish for more than can be reached, before anything is made.
pub(super) fn check_consistency(
    manifest: &Manifest,
    capture: Option<Capture>,
    minimum: Option<ConsistencyLevel>,
    findings: &mut Findings,
) {
    if let Err(error) = consistency::check(minimum, manifest, capture) {
        findings.refused(&error);
    }
}

const AFTER: Single = Single::ServerAfter;

/// How the instance stands after the last capture: what is claimed of it rests on that.
enum After<'a> {
    /// It was not read yet.
    Pending,
    /// It cannot be read any more: nothing is claimed, and what was captured stays.
    Unknown,
    /// So.
    Read(&'a ServerState),
}

fn after<'a>(decision: &DecisionBuilder<'a>) -> After<'a> {
    let Some(read) = decision.effect(&AFTER.into()) else {
        return After::Pending;
    };
    if read.state == EffectState::Done
        && let Some(state) = read.found()
    {
        return After::Read(state);
    }
    if read.state.is_settled() {
        After::Unknown
    } else {
        After::Pending
    }
}

/// A read after the captures that failed for good: the server may be gone by now.
pub(super) fn forgives(effect: &Effect) -> bool {
    effect.key == AFTER.into()
}

/// Looks at the instance once more, now that all of it was captured.
pub(super) fn look_again(decision: &mut DecisionBuilder<'_>, manifest: &Manifest) -> Step<()> {
    let read = Read::ServerState {
        server: manifest.server.clone(),
    };
    let wish = decision.wish(AFTER, read, Disposal::Keep);
    match after(decision) {
        After::Pending => decision.one(wish).map(drop),
        After::Unknown | After::Read(_) => Ok(()),
    }
}

/// Whether that look has come to its end.
pub(super) fn has_looked_again(decision: &DecisionBuilder<'_>) -> bool {
    match after(decision) {
        After::Pending => false,
        After::Unknown | After::Read(_) => true,
    }
}

/// Refuses what would miss a volume, as long as little was done for it.
pub(super) fn check_complete(decision: &DecisionBuilder<'_>, manifest: &Manifest) -> Step<()> {
    let missed = missed(decision, manifest);
    if missed.is_empty() {
        return Ok(());
    }
    Err(Stop::give_up(
        "INSTANCE_CHANGED",
        missed.join("; "),
        "ask again when nobody changes the instance",
    ))
}

/// What came to the instance while it was captured, and is missing, in sentences.
pub(super) fn missed(decision: &DecisionBuilder<'_>, manifest: &Manifest) -> Vec<String> {
    let After::Read(state) = after(decision) else {
        return Vec::new();
    };
    let is_held = |volume: &VolumeId| manifest.volumes.iter().any(|one| one.id == *volume);
    let missed = state.volumes.iter().filter(|volume| !is_held(volume));
    missed
        .map(|volume| {
            format!("volume {volume} was attached while the instance was captured, and is missing")
        })
        .collect()
}

/// Refuses what turned out to agree less well than is wished for at least.
pub(super) fn check_reached(
    manifest: &Manifest,
    reached: Option<&Consistency>,
    minimum: Option<ConsistencyLevel>,
) -> Step<()> {
    // Where the cloud does not date its snapshots nothing is claimed, but what they are is known.
    let level = reached.map_or(ConsistencyLevel::Quiesced, |reached| reached.level);
    if consistency::is_enough(minimum, level, manifest.volumes.len()) {
        return Ok(());
    }
    Err(Stop::give_up(
        "CONSISTENCY_NOT_REACHED",
        format!(
            "no more was reached than `{}`: instance `{}` did not stay shut off until all of it was \
             captured",
            level.words(),
            manifest.name
        ),
        "ask again when nobody starts the instance, or ask for less",
    ))
}

/// What was reached, by the cloud's own clock: from when each volume was taken, at `level` while the
/// instance runs. Nothing before the last look at it.
pub(super) fn consistency(
    decision: &DecisionBuilder<'_>,
    manifest: &Manifest,
    taken: &[Timestamp],
    level: ConsistencyLevel,
) -> Option<Consistency> {
    let (first, last) = (taken.iter().min()?, taken.iter().max()?);
    let skew_ms = u64::try_from(last.since(*first).as_millis()).ok();
    let level = match after(decision) {
        After::Pending => return None,
        After::Read(state) if manifest.state.stayed_off_until(state) => ConsistencyLevel::ShutOff,
        After::Unknown | After::Read(_) => level,
    };
    Some(Consistency { level, skew_ms })
}
