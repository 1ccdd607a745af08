//! The ports of a restoration and what is set on them; it may not know the server that they are for.

use super::{Kept, kept, stops, trunks};
use crate::{
    domain::{
        decision::DesiredEffect,
        effect::{Apply, Disposal, Make, NewPort, PortSetting, Request, key},
        id::{PortId, SecurityGroupId},
        restoration::RestorePlanInput,
    },
    plan::{
        decision_builder::{DecisionBuilder, Step},
        layout::Layout,
        placed::{Placed, Port},
        volumes,
    },
};

/// The ports that stand, each with its place; a wish that is refused falls, and the others stay.
pub(super) fn create<'p, 'a: 'p>(
    decision: &mut DecisionBuilder<'a>,
    input: &'p RestorePlanInput,
    layout: &'p Layout,
    groups: &[SecurityGroupId],
) -> Step<Vec<Port<'p>>> {
    let every_port = input.manifest.every_port();
    let cards = input.manifest.ports.len();
    let mut made = Vec::new();
    // What a sub port is made with may be what its parent has got.
    for places in [0..cards, cards..layout.ports.len()] {
        let (mut standing, mut wishes) = (Vec::new(), Vec::new());
        for index in places {
            let kept = trunks::kept(decision, &input.manifest, layout, index);
            let tried = kept::tried(decision, index, &kept);
            if decision.effect(&tried.key).is_some_and(volumes::was_let_go) {
                continue;
            }
            let request = request(input, layout, index, groups, &tried.kept);
            standing.push(index);
            wishes.push(decision.wish(tried.key, request, Disposal::Product));
        }
        let ports = standing.into_iter().zip(decision.all(wishes)?);
        made.extend(ports.map(|(place, effect)| Placed {
            place,
            facts: every_port[place],
            layout: &layout.ports[place],
            effect,
        }));
    }
    Ok(made)
}

/// Sets what else was set on the ports, before the guest comes up and asks for it.
pub(super) fn set(decision: &mut DecisionBuilder<'_>, ports: &[Port<'_>]) -> Step<()> {
    let mut wishes = Vec::new();
    for port in ports {
        let set = &port.facts.settings;
        let mut all = Vec::new();
        if !set.description.is_empty() {
            all.push(PortSetting::Description(set.description.clone()));
        }
        if !set.address_pairs.is_empty() {
            all.push(PortSetting::AddressPairs(set.address_pairs.clone()));
        }
        if !set.dhcp_options.is_empty() {
            all.push(PortSetting::DhcpOptions(set.dhcp_options.clone()));
        }
        if let Some(policy) = &set.qos_policy {
            all.push(PortSetting::QosPolicy(policy.clone()));
        }
        if !set.tags.is_empty() {
            all.push(PortSetting::Tags(set.tags.clone()));
        }
        wishes.extend(all.into_iter().map(|value| setting(decision, port, value)));
    }
    decision.all_that_can(wishes)
}

/// One thing to set on a port that stands.
pub(super) fn setting(
    decision: &DecisionBuilder<'_>,
    port: &Port<'_>,
    setting: PortSetting,
) -> DesiredEffect {
    let key = key::port(port.place).setting(&setting);
    let request = Apply::PortSetting {
        port: PortId::new(port.effect.id()),
        setting,
    };
    decision.wish(key, request, Disposal::Keep)
}

fn request(
    input: &RestorePlanInput,
    layout: &Layout,
    index: usize,
    groups: &[SecurityGroupId],
    kept: &Kept,
) -> Request {
    let (facts, port) = (input.manifest.every_port()[index], &layout.ports[index]);
    let wished = &input.options.security_groups;
    let security_groups = if !facts.port_security {
        Vec::new()
    } else if wished.is_empty() {
        let known = &input.manifest.security_groups;
        let index_of = |id: &SecurityGroupId| known.iter().position(|group| group.id == *id);
        let ids = facts
            .security_groups
            .iter()
            .filter_map(|id| groups.get(index_of(id)?).cloned());
        ids.collect()
    } else {
        wished.clone()
    };
    Request::Make(Make::Port(NewPort {
        network: port.network.clone(),
        fixed: kept.fixed.clone(),
        mac: kept.mac.clone(),
        security_groups,
        port_security: (!facts.port_security).then_some(false),
        vnic_type: (facts.vnic_type != "normal").then(|| facts.vnic_type.clone()),
        // It loses its address when the server has it.
        bare: false,
        down: facts.settings.down || stops(input),
        default_group: facts.security_groups.is_empty() && facts.id.is_none() && wished.is_empty(),
        uplink_status: port.uplink_status,
    }))
}
