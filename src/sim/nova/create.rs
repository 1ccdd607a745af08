//! How a server comes to be: what is asked for, checked, and put together; it may not know how a server
//! is shown.
//!
//! One file because what is asked for is read, checked and built as one wish.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::attachment::{device, reserve};
use super::view::hostname;
use super::{Action, Ask, Disk as Attached, ROOT_DEVICE, Server, image, limit};
use crate::sim::cinder::{Blueprint, volume_make};
use crate::sim::keystone::Who;
use crate::sim::neutron::{PortSketch, port_bind, port_make, text, truth};
use crate::sim::reply::{Answer, Body, Reply, bad, fault, is_printable};
use crate::sim::world::{Event, Kind, World};

/// Where a disk comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Volume(String),
    Image(String),
    Snapshot(String),
    Blank,
}

/// One disk that a server is to have.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) source: Source,
    size: u64,
    boot_index: Option<i64>,
    pub(crate) tag: Option<String>,
    /// The device that is wished for.
    device: Option<String>,
    delete_on_termination: bool,
}

impl Disk {
    /// A volume that is there already; the first of them boots.
    pub(crate) fn volume(id: &str, boots: bool) -> Self {
        Self {
            source: Source::Volume(id.to_owned()),
            size: 0,
            boot_index: Some(if boots { 0 } else { -1 }),
            tag: None,
            device: None,
            delete_on_termination: false,
        }
    }
}

/// One connection that a server is to have.
#[derive(Clone, Debug)]
pub(crate) enum Nic {
    Port(String),
    Network { id: String, address: Option<String> },
}

/// What a server is to have of a network: a connection, and the tag of its card.
type Card = (Nic, Option<String>);

/// A server as it is asked for, all names looked up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) name: String,
    /// What the guest is to call itself, if not by the name.
    pub(crate) hostname: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) flavor: String,
    pub(crate) image: Option<String>,
    /// An image that it is launched from although it boots from a volume.
    pub(crate) launched_from: Option<String>,
    pub(crate) key_name: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tags: Vec<String>,
    pub(crate) user_data: Option<String>,
    pub(crate) config_drive: bool,
    pub(crate) disks: Vec<Disk>,
    pub(crate) nics: Vec<Card>,
    /// Ids, for the ports that Nova makes.
    pub(crate) security_groups: Vec<String>,
    pub(crate) hints: Value,
}

pub(super) fn create(world: &mut World, ask: &Ask<'_>) -> Answer {
    let body = ask.call.json();
    let wanted = &body["server"];
    let invalid = |text: &str| bad(&format!("Invalid input for field/attribute server. {text}"));
    if !wanted.is_object() {
        return Err(invalid("'server' is a required property"));
    }
    for key in ["name", "flavorRef"] {
        if wanted[key].is_null() {
            return Err(invalid(&format!("'{key}' is a required property")));
        }
    }
    let newer = [
        ("description", 19),
        ("tags", 52),
        ("trusted_image_certificates", 63),
        ("hostname", 90),
    ];
    for (key, minor) in newer {
        if wanted.get(key).is_some() && !ask.since(minor) {
            return Err(invalid(&format!(
                "Additional properties are not allowed ('{key}' was unexpected)"
            )));
        }
    }
    if ask.since(37) && wanted["networks"].is_null() {
        return Err(invalid("'networks' is a required property"));
    }
    let wish = read(world, ask, wanted, &body)?;
    limit::reserve(world, &ask.who.project, &wish.flavor)?;
    let id = build(world, &ask.who, wish)?;
    let groups = wanted
        .get("security_groups")
        .cloned()
        .unwrap_or_else(|| json!([{"name": "default"}]));
    let view = json!({"server": {"id": id, "links": ask.links(&format!("servers/{id}")),
        "OS-DCF:diskConfig": "MANUAL", "security_groups": groups, "adminPass": "simulated0000"}});
    let location = format!("{}/compute/v2.1/servers/{id}", ask.call.base);
    Ok(Reply::new(202, view)
        .header("location", location)
        .touching(&id))
}

