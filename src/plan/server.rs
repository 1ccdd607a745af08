//! The server of a restoration, and another one where the cloud could not bring it up; it may not know
//! what goes into it.
//!
//! All bytes are in their volumes by then, which may have taken hours, and a word like "No valid host was
//! found" is often over in a minute: a hypervisor that is about to report again, a place that somebody
//! else gives back. So a server that ends in an error is deleted, and after a pause another one is made of
//! the same volumes and ports. Only where disks are to go with their server there is one try, because
//! Nova deletes them with the one that failed.

use super::{
    Limits,
    draft::{Draft, Step, key_of_try, number_of_try},
};
use crate::domain::{
    effect::{Disposal, Effect, Request, ServerPlan},
    fault::FaultKind,
};

const FIRST: &str = "server";

/// The server, when it is up.
pub(super) fn create<'a>(next: &mut Draft<'a>, plan: &ServerPlan) -> Step<&'a Effect> {
    let limits = next.limits();
    let mut number = 1;
    loop {
        let request = Request::MakeServer(Box::new(plan.clone()));
        let wish = next.wish(key_of_try(FIRST, number), request, Disposal::Product);
        if !next.has_refused(&wish.key, |server| forgives(limits, server))? {
            return next.one(wish);
        }
        next.pause_after(&wish.key, limits.pause)?;
        number += 1;
    }
}

/// The newest one that was asked for.
pub(super) fn newest<'a>(next: &Draft<'a>) -> Option<&'a Effect> {
    next.newest_try(FIRST)
}

/// A server that the cloud made and could not bring up, while another one may be tried.
pub(super) fn forgives(limits: &Limits, effect: &Effect) -> bool {
    let Request::MakeServer(plan) = &effect.request else {
        return false;
    };
    let broken = effect
        .fault
        .as_ref()
        .is_some_and(|fault| matches!(fault.kind, FaultKind::Broken | FaultKind::NoHost));
    let takes_disks = plan.disks.iter().any(|disk| disk.delete_on_termination);
    broken && !takes_disks && number_of_try(&effect.key) < limits.tries
}
