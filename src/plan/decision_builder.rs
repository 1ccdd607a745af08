//! The decision while it is being made: what planners say in words of their own; it may not know
//! any single operation.

mod awaited;
mod clean;
mod held;
mod stuck;
mod tell;

use std::{collections::BTreeSet, time::Duration};

use self::tell::standing;
use super::{PatienceSettings, is_gone};
use crate::domain::{
    decision::{Decision, DesiredEffect, Detail, Ending},
    effect::{Disposal, Effect, EffectKind, EffectState, Found, Read, Request, key::Tried},
    error::OperationError,
    fault::Fault,
    id::{EffectKey, Tenant},
    ledger::Ledger,
    operation::Operation,
    sighting::ThingKind,
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

/// Two answers together: what cannot be done at all is told before what is not there yet.
pub(super) fn both<A, B>(one: Step<A>, other: Step<B>) -> Step<(A, B)> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Stop::GiveUp(why)), _) | (_, Err(Stop::GiveUp(why))) => Err(Stop::GiveUp(why)),
        (Err(Stop::Pending), _) | (_, Err(Stop::Pending)) => Err(Stop::Pending),
    }
}

/// The decision while it is being made.
pub(super) struct DecisionBuilder<'a> {
    limits: &'a PatienceSettings,
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
        limits: &'a PatienceSettings,
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
    pub(super) fn effect(&self, key: &EffectKey) -> Option<&'a Effect> {
        self.ledger.get(key)
    }

    /// The newest of what may be tried several times.
    pub(super) fn newest_try(&self, tried: &Tried) -> Option<&'a Effect> {
        let keys = (1..).map(|number| tried.try_no(number));
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
    pub(super) fn limits(&self) -> &'a PatienceSettings {
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
        key: impl Into<EffectKey>,
        request: impl Into<Request>,
        disposal: Disposal,
    ) -> DesiredEffect {
        Self::wish_in(self.tenant().clone(), key, request, disposal)
    }

    /// A wish in any tenant.
    pub(super) fn wish_in(
        tenant: Tenant,
        key: impl Into<EffectKey>,
        request: impl Into<Request>,
        disposal: Disposal,
    ) -> DesiredEffect {
        DesiredEffect {
            key: key.into(),
            tenant,
            request: request.into(),
            disposal,
        }
    }

    /// A read: answers what it has found.
    pub(super) fn read<T: Found>(&mut self, key: impl Into<EffectKey>, read: Read) -> Step<&'a T> {
        found(self.one(self.wish(key, read, Disposal::Keep))?)
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
                let makes = matches!(wish.request.kind(), EffectKind::Make(_));
                if makes && !self.operation.can_name(&wish.key) {
                    return Err(Stop::give_up(
                        "INTERNAL",
                        format!("the name of {} is longer than clouds take", wish.key),
                        "report this as a defect",
                    ));
                }
                self.decision.wishes.push(wish);
                Err(Stop::Pending)
            }
        }
    }

    /// A step for each of these, whatever becomes of the others; answers when all are done. What cannot be
    /// done at all is told before what is not there yet.
    pub(super) fn each<I, T>(
        &mut self,
        items: impl IntoIterator<Item = I>,
        mut step: impl FnMut(&mut Self, I) -> Step<T>,
    ) -> Step<Vec<T>> {
        let answers: Vec<Step<T>> = items.into_iter().map(|item| step(self, item)).collect();
        let mut all = Ok(Vec::new());
        for answer in answers {
            all = both(all, answer).map(|(mut all, one)| {
                all.push(one);
                all
            });
        }
        all
    }

    /// Many effects, all asked for before any is waited for; answers when all are done.
    pub(super) fn all(&mut self, wishes: Vec<DesiredEffect>) -> Step<Vec<&'a Effect>> {
        let (total, mut done) = (wishes.len(), 0);
        let all = self.each(wishes, |decision, wish| {
            decision.one(wish).inspect(|_| done += 1)
        });
        if all.is_err() && total > 1 {
            let phase = &self.phase;
            self.decision.report.runtime_state = format!("{phase}, {done} of {total}");
        }
        all
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

    /// Whether an effect was refused and what is there is worth the wait: for what an operator can mend, for what
    /// passes and did not often enough (a service that answers 500 to everybody), and, where it costs nothing
    /// that could not be made again, for whatever reason.
    fn is_held(&self, effect: &Effect) -> bool {
        let mends = |fault: &Fault| fault.mended_by_operator() || fault.may_pass();
        self.holds
            && effect.state == EffectState::Failed
            && effect.thing().is_none()
            && (is_worth_less(&effect.request) || effect.fault.as_ref().is_some_and(mends))
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
}

/// What an effect that is done has found.
pub(super) fn found<T: Found>(effect: &Effect) -> Step<&T> {
    effect.found().ok_or_else(|| {
        Stop::give_up(
            "INTERNAL",
            format!("the ledger does not hold what `{}` has found", effect.key),
            "report this as a defect",
        )
    })
}

/// Whether it is made within moments, and out of what took hours: a group, a port, a server of volumes that have
/// their bytes. A cloud that refuses it may have been changed meanwhile, and can be changed back; the volumes
/// cannot.
fn is_worth_less(request: &Request) -> bool {
    match request.kind() {
        EffectKind::Make(kind) => match kind {
            ThingKind::SecurityGroup
            | ThingKind::KeyPair
            | ThingKind::Port
            | ThingKind::Trunk
            | ThingKind::Server => true,
            ThingKind::Volume
            | ThingKind::VolumeBackup
            | ThingKind::Snapshot
            | ThingKind::GroupSnapshot
            | ThingKind::Image => false,
        },
        EffectKind::Apply | EffectKind::Read => true,
        EffectKind::Import | EffectKind::RestoreInto | EffectKind::Drop(_) => false,
    }
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
