//! What the services refuse and keep to themselves, seen in Zed and in 2026.1 and asked for by plain HTTP, so that
//! nothing that a client of theirs may get wrong is hidden by a simulator that lets it pass; this file may not know
//! the client that is under test.

use serde_json::{Value, json};

use super::{Ground, Stage, ground::text};

/// Both clouds, and in each somebody who is an admin of the same project.
pub(super) async fn grounds(stage: &Stage) -> [(&Ground, Ground); 2] {
    let admin = async |ground: &Ground| {
        let cloud = ground.tenant.cloud.as_str();
        Ground::of_entry(&stage.file, cloud, &format!("{cloud}-operator")).await
    };
    [
        (&stage.source, admin(&stage.source).await),
        (&stage.dr, admin(&stage.dr).await),
    ]
}

/// A status, and the type or text of an error.
pub(super) type Said = (u16, String);

pub(super) async fn say(
    ground: &Ground,
    method: &str,
    kind: &str,
    path: &str,
    body: Value,
) -> Said {
    say_in(ground, method, kind, path, "", body).await
}

pub(super) async fn say_in(
    ground: &Ground,
    method: &str,
    kind: &str,
    path: &str,
    version: &str,
    body: Value,
) -> Said {
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = ground.ask(method, kind, path, version, body).await;
    if status < 400 {
        return (status, String::new());
    }
    let error = answer.as_object().and_then(|object| object.values().next());
    let error = error.cloned().unwrap_or_default();
    let word = error["type"].as_str().or_else(|| error["message"].as_str());
    (status, word.unwrap_or_default().to_owned())
}

pub(super) fn is(said: &Said, status: u16, words: &str) {
    assert!(
        said.0 == status && said.1.contains(words),
        "{said:?}, not {status} {words}"
    );
}

pub(super) async fn look(
    ground: &Ground,
    kind: &str,
    path: &str,
    version: &str,
    key: &str,
) -> Value {
    let (status, mut answer) = ground.ask("GET", kind, path, version, None).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer[key].take()
}

// -- networks ------------------------------------------------------------------------------------

