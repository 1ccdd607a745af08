//! Security groups and their rules; they may not know what traffic is.

use serde_json::{Value, json};

use super::network::fill;
use super::{Ask, Row, absent, conflict, fresh, see, text};
use crate::sim::reply::{Reply, neutron_fault};
use crate::sim::world::{Kind, World};

/// One rule that somebody who furnishes a cloud by hand wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketch {
    pub(crate) direction: String,
    pub(crate) protocol: Option<String>,
    pub(crate) ports: Option<(u16, u16)>,
    pub(crate) remote_prefix: Option<String>,
    pub(crate) remote_group: Option<String>,
}

/// Makes a group with the rules that let everything out, and gives its id.
pub(crate) fn make(world: &mut World, project: &str, name: &str, description: &str) -> String {
    let mut wanted = Row::new();
    wanted.insert("name".to_owned(), json!(name));
    wanted.insert("description".to_owned(), json!(description));
    let mut row = fresh(world, project, &wanted);
    row.insert("stateful".to_owned(), json!(true));
    row.insert("shared".to_owned(), json!(false));
    let id = text(&row, "id").to_owned();
    world.remember(Kind::SecurityGroup, &id, name, project);
    world.neutron.put("security_groups", row);
    for version in ["IPv4", "IPv6"] {
        put_rule(
            world,
            project,
            &json!({"security_group_id": id, "direction": "egress", "ethertype": version}),
        );
    }
    id
}

pub(super) fn make_default(world: &mut World, project: &str) {
    let id = make(world, project, "default", "Default security group");
    for version in ["IPv4", "IPv6"] {
        put_rule(
            world,
            project,
            &json!({"security_group_id": id, "direction": "ingress", "ethertype": version, "remote_group_id": id}),
        );
    }
}

pub(super) fn default_of(world: &World, project: &str) -> String {
    let mut groups = world.neutron.rows("security_groups");
    let found =
        groups.find(|row| text(row, "project_id") == project && text(row, "name") == "default");
    found
        .map(|row| text(row, "id").to_owned())
        .unwrap_or_default()
}

/// Adds a rule to a group and gives its id.
pub(crate) fn add_rule(world: &mut World, project: &str, group: &str, sketch: &Sketch) -> String {
    let wanted = json!({"security_group_id": group, "direction": sketch.direction, "ethertype": "IPv4",
        "protocol": sketch.protocol, "port_range_min": sketch.ports.map(|ports| ports.0),
        "port_range_max": sketch.ports.map(|ports| ports.1), "remote_ip_prefix": sketch.remote_prefix,
        "remote_group_id": sketch.remote_group});
    put_rule(world, project, &wanted)
}

pub(super) fn create(world: &mut World, project: &str, wanted: &Row) -> Result<String, Reply> {
    let name = text(wanted, "name");
    check_name(name)?;
    let id = make(world, project, name, text(wanted, "description"));
    if let Some(row) = world.neutron.row_mut("security_groups", &id) {
        fill(row, wanted);
    }
    Ok(id)
}

/// Refuses the name that only the group of Neutron's own may have, however it is written.
fn check_name(name: &str) -> Result<(), Reply> {
    if !name.eq_ignore_ascii_case("default") {
        return Ok(());
    }
    Err(conflict(
        "SecurityGroupDefaultAlreadyExists",
        "Default security group already exists.",
    ))
}

/// Refuses a new name that is reserved, and any for the group whose name that is.
pub(super) fn check_update(row: &Row, wanted: &Row) -> Result<(), Reply> {
    if !wanted.contains_key("name") {
        return Ok(());
    }
    check_name(text(wanted, "name"))?;
    if text(row, "name") == "default" {
        return Err(conflict(
            "SecurityGroupCannotUpdateDefault",
            "Updating default security group not allowed.",
        ));
    }
    Ok(())
}

