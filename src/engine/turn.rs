//! One operation in memory: what happened to it, what its planner says, what has to be written; it
//! may not know lanes or calls.

use std::{
    any::Any,
    collections::{BTreeSet, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Planner, Settings,
    act::{self, Aside, Leave, Look, Move},
    pace::backoff,
};
use crate::{
    domain::{
        decision::{Decision, Detail, Ending, Report},
        effect::{Effect, EffectKind, EffectState},
        fault::Fault,
        id::{EffectKey, Tenant},
        ledger::Ledger,
        lifecycle::{State, Transition},
        operation::Operation,
        sighting::{Thing, ThingKind},
        time::Timestamp,
    },
    port::store::{News, OpenOperation, Turn},
};

/// An operation in memory.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) operation: Operation,
    ledger: Ledger,
    asides: HashMap<EffectKey, Aside>,
    /// Rows that differ from the store.
    changed: BTreeSet<EffectKey>,
    /// The planner has to be asked again.
    stale: bool,
    /// What the resource told last.
    told: Option<(State, Report)>,
    /// When it last got on by anything.
    moved: Option<Timestamp>,
    detail: Option<Detail>,
    news: Option<News>,
    /// When the planner is asked again although nothing has happened.
    again: Option<Timestamp>,
    /// What was to be done when it was last asked, where that was only to wait; until something happens
    /// to it, that is the answer.
    rest: Option<Rest>,
    /// Its planner panicked, so often in a row; nothing is done for it until the rest is over.
    standstill: Option<(u32, Rest)>,
    ending: Ending,
    /// How long nobody worked at it differs from the store.
    idled: bool,
    /// No request leaves: what was asked for before is looked at first.
    looks_only: bool,
}

/// What an operation waits for when nothing is to be done about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rest {
    /// When it is asked again at the latest, if ever.
    pub(super) until: Option<Instant>,
    /// The lists that it wants to see, none of which another one of them makes needless.
    pub(super) looks: Vec<Look>,
}

impl Rest {
    fn wants(&mut self, look: Look) {
        let covers = |one: &Look, other: &Look| {
            (one.kind, &one.tenant) == (other.kind, &other.tenant)
                && one.from <= other.from
                && one.since >= other.since
        };
        if !self.looks.iter().any(|one| covers(one, &look)) {
            self.looks.retain(|one| !covers(&look, one));
            self.looks.push(look);
        }
    }

    fn wakes(&mut self, at: Instant) {
        self.until = Some(self.until.map_or(at, |until| until.min(at)));
    }
}

impl Held {
    /// An operation as it was loaded: whatever was asked may have left and worked.
    pub(super) fn load(open: OpenOperation, time: Timestamp, now: Instant) -> Self {
        let asides = open
            .ledger
            .iter()
            .map(|effect| (effect.key.clone(), Aside::doubtful(now)))
            .collect();
        let operation = Operation {
            attended: time,
            ..open.operation
        };
        Self {
            operation,
            ledger: open.ledger,
            asides,
            changed: BTreeSet::new(),
            stale: true,
            told: None,
            moved: None,
            detail: open.detail,
            news: None,
            again: None,
            rest: None,
            standstill: None,
            ending: Ending::Open,
            idled: false,
            looks_only: false,
        }
    }

    /// Nobody looked and nothing was done for so long, because the machine stood still or its clock jumped.
    pub(super) fn stood_still(&mut self, gap: Duration, time: Timestamp) {
        self.operation.idle = self.operation.idle.saturating_add(gap);
        self.operation.attended = time;
        self.idled = true;
        self.stale = true;
        self.rest = None;
        self.asides.values_mut().for_each(Aside::outlived);
    }

    /// A caller cancelled it.
    pub(super) fn cancel(&mut self, cancelled: Option<Timestamp>, keeps_volumes: bool) {
        if self.operation.cancelled != cancelled {
            self.operation.cancelled = cancelled;
            self.operation.cancel_keeps_volumes = keeps_volumes;
            self.stale = true;
            self.rest = None;
        }
    }

