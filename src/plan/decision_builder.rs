//! The decision while it is being made: what planners say in words of their own; it may not know
//! any single operation.
//!
//! One file because everything that a planner says passes through one value, and how it gives up has to
//! know what it wished for.

mod awaited;
mod held;
mod stuck;

use std::{collections::BTreeSet, time::Duration};

use self::held::stays;
use super::{Limits, is_gone};
use crate::domain::{
    decision::{Decision, DesiredEffect, Detail, Ending},
    effect::{Disposal, Effect, EffectKind, EffectState, Request},
    error::OperationError,
    id::{EffectKey, Tenant},
    ledger::Ledger,
    manifest::Manifest,
    operation::Operation,
    progress::{Progress, VolumeProgress},
    time::Timestamp,
    verification::Verification,
};

/// What to do after a cancel that left nothing.
const NOTHING_LEFT: &str = "nothing was left behind; ask again when you want it";
/// The same where there is more to do first.
const ASK_AGAIN: &str = "ask again when you want it";

/// Why a run of a planner ends before its last line.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something is not there yet.
    Pending,
    /// It cannot be done.
    GiveUp(Box<OperationError>),
}

impl Stop {
    /// It cannot be done, with a stable reason.
    pub(super) fn give_up(reason: &str, message: impl Into<String>, guidance: &str) -> Self {
        Self::GiveUp(Box::new(OperationError::new(reason, message, guidance)))
    }
}

/// What a planner's line answers: something that is ready, or the end of this run.
pub(super) type Step<T> = Result<T, Stop>;

/// The decision while it is being made.
pub(super) struct DecisionBuilder<'a> {
    limits: &'a Limits,
    operation: &'a Operation,
    ledger: &'a Ledger,
    now: Timestamp,
    decision: Decision,
    phase: String,
    /// Why something is not tried again yet.
    pause: Option<String>,
    /// Nothing is missing but the end of the temporaries.
    products_stand: bool,
    /// What an operator can mend holds the work and ends nothing.
    holds: bool,
    /// What stays where the rest of the products goes.
    kept: BTreeSet<EffectKey>,
    /// Its goal will not be reached any more.
    gives_up: bool,
}

impl<'a> DecisionBuilder<'a> {
    pub(super) fn new(
        limits: &'a Limits,
        operation: &'a Operation,
        ledger: &'a Ledger,
        now: Timestamp,
    ) -> Self {
        Self {
            limits,
            operation,
            ledger,
            now,
            decision: Decision::default(),
            phase: String::new(),
            pause: None,
            products_stand: false,
            holds: false,
            kept: BTreeSet::new(),
            gives_up: false,
        }
    }

    /// What was done by now is worth more than an end: a login, a right or a quota that is in the way holds
    /// the work, until an operator has mended it or the deadline has passed.
    pub(super) fn holds(&mut self) {
        self.holds = true;
    }

    /// This stays, whatever becomes of the operation.
    pub(super) fn keeps(&mut self, effect: &Effect) {
        self.kept.insert(effect.key.clone());
    }

    /// Whether the deadline has passed and nobody cancelled it.
    pub(super) fn is_late(&self) -> bool {
        self.operation.cancelled.is_none() && self.now >= self.gives_up()
    }

    /// Whether whoever cancelled it wants to keep the volumes that have their bytes.
    pub(super) fn cancel_keeps_volumes(&self) -> bool {
        self.operation.cancel_keeps_volumes
    }

