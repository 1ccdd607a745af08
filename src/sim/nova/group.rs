//! Server groups; they may not know where servers run.

use serde_json::{Value, json};

use super::{Ask, nowhere};
use crate::sim::reply::{Answer, Reply, bad, missing};
use crate::sim::world::{Kind, World};

#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: String,
    name: String,
    policy: String,
    project: String,
    user: String,
    pub(crate) members: Vec<String>,
}

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    let absent = |id: &str| missing(&format!("Instance group {id} could not be found."));
    let mine = |group: &&Group| ask.who.is_admin() || group.project == ask.who.project;
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => {
            let own = world
                .nova
                .groups
                .iter()
                .filter(|group| group.project == ask.who.project);
            let views: Vec<Value> = own.map(|group| view(world, ask, group)).collect();
            Ok(Reply::ok(json!({"server_groups": views})))
        }
        ("POST", []) => create(world, ask),
        ("GET", [id]) => {
            let found = world
                .nova
                .groups
                .iter()
                .filter(mine)
                .find(|group| group.id == **id);
            let group = found.ok_or_else(|| absent(id))?;
            Ok(Reply::ok(json!({"server_group": view(world, ask, group)})))
        }
        ("DELETE", [id]) => {
            world
                .nova
                .groups
                .iter()
                .filter(mine)
                .find(|group| group.id == **id)
                .ok_or_else(|| absent(id))?;
            world.nova.groups.retain(|group| group.id != **id);
            world.forget(id);
            Ok(Reply::empty(204))
        }
        _ => Err(nowhere()),
    }
}

fn view(world: &World, ask: &Ask<'_>, group: &Group) -> Value {
    let alive = group
        .members
        .iter()
        .filter(|id| world.nova.servers.contains_key(*id));
    let members: Vec<&String> = alive.collect();
    let mut view = json!({"id": group.id, "name": group.name, "members": members});
    if ask.since(64) {
        view["policy"] = json!(group.policy);
        view["rules"] = json!({});
    } else {
        view["policies"] = json!([group.policy]);
        view["metadata"] = json!({});
    }
    if ask.since(13) {
        view["project_id"] = json!(group.project);
        view["user_id"] = json!(group.user);
    }
    view
}

fn create(world: &mut World, ask: &Ask<'_>) -> Answer {
    let body = ask.call.json();
    let wanted = &body["server_group"];
    let policy = if ask.since(64) {
        &wanted["policy"]
    } else {
        &wanted["policies"][0]
    };
    let policies = [
        "affinity",
        "anti-affinity",
        "soft-affinity",
        "soft-anti-affinity",
    ];
    let policy = policy.as_str().filter(|policy| policies.contains(policy));
    let (Some(name), Some(policy)) = (wanted["name"].as_str(), policy) else {
        return Err(bad("Invalid input for field/attribute server_group."));
    };
    let group = Group {
        id: world.uuid(),
        name: name.to_owned(),
        policy: policy.to_owned(),
        project: ask.who.project.clone(),
        user: ask.who.user.clone(),
        members: Vec::new(),
    };
    world.remember(Kind::ServerGroup, &group.id, name, &ask.who.project);
    let body = json!({"server_group": view(world, ask, &group)});
    world.nova.groups.push(group);
    Ok(Reply::ok(body))
}
