//! What the server of a restoration is made of; it may not know how it is made, or what is done to it when it
//! is up.

use crate::{
    domain::{
        effect::{Disk, ServerPlan},
        id::{PortId, VolumeId},
        manifest::Properties,
        restoration::RestorePlanInput,
    },
    plan::{
        layout::Layout,
        placed::{Port, Volume},
        volumes,
    },
};

/// The plan of the server.
pub(super) fn server_plan(
    input: &RestorePlanInput,
    layout: &Layout,
    volumes: &[Volume<'_>],
    ports: &[Port<'_>],
    key_name: Option<String>,
) -> ServerPlan {
    let RestorePlanInput {
        manifest, options, ..
    } = input;
    // The root volume first; the others keep the order of their devices.
    let mut disks: Vec<&Volume<'_>> = volumes.iter().collect();
    disks.sort_by_key(|disk| disk.facts.boot_index.unwrap_or(u32::MAX));
    let mut metadata: Properties = manifest.metadata.clone();
    metadata.extend(options.metadata.clone());
    ServerPlan {
        name: if options.name.is_empty() {
            manifest.name.clone()
        } else {
            options.name.clone()
        },
        description: manifest.description.clone(),
        flavor: layout.flavor.clone(),
        disks: disks
            .into_iter()
            .map(|disk| Disk {
                volume: VolumeId::new(disk.effect.id()),
                tag: disk.facts.tag.clone(),
                device: volumes::device_of(manifest, disk.facts),
                // Later, when the server is up.
                delete_on_termination: false,
            })
            .collect(),
        // A sub port comes with its parent.
        ports: (ports.iter())
            .filter(|port| port.place < manifest.ports.len())
            .map(|port| PortId::new(port.effect.id()))
            .collect(),
        card_tags: (manifest.ports.iter())
            .map(|port| port.settings.card_tag.clone())
            .collect(),
        key_name,
        availability_zone: layout.availability_zone.clone(),
        config_drive: options.config_drive.unwrap_or(manifest.config_drive),
        user_data: options
            .user_data
            .clone()
            .or_else(|| manifest.user_data.clone()),
        metadata,
        tags: manifest.tags.clone(),
        // One that Nova made from the name is made from the name again, whichever that is.
        hostname: (manifest.hostname.clone()).filter(|host| *host != host_name_of(&manifest.name)),
        disk_config: (manifest.disk_config.clone()).filter(|config| config == "AUTO"),
    }
}

/// What Nova makes of a name (`sanitize_hostname` of Zed and 2026.1).
fn host_name_of(name: &str) -> String {
    let dashed = name.to_lowercase().replace([' ', '_'], "-");
    let kept = dashed
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c));
    kept.collect::<String>().trim_matches(['-', '.']).to_owned()
}