fn read(world: &World, ask: &Ask<'_>, wanted: &Value, body: &Value) -> Result<Wish, Reply> {
    let flavor = wanted["flavorRef"]
        .as_str()
        .map_or_else(|| wanted["flavorRef"].to_string(), str::to_owned);
    let flavor = flavor.rsplit('/').next().unwrap_or_default().to_owned();
    let Some(found) = world.nova.flavors.iter().find(|one| one.id == flavor) else {
        return Err(bad(&format!("Flavor {flavor} could not be found.")));
    };
    let name = wanted["name"].as_str().unwrap_or_default().to_owned();
    check_name(&name)?;
    check_description(&wanted["description"])?;
    let hostname = wanted["hostname"].as_str().map(str::to_owned);
    check_hostname(world, hostname.as_deref())?;
    let key_name = wanted["key_name"].as_str().map(str::to_owned);
    if let Some(key) = &key_name {
        let mine = world
            .nova
            .keypairs
            .iter()
            .any(|one| one.user == ask.who.user && one.name == *key);
        if !mine {
            return Err(bad("Invalid key_name provided."));
        }
    }
    if let Some(zone) = wanted["availability_zone"]
        .as_str()
        .and_then(|zone| zone.split(':').next())
        && zone != "nova"
    {
        return Err(bad("The requested availability zone is not available"));
    }
    let user_data = wanted["user_data"].as_str().map(str::to_owned);
    if user_data.as_ref().is_some_and(|data| data.len() > 65_535) {
        return Err(bad(
            "Invalid input for field/attribute user_data. is too long",
        ));
    }
    let image = wanted["imageRef"]
        .as_str()
        .filter(|image| !image.is_empty())
        .map(str::to_owned);
    if let Some(image) = &image
        && world.glance.visible(image, &ask.who).is_none()
    {
        return Err(bad("Can not find requested image"));
    }
    let mut disks = disks(world, ask, wanted, image.as_deref())?;
    if let Some(image) = &image
        && !disks.iter().any(|disk| disk.boot_index == Some(0))
    {
        disks.extend(disks_of(world, image));
    }
    // The first one is the root.
    disks.sort_by_key(|disk| {
        let index = disk.boot_index.filter(|index| *index >= 0);
        index.unwrap_or(i64::MAX)
    });
    let volume_boot = disks.iter().any(|disk| disk.boot_index == Some(0));
    if !volume_boot && image.is_none() {
        return Err(bad(
            "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.",
        ));
    }
    if !volume_boot && found.disk == 0 {
        return Err(fault(
            403,
            "Only volume-backed servers are allowed for flavors with zero disk.",
        ));
    }
    let description = if ask.since(19) {
        wanted["description"].as_str().map(str::to_owned)
    } else {
        Some(name.clone())
    };
    Ok(Wish {
        name,
        hostname,
        description,
        flavor,
        launched_from: image.clone().filter(|_| volume_boot),
        image: image.filter(|_| !volume_boot),
        key_name,
        metadata: texts(&wanted["metadata"])?,
        tags: tags(&wanted["tags"])?,
        user_data,
        config_drive: wanted["config_drive"] == true
            || wanted["config_drive"]
                .as_str()
                .is_some_and(crate::sim::call::truth),
        disks,
        nics: nics(world, ask, wanted)?,
        security_groups: security_groups(world, ask, wanted)?,
        hints: ["os:scheduler_hints", "OS-SCH-HNT:scheduler_hints"]
            .iter()
            .find_map(|key| body.get(key).cloned())
            .unwrap_or_else(|| json!({})),
    })
}

/// The disks that an image of a volume-backed server names: a new volume of each snapshot.
fn disks_of(world: &World, image: &str) -> Vec<Disk> {
    let image = world.glance.images.get(image);
    let text = image.and_then(|image| image.properties.get("block_device_mapping"));
    let mapping: Vec<Value> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    mapping
        .iter()
        .filter_map(|one| {
            Some(Disk {
                source: Source::Snapshot(one["snapshot_id"].as_str()?.to_owned()),
                size: number(&one["volume_size"]),
                boot_index: one["boot_index"].as_i64(),
                tag: one["tag"].as_str().map(str::to_owned),
                device: wished_device(&one["device_name"]).ok().flatten(),
                delete_on_termination: one["delete_on_termination"] == true,
            })
        })
        .collect()
}

