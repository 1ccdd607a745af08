//! Volumes of Cinder; it may not know how backups are made.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::list::page;
use super::{
    Ask, Volume, ZONE, check_storable, check_texts, default_type, flag, limit, metadata, nowhere,
    only_keys, readonly, see_backup, see_snapshot, see_volume, text, texts, work,
};
use crate::sim::call::truth;
use crate::sim::clock::cinder as written;
use crate::sim::content::Content;
use crate::sim::reply::{Answer, Reply, bad, missing};
use crate::sim::world::{Event, Kind, World};

const FILTERS: [&str; 11] = [
    "name",
    "status",
    "metadata",
    "bootable",
    "migration_status",
    "availability_zone",
    "group_id",
    "size",
    "created_at",
    "updated_at",
    "consumes_quota",
];
const CREATE: [&str; 17] = [
    "name",
    "description",
    "display_name",
    "display_description",
    "volume_type",
    "metadata",
    "snapshot_id",
    "source_volid",
    "consistencygroup_id",
    "size",
    "availability_zone",
    "multiattach",
    "image_id",
    "imageRef",
    "group_id",
    "backup_id",
    "scheduler_hints",
];

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => list(world, ask, "volumes"),
        ("GET", ["detail"]) => list(world, ask, "volumes/detail"),
        ("GET", ["summary"]) => {
            let mine = world
                .cinder
                .volumes
                .values()
                .filter(|one| one.project == ask.who.project);
            let size: u64 = mine.clone().map(|one| one.size).sum();
            Ok(Reply::ok(
                json!({"volume-summary": {"total_count": mine.count(), "total_size": size}}),
            ))
        }
        ("POST", []) => create(world, ask),
        ("GET", [id]) => {
            let volume = see_volume(world, ask, id)?;
            Ok(Reply::ok(json!({"volume": view(world, ask, volume, true)})))
        }
        ("PUT", [id]) => update(world, ask, id),
        ("DELETE", [id]) => {
            let cascade = ask.call.param("cascade").is_some_and(truth);
            let force = ask.since(23) && ask.call.param("force").is_some_and(truth);
            if force {
                ask.admin("volume:force_delete")?;
            }
            see_volume(world, ask, id)?;
            delete(world, id, cascade, force)
        }
        ("POST", [id, "action"]) => action(world, ask, id),
        (_, [id, "metadata", rest @ ..]) => {
            see_volume(world, ask, id)?;
            let Some(volume) = world.cinder.volumes.get_mut(*id) else {
                return Err(nowhere());
            };
            metadata::route(ask, rest, &mut volume.metadata, &format!("Volume {id}"))
        }
        _ => Err(nowhere()),
    }
}

fn list(world: &World, ask: &Ask<'_>, path: &str) -> Answer {
    let detail = path.ends_with("detail");
    let absent = |id: &str| missing(&format!("Volume {id} could not be found."));
    let page = page(
        world,
        ask,
        path,
        world.cinder.volumes.values(),
        &FILTERS,
        absent,
    )?;
    Ok(Reply::ok(page.body("volumes", |volume| {
        if detail {
            return view(world, ask, volume, true);
        }
        json!({"id": volume.id, "name": volume.name,
            "links": ask.links(&format!("volumes/{}", volume.id))})
    })))
}

/// The attachments of a project, also those that have not come to their end.
pub(super) fn attachments(world: &World, ask: &Ask<'_>) -> Reply {
    let everybody = ask.who.is_admin() && ask.call.param("all_tenants").is_some_and(truth);
    let wanted = ask.call.param("volume_id");
    let volumes = world.cinder.volumes.values();
    let views: Vec<Value> = volumes
        .filter(|volume| everybody || volume.project == ask.who.project)
        .filter(|volume| wanted.is_none_or(|wanted| volume.id == wanted))
        .filter_map(|volume| Some((volume, volume.attachment.as_ref()?)))
        .map(|(volume, one)| {
            let status = match volume.status.as_str() {
                "reserved" | "attaching" => volume.status.as_str(),
                _ => "attached",
            };
            json!({"id": one.id, "status": status, "instance": one.server, "volume_id": volume.id})
        })
        .collect();
    Reply::ok(json!({"attachments": views}))
}

