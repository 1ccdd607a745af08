//! What every backup begins with: the instance as it is, and how close together its volumes were taken;
//! it may not know what is made of them.

use super::draft::{Draft, Step, Stop};
use crate::domain::{
    capture::{Consistency, ConsistencyLevel},
    effect::{Disposal, Effect, Fact, Request},
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

/// What lost its root disk with its hypervisor cannot be brought back.
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
        "make an image of it, create a volume from that image and boot a new instance from the volume; then back that up",
    ))
}

/// One wish for each volume.
pub(super) fn each<T>(manifest: &Manifest, wish: impl Fn(usize, &VolumeId) -> T) -> Vec<T> {
    manifest
        .volumes
        .iter()
        .enumerate()
        .map(|(index, volume)| wish(index, &volume.id))
        .collect()
}

/// What was reached, by the cloud's own clock: from what was `made` of each volume, at `level` while
/// the instance runs.
pub(super) fn consistency<'a>(
    manifest: &Manifest,
    made: impl Fn(usize) -> Option<&'a Effect>,
    level: ConsistencyLevel,
) -> Option<Consistency> {
    let taken: Option<Vec<Timestamp>> = (0..manifest.volumes.len())
        .map(|index| {
            let seen = made(index)?.seen()?;
            seen.data_timestamp.or(seen.created)
        })
        .collect();
    let taken = taken?;
    let (first, last) = (taken.iter().min()?, taken.iter().max()?);
    let skew_ms = u64::try_from(last.since(*first).as_millis()).ok();
    let level = if manifest.status.eq_ignore_ascii_case("SHUTOFF") {
        ConsistencyLevel::ShutOff
    } else {
        level
    };
    Some(Consistency { level, skew_ms })
}
