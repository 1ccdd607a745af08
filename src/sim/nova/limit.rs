//! Quotas of Nova, and the small lists that hardly change; they may not know what a server is beyond
//! its flavor.

use serde_json::{Map, Value, json};

use super::{Ask, nowhere};
use crate::sim::reply::{Answer, Reply, bad, fault};
use crate::sim::world::World;

const RESOURCES: [&str; 7] = [
    "cores",
    "instances",
    "key_pairs",
    "metadata_items",
    "ram",
    "server_group_members",
    "server_groups",
];

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    match (ask.call.method.as_str(), rest) {
        ("GET", ["limits"]) => Ok(Reply::ok(limits(world, &ask.who.project))),
        ("GET", ["os-availability-zone"]) => Ok(Reply::ok(json!({"availabilityZoneInfo": [
            {"zoneName": "nova", "zoneState": {"available": true}, "hosts": null}]}))),
        ("GET", ["os-quota-sets", project]) => {
            if *project != ask.who.project {
                ask.admin("os-quota-sets:show")?;
            }
            Ok(Reply::ok(
                json!({"quota_set": quota_set(world, project, false)}),
            ))
        }
        ("GET", ["os-quota-sets", project, "detail"]) => {
            ask.admin("os-quota-sets:detail").or_else(|refusal| {
                if *project == ask.who.project {
                    Ok(())
                } else {
                    Err(refusal)
                }
            })?;
            Ok(Reply::ok(
                json!({"quota_set": quota_set(world, project, true)}),
            ))
        }
        ("PUT", ["os-quota-sets", project]) => {
            ask.admin("os-quota-sets:update")?;
            let body = ask.call.json();
            for (key, value) in body["quota_set"].as_object().into_iter().flatten() {
                let number = value
                    .as_i64()
                    .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                let Some(limit) = number else {
                    if value.is_boolean() {
                        continue;
                    }
                    return Err(bad(&format!(
                        "Invalid input for field/attribute {key}. Value: {value}."
                    )));
                };
                world
                    .nova
                    .limits
                    .insert(((*project).to_owned(), key.clone()), limit);
            }
            let mut set = quota_set(world, project, false);
            if let Some(set) = set.as_object_mut() {
                set.remove("id");
            }
            Ok(Reply::ok(json!({"quota_set": set})))
        }
        ("GET", ["extensions"]) => Ok(Reply::ok(json!({"extensions": []}))),
        ("GET", ["os-services"]) => {
            ask.admin("os-services:list")?;
            Ok(Reply::ok(json!({"services": []})))
        }
        _ => Err(nowhere()),
    }
}

fn limit(world: &World, project: &str, resource: &str) -> i64 {
    let quotas = &world.config.quotas;
    let key = (project.to_owned(), resource.to_owned());
    world
        .nova
        .limits
        .get(&key)
        .copied()
        .unwrap_or(match resource {
            "instances" => quotas.instances,
            "cores" => quotas.cores,
            "ram" => quotas.ram_mib,
            "key_pairs" => 100,
            "metadata_items" => 128,
            "server_groups" | "server_group_members" => 10,
            _ => -1,
        })
}

fn used(world: &World, project: &str, resource: &str) -> i64 {
    let servers = world
        .nova
        .servers
        .values()
        .filter(|server| server.project == project);
    let flavors = servers.filter_map(|server| {
        world
            .nova
            .flavors
            .iter()
            .find(|one| one.id == server.flavor)
    });
    let total: u64 = match resource {
        "instances" => flavors.count() as u64,
        "cores" => flavors.map(|flavor| flavor.vcpus).sum(),
        "ram" => flavors.map(|flavor| flavor.ram).sum(),
        _ => 0,
    };
    i64::try_from(total).unwrap_or(i64::MAX)
}

/// Refuses a server that would go over a quota.
pub(super) fn reserve(world: &World, project: &str, flavor: &str) -> Result<(), Reply> {
    let Some(flavor) = world.nova.flavors.iter().find(|one| one.id == flavor) else {
        return Ok(());
    };
    for (resource, more) in [
        ("instances", 1),
        ("cores", flavor.vcpus),
        ("ram", flavor.ram),
    ] {
        let (limit, used) = (
            limit(world, project, resource),
            used(world, project, resource),
        );
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        if limit >= 0 && used + more > limit {
            return Err(fault(
                403,
                &format!(
                    "Quota exceeded for {resource}: Requested {more}, but already used {used} of {limit} {resource}"
                ),
            ));
        }
    }
    Ok(())
}

/// Refuses a key pair more than a user may have.
pub(super) fn reserve_keypair(world: &World, project: &str, user: &str) -> Result<(), Reply> {
    let limit = limit(world, project, "key_pairs");
    let own = world.nova.keypairs.iter().filter(|one| one.user == user);
    let count = i64::try_from(own.count()).unwrap_or(i64::MAX);
    if limit >= 0 && count >= limit {
        return Err(fault(403, "Quota exceeded, too many key pairs."));
    }
    Ok(())
}

fn quota_set(world: &World, project: &str, usage: bool) -> Value {
    let mut set = Map::new();
    set.insert("id".to_owned(), json!(project));
    for resource in RESOURCES {
        let limit = limit(world, project, resource);
        let shown = if usage {
            json!({"limit": limit, "in_use": used(world, project, resource), "reserved": 0})
        } else {
            json!(limit)
        };
        set.insert(resource.to_owned(), shown);
    }
    Value::Object(set)
}

fn limits(world: &World, project: &str) -> Value {
    let limit = |resource| limit(world, project, resource);
    let used = |resource| used(world, project, resource);
    json!({"limits": {"rate": [], "absolute": {
        "maxTotalInstances": limit("instances"), "maxTotalCores": limit("cores"),
        "maxTotalRAMSize": limit("ram"), "maxServerMeta": limit("metadata_items"),
        "maxTotalKeypairs": limit("key_pairs"), "maxServerGroups": limit("server_groups"),
        "maxServerGroupMembers": limit("server_group_members"), "totalRAMUsed": used("ram"),
        "totalCoresUsed": used("cores"), "totalInstancesUsed": used("instances"),
        "totalServerGroupsUsed": world.nova.groups.len(),
    }}})
}