/// Refuses names that Nova does not take: one that is empty or longer than 255, with a blank at an end, or with
/// what cannot be printed.
pub(super) fn check_name(name: &str) -> Result<(), Reply> {
    if name.is_empty() || name.chars().count() > 255 {
        return Err(bad(&format!(
            "Invalid input for field/attribute name. Value: {name}. '{name}' is too short or too long"
        )));
    }
    if name.trim() == name && is_printable(name) {
        return Ok(());
    }
    Err(bad(
        "An invalid 'name' value was provided. The name must be: printable characters. Can not start or end with whitespace.",
    ))
}

pub(super) fn check_description(value: &Value) -> Result<(), Reply> {
    match value.as_str() {
        Some(text) if text.chars().count() > 255 => Err(bad(&format!(
            "Invalid input for field/attribute description. Value: {text}. '{text}' is too long"
        ))),
        Some(text) if !is_printable(text) => Err(bad(&format!(
            "Invalid input for field/attribute description. Value: {text}. {text:?} does not match the regex"
        ))),
        _ => Ok(()),
    }
}

/// Newer releases take any name of a host (seen in 2026.1: dots, `_`, more than 63 characters).
pub(super) fn check_hostname(world: &World, name: Option<&str>) -> Result<(), Reply> {
    let Some(name) = name.filter(|_| !world.config.release.is_newer()) else {
        return Ok(());
    };
    let of_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let good = (2..=63).contains(&name.len())
        && name.chars().all(of_label)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        return Ok(());
    }
    Err(bad(&format!(
        "Invalid input for field/attribute hostname. Value: {name}. '{name}' does not match '^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$'"
    )))
}

pub(super) fn texts(value: &Value) -> Result<BTreeMap<String, String>, Reply> {
    let mut texts = BTreeMap::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        let Some(text) = value.as_str().filter(|text| text.chars().count() <= 255) else {
            return Err(bad(&format!(
                "Invalid input for field/attribute {key}. Value: {value}. {value} is not of type 'string'"
            )));
        };
        texts.insert(key.clone(), text.to_owned());
    }
    Ok(texts)
}

pub(super) fn tags(value: &Value) -> Result<Vec<String>, Reply> {
    let list = value.as_array().cloned().unwrap_or_default();
    if list.len() > 50 {
        return Err(bad(&format!(
            "Invalid input for field/attribute tags. Value: {value}. is too long"
        )));
    }
    let good =
        |tag: &str| !tag.is_empty() && tag.chars().count() <= 60 && !tag.contains(['/', ',']);
    list.iter()
        .map(|tag| match tag.as_str() {
            Some(tag) if good(tag) => Ok(tag.to_owned()),
            _ => Err(bad(&format!("Invalid input for field/attribute tags. Value: {tag}. {tag} does not match '^[^,/]*$'"))),
        })
        .collect()
}

