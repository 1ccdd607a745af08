//! Backups of Cinder as its API shows them; it may not know where their bytes go.

use std::time::Duration;

use serde_json::{Value, json};

use super::list::page;
use super::volume::{Blueprint, make};
use super::{
    Ask, Backup, Snapshot, Volume, ZONE, check_printable, check_texts, default_type, flag, limit,
    nowhere, only_keys, record, required, see_backup, see_snapshot, see_volume, text, texts, work,
};
use crate::sim::clock::cinder as written;
use crate::sim::reply::{Answer, Reply, bad, missing};
use crate::sim::world::{Event, Kind, World};

const FILTERS: [&str; 3] = ["name", "status", "volume_id"];

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => list(world, ask, "backups"),
        ("GET", ["detail"]) => list(world, ask, "backups/detail"),
        ("POST", []) => create(world, ask),
        ("POST", ["import_record"]) => record::import(world, ask),
        ("GET", [id]) => {
            let backup = see_backup(world, ask, id)?;
            Ok(Reply::ok(json!({"backup": view(ask, backup)})))
        }
        ("PUT", [id]) if ask.since(9) => update(world, ask, id),
        ("DELETE", [id]) => {
            see_backup(world, ask, id)?;
            delete(world, ask, id, false)
        }
        ("POST", [id, "restore"]) => restore(world, ask, id),
        ("GET", [id, "export_record"]) => record::export(world, ask, id),
        ("POST", [id, "action"]) => {
            see_backup(world, ask, id)?;
            let body = ask.call.json();
            if let Some(status) = body["os-reset_status"]["status"].as_str() {
                ask.admin("volume_extension:backup_admin_actions:reset_status")?;
                work::need_service(world)?;
                // The manager does nothing to what no driver has taken in.
                let importing = world.cinder.backups.get(*id);
                if importing.is_none_or(|backup| !backup.imported || backup.service.is_some()) {
                    world.set_status(id, &status.to_ascii_lowercase());
                }
                return Ok(Reply::empty(202));
            }
            if body.get("os-force_delete").is_some() {
                ask.admin("volume_extension:backup_admin_actions:force_delete")?;
                return delete(world, ask, id, true);
            }
            Err(bad("There is no such action"))
        }
        _ => Err(nowhere()),
    }
}

fn list(world: &World, ask: &Ask<'_>, path: &str) -> Answer {
    let detail = path.ends_with("detail");
    let absent = |id: &str| missing(&format!("Backup {id} could not be found."));
    let page = page(
        world,
        ask,
        path,
        world.cinder.backups.values(),
        &FILTERS,
        absent,
    )?;
    Ok(Reply::ok(page.body("backups", |backup| {
        if detail {
            view(ask, backup)
        } else {
            summary(ask, backup)
        }
    })))
}

pub(super) fn summary(ask: &Ask<'_>, backup: &Backup) -> Value {
    json!({"id": backup.id, "name": backup.name, "links": ask.links(&format!("backups/{}", backup.id))})
}

fn view(ask: &Ask<'_>, backup: &Backup) -> Value {
    let importing = backup.importing.is_some();
    let mut view = json!({
        "id": backup.id, "status": backup.status, "size": if importing { 0 } else { backup.size },
        "object_count": backup.object_count, "availability_zone": ZONE,
        "container": backup.container, "created_at": written(backup.created),
        "updated_at": backup.updated.map(written), "name": backup.name,
        "description": backup.description, "fail_reason": backup.fail_reason,
        "volume_id": backup.volume, "links": ask.links(&format!("backups/{}", backup.id)),
        "is_incremental": backup.parent.is_some(), "has_dependent_backups": backup.dependents > 0,
        "snapshot_id": backup.snapshot, "data_timestamp": backup.data_timestamp.map(written),
    });
    if ask.who.is_admin() && ask.since(18) {
        view["os-backup-project-attr:project_id"] = json!(backup.project);
    }
    if ask.since(43) {
        view["metadata"] = json!(backup.metadata);
    }
    if ask.who.is_admin() && ask.since(56) {
        view["user_id"] = json!(backup.user);
    }
    view
}

