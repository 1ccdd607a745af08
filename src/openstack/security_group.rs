//! Neutron security groups and their rules; this file may not know which ports use them.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::Access,
    attributes::{self, Odd},
    call::Call,
    network,
    path::Path,
    wire::{cut, nullable, plain},
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    holder::Holder,
    id::SecurityGroupId,
    manifest::{SecurityGroupFacts, SecurityGroupRule},
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const NEUTRON: Service = Service::Network;

/// A security group as Neutron shows it.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields have the names that Neutron gives them"
)]
pub(super) struct SecurityGroup {
    pub(super) id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    description: String,
    /// Missing where the extension is; then every group is stateful.
    #[serde(default)]
    stateful: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    security_group_rules: Vec<Rule>,
    #[serde(default)]
    created_at: Option<String>,
    /// What says something and is not restored.
    #[serde(flatten, deserialize_with = "attributes::of_security_group")]
    pub(super) odd: Vec<Odd>,
}

#[derive(Debug, Clone, Deserialize)]
struct Rule {
    #[serde(default, deserialize_with = "nullable")]
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    direction: String,
    #[serde(default, deserialize_with = "nullable")]
    ethertype: String,
    #[serde(default)]
    protocol: Value,
    #[serde(default)]
    port_range_min: Option<i64>,
    #[serde(default)]
    port_range_max: Option<i64>,
    #[serde(default)]
    remote_ip_prefix: Option<String>,
    #[serde(default)]
    remote_group_id: Option<String>,
    #[serde(default)]
    remote_address_group_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: String,
    /// What may narrow it and is not understood.
    #[serde(flatten, deserialize_with = "attributes::of_rule")]
    odd: Vec<Odd>,
}

/// Addresses under one name, which rules may refer to.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct AddressGroup {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    addresses: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) security_group: SecurityGroup,
}

impl Rule {
    /// The rule, or one for each address where it refers to an address group: a group of addresses of one
    /// cloud is not there in another. One that may not be seen leaves a restriction that is not understood.
    fn facts(&self, known: &[AddressGroup]) -> Vec<SecurityGroupRule> {
        let Some(id) = &self.remote_address_group_id else {
            return vec![self.fact()];
        };
        let Some(group) = known.iter().find(|group| group.id == *id) else {
            return vec![self.fact()];
        };
        let v6 = self.ethertype.eq_ignore_ascii_case("IPv6");
        let of_version = group.addresses.iter().filter(|one| one.contains(':') == v6);
        of_version
            .map(|address| SecurityGroupRule {
                remote_cidr: Some(address.clone()),
                address_group: Some(label(&group.name, id)),
                restrictions: self.restrictions(),
                ..self.fact()
            })
            .collect()
    }

    /// Tags narrow nothing.
    fn restrictions(&self) -> Vec<String> {
        let odd = self.odd.iter().filter(|odd| odd.name != "tags");
        odd.map(|odd| format!("{}={}", odd.name, odd.value))
            .collect()
    }

    fn fact(&self) -> SecurityGroupRule {
        let group = self.remote_address_group_id.as_ref();
        let group = group.map(|id| format!("remote_address_group_id={id}"));
        SecurityGroupRule {
            address_group: None,
            restrictions: self.restrictions().into_iter().chain(group).collect(),
            direction: self.direction.clone(),
            ethertype: self.ethertype.clone(),
            protocol: plain(self.protocol.clone()),
            port_min: self.port_range_min,
            port_max: self.port_range_max,
            remote_cidr: self.remote_ip_prefix.clone(),
            remote_group: self.remote_group_id.clone().map(SecurityGroupId::new),
            description: self.description.clone(),
        }
    }
}

impl SecurityGroup {
    pub(super) fn sighting(self) -> Sighting {
        Sighting {
            thing: Thing {
                kind: ThingKind::SecurityGroup,
                id: self.id,
            },
            name: self.name,
            tags: Vec::new(),
            status: "available".to_owned(),
            message: None,
            created: self.created_at.as_deref().and_then(Timestamp::parse),
            size_gib: None,
            incremental: false,
            data_timestamp: None,
            volume: None,
        }
    }

