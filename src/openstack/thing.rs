//! Lists, looks and deletions, alike for all kinds of things; this file may not know how one is made.

use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    access::Access, call::Call, fault::presentable, holder, key_pair, path::Path, port,
    security_group, server, server_image, snapshot, transfer, trunk, version::Microversion, volume,
    volume_backup, volume_group, wire::cut,
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    id::Tenant,
    sighting::{Sighting, Thing, ThingKind, is_left_by_a_death},
};

pub(super) fn service(kind: ThingKind) -> Service {
    match kind {
        ThingKind::Snapshot
        | ThingKind::Volume
        | ThingKind::VolumeBackup
        | ThingKind::GroupSnapshot => Service::BlockStorage,
        ThingKind::Image => Service::Image,
        ThingKind::SecurityGroup | ThingKind::Port | ThingKind::Trunk => Service::Network,
        ThingKind::KeyPair | ThingKind::Server => Service::Compute,
    }
}

fn path(thing: &Thing) -> Path {
    let id = &thing.id;
    match thing.kind {
        ThingKind::Snapshot => Path::of("snapshots", &id),
        ThingKind::Volume => Path::of("volumes", &id),
        ThingKind::VolumeBackup => Path::of("backups", &id),
        ThingKind::SecurityGroup => Path::of("security-groups", &id),
        ThingKind::KeyPair => key_pair::path(id),
        ThingKind::Port => Path::of("ports", &id),
        ThingKind::Server => Path::of("servers", &id),
        ThingKind::GroupSnapshot => Path::of("group_snapshots", &id),
        ThingKind::Image => Path::of("images", &id),
        ThingKind::Trunk => Path::of("trunks", &id),
    }
}

/// All things of a kind.
pub(super) async fn list(
    access: &Access,
    tenant: &Tenant,
    kind: ThingKind,
) -> Result<Vec<Sighting>, Fault> {
    let seen = rows(access, tenant, kind).await?;
    let characters_max = access.session.connection.limits().message_characters_max;
    Ok(all(seen, |one| bounded(one, characters_max)))
}

/// A sighting as it may be told: its texts are the cloud's, and become a part of events and faults.
fn bounded(seen: Sighting, message_characters_max: usize) -> Sighting {
    /// The longest status of any service is half as long.
    const STATUS_CHARACTERS_MAX: usize = 80;
    let message = seen
        .message
        .map(|message| presentable(&message, &[], message_characters_max))
        .filter(|message| !message.is_empty());
    Sighting {
        name: cut(&seen.name),
        tags: seen.tags.iter().map(|tag| cut(tag)).collect(),
        status: seen.status.chars().take(STATUS_CHARACTERS_MAX).collect(),
        message,
        ..seen
    }
}

async fn rows(access: &Access, tenant: &Tenant, kind: ThingKind) -> Result<Vec<Sighting>, Fault> {
    match kind {
        ThingKind::Snapshot => snapshot::list(access, tenant).await,
        ThingKind::GroupSnapshot => {
            let path = "group_snapshots/detail";
            let call = cinder(access, tenant, path, "list the group snapshots");
            volume_group::list(access, tenant, call).await
        }
        ThingKind::Image => server_image::list(access, tenant).await,
        ThingKind::Volume => {
            let call = cinder(access, tenant, "volumes/detail", "list the volumes");
            let rows = access.pages_of(tenant, call, "volumes").await?;
            Ok(all(rows, volume::Volume::sighting))
        }
        ThingKind::VolumeBackup => {
            let call = cinder(access, tenant, "backups/detail", "list the volume backups");
            let rows = access.pages_of(tenant, call, "backups").await?;
            Ok(all(rows, volume_backup::Backup::sighting))
        }
        ThingKind::SecurityGroup => {
            let call = neutron(tenant, "security-groups", "list the security groups");
            let call = ["id", "name", "created_at", "project_id"]
                .iter()
                .fold(call, |call, field| call.query("fields", *field));
            let rows = access.pages_of(tenant, call, "security_groups").await?;
            Ok(all(rows, security_group::SecurityGroup::sighting))
        }
        ThingKind::Port => {
            let call = neutron(tenant, "ports", "list the ports");
            let call = ["id", "name", "status", "created_at", "project_id"]
                .iter()
                .fold(call, |call, field| call.query("fields", *field));
            let rows = access.pages_of(tenant, call, "ports").await?;
            Ok(all(rows, port::Port::sighting))
        }
        ThingKind::Trunk => {
            let call = neutron(tenant, "trunks", "list the trunks");
            let rows = trunk::list_of(access, tenant, call).await?;
            Ok(all(rows, trunk::Trunk::sighting))
        }
        ThingKind::KeyPair => Ok(all(
            key_pair::list(access).await?,
            key_pair::KeyPair::sighting,
        )),
        ThingKind::Server => server::sightings(access, tenant).await,
    }
}

