//! What `cinder-volume` and `cinder-backup` do once their time has come; it may not know HTTP beyond
//! the error of a service that is down.

use std::time::Duration;

use super::record::take_in;
use super::{Backup, Volume};
use crate::sim::backup_store::StoredBackup;
use crate::sim::content::{Content, GIB};
use crate::sim::reply::{Reply, missing};
use crate::sim::world::{Event, World};

/// Gives work to `cinder-backup`, which has so many hands and may be down.
pub(super) fn begin(world: &mut World, duration: Duration, event: Event) {
    if !world.cinder.service_up {
        world.cinder.waiting.push((duration, event));
        return;
    }
    let hands = world.config.backup_workers.max(1);
    let now = world.now;
    let busy = &mut world.cinder.busy;
    busy.resize(hands, Duration::ZERO);
    let due = match busy.iter_mut().min() {
        Some(free) => {
            *free = now.max(*free) + duration;
            *free
        }
        None => now + duration,
    };
    world.at(due, event);
}

pub(super) fn need_service(world: &World) -> Result<(), Reply> {
    if world.cinder.service_up {
        Ok(())
    } else {
        Err(missing("Service cinder-backup could not be found."))
    }
}

fn is_backup_work(event: &Event) -> bool {
    matches!(
        event,
        Event::BackupReady(_)
            | Event::BackupImported(_)
            | Event::BackupGone(_)
            | Event::BackupRestored { .. }
    )
}

/// Kills `cinder-backup`.
pub(crate) fn service_kill(world: &mut World) {
    world.cinder.service_up = false;
    let under_way: Vec<_> = world
        .events
        .iter()
        .filter(|(_, event)| is_backup_work(event))
        .map(|(due, _)| *due)
        .collect();
    for due in under_way {
        if let Some(event) = world.events.remove(&due) {
            world.cinder.cut_off.push(event);
        }
    }
    world.cinder.busy.clear();
}

/// Starts `cinder-backup`: it clears up what it left behind, and goes on with what waited.
pub(crate) fn service_start(world: &mut World) {
    world.cinder.service_up = true;
    let cut_off = std::mem::take(&mut world.cinder.cut_off);
    for event in cut_off.into_iter().chain(forgotten(world)) {
        clear_up(world, event);
    }
    for (duration, event) in std::mem::take(&mut world.cinder.waiting) {
        begin(world, duration, event);
    }
}

/// What has a status of being at work and is not: nothing will come of it, and nothing waits.
fn forgotten(world: &World) -> Vec<Event> {
    let waits = |id: &str| {
        let mut waiting = world.cinder.waiting.iter();
        waiting.any(|(_, event)| event.subject() == id)
    };
    let backups = world.cinder.backups.values();
    let idle = backups.filter(|backup| !waits(&backup.id));
    idle.filter_map(|backup| match backup.status.as_str() {
        "creating" => Some(Event::BackupReady(backup.id.clone())),
        "restoring" => Some(Event::BackupRestored {
            backup: backup.id.clone(),
            volume: backup.restore_volume.clone().unwrap_or_default(),
            fresh: false,
        }),
        _ => None,
    })
    .collect()
}

