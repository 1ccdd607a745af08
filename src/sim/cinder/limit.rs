//! Quotas of Cinder, and the small lists that hardly change: limits, types, zones, services; it
//! may not know what uses up a quota beyond counting it.

use serde_json::{Map, Value, json};

use super::{Ask, VolumeType, ZONE, nowhere};
use crate::sim::call::truth;
use crate::sim::clock::cinder as written;
use crate::sim::keystone::Who;
use crate::sim::reply::{Answer, Reply, bad, fault, missing};
use crate::sim::world::World;

const RESOURCES: [&str; 5] = [
    "volumes",
    "snapshots",
    "gigabytes",
    "backups",
    "backup_gigabytes",
];

pub(super) fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    match (ask.call.method.as_str(), rest) {
        ("GET", ["limits"]) => Ok(Reply::ok(limits(world, ask))),
        ("GET", ["os-quota-sets", project]) => {
            if *project != ask.who.project {
                ask.admin("volume_extension:quotas:show")?;
            }
            let usage = ask.call.param("usage").is_some_and(truth);
            Ok(Reply::ok(
                json!({"quota_set": quota_set(world, project, usage, true)}),
            ))
        }
        ("GET", ["os-quota-sets", project, "defaults"]) => Ok(Reply::ok(
            json!({"quota_set": quota_set(world, project, false, true)}),
        )),
        ("PUT", ["os-quota-sets", project]) => {
            ask.admin("volume_extension:quotas:update")?;
            update(world, project, &ask.call.json()["quota_set"])
        }
        ("GET", ["os-availability-zone"]) => Ok(Reply::ok(
            json!({"availabilityZoneInfo": [{"zoneName": ZONE, "zoneState": {"available": true}}]}),
        )),
        ("GET", ["os-services"]) => {
            ask.admin("volume_extension:services:index")?;
            Ok(Reply::ok(services(world)))
        }
        ("GET", ["scheduler-stats", "get_pools"]) => {
            ask.admin("scheduler_extension:scheduler_stats:get_pools")?;
            let detail = ask.call.param("detail").is_some_and(truth);
            Ok(Reply::ok(pools(world, detail)))
        }
        ("GET", ["messages"]) => Ok(Reply::ok(json!({"messages": []}))),
        ("GET", ["types"]) => {
            let views: Vec<Value> = world
                .cinder
                .types
                .iter()
                .map(|kind| type_view(kind, Some(&ask.who)))
                .collect();
            Ok(Reply::ok(json!({"volume_types": views})))
        }
        ("GET", ["types", "default"]) => match world.cinder.types.first() {
            Some(kind) => Ok(Reply::ok(json!({"volume_type": type_view(kind, None)}))),
            None => Err(missing("Default volume type can not be found.")),
        },
        ("GET", ["types", id]) => match world.cinder.types.iter().find(|kind| kind.id == **id) {
            Some(kind) => Ok(Reply::ok(
                json!({"volume_type": type_view(kind, Some(&ask.who))}),
            )),
            None => Err(missing(&format!("Volume type {id} could not be found."))),
        },
        ("GET", ["types", _, "extra_specs"]) => Ok(Reply::ok(json!({"extra_specs": {}}))),
        ("GET", ["extensions"]) => Ok(Reply::ok(json!({"extensions": []}))),
        _ => Err(nowhere()),
    }
}

/// `who`: of whom it depends what else is shown; the default type is shown without any of it.
fn type_view(kind: &VolumeType, who: Option<&Who>) -> Value {
    let mut view = json!({"id": kind.id, "name": kind.name, "is_public": true,
        "description": kind.description, "extra_specs": {}});
    if let Some(who) = who {
        view["os-volume-type-access:is_public"] = json!(true);
        if who.is_admin() {
            view["qos_specs_id"] = Value::Null;
        }
    }
    view
}

/// The one pool of this cloud, whose driver makes snapshots of a group at one moment.
fn pools(world: &World, detail: bool) -> Value {
    let mut pool = json!({"name": format!("{}-host@lab#lab", world.config.name)});
    if detail {
        pool["capabilities"] = json!({"volume_backend_name": "lab", "storage_protocol": "file",
            "consistent_group_snapshot_enabled": true});
    }
    json!({"pools": [pool]})
}

