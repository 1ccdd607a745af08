//! How what was made goes again: the temporaries at the end, and everything where it is given up; it may not
//! know what any of it is for.

use super::{
    ASK_AGAIN, DecisionBuilder, NOTHING_LEFT, Step, Stop,
    held::stays,
    tell::{noun_of, standing, unswept_of},
};
use crate::{
    domain::{
        decision::{Decision, Ending},
        effect::{Apply, Disposal, Effect, EffectKind, EffectState, Make, Request},
        error::OperationError,
        time::Timestamp,
    },
    plan::is_gone,
};

impl<'a> DecisionBuilder<'a> {
    /// The temporaries go, newest first; answers when nothing of them is left.
    pub(in crate::plan) fn drop_temporaries(&mut self) -> Step<()> {
        self.drop_next(|effect| effect.disposal == Disposal::Temporary)
            .and_then(|()| self.sweep_snapshots(true))
    }

    /// The same answer, once nothing else is missing: from here on the products stand whatever becomes of
    /// the temporaries.
    pub(in crate::plan) fn stand_until(&mut self, gone: Step<()>) -> Step<()> {
        self.products_stand = gone.is_err();
        gone
    }

    /// What an effect made goes; answers when nothing of it is left, or others use it.
    pub(in crate::plan) fn gone(&mut self, effect: &Effect) -> Step<()> {
        if is_gone(effect) || stays(self.limits, effect) {
            return Ok(());
        }
        self.let_go(effect);
        Err(Stop::Pending)
    }

    /// Lets the newest of what `goes` go, all of one kind side by side; answers when all is gone but what
    /// others use.
    fn drop_next(&mut self, goes: impl Fn(&Effect) -> bool) -> Step<()> {
        let going = self.going(goes);
        if going.is_empty() {
            return Ok(());
        }
        for effect in going {
            self.let_go(effect);
        }
        Err(Stop::Pending)
    }

