//! What a list means for one effect, and when to list again; it may not know operations.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    EngineSettings,
    act::{EffectRuntime, ListWanted, broken, broken_as, enter, waits},
    turn::WaitPlan,
};
use crate::domain::{
    effect::{Effect, EffectKind, EffectState, Fact},
    fault::FaultKind,
    id::Tenant,
    sighting::{Readiness, Sighting, Thing, ThingKind},
};

/// One list of one kind in one tenant, complete.
#[derive(Debug)]
pub(super) struct Listing {
    /// Where.
    pub(super) tenant: Tenant,
    /// Of what.
    pub(super) kind: ThingKind,
    /// When its first request left.
    pub(super) started: Instant,
    by_id: HashMap<String, Sighting>,
    by_name: HashMap<String, Vec<String>>,
}

impl Listing {
    pub(super) fn new(
        tenant: Tenant,
        kind: ThingKind,
        started: Instant,
        sightings: Vec<Sighting>,
    ) -> Self {
        let mut by_id = HashMap::new();
        let mut by_name: HashMap<String, Vec<String>> = HashMap::new();
        for sighting in sightings {
            let id = sighting.thing.id.clone();
            // A server keeps the name of the original and carries ours as a tag.
            let names = if kind == ThingKind::Server {
                sighting.tags.clone()
            } else {
                vec![sighting.name.clone()]
            };
            for name in names {
                by_name.entry(name).or_default().push(id.clone());
            }
            by_id.insert(id, sighting);
        }
        Self {
            tenant,
            kind,
            started,
            by_id,
            by_name,
        }
    }

    fn by_id(&self, id: &str) -> Option<&Sighting> {
        self.by_id.get(id)
    }

    /// All of that name, oldest first.
    fn by_name(&self, name: &str) -> Vec<&Sighting> {
        let ids = self
            .by_name
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut found: Vec<&Sighting> = ids.iter().filter_map(|id| self.by_id.get(id)).collect();
        found.sort_by(|one, other| {
            (one.created, &one.thing.id).cmp(&(other.created, &other.thing.id))
        });
        found
    }

    /// The thing of an effect: by its id once that is known, else by name. What we asked for by a
    /// name of ours is found by that too where an answer gave a wrong id.
    fn of(&self, effect: &Effect) -> Vec<&Sighting> {
        let known = effect.cloud_id.as_deref().or(effect.request.known_id());
        match (known.map(|id| self.by_id(id)), effect.request.kind()) {
            (Some(Some(sighting)), _) => vec![sighting],
            (None, _) | (Some(None), EffectKind::Make(_)) => self.by_name(&effect.name),
            (
                Some(None),
                EffectKind::Import
                | EffectKind::RestoreInto
                | EffectKind::Apply
                | EffectKind::Read
                | EffectKind::Drop(_),
            ) => Vec::new(),
        }
    }
}

/// What a list led to, beside changes in the row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The row changed.
    pub(super) changed: bool,
    /// Copies of the thing that must go: a request whose answer was lost had worked twice.
    pub(super) copies: Vec<Thing>,
}

/// Applies a list to an effect that waits for it.
pub(super) fn seen(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    listing: &Listing,
    settings: &EngineSettings,
    now: Instant,
) -> Seen {
    let wanted = effect.request.watched() == Some(listing.kind)
        && effect.tenant == listing.tenant
        && !runtime.under_way
        && !effect.state.is_settled();
    if !wanted {
        return Seen::default();
    }
    runtime.obstacle = None;
    let before = (effect.state, effect.status.clone(), effect.cloud_id.clone());
    let mut found = listing.of(effect);
    found.retain(|one| !runtime.given_up.contains(&one.thing.id));
    let copies = match (effect.state, effect.request.kind()) {
        (EffectState::Requested, EffectKind::RestoreInto) => {
            fill_doubted(effect, runtime, found.first().copied(), listing, now);
            Vec::new()
        }
        (EffectState::Requested, _) => doubted(effect, runtime, &found, listing, settings, now),
        (EffectState::Leaving, _) | (EffectState::Accepted, EffectKind::Drop(_)) => {
            leaving(
                effect,
                runtime,
                found.first().copied(),
                listing,
                settings,
                now,
            );
            Vec::new()
        }
        (EffectState::Accepted, _) => {
            // A status from before the answer says nothing: the volume was available then too.
            if listing.started >= runtime.since {
                match found.first() {
                    Some(sighting) => {
                        if matches!(effect.request.kind(), EffectKind::Make(_)) {
                            effect.cloud_id = Some(sighting.thing.id.clone());
                        }
                        judged(effect, runtime, sighting, listing.started, now);
                    }
                    None => runtime.missing = true,
                }
            }
            Vec::new()
        }
        (EffectState::Dropping, _) => dropping(effect, runtime, &found, listing, settings, now),
        (EffectState::Done | EffectState::Failed | EffectState::Gone, _) => Vec::new(),
    };
    let after = (effect.state, effect.status.clone(), effect.cloud_id.clone());
    Seen {
        changed: before != after,
        copies,
    }
}