fn services(world: &World) -> Value {
    let name = &world.config.name;
    let at = written(world.date());
    let up = |running: bool| if running { "up" } else { "down" };
    let one = |binary: &str, host: String, running: bool| {
        json!({"binary": binary, "host": host, "zone": ZONE, "status": "enabled",
            "state": up(running), "updated_at": at, "disabled_reason": null})
    };
    json!({"services": [
        one("cinder-scheduler", format!("{name}-host"), true),
        one("cinder-volume", format!("{name}-host@lab"), true),
        one("cinder-backup", format!("{name}-host"), world.cinder.service_up),
    ]})
}

pub(super) fn limit(world: &World, project: &str, resource: &str) -> i64 {
    let quotas = &world.config.quotas;
    let key = (project.to_owned(), resource.to_owned());
    world
        .cinder
        .limits
        .get(&key)
        .copied()
        .unwrap_or(match resource {
            "volumes" => quotas.volumes,
            "snapshots" => quotas.snapshots,
            "gigabytes" => quotas.gigabytes,
            "backups" => quotas.backups,
            "backup_gigabytes" => quotas.backup_gigabytes,
            "groups" => 10,
            _ => -1,
        })
}

pub(super) fn used(world: &World, project: &str, resource: &str) -> i64 {
    let cinder = &world.cinder;
    // `volumes_fast` counts what `volumes` does, of one type.
    let named = cinder.types.iter().find_map(|kind| {
        let rest = resource.strip_suffix(kind.name.as_str())?;
        Some((rest.strip_suffix('_')?, Some(kind.id.as_str())))
    });
    let (resource, kind) = named.unwrap_or((resource, None));
    let volumes = cinder
        .volumes
        .values()
        .filter(|one| one.project == project && !one.temporary)
        .filter(|one| kind.is_none_or(|kind| one.kind == kind));
    let snapshots = cinder
        .snapshots
        .values()
        .filter(|one| one.project == project)
        .filter(|one| {
            let of = cinder.volumes.get(&one.volume);
            kind.is_none_or(|kind| of.is_some_and(|of| of.kind == kind))
        });
    let backups = cinder.backups.values().filter(|one| one.project == project);
    let total = match resource {
        "volumes" => volumes.count() as u64,
        "snapshots" => snapshots.count() as u64,
        "backups" => backups.count() as u64,
        "gigabytes" => volumes
            .map(|one| one.size)
            .chain(snapshots.map(|one| one.size))
            .sum(),
        "backup_gigabytes" => backups.map(|one| one.size).sum(),
        _ => 0,
    };
    i64::try_from(total).unwrap_or(i64::MAX)
}

/// Whether so many snapshots more are allowed, as Nova asks beforehand.
pub(crate) fn room(world: &World, project: &str, snapshots: usize) -> bool {
    !over(world, project, "snapshots", snapshots as u64)
}

fn over(world: &World, project: &str, resource: &str, more: u64) -> bool {
    let limit = limit(world, project, resource);
    let more = i64::try_from(more).unwrap_or(i64::MAX);
    limit >= 0 && used(world, project, resource).saturating_add(more) > limit
}

/// What is to be made, as far as a quota asks.
pub(super) struct Need<'need> {
    /// `volumes`, `snapshots` or `backups`; nothing where something only grows.
    pub(super) count: Option<&'need str>,
    pub(super) size: u64,
    /// The id of the type of the volume, which has limits of its own; backups have none.
    pub(super) kind: Option<&'need str>,
    /// Whether the error begins with the name of its class, as where nothing catches it on its way out.
    pub(super) named: bool,
}

impl<'need> Need<'need> {
    pub(super) fn of(count: &'need str, size: u64, kind: Option<&'need str>) -> Self {
        Self {
            count: Some(count),
            size,
            kind,
            named: true,
        }
    }
}

