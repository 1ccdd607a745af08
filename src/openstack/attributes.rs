//! What of the documents that the services show is carried over, and what of the rest says something; this
//! file may not know how a document is read, nor how anything is restored.
//!
//! A document has more in it than anybody has heard of: releases and extensions add attributes. So there is
//! one table for each kind of thing. What is in it is read into the manifest, or can be nothing else but
//! the thing's own (its id, its times, where it runs), or is compared with the value that it usually has.
//! Whatever is not in it is as good as nothing while it is null, empty, false or 0; with any other value it is
//! told by name and value, and is not restored.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::wire::plain;

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The manifest has it, or has what it is made from.
    Read,
    /// Only this one thing can have it: an id, a time, a state, a place.
    Own,
    /// Told unless it is null or empty, or has this value: `false` and 0 too are compared with it.
    Unless(&'static str),
}

use Meaning::{Own, Read, Unless};

/// The attributes of one kind of thing.
pub(super) type Table = &'static [(&'static str, Meaning)];

/// Of a server; everything that Nova shows up to 2.100, in the order of its code.
pub(super) const SERVER: Table = &[
    ("addresses", Read),
    ("created", Own),
    ("flavor", Read),
    ("hostId", Own),
    ("id", Own),
    ("image", Read),
    ("links", Own),
    ("metadata", Read),
    ("name", Read),
    ("status", Read),
    ("tenant_id", Own),
    ("user_id", Own),
    ("updated", Own),
    ("OS-DCF:diskConfig", Read),
    ("fault", Own),
    ("progress", Own),
    ("OS-EXT-AZ:availability_zone", Read),
    ("config_drive", Read),
    ("key_name", Read),
    ("OS-SRV-USG:launched_at", Own),
    ("OS-SRV-USG:terminated_at", Own),
    ("security_groups", Read),
    ("OS-EXT-SRV-ATTR:host", Own),
    ("OS-EXT-SRV-ATTR:instance_name", Own),
    ("OS-EXT-SRV-ATTR:hypervisor_hostname", Own),
    ("OS-EXT-SRV-ATTR:hostname", Read),
    ("OS-EXT-SRV-ATTR:launch_index", Own),
    ("OS-EXT-SRV-ATTR:reservation_id", Own),
    ("OS-EXT-SRV-ATTR:root_device_name", Read),
    ("OS-EXT-SRV-ATTR:user_data", Read),
    ("OS-EXT-STS:task_state", Own),
    ("OS-EXT-STS:vm_state", Own),
    ("OS-EXT-STS:power_state", Own),
    ("os-extended-volumes:volumes_attached", Read),
    ("locked", Read),
    ("host_status", Own),
    ("description", Read),
    ("tags", Read),
    ("server_groups", Read),
    ("locked_reason", Read),
];

/// Of a volume.
pub(super) const VOLUME: Table = &[
    ("id", Own),
    ("name", Read),
    ("description", Read),
    ("size", Read),
    ("status", Own),
    ("created_at", Own),
    ("updated_at", Own),
    ("user_id", Own),
    ("links", Own),
    ("attachments", Read),
    ("availability_zone", Read),
    ("bootable", Read),
    ("encrypted", Read),
    ("encryption_key_id", Own),
    ("multiattach", Read),
    ("metadata", Read),
    ("volume_image_metadata", Read),
    ("volume_type", Read),
    ("volume_type_id", Own),
    // Where it once came from.
    ("snapshot_id", Own),
    ("source_volid", Own),
    ("migration_status", Own),
    ("os-vol-host-attr:host", Own),
    ("os-vol-mig-status-attr:migstat", Own),
    ("os-vol-mig-status-attr:name_id", Own),
    ("os-vol-tenant-attr:tenant_id", Own),
    ("cluster_name", Own),
    ("provider_id", Own),
    ("service_uuid", Own),
    ("shared_targets", Own),
    ("replication_status", Unless("disabled")),
    ("consumes_quota", Unless("true")),
];

/// Of a port.
pub(super) const PORT: Table = &[
    ("id", Own),
    ("name", Read),
    ("description", Read),
    ("network_id", Read),
    ("mac_address", Read),
    ("fixed_ips", Read),
    ("security_groups", Read),
    ("port_security_enabled", Read),
    ("allowed_address_pairs", Read),
    ("extra_dhcp_opts", Read),
    ("admin_state_up", Read),
    ("binding:vnic_type", Read),
    ("binding:host_id", Own),
    ("binding:vif_type", Own),
    ("binding:vif_details", Own),
    ("dns_name", Read),
    ("dns_domain", Read),
    ("dns_assignment", Own),
    ("qos_policy_id", Read),
    // That of its network, which is the target's.
    ("qos_network_policy_id", Own),
    ("resource_request", Own),
    ("tags", Read),
    ("propagate_uplink_status", Read),
    ("trunk_details", Read),
    ("device_id", Own),
    ("device_owner", Own),
    ("status", Own),
    ("data_plane_status", Own),
    ("ip_allocation", Own),
    ("project_id", Own),
    ("tenant_id", Own),
    ("created_at", Own),
    ("updated_at", Own),
    ("revision_number", Own),
    ("standard_attr_id", Own),
];