fn disks(
    world: &World,
    ask: &Ask<'_>,
    wanted: &Value,
    image: Option<&str>,
) -> Result<Vec<Disk>, Reply> {
    let mapping = |text: &str| bad(&format!("Block Device Mapping is Invalid: {text}"));
    let mut disks = Vec::new();
    for one in wanted["block_device_mapping_v2"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let id = one["uuid"].as_str().unwrap_or_default();
        let kind = one["source_type"].as_str().unwrap_or_default();
        if one["destination_type"] == "local" && kind == "image" && image.is_some() {
            continue;
        }
        if one.get("tag").is_some() && !ask.since(42) && ask.minor != 32 {
            return Err(bad(
                "Invalid input for field/attribute block_device_mapping_v2. Additional properties are not allowed ('tag' was unexpected)",
            ));
        }
        let index = &one["boot_index"];
        let disk = Disk {
            source: match kind {
                "volume" => Source::Volume(id.to_owned()),
                "image" => Source::Image(id.to_owned()),
                "snapshot" => Source::Snapshot(id.to_owned()),
                "blank" => Source::Blank,
                other => return Err(mapping(&format!("source_type '{other}' is not valid"))),
            },
            size: number(&one["volume_size"]),
            boot_index: index
                .as_i64()
                .or_else(|| index.as_str().and_then(|text| text.parse().ok())),
            tag: one["tag"].as_str().map(str::to_owned),
            device: wished_device(&one["device_name"])?,
            delete_on_termination: one["delete_on_termination"] == true,
        };
        check_disk(world, ask, &disk)?;
        disks.push(disk);
    }
    Ok(disks)
}

/// The device that a mapping wishes for; `vdb` means `/dev/vdb`.
fn wished_device(value: &Value) -> Result<Option<String>, Reply> {
    let Some(name) = value.as_str() else {
        return Ok(None);
    };
    if name.is_empty() {
        return Err(bad(
            "Invalid input for field/attribute device_name. Value: . '' is too short",
        ));
    }
    let name = name.strip_prefix("/dev/").unwrap_or(name);
    Ok(Some(format!("/dev/{name}")))
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        .unwrap_or(0)
}

fn check_disk(world: &World, ask: &Ask<'_>, disk: &Disk) -> Result<(), Reply> {
    let mine = |project: &str| ask.who.is_admin() || project == ask.who.project;
    match &disk.source {
        Source::Volume(id) => {
            let found = world
                .cinder
                .volumes
                .get(id)
                .filter(|volume| mine(&volume.project));
            let Some(volume) = found else {
                return Err(bad(&format!(
                    "Block Device Mapping is Invalid: failed to get volume {id}."
                )));
            };
            if volume.status != "available" {
                return Err(bad(&format!(
                    "Invalid volume: volume {id} status must be 'available'. Currently in '{}'",
                    volume.status
                )));
            }
            if disk.boot_index == Some(0) && !volume.bootable {
                return Err(bad(&format!("Block Device {id} is not bootable.")));
            }
            Ok(())
        }
        Source::Snapshot(id) => {
            let found = world
                .cinder
                .snapshots
                .get(id)
                .filter(|snapshot| mine(&snapshot.project));
            found.map(|_| ()).ok_or_else(|| {
                bad(&format!(
                    "Block Device Mapping is Invalid: failed to get snapshot {id}."
                ))
            })
        }
        Source::Image(id) => {
            let found = world.glance.visible(id, &ask.who);
            found.map(|_| ()).ok_or_else(|| {
                bad(&format!(
                    "Block Device Mapping is Invalid: failed to get image {id}."
                ))
            })
        }
        Source::Blank if disk.size == 0 => Err(bad(
            "Block Device Mapping is Invalid: Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size",
        )),
        Source::Blank => Ok(()),
    }
}

