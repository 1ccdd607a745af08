//! Removes a restoration, with the instance where that is wished for; it may not know why.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Deleting the server, ports, security groups, volumes | drop, kind by kind | | gone is gone |
//!
//! A security group that was made for this restoration may have been found by a later one, or taken
//! by its tenant for something else: one that is still in use after our ports are gone is left.
//! Imported records are never among the things: see [`crate::domain::effect::Disposal::Keep`].

use super::{
    deletion::Deletion,
    draft::{Draft, Step},
};
use crate::domain::{
    effect::{Disposal, Request},
    id::CloudName,
    sighting::{Thing, ThingKind},
};

/// What stands on what: a kind goes when everything before it is gone.
const ORDER: [ThingKind; 6] = [
    ThingKind::Server,
    ThingKind::Port,
    ThingKind::SecurityGroup,
    ThingKind::KeyPair,
    ThingKind::Volume,
    ThingKind::Snapshot,
];

/// The steps, in order.
pub(super) fn steps(next: &mut Draft<'_>, things: &[Thing], missing: &[CloudName]) -> Step<()> {
    let mut deletion = Deletion::without(missing);
    let home = next.tenant().clone();
    if missing.contains(&home.cloud) {
        let all = things.iter().map(|thing| (home.clone(), thing.clone()));
        deletion.drops("thing", all);
        next.phase(&deletion.ended());
        return Ok(());
    }
    for kind in ORDER {
        let of_kind = things
            .iter()
            .enumerate()
            .filter(|(_, thing)| thing.kind == kind);
        next.phase(&format!("Deleting {}s", kind.noun()));
        let wishes = of_kind.map(|(index, thing)| {
            let request = Request::Drop {
                thing: thing.clone(),
            };
            next.wish(format!("thing-{index}"), request, Disposal::Keep)
        });
        match kind {
            ThingKind::SecurityGroup => next.all_unless_used(wishes.collect())?,
            ThingKind::Server
            | ThingKind::Port
            | ThingKind::KeyPair
            | ThingKind::Volume
            | ThingKind::Snapshot
            | ThingKind::VolumeBackup
            | ThingKind::GroupSnapshot
            | ThingKind::Image => drop(next.all(wishes.collect())?),
        }
    }

    next.phase("Deleted");
    Ok(())
}
