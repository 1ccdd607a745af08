//! Routers and floating addresses, as records only; they may not know where packets go.

use serde_json::{Value, json};

use super::network::fill;
use super::port::{Sketch, free, make};
use super::{Ask, Row, absent, bad, fresh, see, text, touch};
use crate::sim::reply::{Answer, Reply};
use crate::sim::world::{Kind, World};

pub(super) fn create(world: &mut World, project: &str, wanted: &Row) -> String {
    let mut row = fresh(world, project, wanted);
    let defaults = json!({"admin_state_up": true, "status": "ACTIVE", "external_gateway_info": null,
        "routes": [], "availability_zone_hints": [], "availability_zones": [], "flavor_id": null});
    row.extend(defaults.as_object().cloned().unwrap_or_default());
    fill(&mut row, wanted);
    let id = text(&row, "id").to_owned();
    world.remember(Kind::Router, &id, text(&row, "name"), project);
    world.neutron.put("routers", row);
    id
}

pub(super) fn interface(world: &mut World, ask: &Ask<'_>, router: &str, verb: &str) -> Answer {
    let body = ask.call.json();
    let subnet = body["subnet_id"].as_str().unwrap_or_default().to_owned();
    let row = see(world, ask, "subnets", "subnet", &subnet)?;
    let (network, gateway) = (
        text(row, "network_id").to_owned(),
        text(row, "gateway_ip").to_owned(),
    );
    let project = ask.who.project.clone();
    let port = if verb == "add_router_interface" {
        let sketch = Sketch {
            network: network.clone(),
            ..Sketch::default()
        };
        let port = make(world, &project, &sketch)?;
        let changes = json!({"device_id": router, "device_owner": "network:router_interface",
            "fixed_ips": [{"subnet_id": subnet, "ip_address": gateway}], "status": "ACTIVE",
            "security_groups": []});
        touch(
            world,
            "ports",
            &port,
            changes.as_object().cloned().unwrap_or_default(),
        );
        port
    } else {
        let port =
            interface_port(world, router, &subnet).ok_or_else(|| absent("router", router))?;
        world.neutron.remove("ports", &port);
        world.forget(&port);
        port
    };
    Ok(Reply::ok(
        json!({"id": router, "tenant_id": project, "project_id": project, "port_id": port,
        "network_id": network, "subnet_id": subnet, "subnet_ids": [subnet]}),
    ))
}

fn interface_port(world: &World, router: &str, subnet: &str) -> Option<String> {
    let mut ports = world
        .neutron
        .rows("ports")
        .filter(|port| text(port, "device_id") == router);
    let port = ports.find(|port| {
        port.get("fixed_ips")
            .is_some_and(|all| all[0]["subnet_id"] == subnet)
    })?;
    Some(text(port, "id").to_owned())
}

/// The first address of an external network that nobody has.
fn floating_address(world: &World, network: &str) -> Option<String> {
    let used: Vec<&str> = world
        .neutron
        .rows("floatingips")
        .map(|row| text(row, "floating_ip_address"))
        .collect();
    let mut subnets = world
        .neutron
        .rows("subnets")
        .filter(|row| text(row, "network_id") == network);
    subnets.find_map(|subnet| free(subnet, |one| !used.contains(&one)))
}

pub(super) fn create_floating(
    world: &mut World,
    ask: &Ask<'_>,
    project: &str,
    wanted: &Row,
) -> Result<String, Reply> {
    let network = text(wanted, "floating_network_id");
    let row = see(world, ask, "networks", "network", network)?;
    if !super::truth(row, "router:external") {
        return Err(bad(&format!(
            "Bad floatingip request: Network {network} is not a valid external network."
        )));
    }
    let address = match wanted.get("floating_ip_address").and_then(Value::as_str) {
        Some(address) => address.to_owned(),
        None => floating_address(world, network).ok_or_else(|| {
            super::conflict(
                "ExternalIpAddressExhausted",
                &format!("Unable to find any IP address on external network {network}."),
            )
        })?,
    };
    let mut row = fresh(world, project, wanted);
    row.remove("name");
    let defaults = json!({"floating_network_id": network, "floating_ip_address": address,
        "port_id": null, "fixed_ip_address": null, "router_id": null, "status": "DOWN",
        "port_details": null, "qos_policy_id": null, "port_forwardings": []});
    row.extend(defaults.as_object().cloned().unwrap_or_default());
    let id = text(&row, "id").to_owned();
    world.remember(Kind::FloatingIp, &id, &address, project);
    world.neutron.put("floatingips", row);
    associate(world, &id, wanted);
    Ok(id)
}

/// Points a floating address at a port, or at none.
pub(super) fn associate(world: &mut World, id: &str, wanted: &Row) {
    let Some(port) = wanted.get("port_id") else {
        return;
    };
    let first = port
        .as_str()
        .and_then(|port| world.neutron.row("ports", port))
        .and_then(|row| {
            let addresses = row.get("fixed_ips").and_then(Value::as_array)?;
            addresses.first().map(|one| one["ip_address"].clone())
        });
    let asked = wanted
        .get("fixed_ip_address")
        .filter(|value| !value.is_null())
        .cloned();
    let changes = json!({"port_id": port, "fixed_ip_address": asked.or(first)});
    touch(
        world,
        "floatingips",
        id,
        changes.as_object().cloned().unwrap_or_default(),
    );
}