/// Applies what a question for one thing answered: a list had not shown it.
pub(super) fn confirmed(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    sighting: Option<&Sighting>,
    began: Instant,
    now: Instant,
) {
    runtime.under_way = false;
    runtime.missing = false;
    if effect.state != EffectState::Accepted {
        return;
    }
    match sighting {
        Some(sighting) => judged(effect, runtime, sighting, began, now),
        None => broken(
            effect,
            runtime,
            "it vanished: somebody else deleted it",
            now,
        ),
    }
}

/// Judges a thing that was accepted.
fn judged(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    sighting: &Sighting,
    began: Instant,
    now: Instant,
) {
    runtime.sighted(began);
    effect.status = Some(sighting.status.clone());
    match sighting.verdict() {
        // Nobody is left to wonder why nothing moves.
        Readiness::Waiting => {
            effect.fault = sighting.what_it_waits_for().map(|why| waits(effect, why));
        }
        Readiness::Ready => {
            effect.fact = Some(Fact::Seen(Box::new(sighting.clone())));
            effect.fault = None;
            enter(effect, runtime, EffectState::Done, now);
        }
        Readiness::Broken => {
            let why = sighting
                .message
                .as_deref()
                .unwrap_or("the service gives no reason");
            let text = format!("it is {}: {why}", sighting.status);
            broken_as(effect, runtime, sighting.breakage(), &text, now);
        }
    }
}

/// A request without an answer: adopted, or asked for again when two lists with a settling time
/// between them do not show it.
fn doubted(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    found: &[&Sighting],
    listing: &Listing,
    settings: &EngineSettings,
    now: Instant,
) -> Vec<Thing> {
    if runtime.doubt.is_none_or(|doubt| listing.started < doubt) {
        return Vec::new();
    }
    match found {
        [] => {
            if !absent_for_good(runtime, listing, settings) {
                return Vec::new();
            }
            let final_word = effect.fault.as_ref().is_some_and(|fault| {
                let worn_out = fault.status.is_some() && effect.attempt >= settings.attempts_max;
                fault.kind == FaultKind::Conflict || worn_out
            });
            if final_word {
                enter(effect, runtime, EffectState::Failed, now);
            } else {
                // Provably not there: it is asked for again, under the same name.
                runtime.doubt = None;
                runtime.absent = None;
            }
            Vec::new()
        }
        [sighting] => {
            effect.cloud_id = Some(sighting.thing.id.clone());
            enter(effect, runtime, EffectState::Accepted, now);
            judged(effect, runtime, sighting, listing.started, now);
            Vec::new()
        }
        // The oldest is ours. It is adopted when the copies are gone, so that a crash in between
        // cannot forget them.
        [_, copies @ ..] => copies.iter().map(|copy| copy.thing.clone()).collect(),
    }
}

/// Whether a thing that this list does not show has had its time to turn up.
fn absent_for_good(
    runtime: &mut EffectRuntime,
    listing: &Listing,
    settings: &EngineSettings,
) -> bool {
    let first = *runtime.absent.get_or_insert(listing.started);
    listing.started >= first + settings.settle && listing.started > first
}

