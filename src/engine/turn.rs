//! One operation in memory: what happened to it, what its planner says, what has to be written; it
//! may not know lanes or calls.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    EngineSettings, Planner,
    act::{self, EffectRuntime, ListWanted, NextStep, Outbound},
    call_gate::backoff,
    phases::Phases,
};
use crate::{
    domain::{
        decision::{self, Decision, Detail, Ending, Report},
        effect::{Effect, EffectKind, EffectState},
        fault::Fault,
        id::{EffectKey, Tenant},
        ledger::Ledger,
        lifecycle::{State, Transition},
        operation::Operation,
        sighting::{Thing, ThingKind},
        time::Timestamp,
    },
    port::journal::{OpenOperation, ResourceUpdate, Turn},
};

/// An open operation of a lane, in memory.
#[derive(Debug)]
pub(super) struct ActiveOperation {
    pub(super) operation: Operation,
    ledger: Ledger,
    runtimes: HashMap<EffectKey, EffectRuntime>,
    /// Rows that differ from the store.
    changed: BTreeSet<EffectKey>,
    /// The planner has to be asked again.
    stale: bool,
    /// What the resource told last.
    told: Option<(State, Report)>,
    /// When it last got on by anything.
    moved: Option<Timestamp>,
    pub(super) phases: Phases,
    detail: Option<Detail>,
    update: Option<ResourceUpdate>,
    /// When the planner is asked again although nothing has happened.
    again: Option<Timestamp>,
    /// What was to be done when it was last asked, where that was only to wait; until something happens
    /// to it, that is the answer.
    wait_plan: Option<WaitPlan>,
    /// Its planner panicked, so often in a row; nothing is done for it until the wait is over.
    standstill: Option<(u32, WaitPlan)>,
    ending: Ending,
    /// How long nobody worked at it differs from the store.
    idled: bool,
    /// Since when its planner would give up, if it would: no request leaves, and what was asked for before is
    /// looked at first.
    decided: Option<Instant>,
}

/// What an operation waits for when nothing is to be done about it.
#[derive(Debug, Clone, Default)]
pub(super) struct WaitPlan {
    /// When it is asked again at the latest, if ever.
    pub(super) until: Option<Instant>,
    /// The lists that it wants to see, none of which another one of them makes needless.
    pub(super) lists: Vec<ListWanted>,
}

impl WaitPlan {
    fn wants(&mut self, list: ListWanted) {
        let covers = |one: &ListWanted, other: &ListWanted| {
            (one.kind, &one.tenant) == (other.kind, &other.tenant)
                && one.from <= other.from
                && one.since >= other.since
        };
        if !self.lists.iter().any(|one| covers(one, &list)) {
            self.lists.retain(|one| !covers(&list, one));
            self.lists.push(list);
        }
    }

    fn wakes(&mut self, at: Instant) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }
}

impl ActiveOperation {
    /// An operation as it was loaded: whatever was asked may have left and worked.
    pub(super) fn load(mut open: OpenOperation, time: Timestamp, now: Instant) -> Self {
        undecided(&mut open.ledger);
        let runtimes = open
            .ledger
            .iter()
            .map(|effect| (effect.key.clone(), EffectRuntime::doubtful(now)))
            .collect();
        let operation = Operation {
            attended: time,
            ..open.operation
        };
        Self {
            operation,
            ledger: open.ledger,
            runtimes,
            changed: BTreeSet::new(),
            stale: true,
            told: None,
            moved: None,
            phases: Phases::default(),
            detail: open.detail,
            update: None,
            again: None,
            wait_plan: None,
            standstill: None,
            ending: Ending::Open,
            idled: false,
            decided: None,
        }
    }

    /// Nobody looked and nothing was done for so long, because the machine stood still or its clock jumped.
    pub(super) fn stood_still(&mut self, gap: Duration, time: Timestamp) {
        self.operation.idle = self.operation.idle.saturating_add(gap);
        self.operation.attended = time;
        self.idled = true;
        self.stale = true;
        self.wait_plan = None;
        self.runtimes.values_mut().for_each(EffectRuntime::outlived);
    }

