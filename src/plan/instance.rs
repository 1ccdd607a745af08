//! What every backup begins with: the instance as it is, and how close together its volumes were taken;
//! it may not know what is made of them.

use super::draft::{Draft, Step, Stop};
use crate::domain::{
    consistency::{self, Aim, Consistency, ConsistencyLevel},
    effect::{Disposal, Effect, Fact, Request},
    error::OperationError,
    id::{ServerId, VolumeId},
    manifest::Manifest,
    time::Timestamp,
};

/// Reads the instance.
pub(super) fn read<'a>(next: &mut Draft<'a>, server: &ServerId) -> Step<&'a Manifest> {
    let read = Request::ReadInstance {
        server: server.clone(),
    };
    manifest_of(next.one(next.wish("instance", read, Disposal::Keep))?)
}

fn manifest_of(effect: &Effect) -> Step<&Manifest> {
    match &effect.fact {
        Some(Fact::Instance(manifest)) => Ok(manifest),
        Some(
            Fact::Record(_)
            | Fact::Parents { .. }
            | Fact::Inventory(_)
            | Fact::Captured { .. }
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

/// Snapshots of volumes cannot bring back what has its root disk elsewhere.
pub(super) fn check_root(manifest: &Manifest) -> Step<()> {
    if manifest.root_is_volume && !manifest.volumes.is_empty() {
        return Ok(());
    }
    Err(Stop::give_up(
        "INSTANCE_ROOT_NOT_VOLUME",
        format!(
            "instance `{}` boots from an image: its root disk is not a volume",
            manifest.name
        ),
        "make a DR backup of it, which takes its root disk by an image",
    ))
}

/// One wish for each volume that there is.
pub(super) fn each<T>(manifest: &Manifest, wish: impl Fn(usize, &VolumeId) -> T) -> Vec<T> {
    let volumes = manifest.volumes.iter().enumerate();
    volumes
        .filter(|(_, volume)| !volume.from_image)
        .map(|(index, volume)| wish(index, &volume.id))
        .collect()
}

/// Refuses what asks for more than can be reached, before anything is made.
pub(super) fn check_consistency(
    manifest: &Manifest,
    aim: Aim,
    minimum: Option<ConsistencyLevel>,
) -> Step<()> {
    consistency::check(minimum, manifest, aim)
        .map_err(|error| Stop::GiveUp(Box::new(OperationError::from(&error))))
}

/// What was reached, by the cloud's own clock: from when each volume was taken, at `level` while the
/// instance runs.
pub(super) fn consistency(
    manifest: &Manifest,
    taken: &[Timestamp],
    level: ConsistencyLevel,
) -> Option<Consistency> {
    let (first, last) = (taken.iter().min()?, taken.iter().max()?);
    let skew_ms = u64::try_from(last.since(*first).as_millis()).ok();
    let level = if manifest.status.eq_ignore_ascii_case("SHUTOFF") {
        ConsistencyLevel::ShutOff
    } else {
        level
    };
    Some(Consistency { level, skew_ms })
}