fn all<T>(rows: Vec<T>, sighting: impl Fn(T) -> Sighting) -> Vec<Sighting> {
    rows.into_iter().map(sighting).collect()
}

pub(super) fn cinder(access: &Access, tenant: &Tenant, path: &'static str, action: &str) -> Call {
    let call = Call::get(Service::BlockStorage, path, action);
    if access.foreign {
        return call
            .query("all_tenants", "1")
            .query("project_id", tenant.project.as_str());
    }
    call
}

/// The same of all projects. Cinder shows those to the role `admin` alone, and leaves them out of anybody
/// else's list without a word.
pub(super) async fn cinder_everywhere(
    access: &Access,
    path: &'static str,
    action: &str,
) -> Result<Call, Fault> {
    if access.token().await?.is_admin() {
        return Ok(Call::get(Service::BlockStorage, path, action).query("all_tenants", "1"));
    }
    let message =
        "without the role `admin` it cannot be seen whether another project works with it";
    Err(Fault::new(
        FaultKind::Forbidden,
        Service::BlockStorage,
        action,
        message,
    ))
}

/// Neutron shows an admin the things of everybody, so the project is always named.
fn neutron(tenant: &Tenant, path: &'static str, action: &str) -> Call {
    Call::get(Service::Network, path, action).query("project_id", tenant.project.as_str())
}