/// `extended`: with what extensions add to a show and a detailed list, but not to the answer of a create.
fn view(world: &World, ask: &Ask<'_>, volume: &Volume, extended: bool) -> Value {
    let admin = ask.who.is_admin();
    let kind = world
        .cinder
        .types
        .iter()
        .find(|kind| kind.id == volume.kind);
    let attached: Vec<Value> = volume
        .attachment
        .iter()
        // Only what is attached, see `_get_attachments` of `cinder/api/v3/views/volumes.py`.
        .filter(|_| !["reserved", "attaching"].contains(&volume.status.as_str()))
        .map(|one| {
            let host = admin.then(|| format!("{}-host", world.config.name));
            json!({"id": volume.id, "attachment_id": one.id, "volume_id": volume.id,
                "server_id": one.server, "host_name": host, "device": one.device,
                "attached_at": written(one.at)})
        })
        .collect();
    let mut view = json!({
        "id": volume.id, "status": volume.status, "size": volume.size, "availability_zone": ZONE,
        "created_at": written(volume.created), "updated_at": volume.updated.map(written),
        "name": volume.name, "description": volume.description,
        "volume_type": kind.map(|kind| &kind.name), "snapshot_id": volume.snapshot,
        "source_volid": volume.cloned_from, "metadata": readonly::shown_metadata(volume),
        "links": ask.links(&format!("volumes/{}", volume.id)), "user_id": volume.user,
        "bootable": volume.bootable.to_string(), "encrypted": false, "replication_status": null,
        "consistencygroup_id": null, "multiattach": false, "attachments": attached,
    });
    if admin {
        view["migration_status"] = Value::Null;
    }
    if extended {
        view["os-vol-tenant-attr:tenant_id"] = json!(volume.project);
        if !volume.image_metadata.is_empty() {
            view["volume_image_metadata"] = json!(volume.image_metadata);
        }
        if admin {
            view["os-vol-host-attr:host"] = json!(format!("{}-host@lab#lab", world.config.name));
            view["os-vol-mig-status-attr:migstat"] = Value::Null;
            view["os-vol-mig-status-attr:name_id"] = Value::Null;
        }
    }
    let later: [(u32, &str, Value); 6] = [
        (13, "group_id", json!(volume.group)),
        (48, "shared_targets", json!(false)),
        (48, "service_uuid", Value::Null),
        (61, "cluster_name", Value::Null),
        (63, "volume_type_id", json!(volume.kind)),
        (65, "consumes_quota", json!(!volume.temporary)),
    ];
    for (minor, key, value) in later {
        if ask.since(minor) && (key != "cluster_name" || admin) {
            view[key] = value;
        }
    }
    if admin && ask.since(21) {
        view["provider_id"] = Value::Null;
    }
    world.dress(&volume.id, &mut view);
    view
}

/// What a new volume is to be like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blueprint {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) size: u64,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) image_metadata: BTreeMap<String, String>,
    pub(crate) snapshot: Option<String>,
    pub(crate) cloned_from: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) content: Content,
    pub(crate) bootable: bool,
}

/// Makes a volume that is still being created, and gives its id.
pub(crate) fn make(world: &mut World, project: &str, user: &str, plan: Blueprint) -> String {
    let id = world.uuid();
    let default = default_type(world).unwrap_or_default().to_owned();
    let volume = Volume {
        id: id.clone(),
        sequence: world.next(),
        project: project.to_owned(),
        user: user.to_owned(),
        name: plan.name,
        description: plan.description,
        size: plan.size,
        status: "creating".to_owned(),
        previous_status: None,
        bootable: plan.bootable,
        metadata: plan.metadata,
        readonly: None,
        image_metadata: plan.image_metadata,
        snapshot: plan.snapshot,
        cloned_from: plan.cloned_from,
        kind: plan.kind.unwrap_or(default),
        attachment: None,
        created: world.date(),
        updated: None,
        group: None,
        temporary: false,
        content: plan.content,
    };
    world.remember(
        Kind::Volume,
        &id,
        volume.name.as_deref().unwrap_or_default(),
        project,
    );
    world.cinder.volumes.insert(id.clone(), volume);
    id
}