/// A restore without an answer, judged by its volume.
fn fill_doubted(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    volume: Option<&Sighting>,
    listing: &Listing,
    now: Instant,
) {
    if runtime.doubt.is_none_or(|doubt| listing.started < doubt) {
        return;
    }
    match volume {
        None => broken(
            effect,
            runtime,
            "the volume vanished: somebody else deleted it",
            now,
        ),
        Some(volume) => match volume.verdict() {
            // Either it never began or it is over already; the same bytes again do no harm.
            Readiness::Ready => runtime.doubt = None,
            Readiness::Waiting => {
                enter(effect, runtime, EffectState::Accepted, now);
                effect.status = Some(volume.status.clone());
            }
            Readiness::Broken => judged(effect, runtime, volume, listing.started, now),
        },
    }
}

/// A thing that is to go, whose deletion was not accepted yet.
fn dropping(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    found: &[&Sighting],
    listing: &Listing,
    settings: &EngineSettings,
    now: Instant,
) -> Vec<Thing> {
    match (found, &effect.cloud_id) {
        // A list from before says nothing: the thing may be younger than it.
        ([], Some(_)) => {
            if listing.started >= runtime.since {
                enter(effect, runtime, EffectState::Gone, now);
            }
        }
        ([], None) => {
            let told = runtime.doubt.is_some_and(|doubt| listing.started >= doubt);
            if told && absent_for_good(runtime, listing, settings) {
                enter(effect, runtime, EffectState::Gone, now);
            }
        }
        ([sighting, copies @ ..], _) => {
            effect.cloud_id = Some(sighting.thing.id.clone());
            effect.status = Some(sighting.status.clone());
            runtime.doubt = None;
            runtime.held_back = sighting.refuses_deletion();
            return copies.iter().map(|copy| copy.thing.clone()).collect();
        }
    }
    Vec::new()
}

/// A thing whose deletion was accepted.
fn leaving(
    effect: &mut Effect,
    runtime: &mut EffectRuntime,
    sighting: Option<&Sighting>,
    listing: &Listing,
    settings: &EngineSettings,
    now: Instant,
) {
    if listing.started < runtime.since {
        return;
    }
    let is_drop = matches!(effect.request.kind(), EffectKind::Drop(_));
    let Some(sighting) = sighting else {
        let end = if is_drop {
            EffectState::Done
        } else {
            EffectState::Gone
        };
        return enter(effect, runtime, end, now);
    };
    effect.status = Some(sighting.status.clone());
    if matches!(effect.request.kind(), EffectKind::Make(_)) {
        // Found by name where an answer gave a wrong id.
        effect.cloud_id = Some(sighting.thing.id.clone());
    }
    // An accepted deletion that leaves the thing as it was has been lost, or has failed. A server may
    // be on its way without a status that says so; Nova takes no offence at a second word.
    let untouched = !sighting.refuses_deletion();
    if untouched && now.duration_since(runtime.since) >= settings.settle {
        let again = if is_drop {
            EffectState::Requested
        } else {
            EffectState::Dropping
        };
        let failures = runtime.failures + 1;
        enter(effect, runtime, again, now);
        runtime.failures = failures;
        runtime.not_before = Some(
            now + super::call_gate::backoff(settings.retry_first, settings.retry_max, failures),
        );
    }
}

/// The lists that are due, and were made.
#[derive(Debug, Default)]
pub(super) struct Lists {
    kinds: HashMap<Tenant, HashMap<ThingKind, KindList>>,
}

#[derive(Debug, Default)]
struct KindList {
    last: Option<Instant>,
    /// How long the last one took.
    took: Duration,
    /// When one last told of something new.
    news: Option<Instant>,
    under_way: bool,
    not_before: Option<Instant>,
    failures: u32,
    due: Option<Instant>,
    /// Operations that have asked for it in this turn.
    asking: u32,
    /// Operations that asked for it in the turn before.
    crowd: u32,
}

impl Lists {
    /// Forgets what was due, before the looks of a turn are collected anew.
    pub(super) fn begin(&mut self) {
        self.kinds.retain(|_, kinds| {
            kinds.retain(|_, list| list.under_way || list.due.is_some());
            !kinds.is_empty()
        });
        for list in self.kinds.values_mut().flat_map(HashMap::values_mut) {
            list.due = None;
            list.crowd = std::mem::take(&mut list.asking);
        }
    }