    /// A caller cancelled it.
    pub(super) fn cancel(&mut self, cancelled: Option<Timestamp>, keeps_volumes: bool) {
        if self.operation.cancelled != cancelled {
            self.operation.cancelled = cancelled;
            self.operation.cancel_keeps_volumes = keeps_volumes;
            self.stale = true;
            self.wait_plan = None;
        }
    }

    /// Lets `change` work on one effect; a row that differs afterwards is written, and planned for.
    pub(super) fn change<T>(
        &mut self,
        key: &EffectKey,
        time: Timestamp,
        change: impl FnOnce(&mut Effect, &mut EffectRuntime) -> T,
    ) -> Option<T> {
        let mut effect = self.ledger.get(key)?.clone();
        let runtime = self.runtimes.get_mut(key)?;
        let waited = runtime.obstacle.is_some();
        self.wait_plan = None;
        let answer = change(&mut effect, runtime);
        let before = self
            .ledger
            .get(key)
            .and_then(|before| before.fault.as_ref());
        effect.fault = effect.fault.map(|fault| fault.met(time, before));
        self.stale |= waited != runtime.obstacle.is_some();
        // Whoever gives up may have waited for this look.
        self.stale |= self.ledger.unseen().contains(key);
        if self.ledger.get(key) != Some(&effect) {
            effect.changed = time;
            self.changed.insert(key.clone());
            self.stale = true;
            self.ledger.put(effect);
        }
        Some(answer)
    }

    /// The keys of all effects on which something may still happen.
    fn open_effects(&self) -> Vec<EffectKey> {
        self.open_of(|_| true)
    }

    /// The keys of those that wait for a list.
    pub(super) fn watched(&self, tenant: &Tenant, kind: ThingKind) -> Vec<EffectKey> {
        self.open_of(|effect| effect.request.watched() == Some(kind) && effect.tenant == *tenant)
    }

    fn open_of(&self, wanted: impl Fn(&Effect) -> bool) -> Vec<EffectKey> {
        let all = self.ledger.iter();
        let open = all.filter(|effect| !effect.state.is_settled() && wanted(effect));
        open.map(|effect| effect.key.clone()).collect()
    }

    /// The effect of that key.
    pub(super) fn effect(&self, key: &EffectKey) -> Option<&Effect> {
        self.ledger.get(key)
    }

    /// The things of this operation that go together or went before: what one of them uses is used by
    /// nobody else. Not among these is what stays because somebody else uses it; whatever it needs stays
    /// with it.
    pub(super) fn ours(&self) -> Vec<Thing> {
        let asked = self.operation.ask.things().iter().cloned();
        let made = self.ledger.iter().filter_map(Effect::thing_to_go);
        let held = self.ledger.iter().filter(|effect| effect.held.is_some());
        let stay: Vec<Thing> = held.filter_map(Effect::thing_to_go).collect();
        let all: BTreeSet<Thing> = asked.chain(made).collect();
        all.into_iter()
            .filter(|thing| !stay.contains(thing))
            .collect()
    }

    /// Asks the planner until it has nothing new to say. One that panics is asked again after a pause, in
    /// which nothing is done for the operation: what it would have wished for nobody knows. Answers what it
    /// panicked with.
    pub(super) fn plan(
        &mut self,
        planner: &Planner,
        settings: &EngineSettings,
        time: Timestamp,
        now: Instant,
    ) -> Result<(), String> {
        if self.stands_still(now).is_some() {
            return Ok(());
        }
        let late = self.again.is_some_and(|again| time >= again);
        // Each round settles at least one effect or ends the loop, so the ledger bounds it.
        while (self.stale || late) && self.ending == Ending::Open {
            self.stale = false;
            self.wait_plan = None;
            self.ledger.set_unseen(self.unseen(settings, now));
            let asked = decision::ask(planner, &self.operation, &self.ledger, time);
            let decision = match asked {
                Ok(decision) => decision,
                Err(panic) => {
                    self.stand_still(settings, now);
                    return Err(panic);
                }
            };
            self.standstill = None;
            self.apply(decision, time, now);
            if !self.stale {
                break;
            }
        }
        Ok(())
    }

