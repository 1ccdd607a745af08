//! Servers: lists, changes, actions and ends; it may not know how one is put together.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use regex::RegexBuilder;
use serde_json::{Value, json};

use super::attachment::release;
use super::create::{check_description, check_hostname, check_name, create, tags, texts};
use super::power;
use super::view::{interfaces, view};
use super::{Action, Ask, Server, forbidden, image, nowhere, see};
use crate::sim::call::truth;
use crate::sim::cinder::delete_with_server;
use crate::sim::clock::zulu;
use crate::sim::neutron::ports_release;
use crate::sim::reply::{Answer, Reply, bad, fault, missing};
use crate::sim::world::{Event, World};

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => list(world, ask, "servers"),
        ("GET", ["detail"]) => list(world, ask, "servers/detail"),
        ("POST", []) => create(world, ask),
        ("GET", [id]) => {
            let server = see(world, ask, id)?;
            Ok(Reply::ok(json!({"server": view(world, ask, server, true)})))
        }
        ("PUT", [id]) => update(world, ask, id),
        ("DELETE", [id]) => {
            check_unlocked(see(world, ask, id)?, ask)?;
            let now = world.date();
            if let Some(server) = world.nova.servers.get_mut(*id) {
                server.task = Some("deleting".to_owned());
                server.updated = now;
            }
            world.later(
                world.config.times.server_delete,
                Event::ServerGone((*id).to_owned()),
            );
            Ok(Reply::empty(204).touching(id))
        }
        ("POST", [id, "action"]) => {
            let done = action(world, ask, id)?;
            acted(world, ask, id);
            Ok(done)
        }
        ("GET", [id, "os-instance-actions"]) => {
            let server = see(world, ask, id)?;
            // The newest first.
            let actions = server.actions.iter().enumerate().rev();
            let actions: Vec<Value> = actions
                .map(|(number, one)| {
                    json!({"action": one.name, "instance_uuid": id, "message": null,
                        "project_id": server.project, "user_id": server.user,
                        "request_id": format!("req-{id}-{number}"), "start_time": zulu(one.time)})
                })
                .collect();
            Ok(Reply::ok(json!({"instanceActions": actions})))
        }
        (_, [id, "metadata", rest @ ..]) => {
            let server = see(world, ask, id)?;
            if ask.call.method != "GET" {
                check_unlocked(server, ask)?;
            }
            metadata(world, ask, id, rest)
        }
        (_, [id, "tags", rest @ ..]) if ask.since(26) => {
            see(world, ask, id)?;
            server_tags(world, ask, id, rest)
        }
        ("GET", [id, "os-interface"]) => {
            let server = see(world, ask, id)?;
            Ok(Reply::ok(interfaces(world, ask, server)))
        }
        _ => Err(nowhere()),
    }
}