    /// An operation waits for lists and times; answers when to look again, which was to be at `wake`.
    pub(super) fn wait(
        &mut self,
        wait_plan: &WaitPlan,
        wake: Instant,
        settings: &EngineSettings,
        now: Instant,
    ) -> Instant {
        for (index, wanted) in wait_plan.lists.iter().enumerate() {
            self.want(wanted, settings, now);
            // Three volumes of one operation are no crowd.
            let earlier = wait_plan.lists.iter().take(index);
            let mut same =
                earlier.filter(|one| one.kind == wanted.kind && one.tenant == wanted.tenant);
            if same.next().is_none()
                && let Some(list) = self.list(&wanted.tenant, wanted.kind)
            {
                list.asking += 1;
            }
        }
        wait_plan.until.map_or(wake, |until| wake.min(until))
    }

    /// Somebody wants to see a list; one serves everybody who waits in that tenant for that kind.
    pub(super) fn want(&mut self, wanted: &ListWanted, settings: &EngineSettings, now: Instant) {
        let kinds = match self.kinds.get_mut(&wanted.tenant) {
            Some(kinds) => kinds,
            None => self.kinds.entry(wanted.tenant.clone()).or_default(),
        };
        let list = kinds.entry(wanted.kind).or_default();
        // Where things come to their end one after the other, the next is not far.
        let quiet = list
            .news
            .map_or(wanted.since, |news| news.max(wanted.since));
        let pause = interval(now.saturating_duration_since(quiet), list.crowd, settings);
        let pause = pause.max(list.took * settings.observe_effort);
        let after_last = list
            .last
            .map_or(wanted.from, |last| (last + pause).max(wanted.from));
        let due = list
            .not_before
            .map_or(after_last, |later| later.max(after_last));
        list.due = Some(list.due.map_or(due, |other| other.min(due)));
    }

    /// What is to be listed now; each is under way from here on.
    pub(super) fn start(
        &mut self,
        now: Instant,
        mut admits: impl FnMut(&Tenant) -> bool,
    ) -> Vec<(Tenant, ThingKind)> {
        let mut started = Vec::new();
        for (tenant, kinds) in &mut self.kinds {
            for (kind, list) in kinds {
                let due = list.due.is_some_and(|due| due <= now);
                if due && !list.under_way && admits(tenant) {
                    list.under_way = true;
                    list.last = Some(now);
                    started.push((tenant.clone(), *kind));
                }
            }
        }
        started
    }

    /// A list told of something new.
    pub(super) fn told(&mut self, tenant: &Tenant, kind: ThingKind, now: Instant) {
        if let Some(list) = self.list(tenant, kind) {
            list.news = Some(now);
        }
    }

    /// A list came back.
    pub(super) fn ended(
        &mut self,
        tenant: &Tenant,
        kind: ThingKind,
        started: Instant,
        failed: bool,
        settings: &EngineSettings,
        now: Instant,
    ) {
        if let Some(list) = self.list(tenant, kind) {
            list.under_way = false;
            list.took = if failed {
                Duration::ZERO
            } else {
                now.saturating_duration_since(started)
            };
            list.failures = if failed { list.failures + 1 } else { 0 };
            let wait =
                super::call_gate::backoff(settings.retry_first, settings.retry_max, list.failures);
            list.not_before = failed.then(|| now + wait);
        }
    }

    /// When the next list is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let lists = self.kinds.values().flat_map(HashMap::values);
        lists
            .filter(|list| !list.under_way)
            .filter_map(|list| list.due)
            .min()
    }

    fn list(&mut self, tenant: &Tenant, kind: ThingKind) -> Option<&mut KindList> {
        self.kinds.get_mut(tenant)?.get_mut(&kind)
    }
}

/// The pause between two lists, where nothing has happened for so long: short for what is quick, a share
/// of the wait for what is slow, so that looking costs a bounded part of what it sees. What many wait for
/// is worth a look sooner: for each of them it costs less.
fn interval(waited: Duration, crowd: u32, settings: &EngineSettings) -> Duration {
    let crowd = crowd.clamp(1, settings.observe_crowd.max(1));
    let share = waited / settings.observe_share.max(1);
    (share / crowd).clamp(settings.observe_min / crowd, settings.observe_max)
}
