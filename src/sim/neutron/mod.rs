//! Neutron: networks, ports, security groups and their neighbours; it may not know servers beyond the
//! id that a port is bound to.
//!
//! A resource is kept as the JSON that it is shown as: Neutron's attributes are open, and what a client
//! may send differs by release.

mod address;
mod attribute;
mod group;
mod list;
mod network;
mod port;
mod quota;
mod router;
mod trunk;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::sim::call::Call;
use crate::sim::clock::zulu;
use crate::sim::keystone::{Who, unauthorised};
use crate::sim::reply::{Answer, Reply, neutron_fault};
use crate::sim::world::{Kind, World};

pub(crate) use group::{Sketch as RuleSketch, add_rule, make as group_make};
pub(crate) use network::{make as network_make, make_subnet as subnet_make};
pub(crate) use port::{
    Sketch as PortSketch, bind as port_bind, device as port_device, make as port_make,
    release as ports_release, unbind as port_unbind,
};
pub use trunk::TrunkSpec;
pub(crate) use trunk::make as trunk_make;

/// One resource, as it is shown.
pub(crate) type Row = Map<String, Value>;

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Rows by the name of their collection and their id.
    tables: BTreeMap<&'static str, BTreeMap<String, Row>>,
    limits: BTreeMap<(String, String), i64>,
    /// Whether the extension for trunks is left out.
    pub(crate) without_trunks: bool,
    /// Whether the extension is loaded with which a port follows its uplink, as it is by hand only.
    pub(crate) uplink_status: bool,
}

impl State {
    pub(crate) fn rows(&self, table: &str) -> impl Iterator<Item = &Row> {
        self.tables
            .get(table)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    pub(crate) fn row(&self, table: &str, id: &str) -> Option<&Row> {
        self.tables.get(table)?.get(id)
    }

    pub(crate) fn row_mut(&mut self, table: &str, id: &str) -> Option<&mut Row> {
        self.tables.get_mut(table)?.get_mut(id)
    }

    fn put(&mut self, table: &'static str, row: Row) {
        self.tables
            .entry(table)
            .or_default()
            .insert(text(&row, "id").to_owned(), row);
    }

    fn remove(&mut self, table: &str, id: &str) -> Option<Row> {
        self.tables.get_mut(table)?.remove(id)
    }

    /// Gives any row an attribute; says whether there is such a one.
    pub(crate) fn set_attribute(&mut self, id: &str, name: &str, value: &Value) -> bool {
        let row = self.tables.values_mut().find_map(|table| table.get_mut(id));
        let found = row.is_some();
        if let Some(row) = row {
            row.insert(name.to_owned(), value.clone());
        }
        found
    }

    pub(crate) fn vanish(&mut self, id: &str) {
        for table in self.tables.values_mut() {
            table.remove(id);
        }
    }

    /// The resources of a project, as they are.
    pub(crate) fn owned(&self, table: &str, project: &str) -> Vec<&Row> {
        self.rows(table)
            .filter(|row| text(row, "project_id") == project)
            .collect()
    }
}

pub(crate) fn text<'row>(row: &'row Row, key: &str) -> &'row str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn truth(row: &Row, key: &str) -> bool {
    row.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The collections: their path, their name in a body, the name of one, and its kind.
const COLLECTIONS: [(&str, &str, &str, Option<Kind>); 8] = [
    ("networks", "networks", "network", Some(Kind::Network)),
    ("subnets", "subnets", "subnet", Some(Kind::Subnet)),
    ("ports", "ports", "port", Some(Kind::Port)),
    (
        "security-groups",
        "security_groups",
        "security_group",
        Some(Kind::SecurityGroup),
    ),
    (
        "security-group-rules",
        "security_group_rules",
        "security_group_rule",
        None,
    ),
    ("routers", "routers", "router", Some(Kind::Router)),
    ("trunks", "trunks", "trunk", Some(Kind::Trunk)),
    (
        "floatingips",
        "floatingips",
        "floatingip",
        Some(Kind::FloatingIp),
    ),
];

