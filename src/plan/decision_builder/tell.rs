//! What a decision tells: how far each volume is, the numbers, a stall, and what an effect is at, in words; it
//! may not know what happens next.

use std::collections::BTreeMap;

use super::{DecisionBuilder, awaited::activity, clean::cleans, held, was_done};
use crate::domain::{
    decision::Ending,
    effect::{Effect, EffectKind, EffectState},
    error::OperationError,
    id::EffectKey,
    manifest::{Manifest, VolumeFacts},
    progress::{Progress, VolumeProgress},
};

impl DecisionBuilder<'_> {
    /// Each volume by itself, from the newest effect that is about it. Its part is done with the effect whose
    /// key `last` tells, given its place.
    pub(in crate::plan) fn tell_volumes(
        &mut self,
        manifest: &Manifest,
        last: impl Fn(usize) -> EffectKey,
    ) {
        let mut newest_of: BTreeMap<usize, &Effect> = BTreeMap::new();
        for effect in self.ledger.newest_first() {
            if let Some(volume) = effect.key.volume() {
                newest_of.entry(volume).or_insert(effect);
            }
        }
        let tell = |(index, volume): (usize, &VolumeFacts)| {
            let newest = newest_of.get(&index).copied();
            VolumeProgress {
                volume: volume.id.clone(),
                name: volume.name.clone(),
                size_gib: volume.size_gib,
                status: newest.map_or_else(|| "waiting".to_owned(), status_of),
                done: self.effect(&last(index)).is_some_and(was_done),
                failed: newest.is_some_and(|effect| effect.state == EffectState::Failed),
            }
        };
        self.decision.report.progress.volumes =
            manifest.volumes.iter().enumerate().map(tell).collect();
    }

    /// Nothing is wrong with waiting; only whoever looks should know that this is a long one. The
    /// deadline stays where it is.
    pub(super) fn tell_stall(&mut self) {
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

    /// What was waited for when the deadline passed, and why that was not there.
    pub(super) fn deadline_passed(&self, ends_nothing: impl Fn(&Effect) -> bool) -> OperationError {
        let awaited = self.awaited(ends_nothing);
        let while_doing = awaited.map_or_else(
            || self.phase.to_lowercase(),
            |effect| activity(&effect.request),
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

    /// The numbers of the report.
    pub(super) fn count(&mut self) {
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

/// What may be left where nobody could look, for an error.
pub(super) fn unswept_of(effect: &Effect) -> String {
    let image = effect.key.swept_image().unwrap_or(effect.key.as_str());
    format!("snapshots whose names end in that of {image}, if there are any")
}

/// What an effect is at, for an error: `volume drb-… (ID) is creating`, or who uses it.
pub(super) fn standing(effect: &Effect) -> String {
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

/// An effect on a volume in words ("volume backup creating").
fn status_of(effect: &Effect) -> String {
    let noun = noun_of(effect);
    match (&effect.status, effect.state.is_settled()) {
        (Some(status), false) => format!("{noun} {status}"),
        _ => format!("{noun} {}", effect.state.name()),
    }
}

/// What an effect is about, in a word.
pub(super) fn noun_of(effect: &Effect) -> &'static str {
    match effect.request.kind() {
        EffectKind::Make(kind) => kind.noun(),
        EffectKind::Import => "record",
        EffectKind::RestoreInto => "restore",
        EffectKind::Apply => "properties",
        EffectKind::Read => "record export",
        EffectKind::Drop(_) => "deletion",
    }
}