/// A port gets an address of either version, and whatever is asked for, one in each subnet in which cards give
/// themselves theirs; such an address cannot be wished for.
pub(super) async fn port_has_an_address_of_either_version(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let name = format!("{}-dual", stage.mark);
        let network = ground.network(&name, "10.88.0.0/24").await;
        let subnet = async |cidr: &str, mode: Value| {
            let mut body = json!({"network_id": network, "ip_version": 6, "cidr": cidr});
            if !mode.is_null() {
                body["ipv6_address_mode"] = mode.clone();
                body["ipv6_ra_mode"] = mode;
            }
            ground.make("network", "subnets", "", "subnet", body).await
        };
        let addresses = |port: &Value| {
            let list = port["fixed_ips"].as_array().cloned().unwrap_or_default();
            let mut list: Vec<String> = list.iter().map(|one| text(&one["ip_address"])).collect();
            // Which subnet each of them is of, by the beginnings that only they have.
            for one in &mut list {
                one.truncate(one.find("8:").map_or(6, |at| at + 3));
            }
            list.sort();
            list
        };
        let port = async |more: Value| {
            let mut body = json!({"network_id": network});
            for (key, value) in more.as_object().expect("an object") {
                body[key] = value.clone();
            }
            ground.make("network", "ports", "", "port", body).await
        };
        let stateful = subnet("2001:db8:1::/64", Value::Null).await;
        assert_eq!(stateful["gateway_ip"], "2001:db8:1::");
        assert_eq!(stateful["allocation_pools"][0]["start"], "2001:db8:1::1");
        let before = port(json!({})).await;
        assert_eq!(addresses(&before), ["10.88.", "2001:db8:1"]);
        let slaac = text(&subnet("2001:db8:2::/64", json!("slaac")).await["id"]);
        let path = format!("ports/{}", text(&before["id"]));
        let now = look(ground, "network", &path, "", "port").await;
        assert_eq!(addresses(&now), ["10.88.", "2001:db8:1", "2001:db8:2"]);
        let own = text(&now["mac_address"]).replace(':', "");
        let last = &own[8..];
        let automatic = now["fixed_ips"].as_array().expect("a list").iter();
        let automatic = automatic.filter(|one| one["subnet_id"] == slaac.as_str());
        let automatic: Vec<String> = automatic.map(|one| text(&one["ip_address"])).collect();
        let tail = last.trim_start_matches('0');
        assert!(automatic[0].ends_with(tail), "{automatic:?} of {own}");

        let made = port(json!({})).await;
        assert_eq!(addresses(&made), ["10.88.", "2001:db8:1", "2001:db8:2"]);
        for wish in [json!([]), json!([{"subnet_id": slaac}])] {
            let made = port(json!({"fixed_ips": wish})).await;
            assert_eq!(addresses(&made), ["2001:db8:2"], "{wish}");
        }
        let made = port(json!({"fixed_ips": [{"ip_address": "10.88.0.77"}]})).await;
        assert_eq!(addresses(&made), ["10.88.", "2001:db8:2"]);
        let wish = json!({"port": {"network_id": network, "fixed_ips": [
            {"ip_address": "10.88.0.78"}, {"subnet_id": slaac, "ip_address": "2001:db8:2::78"}]}});
        let said = say(ground, "POST", "network", "ports", wish).await;
        is(&said, 400, "AllocationOnAutoAddressSubnet");
        let wish = json!({"port": {"fixed_ips": []}});
        let path = format!("ports/{}", text(&made["id"]));
        let (_, answer) = ground.ask("PUT", "network", &path, "", Some(wish)).await;
        assert_eq!(addresses(&answer["port"]), ["2001:db8:2"]);

        let all = look(
            ground,
            "network",
            &format!("ports?network_id={network}"),
            "",
            "ports",
        )
        .await;
        for one in all.as_array().expect("a list") {
            let path = format!("ports/{}", text(&one["id"]));
            ground.remove("network", &path).await;
        }
        let path = format!("networks/{network}");
        ground.remove("network", &path).await;
    }
}

/// A port without port security has neither groups nor pairs; an empty list of DHCP options changes nothing.
pub(super) async fn port_without_security_has_no_groups(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let network = ground.network(&stage.mark, "10.88.0.0/24").await;
        let body = json!({"name": format!("{}-group", stage.mark)});
        let group = ground
            .make("network", "security-groups", "", "security_group", body)
            .await;
        let group = text(&group["id"]);
        let port = |more: Value| {
            let mut body = json!({"network_id": network});
            for (key, value) in more.as_object().expect("an object") {
                body[key] = value.clone();
            }
            json!({"port": body})
        };
        let bare = port(json!({"port_security_enabled": false, "security_groups": [group]}));
        let said = say(ground, "POST", "network", "ports", bare).await;
        is(&said, 400, "PortSecurityAndIPRequiredForSecurityGroups");
        let pairs = json!([{"ip_address": "10.1.1.1"}]);
        let bare = port(json!({"port_security_enabled": false, "allowed_address_pairs": pairs}));
        let said = say(ground, "POST", "network", "ports", bare).await;
        is(&said, 409, "AddressPairAndPortSecurityRequired");

        let full = port(
            json!({"security_groups": [], "allowed_address_pairs": pairs,
            "extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": "x"}]}),
        );
        let (_, made) = ground.ask("POST", "network", "ports", "", Some(full)).await;
        let made = &made["port"];
        assert_eq!(made["security_groups"], json!([]));
        assert_eq!(made["port_security_enabled"], true);
        let mac = &made["mac_address"];
        assert_eq!(
            made["allowed_address_pairs"],
            json!([{"ip_address": "10.1.1.1", "mac_address": mac}])
        );
        let option = json!([{"opt_name": "bootfile-name", "opt_value": "x", "ip_version": 4}]);
        assert_eq!(made["extra_dhcp_opts"], option);
        let path = format!("ports/{}", text(&made["id"]));
        for (wish, after) in [
            (json!([]), option),
            (
                json!([{"opt_name": "bootfile-name", "opt_value": null}]),
                json!([]),
            ),
        ] {
            let body = json!({"port": {"extra_dhcp_opts": wish}});
            let (_, answer) = ground.ask("PUT", "network", &path, "", Some(body)).await;
            assert_eq!(answer["port"]["extra_dhcp_opts"], after);
        }
        ground.remove("network", &path).await;
        for path in [
            format!("security-groups/{group}"),
            format!("networks/{network}"),
        ] {
            ground.remove("network", &path).await;
        }
    }
}

