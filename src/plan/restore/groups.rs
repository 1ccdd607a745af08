//! The security groups and the key pair of a restoration, found in the target or made; it may not know the
//! ports and the server that they are for.

use super::was_refused;
use crate::{
    domain::{
        effect::{
            Apply, Disposal, Effect, Make,
            key::{self, Single},
        },
        id::SecurityGroupId,
        manifest::SecurityGroupRule,
        restoration::RestorePlanInput,
    },
    plan::{
        decision_builder::{DecisionBuilder, Step},
        layout::{GroupLayout, KeyLayout, Layout},
    },
};

/// The groups of the target in the order of the manifest's: found by content, or made with rules.
pub(super) fn create(
    decision: &mut DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
) -> Step<Vec<SecurityGroupId>> {
    let facts = &input.manifest.security_groups;
    let wishes = layout.groups.iter().zip(facts).enumerate().filter_map(
        |(index, (group, facts))| match group {
            GroupLayout::Found(_) => None,
            GroupLayout::Make { .. } => {
                let request = Make::SecurityGroup {
                    description: facts.description.clone(),
                    stateful: facts.stateful,
                };
                Some(decision.wish(key::group(index).made(), request, Disposal::Product))
            }
        },
    );
    decision.all(wishes.collect())?;
    let ids = ids(decision, layout);
    // Rules come second, because they may name any of the groups.
    let target_of = |source: &SecurityGroupId| {
        facts
            .iter()
            .position(|group| group.id == *source)
            .and_then(|index| ids.get(index))
            .cloned()
    };
    let groups = layout.groups.iter().zip(facts).zip(&ids).enumerate();
    let wishes = groups.filter_map(|(index, ((group, facts), id))| {
        if matches!(group, GroupLayout::Found(_)) {
            return None;
        }
        // A rule without what narrows it would let in or out more than it did.
        let whole = facts
            .rules
            .iter()
            .filter(|rule| rule.restrictions.is_empty());
        let rules = whole.filter_map(|rule| match &rule.remote_group {
            None => Some(rule.clone()),
            Some(source) => Some(SecurityGroupRule {
                remote_group: Some(target_of(source)?),
                ..rule.clone()
            }),
        });
        let request = Apply::SecurityGroupRules {
            group: id.clone(),
            rules: rules.collect(),
        };
        Some(decision.wish(key::group(index).rules(), request, Disposal::Keep))
    });
    decision.all(wishes.collect())?;
    Ok(ids)
}

/// The groups of the target in the order of the manifest's; one that is not made yet has an empty id.
pub(super) fn ids(decision: &DecisionBuilder<'_>, layout: &Layout) -> Vec<SecurityGroupId> {
    let groups = layout.groups.iter().enumerate();
    let ids = groups.map(|(index, group)| match group {
        GroupLayout::Found(id) => id.clone(),
        GroupLayout::Make { .. } => {
            let made = decision.effect(&key::group(index).made());
            SecurityGroupId::new(made.map(Effect::id).unwrap_or_default())
        }
    });
    ids.collect()
}

/// The name of the key pair, where there is one; without it the server boots all the same.
pub(super) fn create_key(
    decision: &mut DecisionBuilder<'_>,
    layout: &Layout,
) -> Step<Option<String>> {
    match &layout.key {
        KeyLayout::None => Ok(None),
        KeyLayout::Found(name) => Ok(Some(name.clone())),
        KeyLayout::Make {
            name,
            public_key,
            kind,
        } => {
            let request = Make::KeyPair {
                name: name.clone(),
                public_key: public_key.clone(),
                kind: kind.clone(),
            };
            decision.all_that_can(vec![decision.wish(
                Single::KeyPair,
                request,
                Disposal::Keep,
            )])?;
            let made = decision.effect(&Single::KeyPair.into());
            let made = made.is_some_and(|key| !was_refused(key));
            Ok(made.then(|| name.clone()))
        }
    }
}
