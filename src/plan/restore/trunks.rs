//! Trunks and the sub ports that they are made of; it may not know how a port is made.
//!
//! A trunk is made on its parent port before the server: a parent port that is bound is refused by some
//! drivers. An instance is worth more than its trunk, so one that is refused falls alone, and its sub ports,
//! which nothing could reach any more, go again.

use super::{Kept, kept, was_refused};
use crate::{
    domain::{
        effect::{Apply, Disposal, Effect, Make, NewTrunk, PortAddresses, SubPort, key},
        id::{PortId, TrunkId},
        manifest::Manifest,
        restoration::RestorePlanInput,
    },
    plan::{
        decision_builder::{DecisionBuilder, Step},
        layout::Layout,
        placed::Port,
    },
};

/// Makes the trunks, and lets go of the sub ports of those that are refused. `ports` are the ports that
/// stand.
pub(super) fn create(
    decision: &mut DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
    ports: &[Port<'_>],
) -> Step<()> {
    if layout.without_trunks {
        return Ok(());
    }
    let at = |place: usize| {
        let mut ports = ports.iter();
        ports
            .find(|port| port.place == place)
            .map(|port| port.effect)
    };
    let trunks = input.manifest.trunks();
    let mut wishes = Vec::new();
    for (parent, trunk, places) in &trunks {
        let sub_ports = trunk.sub_ports.iter().zip(places.clone());
        let sub_ports = sub_ports.filter_map(|(sub, place)| {
            Some(SubPort {
                port: PortId::new(at(place)?.id()),
                segmentation_type: sub.segmentation_type.clone(),
                segmentation_id: sub.segmentation_id,
            })
        });
        let Some(port) = at(*parent) else { continue };
        let request = Make::Trunk(NewTrunk {
            port: PortId::new(port.id()),
            sub_ports: sub_ports.collect(),
            description: trunk.description.clone(),
            down: trunk.down,
        });
        wishes.push(decision.wish(key::port(*parent).trunk(), request, Disposal::Product));
    }
    decision.all_that_can(wishes)?;
    let refused = trunks.into_iter().filter(|(parent, _, _)| {
        let trunk = decision.effect(&key::port(*parent).trunk());
        trunk.is_some_and(was_refused)
    });
    let cut_off: Vec<&Effect> = refused
        .flat_map(|(_, _, places)| places.filter_map(at))
        .collect();
    decision.each(cut_off, DecisionBuilder::gone).map(drop)
}

/// Gives the trunks that stand their names and tags.
pub(super) fn names(
    decision: &DecisionBuilder<'_>,
    manifest: &Manifest,
) -> Vec<crate::domain::decision::DesiredEffect> {
    let trunks = manifest.trunks().into_iter();
    trunks
        .filter_map(|(parent, trunk, _)| {
            let made = decision.effect(&key::port(parent).trunk())?;
            if was_refused(made) {
                return None;
            }
            let request = Apply::Trunk {
                trunk: TrunkId::new(made.id()),
                name: trunk.name.clone(),
                tags: trunk.tags.clone(),
            };
            Some(decision.wish(key::port(parent).trunk_name(), request, Disposal::Keep))
        })
        .collect()
}

/// What of the port at a place is to be as it was. A VLAN interface of a guest has the MAC address of the
/// card under it, unless it was given another one: so a sub port that had the address of its parent gets
/// the one that its parent gets, kept or not.
pub(super) fn kept(
    decision: &DecisionBuilder<'_>,
    manifest: &Manifest,
    layout: &Layout,
    place: usize,
) -> Kept {
    let own = layout.ports[place].kept.clone();
    let mut trunks = manifest.trunks().into_iter();
    let Some((parent, _, _)) = trunks.find(|(_, _, places)| places.contains(&place)) else {
        return own;
    };
    let (facts, of_parent) = (manifest.every_port()[place], &manifest.ports[parent]);
    if facts.mac.is_empty() || !facts.mac.eq_ignore_ascii_case(&of_parent.mac) {
        return own;
    }
    let key = kept::tried(decision, parent, &layout.ports[parent].kept).key;
    let got: Option<&PortAddresses> = decision.effect(&key).and_then(Effect::found);
    // Of a port that was found by its name nobody has told.
    match got.filter(|got| !got.mac.is_empty()) {
        Some(got) => Kept {
            mac: Some(got.mac.clone()),
            ..own
        },
        None => own,
    }
}