fn put_rule(world: &mut World, project: &str, wanted: &Value) -> String {
    let wanted = wanted.as_object().cloned().unwrap_or_default();
    let mut row = fresh(world, project, &wanted);
    row.remove("name");
    row.insert("description".to_owned(), Value::Null);
    let defaults = json!({"ethertype": "IPv4", "protocol": null, "port_range_min": null,
        "port_range_max": null, "remote_ip_prefix": null, "remote_address_group_id": null,
        "normalized_cidr": null, "remote_group_id": null, "revision_number": 0,
        "standard_attr_id": world.next()});
    row.extend(defaults.as_object().cloned().unwrap_or_default());
    fill(&mut row, &wanted);
    let prefix = row.get("remote_ip_prefix").cloned().unwrap_or(Value::Null);
    row.insert("normalized_cidr".to_owned(), prefix);
    if world.config.release.is_newer() {
        let group = world
            .neutron
            .row("security_groups", text(&row, "security_group_id"));
        let default = group.is_some_and(|group| text(group, "name") == "default");
        row.insert("belongs_to_default_sg".to_owned(), json!(default));
    }
    let id = text(&row, "id").to_owned();
    world.neutron.put("security_group_rules", row);
    id
}

pub(super) fn create_rule(
    world: &mut World,
    ask: &Ask<'_>,
    project: &str,
    wanted: &Row,
) -> Result<String, Reply> {
    let group = text(wanted, "security_group_id");
    see(world, ask, "security_groups", "security_group", group)?;
    let remote = text(wanted, "remote_group_id");
    if !remote.is_empty() {
        see(world, ask, "security_groups", "security_group", remote)?;
        if wanted
            .get("remote_ip_prefix")
            .is_some_and(|value| !value.is_null())
        {
            return Err(neutron_fault(
                400,
                "SecurityGroupMultipleRemoteEntites",
                "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.",
            ));
        }
    }
    if !["ingress", "egress"].contains(&text(wanted, "direction")) {
        return Err(neutron_fault(
            400,
            "HTTPBadRequest",
            &format!(
                "Invalid input for direction. Reason: '{}' is not in ['ingress', 'egress'].",
                text(wanted, "direction")
            ),
        ));
    }
    let keys = [
        "direction",
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_ip_prefix",
        "remote_group_id",
    ];
    let version = wanted
        .get("ethertype")
        .cloned()
        .unwrap_or_else(|| json!("IPv4"));
    let twin = world.neutron.rows("security_group_rules").find(|rule| {
        text(rule, "security_group_id") == group
            && rule.get("ethertype") == Some(&version)
            && keys.iter().all(|key| {
                rule.get(*key).unwrap_or(&Value::Null) == wanted.get(*key).unwrap_or(&Value::Null)
            })
    });
    if let Some(twin) = twin {
        return Err(conflict(
            "SecurityGroupRuleExists",
            &format!(
                "Security group rule already exists. Rule id is {}.",
                text(twin, "id")
            ),
        ));
    }
    Ok(put_rule(world, project, &Value::Object(wanted.clone())))
}

pub(super) fn check_unused(world: &mut World, id: &str) -> Result<(), Reply> {
    let row = world
        .neutron
        .row("security_groups", id)
        .ok_or_else(|| absent("security_group", id))?;
    if text(row, "name") == "default" {
        return Err(conflict(
            "SecurityGroupCannotRemoveDefault",
            "Insufficient rights for removing default security group.",
        ));
    }
    let used = world.neutron.rows("ports").any(|port| {
        let groups = port.get("security_groups").and_then(Value::as_array);
        groups.is_some_and(|groups| groups.iter().any(|group| group == id))
    });
    if used {
        return Err(conflict(
            "SecurityGroupInUse",
            &format!("Security Group {id} in use."),
        ));
    }
    let rules: Vec<String> = world
        .neutron
        .rows("security_group_rules")
        .filter(|rule| text(rule, "security_group_id") == id || text(rule, "remote_group_id") == id)
        .map(|rule| text(rule, "id").to_owned())
        .collect();
    for rule in rules {
        world.neutron.remove("security_group_rules", &rule);
    }
    Ok(())
}