fn strings(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

fn list(world: &World, ask: &Ask<'_>, path: &str) -> Answer {
    let call = ask.call;
    let everybody = call.param("all_tenants").is_some_and(truth);
    if everybody && !ask.who.is_admin() {
        let kind = if path.ends_with("detail") {
            "detail"
        } else {
            "index"
        };
        return Err(forbidden(&format!("servers:{kind}:get_all_tenants")));
    }
    let moment = |name: &str| {
        match call.param(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<DateTime<Utc>>()
            .or_else(|_| format!("{text}Z").parse::<DateTime<Utc>>())
            .map(Some)
            .map_err(|_| bad(&format!("Invalid input for query parameters {name}. Value: {text}. '{text}' is not a 'date-time'"))),
    }
    };
    let (since, before) = (moment("changes-since")?, moment("changes-before")?);
    let name = match call.param("name") {
        None => None,
        Some(text) => Some(RegexBuilder::new(text).case_insensitive(true).build().map_err(|_| {
            bad(&format!("Invalid input for query parameters name. Value: {text}. '{text}' is not a 'regex'"))
        })?),
    };
    let gone = world.nova.graves.iter().filter(|_| {
        since.is_some() || call.param("deleted").is_some_and(truth) && ask.who.is_admin()
    });
    let mut rows: Vec<&Server> = world.nova.servers.values().chain(gone).collect();
    rows.retain(|server| everybody || server.project == ask.who.project);
    rows.retain(|server| name.as_ref().is_none_or(|name| name.is_match(&server.name)));
    // Nova compares whole seconds.
    rows.retain(|server| since.is_none_or(|since| server.updated.timestamp() >= since.timestamp()));
    rows.retain(|server| before.is_none_or(|before| server.updated <= before));
    for (key, value) in &call.query {
        let wanted = strings(value);
        match key.as_str() {
            "status" => rows.retain(|server| server.status.eq_ignore_ascii_case(value)),
            "tags" if ask.since(26) => {
                rows.retain(|server| wanted.iter().all(|tag| server.tags.contains(tag)));
            }
            "tags-any" if ask.since(26) => {
                rows.retain(|server| wanted.iter().any(|tag| server.tags.contains(tag)));
            }
            "not-tags" if ask.since(26) => {
                rows.retain(|server| !wanted.iter().all(|tag| server.tags.contains(tag)));
            }
            "not-tags-any" if ask.since(26) => {
                rows.retain(|server| !wanted.iter().any(|tag| server.tags.contains(tag)));
            }
            "flavor" => rows.retain(|server| server.flavor == *value),
            "image" => rows.retain(|server| {
                let image = server.image.as_ref().or(server.launched_from.as_ref());
                image == Some(value)
            }),
            "uuid" => rows.retain(|server| server.id == *value),
            "key_name" => rows.retain(|server| server.key_name.as_ref() == Some(value)),
            "project_id" | "tenant_id" if everybody => {
                rows.retain(|server| server.project == *value);
            }
            _ => {}
        }
    }
    rows.sort_by_key(|server| std::cmp::Reverse(server.sequence));
    if let Some(marker) = call.param("marker") {
        let Some(position) = rows.iter().position(|server| server.id == marker) else {
            return Err(bad(&format!("marker [{marker}] not found")));
        };
        rows.drain(..=position);
    }
    let limit = match call.param("limit").map(str::parse::<usize>) {
        None => world.config.page_limit,
        Some(Ok(limit)) => limit.min(world.config.page_limit),
        Some(Err(_)) => return Err(bad("Invalid input for query parameters limit.")),
    };
    rows.truncate(limit);
    let detail = path.ends_with("detail");
    let views: Vec<Value> = rows
        .iter()
        .map(|server| {
            if detail {
                return view(world, ask, server, false);
            }
            json!({"id": server.id, "name": server.name,
                "links": ask.links(&format!("servers/{}", server.id))})
        })
        .collect();
    let mut body = json!({"servers": views});
    if let Some(last) = rows.last().filter(|_| rows.len() >= limit) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in call.query.iter().filter(|(key, _)| key != "marker") {
            query.append_pair(key, value);
        }
        query.append_pair("marker", &last.id);
        let href = format!("{}/compute/v2.1/{path}?{}", call.base, query.finish());
        body["servers_links"] = json!([{"rel": "next", "href": href}]);
    }
    Ok(Reply::ok(body))
}

fn update(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    see(world, ask, id)?;
    let body = ask.call.json();
    let wanted = &body["server"];
    if let Some(name) = wanted["name"].as_str() {
        check_name(name)?;
    }
    check_description(&wanted["description"])?;
    let hostname = wanted["hostname"].as_str();
    if wanted.get("hostname").is_some() && !ask.since(90) {
        return Err(bad(
            "Invalid input for field/attribute server. Additional properties are not allowed ('hostname' was unexpected)",
        ));
    }
    check_hostname(world, hostname)?;
    let now = world.date();
    if let Some(server) = world.nova.servers.get_mut(id) {
        if let Some(name) = hostname {
            name.clone_into(&mut server.hostname);
        }
        if let Some(name) = wanted["name"].as_str() {
            name.clone_into(&mut server.name);
        }
        if ask.since(19) && wanted.get("description").is_some() {
            server.description = wanted["description"].as_str().map(str::to_owned);
        }
        server.updated = now;
    }
    let server = see(world, ask, id)?;
    Ok(Reply::ok(json!({"server": view(world, ask, server, true)})))
}

