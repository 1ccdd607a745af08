//! Volume groups of Cinder, their types and their snapshots; it may not know how one volume is kept.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::list::{Listed, page};
use super::snapshot::{Wish, make};
use super::{Ask, check_texts, nowhere, only_keys, required, text};
use crate::sim::clock::cinder as written;
use crate::sim::reply::{Answer, Reply, bad, missing};
use crate::sim::world::{Event, Kind, World};

/// A kind of group: what its snapshots promise.
#[derive(Clone, Debug)]
pub(crate) struct GroupType {
    id: String,
    name: String,
    consistent: bool,
}

/// A group of volumes; the volumes name it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    id: String,
    project: String,
    name: String,
    kind: String,
    created: DateTime<Utc>,
}

/// A snapshot of all volumes of a group; the snapshots name it.
#[derive(Clone, Debug)]
pub(crate) struct GroupSnapshot {
    pub(crate) id: String,
    sequence: u64,
    pub(crate) project: String,
    pub(crate) name: Option<String>,
    description: Option<String>,
    group: String,
    kind: String,
    pub(crate) status: String,
    created: DateTime<Utc>,
    metadata: BTreeMap<String, String>,
}

impl Listed for GroupSnapshot {
    fn id(&self) -> &str {
        &self.id
    }
    fn sequence(&self) -> u64 {
        self.sequence
    }
    fn project(&self) -> &str {
        &self.project
    }
    fn field(&self, name: &str) -> Option<String> {
        match name {
            "name" => self.name.clone(),
            "status" => Some(self.status.clone()),
            "group_id" => Some(self.group.clone()),
            "created_at" => Some(written(self.created)),
            _ => None,
        }
    }
    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

/// Everything about groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    types: Vec<GroupType>,
    by_id: BTreeMap<String, Group>,
    pub(crate) snapshots: BTreeMap<String, GroupSnapshot>,
}

pub(super) fn furnish(world: &mut World) {
    let types = [
        ("consistent", "3a5f0c6e-8d17-4f0e-9a53-6f4d5b6f0c01", true),
        ("loose", "3a5f0c6e-8d17-4f0e-9a53-6f4d5b6f0c02", false),
    ];
    for (name, id, consistent) in types {
        world.cinder.groups.types.push(GroupType {
            id: id.to_owned(),
            name: name.to_owned(),
            consistent,
        });
    }
}

/// Puts volumes into a new group, at once.
pub(crate) fn put_together(
    world: &mut World,
    project: &str,
    volumes: &[String],
    consistent: bool,
) -> String {
    let id = world.uuid();
    let mut types = world.cinder.groups.types.iter();
    let kind = types.find(|one| one.consistent == consistent);
    let group = Group {
        id: id.clone(),
        project: project.to_owned(),
        name: "group".to_owned(),
        kind: kind.map(|one| one.id.clone()).unwrap_or_default(),
        created: world.date(),
    };
    world.cinder.groups.by_id.insert(id.clone(), group);
    for volume in volumes {
        if let Some(volume) = world.cinder.volumes.get_mut(volume) {
            volume.group = Some(id.clone());
        }
    }
    id
}

pub(super) fn groups(world: &World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    let ("GET", [id]) = (ask.call.method.as_str(), rest) else {
        return Err(nowhere());
    };
    if !ask.since(13) {
        return Err(nowhere());
    }
    let group = see_group(world, ask, id)?;
    Ok(Reply::ok(
        json!({"group": {"id": group.id, "name": group.name,
        "status": "available", "availability_zone": super::ZONE, "created_at": written(group.created),
        "description": null, "group_type": group.kind, "volume_types": []}}),
    ))
}

pub(super) fn types(world: &World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    let ("GET", [id]) = (ask.call.method.as_str(), rest) else {
        return Err(nowhere());
    };
    if !ask.since(11) {
        return Err(nowhere());
    }
    let mut types = world.cinder.groups.types.iter();
    let kind = types.find(|one| one.id == **id);
    let kind = kind.ok_or_else(|| missing(&format!("Group type {id} could not be found.")))?;
    let mut view = json!({"id": kind.id, "name": kind.name, "description": null,
        "is_public": true});
    if ask.who.is_admin() {
        view["group_specs"] = if kind.consistent {
            json!({"consistent_group_snapshot_enabled": "<is> True"})
        } else {
            json!({})
        };
    }
    Ok(Reply::ok(json!({"group_type": view})))
}

