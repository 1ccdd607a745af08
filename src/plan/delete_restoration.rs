//! Removes a restoration, with the instance where that is wished for; it may not know why.
//!
//! | Phase | Effects | Disposal | Why repeating is harmless |
//! |---|---|---|---|
//! | Deleting the server, ports, security groups, volumes | drop, kind by kind | | gone is gone |
//!
//! A security group that others use by then is left to them.
//! Imported records are never among the things: see [`crate::domain::effect::Disposal::Keep`].

use super::draft::{Draft, Step};
use crate::domain::{
    effect::{Disposal, Effect, EffectKind, EffectState, Request},
    fault::FaultKind,
    sighting::{Thing, ThingKind},
};

/// What stands on what: a kind goes when everything before it is gone.
const ORDER: [ThingKind; 6] = [
    ThingKind::Server,
    ThingKind::Port,
    ThingKind::SecurityGroup,
    ThingKind::KeyPair,
    ThingKind::Volume,
    ThingKind::Snapshot,
];

/// The steps, in order.
pub(super) fn steps(next: &mut Draft<'_>, things: &[Thing]) -> Step<()> {
    for kind in ORDER {
        let of_kind = things
            .iter()
            .enumerate()
            .filter(|(_, thing)| thing.kind == kind);
        next.phase(&format!("Deleting {}s", kind.noun()));
        let wishes = of_kind.filter_map(|(index, thing)| {
            let key = format!("thing-{index}");
            if next.effect(&key).is_some_and(is_used_by_others) {
                return None;
            }
            let request = Request::Drop {
                thing: thing.clone(),
            };
            Some(next.wish(key, request, Disposal::Keep))
        });
        next.all(wishes.collect())?;
    }

    next.phase("Deleted");
    Ok(())
}

/// A security group that is in use after our own ports are gone belongs to others by now, who found
/// it by its content; it is left to them.
fn is_used_by_others(effect: &Effect) -> bool {
    effect.request.kind() == EffectKind::Drop(ThingKind::SecurityGroup)
        && effect.state == EffectState::Requested
        && effect.attempt >= GROUP_ATTEMPTS
        && effect
            .fault
            .as_ref()
            .is_some_and(|fault| fault.kind == FaultKind::Busy)
}

/// Our own ports, and those of restorations that are deleted beside this one, are on their way out when
/// a group is first asked to go; with waits that double this is half a minute.
const GROUP_ATTEMPTS: u32 = 6;
