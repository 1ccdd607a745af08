//! What somebody else has come to use by the time its turn to go comes: it stays, and is told; it may not
//! know what any of it is for.

use super::{DecisionBuilder, Step, Stop, both, tell::noun_of};
use crate::{
    domain::{
        decision::DesiredEffect,
        effect::{Effect, EffectKind, EffectState, Request},
        sighting::ThingKind,
    },
    plan::PatienceSettings,
};

/// Whether what an effect made, or is to delete, stays: somebody else was seen to use it again and again,
/// longer than what of ours may use it needs to go.
pub(super) fn stays(limits: &PatienceSettings, effect: &Effect) -> bool {
    let hold = effect.held.as_ref();
    hold.is_some_and(|hold| hold.looks >= limits.asked_while_used)
}

/// What an effect left and who uses it, for people.
pub(super) fn standing(effect: &Effect) -> Option<String> {
    let hold = effect.held.as_ref()?;
    let thing = effect.thing_to_go()?;
    // What was made has its deterministic name as well.
    let called = if matches!(effect.request, Request::Drop { .. }) {
        thing.to_string()
    } else {
        format!("{} {} ({})", noun_of(effect), effect.name, thing.id)
    };
    Some(format!("{called}: {}", hold.by))
}

impl DecisionBuilder<'_> {
    /// Deletions, all asked for before any is waited for; answers when nothing is left of the things but
    /// those that others use.
    pub(in crate::plan) fn all_unless_held(&mut self, wishes: Vec<DesiredEffect>) -> Step<()> {
        let (ledger, limits) = (self.ledger, self.limits);
        let (staying, waited_for): (Vec<_>, Vec<_>) = wishes.into_iter().partition(|wish| {
            let effect = ledger.get(&wish.key);
            effect.is_some_and(|effect| stays(limits, effect))
        });
        let staying = staying.iter().filter_map(|wish| ledger.get(&wish.key));
        let left = self.each(staying, |decision, effect| {
            if effect.state == EffectState::Gone {
                return Ok(());
            }
            decision.decision.drops.push(effect.key.clone());
            Err(Stop::Pending)
        });
        both(self.all(waited_for), left).map(drop)
    }

    /// Ends a deletion of which something stays that holds data, or a place: it is not over as long as that
    /// is there; `ended` is what is said when it is, and `or_else` what can be done about it beside. What is
    /// shared by its nature, a group or a key, becomes theirs, and is only told.
    pub(in crate::plan) fn end_deletion(&mut self, ended: &str, or_else: &str) -> Step<()> {
        let (ledger, limits) = (self.ledger, self.limits);
        let staying = ledger.iter().filter(|effect| {
            matches!(effect.request.kind(), EffectKind::Drop(_)) && stays(limits, effect)
        });
        let (shared, held): (Vec<&Effect>, Vec<&Effect>) = staying.partition(|effect| {
            let kind = effect.thing_to_go().map(|thing| thing.kind);
            kind.is_some_and(is_shared)
        });
        let told = |effects: &[&Effect]| -> String {
            let all: Vec<String> = effects.iter().filter_map(|one| standing(one)).collect();
            all.join("; ")
        };
        if !held.is_empty() {
            return Err(Stop::give_up(
                "IN_USE",
                format!("everything else is deleted; {}", told(&held)),
                &format!(
                    "let it go where it is used, or unlock it, then delete this again{or_else}"
                ),
            ));
        }
        if shared.is_empty() {
            self.phase(ended);
        } else {
            self.phase(&format!("{ended}; left to others: {}", told(&shared)));
        }
        Ok(())
    }
}

/// Whether things of a kind are shared by their nature, and hold nothing.
fn is_shared(kind: ThingKind) -> bool {
    match kind {
        ThingKind::SecurityGroup | ThingKind::KeyPair => true,
        ThingKind::Snapshot
        | ThingKind::Volume
        | ThingKind::VolumeBackup
        | ThingKind::Port
        | ThingKind::Trunk
        | ThingKind::Server
        | ThingKind::GroupSnapshot
        | ThingKind::Image => false,
    }
}
