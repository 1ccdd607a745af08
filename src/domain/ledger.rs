//! All effects of one operation; it may not know who writes them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    effect::{Effect, EffectState},
    fault::Fault,
    id::EffectKey,
};

/// All effects of one operation, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    effects: BTreeMap<EffectKey, Effect>,
    unseen: BTreeSet<EffectKey>,
}

impl Ledger {
    /// A ledger of these rows.
    pub fn new(effects: impl IntoIterator<Item = Effect>) -> Self {
        Self {
            effects: effects
                .into_iter()
                .map(|effect| (effect.key.clone(), effect))
                .collect(),
            unseen: BTreeSet::new(),
        }
    }

    /// Says of which open effects the rows are history: nobody has looked lately. Not stored.
    pub fn set_unseen(&mut self, unseen: BTreeSet<EffectKey>) {
        self.unseen = unseen;
    }

    /// The open effects whose rows are history, and nothing to destroy anything upon.
    pub fn unseen(&self) -> &BTreeSet<EffectKey> {
        &self.unseen
    }

    /// The effect of that key.
    pub fn get(&self, key: &EffectKey) -> Option<&Effect> {
        self.effects.get(key)
    }

    /// Puts a row in, or in place of the one of the same key.
    pub fn put(&mut self, effect: Effect) {
        self.effects.insert(effect.key.clone(), effect);
    }

    /// The rows in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.effects.values()
    }

    /// The rows, newest wish first.
    pub fn newest_first(&self) -> Vec<&Effect> {
        let mut rows: Vec<&Effect> = self.effects.values().collect();
        rows.sort_by_key(|effect| std::cmp::Reverse(effect.ordinal));
        rows
    }

    /// The next ordinal.
    pub fn next_ordinal(&self) -> u32 {
        self.effects
            .values()
            .map(|effect| effect.ordinal + 1)
            .max()
            .unwrap_or(0)
    }

    /// The earliest wished effect that failed for good and is not forgiven; it keeps its fault
    /// when it is dropped later.
    pub fn first_failure(&self, forgiven: impl Fn(&Effect) -> bool) -> Option<(&Effect, &Fault)> {
        self.effects
            .values()
            .filter(|effect| !forgiven(effect))
            .filter(|effect| match effect.state {
                EffectState::Failed => true,
                EffectState::Dropping | EffectState::Leaving | EffectState::Gone => {
                    effect.fault.as_ref().is_some_and(|fault| !fault.may_pass())
                }
                EffectState::Requested | EffectState::Accepted | EffectState::Done => false,
            })
            .filter_map(|effect| effect.fault.as_ref().map(|fault| (effect, fault)))
            .min_by_key(|(effect, _)| effect.ordinal)
    }
}