/// Of a trunk.
pub(super) const TRUNK: Table = &[
    ("id", Own),
    ("name", Read),
    ("description", Read),
    ("port_id", Read),
    ("admin_state_up", Read),
    ("sub_ports", Read),
    ("tags", Read),
    ("status", Own),
    ("project_id", Own),
    ("tenant_id", Own),
    ("created_at", Own),
    ("updated_at", Own),
    ("revision_number", Own),
    ("standard_attr_id", Own),
];

/// Of a security group.
pub(super) const SECURITY_GROUP: Table = &[
    ("id", Own),
    ("name", Read),
    ("description", Read),
    ("stateful", Read),
    ("security_group_rules", Read),
    ("project_id", Own),
    ("tenant_id", Own),
    ("created_at", Own),
    ("updated_at", Own),
    ("revision_number", Own),
    ("standard_attr_id", Own),
    ("is_default", Own),
];

/// Of a rule. Whatever is not in here may narrow it, so it is not made without.
pub(super) const RULE: Table = &[
    ("id", Own),
    ("security_group_id", Own),
    ("direction", Read),
    ("ethertype", Read),
    ("protocol", Read),
    ("port_range_min", Read),
    ("port_range_max", Read),
    ("remote_ip_prefix", Read),
    ("normalized_cidr", Own),
    ("remote_group_id", Read),
    ("remote_address_group_id", Read),
    ("description", Read),
    ("belongs_to_default_sg", Own),
    ("project_id", Own),
    ("tenant_id", Own),
    ("created_at", Own),
    ("updated_at", Own),
    ("revision_number", Own),
    ("standard_attr_id", Own),
];

/// An attribute that says something and is not restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Odd {
    /// Its name.
    pub(super) name: String,
    /// Its value, fit to be told.
    pub(super) value: String,
}

impl Odd {
    pub(super) fn new(name: impl Into<String>, value: &Value) -> Self {
        let name = name.into();
        let value = told(&name, value);
        Self { name, value }
    }
}

/// What of these attributes is not restored although it says something.
fn odd_of(table: Table, attributes: Map<String, Value>) -> Vec<Odd> {
    attributes
        .into_iter()
        .filter(|(name, value)| {
            let known = table.iter().find(|(known, _)| known == name);
            match known.map(|(_, meaning)| *meaning) {
                Some(Read | Own) => false,
                Some(Unless(usual)) => {
                    let told = plain(value.clone()).filter(|text| !text.is_empty());
                    let says = told.is_some() || !says_nothing(value);
                    says && told.as_deref() != Some(usual)
                }
                None => !says_nothing(value),
            }
        })
        .map(|(name, value)| Odd::new(name, &value))
        .collect()
}

/// Null, empty, false and nought are what an attribute has that nobody has set, as far as that can be guessed
/// of one that is in no table. Where the services show a switch that nobody has touched, it is off nearly
/// always; were `false` told, every instance of a cloud with one more extension would have a gap for nothing,
/// and nobody would read gaps any more. One that is on by default gets its row with [`Unless`].
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.iter().all(says_nothing),
        Value::Object(map) => map.values().all(says_nothing),
    }
}

