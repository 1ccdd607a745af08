//! Ports and their addresses; they may not know servers beyond the id that they are bound to.

use serde_json::{Value, json};

use super::address::{Block, between};
use super::network::{fill, is_automatic};
use super::{Ask, Row, absent, bad, conflict, denied, fresh, group, see, text, touch, trunk};
use crate::sim::reply::{Reply, neutron_fault};
use crate::sim::world::{Kind, World};

/// Who a port belongs to once Nova has it.
const OWNER: &str = "compute:nova";

/// What Nova, or somebody who furnishes a cloud by hand, wants of a port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    pub(crate) name: String,
    pub(crate) network: String,
    pub(crate) address: Option<String>,
    pub(crate) security_groups: Vec<String>,
    pub(crate) server: Option<String>,
}

/// Makes a port and gives its id; for those whose rights have been checked.
pub(crate) fn make(world: &mut World, project: &str, sketch: &Sketch) -> Result<String, Reply> {
    let mut wanted = Row::new();
    wanted.insert("name".to_owned(), json!(sketch.name));
    if let Some(address) = &sketch.address {
        wanted.insert("fixed_ips".to_owned(), json!([{"ip_address": address}]));
    }
    if !sketch.security_groups.is_empty() {
        wanted.insert("security_groups".to_owned(), json!(sketch.security_groups));
    }
    let id = put(world, project, &sketch.network, &wanted)?;
    if let Some(server) = &sketch.server {
        bind(world, &id, server);
    }
    Ok(id)
}

/// Gives a port to a server.
pub(crate) fn bind(world: &mut World, port: &str, server: &str) {
    let host = format!("{}-host", world.config.name);
    let changes = json!({"device_id": server, "device_owner": OWNER, "status": "ACTIVE",
        "binding:host_id": host, "binding:vif_type": "other"});
    touch(
        world,
        "ports",
        port,
        changes.as_object().cloned().unwrap_or_default(),
    );
    trunk::follow(world, port);
}

/// Takes a server's ports away: those in `made` are deleted, the others are let go.
pub(crate) fn release(world: &mut World, server: &str, made: &[String]) {
    let ports: Vec<String> = world
        .neutron
        .rows("ports")
        .filter(|port| text(port, "device_id") == server)
        .map(|port| text(port, "id").to_owned())
        .collect();
    for port in ports {
        if made.contains(&port) {
            world.neutron.remove("ports", &port);
            world.forget(&port);
            continue;
        }
        unbind(world, &port);
    }
}

/// Lets a port go.
pub(crate) fn unbind(world: &mut World, port: &str) {
    let changes = json!({"device_id": "", "device_owner": "", "status": "DOWN",
        "binding:host_id": "", "binding:vif_type": "unbound"});
    touch(
        world,
        "ports",
        port,
        changes.as_object().cloned().unwrap_or_default(),
    );
    trunk::follow(world, port);
}

/// The server or whatever else has a port, empty where nothing has; nothing where the port is not there, or
/// not in the project that is named.
pub(crate) fn device(world: &World, project: Option<&str>, port: &str) -> Option<String> {
    let row = world.neutron.row("ports", port)?;
    let theirs = project.is_none_or(|project| text(row, "project_id") == project);
    theirs.then(|| text(row, "device_id").to_owned())
}

pub(super) fn create(
    world: &mut World,
    ask: &Ask<'_>,
    project: &str,
    wanted: &Row,
) -> Result<String, Reply> {
    let id = text(wanted, "network_id");
    if id.is_empty() {
        return Err(bad(
            "Failed to parse request. Required attribute 'network_id' not specified",
        ));
    }
    let network = see(world, ask, "networks", "network", id)?;
    let owner = ask.who.is_admin() || text(network, "project_id") == ask.who.project;
    if !owner {
        foreign(wanted, "create")?;
    }
    let groups = wanted
        .get("security_groups")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for group in groups.iter().filter_map(Value::as_str) {
        if world.neutron.row("security_groups", group).is_none() {
            return Err(absent("security_group", group));
        }
    }
    put(world, project, id, wanted)
}

/// What only the owner of a network may ask for on it.
fn foreign(wanted: &Row, verb: &str) -> Result<(), Reply> {
    let addresses = wanted
        .get("fixed_ips")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let key = if wanted.contains_key("mac_address") {
        "mac_address"
    } else if addresses.iter().any(|one| one.get("ip_address").is_some()) {
        "fixed_ips"
    } else if wanted.contains_key("port_security_enabled") {
        "port_security_enabled"
    } else if wanted.contains_key("allowed_address_pairs") {
        "allowed_address_pairs"
    } else {
        return Ok(());
    };
    Err(denied(&format!(
        "((rule:{verb}_port and rule:{verb}_port:{key}))"
    )))
}

