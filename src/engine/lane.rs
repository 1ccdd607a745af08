//! One lane as one task: turns, one transaction each, and the calls between them; it may not know
//! what any operation is about.

use std::{collections::HashMap, sync::Arc};

use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    act::{self, Outbound},
    aside::{SetAside, Why, is_about_a_row, panicked},
    call_gate::{GIVES_BACK, backoff},
    end::End,
    exit::LaneExit,
    guard::Guarded,
    last_turn::LastTurn,
    observe::{self, Listing, Lists},
    turn::ActiveOperation,
};
use crate::{
    domain::{
        effect::{Effect, EffectKind, Request},
        error::UNREADABLE_TEXT,
        fault::{Fault, FaultKind},
        id::{EffectKey, Lane, OperationId, Tenant},
        sighting::{Sighting, Thing, ThingKind},
        time::Timestamp,
    },
    port::{
        cloud::Answer,
        journal::{JournalError, Turn},
    },
};

/// Something that came back from a cloud.
#[derive(Debug)]
enum CallResult {
    Answered(OperationId, EffectKey, Result<Answer, Fault>),
    Deleted(OperationId, EffectKey, Result<(), Fault>),
    Confirmed(
        OperationId,
        EffectKey,
        Instant,
        Result<Option<Sighting>, Fault>,
    ),
    Listed(Tenant, ThingKind, Instant, Result<Vec<Sighting>, Fault>),
    CopyDeleted(OperationId, EffectKey, Thing, Result<(), Fault>),
}

/// What a lost answer left behind beside the thing of an effect.
struct Copy {
    operation: OperationId,
    key: EffectKey,
    thing: Thing,
    /// What of its operation may use it.
    ours: Vec<Thing>,
}

/// A call under way; it answers nothing when the lease ended first.
type Call = Guarded<CallResult>;

/// The task of one lane.
pub(super) struct Runner {
    shared: Shared,
    lane: Lane,
    acts_until: watch::Receiver<Instant>,
    stop: CancellationToken,
}

/// What a lane holds in memory.
#[derive(Default)]
struct Memory {
    active: HashMap<OperationId, ActiveOperation>,
    lists: Lists,
    calls: FuturesUnordered<Call>,
    last: Option<LastTurn>,
    /// Those that are left alone, each until then.
    aside: HashMap<OperationId, Instant>,
}