fn clear_up(world: &mut World, event: Event) {
    const REASON: &str = "incomplete backup reset on manager restart";
    match event {
        Event::BackupReady(id) | Event::BackupImported(id) => {
            let Some(backup) = world.cinder.backups.get_mut(&id) else {
                return;
            };
            "error".clone_into(&mut backup.status);
            backup.fail_reason = Some(REASON.to_owned());
            backup.captured = None;
            let (temporary, snapshot, volume) = (
                backup.temporary_volume.take(),
                backup.snapshot.clone(),
                backup.volume.clone(),
            );
            if let Some(temporary) = temporary {
                world.cinder.volumes.remove(&temporary);
            }
            // The snapshot, if there is one, stays `backing-up`: that is what Cinder does.
            if snapshot.is_none() {
                restore_status(world, &volume);
            }
        }
        Event::BackupRestored { backup, volume, .. } => {
            world.set_status(&volume, "error_restoring");
            world.set_status(&backup, "available");
        }
        Event::BackupGone(_) => {
            let wait = world.config.times.backup_delete;
            begin(world, wait, event);
        }
        Event::VolumeReady(_)
        | Event::VolumeGone(_)
        | Event::VolumeExtended(..)
        | Event::SnapshotReady(_)
        | Event::SnapshotGone(_)
        | Event::ServerReady(_)
        | Event::ServerGone(_)
        | Event::ServerPower(..)
        | Event::VolumeAttached { .. }
        | Event::VolumeDetached { .. }
        | Event::GroupSnapshotReady(_)
        | Event::GroupSnapshotGone(_)
        | Event::ImageReady { .. } => {}
    }
}

/// The volume that Cinder makes to read from while a backup of a snapshot or of a volume in use runs.
pub(super) fn make_temporary(world: &mut World, backup: &str, source: &Volume) {
    let id = world.uuid();
    let temporary = Volume {
        id: id.clone(),
        sequence: world.next(),
        name: Some(format!("backup-vol-{}", source.id)),
        description: None,
        status: "backing-up".to_owned(),
        previous_status: None,
        readonly: None,
        attachment: None,
        created: world.date(),
        updated: None,
        group: None,
        temporary: true,
        content: Content::default(),
        ..source.clone()
    };
    world.cinder.volumes.insert(id.clone(), temporary);
    if let Some(backup) = world.cinder.backups.get_mut(backup) {
        backup.temporary_volume = Some(id);
    }
}

/// Lives through an event of Cinder; `failure` is the reason that a fault has for it to go wrong.
pub(crate) fn settle(world: &mut World, event: &Event, failure: Option<&str>) {
    let now = world.date();
    match event {
        Event::VolumeReady(id) => {
            if let Some(volume) = world.cinder.volumes.get_mut(id) {
                let status = if failure.is_some() {
                    "error"
                } else {
                    "available"
                };
                status.clone_into(&mut volume.status);
                volume.updated = Some(now);
            }
        }
        Event::VolumeGone(id) => {
            if failure.is_some() {
                world.set_status(id, "error_deleting");
            } else if world.cinder.volumes.remove(id).is_some() {
                world.forget(id);
            }
        }
        Event::VolumeExtended(id, size) => {
            if let Some(volume) = world.cinder.volumes.get_mut(id) {
                if failure.is_some() {
                    "error_extending".clone_into(&mut volume.status);
                } else {
                    volume.size = *size;
                    let before = volume.previous_status.take();
                    volume.status = before.unwrap_or_else(|| "available".to_owned());
                }
            }
        }
        Event::SnapshotReady(id) => {
            if let Some(snapshot) = world.cinder.snapshots.get_mut(id) {
                let status = if failure.is_some() {
                    "error"
                } else {
                    "available"
                };
                status.clone_into(&mut snapshot.status);
                snapshot.updated = Some(now);
            }
        }
        Event::SnapshotGone(id) => {
            if failure.is_some() {
                world.set_status(id, "error_deleting");
            } else if world.cinder.snapshots.remove(id).is_some() {
                world.forget(id);
            }
        }
        Event::GroupSnapshotReady(_) | Event::GroupSnapshotGone(_) => {
            super::group::settle(world, event, failure);
        }
        Event::BackupReady(id) => finish_backup(world, id, failure),
        Event::BackupImported(id) => finish_import(world, id, failure),
        Event::BackupGone(id) => finish_delete(world, id, failure),
        Event::BackupRestored {
            backup,
            volume,
            fresh,
        } => {
            finish_restore(world, backup, volume, *fresh, failure);
        }
        Event::ServerReady(_)
        | Event::ServerGone(_)
        | Event::ServerPower(..)
        | Event::VolumeAttached { .. }
        | Event::VolumeDetached { .. }
        | Event::ImageReady { .. } => {}
    }
}

