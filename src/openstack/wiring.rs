//! The ports of a server and what they are wired to: networks, subnets, floating addresses and
//! security groups; this file may not know what else a server has.

use std::collections::{BTreeSet, VecDeque};

use futures::future::try_join_all;
use serde::Deserialize;

use super::{
    access::Access,
    call::Call,
    network::{self, FloatingAddress, Network, Subnet},
    path::Path,
    port::{self, Port},
    security_group::{self, AddressGroup, SecurityGroup},
    server::Server,
    trunk::Wired,
    version::Microversion,
    wire::nullable,
};
use crate::domain::{
    fault::{Fault, Service},
    id::{NetworkId, PortId, SecurityGroupId, ServerId, SubnetId, Tenant, TrunkId},
    manifest::{FixedAddress, PortFacts, SubPortFacts, TrunkFacts},
};

/// Rounds of security groups that refer to further ones.
const GROUP_ROUNDS_MAX: usize = 4;

/// The ports of a server.
pub(super) async fn read_ports(
    access: &Access,
    tenant: &Tenant,
    id: &ServerId,
) -> Result<Vec<Port>, Fault> {
    let project = tenant.project.as_str();
    let collection = format!("ports of project {project}");
    access
        .coalesced(
            &collection,
            "device_id",
            vec![id.as_str().to_owned()],
            |servers| network::portions(access, "ports", "device_id", servers, Some(project)),
        )
        .await
}

/// The tags of the network cards, which Nova tells from here on.
const CARD_TAGS: Microversion = Microversion(2, 70);

#[derive(Deserialize)]
struct Cards {
    #[serde(rename = "interfaceAttachments")]
    cards: Vec<Card>,
}

/// A network card as Nova shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Card {
    #[serde(default, deserialize_with = "nullable")]
    port_id: String,
    #[serde(default)]
    tag: Option<String>,
}

