//! Deletes a regular backup with its snapshots; it may not know what was restored from them.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Looking whether a missing cloud is back | read allowance, in each that is said to be missing | keep | it only reads |
//! | Deleting snapshots | drop, all side by side | | gone is gone |
//! | Deleting what was left behind | drop, kind by kind, unless somebody uses it | | gone is gone |

use super::{
    decision_builder::{DecisionBuilder, Step},
    deletion::Deletion,
};
use crate::domain::{
    effect::key::List,
    id::CloudName,
    operation::Leftover,
    point::PointDetail,
    sighting::{Thing, ThingKind},
};

/// The steps, in order.
pub(super) fn steps(
    decision: &mut DecisionBuilder<'_>,
    detail: &PointDetail,
    leftovers: &[Leftover],
    missing: &[CloudName],
) -> Step<()> {
    let home = decision.tenant().clone();
    let places = leftovers.iter().map(|one| &one.tenant).chain([&home]);
    let mut deletion = Deletion::without(decision, missing, places)?;
    decision.phase("Deleting snapshots");
    let snapshots = detail.snapshots().iter().map(|one| {
        let thing = Thing {
            kind: ThingKind::Snapshot,
            id: one.id.to_string(),
        };
        (home.clone(), thing)
    });
    decision.all(deletion.drops(List::Snapshot, snapshots))?;

    if !leftovers.is_empty() {
        decision.phase("Deleting what was left behind");
    }
    for wishes in deletion.leftovers(leftovers) {
        decision.all_unless_held(wishes)?;
    }

    decision.end_deletion(&deletion.ended(), "")
}