/// Refuses what would go over a quota.
pub(super) fn reserve(world: &World, project: &str, need: &Need<'_>) -> Result<(), Reply> {
    let backups = need.count == Some("backups");
    let gigabytes = if backups {
        "backup_gigabytes"
    } else {
        "gigabytes"
    };
    let types = &world.cinder.types;
    let kind = types
        .iter()
        .find(|kind| Some(kind.id.as_str()) == need.kind);
    let both = |resource: &str| {
        let of_type = kind.map(|kind| format!("{resource}_{}", kind.name));
        [Some(resource.to_owned()), of_type].into_iter().flatten()
    };
    let refuse = |class: &str, text: String| {
        let message = if need.named {
            format!("{class}: {text}")
        } else {
            text
        };
        Err(fault(413, &message))
    };
    let size = need.size;
    if let Some(gigabytes) = both(gigabytes).find(|one| over(world, project, one, size)) {
        let (allowed, consumed) = (
            limit(world, project, &gigabytes),
            used(world, project, &gigabytes),
        );
        let facts =
            format!("Requested {size}G, quota is {allowed}G and {consumed}G has been consumed.");
        return if backups {
            let text = format!("Requested backup exceeds allowed Backup gigabytes quota. {facts}");
            refuse("VolumeBackupSizeExceedsAvailableQuota", text)
        } else {
            let text =
                format!("Requested volume or snapshot exceeds allowed {gigabytes} quota. {facts}");
            refuse("VolumeSizeExceedsAvailableQuota", text)
        };
    }
    let Some(count) = need.count else {
        return Ok(());
    };
    if let Some(counted) = both(count).find(|one| over(world, project, one, 1)) {
        let allowed = limit(world, project, &counted);
        let (class, tail) = match count {
            "volumes" => ("VolumeLimitExceeded", format!(" for quota '{counted}'.")),
            "snapshots" => ("SnapshotLimitExceeded", String::new()),
            _ => ("BackupLimitExceeded", String::new()),
        };
        return refuse(
            class,
            format!("Maximum number of {count} allowed ({allowed}) exceeded{tail}"),
        );
    }
    Ok(())
}

/// Refuses a volume that is larger than any may be.
pub(super) fn check_size(world: &World, project: &str, size: u64) -> Result<(), Reply> {
    let most = limit(world, project, "per_volume_gigabytes");
    if most < 0 || i64::try_from(size).unwrap_or(i64::MAX) <= most {
        return Ok(());
    }
    Err(fault(
        413,
        &format!(
            "VolumeSizeExceedsLimit: Requested volume size {size}G is larger than maximum allowed limit {most}G."
        ),
    ))
}

fn quota_set(world: &World, project: &str, usage: bool, id: bool) -> Value {
    let show = |resource: &str| {
        let limit = limit(world, project, resource);
        if usage {
            json!({"limit": limit, "in_use": used(world, project, resource), "reserved": 0})
        } else {
            json!(limit)
        }
    };
    let mut set = Map::new();
    for resource in RESOURCES.iter().chain(&["per_volume_gigabytes", "groups"]) {
        set.insert((*resource).to_owned(), show(resource));
    }
    for kind in &world.cinder.types {
        for resource in ["volumes", "gigabytes", "snapshots"] {
            let name = format!("{resource}_{}", kind.name);
            let value = show(&name);
            set.insert(name, value);
        }
    }
    if id {
        set.insert("id".to_owned(), json!(project));
    }
    Value::Object(set)
}

fn update(world: &mut World, project: &str, wanted: &Value) -> Answer {
    let Some(wanted) = wanted.as_object() else {
        return Err(bad("Invalid input for field/attribute quota_set."));
    };
    let mut limits: Vec<(String, i64)> = Vec::new();
    for (key, value) in wanted.iter().filter(|(key, _)| *key != "tenant_id") {
        let number = value
            .as_i64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        let Some(limit) = number.filter(|limit| *limit >= -1) else {
            return Err(bad(&format!(
                "Invalid input for field/attribute {key}. Value: {value}."
            )));
        };
        let usage = used(world, project, key);
        if limit >= 0 && limit < usage {
            return Err(bad(&format!(
                "Quota {key} limit must be equal or greater than existing resources. Current usage is {usage} and the requested limit is {limit}."
            )));
        }
        limits.push((key.clone(), limit));
    }
    for (key, limit) in limits {
        world.cinder.limits.insert((project.to_owned(), key), limit);
    }
    Ok(Reply::ok(
        json!({"quota_set": quota_set(world, project, false, false)}),
    ))
}

fn limits(world: &World, ask: &Ask<'_>) -> Value {
    let project = &ask.who.project;
    let limit = |resource| limit(world, project, resource);
    let used = |resource| used(world, project, resource);
    json!({"limits": {"rate": [], "absolute": {
        "maxTotalVolumes": limit("volumes"), "maxTotalSnapshots": limit("snapshots"),
        "maxTotalVolumeGigabytes": limit("gigabytes"), "maxTotalBackups": limit("backups"),
        "maxTotalBackupGigabytes": limit("backup_gigabytes"),
        "totalVolumesUsed": used("volumes"), "totalGigabytesUsed": used("gigabytes"),
        "totalSnapshotsUsed": used("snapshots"), "totalBackupsUsed": used("backups"),
        "totalBackupGigabytesUsed": used("backup_gigabytes"),
    }}})
}