fn restore_status(world: &mut World, volume: &str) {
    if let Some(volume) = world.cinder.volumes.get_mut(volume) {
        volume.status = volume
            .previous_status
            .take()
            .unwrap_or_else(|| "available".to_owned());
    }
}

fn finish_backup(world: &mut World, id: &str, failure: Option<&str>) {
    let Some(mut backup) = world.cinder.backups.get(id).cloned() else {
        return;
    };
    if backup.status != "creating" {
        return;
    }
    if let Some(temporary) = backup.temporary_volume.take() {
        world.cinder.volumes.remove(&temporary);
    }
    match &backup.snapshot {
        Some(snapshot) => {
            world.set_status(&snapshot.clone(), "available");
        }
        None => restore_status(world, &backup.volume.clone()),
    }
    let content = backup.captured.take().unwrap_or_default();
    let stored = match failure {
        Some(reason) => Err(reason.to_owned()),
        None => store(world, &mut backup, &content),
    };
    backup.updated = Some(world.date());
    match stored {
        Ok(()) => {
            "available".clone_into(&mut backup.status);
            if let Some(parent) = backup
                .parent
                .as_ref()
                .and_then(|id| world.cinder.backups.get_mut(id))
            {
                parent.dependents += 1;
            }
        }
        Err(reason) => {
            "error".clone_into(&mut backup.status);
            backup.fail_reason = Some(reason);
        }
    }
    world.cinder.backups.insert(id.to_owned(), backup);
}

/// Writes a backup into the store, whole or as the difference from its parent.
fn store(world: &World, backup: &mut Backup, content: &Content) -> Result<(), String> {
    backup.service = Some(world.config.backup_driver.clone());
    let older = match &backup.parent {
        None => Content::default(),
        Some(parent) => {
            let grown = world
                .cinder
                .backups
                .get(parent)
                .is_some_and(|parent| backup.size > parent.size);
            if grown {
                return Err(
                    "Volume size increased since the last backup. Do a full backup.".to_owned(),
                );
            }
            let mut older = Content::default();
            read_chain(world, parent, &mut older, false)?;
            older
        }
    };
    let id = &backup.id;
    let stamp = backup.created.format("%Y%m%d%H%M%S");
    let prefix = format!("volume_{}_{stamp}_az_nova_backup_{id}", backup.volume);
    let (first, second) = (
        id.get(..2).unwrap_or_default(),
        id.get(2..4).unwrap_or_default(),
    );
    backup
        .container
        .get_or_insert_with(|| format!("{first}/{second}/{id}"));
    let volume = world.cinder.volumes.get(&backup.volume);
    let stored = StoredBackup {
        delta: content.difference(&older),
        incremental: backup.parent.is_some(),
        name: volume.and_then(|volume| volume.name.clone()),
        description: volume.and_then(|volume| volume.description.clone()),
        metadata: volume
            .map(|volume| volume.metadata.clone())
            .unwrap_or_default(),
        image_metadata: volume
            .map(|volume| volume.image_metadata.clone())
            .unwrap_or_default(),
    };
    // Objects of 50 MiB: all of them for a full backup, those with changes for an incremental one.
    backup.object_count = if stored.incremental {
        let objects: std::collections::BTreeSet<u64> =
            stored.delta.keys().map(|index| index / 800).collect();
        objects.len() as u64
    } else {
        (backup.size * 1024).div_ceil(50)
    };
    world.config.backup_store.put(&prefix, stored);
    backup.prefix = Some(prefix);
    Ok(())
}

