//! What does not end by itself, and gets another status from an admin; it may not know what any of it
//! is for.
//!
//! Pending, done or refused, there is nothing to do with the answer to such a request: the next look at
//! the thing tells.

use super::{DecisionBuilder, Step, Stop};
use crate::domain::{
    effect::{Apply, Disposal, Effect, EffectKind, EffectState, Request},
    fault::FaultKind,
    id::{ProjectId, Tenant, VolumeBackupId},
    sighting::{Thing, ThingKind, is_left_by_a_death},
    time::Timestamp,
};

impl DecisionBuilder<'_> {
    /// What must go and cannot, because a service's death left it in a status that forbids it for good,
    /// gets another status from an admin. Everything that was built on it was wished for later, so it is
    /// gone or done by now. What somebody uses is never forced: see [`is_left_by_a_death`].
    pub(super) fn free_thing(&mut self, effect: &Effect) {
        let thing = effect.thing_to_go();
        let Some(thing) = thing.filter(|thing| may_be_stuck(thing.kind)) else {
            return;
        };
        // A status that nobody has seen yet is judged by the one who resets it.
        let status = effect.status.as_deref();
        let forced = status.is_none_or(|status| is_left_by_a_death(thing.kind, status));
        if !forced || effect.held.is_some() {
            return;
        }
        let key = effect.key.reset();
        if self.effect(&key).is_some() {
            return;
        }
        let is_drop = matches!(effect.request.kind(), EffectKind::Drop(_));
        let leaving = match effect.state {
            EffectState::Dropping | EffectState::Leaving => {
                self.operation.patient_since(effect.changed)
            }
            // What was waited for before the cloud took it is no reason for haste.
            EffectState::Accepted if is_drop => self.operation.patient_since(effect.changed),
            // Its row tells the last attempt, and a cloud that was not heard has refused nothing.
            EffectState::Requested if is_drop => {
                self.operation.patient_since(refused_since(effect))
            }
            EffectState::Requested
            | EffectState::Accepted
            | EffectState::Done
            | EffectState::Failed
            | EffectState::Gone => return,
        };
        let hopeless = match status {
            Some("error_deleting") => true,
            // A backup that died leaves what it was made of so; nobody else backs up a temporary volume.
            Some("backing-up") => {
                thing.kind == ThingKind::Snapshot
                    || thing.kind == ThingKind::Volume && effect.disposal == Disposal::Temporary
            }
            _ => false,
        };
        let patience = leaving.after(self.limits.stuck_after);
        if !hopeless && self.now < patience {
            return self.look_again(patience);
        }
        // Nothing else tells our restore from somebody else's for which ours has waited.
        if status == Some("restoring-backup") {
            self.free_source(&thing);
        }
        let request = Apply::ErrorStatus { thing };
        let wish = Self::wish_in(effect.tenant.clone(), key, request, Disposal::Keep);
        self.decision.wishes.push(wish);
    }

    /// A volume that is stuck while bytes are restored into it holds their record: it is freed beside, which
    /// cuts the restore off where it still goes on.
    fn free_source(&mut self, volume: &Thing) {
        let ledger = self.ledger;
        for fill in ledger.iter() {
            if fill.state != EffectState::Done
                && fill.request.known_id() == Some(&volume.id)
                && let Request::RestoreInto {
                    backup,
                    backup_project,
                    ..
                } = &fill.request
            {
                self.reset_status(fill, backup, backup_project, true);
            }
        }
    }

    /// A record that Cinder does not bring to the end of its import, or that stays busy, is freed by an
    /// admin: it is what every later restoration needs. Where that cannot be, or somebody else restores
    /// it, the refusal tells what a person can do.
    pub(super) fn free_record(&mut self, effect: &Effect) {
        let (backup, project, since) = if let Request::Import { backup, .. } = &effect.request
            && effect.state == EffectState::Accepted
        {
            let since = self.operation.patient_since(effect.changed);
            (backup, &effect.tenant.project, since)
        } else if let Request::RestoreInto {
            backup,
            backup_project,
            ..
        } = &effect.request
            && is_busy(effect)
        {
            let since = self.operation.patient_since(refused_since(effect));
            (backup, backup_project, since)
        } else {
            return;
        };
        let patience = since.after(self.limits.stuck_after);
        if self.now < patience {
            return self.look_again(patience);
        }
        self.reset_status(effect, backup, project, false);
    }

    fn reset_status(
        &mut self,
        effect: &Effect,
        backup: &VolumeBackupId,
        project: &ProjectId,
        interrupt_restore: bool,
    ) {
        let key = effect.key.freed();
        if self.effect(&key).is_some() {
            return;
        }
        let tenant = Tenant {
            cloud: effect.tenant.cloud.clone(),
            project: project.clone(),
        };
        let request = Apply::ResetBackupStatus {
            backup: backup.clone(),
            interrupt_restore,
        };
        let wish = Self::wish_in(tenant, key, request, Disposal::Keep);
        self.decision.wishes.push(wish);
    }

    /// Answers when every record is freed that was to be, or cannot be.
    pub(super) fn await_freed(&self) -> Step<()> {
        let frees = |effect: &&Effect| {
            matches!(
                effect.request,
                Request::Apply(Apply::ResetBackupStatus { .. })
            )
        };
        let mut freeing = self.ledger.iter().filter(frees);
        if freeing.all(|effect| effect.state.is_settled()) {
            Ok(())
        } else {
            Err(Stop::Pending)
        }
    }
}

/// Whether a request waits because something else is done to what it needs.
fn is_busy(effect: &Effect) -> bool {
    let fault = effect.fault.as_ref();
    effect.state == EffectState::Requested
        && fault.is_some_and(|fault| fault.kind == FaultKind::Busy)
}

/// Since when a request has been refused for the same kind of reason.
pub(super) fn refused_since(effect: &Effect) -> Timestamp {
    let fault = effect.fault.as_ref();
    fault
        .and_then(|fault| fault.since)
        .unwrap_or(effect.changed)
}

/// Whether an admin can give things of this kind another status.
fn may_be_stuck(kind: ThingKind) -> bool {
    match kind {
        ThingKind::Snapshot
        | ThingKind::Volume
        | ThingKind::VolumeBackup
        | ThingKind::GroupSnapshot => true,
        ThingKind::SecurityGroup
        | ThingKind::KeyPair
        | ThingKind::Port
        | ThingKind::Trunk
        | ThingKind::Server
        | ThingKind::Image => false,
    }
}