fn create(world: &mut World, ask: &Ask<'_>) -> Answer {
    let body = ask.call.json();
    let wanted = &body["volume"];
    if !wanted.is_object() {
        return Err(bad(
            "Invalid input for field/attribute volume. 'volume' is a required property",
        ));
    }
    if ask.since(53) {
        only_keys(wanted, "volume", &CREATE)?;
    }
    check_texts(wanted)?;
    check_storable(wanted)?;
    let mut plan = blueprint(world, ask, wanted)?;
    let mut wait = world.config.times.volume_create;
    let image = text(&wanted["imageRef"]).or_else(|| text(&wanted["image_id"]));
    if let Some(image) = &image {
        from_image(world, ask, image, &mut plan)?;
        wait = world.config.times.volume_from_image(plan.size);
    }
    let backup = match wanted["backup_id"].as_str() {
        Some(backup) if ask.since(47) => {
            let backup = see_backup(world, ask, backup)?;
            if backup.status != "available" {
                return Err(bad(
                    "Invalid backup: Originating backup status must be one of 'available' values",
                ));
            }
            plan.size = plan.size.max(backup.size);
            Some(backup.id.clone())
        }
        _ => None,
    };
    if plan.size == 0 {
        return Err(bad(
            "Invalid input received: Volume size 'None' must be an integer and greater than 0",
        ));
    }
    limit::check_size(world, &ask.who.project, plan.size)?;
    let kind = plan.kind.as_deref().or_else(|| default_type(world));
    let need = limit::Need::of("volumes", plan.size, kind);
    limit::reserve(world, &ask.who.project, &need)?;
    let id = make(world, &ask.who.project, &ask.who.user, plan);
    match backup {
        Some(backup) => {
            let size = world
                .cinder
                .backups
                .get(&backup)
                .map_or(0, |backup| backup.size);
            world.set_status(&backup, "restoring");
            let wait = wait + world.config.times.restore(size);
            work::begin(
                world,
                wait,
                Event::BackupRestored {
                    backup,
                    volume: id.clone(),
                    fresh: true,
                },
            );
        }
        None => world.later(wait, Event::VolumeReady(id.clone())),
    }
    let volume = see_volume(world, ask, &id)?;
    Ok(Reply::new(202, json!({"volume": view(world, ask, volume, false)})).touching(&id))
}

fn blueprint(world: &World, ask: &Ask<'_>, wanted: &Value) -> Result<Blueprint, Reply> {
    let mut plan = Blueprint {
        name: text(&wanted["name"]).or_else(|| text(&wanted["display_name"])),
        description: text(&wanted["description"]).or_else(|| text(&wanted["display_description"])),
        metadata: texts(&wanted["metadata"])?,
        ..Blueprint::default()
    };
    let size = &wanted["size"];
    let number = size
        .as_u64()
        .or_else(|| size.as_str().and_then(|text| text.parse().ok()));
    match number {
        Some(size) if size > 0 => plan.size = size,
        None if size.is_null() => {}
        Some(_) | None => {
            return Err(bad(&format!(
                "Invalid input for field/attribute size. Value: {size}. {size} is not valid under any of the given schemas"
            )));
        }
    }
    if let Some(zone) = wanted["availability_zone"]
        .as_str()
        .filter(|zone| *zone != ZONE)
    {
        return Err(bad(&format!("Availability zone '{zone}' is invalid.")));
    }
    if let Some(name) = wanted["volume_type"].as_str() {
        let kind = world
            .cinder
            .types
            .iter()
            .find(|kind| kind.name == name || kind.id == name);
        let kind = kind
            .ok_or_else(|| missing(&format!("Volume type with name {name} could not be found.")))?;
        plan.kind = Some(kind.id.clone());
    }
    if let Some(id) = wanted["snapshot_id"].as_str() {
        let snapshot = see_snapshot(world, ask, id)?;
        if snapshot.status != "available" {
            return Err(bad(
                "Invalid snapshot: Originating snapshot status must be one of 'available' values",
            ));
        }
        large_enough(&mut plan.size, snapshot.size, "snapshot")?;
        plan.content = snapshot.content.clone();
        plan.bootable = snapshot.bootable;
        plan.image_metadata.clone_from(&snapshot.image_metadata);
        plan.snapshot = Some(id.to_owned());
    }
    if let Some(id) = wanted["source_volid"].as_str() {
        let source = see_volume(world, ask, id)?;
        if !["available", "in-use"].contains(&source.status.as_str()) {
            return Err(bad(
                "Invalid volume: Originating source volume status must be one of 'available, in-use' values",
            ));
        }
        large_enough(&mut plan.size, source.size, "source volume")?;
        plan.content = source.content.clone();
        plan.bootable = source.bootable;
        plan.image_metadata.clone_from(&source.image_metadata);
        plan.cloned_from = Some(id.to_owned());
    }
    Ok(plan)
}

