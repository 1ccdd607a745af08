//! What to do next about one effect, and what an answer means for it; it may not know operations.

use std::time::Duration;

use tokio::time::Instant;

use super::{EngineSettings, call_gate::backoff};
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

/// What the engine remembers about an effect beside its row while it runs; lost with the process, on purpose.
#[derive(Debug, Clone)]
pub(super) struct EffectRuntime {
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

impl EffectRuntime {
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

    /// The cloud told of it, by a look that began then.
    pub(super) fn sighted(&mut self, began: Instant) {
        self.sight = Some(began);
    }

    /// Nobody looked for a while: what was seen before is history.
    pub(super) fn outlived(&mut self) {
        self.sight = None;
    }

    fn is_fresh(&self, age: Duration, decided: Option<Instant>, now: Instant) -> bool {
        let (Some(sight), Some(decided)) = (self.sight, decided) else {
            return false;
        };
        sight >= decided && now.saturating_duration_since(sight) <= age
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

    fn wait(&mut self, settings: &EngineSettings, fault: &Fault, now: Instant) {
        self.failures += 1;
        let wait = backoff(settings.retry_first, settings.retry_max, self.failures);
        let asked = Duration::from_secs(fault.retry_after.unwrap_or(0).into());
        self.not_before = Some(now + wait.max(asked));
    }
}

/// Whether the cloud has to be asked what became of it before anything is destroyed on its account: what
/// was asked for may be there, or may have come to its end. Only a look that began after it was `decided` to
/// destroy tells, and one that is no older than `age`.
pub(super) fn is_unseen(
    effect: &Effect,
    runtime: &EffectRuntime,
    age: Duration,
    decided: Option<Instant>,
    now: Instant,
) -> bool {
    match effect.request.kind() {
        EffectKind::Apply | EffectKind::Read | EffectKind::Drop(_) => false,
        EffectKind::Make(_) | EffectKind::Import | EffectKind::RestoreInto => match effect.state {
            EffectState::Requested => runtime.doubt.is_some(),
            EffectState::Accepted => !runtime.is_fresh(age, decided, now),
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
pub(super) enum NextStep {
    /// Nothing, until something happens.
    Wait,
    /// Nothing before this.
    Later(Instant),
    /// A call leaves.
    Call(Outbound),
    /// It was never asked for, so there is nothing to delete.
    NeverWas,
    /// See it in a list that starts no earlier than this.
    List(ListWanted),
}

/// A call about an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outbound {
    /// Send its request.
    Send,
    /// Send the deletion of its thing.
    Delete,
    /// Ask for its thing by id.
    Confirm,
}

/// A list that somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListWanted {
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
pub(super) fn next_step(
    effect: &Effect,
    runtime: &EffectRuntime,
    settings: &EngineSettings,
    now: Instant,
) -> NextStep {
    if effect.state.is_settled() || runtime.under_way {
        return NextStep::Wait;
    }
    if let Some(later) = runtime.not_before.filter(|later| *later > now) {
        return NextStep::Later(later);
    }
    let list = |from: Instant| match effect.request.watched() {
        None => NextStep::Wait,
        Some(kind) => {
            let tenant = effect.tenant.clone();
            NextStep::List(ListWanted {
                tenant,
                kind,
                from,
                since: runtime.since,
            })
        }
    };
    // A thing that turned up nowhere may be on its way: it gets its time before the second look.
    let doubted = |doubt: Instant| {
        list(
            runtime
                .absent
                .map_or(doubt, |absent| absent + settings.settle),
        )
    };
    match (effect.state, effect.request.kind()) {
        (EffectState::Requested, EffectKind::Apply | EffectKind::Read | EffectKind::Drop(_)) => {
            NextStep::Call(Outbound::Send)
        }
        (
            EffectState::Requested,
            EffectKind::Make(_) | EffectKind::Import | EffectKind::RestoreInto,
        ) => runtime
            .doubt
            .map_or(NextStep::Call(Outbound::Send), doubted),
        (EffectState::Accepted, _) if runtime.missing => NextStep::Call(Outbound::Confirm),
        (EffectState::Accepted | EffectState::Leaving, _) => {
            list(runtime.since + settings.observe_first)
        }
        (EffectState::Dropping, _) => match (&effect.cloud_id, runtime.doubt) {
            (None, None) => NextStep::NeverWas,
            (None, Some(doubt)) => doubted(doubt),
            (Some(_), _) if runtime.held_back => list(runtime.since + settings.observe_first),
            (Some(_), _) => NextStep::Call(Outbound::Delete),
        },
        (EffectState::Done | EffectState::Failed | EffectState::Gone, _) => NextStep::Wait,
    }
}

/// Moves an effect into a state.
pub(super) fn enter(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    state: EffectState,
    now: Instant,
) {
    effect.state = state;
    runtime.entered(now);
}

/// Applies the answer to an effect's request.
pub(super) fn answered(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    answer: Result<Answer, Fault>,
    settings: &EngineSettings,
    now: Instant,
) {
    runtime.under_way = false;
    if effect.state.is_settled() {
        // It was abandoned meanwhile; nothing that it may have done has to be cleaned up.
        return;
    }
    // A planner that changed its mind while the request was under way still has to clean up.
    let dropping = effect.state == EffectState::Dropping;
    match answer {
        Ok(answer) => {
            if answer.cloud_id.is_some() {
                effect.cloud_id = answer.cloud_id;
            }
            mark_taken(effect);
            effect.fault = if dropping { effect.fault.take() } else { None };
            effect.held = None;
            if dropping {
                runtime.entered(now);
                return;
            }
            effect.fact = answer.fact;
            let state = if answer.ready {
                EffectState::Done
            } else {
                EffectState::Accepted
            };
            enter(effect, runtime, state, now);
        }
        Err(fault) if dropping => {
            runtime.doubt = fault.may_have_happened().then_some(now);
        }
        Err(fault) => refused(effect, runtime, fault, settings, now),
    }
}

fn refused(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    fault: Fault,
    settings: &EngineSettings,
    now: Instant,
) {
    note_holder(effect, &fault);
    if effect.request.is_asked_until_done() {
        runtime.doubt = None;
        runtime.wait(settings, &fault, now);
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
        return enter(effect, runtime, EffectState::Failed, now);
    }
    if fault.may_have_happened() || taken {
        // Whether it is there is decided by a list, and so is what a conflict was with.
        runtime.doubt = Some(now);
        runtime.absent = None;
        if !taken {
            runtime.wait(settings, &fault, now);
        }
        effect.fault = Some(fault);
    } else if fault.may_pass() {
        runtime.doubt = None;
        runtime.wait(settings, &fault, now);
        effect.fault = Some(fault);
    } else {
        effect.fault = Some(fault);
        enter(effect, runtime, EffectState::Failed, now);
    }
}

/// Notes for good that a cloud took, or may have taken, a deletion: from then on what was to go may be
/// gone, whatever is answered later.
fn mark_taken(effect: &mut Effect) {
    if let Request::Drop { thing } = &effect.request {
        effect.cloud_id = Some(thing.id.clone());
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
    runtime: &mut EffectRuntime,
    answer: Result<(), Fault>,
    settings: &EngineSettings,
    now: Instant,
) {
    runtime.under_way = false;
    let at_once = matches!(effect.request.kind(), EffectKind::Make(kind) if kind.goes_at_once());
    match &answer {
        Ok(()) => effect.held = None,
        Err(fault) => note_holder(effect, fault),
    }
    match answer {
        Ok(()) if at_once => enter(effect, runtime, EffectState::Gone, now),
        Ok(()) => enter(effect, runtime, EffectState::Leaving, now),
        // Either it is gone, or its id was never right: then its name finds it.
        Err(fault) if fault.kind == FaultKind::NotFound && at_once => {
            effect.cloud_id = None;
            runtime.entered(now);
            runtime.doubt = Some(now);
        }
        Err(fault) if fault.kind == FaultKind::NotFound => {
            enter(effect, runtime, EffectState::Leaving, now);
        }
        Err(fault) => {
            // A thing that must go is asked to go until it does; the wait grows and people see why.
            runtime.wait(settings, &fault, now);
            if fault.kind == FaultKind::Busy && !at_once {
                runtime.held_back = true;
            }
            // Not into the row: its fault is why the effect failed, not why its thing stays.
            runtime.obstacle = Some(fault);
        }
    }
}

/// Why something that was accepted is given up before it was ready, for whoever reads the row later.
pub(super) fn not_awaited(effect: &Effect) -> Fault {
    let status = effect.status.as_deref().unwrap_or("not to be seen");
    let action = format!("bring {} {} to its end", effect.key, effect.name);
    let message = format!("it was still {status}");
    Fault::new(FaultKind::Busy, service_of(effect), action, message)
}

/// What an effect waits for that its thing's status tells.
pub(super) fn waits(effect: &Effect, why: String) -> Fault {
    let action = format!("bring {} {} to its end", effect.key, effect.name);
    Fault::new(FaultKind::Busy, service_of(effect), action, why)
}

/// Notes that something that was asked for or accepted went wrong inside the cloud.
pub(super) fn broken(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    message: &str,
    now: Instant,
) {
    broken_as(effect, runtime, FaultKind::Broken, message, now);
}

/// The same, where it is known what went wrong.
pub(super) fn broken_as(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    kind: FaultKind,
    message: &str,
    now: Instant,
) {
    let action = format!("bring {} {} to its end", effect.key, effect.name);
    let fault = Fault::new(kind, service_of(effect), action, message);
    effect.fault = Some(fault);
    enter(effect, runtime, EffectState::Failed, now);
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
