//! Cinder: volumes, snapshots, backups and their records, as far as HTTP shows them; it may not know
//! Nova beyond the server that a volume is attached to.

mod backup;
mod group;
mod limit;
mod list;
mod metadata;
mod readonly;
mod record;
mod snapshot;
mod transfer;
mod volume;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::sim::call::{Asked, Call};
use crate::sim::content::{Content, GIB};
use crate::sim::keystone::{Who, unauthorised};
use crate::sim::reply::{Answer, Reply, bad, fault, is_printable, missing};
use crate::sim::world::{Event, World};

pub(crate) use group::put_together;
pub(crate) use limit::room as snapshot_room;
pub(crate) use snapshot::{Wish as SnapshotWish, make as snapshot_make};
pub(crate) use transfer::offers;
pub(crate) use volume::{Blueprint, delete_with_server, make as volume_make};
pub(crate) use work::{service_kill, service_start, settle};

/// The longest name, description or value of metadata, in characters.
const TEXT_LIMIT: usize = 255;
/// The only zone.
pub(crate) const ZONE: &str = "nova";

/// Where a volume is attached.
#[derive(Clone, Debug)]
pub(crate) struct Attachment {
    pub(crate) id: String,
    pub(crate) server: String,
    pub(crate) device: String,
    pub(crate) at: DateTime<Utc>,
}

#[derive(Clone, Debug)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) project: String,
    pub(crate) user: String,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) size: u64,
    pub(crate) status: String,
    pub(crate) previous_status: Option<String>,
    pub(crate) bootable: bool,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Whether it may be written into, once somebody has said so; no snapshot and no backup carries it along.
    pub(crate) readonly: Option<bool>,
    pub(crate) image_metadata: BTreeMap<String, String>,
    pub(crate) snapshot: Option<String>,
    pub(crate) cloned_from: Option<String>,
    /// The id of its type.
    pub(crate) kind: String,
    pub(crate) attachment: Option<Attachment>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: Option<DateTime<Utc>>,
    /// The id of its group.
    pub(crate) group: Option<String>,
    /// Made by Cinder for itself while a backup runs; it counts against no quota.
    pub(crate) temporary: bool,
    pub(crate) content: Content,
}

impl Volume {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size * GIB
    }

    pub(crate) fn digest(&self) -> String {
        self.content.digest(self.size_bytes())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) project: String,
    pub(crate) user: String,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) volume: String,
    pub(crate) size: u64,
    pub(crate) status: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: Option<DateTime<Utc>>,
    pub(crate) content: Content,
    pub(crate) bootable: bool,
    pub(crate) image_metadata: BTreeMap<String, String>,
    /// The group snapshot that it is part of.
    pub(crate) part_of: Option<String>,
    /// Whether the guest held its file systems still when it was taken.
    pub(crate) quiesced: bool,
}

impl Snapshot {
    pub(crate) fn digest(&self) -> String {
        self.content.digest(self.size * GIB)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Backup {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    pub(crate) project: String,
    pub(crate) user: String,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) volume: String,
    pub(crate) snapshot: Option<String>,
    pub(crate) parent: Option<String>,
    pub(crate) size: u64,
    pub(crate) status: String,
    pub(crate) fail_reason: Option<String>,
    pub(crate) container: Option<String>,
    /// The prefix of its objects in the store.
    pub(crate) prefix: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) object_count: u64,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) dependents: i64,
    pub(crate) created: DateTime<Utc>,
    pub(crate) updated: Option<DateTime<Utc>>,
    pub(crate) data_timestamp: Option<DateTime<Utc>>,
    pub(crate) imported: bool,
    /// The record and the driver that an import still has to take in.
    pub(crate) importing: Option<(Value, String)>,
    /// What is to be stored, while the backup runs.
    pub(crate) captured: Option<Content>,
    pub(crate) temporary_volume: Option<String>,
    pub(crate) restore_volume: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct VolumeType {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) volumes: BTreeMap<String, Volume>,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    pub(crate) backups: BTreeMap<String, Backup>,
    pub(crate) types: Vec<VolumeType>,
    pub(crate) groups: group::Groups,
    transfers: BTreeMap<String, transfer::Transfer>,
    /// Limits that somebody has set: project, resource.
    limits: BTreeMap<(String, String), i64>,
    /// Until when each worker of `cinder-backup` is busy.
    busy: Vec<Duration>,
    service_up: bool,
    /// The rules that the policy allows to members, by default to admins alone.
    open_rules: BTreeSet<String>,
    /// What was under way when `cinder-backup` was killed.
    cut_off: Vec<Event>,
    /// What was accepted while it was down.
    waiting: Vec<(Duration, Event)>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            volumes: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            backups: BTreeMap::new(),
            types: Vec::new(),
            groups: group::Groups::default(),
            transfers: BTreeMap::new(),
            limits: BTreeMap::new(),
            busy: Vec::new(),
            service_up: true,
            open_rules: BTreeSet::new(),
            cut_off: Vec::new(),
            waiting: Vec::new(),
        }
    }
}