    /// The tenant that the operation works in.
    pub(super) fn tenant(&self) -> &'a Tenant {
        &self.operation.tenant
    }

    /// The effect of that key, if it was ever wished for.
    pub(super) fn effect(&self, key: &str) -> Option<&'a Effect> {
        self.ledger.get(&EffectKey::new(key))
    }

    /// The newest of what may be tried several times, by the key of the first.
    pub(super) fn newest_try(&self, first: &str) -> Option<&'a Effect> {
        let keys = (1..).map(|number| key_of_try(first, number));
        keys.map_while(|key| self.effect(&key)).last()
    }

    /// All effects that were ever wished for.
    pub(super) fn effects(&self) -> impl Iterator<Item = &'a Effect> {
        let ledger = self.ledger;
        ledger.iter()
    }

    /// All that was ever wished for, with the row where there is one already.
    pub(super) fn asked(&self) -> impl Iterator<Item = (&Request, Option<&'a Effect>)> {
        let rows = self.effects().map(|row| (&row.request, Some(row)));
        let new = self.decision.wishes.iter();
        rows.chain(new.map(|wish| (&wish.request, None)))
    }

    /// Opens the next phase; the last one opened is what people read.
    pub(super) fn phase(&mut self, text: &str) {
        text.clone_into(&mut self.phase);
        text.clone_into(&mut self.decision.report.runtime_state);
    }

    /// How patient it has to be.
    pub(super) fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// How long the operation has taken by now.
    pub(super) fn spent(&self) -> Duration {
        self.now.since(self.operation.created)
    }

    /// What the resource holds by now.
    pub(super) fn hold(&mut self, detail: Detail) {
        self.decision.report.detail = Some(detail);
    }

    /// What the end of this says about the claim that the point can be restored.
    pub(super) fn claim(&mut self, verification: Verification) {
        self.decision.report.verification = Some(verification);
    }

    /// The oldest sight of what it makes: everything was there from then on.
    pub(super) fn sighted(&self) -> Option<Timestamp> {
        self.ledger
            .iter()
            .filter(|effect| effect.disposal == Disposal::Product)
            .filter(|effect| effect.state == EffectState::Done)
            .map(|effect| effect.changed)
            .min()
    }

    /// A wish in the operation's own tenant.
    pub(super) fn wish(
        &self,
        key: impl Into<String>,
        request: Request,
        disposal: Disposal,
    ) -> DesiredEffect {
        Self::wish_in(self.tenant().clone(), key, request, disposal)
    }

    /// A wish in any tenant.
    pub(super) fn wish_in(
        tenant: Tenant,
        key: impl Into<String>,
        request: Request,
        disposal: Disposal,
    ) -> DesiredEffect {
        DesiredEffect {
            key: EffectKey::new(key),
            tenant,
            request,
            disposal,
        }
    }

    /// One effect: answers when it is done.
    pub(super) fn one(&mut self, wish: DesiredEffect) -> Step<&'a Effect> {
        let ledger = self.ledger;
        match ledger.get(&wish.key) {
            Some(effect) if has_served(effect) => Ok(effect),
            Some(effect) if self.is_held(effect) => {
                self.ask_again(effect);
                Err(Stop::Pending)
            }
            Some(effect) => {
                if matches!(effect.request.kind(), EffectKind::Drop(_)) {
                    self.free_thing(effect);
                }
                self.free_record(effect);
                Err(Stop::Pending)
            }
            None => {
                self.decision.wishes.push(wish);
                Err(Stop::Pending)
            }
        }
    }

    /// Many effects, all asked for before any is waited for; answers when all are done.
    pub(super) fn all(&mut self, wishes: Vec<DesiredEffect>) -> Step<Vec<&'a Effect>> {
        let total = wishes.len();
        let mut done = Vec::with_capacity(total);
        for wish in wishes {
            if let Ok(effect) = self.one(wish) {
                done.push(effect);
            }
        }
        if done.len() == total {
            return Ok(done);
        }
        if total > 1 {
            let phase = &self.phase;
            self.decision.report.runtime_state = format!("{phase}, {} of {total}", done.len());
        }
        Err(Stop::Pending)
    }

    /// Many effects that are worth less than what is there already: answers when each is done, or was
    /// refused, which ends nothing. What was refused is for the planner to tell.
    pub(super) fn all_that_can(&mut self, wishes: Vec<DesiredEffect>) -> Step<()> {
        let ledger = self.ledger;
        let refused = |wish: &DesiredEffect| {
            let effect = ledger.get(&wish.key);
            effect.is_some_and(|effect| effect.state == EffectState::Failed)
        };
        self.all(wishes.into_iter().filter(|wish| !refused(wish)).collect())
            .map(drop)
    }

    /// Whether an effect was refused for what an operator can mend, or for what passes and did not often
    /// enough (a service that answers 500 to everybody), and what is there is worth the wait.
    fn is_held(&self, effect: &Effect) -> bool {
        let fault = effect.fault.as_ref();
        self.holds
            && effect.state == EffectState::Failed
            && effect.thing().is_none()
            && fault.is_some_and(|fault| fault.mended_by_operator() || fault.may_pass())
    }

    /// What was refused is asked for again, after ever longer pauses; tells meanwhile what would help.
    fn ask_again(&mut self, effect: &Effect) {
        let Some(fault) = &effect.fault else {
            return;
        };
        let over = effect.changed.after(self.hold_pause(effect.attempt));
        if self.now >= over {
            self.decision.retries.push(effect.key.clone());
            return;
        }
        self.look_again(over);
        self.pause = Some(format!(
            "{}, held, again from {over}: {fault}; {}",
            self.phase,
            fault.guidance()
        ));
    }

    /// How long what failed so often is left alone.
    pub(super) fn hold_pause(&self, failures: u32) -> Duration {
        let doubled = failures.saturating_sub(1).min(16);
        let pause = self.limits.pause.saturating_mul(1 << doubled);
        pause.min(self.limits.hold_pause.max(self.limits.pause))
    }

    /// Whether the effect of this key was refused for good, in a way that has another way around; what is
    /// left of it goes first.
    pub(super) fn has_refused(
        &mut self,
        key: &EffectKey,
        forgiven: impl Fn(&Effect) -> bool,
    ) -> Step<bool> {
        let ledger = self.ledger;
        let refused = ledger.get(key).filter(|effect| {
            let for_good = effect.fault.as_ref().is_some_and(|fault| !fault.may_pass());
            let served = has_served(effect);
            let failed = match effect.state {
                EffectState::Failed => true,
                EffectState::Dropping | EffectState::Leaving | EffectState::Gone => for_good,
                EffectState::Requested | EffectState::Accepted | EffectState::Done => false,
            };
            failed && !served && forgiven(effect)
        });
        match refused {
            None => Ok(false),
            Some(effect) => self.gone(effect).map(|()| true),
        }
    }

    /// What an effect made goes; answers when nothing of it is left, or others use it.
    pub(super) fn gone(&mut self, effect: &Effect) -> Step<()> {
        if is_gone(effect) || stays(self.limits, effect) {
            return Ok(());
        }
        self.let_go(effect);
        Err(Stop::Pending)
    }

    /// Lets time go by after the last change of an effect that failed; tells meanwhile why it did.
    pub(super) fn pause_after(&mut self, key: &EffectKey, pause: Duration) -> Step<()> {
        let ledger = self.ledger;
        let Some(failed) = ledger.get(key) else {
            return Ok(());
        };
        let over = failed.changed.after(pause);
        if self.now >= over {
            return Ok(());
        }
        self.look_again(over);
        if let Some(fault) = &failed.fault {
            self.pause = Some(format!("{}, again from {over}: {fault}", self.phase));
        }
        Err(Stop::Pending)
    }

    /// Whether an effect has waited for the same for so long, as far as somebody has worked at it since.
    pub(super) fn has_waited(&mut self, effect: &Effect, pause: Duration) -> bool {
        let since = self.operation.patient_since(stuck::refused_since(effect));
        let over = since.after(pause);
        if self.now < over {
            self.look_again(over);
        }
        self.now >= over
    }

    /// The temporaries go, newest first; answers when nothing of them is left.
    pub(super) fn drop_temporaries(&mut self) -> Step<()> {
        self.drop_next(|effect| effect.disposal == Disposal::Temporary)
            .and_then(|()| self.sweep_snapshots(true))
    }

    /// The same answer, once nothing else is missing: from here on the products stand whatever becomes of
    /// the temporaries.
    pub(super) fn stand_until(&mut self, gone: Step<()>) -> Step<()> {
        self.products_stand = gone.is_err();
        gone
    }

    /// Lets the newest of what `goes` go, all of one kind side by side; answers when all is gone but what
    /// others use.
    fn drop_next(&mut self, goes: impl Fn(&Effect) -> bool) -> Step<()> {
        let going = self.going(goes);
        if going.is_empty() {
            return Ok(());
        }
        for effect in going {
            self.let_go(effect);
        }
        Err(Stop::Pending)
    }

    /// What of all that `goes` is next: the newest that is there and that nobody else uses, with all others
    /// of its kind.
    fn going(&self, goes: impl Fn(&Effect) -> bool) -> Vec<&'a Effect> {
        let mut left = self.ledger.newest_first();
        left.retain(|effect| {
            matches!(effect.request.kind(), EffectKind::Make(_))
                && goes(effect)
                && !is_gone(effect)
                && !stays(self.limits, effect)
        });
        let kind = left.first().map(|effect| effect.request.kind());
        left.retain(|effect| Some(effect.request.kind()) == kind);
        left
    }

    /// Sees to it that nothing is left of what came with images: the snapshots that nobody took. Answers
    /// when there are none, or, unless that must be `sure`, when it could not be seen to.
    fn sweep_snapshots(&mut self, sure: bool) -> Step<()> {
        let ledger = self.ledger;
        let mut pending = false;
        for image in ledger.iter() {
            if !matches!(image.request, Request::MakeImage { .. }) {
                continue;
            }
            let key = format!("{}-swept", image.key);
            match self.effect(&key) {
                Some(sweep) if sweep.state == EffectState::Done => {}
                Some(sweep) if sweep.state.is_settled() && !sure => {}
                Some(_) => pending = true,
                None => {
                    let request = Request::ApplySnapshotsGone {
                        image: image.name.clone(),
                    };
                    let tenant = image.tenant.clone();
                    let wish = Self::wish_in(tenant, key, request, Disposal::Keep);
                    self.decision.wishes.push(wish);
                    pending = true;
                }
            }
        }
        if pending { Err(Stop::Pending) } else { Ok(()) }
    }

    /// What an effect made goes, if it is not going already.
    fn let_go(&mut self, effect: &Effect) {
        self.free_thing(effect);
        match effect.state {
            EffectState::Dropping | EffectState::Leaving | EffectState::Gone => {}
            EffectState::Requested
            | EffectState::Accepted
            | EffectState::Done
            | EffectState::Failed => self.decision.drops.push(effect.key.clone()),
        }
    }

    /// Asks to be asked again at this time, if nothing happens before.
    fn look_again(&mut self, at: Timestamp) {
        let before = self.decision.again;
        self.decision.again = Some(before.map_or(at, |before| before.min(at)));
    }

    /// The first reason to give up: a cancel, a failure that nobody forgives, the deadline.
    pub(super) fn reason_to_give_up(
        &self,
        forgiven: impl Fn(&Effect) -> bool,
    ) -> Option<OperationError> {
        if self.operation.cancelled.is_some() {
            return Some(OperationError::new("CANCELLED", "cancelled", NOTHING_LEFT));
        }
        let ends_nothing = |effect: &Effect| forgiven(effect) || self.is_held(effect);
        if let Some((_, fault)) = self.ledger.first_failure(ends_nothing) {
            return Some(OperationError::from(fault));
        }
        (self.now >= self.gives_up()).then(|| self.deadline_passed(ends_nothing))
    }

    /// When the operation gives up, with all that it is known to have to move by now.
    fn gives_up(&self) -> Timestamp {
        self.operation.gives_up(self.gib())
    }

    /// What it has to move, as far as that is known by now.
    fn gib(&self) -> u64 {
        let volumes = &self.decision.report.progress.volumes;
        volumes.iter().map(|volume| volume.size_gib).sum()
    }

    fn deadline_passed(&self, ends_nothing: impl Fn(&Effect) -> bool) -> OperationError {
        let awaited = self.awaited(ends_nothing);
        let while_doing = awaited.map_or_else(
            || self.phase.to_lowercase(),
            |effect| awaited::activity(&effect.request),
        );
        // Its fault stays in the row of what is given up, so that the story is the same to the end.
        // Of all that is told the way out of it tells most.
        let rows = || self.ledger.iter();
        let freeing = rows().filter(|one| cleans(&one.request));
        let mut waiting = freeing
            .chain(awaited)
            .chain(rows())
            .filter(|one| one.state != EffectState::Done);
        let on = waiting.find_map(|effect| effect.fault.as_ref());
        let on = on.map_or(String::new(), |fault| format!(": {fault}"));
        OperationError::new(
            "DEADLINE_EXCEEDED",
            format!("the deadline passed while {while_doing}{on}"),
            "look into what it waited for, or give it more time",
        )
    }

    /// Each volume by itself, from the newest effect that is about it. Its part is done with the effect whose
    /// key `last` tells, given its place.
    pub(super) fn tell_volumes(&mut self, manifest: &Manifest, last: impl Fn(usize) -> String) {
        let rows = self.ledger.newest_first();
        let tell = |(index, volume): (usize, &crate::domain::manifest::VolumeFacts)| {
            let prefix = format!("volume-{index}");
            let newest = rows.iter().find(|effect| {
                effect
                    .key
                    .as_str()
                    .strip_prefix(&prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            });
            VolumeProgress {
                volume: volume.id.clone(),
                name: volume.name.clone(),
                size_gib: volume.size_gib,
                status: newest.map_or_else(|| "waiting".to_owned(), |effect| status_of(effect)),
                done: self.effect(&last(index)).is_some_and(was_done),
                failed: newest.is_some_and(|effect| effect.state == EffectState::Failed),
            }
        };
        self.decision.report.progress.volumes =
            manifest.volumes.iter().enumerate().map(tell).collect();
    }

    /// It goes on.
    pub(super) fn open(mut self) -> Decision {
        self.count();
        if let Some(pause) = self.pause.take() {
            self.decision.report.runtime_state = pause;
        }
        self.tell_stall();
        self.look_again(self.gives_up());
        self.decision
    }

    /// Nothing is wrong with waiting; only whoever looks should know that this is a long one. The
    /// deadline stays where it is.
    fn tell_stall(&mut self) {
        if !self.decision.wishes.is_empty() || !self.decision.drops.is_empty() {
            return;
        }
        let changes = self.ledger.iter().map(|effect| effect.changed);
        let last = changes.max().unwrap_or(self.operation.created);
        let last = self.operation.patient_since(last);
        let moving = self.operation.moving(self.gib()) / 4;
        let stalls = last.after(self.limits.stall_after).after(moving);
        if self.now < stalls {
            return self.look_again(stalls);
        }
        let report = &mut self.decision.report;
        report.progress.stalled = Some(last);
        report.runtime_state =
            format!("{} (stalled: nothing has changed since {last})", self.phase);
    }

    /// The goal is reached.
    pub(super) fn done(mut self) -> Decision {
        self.decision.wishes.clear();
        let temporary = |effect: &&Effect| {
            effect.disposal == Disposal::Temporary && effect.thing().is_some() && !is_gone(effect)
        };
        let left: Vec<&Effect> = self.ledger.iter().filter(temporary).collect();
        if !left.is_empty() {
            let told: Vec<String> = left.iter().map(|effect| standing(effect)).collect();
            let report = &mut self.decision.report;
            report.runtime_state = format!("{}; left behind: {}", self.phase, told.join(", "));
        }
        self.decision.ending = Ending::Done;
        self.count();
        self.decision
    }

    /// Everything that was made goes, newest first; then it has ended, for this reason. Products that
    /// only wait for the end of the temporaries stay: they are whole, and may be all there is.
    pub(super) fn give_up(mut self, reason: &OperationError) -> Decision {
        self.decision.wishes.clear();
        self.decision.drops.clear();
        self.decision.retries.clear();
        let ends = self.gives_up().after(self.limits.cleanup);
        if self.now < ends && !self.ledger.unseen().is_empty() {
            return self.look_first(reason, ends);
        }
        self.gives_up = true;
        self.phase = format!("Cleaning up: {}", reason.message);
        self.decision.report.runtime_state.clone_from(&self.phase);
        // What makes nothing is abandoned where it stands: a restore that was not sent yet must not
        // follow its volume, and an import that was sent stays as a mirror. Only what frees a stuck
        // thing belongs to the clean-up itself.
        let abandoned = self.ledger.iter().filter(|effect| {
            !matches!(effect.request.kind(), EffectKind::Make(_))
                && !cleans(&effect.request)
                && !effect.state.is_settled()
        });
        self.decision
            .drops
            .extend(abandoned.map(|effect| effect.key.clone()));
        let products_go = !self.products_stand || self.operation.cancelled.is_some();
        let kept = std::mem::take(&mut self.kept);
        let goes = |effect: &Effect| match effect.disposal {
            Disposal::Temporary => true,
            Disposal::Product => products_go && !kept.contains(&effect.key),
            Disposal::Keep => false,
        };
        let cleaned = self
            .drop_next(goes)
            .and_then(|()| self.sweep_snapshots(false))
            .and_then(|()| self.await_freed());
        if cleaned.is_ok() || self.now >= ends {
            let mut reason = reason.clone();
            let stays: Vec<String> = kept
                .iter()
                .filter_map(|key| self.ledger.get(key))
                .map(|effect| format!("{} {}", noun_of(effect), effect.id()))
                .collect();
            if !stays.is_empty() {
                reason.message = format!("{}; kept: {}", reason.message, stays.join(", "));
                "use what was kept, or delete the restoration together with its \
                                   instance, which deletes it"
                    .clone_into(&mut reason.guidance);
            }
            let is_left = |effect: &&Effect| {
                matches!(effect.request.kind(), EffectKind::Make(_))
                    && goes(effect)
                    && !is_gone(effect)
            };
            let made: Vec<&Effect> = self.ledger.iter().filter(is_left).collect();
            let unswept = self.ledger.iter().filter(|effect| {
                matches!(effect.request, Request::ApplySnapshotsGone { .. })
                    && effect.state != EffectState::Done
            });
            let left: Vec<String> = made
                .into_iter()
                .map(standing)
                .chain(unswept.map(unswept_of))
                .collect();
            if !left.is_empty() {
                reason.message = format!("{}; left behind: {}", reason.message, left.join(", "));
                let then = if reason.guidance == NOTHING_LEFT {
                    ASK_AGAIN
                } else {
                    &reason.guidance
                };
                reason.guidance = format!(
                    "let go of what was left behind where it is used, or let an admin reset its status \
                     where it is stuck, and delete this, which takes it; then {then}"
                );
            }
            self.decision.report.runtime_state = format!("Erred: {}", reason.message);
            self.decision.ending = Ending::Erred(reason);
        } else {
            let there = self.still_there(goes);
            self.decision.report.runtime_state.push_str(&there);
            self.look_again(ends);
        }
        self.count();
        self.decision
    }

    /// Nothing goes on the strength of what was known before: what was asked for may have come to its end
    /// meanwhile. Until all of it was seen once more, no request leaves either.
    fn look_first(mut self, reason: &OperationError, ends: Timestamp) -> Decision {
        self.phase = format!(
            "Looking at what is there before it is given up: {}",
            reason.message
        );
        self.decision.report.runtime_state = format!("{}{}", self.phase, self.not_seen());
        self.decision.looks_only = true;
        self.look_again(ends);
        self.count();
        self.decision
    }

    /// The numbers of the report.
    fn count(&mut self) {
        let total = self.ledger.iter().count() + self.decision.wishes.len();
        // At its goal nothing is left to do, also where something was refused that it could do without.
        let done = if self.decision.ending == Ending::Done {
            total
        } else {
            self.ledger.iter().filter(|one| was_done(one)).count()
        };
        // What is given up never came to all that it needs, whatever it had asked for by then.
        let total = total.max(done + usize::from(self.gives_up));
        let progress: &mut Progress = &mut self.decision.report.progress;
        progress.phase.clone_from(&self.phase);
        progress.effects_done = u32::try_from(done).unwrap_or(u32::MAX);
        progress.effects_total = u32::try_from(total).unwrap_or(u32::MAX);
        progress.started = Some(self.operation.created);
    }
}