    fn stand_still(&mut self, settings: &EngineSettings, now: Instant) {
        let panics = self.standstill.take().map_or(0, |(panics, _)| panics) + 1;
        let pause = backoff(settings.retry_first, settings.retry_max, panics);
        let wait_plan = WaitPlan {
            until: Some(now + pause),
            lists: Vec::new(),
        };
        self.standstill = Some((panics, wait_plan));
        self.stale = true;
        // What it told last is not what its resource says from now on.
        self.told = None;
    }

    /// Whether its planner panicked when it was asked last.
    pub(super) fn has_stood_still(&self) -> bool {
        self.standstill.is_some()
    }

    /// Until when nothing is done for it, where that is so.
    pub(super) fn stands_still(&self, now: Instant) -> Option<&WaitPlan> {
        let (_, wait_plan) = self.standstill.as_ref()?;
        Some(wait_plan).filter(|wait_plan| wait_plan.until.is_some_and(|until| now < until))
    }

    /// The effects whose rows are history.
    fn unseen(&self, settings: &EngineSettings, now: Instant) -> BTreeSet<EffectKey> {
        let unseen = self.ledger.iter().filter(|effect| {
            self.runtimes.get(&effect.key).is_some_and(|runtime| {
                act::is_unseen(effect, runtime, settings.sight_age, self.decided, now)
            })
        });
        unseen.map(|effect| effect.key.clone()).collect()
    }

    fn apply(&mut self, decision: Decision, time: Timestamp, now: Instant) {
        let Decision {
            wishes,
            drops,
            retries,
            looks_only,
            report,
            again,
            ending,
        } = decision;
        for wish in wishes {
            let effect = Effect {
                ordinal: self.ledger.next_ordinal(),
                name: self.operation.name_of(&wish.key),
                key: wish.key.clone(),
                tenant: wish.tenant,
                request: wish.request,
                disposal: wish.disposal,
                state: EffectState::Requested,
                cloud_id: None,
                status: None,
                fact: None,
                fault: None,
                held: None,
                attempt: 0,
                changed: time,
            };
            self.ledger.put(effect);
            self.runtimes
                .insert(wish.key.clone(), EffectRuntime::fresh(now));
            self.changed.insert(wish.key);
        }
        for key in retries {
            self.change(&key, time, |effect, runtime| {
                // What was refused did nothing, so it leaves like the first time; why it was refused stays
                // to be read until there is another answer.
                if effect.state == EffectState::Failed {
                    act::enter(effect, runtime, EffectState::Requested, now);
                }
            });
        }
        for key in drops {
            self.change(&key, time, |effect, runtime| {
                if matches!(effect.state, EffectState::Requested | EffectState::Accepted)
                    && effect.fault.is_none()
                {
                    effect.fault = Some(act::not_awaited(effect));
                }
                // Only what is made can be dropped; anything else is abandoned, an imported record
                // above all: deleting it would delete the bytes of the original.
                if !matches!(effect.request.kind(), EffectKind::Make(_)) {
                    return act::enter(effect, runtime, EffectState::Gone, now);
                }
                // Whether the request left is still as doubtful as it was, and a request that is
                // under way is waited for: its answer tells what there is to delete.
                let (doubt, under_way) = (runtime.doubt, runtime.under_way);
                let requested = effect.state == EffectState::Requested;
                act::enter(effect, runtime, EffectState::Dropping, now);
                runtime.doubt = doubt.filter(|_| requested);
                runtime.under_way = under_way;
            });
            let never_was = |effect: &Effect, runtime: &EffectRuntime| {
                effect.state == EffectState::Dropping
                    && effect.cloud_id.is_none()
                    && runtime.doubt.is_none()
                    && !runtime.under_way
            };
            let settles = match (self.ledger.get(&key), self.runtimes.get(&key)) {
                (Some(effect), Some(runtime)) => never_was(effect, runtime),
                _ => false,
            };
            if settles {
                self.change(&key, time, |effect, runtime| {
                    act::enter(effect, runtime, EffectState::Gone, now);
                });
            }
        }
        self.ending = ending;
        self.decided = looks_only.then(|| self.decided.unwrap_or(now));
        self.again = again;
        self.tell(report, time);
    }