/// The network cards of a server, for their tags; none where Nova does not tell them, so that nobody asks.
pub(super) async fn read_cards(access: &Access, id: &ServerId) -> Result<Vec<Card>, Fault> {
    let version = access.first_of(Service::Compute, &[CARD_TAGS]).await?;
    if version.is_none() {
        return Ok(Vec::new());
    }
    let call = Call::get(
        Service::Compute,
        Path::of("servers", &id).word("os-interface"),
        format!("list the network cards of the server {id}"),
    );
    match access.read::<Cards>(&call.at(version)).await {
        Ok(found) => Ok(found.cards),
        Err(fault) if network::is_refusal(&fault) => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

/// The ports in the order of the network cards, and whether it is sure.
///
/// Nova knows that order and shows it only by network (`addresses`): in the order of the first card in
/// each, and within it in that of its cards (`get_networks_for_nw_info` of Zed and 2026.1). `os-interface`
/// is in the order of Neutron, which is none. So cards on the networks A, B, A are told as A, A, B: where
/// that may be, the times at which the ports were made decide, and whoever reads it is told that they did.
pub(super) fn in_order(ports: Vec<Port>, server: &Server, wires: &Wires) -> (Vec<Port>, bool) {
    let made = |port: &Port| (port.created_at.clone(), port.id.clone());
    let mut left = ports;
    let mut lanes: Vec<VecDeque<Port>> = Vec::new();
    for (label, addresses) in &server.addresses.0 {
        let macs: Vec<&str> = addresses
            .iter()
            .filter_map(|one| one.mac.as_deref())
            .collect();
        let place = |port: &Port| {
            let mut macs = macs.iter();
            macs.position(|mac| mac.eq_ignore_ascii_case(&port.mac_address))
        };
        // One without an address has only its network to be found by.
        let (mut lane, others): (Vec<Port>, Vec<Port>) = left.into_iter().partition(|port| {
            place(port).is_some()
                || port.fixed_ips.is_empty() && wires.name_of(&port.network_id) == label
        });
        left = others;
        lane.sort_by_key(|port| (place(port).unwrap_or(usize::MAX), made(port)));
        lanes.push(lane.into());
    }
    lanes.retain(|lane| !lane.is_empty());
    let sure = lanes.len() < 2 || lanes.iter().all(|lane| lane.len() == 1);
    let mut ordered = Vec::new();
    // So many networks have shown a card; the next one may show its first.
    let mut opened = 0;
    // Ends with the lanes: each round takes a port out of one.
    while lanes.iter().any(|lane| !lane.is_empty()) {
        let heads = lanes.iter().take(opened + 1).enumerate();
        let first = heads
            .filter_map(|(index, lane)| Some((index, lane.front()?)))
            .min_by_key(|(index, port)| (port.created_at.clone(), *index))
            .map(|(index, _)| index);
        let Some(index) = first else { break };
        opened = opened.max(index + 1);
        ordered.extend(lanes[index].pop_front());
    }
    left.sort_by_key(made);
    ordered.extend(left);
    (ordered, sure)
}

/// What the ports of a server are wired to.
pub(super) struct Wires {
    networks: Vec<Network>,
    subnets: Vec<Subnet>,
    floating: Vec<FloatingAddress>,
    /// The names of `QoS` policies, by their ids.
    policies: Vec<(String, Option<String>)>,
}

/// What the ports are wired to.
pub(super) async fn read_wires(access: &Access, ports: &[Port]) -> Result<Wires, Fault> {
    let unique = |values: Vec<String>| -> Vec<String> {
        values
            .into_iter()
            .filter(|value| !value.is_empty())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    let network_ids = unique(ports.iter().map(|port| port.network_id.clone()).collect());
    let subnet_ids = unique(
        ports
            .iter()
            .flat_map(|port| port.fixed_ips.iter().map(|fixed| fixed.subnet_id.clone()))
            .collect(),
    );
    let port_ids: Vec<String> = ports.iter().map(|port| port.id.clone()).collect();
    let policy_ids = unique(
        ports
            .iter()
            .filter_map(|port| port.qos_policy_id.clone())
            .collect(),
    );
    let policies = try_join_all(policy_ids.into_iter().map(|id| async move {
        let name = port::policy_name(access, &id).await?;
        Ok((id, name))
    }));
    let (networks, subnets, floating, policies) = futures::try_join!(
        network::having(access, "networks", "id", &network_ids),
        network::having(access, "subnets", "id", &subnet_ids),
        network::floating(access, &port_ids),
        policies,
    )?;
    Ok(Wires {
        networks,
        subnets,
        floating,
        policies,
    })
}

impl Wires {
    fn name_of(&self, network: &str) -> &str {
        let mut known = self.networks.iter();
        known
            .find(|known| known.id == network)
            .map_or("", |known| &known.name)
    }

    /// The name of the `QoS` policy of a port, else its id.
    fn policy_of(&self, port: &Port) -> Option<String> {
        let id = port.qos_policy_id.as_ref()?;
        let name = self.policies.iter().find(|(known, _)| known == id);
        Some(
            name.and_then(|(_, name)| name.clone())
                .unwrap_or_else(|| id.clone()),
        )
    }

    /// A port with the names of what it is wired to.
    fn facts(&self, port: &Port, cards: &[Card]) -> PortFacts {
        let card = cards.iter().find(|card| card.port_id == port.id);
        let card_tag = card.and_then(|card| card.tag.clone());
        let network = self
            .networks
            .iter()
            .find(|known| known.id == port.network_id);
        PortFacts {
            name: port.name.clone(),
            network: NetworkId::new(port.network_id.clone()),
            network_name: network.map(|known| known.name.clone()).unwrap_or_default(),
            mac: port.mac_address.clone(),
            fixed: port
                .fixed_ips
                .iter()
                .map(|fixed| {
                    let subnet = self
                        .subnets
                        .iter()
                        .find(|known| known.id == fixed.subnet_id);
                    FixedAddress {
                        subnet: SubnetId::new(fixed.subnet_id.clone()),
                        subnet_name: subnet.map(|known| known.name.clone()).unwrap_or_default(),
                        cidr: subnet.map(|known| known.cidr.clone()).unwrap_or_default(),
                        address: fixed.ip_address.clone(),
                    }
                })
                .collect(),
            floating: self
                .floating
                .iter()
                .filter(|floating| floating.port_id.as_deref() == Some(port.id.as_str()))
                .map(|floating| floating.floating_ip_address.clone())
                .collect(),
            security_groups: port
                .security_groups
                .iter()
                .map(|group| SecurityGroupId::new(group.clone()))
                .collect(),
            port_security: port.port_security_enabled.unwrap_or(true),
            vnic_type: port
                .vnic_type
                .clone()
                .unwrap_or_else(|| "normal".to_owned()),
            id: Some(PortId::new(port.id.clone())),
            settings: port.settings(self.policy_of(port), card_tag),
            trunk: None,
        }
    }

    /// The same with its trunk, where it is the parent of one of these.
    pub(super) fn facts_with_trunk(
        &self,
        port: &Port,
        cards: &[Card],
        trunks: &[Wired],
    ) -> PortFacts {
        let wired = trunks.iter().find(|wired| wired.trunk.port_id == port.id);
        PortFacts {
            trunk: wired.map(|wired| self.trunk(wired)),
            ..self.facts(port, cards)
        }
    }

    fn trunk(&self, wired: &Wired) -> TrunkFacts {
        let trunk = &wired.trunk;
        let sub_ports = wired.sub_ports.iter().map(|(sub, port)| SubPortFacts {
            segmentation_type: sub.segmentation_type.clone(),
            segmentation_id: sub.segmentation_id,
            port: self.facts(port, &[]),
        });
        TrunkFacts {
            id: Some(TrunkId::new(trunk.id.clone())),
            name: trunk.name.clone(),
            description: trunk.description.clone(),
            down: trunk.admin_state_up == Some(false),
            tags: trunk.tags.clone(),
            sub_ports: sub_ports.collect(),
        }
    }
}

/// The groups, and those that their rules refer to, with the address groups.
pub(super) async fn read_groups(
    access: &Access,
    ids: Vec<String>,
) -> Result<(Vec<SecurityGroup>, Vec<AddressGroup>), Fault> {
    let mut asked: BTreeSet<String> = ids.iter().cloned().collect();
    let mut groups: Vec<SecurityGroup> = Vec::new();
    let mut next = ids;
    for _ in 0..GROUP_ROUNDS_MAX {
        if next.is_empty() {
            break;
        }
        let found: Vec<SecurityGroup> =
            network::having(access, "security-groups", "id", &next).await?;
        next = found
            .iter()
            .flat_map(SecurityGroup::remote_groups)
            .filter(|id| !asked.contains(*id))
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        asked.extend(next.iter().cloned());
        groups.extend(found);
    }
    let addresses = security_group::address_groups(access, &groups).await?;
    Ok((groups, addresses))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The names of ports on networks, made in these seconds, in the order that is found for them.
    fn order(addresses: &str, ports: &[(&str, &str, u32)]) -> (Vec<String>, bool) {
        let document = format!(r#"{{"id": "s", "addresses": {addresses}}}"#);
        let server: Server = serde_json::from_str(&document).unwrap();
        let port = |(name, network, second): &(&str, &str, u32)| -> Port {
            let fixed = if name.starts_with("bare") {
                json!([])
            } else {
                json!([{"ip_address": "10.0.0.1"}])
            };
            serde_json::from_value(json!({"id": name, "name": name, "network_id": network,
                "mac_address": name, "fixed_ips": fixed,
                "created_at": format!("2026-01-01T00:00:{second:02}Z")}))
            .unwrap()
        };
        let networks = ["a", "b"].map(|id| -> Network {
            serde_json::from_value::<Value>(json!({"id": id, "name": id}))
                .and_then(serde_json::from_value)
                .unwrap()
        });
        let wires = Wires {
            networks: networks.to_vec(),
            subnets: Vec::new(),
            floating: Vec::new(),
            policies: Vec::new(),
        };
        let (ports, sure) = in_order(ports.iter().map(port).collect(), &server, &wires);
        (ports.into_iter().map(|port| port.name).collect(), sure)
    }

    fn cards(network: &str, macs: &[&str]) -> String {
        let cards = macs
            .iter()
            .map(|mac| json!({"OS-EXT-IPS-MAC:mac_addr": mac}));
        format!("{}: {}", json!(network), Value::Array(cards.collect()))
    }

    #[test]
    fn one_card_in_each_network_is_in_the_order_that_nova_tells() {
        let addresses = format!("{{{}, {}}}", cards("b", &["x"]), cards("a", &["y"]));
        let (names, sure) = order(&addresses, &[("y", "a", 0), ("x", "b", 1)]);
        assert_eq!((names, sure), (vec!["x".to_owned(), "y".to_owned()], true));
    }

    #[test]
    fn several_cards_in_one_of_several_networks_go_by_their_times_and_that_is_told() {
        let addresses = format!("{{{}, {}}}", cards("a", &["x", "z"]), cards("b", &["y"]));
        let (names, sure) = order(&addresses, &[("x", "a", 0), ("y", "b", 1), ("z", "a", 2)]);
        assert_eq!((names.concat().as_str(), sure), ("xyz", false));
        // The first card is that of the first network, whatever its time says.
        let (names, _) = order(&addresses, &[("x", "a", 9), ("y", "b", 1), ("z", "a", 2)]);
        assert_eq!(names.concat(), "xyz");
    }

    #[test]
    fn a_card_without_an_address_is_found_by_its_network() {
        let addresses = format!("{{{}, {}}}", cards("b", &[]), cards("a", &["y"]));
        let (names, sure) = order(&addresses, &[("y", "a", 0), ("bare", "b", 5)]);
        assert_eq!((names.concat().as_str(), sure), ("barey", true));
    }
}
