//! The endpoint below `/_sim` by which tests in other languages look inside and script trouble; it
//! may not do what an in-process test could not.

use axum::body::Bytes;
use axum::http::Uri;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::cinder;
use super::faults::Rule;
use super::http::Shared;
use super::reply::{Body, Reply, bad, missing};
use super::world::World;

/// | method and path | what |
/// |---|---|
/// | `GET /_sim/state` | all resources, by project |
/// | `GET, DELETE /_sim/requests` | the log of requests |
/// | `GET /_sim/history` | everything that was ever made |
/// | `GET, POST, DELETE /_sim/faults` | the fault rules: list, add one, clear |
/// | `POST /_sim/release` | let go of what hangs |
/// | `POST /_sim/advance?milliseconds=N` | wind the clock |
/// | `POST /_sim/finish` | wind the clock until nothing is under way |
/// | `GET, PUT /_sim/volumes/ID/bytes?offset=N&length=N` | the bytes of a volume |
/// | `POST /_sim/stop` | switch the cloud off |
pub(crate) fn answer(shared: &Shared, method: &str, uri: &Uri, body: &Bytes) -> Reply {
    let path = uri.path();
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .skip(1)
        .collect();
    let number = |name: &str| {
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| value.parse::<u64>().ok())
    };
    let mut world = shared.world();
    match (method, parts.as_slice()) {
        ("GET", ["state"]) => Reply::ok(state(&world)),
        ("GET", ["requests"]) => Reply::ok(json!(world.requests)),
        ("DELETE", ["requests"]) => {
            world.requests.clear();
            Reply::empty(204)
        }
        ("GET", ["history"]) => Reply::ok(json!(world.history())),
        ("GET", ["faults"]) => {
            let rules = world.faults.list().into_iter();
            let views: Vec<Value> = rules
                .map(|(id, rule, happened)| json!({"id": id, "rule": rule, "happened": happened}))
                .collect();
            Reply::ok(json!(views))
        }
        ("POST", ["faults"]) => match serde_json::from_slice::<Rule>(body) {
            Ok(rule) => match world.faults.add(rule) {
                Ok(id) => Reply::new(201, json!({"id": id})),
                Err(error) => bad(&error),
            },
            Err(error) => bad(&error.to_string()),
        },
        ("DELETE", ["faults"]) => {
            world.faults.clear();
            shared.release();
            Reply::empty(204)
        }
        ("POST", ["release"]) => {
            shared.release();
            Reply::empty(204)
        }
        ("POST", ["advance"]) => {
            let time = std::time::Duration::from_millis(number("milliseconds").unwrap_or(0));
            world.clock.wind(time);
            world.settle();
            Reply::empty(204)
        }
        ("POST", ["finish"]) => {
            world.finish_all();
            Reply::empty(204)
        }
        ("GET", ["volumes", id, "bytes"]) => match world.cinder.volumes.get(*id) {
            Some(volume) => {
                let rest = volume
                    .size_bytes()
                    .saturating_sub(number("offset").unwrap_or(0));
                let length = number("length").unwrap_or(rest).min(rest);
                let bytes = volume.content.read(number("offset").unwrap_or(0), length);
                Reply::with(200, Body::Bytes(bytes))
            }
            None => missing("no such volume"),
        },
        ("PUT", ["volumes", id, "bytes"]) => match world.cinder.volumes.get_mut(*id) {
            Some(volume) => {
                volume.content.write(number("offset").unwrap_or(0), body);
                Reply::empty(204)
            }
            None => missing("no such volume"),
        },
        ("POST", ["stop"]) => {
            shared.door().cancel();
            Reply::empty(204).header("connection", "close")
        }
        _ => missing("no such control"),
    }
}

/// All resources with their states and digests, by the name of their project.
pub(crate) fn state(world: &World) -> Value {
    let mut projects = serde_json::Map::new();
    for project in world.keystone.projects() {
        let id = project.id.as_str();
        let volumes: Vec<Value> = world
            .cinder
            .volumes
            .values()
            .filter(|one| one.project == id)
            .map(|one| {
                json!({"id": one.id, "name": one.name, "status": one.status, "size": one.size,
                    "bootable": one.bootable, "metadata": one.metadata, "temporary": one.temporary,
                    "server": one.attachment.as_ref().map(|attachment| &attachment.server),
                    "digest": one.digest(), "bytes": one.content.stored_bytes()})
            })
            .collect();
        let snapshots: Vec<Value> = world
            .cinder
            .snapshots
            .values()
            .filter(|one| one.project == id)
            .map(|one| {
                json!({"id": one.id, "name": one.name, "status": one.status,
                    "description": one.description, "volume_id": one.volume,
                    "digest": one.digest(), "quiesced": one.quiesced})
            })
            .collect();
        let backups: Vec<Value> = world
            .cinder
            .backups
            .values()
            .filter(|one| one.project == id)
            .map(|one| {
                json!({"id": one.id, "name": one.name, "status": one.status, "size": one.size,
                    "volume_id": one.volume, "parent_id": one.parent, "imported": one.imported,
                    "fail_reason": one.fail_reason})
            })
            .collect();
        let servers: Vec<Value> = world
            .nova
            .servers
            .values()
            .filter(|one| one.project == id)
            .map(|one| json!({"id": one.id, "name": one.name, "status": one.status, "tags": one.tags}))
            .collect();
        projects.insert(
            project.name.clone(),
            json!({
                "id": id, "volumes": volumes, "snapshots": snapshots, "backups": backups,
                "servers": servers,
                "transfers": cinder::offers(world, id),
                "group_snapshots": world.cinder.groups.snapshots.values().filter(|one| one.project == id)
                    .map(|one| json!({"id": one.id, "name": one.name, "status": one.status}))
                    .collect::<Vec<_>>(),
                "networks": world.neutron.owned("networks", id),
                "subnets": world.neutron.owned("subnets", id),
                "ports": world.neutron.owned("ports", id),
                "trunks": world.neutron.owned("trunks", id),
                "security_groups": world.neutron.owned("security_groups", id),
                "routers": world.neutron.owned("routers", id),
                "images": world.glance.images.values().filter(|one| one.owner == id)
                    .map(|one| json!({"id": one.id, "name": one.name, "status": one.status}))
                    .collect::<Vec<_>>(),
                "floating_ips": world.neutron.owned("floatingips", id),
            }),
        );
    }
    json!({"name": world.config.name, "region": world.config.region, "projects": projects})
}