/// Whether a request belongs to the clean-up itself.
fn cleans(request: &Request) -> bool {
    matches!(
        request,
        Request::ApplyErrorStatus { .. }
            | Request::ResetBackupStatus { .. }
            | Request::ApplySnapshotsGone { .. }
    )
}

/// What may be left where nobody could look, for an error.
fn unswept_of(effect: &Effect) -> String {
    let image = effect.key.as_str().trim_end_matches("-swept");
    format!("snapshots whose names end in that of {image}, if there are any")
}

/// The key of a record of the chain of a volume: the head's first, then those of what is under it.
pub(super) fn record_key(volume: usize, depth: usize) -> String {
    match depth {
        0 => format!("volume-{volume}-record"),
        depth => format!("volume-{volume}-record-{depth}"),
    }
}

/// The key of the first, the second … of what may be tried several times: `server`, `server-2` …
pub(super) fn key_of_try(first: &str, number: u32) -> String {
    match number {
        1 => first.to_owned(),
        _ => format!("{first}-{number}"),
    }
}

/// The number in such a key, of which the first one has none.
pub(super) fn number_of_try(key: &EffectKey) -> u32 {
    let number = key.as_str().rsplit('-').next();
    number.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What an effect is at, for an error: `volume drb-… (ID) is creating`, or who uses it.
fn standing(effect: &Effect) -> String {
    if let Some(held) = held::standing(effect) {
        return held;
    }
    let id = match effect.id() {
        "" => String::new(),
        id => format!(" ({id})"),
    };
    let status = effect.status.as_deref().unwrap_or(effect.state.name());
    format!("{} {}{id} is {status}", noun_of(effect), effect.name)
}

/// Whether an effect is done. A temporary that was ready and is on its way out has done its work:
/// what was built on it is there, so the lines after it go on.
fn has_served(effect: &Effect) -> bool {
    match effect.state {
        EffectState::Done => true,
        EffectState::Dropping | EffectState::Leaving | EffectState::Gone => {
            effect.disposal == Disposal::Temporary && effect.seen().is_some()
        }
        EffectState::Requested | EffectState::Accepted | EffectState::Failed => false,
    }
}

/// Whether an effect was done, also when what it made has gone since: what was done is not undone in the
/// numbers that people see. Whatever is let go of before it was done has in its row why, and nothing else
/// has; its id may be forgotten, where the cloud said that there is no such thing.
pub(super) fn was_done(effect: &Effect) -> bool {
    match effect.state {
        EffectState::Done => true,
        EffectState::Dropping | EffectState::Leaving | EffectState::Gone => effect.fault.is_none(),
        EffectState::Requested | EffectState::Accepted | EffectState::Failed => false,
    }
}

/// An effect on a volume in words ("volume backup creating").
fn status_of(effect: &Effect) -> String {
    let noun = noun_of(effect);
    match (&effect.status, effect.state.is_settled()) {
        (Some(status), false) => format!("{noun} {status}"),
        _ => format!("{noun} {}", effect.state.name()),
    }
}

/// What an effect is about, in a word.
fn noun_of(effect: &Effect) -> &'static str {
    match effect.request.kind() {
        EffectKind::Make(kind) => kind.noun(),
        EffectKind::Import => "record",
        EffectKind::RestoreInto => "restore",
        EffectKind::Apply => "properties",
        EffectKind::Read => "record export",
        EffectKind::Drop(_) => "deletion",
    }
}
