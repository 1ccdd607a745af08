//! Networks and subnets; they may not know which ports use them beyond asking.

use serde_json::{Value, json};

use super::address::Block;
use super::{Ask, Row, absent, bad, conflict, fresh, port, see, text, truth};
use crate::sim::config::Release;
use crate::sim::reply::{Reply, neutron_fault};
use crate::sim::world::{Kind, World};

/// Makes a network and gives its id.
pub(crate) fn make(world: &mut World, project: &str, name: &str) -> String {
    let mut wanted = Row::new();
    wanted.insert("name".to_owned(), json!(name));
    create(world, project, &wanted)
}

pub(super) fn create(world: &mut World, project: &str, wanted: &Row) -> String {
    let mut row = fresh(world, project, wanted);
    let defaults = json!({"admin_state_up": true, "mtu": 1450, "status": "ACTIVE", "subnets": [],
        "shared": false, "availability_zone_hints": [], "availability_zones": [],
        "ipv4_address_scope": null, "ipv6_address_scope": null, "router:external": false,
        "port_security_enabled": true, "is_default": false, "provider:network_type": "vxlan",
        "provider:physical_network": null, "provider:segmentation_id": 100});
    row.extend(defaults.as_object().cloned().unwrap_or_default());
    if world.config.release == Release::Gazpacho {
        row.insert("qinq".to_owned(), json!(false));
        row.insert("vlan_transparent".to_owned(), json!(false));
    }
    fill(&mut row, wanted);
    let id = text(&row, "id").to_owned();
    world.remember(Kind::Network, &id, text(&row, "name"), project);
    world.neutron.put("networks", row);
    id
}

/// Takes over what was asked for, but for the owner.
pub(super) fn fill(row: &mut Row, wanted: &Row) {
    for (key, value) in wanted {
        if !["tenant_id", "project_id"].contains(&key.as_str()) {
            row.insert(key.clone(), value.clone());
        }
    }
}

/// Makes a subnet with everything by default and gives its id.
pub(crate) fn make_subnet(
    world: &mut World,
    project: &str,
    network: &str,
    name: &str,
    cidr: &str,
) -> String {
    let mut wanted = Row::new();
    wanted.insert("name".to_owned(), json!(name));
    wanted.insert("network_id".to_owned(), json!(network));
    let block = Block::parse(cidr);
    match block {
        Some(block) => put_subnet(world, project, network, block, &wanted),
        None => String::new(),
    }
}

pub(super) fn create_subnet(
    world: &mut World,
    ask: &Ask<'_>,
    project: &str,
    wanted: &Row,
) -> Result<String, Reply> {
    let id = text(wanted, "network_id");
    let network = see(world, ask, "networks", "network", id)?;
    if text(network, "project_id") != ask.who.project && !ask.who.is_admin() {
        return Err(absent("network", id));
    }
    let cidr = text(wanted, "cidr");
    let Some(block) = Block::parse(cidr) else {
        return Err(bad(&format!(
            "Invalid input for cidr. Reason: '{cidr}' is not a valid IP subnet."
        )));
    };
    let others = world
        .neutron
        .rows("subnets")
        .filter(|other| text(other, "network_id") == id);
    let overlap = others
        .filter_map(|other| Block::parse(text(other, "cidr")))
        .any(|other| other.overlaps(block));
    if overlap {
        return Err(neutron_fault(
            400,
            "InvalidInput",
            &format!(
                "Invalid input for operation: Requested subnet with cidr: {cidr} for network: {id} overlaps with another subnet."
            ),
        ));
    }
    Ok(put_subnet(world, project, id, block, wanted))
}

fn put_subnet(
    world: &mut World,
    project: &str,
    network: &str,
    block: Block,
    wanted: &Row,
) -> String {
    let mut row = fresh(world, project, wanted);
    let (first, last) = block.pool();
    let defaults = json!({"network_id": network, "ip_version": if block.is_six() { 6 } else { 4 },
        "enable_dhcp": true, "ipv6_ra_mode": null, "ipv6_address_mode": null,
        "gateway_ip": block.gateway(), "allocation_pools": [{"start": first, "end": last}],
        "host_routes": [], "dns_nameservers": [], "service_types": [], "subnetpool_id": null});
    row.extend(defaults.as_object().cloned().unwrap_or_default());
    if world.config.release.is_newer() {
        let parent = world.neutron.row("networks", network);
        let outside = parent.is_some_and(|row| truth(row, "router:external"));
        row.insert("router:external".to_owned(), json!(outside));
    }
    fill(&mut row, wanted);
    row.insert("cidr".to_owned(), json!(block.written()));
    let id = text(&row, "id").to_owned();
    world.remember(Kind::Subnet, &id, text(&row, "name"), project);
    world.neutron.put("subnets", row);
    list_subnets(world, network);
    port::join(world, network, &id);
    id
}

/// Whether cards give themselves their addresses in a subnet.
pub(super) fn is_automatic(subnet: &Row) -> bool {
    ["ipv6_address_mode", "ipv6_ra_mode"]
        .iter()
        .any(|key| ["slaac", "dhcpv6-stateless"].contains(&text(subnet, key)))
}

/// Brings a network's list of its subnets up to date.
fn list_subnets(world: &mut World, network: &str) {
    let ids: Vec<String> = world
        .neutron
        .rows("subnets")
        .filter(|row| text(row, "network_id") == network)
        .map(|row| text(row, "id").to_owned())
        .collect();
    if let Some(row) = world.neutron.row_mut("networks", network) {
        row.insert("subnets".to_owned(), json!(ids));
    }
}

pub(super) fn check_unused(world: &mut World, id: &str) -> Result<(), Reply> {
    if world
        .neutron
        .rows("ports")
        .any(|port| text(port, "network_id") == id)
    {
        return Err(conflict(
            "NetworkInUse",
            &format!(
                "Unable to complete operation on network {id}. There are one or more ports still in use on the network."
            ),
        ));
    }
    let subnets: Vec<String> = world
        .neutron
        .rows("subnets")
        .filter(|row| text(row, "network_id") == id)
        .map(|row| text(row, "id").to_owned())
        .collect();
    for subnet in subnets {
        world.neutron.remove("subnets", &subnet);
        world.forget(&subnet);
    }
    Ok(())
}

pub(super) fn remove_subnet(world: &mut World, id: &str) -> Result<(), Reply> {
    let used = world.neutron.rows("ports").any(|port| {
        let addresses = port.get("fixed_ips").and_then(Value::as_array);
        addresses.is_some_and(|addresses| addresses.iter().any(|one| one["subnet_id"] == id))
    });
    if used {
        return Err(conflict(
            "SubnetInUse",
            &format!(
                "Unable to complete operation on subnet {id}: One or more ports have an IP allocation from this subnet."
            ),
        ));
    }
    let network = world
        .neutron
        .remove("subnets", id)
        .map(|row| text(&row, "network_id").to_owned());
    if let Some(network) = network {
        list_subnets(world, &network);
    }
    Ok(())
}
