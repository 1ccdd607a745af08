//! The server of a restoration, and another one where the cloud could not bring it up; it may not know
//! what goes into it.
//!
//! All bytes are in their volumes by then, which may have taken hours, and a word like "No valid host was
//! found" is often over in a minute: a hypervisor that is about to report again, a place that somebody
//! else gives back. So a server that ends in an error is deleted, and after a pause another one is made of
//! the same volumes and ports; after some tries with ever longer pauses, until the deadline, because what
//! is in the way may be for an operator to mend. No volume is made to go with its server before that is
//! up: Nova would delete it with the one that failed.

use super::decision_builder::{DecisionBuilder, Step};
use crate::domain::{
    effect::{Disposal, Effect, Make, Request, ServerPlan, key},
    fault::FaultKind,
};

/// The server, when it is up. A zone that nobody wished for is asked for once: its name is the same, and
/// nobody knows whether there is room in it.
pub(super) fn create<'a>(
    decision: &mut DecisionBuilder<'a>,
    plan: &ServerPlan,
    zone_is_wished: bool,
) -> Step<&'a Effect> {
    let tries = decision.limits().tries;
    let mut number: u32 = 1;
    let mut without_key = false;
    loop {
        let mut plan = plan.clone();
        if without_key {
            plan.key_name = None;
        }
        if number > 1 && !zone_is_wished {
            plan.availability_zone = None;
        }
        let request = Make::Server(Box::new(plan));
        let wish = decision.wish(key::server().try_no(number), request, Disposal::Product);
        if !decision.has_refused(&wish.key, forgives)? {
            return decision.one(wish);
        }
        without_key |= decision.effect(&wish.key).is_some_and(was_key_refused);
        let pause = decision.hold_pause(1 + number.saturating_sub(tries));
        decision.pause_after(&wish.key, pause)?;
        number += 1;
    }
}

/// The newest one that was asked for.
pub(super) fn newest<'a>(decision: &DecisionBuilder<'a>) -> Option<&'a Effect> {
    decision.newest_try(&key::server())
}

/// Whether a server was refused for its key pair, which is not there any more: what it boots with is worth more.
/// (Nova tells that in no other way than by "Invalid `key_name` provided.": `servers.py` of Zed and 2026.1.)
pub(super) fn was_key_refused(effect: &Effect) -> bool {
    let (Request::Make(Make::Server(plan)), Some(fault)) = (&effect.request, &effect.fault) else {
        return false;
    };
    plan.key_name.is_some()
        && fault.kind == FaultKind::Invalid
        && fault.message.contains("key_name")
}

/// A server that the cloud made and could not bring up, or the first one refused for what may be its zone, or
/// for its key pair.
pub(super) fn forgives(effect: &Effect) -> bool {
    let (Request::Make(Make::Server(plan)), Some(fault)) = (&effect.request, &effect.fault) else {
        return false;
    };
    match fault.kind {
        FaultKind::Broken | FaultKind::NoHost => true,
        FaultKind::Invalid => {
            let may_be_its_zone = plan.availability_zone.is_some() && effect.key.try_no() == 1;
            may_be_its_zone || was_key_refused(effect)
        }
        FaultKind::Unreachable
        | FaultKind::Unanswered
        | FaultKind::Throttled
        | FaultKind::ServiceDown
        | FaultKind::Busy
        | FaultKind::Unfit
        | FaultKind::Held
        | FaultKind::Unauthenticated
        | FaultKind::Forbidden
        | FaultKind::NotFound
        | FaultKind::Conflict
        | FaultKind::Quota
        | FaultKind::Unconfigured => false,
    }
}