    /// What of it and its rules says something and is not restored, with what it is of.
    pub(super) fn unrestored(&self) -> Vec<(String, Odd)> {
        let own = self.odd.iter().map(|odd| (String::new(), odd.clone()));
        let of_rules = self.security_group_rules.iter().flat_map(|rule| {
            let tags = rule.odd.iter().filter(|odd| odd.name == "tags");
            tags.map(|odd| (format!("rule {} ", rule.fact().words()), odd.clone()))
        });
        own.chain(of_rules).collect()
    }

    pub(super) fn facts(self, address_groups: &[AddressGroup]) -> SecurityGroupFacts {
        let rules = self.security_group_rules.iter();
        SecurityGroupFacts {
            id: SecurityGroupId::new(self.id),
            name: self.name,
            description: self.description,
            stateful: self.stateful.unwrap_or(true),
            rules: rules.flat_map(|rule| rule.facts(address_groups)).collect(),
        }
    }

    /// The groups that its rules refer to.
    pub(super) fn remote_groups(&self) -> impl Iterator<Item = &str> {
        self.security_group_rules
            .iter()
            .filter_map(|rule| rule.remote_group_id.as_deref())
    }
}

/// A name with its id.
fn label(name: &str, id: &str) -> String {
    if name.is_empty() {
        id.to_owned()
    } else {
        format!("{name} ({id})")
    }
}

/// The address groups that the rules of these groups refer to, as far as they may be seen.
pub(super) async fn address_groups(
    access: &Access,
    groups: &[SecurityGroup],
) -> Result<Vec<AddressGroup>, Fault> {
    let rules = groups.iter().flat_map(|group| &group.security_group_rules);
    let ids: BTreeSet<String> = rules
        .filter_map(|rule| rule.remote_address_group_id.clone())
        .collect();
    let ids: Vec<String> = ids.into_iter().collect();
    match network::having(access, "address-groups", "id", &ids).await {
        Err(fault) if network::is_refusal(&fault) => Ok(Vec::new()),
        other => other,
    }
}

/// Makes a group; Neutron gives it the rules that every group begins with.
pub(super) async fn make(
    access: &Access,
    name: &str,
    description: &str,
    stateful: bool,
) -> Result<String, Fault> {
    let mut group = json!({"name": name, "description": cut(description)});
    if !stateful {
        // Not every Neutron knows the word; every one makes stateful groups without it.
        group["stateful"] = json!(false);
    }
    let call = Call::post(
        NEUTRON,
        "security-groups",
        format!("create the security group {name}"),
        json!({ "security_group": group }),
    );
    let made = access.read::<One>(&call).await?.security_group;
    call.tells_of(name, &made.name)?;
    Ok(made.id)
}

/// Gives a group a name.
pub(super) async fn rename(access: &Access, id: &SecurityGroupId, name: &str) -> Result<(), Fault> {
    let call = Call::put(
        NEUTRON,
        Path::of("security-groups", &id),
        format!("name the security group {id}"),
        json!({"security_group": {"name": name}}),
    );
    access.send(&call).await?;
    Ok(())
}

/// A group that a rule refers to.
#[derive(Deserialize)]
struct Reference {
    #[serde(default, deserialize_with = "nullable")]
    security_group_id: String,
}

/// The groups of a port.
#[derive(Deserialize)]
struct Membership {
    #[serde(default, deserialize_with = "nullable")]
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    security_groups: Vec<String>,
}

/// The groups that refer to this one in a rule: Neutron would delete that rule with this group, without a
/// word (`ON DELETE CASCADE` of `remote_group_id`), and others would lose a way in. Whether ports have such a
/// group now says nothing of tomorrow.
pub(super) async fn referring(access: &Access, id: &str) -> Result<Vec<Holder>, Fault> {
    let action = format!("look for rules that refer to the security group {id}");
    let rules = Call::get(NEUTRON, "security-group-rules", action.as_str())
        .query("remote_group_id", id)
        .query("fields", "id")
        .query("fields", "security_group_id");
    let rules: Vec<Reference> = access.pages(rules, "security_group_rules").await?;
    let referring: BTreeSet<&str> = rules
        .iter()
        .map(|rule| rule.security_group_id.as_str())
        .filter(|group| *group != id)
        .collect();
    Ok(referring.into_iter().map(Holder::naming_group).collect())
}