struct Ask<'call> {
    call: &'call Call,
    who: Who,
}

pub(crate) fn furnish(world: &mut World) {
    let projects: Vec<String> = world
        .keystone
        .projects()
        .iter()
        .map(|project| project.id.clone())
        .collect();
    for project in &projects {
        group::make_default(world, project);
    }
    let admin = projects.first().cloned().unwrap_or_default();
    let public = network_make(world, &admin, "public");
    if let Some(row) = world.neutron.row_mut("networks", &public) {
        row.insert("router:external".to_owned(), json!(true));
    }
    subnet_make(world, &admin, &public, "public-subnet", "203.0.113.0/24");
}

pub(crate) fn answer(world: &mut World, call: &Call) -> Answer {
    let parts = call.parts();
    if parts.is_empty() {
        return Ok(Reply::ok(
            json!({"versions": [{"id": "v2.0", "status": "CURRENT",
            "links": [{"rel": "self", "href": format!("{}/network/v2.0/", call.base)}]}]}),
        ));
    }
    let Some(who) = world.keystone.who(call.header("x-auth-token"), world.now) else {
        return Err(unauthorised(call));
    };
    let ask = Ask { call, who };
    let ["v2.0", rest @ ..] = parts.as_slice() else {
        return Err(nowhere());
    };
    let rest: Vec<&str> = rest
        .iter()
        .map(|part| part.trim_end_matches(".json"))
        .collect();
    route(world, &ask, &rest)
}

fn nowhere() -> Reply {
    neutron_fault(404, "HTTPNotFound", "The resource could not be found.")
}

fn bad(message: &str) -> Reply {
    neutron_fault(400, "HTTPBadRequest", message)
}

fn conflict(kind: &str, message: &str) -> Reply {
    neutron_fault(409, kind, message)
}

fn denied(rule: &str) -> Reply {
    neutron_fault(
        403,
        "PolicyNotAuthorized",
        &format!("{rule} is disallowed by policy"),
    )
}

/// The error for an id that is not there; every kind has its own.
fn absent(one: &str, id: &str) -> Reply {
    let (kind, message) = match one {
        "network" => (
            "NetworkNotFound",
            format!("Network {id} could not be found."),
        ),
        "subnet" => ("SubnetNotFound", format!("Subnet {id} could not be found.")),
        "port" => ("PortNotFound", format!("Port {id} could not be found.")),
        "security_group" => (
            "SecurityGroupNotFound",
            format!("Security group {id} does not exist"),
        ),
        "security_group_rule" => (
            "SecurityGroupRuleNotFound",
            format!("Security group rule {id} does not exist"),
        ),
        "trunk" => ("TrunkNotFound", format!("Trunk {id} could not be found.")),
        "sub_port" => (
            "SubPortNotFound",
            format!("SubPort {id} could not be found."),
        ),
        "router" => ("RouterNotFound", format!("Router {id} could not be found")),
        _ => (
            "FloatingIPNotFound",
            format!("Floating IP {id} could not be found"),
        ),
    };
    neutron_fault(404, kind, &message)
}

