//! Images of servers: of a volume-backed one, a snapshot of each volume and an image without bytes; of
//! another one, the bytes of its root disk. It may not know how Glance shows them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Ask, Disk, ROOT_DEVICE, Server, see};
use crate::sim::call::truth;
use crate::sim::cinder::{SnapshotWish, snapshot_make, snapshot_room};
use crate::sim::content::{Content, GIB};
use crate::sim::glance::{Sketch, make};
use crate::sim::reply::{Answer, Reply, bad, fault};
use crate::sim::world::{Event, World};

/// What a server is at while its hypervisor puts bytes into an image.
const UPLOADING: &str = "image_uploading";

pub(super) fn create(world: &mut World, ask: &Ask<'_>, id: &str, argument: &Value) -> Answer {
    let server = see(world, ask, id)?.clone();
    let refused = |state: &str| {
        Err(fault(
            409,
            &format!("Cannot 'createImage' instance {id} while it is in {state}"),
        ))
    };
    if !["ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"].contains(&server.status.as_str()) {
        return refused(&format!("vm_state {}", server.status.to_lowercase()));
    }
    let name = argument["name"].as_str().unwrap_or_default();
    // It inherits what Nova keeps of the server's own image.
    let mut properties = server.properties.clone();
    properties.insert("instance_uuid".to_owned(), server.id.clone());
    properties.insert("image_type".to_owned(), "snapshot".to_owned());
    properties.extend(super::create::texts(&argument["metadata"])?);
    let image = if server.image.is_none() {
        of_volumes(world, ask, &server, name, properties)?
    } else {
        if let Some(task) = &server.task {
            return refused(&format!("task_state {task}"));
        }
        of_disk(world, &server, name, properties)
    };
    let location = format!("{}/image/v2/images/{image}", ask.call.base);
    let reply = if ask.since(45) {
        Reply::new(202, json!({"image_id": image}))
    } else {
        Reply::empty(202)
    };
    Ok(reply.header("location", location).touching(&image))
}

/// Has the guest hold still, if it runs and can; whether it does.
fn quiesce(server: &Server) -> Result<bool, Reply> {
    let says = |key: &str| server.properties.get(key).is_some_and(|text| truth(text));
    if server.status != "ACTIVE" {
        return Ok(false);
    }
    let problem = if !says("hw_qemu_guest_agent") {
        bad("QEMU guest agent is not enabled")
    } else if !server.agent {
        fault(
            500,
            "Unexpected API Error. Please report this at http://bugs.launchpad.net/nova/ and attach the Nova API log if possible.\n<class 'nova.exception.InternalError'>",
        )
    } else {
        return Ok(true);
    };
    // Whoever does not insist never hears of it.
    if says("os_require_quiesce") {
        return Err(problem);
    }
    Ok(false)
}

fn of_volumes(
    world: &mut World,
    ask: &Ask<'_>,
    server: &Server,
    name: &str,
    mut properties: BTreeMap<String, String>,
) -> Result<String, Reply> {
    let short = || fault(403, "Quota exceeded for resources: snapshots");
    if !snapshot_room(world, &server.project, server.disks.len()) {
        return Err(short());
    }
    let quiesced = quiesce(server)?;
    let mut mapping = Vec::new();
    for disk in &server.disks {
        let volume = world.cinder.volumes.get(&disk.volume);
        let wish = SnapshotWish {
            name: Some(format!("snapshot for {name}")),
            description: volume.and_then(|volume| volume.description.clone()),
            quiesced,
            ..SnapshotWish::default()
        };
        // Those that were made before one is refused stay behind, as in Nova.
        let snapshot = snapshot_make(world, &ask.who, &disk.volume, wish).map_err(|_| short())?;
        let size = world
            .cinder
            .snapshots
            .get(&snapshot)
            .map_or(0, |one| one.size);
        let boot = if disk.device == ROOT_DEVICE {
            json!(0)
        } else {
            Value::Null
        };
        mapping.push(
            json!({"source_type": "snapshot", "destination_type": "volume",
            "snapshot_id": snapshot, "volume_size": size, "boot_index": boot,
            "device_name": disk.device, "delete_on_termination": false, "device_type": "disk",
            "disk_bus": "virtio", "image_id": null, "volume_id": null, "guest_format": null,
            "tag": disk.tag, "no_device": null, "volume_type": null}),
        );
    }
    properties.insert("bdm_v2".to_owned(), "True".to_owned());
    properties.insert("root_device_name".to_owned(), ROOT_DEVICE.to_owned());
    properties.insert(
        "block_device_mapping".to_owned(),
        json!(mapping).to_string(),
    );
    let sketch = Sketch {
        name: Some(name.to_owned()),
        properties,
        active: true,
        ..Sketch::default()
    };
    Ok(make(world, &server.project, sketch))
}

/// The bytes are those of the moment in which it was asked for; they are there when the hypervisor has put
/// them in.
fn of_disk(
    world: &mut World,
    server: &Server,
    name: &str,
    properties: BTreeMap<String, String>,
) -> String {
    let size = super::disk_gib(world, server);
    let sketch = Sketch {
        name: Some(name.to_owned()),
        properties,
        content: server.disk.clone(),
        virtual_size: Some(size * GIB),
        min_disk: size,
        ..Sketch::default()
    };
    let image = make(world, &server.project, sketch);
    if let Some(server) = world.nova.servers.get_mut(&server.id) {
        server.task = Some(UPLOADING.to_owned());
    }
    let wait = world.config.times.server_image;
    let event = Event::ImageReady {
        image: image.clone(),
        server: server.id.clone(),
    };
    world.later(wait, event);
    image
}

/// Somebody deleted an image: a hypervisor that was putting bytes into it gives up.
pub(crate) fn gone(world: &mut World, properties: &BTreeMap<String, String>) {
    let server = properties.get("instance_uuid");
    let server = server.and_then(|id| world.nova.servers.get_mut(id));
    if let Some(server) = server.filter(|one| one.task.as_deref() == Some(UPLOADING)) {
        server.task = None;
    }
}

/// The image of a root disk has its bytes, or the hypervisor failed and Nova takes it away.
pub(super) fn settle(world: &mut World, id: &str, server: &str, failure: Option<&str>) {
    if failure.is_some() {
        world.glance.images.remove(id);
        world.forget(id);
    } else if let Some(image) = world.glance.images.get_mut(id) {
        image.fill();
    }
    if let Some(server) = world.nova.servers.get_mut(server) {
        server.task = None;
    }
}

/// The root disk of a server that boots from an image: it begins as a copy of that.
pub(super) fn disk_of(world: &World, image: Option<&String>) -> Option<Content> {
    let image = world.glance.images.get(image?);
    Some(image.map(|one| one.content.clone()).unwrap_or_default())
}

/// What Nova keeps of the image properties of a new server.
pub(super) fn properties(
    world: &World,
    image: Option<&String>,
    disks: &[Disk],
) -> BTreeMap<String, String> {
    if let Some(image) = image {
        let image = world.glance.images.get(image);
        return image.map(|one| one.properties.clone()).unwrap_or_default();
    }
    let root = disks.iter().find(|disk| disk.device == ROOT_DEVICE);
    let volume = root.and_then(|disk| world.cinder.volumes.get(&disk.volume));
    volume
        .map(|one| one.image_metadata.clone())
        .unwrap_or_default()
}