fn put(world: &mut World, project: &str, network: &str, wanted: &Row) -> Result<String, Reply> {
    let mac = match wanted.get("mac_address").and_then(Value::as_str) {
        Some(mac) => {
            check_mac(world, network, mac, None)?;
            mac.to_ascii_lowercase()
        }
        None => fresh_mac(world),
    };
    let card = Card {
        network,
        mac: &mac,
        own: None,
    };
    let addresses = allocate(world, &card, wanted.get("fixed_ips"))?;
    let secure = wanted
        .get("port_security_enabled")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    check_secured(secure, wanted)?;
    let mut row = fresh(world, project, wanted);
    let default = if secure {
        vec![group::default_of(world, project)]
    } else {
        Vec::new()
    };
    let defaults = json!({"network_id": network, "admin_state_up": true, "status": "DOWN", "device_id": "",
        "device_owner": "", "security_groups": default, "allowed_address_pairs": [],
        "extra_dhcp_opts": [], "binding:vnic_type": "normal", "binding:host_id": "",
        "binding:profile": {}, "binding:vif_type": "unbound", "binding:vif_details": {},
        "port_security_enabled": secure});
    row.extend(defaults.as_object().cloned().unwrap_or_default());
    if world.neutron.uplink_status {
        row.insert("propagate_uplink_status".to_owned(), json!(true));
    }
    fill(&mut row, wanted);
    row.insert("network_id".to_owned(), json!(network));
    row.insert("fixed_ips".to_owned(), json!(addresses));
    row.insert("mac_address".to_owned(), json!(mac));
    let pairs = pairs(wanted.get("allowed_address_pairs"), &mac);
    row.insert("allowed_address_pairs".to_owned(), pairs);
    let options = options(&[], wanted.get("extra_dhcp_opts"));
    row.insert("extra_dhcp_opts".to_owned(), options);
    let id = text(&row, "id").to_owned();
    world.remember(Kind::Port, &id, text(&row, "name"), project);
    world.neutron.put("ports", row);
    Ok(id)
}

/// Refuses what only a port with port security may have.
fn check_secured(secure: bool, wanted: &Row) -> Result<(), Reply> {
    let some = |key: &str| {
        let list = wanted.get(key).and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    };
    if secure {
        return Ok(());
    }
    if some("security_groups") {
        return Err(neutron_fault(
            400,
            "PortSecurityAndIPRequiredForSecurityGroups",
            "Port security must be enabled and port must have an IP address in order to use security groups.",
        ));
    }
    if some("allowed_address_pairs") {
        return Err(conflict(
            "AddressPairAndPortSecurityRequired",
            "Port Security must be enabled in order to have allowed address pairs on a port.",
        ));
    }
    Ok(())
}

/// Address pairs as they are shown: each with a MAC address, that of the port itself where none was given.
fn pairs(wanted: Option<&Value>, mac: &str) -> Value {
    let mut pairs = wanted
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for pair in &mut pairs {
        if pair["mac_address"].is_null() {
            pair["mac_address"] = json!(mac);
        }
    }
    json!(pairs)
}

/// DHCP options as they are after a wish: what is named is set, or taken away where its value is null, and what is
/// not named stays.
fn options(before: &[Value], wanted: Option<&Value>) -> Value {
    let mut options = before.to_vec();
    for wish in wanted.and_then(Value::as_array).into_iter().flatten() {
        let version = wish.get("ip_version").cloned().unwrap_or_else(|| json!(4));
        let same =
            |one: &Value| one["opt_name"] == wish["opt_name"] && one["ip_version"] == version;
        options.retain(|one| !same(one));
        if !wish["opt_value"].is_null() {
            options.push(
                json!({"opt_name": wish["opt_name"], "opt_value": wish["opt_value"],
                "ip_version": version}),
            );
        }
    }
    json!(options)
}

fn fresh_mac(world: &mut World) -> String {
    let bytes = world.random_bytes(3);
    let tail: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("fa:16:3e:{}", tail.join(":"))
}