fn route(world: &mut World, ask: &Ask<'_>, rest: &[&str]) -> Answer {
    if let ["quotas", rest @ ..] = rest {
        return quota::route(world, ask, rest);
    }
    match rest {
        [] => return Ok(Reply::ok(json!({"resources": []}))),
        ["extensions"] => return Ok(Reply::ok(json!({"extensions": extensions(world)}))),
        ["extensions", alias] => {
            let known = extensions(world)
                .into_iter()
                .find(|one| one["alias"] == *alias);
            return known
                .map(|one| Reply::ok(json!({"extension": one})))
                .ok_or_else(|| {
                    neutron_fault(
                        404,
                        "HTTPNotFound",
                        &format!("Extension with alias {alias} does not exist"),
                    )
                });
        }
        ["availability_zones"] => return Ok(Reply::ok(json!({"availability_zones": []}))),
        _ => {}
    }
    let Some((path, rest)) = rest.split_first() else {
        return Err(nowhere());
    };
    let mut known = COLLECTIONS.iter();
    let found = known.find(|(known, ..)| known == path);
    let found = found.filter(|(known, ..)| !(world.neutron.without_trunks && *known == "trunks"));
    let (_, table, one, kind) = *found.ok_or_else(nowhere)?;
    let method = ask.call.method.as_str();
    let verb = match method {
        "POST" => "create",
        "PUT" => "update",
        "DELETE" => "delete",
        _ => "get",
    };
    if verb != "get" && world.config.release.is_newer() && !ask.who.is_member() {
        return Err(denied(&format!("rule:{verb}_{one}")));
    }
    match (method, rest) {
        ("GET", []) => Ok(list::list(world, ask, table)),
        ("POST", []) => create(world, ask, table, one),
        ("GET", [id]) => {
            let row = see(world, ask, table, one, id)?.clone();
            Ok(Reply::ok(json!({one: view(world, ask, table, &row)})))
        }
        ("PUT", [id]) => {
            let row = see(world, ask, table, one, id)?.clone();
            owned(ask, one, &row)?;
            update(world, ask, table, one, id)
        }
        ("DELETE", [id]) => {
            let row = see(world, ask, table, one, id)?.clone();
            owned(ask, one, &row)?;
            match table {
                "networks" => network::check_unused(world, id)?,
                "subnets" => network::remove_subnet(world, id)?,
                "security_groups" => group::check_unused(world, id)?,
                "ports" => {
                    port::check_removable(&row)?;
                    trunk::check_port_removable(world, id)?;
                }
                "trunks" => trunk::check_removable(world, &row)?,
                _ => {}
            }
            world.neutron.remove(table, id);
            if kind.is_some() {
                world.forget(id);
            }
            Ok(Reply::empty(204))
        }
        (
            "PUT",
            [
                id,
                verb @ ("add_router_interface" | "remove_router_interface"),
            ],
        ) if table == "routers" => {
            see(world, ask, table, one, id)?;
            router::interface(world, ask, id, verb)
        }
        ("PUT", [id, verb @ ("add_subports" | "remove_subports")])
        | ("GET", [id, verb @ "get_subports"])
            if table == "trunks" =>
        {
            trunk::sub_ports(world, ask, id, verb)
        }
        (_, [id, "tags", tag @ ..]) => {
            see(world, ask, table, one, id)?;
            tags(world, ask, table, id, tag)
        }
        _ => Err(nowhere()),
    }
}

fn extensions(world: &World) -> Vec<Value> {
    let mut aliases = vec![
        "address-group",
        "allowed-address-pairs",
        "binding",
        "default-subnetpools",
        "external-net",
        "extra_dhcp_opt",
        "net-mtu",
        "pagination",
        "port-security",
        "project-id",
        "provider",
        "quotas",
        "quota_details",
        "router",
        "security-group",
        "sorting",
        "standard-attr-description",
        "standard-attr-revisions",
        "standard-attr-tag",
        "standard-attr-timestamp",
        "stateful-security-group",
        "subnet_allocation",
    ];
    if !world.neutron.without_trunks {
        aliases.push("trunk");
        aliases.push("trunk-details");
    }
    if world.neutron.uplink_status {
        aliases.push("uplink-status-propagation");
    }
    if world.config.release.is_newer() {
        aliases.push("security-groups-rules-belongs-to-default-sg");
        aliases.push("subnet-external-network");
    }
    aliases
        .into_iter()
        .map(|alias| {
            json!({"name": alias, "alias": alias, "description": alias,
                "updated": "2020-01-01T10:00:00-00:00", "links": []})
        })
        .collect()
}

