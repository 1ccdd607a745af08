//! Gives the Cinder backups of a DR backup a new description; it may not know the old one.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Describing volume backups | apply | keep | the same words again change nothing |

use super::decision_builder::{DecisionBuilder, Step};
use crate::domain::{
    effect::{Apply, Disposal, key::List},
    volume_backup::BackupAt,
};

/// The steps, in order.
pub(super) fn steps(
    decision: &mut DecisionBuilder<'_>,
    description: &str,
    backups: &[BackupAt],
) -> Step<()> {
    decision.phase("Describing volume backups");
    let wishes = backups.iter().enumerate().map(|(index, original)| {
        let request = Apply::VolumeBackup {
            backup: original.backup.clone(),
            description: description.to_owned(),
        };
        let key = List::Backup.at(index);
        DecisionBuilder::wish_in(original.tenant.clone(), key, request, Disposal::Keep)
    });
    decision.all(wishes.collect())?;

    decision.phase("Available");
    Ok(())
}