    /// What of all that `goes` is next: the newest that is there and that nobody else uses, with all others
    /// of its kind.
    pub(super) fn going(&self, goes: impl Fn(&Effect) -> bool) -> Vec<&'a Effect> {
        let mut left = self.ledger.newest_first();
        left.retain(|effect| {
            matches!(effect.request.kind(), EffectKind::Make(_))
                && goes(effect)
                && !is_gone(effect)
                && !stays(self.limits, effect)
        });
        let kind = left.first().map(|effect| effect.request.kind());
        left.retain(|effect| Some(effect.request.kind()) == kind);
        left
    }

    /// Sees to it that nothing is left of what came with images: the snapshots that nobody took. Answers
    /// when there are none, or, unless that must be `sure`, when it could not be seen to.
    fn sweep_snapshots(&mut self, sure: bool) -> Step<()> {
        let images = |effect: &&Effect| matches!(effect.request, Request::Make(Make::Image { .. }));
        let swept = self.each(self.ledger.iter().filter(images), |decision, image| {
            let key = image.key.swept();
            match decision.effect(&key) {
                Some(sweep) if sweep.state == EffectState::Done => Ok(()),
                Some(sweep) if sweep.state.is_settled() && !sure => Ok(()),
                Some(_) => Err(Stop::Pending),
                None => {
                    let request = Apply::SnapshotsGone {
                        image: image.name.clone(),
                    };
                    let tenant = image.tenant.clone();
                    let wish = Self::wish_in(tenant, key, request, Disposal::Keep);
                    decision.decision.wishes.push(wish);
                    Err(Stop::Pending)
                }
            }
        });
        swept.map(drop)
    }

    /// What an effect made goes, if it is not going already.
    fn let_go(&mut self, effect: &Effect) {
        self.free_thing(effect);
        match effect.state {
            EffectState::Dropping | EffectState::Leaving | EffectState::Gone => {}
            EffectState::Requested
            | EffectState::Accepted
            | EffectState::Done
            | EffectState::Failed => self.decision.drops.push(effect.key.clone()),
        }
    }

    /// Everything that was made goes, newest first; then it has ended, for this reason. Products that
    /// only wait for the end of the temporaries stay: they are whole, and may be all there is.
    pub(in crate::plan) fn give_up(mut self, reason: &OperationError) -> Decision {
        self.decision.wishes.clear();
        self.decision.drops.clear();
        self.decision.retries.clear();
        let ends = self.gives_up().after(self.limits.cleanup);
        if self.now < ends && !self.ledger.unseen().is_empty() {
            return self.look_first(reason, ends);
        }
        self.gives_up = true;
        self.phase = format!("Cleaning up: {}", reason.message);
        self.decision.report.runtime_state.clone_from(&self.phase);
        // What makes nothing is abandoned where it stands: a restore that was not sent yet must not
        // follow its volume, and an import that was sent stays as a mirror. Only what frees a stuck
        // thing belongs to the clean-up itself.
        let abandoned = self.ledger.iter().filter(|effect| {
            !matches!(effect.request.kind(), EffectKind::Make(_))
                && !cleans(&effect.request)
                && !effect.state.is_settled()
        });
        self.decision
            .drops
            .extend(abandoned.map(|effect| effect.key.clone()));
        let products_go = !self.products_stand || self.operation.cancelled.is_some();
        let kept = std::mem::take(&mut self.kept);
        let goes = |effect: &Effect| match effect.disposal {
            Disposal::Temporary => true,
            Disposal::Product => products_go && !kept.contains(&effect.key),
            Disposal::Keep => false,
        };
        let cleaned = self
            .drop_next(goes)
            .and_then(|()| self.sweep_snapshots(false))
            .and_then(|()| self.await_freed());
        if cleaned.is_ok() || self.now >= ends {
            let mut reason = reason.clone();
            let stays: Vec<String> = kept
                .iter()
                .filter_map(|key| self.ledger.get(key))
                .map(|effect| format!("{} {}", noun_of(effect), effect.id()))
                .collect();
            if !stays.is_empty() {
                reason.message = format!("{}; kept: {}", reason.message, stays.join(", "));
                "use what was kept, or delete the restoration together with its \
                                   instance, which deletes it"
                    .clone_into(&mut reason.guidance);
            }
            let is_left = |effect: &&Effect| {
                matches!(effect.request.kind(), EffectKind::Make(_))
                    && goes(effect)
                    && !is_gone(effect)
            };
            let made: Vec<&Effect> = self.ledger.iter().filter(is_left).collect();
            let unswept = self.ledger.iter().filter(|effect| {
                matches!(effect.request, Request::Apply(Apply::SnapshotsGone { .. }))
                    && effect.state != EffectState::Done
            });
            let left: Vec<String> = made
                .into_iter()
                .map(standing)
                .chain(unswept.map(unswept_of))
                .collect();
            if !left.is_empty() {
                reason.message = format!("{}; left behind: {}", reason.message, left.join(", "));
                let then = if reason.guidance == NOTHING_LEFT {
                    ASK_AGAIN
                } else {
                    &reason.guidance
                };
                reason.guidance = format!(
                    "let go of what was left behind where it is used, or let an admin reset its status \
                     where it is stuck, and delete this, which takes it; then {then}"
                );
            }
            self.decision.report.runtime_state = format!("Erred: {}", reason.message);
            self.decision.ending = Ending::Erred(reason);
        } else {
            let there = self.still_there(goes);
            self.decision.report.runtime_state.push_str(&there);
            self.look_again(ends);
        }
        self.count();
        self.decision
    }

    /// Nothing goes on the strength of what was known before: what was asked for may have come to its end
    /// meanwhile. Until all of it was seen once more, no request leaves either.
    fn look_first(mut self, reason: &OperationError, ends: Timestamp) -> Decision {
        self.phase = format!(
            "Looking at what is there before it is given up: {}",
            reason.message
        );
        self.decision.report.runtime_state = format!("{}{}", self.phase, self.not_seen());
        self.decision.looks_only = true;
        self.look_again(ends);
        self.count();
        self.decision
    }
}

/// Whether a request belongs to the clean-up itself.
pub(super) fn cleans(request: &Request) -> bool {
    matches!(
        request,
        Request::Apply(
            Apply::ErrorStatus { .. }
                | Apply::ResetBackupStatus { .. }
                | Apply::SnapshotsGone { .. }
        )
    )
}