    /// Notes what the resource tells from now on, where that differs from what it told last.
    fn tell(&mut self, mut report: Report, time: Timestamp) {
        let begun = self.operation.resource_state.after(Transition::Begin);
        let state = match (&self.ending, begun) {
            (Ending::Open, Some(state)) => Some(state),
            (Ending::Done, Some(state)) => state.after(Transition::Succeed),
            (Ending::Erred(_), Some(state)) => state.after(Transition::Fail),
            (_, None) => None,
        };
        let Some(state) = state else {
            tracing::error!(operation = %self.operation.id, state = self.operation.resource_state.name(),
                "the resource is in a state in which nothing can happen to it");
            return;
        };
        self.phases.enter(&report.progress.phase, time);
        let detail_changed = report.detail.is_some() && report.detail != self.detail;
        report.progress.waiting = self.waiting().map(ToString::to_string);
        let same = self.told.as_ref().is_some_and(|(old, told)| {
            *old == state
                && told.runtime_state == report.runtime_state
                && told.progress == report.progress
        });
        if same && !detail_changed && self.ending == Ending::Open {
            return;
        }
        let moved = self
            .told
            .as_ref()
            .is_none_or(|(_, told)| !told.progress.is_as_far_as(&report.progress));
        if moved {
            self.moved = Some(time);
        }
        self.told = Some((
            state,
            Report {
                detail: None,
                ..report.clone()
            },
        ));
        if detail_changed {
            self.detail.clone_from(&report.detail);
        }
        report.progress.changed = self.moved;
        let pending = self.update.take();
        let detail_changed = detail_changed || pending.is_some_and(|update| update.detail_changed);
        self.update = Some(ResourceUpdate {
            state,
            report,
            detail_changed,
            time,
        });
    }

    /// Why nothing moves: the first thing that an open effect waits for.
    fn waiting(&self) -> Option<&Fault> {
        self.ledger
            .iter()
            .filter(|effect| !effect.state.is_settled())
            .find_map(|effect| {
                let obstacle = self
                    .runtimes
                    .get(&effect.key)
                    .and_then(|runtime| runtime.obstacle.as_ref());
                obstacle.or(effect.fault.as_ref().filter(|fault| fault.may_pass()))
            })
    }

    /// Notes a fault on everything that a list was to serve, so that people see why they wait.
    pub(super) fn obstruct(&mut self, fault: &Fault, waits: impl Fn(&Effect) -> bool) {
        for effect in self
            .ledger
            .iter()
            .filter(|effect| !effect.state.is_settled())
        {
            if waits(effect)
                && let Some(runtime) = self.runtimes.get_mut(&effect.key)
            {
                self.stale |= runtime.is_held_up_by(fault);
                self.wait_plan = None;
            }
        }
    }

    /// What is still known to be all there is to do, which is to wait.
    pub(super) fn wait_plan(&self, now: Instant) -> Option<&WaitPlan> {
        let wait_plan = self.wait_plan.as_ref();
        let wait_plan = wait_plan
            .filter(|wait_plan| !self.stale && wait_plan.until.is_none_or(|until| now < until));
        self.stands_still(now).or(wait_plan)
    }