/// The id of the type that a volume gets by itself.
fn default_type(world: &World) -> Option<&str> {
    world.cinder.types.first().map(|kind| kind.id.as_str())
}

pub(crate) fn furnish(world: &mut World) {
    let types = [
        ("standard", None),
        ("fast", None),
        ("__DEFAULT__", Some("Default Volume Type")),
    ];
    for (name, description) in types {
        let id = world.uuid();
        world.cinder.types.push(VolumeType {
            id,
            name: name.to_owned(),
            description: description.map(str::to_owned),
        });
    }
    group::furnish(world);
}

/// Who asks, in which microversion, and where the answer's links point.
struct Ask<'call> {
    call: &'call Call,
    who: Who,
    minor: u32,
}

impl Ask<'_> {
    /// Whether the request's microversion is at least 3.`minor`.
    fn since(&self, minor: u32) -> bool {
        self.minor >= minor
    }

    fn link(&self, path: &str) -> String {
        format!("{}/volume/v3/{}/{path}", self.call.base, self.who.project)
    }

    fn links(&self, path: &str) -> Value {
        let bookmark = format!("{}/volume/{}/{path}", self.call.base, self.who.project);
        json!([{"rel": "self", "href": self.link(path)}, {"rel": "bookmark", "href": bookmark}])
    }

    fn admin(&self, rule: &str) -> Result<(), Reply> {
        if self.who.is_admin() {
            Ok(())
        } else {
            Err(forbidden(rule))
        }
    }

    /// The same of a rule that the policy may open to members.
    fn admin_by_policy(&self, world: &World, rule: &str) -> Result<(), Reply> {
        if world.cinder.open_rules.contains(rule) {
            return Ok(());
        }
        self.admin(rule)
    }

    /// Whether somebody may see what belongs to this project.
    fn sees(&self, project: &str) -> bool {
        self.who.is_admin() || self.who.project == project
    }
}

fn forbidden(rule: &str) -> Reply {
    fault(
        403,
        &format!("Policy doesn't allow {rule} to be performed."),
    )
}

/// Opens a rule of the policy to members, or gives it back to admins.
pub(crate) fn policy(world: &mut World, rule: &str, open: bool) {
    let rules = &mut world.cinder.open_rules;
    if open {
        rules.insert(rule.to_owned());
    } else {
        rules.remove(rule);
    }
}

pub(crate) fn answer(world: &mut World, call: &Call) -> Answer {
    let parts = call.parts();
    if parts.is_empty() {
        return Ok(Reply::new(300, versions(world, call)));
    }
    let Some(who) = world.keystone.who(call.header("x-auth-token"), world.now) else {
        return Err(unauthorised(call));
    };
    let max = world.config.release.volume_minor();
    let (minor, shown) = match call.asked("volume") {
        Asked::Nothing => (0, "3.0".to_owned()),
        Asked::Latest => (max, format!("3.{max}")),
        Asked::Version(major, minor) => (minor, format!("{major}.{minor}")),
        Asked::Nonsense => (u32::MAX, "3.0".to_owned()),
    };
    let ask = Ask { call, who, minor };
    let answer = if matches!(call.asked("volume"), Asked::Version(3, minor) if minor <= max)
        || matches!(call.asked("volume"), Asked::Nothing | Asked::Latest)
    {
        route(world, &ask, &parts)
    } else {
        Err(fault(
            406,
            &format!(
                "Version {shown} is not supported by the API. Minimum is 3.0 and maximum is 3.{max}."
            ),
        ))
    };
    let dress = |reply: Reply| {
        reply
            .header("openstack-api-version", format!("volume {shown}"))
            .header("vary", "OpenStack-API-Version")
    };
    answer.map(dress).map_err(dress)
}

fn versions(world: &World, call: &Call) -> Value {
    json!({"versions": [{
        "id": "v3.0", "status": "CURRENT",
        "version": format!("3.{}", world.config.release.volume_minor()), "min_version": "3.0",
        "updated": "2022-08-31T00:00:00Z",
        "links": [
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
            {"rel": "self", "href": format!("{}/volume/v3/", call.base)},
        ],
        "media-types": [{"base": "application/json",
            "type": "application/vnd.openstack.volume+json;version=3"}],
    }]})
}

fn route(world: &mut World, ask: &Ask<'_>, parts: &[&str]) -> Answer {
    let ["v3", rest @ ..] = parts else {
        return Err(Reply::page(404, "The resource could not be found."));
    };
    if rest.is_empty() {
        return Ok(Reply::ok(versions(world, ask.call)));
    }
    let hexadecimal = |text: &str| {
        text.chars()
            .all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c))
    };
    let rest = match rest {
        [project, rest @ ..] if hexadecimal(project) => {
            if *project != ask.who.project {
                return Err(bad("Malformed request url"));
            }
            rest
        }
        rest => rest,
    };
    match rest {
        ["volumes", rest @ ..] => volume::route(world, ask, rest),
        ["attachments"] if ask.since(27) => Ok(volume::attachments(world, ask)),
        ["snapshots", rest @ ..] => snapshot::route(world, ask, rest),
        ["backups", rest @ ..] => backup::route(world, ask, rest),
        ["groups", rest @ ..] => group::groups(world, ask, rest),
        ["group_types", rest @ ..] => group::types(world, ask, rest),
        ["group_snapshots", rest @ ..] => group::snapshots(world, ask, rest),
        ["volume-transfers" | "os-volume-transfer", rest @ ..] => transfer::route(world, ask, rest),
        rest => limit::route(world, ask, rest),
    }
}

