//! Trunks: the networks of their sub ports reach a guest as VLANs over the parent port; they may not know
//! servers beyond the host that a port is bound to.
//!
//! Like ML2 with Open vSwitch: the wiring of a port that is bound cannot change between that of a trunk and
//! that of no trunk (`can_trunk_bound_port` is false), so such a one becomes no parent, and its trunk stays.

use serde_json::{Value, json};

use super::{Ask, Row, absent, bad, conflict, fresh, see, text, touch};
use crate::sim::reply::{Answer, Reply, neutron_fault};
use crate::sim::world::{Kind, World};

/// Who owns a sub port whose trunk is wired up.
const OWNER: &str = "trunk:subport";

/// What somebody who furnishes a cloud by hand wants of a trunk.
#[derive(Clone, Debug, Default)]
pub struct TrunkSpec {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// VLAN ids and the ids of the ports.
    pub sub_ports: Vec<(u32, String)>,
}

/// Makes a trunk on a port, bound or not: as if it had been there before the port was bound.
pub(crate) fn make(world: &mut World, parent: &str, spec: &TrunkSpec) -> Option<String> {
    let project = text(world.neutron.row("ports", parent)?, "project_id").to_owned();
    let sub_ports: Vec<Value> = (spec.sub_ports.iter())
        .map(|(id, port)| {
            json!({"port_id": port, "segmentation_type": "vlan", "segmentation_id": id})
        })
        .collect();
    let wanted = json!({"name": spec.name, "description": spec.description, "port_id": parent});
    let wanted = wanted.as_object().cloned().unwrap_or_default();
    let id = put(world, &project, &wanted, &sub_ports);
    let mut tags = Row::new();
    tags.insert("tags".to_owned(), json!(spec.tags));
    touch(world, "trunks", &id, tags);
    follow(world, parent);
    Some(id)
}

pub(super) fn create(
    world: &mut World,
    ask: &Ask<'_>,
    project: &str,
    wanted: &Row,
) -> Result<String, Reply> {
    let parent = text(wanted, "port_id").to_owned();
    if parent.is_empty() {
        return Err(bad(
            "Failed to parse request. Required attribute 'port_id' not specified",
        ));
    }
    let port = see(world, ask, "ports", "port", &parent)?;
    let bound = !text(port, "binding:host_id").is_empty();
    check_free(world, &parent, &parent)?;
    if bound {
        return Err(parent_in_use(&parent));
    }
    let sub_ports = check_sub_ports(world, ask, &parent, &[], wanted.get("sub_ports"))?;
    Ok(put(world, project, wanted, &sub_ports))
}

fn put(world: &mut World, project: &str, wanted: &Row, sub_ports: &[Value]) -> String {
    let mut row = fresh(world, project, wanted);
    let up = wanted.get("admin_state_up").and_then(Value::as_bool);
    row.insert("port_id".to_owned(), json!(text(wanted, "port_id")));
    row.insert("admin_state_up".to_owned(), json!(up.unwrap_or(true)));
    row.insert("status".to_owned(), json!("DOWN"));
    row.insert("sub_ports".to_owned(), json!(sub_ports));
    let id = text(&row, "id").to_owned();
    world.remember(Kind::Trunk, &id, text(&row, "name"), project);
    world.neutron.put("trunks", row);
    id
}

fn parent_in_use(port: &str) -> Reply {
    conflict(
        "ParentPortInUse",
        &format!("Port {port} is currently in use and is not eligible for use as a parent port."),
    )
}

/// Refuses a port that a trunk has already; `parent` tells whether it is to be one.
fn check_free(world: &World, port: &str, parent: &str) -> Result<(), Reply> {
    match of_port(world, port) {
        Some((_, true)) if port == parent => Err(parent_in_use(port)),
        Some((trunk, is_parent)) => Err(in_trunk(port, &trunk, is_parent)),
        None => Ok(()),
    }
}

fn in_trunk(port: &str, trunk: &str, is_parent: bool) -> Reply {
    if is_parent {
        return conflict(
            "PortInUseAsTrunkParent",
            &format!("Port {port} is currently a parent port for trunk {trunk}."),
        );
    }
    conflict(
        "PortInUseAsSubPort",
        &format!("Port {port} is currently a subport for trunk {trunk}."),
    )
}

/// The trunk that a port is in, and whether as its parent.
fn of_port(world: &World, port: &str) -> Option<(String, bool)> {
    world.neutron.rows("trunks").find_map(|row| {
        let is_parent = text(row, "port_id") == port;
        let is_sub = subs(row).iter().any(|sub| sub["port_id"] == port);
        (is_parent || is_sub).then(|| (text(row, "id").to_owned(), is_parent))
    })
}

fn subs(row: &Row) -> Vec<Value> {
    let subs = row.get("sub_ports").and_then(Value::as_array);
    subs.cloned().unwrap_or_default()
}

