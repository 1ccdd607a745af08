//! Deletes a DR backup with its bytes; it may not know where else the bytes are wished for.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Deleting volume backups | drop | | gone is gone |
//! | Deleting mirrors | drop, after the originals | | gone is gone |
//!
//! This is the only planner that lets an imported record go: its bytes go on purpose, and a
//! record without bytes would promise what it cannot keep. What the DR backup inherited is not among
//! these: it stays where its owner, or nobody of ours, made and imported it.

use super::draft::{Draft, Step};
use crate::domain::{
    decision::{Detail, Wish},
    dr_backup::{DrBackupDetail, Mirror},
    effect::{Disposal, Request},
    sighting::{Thing, ThingKind},
};

/// The steps, in order.
pub(super) fn steps(
    next: &mut Draft<'_>,
    detail: &DrBackupDetail,
    backups: &[Mirror],
    mirrors: &[Mirror],
) -> Step<()> {
    // From here on nobody may restore from it, also when the deletion fails half-way.
    let mut going = detail.clone();
    let own = going.volume_backups.iter_mut();
    for backup in own.filter(|one| !one.inherited) {
        "deleting".clone_into(&mut backup.status);
    }
    next.hold(Detail::DrBackup(Box::new(going)));

    next.phase("Deleting volume backups");
    next.all(drops("backup", backups))?;

    next.phase("Deleting mirrors");
    next.all(drops("mirror", mirrors))?;

    next.phase("Deleted");
    Ok(())
}

fn drops(word: &str, backups: &[Mirror]) -> Vec<Wish> {
    let drop = |(index, one): (usize, &Mirror)| {
        let thing = Thing {
            kind: ThingKind::VolumeBackup,
            id: one.backup.to_string(),
        };
        let key = format!("{word}-{index}");
        Draft::wish_in(
            one.tenant.clone(),
            key,
            Request::Drop { thing },
            Disposal::Keep,
        )
    };
    backups.iter().enumerate().map(drop).collect()
}