/// A value as it may be told: without what may be secret, and not longer than a line.
fn told(name: &str, value: &Value) -> String {
    const CHARACTERS_MAX: usize = 120;
    let covered = covered(name, value);
    let text = covered
        .as_str()
        .map_or_else(|| covered.to_string(), str::to_owned);
    let mut cut: String = text.chars().take(CHARACTERS_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// The same value with whatever has the name of a secret covered up, however deep it lies.
fn covered(name: &str, value: &Value) -> Value {
    const SECRET: [&str; 8] = [
        "pass",
        "secret",
        "token",
        "private",
        "credential",
        "auth",
        "key",
        "user_data",
    ];
    let name = name.to_lowercase();
    if SECRET.iter().any(|word| name.contains(word)) {
        return Value::String("(not shown)".to_owned());
    }
    match value {
        Value::Array(list) => list.iter().map(|value| covered("", value)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), covered(name, value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// For `flatten`: of what has no field of its own, what says something.
macro_rules! of {
    ($name:ident, $table:ident) => {
        pub(super) fn $name<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Vec<Odd>, D::Error> {
            Ok(odd_of($table, Map::deserialize(deserializer)?))
        }
    };
}

of!(of_server, SERVER);
of!(of_volume, VOLUME);
of!(of_port, PORT);
of!(of_trunk, TRUNK);
of!(of_security_group, SECURITY_GROUP);
of!(of_rule, RULE);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openstack::{
        port::Port, security_group::SecurityGroup, server::Server, volume::Volume,
    };

    const TABLES: [(&str, Table); 6] = [
        ("server", SERVER),
        ("volume", VOLUME),
        ("port", PORT),
        ("trunk", TRUNK),
        ("security group", SECURITY_GROUP),
        ("rule", RULE),
    ];

    fn odd(table: Table, document: Value) -> Vec<(String, String)> {
        let Value::Object(map) = document else {
            panic!("an object")
        };
        let odd = odd_of(table, map).into_iter();
        odd.map(|one| (one.name, one.value)).collect()
    }

    /// Values that say something, of every type that JSON has.
    fn telling() -> Vec<Value> {
        vec![
            json!("x"),
            json!(true),
            json!(7),
            json!(["x"]),
            json!({"a": {"b": 1}}),
        ]
    }

    #[test]
    fn whatever_is_in_no_table_is_told_with_its_value_unless_it_says_nothing() {
        for (what, table) in TABLES {
            for value in telling() {
                let found = odd(table, json!({"vendor:thing": value}));
                assert_eq!(found.len(), 1, "{what}: {value}");
                assert_eq!(found[0].0, "vendor:thing");
                assert!(!found[0].1.is_empty());
            }
            for value in [
                json!(null),
                json!(""),
                json!([]),
                json!({}),
                json!(false),
                json!(0),
            ] {
                assert_eq!(
                    odd(table, json!({"vendor:thing": value})),
                    [],
                    "{what}: {value}"
                );
            }
        }
    }

    #[test]
    fn no_name_stands_twice_in_a_table_and_what_is_own_is_never_told() {
        for (what, table) in TABLES {
            for (index, (name, meaning)) in table.iter().enumerate() {
                let twice = table[index + 1..].iter().any(|(other, _)| other == name);
                assert!(!twice, "{what}: {name}");
                let usual = match meaning {
                    Unless(usual) => Some(*usual),
                    Read | Own => None,
                };
                let says = |value: &Value| plain(value.clone()).as_deref() != usual;
                for value in telling().into_iter().filter(says) {
                    let told = !odd(table, json!({*name: value})).is_empty();
                    assert_eq!(
                        told,
                        matches!(meaning, Unless(_)),
                        "{what}: {name} = {value}"
                    );
                }
                if let Unless(usual) = meaning {
                    assert_eq!(odd(table, json!({*name: usual})), [], "{what}: {name}");
                }
            }
        }
    }

    #[test]
    fn what_a_table_names_is_compared_with_its_usual_value_whatever_it_is() {
        let mut compared = 0;
        for (what, table) in TABLES {
            for (name, meaning) in table {
                let Unless(usual) = meaning else { continue };
                compared += 1;
                for value in [
                    json!(true),
                    json!(false),
                    json!(0),
                    json!("0"),
                    json!("other"),
                ] {
                    let told = !odd(table, json!({*name: value})).is_empty();
                    let differs = plain(value.clone()).as_deref() != Some(*usual);
                    assert_eq!(told, differs, "{what}: {name} = {value}");
                }
                for value in [json!(null), json!("")] {
                    assert_eq!(odd(table, json!({*name: value})), [], "{what}: {name}");
                }
            }
        }
        assert!(compared > 1, "there are some");
    }

    #[test]
    fn a_document_is_read_with_an_attribute_that_nobody_has_heard_of() {
        let server: Server = serde_json::from_value(json!({"id": "s", "accessIPv4": "203.0.113.9",
            "links": [1], "name": "web", "addresses": {}}))
        .unwrap();
        assert_eq!(server.odd, [Odd::new("accessIPv4", &json!("203.0.113.9"))]);
        let volume: Volume =
            serde_json::from_value(json!({"id": "v", "replication_status": "enabled"})).unwrap();
        assert_eq!(volume.odd.len(), 1);
        let port: Port =
            serde_json::from_value(json!({"id": "p", "numa_affinity_policy": "required"})).unwrap();
        assert_eq!(port.odd.len(), 1);
        let group: SecurityGroup = serde_json::from_value(json!({"id": "g", "tags": ["a"],
            "security_group_rules": [{"id": "r", "time_of_day": "night"}]}))
        .unwrap();
        assert_eq!(group.odd.len(), 1);
    }

    #[test]
    fn secrets_are_covered_however_deep_they_lie_and_long_values_are_cut() {
        let deep = json!({"profile": [{"a": 1, "admin_password": "hunter2"}]});
        let found = odd(
            PORT,
            json!({"vendor:profile": deep, "api_token": "hunter2"}),
        );
        assert_eq!(found.len(), 2);
        assert!(
            found.iter().all(|(_, value)| !value.contains("hunter2")),
            "{found:?}"
        );
        let long = odd(PORT, json!({"note": "é".repeat(5_000)}));
        assert_eq!(long[0].1.chars().count(), 121);
    }
}
