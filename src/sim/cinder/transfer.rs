//! Volumes on their way from one project to another; it may not know what is in them.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Ask, flag, limit, nowhere, only_keys, required, see_volume, text};
use crate::sim::call::truth;
use crate::sim::clock::cinder as written;
use crate::sim::reply::{Answer, Reply, bad, missing};
use crate::sim::world::{Kind, World};

#[derive(Clone, Debug)]
pub(super) struct Transfer {
    id: String,
    name: Option<String>,
    volume: String,
    project: String,
    key: String,
    snapshots: bool,
    created: DateTime<Utc>,
}

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    match (ask.call.method.as_str(), rest) {
        ("GET", [] | ["detail"]) => Ok(list(world, ask, rest == ["detail"])),
        ("POST", []) => create(world, ask),
        ("GET", [id]) => {
            let transfer = see(world, ask, id)?;
            Ok(Reply::ok(json!({"transfer": view(ask, transfer, false)})))
        }
        ("DELETE", [id]) => {
            let volume = see(world, ask, id)?.volume.clone();
            world.cinder.transfers.remove(*id);
            world.forget(id);
            if is_offered(world, &volume) {
                world.set_status(&volume, "available");
            }
            Ok(Reply::empty(202))
        }
        ("POST", [id, "accept"]) => accept(world, ask, id),
        _ => Err(nowhere()),
    }
}

/// A filter that Cinder does not know gives an empty list, and no refusal; before 3.59 the parameters
/// of a page are such filters too.
fn list(world: &World, ask: &Ask<'_>, detail: bool) -> Reply {
    const PAGE: [&str; 6] = ["limit", "marker", "offset", "sort", "sort_key", "sort_dir"];
    let fits = |one: &Transfer, key: &str, value: &str| match key {
        "all_tenants" => true,
        "id" => one.id == value,
        "volume_id" => one.volume == value,
        "name" => one.name.as_deref() == Some(value),
        "project_id" => one.project == value,
        key => PAGE.contains(&key) && ask.since(59),
    };
    let everybody = ask.who.is_admin() && ask.call.param("all_tenants").is_some_and(truth);
    let views: Vec<Value> = world
        .cinder
        .transfers
        .values()
        .filter(|one| everybody || one.project == ask.who.project)
        .filter(|one| {
            let mut query = ask.call.query.iter();
            query.all(|(key, value)| fits(one, key, value))
        })
        .map(|one| {
            if detail {
                view(ask, one, false)
            } else {
                summary(ask, one)
            }
        })
        .collect();
    Reply::ok(json!({"transfers": views}))
}

fn is_offered(world: &World, volume: &str) -> bool {
    let volume = world.cinder.volumes.get(volume);
    volume.is_some_and(|volume| volume.status == "awaiting-transfer")
}

fn summary(ask: &Ask<'_>, transfer: &Transfer) -> Value {
    json!({"id": transfer.id, "name": transfer.name, "volume_id": transfer.volume,
        "links": ask.links(&format!("os-volume-transfer/{}", transfer.id))})
}

fn see<'world>(world: &'world World, ask: &Ask<'_>, id: &str) -> Result<&'world Transfer, Reply> {
    let found = world
        .cinder
        .transfers
        .get(id)
        .filter(|transfer| ask.sees(&transfer.project));
    found.ok_or_else(|| missing(&format!("Transfer {id} could not be found.")))
}

fn view(ask: &Ask<'_>, transfer: &Transfer, key: bool) -> Value {
    let mut view = json!({"id": transfer.id, "created_at": written(transfer.created),
        "name": transfer.name, "volume_id": transfer.volume,
        "links": ask.links(&format!("os-volume-transfer/{}", transfer.id))});
    if ask.since(55) {
        view["no_snapshots"] = json!(!transfer.snapshots);
    }
    if ask.since(57) {
        view["source_project_id"] = json!(transfer.project);
        view["destination_project_id"] = Value::Null;
        view["accepted"] = json!(false);
    }
    if key {
        view["auth_key"] = json!(transfer.key);
    }
    view
}

fn create(world: &mut World, ask: &Ask<'_>) -> Answer {
    let body = ask.call.json();
    let wanted = &body["transfer"];
    let known: &[&str] = if ask.since(55) {
        &["volume_id", "name", "no_snapshots"]
    } else {
        &["volume_id", "name"]
    };
    only_keys(wanted, "transfer", known)?;
    let volume = see_volume(world, ask, required(wanted, "transfer", "volume_id")?)?;
    if volume.status != "available" {
        return Err(bad("Invalid volume: status must be available"));
    }
    let has_snapshots = world
        .cinder
        .snapshots
        .values()
        .any(|one| one.volume == volume.id);
    let without = flag(&wanted["no_snapshots"]);
    let (volume, project) = (volume.id.clone(), volume.project.clone());
    let transfer = Transfer {
        id: world.uuid(),
        name: text(&wanted["name"]),
        volume: volume.clone(),
        project: project.clone(),
        key: world.hex_id().get(..16).unwrap_or_default().to_owned(),
        snapshots: has_snapshots && !without,
        created: world.date(),
    };
    world.set_status(&volume, "awaiting-transfer");
    let name = transfer.name.clone().unwrap_or_default();
    world.remember(Kind::Transfer, &transfer.id, &name, &project);
    let body = json!({"transfer": view(ask, &transfer, true)});
    world.cinder.transfers.insert(transfer.id.clone(), transfer);
    Ok(Reply::new(202, body))
}

/// Anybody who knows the id and the key may accept.
fn accept(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    let found = world.cinder.transfers.get(id).cloned();
    let transfer = found.ok_or_else(|| missing(&format!("Transfer {id} could not be found.")))?;
    let body = ask.call.json();
    if body["accept"]["auth_key"] != transfer.key.as_str() {
        return Err(bad(&format!(
            "Invalid auth key: Attempt to transfer {id} with invalid auth key."
        )));
    }
    if !is_offered(world, &transfer.volume) {
        return Err(bad(&format!(
            "Invalid volume: Transfer {id}: Volume id {} expected in awaiting-transfer state.",
            transfer.volume
        )));
    }
    let volume = world.cinder.volumes.get(&transfer.volume);
    let size = volume.map_or(0, |volume| volume.size);
    let kind = volume.map(|volume| volume.kind.as_str());
    limit::reserve(
        world,
        &ask.who.project,
        &limit::Need::of("volumes", size, kind),
    )?;
    if let Some(volume) = world.cinder.volumes.get_mut(&transfer.volume) {
        ask.who.project.clone_into(&mut volume.project);
        ask.who.user.clone_into(&mut volume.user);
        "available".clone_into(&mut volume.status);
    }
    if transfer.snapshots {
        let snapshots = world.cinder.snapshots.values_mut();
        for snapshot in snapshots.filter(|one| one.volume == transfer.volume) {
            ask.who.project.clone_into(&mut snapshot.project);
        }
    }
    world.cinder.transfers.remove(id);
    world.forget(id);
    let body = json!({"transfer": summary(ask, &transfer)});
    Ok(Reply::new(202, body))
}

/// What a project offers, for those who look from outside.
pub(crate) fn offers(world: &World, project: &str) -> Vec<Value> {
    let all = world.cinder.transfers.values();
    all.filter(|one| one.project == project)
        .map(|one| json!({"id": one.id, "name": one.name, "volume_id": one.volume}))
        .collect()
}