fn large_enough(size: &mut u64, source: u64, kind: &str) -> Result<(), Reply> {
    if *size == 0 {
        *size = source;
    }
    if *size >= source {
        return Ok(());
    }
    Err(bad(&format!(
        "Invalid input received: Volume size '{size}'GB cannot be smaller than the {kind} size {source}GB. They must be >= original {kind} size."
    )))
}

fn from_image(world: &World, ask: &Ask<'_>, id: &str, plan: &mut Blueprint) -> Result<(), Reply> {
    let image = world.glance.visible(id, &ask.who);
    let image = image
        .ok_or_else(|| bad("Invalid image identifier or unable to access requested image."))?;
    if image.status != "active" {
        return Err(bad(&format!(
            "Invalid input received: Image {id} is not active."
        )));
    }
    let least = image.least_gib();
    if plan.size < least {
        return Err(bad(&format!(
            "Invalid input received: Size of specified image {least}GB is larger than volume size {}GB.",
            plan.size
        )));
    }
    plan.content = image.content.clone();
    plan.image_metadata = image.volume_metadata();
    plan.bootable = true;
    Ok(())
}

fn update(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    see_volume(world, ask, id)?;
    let body = ask.call.json();
    let wanted = &body["volume"];
    let known = [
        "name",
        "description",
        "display_name",
        "display_description",
        "metadata",
    ];
    only_keys(wanted, "volume", &known)?;
    check_texts(wanted)?;
    check_storable(wanted)?;
    let now = world.date();
    let Some(volume) = world.cinder.volumes.get_mut(id) else {
        return Err(nowhere());
    };
    for key in ["name", "display_name"] {
        if wanted.get(key).is_some() {
            volume.name = text(&wanted[key]);
        }
    }
    for key in ["description", "display_description"] {
        if wanted.get(key).is_some() {
            volume.description = text(&wanted[key]);
        }
    }
    if wanted.get("metadata").is_some() {
        volume.metadata = texts(&wanted["metadata"])?;
    }
    volume.updated = Some(now);
    let volume = see_volume(world, ask, id)?;
    Ok(Reply::ok(
        json!({"volume": view(world, ask, volume, false)}),
    ))
}

fn delete(world: &mut World, id: &str, cascade: bool, force: bool) -> Answer {
    let snapshots: Vec<String> = world
        .cinder
        .snapshots
        .values()
        .filter(|one| one.volume == id)
        .map(|one| one.id.clone())
        .collect();
    let wait = world.config.times.volume_delete;
    let Some(volume) = world.cinder.volumes.get_mut(id) else {
        return Err(nowhere());
    };
    let statuses = [
        "available",
        "error",
        "error_restoring",
        "error_extending",
        "error_managing",
    ];
    let allowed = force || statuses.contains(&volume.status.as_str());
    if !allowed || volume.attachment.is_some() || !cascade && !snapshots.is_empty() {
        let status = if force {
            ""
        } else {
            " status must be available or error or error_restoring or error_extending or error_managing and"
        };
        return Err(bad(&format!(
            "Invalid volume: Volume{status} must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after volume transfer."
        )));
    }
    "deleting".clone_into(&mut volume.status);
    for snapshot in snapshots {
        world.set_status(&snapshot, "deleting");
        world.later(wait, Event::SnapshotGone(snapshot));
    }
    world.later(wait, Event::VolumeGone(id.to_owned()));
    Ok(Reply::empty(202).touching(id))
}