/// The name `default` is nobody's, however it is written, and the group that has it keeps it.
pub(super) async fn name_of_the_default_group_is_reserved(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let body = |name: &str| json!({"security_group": {"name": name}});
        for name in ["default", "Default", "DEFAULT"] {
            let said = say(ground, "POST", "network", "security-groups", body(name)).await;
            is(&said, 409, "SecurityGroupDefaultAlreadyExists");
        }
        let made = json!({"name": format!("{}-group", stage.mark)});
        let made = ground
            .make("network", "security-groups", "", "security_group", made)
            .await;
        let path = format!("security-groups/{}", text(&made["id"]));
        for name in ["default", "Default"] {
            let said = say(ground, "PUT", "network", &path, body(name)).await;
            is(&said, 409, "SecurityGroupDefaultAlreadyExists");
        }
        let other = body(&format!("{}-other", stage.mark));
        is(
            &say(ground, "PUT", "network", &path, other.clone()).await,
            200,
            "",
        );
        ground.remove("network", &path).await;

        let project = ground.tenant.project.as_str();
        let query = format!("security-groups?name=default&project_id={project}");
        let found = look(ground, "network", &query, "", "security_groups").await;
        let path = format!("security-groups/{}", text(&found[0]["id"]));
        let said = say(ground, "PUT", "network", &path, other).await;
        is(&said, 409, "SecurityGroupCannotUpdateDefault");
        let same = json!({"security_group": {"description": found[0]["description"]}});
        is(&say(ground, "PUT", "network", &path, same).await, 200, "");
    }
}

// -- volumes -------------------------------------------------------------------------------------

/// The read-only flag stands in the metadata, and neither a snapshot nor a backup carries it along.
pub(super) async fn readonly_is_a_flag_of_one_volume(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let volume = ground.volume(&stage.mark).await;
        let path = format!("volumes/{volume}");
        let action = format!("{path}/action");
        let flag = |value: Value| json!({"os-update_readonly_flag": {"readonly": value}});
        let shown = async |path: &str| {
            look(ground, "volumev3", path, "", "volume").await["metadata"]["readonly"].clone()
        };
        assert_eq!(shown(&path).await, Value::Null);
        is(
            &say(ground, "POST", "volumev3", &action, flag(json!(true))).await,
            202,
            "",
        );
        assert_eq!(shown(&path).await, "True");
        for bad in [flag(json!("maybe")), json!({"os-update_readonly_flag": {}})] {
            is(
                &say(ground, "POST", "volumev3", &action, bad).await,
                400,
                "readonly",
            );
        }
        let body = json!({"name": stage.mark, "volume_id": volume});
        let snapshot = ground
            .make("volumev3", "snapshots", "", "snapshot", body)
            .await;
        let snapshot = text(&snapshot["id"]);
        let snapshot_path = format!("snapshots/{snapshot}");
        ground
            .wait("volumev3", &snapshot_path, "snapshot", "available")
            .await;
        let body = json!({"name": stage.mark, "size": 1, "snapshot_id": snapshot});
        let copy = ground.make("volumev3", "volumes", "", "volume", body).await;
        let copy = format!("volumes/{}", text(&copy["id"]));
        ground.wait("volumev3", &copy, "volume", "available").await;
        assert_eq!(shown(&copy).await, Value::Null);
        is(
            &say(ground, "POST", "volumev3", &action, flag(json!(false))).await,
            202,
            "",
        );
        assert_eq!(shown(&path).await, "False");
        for path in [copy, snapshot_path, path] {
            ground.remove("volumev3", &path).await;
        }
    }
}

