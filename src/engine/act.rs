//! What to do next about one effect, and what an answer means for it; it may not know operations.

use std::time::Duration;

use tokio::time::Instant;

use super::{Settings, pace::backoff};
use crate::{
    domain::{
        effect::{Effect, EffectKind, EffectState, Request},
        fault::{Fault, FaultKind, Service},
        holder::Hold,
        id::Tenant,
        sighting::ThingKind,
    },
    port::cloud::Answer,
};

/// What the engine remembers about an effect beside its row; lost with the process, on purpose.
#[derive(Debug, Clone)]
pub(super) struct Aside {
    /// A call about it is under way.
    pub(super) under_way: bool,
    /// The request may have worked: only a list that started after this can tell.
    pub(super) doubt: Option<Instant>,
    /// A list that started then did not show it.
    pub(super) absent: Option<Instant>,
    /// It was accepted and a list does not show it: ask for it by id.
    pub(super) missing: bool,
    /// Its status forbids its deletion as last seen.
    pub(super) held_back: bool,
    /// Nothing is asked before.
    pub(super) not_before: Option<Instant>,
    /// Faults in a row.
    pub(super) failures: u32,
    /// Copies of its thing, by id, that somebody else has come to use.
    pub(super) given_up: Vec<String>,
    /// What it waits for at the moment, where its row does not say so.
    pub(super) obstacle: Option<Fault>,
    /// Since when it is in its state.
    pub(super) since: Instant,
    /// When the cloud last told of it; nothing where only its row does.
    pub(super) sight: Option<Instant>,
}

impl Aside {
    /// About a row that was just written: nothing has left the process.
    pub(super) fn fresh(now: Instant) -> Self {
        Self {
            under_way: false,
            doubt: None,
            absent: None,
            missing: false,
            held_back: false,
            not_before: None,
            failures: 0,
            given_up: Vec::new(),
            obstacle: None,
            since: now,
            sight: Some(now),
        }
    }

    /// About a row that was loaded: whatever was asked may have left and worked.
    pub(super) fn doubtful(now: Instant) -> Self {
        Self {
            doubt: Some(now),
            sight: None,
            ..Self::fresh(now)
        }
    }

    /// The cloud tells of it now.
    pub(super) fn sighted(&mut self, now: Instant) {
        self.sight = Some(now);
    }

    /// Nobody looked for a while: what was seen before is history.
    pub(super) fn outlived(&mut self) {
        self.sight = None;
    }

    fn is_fresh(&self, age: Duration, now: Instant) -> bool {
        self.sight
            .is_some_and(|sight| now.saturating_duration_since(sight) <= age)
    }

    fn entered(&mut self, now: Instant) {
        *self = Self::fresh(now);
    }

    /// Notes what it waits for; answers whether that is news. The same trouble again, with the id of
    /// another request, is none: else every try of everybody who waits would be an event.
    pub(super) fn is_held_up_by(&mut self, fault: &Fault) -> bool {
        let known = self.obstacle.as_ref().is_some_and(|old| {
            (old.kind, old.service, old.status) == (fault.kind, fault.service, fault.status)
        });
        if !known {
            self.obstacle = Some(fault.clone());
        }
        !known
    }

    fn wait(&mut self, settings: &Settings, fault: &Fault, now: Instant) {
        self.failures += 1;
        let wait = backoff(settings.retry_first, settings.retry_max, self.failures);
        let asked = Duration::from_secs(fault.retry_after.unwrap_or(0).into());
        self.not_before = Some(now + wait.max(asked));
    }
}

/// Whether the cloud has to be asked what became of it before anything is destroyed on its account: what
/// was asked for may be there, or may have come to its end, since `age` ago.
pub(super) fn is_unseen(effect: &Effect, aside: &Aside, age: Duration, now: Instant) -> bool {
    match effect.request.kind() {
        EffectKind::Apply | EffectKind::Read | EffectKind::Drop(_) => false,
        EffectKind::Make(_) | EffectKind::Import | EffectKind::Fill => match effect.state {
            EffectState::Requested => aside.doubt.is_some(),
            EffectState::Accepted => !aside.is_fresh(age, now),
            EffectState::Done
            | EffectState::Failed
            | EffectState::Dropping
            | EffectState::Leaving
            | EffectState::Gone => false,
        },
    }
}

/// What to do next about an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    /// Nothing, until something happens.
    Rest,
    /// Nothing before this.
    Later(Instant),
    /// A call leaves.
    Leave(Leave),
    /// It was never asked for, so there is nothing to delete.
    NeverWas,
    /// See it in a list that starts no earlier than this.
    Look(Look),
}

/// A call about an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// Send its request.
    Send,
    /// Send the deletion of its thing.
    Delete,
    /// Ask for its thing by id.
    Confirm,
}

