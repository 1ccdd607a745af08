//! Snapshots of Cinder; it may not know what they are taken for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::list::page;
use super::{
    Ask, Snapshot, check_printable, check_texts, flag, limit, metadata, nowhere, only_keys,
    required, see_snapshot, see_volume, text, texts,
};
use crate::sim::clock::cinder as written;
use crate::sim::keystone::Who;
use crate::sim::reply::{Answer, Reply, bad, missing};
use crate::sim::world::{Event, Kind, World};

const FILTERS: [&str; 6] = [
    "name",
    "status",
    "volume_id",
    "metadata",
    "availability_zone",
    "consumes_quota",
];

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => list(world, ask, "snapshots"),
        ("GET", ["detail"]) => list(world, ask, "snapshots/detail"),
        ("POST", []) => create(world, ask),
        ("GET", [id]) => {
            let snapshot = see_snapshot(world, ask, id)?;
            Ok(Reply::ok(json!({"snapshot": view(ask, snapshot, true)})))
        }
        ("PUT", [id]) => update(world, ask, id),
        ("DELETE", [id]) => {
            see_snapshot(world, ask, id)?;
            delete(world, id, false)
        }
        ("POST", [id, "action"]) => {
            see_snapshot(world, ask, id)?;
            let body = ask.call.json();
            if let Some(status) = body["os-reset_status"]["status"].as_str() {
                ask.admin("volume_extension:snapshot_admin_actions:reset_status")?;
                world.set_status(id, &status.to_ascii_lowercase());
                return Ok(Reply::empty(202));
            }
            if body.get("os-force_delete").is_some() {
                ask.admin("volume_extension:snapshot_admin_actions:force_delete")?;
                return delete(world, id, true);
            }
            Err(bad("There is no such action"))
        }
        (_, [id, "metadata", rest @ ..]) => {
            see_snapshot(world, ask, id)?;
            let Some(snapshot) = world.cinder.snapshots.get_mut(*id) else {
                return Err(nowhere());
            };
            metadata::route(ask, rest, &mut snapshot.metadata, &format!("Snapshot {id}"))
        }
        _ => Err(nowhere()),
    }
}

fn list(world: &World, ask: &Ask<'_>, path: &str) -> Answer {
    let detail = path.ends_with("detail");
    let absent = |id: &str| missing(&format!("Snapshot {id} could not be found."));
    let page = page(
        world,
        ask,
        path,
        world.cinder.snapshots.values(),
        &FILTERS,
        absent,
    )?;
    Ok(Reply::ok(
        page.body("snapshots", |snapshot| view(ask, snapshot, detail)),
    ))
}

fn view(ask: &Ask<'_>, snapshot: &Snapshot, extended: bool) -> Value {
    let mut view = json!({"id": snapshot.id, "created_at": written(snapshot.created),
        "updated_at": snapshot.updated.map(written), "name": snapshot.name,
        "description": snapshot.description, "volume_id": snapshot.volume, "status": snapshot.status,
        "size": snapshot.size, "metadata": snapshot.metadata});
    if extended {
        let progress = if snapshot.status == "creating" {
            "0%"
        } else {
            "100%"
        };
        view["os-extended-snapshot-attributes:progress"] = json!(progress);
        view["os-extended-snapshot-attributes:project_id"] = json!(snapshot.project);
    }
    if ask.since(14) {
        view["group_snapshot_id"] = json!(snapshot.part_of);
    }
    if ask.since(41) {
        view["user_id"] = json!(snapshot.user);
    }
    if ask.since(65) {
        view["consumes_quota"] = json!(true);
    }
    view
}

