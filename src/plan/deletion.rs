//! What deletions share: which things go, which are forgotten, and what the end says of what was to go;
//! it may not know any single deletion.
//!
//! A cloud that is gone answers nothing, so what lies in it could be waited for for ever. Only a caller
//! can say that it is gone for good. Which cloud does not answer was looked at when that was said, and is
//! looked at again before anything is forgotten: the work may have waited over a restart, or for its turn, and
//! the bytes of a cloud that is back must not go by way of their mirrors as if nobody built on them.

use std::collections::BTreeMap;

use super::decision_builder::{DecisionBuilder, Step, Stop};
use crate::domain::{
    decision::{DesiredEffect, Ending},
    effect::{
        Disposal, Effect, EffectKind, EffectState, Make, NewVolume, Read, Request, key::List,
    },
    fault::{Fault, FaultKind},
    id::{CloudName, EffectKey, Tenant},
    ledger::Ledger,
    operation::{Ask, Leftover},
    sighting::{Thing, ThingKind},
    verification::{Cause, Doubt, Verification},
};

/// So many things that are forgotten are named.
const NAMED_MAX: usize = 20;

/// What stands on what among the leftovers of a backup: a kind goes when everything before it is gone.
const ORDER: [ThingKind; 5] = [
    ThingKind::VolumeBackup,
    ThingKind::Volume,
    ThingKind::Image,
    ThingKind::GroupSnapshot,
    ThingKind::Snapshot,
];

/// What is to go, as far as it can be reached.
pub(super) struct Deletion {
    missing: Vec<CloudName>,
    forgotten: Vec<String>,
    seen: Vec<(Tenant, Thing)>,
}

impl Deletion {
    /// A deletion of what is in these places, that leaves alone what is in one of the clouds that are said to
    /// be missing and still answer nothing.
    pub(super) fn without<'p>(
        decision: &mut DecisionBuilder<'_>,
        missing: &[CloudName],
        places: impl IntoIterator<Item = &'p Tenant>,
    ) -> Step<Self> {
        let places: BTreeMap<&CloudName, &Tenant> = places
            .into_iter()
            .map(|place| (&place.cloud, place))
            .collect();
        let still = decision.each(missing.iter().enumerate(), |decision, (index, cloud)| {
            let Some(place) = places.get(cloud) else {
                return Ok(None);
            };
            decision.phase("Looking whether a missing cloud is back");
            let silent = is_silent(decision, List::MissingCloud.at(index), place)?;
            Ok(silent.then(|| cloud.clone()))
        })?;
        Ok(Self {
            missing: still.into_iter().flatten().collect(),
            forgotten: Vec::new(),
            seen: Vec::new(),
        })
    }

    /// Whether what lies in a cloud is forgotten.
    pub(super) fn forgets(&self, cloud: &CloudName) -> bool {
        self.missing.contains(cloud)
    }

    /// The wishes to delete these, under keys of this list; what cannot be reached is forgotten, and what
    /// was wished for before is not wished for twice.
    pub(super) fn drops(
        &mut self,
        list: List,
        things: impl IntoIterator<Item = (Tenant, Thing)>,
    ) -> Vec<DesiredEffect> {
        let mut wishes = Vec::new();
        for (index, one) in things.into_iter().enumerate() {
            if self.seen.contains(&one) {
                continue;
            }
            self.seen.push(one.clone());
            let (tenant, thing) = one;
            if self.forgets(&tenant.cloud) {
                self.forgotten.push(format!("{thing} in {tenant}"));
                continue;
            }
            wishes.push(DecisionBuilder::wish_in(
                tenant,
                list.at(index),
                Request::Drop { thing },
                Disposal::Keep,
            ));
        }
        wishes
    }

    /// The wishes to delete what was left behind before, kind by kind.
    pub(super) fn leftovers(&mut self, left: &[Leftover]) -> Vec<Vec<DesiredEffect>> {
        let of_kind = |kind| {
            let left = left.iter().filter(move |one| one.thing.kind == kind);
            left.map(|one| (one.tenant.clone(), one.thing.clone()))
        };
        ORDER
            .into_iter()
            .map(|kind| self.drops(List::Left(kind), of_kind(kind)))
            .collect()
    }

    /// The last words.
    pub(super) fn ended(&self) -> String {
        if self.forgotten.is_empty() {
            return "Deleted".to_owned();
        }
        let named = self.forgotten.iter().take(NAMED_MAX).cloned();
        let mut named: Vec<String> = named.collect();
        let more = self.forgotten.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            named.push(format!("{more} more"));
        }
        format!(
            "Deleted; forgotten, because the cloud is missing: {}",
            named.join(", ")
        )
    }
}