/// A list that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// Where.
    pub(super) tenant: Tenant,
    /// Of what.
    pub(super) kind: ThingKind,
    /// The list is of use only when it starts then or later.
    pub(super) from: Instant,
    /// Since when it is waited for; long waits are looked at less often.
    pub(super) since: Instant,
}

/// What to do next about an effect.
pub(super) fn next_move(effect: &Effect, aside: &Aside, settings: &Settings, now: Instant) -> Move {
    if effect.state.is_settled() || aside.under_way {
        return Move::Rest;
    }
    if let Some(later) = aside.not_before.filter(|later| *later > now) {
        return Move::Later(later);
    }
    let look = |from: Instant| match effect.request.watched() {
        None => Move::Rest,
        Some(kind) => {
            let tenant = effect.tenant.clone();
            Move::Look(Look {
                tenant,
                kind,
                from,
                since: aside.since,
            })
        }
    };
    // A thing that turned up nowhere may be on its way: it gets its time before the second look.
    let doubted = |doubt: Instant| {
        look(
            aside
                .absent
                .map_or(doubt, |absent| absent + settings.settle),
        )
    };
    match (effect.state, effect.request.kind()) {
        (EffectState::Requested, EffectKind::Apply | EffectKind::Read | EffectKind::Drop(_)) => {
            Move::Leave(Leave::Send)
        }
        (EffectState::Requested, EffectKind::Make(_) | EffectKind::Import | EffectKind::Fill) => {
            aside.doubt.map_or(Move::Leave(Leave::Send), doubted)
        }
        (EffectState::Accepted, _) if aside.missing => Move::Leave(Leave::Confirm),
        (EffectState::Accepted | EffectState::Leaving, _) => {
            look(aside.since + settings.observe_first)
        }
        (EffectState::Dropping, _) => match (&effect.external, aside.doubt) {
            (None, None) => Move::NeverWas,
            (None, Some(doubt)) => doubted(doubt),
            (Some(_), _) if aside.held_back => look(aside.since + settings.observe_first),
            (Some(_), _) => Move::Leave(Leave::Delete),
        },
        (EffectState::Done | EffectState::Failed | EffectState::Gone, _) => Move::Rest,
    }
}

/// Moves an effect into a state.
pub(super) fn enter(effect: &mut Effect, aside: &mut Aside, state: EffectState, now: Instant) {
    effect.state = state;
    aside.entered(now);
}

/// Applies the answer to an effect's request.
pub(super) fn answered(
    effect: &mut Effect,
    aside: &mut Aside,
    answer: Result<Answer, Fault>,
    settings: &Settings,
    now: Instant,
) {
    aside.under_way = false;
    if effect.state.is_settled() {
        // It was abandoned meanwhile; nothing that it may have done has to be cleaned up.
        return;
    }
    // A planner that changed its mind while the request was under way still has to clean up.
    let dropping = effect.state == EffectState::Dropping;
    match answer {
        Ok(answer) => {
            if answer.external.is_some() {
                effect.external = answer.external;
            }
            mark_taken(effect);
            effect.fault = if dropping { effect.fault.take() } else { None };
            effect.held = None;
            if dropping {
                aside.entered(now);
                return;
            }
            effect.fact = answer.fact;
            let state = if answer.ready {
                EffectState::Done
            } else {
                EffectState::Accepted
            };
            enter(effect, aside, state, now);
        }
        Err(fault) if dropping => {
            aside.doubt = fault.may_have_happened().then_some(now);
        }
        Err(fault) => refused(effect, aside, fault, settings, now),
    }
}

fn refused(
    effect: &mut Effect,
    aside: &mut Aside,
    fault: Fault,
    settings: &Settings,
    now: Instant,
) {
    note_holder(effect, &fault);
    if effect.request.is_asked_until_done() {
        aside.doubt = None;
        aside.wait(settings, &fault, now);
        effect.fault = Some(fault);
        return;
    }
    if fault.may_have_happened() {
        mark_taken(effect);
    }
    let kind = effect.request.kind();
    let made_by_name = matches!(kind, EffectKind::Make(_) | EffectKind::Import);
    let worn_out = fault.status.is_some()
        && fault.kind == FaultKind::Unanswered
        && effect.attempt >= settings.attempts_max;
    let taken = fault.kind == FaultKind::Conflict
        && (kind == EffectKind::Import
            || kind == EffectKind::Make(ThingKind::KeyPair)
            || (made_by_name && effect.attempt > 1));
    if fault.may_have_happened() && matches!(kind, EffectKind::Apply | EffectKind::Read) && worn_out
    {
        effect.fault = Some(fault);
        return enter(effect, aside, EffectState::Failed, now);
    }
    if fault.may_have_happened() || taken {
        // Whether it is there is decided by a list, and so is what a conflict was with.
        aside.doubt = Some(now);
        aside.absent = None;
        if !taken {
            aside.wait(settings, &fault, now);
        }
        effect.fault = Some(fault);
    } else if fault.may_pass() {
        aside.doubt = None;
        aside.wait(settings, &fault, now);
        effect.fault = Some(fault);
    } else {
        effect.fault = Some(fault);
        enter(effect, aside, EffectState::Failed, now);
    }
}