/// Deletes a volume that goes with its server.
pub(crate) fn delete_with_server(world: &mut World, id: &str) {
    // One that cannot go now stays, as it does when Nova asks Cinder in vain.
    let _stays = delete(world, id, false, false);
}

fn action(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    let volume = see_volume(world, ask, id)?;
    let (size, kind) = (volume.size, volume.kind.clone());
    let body = ask.call.json();
    let Some((name, argument)) = body.as_object().and_then(|object| object.iter().next()) else {
        return Err(bad("There is no such action: None"));
    };
    let now = world.date();
    let extend = world.config.times.volume_extend;
    match name.as_str() {
        "os-set_bootable" => {
            if argument["bootable"].is_null() {
                return Err(bad(
                    "Invalid input for field/attribute os-set_bootable. 'bootable' is a required property",
                ));
            }
            if let Some(volume) = world.cinder.volumes.get_mut(id) {
                volume.bootable = flag(&argument["bootable"]);
                volume.updated = Some(now);
            }
            Ok(Reply::empty(200))
        }
        "os-set_image_metadata" => {
            let more = texts(&argument["metadata"])?;
            let Some(volume) = world.cinder.volumes.get_mut(id) else {
                return Err(nowhere());
            };
            volume.image_metadata.extend(more);
            Ok(Reply::ok(json!({"metadata": volume.image_metadata})))
        }
        "os-show_image_metadata" => Ok(Reply::ok(
            json!({"metadata": see_volume(world, ask, id)?.image_metadata}),
        )),
        "os-unset_image_metadata" => {
            let key = argument["key"].as_str().unwrap_or_default();
            if let Some(volume) = world.cinder.volumes.get_mut(id) {
                volume.image_metadata.remove(key);
            }
            Ok(Reply::empty(200))
        }
        "os-update_readonly_flag" => readonly::set(world, id, argument),
        "os-reset_status" => {
            ask.admin("volume_extension:volume_admin_actions:reset_status")?;
            if let Some(status) = argument["status"].as_str() {
                world.set_status(id, &status.to_ascii_lowercase());
            }
            if argument["attach_status"] == "detached"
                && let Some(volume) = world.cinder.volumes.get_mut(id)
                && volume.attachment.take().is_some()
            {
                // Without its attachment Cinder takes it for free, whatever was asked for, and Nova hears nothing.
                "available".clone_into(&mut volume.status);
            }
            Ok(Reply::empty(202))
        }
        "os-force_delete" => {
            ask.admin("volume_extension:volume_admin_actions:force_delete")?;
            delete(world, id, false, true)
        }
        "os-extend" => {
            let new = argument["new_size"].as_u64().unwrap_or(0);
            if new <= size {
                return Err(bad(&format!(
                    "Invalid input received: New size for extend must be greater than current size. (current: {size}, extended: {new})."
                )));
            }
            limit::check_size(world, &ask.who.project, new)?;
            let need = limit::Need {
                count: None,
                ..limit::Need::of("volumes", new - size, Some(kind.as_str()))
            };
            limit::reserve(world, &ask.who.project, &need)?;
            let Some(volume) = world.cinder.volumes.get_mut(id) else {
                return Err(nowhere());
            };
            if volume.status != "available" && !(volume.status == "in-use" && ask.since(42)) {
                return Err(bad(&format!(
                    "Invalid volume: Volume {id} status must be '{{'status': 'available'}}' to extend, currently {}.",
                    volume.status
                )));
            }
            volume.previous_status = Some(volume.status.clone());
            "extending".clone_into(&mut volume.status);
            world.later(extend, Event::VolumeExtended(id.to_owned(), new));
            Ok(Reply::empty(202).touching(id))
        }
        other => Err(bad(&format!("There is no such action: {other}"))),
    }
}
