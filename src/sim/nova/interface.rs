//! Network cards of a server that it did not begin with: a port is handed to it, or taken from it; it may
//! not know addresses.

use serde_json::{Value, json};

use super::server::check_unlocked;
use super::{Ask, nowhere, see};
use crate::sim::neutron;
use crate::sim::reply::{Answer, Reply, bad, fault, missing};
use crate::sim::world::World;

pub(super) fn route(world: &mut World, ask: &Ask<'_>, id: &str, rest: &[&str]) -> Answer {
    let server = see(world, ask, id)?.clone();
    match (ask.call.method.as_str(), rest) {
        ("POST", []) => {
            check_unlocked(&server, ask)?;
            if !["ACTIVE", "SHUTOFF"].contains(&server.status.as_str()) {
                let state = server.status.to_lowercase();
                return Err(fault(
                    409,
                    &format!(
                        "Cannot 'attach_interface' instance {id} while it is in vm_state {state}"
                    ),
                ));
            }
            let body = ask.call.json();
            let Some(port) = body["interfaceAttachment"]["port_id"].as_str() else {
                return Err(bad(
                    "the simulator attaches ports that are there, by port_id",
                ));
            };
            let project = (!ask.who.is_admin()).then_some(ask.who.project.as_str());
            let found = neutron::port_device(world, project, port);
            let device = found.ok_or_else(|| missing(&format!("Port {port} not found.")))?;
            if !device.is_empty() {
                return Err(bad(&format!("Port {port} is still in use.")));
            }
            hand_over(world, port, id);
            Ok(Reply::ok(json!({"interfaceAttachment": view(id, port)})).touching(port))
        }
        ("DELETE", [port]) => {
            check_unlocked(&server, ask)?;
            let theirs = neutron::port_device(world, None, port).is_some_and(|device| device == id);
            if !theirs {
                return Err(missing(&format!(
                    "Instance {id} does not have a port with id {port}"
                )));
            }
            let_go(world, port);
            Ok(Reply::empty(202).touching(port))
        }
        _ => Err(nowhere()),
    }
}

fn view(server: &str, port: &str) -> Value {
    json!({"port_id": port, "server_id": server, "port_state": "ACTIVE"})
}

/// Takes a port away from the server that has it.
pub(crate) fn let_go(world: &mut World, port: &str) {
    for server in world.nova.servers.values_mut() {
        server.cards.retain(|card| card != port);
        server.own_ports.retain(|card| card != port);
    }
    neutron::port_unbind(world, port);
}

/// Takes a port away from whom it belongs to and gives it to a server.
pub(crate) fn hand_over(world: &mut World, port: &str, server: &str) {
    let_go(world, port);
    neutron::port_bind(world, port, server);
    if let Some(server) = world.nova.servers.get_mut(server) {
        server.cards.push(port.to_owned());
    }
}