/// Whether a cloud answers nothing, now that it matters. The look that found it so is abandoned, and so tells the
/// same to the end.
fn is_silent(decision: &mut DecisionBuilder<'_>, key: EffectKey, place: &Tenant) -> Step<bool> {
    let Some(look) = decision.effect(&key) else {
        let request = Read::Allowance { export: false };
        let look = DecisionBuilder::wish_in(place.clone(), key, request, Disposal::Keep);
        return decision.one(look).map(|_| false);
    };
    let silent = look.fault.as_ref().is_some_and(Fault::is_silence);
    match look.state {
        EffectState::Done => Ok(false),
        EffectState::Failed | EffectState::Gone => Ok(silent),
        // A connection may break off: it is asked again and again meanwhile.
        EffectState::Requested if silent && decision.has_waited(look, decision.limits().pause) => {
            decision.gone(look).and(Err(Stop::Pending))
        }
        EffectState::Requested
        | EffectState::Accepted
        | EffectState::Dropping
        | EffectState::Leaving => Err(Stop::Pending),
    }
}

/// What the end of an operation says of the claim that its point, or the point that it restores, can be
/// restored; nothing where it says nothing.
pub(super) fn claim(
    ask: &Ask,
    ledger: &Ledger,
    ending: &Ending,
    failed: Option<&Effect>,
) -> Option<Verification> {
    let doubt = match (ask, ending) {
        (Ask::DeleteDrBackup { .. } | Ask::DeleteBackup { .. }, Ending::Erred(_)) => {
            broken_off(ledger)
        }
        (Ask::Restore(_), Ending::Erred(_)) => failed.and_then(without_bytes),
        (
            Ask::CreateDrBackup { .. }
            | Ask::UpdateDrBackup { .. }
            | Ask::DeleteDrBackup { .. }
            | Ask::CreateBackup { .. }
            | Ask::UpdateBackup { .. }
            | Ask::DeleteBackup { .. }
            | Ask::Restore(_)
            | Ask::DeleteRestoration { .. },
            Ending::Open | Ending::Done | Ending::Erred(_),
        ) => None,
    };
    doubt.map(|doubt| Verification {
        time: None,
        doubt: Some(doubt),
    })
}

/// What a deletion that ended otherwise may have removed. What no cloud ever took a deletion of is as it
/// was, and so is the claim.
fn broken_off(ledger: &Ledger) -> Option<Doubt> {
    let drops = || {
        let drops = ledger.iter();
        drops.filter(|effect| matches!(effect.request.kind(), EffectKind::Drop(_)))
    };
    let thing = |effect: &Effect| {
        if let Request::Drop { thing } = &effect.request {
            return thing.to_string();
        }
        effect.key.to_string()
    };
    if let Some(gone) = drops().find(|effect| effect.state == EffectState::Done) {
        let reason = format!("{} was deleted", thing(gone));
        return Some(Doubt::new(Cause::Deleted, reason));
    }
    let taken = drops().find(|effect| effect.cloud_id.is_some())?;
    let reason = format!(
        "its deletion was broken off, and {} may be gone: it is looked at again",
        thing(taken)
    );
    Some(Doubt::new(Cause::BrokenOff, reason))
}

/// Whether what failed for good is that bytes did not come back. A volume of the target that somebody has
/// deleted or reset, or a type that is not there, says nothing of the bytes.
fn without_bytes(failed: &Effect) -> Option<Doubt> {
    let fault = failed.fault.as_ref()?;
    // What the bytes are of, and the status in which Cinder leaves a volume that they did not come into.
    let (source, left) = if let Request::RestoreInto { backup, .. } = &failed.request {
        (backup.as_str(), "error_restoring")
    } else if let Request::Make(Make::Volume(NewVolume {
        snapshot: Some(snapshot),
        ..
    })) = &failed.request
    {
        (snapshot.as_str(), "error")
    } else {
        return None;
    };
    let fills = failed.request.kind() == EffectKind::RestoreInto;
    let for_want = if fault.kind == FaultKind::NotFound {
        // It says which of the two it does not find.
        fault.message.contains(source)
    } else if fault.kind != FaultKind::Broken {
        false
    } else if fault.status.is_some() {
        // A restore is refused so only where the volume backup itself is broken.
        fills
    } else {
        failed.status.as_deref() == Some(left)
    };
    for_want.then(|| {
        let reason = format!("a restoration of it has failed: {}", fault.message);
        Doubt::new(Cause::Unproven, reason)
    })
}