/// Refuses what a lock forbids to all but admins.
pub(super) fn check_unlocked(server: &Server, ask: &Ask<'_>) -> Result<(), Reply> {
    if !server.locked || ask.who.is_admin() {
        return Ok(());
    }
    Err(fault(409, &format!("Instance {} is locked", server.id)))
}

fn action(world: &mut World, ask: &Ask<'_>, id: &str) -> Answer {
    let server = see(world, ask, id)?.clone();
    let body = ask.call.json();
    let Some((name, argument)) = body.as_object().and_then(|object| object.iter().next()) else {
        return Err(bad("Malformed request body"));
    };
    // Whoever may act may also lift the lock, and an image changes nothing.
    let free = ["createImage", "lock", "unlock", "os-resetState"];
    if !free.contains(&name.as_str()) {
        check_unlocked(&server, ask)?;
    }
    match name.as_str() {
        "createImage" => image::create(world, ask, id, argument),
        "lock" | "unlock" => {
            let reason = argument["locked_reason"].as_str();
            if argument.get("locked_reason").is_some() && !ask.since(73) {
                return Err(bad(&format!(
                    "Invalid input for field/attribute lock. Value: {argument}. {argument} is not of type 'null'"
                )));
            }
            if let Some(server) = world.nova.servers.get_mut(id) {
                server.locked = name == "lock";
                server.locked_reason = reason.map(str::to_owned);
            }
            Ok(Reply::empty(202))
        }
        "os-resetState" => {
            ask.admin("os-admin-actions:reset_state")?;
            let status = argument["state"].as_str().unwrap_or("error").to_uppercase();
            world.set_status(id, &status);
            Ok(Reply::empty(202))
        }
        "forceDelete" => {
            world.later(
                world.config.times.server_delete,
                Event::ServerGone(id.to_owned()),
            );
            Ok(Reply::empty(202).touching(id))
        }
        "createBackup" if server.image.is_none() => Err(bad(
            "Invalid input received: Backup is not supported for volume-backed instances.",
        )),
        other => power::act(world, &server, other)
            .unwrap_or_else(|| Err(bad(&format!("There is no such action: {other}")))),
    }
}

/// Notes an action, as Nova does in the words of its own.
fn acted(world: &mut World, ask: &Ask<'_>, id: &str) {
    let body = ask.call.json();
    let name = body.as_object().and_then(|object| object.keys().next());
    let name = name.map(|name| name.trim_start_matches("os-").to_owned());
    let time = world.date();
    if let (Some(name), Some(server)) = (name, world.nova.servers.get_mut(id)) {
        server.actions.push(Action { name, time });
    }
}

fn metadata(world: &mut World, ask: &Ask<'_>, id: &str, rest: &[&str]) -> Answer {
    let body = ask.call.json();
    let Some(server) = world.nova.servers.get_mut(id) else {
        return Err(nowhere());
    };
    let metadata: &mut BTreeMap<String, String> = &mut server.metadata;
    let absent = || missing("Metadata item was not found");
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => {}
        ("POST", []) => metadata.extend(texts(&body["metadata"])?),
        ("PUT", []) => *metadata = texts(&body["metadata"])?,
        ("PUT", [_]) => {
            metadata.extend(texts(&body["meta"])?);
            return Ok(Reply::ok(json!({"meta": body["meta"]})));
        }
        ("GET", [key]) => {
            let value = metadata.get(*key).ok_or_else(absent)?;
            return Ok(Reply::ok(json!({"meta": {*key: value}})));
        }
        ("DELETE", [key]) => {
            metadata.remove(*key).ok_or_else(absent)?;
            return Ok(Reply::empty(204));
        }
        _ => return Err(nowhere()),
    }
    Ok(Reply::ok(json!({"metadata": metadata})))
}

