//! Quotas of Neutron; they may not know what uses them up beyond counting it.

use serde_json::{Map, Value, json};

use super::{Ask, bad, conflict, denied, nowhere};
use crate::sim::reply::{Answer, Reply};
use crate::sim::world::World;

const RESOURCES: [&str; 9] = [
    "network",
    "subnet",
    "subnetpool",
    "port",
    "router",
    "floatingip",
    "rbac_policy",
    "security_group",
    "security_group_rule",
];

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    if let [project, ..] = rest
        && *project != ask.who.project
        && !ask.who.is_admin()
    {
        return Err(denied("rule:get_quota"));
    }
    match (ask.call.method.as_str(), rest) {
        ("GET", [project]) => Ok(Reply::ok(json!({"quota": quota(world, project, false)}))),
        ("GET", [project, "details"]) => {
            Ok(Reply::ok(json!({"quota": quota(world, project, true)})))
        }
        ("GET", [project, "default"]) => {
            Ok(Reply::ok(json!({"quota": quota(world, project, false)})))
        }
        ("PUT", [project]) => {
            if !ask.who.is_admin() {
                return Err(denied("rule:update_quota"));
            }
            let body = ask.call.json();
            for (key, value) in body["quota"].as_object().into_iter().flatten() {
                let limit = value
                    .as_i64()
                    .ok_or_else(|| bad(&format!("Invalid input for {key}.")))?;
                world
                    .neutron
                    .limits
                    .insert(((*project).to_owned(), key.clone()), limit);
            }
            Ok(Reply::ok(json!({"quota": quota(world, project, false)})))
        }
        ("DELETE", [project]) => {
            world
                .neutron
                .limits
                .retain(|(owner, _), _| owner != project);
            Ok(Reply::empty(204))
        }
        _ => Err(nowhere()),
    }
}

fn limit(world: &World, project: &str, resource: &str) -> i64 {
    let quotas = &world.config.quotas;
    let key = (project.to_owned(), resource.to_owned());
    world
        .neutron
        .limits
        .get(&key)
        .copied()
        .unwrap_or(match resource {
            "network" | "subnet" => quotas.networks,
            "port" => quotas.ports,
            "router" | "rbac_policy" => 10,
            "floatingip" => 50,
            "security_group" => quotas.security_groups,
            "security_group_rule" => quotas.security_group_rules,
            _ => -1,
        })
}

fn used(world: &World, project: &str, resource: &str) -> i64 {
    let count = world.neutron.owned(&format!("{resource}s"), project).len();
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn reserve(world: &World, project: &str, resource: &str) -> Result<(), Reply> {
    let limit = limit(world, project, resource);
    if limit < 0 || used(world, project, resource) < limit {
        return Ok(());
    }
    Err(conflict(
        "OverQuota",
        &format!("Quota exceeded for resources: ['{resource}']."),
    ))
}

fn quota(world: &World, project: &str, usage: bool) -> Value {
    let mut quota = Map::new();
    for resource in RESOURCES {
        let limit = limit(world, project, resource);
        let shown = if usage {
            json!({"limit": limit, "used": used(world, project, resource), "reserved": 0})
        } else {
            json!(limit)
        };
        quota.insert(resource.to_owned(), shown);
    }
    Value::Object(quota)
}
