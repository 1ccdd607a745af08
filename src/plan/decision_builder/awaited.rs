//! What an operation waits for, in words: at its deadline, and while it cleans up after a cancel, a failure
//! or a deadline; it may not know any single planner.
//!
//! The planner's own phase cannot tell it. Once the clean-up has begun the planner is run over what is left
//! of its work, and stops at the first line that misses something.

use super::{
    DecisionBuilder,
    clean::cleans,
    tell::{standing, unswept_of},
    was_done,
};
use crate::domain::{
    effect::{Effect, EffectState, Request},
    sighting::ThingKind,
};

/// So many things that are waited for are named.
const NAMED_MAX: usize = 3;

impl<'a> DecisionBuilder<'a> {
    /// What was waited for when the deadline passed: of all that did not come to its end the newest, since
    /// a planner wishes for nothing before what it builds on is there. An answer that is also told after
    /// the clean-up, because what was cut short keeps the fault that says so.
    pub(super) fn awaited(&self, ends_nothing: impl Fn(&Effect) -> bool) -> Option<&'a Effect> {
        // What was refused and is done without is not waited for.
        let done_without = |effect: &Effect| {
            effect.state == EffectState::Failed && ends_nothing(effect) && !self.is_held(effect)
        };
        self.ledger
            .newest_first()
            .into_iter()
            .find(|effect| !cleans(&effect.request) && !was_done(effect) && !done_without(effect))
    }

    /// Why an operation that gives up has not ended: what of the things that `goes` speaks of is on its way
    /// out, and then what has to be seen to after them.
    pub(super) fn still_there(&self, goes: impl Fn(&Effect) -> bool) -> String {
        let going: Vec<String> = self.going(goes).into_iter().map(standing).collect();
        if !going.is_empty() {
            return format!("; still there: {}", some_of(going));
        }
        let open = self
            .ledger
            .iter()
            .filter(|effect| !effect.state.is_settled());
        let left: Vec<String> = open
            .filter(|effect| cleans(&effect.request))
            .filter(|effect| !matches!(effect.request, Request::ApplyErrorStatus { .. }))
            .map(|effect| {
                if let Request::ResetBackupStatus { backup, .. } = &effect.request {
                    return format!("record {backup}, which is being freed");
                }
                unswept_of(effect)
            })
            .collect();
        if left.is_empty() {
            return String::new();
        }
        format!("; still there: {}", some_of(left))
    }

    /// What has to be looked at before anything goes.
    pub(super) fn not_seen(&self) -> String {
        let unseen = self.ledger.unseen().iter();
        let unseen = unseen.filter_map(|key| self.ledger.get(key)).map(standing);
        format!("; not seen yet: {}", some_of(unseen.collect()))
    }
}

/// The first few of these, and how many more there are.
fn some_of(mut named: Vec<String>) -> String {
    let more = named.len().saturating_sub(NAMED_MAX);
    named.truncate(NAMED_MAX);
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}

/// What is being done while this is waited for.
pub(super) fn activity(request: &Request) -> String {
    let words = match request {
        Request::MakeSnapshot { .. }
        | Request::MakeImage { .. }
        | Request::MakeGroupSnapshot { .. }
        | Request::TakeSnapshot { .. }
        | Request::ReadCaptured { .. } => "creating snapshots",
        Request::MakeVolumeBackup { .. } | Request::ReadParents { .. } => "creating volume backups",
        Request::MakeVolume { .. } => "creating volumes",
        Request::AcceptTransfer { .. } => "transferring volumes",
        Request::MakeSecurityGroup { .. } | Request::ApplySecurityGroupRules { .. } => {
            "creating security groups"
        }
        Request::MakeKeyPair { .. } => "importing the key pair",
        Request::MakePort { .. } | Request::ApplyPortSetting { .. } => "creating ports",
        Request::MakeTrunk { .. } => "creating trunks",
        Request::MakeServer(_) => "creating the server",
        Request::ImportRecord { .. } => "importing records",
        Request::RestoreVolumeBackup { .. } => "restoring volumes",
        Request::ApplyBootable { .. } | Request::ApplyVolume { .. } => "preparing volumes",
        Request::ApplyDeleteOnTermination { .. }
        | Request::ApplySecurityGroupName { .. }
        | Request::ApplyPortName { .. }
        | Request::ApplyTrunk { .. }
        | Request::ApplyServerSetting { .. }
        | Request::ApplyServerTags { .. } => "finishing",
        Request::ApplyVolumeBackup { .. } => "describing volume backups",
        Request::ApplySnapshot { .. } => "describing snapshots",
        Request::ApplyErrorStatus { thing } | Request::Drop { thing } => {
            return deleting(thing.kind);
        }
        Request::ResetBackupStatus { .. } => "freeing records",
        Request::ApplySnapshotFreed { .. } | Request::ApplySnapshotsGone { .. } => {
            "removing temporary snapshots"
        }
        Request::ReadInstance { .. } | Request::ReadServerState { .. } => "reading the instance",
        Request::ReadAllowance { .. } => "looking at the cloud",
        Request::ReadRecord { .. } => "exporting records",
        Request::ReadInventory | Request::ReadPresence { .. } => "looking at the target",
    };
    words.to_owned()
}

fn deleting(kind: ThingKind) -> String {
    format!("deleting {}s", kind.noun())
}