fn check_source(volume: &Volume, snapshot: Option<&Snapshot>, force: bool) -> Result<(), Reply> {
    if let Some(snapshot) = snapshot {
        if snapshot.volume != volume.id {
            return Err(bad(&format!(
                "Invalid volume: Volume {} does not match with snapshot.volume_id {}.",
                volume.id, snapshot.volume
            )));
        }
        if snapshot.status != "available" {
            return Err(bad(&format!(
                "Invalid snapshot: Snapshot to be backed up must be available, but the current status is \"{}\".",
                snapshot.status
            )));
        }
        return Ok(());
    }
    match volume.status.as_str() {
        "available" => Ok(()),
        "in-use" if force => Ok(()),
        "in-use" => Err(bad(
            "Invalid volume: Backing up an in-use volume must use the force flag.",
        )),
        other => Err(bad(&format!(
            "Invalid volume: Volume to be backed up must be available or in-use, but the current status is \"{other}\"."
        ))),
    }
}

/// The latest usable backup of the volume in the caller's project, whoever made it. Cinder compares
/// what is not usable too, as the oldest of all, so that it can still come out first.
fn parent_of(
    world: &World,
    project: &str,
    volume: &str,
    snapshot: Option<&Snapshot>,
) -> Result<String, Reply> {
    let before = |backup: &Backup| {
        backup
            .data_timestamp
            .filter(|moment| snapshot.is_none_or(|snapshot| *moment < snapshot.created))
            .filter(|_| backup.status == "available")
    };
    let candidates = world.cinder.backups.values();
    let latest = candidates
        .filter(|backup| backup.project == project && backup.volume == volume)
        .max_by_key(|backup| (before(backup), backup.sequence));
    let Some(parent) = latest else {
        return Err(bad(
            "Invalid backup: No backups available to do an incremental backup.",
        ));
    };
    if parent.status != "available" {
        return Err(bad(
            "Invalid backup: The parent backup must be available for incremental backup.",
        ));
    }
    Ok(parent.id.clone())
}

fn create(world: &mut World, ask: &Ask<'_>) -> Answer {
    let body = ask.call.json();
    let wanted = &body["backup"];
    let mut known = vec![
        "volume_id",
        "container",
        "description",
        "incremental",
        "force",
        "name",
        "snapshot_id",
    ];
    if ask.since(43) {
        known.push("metadata");
    }
    if ask.since(51) {
        known.push("availability_zone");
    }
    only_keys(wanted, "backup", &known)?;
    check_texts(wanted)?;
    check_printable(wanted)?;
    let volume = see_volume(world, ask, required(wanted, "backup", "volume_id")?)?.clone();
    let snapshot = match wanted["snapshot_id"].as_str() {
        Some(id) => Some(see_snapshot(world, ask, id)?.clone()),
        None => None,
    };
    check_source(&volume, snapshot.as_ref(), flag(&wanted["force"]))?;
    let project = ask.who.project.as_str();
    limit::reserve(
        world,
        project,
        &limit::Need::of("backups", volume.size, None),
    )?;
    let parent = if flag(&wanted["incremental"]) {
        Some(parent_of(world, project, &volume.id, snapshot.as_ref())?)
    } else {
        None
    };
    let id = world.uuid();
    let now = world.date();
    let backup = Backup {
        id: id.clone(),
        sequence: world.next(),
        project: project.to_owned(),
        user: ask.who.user.clone(),
        name: text(&wanted["name"]),
        description: text(&wanted["description"]),
        volume: volume.id.clone(),
        snapshot: snapshot.as_ref().map(|snapshot| snapshot.id.clone()),
        parent,
        size: volume.size,
        status: "creating".to_owned(),
        fail_reason: None,
        container: text(&wanted["container"]),
        prefix: None,
        service: None,
        object_count: 0,
        metadata: texts(&wanted["metadata"])?,
        dependents: 0,
        created: now,
        updated: None,
        data_timestamp: Some(snapshot.as_ref().map_or(now, |snapshot| snapshot.created)),
        imported: false,
        importing: None,
        captured: Some(
            snapshot
                .as_ref()
                .map_or_else(|| volume.content.clone(), |one| one.content.clone()),
        ),
        temporary_volume: None,
        restore_volume: None,
    };
    let body = json!({"backup": summary(ask, &backup)});
    world.remember(
        Kind::Backup,
        &id,
        backup.name.as_deref().unwrap_or_default(),
        project,
    );
    match &snapshot {
        Some(snapshot) => {
            world.set_status(&snapshot.id, "backing-up");
        }
        None => {
            if let Some(source) = world.cinder.volumes.get_mut(&volume.id) {
                source.previous_status = Some(std::mem::replace(
                    &mut source.status,
                    "backing-up".to_owned(),
                ));
            }
        }
    }
    let incremental = backup.parent.is_some();
    world.cinder.backups.insert(id.clone(), backup);
    if snapshot.is_some() || volume.status == "in-use" {
        work::make_temporary(world, &id, &volume);
    }
    let wait = world.config.times.backup(volume.size, incremental);
    work::begin(world, wait, Event::BackupReady(id.clone()));
    Ok(Reply::new(202, body).touching(&id))
}