/// Whether somebody may look at a row.
fn sees(world: &World, who: &Who, table: &str, row: &Row) -> bool {
    if who.is_admin() || text(row, "project_id") == who.project {
        return true;
    }
    match table {
        "networks" => truth(row, "shared") || truth(row, "router:external"),
        "subnets" => world
            .neutron
            .row("networks", text(row, "network_id"))
            .is_some_and(|network| truth(network, "shared")),
        _ => false,
    }
}

fn see<'world>(
    world: &'world World,
    ask: &Ask<'_>,
    table: &str,
    one: &str,
    id: &str,
) -> Result<&'world Row, Reply> {
    let found = world
        .neutron
        .row(table, id)
        .filter(|row| sees(world, &ask.who, table, row));
    found.ok_or_else(|| absent(one, id))
}

fn owned(ask: &Ask<'_>, one: &str, row: &Row) -> Result<(), Reply> {
    if ask.who.is_admin() || text(row, "project_id") == ask.who.project {
        return Ok(());
    }
    Err(denied(&format!("rule:update_{one}")))
}

/// A row as somebody may see it.
fn view(world: &World, ask: &Ask<'_>, table: &str, row: &Row) -> Value {
    let mut row = row.clone();
    if table == "security_groups" {
        let rules: Vec<Value> = world
            .neutron
            .rows("security_group_rules")
            .filter(|rule| text(rule, "security_group_id") == text(&row, "id"))
            .map(|rule| Value::Object(rule.clone()))
            .collect();
        row.insert("security_group_rules".to_owned(), json!(rules));
    }
    if table == "ports"
        && let Some(details) = trunk::details(world, text(&row, "id"))
    {
        row.insert("trunk_details".to_owned(), details);
    }
    if table == "security_group_rules" {
        // Shown within their group only.
        row.retain(|key, _| !["tags", "standard_attr_id"].contains(&key.as_str()));
    }
    if !ask.who.is_admin() {
        row.retain(|key, _| {
            !key.starts_with("provider:")
                && ![
                    "binding:host_id",
                    "binding:profile",
                    "binding:vif_type",
                    "binding:vif_details",
                ]
                .contains(&key.as_str())
        });
    }
    let fields: Vec<&str> = ask.call.params("fields").collect();
    if !fields.is_empty() {
        row.retain(|key, _| fields.contains(&key.as_str()));
    }
    Value::Object(row)
}

fn create(world: &mut World, ask: &Ask<'_>, table: &'static str, one: &'static str) -> Answer {
    let body = ask.call.json();
    let bulk = body.get(table).and_then(Value::as_array).cloned();
    let several = bulk.is_some();
    let wanted = bulk.unwrap_or_else(|| vec![body[one].clone()]);
    let mut made = Vec::new();
    for each in &wanted {
        let Some(wanted) = each.as_object() else {
            return Err(bad(&format!("Resource body required: {one}")));
        };
        attribute::check(world, &ask.who, table, one, wanted, attribute::Verb::Post)?;
        let project = match wanted
            .get("project_id")
            .or(wanted.get("tenant_id"))
            .and_then(Value::as_str)
        {
            Some(project) if project != ask.who.project && !ask.who.is_admin() => {
                return Err(denied(&format!("rule:create_{one}")));
            }
            Some(project) => project.to_owned(),
            None => ask.who.project.clone(),
        };
        let resource = if table == "security_group_rules" {
            "security_group_rule"
        } else {
            one
        };
        quota::reserve(world, &project, resource)?;
        made.push(match table {
            "networks" => network::create(world, &project, wanted),
            "subnets" => network::create_subnet(world, ask, &project, wanted)?,
            "ports" => port::create(world, ask, &project, wanted)?,
            "security_groups" => group::create(world, &project, wanted)?,
            "security_group_rules" => group::create_rule(world, ask, &project, wanted)?,
            "routers" => router::create(world, &project, wanted),
            "trunks" => trunk::create(world, ask, &project, wanted)?,
            _ => router::create_floating(world, ask, &project, wanted)?,
        });
    }
    let views: Vec<Value> = made
        .iter()
        .filter_map(|id| world.neutron.row(table, id))
        .map(|row| view(world, ask, table, row))
        .collect();
    let mut reply = match (several, views.first()) {
        (false, Some(view)) => Reply::new(201, json!({one: view})),
        (_, _) => Reply::new(201, json!({table: views})),
    };
    reply.touched = made;
    Ok(reply)
}

