//! Images of servers: of a volume-backed one, a snapshot of each volume and an image without bytes; it
//! may not know how Glance shows them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Ask, ROOT_DEVICE, see};
use crate::sim::cinder::{SnapshotWish, snapshot_make};
use crate::sim::glance::{Sketch, make};
use crate::sim::reply::{Answer, Reply, fault};
use crate::sim::world::World;

pub(super) fn create(world: &mut World, ask: &Ask<'_>, id: &str, argument: &Value) -> Answer {
    let server = see(world, ask, id)?.clone();
    if !["ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"].contains(&server.status.as_str()) {
        return Err(fault(
            409,
            &format!(
                "Cannot 'createImage' instance {id} while it is in vm_state {}",
                server.status.to_lowercase()
            ),
        ));
    }
    let name = argument["name"].as_str().unwrap_or_default();
    let mut properties: BTreeMap<String, String> = super::create::texts(&argument["metadata"])?;
    if server.image.is_none() {
        let mut mapping = Vec::new();
        for disk in &server.disks {
            let wish = SnapshotWish {
                name: Some(format!("snapshot for {name}")),
                ..SnapshotWish::default()
            };
            // Those that were made before one is refused stay behind, as in Nova.
            let snapshot = snapshot_make(world, &ask.who, &disk.volume, wish)
                .map_err(|_| fault(403, "Quota exceeded for resources: snapshots"))?;
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
    }
    let image = make(
        world,
        &server.project,
        Sketch {
            name: Some(name.to_owned()),
            properties,
            active: true,
        },
    );
    let location = format!("{}/image/v2/images/{image}", ask.call.base);
    let reply = if ask.since(45) {
        Reply::new(202, json!({"image_id": image}))
    } else {
        Reply::empty(202)
    };
    Ok(reply.header("location", location).touching(&image))
}
