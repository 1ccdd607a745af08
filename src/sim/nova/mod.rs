//! Nova: servers, what they are made of and who may have how many; it may not know a hypervisor.

mod attachment;
mod create;
mod flavor;
mod group;
mod image;
mod interface;
mod keypair;
mod limit;
mod power;
mod server;
mod view;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::sim::call::{Asked, Call};
use crate::sim::content::{Content, GIB};
use crate::sim::keystone::{Who, unauthorised};
use crate::sim::reply::{Answer, Reply, fault, missing};
use crate::sim::world::World;

pub(crate) use attachment::{hand_over as volume_hand_over, let_go as volume_let_go};
pub(crate) use create::{Disk as DiskWish, Nic, Wish as ServerWish, build as server_build};
pub(crate) use image::gone as image_gone;
pub(crate) use interface::{hand_over as port_hand_over, let_go as port_let_go};
pub(crate) use keypair::make as keypair_make;
pub(crate) use server::settle;

/// The device that a server boots from.
const ROOT_DEVICE: &str = "/dev/vda";

/// A volume of a server.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) volume: String,
    pub(crate) device: String,
    pub(crate) tag: Option<String>,
    pub(crate) delete_on_termination: bool,
    pub(crate) attachment: String,
    pub(crate) mapping: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) project: String,
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// What its guest calls itself; a new name of the server leaves it alone.
    pub(crate) hostname: String,
    /// As the API shows it: `BUILD`, `ACTIVE`, `SHUTOFF`, `PAUSED`, `SUSPENDED`, `SHELVED_OFFLOADED`, `RESCUE`,
    /// `ERROR`, `DELETED`.
    pub(crate) status: String,
    pub(crate) task: Option<String>,
    pub(crate) flavor: String,
    /// The image that its root disk was made from, if that is no volume.
    pub(crate) image: Option<String>,
    /// The image that it was launched from although it boots from a volume; it is shown as if it were the other.
    pub(crate) launched_from: Option<String>,
    pub(crate) key_name: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tags: Vec<String>,
    pub(crate) user_data: Option<String>,
    pub(crate) config_drive: bool,
    pub(crate) disks: Vec<Disk>,
    /// All ports that the server began with, in the order of its network cards.
    pub(crate) cards: Vec<String>,
    /// The tags of its cards, by their ports.
    pub(crate) card_tags: BTreeMap<String, String>,
    /// The ports that go with the server.
    pub(crate) own_ports: Vec<String>,
    /// What Nova keeps of the properties of its image or root volume, as they were when it was made.
    pub(crate) properties: BTreeMap<String, String>,
    /// Whether an agent in the guest answers.
    pub(crate) agent: bool,
    /// The bytes of a root disk that is no volume.
    pub(crate) disk: Option<Content>,
    pub(crate) hints: Value,
    pub(crate) locked: bool,
    pub(crate) locked_reason: Option<String>,
    pub(crate) fault: Option<(u16, String, DateTime<Utc>)>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: DateTime<Utc>,
    pub(crate) launched: Option<DateTime<Utc>>,
    /// What was done with it, the newest last.
    pub(crate) actions: Vec<Action>,
}

/// Something that was done with a server.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) name: String,
    pub(crate) time: DateTime<Utc>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) servers: BTreeMap<String, Server>,
    /// Servers that are gone, for those who ask what has changed.
    pub(crate) graves: Vec<Server>,
    pub(crate) flavors: Vec<flavor::Flavor>,
    pub(crate) keypairs: Vec<keypair::Keypair>,
    pub(crate) groups: Vec<group::Group>,
    limits: BTreeMap<(String, String), i64>,
}

/// A digest of a root disk that is no volume, to compare with that of a volume.
pub(crate) fn disk_digest(world: &World, id: &str) -> Option<String> {
    let server = world.nova.servers.get(id)?;
    let length = disk_gib(world, server) * GIB;
    server.disk.as_ref().map(|disk| disk.digest(length))
}

struct Ask<'call> {
    call: &'call Call,
    who: Who,
    minor: u32,
}

impl Ask<'_> {
    /// Whether the request's microversion is at least 2.`minor`.
    fn since(&self, minor: u32) -> bool {
        self.minor >= minor
    }

    fn admin(&self, rule: &str) -> Result<(), Reply> {
        if self.who.is_admin() {
            Ok(())
        } else {
            Err(forbidden(rule))
        }
    }

    fn links(&self, path: &str) -> Value {
        let base = &self.call.base;
        json!([{"rel": "self", "href": format!("{base}/compute/v2.1/{path}")},
            {"rel": "bookmark", "href": format!("{base}/compute/{path}")}])
    }

    fn bookmark(&self, path: &str) -> Value {
        json!([{"rel": "bookmark", "href": format!("{}/compute/{path}", self.call.base)}])
    }
}

