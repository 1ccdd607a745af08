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
    effect::{Apply, Effect, EffectState, Make, Read, Request},
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
            .filter(|effect| !matches!(effect.request, Request::Apply(Apply::ErrorStatus { .. })))
            .map(|effect| {
                if let Request::Apply(Apply::ResetBackupStatus { backup, .. }) = &effect.request {
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
        Request::Make(make) => making(make),
        Request::Import { .. } => "importing records",
        Request::RestoreInto { .. } => "restoring volumes",
        Request::Apply(apply) => return applying(apply),
        Request::Read(read) => reading(read),
        Request::Drop { thing } => return deleting(thing.kind),
    };
    words.to_owned()
}

fn making(make: &Make) -> &'static str {
    match make {
        Make::Snapshot { .. }
        | Make::Image { .. }
        | Make::GroupSnapshot { .. }
        | Make::TakeSnapshot { .. } => "creating snapshots",
        Make::VolumeBackup { .. } => "creating volume backups",
        Make::Volume(_) => "creating volumes",
        Make::AcceptTransfer { .. } => "transferring volumes",
        Make::SecurityGroup { .. } => "creating security groups",
        Make::KeyPair { .. } => "importing the key pair",
        Make::Port(_) => "creating ports",
        Make::Trunk(_) => "creating trunks",
        Make::Server(_) => "creating the server",
    }
}

fn applying(apply: &Apply) -> String {
    let words = match apply {
        Apply::SecurityGroupRules { .. } => "creating security groups",
        Apply::PortSetting { .. } => "creating ports",
        Apply::Bootable { .. } | Apply::Volume(_) => "preparing volumes",
        Apply::DeleteOnTermination { .. }
        | Apply::SecurityGroupName { .. }
        | Apply::PortName { .. }
        | Apply::Trunk { .. }
        | Apply::ServerSetting { .. }
        | Apply::ServerTags { .. } => "finishing",
        Apply::VolumeBackup { .. } => "describing volume backups",
        Apply::Snapshot { .. } => "describing snapshots",
        Apply::ErrorStatus { thing } => return deleting(thing.kind),
        Apply::ResetBackupStatus { .. } => "freeing records",
        Apply::SnapshotFreed { .. } | Apply::SnapshotsGone { .. } => "removing temporary snapshots",
        Apply::FailedImportGone { .. } => "clearing away failed imports",
    };
    words.to_owned()
}

fn reading(read: &Read) -> &'static str {
    match read {
        Read::Captured { .. } => "creating snapshots",
        Read::Parents { .. } => "creating volume backups",
        Read::Instance { .. } | Read::ServerState { .. } => "reading the instance",
        Read::Allowance { .. } => "looking at the cloud",
        Read::Record { .. } => "exporting records",
        Read::Inventory | Read::Presence { .. } => "looking at the target",
    }
}

fn deleting(kind: ThingKind) -> String {
    format!("deleting {}s", kind.noun())
}