fn create(world: &mut World, ask: &Ask<'_>) -> Answer {
    let body = ask.call.json();
    let wanted = &body["snapshot"];
    only_keys(
        wanted,
        "snapshot",
        &[
            "name",
            "display_name",
            "description",
            "volume_id",
            "force",
            "metadata",
        ],
    )?;
    check_texts(wanted)?;
    check_printable(wanted)?;
    let volume = see_volume(world, ask, required(wanted, "snapshot", "volume_id")?)?;
    let force = flag(&wanted["force"]);
    if ask.since(66) && !wanted["force"].is_null() && !force {
        return Err(bad(
            "Since microversion 3.66 the 'force' flag is invalid for this request.  For backward compatability, however, when the 'force' flag is passed with a value evaluating to True, it is silently ignored.",
        ));
    }
    if volume.status == "error" {
        return Err(bad(
            "Invalid volume: The snapshot cannot be created when the volume is in error status.",
        ));
    }
    let valid: &[&str] = if force || ask.since(66) {
        &["available", "in-use"]
    } else {
        &["available"]
    };
    if !valid.contains(&volume.status.as_str()) {
        return Err(bad(&format!(
            "Invalid volume: Volume {} status must be {}, but current status is: {}.",
            volume.id,
            valid.join(", "),
            volume.status
        )));
    }
    let volume = volume.id.clone();
    let wish = Wish {
        name: text(&wanted["name"]).or_else(|| text(&wanted["display_name"])),
        description: text(&wanted["description"]),
        metadata: texts(&wanted["metadata"])?,
        ..Wish::default()
    };
    let id = make(world, &ask.who, &volume, wish)?;
    let snapshot = see_snapshot(world, ask, &id)?;
    Ok(Reply::new(202, json!({"snapshot": view(ask, snapshot, false)})).touching(&id))
}

/// What a new snapshot is to be called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The group snapshot that it is part of.
    pub(crate) part_of: Option<String>,
    /// Whether the guest holds still.
    pub(crate) quiesced: bool,
}

/// Begins a snapshot of a volume, whatever its status, and gives its id.
pub(crate) fn make(
    world: &mut World,
    who: &Who,
    volume: &str,
    wish: Wish,
) -> Result<String, Reply> {
    let absent = || missing(&format!("Volume {volume} could not be found."));
    let source = world
        .cinder
        .volumes
        .get(volume)
        .cloned()
        .ok_or_else(absent)?;
    let need = limit::Need::of("snapshots", source.size, Some(source.kind.as_str()));
    limit::reserve(world, &who.project, &need)?;
    let id = world.uuid();
    let snapshot = Snapshot {
        id: id.clone(),
        sequence: world.next(),
        project: who.project.clone(),
        user: who.user.clone(),
        name: wish.name,
        description: wish.description,
        volume: source.id,
        size: source.size,
        status: "creating".to_owned(),
        metadata: wish.metadata,
        created: world.date(),
        updated: None,
        content: source.content,
        bootable: source.bootable,
        image_metadata: source.image_metadata,
        part_of: wish.part_of,
        quiesced: wish.quiesced,
    };
    // One of a group comes, is ready and is remembered with its group, whose name all of them have.
    if snapshot.part_of.is_none() {
        world.remember(
            Kind::Snapshot,
            &id,
            snapshot.name.as_deref().unwrap_or_default(),
            &who.project,
        );
        world.later(
            world.config.times.snapshot_create,
            Event::SnapshotReady(id.clone()),
        );
    }
    world.cinder.snapshots.insert(id.clone(), snapshot);
    Ok(id)
}

fn update(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    see_snapshot(world, ask, id)?;
    let body = ask.call.json();
    let wanted = &body["snapshot"];
    only_keys(
        wanted,
        "snapshot",
        &["name", "description", "display_name", "display_description"],
    )?;
    check_texts(wanted)?;
    check_printable(wanted)?;
    let now = world.date();
    let Some(snapshot) = world.cinder.snapshots.get_mut(id) else {
        return Err(nowhere());
    };
    if wanted.get("name").is_some() {
        snapshot.name = text(&wanted["name"]);
    }
    if wanted.get("description").is_some() {
        snapshot.description = text(&wanted["description"]);
    }
    snapshot.updated = Some(now);
    Ok(Reply::ok(json!({"snapshot": view(ask, snapshot, false)})))
}

fn delete(world: &mut World, id: &str, force: bool) -> Answer {
    let wait = world.config.times.snapshot_delete;
    let Some(snapshot) = world.cinder.snapshots.get_mut(id) else {
        return Err(nowhere());
    };
    let in_group = snapshot.part_of.is_some();
    if in_group || !force && !["available", "error"].contains(&snapshot.status.as_str()) {
        return Err(bad(
            "Invalid snapshot: Snapshot status must be available or error and must not be part of a group.",
        ));
    }
    "deleting".clone_into(&mut snapshot.status);
    world.later(wait, Event::SnapshotGone(id.to_owned()));
    Ok(Reply::empty(202).touching(id))
}