fn nics(world: &World, ask: &Ask<'_>, wanted: &Value) -> Result<Vec<Card>, Reply> {
    let mine = |project: &str| ask.who.is_admin() || project == ask.who.project;
    let Some(list) = wanted["networks"].as_array() else {
        if wanted["networks"] == "none" {
            return Ok(Vec::new());
        }
        let own: Vec<String> = world
            .neutron
            .rows("networks")
            .filter(|row| {
                !truth(row, "router:external")
                    && (text(row, "project_id") == ask.who.project || truth(row, "shared"))
            })
            .map(|row| text(row, "id").to_owned())
            .collect();
        return match own.as_slice() {
            [] => Ok(Vec::new()),
            [only] => {
                let nic = Nic::Network {
                    id: only.clone(),
                    address: None,
                };
                Ok(vec![(nic, None)])
            }
            _ => Err(fault(
                409,
                "Multiple possible networks found, use a Network ID to be more specific.",
            )),
        };
    };
    let mut nics = Vec::new();
    for one in list {
        if one.get("tag").is_some() && !ask.since(42) && ask.minor != 32 {
            return Err(bad(
                "Invalid input for field/attribute networks. Additional properties are not allowed ('tag' was unexpected)",
            ));
        }
        let tag = one["tag"].as_str().map(str::to_owned);
        if let Some(id) = one["port"].as_str() {
            let found = world
                .neutron
                .row("ports", id)
                .filter(|row| mine(text(row, "project_id")));
            let Some(port) = found else {
                return Err(bad(&format!("Port id {id} could not be found.")));
            };
            if !text(port, "device_id").is_empty() {
                return Err(fault(409, &format!("Port {id} is still in use.")));
            }
            let addresses = port.get("fixed_ips").and_then(Value::as_array);
            if addresses.is_none_or(Vec::is_empty) {
                return Err(bad(&format!(
                    "Port {id} requires a FixedIP in order to be used."
                )));
            }
            nics.push((Nic::Port(id.to_owned()), tag));
            continue;
        }
        let id = one["uuid"].as_str().unwrap_or_default();
        let found = world.neutron.row("networks", id);
        let found = found.filter(|row| {
            mine(text(row, "project_id")) || truth(row, "shared") || truth(row, "router:external")
        });
        let Some(network) = found else {
            return Err(bad(&format!("Network {id} could not be found.")));
        };
        if truth(network, "router:external") && !ask.who.is_admin() {
            return Err(fault(
                403,
                &format!("It is not allowed to create an interface on external network {id}"),
            ));
        }
        if !world
            .neutron
            .rows("subnets")
            .any(|row| text(row, "network_id") == id)
        {
            return Err(bad(&format!(
                "Network {id} requires a subnet in order to boot instances on."
            )));
        }
        let nic = Nic::Network {
            id: id.to_owned(),
            address: one["fixed_ip"].as_str().map(str::to_owned),
        };
        nics.push((nic, tag));
    }
    Ok(nics)
}

fn security_groups(world: &World, ask: &Ask<'_>, wanted: &Value) -> Result<Vec<String>, Reply> {
    let mut ids = Vec::new();
    for one in wanted["security_groups"].as_array().into_iter().flatten() {
        let name = one["name"].as_str().unwrap_or_default();
        let project = &ask.who.project;
        let mut own = world
            .neutron
            .rows("security_groups")
            .filter(|row| text(row, "project_id") == project);
        let found = own.find(|row| text(row, "name") == name || text(row, "id") == name);
        let Some(group) = found else {
            return Err(bad(&format!(
                "Security group {name} not found for project {project}."
            )));
        };
        ids.push(text(group, "id").to_owned());
    }
    Ok(ids)
}

