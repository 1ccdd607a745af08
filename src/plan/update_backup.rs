//! Gives the snapshots of a regular backup a new description; it may not know the old one.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Describing snapshots | apply | keep | the same words again change nothing |

use super::draft::{Draft, Step};
use crate::domain::{
    effect::{Disposal, Request},
    id::SnapshotId,
};

/// The steps, in order.
pub(super) fn steps(next: &mut Draft<'_>, description: &str, snapshots: &[SnapshotId]) -> Step<()> {
    next.phase("Describing snapshots");
    let wishes = snapshots.iter().enumerate().map(|(index, snapshot)| {
        let request = Request::ApplySnapshot {
            snapshot: snapshot.clone(),
            description: description.to_owned(),
        };
        next.wish(format!("snapshot-{index}"), request, Disposal::Keep)
    });
    next.all(wishes.collect())?;

    next.phase("Available");
    Ok(())
}