fn check_mac(world: &World, network: &str, mac: &str, own: Option<&str>) -> Result<(), Reply> {
    let used = world.neutron.rows("ports").any(|port| {
        text(port, "network_id") == network
            && text(port, "mac_address").eq_ignore_ascii_case(mac)
            && own != Some(text(port, "id"))
    });
    if !used {
        return Ok(());
    }
    Err(conflict(
        "MacAddressInUse",
        &format!(
            "Unable to complete operation for network {network}. The mac address {mac} is in use."
        ),
    ))
}

/// Whether an address of a subnet is taken, by a port other than `own`, by a floating address or the gateway.
fn taken(world: &World, subnet: &str, address: &str, own: Option<&str>) -> bool {
    let port = world
        .neutron
        .rows("ports")
        .filter(|port| own != Some(text(port, "id")))
        .any(|port| {
            let addresses = port.get("fixed_ips").and_then(Value::as_array);
            addresses.is_some_and(|all| {
                all.iter()
                    .any(|one| one["subnet_id"] == subnet && one["ip_address"] == address)
            })
        });
    port || world
        .neutron
        .row("subnets", subnet)
        .is_some_and(|row| text(row, "gateway_ip") == address)
        || world
            .neutron
            .rows("floatingips")
            .any(|row| text(row, "floating_ip_address") == address)
}

/// Who asks for addresses, and what of it decides which ones.
pub(super) struct Card<'card> {
    pub(super) network: &'card str,
    pub(super) mac: &'card str,
    /// The port itself, if it is there already.
    pub(super) own: Option<&'card str>,
}

/// The addresses that a port gets: what was asked for, or one of the first subnet of either version; and
/// beside these, whatever was asked for, the one that its card gives itself in each subnet in which cards
/// do that (seen in Zed and 2026.1, also for an empty list).
pub(super) fn allocate(
    world: &World,
    card: &Card<'_>,
    wanted: Option<&Value>,
) -> Result<Vec<Value>, Reply> {
    let network = card.network;
    let all: Vec<&Row> = world
        .neutron
        .rows("subnets")
        .filter(|row| text(row, "network_id") == network)
        .collect();
    let asked = match wanted.and_then(Value::as_array) {
        Some(list) => list.clone(),
        None => [4, 6]
            .iter()
            .filter_map(|version| {
                all.iter().find(|row| {
                    row.get("ip_version") == Some(&json!(version)) && !is_automatic(row)
                })
            })
            .map(|row| json!({"subnet_id": text(row, "id")}))
            .collect(),
    };
    let mut addresses: Vec<Value> = Vec::new();
    for one in &asked {
        let subnet = subnet_of(&all, network, one)?;
        let id = text(subnet, "id");
        if is_automatic(subnet) {
            if let Some(address) = one["ip_address"].as_str() {
                return Err(neutron_fault(
                    400,
                    "AllocationOnAutoAddressSubnet",
                    &format!(
                        "IPv6 address {address} cannot be directly assigned to a port on subnet {id} as the subnet is configured for automatic addresses"
                    ),
                ));
            }
            continue;
        }
        let mine = |candidate: &str| addresses.iter().any(|one| one["ip_address"] == candidate);
        let address = match one["ip_address"].as_str() {
            Some(address) if taken(world, id, address, card.own) || mine(address) => {
                return Err(conflict(
                    "IpAddressAlreadyAllocated",
                    &format!("IP address {address} already allocated in subnet {id}"),
                ));
            }
            Some(address) => address.to_owned(),
            None => free(subnet, |candidate| {
                !taken(world, id, candidate, card.own) && !mine(candidate)
            })
            .ok_or_else(|| {
                conflict(
                    "IpAddressGenerationFailure",
                    &format!("No more IP addresses available on network {network}."),
                )
            })?,
        };
        addresses.push(json!({"subnet_id": id, "ip_address": address}));
    }
    let automatic = all.into_iter().filter(|row| is_automatic(row));
    addresses.extend(automatic.filter_map(|subnet| of_card(subnet, card.mac)));
    Ok(addresses)
}

