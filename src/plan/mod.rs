//! Pure planners: from an operation, its ledger and the time to a decision; it may not know the
//! engine, a store, a cloud, or how long anything takes.
//!
//! A planner is run again from its first line whenever something in the ledger changed: what is
//! done answers at once, what is not there yet ends the run. A cancel, a deadline and a failure
//! are the same thing to it: a reason to give up, and giving up is the ledger read backwards.

mod allowance;
mod compare;
mod create_backup;
mod create_dr_backup;
mod decision_builder;
mod delete_backup;
mod delete_dr_backup;
mod delete_restoration;
mod deletion;
mod headroom;
mod instance;
mod layout;
mod placed;
mod restore;
mod root_disk;
mod server;
mod snapshots;
mod target;
#[cfg(test)]
mod tests;
mod update_backup;
mod update_dr_backup;
mod volume_backup;
mod volumes;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::decision_builder::{DecisionBuilder, Stop};
use crate::{
    domain::{
        decision::Decision,
        effect::{Apply, Effect, EffectState, Read, Request},
        ledger::Ledger,
        operation::{Ask, Operation},
        time::Timestamp,
    },
    span::Span,
};

/// How patient the work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PatienceSettings {
    /// How long nothing may change, beside a quarter of what moving the bytes may take, before that
    /// is told as a stall. The work goes on.
    #[serde(with = "Span")]
    pub stall_after: Duration,
    /// How long a thing that must go may keep a status that forbids it, before an admin entry resets
    /// the status.
    // The slowest thing that a cloud does to what is not wanted any more, to write a large backup or
    // to wipe a large volume, ends before.
    #[serde(with = "Span")]
    pub stuck_after: Duration,
    /// How long after its deadline work goes on to clean up; then it ends in ERRED and names what is
    /// left.
    // Longer than what is stuck needs to come free.
    #[serde(with = "Span")]
    pub cleanup: Duration,
    /// How often in a row what is to be deleted is seen to be used by somebody else, with growing
    /// pauses between the looks, before it is left to them and told.
    // What of ours may still use it is on its way out meanwhile.
    pub asked_while_used: u32,
    /// How often a volume backup, a restore into a volume, and the server of a restoration are made
    /// where the cloud takes them and cannot bring them to their end; what failed goes first. After
    /// that a server is still made again, after ever longer pauses, until the time limit: its volumes
    /// have their bytes.
    pub tries: u32,
    /// The time between such a failure and the next try.
    // As long as it takes until a cloud knows again which of its services are there.
    #[serde(with = "Span")]
    pub pause: Duration,
    /// The longest time between two tries of what a login, a right or a quota forbids, or of a server
    /// that does not come up, while bytes that were moved are held.
    // An operator may mend what is in the way meanwhile.
    #[serde(with = "Span")]
    pub hold_pause: Duration,
    /// How many volume backups may build on one another: a DR backup with a longer chain is given up.
    // Each is a record to hold, to import and to read through.
    pub links_max: usize,
}

impl Default for PatienceSettings {
    fn default() -> Self {
        Self {
            stall_after: Duration::from_secs(30 * 60),
            stuck_after: Duration::from_secs(6 * 60 * 60),
            cleanup: Duration::from_secs(12 * 60 * 60),
            asked_while_used: 5,
            tries: 3,
            pause: Duration::from_secs(60),
            hold_pause: Duration::from_secs(10 * 60),
            links_max: 100,
        }
    }
}

/// Decides what an operation needs next. The one entry for every kind of operation.
pub fn plan(
    limits: &PatienceSettings,
    operation: &Operation,
    ledger: &Ledger,
    now: Timestamp,
) -> Decision {
    let mut builder = DecisionBuilder::new(limits, operation, ledger, now);
    let outcome = match &operation.ask {
        Ask::CreateDrBackup {
            server,
            capture,
            description,
            incremental,
            minimum,
        } => {
            let wish = create_dr_backup::CreateOptions {
                server,
                capture: *capture,
                description,
                incremental: *incremental,
                minimum: *minimum,
            };
            create_dr_backup::steps(&mut builder, &wish)
        }
        Ask::UpdateDrBackup {
            description,
            backups,
        } => update_dr_backup::steps(&mut builder, description, backups),
        Ask::DeleteDrBackup {
            backups,
            mirrors,
            leftovers,
            missing,
        } => delete_dr_backup::steps(&mut builder, backups, mirrors, leftovers, missing),
        Ask::CreateBackup {
            server,
            description,
            minimum,
        } => create_backup::steps(&mut builder, server, description, *minimum),
        Ask::UpdateBackup {
            description,
            snapshots,
        } => update_backup::steps(&mut builder, description, snapshots),
        Ask::DeleteBackup {
            detail,
            leftovers,
            missing,
        } => delete_backup::steps(&mut builder, detail, leftovers, missing),
        Ask::Restore(input) => restore::steps(&mut builder, input),
        Ask::DeleteRestoration { things, missing } => {
            delete_restoration::steps(&mut builder, things, missing)
        }
    };
    let forgives = |effect: &Effect| forgiven(limits, &operation.ask, effect);
    let why = builder.reason_to_give_up(forgives);
    let mut decision = match (outcome, why) {
        (Ok(()), _) => builder.done(),
        (Err(Stop::GiveUp(why)), _) => builder.give_up(&why),
        (Err(Stop::Pending), Some(why)) => builder.give_up(&why),
        (Err(Stop::Pending), None) => builder.open(),
    };
    let failed = ledger.first_failure(forgives).map(|(effect, _)| effect);
    if let Some(claim) = deletion::claim(&operation.ask, ledger, &decision.ending, failed) {
        decision.report.verification = Some(claim);
    }
    decision
}

/// A failed effect that its planner has another way around, so that it is no reason to give up.
fn forgiven(limits: &PatienceSettings, ask: &Ask, effect: &Effect) -> bool {
    // Without the right to it, an admin has to do it by hand; the thing is waited for all the same.
    if matches!(
        effect.request,
        Request::Apply(Apply::ErrorStatus { .. } | Apply::ResetBackupStatus { .. })
            // What could not be looked at beforehand shows when it is asked for.
            | Request::Read(Read::Allowance { .. })
    ) {
        return true;
    }
    match ask {
        Ask::Restore(_) => restore::forgives(limits, effect),
        Ask::CreateDrBackup { minimum, .. } => {
            volume_backup::forgives(limits, effect)
                || snapshots::forgives(effect, *minimum)
                || instance::forgives(effect)
        }
        Ask::CreateBackup { minimum, .. } => {
            snapshots::forgives(effect, *minimum) || instance::forgives(effect)
        }
        Ask::UpdateDrBackup { .. }
        | Ask::DeleteDrBackup { .. }
        | Ask::UpdateBackup { .. }
        | Ask::DeleteBackup { .. }
        | Ask::DeleteRestoration { .. } => false,
    }
}

/// Whether nothing of what an effect made can be left.
fn is_gone(effect: &Effect) -> bool {
    match effect.state {
        EffectState::Gone => true,
        EffectState::Failed => effect.cloud_id.is_none(),
        EffectState::Requested
        | EffectState::Accepted
        | EffectState::Done
        | EffectState::Dropping
        | EffectState::Leaving => false,
    }
}
