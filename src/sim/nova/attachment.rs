//! Volumes of a server as resources of their own; they may not know what is in the volumes.

use serde_json::{Value, json};

use super::server::check_unlocked;
use super::{Ask, Disk, ROOT_DEVICE, nowhere, see};
use crate::sim::cinder::Attachment;
use crate::sim::reply::{Answer, Reply, bad, fault, missing};
use crate::sim::world::{Event, World};

pub(super) fn route(world: &mut World, ask: &Ask<'_>, id: &str, rest: &[&str]) -> Answer {
    let server = see(world, ask, id)?.clone();
    if ask.call.method != "GET" {
        check_unlocked(&server, ask)?;
    }
    let absent = |volume: &str| missing(&format!("volume_id not found: {volume}"));
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => {
            let views: Vec<Value> = server
                .disks
                .iter()
                .map(|disk| view(ask, id, disk))
                .collect();
            Ok(Reply::ok(json!({"volumeAttachments": views})))
        }
        ("GET", [volume]) => {
            let disk = server.disks.iter().find(|disk| disk.volume == **volume);
            let disk = disk.ok_or_else(|| absent(volume))?;
            Ok(Reply::ok(json!({"volumeAttachment": view(ask, id, disk)})))
        }
        ("POST", []) => attach(world, ask, id),
        ("PUT", [volume]) if ask.since(85) => {
            let body = ask.call.json();
            let wanted = body["volumeAttachment"]["delete_on_termination"].as_bool();
            let server = world
                .nova
                .servers
                .get_mut(id)
                .ok_or_else(|| absent(volume))?;
            let disk = server.disks.iter_mut().find(|disk| disk.volume == **volume);
            let disk = disk.ok_or_else(|| absent(volume))?;
            disk.delete_on_termination = wanted.unwrap_or(disk.delete_on_termination);
            Ok(Reply::empty(202))
        }
        ("DELETE", [volume]) => {
            let position = server.disks.iter().position(|disk| disk.volume == **volume);
            let position = position.ok_or_else(|| absent(volume))?;
            if server
                .disks
                .get(position)
                .is_some_and(|disk| disk.device == ROOT_DEVICE)
            {
                return Err(bad("Cannot detach a root device volume"));
            }
            world.set_status(volume, "detaching");
            let event = Event::VolumeDetached {
                server: id.to_owned(),
                volume: (*volume).to_owned(),
            };
            world.later(world.config.times.attach, event);
            Ok(Reply::empty(202).touching(volume))
        }
        _ => Err(nowhere()),
    }
}

fn view(ask: &Ask<'_>, server: &str, disk: &Disk) -> Value {
    let mut view = json!({"volumeId": disk.volume, "serverId": server, "device": disk.device});
    if ask.since(70) {
        view["tag"] = json!(disk.tag);
    }
    if ask.since(79) {
        view["delete_on_termination"] = json!(disk.delete_on_termination);
    }
    if ask.since(89) {
        view["attachment_id"] = json!(disk.attachment);
        view["bdm_uuid"] = json!(disk.mapping);
    } else {
        view["id"] = json!(disk.volume);
    }
    view
}

/// The name of the device with this number; 0 is the root.
pub(super) fn device(number: usize) -> String {
    let letter = u8::try_from(number)
        .ok()
        .and_then(|number| b'a'.checked_add(number))
        .unwrap_or(b'z');
    format!("/dev/vd{}", char::from(letter))
}

fn attach(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    let body = ask.call.json();
    let wanted = &body["volumeAttachment"];
    let Some(volume) = wanted["volumeId"].as_str() else {
        return Err(bad(
            "Invalid input for field/attribute volumeAttachment. 'volumeId' is a required property",
        ));
    };
    let server = see(world, ask, id)?;
    if !["ACTIVE", "SHUTOFF"].contains(&server.status.as_str()) {
        return Err(fault(
            409,
            &format!(
                "Cannot 'attach_volume' instance {id} while it is in vm_state {}",
                server.status.to_lowercase()
            ),
        ));
    }
    let used: Vec<&str> = server
        .disks
        .iter()
        .map(|disk| disk.device.as_str())
        .collect();
    let mut devices = (1..26).map(device);
    let free = devices
        .find(|name| !used.contains(&name.as_str()))
        .unwrap_or_default();
    let found = world.cinder.volumes.get(volume);
    let found = found.filter(|one| ask.who.is_admin() || one.project == ask.who.project);
    let Some(found) = found else {
        return Err(missing(&format!("Volume {volume} could not be found.")));
    };
    if found.status != "available" {
        return Err(bad(&format!(
            "Invalid volume: volume {volume} status must be 'available'. Currently in '{}'",
            found.status
        )));
    }
    let disk = Disk {
        volume: volume.to_owned(),
        device: wanted["device"].as_str().map_or(free, str::to_owned),
        tag: wanted["tag"]
            .as_str()
            .filter(|_| ask.since(49))
            .map(str::to_owned),
        delete_on_termination: ask.since(79) && wanted["delete_on_termination"] == true,
        attachment: world.uuid(),
        mapping: world.uuid(),
    };
    reserve(world, id, &disk);
    let shown = view(ask, id, &disk);
    if let Some(server) = world.nova.servers.get_mut(id) {
        server.disks.push(disk);
        server
            .disks
            .sort_by(|one, other| one.volume.cmp(&other.volume));
    }
    let event = Event::VolumeAttached {
        server: id.to_owned(),
        volume: volume.to_owned(),
    };
    world.later(world.config.times.attach, event);
    if ask.since(101) {
        return Ok(Reply::empty(202).touching(volume));
    }
    Ok(Reply::ok(json!({"volumeAttachment": shown})).touching(volume))
}

/// Takes a volume away from the server that has it.
pub(crate) fn let_go(world: &mut World, volume: &str) {
    for server in world.nova.servers.values_mut() {
        server.disks.retain(|disk| disk.volume != volume);
    }
    release(world, volume);
}

/// Keeps a volume for a server that does not have it yet.
pub(super) fn reserve(world: &mut World, server: &str, disk: &Disk) {
    let at = world.date();
    if let Some(volume) = world.cinder.volumes.get_mut(&disk.volume) {
        if volume.status == "available" {
            "reserved".clone_into(&mut volume.status);
        }
        volume.attachment = Some(Attachment {
            id: disk.attachment.clone(),
            server: server.to_owned(),
            device: disk.device.clone(),
            at,
        });
    }
}

/// Takes a volume away from whom it belongs to and gives it to a server, at once.
pub(crate) fn hand_over(world: &mut World, volume: &str, server: &str) {
    let_go(world, volume);
    let used = world
        .nova
        .servers
        .get(server)
        .map_or(0, |one| one.disks.len());
    let disk = Disk {
        volume: volume.to_owned(),
        device: device(used + 1),
        tag: None,
        delete_on_termination: false,
        attachment: world.uuid(),
        mapping: world.uuid(),
    };
    reserve(world, server, &disk);
    world.set_status(volume, "in-use");
    if let Some(server) = world.nova.servers.get_mut(server) {
        server.disks.push(disk);
    }
}

/// Lets a volume go.
pub(super) fn release(world: &mut World, volume: &str) {
    if let Some(volume) = world.cinder.volumes.get_mut(volume) {
        volume.attachment = None;
        if ["in-use", "reserved", "attaching", "detaching"].contains(&volume.status.as_str()) {
            "available".clone_into(&mut volume.status);
        }
    }
}
