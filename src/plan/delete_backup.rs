//! Deletes a regular backup with its snapshots; it may not know what was restored from them.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Looking whether a missing cloud is back | read allowance, in each that is said to be missing | keep | it only reads |
//! | Deleting snapshots | drop, all side by side | | gone is gone |
//! | Deleting what was left behind | drop, kind by kind, unless somebody uses it | | gone is gone |

use super::{
    deletion::Deletion,
    draft::{Draft, Step},
};
use crate::domain::{
    id::CloudName,
    operation::Leftover,
    point::PointDetail,
    sighting::{Thing, ThingKind},
};

/// The steps, in order.
pub(super) fn steps(
    next: &mut Draft<'_>,
    detail: &PointDetail,
    leftovers: &[Leftover],
    missing: &[CloudName],
) -> Step<()> {
    let home = next.tenant().clone();
    let places = leftovers.iter().map(|one| &one.tenant).chain([&home]);
    let mut deletion = Deletion::without(next, missing, places)?;
    next.phase("Deleting snapshots");
    let snapshots = detail.snapshots().iter().map(|one| {
        let thing = Thing {
            kind: ThingKind::Snapshot,
            id: one.id.to_string(),
        };
        (home.clone(), thing)
    });
    next.all(deletion.drops("snapshot", snapshots))?;

    if !leftovers.is_empty() {
        next.phase("Deleting what was left behind");
    }
    for wishes in deletion.leftovers(leftovers) {
        next.all_unless_held(wishes)?;
    }

    next.end_deletion(&deletion.ended(), "")
}