fn server_tags(world: &mut World, ask: &Ask<'_>, id: &str, rest: &[&str]) -> Answer {
    let body = ask.call.json();
    let now = world.date();
    let Some(server) = world.nova.servers.get_mut(id) else {
        return Err(nowhere());
    };
    let absent = |tag: &str| missing(&format!("Server {id} has no tag '{tag}'"));
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => return Ok(Reply::ok(json!({"tags": server.tags}))),
        ("PUT", []) => {
            server.tags = tags(&body["tags"])?;
            server.updated = now;
            return Ok(Reply::ok(json!({"tags": server.tags})));
        }
        ("DELETE", []) => server.tags.clear(),
        ("GET", [tag]) if server.tags.iter().any(|one| one == tag) => {}
        ("GET", [tag]) => return Err(absent(tag)),
        ("PUT", [tag]) => {
            let status = if server.tags.iter().any(|one| one == tag) {
                204
            } else {
                201
            };
            if status == 201 {
                server.tags.extend(tags(&json!([tag]))?);
            }
            return Ok(Reply::empty(status));
        }
        ("DELETE", [tag]) => {
            let position = server.tags.iter().position(|one| one == tag);
            server.tags.remove(position.ok_or_else(|| absent(tag))?);
        }
        _ => return Err(nowhere()),
    }
    Ok(Reply::empty(204))
}

/// Lives through an event of Nova; `failure` is the reason that a fault has for it to go wrong.
pub(crate) fn settle(world: &mut World, event: &Event, failure: Option<&str>) {
    let now = world.date();
    match event {
        Event::ServerReady(id) => {
            let since = world.now;
            if let Some(memory) = world.recall(id).filter(|_| failure.is_some()) {
                memory.broken = Some(since);
            }
            let Some(server) = world.nova.servers.get_mut(id) else {
                return;
            };
            server.updated = now;
            server.task = server.task.take().filter(|task| task == "deleting");
            if let Some(reason) = failure {
                "ERROR".clone_into(&mut server.status);
                server.fault = Some((500, reason.to_owned(), now));
                return;
            }
            "ACTIVE".clone_into(&mut server.status);
            server.launched = Some(now);
            let volumes: Vec<String> = server
                .disks
                .iter()
                .map(|disk| disk.volume.clone())
                .collect();
            for volume in volumes {
                world.set_status(&volume, "in-use");
            }
        }
        Event::ServerGone(id) => {
            if let Some(reason) = failure {
                if let Some(server) = world.nova.servers.get_mut(id) {
                    "ERROR".clone_into(&mut server.status);
                    server.task = None;
                    server.fault = Some((500, reason.to_owned(), now));
                }
                return;
            }
            bury(world, id);
        }
        Event::ImageReady { image, server } => image::settle(world, image, server, failure),
        Event::ServerPower(id, on) => power::settle(world, id, *on),
        Event::VolumeAttached { server, volume } => {
            let status = if failure.is_some() {
                "error_attaching"
            } else {
                "in-use"
            };
            let still = world
                .nova
                .servers
                .get(server)
                .is_some_and(|server| server.disks.iter().any(|disk| disk.volume == *volume));
            if still {
                world.set_status(volume, status);
            }
        }
        Event::VolumeDetached { server, volume } => {
            if failure.is_some() {
                world.set_status(volume, "error_detaching");
                return;
            }
            if let Some(server) = world.nova.servers.get_mut(server) {
                server.disks.retain(|disk| disk.volume != *volume);
            }
            release(world, volume);
        }
        Event::VolumeReady(_)
        | Event::VolumeGone(_)
        | Event::VolumeExtended(..)
        | Event::SnapshotReady(_)
        | Event::SnapshotGone(_)
        | Event::BackupReady(_)
        | Event::BackupImported(_)
        | Event::BackupGone(_)
        | Event::BackupRestored { .. }
        | Event::GroupSnapshotReady(_)
        | Event::GroupSnapshotGone(_) => {}
    }
}

/// What is left when a server is gone: its volumes and ports are free, or gone with it.
fn bury(world: &mut World, id: &str) {
    let Some(mut server) = world.nova.servers.remove(id) else {
        return;
    };
    for disk in &server.disks {
        release(world, &disk.volume);
        if disk.delete_on_termination {
            delete_with_server(world, &disk.volume);
        }
    }
    ports_release(world, id, &server.own_ports);
    "DELETED".clone_into(&mut server.status);
    server.task = None;
    server.updated = world.date();
    world.nova.graves.push(server);
    world.forget(id);
}
