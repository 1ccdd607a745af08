//! Flavors; they may not know which servers have them.

use serde_json::{Value, json};

use super::{Ask, nowhere};
use crate::sim::reply::{Answer, Reply, missing};
use crate::sim::world::World;

#[derive(Clone, Debug)]
pub(crate) struct Flavor {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) ram: u64,
    pub(crate) vcpus: u64,
    pub(crate) disk: u64,
}

pub(super) fn furnish(world: &mut World) {
    let sizes = [
        ("m1.nano", 64, 1, 0),
        ("m1.tiny", 512, 1, 1),
        ("m1.small", 2048, 1, 20),
        ("m1.medium", 4096, 2, 40),
    ];
    for (name, ram, vcpus, disk) in sizes {
        let id = world.uuid();
        world.nova.flavors.push(Flavor {
            id,
            name: name.to_owned(),
            ram,
            vcpus,
            disk,
        });
    }
}

pub(super) fn route(world: &World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    let absent = |id: &str| missing(&format!("Flavor {id} could not be found."));
    let find = |id: &str| {
        world
            .nova
            .flavors
            .iter()
            .find(|one| one.id == id)
            .ok_or_else(|| absent(id))
    };
    match (ask.call.method.as_str(), rest) {
        ("GET", []) => {
            let views: Vec<Value> = world
                .nova
                .flavors
                .iter()
                .map(|one| {
                    json!({"id": one.id, "name": one.name,
                        "links": ask.links(&format!("flavors/{}", one.id))})
                })
                .collect();
            Ok(Reply::ok(json!({"flavors": views})))
        }
        ("GET", ["detail"]) => {
            let wanted = ask.call.param("name").filter(|_| ask.since(102));
            let named = |one: &&Flavor| wanted.is_none_or(|name| one.name.contains(name));
            let flavors = world.nova.flavors.iter().filter(named);
            let views: Vec<Value> = flavors.map(|one| view(ask, one)).collect();
            Ok(Reply::ok(json!({"flavors": views})))
        }
        ("GET", [id]) => Ok(Reply::ok(json!({"flavor": view(ask, find(id)?)}))),
        ("GET", [id, "os-extra_specs"]) => {
            find(id)?;
            Ok(Reply::ok(json!({"extra_specs": {}})))
        }
        _ => Err(nowhere()),
    }
}

fn view(ask: &Ask<'_>, flavor: &Flavor) -> Value {
    let swap = if ask.since(75) { json!(0) } else { json!("") };
    let mut view = json!({"id": flavor.id, "name": flavor.name, "ram": flavor.ram, "disk": flavor.disk,
        "swap": swap, "OS-FLV-EXT-DATA:ephemeral": 0,
        "vcpus": flavor.vcpus, "os-flavor-access:is_public": true,
        "links": ask.links(&format!("flavors/{}", flavor.id))});
    if !ask.since(102) {
        view["OS-FLV-DISABLED:disabled"] = json!(false);
        view["rxtx_factor"] = json!(1.0);
    }
    if ask.since(55) {
        view["description"] = Value::Null;
    }
    if ask.since(61) {
        view["extra_specs"] = json!({});
    }
    view
}
