//! Deletes a regular backup with its snapshots; it may not know what was restored from them.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Deleting snapshots | drop, all side by side | | gone is gone |

use super::draft::{Draft, Step};
use crate::domain::{
    backup::BackupDetail,
    decision::Detail,
    effect::{Disposal, Request},
    sighting::{Thing, ThingKind},
};

/// The steps, in order.
pub(super) fn steps(next: &mut Draft<'_>, detail: &BackupDetail) -> Step<()> {
    // From here on nobody may restore from it, also when the deletion fails half-way.
    let mut going = detail.clone();
    for snapshot in &mut going.snapshots {
        "deleting".clone_into(&mut snapshot.status);
    }
    next.hold(Detail::Backup(Box::new(going)));

    next.phase("Deleting snapshots");
    let wishes = detail.snapshots.iter().enumerate().map(|(index, one)| {
        let thing = Thing {
            kind: ThingKind::Snapshot,
            id: one.id.to_string(),
        };
        let key = format!("snapshot-{index}");
        next.wish(key, Request::Drop { thing }, Disposal::Keep)
    });
    next.all(wishes.collect())?;

    next.phase("Deleted");
    Ok(())
}