/// Volumes take texts that snapshots and backups refuse.
pub(super) async fn texts_have_other_limits_in_each_service(stage: &Stage) {
    for (ground, _) in grounds(stage).await {
        let volume = ground.volume(&stage.mark).await;
        let path = format!("volumes/{volume}");
        let long = "x".repeat(256);
        for (description, status) in [
            ("two\nlines", 200),
            ("a\u{1b}b", 200),
            ("é", 200),
            ("😀", 500),
            (&long, 400),
        ] {
            let body = json!({"volume": {"description": description}});
            is(
                &say(ground, "PUT", "volumev3", &path, body).await,
                status,
                "",
            );
        }
        for description in ["two\nlines", "😀", "a\tb", &long] {
            for (kind, kinds) in [("snapshot", "snapshots"), ("backup", "backups")] {
                let body = json!({kind: {"volume_id": volume, "description": description}});
                let said = say(ground, "POST", "volumev3", kinds, body).await;
                is(&said, 400, "description");
            }
        }
        ground.remove("volumev3", &path).await;
    }
}

/// A type of volumes has limits of its own, and one volume has one too.
pub(super) async fn types_and_volumes_have_quotas_of_their_own(stage: &Stage) {
    for (ground, admin) in grounds(stage).await {
        let project = ground.tenant.project.as_str();
        let path = format!("os-quota-sets/{project}");
        let usage = format!("{path}?usage=true");
        let set = look(ground, "volumev3", &usage, "", "quota_set").await;
        let used = |name: &str| set[name]["in_use"].as_i64().expect("a number");
        let limit = async |name: &str, limit: i64| {
            let body = json!({"quota_set": {name: limit}});
            is(&say(&admin, "PUT", "volumev3", &path, body).await, 200, "");
        };
        let make = async |kind: &str, size: u64| {
            let body = json!({"volume": {"name": stage.mark, "volume_type": kind, "size": size}});
            say(ground, "POST", "volumev3", "volumes", body).await
        };
        limit("volumes_fast", used("volumes_fast")).await;
        is(&make("fast", 1).await, 413, "for quota 'volumes_fast'");
        limit("volumes_fast", -1).await;
        limit("gigabytes_fast", used("gigabytes_fast") + 1).await;
        is(
            &make("fast", 2).await,
            413,
            "exceeds allowed gigabytes_fast quota. Requested 2G",
        );
        limit("gigabytes_fast", -1).await;
        limit("per_volume_gigabytes", 2).await;
        is(
            &make("standard", 3).await,
            413,
            "Requested volume size 3G is larger than maximum allowed limit 2G",
        );
        limit("per_volume_gigabytes", -1).await;
        let volume = ground.volume(&stage.mark).await;
        limit("snapshots_standard", used("snapshots_standard")).await;
        let body = json!({"snapshot": {"volume_id": volume, "name": stage.mark}});
        let said = say(ground, "POST", "volumev3", "snapshots", body).await;
        is(&said, 413, "Maximum number of snapshots allowed");
        limit("snapshots_standard", -1).await;
        ground
            .remove("volumev3", &format!("volumes/{volume}"))
            .await;
    }
}

/// Nobody learns from an unknown id whether it may be exported; a record that says nothing tells who may import.
pub(super) async fn right_to_import_is_told_and_that_to_export_is_not(stage: &Stage) {
    for (ground, admin) in grounds(stage).await {
        let unknown = "backups/01234567-89ab-4def-8123-456789abcdef/export_record";
        let nothing =
            json!({"backup-record": {"backup_service": "s", "backup_url": "eyJpZCI6ICJ4In0="}});
        for (who, status, word) in [(ground, 403, "backup:backup-import"), (&admin, 400, "size")] {
            let said = say(who, "GET", "volumev3", unknown, Value::Null).await;
            is(&said, 404, "could not be found");
            let import = "backups/import_record";
            let said = say(who, "POST", "volumev3", import, nothing.clone()).await;
            is(&said, status, word);
        }
    }
}