/// The size of a root disk that is no volume, GiB.
fn disk_gib(world: &World, server: &Server) -> u64 {
    let mut flavors = world.nova.flavors.iter();
    let flavor = flavors.find(|one| one.id == server.flavor);
    flavor.map_or(0, |flavor| flavor.disk)
}

fn forbidden(rule: &str) -> Reply {
    fault(
        403,
        &format!("Policy doesn't allow os_compute_api:{rule} to be performed."),
    )
}

fn nowhere() -> Reply {
    Reply::page(404, "The resource could not be found.")
}

pub(crate) fn furnish(world: &mut World) {
    flavor::furnish(world);
}

pub(crate) fn answer(world: &mut World, call: &Call) -> Answer {
    let parts = call.parts();
    let max = world.config.release.compute_minor();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", []) => {
            let old = json!({"id": "v2.0", "status": "SUPPORTED", "version": "", "min_version": "",
                "updated": "2011-01-21T11:33:21Z",
                "links": [{"rel": "self", "href": format!("{}/compute/v2/", call.base)}]});
            return Ok(Reply::ok(
                json!({"versions": [old, version(call, max, false)]}),
            ));
        }
        ("GET", ["v2.1"]) => return Ok(Reply::ok(json!({"version": version(call, max, true)}))),
        _ => {}
    }
    let Some(who) = world.keystone.who(call.header("x-auth-token"), world.now) else {
        return Err(unauthorised(call));
    };
    let (minor, shown) = match call.asked("compute") {
        Asked::Nothing => (1, "2.1".to_owned()),
        Asked::Latest => (max, format!("2.{max}")),
        Asked::Version(major, minor) => (minor, format!("{major}.{minor}")),
        Asked::Nonsense => (u32::MAX, "2.1".to_owned()),
    };
    let known = match call.asked("compute") {
        Asked::Nothing | Asked::Latest => true,
        Asked::Version(major, minor) => major == 2 && (1..=max).contains(&minor),
        Asked::Nonsense => false,
    };
    let ask = Ask { call, who, minor };
    let answer = if known {
        route(world, &ask, &parts)
    } else {
        Err(fault(
            406,
            &format!(
                "Version {shown} is not supported by the API. Minimum is 2.1 and maximum is 2.{max}."
            ),
        ))
    };
    let dress = |reply: Reply| {
        reply
            .header("openstack-api-version", format!("compute {shown}"))
            .header("x-openstack-nova-api-version", shown.clone())
            .header(
                "vary",
                "OpenStack-API-Version, X-OpenStack-Nova-API-Version",
            )
    };
    answer.map(dress).map_err(dress)
}

fn version(call: &Call, max: u32, whole: bool) -> Value {
    let mut version = json!({"id": "v2.1", "status": "CURRENT", "version": format!("2.{max}"),
        "min_version": "2.1", "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": format!("{}/compute/v2.1/", call.base)}]});
    if whole {
        version["media-types"] = json!([{"base": "application/json",
            "type": "application/vnd.openstack.compute+json;version=2.1"}]);
    }
    version
}

fn route(world: &mut World, ask: &Ask<'_>, parts: &[&str]) -> Answer {
    let ["v2.1", rest @ ..] = parts else {
        return Err(nowhere());
    };
    let reads = matches!(ask.call.method.as_str(), "GET" | "HEAD");
    if !reads && world.config.release.is_newer() && !ask.who.is_member() {
        let verb = match ask.call.method.as_str() {
            "POST" => "create",
            "DELETE" => "delete",
            _ => "update",
        };
        return Err(forbidden(&format!(
            "{}:{verb}",
            rest.first().unwrap_or(&"servers")
        )));
    }
    match rest {
        ["servers", id, "os-volume_attachments", rest @ ..] => {
            attachment::route(world, ask, id, rest)
        }
        ["servers", id, "os-interface", rest @ ..] if !reads => {
            interface::route(world, ask, id, rest)
        }
        ["servers", rest @ ..] => server::route(world, ask, rest),
        ["flavors", rest @ ..] => flavor::route(world, ask, rest),
        ["os-keypairs", rest @ ..] => keypair::route(world, ask, rest),
        ["os-server-groups", rest @ ..] => group::route(world, ask, rest),
        rest => limit::route(world, ask, rest),
    }
}

fn see<'world>(world: &'world World, ask: &Ask<'_>, id: &str) -> Result<&'world Server, Reply> {
    let mine = |server: &&Server| ask.who.is_admin() || server.project == ask.who.project;
    let found = world.nova.servers.get(id).filter(mine);
    found.ok_or_else(|| missing(&format!("Instance {id} could not be found.")))
}
