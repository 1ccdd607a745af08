//! Records of backups: how one cloud tells another what a backup is; it may not read their bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Ask, Backup, ZONE, backup, limit, only_keys, required, see_backup, work};
use crate::sim::clock::zulu;
use crate::sim::reply::{Answer, Reply, bad, fault};
use crate::sim::world::{Event, Kind, World};

/// What a backup's volume is while its record is still being taken in.
const NO_VOLUME: &str = "00000000-0000-0000-0000-000000000000";

pub(super) fn export(world: &World, ask: &Ask<'_>, id: &str) -> Answer {
    let backup = see_backup(world, ask, id)?;
    ask.admin_by_policy(world, "backup:export-import")?;
    if backup.status != "available" {
        return Err(bad(&format!(
            "Invalid backup: Backup status must be available and not {}.",
            backup.status
        )));
    }
    work::need_service(world)?;
    let record = json!({
        "driver_info": {}, "id": backup.id, "user_id": backup.user, "project_id": backup.project,
        "volume_id": backup.volume, "host": format!("{}-host", world.config.name),
        "availability_zone": ZONE, "container": backup.container, "parent_id": backup.parent,
        "status": backup.status, "fail_reason": backup.fail_reason, "size": backup.size,
        "display_name": backup.name, "display_description": backup.description,
        "service_metadata": backup.prefix, "service": backup.service,
        "object_count": backup.object_count, "temp_volume_id": null, "temp_snapshot_id": null,
        "num_dependent_backups": backup.dependents, "snapshot_id": backup.snapshot,
        "data_timestamp": backup.data_timestamp.map(zulu),
        "restore_volume_id": backup.restore_volume, "metadata": backup.metadata,
        "encryption_key_id": null,
    });
    Ok(Reply::ok(json!({"backup-record": {
        "backup_service": backup.service, "backup_url": STANDARD.encode(record.to_string()),
    }})))
}

pub(super) fn import(world: &mut World, ask: &Ask<'_>) -> Answer {
    let body = ask.call.json();
    let wanted = &body["backup-record"];
    only_keys(wanted, "backup-record", &["backup_service", "backup_url"])?;
    let service = required(wanted, "backup-record", "backup_service")?;
    let url = required(wanted, "backup-record", "backup_url")?;
    ask.admin_by_policy(world, "backup:backup-import")?;
    if !world.cinder.service_up {
        return Err(fault(
            503,
            &format!("Service {service} could not be found."),
        ));
    }
    let record = decode(url)?;
    let Some(id) = record["id"].as_str() else {
        return Err(bad(
            "Invalid input received: Provided backup record is missing an id",
        ));
    };
    let Some(size) = record["size"].as_u64() else {
        return Err(bad(
            "Invalid input received: Provided backup record is missing size attribute",
        ));
    };
    if world.cinder.backups.contains_key(id) {
        return Err(bad("Invalid backup: Backup already exists in database."));
    }
    limit::reserve(
        world,
        &ask.who.project,
        &limit::Need::of("backups", size, None),
    )?;
    let imported = Backup {
        id: id.to_owned(),
        sequence: world.next(),
        project: ask.who.project.clone(),
        user: ask.who.user.clone(),
        name: None,
        description: None,
        volume: NO_VOLUME.to_owned(),
        snapshot: None,
        parent: None,
        size,
        status: "creating".to_owned(),
        fail_reason: None,
        container: None,
        prefix: None,
        service: None,
        object_count: 0,
        metadata: std::collections::BTreeMap::new(),
        dependents: 0,
        created: world.date(),
        updated: None,
        data_timestamp: None,
        imported: true,
        importing: Some((record.clone(), service.to_owned())),
        captured: None,
        temporary_volume: None,
        restore_volume: None,
    };
    let body = json!({"backup": backup::summary(ask, &imported)});
    let name = record["display_name"].as_str().unwrap_or_default();
    world.remember(Kind::ImportedBackup, id, name, &ask.who.project);
    world.cinder.backups.insert(id.to_owned(), imported);
    work::begin(
        world,
        world.config.times.backup_import,
        Event::BackupImported(id.to_owned()),
    );
    Ok(Reply::new(201, body).touching(id))
}

fn decode(url: &str) -> Result<Value, Reply> {
    let nonsense = || bad("Invalid input received: Can't parse backup record.");
    let bytes = STANDARD.decode(url).map_err(|_| nonsense())?;
    let record: Value = serde_json::from_slice(&bytes).map_err(|_| nonsense())?;
    if record.is_object() {
        Ok(record)
    } else {
        Err(nonsense())
    }
}

/// What the manager of `cinder-backup` does with a record; says why it cannot.
pub(super) fn take_in(
    world: &World,
    record: &Value,
    service: &str,
    backup: &mut Backup,
) -> Result<(), String> {
    if !world.config.backup_driver.starts_with(service) {
        return Err(format!(
            "Import record failed, cannot find backup service to perform the import. Request service {service}."
        ));
    }
    let needed = [
        "display_name",
        "display_description",
        "container",
        "size",
        "service_metadata",
        "object_count",
        "id",
    ];
    let absent: Vec<&str> = needed
        .into_iter()
        .filter(|key| record.get(key).is_none())
        .collect();
    if !absent.is_empty() {
        return Err(format!(
            "Driver successfully decoded imported backup data, but there are missing fields ({}).",
            absent.join(", ")
        ));
    }
    let text = |key: &str| record[key].as_str().map(str::to_owned);
    backup.name = text("display_name");
    backup.description = text("display_description");
    backup.volume = text("volume_id").unwrap_or_else(|| NO_VOLUME.to_owned());
    backup.snapshot = text("snapshot_id");
    backup.parent = text("parent_id");
    backup.container = text("container");
    backup.prefix = text("service_metadata");
    backup.service = Some(world.config.backup_driver.clone());
    backup.object_count = record["object_count"].as_u64().unwrap_or(0);
    backup.dependents = record["num_dependent_backups"].as_i64().unwrap_or(0);
    backup.data_timestamp = text("data_timestamp").and_then(|moment| moment.parse().ok());
    backup.restore_volume = text("restore_volume_id");
    backup.metadata = super::texts(&record["metadata"]).unwrap_or_default();
    "available".clone_into(&mut backup.status);
    Ok(())
}