/// One thing; nothing where it is not there, or has become the thing of another project.
pub(super) async fn get(
    access: &Access,
    tenant: &Tenant,
    thing: &Thing,
) -> Result<Option<Sighting>, Fault> {
    let seen = match thing.kind {
        ThingKind::Snapshot => {
            one(access, tenant, thing, |found: snapshot::One| {
                found.snapshot.sighting()
            })
            .await
        }
        ThingKind::Volume => {
            one(access, tenant, thing, |found: volume::One| {
                found.volume.sighting()
            })
            .await
        }
        ThingKind::VolumeBackup => {
            one(access, tenant, thing, |found: volume_backup::One| {
                found.backup.sighting()
            })
            .await
        }
        ThingKind::SecurityGroup => {
            one(access, tenant, thing, |found: security_group::One| {
                found.security_group.sighting()
            })
            .await
        }
        ThingKind::KeyPair => {
            one(access, tenant, thing, |found: key_pair::One| {
                found.keypair.sighting()
            })
            .await
        }
        ThingKind::Port => {
            one(access, tenant, thing, |found: port::One| {
                found.port.sighting()
            })
            .await
        }
        ThingKind::Trunk => {
            one(access, tenant, thing, |found: trunk::One| {
                found.trunk.sighting()
            })
            .await
        }
        ThingKind::Server => server::sighting(access, tenant, &thing.id).await,
        ThingKind::GroupSnapshot => {
            one(access, tenant, thing, |found: volume_group::One| {
                found.group_snapshot.sighting()
            })
            .await
        }
        ThingKind::Image => one(access, tenant, thing, server_image::Image::sighting).await,
    };
    match seen {
        Ok(sighting) if sighting.thing.id == thing.id => {
            let characters_max = access.session.connection.limits().message_characters_max;
            Ok(Some(bounded(sighting, characters_max)))
        }
        Ok(other) => Err(Fault::new(
            FaultKind::Unanswered,
            service(thing.kind),
            format!("read the {thing}"),
            format!("the answer speaks of the {}", other.thing),
        )),
        Err(fault) if is_absent(&fault, thing.kind) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Whether a service says that a thing is not there. Glance says so on a page, like any front door.
fn is_absent(fault: &Fault, kind: ThingKind) -> bool {
    fault.kind == FaultKind::NotFound || kind == ThingKind::Image && fault.status == Some(404)
}

async fn one<T: DeserializeOwned + Send + 'static>(
    access: &Access,
    tenant: &Tenant,
    thing: &Thing,
    sighting: impl Fn(T) -> Sighting,
) -> Result<Sighting, Fault> {
    let call = Call::get(
        service(thing.kind),
        path(thing),
        format!("read the {thing}"),
    );
    let version = version_of(access, thing.kind).await?;
    let call = call.at(version);
    Ok(sighting(access.read_of(tenant, &thing.id, &call).await?))
}

/// The version in which a kind of thing is known at all, and tells its project, where it is not so from the
/// beginning.
async fn version_of(access: &Access, kind: ThingKind) -> Result<Option<Microversion>, Fault> {
    let wanted: &[Microversion] = match kind {
        ThingKind::GroupSnapshot => &[volume_group::PROJECT, volume_group::SNAPSHOTS],
        ThingKind::VolumeBackup => &[volume_backup::PROJECT],
        ThingKind::Snapshot
        | ThingKind::Volume
        | ThingKind::SecurityGroup
        | ThingKind::KeyPair
        | ThingKind::Port
        | ThingKind::Trunk
        | ThingKind::Server
        | ThingKind::Image => return Ok(None),
    };
    access.first_of(service(kind), wanted).await
}

/// Gives what a service's death has left stuck the status `error`, as an admin may. It is looked at right
/// before: what is there no more, or may be deleted as it is, is left alone, because a status given to what
/// has just moved on by itself would be a lie; and what somebody uses, or works on, is refused.
///
/// No `attach_status` is ever given: `detached` makes Cinder forget every attachment and detach the volume
/// from the server that runs on it (`_clean_volume_attachment` of `cinder/api/contrib/admin_actions.py`).
pub(super) async fn give_up_status(
    access: &Access,
    tenant: &Tenant,
    thing: &Thing,
) -> Result<(), Fault> {
    let Some(seen) = get(access, tenant, thing).await? else {
        return Ok(());
    };
    let status = seen.status.as_str();
    if ["available", "error"].contains(&status) {
        return Ok(());
    }
    let action = format!("give up the {thing}, which is {status}");
    // Whatever of ours uses it is no reason to take it away by force.
    if holder::check(access, tenant, thing, &[]).await?.is_none() {
        return Ok(());
    }
    if !is_left_by_a_death(thing.kind, status) {
        let message = "no service's death leaves that behind: somebody works on it";
        return Err(Fault::new(
            FaultKind::Busy,
            service(thing.kind),
            action,
            message,
        ));
    }
    check_idle(access, &seen).await?;
    let reset = json!({"status": "error"});
    let call = Call::post(
        service(thing.kind),
        path(thing).word("action"),
        action,
        if thing.kind == ThingKind::GroupSnapshot {
            json!({"reset_status": reset})
        } else {
            json!({"os-reset_status": reset})
        },
    );
    let version = match thing.kind {
        ThingKind::GroupSnapshot => {
            let version = [volume_group::RESET];
            access.first_of(service(thing.kind), &version).await?
        }
        ThingKind::Snapshot
        | ThingKind::Volume
        | ThingKind::VolumeBackup
        | ThingKind::SecurityGroup
        | ThingKind::KeyPair
        | ThingKind::Port
        | ThingKind::Trunk
        | ThingKind::Server
        | ThingKind::Image => None,
    };
    access.send(&call.at(version)).await?;
    Ok(())
}

/// Refuses to give up what something else is made of at the moment: a volume or a snapshot of which a
/// volume backup is being written, a volume backup while a volume is being restored. Whoever does that may
/// be in another project: an admin backs up and restores what is another's.
pub(super) async fn check_idle(access: &Access, seen: &Sighting) -> Result<(), Fault> {
    let thing = &seen.thing;
    let at_it: Option<Thing> = match (thing.kind, seen.status.as_str()) {
        (ThingKind::Volume, "backing-up") => {
            volume_backup::being_written(access, |one| one.is_of_volume(&thing.id)).await?
        }
        (ThingKind::Snapshot, "backing-up") => {
            volume_backup::being_written(access, |one| one.is_of_snapshot(&thing.id)).await?
        }
        // No release tells which volume a backup is restored into.
        (ThingKind::VolumeBackup, "restoring") => {
            let action = "look for volumes that are being restored";
            let call = cinder_everywhere(access, "volumes/detail", action).await?;
            let call = call.query("status", "restoring-backup");
            let rows: Vec<volume::Volume> = access.pages(call, "volumes").await?;
            rows.into_iter().next().map(|one| one.sighting().thing)
        }
        (
            ThingKind::Snapshot
            | ThingKind::Volume
            | ThingKind::VolumeBackup
            | ThingKind::SecurityGroup
            | ThingKind::KeyPair
            | ThingKind::Port
            | ThingKind::Trunk
            | ThingKind::Server
            | ThingKind::GroupSnapshot
            | ThingKind::Image,
            _,
        ) => None,
    };
    match at_it {
        None => Ok(()),
        Some(other) => Err(Fault::new(
            FaultKind::Busy,
            service(thing.kind),
            format!("free the {thing}, which is {}", seen.status),
            format!("the {other} may be what it is busy with"),
        )),
    }
}

/// Asks for the deletion of a thing that nobody uses besides `ours`.
pub(super) async fn delete(
    access: &Access,
    tenant: &Tenant,
    thing: &Thing,
    ours: &[Thing],
) -> Result<(), Fault> {
    let action = format!("delete the {thing}");
    // These are not read for who uses them, and an admin is shown, and deletes, those of everybody.
    let unread = match thing.kind {
        ThingKind::Snapshot
        | ThingKind::VolumeBackup
        | ThingKind::SecurityGroup
        | ThingKind::GroupSnapshot
        | ThingKind::Image => access.token().await?.is_admin(),
        ThingKind::Volume
        | ThingKind::KeyPair
        | ThingKind::Port
        | ThingKind::Trunk
        | ThingKind::Server => false,
    };
    let is_there = !unread || get(access, tenant, thing).await?.is_some();
    let used = if is_there {
        holder::check(access, tenant, thing, ours).await?
    } else {
        None
    };
    let Some(used) = used else {
        let message = "it is not there";
        return Err(Fault::new(
            FaultKind::NotFound,
            service(thing.kind),
            action,
            message,
        ));
    };
    if let Some(why) = used.busy {
        return Err(Fault::new(
            FaultKind::Busy,
            service(thing.kind),
            action,
            why,
        ));
    }
    let call = Call::delete(service(thing.kind), path(thing), action);
    let call = call.at(version_of(access, thing.kind).await?);
    let mut outcome = access.send(&call).await;
    let refused = matches!(&outcome, Err(fault) if fault.status == Some(400));
    // A volume that is offered to another project is freed first; nobody else would do it.
    if refused && thing.kind == ThingKind::Volume && transfer::withdraw(access, &thing.id).await? {
        outcome = access.send(&call).await;
    }
    match outcome {
        Ok(_) => Ok(()),
        Err(fault) if thing.kind == ThingKind::SecurityGroup => {
            Err(holder::of_refused_group(access, &thing.id, ours, fault).await)
        }
        Err(fault) if thing.kind == ThingKind::Volume && fault.status == Some(400) => {
            let fault = refused_deletion(fault, thing.kind);
            Err(holder::of_refused_volume(access, tenant, &thing.id, ours, fault).await)
        }
        Err(fault) if thing.kind == ThingKind::Port => {
            let fault = refused_deletion(fault, thing.kind);
            Err(holder::of_refused_port(access, &thing.id, ours, fault).await)
        }
        Err(fault) => Err(refused_deletion(fault, thing.kind)),
    }
}

/// A deletion is refused because of what else there is, which passes: whatever uses it goes first.
fn refused_deletion(fault: Fault, kind: ThingKind) -> Fault {
    if is_absent(&fault, kind) {
        return Fault {
            kind: FaultKind::NotFound,
            ..fault
        };
    }
    let passes = match (kind, fault.status) {
        // What is made of an image keeps it where the storage of both is one.
        (ThingKind::Server | ThingKind::Image, Some(409)) => true,
        (
            ThingKind::Snapshot
            | ThingKind::Volume
            | ThingKind::VolumeBackup
            | ThingKind::GroupSnapshot,
            Some(400),
        ) => fault.message.contains("status") || fault.message.contains("dependent"),
        (
            ThingKind::Snapshot
            | ThingKind::Volume
            | ThingKind::VolumeBackup
            | ThingKind::SecurityGroup
            | ThingKind::KeyPair
            | ThingKind::Port
            | ThingKind::Trunk
            | ThingKind::Server
            | ThingKind::GroupSnapshot
            | ThingKind::Image,
            _,
        ) => false,
    };
    if passes {
        return Fault {
            kind: FaultKind::Busy,
            ..fault
        };
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cloud_tells_of_a_thing_is_bounded() {
        let long = "w ".repeat(100_000);
        let seen = Sighting {
            thing: Thing {
                kind: ThingKind::Volume,
                id: "v".to_owned(),
            },
            name: long.clone(),
            tags: vec![long.clone()],
            status: long.clone(),
            message: Some(long),
            created: None,
            size_gib: None,
            incremental: false,
            data_timestamp: None,
            volume: None,
        };
        let seen = bounded(seen, 500);
        let told = format!("{seen:?}");
        assert!(told.len() < 1_500, "{} bytes", told.len());
        assert_eq!(
            seen.message.map(|message| message.chars().count()),
            Some(501)
        );
    }
}