fn update(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    see_backup(world, ask, id)?;
    let body = ask.call.json();
    let wanted = &body["backup"];
    let known: &[&str] = if ask.since(43) {
        &["name", "description", "metadata"]
    } else {
        &["name", "description"]
    };
    only_keys(wanted, "backup", known)?;
    check_texts(wanted)?;
    check_printable(wanted)?;
    let now = world.date();
    let Some(backup) = world.cinder.backups.get_mut(id) else {
        return Err(nowhere());
    };
    if wanted.get("name").is_some() {
        backup.name = text(&wanted["name"]);
    }
    if wanted.get("description").is_some() {
        backup.description = text(&wanted["description"]);
    }
    if wanted.get("metadata").is_some() {
        backup.metadata = texts(&wanted["metadata"])?;
    }
    backup.updated = Some(now);
    Ok(Reply::ok(json!({"backup": summary(ask, backup)})))
}

fn delete(world: &mut World, ask: &Ask<'_>, id: &str, force: bool) -> Answer {
    let backup = see_backup(world, ask, id)?;
    if !force && !["available", "error"].contains(&backup.status.as_str()) {
        return Err(bad(
            "Invalid backup: Backup status must be available or error",
        ));
    }
    let has_children = world
        .cinder
        .backups
        .values()
        .any(|child| child.parent.as_deref() == Some(id) && child.project == ask.who.project);
    if has_children {
        return Err(bad(
            "Invalid backup: Incremental backups exist for this backup.",
        ));
    }
    work::need_service(world)?;
    world.set_status(id, "deleting");
    let wait = world.config.times.backup_delete;
    work::begin(world, wait, Event::BackupGone(id.to_owned()));
    Ok(Reply::empty(202).touching(id))
}

fn restore(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    let body = ask.call.json();
    let wanted = &body["restore"];
    only_keys(wanted, "restore", &["volume_id", "name"])?;
    let backup = see_backup(world, ask, id)?;
    if backup.status != "available" {
        return Err(bad("Invalid backup: Backup status must be available"));
    }
    let size = backup.size;
    let fresh = wanted["volume_id"].is_null();
    let (volume, making) = if let Some(volume) = wanted["volume_id"].as_str() {
        (see_volume(world, ask, volume)?.id.clone(), Duration::ZERO)
    } else {
        let need = limit::Need {
            named: false,
            ..limit::Need::of("volumes", size, default_type(world))
        };
        limit::reserve(world, &ask.who.project, &need)?;
        let name = text(&wanted["name"]).unwrap_or_else(|| format!("restore_backup_{id}"));
        let plan = Blueprint {
            name: Some(name),
            description: Some("auto-created_from_restore_from_backup".to_owned()),
            size,
            ..Blueprint::default()
        };
        let made = make(world, &ask.who.project, &ask.who.user, plan);
        world.set_status(&made, "available");
        // The API itself waits until the volume is there.
        (made, world.config.times.volume_create)
    };
    let target = see_volume(world, ask, &volume)?;
    let name = target.name.clone();
    if target.status != "available" {
        return Err(bad(
            "Invalid volume: Volume to be restored to must be available",
        ));
    }
    if size > target.size {
        return Err(bad(&format!(
            "Invalid volume: volume size {} is too small to restore backup of size {size}.",
            target.size
        )));
    }
    work::need_service(world)?;
    if let Some(backup) = world.cinder.backups.get_mut(id) {
        "restoring".clone_into(&mut backup.status);
        backup.restore_volume = Some(volume.clone());
    }
    world.set_status(&volume, "restoring-backup");
    let wait = making + world.config.times.restore(size);
    let event = Event::BackupRestored {
        backup: id.to_owned(),
        volume: volume.clone(),
        fresh,
    };
    work::begin(world, wait, event);
    let body = json!({"restore": {"backup_id": id, "volume_id": volume, "volume_name": name}});
    Ok(Reply::new(202, body).touching(&volume).after(making))
}