/// The error for a path that leads nowhere.
fn nowhere() -> Reply {
    Reply::page(404, "The resource could not be found.")
}

/// Refuses keys that a schema does not know.
fn only_keys(body: &Value, field: &str, known: &[&str]) -> Result<(), Reply> {
    let Some(object) = body.as_object() else {
        return Err(bad(&format!(
            "Invalid input for field/attribute {field}. Value: {body}. {body} is not of type 'object'"
        )));
    };
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(bad(&format!(
            "Invalid input for field/attribute {field}. Value: {body}. Additional properties are not allowed ('{key}' was unexpected)"
        ))),
    }
}

fn required<'body>(body: &'body Value, field: &str, key: &str) -> Result<&'body str, Reply> {
    body[key].as_str().ok_or_else(|| {
        bad(&format!(
            "Invalid input for field/attribute {field}. Value: {body}. '{key}' is a required property"
        ))
    })
}

/// A truth in a body: a boolean, or one of the texts that stand for one.
fn flag(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => crate::sim::call::truth(text),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A name or description: without blanks round it, as Cinder keeps it.
fn text(value: &Value) -> Option<String> {
    value.as_str().map(|text| text.trim().to_owned())
}

/// Refuses names and descriptions that are too long.
fn check_texts(wanted: &Value) -> Result<(), Reply> {
    for key in ["name", "description", "display_name", "display_description"] {
        let length = wanted[key]
            .as_str()
            .map_or(0, |text| text.trim().chars().count());
        if length > TEXT_LIMIT {
            return Err(bad(&format!(
                "Invalid input for field/attribute {key}. Value: {}. {key} has {length} characters, more than {TEXT_LIMIT}.",
                wanted[key]
            )));
        }
    }
    Ok(())
}

/// Refuses what the schemas of snapshots and backups do not take in a name or description; that of volumes takes
/// line ends.
fn check_printable(wanted: &Value) -> Result<(), Reply> {
    for key in ["name", "description"] {
        if let Some(text) = wanted[key].as_str().filter(|text| !is_printable(text)) {
            return Err(bad(&format!(
                "Invalid input for field/attribute {key}. Value: {text}. {text:?} does not match the regex"
            )));
        }
    }
    Ok(())
}

/// A data base of three bytes a character has no room for what is beyond the first plane of Unicode.
fn check_storable(wanted: &Value) -> Result<(), Reply> {
    let beyond = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| text.chars().any(|c| u32::from(c) > 0xffff))
    };
    let texts = ["name", "description", "display_name", "display_description"];
    let metadata = wanted["metadata"].as_object();
    if texts.iter().any(|key| beyond(&wanted[*key]))
        || metadata.is_some_and(|all| all.values().any(beyond))
    {
        return Err(fault(
            500,
            "The server has either erred or is incapable of performing the requested operation.",
        ));
    }
    Ok(())
}

/// Metadata in a body: texts by name.
fn texts(value: &Value) -> Result<BTreeMap<String, String>, Reply> {
    let Some(object) = value.as_object() else {
        return if value.is_null() {
            Ok(BTreeMap::new())
        } else {
            Err(bad("Invalid input for field/attribute metadata."))
        };
    };
    object
        .iter()
        .map(|(key, value)| match value.as_str() {
            Some(text) if text.chars().count() <= TEXT_LIMIT && key.chars().count() <= TEXT_LIMIT => Ok((key.clone(), text.to_owned())),
            _ => Err(bad(&format!(
                "Invalid input for field/attribute metadata. Value: {value}. {value} is not valid under any of the given schemas"
            ))),
        })
        .collect()
}

fn see_volume<'world>(
    world: &'world World,
    ask: &Ask<'_>,
    id: &str,
) -> Result<&'world Volume, Reply> {
    let found = world
        .cinder
        .volumes
        .get(id)
        .filter(|volume| ask.sees(&volume.project));
    found.ok_or_else(|| missing(&format!("Volume {id} could not be found.")))
}

fn see_snapshot<'world>(
    world: &'world World,
    ask: &Ask<'_>,
    id: &str,
) -> Result<&'world Snapshot, Reply> {
    let found = world
        .cinder
        .snapshots
        .get(id)
        .filter(|snapshot| ask.sees(&snapshot.project));
    found.ok_or_else(|| missing(&format!("Snapshot {id} could not be found.")))
}

fn see_backup<'world>(
    world: &'world World,
    ask: &Ask<'_>,
    id: &str,
) -> Result<&'world Backup, Reply> {
    let found = world
        .cinder
        .backups
        .get(id)
        .filter(|backup| ask.sees(&backup.project));
    found.ok_or_else(|| missing(&format!("Backup {id} could not be found.")))
}
