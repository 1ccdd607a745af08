//! Whether an instance came back as it was, by what the API tells of both; it may not know clouds.

use serde_json::Value;

/// What is compared, for people.
pub(super) const COMPARED: [&str; 10] = [
    "name",
    "description",
    "metadata",
    "tags",
    "user data",
    "key pair",
    "flavor",
    "volumes",
    "networks",
    "security groups with their rules",
];

/// What differs between two manifests, in proto3 JSON; nothing when the second is the first come back.
pub(super) fn instances(was: &Value, is: &Value) -> Vec<String> {
    if !was.is_object() || !is.is_object() {
        return vec!["one of the two is not told".to_owned()];
    }
    let mut differences = Vec::new();
    let mut same = |what: &str, was: Value, is: Value| {
        if was != is {
            differences.push(format!("{what}: {was} became {is}"));
        }
    };
    for field in ["name", "description", "userData", "configDrive"] {
        same(field, was[field].clone(), is[field].clone());
    }
    same("status", Value::from("ACTIVE"), is["status"].clone());
    same("metadata", was["metadata"].clone(), is["metadata"].clone());
    same(
        "key pair",
        was["keyPair"]["name"].clone(),
        is["keyPair"]["name"].clone(),
    );
    for field in ["name", "cores", "ramMib"] {
        same(
            "flavor",
            was["flavor"][field].clone(),
            is["flavor"][field].clone(),
        );
    }
    // The restored server carries one more tag, by which its operation finds it.
    let own_tags = each(is, "tags", Value::clone);
    let own_tags = own_tags
        .into_iter()
        .filter(|tag| !tag.as_str().is_some_and(|tag| tag.starts_with("drb-")));
    same("tags", was["tags"].clone(), own_tags.collect());
    same("volumes", volumes(was), volumes(is));
    same("networks", networks(was), networks(is));
    same("security groups", groups(was), groups(is));
    differences
}

/// The volume that a restoration made from this one.
pub(super) fn restored_volume<'json>(
    restoration: &'json Value,
    volume: &str,
) -> Option<&'json str> {
    restoration["volumes"]
        .as_array()?
        .iter()
        .find(|restored| restored["sourceVolumeId"] == volume)?["volumeId"]
        .as_str()
}

/// The name of a volume.
pub(super) fn volume_name<'json>(manifest: &'json Value, volume: &'json str) -> &'json str {
    let volumes = manifest["volumes"].as_array();
    volumes
        .and_then(|volumes| volumes.iter().find(|one| one["volumeId"] == volume))
        .and_then(|one| one["name"].as_str())
        .unwrap_or(volume)
}

/// The volumes without their ids, in the order of their devices: a restoration wishes for the devices
/// that they had.
fn volumes(manifest: &Value) -> Value {
    let fields = [
        "name",
        "description",
        "sizeGib",
        "bootable",
        "bootIndex",
        "device",
        "metadata",
        "imageMetadata",
        "deleteOnTermination",
    ];
    each(manifest, "volumes", |volume| picked(volume, &fields)).into()
}

fn networks(manifest: &Value) -> Value {
    each(manifest, "ports", |port| {
        picked(port, &["networkName", "vnicType", "portSecurityEnabled"])
    })
    .into()
}

/// The groups by the content of their rules, whatever they are called and whatever ids they have.
fn groups(manifest: &Value) -> Value {
    let mut groups = each(manifest, "securityGroups", |group| {
        let mut rules = each(group, "rules", |rule| {
            let fields = [
                "direction",
                "ethertype",
                "protocol",
                "portRangeMin",
                "portRangeMax",
                "remoteIpPrefix",
            ];
            let from_itself = rule["remoteGroupId"] == group["securityGroupId"];
            Value::from(vec![picked(rule, &fields), Value::from(from_itself)])
        });
        rules.sort_by_key(Value::to_string);
        Value::from(rules)
    });
    groups.sort_by_key(Value::to_string);
    groups.into()
}

fn each(value: &Value, field: &str, pick: impl Fn(&Value) -> Value) -> Vec<Value> {
    value[field]
        .as_array()
        .map_or_else(Vec::new, |items| items.iter().map(pick).collect())
}

fn picked(value: &Value, fields: &[&str]) -> Value {
    fields
        .iter()
        .map(|field| ((*field).to_owned(), value[*field].clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_may_change_and_the_rest_may_not() {
        let was = json!({
            "name": "shop", "status": "SHUTOFF", "tags": ["gold"],
            "volumes": [{"volumeId": "a", "sizeGib": 1}, {"volumeId": "c", "sizeGib": 5}],
            "securityGroups": [{"securityGroupId": "g", "rules": [{"direction": "ingress", "remoteGroupId": "g"}]}],
        });
        let mut is = json!({
            "name": "shop", "status": "ACTIVE", "tags": ["drb-1", "gold"],
            "volumes": [{"volumeId": "b", "sizeGib": 1}, {"volumeId": "a", "sizeGib": 5}],
            "securityGroups": [{"securityGroupId": "h", "rules": [{"direction": "ingress", "remoteGroupId": "h"}]}],
        });
        assert_eq!(instances(&was, &is), Vec::<String>::new());
        let mut turned = is.clone();
        turned["volumes"].as_array_mut().unwrap().reverse();
        assert_eq!(instances(&was, &turned).len(), 1);
        is["volumes"][0]["sizeGib"] = json!(2);
        is["status"] = json!("ERROR");
        assert_eq!(instances(&was, &is).len(), 2);
    }
}
