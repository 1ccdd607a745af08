//! How a server is shown in each microversion; it may not change anything.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha224};

use super::{Ask, ROOT_DEVICE, Server};
use crate::sim::clock::{cinder, zulu};
use crate::sim::neutron::text;
use crate::sim::world::World;

/// `alone`: as the answer to a question for this one server, not in a list.
pub(super) fn view(world: &World, ask: &Ask<'_>, server: &Server, alone: bool) -> Value {
    let building = server.status == "BUILD";
    let (vm_state, power) = match server.status.as_str() {
        "BUILD" => ("building", 0),
        "ACTIVE" | "REBOOT" => ("active", 1),
        "SHUTOFF" => ("stopped", 4),
        "PAUSED" => ("paused", 3),
        "SUSPENDED" => ("suspended", 4),
        "SHELVED_OFFLOADED" => ("shelved_offloaded", 4),
        "RESCUE" => ("rescued", 1),
        "DELETED" => ("deleted", 0),
        _ => ("error", 0),
    };
    let task = server
        .task
        .clone()
        .or_else(|| building.then(|| "spawning".to_owned()));
    let image = server.image.as_ref().or(server.launched_from.as_ref());
    let image = image.map_or(
        json!(""),
        |id| json!({"id": id, "links": ask.bookmark(&format!("images/{id}"))}),
    );
    let mut view = json!({
        "id": server.id, "name": server.name, "status": server.status, "tenant_id": server.project,
        "user_id": server.user, "metadata": server.metadata, "hostId": host_id(world, server),
        "image": image, "flavor": flavor(world, ask, server), "created": zulu(server.created),
        "updated": zulu(server.updated),
        "addresses": if building { json!({}) } else { addresses(world, server) },
        "accessIPv4": "", "accessIPv6": "", "links": ask.links(&format!("servers/{}", server.id)),
        "OS-DCF:diskConfig": "MANUAL", "OS-EXT-AZ:availability_zone": if building { "" } else { "nova" },
        "config_drive": if server.config_drive { "True" } else { "" }, "key_name": server.key_name,
        "OS-SRV-USG:launched_at": server.launched.map(cinder), "OS-SRV-USG:terminated_at": null,
        "OS-EXT-STS:task_state": task, "OS-EXT-STS:vm_state": vm_state, "OS-EXT-STS:power_state": power,
        "os-extended-volumes:volumes_attached": disks(ask, server),
    });
    if let Some((code, message, created)) = &server.fault {
        view["fault"] = json!({"code": code, "created": zulu(*created), "message": message});
    } else if server.status != "SHUTOFF" {
        view["progress"] = json!(0);
    }
    let groups = security_groups(world, server);
    if !groups.is_empty() {
        view["security_groups"] = json!(groups);
    }
    if ask.who.is_admin() {
        administer(world, ask, server, &mut view);
    }
    let later: [(u32, &str, Value); 8] = [
        (9, "locked", json!(server.locked)),
        (19, "description", json!(server.description)),
        (26, "tags", json!(server.tags)),
        (63, "trusted_image_certificates", Value::Null),
        (73, "locked_reason", json!(server.locked_reason)),
        (90, "OS-EXT-SRV-ATTR:hostname", json!(server.hostname)),
        (96, "pinned_availability_zone", Value::Null),
        (100, "scheduler_hints", server.hints.clone()),
    ];
    for (minor, key, value) in later {
        if ask.since(minor) {
            view[key] = value;
        }
    }
    if alone && ask.since(71) {
        let groups = world
            .nova
            .groups
            .iter()
            .filter(|group| group.members.contains(&server.id));
        view["server_groups"] = json!(groups.map(|group| &group.id).collect::<Vec<_>>());
    }
    world.dress(&server.id, &mut view);
    view
}

/// What only an admin sees.
fn administer(world: &World, ask: &Ask<'_>, server: &Server, view: &mut Value) {
    let host = format!("{}-host", world.config.name);
    view["OS-EXT-SRV-ATTR:host"] = json!(host);
    view["OS-EXT-SRV-ATTR:hypervisor_hostname"] = json!(host);
    view["OS-EXT-SRV-ATTR:instance_name"] = json!(format!("instance-{:08x}", server.sequence));
    if ask.since(3) {
        view["OS-EXT-SRV-ATTR:reservation_id"] =
            json!(format!("r-{}", server.id.get(..8).unwrap_or_default()));
        view["OS-EXT-SRV-ATTR:launch_index"] = json!(0);
        view["OS-EXT-SRV-ATTR:hostname"] = json!(server.hostname);
        view["OS-EXT-SRV-ATTR:kernel_id"] = json!("");
        view["OS-EXT-SRV-ATTR:ramdisk_id"] = json!("");
        view["OS-EXT-SRV-ATTR:root_device_name"] = json!(ROOT_DEVICE);
        view["OS-EXT-SRV-ATTR:user_data"] = json!(server.user_data);
    }
    if ask.since(16) {
        view["host_status"] = json!("UP");
    }
}