/// The ports that have a group.
pub(super) async fn members(access: &Access, id: &str) -> Result<Vec<Holder>, Fault> {
    let action = format!("look for ports that have the security group {id}");
    let ports = Call::get(NEUTRON, "ports", action)
        .query("project_id", access.project.as_str())
        .query("fields", "id")
        .query("fields", "security_groups");
    let ports: Vec<Membership> = access.pages(ports, "ports").await?;
    let with_it = ports
        .iter()
        .filter(|port| port.security_groups.iter().any(|group| group == id));
    Ok(with_it.map(|port| Holder::user("port", &port.id)).collect())
}

/// Gives a group exactly these rules: adds what it lacks, then removes what is too much.
pub(super) async fn apply_rules(
    access: &Access,
    id: &SecurityGroupId,
    rules: &[SecurityGroupRule],
) -> Result<(), Fault> {
    let action = format!("set the rules of the security group {id}");
    // Read in one piece with its group: a list of rules is empty for a group that is not there.
    let path = Path::of("security-groups", &id);
    let group = access
        .read::<One>(&Call::get(NEUTRON, path, action.as_str()))
        .await?
        .security_group;
    let present: Vec<(String, Meaning)> = group
        .security_group_rules
        .iter()
        .map(|rule| (rule.id.clone(), Meaning::of(&rule.fact())))
        .collect();
    let mut wanted: Vec<(Meaning, &SecurityGroupRule)> =
        rules.iter().map(|rule| (Meaning::of(rule), rule)).collect();
    wanted.sort_by(|left, right| left.0.cmp(&right.0));
    wanted.dedup_by(|left, right| left.0 == right.0);
    let lacking: Vec<Map<String, Value>> = wanted
        .iter()
        .filter(|(meaning, _)| !present.iter().any(|(_, there)| there == meaning))
        .map(|(_, rule)| body(id, rule))
        .collect();
    if !lacking.is_empty() {
        let post = |rules: &[Map<String, Value>]| {
            let body = json!({ "security_group_rules": rules });
            Call::post(NEUTRON, "security-group-rules", action.as_str(), body)
        };
        match access.send(&post(&lacking)).await {
            // One rule that this Neutron does not know takes all with it, so each is asked for by itself.
            // What is left out lets in less than before, and is seen when all is compared in the end.
            Err(fault) if is_of_one_rule(&fault) && lacking.len() > 1 => {
                for rule in &lacking {
                    match access.send(&post(std::slice::from_ref(rule))).await {
                        Err(fault) if is_of_one_rule(&fault) => {}
                        other => drop(other?),
                    }
                }
            }
            Err(fault) if is_of_one_rule(&fault) => {}
            other => drop(other?),
        }
    }
    let surplus: Vec<_> = present
        .iter()
        .filter(|(_, there)| !wanted.iter().any(|(meaning, _)| meaning == there))
        .map(|(rule, _)| delete_rule(access, rule, action.as_str()))
        .collect();
    stream::iter(surplus)
        .buffer_unordered(access.session.connection.limits().side_by_side)
        .try_collect()
        .await
}

/// Whether a refusal is about the content of a rule, or says that its like is there.
fn is_of_one_rule(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::Invalid | FaultKind::Conflict)
}

async fn delete_rule(access: &Access, rule: &str, action: &str) -> Result<(), Fault> {
    let call = Call::delete(NEUTRON, Path::of("security-group-rules", &rule), action);
    match access.send(&call).await {
        Err(fault) if fault.kind == FaultKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

/// Only keys that every release takes: newer ones hand out more than they, or older ones, accept.
fn body(group: &SecurityGroupId, rule: &SecurityGroupRule) -> Map<String, Value> {
    let mut body = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            body.insert(key.to_owned(), value);
        }
    };
    put("security_group_id", json!(group));
    put("direction", json!(rule.direction));
    put("ethertype", json!(rule.ethertype));
    put("protocol", json!(rule.protocol));
    put("port_range_min", json!(rule.port_min));
    put("port_range_max", json!(rule.port_max));
    put("remote_ip_prefix", json!(rule.remote_cidr));
    put("remote_group_id", json!(rule.remote_group));
    put("description", json!(cut(&rule.description)));
    body
}