impl Runner {
    pub(super) fn new(
        shared: Shared,
        lane: Lane,
        acts_until: watch::Receiver<Instant>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            shared,
            lane,
            acts_until,
            stop,
        }
    }

    /// Runs until the lane is lost or the engine stops.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            match self.live(&mut failures).await {
                LaneExit::End => return,
                LaneExit::Reload => {
                    failures += 1;
                    let settings = &self.shared.settings;
                    sleep(backoff(settings.store_retry, settings.retry_max, failures)).await;
                }
            }
        }
    }

    async fn live(&mut self, failures: &mut u32) -> LaneExit {
        let mut admissions = self.shared.journal.admissions();
        let mut memory = Memory::default();
        let mut load = true;
        loop {
            if load || memory.aside.values().any(|until| *until <= Instant::now()) {
                // Seen only here: an admission during a turn must still wake the lane after it.
                admissions.borrow_and_update();
                if let Err(end) = self.load(&mut memory).await {
                    return end;
                }
            }
            let wake = match self.turn(&mut memory).await {
                Ok(wake) => wake,
                Err(end) => return end,
            };
            *failures = 0;
            load = false;
            tokio::select! {
                () = self.stop.cancelled() => return LaneExit::End,
                changed = admissions.changed() => match changed {
                    Ok(()) => load = true,
                    // The store has closed down.
                    Err(_) => return LaneExit::End,
                },
                Some(result) = memory.calls.next() => {
                    let mut next = Some(result);
                    // Whatever else has come back by now goes into the same turn.
                    while let Some(result) = next {
                        let Some(result) = result else {
                            tracing::warn!(tenant = %self.lane.tenant, "the lease ended before a cloud had answered; the lane is loaded anew");
                            return LaneExit::Reload;
                        };
                        self.apply_result(&mut memory, result);
                        next = memory.calls.next().now_or_never().flatten();
                    }
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Takes in what was admitted or cancelled since, and tries again what was set aside for long enough.
    async fn load(&self, memory: &mut Memory) -> Result<(), LaneExit> {
        let now = Instant::now();
        memory.aside.retain(|_, until| now < *until);
        let known = memory.active.keys().chain(memory.aside.keys());
        let known: Vec<OperationId> = known.copied().collect();
        let loaded = self.shared.journal.lane_load(&self.lane, &known).await;
        let loaded = loaded.map_err(|error| LaneExit::after(&self.lane.tenant, &error))?;
        let time = self.shared.clock.now();
        for open in loaded.open {
            let (id, cancelled) = (open.operation.id, open.operation.cancelled);
            let keeps_volumes = open.operation.cancel_keeps_volumes;
            if memory.aside.remove(&id).is_some() || !memory.active.contains_key(&id) {
                self.shared.asides.remove(id);
            }
            memory
                .active
                .entry(id)
                .or_insert_with(|| ActiveOperation::load(open, time, Instant::now()))
                .cancel(cancelled, keeps_volumes);
        }
        let until = now + self.shared.settings.aside_retry;
        for unread in loaded.unread {
            self.set_aside(
                memory,
                SetAside {
                    operation: unread.operation,
                    resource: unread.resource,
                    why: Why::Unread,
                    told: format!("{UNREADABLE_TEXT}: {}", unread.problem),
                    until,
                },
            )
            .await?;
        }
        Ok(())
    }

    /// Leaves one operation alone, and says so on its resource; everything else goes on.
    async fn set_aside(&self, memory: &mut Memory, aside: SetAside) -> Result<(), LaneExit> {
        let SetAside {
            operation,
            resource,
            why,
            told,
            until,
        } = aside;
        self.shared.asides.put(operation, why, until);
        // One whose planner failed stays in memory, with whatever is under way for it.
        if why != Why::Planner {
            memory.active.remove(&operation);
            memory.aside.insert(operation, until);
        }
        let Some(resource) = resource else {
            return Ok(());
        };
        let journal = &self.shared.journal;
        match journal
            .operation_set_aside(&self.lane, resource, &told)
            .await
        {
            Ok(()) => Ok(()),
            Err(error @ (JournalError::Fenced(_) | JournalError::Unavailable(_))) => {
                Err(LaneExit::after(&self.lane.tenant, &error))
            }
            // What cannot be told there stands in the log and in the metrics.
            Err(error) => {
                tracing::warn!(%operation, %resource, %error, "a resource cannot say that nothing is done for it");
                Ok(())
            }
        }
    }

    /// One turn: plan, record in one transaction, act. Answers when to look again at the latest.
    async fn turn(&self, memory: &mut Memory) -> Result<Instant, LaneExit> {
        let settings = &self.shared.settings;
        let now = Instant::now();
        let acts_until = *self.acts_until.borrow();
        // The lease may have ended while the store or this machine was slow: then another replica
        // may act already, and this one must not.
        if now >= acts_until {
            return Ok(now + settings.lease / 3);
        }
        let time = self.shared.clock.now();
        self.heed_gap(memory, time, now);
        let mut wake = acts_until;
        let mut sends: Vec<(OperationId, EffectKey, Outbound)> = Vec::new();
        memory.lists.begin();
        let mut asides: Vec<SetAside> = Vec::new();
        for (id, active) in &mut memory.active {
            let stood_still = active.has_stood_still();
            // A thing that never was settles at once, and the planner has to hear of it.
            loop {
                if let Err(panic) = active.plan(&self.shared.planner, settings, time, now) {
                    asides.push(panicked(active, &panic, now));
                }
                if let Some(wait_plan) = active.wait_plan(now) {
                    wake = memory.lists.wait(wait_plan, wake, settings, now);
                    break;
                }
                let gate = &self.shared.gate;
                let refuses = |effect: &Effect| gate.refuses(&effect.tenant.cloud, now);
                let (calls, wait_plan) = active.next_calls(settings, time, now, refuses);
                sends.extend(
                    calls
                        .into_iter()
                        .map(|(key, outbound)| (*id, key, outbound)),
                );
                wake = memory.lists.wait(&wait_plan, wake, settings, now);
                if !active.is_stale() || active.has_ended() {
                    break;
                }
            }
            for (phase, after) in active.phases.take_left() {
                let kind = active.operation.ask.name();
                self.shared.meter.count_phase(kind, &phase, after);
            }
            if stood_still && !active.has_stood_still() {
                self.shared.asides.remove(*id);
            }
            if let Some(again) = active.again().filter(|_| !active.has_stood_still()) {
                wake = wake.min(now + again.since(time));
            }
        }
        let turns: Vec<Turn> = memory
            .active
            .values_mut()
            .filter_map(ActiveOperation::take_turn)
            .collect();
        if !turns.is_empty() {
            let ended: Vec<End> = turns
                .iter()
                .filter_map(|turn| {
                    End::of(turn, &memory.active.get(&turn.operation)?.operation, time)
                })
                .collect();
            let refused = self.record(turns, now).await?;
            for end in ended {
                if refused.iter().all(|one| one.operation != end.operation) {
                    end.tell(&self.shared.meter);
                }
            }
            // What was to follow from what was not written does not leave.
            sends.retain(|(id, ..)| refused.iter().all(|one| one.operation != *id));
            asides.extend(refused);
        }
        for aside in asides {
            self.set_aside(memory, aside).await?;
        }
        if let Some(until) = memory.aside.values().min() {
            wake = wake.min(*until);
        }
        memory.active.retain(|_, active| !active.has_ended());
        for (id, key, outbound) in sends {
            if let Some(call) = self.call(memory, id, &key, outbound) {
                memory.calls.push(call);
            }
        }
        let gate = &self.shared.gate;
        let is_open = |tenant: &Tenant| gate.refuses(&tenant.cloud, now).is_none();
        for (tenant, kind) in memory.lists.start(now, is_open) {
            memory.calls.push(self.list(tenant, kind));
        }
        if let Some(due) = memory.lists.next_due() {
            wake = wake.min(due);
        }
        // A cloud that is closed for now opens by time alone.
        let active = memory.active.values();
        let clouds = active.map(|active| &active.operation.tenant.cloud);
        let opens = clouds.filter_map(|cloud| gate.closed_until(cloud)).min();
        let wake = opens.map_or(wake, |opens| wake.min(opens));
        // What is due already was not admitted now; the pause keeps a closed cloud from a busy loop.
        let wake = wake.max(now + settings.observe_min / 10);
        memory.last = Some(LastTurn {
            time,
            counted: now,
            wake,
        });
        Ok(wake)
    }

    /// Time in which nobody worked counts for no deadline: the machine or this process stood still, the lease
    /// was lost, the store did not answer, or the clock was set.
    fn heed_gap(&self, memory: &mut Memory, time: Timestamp, now: Instant) {
        // A lane without work is let go, so its last turn may be long ago.
        let Some(last) = memory.last else { return };
        let gap = last.unattended(time, now);
        if gap > self.shared.settings.lease {
            tracing::warn!(tenant = %self.lane.tenant, ?gap, "nobody worked for a while, or the clock was set; that counts for no deadline");
            for active in memory.active.values_mut() {
                active.stood_still(gap, time);
            }
        }
    }

    /// Writes a turn, all of it or nothing. Where the store refuses it for what is in it, each operation is
    /// written by itself, and those that are refused then are set aside.
    async fn record(&self, turns: Vec<Turn>, now: Instant) -> Result<Vec<SetAside>, LaneExit> {
        let journal = &self.shared.journal;
        let Err(error) = journal.turn_record(&self.lane, turns.clone()).await else {
            return Ok(Vec::new());
        };
        if !is_about_a_row(&error) {
            return Err(LaneExit::after(&self.lane.tenant, &error));
        }
        let until = now + self.shared.settings.aside_retry;
        let mut refused = Vec::new();
        for turn in turns {
            let (operation, resource) = (turn.operation, turn.resource);
            match journal.turn_record(&self.lane, vec![turn]).await {
                Ok(()) => {}
                Err(error) if is_about_a_row(&error) => {
                    tracing::error!(%operation, %error, "what happened to an operation cannot be written; it is set aside");
                    refused.push(SetAside {
                        operation,
                        resource: Some(resource),
                        why: Why::Unwritten,
                        told: format!("Held: what happened cannot be written ({error})"),
                        until,
                    });
                }
                Err(error) => return Err(LaneExit::after(&self.lane.tenant, &error)),
            }
        }
        Ok(refused)
    }

    /// The call that leaves.
    fn call(
        &self,
        memory: &Memory,
        id: OperationId,
        key: &EffectKey,
        outbound: Outbound,
    ) -> Option<Call> {
        let active = memory.active.get(&id)?;
        let effect = active.effect(key)?;
        let asked = active.operation.created;
        let shares = effect.request.shares_reads();
        let (cloud, tenant, key) = (
            self.shared.cloud.clone(),
            effect.tenant.clone(),
            key.clone(),
        );
        let gate = Arc::clone(&self.shared.gate);
        let (name, request) = (effect.name.clone(), effect.request.clone());
        match outbound {
            Outbound::Send => {
                let ours = active.ours();
                Some(self.guarded(async move {
                    let _permit = gate.pass(&tenant, asked, shares).await;
                    let answer = if let Request::Drop { thing } = &request {
                        let answer = cloud.thing_delete(&tenant, thing, &ours).await;
                        Answer::of_deletion(thing, answer)
                    } else {
                        cloud.request_perform(&tenant, &name, &request).await
                    };
                    CallResult::Answered(id, key, answer)
                }))
            }
            Outbound::Delete => {
                let (thing, ours) = (effect.thing()?, active.ours());
                Some(self.guarded(async move {
                    let _permit = gate.pass(&tenant, GIVES_BACK, false).await;
                    let answer = cloud.thing_delete(&tenant, &thing, &ours).await;
                    CallResult::Deleted(id, key, answer)
                }))
            }
            Outbound::Confirm => {
                let thing = Thing {
                    kind: request.watched()?,
                    id: effect.id().to_owned(),
                };
                Some(self.guarded(async move {
                    let _permit = gate.pass(&tenant, asked, false).await;
                    let began = Instant::now();
                    let answer = cloud.thing_get(&tenant, &thing).await;
                    CallResult::Confirmed(id, key, began, answer)
                }))
            }
        }
    }

    fn guarded(&self, call: impl Future<Output = CallResult> + Send + 'static) -> Call {
        Guarded::new(call, self.acts_until.clone())
    }

    fn list(&self, tenant: Tenant, kind: ThingKind) -> Call {
        let cloud = self.shared.cloud.clone();
        // It takes no permit: many wait for what one list tells.
        self.guarded(async move {
            let started = Instant::now();
            let sightings = cloud.things_list(&tenant, kind).await;
            CallResult::Listed(tenant, kind, started, sightings)
        })
    }

    /// A copy that a lost answer left behind; its answer is only logged, the next list tells.
    fn delete_copy(&self, tenant: Tenant, copy: Copy) -> Call {
        let Copy {
            operation,
            key,
            thing,
            ours,
        } = copy;
        tracing::warn!(%tenant, %thing, "a request whose answer was lost had worked twice; the younger copy goes");
        let (cloud, gate) = (self.shared.cloud.clone(), Arc::clone(&self.shared.gate));
        self.guarded(async move {
            let _permit = gate.pass(&tenant, GIVES_BACK, false).await;
            let answer = cloud.thing_delete(&tenant, &thing, &ours).await;
            CallResult::CopyDeleted(operation, key, thing, answer)
        })
    }

    /// Applies what came back.
    fn apply_result(&self, memory: &mut Memory, result: CallResult) {
        let settings = &self.shared.settings;
        let (now, time) = (Instant::now(), self.shared.clock.now());
        match result {
            CallResult::Answered(id, key, answer) => {
                let Some(active) = memory.active.get_mut(&id) else {
                    return;
                };
                self.report(active, &key, answer.as_ref().err(), now);
                active.change(&key, time, |effect, runtime| {
                    act::answered(effect, runtime, answer, settings, now);
                });
            }
            CallResult::Deleted(id, key, answer) => {
                let Some(active) = memory.active.get_mut(&id) else {
                    return;
                };
                self.report(active, &key, answer.as_ref().err(), now);
                active.change(&key, time, |effect, runtime| {
                    act::deleted(effect, runtime, answer, settings, now);
                });
            }
            CallResult::Confirmed(id, key, began, answer) => {
                let Some(active) = memory.active.get_mut(&id) else {
                    return;
                };
                self.report(active, &key, answer.as_ref().err(), now);
                active.change(&key, time, |effect, runtime| {
                    if let Ok(sighting) = answer {
                        observe::confirmed(effect, runtime, sighting.as_ref(), began, now);
                    } else {
                        runtime.under_way = false;
                        runtime.not_before = Some(now + settings.retry_first);
                    }
                });
            }
            CallResult::Listed(tenant, kind, started, sightings) => {
                self.listed(memory, tenant, kind, started, sightings);
            }
            CallResult::CopyDeleted(id, key, thing, answer) => {
                let Err(fault) = answer else { return };
                tracing::warn!(%thing, %fault, "the copy did not go");
                // Somebody has come to use it: it is theirs, and an orphan in every list of such.
                if fault.kind == FaultKind::Held
                    && let Some(active) = memory.active.get_mut(&id)
                {
                    active.change(&key, time, |_, runtime| runtime.given_up.push(thing.id));
                }
            }
        }
    }

    /// Applies one list to everything that waits for it.
    fn listed(
        &self,
        memory: &mut Memory,
        tenant: Tenant,
        kind: ThingKind,
        started: Instant,
        sightings: Result<Vec<Sighting>, Fault>,
    ) {
        let settings = &self.shared.settings;
        let (now, time) = (Instant::now(), self.shared.clock.now());
        let fault = sightings.as_ref().err();
        self.shared.gate.report(&tenant.cloud, fault, now);
        memory
            .lists
            .ended(&tenant, kind, started, fault.is_some(), settings, now);
        let sightings = match sightings {
            Ok(sightings) => sightings,
            Err(fault) => {
                for active in memory.active.values_mut() {
                    active.obstruct(&fault, |effect| {
                        effect.request.watched() == Some(kind) && effect.tenant == tenant
                    });
                }
                return;
            }
        };
        let listing = Listing::new(tenant, kind, started, sightings);
        let mut copies = Vec::new();
        let mut news = false;
        for (id, active) in &mut memory.active {
            for key in active.watched(&listing.tenant, kind) {
                let seen = active.change(&key, time, |effect, runtime| {
                    observe::seen(effect, runtime, &listing, settings, now)
                });
                let Some(seen) = seen else { continue };
                news |= seen.changed;
                copies.extend(seen.copies.into_iter().map(|thing| Copy {
                    operation: *id,
                    key: key.clone(),
                    thing,
                    ours: active.ours(),
                }));
            }
        }
        if news {
            memory.lists.told(&listing.tenant, kind, now);
        }
        for copy in copies {
            memory
                .calls
                .push(self.delete_copy(listing.tenant.clone(), copy));
        }
    }

    fn report(
        &self,
        active: &ActiveOperation,
        key: &EffectKey,
        fault: Option<&Fault>,
        now: Instant,
    ) {
        let Some(effect) = active.effect(key) else {
            return;
        };
        self.shared.gate.report(&effect.tenant.cloud, fault, now);
        if let Some(fault) = fault {
            let kind = effect.request.kind();
            let expected = kind == EffectKind::Import || fault.may_pass();
            tracing::debug!(operation = %active.operation.id, %key, %fault, expected, "a cloud refused or did not answer");
        }
    }
}