/// A server's name as its guest may call itself.
pub(super) fn hostname(name: &str, id: &str) -> String {
    const LONGEST: usize = 63;
    let kept: String = name
        .chars()
        .filter(|c| u32::from(*c) <= 0xff)
        .take(LONGEST)
        .map(|c| {
            if c.is_whitespace() || "_.".contains(c) {
                '-'
            } else {
                c
            }
        })
        .filter(|c| c.is_alphanumeric() || *c == '-')
        .collect();
    let kept = kept.to_lowercase();
    let kept = kept.trim_matches('-');
    if kept.is_empty() {
        return format!("server-{id}");
    }
    kept.to_owned()
}

fn host_id(world: &World, server: &Server) -> String {
    if server.status == "BUILD" {
        return String::new();
    }
    let hash = Sha224::digest(format!("{}{}-host", server.project, world.config.name));
    hash.iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat()
}

fn flavor(world: &World, ask: &Ask<'_>, server: &Server) -> Value {
    if !ask.since(47) {
        return json!({"id": server.flavor, "links": ask.bookmark(&format!("flavors/{}", server.flavor))});
    }
    world.nova.flavors.iter().find(|one| one.id == server.flavor).map_or(json!({}), |flavor| {
        json!({"vcpus": flavor.vcpus, "ram": flavor.ram, "disk": flavor.disk, "ephemeral": 0, "swap": 0,
            "original_name": flavor.name, "extra_specs": {}})
    })
}

fn disks(ask: &Ask<'_>, server: &Server) -> Value {
    let views: Vec<Value> = server
        .disks
        .iter()
        .map(|disk| {
            let mut view = json!({"id": disk.volume});
            if ask.since(3) {
                view["delete_on_termination"] = json!(disk.delete_on_termination);
            }
            view
        })
        .collect();
    json!(views)
}

/// The cards of a server in the order of the ids of their ports, which is all the order that this list has.
pub(super) fn interfaces(world: &World, ask: &Ask<'_>, server: &Server) -> Value {
    let ports = world.neutron.rows("ports");
    let views: Vec<Value> = ports
        .filter(|port| text(port, "device_id") == server.id)
        .map(|port| {
            let id = text(port, "id");
            let mut view = json!({"port_id": id, "net_id": text(port, "network_id"),
                "mac_addr": text(port, "mac_address"), "port_state": text(port, "status"),
                "fixed_ips": port.get("fixed_ips")});
            if ask.since(70) {
                view["tag"] = json!(server.card_tags.get(id));
            }
            view
        })
        .collect();
    json!({"interfaceAttachments": views})
}

fn addresses(world: &World, server: &Server) -> Value {
    let mut networks: Map<String, Value> = Map::new();
    let mut ports: Vec<_> = world
        .neutron
        .rows("ports")
        .filter(|port| text(port, "device_id") == server.id)
        .collect();
    // What was attached later comes last.
    ports.sort_by_key(|port| {
        let card = server.cards.iter().position(|id| id == text(port, "id"));
        card.unwrap_or(usize::MAX)
    });
    for port in ports {
        let network = world.neutron.row("networks", text(port, "network_id"));
        let name = network
            .map(|network| text(network, "name").to_owned())
            .unwrap_or_default();
        let mac = text(port, "mac_address");
        let mut shown = Vec::new();
        for one in port
            .get("fixed_ips")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let address = one["ip_address"].as_str().unwrap_or_default();
            let version = if address.contains(':') { 6 } else { 4 };
            shown.push(
                json!({"version": version, "addr": address, "OS-EXT-IPS:type": "fixed",
                "OS-EXT-IPS-MAC:mac_addr": mac}),
            );
        }
        let floating = world.neutron.rows("floatingips");
        for one in floating.filter(|one| text(one, "port_id") == text(port, "id")) {
            shown.push(
                json!({"version": 4, "addr": text(one, "floating_ip_address"),
                "OS-EXT-IPS:type": "floating", "OS-EXT-IPS-MAC:mac_addr": mac}),
            );
        }
        if let Some(list) = networks
            .entry(name)
            .or_insert_with(|| json!([]))
            .as_array_mut()
        {
            list.extend(shown);
        }
    }
    Value::Object(networks)
}

fn security_groups(world: &World, server: &Server) -> Vec<Value> {
    let ports = world
        .neutron
        .rows("ports")
        .filter(|port| text(port, "device_id") == server.id);
    let mut names: Vec<&str> = ports
        .flat_map(|port| {
            port.get("security_groups")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        })
        .filter_map(|id| world.neutron.row("security_groups", id.as_str()?))
        .map(|group| text(group, "name"))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| json!({"name": name}))
        .collect()
}