/// The sub ports that are asked for, where they may be.
fn check_sub_ports(
    world: &World,
    ask: &Ask<'_>,
    parent: &str,
    before: &[Value],
    wanted: Option<&Value>,
) -> Result<Vec<Value>, Reply> {
    let mut all = before.to_vec();
    let mut added = Vec::new();
    for sub in wanted.and_then(Value::as_array).into_iter().flatten() {
        let port = sub["port_id"].as_str().unwrap_or_default();
        let row = see(world, ask, "ports", "port", port)?;
        if port == parent {
            return Err(parent_in_use(port));
        }
        check_free(world, port, parent)?;
        let device = text(row, "device_id");
        if !device.is_empty() {
            return Err(conflict(
                "PortInUse",
                &format!(
                    "Unable to complete operation on port {port} for network {}. Port already has an attached device {device}.",
                    text(row, "network_id")
                ),
            ));
        }
        let (kind, id) = (&sub["segmentation_type"], &sub["segmentation_id"]);
        if kind != "vlan" || id.as_u64().is_none_or(|id| !(1..=4094).contains(&id)) {
            return Err(neutron_fault(
                400,
                "InvalidInput",
                &format!("Invalid input for operation: Invalid segmentation {kind} {id}."),
            ));
        }
        let taken = all.iter().any(|one| one["segmentation_id"] == *id);
        if taken {
            return Err(conflict(
                "DuplicateSubPort",
                &format!(
                    "segmentation_type {kind} and segmentation_id {id} already in use on trunk."
                ),
            ));
        }
        let row = json!({"port_id": port, "segmentation_type": kind, "segmentation_id": id});
        all.push(row.clone());
        added.push(row);
    }
    Ok(added)
}

/// Adds sub ports to a trunk, takes some away, or tells them.
pub(super) fn sub_ports(world: &mut World, ask: &Ask<'_>, id: &str, verb: &str) -> Answer {
    let row = see(world, ask, "trunks", "trunk", id)?.clone();
    let body = ask.call.json();
    let mut all = subs(&row);
    let parent = text(&row, "port_id").to_owned();
    match verb {
        "add_subports" => {
            let wanted = body.get("sub_ports");
            all.extend(check_sub_ports(world, ask, &parent, &all, wanted)?);
        }
        "remove_subports" => {
            for sub in body["sub_ports"].as_array().into_iter().flatten() {
                let place = all.iter().position(|one| one["port_id"] == sub["port_id"]);
                let place = place.ok_or_else(|| absent("sub_port", &sub["port_id"].to_string()))?;
                let gone = all.remove(place);
                own(world, gone["port_id"].as_str().unwrap_or_default(), "", "");
            }
        }
        _ => return Ok(Reply::ok(json!({ "sub_ports": all }))),
    }
    let mut changes = Row::new();
    changes.insert("sub_ports".to_owned(), json!(all));
    touch(world, "trunks", id, changes);
    follow(world, &parent);
    let row = see(world, ask, "trunks", "trunk", id)?;
    Ok(Reply::ok(Value::Object(row.clone())))
}

/// Refuses to delete a trunk that is wired up.
pub(super) fn check_removable(world: &World, row: &Row) -> Result<(), Reply> {
    let parent = world.neutron.row("ports", text(row, "port_id"));
    if parent.is_some_and(|port| !text(port, "binding:host_id").is_empty()) {
        let id = text(row, "id");
        return Err(conflict(
            "TrunkInUse",
            &format!("Trunk {id} is currently in use."),
        ));
    }
    Ok(())
}

/// Refuses to delete a port that a trunk has.
pub(super) fn check_port_removable(world: &World, port: &str) -> Result<(), Reply> {
    match of_port(world, port) {
        Some((trunk, is_parent)) => Err(in_trunk(port, &trunk, is_parent)),
        None => Ok(()),
    }
}

/// What a port shows of the trunk that it is the parent of.
pub(super) fn details(world: &World, port: &str) -> Option<Value> {
    let mut trunks = world.neutron.rows("trunks");
    let trunk = trunks.find(|row| text(row, "port_id") == port)?;
    let shown = subs(trunk).into_iter().map(|mut sub| {
        let port = sub["port_id"].as_str().unwrap_or_default();
        let port = world.neutron.row("ports", port);
        sub["mac_address"] = json!(port.map(|port| text(port, "mac_address")));
        sub
    });
    Some(json!({"trunk_id": text(trunk, "id"), "sub_ports": shown.collect::<Vec<_>>()}))
}

/// Has the sub ports of a port's trunk follow it, to the host that it is bound to or away from it.
pub(super) fn follow(world: &mut World, parent: &str) {
    let found = {
        let mut trunks = world.neutron.rows("trunks");
        trunks.find(|row| text(row, "port_id") == parent).cloned()
    };
    let Some(trunk) = found else { return };
    let port = world.neutron.row("ports", parent);
    let bound = port.is_some_and(|port| !text(port, "binding:host_id").is_empty());
    let id = text(&trunk, "id");
    let (owner, device) = if bound { (OWNER, id) } else { ("", "") };
    for sub in subs(&trunk) {
        let port = sub["port_id"].as_str().unwrap_or_default();
        own(world, port, owner, device);
    }
    let mut changes = Row::new();
    let status = if bound { "ACTIVE" } else { "DOWN" };
    changes.insert("status".to_owned(), json!(status));
    touch(world, "trunks", id, changes);
}

fn own(world: &mut World, port: &str, owner: &str, device: &str) {
    let status = if owner.is_empty() { "DOWN" } else { "ACTIVE" };
    let changes = json!({"device_owner": owner, "device_id": device, "status": status});
    let changes = changes.as_object().cloned().unwrap_or_default();
    touch(world, "ports", port, changes);
}
