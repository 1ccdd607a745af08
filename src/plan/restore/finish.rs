//! The last touches, when the server is up: final names, tags, DNS names, and the state that the instance had;
//! it may not know how anything was made.

use super::{ports, stops, trunks, was_refused};
use crate::{
    domain::{
        decision::DesiredEffect,
        effect::{
            Apply, Disposal, Effect, PortSetting, ServerSetting,
            key::{self, Single},
        },
        id::{PortId, SecurityGroupId, ServerId, VolumeId},
        restoration::RestorePlanInput,
    },
    plan::{
        decision_builder::{DecisionBuilder, Step},
        layout::{GroupLayout, Layout},
        placed::{Port, Volume},
    },
};

/// Gives what was made under our names the names of the originals, and the instance the state that it had.
pub(super) fn finish(
    decision: &mut DecisionBuilder<'_>,
    input: &RestorePlanInput,
    layout: &Layout,
    groups: &[SecurityGroupId],
    ports: &[Port<'_>],
    volumes: &[Volume<'_>],
    server: &Effect,
) -> Step<()> {
    let manifest = &input.manifest;
    let tags = Apply::ServerTags {
        server: ServerId::new(server.id()),
        tags: manifest.tags.clone(),
    };
    let mut wishes = vec![decision.wish(Single::ServerTags, tags, Disposal::Keep)];
    let going = volumes.iter();
    let going = going.filter(|volume| volume.facts.delete_on_termination);
    let going: Vec<VolumeId> = going
        .map(|volume| VolumeId::new(volume.effect.id()))
        .collect();
    if !going.is_empty() {
        let request = Apply::DeleteOnTermination {
            server: ServerId::new(server.id()),
            volumes: going,
        };
        wishes.push(decision.wish(Single::ServerVolumes, request, Disposal::Keep));
    }
    for port in ports {
        let request = Apply::PortName {
            port: PortId::new(port.effect.id()),
            name: port.facts.name.clone(),
        };
        wishes.push(decision.wish(key::port(port.place).name(), request, Disposal::Keep));
        if port.layout.kept.bare {
            wishes.push(ports::setting(decision, port, PortSetting::NoAddress));
        }
        // Nova refuses a server whose port has another DNS name than its own (`PortNotUsableDNS`).
        let set = &port.facts.settings;
        if !set.dns_name.is_empty() {
            let setting = PortSetting::DnsName(set.dns_name.clone());
            wishes.push(ports::setting(decision, port, setting));
        }
        if !set.dns_domain.is_empty() {
            let setting = PortSetting::DnsDomain(set.dns_domain.clone());
            wishes.push(ports::setting(decision, port, setting));
        }
    }
    wishes.extend(trunks::names(decision, manifest));
    for (index, (group, id)) in layout.groups.iter().zip(groups).enumerate() {
        if let GroupLayout::Make { name } = group {
            let request = Apply::SecurityGroupName {
                group: id.clone(),
                name: name.clone(),
            };
            wishes.push(decision.wish(key::group(index).name(), request, Disposal::Keep));
        }
    }
    decision.all_that_can(wishes)?;
    if stops(input) {
        let stop = server_setting(decision, server, ServerSetting::Stopped);
        decision.all_that_can(vec![stop])?;
        // One that could not be switched off keeps its ports off: they may have the address of its twin.
        let runs = decision
            .effect(&key::server_setting(&ServerSetting::Stopped))
            .is_some_and(was_refused);
        let wishes = (ports.iter())
            .filter(|port| !port.facts.settings.down && !runs)
            .map(|port| ports::setting(decision, port, PortSetting::Up(true)));
        let wishes = wishes.collect();
        decision.all_that_can(wishes)?;
    }
    if manifest.locked {
        // The last of all: a lock stands in the way of whatever comes after it.
        let lock = ServerSetting::Locked(manifest.locked_reason.clone());
        let lock = server_setting(decision, server, lock);
        decision.all_that_can(vec![lock])?;
    }
    Ok(())
}

fn server_setting(
    decision: &DecisionBuilder<'_>,
    server: &Effect,
    setting: ServerSetting,
) -> DesiredEffect {
    let key = key::server_setting(&setting);
    let request = Apply::ServerSetting {
        server: ServerId::new(server.id()),
        setting,
    };
    decision.wish(key, request, Disposal::Keep)
}