pub(super) fn snapshots(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    if !ask.since(14) {
        return Err(nowhere());
    }
    match (ask.call.method.as_str(), rest) {
        ("GET", ["detail"]) => {
            let absent = |id: &str| missing(&format!("GroupSnapshot {id} could not be found."));
            let page = page(
                world,
                ask,
                "group_snapshots/detail",
                world.cinder.groups.snapshots.values(),
                &["name", "status", "group_id"],
                absent,
            )?;
            Ok(Reply::ok(page.body("group_snapshots", view)))
        }
        ("POST", []) => create(world, ask),
        ("GET", [id]) => Ok(Reply::ok(
            json!({"group_snapshot": view(see(world, ask, id)?)}),
        )),
        ("POST", [id, "action"]) if ask.since(19) => {
            see(world, ask, id)?;
            ask.admin("group:reset_group_snapshot_status")?;
            if let Some(status) = ask.call.json()["reset_status"]["status"].as_str() {
                world.set_status(id, &status.to_ascii_lowercase());
            }
            Ok(Reply::empty(202))
        }
        ("DELETE", [id]) => {
            let status = see(world, ask, id)?.status.clone();
            if !["available", "error"].contains(&status.as_str()) {
                return Err(bad(
                    "Invalid GroupSnapshot: GroupSnapshot status must be available or error, and no Group can be currently using it as source for its creation.",
                ));
            }
            set_status(world, id, "deleting");
            world.later(
                world.config.times.snapshot_delete,
                Event::GroupSnapshotGone((*id).to_owned()),
            );
            Ok(Reply::empty(202).touching(id))
        }
        _ => Err(nowhere()),
    }
}

fn view(one: &GroupSnapshot) -> Value {
    json!({"id": one.id, "name": one.name, "description": one.description, "status": one.status,
        "group_id": one.group, "group_type_id": one.kind, "created_at": written(one.created)})
}

fn create(world: &mut World, ask: &Ask<'_>) -> Answer {
    let body = ask.call.json();
    let wanted = &body["group_snapshot"];
    only_keys(
        wanted,
        "group_snapshot",
        &["group_id", "name", "description"],
    )?;
    check_texts(wanted)?;
    let group = required(wanted, "group_snapshot", "group_id")?;
    let group = see_group(world, ask, group)?.clone();
    let id = world.uuid();
    let made = GroupSnapshot {
        id: id.clone(),
        sequence: world.next(),
        project: ask.who.project.clone(),
        name: text(&wanted["name"]),
        description: text(&wanted["description"]),
        group: group.id.clone(),
        kind: group.kind,
        status: "creating".to_owned(),
        created: world.date(),
        metadata: BTreeMap::new(),
    };
    let volumes = world.cinder.volumes.values();
    let members: Vec<String> = volumes
        .filter(|volume| volume.group.as_ref() == Some(&group.id))
        .map(|volume| volume.id.clone())
        .collect();
    let mut snapshots = Vec::new();
    for volume in members {
        let wish = Wish {
            name: made.name.clone(),
            description: made.description.clone(),
            part_of: Some(id.clone()),
            ..Wish::default()
        };
        match make(world, &ask.who, &volume, wish) {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(refusal) => {
                // All of them or none.
                for snapshot in snapshots {
                    world.vanish(&snapshot);
                }
                return Err(refusal);
            }
        }
    }
    world.remember(
        Kind::GroupSnapshot,
        &id,
        made.name.as_deref().unwrap_or_default(),
        &ask.who.project,
    );
    let answer =
        json!({"group_snapshot": {"id": id, "name": made.name, "group_type_id": made.kind}});
    world.cinder.groups.snapshots.insert(id.clone(), made);
    world.later(
        world.config.times.snapshot_create,
        Event::GroupSnapshotReady(id.clone()),
    );
    Ok(Reply::new(202, answer).touching(&id))
}

/// Lives through an event of a group snapshot.
pub(super) fn settle(world: &mut World, event: &Event, failure: Option<&str>) {
    match (event, failure) {
        (Event::GroupSnapshotReady(id), None) => set_status(world, id, "available"),
        (Event::GroupSnapshotReady(id), Some(_)) => set_status(world, id, "error"),
        (Event::GroupSnapshotGone(id), Some(_)) => set_status(world, id, "error_deleting"),
        (Event::GroupSnapshotGone(id), None) => {
            for snapshot in parts(world, id) {
                world.cinder.snapshots.remove(&snapshot);
                world.forget(&snapshot);
            }
            if world.cinder.groups.snapshots.remove(id).is_some() {
                world.forget(id);
            }
        }
        _ => {}
    }
}

fn parts(world: &World, id: &str) -> Vec<String> {
    let snapshots = world.cinder.snapshots.values();
    snapshots
        .filter(|one| one.part_of.as_deref() == Some(id))
        .map(|one| one.id.clone())
        .collect()
}

/// Gives a group snapshot and its parts another status.
fn set_status(world: &mut World, id: &str, status: &str) {
    for snapshot in parts(world, id) {
        world.set_status(&snapshot, status);
    }
    if let Some(one) = world.cinder.groups.snapshots.get_mut(id) {
        status.clone_into(&mut one.status);
    }
}

fn see<'world>(
    world: &'world World,
    ask: &Ask<'_>,
    id: &str,
) -> Result<&'world GroupSnapshot, Reply> {
    let found = world.cinder.groups.snapshots.get(id);
    let found = found.filter(|one| ask.sees(&one.project));
    found.ok_or_else(|| missing(&format!("GroupSnapshot {id} could not be found.")))
}

fn see_group<'world>(
    world: &'world World,
    ask: &Ask<'_>,
    id: &str,
) -> Result<&'world Group, Reply> {
    let found = world.cinder.groups.by_id.get(id);
    let found = found.filter(|one| ask.sees(&one.project));
    found.ok_or_else(|| missing(&format!("Group {id} could not be found.")))
}