/// Notes for good that a cloud took, or may have taken, a deletion: from then on what was to go may be
/// gone, whatever is answered later.
fn mark_taken(effect: &mut Effect) {
    if let Request::Drop { thing } = &effect.request {
        effect.external = Some(thing.id.clone());
    }
}

/// Keeps in the row who else uses the thing that is to go, and how often in a row that was seen: what
/// becomes of the rest of the work is decided by that.
fn note_holder(effect: &mut Effect, fault: &Fault) {
    let looks = effect.held.as_ref().map_or(0, |hold| hold.looks);
    match fault.kind {
        FaultKind::Held if effect.thing_to_go().is_some() => {
            effect.held = Some(Hold {
                by: fault.message.clone(),
                looks: looks.saturating_add(1),
            });
        }
        // It was looked at, and something else keeps it.
        FaultKind::Busy
        | FaultKind::Unfit
        | FaultKind::NotFound
        | FaultKind::Conflict
        | FaultKind::Invalid => {
            effect.held = None;
        }
        // Nobody was heard.
        FaultKind::Held
        | FaultKind::Unreachable
        | FaultKind::Unanswered
        | FaultKind::Throttled
        | FaultKind::ServiceDown
        | FaultKind::Unauthenticated
        | FaultKind::Forbidden
        | FaultKind::Quota
        | FaultKind::Broken
        | FaultKind::NoHost
        | FaultKind::Unconfigured => {}
    }
}

/// Applies the answer to a deletion.
pub(super) fn deleted(
    effect: &mut Effect,
    aside: &mut Aside,
    answer: Result<(), Fault>,
    settings: &Settings,
    now: Instant,
) {
    aside.under_way = false;
    let at_once = matches!(effect.request.kind(), EffectKind::Make(kind) if kind.goes_at_once());
    match &answer {
        Ok(()) => effect.held = None,
        Err(fault) => note_holder(effect, fault),
    }
    match answer {
        Ok(()) if at_once => enter(effect, aside, EffectState::Gone, now),
        Ok(()) => enter(effect, aside, EffectState::Leaving, now),
        // Either it is gone, or its id was never right: then its name finds it.
        Err(fault) if fault.kind == FaultKind::NotFound && at_once => {
            effect.external = None;
            aside.entered(now);
            aside.doubt = Some(now);
        }
        Err(fault) if fault.kind == FaultKind::NotFound => {
            enter(effect, aside, EffectState::Leaving, now);
        }
        Err(fault) => {
            // A thing that must go is asked to go until it does; the wait grows and people see why.
            aside.wait(settings, &fault, now);
            if fault.kind == FaultKind::Busy && !at_once {
                aside.held_back = true;
            }
            // Not into the row: its fault is why the effect failed, not why its thing stays.
            aside.obstacle = Some(fault);
        }
    }
}

/// Why something that was accepted is given up before it was ready, for whoever reads the row later.
pub(super) fn not_awaited(effect: &Effect) -> Fault {
    let status = effect.status.as_deref().unwrap_or("not to be seen");
    let doing = format!("bring {} {} to its end", effect.key, effect.name);
    let message = format!("it was still {status}");
    Fault::new(FaultKind::Busy, service_of(effect), doing, message)
}

/// What an effect waits for that its thing's status tells.
pub(super) fn waits(effect: &Effect, why: String) -> Fault {
    let doing = format!("bring {} {} to its end", effect.key, effect.name);
    Fault::new(FaultKind::Busy, service_of(effect), doing, why)
}

/// Notes that something that was asked for or accepted went wrong inside the cloud.
pub(super) fn broken(effect: &mut Effect, aside: &mut Aside, message: &str, now: Instant) {
    broken_as(effect, aside, FaultKind::Broken, message, now);
}

/// The same, where it is known what went wrong.
pub(super) fn broken_as(
    effect: &mut Effect,
    aside: &mut Aside,
    kind: FaultKind,
    message: &str,
    now: Instant,
) {
    let doing = format!("bring {} {} to its end", effect.key, effect.name);
    let fault = Fault::new(kind, service_of(effect), doing, message);
    effect.fault = Some(fault);
    enter(effect, aside, EffectState::Failed, now);
}

/// The service that an effect is watched at.
fn service_of(effect: &Effect) -> Service {
    match effect.request.watched() {
        Some(ThingKind::Server | ThingKind::KeyPair) => Service::Compute,
        Some(ThingKind::Port | ThingKind::Trunk | ThingKind::SecurityGroup) => Service::Network,
        Some(ThingKind::Image) => Service::Image,
        Some(
            ThingKind::Snapshot
            | ThingKind::Volume
            | ThingKind::VolumeBackup
            | ThingKind::GroupSnapshot,
        )
        | None => Service::BlockStorage,
    }
}
