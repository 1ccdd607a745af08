//! The ports of a server and what they are wired to: networks, subnets, floating addresses and
//! security groups; this file may not know what else a server has.

use std::collections::BTreeSet;

use super::{
    access::Access,
    network::{self, FloatingAddress, Network, Subnet},
    port::Port,
    security_group::SecurityGroup,
    server::Server,
};
use crate::domain::{
    fault::Fault,
    id::{NetworkId, SecurityGroupId, ServerId, SubnetId, Tenant},
    manifest::{FixedAddress, PortFacts},
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
        .gathered(
            &collection,
            "device_id",
            vec![id.as_str().to_owned()],
            |servers| network::portions(access, "ports", "device_id", servers, Some(project)),
        )
        .await
}

/// Nova tells the addresses in the order of the network cards, Neutron the ports in none.
pub(super) fn in_order(mut ports: Vec<Port>, server: &Server) -> Vec<Port> {
    let macs: Vec<&str> = server
        .addresses
        .0
        .iter()
        .flatten()
        .filter_map(|address| address.mac.as_deref())
        .collect();
    ports.sort_by_key(|port| {
        let position = macs
            .iter()
            .position(|mac| mac.eq_ignore_ascii_case(&port.mac_address));
        (
            position.unwrap_or(usize::MAX),
            port.created_at.clone(),
            port.id.clone(),
        )
    });
    ports
}

/// What the ports of a server are wired to.
pub(super) struct Wires {
    networks: Vec<Network>,
    subnets: Vec<Subnet>,
    floating: Vec<FloatingAddress>,
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
    let (networks, subnets, floating) = futures::try_join!(
        network::having(access, "networks", "id", &network_ids),
        network::having(access, "subnets", "id", &subnet_ids),
        network::floating(access, &port_ids),
    )?;
    Ok(Wires {
        networks,
        subnets,
        floating,
    })
}

impl Wires {
    /// A port with the names of what it is wired to.
    pub(super) fn facts(&self, port: &Port) -> PortFacts {
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
        }
    }
}

/// The groups, and those that their rules refer to.
pub(super) async fn read_groups(
    access: &Access,
    ids: Vec<String>,
) -> Result<Vec<SecurityGroup>, Fault> {
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
    Ok(groups)
}