    /// What to do next about every open effect, and what to wait for. A request that will be sent is
    /// counted in its row first, so that the row is written before the request leaves. One that must not
    /// leave now, for the fault that `refuses` names, waits for that.
    pub(super) fn next_calls(
        &mut self,
        settings: &EngineSettings,
        time: Timestamp,
        now: Instant,
        mut refuses: impl FnMut(&Effect) -> Option<Fault>,
    ) -> (Vec<(EffectKey, Outbound)>, WaitPlan) {
        let (mut calls, mut wait_plan) = (Vec::new(), WaitPlan::default());
        if self.ending != Ending::Open {
            return (calls, wait_plan);
        }
        let mut only_waits = true;
        for key in self.open_effects() {
            let (Some(effect), Some(runtime)) = (self.ledger.get(&key), self.runtimes.get(&key))
            else {
                continue;
            };
            let outbound = match act::next_step(effect, runtime, settings, now) {
                NextStep::Wait => continue,
                NextStep::Later(later) => {
                    wait_plan.wakes(later);
                    continue;
                }
                NextStep::List(mut list) => {
                    if let Some(decided) = self.decided {
                        list.from = list.from.max(decided);
                        // Whoever decides waits for nothing but this look.
                        list.since = list.since.max(decided);
                    }
                    wait_plan.wants(list);
                    continue;
                }
                NextStep::NeverWas => {
                    only_waits = false;
                    self.change(&key, time, |effect, runtime| {
                        act::enter(effect, runtime, EffectState::Gone, now);
                    });
                    continue;
                }
                NextStep::Call(Outbound::Send) if self.decided.is_some() => continue,
                NextStep::Call(outbound) => outbound,
            };
            only_waits = false;
            let obstacle = refuses(effect);
            let Some(runtime) = self.runtimes.get_mut(&key) else {
                continue;
            };
            if let Some(fault) = obstacle {
                let news = runtime.is_held_up_by(&fault);
                self.stale |= news;
                // A planner may have to know that nothing is heard, also where others were told so.
                let reads = effect.request.kind() == EffectKind::Read;
                if news && reads && effect.fault.is_none() {
                    self.change(&key, time, |effect, _| effect.fault = Some(fault));
                }
                continue;
            }
            runtime.under_way = true;
            if outbound == Outbound::Send
                && let Some(mut effect) = self.ledger.get(&key).cloned()
            {
                effect.attempt += 1;
                effect.changed = time;
                self.changed.insert(key.clone());
                self.ledger.put(effect);
            }
            calls.push((key, outbound));
        }
        self.wait_plan = only_waits.then(|| wait_plan.clone());
        (calls, wait_plan)
    }

    /// When the planner is asked at the latest, if ever.
    pub(super) fn again(&self) -> Option<Timestamp> {
        self.again
    }

    /// Whether the planner has to be asked again.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ending != Ending::Open
    }

    /// What has to be written, if anything.
    pub(super) fn take_turn(&mut self) -> Option<Turn> {
        let update = self.update.take();
        if self.changed.is_empty() && update.is_none() && !self.idled {
            return None;
        }
        if let Some(update) = &update {
            self.operation.resource_state = update.state;
        }
        let changed = std::mem::take(&mut self.changed);
        let effects = changed
            .iter()
            .filter_map(|key| self.ledger.get(key).cloned())
            .collect();
        Some(Turn {
            operation: self.operation.id,
            resource: self.operation.resource,
            effects,
            update,
            idle: std::mem::take(&mut self.idled).then_some(self.operation.idle),
            ending: self.ending.clone(),
        })
    }
}

/// A server that was to go is looked at and decided upon anew: what spoke against it may have been mended while
/// nobody worked here, or what it was waited for has come. Where its deletion was asked for already, the look
/// tells that it is gone.
pub(super) fn undecided(ledger: &mut Ledger) {
    let to_go = |effect: &&Effect| {
        effect.state == EffectState::Dropping
            && effect.cloud_id.is_some()
            && effect.request.kind() == EffectKind::Make(ThingKind::Server)
    };
    let undone: Vec<Effect> = ledger.iter().filter(to_go).cloned().collect();
    for effect in undone {
        ledger.put(Effect {
            state: EffectState::Accepted,
            fault: None,
            ..effect
        });
    }
}