    /// Lets `change` work on one effect; a row that differs afterwards is written, and planned for.
    pub(super) fn change<T>(
        &mut self,
        key: &EffectKey,
        time: Timestamp,
        change: impl FnOnce(&mut Effect, &mut Aside) -> T,
    ) -> Option<T> {
        let mut effect = self.ledger.get(key)?.clone();
        let aside = self.asides.get_mut(key)?;
        let waited = aside.obstacle.is_some();
        self.rest = None;
        let answer = change(&mut effect, aside);
        let before = self
            .ledger
            .get(key)
            .and_then(|before| before.fault.as_ref());
        effect.fault = effect.fault.map(|fault| fault.met(time, before));
        self.stale |= waited != aside.obstacle.is_some();
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
        settings: &Settings,
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
            self.rest = None;
            self.ledger.set_unseen(self.unseen(settings, now));
            // A planner only reads, so there is nothing that a panic could leave half done.
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                planner(&self.operation, &self.ledger, time)
            }));
            let decision = match outcome {
                Ok(decision) => decision,
                Err(panic) => {
                    self.stand_still(settings, now);
                    return Err(words_of(panic.as_ref()));
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

    fn stand_still(&mut self, settings: &Settings, now: Instant) {
        let panics = self.standstill.take().map_or(0, |(panics, _)| panics) + 1;
        let pause = backoff(settings.retry_first, settings.retry_max, panics);
        let rest = Rest {
            until: Some(now + pause),
            looks: Vec::new(),
        };
        self.standstill = Some((panics, rest));
        self.stale = true;
        // What it told last is not what its resource says from now on.
        self.told = None;
    }

    /// Whether its planner panicked when it was asked last.
    pub(super) fn has_stood_still(&self) -> bool {
        self.standstill.is_some()
    }

    /// Until when nothing is done for it, where that is so.
    pub(super) fn stands_still(&self, now: Instant) -> Option<&Rest> {
        let (_, rest) = self.standstill.as_ref()?;
        Some(rest).filter(|rest| rest.until.is_some_and(|until| now < until))
    }

    /// The effects whose rows are history.
    fn unseen(&self, settings: &Settings, now: Instant) -> BTreeSet<EffectKey> {
        let unseen = self.ledger.iter().filter(|effect| {
            self.asides
                .get(&effect.key)
                .is_some_and(|aside| act::is_unseen(effect, aside, settings.sight_age, now))
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
                external: None,
                status: None,
                fact: None,
                fault: None,
                held: None,
                attempt: 0,
                changed: time,
            };
            self.ledger.put(effect);
            self.asides.insert(wish.key.clone(), Aside::fresh(now));
            self.changed.insert(wish.key);
        }
        for key in retries {
            self.change(&key, time, |effect, aside| {
                // What was refused did nothing, so it leaves like the first time; why it was refused stays
                // to be read until there is another answer.
                if effect.state == EffectState::Failed {
                    act::enter(effect, aside, EffectState::Requested, now);
                }
            });
        }
        for key in drops {
            self.change(&key, time, |effect, aside| {
                if matches!(effect.state, EffectState::Requested | EffectState::Accepted)
                    && effect.fault.is_none()
                {
                    effect.fault = Some(act::not_awaited(effect));
                }
                // Only what is made can be dropped; anything else is abandoned, an imported record
                // above all: deleting it would delete the bytes of the original.
                if !matches!(effect.request.kind(), EffectKind::Make(_)) {
                    return act::enter(effect, aside, EffectState::Gone, now);
                }
                // Whether the request left is still as doubtful as it was, and a request that is
                // under way is waited for: its answer tells what there is to delete.
                let (doubt, under_way) = (aside.doubt, aside.under_way);
                let requested = effect.state == EffectState::Requested;
                act::enter(effect, aside, EffectState::Dropping, now);
                aside.doubt = doubt.filter(|_| requested);
                aside.under_way = under_way;
            });
            let never_was = |effect: &Effect, aside: &Aside| {
                effect.state == EffectState::Dropping
                    && effect.external.is_none()
                    && aside.doubt.is_none()
                    && !aside.under_way
            };
            let settles = match (self.ledger.get(&key), self.asides.get(&key)) {
                (Some(effect), Some(aside)) => never_was(effect, aside),
                _ => false,
            };
            if settles {
                self.change(&key, time, |effect, aside| {
                    act::enter(effect, aside, EffectState::Gone, now);
                });
            }
        }
        self.ending = ending;
        self.looks_only = looks_only;
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
        let pending = self.news.take();
        let detail_changed = detail_changed || pending.is_some_and(|news| news.detail_changed);
        self.news = Some(News {
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
                    .asides
                    .get(&effect.key)
                    .and_then(|aside| aside.obstacle.as_ref());
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
                && let Some(aside) = self.asides.get_mut(&effect.key)
            {
                self.stale |= aside.is_held_up_by(fault);
                self.rest = None;
            }
        }
    }

    /// What is still known to be all there is to do, which is to wait.
    pub(super) fn rest(&self, now: Instant) -> Option<&Rest> {
        let rest = self.rest.as_ref();
        let rest = rest.filter(|rest| !self.stale && rest.until.is_none_or(|until| now < until));
        self.stands_still(now).or(rest)
    }

    /// What to do next about every open effect, and what to wait for. A request that will be sent is
    /// counted in its row first, so that the row is written before the request leaves. One that must not
    /// leave now, for the fault that `refuses` names, waits for that.
    pub(super) fn moves(
        &mut self,
        settings: &Settings,
        time: Timestamp,
        now: Instant,
        mut refuses: impl FnMut(&Effect) -> Option<Fault>,
    ) -> (Vec<(EffectKey, Leave)>, Rest) {
        let (mut leaves, mut rest) = (Vec::new(), Rest::default());
        if self.ending != Ending::Open {
            return (leaves, rest);
        }
        let mut at_rest = true;
        for key in self.open_effects() {
            let (Some(effect), Some(aside)) = (self.ledger.get(&key), self.asides.get(&key)) else {
                continue;
            };
            let leave = match act::next_move(effect, aside, settings, now) {
                Move::Rest => continue,
                Move::Later(later) => {
                    rest.wakes(later);
                    continue;
                }
                Move::Look(look) => {
                    rest.wants(look);
                    continue;
                }
                Move::NeverWas => {
                    at_rest = false;
                    self.change(&key, time, |effect, aside| {
                        act::enter(effect, aside, EffectState::Gone, now);
                    });
                    continue;
                }
                Move::Leave(Leave::Send) if self.looks_only => continue,
                Move::Leave(leave) => leave,
            };
            at_rest = false;
            let obstacle = refuses(effect);
            let Some(aside) = self.asides.get_mut(&key) else {
                continue;
            };
            if let Some(fault) = obstacle {
                let news = aside.is_held_up_by(&fault);
                self.stale |= news;
                // A planner may have to know that nothing is heard, also where others were told so.
                let reads = effect.request.kind() == EffectKind::Read;
                if news && reads && effect.fault.is_none() {
                    self.change(&key, time, |effect, _| effect.fault = Some(fault));
                }
                continue;
            }
            aside.under_way = true;
            if leave == Leave::Send
                && let Some(mut effect) = self.ledger.get(&key).cloned()
            {
                effect.attempt += 1;
                effect.changed = time;
                self.changed.insert(key.clone());
                self.ledger.put(effect);
            }
            leaves.push((key, leave));
        }
        self.rest = at_rest.then(|| rest.clone());
        (leaves, rest)
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
        let news = self.news.take();
        if self.changed.is_empty() && news.is_none() && !self.idled {
            return None;
        }
        if let Some(news) = &news {
            self.operation.resource_state = news.state;
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
            news,
            idle: std::mem::take(&mut self.idled).then_some(self.operation.idle),
            ending: self.ending.clone(),
        })
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it gave no reason".to_owned())
}
