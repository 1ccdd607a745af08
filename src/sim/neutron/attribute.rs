//! Which attributes a client may send to Neutron, by release and by role; it may not know what they do.

use super::{Row, bad, denied};
use crate::sim::config::Release;
use crate::sim::keystone::Who;
use crate::sim::reply::Reply;
use crate::sim::world::World;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Post,
    Put,
}

/// What a row has that nobody may send, whichever the collection.
const READ_ONLY: [&str; 5] = [
    "id",
    "status",
    "created_at",
    "updated_at",
    "revision_number",
];

/// What may be in a POST, and what of it not in a PUT; names with a blank between them.
fn known(table: &str) -> (&'static str, &'static str) {
    match table {
        "networks" => (
            "name admin_state_up shared description mtu port_security_enabled \
             router:external is_default availability_zone_hints dns_domain \
             provider:network_type provider:physical_network \
             provider:segmentation_id tenant_id project_id qos_policy_id",
            "tenant_id project_id availability_zone_hints",
        ),
        "subnets" => (
            "name description ip_version network_id subnetpool_id prefixlen cidr \
             gateway_ip allocation_pools dns_nameservers host_routes enable_dhcp \
             ipv6_ra_mode ipv6_address_mode service_types use_default_subnetpool \
             dns_publish_fixed_ip segment_id tenant_id project_id",
            "ip_version network_id subnetpool_id cidr prefixlen tenant_id \
             project_id ipv6_ra_mode ipv6_address_mode",
        ),
        "ports" => (
            "name description network_id admin_state_up mac_address fixed_ips \
             device_id device_owner security_groups allowed_address_pairs \
             extra_dhcp_opts binding:vnic_type binding:host_id binding:profile \
             port_security_enabled qos_policy_id dns_name dns_domain \
             propagate_uplink_status numa_affinity_policy tags tenant_id project_id",
            "network_id tenant_id project_id tags propagate_uplink_status",
        ),
        "security_groups" => (
            "name description stateful tenant_id project_id",
            "tenant_id project_id",
        ),
        "security_group_rules" => (
            "security_group_id remote_group_id remote_address_group_id direction \
             protocol port_range_min port_range_max ethertype remote_ip_prefix \
             description tenant_id project_id",
            "",
        ),
        "routers" => (
            "name description admin_state_up external_gateway_info tenant_id \
             project_id distributed ha availability_zone_hints flavor_id",
            "tenant_id project_id",
        ),
        "trunks" => (
            "name description port_id admin_state_up sub_ports tenant_id project_id",
            "port_id sub_ports tenant_id project_id",
        ),
        _ => (
            "floating_network_id floating_ip_address port_id fixed_ip_address \
             subnet_id description qos_policy_id dns_name dns_domain tenant_id \
             project_id",
            "floating_network_id floating_ip_address tenant_id project_id",
        ),
    }
}

/// What a row shows that nobody may send: refused by name, where the release knows it.
fn shown(table: &str, release: Release) -> &'static [&'static str] {
    match (table, release) {
        ("networks", Release::Gazpacho) => &[
            "subnets",
            "ipv4_address_scope",
            "ipv6_address_scope",
            "availability_zones",
            "tags",
            "qinq",
            "vlan_transparent",
            "l2_adjacency",
        ],
        ("networks", Release::Zed | Release::Epoxy) => &[
            "subnets",
            "ipv4_address_scope",
            "ipv6_address_scope",
            "availability_zones",
            "tags",
        ],
        ("subnets", Release::Epoxy | Release::Gazpacho) => &["router:external", "tags", "shared"],
        ("subnets", Release::Zed) => &["tags", "shared"],
        ("ports", Release::Zed | Release::Epoxy | Release::Gazpacho) => &[
            "binding:vif_type",
            "binding:vif_details",
            "ip_allocation",
            "resource_request",
        ],
        ("security_groups", Release::Zed | Release::Epoxy | Release::Gazpacho) => {
            &["security_group_rules", "tags", "shared"]
        }
        ("security_group_rules", Release::Epoxy | Release::Gazpacho) => &[
            "belongs_to_default_sg",
            "normalized_cidr",
            "tags",
            "standard_attr_id",
        ],
        ("security_group_rules", Release::Zed) => &["normalized_cidr", "tags", "standard_attr_id"],
        _ => &["tags", "routes", "router_id"],
    }
}

pub(super) fn check(
    world: &World,
    who: &Who,
    table: &str,
    one: &str,
    wanted: &Row,
    verb: Verb,
) -> Result<(), Reply> {
    let (post, not_put) = known(table);
    let shown = shown(table, world.config.release);
    for (key, value) in wanted {
        let key = key.as_str();
        let long = value
            .as_str()
            .is_some_and(|text| text.chars().count() > 255);
        if long && ["name", "description"].contains(&key) {
            return Err(bad(&format!(
                "Invalid input for {key}. Reason: {value} exceeds maximum length of 255."
            )));
        }
        if READ_ONLY.contains(&key) || shown.contains(&key) {
            let method = if verb == Verb::Post { "POST" } else { "PUT" };
            let text = if verb == Verb::Post {
                format!("Attribute '{key}' not allowed in {method}")
            } else {
                format!("Cannot update read-only attribute {key}")
            };
            return Err(bad(&text));
        }
        let unloaded = key == "propagate_uplink_status" && !world.neutron.uplink_status;
        if unloaded || !post.split(' ').any(|known| known == key) {
            return Err(bad(&format!("Unrecognized attribute(s) '{key}'")));
        }
        if verb == Verb::Put && not_put.split(' ').any(|known| known == key) {
            return Err(bad(&format!("Cannot update read-only attribute {key}")));
        }
        if is_for_admins(table, key, wanted) && !who.is_admin() {
            let action = if verb == Verb::Post {
                "create"
            } else {
                "update"
            };
            return Err(denied(&format!(
                "((rule:{action}_{one} and rule:{action}_{one}:{key}))"
            )));
        }
    }
    Ok(())
}

fn is_for_admins(table: &str, key: &str, wanted: &Row) -> bool {
    let said = wanted
        .get(key)
        .is_some_and(|value| !value.is_null() && *value != serde_json::json!(false));
    match (table, key) {
        ("networks", "shared" | "router:external" | "is_default") => said,
        ("networks", key) if key.starts_with("provider:") => said,
        ("ports", "binding:host_id" | "binding:profile") => true,
        _ => false,
    }
}
