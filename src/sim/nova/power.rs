//! What a server may be switched to, and from where; it may not know who asks.

use super::Server;
use crate::sim::reply::{Answer, Reply, bad, fault};
use crate::sim::world::{Event, World};

/// A change of what a server does: its name without `os-`, in which statuses it is allowed, and which one follows.
const CHANGES: [(&str, &[&str], &str); 8] = [
    ("pause", &["ACTIVE"], "PAUSED"),
    ("unpause", &["PAUSED"], "ACTIVE"),
    ("suspend", &["ACTIVE"], "SUSPENDED"),
    ("resume", &["SUSPENDED"], "ACTIVE"),
    (
        "shelve",
        &["ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"],
        "SHELVED_OFFLOADED",
    ),
    ("unshelve", &["SHELVED_OFFLOADED"], "ACTIVE"),
    ("rescue", &["ACTIVE", "SHUTOFF"], "RESCUE"),
    ("unrescue", &["RESCUE"], "ACTIVE"),
];

/// Lives through an action of this room; nothing where it is none.
pub(super) fn act(world: &mut World, server: &Server, action: &str) -> Option<Answer> {
    let name = action.trim_start_matches("os-");
    match name {
        "stop" => Some(switch(world, server, false)),
        "start" => Some(switch(world, server, true)),
        "reboot" => {
            let wait = world.config.times.server_power;
            world.later(wait, Event::ServerPower(server.id.clone(), true));
            Some(Ok(Reply::empty(202).touching(&server.id)))
        }
        _ => {
            let change = CHANGES.iter().find(|(known, ..)| *known == name)?;
            Some(changed(world, server, change))
        }
    }
}

fn wrong(server: &Server, action: &str) -> Reply {
    let state = match server.status.as_str() {
        "SHUTOFF" => "stopped".to_owned(),
        "RESCUE" => "rescued".to_owned(),
        other => other.to_lowercase(),
    };
    let id = &server.id;
    fault(
        409,
        &format!("Cannot '{action}' instance {id} while it is in vm_state {state}"),
    )
}

fn switch(world: &mut World, server: &Server, on: bool) -> Answer {
    let (action, needed, task) = if on {
        ("start", "SHUTOFF", "powering-on")
    } else {
        ("stop", "ACTIVE", "powering-off")
    };
    let id = &server.id;
    if server.status == "SHELVED_OFFLOADED" {
        return Err(fault(409, &format!("Instance {id} is not ready")));
    }
    if server.status != needed {
        return Err(wrong(server, action));
    }
    if let Some(server) = world.nova.servers.get_mut(id) {
        server.task = Some(task.to_owned());
    }
    let wait = world.config.times.server_power;
    world.later(wait, Event::ServerPower(id.clone(), on));
    Ok(Reply::empty(202).touching(id))
}

/// At once, where a cloud takes a moment: nobody here waits for it.
fn changed(
    world: &mut World,
    server: &Server,
    (action, allowed, after): &(&str, &[&str], &str),
) -> Answer {
    if !allowed.contains(&server.status.as_str()) {
        return Err(wrong(server, action));
    }
    if *action == "rescue" && server.image.is_none() {
        return Err(bad(&format!(
            "Instance {} cannot be rescued: Cannot rescue a volume-backed instance",
            server.id
        )));
    }
    let now = world.date();
    if let Some(server) = world.nova.servers.get_mut(&server.id) {
        (*after).clone_into(&mut server.status);
        server.updated = now;
    }
    // A shelved server is nowhere, and keeps its volumes for itself all the same.
    let status = if *after == "SHELVED_OFFLOADED" {
        "reserved"
    } else {
        "in-use"
    };
    for disk in &server.disks {
        world.set_status(&disk.volume, status);
    }
    Ok(Reply::empty(202).touching(&server.id))
}

/// The guest has stopped or runs.
pub(super) fn settle(world: &mut World, id: &str, on: bool) {
    let now = world.date();
    if let Some(server) = world.nova.servers.get_mut(id) {
        let status = if on { "ACTIVE" } else { "SHUTOFF" };
        status.clone_into(&mut server.status);
        server.task = None;
        server.updated = now;
    }
}
