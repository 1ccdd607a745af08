//! Gives the snapshots of a regular backup a new description; it may not know the old one.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Describing snapshots | apply | keep | the same words again change nothing |

use super::decision_builder::{DecisionBuilder, Step};
use crate::domain::{
    effect::{Apply, Disposal, key::List},
    id::SnapshotId,
};

/// The steps, in order.
pub(super) fn steps(
    decision: &mut DecisionBuilder<'_>,
    description: &str,
    snapshots: &[SnapshotId],
) -> Step<()> {
    decision.phase("Describing snapshots");
    let wishes = snapshots.iter().enumerate().map(|(index, snapshot)| {
        let request = Apply::Snapshot {
            snapshot: snapshot.clone(),
            description: description.to_owned(),
        };
        decision.wish(List::Snapshot.at(index), request, Disposal::Keep)
    });
    decision.all(wishes.collect())?;

    decision.phase("Available");
    Ok(())
}