/// Restores a backup with all its ancestors, which must have records here, whosever they are.
fn read_chain(
    world: &World,
    id: &str,
    content: &mut Content,
    skip_zeros: bool,
) -> Result<StoredBackup, String> {
    let mut chain = Vec::new();
    let mut next = Some(id.to_owned());
    // A chain has as many links as there are backups at most; a longer one goes in circles.
    for _ in 0..=world.cinder.backups.len() {
        let Some(id) = next.take() else { break };
        let backup = world
            .cinder
            .backups
            .get(&id)
            .ok_or_else(|| format!("Backup {id} could not be found."))?;
        let prefix = backup.prefix.as_deref().unwrap_or_default();
        let stored = world.config.backup_store.get(prefix);
        chain.push(
            stored.ok_or_else(|| {
                format!("[Errno 2] No such file or directory: '{prefix}_metadata'")
            })?,
        );
        next.clone_from(&backup.parent);
    }
    for stored in chain.iter().rev() {
        content.apply(&stored.delta, skip_zeros);
    }
    chain
        .into_iter()
        .next()
        .ok_or_else(|| "an empty chain".to_owned())
}

fn finish_import(world: &mut World, id: &str, failure: Option<&str>) {
    let Some(mut backup) = world.cinder.backups.get(id).cloned() else {
        return;
    };
    let Some((record, service)) = backup.importing.take() else {
        return;
    };
    let taken = match failure {
        Some(reason) => Err(reason.to_owned()),
        None => take_in(world, &record, &service, &mut backup),
    };
    if let Err(reason) = taken {
        "error".clone_into(&mut backup.status);
        backup.fail_reason = Some(reason);
    }
    backup.updated = Some(world.date());
    world.cinder.backups.insert(id.to_owned(), backup);
}

fn finish_delete(world: &mut World, id: &str, failure: Option<&str>) {
    if let Some(reason) = failure {
        if let Some(backup) = world.cinder.backups.get_mut(id) {
            "error".clone_into(&mut backup.status);
            backup.fail_reason = Some(reason.to_owned());
        }
        return;
    }
    let Some(backup) = world.cinder.backups.remove(id) else {
        return;
    };
    if let Some(prefix) = &backup.prefix {
        world.config.backup_store.remove(prefix);
    }
    if let Some(parent) = backup
        .parent
        .as_ref()
        .and_then(|id| world.cinder.backups.get_mut(id))
    {
        parent.dependents = (parent.dependents - 1).max(0);
    }
    world.forget(id);
}

fn finish_restore(world: &mut World, id: &str, volume: &str, fresh: bool, failure: Option<&str>) {
    if let Some(backup) = world.cinder.backups.get_mut(id) {
        "available".clone_into(&mut backup.status);
    }
    let (size, source) = match world.cinder.backups.get(id) {
        Some(backup) => (backup.size, backup.volume.clone()),
        None => return,
    };
    let Some(mut target) = world.cinder.volumes.get(volume).cloned() else {
        return;
    };
    let skip_zeros = fresh && world.config.release.is_newer();
    let mut content = target.content.clone();
    content.clear(size * GIB);
    let read = match failure {
        Some(reason) => Err(reason.to_owned()),
        None => read_chain(world, id, &mut content, skip_zeros),
    };
    match read {
        Ok(stored) => {
            target.content = content;
            describe(&mut target, stored);
            if source != target.id {
                target
                    .metadata
                    .insert("src_backup_id".to_owned(), id.to_owned());
            }
            "available".clone_into(&mut target.status);
        }
        Err(_) => "error_restoring".clone_into(&mut target.status),
    }
    target.updated = Some(world.date());
    world.cinder.volumes.insert(volume.to_owned(), target);
}

/// What a restore writes over a volume's own description of itself.
fn describe(target: &mut Volume, stored: StoredBackup) {
    let nameless = target
        .name
        .as_ref()
        .is_none_or(|name| name.is_empty() || name.starts_with("restore_backup_"));
    if nameless && stored.name.as_ref().is_some_and(|name| !name.is_empty()) {
        target.name = stored.name;
        target.description = stored.description;
    }
    if !stored.metadata.is_empty() {
        target.metadata = stored.metadata;
    }
    if !stored.image_metadata.is_empty() {
        target.image_metadata = stored.image_metadata;
        target.bootable = true;
    }
}