/// The subnet that one wish for an address means.
fn subnet_of<'row>(all: &[&'row Row], network: &str, wish: &Value) -> Result<&'row Row, Reply> {
    let address = wish["ip_address"].as_str();
    let holds = |row: &Row| {
        let block = Block::parse(text(row, "cidr"));
        address.is_none_or(|address| block.is_some_and(|block| block.contains(address)))
    };
    let shown = address.unwrap_or_default();
    let Some(id) = wish["subnet_id"].as_str() else {
        let found = all.iter().copied().find(|row| holds(row));
        return found.ok_or_else(|| neutron_fault(400, "InvalidIpForNetwork", &format!(
            "IP address {shown} is not a valid IP for any of the subnets on the specified network."
        )));
    };
    let found = all.iter().copied().find(|row| text(row, "id") == id);
    let row = found.ok_or_else(|| neutron_fault(400, "InvalidInput", &format!(
        "Invalid input for operation: Failed to create port on network {network}, because fixed_ips included invalid subnet {id}."
    )))?;
    if holds(row) {
        return Ok(row);
    }
    Err(neutron_fault(
        400,
        "InvalidIpForSubnet",
        &format!("IP address {shown} is not a valid IP for the specified subnet."),
    ))
}

fn of_card(subnet: &Row, mac: &str) -> Option<Value> {
    let address = Block::parse(text(subnet, "cidr"))?.of_card(mac)?;
    Some(json!({"subnet_id": text(subnet, "id"), "ip_address": address}))
}

/// Gives the ports that a network has already their addresses in a new subnet, if cards give themselves some.
pub(super) fn join(world: &mut World, network: &str, subnet: &str) {
    let Some(subnet) = world.neutron.row("subnets", subnet).cloned() else {
        return;
    };
    if !is_automatic(&subnet) {
        return;
    }
    let ports: Vec<Row> = world
        .neutron
        .rows("ports")
        .filter(|port| text(port, "network_id") == network)
        .filter(|port| !text(port, "device_owner").starts_with("network:router"))
        .cloned()
        .collect();
    for port in ports {
        let mut addresses = port
            .get("fixed_ips")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        addresses.extend(of_card(&subnet, text(&port, "mac_address")));
        let mut changes = Row::new();
        changes.insert("fixed_ips".to_owned(), json!(addresses));
        touch(world, "ports", text(&port, "id"), changes);
    }
}

/// The first address of a subnet's pools that is good.
pub(super) fn free(subnet: &Row, good: impl Fn(&str) -> bool) -> Option<String> {
    let pools = subnet.get("allocation_pools").and_then(Value::as_array)?;
    pools
        .iter()
        .flat_map(|pool| {
            between(
                pool["start"].as_str().unwrap_or(""),
                pool["end"].as_str().unwrap_or(""),
            )
        })
        .find(|address| good(address))
}

/// What an update changes, with its addresses filled in.
pub(super) fn check_update(
    world: &World,
    ask: &Ask<'_>,
    id: &str,
    wanted: &Row,
) -> Result<Row, Reply> {
    let row = see(world, ask, "ports", "port", id)?;
    let network = text(row, "network_id").to_owned();
    let owner = world
        .neutron
        .row("networks", &network)
        .map(|row| text(row, "project_id").to_owned());
    if !ask.who.is_admin() && owner.as_deref() != Some(ask.who.project.as_str()) {
        foreign(wanted, "update")?;
    }
    if let Some(mac) = wanted.get("mac_address").and_then(Value::as_str) {
        check_mac(world, &network, mac, Some(id))?;
    }
    let mut changes = wanted.clone();
    if wanted.contains_key("fixed_ips") {
        let card = Card {
            network: &network,
            mac: text(row, "mac_address"),
            own: Some(id),
        };
        let addresses = allocate(world, &card, wanted.get("fixed_ips"))?;
        changes.insert("fixed_ips".to_owned(), json!(addresses));
    }
    if wanted.contains_key("allowed_address_pairs") {
        let pairs = pairs(
            wanted.get("allowed_address_pairs"),
            text(row, "mac_address"),
        );
        changes.insert("allowed_address_pairs".to_owned(), pairs);
    }
    if wanted.contains_key("extra_dhcp_opts") {
        let before = row.get("extra_dhcp_opts").and_then(Value::as_array);
        let options = options(
            before.map_or(&[], Vec::as_slice),
            wanted.get("extra_dhcp_opts"),
        );
        changes.insert("extra_dhcp_opts".to_owned(), options);
    }
    Ok(changes)
}

pub(super) fn check_removable(row: &Row) -> Result<(), Reply> {
    let owner = text(row, "device_owner");
    if owner.starts_with("network:router") {
        let id = text(row, "id");
        return Err(conflict(
            "ServicePortInUse",
            &format!(
                "Port {id} cannot be deleted directly via the port API: has device owner {owner}."
            ),
        ));
    }
    Ok(())
}