/// Puts a server together that is still being built, and gives its id.
pub(crate) fn build(world: &mut World, who: &Who, wish: Wish) -> Result<String, Reply> {
    let id = world.uuid();
    let (mut cards, mut own_ports) = (Vec::new(), Vec::new());
    let mut card_tags = BTreeMap::new();
    for (nic, tag) in &wish.nics {
        let port = match nic {
            Nic::Port(port) => {
                port_bind(world, port, &id);
                port.clone()
            }
            Nic::Network {
                id: network,
                address,
            } => {
                let sketch = PortSketch {
                    network: network.clone(),
                    address: address.clone(),
                    security_groups: wish.security_groups.clone(),
                    server: Some(id.clone()),
                    ..PortSketch::default()
                };
                let port = port_make(world, &who.project, &sketch)
                    .map_err(|reply| port_refused(&reply))?;
                own_ports.push(port.clone());
                port
            }
        };
        card_tags.extend(tag.clone().map(|tag| (port.clone(), tag)));
        cards.push(port);
    }
    let mut disks: Vec<Attached> = Vec::new();
    for disk in &wish.disks {
        disks.push(put_disk(world, who, disk));
    }
    name_devices(&mut disks, wish.image.is_none());
    for disk in &disks {
        reserve(world, &id, disk);
    }
    let properties = image::properties(world, wish.image.as_ref(), &disks);
    let disk = image::disk_of(world, wish.image.as_ref());
    let now = world.date();
    if let Some(group) = wish.hints["group"].as_str()
        && let Some(group) = world.nova.groups.iter_mut().find(|one| one.id == group)
    {
        group.members.push(id.clone());
    }
    let server = Server {
        id: id.clone(),
        sequence: world.next(),
        project: who.project.clone(),
        user: who.user.clone(),
        hostname: wish.hostname.unwrap_or_else(|| hostname(&wish.name, &id)),
        name: wish.name,
        description: wish.description,
        status: "BUILD".to_owned(),
        task: None,
        flavor: wish.flavor,
        image: wish.image,
        launched_from: wish.launched_from,
        key_name: wish.key_name,
        metadata: wish.metadata,
        tags: wish.tags,
        user_data: wish.user_data,
        config_drive: wish.config_drive,
        disks,
        cards,
        card_tags,
        own_ports,
        properties,
        agent: true,
        disk,
        hints: wish.hints,
        locked: false,
        locked_reason: None,
        fault: None,
        created: now,
        updated: now,
        launched: None,
        actions: vec![Action {
            name: "create".to_owned(),
            time: now,
        }],
    };
    world.remember(Kind::Server, &id, &server.name, &who.project);
    if let Some(memory) = world.recall(&id) {
        let values = server.metadata.values().cloned();
        memory.marks = server.tags.iter().cloned().chain(values).collect();
    }
    world.nova.servers.insert(id.clone(), server);
    world.later(
        world.config.times.server_boot,
        Event::ServerReady(id.clone()),
    );
    Ok(id)
}

/// What Nova makes of Neutron's refusal.
fn port_refused(reply: &Reply) -> Reply {
    let text = match &reply.body {
        Body::Json(body) => body["NeutronError"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        Body::Empty | Body::Html(_) | Body::Bytes(_) => String::new(),
    };
    bad(&text)
}

fn put_disk(world: &mut World, who: &Who, disk: &Disk) -> Attached {
    let mut plan = Blueprint {
        size: disk.size.max(1),
        ..Blueprint::default()
    };
    let volume = match &disk.source {
        Source::Volume(id) => id.clone(),
        Source::Image(image) => {
            if let Some(image) = world.glance.images.get(image) {
                plan.content = image.content.clone();
                plan.image_metadata = image.volume_metadata();
                plan.bootable = true;
            }
            volume_make(world, &who.project, &who.user, plan)
        }
        Source::Snapshot(snapshot) => {
            if let Some(source) = world.cinder.snapshots.get(snapshot) {
                plan.content = source.content.clone();
                plan.size = disk.size.max(source.size);
                plan.bootable = source.bootable;
                plan.image_metadata.clone_from(&source.image_metadata);
                plan.snapshot = Some(snapshot.clone());
            }
            volume_make(world, &who.project, &who.user, plan)
        }
        Source::Blank => volume_make(world, &who.project, &who.user, plan),
    };
    Attached {
        volume,
        device: disk.device.clone().unwrap_or_default(),
        tag: disk.tag.clone(),
        delete_on_termination: disk.delete_on_termination,
        attachment: world.uuid(),
        mapping: world.uuid(),
    }
}

/// Gives every disk its device: the first one that of the root, if it is one, then those that were wished
/// for, the others what is free in the order of the ids of their volumes, which is the order in which
/// Nova's data base hands them out. That order is kept in every list.
fn name_devices(disks: &mut [Attached], root: bool) {
    if let Some(first) = disks.first_mut().filter(|_| root) {
        ROOT_DEVICE.clone_into(&mut first.device);
    }
    disks.sort_by(|one, other| one.volume.cmp(&other.volume));
    let taken: Vec<String> = disks.iter().map(|disk| disk.device.clone()).collect();
    let mut free = (1..).map(device).filter(|name| !taken.contains(name));
    for disk in disks.iter_mut().filter(|disk| disk.device.is_empty()) {
        disk.device = free.next().unwrap_or_default();
    }
}