/// What Neutron takes two rules for the same by: not by the description, and a range of all
/// addresses is no range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Meaning {
    direction: String,
    ethertype: String,
    protocol: String,
    ports: (Option<i64>, Option<i64>),
    remote: String,
    restrictions: Vec<String>,
}

impl Meaning {
    fn of(rule: &SecurityGroupRule) -> Self {
        let remote = match (&rule.remote_group, rule.remote_cidr.as_deref()) {
            (Some(group), _) => group.as_str(),
            (None, Some("0.0.0.0/0" | "::/0") | None) => "",
            (None, Some(cidr)) => cidr,
        };
        let protocol = match rule.protocol.as_deref().unwrap_or_default() {
            "any" => "",
            "1" => "icmp",
            "6" => "tcp",
            "17" => "udp",
            "58" | "icmpv6" => "ipv6-icmp",
            "icmp" if rule.ethertype.eq_ignore_ascii_case("ipv6") => "ipv6-icmp",
            other => other,
        };
        Self {
            direction: rule.direction.to_lowercase(),
            ethertype: rule.ethertype.to_lowercase(),
            protocol: protocol.to_owned(),
            ports: (rule.port_min, rule.port_max),
            remote: remote.to_owned(),
            restrictions: rule.restrictions.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: Option<&str>, cidr: Option<&str>) -> SecurityGroupRule {
        SecurityGroupRule {
            direction: "ingress".to_owned(),
            ethertype: "IPv4".to_owned(),
            protocol: protocol.map(str::to_owned),
            remote_cidr: cidr.map(str::to_owned),
            ..SecurityGroupRule::default()
        }
    }

    #[test]
    fn rules_that_neutron_takes_for_the_same_are_the_same() {
        let same = |left: &SecurityGroupRule, right: &SecurityGroupRule| {
            Meaning::of(left) == Meaning::of(right)
        };
        assert!(same(&rule(None, None), &rule(None, Some("0.0.0.0/0"))));
        assert!(same(&rule(Some("6"), None), &rule(Some("tcp"), None)));
        assert!(!same(&rule(Some("udp"), None), &rule(Some("tcp"), None)));
    }

    #[test]
    fn an_address_group_becomes_its_addresses_and_one_that_is_hidden_is_never_forgotten() {
        let group: SecurityGroup =
            serde_json::from_value(json!({"id": "g", "security_group_rules": [
            {"id": "r", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
             "remote_address_group_id": "a"},
            {"id": "s", "direction": "ingress", "ethertype": "IPv4", "only_at": "night",
             "tags": ["x"]}]}))
            .unwrap();
        let known = AddressGroup {
            id: "a".to_owned(),
            name: "admins".to_owned(),
            addresses: vec![
                "10.0.0.0/8".to_owned(),
                "fd00::/8".to_owned(),
                "192.0.2.1/32".to_owned(),
            ],
        };
        let facts = group.clone().facts(&[known]);
        let cidrs: Vec<_> = facts
            .rules
            .iter()
            .map(|rule| rule.remote_cidr.as_deref())
            .collect();
        assert_eq!(cidrs, [Some("10.0.0.0/8"), Some("192.0.2.1/32"), None]);
        assert_eq!(facts.rules[0].address_group.as_deref(), Some("admins (a)"));
        assert!(facts.rules[0].restrictions.is_empty());
        assert_eq!(facts.rules[2].restrictions, ["only_at=night"]);
        let hidden = group.facts(&[]);
        assert_eq!(hidden.rules[0].restrictions, ["remote_address_group_id=a"]);
        let name = |_: &SecurityGroupId| String::new();
        assert_ne!(
            hidden.content(name),
            facts.content(name),
            "not the same content"
        );
    }

    #[test]
    fn empty_wishes_are_not_sent() {
        let body = body(&SecurityGroupId::new("g"), &rule(None, None));
        assert!(!body.contains_key("protocol") && !body.contains_key("remote_ip_prefix"));
    }
}
