//! Deletes a DR backup with its bytes; it may not know where else the bytes are wished for.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Looking whether a missing cloud is back | read allowance, in each that is said to be missing | keep | it only reads |
//! | Deleting volume backups | drop | | gone is gone |
//! | Deleting mirrors | drop, after the originals | | gone is gone |
//! | Deleting what was left behind | drop, kind by kind, unless somebody uses it | | gone is gone |
//!
//! This is the only planner that lets an imported record go: its bytes go on purpose, and a
//! record without bytes would promise what it cannot keep. What the DR backup inherited is not among
//! these: it stays where its owner, or nobody of ours, made and imported it.
//!
//! The originals go first, because only their cloud knows what builds on them, and refuses then: a mirror
//! has no children there, and its deletion would take the bytes from under those of the original. So
//! while that cloud is away nothing goes, and a caller may take the word back; that it is gone for good
//! only the caller can say.

use super::{
    decision_builder::{DecisionBuilder, Step},
    deletion::Deletion,
};
use crate::domain::{
    effect::key::List,
    id::{CloudName, Tenant},
    operation::Leftover,
    sighting::{Thing, ThingKind},
    volume_backup::BackupAt,
};

/// The steps, in order.
pub(super) fn steps(
    decision: &mut DecisionBuilder<'_>,
    backups: &[BackupAt],
    mirrors: &[BackupAt],
    leftovers: &[Leftover],
    missing: &[CloudName],
) -> Step<()> {
    let places = backups.iter().chain(mirrors).map(|one| &one.tenant);
    let places = places.chain(leftovers.iter().map(|one| &one.tenant));
    let mut deletion = Deletion::without(decision, missing, places)?;
    decision.phase("Deleting volume backups");
    decision.all(deletion.drops(List::Backup, backups.iter().map(thing)))?;

    decision.phase("Deleting mirrors");
    decision.all(deletion.drops(List::Mirror, mirrors.iter().map(thing)))?;

    if !leftovers.is_empty() {
        decision.phase("Deleting what was left behind");
    }
    for wishes in deletion.leftovers(leftovers) {
        decision.all_unless_held(wishes)?;
    }

    decision.end_deletion(&deletion.ended(), "")
}

fn thing(one: &BackupAt) -> (Tenant, Thing) {
    let thing = Thing {
        kind: ThingKind::VolumeBackup,
        id: one.backup.to_string(),
    };
    (one.tenant.clone(), thing)
}