fn update(world: &mut World, ask: &Ask<'_>, table: &'static str, one: &str, id: &str) -> Answer {
    let body = ask.call.json();
    let Some(wanted) = body[one].as_object() else {
        return Err(bad(&format!("Resource body required: {one}")));
    };
    attribute::check(world, &ask.who, table, one, wanted, attribute::Verb::Put)?;
    let changes = match table {
        "ports" => port::check_update(world, ask, id, wanted)?,
        "security_groups" => {
            group::check_update(see(world, ask, table, one, id)?, wanted)?;
            wanted.clone()
        }
        _ => wanted.clone(),
    };
    if table == "floatingips" {
        router::associate(world, id, wanted);
    }
    touch(world, table, id, changes);
    let row = see(world, ask, table, one, id)?;
    Ok(Reply::ok(json!({one: view(world, ask, table, row)})))
}

/// Changes a row and what tells that it was changed.
fn touch(world: &mut World, table: &str, id: &str, changes: Row) {
    let now = zulu(world.date());
    if let Some(row) = world.neutron.row_mut(table, id) {
        row.extend(changes);
        let revision = row
            .get("revision_number")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        row.insert("revision_number".to_owned(), json!(revision + 1));
        row.insert("updated_at".to_owned(), json!(now));
    }
}

fn tags(world: &mut World, ask: &Ask<'_>, table: &str, id: &str, tag: &[&str]) -> Answer {
    let body = ask.call.json();
    let Some(row) = world.neutron.row_mut(table, id) else {
        return Err(nowhere());
    };
    let mut tags: Vec<Value> = row
        .get("tags")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    match (ask.call.method.as_str(), tag) {
        ("GET", []) => return Ok(Reply::ok(json!({"tags": tags}))),
        ("PUT", []) => {
            tags = body["tags"]
                .as_array()
                .cloned()
                .ok_or_else(|| bad("Invalid input for tags"))?;
        }
        ("DELETE", []) => tags.clear(),
        ("PUT", [tag]) if !tags.contains(&json!(tag)) => tags.push(json!(tag)),
        ("PUT", [_]) => {}
        ("DELETE", [tag]) => tags.retain(|one| one != tag),
        ("GET", [tag]) if tags.contains(&json!(tag)) => return Ok(Reply::empty(204)),
        ("GET", [tag]) => {
            return Err(neutron_fault(
                404,
                "TagNotFound",
                &format!("Tag {tag} could not be found."),
            ));
        }
        _ => return Err(nowhere()),
    }
    row.insert("tags".to_owned(), json!(tags));
    Ok(match (ask.call.method.as_str(), tag) {
        ("PUT", []) => Reply::ok(json!({"tags": tags})),
        ("PUT", _) => Reply::empty(201),
        _ => Reply::empty(204),
    })
}

/// What every row has.
fn fresh(world: &mut World, project: &str, wanted: &Row) -> Row {
    let now = zulu(world.date());
    let id = world.uuid();
    let base = json!({"id": id, "tenant_id": project, "project_id": project, "name": "",
        "description": "", "tags": [], "created_at": now, "updated_at": now, "revision_number": 1});
    let mut row = base.as_object().cloned().unwrap_or_default();
    for key in ["name", "description"] {
        if let Some(value) = wanted.get(key).filter(|value| value.is_string()) {
            row.insert(key.to_owned(), value.clone());
        }
    }
    row
}
